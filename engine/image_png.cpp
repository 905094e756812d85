// PNG (W3C Portable Network Graphics, third edition): chunks, checksums, filters and interlacing are taken
// apart here, with stb's decompressor in the middle.
#include "engine/image_formats.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "engine/stb.h"

namespace gan::formats {

namespace {

constexpr std::array<uint32_t, 256> kCrcTable = [] {
  std::array<uint32_t, 256> table{};
  for (uint32_t n = 0; n < 256; ++n) {
    uint32_t c = n;
    for (int bit = 0; bit < 8; ++bit) c = c & 1 ? 0xEDB88320u ^ (c >> 1) : c >> 1;
    table[n] = c;
  }
  return table;
}();

uint32_t crc32(Bytes bytes) {
  uint32_t c = ~0u;
  for (const std::byte b : bytes) c = kCrcTable[(c ^ std::to_integer<uint32_t>(b)) & 255] ^ (c >> 8);
  return ~c;
}

uint32_t adler32(Bytes bytes) {
  uint32_t a = 1, b = 0;
  while (!bytes.empty()) {
    const size_t run = std::min<size_t>(bytes.size(), 5552);  // the most that cannot overflow 32 bits
    for (const std::byte byte : bytes.first(run)) b += a += std::to_integer<uint32_t>(byte);
    a %= 65521, b %= 65521;
    bytes = bytes.subspan(run);
  }
  return b << 16 | a;
}

struct Png {
  int height = 0, width = 0, bits = 0;
  enum Colour { grey = 0, rgb = 2, palette = 3, grey_alpha = 4, rgb_alpha = 6 } colour = grey;
  bool interlaced = false;
  std::vector<Rgba> entries;                           // of the palette
  std::optional<std::array<uint32_t, 3>> transparent;  // the one grey or RGB value that is fully transparent
  bool palette_alpha = false;
  std::vector<std::byte> compressed;  // all IDAT chunks together

  int samples() const { return colour == rgb ? 3 : colour == grey_alpha ? 2 : colour == rgb_alpha ? 4 : 1; }
  size_t row_bytes(int64_t columns) const { return size_t((columns * samples() * bits + 7) / 8); }
};

void read_png_header(const Source& source, size_t at, size_t length, Png& png) {
  if (length != 13) source.refuse("damaged PNG: header of {} bytes", length);
  const uint32_t width = source.be32(at), height = source.be32(at + 4);
  source.check_dimensions(width, height);
  png.width = static_cast<int>(width);
  png.height = static_cast<int>(height);
  png.bits = static_cast<int>(source.u8(at + 8));
  const uint32_t colour = source.u8(at + 9), compression = source.u8(at + 10), filter = source.u8(at + 11),
                 interlace = source.u8(at + 12);
  // Which depths each colour type may have: one bit per depth (table 11.1 of the standard).
  const uint32_t depths = colour == Png::grey      ? 1u << 1 | 1u << 2 | 1u << 4 | 1u << 8 | 1u << 16
                          : colour == Png::palette ? 1u << 1 | 1u << 2 | 1u << 4 | 1u << 8
                          : colour == Png::rgb || colour == Png::grey_alpha || colour == Png::rgb_alpha
                              ? 1u << 8 | 1u << 16
                              : 0u;
  if (png.bits > 16 || !(depths >> png.bits & 1))
    source.refuse("damaged PNG: colour type {} with {} bits does not exist", colour, png.bits);
  if (compression != 0 || filter != 0 || interlace > 1)
    source.refuse("damaged PNG: compression {}, filter {}, interlace {} do not exist", compression, filter,
                  interlace);
  png.colour = static_cast<Png::Colour>(colour);
  png.interlaced = interlace == 1;
}

void read_png_palette(const Source& source, size_t at, size_t length, Png& png) {
  if (png.colour == Png::grey || png.colour == Png::grey_alpha)
    source.refuse("damaged PNG: a palette in a grey picture");
  if (!png.entries.empty()) source.refuse("damaged PNG: two palettes");
  if (length == 0 || length % 3 != 0 || length > 768)
    source.refuse("damaged PNG: palette of {} bytes", length);
  for (size_t i = 0; i < length; i += 3)
    png.entries.push_back({static_cast<uint8_t>(source.u8(at + i)),
                           static_cast<uint8_t>(source.u8(at + i + 1)),
                           static_cast<uint8_t>(source.u8(at + i + 2)), 255});
}

void read_png_transparency(const Source& source, size_t at, size_t length, Png& png) {
  switch (png.colour) {
    case Png::palette:
      if (length > png.entries.size())
        source.refuse("damaged PNG: transparency for {} of {} palette entries", length, png.entries.size());
      for (size_t i = 0; i < length; ++i) png.entries[i].alpha = static_cast<uint8_t>(source.u8(at + i));
      png.palette_alpha = true;
      break;
    case Png::grey:
      if (length != 2) source.refuse("damaged PNG: transparency of {} bytes", length);
      png.transparent = {source.be16(at), 0, 0};
      break;
    case Png::rgb:
      if (length != 6) source.refuse("damaged PNG: transparency of {} bytes", length);
      png.transparent = {source.be16(at), source.be16(at + 2), source.be16(at + 4)};
      break;
    default: source.refuse("damaged PNG: a transparent colour beside an alpha channel");
  }
}

// Walks the chunks and verifies every checksum up to the end chunk; bytes after it are ignored, as
// everywhere. A probe stops at the pixel data.
Png read_png_chunks(const Source& source, bool header_only) {
  Png png;
  enum {
    before,
    inside,
    after
  } data = before;  // where we are relative to the IDAT chunks, which must be adjacent
  for (size_t at = kPngSignature.size();;) {
    const size_t length = source.be32(at), body = at + 8;
    const bool first = at == kPngSignature.size();
    const Bytes type_bytes = source.part(at + 4, 4);
    const std::string_view type(reinterpret_cast<const char*>(type_bytes.data()), 4);
    if (!std::all_of(type.begin(), type.end(),
                     [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }))
      source.refuse("damaged PNG: no chunk where one should be, at byte {}", at);
    if (first != (type == "IHDR"))
      source.refuse("damaged PNG: chunk {} at byte {} where {}", type, at,
                    first ? "the header should be" : "only one header is allowed");
    if (header_only && type == "IDAT") return png;
    if (length > 0x7FFFFFFF) source.refuse("damaged PNG: chunk {} claims {} bytes", type, length);
    const uint32_t computed = crc32(source.part(at + 4, 4 + length)), stored = source.be32(body + length);
    if (computed != stored)
      source.refuse("damaged PNG: chunk {} at byte {} has the wrong checksum ({:08x}, should be {:08x})",
                    type, at, stored, computed);
    if (type != "IDAT" && data == inside) data = after;
    if (type == "IHDR") {
      read_png_header(source, body, length, png);
    } else if (type == "PLTE") {
      if (data != before) source.refuse("damaged PNG: palette after the pixel data");
      read_png_palette(source, body, length, png);
    } else if (type == "tRNS") {
      if (data != before) source.refuse("damaged PNG: transparency after the pixel data");
      read_png_transparency(source, body, length, png);
    } else if (type == "IDAT") {
      if (data == after) source.refuse("damaged PNG: pixel data in two places");
      data = inside;
      const Bytes bytes = source.part(body, length);
      png.compressed.insert(png.compressed.end(), bytes.begin(), bytes.end());
    } else if (type == "IEND") {
      break;
    } else if (type[0] >= 'A' && type[0] <= 'Z') {
      source.refuse("PNG with the unknown chunk {}, without which it cannot be read", type);
    }
    at = body + length + 4;
  }
  if (data == before) source.refuse("damaged PNG: no pixel data");
  if (png.colour == Png::palette && png.entries.empty()) source.refuse("damaged PNG: no palette");
  return png;
}

// One picture of the interlacing scheme: which pixels of the whole it holds. Not interlaced = one pass
// holding all.
struct PngPass {
  int left, top, step_x, step_y;
  int columns(const Png& png) const { return (png.width - left + step_x - 1) / step_x; }
  int rows(const Png& png) const { return (png.height - top + step_y - 1) / step_y; }
};

std::span<const PngPass> png_passes(const Png& png) {
  static constexpr PngPass whole[] = {{0, 0, 1, 1}};
  static constexpr PngPass adam7[] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                                      {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
  if (png.interlaced) return adam7;
  return whole;
}

// Undoes the row's filter in place; `above` is the row before, all zero for the first (section 9.2).
void undo_png_filter(int filter, std::span<uint8_t> row, std::span<const uint8_t> above, size_t pixel_bytes) {
  for (size_t i = 0; i < row.size(); ++i) {
    const int left = i >= pixel_bytes ? row[i - pixel_bytes] : 0, up = above[i];
    switch (filter) {
      case 1: row[i] = static_cast<uint8_t>(row[i] + left); break;
      case 2: row[i] = static_cast<uint8_t>(row[i] + up); break;
      case 3: row[i] = static_cast<uint8_t>(row[i] + (left + up) / 2); break;
      case 4: {  // Paeth: whichever neighbour is nearest to left + up - corner
        const int corner = i >= pixel_bytes ? above[i - pixel_bytes] : 0;
        const int to_left = std::abs(up - corner), to_up = std::abs(left - corner),
                  to_corner = std::abs(left + up - 2 * corner);
        const int nearest = to_left <= to_up && to_left <= to_corner ? left
                            : to_up <= to_corner                     ? up
                                                                     : corner;
        row[i] = static_cast<uint8_t>(row[i] + nearest);
        break;
      }
      default: break;
    }
  }
}

// Sample number `index` of an unfiltered row, at the stored depth.
uint32_t png_sample(std::span<const uint8_t> row, size_t index, int bits) {
  if (bits == 8) return row[index];
  if (bits == 16) return uint32_t{row[2 * index]} << 8 | row[2 * index + 1];
  const size_t bit = index * size_t(bits);
  return row[bit / 8] >> (8 - bits - int(bit % 8)) & ((1u << bits) - 1);
}

Rgba png_pixel(const Source& source, const Png& png, std::span<const uint8_t> row, size_t x) {
  const auto sample = [&](size_t i) { return png_sample(row, x * png.samples() + i, png.bits); };
  const auto as_8_bit = [&](uint32_t value) {
    return png.bits == 8 ? static_cast<uint8_t>(value) : to_8_bit(value, (1u << png.bits) - 1);
  };
  if (png.colour == Png::palette) {
    const uint32_t index = sample(0);
    if (index >= png.entries.size())
      source.refuse("damaged PNG: a pixel uses palette entry {} of {}", index, png.entries.size());
    return png.entries[index];
  }
  if (png.colour == Png::grey || png.colour == Png::grey_alpha) {
    const uint32_t value = sample(0);
    const uint8_t grey = as_8_bit(value);
    const uint8_t alpha = png.colour == Png::grey_alpha                       ? as_8_bit(sample(1))
                          : png.transparent && value == (*png.transparent)[0] ? 0
                                                                              : 255;
    return {grey, grey, grey, alpha};
  }
  const std::array<uint32_t, 3> value{sample(0), sample(1), sample(2)};
  const uint8_t alpha = png.colour == Png::rgb_alpha ? as_8_bit(sample(3))
                        : png.transparent == value   ? 0
                                                     : 255;
  return {as_8_bit(value[0]), as_8_bit(value[1]), as_8_bit(value[2]), alpha};
}

}  // namespace

Image decode_png(const Source& source, const DecodeOptions& options) {
  const Png png = read_png_chunks(source, false);

  size_t raw_bytes = 0;  // each row is preceded by one byte that names its filter
  for (const PngPass& pass : png_passes(png))
    if (pass.columns(png) > 0 && pass.rows(png) > 0)
      raw_bytes += size_t(pass.rows(png)) * (1 + png.row_bytes(pass.columns(png)));
  // Deflate cannot shrink data by more than 1032 to 1, so a tiny file that claims a huge picture ends here.
  if (raw_bytes / 1032 > png.compressed.size())
    source.refuse("claims {} x {} pixels, more than its {} bytes of data can hold", png.width, png.height,
                  png.compressed.size());
  if (raw_bytes > 0x7FFFFFFF || png.compressed.size() > 0x7FFFFFFF)
    source.refuse("needs {} bytes of memory to decode; at most 2 GiB are allowed", raw_bytes);

  std::vector<uint8_t> raw(raw_bytes);
  const stb::InflateResult inflated = stb::inflate(png.compressed, std::as_writable_bytes(std::span(raw)));
  if (!inflated.ok) source.refuse("damaged PNG: pixel data cannot be decompressed ({})", inflated.reason);
  if (inflated.written != raw_bytes)
    source.refuse("damaged PNG: {} bytes of pixel data where {} are needed", inflated.written, raw_bytes);
  const Bytes checksum = Bytes(png.compressed).subspan(inflated.consumed);
  if (checksum.size() < 4) source.refuse("damaged PNG: pixel data are cut off");
  uint32_t stored = 0;
  for (const std::byte b : checksum.first(4)) stored = stored << 8 | std::to_integer<uint32_t>(b);
  if (stored != adler32(std::as_bytes(std::span(raw))))
    source.refuse("damaged PNG: pixel data have the wrong checksum");

  Canvas canvas(png.height, png.width, options);
  const size_t pixel_bytes = size_t(std::max(1, png.samples() * png.bits / 8));
  const std::vector<uint8_t> zeros(png.row_bytes(png.width));
  size_t at = 0;
  for (const PngPass& pass : png_passes(png)) {
    const int columns = pass.columns(png), rows = pass.rows(png);
    if (columns <= 0 || rows <= 0) continue;
    std::span<const uint8_t> above = std::span(zeros).first(png.row_bytes(columns));
    for (int y = 0; y < rows; ++y) {
      const int filter = raw[at];
      if (filter > 4) source.refuse("damaged PNG: row filter {} does not exist", filter);
      const std::span<uint8_t> row = std::span(raw).subspan(at + 1, png.row_bytes(columns));
      undo_png_filter(filter, row, above, pixel_bytes);
      for (int x = 0; x < columns; ++x)
        canvas.set(pass.top + y * pass.step_y, pass.left + x * pass.step_x,
                   png_pixel(source, png, row, size_t(x)));
      above = row;
      at += 1 + row.size();
    }
  }
  return canvas.take();
}

ImageInfo probe_png(const Source& source) {
  const Png png = read_png_chunks(source, true);
  const bool grey = png.colour == Png::grey || png.colour == Png::grey_alpha;
  const bool channel = png.colour == Png::grey_alpha || png.colour == Png::rgb_alpha;
  return {png.height,
          png.width,
          grey ? 1 : 3,
          "png",
          png.bits,
          channel || png.transparent || png.palette_alpha,
          png.colour == Png::palette};
}

}  // namespace gan::formats
