// EXIF orientation.
#include "engine/picture/orientation.h"

#include <optional>

namespace gan::formats {

namespace {

constexpr std::string_view kExifMark("Exif\0\0", 6);

// Numbers in the order of bytes that EXIF data name at their beginning.
class ExifNumbers {
 public:
  ExifNumbers(Bytes data, bool little) : data_(data), little_(little) {}
  bool has(size_t at, size_t bytes) const { return at <= data_.size() && bytes <= data_.size() - at; }
  // Unsigned, of 1, 2 or 4 bytes; 0 beyond the end.
  uint32_t at(size_t at, size_t bytes) const {
    if (!has(at, bytes)) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < bytes; ++i)
      value = value << 8 | std::to_integer<uint32_t>(data_[little_ ? at + bytes - 1 - i : at + i]);
    return value;
  }

 private:
  Bytes data_;
  bool little_;
};

// Of the integer types; other types have none. Writers use each of them for orientations.
std::optional<size_t> bytes_of_integer(uint32_t type) {
  switch (type) {
    case 1:
    case 6: return 1;  // BYTE, SBYTE
    case 3:
    case 8: return 2;  // SHORT, SSHORT
    case 4:
    case 9: return 4;  // LONG, SLONG
    default: return {};
  }
}

}  // namespace

bool has_exif_mark(Bytes data) {
  return data.size() >= kExifMark.size() && std::memcmp(data.data(), kExifMark.data(), kExifMark.size()) == 0;
}

int exif_orientation(Bytes exif) {
  if (has_exif_mark(exif)) exif = exif.subspan(kExifMark.size());
  if (exif.size() < 8) return 1;
  const std::string_view order(reinterpret_cast<const char*>(exif.data()), 2);
  if (order != "II" && order != "MM") return 1;
  const ExifNumbers numbers(exif, order == "II");
  const size_t directory = numbers.at(4, 4), entries = numbers.at(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;  // tag, type, count, value
    if (!numbers.has(entry, 12)) return 1;
    if (numbers.at(entry, 2) != 0x0112) continue;
    const auto bytes = bytes_of_integer(numbers.at(entry + 2, 2));
    if (!bytes || numbers.at(entry + 4, 4) != 1) continue;
    const uint32_t value = numbers.at(entry + 8, *bytes);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Image turned_upright(Image image, int orientation) {
  if (orientation == 1) return image;
  const bool exchange = orientation >= 5;
  Image upright(exchange ? image.width : image.height, exchange ? image.height : image.width, image.channels);
  const int bottom = image.height - 1, right = image.width - 1;
  for (int y = 0; y < upright.height; ++y)
    for (int x = 0; x < upright.width; ++x) {
      int from_y = y, from_x = x;
      switch (orientation) {
        case 2: from_x = right - x; break;                       // mirrored
        case 3: from_y = bottom - y, from_x = right - x; break;  // upside down
        case 4: from_y = bottom - y; break;                      // mirrored, upside down
        case 5: from_y = x, from_x = y; break;                   // transposed
        case 6: from_y = bottom - x, from_x = y; break;          // needs a quarter turn clockwise
        case 7: from_y = bottom - x, from_x = right - y; break;  // transposed along the other diagonal
        case 8: from_y = x, from_x = right - y; break;           // needs a quarter turn counter-clockwise
      }
      std::copy_n(&image.at(from_y, from_x, 0), image.channels, &upright.at(y, x, 0));
    }
  return upright;
}

}  // namespace gan::formats
