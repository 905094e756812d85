// Weights by name, whoever wrote them: a safetensors file, or one of torch.save.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "engine/files/torch_file.h"

namespace gan {

class WeightsFile {
 public:
  struct Entry {
    std::string name;  // without the prefixes of PyTorch's wrappers ("module.", "_orig_mod.")
    FileType type{};
    std::vector<int64_t> shape;
  };

  // By the file's content, not its name; hashes are verified. Exit::bad_data, saying what the file is not.
  static WeightsFile open(const std::filesystem::path& path);
  explicit WeightsFile(SafetensorsFile file);
  explicit WeightsFile(TorchFile file);

  const std::filesystem::path& path() const;
  const std::vector<Entry>& tensors() const { return entries_; }  // in the order of the file
  const Entry* find(std::string_view name) const;                 // null if there is none
  bool has(std::string_view name) const { return find(name) != nullptr; }
  // As SafetensorsFile and TorchFile have it. Exit::bad_data if there is no such tensor.
  std::vector<float> read_f32(std::string_view name) const;

 private:
  void make_index();
  std::variant<SafetensorsFile, TorchFile> file_;
  std::vector<Entry> entries_;  // as many as the file has, in its order
  std::map<std::string, size_t, std::less<>> index_;
};

// "(64,3,7,7)".
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace gan
