// Bits, Huffman codes, and the five ways in which a scan codes its blocks.
#include "engine/picture/image_jpeg_scan.h"

#include <algorithm>
#include <bit>

namespace gan::formats {

bool HuffmanTable::assign(std::span<const std::byte, 16> counts, Bytes symbols) {
  size_ = symbols.size();
  std::memcpy(symbols_.data(), symbols.data(), size_);
  short_codes_.fill(0);
  uint32_t code = 0;  // codes of each length follow those of the length before
  size_t next = 0;
  for (int length = 1; length <= 16; ++length, code <<= 1) {
    first_symbol_[size_t(length)] = int(next) - int(code);
    for (uint32_t i = 0; i < std::to_integer<uint32_t>(counts[size_t(length - 1)]); ++i, ++code, ++next) {
      if (code >> length != 0) return false;
      if (length > kShort) continue;
      const int rest = kShort - length;
      std::fill_n(short_codes_.begin() + std::ptrdiff_t(code << rest), 1 << rest,
                  uint16_t(length << 8 | symbols_[next]));
    }
    end_[size_t(length)] = code << (16 - length);
  }
  return true;
}

// The bits of an interval, most significant first, without the zero that is stuffed behind each 0xFF. Behind
// the end come zeros, which are counted.
class BitReader {
 public:
  explicit BitReader(Bytes data)
      : at_(reinterpret_cast<const uint8_t*>(data.data())), end_(at_ + data.size()) {}

  void skip(int bits) {  // at most 16
    if (count_ < bits) fill();
    drop(bits);
  }
  // The same behind a symbol, where at least 16 bits are at hand.
  void drop(int bits) {
    window_ <<= bits;
    count_ -= bits;
  }
  int take(int bits) {  // at most 16
    if (bits == 0) return 0;
    if (count_ < bits) fill();
    const int value = int(window_ >> (64 - bits));
    skip(bits);
    return value;
  }
  // The next symbol, -1 if the table has no such code.
  int decode(const HuffmanTable& table) {
    if (count_ < 32) fill();
    if (const uint32_t entry = table.short_codes_[window_ >> (64 - HuffmanTable::kShort)]) {
      drop(int(entry >> 8));
      return int(entry & 255);
    }
    const auto next = uint32_t(window_ >> 48);
    for (int length = HuffmanTable::kShort + 1; length <= 16; ++length)
      if (next < table.end_[size_t(length)]) {
        drop(length);
        return table.symbols_[size_t(int(next >> (16 - length)) + table.first_symbol_[size_t(length)])];
      }
    return -1;
  }

  bool exhausted() const { return count_ < padding_; }  // more was taken than there was
  size_t bits_left() const { return exhausted() ? 0 : size_t(count_ - padding_) + 8 * size_t(end_ - at_); }

 private:
  void fill() {
    if (count_ <= 32 && end_ - at_ >= 4) {
      const uint32_t word = uint32_t{at_[0]} << 24 | uint32_t{at_[1]} << 16 | uint32_t{at_[2]} << 8 | at_[3];
      if (!has_byte_ff(word)) {
        window_ |= uint64_t{word} << (32 - count_);
        count_ += 32;
        at_ += 4;
        return;
      }
    }
    while (count_ <= 56) {
      uint64_t byte = 0;
      if (at_ == end_) {
        padding_ += 8;
      } else {
        byte = *at_++;
        if (byte == 0xFF) {
          while (at_ != end_ && *at_ == 0xFF) ++at_;  // fill bytes are allowed
          if (at_ != end_) ++at_;
        }
      }
      window_ |= byte << (56 - count_);
      count_ += 8;
    }
  }

  // A byte of the inverse is zero: subtracting one from it borrows from its top bit.
  static bool has_byte_ff(uint32_t word) { return ((~word - 0x01010101u) & word & 0x80808080u) != 0; }

  const uint8_t *at_, *end_;
  uint64_t window_ = 0;  // the next bits, at the top
  int64_t count_ = 0;    // how many of them
  int64_t padding_ = 0;  // zeros that were put in behind the end
};

JpegScanReader::Finding JpegScanReader::read_interval(Bytes data) {
  int64_t until = scan_.units();
  if (scan_.interval > 0) until = std::min(until, done_ + scan_.interval);
  if (done_ == until) {  // everything is there already
    surplus_ += data.size();
    return Finding::sound;
  }
  BitReader bits(data);
  empty_blocks_ = 0;
  for (; done_ < until; ++done_)
    for (const JpegScan::Part& part : scan_.parts)
      for (int block = 0; block < part.blocks; ++block) {
        const bool sound = read_block(bits, part);
        // The last bits of a cut are no whole code.
        if (bits.exhausted() || (!sound && bits.bits_left() < 32)) return Finding::ended;
        if (!sound) return Finding::damaged;
      }
  if (empty_blocks_ > 0) return Finding::damaged;  // more than there are
  surplus_ = bits.bits_left() / 8;
  constexpr size_t kPassedOver = 2;  // bytes before a restart marker; the decoder would stop at more
  if (!complete() && surplus_ > kPassedOver) return Finding::surplus;
  return Finding::sound;
}

bool JpegScanReader::read_block(BitReader& bits, const JpegScan::Part& part) {
  if (!scan_.progressive) return read_sequential(bits, part);
  if (scan_.first > 0) return scan_.high == 0 ? read_first_ac(bits, part) : read_refined_ac(bits, part);
  int size = 1;  // a refined DC coefficient is one bit
  if (scan_.high == 0) size = bits.decode(*part.dc);
  if (size < 0 || size > 15) return false;
  bits.skip(size);
  return true;
}

// A symbol of AC coefficients: how many zeros come before, and how many bits the next one has. Of no bits:
// sixteen zeros, or the end of the block.
bool JpegScanReader::read_sequential(BitReader& bits, const JpegScan::Part& part) {
  const int size_of_dc = bits.decode(*part.dc);
  if (size_of_dc < 0 || size_of_dc > 15) return false;
  bits.drop(size_of_dc);
  for (int k = 1; k < 64;) {
    const int symbol = bits.decode(*part.ac);
    if (symbol < 0) return false;
    const int zeros = symbol >> 4, size = symbol & 15;
    if (size == 0 && zeros < 15) break;
    k += zeros + 1;
    if (size > 0 && k > 64) return false;
    bits.drop(size);
  }
  return true;
}

bool JpegScanReader::read_first_ac(BitReader& bits, const JpegScan::Part& part) {
  if (empty_blocks_ > 0) {
    --empty_blocks_;
    return true;
  }
  uint64_t& not_zero = (*part.not_zero)[size_t(done_)];
  for (int k = scan_.first; k <= scan_.last; ++k) {
    const int symbol = bits.decode(*part.ac);
    if (symbol < 0) return false;
    const int zeros = symbol >> 4, size = symbol & 15;
    if (size == 0 && zeros < 15) {  // the end of this block and of some that follow
      empty_blocks_ = (1 << zeros) + bits.take(zeros) - 1;
      return true;
    }
    k += zeros;
    if (size == 0) continue;
    // Larger ones would overflow in the decoder and might become zero.
    if (k > scan_.last || size + scan_.low > 14) return false;
    bits.drop(size);
    not_zero |= uint64_t{1} << k;
  }
  return true;
}

// Every coefficient that is not zero already gets one more bit in passing.
bool JpegScanReader::read_refined_ac(BitReader& bits, const JpegScan::Part& part) {
  uint64_t& not_zero = (*part.not_zero)[size_t(done_)];
  int k = scan_.first;
  while (empty_blocks_ == 0 && k <= scan_.last) {
    const int symbol = bits.decode(*part.ac);
    if (symbol < 0) return false;
    int zeros = symbol >> 4;
    const int size = symbol & 15;
    if (size > 1) return false;
    if (size == 0 && zeros < 15) {
      empty_blocks_ = (1 << zeros) + bits.take(zeros);  // counting this one
      break;
    }
    bits.skip(size);  // the sign
    for (; k <= scan_.last; ++k) {
      if (not_zero >> k & 1) bits.skip(1);
      else if (zeros-- == 0) break;
    }
    if (size == 1 && k > scan_.last) return false;
    if (size == 1) not_zero |= uint64_t{1} << k;
    ++k;
  }
  if (empty_blocks_ > 0) {
    --empty_blocks_;
    for (; k <= scan_.last; ++k)
      if (not_zero >> k & 1) bits.skip(1);
  }
  return true;
}

}  // namespace gan::formats
