// The checkpoint file format and the atomic writer under it: round trips, every single changed byte and every
// cut found, hand-made hostile headers each refused for the right reason, and what a full disk or a kill
// leaves behind.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "engine/files/atomic_file.h"
#include "engine/files/safetensors.h"
#include "kernels/contract/check.h"
#include "tests/support/folder.h"

namespace fs = std::filesystem;
using namespace gan;
using gan::tests::TemporaryFolder;

namespace {

using Bytes = std::vector<std::byte>;

Bytes to_bytes(std::string_view text) {
  Bytes bytes(text.size());
  std::memcpy(bytes.data(), text.data(), text.size());
  return bytes;
}

// A safetensors file with this header and so many zero bytes of data.
Bytes file_with(std::string_view header, size_t data_bytes, int64_t claimed_header_bytes = -1) {
  const uint64_t length =
      claimed_header_bytes < 0 ? header.size() : static_cast<uint64_t>(claimed_header_bytes);
  Bytes file(8 + header.size() + data_bytes);
  std::memcpy(file.data(), &length, 8);
  std::memcpy(file.data() + 8, header.data(), header.size());
  return file;
}

// The message with which opening and verifying `file` is refused; empty if it is accepted.
std::string refusal(const fs::path& path, const Bytes& file) {
  fs::remove(path);  // rewriting a file in place would wait for the disk each time
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(file.data()), static_cast<std::streamsize>(file.size()));
  try {
    SafetensorsFile::open(path).verify_hashes();
    return "";
  } catch (const Error& error) {
    CHECK(error.code() == Exit::bad_data);
    const std::string message = error.what();
    CHECK(message.starts_with(path.string()));
    return message.substr(path.string().size());
  }
}

// A small file with several types, a rank-0 and an empty tensor, and a configuration.
void save_sample(const fs::path& path) {
  static const std::vector<float> weights{1.5f, -2.0f, 0.0f, 3.25f, 1e-30f, -0.0f};
  static const std::vector<int64_t> step{500};
  static const std::vector<std::byte> flags{std::byte{1}, std::byte{0}, std::byte{1}};
  SafetensorsWriter writer;
  writer.metadata["config"] = "model = \"dcgan\"\nlr = 0.0002 # \\ \x01 \xC3\xA9 \xF0\x9F\x8E\xA8";
  writer.add("G.main.0.weight", {2, 3}, weights);
  writer.add("state.step", {}, step);
  writer.add("empty", {0, 4}, std::span<const float>{});
  writer.add("state.flags", FileType::boolean, {3}, flags);
  writer.save(path);
}

}  // namespace

TEST_CASE("xxh64: known answers and pieces") {
  // From the xxHash reference implementation.
  CHECK(xxh64({}) == 0xEF46DB3751D8E999);
  CHECK(xxh64(to_bytes("a")) == 0xD24EC4F1A98C6E5B);
  CHECK(xxh64(to_bytes("abc")) == 0x44BC2CF5AD770999);
  CHECK(xxh64(to_bytes("Nobody inspects the spammish repetition")) == 0xFBCEA83C8A378BF1);
  CHECK(xxh64(to_bytes("xxhash"), 20141025) == 0xB559B98D844E0635);

  Bytes data(300);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i * 7 + i / 5);
  for (size_t length : {0, 31, 32, 33, 64, 300})
    for (size_t piece : {1, 3, 8, 31, 32, 33, 100}) {
      XxHash64 hash(9);
      const std::span<const std::byte> all = std::span(data).first(length);
      for (size_t at = 0; at < length; at += piece) hash.add(all.subspan(at, std::min(piece, length - at)));
      CHECK(hash.value() == xxh64(all, 9));
    }
}

TEST_CASE("safetensors: values made when they are wanted give the same file") {
  const TemporaryFolder folder;
  const std::vector<float> values{1, 2, 3, 4};
  SafetensorsWriter held, made, wrong;
  held.add("a", {2, 2}, values), held.add("b", {4}, values);
  int calls = 0;
  made.add("a", {2, 2}, [&] { return ++calls, values; });
  made.add("b", {4}, values);
  held.save(folder / "held"), made.save(folder / "made");
  CHECK(calls == 2);
  CHECK(read_file(folder / "held", 4096) == read_file(folder / "made", 4096));
  wrong.add("a", {5}, [&] { return values; });
  CHECK_THROWS_WITH_AS(wrong.save(folder / "wrong"), doctest::Contains("has 4 values"), Error);
  CHECK_FALSE(fs::exists(folder / "wrong"));
}

TEST_CASE("half-precision numbers convert exactly") {
  CHECK(float_from_f16(0x3C00) == 1.0f);
  CHECK(float_from_f16(0xC000) == -2.0f);
  CHECK(float_from_f16(0x7BFF) == 65504.0f);
  CHECK(float_from_f16(0x0001) == 0x1p-24f);
  CHECK(float_from_f16(0x03FF) == 1023 * 0x1p-24f);
  CHECK(float_from_f16(0x3555) == 0.333251953125f);
  CHECK(std::signbit(float_from_f16(0x8000)));
  CHECK(std::isinf(float_from_f16(0x7C00)));
  CHECK(std::isnan(float_from_f16(0x7E00)));
  CHECK(float_from_bf16(0x3F80) == 1.0f);
  CHECK(float_from_bf16(0xC2F7) == -123.5f);
}

TEST_CASE("safetensors: what is written is read back") {
  const TemporaryFolder folder;
  const fs::path path = folder / "sample.safetensors";
  save_sample(path);
  const SafetensorsFile file = SafetensorsFile::open(path);
  file.verify_hashes();
  CHECK(file.has_hashes());
  CHECK(file.metadata().at("config") == "model = \"dcgan\"\nlr = 0.0002 # \\ \x01 \xC3\xA9 \xF0\x9F\x8E\xA8");
  REQUIRE(file.tensors().size() == 4);
  const TensorEntry& weights = file.get("G.main.0.weight");
  CHECK(weights.shape == std::vector<int64_t>{2, 3});
  CHECK(weights.type == FileType::f32);
  CHECK(weights.elements() == 6);
  const std::vector<float> values = file.read_f32("G.main.0.weight");
  CHECK(values == std::vector<float>{1.5f, -2.0f, 0.0f, 3.25f, 1e-30f, -0.0f});
  CHECK(std::signbit(values[5]));
  CHECK(file.read_f64("G.main.0.weight")[3] == 3.25);
  CHECK(file.read_i64("state.step") == std::vector<int64_t>{500});
  CHECK(file.get("state.step").shape.empty());
  CHECK(file.read_i64("state.flags") == std::vector<int64_t>{1, 0, 1});
  CHECK(file.read_f32("empty").empty());
  CHECK(file.find("missing") == nullptr);
  CHECK_THROWS_WITH_AS(file.get("missing"), doctest::Contains("has no tensor \"missing\""), Error);
  CHECK_THROWS_WITH_AS(file.read_f32("state.step"), doctest::Contains("is of type I64"), Error);

  // The layout of the format's own writer: data aligned to 8 bytes, larger types first, then by name.
  const Bytes raw = read_file(path, 1 << 20);
  uint64_t header = 0;
  std::memcpy(&header, raw.data(), 8);
  CHECK(header % 8 == 0);
  CHECK(file.tensors()[0].name == "state.step");
  CHECK(file.tensors()[3].name == "state.flags");
  save_sample(folder / "again.safetensors");
  CHECK(read_file(folder / "again.safetensors", 1 << 20) == raw);  // same content, same bytes
}

TEST_CASE("safetensors: float16, bfloat16 and float64 become float32") {
  const TemporaryFolder folder;
  const std::vector<uint16_t> half{0x3C00, 0xC000}, brain{0x3F80, 0xC2F7};
  const std::vector<double> wide{0.1, -1e300};
  SafetensorsWriter writer;
  writer.add("half", FileType::f16, {2}, std::as_bytes(std::span(half)));
  writer.add("brain", FileType::bf16, {2}, std::as_bytes(std::span(brain)));
  writer.add("wide", FileType::f64, {2}, std::as_bytes(std::span(wide)));
  writer.save(folder / "types.safetensors");
  const SafetensorsFile file = SafetensorsFile::open(folder / "types.safetensors");
  CHECK(file.read_f32("half") == std::vector<float>{1.0f, -2.0f});
  CHECK(file.read_f32("brain") == std::vector<float>{1.0f, -123.5f});
  CHECK(file.read_f64("wide") == wide);
  CHECK(file.read_f32("wide")[0] == 0.1f);
}

TEST_CASE("safetensors: every changed byte is found") {
  const TemporaryFolder folder;
  save_sample(folder / "sample.safetensors");
  const Bytes good = read_file(folder / "sample.safetensors", 1 << 20);
  REQUIRE(refusal(folder / "same", good).empty());
  for (size_t at = 0; at < good.size(); ++at)
    for (const int change : {0x01, 0x20, 0x80, 0xFF}) {
      Bytes bad = good;
      bad[at] ^= static_cast<std::byte>(change);
      const std::string message = refusal(folder / "bad", bad);
      INFO("byte ", at, " xor ", change);
      CHECK(!message.empty());
    }
  Bytes bad = good;
  bad.back() ^= std::byte{1};  // the last tensor in the file
  CHECK(refusal(folder / "bad", bad).find("tensor \"state.flags\" does not match its hash") !=
        std::string::npos);
}

TEST_CASE("safetensors: every cut and every appended byte is found") {
  const TemporaryFolder folder;
  save_sample(folder / "sample.safetensors");
  const Bytes good = read_file(folder / "sample.safetensors", 1 << 20);
  for (size_t length = 0; length < good.size(); ++length) {
    INFO("cut to ", length);
    CHECK(!refusal(folder / "bad", Bytes(good.begin(), good.begin() + static_cast<long>(length))).empty());
  }
  Bytes longer = good;
  longer.push_back({});
  CHECK(refusal(folder / "bad", longer).find("1 bytes follow the last tensor") != std::string::npos);
}

TEST_CASE("safetensors: hostile headers are refused, each for its reason") {
  struct Case {
    std::string header, reason;  // reason: part of the message, "" if the file is valid
    size_t data_bytes = 0;
    int64_t claimed = -1;
  };
  const auto tensor = [](const std::string& shape, const std::string& offsets,
                         const std::string& type = "F32") {
    return "{\"a\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}";
  };
  const std::string one = "\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]";
  const std::string empty_tensor = "{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}";
  const std::vector<Case> cases{
      // valid ones, so that the refusals below mean something
      {"{}", ""},
      {"{}   ", ""},
      {tensor("[1]", "[0,4]"), "", 4},
      {" {\"a\":1}", "does not begin with {"},
      {tensor("[]", "[0,4]"), "", 4},
      {tensor("[0]", "[0,0]"), ""},
      {"{ \"a\" : {\n\"shape\":[ 1 ],\t\"data_offsets\":[0, 4],\"dtype\":\"F32\"} }", "", 4},
      {"{\"__metadata__\":{},\"a\":{" + one + "}}", "", 4},
      {"{\"\\u00e9\\ud83c\\udfa8\":{" + one + "}}", "", 4},
      {"{\"a\":" + empty_tensor + ",\"b\":" + empty_tensor + "}", ""},
      {tensor("[4]", "[0,2]", "F4"), "", 2},
      // length of the header
      {"", "does not begin with {"},
      {"{}", "larger than", 0, int64_t{1} << 40},
      {"{}", "larger than", 0, std::numeric_limits<int64_t>::max()},
      {"{}", "cut off", 0, 3},
      {"{}", "expected", 0, 1},
      // grammar
      {"[]", "does not begin with {"},
      {"{", "'\"' expected"},
      {"{\"a\"", "':' expected"},
      {"{\"a\":1}", "'{' expected"},
      {"{\"a\":null}", "'{' expected"},
      {"{\"a\":{}}", "lacks dtype"},
      {"{}x", "something follows"},
      {"{}\n", "something follows"},
      {"{},{}", "something follows"},
      {"{\"a\":{" + one + "},}", "'\"' expected", 4},
      {"{'a':{" + one + "}}", "'\"' expected", 4},
      {"{\"a", "a text without end"},
      {"{\"a\nb\":{" + one + "}}", "control character", 4},
      {"{\"a\\x\":{" + one + "}}", "unknown escape", 4},
      {"{\"a\\u12g4\":{" + one + "}}", "four hexadecimal", 4},
      {"{\"a\\ud800\":{" + one + "}}", "surrogate", 4},
      {"{\"a\\udc00\":{" + one + "}}", "surrogate", 4},
      {"{\"a\xFF\":{" + one + "}}", "not UTF-8", 4},
      {"{\"a\xC0\xAF\":{" + one + "}}", "not UTF-8", 4},      // overlong
      {"{\"a\xED\xA0\x80\":{" + one + "}}", "not UTF-8", 4},  // surrogate
      {"{\"a\xE2\x82\":{" + one + "}}", "not UTF-8", 4},      // incomplete
      {"{\"a\":{\"a\":{\"a\":{}}}}", "unknown entry \"a\""},
      {std::string(100'000, '{'), "'\"' expected"},
      {"{\"a\":" + std::string(100'000, '['), "'{' expected"},
      // duplicates
      {"{\"a\":" + empty_tensor + ",\"a\":" + empty_tensor + "}", "two tensors \"a\""},
      {"{\"a\":" + empty_tensor + ",\"\\u0061\":" + empty_tensor + "}", "two tensors \"a\""},
      {"{\"a\":{\"dtype\":\"F32\"," + one + "}}", "two entries \"dtype\"", 4},
      {"{\"__metadata__\":{},\"__metadata__\":{}}", "two __metadata__"},
      {"{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", "two metadata entries \"k\""},
      {"{\"__metadata__\":{\"k\":1}}", "'\"' expected"},
      {"{\"__metadata__\":{\"k\":{}}}", "'\"' expected"},
      // members of a tensor
      {"{\"a\":{" + one + ",\"strides\":[1]}}", "unknown entry \"strides\"", 4},
      {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", "lacks", 4},
      {tensor("[1]", "[0,4]", "F31"), "unknown type \"F31\"", 4},
      {tensor("[1]", "[0,4]", "f32"), "unknown type", 4},
      {tensor("1", "[0,4]"), "'[' expected", 4},
      {tensor("[1.0]", "[0,4]"), "not whole", 4},
      {tensor("[1e0]", "[0,4]"), "not whole", 4},
      {tensor("[-1]", "[0,4]"), "0 or larger", 4},
      {tensor("[NaN]", "[0,4]"), "0 or larger", 4},
      {tensor("[01]", "[0,4]"), "leading zero", 4},
      {tensor("[\"1\"]", "[0,4]"), "0 or larger", 4},
      {tensor("[9223372036854775808]", "[0,4]"), "too large", 4},
      {tensor("[1,1,1,1,1,1,1,1,1]", "[0,4]"), "more than 8", 4},
      {tensor("[1]", "[0]"), "1 offsets", 4},
      {tensor("[1]", "[0,4,8]"), "more than 2", 4},
      // sizes and places
      {tensor("[4294967296,4294967296]", "[0,0]"), "no possible size"},
      {tensor("[2305843009213693952,8]", "[0,0]"), "no possible size"},
      {tensor("[4611686018427387904]", "[0,0]"), "no possible size"},  // times 32 bits
      {tensor("[3]", "[0,2]", "F4"), "no possible size", 2},
      {tensor("[1]", "[4,0]"), "lies at bytes 4 to 0", 4},
      {tensor("[1]", "[0,5]"), "lies at bytes 0 to 5", 4},
      {tensor("[1]", "[9223372036854775803,9223372036854775807]"), "lies at", 4},
      {tensor("[2]", "[0,4]"), "needs 8 bytes but has 4", 4},
      {tensor("[0]", "[0,4]"), "needs 0 bytes but has 4", 4},
      {tensor("[1]", "[4,8]"), "belong to no tensor", 8},
      {tensor("[1]", "[0,4]"), "follow the last tensor", 12},
      {"{}", "follow the last tensor", 1},
      {"{\"a\":{" + one + "},\"b\":{" + one + "}}", "overlap", 4},
      {"{\"a\":{" + one + "},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[2,6]}}", "overlap", 6},
      {"{\"" + std::string(1025, 'n') + "\":{" + one + "}}", "name of 1025 bytes", 4},
      {"{\"a\\u0000b\":{" + one + "}}", "zero byte", 4},
      // hashes that do not hold
      {"{\"__metadata__\":{\"xxh64.a\":\"0\"},\"a\":{" + one + "}}", "header does not match", 4},
      {"{\"__metadata__\":{\"xxh64.header\":\"0123456789abcdef\"}}", "header does not match"},
  };
  const TemporaryFolder folder;
  for (const Case& c : cases) {
    const std::string message =
        refusal(folder / "case.safetensors", file_with(c.header, c.data_bytes, c.claimed));
    INFO(c.header.substr(0, 200), " gives: ", message);
    if (c.reason.empty()) CHECK(message.empty());
    else CHECK(message.find(c.reason) != std::string::npos);
  }
}

TEST_CASE("safetensors: caps on counts and header size") {
  const TemporaryFolder folder;
  std::string header = "{";
  for (int i = 0; i <= 100'000; ++i)
    header +=
        fmt::format("{}\"{}\":{{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}", i ? "," : "", i);
  header += "}";
  CHECK(refusal(folder / "many", file_with(header, 0)).find("more than 100000 tensors") != std::string::npos);

  std::string metadata = "{\"__metadata__\":{";
  for (int i = 0; i <= 200'000; ++i) metadata += fmt::format("{}\"{}\":\"\"", i ? "," : "", i);
  metadata += "}}";
  CHECK(refusal(folder / "many", file_with(metadata, 0)).find("more than 200000 metadata") !=
        std::string::npos);

  const std::string padded = "{}" + std::string(SafetensorsFile::kUsualHeaderLimit, ' ');
  CHECK(refusal(folder / "padded", file_with(padded, 0)).find("larger than") != std::string::npos);
  CHECK(SafetensorsFile::open(folder / "padded", SafetensorsFile::kLargestHeaderLimit).tensors().empty());
}

TEST_CASE("safetensors: what is no file is refused at once") {
  const TemporaryFolder folder;
  CHECK_THROWS_WITH_AS(SafetensorsFile::open(folder / "absent"), doctest::Contains("No such file"), Error);
  fs::create_directory(folder / "folder");
  CHECK_THROWS_WITH_AS(SafetensorsFile::open(folder / "folder"), doctest::Contains("is a folder"), Error);
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THROWS_WITH_AS(SafetensorsFile::open(folder / "pipe"), doctest::Contains("is a pipe"), Error);
}

TEST_CASE("safetensors: the writer refuses what it could not read back") {
  SafetensorsWriter writer;
  const std::vector<float> four(4);
  CHECK_THROWS_AS(writer.add("a", {5}, four), Error);
  CHECK_THROWS_AS(writer.add("__metadata__", {4}, four), Error);
  CHECK_THROWS_AS(writer.add("a", {1, 1, 1, 1, 1, 1, 1, 1, 4}, four), Error);
  writer.add("a", {4}, four);
  CHECK_THROWS_AS(writer.add("a", {4}, four), Error);
  writer.metadata["xxh64.a"] = "0";
  const TemporaryFolder folder;
  CHECK_THROWS_AS(writer.save(folder / "x"), Error);
  writer.metadata = {{"k", "\xFF"}};
  CHECK_THROWS_AS(writer.save(folder / "x"), Error);
  CHECK(folder.files() == 0);
}

// ---- the atomic writer ----

TEST_CASE("atomic file: content, mode, symbolic links, devices") {
  const TemporaryFolder folder;
  const fs::path path = folder / "file";
  const auto content = [](const fs::path& file) {
    const Bytes bytes = read_file(file, 1 << 20);
    return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  const std::vector<Bytes> pieces{to_bytes("one "), {}, to_bytes("two")};
  const std::vector<std::span<const std::byte>> parts(pieces.begin(), pieces.end());
  write_file_atomically(path, parts);
  CHECK(content(path) == "one two");
  REQUIRE(::chmod(path.c_str(), 0640) == 0);
  write_file_atomically(path, to_bytes("three"));
  CHECK(content(path) == "three");
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0640);

  fs::create_symlink("file", folder / "link");
  write_file_atomically(folder / "link", to_bytes("four"));
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(content(path) == "four");
  CHECK(folder.files() == 2);

  write_file_atomically("/dev/null", to_bytes("nothing is replaced"));
  CHECK(fs::is_character_file("/dev/null"));

  CHECK_THROWS_WITH_AS(read_file(path, 3), doctest::Contains("4 bytes is more than the 3 allowed"), Error);
}

TEST_CASE("atomic file: failures are Exit::io and name the path") {
  const TemporaryFolder folder;
  const fs::path missing = folder / "missing/file";
  try {
    write_file_atomically(missing, to_bytes("12345"));
    FAIL("a file was written into a folder that does not exist");
  } catch (const Error& error) {
    CHECK(error.code() == Exit::io);
    const std::string message = error.what();
    CHECK(message.find(missing.string()) != std::string::npos);
    CHECK(message.find("5 bytes needed") != std::string::npos);
  }
  fs::create_directory(folder / "folder");
  CHECK_THROWS_AS(write_file_atomically(folder / "folder", to_bytes("x")), Error);
  CHECK(folder.files() == 1);
}

TEST_CASE("atomic file: a full disk leaves the old file and nothing else") {
  const TemporaryFolder folder;
  const fs::path path = folder / "checkpoint";
  const Bytes old(1000, std::byte{7});
  write_file_atomically(path, old);
  constexpr rlim_t kFileBytes = 100'000;
  const Bytes fresh(kFileBytes, std::byte{9});
  // Room for so many bytes of the file; the last two are enough.
  for (const rlim_t room : {rlim_t{0}, rlim_t{1}, rlim_t{4096}, kFileBytes - 1, kFileBytes, kFileBytes + 1}) {
    INFO("room for ", room);
    const pid_t child = ::fork();
    if (child == 0) {
      std::signal(SIGXFSZ, SIG_IGN);
      const struct rlimit limit { room, room };
      ::setrlimit(RLIMIT_FSIZE, &limit);
      int code = 0;
      try {
        write_file_atomically(path, fresh);
      } catch (const Error& error) { code = static_cast<int>(error.code()); }
      ::_exit(code);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFEXITED(status));
    const bool fits = room >= kFileBytes;
    CHECK(WEXITSTATUS(status) == (fits ? 0 : static_cast<int>(Exit::io)));
    CHECK(read_file(path, 1 << 20) == (fits ? fresh : old));
    CHECK(folder.files() == 1);
  }
}

TEST_CASE("atomic file: a kill at any moment leaves a complete file") {
  const TemporaryFolder folder;
  const fs::path path = folder / "checkpoint";
  constexpr size_t kBytes = 400'000;
  write_file_atomically(path, Bytes(kBytes, std::byte{1}));
  int rewritten = 0;
  for (int round = 0; round < 30; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      for (int value = 2;; value = value % 250 + 1)
        write_file_atomically(path, Bytes(kBytes, static_cast<std::byte>(value)));
    }
    ::usleep(static_cast<useconds_t>(2000 + 700 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    const Bytes found = read_file(path, 1 << 20);
    REQUIRE(found.size() == kBytes);
    CHECK(std::all_of(found.begin(), found.end(), [&](std::byte b) { return b == found[0]; }));
    rewritten += found[0] != std::byte{1};
  }
  CHECK(rewritten > 0);  // the children did get to write
}
