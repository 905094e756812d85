// Weights as torch.save writes them (.pth, .pt): a state dict in a zip archive (PyTorch 1.6 and later) or in a row of
// pickles (earlier versions, and _use_new_zipfile_serialization=False). Files may come from strangers: nothing in one is
// ever executed, and every size, offset and stride is compared with the file before memory is taken.
//
// What is taken for the state dict: the dict itself when it holds tensors, else what lies in it under a usual name
// ("params_ema", "state_dict", "model" ...), else all the dicts in it, with their names before a dot. Prefixes that
// PyTorch's wrappers add ("module.", "_orig_mod.") are left out.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/files/safetensors.h"
#include "engine/files/zip_file.h"

namespace gan {

class TorchFile {
 public:
  struct Tensor {
    std::string name;
    FileType type{};
    std::vector<int64_t> shape;
    std::vector<int64_t> strides;  // in elements, as long as the shape
    int64_t offset = 0;            // elements from the start of its storage
    std::string storage;           // its key in the file
  };

  // Whether a file begins as one of these do: as a zip archive, or as a pickle.
  static bool looks_like_one(const InputFile& file);
  // Exit::bad_data, naming the file, what is wrong in it and what would help.
  static TorchFile open(InputFile file);

  const std::filesystem::path& path() const;
  const std::vector<Tensor>& tensors() const { return tensors_; }  // in the order of the file
  // Row-major, from F32, F64, F16 or BF16; other types are refused. The storage's checksum, where the file has one, is
  // compared the first time.
  std::vector<float> read_f32(const Tensor& tensor) const;

 private:
  friend class StateDictReader;
  struct Storage {
    FileType type{};
    int64_t elements = 0;
    uint64_t begin = 0;                 // of its bytes in the file
    const ZipMember* member = nullptr;  // null in a file without checksums
    mutable bool verified = false;
  };
  explicit TorchFile(InputFile file) : plain_(std::move(file)) {}
  explicit TorchFile(ZipFile zip) : zip_(std::move(zip)) {}
  const InputFile& file() const { return zip_ ? zip_->file() : *plain_; }

  std::optional<InputFile> plain_;  // the row of pickles
  std::optional<ZipFile> zip_;      // or the archive
  std::map<std::string, Storage> storages_;
  std::vector<Tensor> tensors_;
};

// A tensor's name without the prefixes of PyTorch's wrappers.
std::string bare_weight_name(std::string name);

}  // namespace gan
