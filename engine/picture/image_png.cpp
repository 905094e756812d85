// PNG (W3C Portable Network Graphics, third edition), every kind: chunks, checksums, filters and interlacing
// are taken apart here, row by row; zlib decompresses. Beside the picture only a window of some rows is held.
#include <zlib.h>

#include <algorithm>
#include <new>
#include <optional>
#include <vector>

#include "engine/picture/image_formats.h"

namespace gan::formats {

namespace {

constexpr size_t kWindow = 64 * 1024;  // bytes that are decompressed at once, but at least a row

uint32_t checksum(Bytes bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

struct Png {
  int height = 0, width = 0, bits = 0;
  enum Colour { grey = 0, rgb = 2, palette = 3, grey_alpha = 4, rgb_alpha = 6 } colour = grey;
  bool interlaced = false;
  std::vector<Rgba> entries;                           // of the palette
  std::optional<std::array<uint32_t, 3>> transparent;  // the one grey or RGB value that is fully transparent
  bool palette_alpha = false;
  size_t data_at = 0, data_end = 0;  // the IDAT chunks: bytes of the file

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
    const uint32_t computed = checksum(source.part(at + 4, 4 + length)), stored = source.be32(body + length);
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
      if (data == before) png.data_at = at;
      data = inside;
      png.data_end = body + length + 4;
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

// Bytes of all rows after decompression. Each is preceded by one that names its filter.
size_t png_raw_bytes(const Png& png) {
  size_t bytes = 0;
  for (const PngPass& pass : png_passes(png))
    if (pass.columns(png) > 0 && pass.rows(png) > 0)
      bytes += size_t(pass.rows(png)) * (1 + png.row_bytes(pass.columns(png)));
  return bytes;
}

// The rows, decompressed as they are asked for.
class PngData {
 public:
  PngData(const Source& source, const Png& png) : source_(source), png_(png), at_(png.data_at) {
    if (inflateInit(&stream_) != Z_OK) throw std::bad_alloc();
  }
  ~PngData() { inflateEnd(&stream_); }
  PngData(const PngData&) = delete;
  PngData& operator=(const PngData&) = delete;

  void read(std::span<uint8_t> into) {
    stream_.next_out = into.data();
    stream_.avail_out = static_cast<uInt>(into.size());
    while (stream_.avail_out > 0) {
      if (ended_)
        source_.refuse("damaged PNG: {} bytes of pixel data where {} are needed", stream_.total_out,
                       png_raw_bytes(png_));
      advance();
    }
  }

  // After the last row: nothing more may come but the checksum, which zlib compares.
  void finish() {
    uint8_t more = 0;
    stream_.next_out = &more;
    stream_.avail_out = 1;
    while (!ended_ && stream_.avail_out > 0) advance();
    if (stream_.avail_out == 0)
      source_.refuse("damaged PNG: more pixel data than {} x {} pixels need", png_.width, png_.height);
  }

 private:
  void advance() {
    while (stream_.avail_in == 0) {
      if (at_ == png_.data_end) source_.refuse("damaged PNG: pixel data are cut off");
      const Bytes chunk = source_.part(at_ + 8, source_.be32(at_));
      stream_.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(chunk.data()));  // zlib only reads it
      stream_.avail_in = static_cast<uInt>(chunk.size());
      at_ += chunk.size() + 12;
    }
    const int code = inflate(&stream_, Z_NO_FLUSH);
    ended_ = code == Z_STREAM_END;
    if (code == Z_OK || ended_) return;
    if (code == Z_MEM_ERROR) throw std::bad_alloc();
    const std::string_view reason = stream_.msg ? stream_.msg : "it asks for a dictionary";
    if (reason == "incorrect data check") source_.refuse("damaged PNG: pixel data have the wrong checksum");
    source_.refuse("damaged PNG: pixel data cannot be decompressed ({})", reason);
  }

  const Source& source_;
  const Png& png_;
  size_t at_;  // the next IDAT chunk
  z_stream stream_{};
  bool ended_ = false;
};

// Undoes the row's filter in place; `above` is the row before, all zero for the first (section 9.2).
void undo_png_filter(int filter, std::span<uint8_t> row, const uint8_t* above, size_t pixel_bytes) {
  const size_t size = row.size(),
               step = std::min(pixel_bytes, size);  // the first pixel has no left neighbour
  switch (filter) {
    case 1:
      for (size_t i = step; i < size; ++i) row[i] = static_cast<uint8_t>(row[i] + row[i - step]);
      break;
    case 2:
      for (size_t i = 0; i < size; ++i) row[i] = static_cast<uint8_t>(row[i] + above[i]);
      break;
    case 3:
      for (size_t i = 0; i < step; ++i) row[i] = static_cast<uint8_t>(row[i] + above[i] / 2);
      for (size_t i = step; i < size; ++i)
        row[i] = static_cast<uint8_t>(row[i] + (row[i - step] + above[i]) / 2);
      break;
    case 4:  // Paeth: whichever neighbour is nearest to left + up - corner
      for (size_t i = 0; i < step; ++i) row[i] = static_cast<uint8_t>(row[i] + above[i]);
      for (size_t i = step; i < size; ++i) {
        const int left = row[i - step], up = above[i], corner = above[i - step];
        const int to_left = std::abs(up - corner), to_up = std::abs(left - corner),
                  to_corner = std::abs(left + up - 2 * corner);
        int nearest = to_up <= to_corner ? up : corner;
        if (to_left <= to_up && to_left <= to_corner) nearest = left;
        row[i] = static_cast<uint8_t>(row[i] + nearest);
      }
      break;
    default: break;
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
    if (png.bits == 8) return static_cast<uint8_t>(value);
    if (png.bits == 16) return to_8_bit(value, 65535);  // dividing by a constant is faster
    return to_8_bit(value, (1u << png.bits) - 1);
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
  // Deflate cannot shrink data by more than 1032 to 1, so a tiny file that claims a huge picture ends here.
  const size_t raw_bytes = png_raw_bytes(png), data_bytes = png.data_end - png.data_at;
  if (raw_bytes / 1032 > data_bytes)
    source.refuse("claims {} x {} pixels, more than its {} bytes of data can hold", png.width, png.height,
                  data_bytes);
  source.check_cost(static_cast<int64_t>(raw_bytes));

  Canvas canvas(png.height, png.width, options);
  PngData data(source, png);
  const size_t pixel_bytes = size_t(std::max(1, png.samples() * png.bits / 8));
  std::vector<uint8_t> window;  // the row before, then as many as fit
  for (const PngPass& pass : png_passes(png)) {
    const int columns = pass.columns(png), rows = pass.rows(png);
    if (columns <= 0 || rows <= 0) continue;
    const size_t stride = 1 + png.row_bytes(columns);
    const int at_once = static_cast<int>(std::clamp<size_t>(kWindow / stride, 1, size_t(rows)));
    window.assign(stride * size_t(at_once + 1), 0);
    for (int first = 0; first < rows; first += at_once) {
      const int count = std::min(at_once, rows - first);
      data.read(std::span(window).subspan(stride, stride * size_t(count)));
      for (int i = 0; i < count; ++i) {
        const uint8_t* above = &window[size_t(i) * stride];
        const std::span<uint8_t> row = std::span(window).subspan(size_t(i + 1) * stride, stride);
        if (row[0] > 4) source.refuse("damaged PNG: row filter {} does not exist", row[0]);
        undo_png_filter(row[0], row.subspan(1), above + 1, pixel_bytes);
        const int y = pass.top + (first + i) * pass.step_y;
        for (int x = 0; x < columns; ++x)
          canvas.set(y, pass.left + x * pass.step_x, png_pixel(source, png, row.subspan(1), size_t(x)));
      }
      std::copy_n(&window[size_t(count) * stride], stride, window.begin());
    }
  }
  data.finish();
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
          png.colour == Png::palette,
          picture_bytes(png.height, png.width) + kWindow + 2 * (1 + png.row_bytes(png.width))};
}

}  // namespace gan::formats
