// BMP: Windows (all headers) and OS/2 1.x; palette, run-length, 16, 24 and 32 bits with or without masks.
#include "engine/picture/image_formats.h"

#include <algorithm>
#include <bit>
#include <vector>

namespace gan::formats {

namespace {

struct Bmp {
  int height = 0, width = 0, bits = 0;
  bool top_down = false;
  enum Compression : uint32_t { none = 0, rle8 = 1, rle4 = 2, masks = 3, alpha_masks = 6 } compression = none;
  std::array<uint32_t, 4> mask{};  // red, green, blue, alpha
  std::vector<Rgba> entries;       // of the palette
  size_t pixels_at = 0;            // byte in the file
};

Bmp read_bmp_header(const Source& source) {
  Bmp bmp;
  bmp.pixels_at = source.le32(10);
  const size_t header = source.le32(14);  // bytes, counted from byte 14
  const bool os2 = header == 12;
  if (!os2 && header != 40 && header != 52 && header != 56 && header != 64 && header != 108 && header != 124)
    source.refuse("damaged BMP: a header of {} bytes does not exist", header);
  int64_t width = 0, height = 0;
  uint32_t colours_used = 0;
  if (os2) {
    width = source.le16(18), height = source.le16(20);
    bmp.bits = static_cast<int>(source.le16(24));
  } else {
    width = static_cast<int32_t>(source.le32(18)), height = static_cast<int32_t>(source.le32(22));
    bmp.bits = static_cast<int>(source.le16(28));
    bmp.compression = static_cast<Bmp::Compression>(source.le32(30));
    colours_used = source.le32(46);
  }
  bmp.top_down = height < 0;
  height = std::abs(height);
  source.check_dimensions(width, height);
  bmp.height = static_cast<int>(height), bmp.width = static_cast<int>(width);

  const int bits = bmp.bits;
  const bool known = bmp.compression == Bmp::none ? bits == 1 || bits == 2 || bits == 4 || bits == 8 ||
                                                        bits == 16 || bits == 24 || bits == 32
                     : bmp.compression == Bmp::rle8 ? bits == 8 && !bmp.top_down
                     : bmp.compression == Bmp::rle4 ? bits == 4 && !bmp.top_down
                     : bmp.compression == Bmp::masks || bmp.compression == Bmp::alpha_masks
                         ? (bits == 16 || bits == 32) && header != 64
                         : false;
  if (!known)
    source.refuse("a BMP with {} bits and compression {}, which is not supported", bits,
                  static_cast<uint32_t>(bmp.compression));

  size_t at = 14 + header;
  if (bmp.compression == Bmp::masks || bmp.compression == Bmp::alpha_masks) {
    const bool alpha =
        header >= 56 || bmp.compression == Bmp::alpha_masks;  // else only three masks are there
    for (size_t i = 0; i < (alpha ? 4u : 3u); ++i) bmp.mask[i] = source.le32(54 + 4 * i);
    if (header == 40) at += alpha ? 16 : 12;
  } else if (bits == 16) {
    bmp.mask = {0x7C00, 0x03E0, 0x001F, 0};
  } else if (bits == 32) {
    bmp.mask = {0xFF0000, 0x00FF00, 0x0000FF, 0};  // without masks the fourth byte is unused
  }
  if (bits <= 8) {
    const size_t entry_bytes = os2 ? 3 : 4;
    const size_t room = bmp.pixels_at > at ? (bmp.pixels_at - at) / entry_bytes : 0;
    const size_t count =
        std::min({colours_used ? size_t{colours_used} : size_t{1} << bits, room, size_t{256}});
    if (count == 0) source.refuse("damaged BMP: no room for a palette");
    for (size_t i = 0; i < count; ++i) {
      const size_t entry = at + i * entry_bytes;
      bmp.entries.push_back({static_cast<uint8_t>(source.u8(entry + 2)),
                             static_cast<uint8_t>(source.u8(entry + 1)),
                             static_cast<uint8_t>(source.u8(entry)), 255});
    }
  }
  if (bmp.pixels_at < at) source.refuse("damaged BMP: pixel data overlap the header");
  return bmp;
}

Rgba palette_entry(const Source& source, const Bmp& bmp, uint32_t index) {
  if (index >= bmp.entries.size())
    source.refuse("damaged BMP: a pixel uses palette entry {} of {}", index, bmp.entries.size());
  return bmp.entries[index];
}

// Run-length coded pixels, first row at the bottom. Those that the code skips have the palette's first
// colour; it may skip parts of rows and whole rows, but not end before it has come to the last one.
void decode_bmp_runs(const Source& source, const Bmp& bmp, Canvas& canvas) {
  for (int y = 0; y < bmp.height; ++y)
    for (int x = 0; x < bmp.width; ++x) canvas.set(y, x, bmp.entries[0]);
  size_t at = bmp.pixels_at;
  int x = 0, y = 0;
  const auto put = [&](uint32_t index) {
    if (x >= bmp.width || y >= bmp.height) source.refuse("damaged BMP: a run leaves the picture");
    canvas.set(bmp.height - 1 - y, x++, palette_entry(source, bmp, index));
  };
  for (;;) {
    const uint32_t count = source.u8(at), value = source.u8(at + 1);
    at += 2;
    if (count > 0) {  // a run; with 4 bits the two halves of the byte alternate
      for (uint32_t i = 0; i < count; ++i) put(bmp.bits == 8 ? value : i % 2 ? value & 15 : value >> 4);
    } else if (value == 0) {  // end of row
      x = 0, ++y;
    } else if (value == 1) {  // end of picture
      if (y < bmp.height - 1)
        source.refuse("damaged BMP: its runs end after {} of {} rows", x > 0 ? y + 1 : y, bmp.height);
      return;
    } else if (value == 2) {  // move
      x += static_cast<int>(source.u8(at)), y += static_cast<int>(source.u8(at + 1));
      at += 2;
      if (x > bmp.width || y > bmp.height) source.refuse("damaged BMP: a move leaves the picture");
    } else {  // literal pixels, padded to 16 bits
      for (uint32_t i = 0; i < value; ++i)
        put(bmp.bits == 8 ? source.u8(at + i)
            : i % 2       ? source.u8(at + i / 2) & 15
                          : source.u8(at + i / 2) >> 4);
      const size_t bytes = bmp.bits == 8 ? value : (value + 1) / 2;
      at += bytes + bytes % 2;
    }
  }
}

}  // namespace

Image decode_bmp(const Source& source, const DecodeOptions& options) {
  const Bmp bmp = read_bmp_header(source);
  const size_t used = (size_t(bmp.width) * size_t(bmp.bits) + 7) / 8, stride = (used + 3) / 4 * 4;
  const bool runs = bmp.compression == Bmp::rle8 || bmp.compression == Bmp::rle4;
  if (runs) {
    // Two bytes make at most 255 pixels, and no real encoder skips most of a picture.
    if (int64_t{bmp.width} * bmp.height / 255 > int64_t(source.size()))
      source.refuse("claims {} x {} pixels, more than its {} bytes can hold", bmp.width, bmp.height,
                    source.size());
  } else {
    source.part(bmp.pixels_at, stride * size_t(bmp.height - 1) + used);  // all there, the last row unpadded
  }
  Canvas canvas(bmp.height, bmp.width, options);
  if (runs) {
    decode_bmp_runs(source, bmp, canvas);
    return canvas.take();
  }
  const auto masked = [&](uint32_t value, int channel, uint8_t absent) {
    const uint32_t mask = bmp.mask[size_t(channel)];
    if (mask == 0) return absent;
    const int shift = std::countr_zero(mask);
    return to_8_bit((value & mask) >> shift, mask >> shift);
  };
  for (int row = 0; row < bmp.height; ++row) {
    const int y = bmp.top_down ? row : bmp.height - 1 - row;
    const Bytes bytes = source.part(bmp.pixels_at + size_t(row) * stride, used);
    const auto byte = [&](size_t i) { return std::to_integer<uint32_t>(bytes[i]); };
    for (int x = 0; x < bmp.width; ++x) {
      const size_t i = size_t(x);
      if (bmp.bits <= 8) {
        const size_t bit = i * size_t(bmp.bits);
        canvas.set(y, x,
                   palette_entry(source, bmp,
                                 byte(bit / 8) >> (8 - bmp.bits - int(bit % 8)) & ((1u << bmp.bits) - 1)));
      } else if (bmp.bits == 24) {
        canvas.set(y, x, {uint8_t(byte(3 * i + 2)), uint8_t(byte(3 * i + 1)), uint8_t(byte(3 * i)), 255});
      } else {
        const uint32_t value = bmp.bits == 16 ? byte(2 * i + 1) << 8 | byte(2 * i)
                                              : byte(4 * i + 3) << 24 | byte(4 * i + 2) << 16 |
                                                    byte(4 * i + 1) << 8 | byte(4 * i);
        canvas.set(y, x,
                   {masked(value, 0, 0), masked(value, 1, 0), masked(value, 2, 0), masked(value, 3, 255)});
      }
    }
  }
  return canvas.take();
}

ImageInfo probe_bmp(const Source& source) {
  const Bmp bmp = read_bmp_header(source);
  return {bmp.height,
          bmp.width,
          3,
          "bmp",
          bmp.bits,
          bmp.mask[3] != 0,
          !bmp.entries.empty(),
          picture_bytes(bmp.height, bmp.width)};
}

}  // namespace gan::formats
