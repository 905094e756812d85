// JPEG (ITU-T T.81) with EXIF orientation: walked marker by marker and bit by bit, then decoded by stb.
#include <algorithm>
#include <vector>

#include "engine/picture/image_formats.h"
#include "engine/picture/image_jpeg_scan.h"
#include "engine/picture/orientation.h"
#include "engine/picture/stb.h"

namespace gan::formats {

namespace {

constexpr int kAllBits = 16;  // unknown_bits of a coefficient that no scan has told

std::array<int, 64> nothing_known() {
  std::array<int, 64> unknown_bits;
  unknown_bits.fill(kAllBits);
  return unknown_bits;
}

struct Jpeg {
  struct Component {
    int id = 0, h = 0, v = 0, quantization = 0;
    bool decoded = false;  // a scan with data for it has been seen
    // Of each coefficient: how many low bits no scan has told so far.
    std::array<int, 64> unknown_bits = nothing_known();
  };
  int height = 0, width = 0;
  bool progressive = false;
  std::vector<Component> components;
  int orientation = 1;
  bool adobe = false;  // it has Adobe's marker, which says how colours are stored

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

// Memory at the peak, for a result in colour. The decoder takes a byte for each sample, of progressive
// pictures two more for its coefficient, and the picture; then that is copied, and turned.
size_t jpeg_decoding_bytes(const Jpeg& jpeg) {
  int64_t samples = 0;
  for (const Jpeg::Component& component : jpeg.components)
    samples += 64 * divide_up(jpeg.width, 8 * jpeg.max_h()) * divide_up(jpeg.height, 8 * jpeg.max_v()) *
               component.h * component.v;
  const size_t result = picture_bytes(jpeg.height, jpeg.width);
  const size_t decoded = jpeg.components.size() == 1 ? result / 3 : result;
  const size_t decoding = size_t(samples) * (jpeg.progressive ? 3 : 1) + decoded;
  return std::max(decoding, result + (jpeg.orientation == 1 ? decoded : result));
}

// Checks what a decoder would otherwise paper over: that every marker, table and scan is there, that each
// scan has the data of all its blocks, that all components get data, and that the file reaches its end
// marker. (A decoder shows grey or black where data are missing.) A progressive picture may lack whole scans:
// it is complete, but coarse.
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
      } else if (marker == kExifSegment && has_exif_mark(content)) {
        if (const int orientation = exif_orientation(content); orientation != 1)
          jpeg_.orientation = orientation;
      } else if (marker == kAdobe) {
        jpeg_.adobe = jpeg_.adobe || source_.starts_with(body, "Adobe");
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
      Jpeg::Component component;
      component.id = static_cast<int>(source_.u8(at));
      component.h = static_cast<int>(sampling >> 4);
      component.v = static_cast<int>(sampling & 15);
      component.quantization = static_cast<int>(table);
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
      if (at + 17 + codes > end) source_.refuse("damaged JPEG: Huffman table is cut off");
      HuffmanTable& table = (which >> 4 ? ac_tables_ : dc_tables_)[which & 15];
      if (!table.assign(source_.part(at + 1, 16).first<16>(), source_.part(at + 17, codes)))
        source_.refuse("damaged JPEG: Huffman table {:#x} has impossible code lengths", which);
      at += 17 + codes;
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
    if (++scans_ > PictureLimits::jpeg_scans)
      source_.refuse("a JPEG with more than {} scans", int{PictureLimits::jpeg_scans});
    const uint32_t count = length > 0 ? source_.u8(body) : 0;
    if (count < 1 || count > jpeg_.components.size() || length != 4 + 2 * count)
      source_.refuse("damaged JPEG: scan header of {} bytes for {} components", length, count);

    JpegScan scan;
    scan.progressive = jpeg_.progressive;
    scan.interval = restart_interval_;
    if (scan.progressive) {
      scan.first = static_cast<int>(source_.u8(body + 1 + 2 * count));
      scan.last = static_cast<int>(source_.u8(body + 2 + 2 * count));
      scan.high = static_cast<int>(source_.u8(body + 3 + 2 * count) >> 4);
      scan.low = static_cast<int>(source_.u8(body + 3 + 2 * count) & 15);
      const bool dc = scan.first == 0 && scan.last == 0;
      const bool ac = scan.first > 0 && scan.first <= scan.last && scan.last < 64 && count == 1;
      if (!(dc || ac) || scan.low > 13 || (scan.high > 0 && scan.low != scan.high - 1))
        source_.refuse("damaged JPEG: scan {} is of coefficients {} to {}, bits {} to {}", scans_, scan.first,
                       scan.last, scan.high, scan.low);
    }
    scan.across = divide_up(jpeg_.width, 8 * jpeg_.max_h());
    scan.down = divide_up(jpeg_.height, 8 * jpeg_.max_v());
    scan.rows = 8 * jpeg_.max_v();
    for (size_t i = 0; i < count; ++i) {
      const int id = static_cast<int>(source_.u8(body + 1 + 2 * i));
      const auto component = std::find_if(jpeg_.components.begin(), jpeg_.components.end(),
                                          [&](const Jpeg::Component& c) { return c.id == id; });
      if (component == jpeg_.components.end())
        source_.refuse("damaged JPEG: scan of the unknown component {}", id);
      JpegScan::Part part{component->h * component->v};
      if (count == 1) {  // the blocks of one component alone, without those that only fill up a group
        part.blocks = 1;
        scan.across = divide_up(divide_up(int64_t{jpeg_.width} * component->h, jpeg_.max_h()), 8);
        scan.down = divide_up(divide_up(int64_t{jpeg_.height} * component->v, jpeg_.max_v()), 8);
        scan.rows = 8 * jpeg_.max_v() / component->v;
      }
      find_tables(*component, source_.u8(body + 2 + 2 * i), scan, part);
      note_progress(*component, scan);
      if (scan.first > 0) {
        part.not_zero = &not_zero_[size_t(component - jpeg_.components.begin())];
        part.not_zero->resize(size_t(scan.units()));
      }
      scan.parts.push_back(part);
      blocks_ += scan.units() * part.blocks;
    }
    if (blocks_ > PictureLimits::jpeg_blocks)
      source_.refuse("a JPEG of {} blocks by scan {}, more than the {} allowed; save it with fewer scans",
                     blocks_, scans_, int64_t{PictureLimits::jpeg_blocks});
    read_scan_data(scan);
  }

  // The tables that the scan uses for a component; `numbers` as in the scan header.
  void find_tables(const Jpeg::Component& component, uint32_t numbers, const JpegScan& scan,
                   JpegScan::Part& part) {
    if (!(quantization_tables_ >> component.quantization & 1))
      source_.refuse("damaged JPEG: quantization table {} is missing", component.quantization);
    const uint32_t dc = numbers >> 4, ac = numbers & 15;
    if (dc > 3 || ac > 3) source_.refuse("damaged JPEG: Huffman table {} or {} does not exist", dc, ac);
    part.dc = &dc_tables_[dc];
    part.ac = &ac_tables_[ac];
    const bool needs_dc = scan.first == 0 && scan.high == 0, needs_ac = scan.last > 0;
    if ((needs_dc && part.dc->empty()) || (needs_ac && part.ac->empty()))
      source_.refuse("damaged JPEG: a Huffman table is missing");
  }

  // A scan tells coefficients for the first time, or the next lower bit of those that are known so far.
  void note_progress(Jpeg::Component& component, const JpegScan& scan) {
    component.decoded = true;
    const int expected = scan.high > 0 ? scan.high : kAllBits;
    if (scan.first == 0 && scan.high == 0 && component.unknown_bits != nothing_known())
      source_.refuse("damaged JPEG: scan {} begins component {} anew", scans_, component.id);
    for (int k = scan.first; k <= scan.last; ++k) {
      int& unknown_bits = component.unknown_bits[size_t(k)];
      if (unknown_bits != expected)
        source_.refuse("damaged JPEG: scan {} repeats or skips a part of component {}", scans_, component.id);
      unknown_bits = scan.low;
    }
  }

  // Reads the scan's data, interval by interval, up to the next marker that is not part of them.
  void read_scan_data(const JpegScan& scan) {
    JpegScanReader reader(scan);
    const size_t first = at_;
    size_t begin = at_;  // of the interval
    for (uint32_t restarts = 0;;) {
      const Bytes rest = source_.part(at_, source_.size() - at_);
      const void* found = std::memchr(rest.data(), 0xFF, rest.size());
      if (!found) source_.refuse("cut off: the JPEG end marker is missing");
      at_ += static_cast<size_t>(static_cast<const std::byte*>(found) - rest.data());
      if (at_ + 1 >= source_.size()) source_.refuse("cut off: the JPEG end marker is missing");
      const uint32_t next = source_.u8(at_ + 1);
      if (next == 0 || next == 0xFF) {  // a stuffed byte, or a fill byte before what comes
        at_ += next == 0 ? 2 : 1;
        continue;
      }
      size_t end = at_;
      while (end > begin && source_.u8(end - 1) == 0xFF) --end;
      check_interval(reader, scan, source_.part(begin, end - begin));
      if (!is_restart(next)) break;
      if (next - 0xD0 != restarts % 8 && !reader.complete())
        source_.refuse("damaged JPEG: restart marker {} where {} should be, at byte {}", next - 0xD0,
                       restarts % 8, at_);
      ++restarts;
      at_ += 2;
      begin = at_;
    }
    if (!reader.complete()) refuse_short(reader, scan);
    // Some cameras pad their data. More than that belongs to rows or columns of which the header does not
    // know.
    constexpr size_t kPadding = 256;
    if (reader.surplus() > std::max(kPadding, (at_ - first) / 16))
      source_.refuse("damaged JPEG: scan {} has {} bytes more than {} x {} pixels need", scans_,
                     reader.surplus(), jpeg_.width, jpeg_.height);
  }

  void check_interval(JpegScanReader& reader, const JpegScan& scan, Bytes data) {
    switch (reader.read_interval(data)) {
      case JpegScanReader::Finding::sound: return;
      case JpegScanReader::Finding::ended: refuse_short(reader, scan);
      case JpegScanReader::Finding::damaged:
        source_.refuse("damaged JPEG: the data of scan {} make no sense in row {} of {}", scans_,
                       std::min<int64_t>(rows_done(reader, scan) + 1, jpeg_.height), jpeg_.height);
      case JpegScanReader::Finding::surplus:
        source_.refuse("damaged JPEG: {} bytes too many before the restart marker at byte {}",
                       reader.surplus(), at_);
    }
  }

  int64_t rows_done(const JpegScanReader& reader, const JpegScan& scan) const {
    return std::min<int64_t>(reader.units_done() / scan.across * scan.rows, jpeg_.height);
  }

  [[noreturn]] void refuse_short(const JpegScanReader& reader, const JpegScan& scan) const {
    source_.refuse("damaged JPEG: the data of scan {} end after {} of {} rows", scans_,
                   rows_done(reader, scan), jpeg_.height);
  }

  const Source& source_;
  Jpeg jpeg_;
  size_t at_ = 2;  // behind the start marker
  std::array<HuffmanTable, 4> dc_tables_, ac_tables_;
  uint32_t quantization_tables_ = 0;               // one bit per table that has been defined
  std::array<std::vector<uint64_t>, 4> not_zero_;  // of each component, see JpegScan::Part
  int64_t restart_interval_ = 0;
  int scans_ = 0;
  int64_t blocks_ = 0;  // in all scans so far
};

// The file of four components with the marker that says they are cyan, magenta, yellow and black. Without it the
// decoder would take them for something else; other programs do not.
std::vector<std::byte> with_adobe_marker(const Source& source) {
  constexpr std::string_view kMarker(
      "\xFF\xEE\0\x0E"
      "Adobe\0\x64\0\0\0\0\0",
      16);
  const Bytes file = source.part(0, source.size());
  std::vector<std::byte> marked(file.begin(), file.begin() + 2);
  for (const char byte : kMarker) marked.push_back(static_cast<std::byte>(byte));
  marked.insert(marked.end(), file.begin() + 2, file.end());
  return marked;
}

}  // namespace

Image decode_jpeg(const Source& source, const DecodeOptions& options) {
  const Jpeg jpeg = JpegWalk(source).run(false);
  const bool plain_cmyk = jpeg.components.size() == 4 && !jpeg.adobe;
  stb::DecodedJpeg decoded =
      stb::decode_jpeg(plain_cmyk ? Bytes(with_adobe_marker(source)) : source.part(0, source.size()));
  if (!decoded.pixels) source.refuse("damaged JPEG: {}", decoded.reason);
  if (decoded.height != jpeg.height || decoded.width != jpeg.width ||
      (decoded.channels != 1 && decoded.channels != 3))
    source.refuse("damaged JPEG: decoded to {} x {} x {}", decoded.width, decoded.height, decoded.channels);
  Image image;
  image.height = jpeg.height, image.width = jpeg.width, image.channels = options.channels;
  const uint8_t* from = decoded.pixels.get();
  const size_t pixels = size_t(jpeg.height) * size_t(jpeg.width);
  if (decoded.channels == options.channels) {
    image.pixels.assign(from, from + pixels * size_t(decoded.channels));
  } else {
    image.pixels.resize(pixels * size_t(options.channels));
    for (size_t i = 0; i < pixels; ++i) {
      if (options.channels == 1) image.pixels[i] = luma(from[3 * i], from[3 * i + 1], from[3 * i + 2]);
      else std::fill_n(&image.pixels[3 * i], 3, from[i]);
    }
  }
  decoded.pixels.reset();
  return turned_upright(std::move(image), jpeg.orientation);
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
          false,
          jpeg_decoding_bytes(jpeg)};
}

}  // namespace gan::formats
