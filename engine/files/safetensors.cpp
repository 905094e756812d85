// Top to bottom: the element types, XXH64, the header's grammar, the reader with its checks, the writer.
// The grammar is a fragment of JSON: one object whose values are either tensor descriptions or, once, the
// metadata.
#include "engine/files/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include "kernels/contract/check.h"

namespace gan {

static_assert(std::endian::native == std::endian::little,
              "safetensors data are little-endian and read in place");

namespace {

namespace fs = std::filesystem;
using Bytes = std::span<const std::byte>;

constexpr size_t kMaxRank = 8;
constexpr size_t kMaxNameBytes = 1024;
constexpr size_t kMaxTensors = 100'000;
constexpr size_t kMaxMetadata = 2 * kMaxTensors;  // a hash for each tensor, and as much again
constexpr std::string_view kMetadataKey = "__metadata__";
constexpr std::string_view kHashPrefix = "xxh64.";
constexpr std::string_view kHeaderHash = "xxh64.header";

struct TypeInfo {
  FileType type;
  std::string_view name;
  int bits;
};
// clang-format off
constexpr TypeInfo kTypes[] = {
    {FileType::u64, "U64", 64},         {FileType::i64, "I64", 64},         {FileType::f64, "F64", 64},
    {FileType::c64, "C64", 64},         {FileType::f32, "F32", 32},         {FileType::u32, "U32", 32},
    {FileType::i32, "I32", 32},         {FileType::bf16, "BF16", 16},       {FileType::f16, "F16", 16},
    {FileType::u16, "U16", 16},         {FileType::i16, "I16", 16},         {FileType::f8_e8m0, "F8_E8M0", 8},
    {FileType::f8_e4m3, "F8_E4M3", 8},  {FileType::f8_e5m2, "F8_E5M2", 8},  {FileType::i8, "I8", 8},
    {FileType::u8, "U8", 8},            {FileType::f6_e3m2, "F6_E3M2", 6},  {FileType::f6_e2m3, "F6_E2M3", 6},
    {FileType::f4, "F4", 4},            {FileType::boolean, "BOOL", 8},
};
// clang-format on
const TypeInfo& info_of(FileType type) { return kTypes[static_cast<size_t>(type)]; }

// The product of the shape, or nothing if it does not fit in 63 bits.
std::optional<int64_t> checked_elements(std::span<const int64_t> shape) {
  int64_t product = 1;
  for (const int64_t extent : shape)
    if (extent < 0 || __builtin_mul_overflow(product, extent, &product)) return std::nullopt;
  return product;
}

// The bytes of a tensor, or nothing if that overflows or is no whole number.
std::optional<uint64_t> checked_bytes(std::span<const int64_t> shape, FileType type) {
  const std::optional<int64_t> elements = checked_elements(shape);
  int64_t bits = 0;
  if (!elements || __builtin_mul_overflow(*elements, bits_of(type), &bits) || bits % 8 != 0)
    return std::nullopt;
  return static_cast<uint64_t>(bits / 8);
}

}  // namespace

std::string_view name_of(FileType type) { return info_of(type).name; }
int64_t bits_of(FileType type) { return info_of(type).bits; }
int64_t TensorEntry::elements() const { return checked_elements(shape).value_or(0); }

// ---- XXH64: four lanes of multiply and rotate over 32-byte stripes, then the tail, then an avalanche ----

namespace {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87, kPrime2 = 0xC2B2AE3D27D4EB4F, kPrime3 = 0x165667B19E3779F9,
                   kPrime4 = 0x85EBCA77C2B2AE63, kPrime5 = 0x27D4EB2F165667C5;

template <class T>
T load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
uint64_t mix(uint64_t lane, uint64_t input) { return std::rotl(lane + input * kPrime2, 31) * kPrime1; }

}  // namespace

XxHash64::XxHash64(uint64_t seed)
    : lanes_{seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1}, seed_(seed) {}

void XxHash64::add(Bytes bytes) {
  const auto stripe = [this](const std::byte* from) {
    for (size_t i = 0; i < 4; ++i) lanes_[i] = mix(lanes_[i], load<uint64_t>(from + 8 * i));
  };
  size_t held = total_ % 32;
  total_ += bytes.size();
  if (held > 0) {
    const size_t taken = std::min(bytes.size(), 32 - held);
    std::copy_n(bytes.begin(), taken, waiting_ + held);
    bytes = bytes.subspan(taken);
    held += taken;
    if (held < 32) return;
    stripe(waiting_);
  }
  for (; bytes.size() >= 32; bytes = bytes.subspan(32)) stripe(bytes.data());
  std::copy(bytes.begin(), bytes.end(), waiting_);
}

uint64_t XxHash64::value() const {
  uint64_t hash = seed_ + kPrime5;
  if (total_ >= 32) {
    hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) +
           std::rotl(lanes_[3], 18);
    for (const uint64_t lane : lanes_) hash = (hash ^ mix(0, lane)) * kPrime1 + kPrime4;
  }
  hash += total_;
  const std::byte *at = waiting_, *end = waiting_ + total_ % 32;
  for (; end - at >= 8; at += 8) hash = std::rotl(hash ^ mix(0, load<uint64_t>(at)), 27) * kPrime1 + kPrime4;
  for (; end - at >= 4; at += 4)
    hash = std::rotl(hash ^ load<uint32_t>(at) * kPrime1, 23) * kPrime2 + kPrime3;
  for (; at < end; ++at) hash = std::rotl(hash ^ std::to_integer<uint64_t>(*at) * kPrime5, 11) * kPrime1;
  hash = (hash ^ hash >> 33) * kPrime2;
  hash = (hash ^ hash >> 29) * kPrime3;
  return hash ^ hash >> 32;
}

uint64_t xxh64(Bytes bytes, uint64_t seed) {
  XxHash64 hash(seed);
  hash.add(bytes);
  return hash.value();
}

namespace {

std::string to_hex(uint64_t hash) { return fmt::format("{:016x}", hash); }

// Covers all metadata but the hash itself, and all tensors. Each text is preceded by its length, so that no
// two different headers give the same sequence of bytes.
std::string header_hash(const std::map<std::string, std::string>& metadata,
                        std::span<const TensorEntry> tensors) {
  XxHash64 hash;
  const auto number = [&](uint64_t value) { hash.add(std::as_bytes(std::span(&value, 1))); };
  const auto text = [&](std::string_view value) {
    number(value.size());
    hash.add(std::as_bytes(std::span(value)));
  };
  for (const auto& [key, value] : metadata) {
    if (key == kHeaderHash) continue;
    text(key);
    text(value);
  }
  for (const TensorEntry& tensor : tensors) {
    text(tensor.name);
    text(name_of(tensor.type));
    number(tensor.shape.size());
    for (const int64_t extent : tensor.shape) number(static_cast<uint64_t>(extent));
    number(tensor.begin);
    number(tensor.end);
  }
  return to_hex(hash.value());
}

// ---- the header's grammar ----

// Length of the UTF-8 sequence at the start of `text` (non-empty), 0 if it is not valid: overlong forms,
// surrogates and values above U+10FFFF are not.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) -> uint32_t {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  const uint32_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xC2 && first < 0xE0   ? 2
                        : first >= 0xE0 && first < 0xF0 ? 3
                        : first >= 0xF0 && first < 0xF5 ? 4
                                                        : 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xC0) != 0x80) return 0;
  const uint32_t second = byte(1);
  if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
      (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F))
    return 0;
  return length;
}

void append_utf8(std::string& text, uint32_t code) {
  const auto put = [&](uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6), put(0x80 | (code & 63));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12), put(0x80 | (code >> 6 & 63)), put(0x80 | (code & 63));
  } else {
    put(0xF0 | code >> 18), put(0x80 | (code >> 12 & 63)), put(0x80 | (code >> 6 & 63)),
        put(0x80 | (code & 63));
  }
}

struct Header {
  std::map<std::string, std::string> metadata;
  std::vector<TensorEntry> tensors;
};

// Reads   { "__metadata__": {"key": "text", ...}, "name": {"dtype": "F32", "shape": [2, 3], "data_offsets":
// [0, 24]}, ... } followed by nothing but spaces. Recursion is as deep as this line and no deeper.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Header parse() {
    if (text_.empty() || text_[0] != '{') refuse("the header does not begin with {{");
    bool metadata_seen = false;
    std::set<std::string> names;
    object([&](const std::string& name) {
      if (name == kMetadataKey) {
        if (std::exchange(metadata_seen, true)) refuse("two __metadata__ entries");
        object([&](const std::string& key) {
          if (!header_.metadata.emplace(key, string()).second) refuse("two metadata entries \"{}\"", key);
          if (header_.metadata.size() > kMaxMetadata) refuse("more than {} metadata entries", kMaxMetadata);
        });
        return;
      }
      if (name.size() > kMaxNameBytes)
        refuse("a tensor name of {} bytes; at most {}", name.size(), kMaxNameBytes);
      if (name.find('\0') != std::string::npos) refuse("a tensor name with a zero byte");
      if (!names.insert(name).second) refuse("two tensors \"{}\"", name);
      if (names.size() > kMaxTensors) refuse("more than {} tensors", kMaxTensors);
      header_.tensors.push_back(tensor(name));
    });
    while (at_ < text_.size())
      if (text_[at_++] != ' ') refuse("something follows the header's end");
    return std::move(header_);
  }

 private:
  template <class... A>
  [[noreturn]] void refuse(fmt::format_string<A...> f, A&&... a) const {
    fail(Exit::bad_data, "{}: not a valid safetensors file: {} (at byte {} of the header)", file_,
         fmt::format(f, std::forward<A>(a)...), at_);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_spaces() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') ++at_;
  }
  bool take(char wanted) {
    skip_spaces();
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }
  void expect(char wanted) {
    if (!take(wanted)) refuse("'{}' expected", wanted);
  }

  template <class Member>
  void object(Member member) {
    expect('{');
    if (take('}')) return;
    do {
      const std::string key = string();
      expect(':');
      member(key);
    } while (take(','));
    expect('}');
  }

  uint32_t hex4() {
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
      const char c = peek();
      const int digit = c >= '0' && c <= '9'   ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : -1;
      if (digit < 0) refuse("four hexadecimal digits expected after \\u");
      value = value << 4 | static_cast<uint32_t>(digit);
      ++at_;
    }
    return value;
  }

  std::string string() {
    expect('"');
    std::string value;
    for (;;) {
      if (at_ >= text_.size()) refuse("a text without end");
      const char c = text_[at_];
      if (c == '"') {
        ++at_;
        return value;
      }
      if (static_cast<unsigned char>(c) < 0x20) refuse("a control character in a text");
      if (c != '\\') {
        const size_t length = utf8_length(text_.substr(at_));
        if (length == 0) refuse("a text that is not UTF-8");
        value.append(text_.substr(at_, length));
        at_ += length;
        continue;
      }
      ++at_;
      constexpr std::string_view escapes = "\"\\/bfnrtu", meanings = "\"\\/\b\f\n\r\t";
      const size_t which = escapes.find(peek());
      if (peek() == '\0' || which == std::string_view::npos) refuse("an unknown escape in a text");
      ++at_;
      if (which < meanings.size()) {
        value.push_back(meanings[which]);
        continue;
      }
      uint32_t code = hex4();
      if (code >= 0xD800 && code < 0xDC00) {  // first half of a pair
        const bool second = text_.substr(at_, 2) == "\\u";
        if (second) at_ += 2;
        const uint32_t low = second ? hex4() : 0;
        if (low < 0xDC00 || low > 0xDFFF) refuse("half of a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      } else if (code >= 0xDC00 && code <= 0xDFFF) {
        refuse("half of a surrogate pair");
      }
      append_utf8(value, code);
    }
  }

  // A whole number from 0 to 2^63 - 1; no sign, fraction, exponent or leading zero.
  int64_t number() {
    skip_spaces();
    int64_t value = 0;
    const size_t begin = at_;
    for (; peek() >= '0' && peek() <= '9'; ++at_)
      if (__builtin_mul_overflow(value, int64_t{10}, &value) ||
          __builtin_add_overflow(value, int64_t{peek() - '0'}, &value))
        refuse("a number that is too large");
    if (at_ == begin) refuse("a whole number, 0 or larger, expected");
    if (text_[begin] == '0' && at_ - begin > 1) refuse("a number with a leading zero");
    if (peek() == '.' || peek() == 'e' || peek() == 'E') refuse("a number that is not whole");
    return value;
  }

  std::vector<int64_t> numbers(size_t most) {
    std::vector<int64_t> values;
    expect('[');
    if (take(']')) return values;
    do {
      if (values.size() == most) refuse("more than {} numbers in a list", most);
      values.push_back(number());
    } while (take(','));
    expect(']');
    return values;
  }

  TensorEntry tensor(const std::string& name) {
    TensorEntry entry;
    entry.name = name;
    std::set<std::string> seen;
    object([&](const std::string& key) {
      if (!seen.insert(key).second) refuse("tensor \"{}\" has two entries \"{}\"", name, key);
      if (key == "dtype") {
        const std::string type = string();
        const auto found =
            std::find_if(std::begin(kTypes), std::end(kTypes), [&](auto& t) { return t.name == type; });
        if (found == std::end(kTypes)) refuse("tensor \"{}\" has the unknown type \"{}\"", name, type);
        entry.type = found->type;
      } else if (key == "shape") {
        entry.shape = numbers(kMaxRank);
      } else if (key == "data_offsets") {
        const std::vector<int64_t> offsets = numbers(2);
        if (offsets.size() != 2) refuse("tensor \"{}\" has {} offsets instead of 2", name, offsets.size());
        entry.begin = static_cast<uint64_t>(offsets[0]);
        entry.end = static_cast<uint64_t>(offsets[1]);
      } else {
        refuse("tensor \"{}\" has the unknown entry \"{}\"", name, key);
      }
    });
    if (seen.size() != 3) refuse("tensor \"{}\" lacks dtype, shape or data_offsets", name);
    return entry;
  }

  std::string_view text_;
  const std::string& file_;
  size_t at_ = 0;
  Header header_;
};

// Every tensor has the size its shape demands, and together they fill the data without hole, overlap or rest.
void check_places(std::vector<TensorEntry>& tensors, uint64_t data_bytes, const std::string& file) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  uint64_t filled = 0;
  for (const TensorEntry& tensor : tensors) {
    const std::optional<uint64_t> bytes = checked_bytes(tensor.shape, tensor.type);
    if (!bytes)
      fail(Exit::bad_data, "{}: tensor \"{}\" of shape [{}] has no possible size", file, tensor.name,
           fmt::join(tensor.shape, ", "));
    if (tensor.begin > tensor.end || tensor.end > data_bytes)
      fail(Exit::bad_data, "{}: tensor \"{}\" lies at bytes {} to {}, but the file has {} bytes of data",
           file, tensor.name, tensor.begin, tensor.end, data_bytes);
    if (tensor.bytes() != *bytes)
      fail(Exit::bad_data, "{}: tensor \"{}\" of type {} and shape [{}] needs {} bytes but has {}", file,
           tensor.name, name_of(tensor.type), fmt::join(tensor.shape, ", "), *bytes, tensor.bytes());
    if (tensor.begin != filled)
      fail(Exit::bad_data, "{}: tensor \"{}\" begins at byte {} where {} was expected: {}", file, tensor.name,
           tensor.begin, filled,
           tensor.begin < filled ? "tensors overlap" : "bytes that belong to no tensor");
    filled = tensor.end;
  }
  if (filled != data_bytes)
    fail(Exit::bad_data, "{}: {} bytes follow the last tensor", file, data_bytes - filled);
}

}  // namespace

// ---- the reader ----

SafetensorsFile SafetensorsFile::open(const fs::path& path, uint64_t header_limit) {
  return open(InputFile(path), header_limit);
}

SafetensorsFile SafetensorsFile::open(InputFile opened, uint64_t header_limit) {
  SafetensorsFile result(std::move(opened));
  const InputFile& file = result.file_;
  const std::string name = file.path().string();
  if (file.size() < 8)
    fail(Exit::bad_data, "{}: {} bytes is too short for a safetensors file", name, file.size());
  uint64_t header_bytes = 0;
  file.read(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
  if (header_bytes > std::min(header_limit, kLargestHeaderLimit))
    fail(Exit::bad_data,
         "{}: not a safetensors file, or its header of {} bytes is larger than the {} allowed", name,
         header_bytes, std::min(header_limit, kLargestHeaderLimit));
  if (header_bytes > file.size() - 8)
    fail(Exit::bad_data, "{}: cut off: the header should have {} bytes, the file has {}", name, header_bytes,
         file.size());
  std::string text(header_bytes, '\0');
  file.read(8, std::as_writable_bytes(std::span(text)));
  result.data_begin_ = 8 + header_bytes;

  Header header = HeaderParser(text, name).parse();
  check_places(header.tensors, file.size() - result.data_begin_, name);
  result.metadata_ = std::move(header.metadata);
  result.tensors_ = std::move(header.tensors);
  for (size_t i = 0; i < result.tensors_.size(); ++i) result.index_.emplace(result.tensors_[i].name, i);

  const auto first_hash = result.metadata_.lower_bound(std::string(kHashPrefix));
  if (first_hash == result.metadata_.end() || !first_hash->first.starts_with(kHashPrefix)) return result;
  const auto stored = result.metadata_.find(std::string(kHeaderHash));
  if (stored == result.metadata_.end() || stored->second != header_hash(result.metadata_, result.tensors_))
    fail(Exit::bad_data, "{}: damaged: the header does not match its hash", name);
  for (const TensorEntry& tensor : result.tensors_)
    if (!result.metadata_.contains(std::string(kHashPrefix) + tensor.name))
      fail(Exit::bad_data, "{}: damaged: no hash for tensor \"{}\"", name, tensor.name);
  return result;
}

const TensorEntry* SafetensorsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &tensors_[found->second];
}

const TensorEntry& SafetensorsFile::get(std::string_view name) const {
  const TensorEntry* entry = find(name);
  if (!entry) fail(Exit::bad_data, "{}: has no tensor \"{}\"", path().string(), name);
  return *entry;
}

void SafetensorsFile::check_hash(const TensorEntry& entry, uint64_t hash) const {
  if (metadata_.at(std::string(kHashPrefix) + entry.name) != to_hex(hash))
    fail(Exit::bad_data, "{}: damaged: tensor \"{}\" does not match its hash", path().string(), entry.name);
}

void SafetensorsFile::read(const TensorEntry& entry, std::span<std::byte> into) const {
  GAN_CHECK(into.size() == entry.bytes(), "a buffer of {} bytes for tensor \"{}\" of {}", into.size(),
            entry.name, entry.bytes());
  file_.read(data_begin_ + entry.begin, into);
  if (has_hashes()) check_hash(entry, xxh64(into));
}

std::vector<std::byte> SafetensorsFile::read(const TensorEntry& entry) const {
  std::vector<std::byte> bytes(entry.bytes());
  read(entry, bytes);
  return bytes;
}

void SafetensorsFile::verify_hashes() const {
  if (!has_hashes()) return;
  std::vector<std::byte> piece(1 << 20);
  for (const TensorEntry& tensor : tensors_) {
    XxHash64 hash;
    for (uint64_t at = tensor.begin; at < tensor.end; at += piece.size()) {
      const std::span<std::byte> part =
          std::span(piece).first(std::min<uint64_t>(piece.size(), tensor.end - at));
      file_.read(data_begin_ + at, part);
      hash.add(part);
    }
    check_hash(tensor, hash.value());
  }
}

float float_from_bf16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

float float_from_f16(uint16_t bits) {
  const uint32_t sign = uint32_t{bits} >> 15 << 31, exponent = bits >> 10 & 31, fraction = bits & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7F800000u | fraction << 13);  // infinity, NaN
  if (exponent == 0) {                                                                   // zero, subnormal
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  return std::bit_cast<float>(sign | (exponent + 112) << 23 | fraction << 13);
}

namespace {

template <class To, class From, class Convert>
std::vector<To> convert_elements(Bytes bytes, Convert convert) {
  std::vector<To> values(bytes.size() / sizeof(From));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<To>(convert(load<From>(bytes.data() + i * sizeof(From))));
  return values;
}

template <class To>
std::vector<To> convert_floats(const SafetensorsFile& file, const TensorEntry& entry) {
  const auto same = [](auto value) { return value; };
  switch (entry.type) {
    case FileType::f32: return convert_elements<To, float>(file.read(entry), same);
    case FileType::f64: return convert_elements<To, double>(file.read(entry), same);
    case FileType::f16: return convert_elements<To, uint16_t>(file.read(entry), float_from_f16);
    case FileType::bf16: return convert_elements<To, uint16_t>(file.read(entry), float_from_bf16);
    default:
      fail(Exit::bad_data, "{}: tensor \"{}\" is of type {}; F32, F64, F16 or BF16 is needed",
           file.path().string(), entry.name, name_of(entry.type));
  }
}

}  // namespace

std::vector<float> SafetensorsFile::read_f32(std::string_view name) const {
  const TensorEntry& entry = get(name);
  if (entry.type != FileType::f32) return convert_floats<float>(*this, entry);
  std::vector<float> values(entry.bytes() / sizeof(float));
  read(entry, std::as_writable_bytes(std::span(values)));
  return values;
}

std::vector<double> SafetensorsFile::read_f64(std::string_view name) const {
  return convert_floats<double>(*this, get(name));
}

std::vector<int64_t> SafetensorsFile::read_i64(std::string_view name) const {
  const TensorEntry& entry = get(name);
  const auto same = [](auto value) { return value; };
  switch (entry.type) {
    case FileType::i64: return convert_elements<int64_t, int64_t>(read(entry), same);
    case FileType::i32: return convert_elements<int64_t, int32_t>(read(entry), same);
    case FileType::u8:
    case FileType::boolean: return convert_elements<int64_t, uint8_t>(read(entry), same);
    default:
      fail(Exit::bad_data, "{}: tensor \"{}\" is of type {}; I64, I32, U8 or BOOL is needed", path().string(),
           name, name_of(entry.type));
  }
}

// ---- the writer ----

namespace {

std::string json_text(std::string_view text) {
  std::string result = "\"";
  for (size_t at = 0; at < text.size();) {
    const size_t length = utf8_length(text.substr(at));
    GAN_CHECK(length > 0, "a text for a safetensors header that is not UTF-8: {}", text);
    const char c = text[at];
    constexpr std::string_view special = "\"\\\b\f\n\r\t", letters = "\"\\bfnrt";
    if (const size_t which = special.find(c); which != std::string_view::npos)
      result += {'\\', letters[which]};
    else if (static_cast<unsigned char>(c) < 0x20)
      result += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else result += text.substr(at, length);
    at += length;
  }
  return result + '"';
}

}  // namespace

void SafetensorsWriter::insert(Pending pending) {
  const std::string& name = pending.entry.name;
  GAN_CHECK(name.size() <= kMaxNameBytes && name != kMetadataKey && name != "header" &&
                name.find('\0') == std::string::npos,
            "\"{}\" cannot be the name of a tensor", name);
  GAN_CHECK(pending.entry.shape.size() <= kMaxRank &&
                checked_bytes(pending.entry.shape, pending.entry.type) == pending.bytes,
            "tensor \"{}\" of type {} and shape [{}] with {} bytes", name, name_of(pending.entry.type),
            fmt::join(pending.entry.shape, ", "), pending.bytes);
  GAN_CHECK(!tensors_.count(name), "tensor \"{}\" is added twice", name);
  tensors_[name] = std::move(pending);
}

void SafetensorsWriter::add(const std::string& name, FileType type, std::vector<int64_t> shape, Bytes data) {
  insert({{name, type, std::move(shape), 0, 0}, data.size(), data, {}});
}

void SafetensorsWriter::add(const std::string& name, std::vector<int64_t> shape,
                            std::span<const float> data) {
  add(name, FileType::f32, std::move(shape), std::as_bytes(data));
}

void SafetensorsWriter::add(const std::string& name, std::vector<int64_t> shape,
                            std::span<const int64_t> data) {
  add(name, FileType::i64, std::move(shape), std::as_bytes(data));
}

void SafetensorsWriter::add(const std::string& name, std::vector<int64_t> shape,
                            std::function<std::vector<float>()> make) {
  const uint64_t bytes = checked_bytes(shape, FileType::f32).value_or(UINT64_MAX);
  insert({{name, FileType::f32, std::move(shape), 0, 0}, bytes, {}, std::move(make)});
}

void SafetensorsWriter::Pending::with_data(const std::function<void(Bytes)>& f) const {
  if (!make) return f(data);
  const std::vector<float> values = make();
  GAN_CHECK(values.size() * sizeof(float) == bytes, "tensor \"{}\" has {} values", entry.name, values.size());
  f(std::as_bytes(std::span(values)));
}

void SafetensorsWriter::save(const fs::path& path) const {
  save_by([&](uint64_t bytes, const auto& produce) { write_file_atomically(path, bytes, produce); });
}

void SafetensorsWriter::save(const Folder& folder, const std::string& name) const {
  save_by([&](uint64_t bytes, const auto& produce) { folder.write(name, bytes, produce); });
}

void SafetensorsWriter::save_by(const Write& write) const {
  GAN_CHECK(tensors_.size() <= kMaxTensors, "{} tensors", tensors_.size());
  std::vector<const Pending*> order;  // by name already, because the map is
  for (const auto& [name, pending] : tensors_) order.push_back(&pending);
  std::stable_sort(order.begin(), order.end(),
                   [](const Pending* a, const Pending* b) { return a->entry.type < b->entry.type; });

  std::map<std::string, std::string> all_metadata = metadata;
  std::vector<TensorEntry> entries;
  uint64_t at = 0;
  for (const auto& [key, value] : metadata)
    GAN_CHECK(!key.starts_with(kHashPrefix), "metadata key \"{}\" is reserved", key);
  for (const Pending* pending : order) {
    entries.push_back(pending->entry);
    entries.back().begin = at;
    entries.back().end = at += pending->bytes;
    pending->with_data([&](Bytes data) {
      all_metadata[std::string(kHashPrefix) + pending->entry.name] = to_hex(xxh64(data));
    });
  }
  all_metadata[std::string(kHeaderHash)] = header_hash(all_metadata, entries);

  std::string header = fmt::format("{{{}:{{", json_text(kMetadataKey));
  for (bool first = true; const auto& [key, value] : all_metadata)
    header +=
        fmt::format("{}{}:{}", std::exchange(first, false) ? "" : ",", json_text(key), json_text(value));
  header += '}';
  for (const TensorEntry& entry : entries)
    header +=
        fmt::format(",{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}", json_text(entry.name),
                    name_of(entry.type), fmt::join(entry.shape, ","), entry.begin, entry.end);
  header += '}';
  header.resize((header.size() + 7) / 8 * 8, ' ');
  GAN_CHECK(header.size() <= SafetensorsFile::kUsualHeaderLimit, "a header of {} bytes", header.size());

  const uint64_t header_bytes = header.size();
  write(sizeof header_bytes + header_bytes + at, [&](const ByteSink& sink) {
    sink(std::as_bytes(std::span(&header_bytes, 1)));
    sink(std::as_bytes(std::span(header)));
    for (const Pending* pending : order) pending->with_data(sink);
  });
}

}  // namespace gan
