// The safetensors file format (https://github.com/huggingface/safetensors): a JSON header that names tensors,
// their types, shapes and places, followed by their bytes. Checkpoints, converted weights and replay files
// are of this kind, and the Python package reads what is written here.
//
// Files may come from strangers, so the reader is stricter than the format asks: its own small grammar
// instead of a general JSON parser, no duplicate names, caps on sizes, every byte of the file accounted for.
//
// Files written here also carry hashes, in metadata entries that other readers ignore:
//   xxh64.<tensor name> XXH64 (seed 0) of the tensor's bytes, 16 lower-case hexadecimal digits
//   xxh64.header         XXH64 of all the other metadata and of every tensor's name, type, shape and place
// A file with any such entry must have all of them. A single changed byte anywhere in it is then found.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/files/atomic_file.h"

namespace gan {

// Element types, in the order in which the format's own writer sorts tensors (largest alignment first).
enum class FileType : uint8_t {
  // clang-format off
  u64, i64, f64, c64, f32, u32, i32, bf16, f16, u16, i16,
  f8_e8m0, f8_e4m3, f8_e5m2, i8, u8, f6_e3m2, f6_e2m3, f4, boolean,
  // clang-format on
};
std::string_view name_of(FileType type);  // as in the file: "F32", "BF16", "BOOL", ...
int64_t bits_of(FileType type);           // per element

struct TensorEntry {
  std::string name;
  FileType type{};
  std::vector<int64_t> shape;   // empty for a single number
  uint64_t begin = 0, end = 0;  // bytes, counted from the first byte after the header

  int64_t elements() const;
  uint64_t bytes() const { return end - begin; }
};

// XXH64 of Yann Collet's xxHash, fed in pieces of any size; xxh64() for all at once.
class XxHash64 {
 public:
  explicit XxHash64(uint64_t seed = 0);
  void add(std::span<const std::byte> bytes);
  uint64_t value() const;

 private:
  uint64_t lanes_[4];
  uint64_t seed_;
  uint64_t total_ = 0;     // bytes so far
  std::byte waiting_[32];  // the last total_ % 32 of them
};
uint64_t xxh64(std::span<const std::byte> bytes, uint64_t seed = 0);

// An open file. The header has been read and checked; tensors are read one by one, each verified against its
// hash if the file has hashes. Every error of the content is Exit::bad_data with the file's name and what is
// wrong with it.
class SafetensorsFile {
 public:
  static constexpr uint64_t kUsualHeaderLimit = 16 << 20;       // bytes
  static constexpr uint64_t kLargestHeaderLimit = 100'000'000;  // the format's own limit

  static SafetensorsFile open(const std::filesystem::path& path, uint64_t header_limit = kUsualHeaderLimit);
  static SafetensorsFile open(InputFile file, uint64_t header_limit = kUsualHeaderLimit);

  const std::filesystem::path& path() const { return file_.path(); }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }  // hashes included
  std::span<const TensorEntry> tensors() const { return tensors_; }                 // in file order
  const TensorEntry* find(std::string_view name) const;                             // null if there is none
  const TensorEntry& get(std::string_view name) const;  // Exit::bad_data if there is none
  bool has_hashes() const { return metadata_.contains("xxh64.header"); }

  // Little-endian elements, row-major. `into` must have entry.bytes() bytes.
  void read(const TensorEntry& entry, std::span<std::byte> into) const;
  std::vector<std::byte> read(const TensorEntry& entry) const;
  // Converted: F32, F16, BF16 and F64 to float; I64, I32, U8 and BOOL to int64. Other types are refused.
  std::vector<float> read_f32(std::string_view name) const;
  std::vector<double> read_f64(std::string_view name) const;
  std::vector<int64_t> read_i64(std::string_view name) const;

  // Reads the whole file once, in pieces, and compares every tensor with its hash. Nothing to do without
  // hashes.
  void verify_hashes() const;

 private:
  explicit SafetensorsFile(InputFile file) : file_(std::move(file)) {}
  void check_hash(const TensorEntry& entry, uint64_t hash) const;

  InputFile file_;
  uint64_t data_begin_ = 0;
  std::map<std::string, std::string> metadata_;
  std::vector<TensorEntry> tensors_;                  // sorted by place
  std::map<std::string, size_t, std::less<>> index_;  // name -> tensors_
};

// Collects views of tensors and writes them as one file, without a copy of the data.
class SafetensorsWriter {
 public:
  std::map<std::string, std::string> metadata;  // UTF-8; keys that begin with "xxh64." are reserved

  // `data` is only referred to and must live until save(). Its size must be that of the shape.
  void add(const std::string& name, FileType type, std::vector<int64_t> shape,
           std::span<const std::byte> data);
  void add(const std::string& name, std::vector<int64_t> shape, std::span<const float> data);
  void add(const std::string& name, std::vector<int64_t> shape, std::span<const int64_t> data);

  // float32 values that `make` returns when they are wanted: twice, for the hash and for the file. The same
  // both times, as many as the shape says.
  void add(const std::string& name, std::vector<int64_t> shape, std::function<std::vector<float>()> make);

  // Tensors in the format's own order (type, then name), header padded to 8 bytes, written atomically.
  // Exit::io if it cannot be written.
  void save(const std::filesystem::path& path) const;
  void save(const Folder& folder, const std::string& name) const;

 private:
  struct Pending {
    TensorEntry entry;
    uint64_t bytes = 0;
    std::span<const std::byte> data;
    std::function<std::vector<float>()> make;  // instead of data
    void with_data(const std::function<void(std::span<const std::byte>)>& f) const;
  };
  void insert(Pending pending);
  // Hands the file's size and what produces its bytes to `write`.
  using Write = std::function<void(uint64_t bytes, const std::function<void(const ByteSink&)>& produce)>;
  void save_by(const Write& write) const;
  std::map<std::string, Pending> tensors_;
};

// Exact conversions of the bits of an IEEE half-precision or bfloat16 number.
float float_from_f16(uint16_t bits);
float float_from_bf16(uint16_t bits);

}  // namespace gan
