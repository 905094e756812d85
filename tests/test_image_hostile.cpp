// Pictures that are half there, or much larger than their files. JPEG files are built here bit by bit, so
// that each lie can be told alone.
#include <doctest/doctest.h>

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include "engine/image.h"
#include "kernels/check.h"

using namespace gan;
using namespace std::string_literals;

namespace {

// The reason for which a file is refused, "" if it is read.
std::string refusal(const std::string& file) {
  try {
    decode_image(std::as_bytes(std::span(file)), "the file");
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == Exit::bad_data);
    return error.what();
  }
}
bool refused(const std::string& file, std::string_view reason) {
  const std::string message = refusal(file);
  INFO("refused with: ", message);
  CHECK(message.find(reason) != std::string::npos);
  return message.find(reason) != std::string::npos;
}
bool accepted(const std::string& file) {
  const std::string message = refusal(file);
  INFO("refused with: ", message);
  CHECK(message.empty());
  return message.empty();
}
Image decoded(const std::string& file) { return decode_image(std::as_bytes(std::span(file)), "the file"); }

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

// Every coefficient counts eight. Codes of DC sizes: 00 0, 01 3, 10 4; of AC symbols: 00 end of block, 01 one
// of one bit, 10 one of two bits, 110 two or three blocks end, as the bit behind it says.
const std::string kStart = "\xFF\xD8"s + segment(0xDB, "\0"s + std::string(64, '\x08')) +
                           segment(0xC4, "\0\0\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0"s + "\0\3\4"s) +
                           segment(0xC4, "\x10\0\3\1\0\0\0\0\0\0\0\0\0\0\0\0\0"s + "\0\1\2\x10"s);
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
