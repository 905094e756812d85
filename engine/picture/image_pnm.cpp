// PNM: P1 to P6, bitmaps, grey maps and colour maps in plain text or binary.
#include "engine/picture/image_formats.h"

#include <bit>
#include <cctype>

namespace gan::formats {

namespace {

class PnmReader {
 public:
  explicit PnmReader(const Source& source) : source_(source) {
    const uint32_t kind = source.u8(1) - '0';
    bitmap_ = kind == 1 || kind == 4;
    text_ = kind <= 3;
    colour_ = kind == 3 || kind == 6;
    const int64_t width = number(), height = number();
    source.check_dimensions(width, height);
    width_ = static_cast<int>(width), height_ = static_cast<int>(height);
    maximum_ = bitmap_ ? 1 : number();
    if (maximum_ < 1 || maximum_ > 65535)
      source.refuse("damaged PNM: largest value {} (1 to 65535)", maximum_);
    if (!text_) {
      if (!std::isspace(static_cast<int>(source.u8(at_))))
        source.refuse("damaged PNM: no space after the header");
      ++at_;
    }
  }

  ImageInfo info() const {
    return {height_,
            width_,
            colour_ ? 3 : 1,
            "pnm",
            int(std::bit_width(static_cast<uint32_t>(maximum_))),
            false,
            false,
            picture_bytes(height_, width_)};
  }

  Image decode(const DecodeOptions& options) {
    const size_t samples = size_t(width_) * size_t(height_) * (colour_ ? 3 : 1);
    const size_t least = text_     ? samples
                         : bitmap_ ? size_t(height_) * ((size_t(width_) + 7) / 8)
                                   : samples * (maximum_ > 255 ? 2 : 1);
    source_.part(at_, least);
    Canvas canvas(height_, width_, options);
    for (int y = 0; y < height_; ++y) {
      for (int x = 0; x < width_; ++x) {
        const uint8_t first = sample(x);
        if (colour_) {
          const uint8_t green = sample(x), blue = sample(x);
          canvas.set(y, x, {first, green, blue, 255});
        } else {
          canvas.set(y, x, {first, first, first, 255});
        }
      }
      if (bitmap_ && !text_) at_ += (size_t(width_) + 7) / 8;
    }
    return canvas.take();
  }

 private:
  void skip_spaces_and_comments() {
    for (;; ++at_) {
      const int c = static_cast<int>(source_.u8(at_));
      if (c == '#')
        while (source_.u8(at_) != '\n' && source_.u8(at_) != '\r') ++at_;
      else if (!std::isspace(c)) return;
    }
  }

  int64_t number() {
    skip_spaces_and_comments();
    int64_t value = 0;
    const size_t begin = at_;
    while (at_ < source_.size() && std::isdigit(static_cast<int>(source_.u8(at_)))) {
      value = 10 * value + (source_.u8(at_++) - '0');
      if (value > INT32_MAX) source_.refuse("damaged PNM: the number at byte {} is too large", begin);
    }
    if (at_ == begin) source_.refuse("damaged PNM: no number at byte {}", begin);
    return value;
  }

  // The next sample; in a binary bitmap that of column x, `at_` standing at the start of the row.
  uint8_t sample(int x) {
    if (bitmap_) {  // 1 is black
      uint32_t black = 0;
      if (text_) {
        skip_spaces_and_comments();
        black = source_.u8(at_++) - '0';
        if (black > 1) source_.refuse("damaged PNM: neither 0 nor 1 at byte {}", at_ - 1);
      } else {
        black = source_.u8(at_ + size_t(x) / 8) >> (7 - x % 8) & 1;
      }
      return black ? 0 : 255;
    }
    int64_t value = 0;
    if (text_) {
      value = number();
    } else if (maximum_ > 255) {
      value = source_.be16(at_);
      at_ += 2;
    } else {
      value = source_.u8(at_++);
    }
    if (value > maximum_) source_.refuse("damaged PNM: value {} above the largest, {}", value, maximum_);
    return to_8_bit(static_cast<uint64_t>(value), static_cast<uint64_t>(maximum_));
  }

  const Source& source_;
  size_t at_ = 2;
  bool bitmap_ = false, text_ = false, colour_ = false;
  int height_ = 0, width_ = 0;
  int64_t maximum_ = 1;
};

}  // namespace

Image decode_pnm(const Source& source, const DecodeOptions& options) {
  return PnmReader(source).decode(options);
}

ImageInfo probe_pnm(const Source& source) { return PnmReader(source).info(); }

}  // namespace gan::formats
