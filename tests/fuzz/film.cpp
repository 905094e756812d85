// Films as streams: y4m, and PPM pictures one after another.
#include "engine/picture/video_stream.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
  const gan::fuzz::InputAsFile input(bytes, count);
  return gan::fuzz::judged([&] {
    gan::StreamSource film(input.descriptor(), false, "input");
    const gan::VideoFormat format = film.format();
    gan::Image frame;
    while (film.read(frame))
      GAN_CHECK(frame.height == format.height && frame.width == format.width && frame.channels == 3,
                "{} x {}", frame.height, frame.width);
  });
}
