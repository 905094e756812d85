// Files with the tensors of a VGG, as torchvision names them, and numbers that make_features.py has too.
#pragma once
#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

namespace gan::tests {

using NamedShapes = std::vector<std::pair<std::string, std::vector<int64_t>>>;

// Number i of a stream, from -0.5 to 0.5, as make_features.py has them.
inline double hashed(uint32_t stream, uint32_t i) {
  uint32_t h = (i + stream * 1000003u) * 2654435761u;
  h ^= h >> 15;
  h *= 2246822519u;
  h ^= h >> 13;
  return double(h) / 4294967296.0 - 0.5;
}

// The tensors of a VGG as torchvision has them.
inline NamedShapes vgg_tensors(const std::string& kind) {
  const std::vector<int> convolutions =
      kind == "vgg16" ? std::vector<int>{2, 2, 3, 3, 3} : std::vector<int>{2, 2, 4, 4, 4};
  const int64_t widths[] = {64, 128, 256, 512, 512};
  NamedShapes tensors;
  int64_t in = 3;
  int index = 0;
  for (size_t block = 0; block < 5; ++block, ++index)
    for (int i = 0; i < convolutions[block]; ++i, index += 2) {
      const std::string name = fmt::format("features.{}", index);
      tensors.push_back({name + ".weight", {widths[block], in, 3, 3}});
      tensors.push_back({name + ".bias", {widths[block]}});
      in = widths[block];
    }
  return tensors;
}

// A file with these tensors, all numbers 0: only its header takes room.
inline std::filesystem::path header_only(const NamedShapes& tensors, const std::filesystem::path& path) {
  std::string header = "{";
  uint64_t end = 0;
  for (const auto& [name, shape] : tensors) {
    uint64_t bytes = 4;
    for (int64_t size : shape) bytes *= uint64_t(size);
    header += fmt::format(R"({}"{}":{{"dtype":"F32","shape":[{}],"data_offsets":[{},{}]}})",
                          end > 0 ? "," : "", name, fmt::join(shape, ","), end, end + bytes);
    end += bytes;
  }
  header += "}";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const uint64_t size = header.size();
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(&size), 8) << header;
  std::filesystem::resize_file(path, 8 + size + end);
  return path;
}

// The numbers of tensor `index` of a VGG: weights that keep what goes through of one size, and small biases.
inline std::vector<float> vgg_values(const std::vector<int64_t>& shape, size_t index) {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  const double scale = shape.size() == 4 ? std::sqrt(24.0 / double(count / shape[0])) : 0.1;
  std::vector<float> values(static_cast<size_t>(count));
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = float(hashed(uint32_t(index + 1), uint32_t(i)) * scale);
  return values;
}

// A whole file with these numbers.
inline void write_vgg(const std::string& kind, const std::filesystem::path& path) {
  const NamedShapes tensors = vgg_tensors(kind);
  header_only(tensors, path);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  uint64_t header = 0;
  file.read(reinterpret_cast<char*>(&header), 8);
  file.seekp(std::streamoff(8 + header));
  for (size_t t = 0; t < tensors.size(); ++t) {
    const std::vector<float> values = vgg_values(tensors[t].second, t);
    file.write(reinterpret_cast<const char*>(values.data()), std::streamsize(4 * values.size()));
  }
}

}  // namespace gan::tests
