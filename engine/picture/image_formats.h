// What the readers of picture files share: Source, the file under examination with bounds-checked reads and
// the one way to refuse it, and Canvas, which receives pixels and applies the rules for grey and
// transparency. Each format has a file of its own (image_png.cpp, image_jpeg.cpp, image_bmp.cpp,
// image_pnm.cpp, image_webp.cpp, image_tiff.cpp), in the same order: read the header, refuse what is damaged or
// larger than its bytes can justify, and only then decode.
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "engine/picture/image.h"
#include "kernels/contract/check.h"

namespace gan::formats {

using Bytes = std::span<const std::byte>;

constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n";

// The file under examination: bounds-checked reads, and the one way to refuse it.
class Source {
 public:
  Source(Bytes bytes, const std::string& name, int64_t max_pixels)
      : bytes_(bytes), name_(name), max_pixels_(max_pixels) {}

  template <class... A>
  [[noreturn]] void refuse(fmt::format_string<A...> f, A&&... a) const {
    fail(Exit::bad_data, "{}: {}", name_, fmt::format(f, std::forward<A>(a)...));
  }

  size_t size() const { return bytes_.size(); }
  Bytes part(size_t at, size_t length) const {
    if (at > bytes_.size() || length > bytes_.size() - at)
      refuse("cut off: needs {} bytes at byte {}, the file has {}", length, at, bytes_.size());
    return bytes_.subspan(at, length);
  }
  uint32_t u8(size_t at) const { return std::to_integer<uint32_t>(part(at, 1)[0]); }
  uint32_t be16(size_t at) const { return u8(at) << 8 | u8(at + 1); }
  uint32_t be32(size_t at) const { return be16(at) << 16 | be16(at + 2); }
  uint32_t le16(size_t at) const { return u8(at + 1) << 8 | u8(at); }
  uint32_t le32(size_t at) const { return le16(at + 2) << 16 | le16(at); }
  bool starts_with(size_t at, std::string_view text) const {
    return at <= size() && text.size() <= size() - at &&
           std::memcmp(bytes_.data() + at, text.data(), text.size()) == 0;
  }

  void check_dimensions(int64_t width, int64_t height) const {
    if (width <= 0 || height <= 0) refuse("claims a picture of {} x {} pixels", width, height);
    if (width > PictureLimits::side || height > PictureLimits::side)
      refuse("claims {} x {} pixels; a side may have at most {}", width, height, int{PictureLimits::side});
    if (width * height > max_pixels_)
      refuse("claims {} x {} = {} pixels; at most {} are allowed", width, height, width * height,
             max_pixels_);
  }
  // Bytes of memory that decoding may take.
  int64_t allowed_cost() const {
    return std::max(int64_t{PictureLimits::decoding_bytes},
                    PictureLimits::bytes_for_each_byte * static_cast<int64_t>(size()));
  }
  // `bytes`: what decoding takes of memory, or what the data unfold to.
  void check_cost(int64_t bytes) const {
    const int64_t allowed = allowed_cost();
    if (bytes > allowed)
      refuse(
          "would unfold to {} MiB, {} times its {} bytes, as hostile files do (allowed: {} MiB); is it real, "
          "save it smaller",
          bytes >> 20, bytes / static_cast<int64_t>(size()), size(), allowed >> 20);
  }

 private:
  Bytes bytes_;
  const std::string& name_;
  int64_t max_pixels_;
};

// Rounds a sample of 0..maximum to 0..255.
inline uint8_t to_8_bit(uint64_t sample, uint64_t maximum) {
  return static_cast<uint8_t>((sample * 255 + maximum / 2) / maximum);
}

struct Rgba {
  uint8_t red = 0, green = 0, blue = 0, alpha = 255;
};

// Receives pixels in any order and applies the rules for transparency and grey.
class Canvas {
 public:
  Canvas(int height, int width, const DecodeOptions& options)
      : image_(height, width, options.channels), matte_(options.matte) {}

  void set(int y, int x, Rgba pixel) {
    if (pixel.alpha != 255) {
      pixel.red = blend(pixel.red, matte_[0], pixel.alpha);
      pixel.green = blend(pixel.green, matte_[1], pixel.alpha);
      pixel.blue = blend(pixel.blue, matte_[2], pixel.alpha);
    }
    if (image_.channels == 1) {
      image_.at(y, x, 0) = luma(pixel.red, pixel.green, pixel.blue);
    } else {
      uint8_t* out = &image_.at(y, x, 0);
      out[0] = pixel.red, out[1] = pixel.green, out[2] = pixel.blue;
    }
  }
  Image take() { return std::move(image_); }

 private:
  static uint8_t blend(uint32_t colour, uint32_t matte, uint32_t alpha) {
    return static_cast<uint8_t>((colour * alpha + matte * (255 - alpha) + 127) / 255);
  }
  Image image_;
  std::array<uint8_t, 3> matte_;
};

// The picture alone, in colour.
inline size_t picture_bytes(int64_t height, int64_t width) { return size_t(height * width * 3); }

// The readers of one format each. `source` is known to begin as its format does.
Image decode_png(const Source& source, const DecodeOptions& options);
ImageInfo probe_png(const Source& source);
Image decode_jpeg(const Source& source, const DecodeOptions& options);
ImageInfo probe_jpeg(const Source& source);
Image decode_bmp(const Source& source, const DecodeOptions& options);
ImageInfo probe_bmp(const Source& source);
Image decode_pnm(const Source& source, const DecodeOptions& options);
ImageInfo probe_pnm(const Source& source);
// Where the build has libwebp, and where it has libtiff.
Image decode_webp(const Source& source, const DecodeOptions& options);
ImageInfo probe_webp(const Source& source);
Image decode_tiff(const Source& source, const DecodeOptions& options);
ImageInfo probe_tiff(const Source& source);

}  // namespace gan::formats
