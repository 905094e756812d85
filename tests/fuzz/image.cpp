// Pictures of every format: their headers, then their pixels in both numbers of channels.
#include "engine/picture/image.h"

#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  // What a header may claim costs time, and finds nothing beyond this.
  constexpr int64_t kPixels = 1 << 20;
  const auto file = std::as_bytes(std::span(bytes, count));
  return gan::fuzz::judged([&] {
    const gan::ImageInfo info = gan::probe_image(file, "input", kPixels);
    for (const int channels : {3, 1}) {
      const gan::Image image =
          gan::decode_image(file, "input", {.channels = channels, .max_pixels = kPixels});
      GAN_CHECK(image.height == info.height && image.width == info.width,
                "{} x {} was announced, {} x {} read", info.height, info.width, image.height, image.width);
    }
  });
}
