// Picture files, format by format, each in the same order: read the header, refuse what is damaged or larger
// than its bytes can justify, and only then decode. PNG is taken apart here (chunks, checksums, filters,
// interlacing) with stb's decompressor in the middle; JPEG is walked marker by marker and then decoded by
// stb; BMP and PNM are short enough to be read here. Source (bounds-checked reading) and Canvas (the rules
// for grey and transparency) come first, the choice of the format last.
#include "engine/image.h"

#include <algorithm>
#include <bit>
#include <cctype>
#include <cstring>
#include <optional>

#include "engine/stb.h"
#include "kernels/check.h"

namespace gan {

namespace {

using Bytes = std::span<const std::byte>;

constexpr int64_t kMaxSide = 65535;  // the largest that JPEG can express

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
    if (width > kMaxSide || height > kMaxSide)
      refuse("claims {} x {} pixels; a side may have at most {}", width, height, kMaxSide);
    if (width * height > max_pixels_)
      refuse("claims {} x {} = {} pixels; at most {} are allowed", width, height, width * height,
             max_pixels_);
  }

 private:
  Bytes bytes_;
  const std::string& name_;
  int64_t max_pixels_;
};

// Rounds a sample of 0..maximum to 0..255.
uint8_t to_8_bit(uint64_t sample, uint64_t maximum) {
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

// ---------------------------------------------------------------------------------------------------------------
// PNG (W3C Portable Network Graphics, third edition)
// ---------------------------------------------------------------------------------------------------------------

constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n";

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

// ---------------------------------------------------------------------------------------------------------------
// JPEG (ITU-T T.81) with EXIF orientation
// ---------------------------------------------------------------------------------------------------------------

constexpr int kMaxJpegScans =
    100;  // usual progressive files have about 10; each scan costs a pass over the picture

// The EXIF tag 0x0112 in the body of an APP1 segment, 1 (upright) if it is absent or the EXIF data are
// damaged: they are a note beside the picture, no reason to refuse it.
int exif_orientation(Bytes segment) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  if (segment.size() < kExif.size() + 8 || std::memcmp(segment.data(), kExif.data(), kExif.size()) != 0)
    return 1;
  const Bytes tiff = segment.subspan(kExif.size());
  const std::string_view order(reinterpret_cast<const char*>(tiff.data()), 2);
  if (order != "II" && order != "MM") return 1;
  const bool little = order == "II";
  const auto u16 = [&](size_t at) -> uint32_t {
    if (at + 2 > tiff.size()) return 0;
    const uint32_t a = std::to_integer<uint32_t>(tiff[at]), b = std::to_integer<uint32_t>(tiff[at + 1]);
    return little ? b << 8 | a : a << 8 | b;
  };
  const auto u32 = [&](size_t at) -> uint32_t {
    return little ? u16(at + 2) << 16 | u16(at) : u16(at) << 16 | u16(at + 2);
  };
  const size_t directory = u32(4), entries = u16(directory);
  for (size_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + 12 * i;  // tag, type (3 = 16-bit), count, value
    if (entry + 12 > tiff.size()) return 1;
    if (u16(entry) == 0x0112 && u16(entry + 2) == 3 && u32(entry + 4) == 1) {
      const uint32_t value = u16(entry + 8);
      return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
    }
  }
  return 1;
}

struct Jpeg {
  struct Component {
    int id = 0, h = 0, v = 0, quantization = 0;
    bool decoded = false;  // a scan with data for it has been seen
  };
  int height = 0, width = 0;
  bool progressive = false;
  std::vector<Component> components;
  int orientation = 1;

  int max_h() const {
    return std::max_element(components.begin(), components.end(), [](auto& a, auto& b) { return a.h < b.h; })
        ->h;
  }
  int max_v() const {
    return std::max_element(components.begin(), components.end(), [](auto& a, auto& b) { return a.v < b.v; })
        ->v;
  }
};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Checks what a decoder would otherwise paper over: that every marker, table and scan is there, that each
// scan has as many restart markers as its size demands and at least as many bits as it has blocks, that all
// components get data, and that the file reaches its end marker. (A decoder shows grey or black where data
// are missing.)
class JpegWalk {
 public:
  explicit JpegWalk(const Source& source) : source_(source) {}

  Jpeg run(bool header_only) {
    for (;;) {
      const uint32_t marker = next_marker();
      if (marker == kEnd) break;
      if (marker == kTemporary || is_restart(marker)) continue;  // stand alone, without a length
      if (marker == kStart) source_.refuse("damaged JPEG: two start markers");
      const size_t length = source_.be16(at_);
      if (length < 2) source_.refuse("damaged JPEG: segment of {} bytes at byte {}", length, at_);
      const size_t body = at_ + 2;
      const Bytes content = source_.part(body, length - 2);
      at_ += length;
      if (marker >= 0xC0 && marker <= 0xCF && marker != kHuffman && marker != 0xC8 && marker != 0xCC) {
        read_frame(marker, body, content.size());
        if (header_only) return jpeg_;
      } else if (marker == kHuffman) {
        read_huffman_tables(body, content.size());
      } else if (marker == kQuantization) {
        read_quantization_tables(body, content.size());
      } else if (marker == kRestartInterval) {
        if (content.size() != 2) source_.refuse("damaged JPEG: restart interval of {} bytes", content.size());
        restart_interval_ = source_.be16(body);
      } else if (marker == kExifSegment) {
        if (const int orientation = exif_orientation(content); orientation != 1)
          jpeg_.orientation = orientation;
      } else if (marker == kAdobe) {
        adobe_ = adobe_ || source_.starts_with(body, "Adobe");
      } else if (marker == kScan) {
        read_scan(body, content.size());
      }
    }
    if (jpeg_.components.empty()) source_.refuse("damaged JPEG: no picture header before the end");
    for (const Jpeg::Component& component : jpeg_.components)
      if (!component.decoded) source_.refuse("damaged JPEG: no data for colour component {}", component.id);
    return jpeg_;
  }

 private:
  enum Marker : uint32_t {
    kTemporary = 0x01,
    kHuffman = 0xC4,
    kStart = 0xD8,
    kEnd = 0xD9,
    kScan = 0xDA,
    kQuantization = 0xDB,
    kRestartInterval = 0xDD,
    kExifSegment = 0xE1,
    kAdobe = 0xEE,
  };
  static bool is_restart(uint32_t marker) { return marker >= 0xD0 && marker <= 0xD7; }

  uint32_t next_marker() {
    if (at_ >= source_.size()) source_.refuse("cut off: the JPEG end marker is missing");
    if (jpeg_.components
            .empty())  // some writers pad or miscount their notes; nothing of the picture is there yet
      while (at_ < source_.size() && source_.u8(at_) != 0xFF) ++at_;
    if (source_.u8(at_) != 0xFF)
      source_.refuse("damaged JPEG: no marker where one should be, at byte {}", at_);
    while (source_.u8(at_) == 0xFF) ++at_;  // fill bytes are allowed
    return source_.u8(at_++);
  }

  void read_frame(uint32_t marker, size_t body, size_t length) {
    if (marker > 0xC2)
      source_.refuse("a JPEG of a kind that is not supported ({}); save it as baseline or progressive JPEG",
                     marker == 0xC3   ? "lossless"
                     : marker >= 0xC9 ? "arithmetic coding"
                                      : "hierarchical");
    if (!jpeg_.components.empty()) source_.refuse("damaged JPEG: two picture headers");
    if (length < 6) source_.refuse("damaged JPEG: picture header of {} bytes", length);
    const uint32_t bits = source_.u8(body), count = source_.u8(body + 5);
    if (bits != 8) source_.refuse("a JPEG with {} bits per sample; only 8 are supported", bits);
    jpeg_.height = static_cast<int>(source_.be16(body + 1));
    jpeg_.width = static_cast<int>(source_.be16(body + 3));
    source_.check_dimensions(jpeg_.width, jpeg_.height);
    jpeg_.progressive = marker == 0xC2;
    if (count != 1 && count != 3 && count != 4) source_.refuse("a JPEG with {} colour components", count);
    if (length != 6 + 3 * count) source_.refuse("damaged JPEG: picture header of {} bytes", length);
    for (size_t i = 0; i < count; ++i) {
      const size_t at = body + 6 + 3 * i;
      const uint32_t sampling = source_.u8(at + 1), table = source_.u8(at + 2);
      const Jpeg::Component component{static_cast<int>(source_.u8(at)), static_cast<int>(sampling >> 4),
                                      static_cast<int>(sampling & 15), static_cast<int>(table)};
      if (component.h < 1 || component.h > 4 || component.v < 1 || component.v > 4 || table > 3)
        source_.refuse("damaged JPEG: impossible sampling factors or table in the picture header");
      jpeg_.components.push_back(component);
    }
  }

  void read_huffman_tables(size_t at, size_t length) {
    for (const size_t end = at + length; at < end;) {
      const uint32_t which = source_.u8(at);  // high half: 0 DC, 1 AC; low half: number
      if (which >> 4 > 1 || (which & 15) > 3) source_.refuse("damaged JPEG: Huffman table {:#x}", which);
      size_t codes = 0;
      for (size_t i = 1; i <= 16; ++i) codes += source_.u8(at + i);
      if (codes > 256) source_.refuse("damaged JPEG: Huffman table with {} codes", codes);
      at += 17 + codes;
      if (at > end) source_.refuse("damaged JPEG: Huffman table is cut off");
      huffman_tables_ |= 1u << which % 32;
    }
  }

  void read_quantization_tables(size_t at, size_t length) {
    for (const size_t end = at + length; at < end;) {
      const uint32_t which = source_.u8(at);  // high half: 0 8-bit, 1 16-bit; low half: number
      if (which >> 4 > 1 || (which & 15) > 3) source_.refuse("damaged JPEG: quantization table {:#x}", which);
      at += which >> 4 ? 129 : 65;
      if (at > end) source_.refuse("damaged JPEG: quantization table is cut off");
      quantization_tables_ |= 1u << (which & 15);
    }
  }

  void read_scan(size_t body, size_t length) {
    if (jpeg_.components.empty()) source_.refuse("damaged JPEG: picture data before the picture header");
    if (++scans_ > kMaxJpegScans) source_.refuse("a JPEG with more than {} scans", kMaxJpegScans);
    if (jpeg_.components.size() == 4 && !adobe_)
      source_.refuse("a CMYK JPEG that does not say how its colours are stored (no Adobe marker)");
    const uint32_t count = length > 0 ? source_.u8(body) : 0;
    if (count < 1 || count > jpeg_.components.size() || length != 4 + 2 * count)
      source_.refuse("damaged JPEG: scan header of {} bytes for {} components", length, count);
    const uint32_t first_coefficient = source_.u8(body + 1 + 2 * count);
    const uint32_t refinement = source_.u8(body + 3 + 2 * count) >> 4;
    const bool basic = !jpeg_.progressive || first_coefficient == 0;

    int64_t units = 0;  // what restart intervals count: blocks of one component, or groups of all (MCUs)
    int64_t blocks_per_unit = 0;
    const int64_t across = 8 * jpeg_.max_h(), down = 8 * jpeg_.max_v();
    for (size_t i = 0; i < count; ++i) {
      const int id = static_cast<int>(source_.u8(body + 1 + 2 * i));
      const uint32_t tables = source_.u8(body + 2 + 2 * i);
      const auto component = std::find_if(jpeg_.components.begin(), jpeg_.components.end(),
                                          [&](const Jpeg::Component& c) { return c.id == id; });
      if (component == jpeg_.components.end())
        source_.refuse("damaged JPEG: scan of the unknown component {}", id);
      if (!(quantization_tables_ >> component->quantization & 1))
        source_.refuse("damaged JPEG: quantization table {} is missing", component->quantization);
      const uint32_t dc = tables >> 4, ac = tables & 15;
      const bool needs_dc = basic && refinement == 0, needs_ac = !jpeg_.progressive || first_coefficient > 0;
      if (dc > 3 || ac > 3 || (needs_dc && !(huffman_tables_ >> dc & 1)) ||
          (needs_ac && !(huffman_tables_ >> (16 + ac) & 1)))
        source_.refuse("damaged JPEG: a Huffman table is missing");
      component->decoded = true;
      if (count == 1) {
        units = divide_up(divide_up(int64_t{jpeg_.width} * component->h, jpeg_.max_h()), 8) *
                divide_up(divide_up(int64_t{jpeg_.height} * component->v, jpeg_.max_v()), 8);
        blocks_per_unit = 1;
      } else {
        units = divide_up(jpeg_.width, across) * divide_up(jpeg_.height, down);
        blocks_per_unit += component->h * component->v;
      }
    }

    const size_t begin = at_;
    int64_t restarts = 0;
    for (;;) {  // to the next marker that is not part of the data
      const Bytes rest = source_.part(at_, source_.size() - at_);
      const void* found = std::memchr(rest.data(), 0xFF, rest.size());
      if (!found) source_.refuse("cut off: the JPEG end marker is missing");
      at_ += static_cast<size_t>(static_cast<const std::byte*>(found) - rest.data());
      if (at_ + 1 >= source_.size()) source_.refuse("cut off: the JPEG end marker is missing");
      const uint32_t next = source_.u8(at_ + 1);
      if (next != 0 && next != 0xFF && !is_restart(next)) break;
      restarts += is_restart(next);
      at_ += next == 0xFF ? 1 : 2;
    }
    const int64_t wanted = restart_interval_ ? divide_up(units, restart_interval_) - 1 : 0;
    if (restarts < wanted)
      source_.refuse("damaged JPEG: {} of {} restart markers are missing", wanted - restarts, wanted);
    // A block costs at least one bit for its DC coefficient and, unless progressive, one more for its end.
    const int64_t least_bits = basic ? units * blocks_per_unit * (jpeg_.progressive ? 1 : 2) : 0;
    if (const int64_t bits = 8 * static_cast<int64_t>(at_ - begin); bits < least_bits)
      source_.refuse("damaged JPEG: a scan of {} bits for {} x {} pixels, which need at least {}", bits,
                     jpeg_.width, jpeg_.height, least_bits);
  }

  const Source& source_;
  Jpeg jpeg_;
  size_t at_ = 2;                                          // behind the start marker
  uint32_t huffman_tables_ = 0, quantization_tables_ = 0;  // one bit per table that has been defined
  int64_t restart_interval_ = 0;
  int scans_ = 0;
  bool adobe_ = false;
};

// Turns the stored picture upright. Orientations 5 to 8 exchange height and width.
Image apply_orientation(Image image, int orientation) {
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

Image decode_jpeg(const Source& source, const DecodeOptions& options) {
  const Jpeg jpeg = JpegWalk(source).run(false);
  const stb::DecodedJpeg decoded = stb::decode_jpeg(source.part(0, source.size()));
  if (!decoded.pixels) source.refuse("damaged JPEG: {}", decoded.reason);
  if (decoded.height != jpeg.height || decoded.width != jpeg.width ||
      (decoded.channels != 1 && decoded.channels != 3))
    source.refuse("damaged JPEG: decoded to {} x {} x {}", decoded.width, decoded.height, decoded.channels);
  Canvas canvas(jpeg.height, jpeg.width, options);
  const uint8_t* from = decoded.pixels.get();
  for (int y = 0; y < jpeg.height; ++y)
    for (int x = 0; x < jpeg.width; ++x, from += decoded.channels)
      canvas.set(y, x,
                 decoded.channels == 1 ? Rgba{from[0], from[0], from[0]} : Rgba{from[0], from[1], from[2]});
  return apply_orientation(canvas.take(), jpeg.orientation);
}

ImageInfo probe_jpeg(const Source& source) {
  const Jpeg jpeg = JpegWalk(source).run(true);
  const bool exchange = jpeg.orientation >= 5;
  return {exchange ? jpeg.width : jpeg.height,
          exchange ? jpeg.height : jpeg.width,
          jpeg.components.size() == 1 ? 1 : 3,
          "jpeg",
          8,
          false,
          false};
}

// ---------------------------------------------------------------------------------------------------------------
// BMP: Windows (all headers) and OS/2 1.x; palette, run-length, 16, 24 and 32 bits with or without masks
// ---------------------------------------------------------------------------------------------------------------

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

// The palette indices of a run-length coded picture, (height, width), first row at the bottom. Pixels that
// the code skips have index 0.
std::vector<uint8_t> expand_bmp_runs(const Source& source, const Bmp& bmp) {
  // Two bytes make at most 255 pixels, and no real encoder skips most of a picture.
  if (int64_t{bmp.width} * bmp.height / 255 > int64_t(source.size()))
    source.refuse("claims {} x {} pixels, more than its {} bytes can hold", bmp.width, bmp.height,
                  source.size());
  std::vector<uint8_t> indices(size_t(bmp.width) * size_t(bmp.height));
  size_t at = bmp.pixels_at;
  int x = 0, y = 0;
  const auto put = [&](uint32_t index) {
    if (x >= bmp.width || y >= bmp.height) source.refuse("damaged BMP: a run leaves the picture");
    indices[size_t(y) * size_t(bmp.width) + size_t(x++)] = static_cast<uint8_t>(index);
  };
  for (;;) {
    const uint32_t count = source.u8(at), value = source.u8(at + 1);
    at += 2;
    if (count > 0) {  // a run; with 4 bits the two halves of the byte alternate
      for (uint32_t i = 0; i < count; ++i) put(bmp.bits == 8 ? value : i % 2 ? value & 15 : value >> 4);
    } else if (value == 0) {  // end of row
      x = 0, ++y;
    } else if (value == 1) {  // end of picture
      return indices;
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

Image decode_bmp(const Source& source, const DecodeOptions& options) {
  const Bmp bmp = read_bmp_header(source);
  const bool runs = bmp.compression == Bmp::rle8 || bmp.compression == Bmp::rle4;
  std::vector<uint8_t> indices;
  const size_t used = (size_t(bmp.width) * size_t(bmp.bits) + 7) / 8, stride = (used + 3) / 4 * 4;
  if (runs) indices = expand_bmp_runs(source, bmp);
  else
    source.part(bmp.pixels_at,
                stride * size_t(bmp.height - 1) + used);  // all there, though the last row unpadded

  const auto entry = [&](uint32_t index) {
    if (index >= bmp.entries.size())
      source.refuse("damaged BMP: a pixel uses palette entry {} of {}", index, bmp.entries.size());
    return bmp.entries[index];
  };
  const auto masked = [&](uint32_t value, int channel, uint8_t absent) {
    const uint32_t mask = bmp.mask[size_t(channel)];
    if (mask == 0) return absent;
    const int shift = std::countr_zero(mask);
    return to_8_bit((value & mask) >> shift, mask >> shift);
  };
  Canvas canvas(bmp.height, bmp.width, options);
  for (int row = 0; row < bmp.height; ++row) {
    const int y = bmp.top_down ? row : bmp.height - 1 - row;
    const Bytes bytes = runs ? Bytes{} : source.part(bmp.pixels_at + size_t(row) * stride, used);
    const auto byte = [&](size_t i) { return std::to_integer<uint32_t>(bytes[i]); };
    for (int x = 0; x < bmp.width; ++x) {
      const size_t i = size_t(x);
      if (runs) {
        canvas.set(y, x, entry(indices[size_t(row) * size_t(bmp.width) + i]));
      } else if (bmp.bits <= 8) {
        const size_t bit = i * size_t(bmp.bits);
        canvas.set(y, x, entry(byte(bit / 8) >> (8 - bmp.bits - int(bit % 8)) & ((1u << bmp.bits) - 1)));
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
  return {bmp.height, bmp.width, 3, "bmp", bmp.bits, bmp.mask[3] != 0, !bmp.entries.empty()};
}

// ---------------------------------------------------------------------------------------------------------------
// PNM: P1 to P6, bitmaps, grey maps and colour maps in plain text or binary
// ---------------------------------------------------------------------------------------------------------------

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
    return {height_, width_, colour_ ? 3 : 1, "pnm", int(std::bit_width(static_cast<uint32_t>(maximum_))),
            false,   false};
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

// ---------------------------------------------------------------------------------------------------------------

enum class Format { jpeg, png, bmp, pnm };

Format recognize(const Source& source) {
  if (source.size() == 0) source.refuse("is empty");
  if (source.starts_with(0, kPngSignature)) return Format::png;
  if (source.starts_with(0, "\xFF\xD8\xFF")) return Format::jpeg;
  if (source.starts_with(0, "BM")) return Format::bmp;
  if (source.size() > 2 && source.u8(0) == 'P' && source.u8(1) >= '1' && source.u8(1) <= '6')
    return Format::pnm;
  const char* other = source.starts_with(0, "GIF8")                                    ? ": it is a GIF"
                      : source.starts_with(0, "RIFF") && source.starts_with(8, "WEBP") ? ": it is a WebP"
                      : source.starts_with(0, "II*") || source.starts_with(0, "MM")    ? ": it is a TIFF"
                      : source.starts_with(4, "ftyp") ? ": it is an AVIF, HEIC or video file"
                                                      : "";
  source.refuse("is no JPEG, PNG, BMP or PNM picture{}", other);
}

}  // namespace

Image decode_image(Bytes file, const std::string& name, const DecodeOptions& options) {
  GAN_CHECK(options.channels == 1 || options.channels == 3, "channels = {}", options.channels);
  const Source source(file, name, options.max_pixels);
  switch (recognize(source)) {
    case Format::png: return decode_png(source, options);
    case Format::jpeg: return decode_jpeg(source, options);
    case Format::bmp: return decode_bmp(source, options);
    case Format::pnm: break;
  }
  return PnmReader(source).decode(options);
}

ImageInfo probe_image(Bytes file, const std::string& name, int64_t max_pixels) {
  const Source source(file, name, max_pixels);
  switch (recognize(source)) {
    case Format::png: return probe_png(source);
    case Format::jpeg: return probe_jpeg(source);
    case Format::bmp: return probe_bmp(source);
    case Format::pnm: break;
  }
  return PnmReader(source).info();
}

}  // namespace gan
