// Pictures that are half there, or much larger than their files. JPEG files are built here bit by bit, so
// that each lie can be told alone.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zlib.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <functional>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "engine/data/check.h"
#include "engine/data/picture_set.h"
#include "engine/picture/image.h"
#include "engine/picture/memory_budget.h"
#include "kernels/contract/check.h"
#include "tests/support/decoding.h"
#include "tests/support/folder.h"

using namespace gan;
using gan::tests::decoded, gan::tests::refusal, gan::tests::refused;
using namespace std::string_literals;

namespace {

bool accepted(const std::string& file) {
  const std::string message = refusal(file);
  INFO("refused with: ", message);
  CHECK(message.empty());
  return message.empty();
}

// ---- JPEG files, piece by piece ----

std::string be16(int value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }
std::string segment(int marker, const std::string& body) {
  return "\xFF"s + static_cast<char>(marker) + be16(int(body.size()) + 2) + body;
}

// '0' and '1' as entropy-coded data: filled up with ones, a zero stuffed behind each 0xFF.
std::string packed(std::string bits) {
  while (bits.size() % 8 != 0) bits += '1';
  std::string bytes;
  for (size_t at = 0; at < bits.size(); at += 8) {
    bytes += static_cast<char>(std::stoi(bits.substr(at, 8), nullptr, 2));
    if (bytes.back() == '\xFF') bytes += '\0';
  }
  return bytes;
}
std::string times(int count, const std::string& text) {
  std::string result;
  for (int i = 0; i < count; ++i) result += text;
  return result;
}

// A Huffman table: how many codes have 1, 2, ... bits, and what they stand for. AC tables have numbers from
// 16 on.
std::string table(char number, std::string counts, const std::string& symbols) {
  counts.resize(16, '\0');
  return segment(0xC4, number + counts + symbols);
}

// Every coefficient counts eight. Codes of DC sizes: 00 0, 01 3, 10 4. Of AC symbols: 00 end of block, 01 one
// of one bit, 10 one of two bits, 110 two or three blocks end, as the bit behind it says, 1110 one of fifteen
// bits, 11110 fifteen zeros and one of one bit.
const std::string kStart = "\xFF\xD8"s + segment(0xDB, "\0"s + std::string(64, '\x08')) +
                           table('\0', "\0\3"s, "\0\3\4"s) +
                           table('\x10', "\0\3\1\1\1"s, "\0\1\2\x10\x0F\xF1"s);
const std::string kEnd = "\xFF\xD9";

enum Kind { baseline = 0xC0, progressive = 0xC2 };
// One character of `sampling` for each component, both factors in it.
std::string frame(Kind kind, int width, int height, const std::string& sampling = "\x11") {
  std::string body = "\x08"s + be16(height) + be16(width) + static_cast<char>(sampling.size());
  for (size_t i = 0; i < sampling.size(); ++i) body += {static_cast<char>(i + 1), sampling[i], '\0'};
  return segment(kind, body);
}
std::string scan_header(int components, int first, int last, int high, int low) {
  std::string body(1, static_cast<char>(components));
  for (int i = 0; i < components; ++i) body += {static_cast<char>(i + 1), '\0'};
  return segment(
      0xDA, body + static_cast<char>(first) + static_cast<char>(last) + static_cast<char>(high << 4 | low));
}
const std::string kScan = scan_header(1, 0, 63, 0, 0);
const std::string kFlat = "0000";  // a block as the one before, sequential
const std::string kFirst =
    "10111110"
    "1100";  // DC 15, the first AC coefficient 3

std::string restart_interval(int units) { return segment(0xDD, be16(units)); }

// A picture of 16 x 16 in four blocks, progressive.
struct Scans {
  std::string dc = scan_header(1, 0, 0, 0, 1) + packed(
                                                    "01111"
                                                    "000000");  // 7, then three times the same
  std::string ac = scan_header(1, 1, 63, 0, 1) + packed(
                                                     "011"
                                                     "00"
                                                     "1101");        // 1; three empty blocks
  std::string dc_bit = scan_header(1, 0, 0, 1, 0) + packed("1111");  // 15
  std::string ac_bit = scan_header(1, 1, 63, 1, 0) + packed(
                                                         "00"
                                                         "1"
                                                         "1101");  // 3
  std::string file(int width = 16, int height = 16) const {
    return kStart + frame(progressive, width, height) + dc + ac + dc_bit + ac_bit + kEnd;
  }
};

}  // namespace

TEST_CASE("hostile jpeg: a picture whose data end before it does is refused") {
  const std::string data = packed(kFirst + times(3, kFlat));
  const auto file = [&](int width, int height) {
    return kStart + frame(baseline, width, height) + kScan + data + kEnd;
  };
  REQUIRE(accepted(file(16, 16)));
  const Image image = decoded(file(16, 16));
  CHECK(image.at(15, 15, 0) == 128 + 15);
  CHECK(image.at(15, 15, 2) == 128 + 15);
  CHECK(image.at(0, 0, 0) > image.at(0, 7, 0));
  CHECK(accepted(file(9, 16)));
  CHECK(refused(file(16, 32), "damaged JPEG: the data of scan 1 end after 16 of 32 rows"));
  CHECK(refused(file(16, 17), "end after 16 of 17 rows"));
  CHECK(refused(file(32, 16), "end after 8 of 16 rows"));
  CHECK(refused(file(17, 16), "end after 8 of 16 rows"));
  CHECK(refused(file(16, 60000), "end after"));
  CHECK(
      refused(kStart + frame(baseline, 16, 16) + kScan + data.substr(0, 2) + kEnd, "end after 8 of 16 rows"));
  CHECK(refused(kStart + frame(baseline, 16, 16) + kScan + kEnd, "end after 0 of 16 rows"));
  CHECK(refused(kStart + frame(baseline, 16, 16) + kScan + packed(kFirst + "11") + kEnd, "end after"));
  // A code that no table has, in the middle.
  CHECK(refused(kStart + frame(baseline, 16, 16) + kScan + packed("11" + times(40, "0")) + kEnd,
                "make no sense in row 1 of 16"));
}

TEST_CASE("hostile jpeg: bits and tables that no encoder writes") {
  const std::string zeros(40, '0');  // so that the end is not near
  const auto sequential = [&](const std::string& bits, const std::string& tables = "") {
    return kStart + tables + frame(baseline, 16, 16) + kScan + packed(bits) + kEnd;
  };
  // Four times fifteen zeros and a coefficient, and then the last one, or one behind the last.
  CHECK(accepted(sequential("00" + times(3, "111100") + times(15, "010") + times(3, kFlat))));
  CHECK(refused(sequential("00" + times(4, "111100") + zeros), "make no sense"));
  CHECK(refused(sequential("00"
                           "11111" +
                           zeros),
                "make no sense"));
  CHECK(refused(sequential("11" + zeros), "make no sense"));
  const std::string sixteen_bits = table('\0', "\0\1"s, "\x10");
  CHECK(refused(sequential(zeros + zeros, sixteen_bits), "make no sense"));
  CHECK(refused(sequential(zeros, table('\0', "\3"s, "\0\1\2"s)), "impossible code lengths"));
  CHECK(accepted(sequential(times(4, "000"), table('\0', "\2"s, "\0\1"s))));
  CHECK(refused(sequential(zeros, table('\0', "\2"s, "\0"s)), "Huffman table is cut off"));

  const auto ac = [&](const std::string& bits, int first, int last, int low, const std::string& more = "") {
    return kStart + frame(progressive, 16, 16) + scan_header(1, 0, 0, 0, 0) + packed("00000000") +
           scan_header(1, first, last, 0, low) + packed(bits) + more + kEnd;
  };
  CHECK(
      accepted(ac("011"
                  "00"
                  "1101",
                  1, 3, 0)));
  CHECK(
      accepted(ac("011"
                  "011"
                  "011"
                  "1101",
                  1, 3, 0)));
  CHECK(refused(ac("111100" + zeros, 1, 15, 0), "make no sense"));  // the sixteenth of fifteen
  CHECK(
      accepted(ac("111100"
                  "1101",
                  1, 16, 0)));
  CHECK(refused(ac("1110" + times(15, "1") + zeros, 1, 63, 0), "make no sense"));
  // Refinements: only one bit at a time, and only where there is room for one.
  const auto refined = [&](const std::string& bits, int last) {
    return ac(
        "00"
        "1101",
        1, last, 1, scan_header(1, 1, last, 1, 0) + packed(bits));
  };
  CHECK(
      accepted(refined("011"
                       "00"
                       "1101",
                       3)));
  CHECK(refused(refined("1011" + zeros, 3), "make no sense"));
  CHECK(refused(refined("111100" + zeros, 15), "make no sense"));
  CHECK(
      accepted(refined("111100"
                       "1101",
                       16)));
}

TEST_CASE("hostile jpeg: other sampling, more data than pixels") {
  const std::string colour = scan_header(3, 0, 63, 0, 0);
  const std::string equal = colour + packed(times(64 * 64, kFlat + kFlat + kFlat));  // 512 x 512
  const std::string halved = colour + packed(times(32 * 32, times(6, kFlat)));
  const auto file = [](const std::string& sampling, const std::string& data, int height = 512) {
    return kStart + frame(baseline, 512, height, sampling) + data + kEnd;
  };
  CHECK(accepted(file("\x11\x11\x11", equal)));
  CHECK(accepted(file("\x22\x11\x11", halved)));
  CHECK(refused(file("\x11\x11\x11", halved), "end after 256 of 512 rows"));
  CHECK(refused(file("\x22\x11\x11", equal), "scan 1 has 3072 bytes more than 512 x 512 pixels need"));
  CHECK(refused(file("\x11\x11\x11", equal, 256), "scan 1 has 3072 bytes more"));
  // A little padding is no sign of anything.
  CHECK(accepted(file("\x11\x11\x11", equal + std::string(200, '\0'))));
  CHECK(accepted(file("\x11\x11\x11", equal) + "behind the end"));
}

TEST_CASE("jpeg: four components without Adobe's marker are inverted inks, as other programs take them") {
  const std::string data = scan_header(4, 0, 63, 0, 0) + packed(times(4, kFlat));  // all samples 128
  const std::string plain = frame(baseline, 8, 8, "\x11\x11\x11\x11") + data + kEnd;
  const std::string adobe = segment(0xEE, "Adobe\0\x64\0\0\0\0\0"s);
  const Image image = decoded(kStart + plain);
  CHECK(image == Image(8, 8, 3, 64));
  CHECK(decoded(kStart + adobe + plain) == image);
}

TEST_CASE("jpeg: EXIF orientation in any integer type turns the picture, other types do not") {
  const auto exif = [](bool little, int type, const std::string& value) {
    const auto number = [&](std::string text) {
      return little ? std::string(text.rbegin(), text.rend()) : text;
    };
    const std::string head = little ? "II*\0"s : "MM\0*"s;
    return segment(0xE1, "Exif\0\0"s + head + number("\0\0\0\x08"s) + number("\0\1"s) + number("\1\x12"s) +
                             number(be16(type)) + number("\0\0\0\1"s) + value + "\0\0\0\0"s);
  };
  const std::string picture = frame(baseline, 16, 8) + kScan + packed(times(2, kFlat)) + kEnd;
  struct Case {
    bool little;
    int type;
    std::string value;
    int width;
  };
  const Case cases[] = {
      {true, 1, "\6\xAA\xAA\xAA"s, 8},  {true, 3, "\6\0\xAA\xAA"s, 8},  {true, 4, "\6\0\0\0"s, 8},
      {true, 6, "\6\xAA\xAA\xAA"s, 8},  {true, 8, "\6\0\xAA\xAA"s, 8},  {true, 9, "\6\0\0\0"s, 8},
      {false, 1, "\6\xAA\xAA\xAA"s, 8}, {false, 3, "\0\6\xAA\xAA"s, 8}, {false, 4, "\0\0\0\6"s, 8},
      {true, 2, "\6\0\0\0"s, 16},       {true, 5, "\6\0\0\0"s, 16},     {true, 4, "\6\0\0\1"s, 16},
      {true, 4, "\x09\0\0\0"s, 16},
  };
  for (const Case& one : cases) {
    INFO("type ", one.type, one.little ? " little" : " big");
    CHECK(decoded(kStart + exif(one.little, one.type, one.value) + picture).width == one.width);
  }
  // A segment that ends within its mark; what follows is not part of it.
  const std::string behind = exif(true, 3, "\6\0\0\0"s).substr(4 + 5);
  CHECK(decoded(kStart + segment(0xE1, "Exif\0"s) + behind + picture).width == 16);
}

TEST_CASE("hostile jpeg: restart markers must be where the interval says") {
  const std::string begin = kStart + frame(baseline, 16, 16);
  const std::string half = packed(kFirst + kFlat), other = packed("100000000000" + kFlat);
  const auto file = [&](int units, const std::string& data) {
    return begin + restart_interval(units) + kScan + data + kEnd;
  };
  const std::string mark = "\xFF\xD0", next = "\xFF\xD1";
  CHECK(accepted(file(2, half + mark + half)));
  CHECK(accepted(file(2, half + "\xFF" + mark + half)));   // a fill byte
  CHECK(accepted(file(2, half + mark + half + next)));     // one behind the end
  CHECK(accepted(file(2, half + "\0\0"s + mark + half)));  // the decoder passes these over
  CHECK(refused(file(2, half + "\0\0\0"s + mark + half), "3 bytes too many before the restart marker"));
  CHECK(refused(file(2, half + half), "end after 8 of 16 rows"));
  CHECK(refused(file(2, half + mark), "end after 8 of 16 rows"));
  CHECK(refused(file(2, half + next + half), "restart marker 1 where 0 should be"));
  CHECK(refused(file(3, half + mark + half), "end after 8 of 16 rows"));
  CHECK(refused(file(1, half + mark + half), "end after 8 of 16 rows"));
  CHECK(refused(file(0, half + mark + half), "end after 8 of 16 rows"));
  CHECK(refused(begin + kScan + half + mark + half + kEnd, "end after 8 of 16 rows"));
}

TEST_CASE("hostile jpeg: every scan of a progressive picture has all its blocks") {
  const Scans scans;
  REQUIRE(accepted(scans.file()));
  CHECK(decoded(scans.file()) ==
        decoded(kStart + frame(baseline, 16, 16) + kScan + packed(kFirst + times(3, kFlat)) + kEnd));
  CHECK(refused(scans.file(16, 32), "the data of scan 1 end after 16 of 32 rows"));
  CHECK(refused(scans.file(24, 16), "the data of scan 1 end after"));

  Scans bad = scans;
  bad.dc = scan_header(1, 0, 0, 0, 1) + packed(
                                            "01111"
                                            "00");
  CHECK(refused(bad.file(), "the data of scan 1 end after 8 of 16 rows"));
  bad = scans;
  bad.ac = scan_header(1, 1, 63, 0, 1) + packed(
                                             "011"
                                             "00"
                                             "00");
  CHECK(refused(bad.file(), "the data of scan 2 end after 8 of 16 rows"));
  bad.ac = scan_header(1, 1, 63, 0, 1) + packed(
                                             "011"
                                             "00"
                                             "00"
                                             "1101");  // an end of three blocks for two
  CHECK(refused(bad.file(), "the data of scan 2 make no sense in row 16 of 16"));
  bad = scans;
  bad.dc_bit = scan_header(1, 0, 0, 1, 0);
  CHECK(refused(bad.file(), "the data of scan 3 end after 0 of 16 rows"));
  bad.dc_bit += '\xFF';  // a fill byte before the next marker is no data
  CHECK(refused(bad.file(), "the data of scan 3 end after 0 of 16 rows"));
  bad = scans;
  bad.ac_bit = scan_header(1, 1, 63, 1, 0) + packed(
                                                 "00"
                                                 "1"
                                                 "00");
  CHECK(refused(bad.file(), "the data of scan 4 end after 8 of 16 rows"));
  // Sixty-three coefficients that are known already need as many bits.
  bad = scans;
  bad.ac = scan_header(1, 1, 63, 0, 1) + packed(times(63, "011") +
                                                "00"
                                                "1100");
  bad.ac_bit = scan_header(1, 1, 63, 1, 0) + packed("00" + times(40, "1"));
  CHECK(refused(bad.file(), "the data of scan 4 end after 0 of 16 rows"));

  // Scans that are missing make a coarse picture, not a part of one.
  bad = scans;
  bad.dc_bit = bad.ac_bit = "";
  CHECK(accepted(bad.file()));
  bad = scans;
  bad.dc_bit += bad.dc_bit;
  CHECK(refused(bad.file(), "scan 4 repeats or skips a part of component 1"));
  bad.dc_bit = scans.dc;
  CHECK(refused(bad.file(), "scan 3 begins component 1 anew"));
  bad = scans;
  bad.ac = "";
  CHECK(refused(bad.file(), "scan 3 repeats or skips"));
  bad.ac_bit = scan_header(1, 0, 63, 1, 0) + packed("0000");
  CHECK(refused(bad.file(), "scan 3 is of coefficients 0 to 63"));
  bad = scans;
  bad.ac = "";
  bad.ac_bit = "";
  for (int bit : {1, 0})
    for (int k = 1; k < 64; ++k)
      bad.ac += scan_header(1, k, k, bit ? 0 : 1, bit) + packed(
                                                             "00"
                                                             "1101");
  CHECK(refused(bad.file(), "more than 100 scans"));
}

TEST_CASE("hostile bmp: runs that end before the picture does") {
  const auto le = [](uint32_t value, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> 8 * i & 255);
    return out;
  };
  // Two colours: 1 2 3 and 4 5 6 (red, green, blue); run-length coded, 8 bits, 3 pixels wide.
  const auto file = [&](uint32_t height, const std::string& runs) {
    return "BM" + le(0, 4) + le(0, 4) + le(62, 4) + le(40, 4) + le(3, 4) + le(height, 4) + le(1, 2) +
           le(8, 2) + le(1, 4) + le(0, 4) + le(0, 4) + le(0, 4) + le(2, 4) + le(0, 4) + "\3\2\1\0\6\5\4\0"s +
           runs;
  };
  const std::string row = "\3\1\0\0"s, end = "\0\1"s;
  REQUIRE(accepted(file(2, row + row + end)));
  CHECK(accepted(file(2, row + "\3\1"s + end)));
  CHECK(refused(file(4, row + row + end), "damaged BMP: its runs end after 2 of 4 rows"));
  CHECK(refused(file(4, row + row + "\1\1"s + end), "its runs end after 3 of 4 rows"));
  CHECK(refused(file(2, end), "its runs end after 0 of 2 rows"));
  CHECK(refused(file(2, row + row), "cut off"));
  // Skipped on purpose: all but the last pixel of the last row.
  Image expected(3, 3, 3);
  for (int y = 0; y < 3; ++y)
    for (int x = 0; x < 3; ++x)
      for (int c = 0; c < 3; ++c) expected.at(y, x, c) = uint8_t(c + (y == 0 && x == 2 ? 4 : 1));
  CHECK(decoded(file(3, "\0\0\0\2\2\1\1\1"s + end)) == expected);
}

// ---- much larger than their files ----

namespace {

std::string be32(uint32_t value) { return be16(int(value >> 16)) + be16(int(value & 0xFFFF)); }
std::string png_chunk(const std::string& type, const std::string& body) {
  const std::string both = type + body;
  const uint32_t sum = uint32_t(crc32_z(0, reinterpret_cast<const Bytef*>(both.data()), both.size()));
  return be32(uint32_t(body.size())) + both + be32(sum);
}
// A PNG whose rows are `raw`, each with its filter in front.
std::string png(int width, int height, int bits, int colour, const std::string& raw) {
  uLongf size = compressBound(raw.size());
  std::string data(size, '\0');
  REQUIRE(compress2(reinterpret_cast<Bytef*>(data.data()), &size, reinterpret_cast<const Bytef*>(raw.data()),
                    raw.size(), 6) == Z_OK);
  data.resize(size);
  return "\x89PNG\r\n\x1a\n" +
         png_chunk("IHDR", be32(uint32_t(width)) + be32(uint32_t(height)) + static_cast<char>(bits) +
                               static_cast<char>(colour) + "\0\0\0"s) +
         png_chunk("IDAT", data) + png_chunk("IEND", "");
}
std::string empty_png(int side, int bits, int colour, int samples) {
  return png(side, side, bits, colour,
             std::string(size_t(side) * (1 + (size_t(side) * bits * samples + 7) / 8), '\0'));
}
void write(const std::filesystem::path& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}
// Grey and flat, in one bit or two for each block.
std::string flat_jpeg(Kind kind, int side, const std::string& sampling) {
  const int blocks = (side + 7) / 8 * ((side + 7) / 8) * int(sampling.size());
  const bool whole = kind == baseline;
  return kStart + frame(kind, side, side, sampling) +
         scan_header(int(sampling.size()), 0, whole ? 63 : 0, 0, whole ? 0 : 1) +
         std::string(size_t(blocks) / (whole ? 2 : 4) + 1, '\0') + kEnd;
}
constexpr int kLargeSide = 9459;  // nearly all the pixels that are allowed

#if !defined(__SANITIZE_ADDRESS__)  // it would count its own memory
// By how much `work` raises the memory of a process, at its peak, in MiB. It runs in a copy of this process,
// whose peak so far does not count.
int64_t growth_of_memory(const std::function<void()>& work) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    struct rusage before {
    }, after{};
    ::getrusage(RUSAGE_SELF, &before);
    int64_t growth = -1;
    try {
      work();
      ::getrusage(RUSAGE_SELF, &after);
      growth = (after.ru_maxrss - before.ru_maxrss) / 1024;
    } catch (const std::exception&) {}
    const bool written = ::write(ends[1], &growth, sizeof(growth)) == sizeof(growth);
    ::_exit(written ? 0 : 1);
  }
  int64_t growth = -1;
  CHECK(::read(ends[0], &growth, sizeof(growth)) == sizeof(growth));
  ::close(ends[0]);
  ::close(ends[1]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  return growth;
}
#endif

}  // namespace

TEST_CASE("hostile: what unfolds to much more than its bytes is refused from the header") {
  // The data of a small picture with bytes behind them, so that their number alone gives nothing away.
  const std::string flat = empty_png(100, 16, 6, 4);
  const std::string data = flat.substr(41, flat.size() - 41 - 4 - 12) + std::string(800'000, '\0');
  const auto claim = [&](int side) {
    return flat.substr(0, 8) +
           png_chunk("IHDR", be32(uint32_t(side)) + be32(uint32_t(side)) + "\x10\6\0\0\0"s) +
           png_chunk("IDAT", data) + png_chunk("IEND", "");
  };
  REQUIRE(accepted(claim(100)));
  const std::string bomb = claim(kLargeSide), allowed = claim(4000);
  CHECK(refused(bomb, "would unfold to 682 MiB, 894 times its 800"));
  CHECK(refused(bomb, "(allowed: 257 MiB)"));
  CHECK(refused(allowed, "80100 bytes of pixel data where 128004000 are needed"));

  const std::string three = "\x11\x11\x11";
  const std::string colour = flat_jpeg(progressive, kLargeSide, three),
                    grey = flat_jpeg(baseline, kLargeSide, "\x11");
  CHECK(refused(colour, "would unfold to 1024 MiB"));
  CHECK(refused(grey, "would unfold to 341 MiB"));
#if !defined(__SANITIZE_ADDRESS__)
  for (const std::string* file : {&bomb, &colour, &grey})
    CHECK(growth_of_memory([&] {
            if (refusal(*file).empty()) throw std::runtime_error("accepted");
          }) <= 4);
#endif
}

TEST_CASE("hostile: how much memory decoding takes is known from the header") {
  const auto bytes = [](const std::string& file) {
    return int64_t(probe_image(std::as_bytes(std::span(file)), "the file").decoding_bytes);
  };
  const int64_t window = 64 * 1024;
  CHECK(bytes(empty_png(40, 8, 2, 3)) == 40 * 40 * 3 + window + 2 * (1 + 40 * 3));
  CHECK(bytes(empty_png(40, 16, 6, 4)) == 40 * 40 * 3 + window + 2 * (1 + 40 * 8));
  CHECK(bytes("P5 30 20 255\n") == 30 * 20 * 3);
  // 33 pixels are 5 blocks, or 3 groups of two.
  CHECK(bytes(flat_jpeg(baseline, 33, "\x11")) == 33 * 33 * 3 + 33 * 33);
  CHECK(bytes(flat_jpeg(baseline, 33, "\x11\x11\x11")) == 3 * 40 * 40 + 33 * 33 * 3);
  CHECK(bytes(flat_jpeg(progressive, 33, "\x11\x11\x11")) == 3 * 3 * 40 * 40 + 33 * 33 * 3);
  CHECK(bytes(flat_jpeg(progressive, 33, "\x22\x11\x11")) == 3 * (48 * 48 + 2 * 24 * 24) + 33 * 33 * 3);
}

TEST_CASE("hostile jpeg: work of all scans is bounded") {
  // 63 scans of one coefficient each, of 750,000 blocks: 47 million.
  const int side = 6928, blocks = side / 8 * (side / 8);
  std::string scan;
  for (int left = blocks; left > 0; left -= std::min(left, 3))
    scan += left >= 3 ? "1101" : left == 2 ? "1100" : "00";
  std::string file = kStart + frame(progressive, side, side) + scan_header(1, 0, 0, 0, 0) +
                     std::string(size_t(blocks) / 4 + 1, '\0');
  scan = packed(scan);
  for (int k = 1; k < 64; ++k) file += scan_header(1, k, k, 0, 0) + scan;
  CHECK(refused(file + kEnd, "more than the 33554432 allowed"));
}

#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE(
    "hostile: reading takes the memory that the header says, and several threads no more than they may") {
  const auto growth = [](const std::string& file) { return growth_of_memory([&] { decoded(file); }); };
  const auto announced = [](const std::string& file) {
    return int64_t(probe_image(std::as_bytes(std::span(file)), "the file").decoding_bytes >> 20);
  };
  const std::string deep = empty_png(4000, 16, 6, 4);  // 46 MiB, of 122 MiB of raw data
  const std::string jpeg = flat_jpeg(progressive, 3000, "\x11\x11\x11");
  for (const std::string* file : {&deep, &jpeg}) {
    CHECK(growth(*file) >= announced(*file) / 2);  // what was free before serves too
    CHECK(growth(*file) <= announced(*file) + 4);
  }
  CHECK(announced(deep) == 45);
  CHECK(announced(jpeg) == 102);

  // 256 MiB each, so that three fit into what all threads may take together.
  const std::string bomb = empty_png(kLargeSide, 1, 0, 1);
  REQUIRE(bomb.size() < 20'000);
  const tests::TemporaryFolder folder;
  for (int i = 0; i < 5; ++i) write(folder / (std::to_string(i) + ".png"), bomb);
  const int64_t several = growth_of_memory([&] {
    for (const PictureReport& report : check_pictures(folder.path(), 5).reports)
      if (!report.problem.empty()) throw std::runtime_error(report.problem);
  });
  CHECK(several >= 256);
  CHECK(several < 3 * 256 + 8);
}
#endif

TEST_CASE("memory budget: never more than the limit, but what is larger alone") {
  MemoryBudget budget(100);
  std::atomic<int> held = 0, holders = 0, most = 0;
  std::atomic<bool> alone = true;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      for (int i = 0; i < 50; ++i) {
        const int bytes = (t * 50 + i) % 17 == 0 ? 150 : 10 + (t + i) % 40;
        budget.take(size_t(bytes));
        const int others = holders++, sum = held += bytes;
        if (bytes > 100 && others > 0) alone = false;
        int seen = most;
        while (bytes <= 100 && sum > seen && !most.compare_exchange_weak(seen, sum)) {}
        std::this_thread::yield();
        held -= bytes, --holders;
        budget.give_back(size_t(bytes));
      }
    });
  for (auto& thread : threads) thread.join();
  CHECK(alone);
  CHECK(most <= 100);
  CHECK(budget.most_taken() == 150);
}

TEST_CASE("memory budget: who waits for much is not overtaken by who wants little") {
  using namespace std::chrono_literals;
  MemoryBudget budget(100);
  budget.take(60);
  auto much = std::async(std::launch::async, [&] { budget.take(80); });
  CHECK(much.wait_for(50ms) == std::future_status::timeout);
  auto little = std::async(std::launch::async, [&] { budget.take(30); });
  CHECK(little.wait_for(50ms) == std::future_status::timeout);
  budget.give_back(60);
  CHECK(much.wait_for(10s) == std::future_status::ready);
  CHECK(little.wait_for(50ms) == std::future_status::timeout);
  budget.give_back(80);
  CHECK(little.wait_for(10s) == std::future_status::ready);
}

TEST_CASE("reading begins when the memory that it needs is free, and no sooner") {
  using namespace std::chrono_literals;
  const tests::TemporaryFolder folder;
  const std::string small = empty_png(8, 8, 2, 3);
  for (const char* name : {"A", "B"}) {
    std::filesystem::create_directory(folder / name);
    write(folder / name / "a.png", small);
  }
  const std::filesystem::path file = folder / "A" / "a.png";
  DataOptions pairs;
  pairs.source = folder.path();
  pairs.examples = Examples::pairs;
  pairs.size = 8, pairs.workers = 1;
  const DataLayout& layout = find_layout(pairs);
  const ListedExample pair = layout.list(pairs).train[0].examples[0];
  DataOptions single = pairs;
  single.examples = Examples::pictures;
  const size_t decoding = probe_image(file).decoding_bytes;
  const size_t of_two = 2 * (small.size() + decoding + 8 * 8 * 3);  // with a copy of each
  struct Reader {
    size_t needs;
    std::function<void()> read;
  };
  const Reader readers[] = {
      {decoding, [&] { decode_image(std::as_bytes(std::span(small)), "bytes"); }},
      {small.size() + decoding, [&] { read_image(file); }},
      {small.size() + decoding, [&] { check_pictures(folder.path(), 1); }},
      {of_two / 2, [&] { const PictureSet set(single); }},
      {of_two, [&] { const PictureSet set(pairs); }},
      {of_two, [&] { check_examples(pairs.source, Examples::pairs, 1); }},
      {of_two, [&] { read_example(layout, pair, pairs, reading_of(pairs, 0)); }},
  };
  for (const Reader& reader : readers) {
    INFO("reader ", &reader - readers);
    std::future<void> reading;
    {
      const ReadingTurn others(PictureLimits::bytes_at_once - reader.needs + 1);
      reader.read();  // within a turn there is nothing to wait for
      reading = std::async(std::launch::async, reader.read);
      CHECK(reading.wait_for(50ms) == std::future_status::timeout);
    }
    CHECK(reading.wait_for(10s) == std::future_status::ready);
    const ReadingTurn others(PictureLimits::bytes_at_once - reader.needs);
    reading = std::async(std::launch::async, reader.read);
    CHECK(reading.wait_for(10s) == std::future_status::ready);
  }
}
