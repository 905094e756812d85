// The entropy-coded data of JPEG scans (ITU-T T.81, annexes F and G), read without making pixels of them, to
// see whether every block of the picture is there. A decoder that runs out of data goes on with zeros and
// shows grey; a file in which that would happen has to be refused before.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "engine/picture/image_formats.h"

namespace gan::formats {

class HuffmanTable {
 public:
  // `counts`: how many codes have 1, 2, ... 16 bits; `symbols`: what they stand for, shorter codes first,
  // at most 256.
  // False if so many codes cannot be told apart.
  bool assign(std::span<const std::byte, 16> counts, Bytes symbols);
  bool empty() const { return size_ == 0; }

 private:
  friend class BitReader;
  static constexpr int kShort = 9;  // bits of the codes that one look-up finds
  std::array<uint8_t, 256> symbols_{};
  size_t size_ = 0;  // how many
  // What the next kShort bits begin with: length << 8 | symbol; 0: a longer code or none.
  std::array<uint16_t, 1 << kShort> short_codes_{};
  std::array<uint32_t, 17> end_{};      // behind the last code of each length, as 16 bits
  std::array<int, 17> first_symbol_{};  // index of a length's first symbol, less its first code
};

// What a scan consists of: units (groups of blocks, MCUs), row by row, in each the blocks of its parts.
struct JpegScan {
  struct Part {      // of one colour component
    int blocks = 1;  // in a unit
    const HuffmanTable* dc = nullptr;
    const HuffmanTable* ac = nullptr;
    // Of each block, one bit for each coefficient that earlier scans have made other than zero. For AC scans
    // of progressive pictures, else null.
    std::vector<uint64_t>* not_zero = nullptr;
  };
  std::vector<Part> parts;
  int64_t across = 0, down = 0;  // units
  int rows = 8;                  // of pixels in a unit
  int64_t interval = 0;          // units between restart markers; 0: there are none
  bool progressive = false;      // else all of a block's coefficients are in the scan
  int first = 0, last = 63;      // coefficients in the scan
  int high = 0;                  // how many of their low bits were unknown before it; 0: all bits were
  int low = 0;                   // how many still are after it

  int64_t units() const { return across * down; }
};

class JpegScanReader {
 public:
  explicit JpegScanReader(const JpegScan& scan) : scan_(scan) {}

  enum class Finding {
    sound,
    ended,    // fewer bits than the blocks need
    damaged,  // bits that no encoder writes
    surplus,  // more bytes than the decoder would pass over
  };
  // Reads the data between two restart markers, of which the first stands before the scan and the last behind
  // it.
  Finding read_interval(Bytes data);
  bool complete() const { return done_ == scan_.units(); }
  int64_t units_done() const { return done_; }  // complete ones
  size_t surplus() const { return surplus_; }   // bytes behind the last unit

 private:
  bool read_block(class BitReader& bits, const JpegScan::Part& part);
  bool read_sequential(BitReader& bits, const JpegScan::Part& part);
  bool read_first_ac(BitReader& bits, const JpegScan::Part& part);
  bool read_refined_ac(BitReader& bits, const JpegScan::Part& part);

  const JpegScan& scan_;
  int64_t done_ = 0;
  int64_t empty_blocks_ = 0;  // that follow, without new coefficients
  size_t surplus_ = 0;
};

}  // namespace gan::formats
