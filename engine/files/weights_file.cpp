// One face for both kinds of files.
#include "engine/files/weights_file.h"

#include "kernels/contract/check.h"

namespace gan {

WeightsFile::WeightsFile(SafetensorsFile file) : file_(std::move(file)) {
  for (const TensorEntry& tensor : std::get<SafetensorsFile>(file_).tensors())
    entries_.push_back({bare_weight_name(tensor.name), tensor.type, tensor.shape});
  make_index();
}

WeightsFile::WeightsFile(TorchFile file) : file_(std::move(file)) {
  for (const TorchFile::Tensor& tensor : std::get<TorchFile>(file_).tensors())
    entries_.push_back({tensor.name, tensor.type, tensor.shape});
  make_index();
}

WeightsFile WeightsFile::open(const std::filesystem::path& path) {
  InputFile opened(path);
  char begin[9] = {};  // of a safetensors file: the length of its header, and the header's {
  if (opened.size() >= sizeof begin) opened.read(0, std::as_writable_bytes(std::span(begin)));
  if (begin[8] != '{') return WeightsFile(TorchFile::open(std::move(opened)));
  SafetensorsFile file = SafetensorsFile::open(std::move(opened));
  file.verify_hashes();
  return WeightsFile(std::move(file));
}

void WeightsFile::make_index() {
  for (size_t i = 0; i < entries_.size(); ++i)
    if (!index_.emplace(entries_[i].name, i).second)
      fail(Exit::bad_data, "{}: two tensors `{}`", path().string(), entries_[i].name);
}

const std::filesystem::path& WeightsFile::path() const {
  return std::visit([](const auto& file) -> const std::filesystem::path& { return file.path(); }, file_);
}

const WeightsFile::Entry* WeightsFile::find(std::string_view name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? nullptr : &entries_[found->second];
}

std::vector<float> WeightsFile::read_f32(std::string_view name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) fail(Exit::bad_data, "{}: has no tensor `{}`", path().string(), name);
  if (const auto* torch = std::get_if<TorchFile>(&file_))
    return torch->read_f32(torch->tensors()[found->second]);
  const auto& safetensors = std::get<SafetensorsFile>(file_);
  return safetensors.read_f32(safetensors.tensors()[found->second].name);
}

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("({})", fmt::join(shape, ","));
}

}  // namespace gan
