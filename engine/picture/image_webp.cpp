// WebP by libwebp, lossy and lossless, still pictures only. The container is looked at here: the EXIF orientation
// stands in it, and a file that ends early is refused before anything is decoded.
#if GAN_WITH_WEBP
#include <webp/decode.h>

#include "engine/picture/image_formats.h"
#include "engine/picture/image_webp_tables.h"
#include "engine/picture/orientation.h"

namespace gan::formats {

namespace {

const uint8_t* data_of(const Source& source) {
  return reinterpret_cast<const uint8_t*>(source.part(0, source.size()).data());
}

std::string words_for(VP8StatusCode status) {
  switch (status) {
    case VP8_STATUS_NOT_ENOUGH_DATA: return "cut off: the WebP ends before its picture does";
    case VP8_STATUS_OUT_OF_MEMORY: return "not enough memory for this WebP";
    case VP8_STATUS_UNSUPPORTED_FEATURE: return "a WebP of a kind that is not supported";
    default: return "damaged WebP";
  }
}

struct Webp {
  int height = 0, width = 0, orientation = 1;
  bool alpha = false, lossless = false;
  size_t tables = 0;  // bytes

  // Memory at the peak, the result in colour included: samples in front of the result and what the decoder keeps
  // of the whole picture, which is up to five bytes a pixel of a lossless one, or of the alpha of another.
  size_t decoding_bytes() const {
    const size_t pixels = size_t(height) * size_t(width);
    return pixels * 3 + pixels * (alpha ? 4 : 3) + pixels * (lossless || alpha ? 5 : 0) + tables;
  }
};

// Calls look(name, body) for each chunk from byte 12 on.
template <class Look>
void each_chunk(const Source& source, Look look) {
  const size_t end = size_t(source.le32(4)) + 8;
  for (size_t at = 12; at + 8 <= end && at + 8 <= source.size();) {
    const size_t length = source.le32(at + 4);
    const Bytes name = source.part(at, 4);
    look(std::string_view(reinterpret_cast<const char*>(name.data()), 4), at + 8, length);
    at += 8 + length + length % 2;
  }
}

// As many bytes of a part of a chunk as there are; none at all is an error.
Bytes body_of(const Source& source, size_t at, size_t length) {
  return source.part(at, std::min(length, source.size() - at));
}

Webp read_header(const Source& source) {
  WebPBitstreamFeatures features;
  const VP8StatusCode status = WebPGetFeatures(data_of(source), source.size(), &features);
  if (status != VP8_STATUS_OK) source.refuse("{}", words_for(status));
  source.check_dimensions(features.width, features.height);
  if (features.has_animation) source.refuse("an animated WebP; only still pictures are read");
  Webp webp{features.height, features.width, 1, features.has_alpha != 0, features.format == 2};
  const bool extended = source.starts_with(12, "VP8X");
  if (extended) source.part(0, size_t(source.le32(4)) + 8);  // EXIF data stand behind the picture
  each_chunk(source, [&](std::string_view name, size_t at, size_t length) {
    constexpr size_t kHeader = 5;  // of a lossless picture: mark, width, height
    if (name == "EXIF") webp.orientation = exif_orientation(body_of(source, at, length));
    if (name == "VP8L" && length > kHeader)
      webp.tables = bytes_of_webp_tables(source, body_of(source, at + kHeader, length - kHeader), webp.width,
                                         webp.height);
    const bool lossless_alpha = name == "ALPH" && length > 1 && (source.u8(at) & 3) == 1;
    if (lossless_alpha)
      webp.tables =
          bytes_of_webp_tables(source, body_of(source, at + 1, length - 1), webp.width, webp.height);
  });
  return webp;
}

}  // namespace

Image decode_webp(const Source& source, const DecodeOptions& options) {
  const Webp webp = read_header(source);
  WebPDecoderConfig config;
  if (!WebPInitDecoderConfig(&config))
    source.refuse("this libwebp is of another version than gan was built with");
  const int channels = webp.alpha ? 4 : 3;
  std::vector<uint8_t> samples(size_t(webp.height) * size_t(webp.width) * size_t(channels));
  config.output.colorspace = webp.alpha ? MODE_RGBA : MODE_RGB;
  config.output.is_external_memory = 1;
  config.output.u.RGBA = {samples.data(), webp.width * channels, samples.size()};
  const VP8StatusCode status = WebPDecode(data_of(source), source.size(), &config);
  WebPFreeDecBuffer(&config.output);
  if (status != VP8_STATUS_OK) source.refuse("{}", words_for(status));

  Canvas canvas(webp.height, webp.width, options);
  const uint8_t* from = samples.data();
  for (int y = 0; y < webp.height; ++y)
    for (int x = 0; x < webp.width; ++x, from += channels)
      canvas.set(y, x, {from[0], from[1], from[2], webp.alpha ? from[3] : uint8_t{255}});
  samples = {};
  return turned_upright(canvas.take(), webp.orientation);
}

ImageInfo probe_webp(const Source& source) {
  const Webp webp = read_header(source);
  const bool exchange = webp.orientation >= 5;
  return {exchange ? webp.width : webp.height,
          exchange ? webp.height : webp.width,
          3,
          "webp",
          8,
          webp.alpha,
          false,
          webp.decoding_bytes()};
}

}  // namespace gan::formats
#endif
