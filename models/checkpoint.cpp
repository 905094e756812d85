// Writing and reading checkpoints.
#include "models/checkpoint.h"

#include <bit>
#include <deque>

namespace gan {

namespace {

constexpr const char* kFormat = "gan-checkpoint/1";

std::vector<int64_t> dims_of(const Shape& shape) {
  return {shape.dims.begin(), shape.dims.begin() + shape.rank};
}

std::string text_of(const std::vector<int64_t>& dims) {
  std::string text = "(";
  for (size_t i = 0; i < dims.size(); ++i) text += (i ? "," : "") + std::to_string(dims[i]);
  return text + ")";
}

// Calls f(key, parameter index, flat buffer) for every tensor that a checkpoint of this model holds. An empty
// flat buffer stands for the running statistics.
template <class F>
void for_each_tensor(Model& model, bool optimiser, F f) {
  for (auto& player : model.players) {
    const Parameters& p = player->parameters;
    if (!p.built()) continue;  // a model that is only used has its generator alone
    for (int i = 0; i < int(p.infos().size()); ++i) {
      const auto& info = p.infos()[i];
      const std::string name = player->name + "." + info.name;
      f(name, p, i, info.buffer ? Tensor() : p.weights());
      if (optimiser && !info.buffer) {
        f("adam." + player->name + ".m." + info.name, p, i, player->adam.m);
        f("adam." + player->name + ".v." + info.name, p, i, player->adam.v);
      }
      if (p.average()) f("ema." + name, p, i, info.buffer ? Tensor() : p.average());
    }
  }
}

}  // namespace

void save_checkpoint(const std::filesystem::path& path, Model& model, const TrainState& state) {
  SafetensorsWriter writer;
  for_each_tensor(model, true, [&](const std::string& key, const Parameters& p, int i, const Tensor& flat) {
    // Made one by one when they are written: a copy of everything would double a large network's memory.
    writer.add(key, dims_of(p.infos()[i].file_shape()), [&p, i, flat] { return p.export_values(i, flat); });
  });
  std::deque<std::vector<int64_t>> numbers;
  auto add_number = [&](const std::string& key, int64_t value) {
    numbers.push_back({value});
    writer.add(key, {1}, std::span<const int64_t>(numbers.back()));
  };
  add_number("state.step", state.step);
  add_number("state.draw", state.draw);
  add_number("state.images", state.images);
  if (state.best > 0) writer.add("state.best", {1}, std::span<const float>(&state.best, 1));
  for (auto& player : model.players) add_number("state.adam." + player->name + ".steps", player->adam.steps);
  for (const auto& [name, tensor] : model.state()) {
    writer.add("state." + name, dims_of(tensor.shape()), [tensor = tensor] { return tensor.host_f32(); });
  }
  writer.metadata["format"] = kFormat;
  writer.metadata["model"] = model.config.model;
  writer.metadata["config"] = to_toml(model.config, true);
  writer.save(path);
}

void load_checkpoint(const SafetensorsFile& file, Model& model, TrainState* state, bool optimiser) {
  const std::string where = file.path().string();
  // First look at every key and shape, then touch the model: a refused file changes nothing.
  for_each_tensor(model, optimiser, [&](const std::string& key, const Parameters& p, int i, const Tensor&) {
    const auto want = dims_of(p.infos()[i].file_shape());
    const TensorEntry* entry = file.find(key);
    if (!entry)
      fail(Exit::bad_data, "{}: no tensor `{}` {}; this checkpoint is of another model", where, key,
           text_of(want));
    if (entry->shape != want)
      fail(Exit::bad_data,
           "{}: tensor `{}` is {}, this model wants {}; the settings differ from the checkpoint's", where,
           key, text_of(entry->shape), text_of(want));
  });
  for (const auto& entry : file.tensors())
    for (auto& player : model.players) {
      if (!entry.name.starts_with(player->name + ".")) continue;
      const auto& infos = player->parameters.infos();
      const auto name = entry.name.substr(player->name.size() + 1);
      if (name.ends_with("num_batches_tracked")) continue;  // PyTorch's counter; nothing here uses it
      if (std::none_of(infos.begin(), infos.end(), [&](const auto& info) { return info.name == name; }))
        fail(Exit::bad_data,
             "{}: tensor `{}` {} has no place in this model; this checkpoint is of another model", where,
             entry.name, text_of(entry.shape));
    }
  for_each_tensor(model, optimiser,
                  [&](const std::string& key, const Parameters& p, int i, const Tensor& flat) {
                    p.import_values(i, file.read_f32(key), flat);
                  });
  if (!optimiser) return;
  for (const auto& [name, tensor] : model.state()) {
    const std::string key = "state." + name;
    const TensorEntry& entry = file.get(key);
    if (entry.shape != dims_of(tensor.shape()))
      fail(Exit::bad_data,
           "{}: tensor `{}` is {}, this model wants {}; the settings differ from the checkpoint's", where,
           key, text_of(entry.shape), text_of(dims_of(tensor.shape())));
    tensor.upload(std::span<const float>(file.read_f32(key)));
  }
  auto number = [&](const std::string& key) {
    const auto values = file.read_i64(key);
    if (values.size() != 1) fail(Exit::bad_data, "{}: `{}` should be one number", where, key);
    return values[0];
  };
  for (auto& player : model.players) player->adam.steps = number("state.adam." + player->name + ".steps");
  if (state) {
    state->step = number("state.step");
    state->draw = number("state.draw");
    state->images = number("state.images");
    if (file.find("state.best")) state->best = file.read_f32("state.best").at(0);
  }
}

Config read_checkpoint_config(const SafetensorsFile& file) {
  const auto& metadata = file.metadata();
  const auto format = metadata.find("format"), config = metadata.find("config");
  if (format == metadata.end() || format->second != kFormat || config == metadata.end())
    fail(Exit::bad_data, "{}: not a checkpoint of this program (no format {} in its header)",
         file.path().string(), kFormat);
  Config result;
  Origins origins;
  read_toml_text(result, config->second, file.path().string(), origins, "checkpoint");
  return result;
}

}  // namespace gan
