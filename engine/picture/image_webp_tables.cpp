// The beginning of a lossless WebP, up to the picture of its groups of prefix codes.
#if GAN_WITH_WEBP
#include "engine/picture/image_webp_tables.h"

#include <set>
#include <vector>

namespace gan::formats {

namespace {

constexpr int kLiterals = 256, kLengths = 24, kDistances = 40;
constexpr int kLongestCode = 15;

// Steps back, of which x is to the left and y up: 8 - x in the low half of the byte, y in the high half. Codes of
// near distances mean these.
constexpr uint8_t kNear[120] = {
    0x18, 0x07, 0x17, 0x19, 0x28, 0x06, 0x27, 0x29, 0x16, 0x1a, 0x26, 0x2a, 0x38, 0x05, 0x37,
    0x39, 0x15, 0x1b, 0x36, 0x3a, 0x25, 0x2b, 0x48, 0x04, 0x47, 0x49, 0x14, 0x1c, 0x35, 0x3b,
    0x46, 0x4a, 0x24, 0x2c, 0x58, 0x45, 0x4b, 0x34, 0x3c, 0x03, 0x57, 0x59, 0x13, 0x1d, 0x56,
    0x5a, 0x23, 0x2d, 0x44, 0x4c, 0x55, 0x5b, 0x33, 0x3d, 0x68, 0x02, 0x67, 0x69, 0x12, 0x1e,
    0x66, 0x6a, 0x22, 0x2e, 0x54, 0x5c, 0x43, 0x4d, 0x65, 0x6b, 0x32, 0x3e, 0x78, 0x01, 0x77,
    0x79, 0x53, 0x5d, 0x11, 0x1f, 0x64, 0x6c, 0x42, 0x4e, 0x76, 0x7a, 0x21, 0x2f, 0x75, 0x7b,
    0x31, 0x3f, 0x63, 0x6d, 0x52, 0x5e, 0x00, 0x74, 0x7c, 0x41, 0x4f, 0x10, 0x20, 0x62, 0x6e,
    0x30, 0x73, 0x7d, 0x51, 0x5f, 0x40, 0x72, 0x7e, 0x61, 0x6f, 0x50, 0x71, 0x7f, 0x60, 0x70};

// Bits from the lowest of each byte on.
class Bits {
 public:
  Bits(const Source& source, Bytes data) : source_(source), data_(data) {}
  uint32_t read(int count) {
    uint32_t value = 0;
    for (int i = 0; i < count; ++i) {
      if (at_ / 8 >= data_.size()) source_.refuse("cut off: the WebP ends before its picture does");
      value |= (std::to_integer<uint32_t>(data_[at_ / 8]) >> at_ % 8 & 1) << i;
      ++at_;
    }
    return value;
  }
  [[noreturn]] void refuse() const { source_.refuse("damaged WebP"); }

 private:
  const Source& source_;
  Bytes data_;
  size_t at_ = 0;
};

// A canonical prefix code. Of one symbol alone it has no bits.
class PrefixCode {
 public:
  PrefixCode(const std::vector<uint8_t>& lengths, const Bits& bits) {
    for (const uint8_t length : lengths) ++count_[length];
    count_[0] = 0;
    for (int length = 1; length <= kLongestCode; ++length)
      for (size_t symbol = 0; symbol < lengths.size(); ++symbol)
        if (lengths[symbol] == length) symbols_.push_back(uint16_t(symbol));
    if (symbols_.empty()) bits.refuse();
  }
  uint32_t read(Bits& bits) const {
    if (symbols_.size() == 1) return symbols_[0];
    int code = 0, first = 0, index = 0;  // the first code of this length, and its place among the symbols
    for (int length = 1; length <= kLongestCode; ++length) {
      code = code << 1 | int(bits.read(1));
      first <<= 1;
      if (code - first < count_[length]) return symbols_[size_t(index + code - first)];
      first += count_[length];
      index += count_[length];
    }
    bits.refuse();
  }

 private:
  int count_[kLongestCode + 1] = {};
  std::vector<uint16_t> symbols_;  // shorter codes first
};

PrefixCode read_code(Bits& bits, int alphabet) {
  std::vector<uint8_t> lengths(static_cast<size_t>(alphabet));
  if (bits.read(1)) {  // one symbol or two
    const bool two = bits.read(1) != 0;
    const int of_first = bits.read(1) ? 8 : 1;
    for (const int size : {of_first, two ? 8 : 0}) {
      if (size == 0) continue;
      const uint32_t symbol = bits.read(size);
      if (symbol >= lengths.size()) bits.refuse();
      lengths[symbol] = 1;
    }
    return PrefixCode(lengths, bits);
  }
  constexpr int kOrder[] = {17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  std::vector<uint8_t> of_lengths(19);
  const int given = int(bits.read(4)) + 4;
  for (int i = 0; i < given; ++i) of_lengths[size_t(kOrder[i])] = uint8_t(bits.read(3));
  const PrefixCode code(of_lengths, bits);
  int left = alphabet;  // of the codes that tell lengths
  if (bits.read(1)) {
    const int size = 2 + 2 * int(bits.read(3));
    left = 2 + int(bits.read(size));
    if (left > alphabet) bits.refuse();
  }
  uint8_t last = 8;
  for (int symbol = 0; symbol < alphabet && left > 0; --left) {
    const uint32_t length = code.read(bits);
    if (length < 16) {
      lengths[size_t(symbol++)] = uint8_t(length);
      if (length != 0) last = uint8_t(length);
      continue;
    }
    int repeats = 0;
    if (length == 16) repeats = 3 + int(bits.read(2));
    else if (length == 17) repeats = 3 + int(bits.read(3));
    else repeats = 11 + int(bits.read(7));
    if (symbol + repeats > alphabet) bits.refuse();
    for (; repeats > 0; --repeats) lengths[size_t(symbol++)] = length == 16 ? last : uint8_t{0};
  }
  return PrefixCode(lengths, bits);
}

// 0: none.
int read_cache_bits(Bits& bits) {
  if (!bits.read(1)) return 0;
  const int cache_bits = int(bits.read(4));
  if (cache_bits < 1 || cache_bits > 11) bits.refuse();
  return cache_bits;
}

// A length or distance, of which the first bits are a symbol.
size_t read_number(Bits& bits, uint32_t symbol) {
  if (symbol < 4) return symbol + 1;
  const int extra = int(symbol - 2) >> 1;
  return size_t{2 + (symbol & 1)} * (size_t{1} << extra) + bits.read(extra) + 1;
}

size_t distance_of(size_t code, size_t width) {
  if (code > std::size(kNear)) return code - std::size(kNear);
  const int near = kNear[code - 1];
  const int64_t distance = (near >> 4) * int64_t(width) + 8 - (near & 15);
  return size_t(std::max(int64_t{1}, distance));
}

// One of the small pictures that stand before the large one: alpha, red, green, blue in a word for each pixel.
std::vector<uint32_t> read_small_picture(Bits& bits, size_t width, size_t height) {
  const int cache_bits = read_cache_bits(bits);
  const int cached = cache_bits > 0 ? 1 << cache_bits : 0;
  std::vector<uint32_t> cache(static_cast<size_t>(cached));
  const PrefixCode green = read_code(bits, kLiterals + kLengths + cached), red = read_code(bits, kLiterals),
                   blue = read_code(bits, kLiterals), alpha = read_code(bits, kLiterals),
                   distance = read_code(bits, kDistances);
  std::vector<uint32_t> pixels;
  pixels.reserve(width * height);
  const auto add = [&](uint32_t pixel) {
    pixels.push_back(pixel);
    if (cached > 0) cache[0x1e35a7bdu * pixel >> (32 - cache_bits)] = pixel;
  };
  while (pixels.size() < width * height) {
    const uint32_t symbol = green.read(bits);
    if (symbol < kLiterals) {
      uint32_t pixel = symbol << 8;
      pixel |= red.read(bits) << 16;
      pixel |= blue.read(bits);
      pixel |= alpha.read(bits) << 24;
      add(pixel);
    } else if (symbol < kLiterals + kLengths) {
      const size_t length = read_number(bits, symbol - kLiterals);
      const size_t back = distance_of(read_number(bits, distance.read(bits)), width);
      if (back > pixels.size() || length > width * height - pixels.size()) bits.refuse();
      for (size_t i = 0; i < length; ++i) add(pixels[pixels.size() - back]);
    } else {
      const size_t place = symbol - kLiterals - kLengths;
      if (place >= cache.size()) bits.refuse();
      add(cache[place]);
    }
  }
  return pixels;
}

size_t blocks(size_t side, int bits) { return (side + (size_t{1} << bits) - 1) >> bits; }

}  // namespace

size_t bytes_of_webp_tables(const Source& source, Bytes data, int width, int height) {
  enum Transform { predictor, colour, subtract_green, palette };
  Bits bits(source, data);
  size_t across = size_t(width);
  const size_t down = size_t(height);
  bool seen[4] = {};
  while (bits.read(1)) {
    const uint32_t transform = bits.read(2);
    if (seen[transform]) bits.refuse();
    seen[transform] = true;
    if (transform == predictor || transform == colour) {
      const int block = int(bits.read(3)) + 2;
      read_small_picture(bits, blocks(across, block), blocks(down, block));
    } else if (transform == palette) {
      const size_t colours = bits.read(8) + 1;
      read_small_picture(bits, colours, 1);
      int packed = 0;  // binary logarithm of the pixels in one
      if (colours <= 2) packed = 3;
      else if (colours <= 4) packed = 2;
      else if (colours <= 16) packed = 1;
      across = blocks(across, packed);
    }
  }
  const int cache_bits = read_cache_bits(bits);
  size_t groups = 1;
  if (bits.read(1)) {
    const int block = int(bits.read(3)) + 2;
    std::set<uint32_t> different;
    uint32_t largest = 0;
    for (const uint32_t pixel : read_small_picture(bits, blocks(across, block), blocks(down, block))) {
      const uint32_t group = pixel >> 8 & 0xFFFF;
      different.insert(group);
      largest = std::max(largest, group);
    }
    constexpr size_t kTakenAsTheyAre = 1000;  // more than that are counted by libwebp, too
    groups = largest < kTakenAsTheyAre ? largest + 1 : different.size();
  }
  // Entries of four bytes in the tables of a group, by the bits of the colour cache, and what points to them.
  constexpr size_t kEntries[] = {2328, 2336, 2344, 2360, 2392, 2456, 2584, 2840, 3352, 4376, 6424, 10520};
  constexpr size_t kPointers = 640;
  return groups * (4 * kEntries[cache_bits] + kPointers);
}

}  // namespace gan::formats
#endif
