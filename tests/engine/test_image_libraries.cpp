// Pictures that are read by libraries: WebP and TIFF. What is read is right, and what is damaged, hostile or of a
// kind that nobody expects is refused within the usual limits.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "engine/files/atomic_file.h"
#include "engine/picture/image.h"
#include "kernels/contract/check.h"
#include "tests/support/decoding.h"
#include "tests/support/folder.h"
#include "tests/support/skip.h"

#if GAN_WITH_WEBP
#include <webp/encode.h>
#endif
#if GAN_WITH_TIFF
#include <tiffio.h>
#endif

using namespace gan;
using gan::tests::decoded, gan::tests::refusal, gan::tests::refused;
using namespace std::string_literals;

namespace {

[[maybe_unused]] ImageInfo probed(const std::string& file) {
  return probe_image(std::as_bytes(std::span(file)), "the file");
}

// Colours that no two neighbours share.
[[maybe_unused]] Image colourful(int height, int width) {
  Image image(height, width, 3);
  uint32_t state = 7;
  for (auto& sample : image.pixels) sample = uint8_t((state = state * 1664525 + 1013904223) >> 24);
  return image;
}

[[maybe_unused]] std::string le16(uint32_t value) { return {char(value), char(value >> 8)}; }
[[maybe_unused]] std::string le32(uint32_t value) { return le16(value & 0xFFFF) + le16(value >> 16); }

// Every cut of a file and many changes of one to three bytes: what is read has the size that was announced, what
// is not is bad data, and none of it takes long.
[[maybe_unused]] void damage(const std::string& good, int rounds) {
  REQUIRE(refusal(good).empty());
  const auto look = [&](const std::string& file) {
    const auto begin = std::chrono::steady_clock::now();
    try {
      const Image image = decoded(file);
      const ImageInfo info = probed(file);
      CHECK(image.height == info.height);
      CHECK(image.width == info.width);
    } catch (const Error& error) { CHECK(error.code() == Exit::bad_data); }
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(5));
  };
  for (size_t length = 0; length < good.size(); ++length) look(good.substr(0, length));
  uint32_t state = 1;
  const auto random = [&](size_t below) {
    state = state * 1664525 + 1013904223;
    return (state >> 8) % below;
  };
  for (int round = 0; round < rounds; ++round) {
    std::string bad = good;
    // Half of the changes in the first bytes, where sizes stand.
    const size_t range = round % 2 ? std::min<size_t>(bad.size(), 200) : bad.size();
    for (size_t changes = 1 + random(3); changes > 0; --changes) bad[random(range)] = char(random(256));
    look(bad);
  }
}

}  // namespace

#if GAN_WITH_WEBP
namespace {

std::string taken(uint8_t* bytes, size_t size) {
  std::string file(reinterpret_cast<char*>(bytes), size);
  WebPFree(bytes);
  return file;
}
std::string lossless(const Image& image) {
  uint8_t* bytes = nullptr;
  const size_t size =
      WebPEncodeLosslessRGB(image.pixels.data(), image.width, image.height, image.width * 3, &bytes);
  return taken(bytes, size);
}
std::string lossy(const Image& image, float quality = 90) {
  uint8_t* bytes = nullptr;
  const size_t size =
      WebPEncodeRGB(image.pixels.data(), image.width, image.height, image.width * 3, quality, &bytes);
  return taken(bytes, size);
}
std::string riff(const std::string& chunks) {
  return "RIFF" + le32(uint32_t(chunks.size()) + 4) + "WEBP" + chunks;
}
std::string webp_chunk(const std::string& name, const std::string& body) {
  return name + le32(uint32_t(body.size())) + body + (body.size() % 2 ? "\0"s : ""s);
}
std::string size24(int side) { return le32(uint32_t(side - 1)).substr(0, 3); }
// The picture of a simple file in an extended one, with `flags` and chunks behind it.
std::string extended(const std::string& simple, int width, int height, char flags,
                     const std::string& behind) {
  return riff(webp_chunk("VP8X", flags + "\0\0\0"s + size24(width) + size24(height)) + simple.substr(12) +
              behind);
}

}  // namespace

TEST_CASE("webp: lossless is exact, lossy is near, transparency lies on the matte") {
  const Image image = colourful(13, 17);
  CHECK(decoded(lossless(image)) == image);
  const ImageInfo info = probed(lossless(image));
  CHECK((info.height == 13 && info.width == 17 && info.format == "webp" && info.channels == 3 &&
         info.bits == 8));
  CHECK_FALSE(info.alpha);
  const Image flat(40, 30, 3, 117);
  const Image near = decoded(lossy(flat));
  REQUIRE(near.pixels.size() == flat.pixels.size());
  for (const uint8_t sample : near.pixels) CHECK(std::abs(sample - 117) <= 2);
  CHECK(decoded(lossless(image), {.channels = 1}).at(3, 4, 0) ==
        luma(image.at(3, 4, 0), image.at(3, 4, 1), image.at(3, 4, 2)));

  const uint8_t rgba[] = {200, 100, 50, 255, 200, 100, 50, 51, 9, 9, 9, 0};
  uint8_t* bytes = nullptr;
  const size_t size = WebPEncodeLosslessRGBA(rgba, 3, 1, 12, &bytes);
  const std::string transparent = taken(bytes, size);
  CHECK(probed(transparent).alpha);
  CHECK(decoded(transparent, {.matte = {0, 255, 255}}).pixels ==
        std::vector<uint8_t>{200, 100, 50, 40, 224, 214, 0, 255, 255});
}

TEST_CASE("webp: EXIF orientation stands behind the picture, in any integer type") {
  const Image image = colourful(4, 6);
  const std::string simple = lossless(image);
  const auto exif = [](uint32_t type, const std::string& value) {
    return "II*\0"s + le32(8) + le16(1) + le16(0x0112) + le16(type) + le32(1) + value + le32(0);
  };
  for (const auto& typed : {std::pair(1, "\6\xAA\xAA\xAA"s), std::pair(3, "\6\0\xAA\xAA"s),
                            std::pair(4, "\6\0\0\0"s), std::pair(9, "\6\0\0\0"s)})
    for (const char* mark : {"", "Exif"}) {
      const auto& [type, value] = typed;
      CAPTURE(typed.first);
      const std::string begin = *mark ? "Exif\0\0"s : ""s;
      const std::string file =
          extended(simple, 6, 4, 8, webp_chunk("EXIF", begin + exif(uint32_t(type), value)));
      const ImageInfo info = probed(file);
      CHECK((info.height == 6 && info.width == 4));
      const Image upright = decoded(file);
      REQUIRE((upright.height == 6 && upright.width == 4));
      for (int c = 0; c < 3; ++c) {
        CHECK(upright.at(0, 3, c) == image.at(0, 0, c));  // a quarter turn clockwise
        CHECK(upright.at(5, 0, c) == image.at(3, 5, c));
      }
    }
  CHECK(decoded(extended(simple, 6, 4, 8, webp_chunk("EXIF", exif(5, "\6\0\0\0"s)))) == image);  // no integer
  CHECK(decoded(extended(simple, 6, 4, 0, "")) == image);
  // A chunk that ends within its mark; what follows is not part of it.
  const std::string behind = "Exif\0\0"s + exif(3, "\6\0\0\0"s);
  std::string torn = webp_chunk("EXIF", behind);
  torn.replace(4, 4, le32(5));
  CHECK(decoded(extended(simple, 6, 4, 8, torn)) == image);
  // Read from a file larger than its first look, too.
  const tests::TemporaryFolder folder;
  const std::string padded =
      extended(simple, 6, 4, 8,
               webp_chunk("XXXX", std::string(100'000, 'x')) + webp_chunk("EXIF", exif(3, "\6\0\0\0"s)));
  write_file_atomically(folder / "a.webp", std::as_bytes(std::span(padded)));
  CHECK(probe_image(folder / "a.webp").width == 4);
  CHECK(read_image(folder / "a.webp").width == 4);
}

namespace {

// Bits of a lossless WebP, from the lowest of each byte on.
class LosslessWriter {
 public:
  void put(uint32_t value, int count) {
    for (int i = 0; i < count; ++i, ++at_) {
      if (at_ % 8 == 0) bytes_ += '\0';
      bytes_.back() = char(bytes_.back() | (value >> i & 1) << at_ % 8);
    }
  }
  // A code of the symbol 0 alone.
  void put_one_symbol() { put(1, 4); }
  // A code in which `used` symbols, a power of two above 8, have as many bits as that takes.
  void put_equal_code(int used, int bits, int alphabet) {
    put(0, 1);
    constexpr int kOrder[] = {17, 18, 0, 1, 2, 3, 4, 5, 16, 6, 7, 8};
    put(std::size(kOrder) - 4, 4);
    for (const int length : kOrder) put(length == bits || length == 18, 3);
    put(0, 1);
    for (int i = 0; i < used; ++i) put(0, 1);
    for (int rest = alphabet - used; rest > 0; rest -= std::min(rest, 138)) {
      put(1, 1);
      put(uint32_t(std::min(rest, 138) - 11), 7);
    }
  }
  std::string file() { return riff(webp_chunk("VP8L", bytes_ + std::string(16, '\0'))); }

 private:
  std::string bytes_;
  size_t at_ = 0;
};

uint32_t turned(uint32_t value) {  // codes stand with their highest bit first
  uint32_t result = 0;
  for (int i = 0; i < 8; ++i) result |= (value >> i & 1) << (7 - i);
  return result;
}

// A black picture of 1024 x 1024 in which every block of 4 x 4 pixels has one of `groups` (up to 65536) groups of
// prefix codes, with a colour cache of so many bits.
std::string with_groups(uint32_t groups, uint32_t cache_bits) {
  LosslessWriter out;
  out.put(0x2F, 8);
  out.put(1023 | 1023 << 14, 28);
  out.put(0, 5);  // opaque, version 0, no transform
  out.put(cache_bits > 0, 1);
  if (cache_bits > 0) out.put(cache_bits, 4);
  out.put(1, 1);
  out.put(0, 4);  // blocks of four; no colour cache in their picture
  out.put_equal_code(256, 8, 280);
  out.put_equal_code(256, 8, 256);
  for (int i = 0; i < 3; ++i) out.put_one_symbol();
  for (uint32_t i = 0; i < 65'536; ++i) {
    out.put(turned(i % groups & 255), 8);
    out.put(turned(i % groups >> 8), 8);
  }
  for (uint32_t i = 0; i < 5 * groups; ++i) out.put_one_symbol();
  return out.file();
}

}  // namespace

TEST_CASE("hostile webp: tables that unfold to much more than the file are counted before they are made") {
  constexpr size_t kPixels = 1024 * 1024;
  CHECK(decoded(with_groups(1, 0)) == Image(1024, 1024, 3, 0));
  CHECK(decoded(with_groups(700, 11)) == Image(1024, 1024, 3, 0));
  // Eleven bytes a pixel, and the tables.
  CHECK(probed(with_groups(1, 0)).decoding_bytes == 11 * kPixels + 4 * 2328 + 640);
  CHECK(probed(with_groups(700, 11)).decoding_bytes == 11 * kPixels + 700 * (4 * 10520 + 640));
  const std::string bomb = with_groups(65'536, 0);
  CHECK(bomb.size() < 300'000);
  CHECK(refused(bomb, "would unfold to 633 MiB"));
  CHECK(refused(with_groups(65'536, 11), "would unfold to"));
  // A distance of a symbol that does not exist.
  LosslessWriter odd;
  odd.put(0x2F, 8);
  odd.put(1023 | 1023 << 14, 28);
  odd.put(0, 6);
  odd.put(1, 1);
  odd.put(0, 4);
  odd.put(0, 5);                                             // a code of which four lengths are told:
  for (const int length : {0, 1, 0, 1}) odd.put(length, 3);  // those of eleven zeros or more, and of one bit
  odd.put(0, 1);
  for (const int zeros : {138, 118}) odd.put(1, 1), odd.put(zeros - 11, 7);
  odd.put(0, 2);  // symbols 256 and 257, lengths of one and two pixels
  odd.put(1, 1), odd.put(22 - 11, 7);
  for (int i = 0; i < 3; ++i) odd.put_one_symbol();
  odd.put(1 | 0 << 1 | 1 << 2 | 200 << 3, 11);  // the distance's one symbol is 200
  odd.put(0, 32);
  CHECK(refused(odd.file(), "damaged WebP"));
  // What real encoders write is known, too: every method, many kinds of pictures, with transforms.
  for (const int height : {1, 7, 130}) {
    for (int kind = 0; kind < 5; ++kind) {
      CAPTURE(kind);
      Image image = colourful(height, 150);
      for (int y = 0; y < height; ++y)
        for (int x = 0; x < 150 && kind > 0; ++x)
          for (int c = 0; c < 3; ++c) {
            const int ramp = x * (c + 1) + 2 * y, cells = x / 16 * 40 + y / 16 * 25 * c;
            if (kind == 1) image.at(y, x, c) = uint8_t(ramp);
            else if (kind == 2) image.at(y, x, c) = uint8_t(cells);
            else if (kind == 3) image.at(y, x, c) = uint8_t((x / 5 + y / 3) % 2 * 255);  // a palette
            else image.at(y, x, c) = uint8_t(x < 75 ? ramp : image.at(y, x, c));
          }
      CHECK(decoded(lossless(image)) == image);
      CHECK(probed(lossless(image)).decoding_bytes < 11 * size_t(height) * 150 + 2'000'000);
    }
  }
}

TEST_CASE("hostile webp: cuts, changed bytes, other kinds, sizes that nothing justifies") {
  const Image image = colourful(24, 24);
  damage(lossless(image), 3000);
  damage(lossy(image), 3000);
  uint8_t* bytes = nullptr;
  std::vector<uint8_t> rgba(24 * 24 * 4);
  for (size_t i = 0; i < rgba.size(); ++i) rgba[i] = uint8_t(i * 37);
  const size_t size = WebPEncodeRGBA(rgba.data(), 24, 24, 96, 80, &bytes);
  damage(taken(bytes, size), 3000);
  for (const std::string& good : {lossless(image), lossy(image)})
    for (const size_t length : {good.size() - 1, good.size() / 2, size_t(30)})
      CHECK(refused(good.substr(0, length), "cut off"));

  const std::string simple = lossless(image);
  CHECK(refused(extended(simple, 24, 24, 2, webp_chunk("ANIM", std::string(6, '\0'))), "an animated WebP"));
  // 16383 x 16383 in a file of a few bytes.
  CHECK(refused(riff(webp_chunk("VP8L", "\x2F"s + le32(16382u | 16382u << 14) + std::string(40, '\0'))),
                "at most 89478485 are allowed"));
  CHECK(refused(riff(webp_chunk("VP8L", "\x2F"s + le32(8999u | 8999u << 14) + std::string(40, '\0'))),
                "would unfold to"));
}
#endif

#if GAN_WITH_TIFF
namespace {

struct Entry {
  uint32_t tag, type, count, value;
};
enum Type : uint32_t { kByte = 1, kShort = 3, kLong = 4 };

// A little-endian TIFF: the data, which begin at byte 8, and behind them the directory.
std::string tiff_of(const std::string& data, const std::vector<Entry>& entries) {
  const std::string padded = data + (data.size() % 2 ? "\0"s : ""s);
  std::string file = "II*\0"s + le32(uint32_t(8 + padded.size())) + padded + le16(uint32_t(entries.size()));
  for (const Entry& entry : entries)
    file += le16(entry.tag) + le16(entry.type) + le32(entry.count) + le32(entry.value);
  return file + le32(0);
}

// Baseline, in one strip without compression.
std::vector<Entry> baseline(int width, int height, uint32_t bits, uint32_t photometric, uint32_t samples,
                            uint32_t bytes) {
  return {{256, kLong, 1, uint32_t(width)},
          {257, kLong, 1, uint32_t(height)},
          {258, kShort, 1, bits},
          {259, kShort, 1, 1},
          {262, kShort, 1, photometric},
          {273, kLong, 1, 8},
          {277, kShort, 1, samples},
          {278, kLong, 1, uint32_t(height)},
          {279, kLong, 1, bytes}};
}
std::string grey8(int width, int height, const std::string& data) {
  return tiff_of(data, baseline(width, height, 8, 1, 1, uint32_t(data.size())));
}
void set(std::vector<Entry>& entries, const Entry& entry) {
  for (Entry& own : entries)
    if (own.tag == entry.tag) own = entry;
}

// What libtiff writes, in strips of 4 rows or in tiles of 16 x 16.
std::string written(const Image& image, uint16_t compression, bool tiles, bool deep = false,
                    bool planes = false) {
  const tests::TemporaryFolder folder;
  const std::string name = folder / "a.tif";
  TIFF* tiff = TIFFOpen(name.c_str(), "w");
  REQUIRE(tiff != nullptr);
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, image.width);
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, image.height);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, deep ? 16 : 8);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 3);
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_RGB);
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, compression);
  TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, planes ? PLANARCONFIG_SEPARATE : PLANARCONFIG_CONTIG);
  const auto sample = [&](int y, int x, int c) {
    return image.at(std::min(y, image.height - 1), std::min(x, image.width - 1), c);
  };
  if (tiles) {
    TIFFSetField(tiff, TIFFTAG_TILEWIDTH, 16);
    TIFFSetField(tiff, TIFFTAG_TILELENGTH, 16);
    std::vector<uint8_t> tile(16 * 16 * 3);
    for (int top = 0; top < image.height; top += 16)
      for (int left = 0; left < image.width; left += 16) {
        for (int i = 0; i < 16 * 16 * 3; ++i)
          tile[size_t(i)] = sample(top + i / 48, left + i / 3 % 16, i % 3);
        REQUIRE(TIFFWriteTile(tiff, tile.data(), uint32_t(left), uint32_t(top), 0, 0) > 0);
      }
  } else {
    TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, 4);
    for (int plane = 0; plane < (planes ? 3 : 1); ++plane)
      for (int y = 0; y < image.height; ++y) {
        std::vector<uint16_t> words;
        std::vector<uint8_t> row;
        for (int x = 0; x < image.width; ++x)
          for (int c = planes ? plane : 0; c < (planes ? plane + 1 : 3); ++c) {
            row.push_back(sample(y, x, c));
            words.push_back(uint16_t(sample(y, x, c) * 257));
          }
        REQUIRE(TIFFWriteScanline(tiff, deep ? static_cast<void*>(words.data()) : row.data(), uint32_t(y),
                                  uint16_t(plane)) == 1);
      }
  }
  TIFFClose(tiff);
  const std::vector<std::byte> bytes = read_file(name, 1 << 24);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("tiff: baseline kinds by hand") {
  CHECK(decoded(grey8(3, 1, "\0\x80\xFF"s), {.channels = 1}).pixels == std::vector<uint8_t>{0, 128, 255});
  CHECK(probed(grey8(3, 1, "\0\x80\xFF"s)).channels == 1);
  CHECK(probed(grey8(3, 1, "\0\x80\xFF"s)).format == "tiff");
  // White is zero; two bits a sample.
  CHECK(decoded(tiff_of("\xE4"s, baseline(4, 1, 2, 0, 1, 1)), {.channels = 1}).pixels ==
        std::vector<uint8_t>{0, 85, 170, 255});
  CHECK(decoded(tiff_of("\xA0"s, baseline(3, 1, 1, 1, 1, 1)), {.channels = 1}).pixels ==
        std::vector<uint8_t>{255, 0, 255});
  // 16 bits: v/257, rounded.
  const std::string deep = le16(0) + le16(128) + le16(129) + le16(65535);
  CHECK(decoded(tiff_of(deep, baseline(4, 1, 16, 1, 1, 8)), {.channels = 1}).pixels ==
        std::vector<uint8_t>{0, 0, 1, 255});
  CHECK(probed(tiff_of(deep, baseline(4, 1, 16, 1, 1, 8))).bits == 16);
  // Orientation 6, in every integer type that may stand there.
  for (const uint32_t type : {kByte, kShort, kLong}) {
    auto turned = baseline(2, 1, 8, 1, 1, 2);
    turned.insert(turned.begin() + 6, {274, type, 1, 6});
    const Image upright = decoded(tiff_of("\x10\x20"s, turned), {.channels = 1});
    CHECK((upright.height == 2 && upright.width == 1));
    CHECK(upright.pixels == std::vector<uint8_t>{16, 32});
    CHECK(probed(tiff_of("\x10\x20"s, turned)).height == 2);
  }
  // Alpha that colours have not been multiplied by.
  auto alpha = baseline(2, 1, 8, 2, 4, 8);
  alpha.push_back({338, kShort, 1, 2});
  set(alpha, {258, kShort, 1, 8});
  const std::string pixels = "\xC8\x64\x32\xFF\xC8\x64\x32\x33"s;
  const std::string transparent = tiff_of(pixels, alpha);
  CHECK(probed(transparent).alpha);
  const Image on_matte = decoded(transparent, {.matte = {0, 255, 255}});
  const uint8_t expected[] = {200, 100, 50, 40, 224, 214};
  for (size_t i = 0; i < 6; ++i) CHECK(std::abs(on_matte.pixels[i] - expected[i]) <= 1);
}

TEST_CASE("tiff: compressions, tiles, planes, 16 bits") {
  const Image image = colourful(21, 35);
  for (const uint16_t compression : {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_PACKBITS,
                                     COMPRESSION_ADOBE_DEFLATE, COMPRESSION_DEFLATE}) {
    CAPTURE(compression);
    for (const bool tiles : {false, true}) CHECK(decoded(written(image, compression, tiles)) == image);
    CHECK(decoded(written(image, compression, false, true)) == image);
    CHECK(decoded(written(image, compression, false, false, true)) == image);
  }
  const Image flat(32, 32, 3, 99);
  for (const uint8_t sample : decoded(written(flat, COMPRESSION_JPEG, true)).pixels)
    CHECK(std::abs(sample - 99) <= 1);
  CHECK(probed(written(image, COMPRESSION_LZW, false)).bits == 8);
}

TEST_CASE("hostile tiff: cuts, changed bytes, kinds that are not read, sizes that nothing justifies") {
  const Image image = colourful(20, 20);
  for (const uint16_t compression :
       {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_PACKBITS, COMPRESSION_ADOBE_DEFLATE, COMPRESSION_JPEG})
    for (const bool tiles : {false, true})
      if (compression != COMPRESSION_JPEG || tiles) {
        CAPTURE(compression);
        damage(written(image, compression, tiles), 1000);
      }
  damage(grey8(5, 3, std::string(15, 'x')), 3000);

  const std::string good = grey8(5, 3, std::string(15, 'x'));
  for (size_t length = 0; length < good.size() - 4; ++length) CHECK(!refusal(good.substr(0, length)).empty());
  const auto with = [](const Entry& entry) {
    auto entries = baseline(5, 3, 8, 1, 1, 15);
    set(entries, entry);
    return tiff_of(std::string(15, 'x'), entries);
  };
  CHECK(refused(with({256, kLong, 1, 60'000}), "damaged TIFF"));  // the data are for 5 x 3
  CHECK(refused(with({257, kLong, 1, 70'000}), "a side may have at most"));
  CHECK(refused(with({256, kLong, 1, 0}), "damaged TIFF"));
  CHECK(refused(with({258, kShort, 1, 12}), "not supported"));
  CHECK(refused(with({259, kShort, 1, 34925}), "a TIFF with compression 34925"));
  CHECK(refused(with({262, kShort, 1, 8}), "a TIFF of colour space 8"));
  CHECK(refused(with({273, kLong, 1, 5000}), "damaged TIFF"));
  auto floating = baseline(5, 3, 8, 1, 1, 15);
  floating.push_back({339, kShort, 1, 3});
  CHECK(refused(tiff_of(std::string(15, 'x'), floating), "signed or floating-point"));
  // A picture of 9000 x 9000 in a few bytes; a tile of gigabytes for one of 5 x 3.
  auto large = baseline(9000, 9000, 8, 1, 1, 15);
  CHECK(refused(tiff_of(std::string(15, 'x'), large), "would unfold to"));
  auto tiled = baseline(5, 3, 8, 1, 1, 15);
  tiled.erase(tiled.begin() + 7, tiled.end());  // strips
  tiled.erase(tiled.begin() + 5);
  for (const Entry& entry : {Entry{322, kLong, 1, 40'000}, Entry{323, kLong, 1, 40'000},
                             Entry{324, kLong, 1, 8}, Entry{325, kLong, 1, 15}})
    tiled.push_back(entry);
  CHECK(refused(tiff_of(std::string(15, 'x'), tiled), "would unfold to"));
  // A directory that names itself as the next.
  std::string looped = good;
  looped.replace(looped.size() - 4, 4, le32(8 + 16));
  CHECK(refusal(looped).empty());  // only the first picture counts
}
#endif

TEST_CASE("pictures of a library that this build does without are counted with that reason") {
  for (const char* kind : {"webp", "tif", "tiff"}) {
    const bool reads = looks_like_image("x."s + kind);
    CHECK(reads == why_not_read(kind).empty());
    CHECK(reads == (picture_extensions().find("."s + kind) != std::string::npos));
  }
#if !GAN_WITH_WEBP
  CHECK(why_not_read("webp") == "this build has no libwebp");
#endif
#if !GAN_WITH_TIFF
  CHECK(why_not_read("tif") == "this build has no libtiff");
#endif
  CHECK(why_not_read("txt") == "");
}
