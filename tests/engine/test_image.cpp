// Reading pictures (what is right is read right, what is damaged is refused), writing PNG, and the resampling
// that must equal Pillow's. PNG files are built here by hand, so that every structural rule can be broken one
// at a time; a folder of odd and hostile real files is read too where it is at hand.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/files/atomic_file.h"
#include "engine/picture/image.h"
#include "kernels/contract/check.h"
#include "tests/support/folder.h"
#include "tests/support/skip.h"

namespace fs = std::filesystem;
using namespace gan;

namespace {

using Bytes = std::vector<std::byte>;

Bytes to_bytes(std::string_view text) {
  Bytes bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

// The reason for which a file is refused, "" if it is read. The message must begin with the name.
std::string refusal(const Bytes& file, const DecodeOptions& options = {}) {
  try {
    const Image image = decode_image(file, "the file", options);
    CHECK(image.pixels.size() == size_t(image.height) * image.width * image.channels);
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == Exit::bad_data);
    const std::string message = error.what();
    CHECK(message.starts_with("the file: "));
    return message;
  }
}
bool refused(const Bytes& file, std::string_view reason) {
  const std::string message = refusal(file);
  INFO("refused with: ", message);
  CHECK(message.find(reason) != std::string::npos);
  return message.find(reason) != std::string::npos;
}

// The same pseudo-random picture as the script that made the reference values below.
Image random_image(int height, int width, int channels, uint32_t state = 7) {
  Image image(height, width, channels);
  for (uint8_t& sample : image.pixels) {
    state = state * 1664525u + 1013904223u;
    sample = static_cast<uint8_t>(state >> 24);
  }
  return image;
}

// ---- a PNG writer that obeys, so that tests can break any rule ----

void put32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift & 255));
}
uint32_t crc(std::string_view bytes) {
  uint32_t c = ~0u;
  for (const char byte : bytes) {
    c ^= static_cast<unsigned char>(byte);
    for (int bit = 0; bit < 8; ++bit) c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
  }
  return ~c;
}
std::string chunk(const std::string& type, const std::string& body) {
  std::string out;
  put32(out, static_cast<uint32_t>(body.size()));
  out += type + body;
  put32(out, crc(type + body));
  return out;
}
std::string header(uint32_t width, uint32_t height, int bits, int colour, int interlace = 0) {
  std::string body;
  put32(body, width);
  put32(body, height);
  body += {static_cast<char>(bits), static_cast<char>(colour), 0, 0, static_cast<char>(interlace)};
  return chunk("IHDR", body);
}
// A zlib stream of one stored block.
std::string stored(const std::string& raw) {
  std::string out = "\x78\x01\x01";
  const auto length = static_cast<uint32_t>(raw.size());
  for (const uint32_t half : {length, ~length}) {
    out += static_cast<char>(half & 255);
    out += static_cast<char>(half >> 8 & 255);
  }
  out += raw;
  uint32_t a = 1, b = 0;
  for (const char byte : raw) {
    a = (a + static_cast<unsigned char>(byte)) % 65521;
    b = (b + a) % 65521;
  }
  put32(out, b << 16 | a);
  return out;
}
const std::string kSignature = "\x89PNG\r\n\x1a\n";
const std::string kEnd = chunk("IEND", "");
Bytes png(const std::string& head, const std::string& raw, const std::string& before_data = "") {
  return to_bytes(kSignature + head + before_data + chunk("IDAT", stored(raw)) + kEnd);
}
Image read_png(const Bytes& file, int channels = 3, std::array<uint8_t, 3> matte = {255, 255, 255}) {
  return decode_image(file, "a PNG", {channels, matte});
}
using Pixels = std::vector<uint8_t>;

}  // namespace

TEST_CASE("png: every colour type, depth and kind of transparency") {
  using namespace std::string_literals;
  // 16 bit grey, rounded to v/257: 0x00FF = 255 -> 1 (255/257 = 0.99), 0x7FFF -> 127 (127.498), 0x8000 -> 128
  // (127.502)
  CHECK(read_png(png(header(3, 1, 16, 0), "\0\0\xFF\x7F\xFF\x80\0"s), 1).pixels == Pixels{1, 127, 128});
  CHECK(read_png(png(header(2, 1, 1, 0), "\0\x40"s), 1).pixels == Pixels{0, 255});
  CHECK(read_png(png(header(3, 1, 2, 0), "\0\x6C"s), 1).pixels == Pixels{85, 170, 255});
  CHECK(read_png(png(header(2, 1, 4, 0), "\0\x3A"s), 1).pixels == Pixels{51, 170});
  CHECK(read_png(png(header(1, 1, 8, 2), "\0\x01\x02\x03"s)).pixels == Pixels{1, 2, 3});
  CHECK(read_png(png(header(1, 1, 16, 2), "\0\x01\0\x02\0\x03\xFF"s)).pixels == Pixels{1, 2, 4});
  // transparency: round((c * a + matte * (255 - a)) / 255)
  const std::array<uint8_t, 3> matte{10, 20, 200};
  CHECK(read_png(png(header(1, 1, 8, 6), "\0\x64\x64\x64\x80"s), 3, matte).pixels == Pixels{55, 60, 150});
  CHECK(read_png(png(header(1, 1, 8, 4), "\0\x64\0"s), 3, matte).pixels == Pixels{10, 20, 200});
  CHECK(read_png(png(header(1, 1, 16, 4), "\0\x64\x64\xFF\xFF"s), 3, matte).pixels == Pixels{100, 100, 100});
  const std::string palette = chunk("PLTE", "\1\2\3\4\5\6"s);
  CHECK(read_png(png(header(2, 1, 1, 3), "\0\x40"s, palette), 3, matte).pixels == Pixels{1, 2, 3, 4, 5, 6});
  CHECK(read_png(png(header(2, 1, 1, 3), "\0\x40"s, palette + chunk("tRNS", "\0"s)), 3, matte).pixels ==
        Pixels{10, 20, 200, 4, 5, 6});
  CHECK(read_png(png(header(2, 1, 8, 0), "\0\x07\x08"s, chunk("tRNS", "\0\7"s)), 3, matte).pixels ==
        Pixels{10, 20, 200, 8, 8, 8});
  // A 16-bit key is compared at 16 bits: 0x0102 is transparent, 0x0103 (also 1 after rounding) is not.
  CHECK(read_png(png(header(2, 1, 16, 0), "\0\1\2\1\3"s, chunk("tRNS", "\1\2"s)), 3, matte).pixels ==
        Pixels{10, 20, 200, 1, 1, 1});
  CHECK(read_png(png(header(1, 1, 8, 2), "\0\1\2\3"s, chunk("tRNS", "\0\1\0\2\0\3"s)), 3, matte).pixels ==
        Pixels{10, 20, 200});
  // colour -> grey: (19595 * 200 + 38470 * 100 + 7471 * 50 + 32768) >> 16 = 124
  CHECK(read_png(png(header(1, 1, 8, 2), "\0\xC8\x64\x32"s), 1).pixels == Pixels{124});
}

TEST_CASE("png: row filters and interlacing") {
  using namespace std::string_literals;
  // Each row decodes to 1 2 3 plus ten times its number. Filters: none, sub, up, average, Paeth.
  const std::string rows = "\0\1\2\3"s + "\1\x0B\1\1"s + "\2\x0A\x0A\x0A"s + "\3\x15\6\6"s + "\4\x0A\1\1"s;
  CHECK(read_png(png(header(3, 5, 8, 0), rows), 1).pixels ==
        Pixels{1, 2, 3, 11, 12, 13, 21, 22, 23, 31, 32, 33, 41, 42, 43});
  // Adam7 of 3 x 2: pass 1 (0,0); pass 4 (2,0); pass 6 (1,0); pass 7 row 1. Passes 2, 3 and 5 are empty.
  CHECK(read_png(png(header(3, 2, 8, 0, 1), "\0\1\0\3\0\2\0\4\5\6"s), 1).pixels == Pixels{1, 2, 3, 4, 5, 6});
}

TEST_CASE("png: pictures of many windows, each row told by the one before") {
  // Each row adds one to the row above, so that a row taken from the wrong place would show. 320 KB,
  // interlaced and not.
  const int side = 512;
  const std::string row = '\2' + std::string(side, '\1');
  std::string rows;
  for (int y = 0; y < side; ++y) rows += row;
  const auto deflated = [](const std::string& head, const std::string& raw) {
    std::string data = "\x78\x01";  // stored blocks of at most 65,535 bytes
    for (size_t at = 0; at < raw.size(); at += 65535) {
      const std::string part = raw.substr(at, 65535);
      std::string block = stored(part);
      block.resize(block.size() - 4);
      block[2] = at + part.size() == raw.size() ? 1 : 0;
      data += block.substr(2);
    }
    uint32_t a = 1, b = 0;
    for (const char byte : raw) {
      a = (a + static_cast<unsigned char>(byte)) % 65521;
      b = (b + a) % 65521;
    }
    put32(data, b << 16 | a);
    return to_bytes(kSignature + head + chunk("IDAT", data) + kEnd);
  };
  const Image whole = read_png(deflated(header(side, side, 8, 0), rows), 1);
  bool right = true;
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) right = right && whole.at(y, x, 0) == uint8_t(y + 1);
  CHECK(right);

  // left, top, and steps of the seven passes
  const int passes[7][4] = {{0, 0, 8, 8}, {4, 0, 8, 8}, {0, 4, 4, 8}, {2, 0, 4, 4},
                            {0, 2, 2, 4}, {1, 0, 2, 2}, {0, 1, 1, 2}};
  rows.clear();
  Image expected(side, side, 1);
  for (const auto& [left, top, across, down] : passes)
    for (int y = top; y < side; y += down) {
      rows += '\2' + std::string(size_t((side - left + across - 1) / across), '\1');
      for (int x = left; x < side; x += across) expected.at(y, x, 0) = uint8_t((y - top) / down + 1);
    }
  CHECK(read_png(deflated(header(side, side, 8, 0, 1), rows), 1) == expected);
}

TEST_CASE("png: every broken rule is refused with its reason") {
  using namespace std::string_literals;
  const std::string raw = "\0\1\2"s, head = header(2, 1, 8, 0), data = chunk("IDAT", stored(raw));
  const auto file = [&](const std::string& chunks) { return to_bytes(kSignature + chunks); };
  REQUIRE(refusal(file(head + data + kEnd)).empty());
  CHECK(refusal(file(head + data + kEnd + "trailing bytes")).empty());
  CHECK(refusal(file(head + chunk("teXt", "any text") + data + kEnd)).empty());
  CHECK(refusal(file(head + chunk("IDAT", "") + data + kEnd)).empty());

  CHECK(refused(file(""), "cut off"));
  CHECK(refused(file(data + kEnd), "header should be"));
  CHECK(refused(file(head + head + data + kEnd), "only one header"));
  CHECK(refused(file(head + data), "cut off"));
  CHECK(refused(file(head + kEnd), "no pixel data"));
  CHECK(
      refused(file(head + chunk("IDAT", "") + chunk("teXt", "") + data + kEnd), "pixel data in two places"));
  CHECK(refused(file(head + chunk("QQQQ", "") + data + kEnd), "unknown chunk QQQQ"));
  CHECK(refused(file(head + chunk("q\1qq", "") + data + kEnd), "no chunk where one should be"));
  CHECK(refused(file(chunk("IHDR", std::string(12, '\1')) + data + kEnd), "header of 12 bytes"));
  CHECK(refused(png(header(0, 1, 8, 0), raw), "claims a picture of 0 x 1"));
  CHECK(refused(png(header(2, 0, 8, 0), raw), "claims a picture of 2 x 0"));
  CHECK(refused(png(header(2, 1, 3, 0), raw), "3 bits does not exist"));
  CHECK(refused(png(header(2, 1, 4, 2), raw), "4 bits does not exist"));
  CHECK(refused(png(header(2, 1, 16, 3), raw), "16 bits does not exist"));
  CHECK(refused(png(header(2, 1, 8, 1), raw), "colour type 1"));
  CHECK(refused(png(header(2, 1, 8, 7), raw), "colour type 7"));
  CHECK(refused(png(header(2, 1, 8, 0, 2), raw), "interlace 2"));
  CHECK(refused(png(header(60000, 60000, 8, 0), raw), "at most 89478485 are allowed"));
  CHECK(refused(png(header(70000, 1, 8, 0), raw), "a side may have at most"));
  CHECK(refused(png(header(9000, 9000, 8, 0), raw), "more than its"));  // 81 M pixels in 14 bytes
  CHECK(refused(png(header(2, 2, 8, 0), raw), "3 bytes of pixel data where 6 are needed"));
  CHECK(refused(png(header(1, 1, 8, 0), raw), "more pixel data than 1 x 1 pixels need"));
  CHECK(refused(png(head, "\5\1\2"s), "row filter 5"));
  CHECK(refused(png(header(2, 1, 8, 3), raw), "no palette"));
  CHECK(refused(png(header(2, 1, 8, 3), raw, chunk("PLTE", "\1\2\3"s)), "palette entry 1 of 1"));
  CHECK(refused(png(header(2, 1, 8, 3), raw, chunk("PLTE", "\1\2"s)), "palette of 2 bytes"));
  CHECK(refused(png(head, raw, chunk("PLTE", "\1\2\3"s)), "palette in a grey picture"));
  CHECK(refused(png(head, raw, chunk("tRNS", "\1"s)), "transparency of 1 bytes"));
  CHECK(refused(png(header(1, 1, 8, 4), raw, chunk("tRNS", "\1\2"s)), "beside an alpha channel"));

  std::string compressed = stored(raw);
  compressed.back() ^= 1;
  CHECK(refused(file(head + chunk("IDAT", compressed) + kEnd), "wrong checksum"));
  compressed.resize(compressed.size() - 1);
  CHECK(refused(file(head + chunk("IDAT", compressed) + kEnd), "cut off"));
  compressed = stored(raw);
  for (size_t at = 1; at < compressed.size(); ++at) {  // the data may lie in several chunks, cut anywhere
    INFO("cut at ", at);
    CHECK(refusal(file(head + chunk("IDAT", compressed.substr(0, at)) + chunk("IDAT", "") +
                       chunk("IDAT", compressed.substr(at)) + kEnd))
              .empty());
  }
  compressed[0] = '\x79', compressed[1] = '\x20';  // a header that asks for a dictionary
  compressed[1] = static_cast<char>(0x20 + (31 - (0x7920 % 31)) % 31);
  CHECK(refused(file(head + chunk("IDAT", compressed) + kEnd), "cannot be decompressed"));
}

TEST_CASE("png: every changed bit and every cut of a file is refused") {
  const Bytes good = encode_png(random_image(6, 5, 3));
  REQUIRE(refusal(good).empty());
  for (size_t at = 0; at < good.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      Bytes bad = good;
      bad[at] ^= static_cast<std::byte>(1 << bit);
      INFO("byte ", at, " bit ", bit);
      CHECK(!refusal(bad).empty());
    }
    CHECK(!refusal(Bytes(good.begin(), good.begin() + static_cast<long>(at))).empty());
  }
}

TEST_CASE("png: what is written is read back") {
  for (const int channels : {1, 3}) {
    const Image image = random_image(19, 33, channels);
    CHECK(read_png(encode_png(image), channels) == image);
  }
  const fs::path path = fs::temp_directory_path() / fmt::format("gan-test-{}.png", ::getpid());
  const Image image = random_image(8, 8, 3);
  write_png(path, image);
  CHECK(read_image(path) == image);
  const ImageInfo info = probe_image(path);
  CHECK(info.format == "png");
  CHECK(info.width == 8);
  CHECK(info.bits == 8);
  fs::remove(path);
}

TEST_CASE("a header is enough to refuse a picture: memory stays small") {
  struct rusage before {};
  ::getrusage(RUSAGE_SELF, &before);
  CHECK(refused(png(header(60000, 60000, 16, 6), std::string("\0", 1)), "are allowed"));
  CHECK(refused(png(header(9400, 9400, 16, 6), std::string("\0", 1)), "more than its"));
  CHECK(refused(to_bytes("P5 9000 9000 255\n"), "cut off"));
  CHECK(refused(to_bytes("P1 9000 9000\n0 1 0"), "cut off"));
  struct rusage after {};
  ::getrusage(RUSAGE_SELF, &after);
  CHECK(after.ru_maxrss - before.ru_maxrss < 32 * 1024);  // KiB; the first picture alone would be 28 GB
}

TEST_CASE("pnm: all six kinds") {
  using namespace std::string_literals;
  const auto read = [](const std::string& text, int channels) {
    return decode_image(to_bytes(text), "a PNM", {channels}).pixels;
  };
  CHECK(read("P1\n# note\n3 2\n0 1 0\n1#x\n01", 1) == Pixels{255, 0, 255, 0, 255, 0});
  CHECK(read("P2 2 1 10\n0 5", 1) == Pixels{0, 128});
  CHECK(read("P3 1 1 255 1 2 3", 3) == Pixels{1, 2, 3});
  CHECK(read("P4 9 2\n\x80\x00\x7F\x80"s, 1) ==
        Pixels{0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 0});
  CHECK(read("P5\n2 1\n255\n\x01\xFE", 1) == Pixels{1, 254});
  CHECK(read("P5 2 1 65535\n\x80\x00\xFF\xFF"s, 1) == Pixels{128, 255});
  CHECK(read("P6 1 1 255\n\x01\x02\x03", 3) == Pixels{1, 2, 3});
  for (const char* bad : {"P5 2 1 255\n\x01", "P5 2 1 0\n\x01\x01", "P5 2 1 65536\n\x01\x01", "P5 0 1 255\n",
                          "P5 2 1 9\n\x0A\x01", "P2 1 1 9\n10", "P1 1 1\n2", "P5 99999999999 1 255\n", "P5",
                          "P6 -1 1 255\n", "P5 2 1 255", "P3 1 1 255 1 2"}) {
    INFO(bad);
    CHECK(!refusal(to_bytes(bad)).empty());
  }
}

TEST_CASE("bmp: depths, palettes, masks, runs, row order") {
  using namespace std::string_literals;
  const auto le = [](uint32_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out.push_back(i < 4 ? static_cast<char>(value >> 8 * i & 255) : '\0');
    return out;
  };
  const auto bmp = [&](int width, int height, int bits, int compression, const std::string& extra,
                       const std::string& pixels, uint32_t colours = 0) {
    const std::string info = le(40, 4) + le(uint32_t(width), 4) + le(uint32_t(height), 4) + le(1, 2) +
                             le(uint32_t(bits), 2) + le(uint32_t(compression), 4) + le(0, 12) +
                             le(colours, 4) + le(0, 4);
    return to_bytes("BM" + le(0, 8) + le(uint32_t(14 + info.size() + extra.size()), 4) + info + extra +
                    pixels);
  };
  const auto read = [](const Bytes& file) { return decode_image(file, "a BMP").pixels; };
  CHECK(read(bmp(1, 2, 24, 0, "", "\1\2\3\0\4\5\6\0"s)) ==
        Pixels{6, 5, 4, 3, 2, 1});                                                    // bottom row first, BGR
  CHECK(read(bmp(1, -2, 24, 0, "", "\1\2\3\0\4\5\6"s)) == Pixels{3, 2, 1, 6, 5, 4});  // last row not padded
  CHECK(read(bmp(1, 1, 32, 0, "", "\1\2\3\0"s)) == Pixels{3, 2, 1});                  // fourth byte unused
  CHECK(read(bmp(1, 1, 16, 0, "", "\xFF\x03\0\0"s)) == Pixels{0, 255, 255});          // 5 bits each
  CHECK(read(bmp(1, 1, 16, 3, le(0xF800, 4) + le(0x07E0, 4) + le(0x1F, 4), "\0\xF8\0\0"s)) ==
        Pixels{255, 0, 0});
  const std::string palette = "\1\2\3\0\4\5\6\0"s;
  CHECK(read(bmp(2, 1, 1, 0, palette, "\x40\0\0\0"s, 2)) == Pixels{3, 2, 1, 6, 5, 4});
  CHECK(read(bmp(2, 1, 4, 0, palette, "\x10\0\0\0"s, 2)) == Pixels{6, 5, 4, 3, 2, 1});
  CHECK(read(bmp(3, 1, 8, 1, palette, "\2\1\1\0\0\1"s, 2)) == Pixels{6, 5, 4, 6, 5, 4, 3, 2, 1});
  CHECK(read(bmp(3, 1, 4, 2, palette, "\3\x10\0\1"s, 2)) == Pixels{6, 5, 4, 3, 2, 1, 6, 5, 4});
  CHECK(refused(bmp(2, 1, 8, 0, palette, "\0\2\0\0"s, 2), "palette entry 2 of 2"));
  CHECK(refused(bmp(1, 2, 24, 0, "", "\1\2\3\0\4\5"s), "cut off"));
  CHECK(refused(bmp(0, 1, 24, 0, "", "\1\2\3\0"s), "claims a picture of 0"));
  CHECK(refused(bmp(9000, 9000, 24, 0, "", "\1\2\3\0"s), "cut off"));
  CHECK(refused(bmp(9000, 9000, 8, 1, palette, "\0\1"s, 2), "more than its"));
  CHECK(refused(bmp(2, 1, 8, 1, palette, "\3\1\0\1"s, 2), "leaves the picture"));
  CHECK(refused(bmp(1, 1, 24, 4, "", "\1\2\3\0"s), "not supported"));
  CHECK(refused(bmp(1, 1, 7, 0, "", "\1\2\3\0"s), "not supported"));
}

TEST_CASE("what is no picture is refused with a reason, and never waited for") {
  CHECK(refused({}, "is empty"));
  CHECK(refused(to_bytes("hello"), "is no JPEG, PNG, BMP, PNM, WebP or TIFF"));
  CHECK(refused(to_bytes("GIF89a...."), "a GIF"));
  CHECK(refused(to_bytes("RIFF....WEBPVP8 "), "WebP"));
  CHECK(refused(to_bytes("\xFF\xD8\xFF\xD9"), "no picture header"));
  const tests::TemporaryFolder folder;
  fs::create_directory(folder / "folder.jpg");
  REQUIRE(::mkfifo((folder / "pipe.jpg").c_str(), 0600) == 0);
  CHECK_THROWS_WITH_AS(read_image(folder / "folder.jpg"), doctest::Contains("folder.jpg: is a folder"),
                       Error);
  CHECK_THROWS_WITH_AS(read_image(folder / "pipe.jpg"), doctest::Contains("pipe.jpg: is a pipe"), Error);
  CHECK_THROWS_WITH_AS(read_image(folder / "absent.jpg"), doctest::Contains("No such file"), Error);

  CHECK(looks_like_image("a/b.JPG"));
  CHECK(looks_like_image("x.jpeg"));
  CHECK(looks_like_image("x.y.Png"));
  CHECK(looks_like_image("x.ppm"));
  CHECK_FALSE(looks_like_image("png"));
  CHECK_FALSE(looks_like_image("x.txt"));
  CHECK_FALSE(looks_like_image("x.jpg.part"));
}

TEST_CASE("resize equals Pillow's, sample for sample") {
  // Made with Pillow 11.3: the sum of all samples and a polynomial hash over them pin every one; the first
  // few are there to look at.
  struct Golden {
    int height, width, to_height, to_width;
    Filter filter;
    uint32_t sum, hash;
    Pixels first;
  };
  const Golden cases[] = {
      {13,
       9,
       7,
       5,
       Filter::bilinear,
       13455,
       1561690837,
       {159, 85, 116, 159, 133, 68, 155, 161, 115, 123, 193, 118}},
      {13,
       9,
       7,
       5,
       Filter::bicubic,
       13471,
       2493906057,
       {161, 77, 120, 159, 136, 61, 164, 169, 111, 119, 202, 118}},
      {5,
       5,
       11,
       8,
       Filter::bilinear,
       34852,
       3458970868,
       {61, 233, 156, 138, 136, 184, 228, 12, 206, 137, 13, 80}},
      {5,
       5,
       11,
       8,
       Filter::bicubic,
       34785,
       921363347,
       {33, 254, 155, 135, 139, 200, 247, 0, 224, 127, 0, 55}},
      {64,
       48,
       17,
       31,
       Filter::bilinear,
       202602,
       2290344862,
       {103, 136, 110, 160, 94, 90, 139, 136, 141, 135, 116, 140}},
      {64,
       48,
       17,
       31,
       Filter::bicubic,
       202586,
       1751357858,
       {99, 140, 110, 166, 88, 78, 139, 141, 147, 138, 113, 142}},
  };
  for (const Golden& golden : cases) {
    const Image result = resize(random_image(golden.height, golden.width, 3), golden.to_height,
                                golden.to_width, golden.filter);
    REQUIRE(result.height == golden.to_height);
    REQUIRE(result.width == golden.to_width);
    uint32_t sum = 0, hash = 0;
    for (const uint8_t sample : result.pixels) {
      sum += sample;
      hash = hash * 31 + sample;
    }
    CHECK(Pixels(result.pixels.begin(), result.pixels.begin() + 12) == golden.first);
    CHECK(sum == golden.sum);
    CHECK(hash == golden.hash);
  }
  const Image same = random_image(4, 6, 1);
  CHECK(resize(same, 4, 6) == same);
  CHECK(resize(Image(3, 5, 3, 77), 8, 2, Filter::bicubic) == Image(8, 2, 3, 77));  // constant stays constant
}

TEST_CASE("cutting, mirroring, shorter side, grid") {
  const Image image = random_image(5, 8, 3);
  const Image part = crop(image, 1, 2, 3, 4);
  CHECK(part.at(0, 0, 0) == image.at(1, 2, 0));
  CHECK(part.at(2, 3, 2) == image.at(3, 5, 2));
  CHECK_THROWS_AS(crop(image, 3, 0, 3, 1), Error);
  CHECK_THROWS_AS(crop(image, 0, -1, 1, 1), Error);
  // torchvision: round(0.5) = 0, round(1.5) = 2, round(2.5) = 2
  CHECK(center_crop(image, 4, 5) == crop(image, 0, 2, 4, 5));
  CHECK(center_crop(image, 5, 3) == crop(image, 0, 2, 5, 3));
  CHECK(center_crop(image, 1, 4) == crop(image, 2, 2, 1, 4));
  const Image mirrored = flip_horizontal(image);
  CHECK(mirrored.at(2, 0, 1) == image.at(2, 7, 1));
  CHECK(flip_horizontal(mirrored) == image);
  const Image wide = resize_shorter_side(image, 3);
  CHECK(wide.height == 3);
  CHECK(wide.width == 4);  // floor(3 * 8 / 5)
  CHECK(resize_shorter_side(random_image(8, 5, 1), 3).height == 4);

  const std::vector<Image> cells{Image(2, 3, 1, 1), Image(2, 3, 1, 2), Image(2, 3, 1, 3)};
  const Image grid = make_grid(cells, 2, 1, 9);
  CHECK(grid.height == 2 * 3 + 1);
  CHECK(grid.width == 2 * 4 + 1);
  CHECK(grid.at(0, 0, 0) == 9);
  CHECK(grid.at(1, 1, 0) == 1);
  CHECK(grid.at(2, 7, 0) == 2);
  CHECK(grid.at(4, 1, 0) == 3);
  CHECK(grid.at(5, 5, 0) == 9);  // the empty place
  CHECK(make_grid(cells, 8, 0, 0).width == 9);
  CHECK_THROWS_AS(make_grid(std::vector<Image>{Image(2, 3, 1), Image(3, 2, 1)}, 2), Error);
}

// ---- real files ----

TEST_CASE("odd images: EXIF orientation") {
  const fs::path folder = tests::shared_folder("odd-images/exif-orientation");
  if (folder.empty()) return;
  std::map<int, Image> upright;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string stem = entry.path().stem().string();  // ..._0 to ..._8
    if (looks_like_image(entry.path())) upright[stem.back() - '0'] = read_image(entry.path());
  }
  REQUIRE(upright.size() == 9);
  for (const auto& numbered : upright) {
    const Image& image = numbered.second;
    INFO("orientation ", numbered.first);
    REQUIRE(image.height == upright[1].height);
    REQUIRE(image.width == upright[1].width);
    double difference = 0;
    for (size_t i = 0; i < image.pixels.size(); ++i)
      difference += std::abs(image.pixels[i] - upright[1].pixels[i]);
    // The same photograph, compressed anew in each orientation; turned wrongly the mean difference is
    // above 30.
    CHECK(difference / double(image.pixels.size()) < 12);
  }
}

TEST_CASE("odd images: every file is read or refused, quickly, in little memory") {
  const fs::path folder = tests::shared_folder("odd-images");
  if (folder.empty()) return;
  size_t read = 0, refused_files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_directory() && !looks_like_image(entry.path())) continue;
    INFO(entry.path().string());
    const auto begin = std::chrono::steady_clock::now();
    try {
      const Image image = read_image(entry.path(), {.channels = 1});
      const ImageInfo info = probe_image(entry.path());
      CHECK(image.height == info.height);
      CHECK(image.width == info.width);
      ++read;
    } catch (const Error& error) {
      CHECK(error.code() == Exit::bad_data);
      CHECK(std::string(error.what()).starts_with(entry.path().string() + ": "));
      ++refused_files;
    }
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(2));
  }
  struct rusage usage {};
  ::getrusage(RUSAGE_SELF, &usage);
  CHECK(read > 550);
  CHECK(refused_files > 250);
  MESSAGE(read, " read, ", refused_files, " refused");

  const auto is_refused = [&](const std::string& name) {
    try {
      read_image(folder / name);
      return false;
    } catch (const Error&) { return true; }
  };
  for (const char* name : {"claims-60000x60000.png", "directory-named.jpg", "empty.jpg", "empty.png",
                           "header-only.jpg", "header-only.png", "one-byte-flipped.png", "text.jpg",
                           "truncated-half.jpg", "truncated-half.png", "zero-width.png"}) {
    INFO(name);
    CHECK(is_refused("made-here/" + std::string(name)));
  }
  for (const char* name : {"fully-transparent.png", "jpeg-content.png", "png-content.jpg",
                           "name with spaces.jpg", "no-extension", "one-pixel.png", "tall-1x4000.png",
                           "wide-4000x1.png", "trailing-garbage.jpg", "upper-case.JPG", "ünïcode-名前.png"}) {
    INFO(name);
    CHECK_FALSE(is_refused("made-here/" + std::string(name)));
  }
  for (const auto& entry : fs::directory_iterator(folder / "pngsuite/png")) {
    const std::string name = entry.path().filename().string();  // damaged ones begin with x
    if (entry.path().extension() != ".png") continue;
    INFO(name);
    CHECK(is_refused("pngsuite/png/" + name) == (name[0] == 'x'));
  }
}

TEST_CASE("odd images: PNG equals the expected BMP, JPEG comes close to the expected PNG") {
  const fs::path folder = tests::shared_folder("odd-images");
  if (folder.empty()) return;
  int compared = 0;
  for (const auto& entry : fs::directory_iterator(folder / "pngsuite/png")) {
    const fs::path expected =
        folder / "pngsuite/expected-bmp" / entry.path().stem().replace_extension(".bmp");
    if (!fs::exists(expected) || probe_image(entry.path()).alpha)
      continue;  // the BMPs have their own backgrounds
    const Image ours = read_image(entry.path()), theirs = read_image(expected);
    INFO(entry.path().string());
    REQUIRE(ours.pixels.size() == theirs.pixels.size());
    int worst = 0;  // 1: 16-bit samples were cut there, rounded here
    for (size_t i = 0; i < ours.pixels.size(); ++i)
      worst = std::max(worst, std::abs(ours.pixels[i] - theirs.pixels[i]));
    CHECK(worst <= (probe_image(entry.path()).bits == 16 ? 1 : 0));
    ++compared;
  }
  CHECK(compared > 80);

  compared = 0;
  for (const auto& entry : fs::directory_iterator(folder / "jpeg-variants/expected-png")) {
    const std::string stem = entry.path().stem().string();
    if (stem == "partial_progressive") continue;  // one marker is damaged: refused
    const Image theirs = read_image(entry.path()),
                ours = read_image(folder / "jpeg-variants" / (stem + ".jpg"));
    INFO(stem);
    REQUIRE(ours.pixels.size() == theirs.pixels.size());
    double difference = 0;
    for (size_t i = 0; i < ours.pixels.size(); ++i) difference += std::abs(ours.pixels[i] - theirs.pixels[i]);
    // Decoders differ in how they enlarge colour; in pictures of a few pixels that is all there is.
    CHECK(difference / double(ours.pixels.size()) < (ours.width <= 4 ? 25 : 4));
    ++compared;
  }
  CHECK(compared > 25);
}

TEST_CASE("jpeg: every cut is refused, also one that is closed with an end marker in restart intervals") {
  const fs::path folder = tests::shared_folder("odd-images");
  if (folder.empty()) return;
  for (const char* name :
       {"jpeg-variants/restarts.jpg", "jpeg-variants/jpg-progressive.jpg", "made-here/upper-case.JPG"}) {
    const Bytes good = read_file(folder / name, 1 << 20);
    REQUIRE(refusal(good).empty());
    for (size_t length = 0; length + 2 <= good.size(); length += 1 + length / 50) {
      INFO(name, " cut to ", length);
      Bytes bad(good.begin(), good.begin() + static_cast<long>(length));
      CHECK(!refusal(bad).empty());
    }
  }
  Bytes closed = read_file(folder / "jpeg-variants/restarts.jpg", 1 << 20);
  closed.resize(closed.size() / 2);
  closed.push_back(std::byte{0xFF});
  closed.push_back(std::byte{0xD9});
  CHECK(refused(closed, "the data of scan 1 end after 8 of 33 rows"));
}
