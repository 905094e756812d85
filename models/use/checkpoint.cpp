// Writing and reading checkpoints.
#include "models/use/checkpoint.h"

#include <algorithm>
#include <cmath>
#include <deque>

#include "engine/run/run_folder.h"
#include "models/tasks/zoo.h"

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

// Calls f(key, parameter index, flat buffer) for every tensor that a checkpoint of this model holds, `frozen`: also of
// networks that never learn. An empty flat buffer stands for the running statistics.
template <class F>
void for_each_tensor(Model& model, bool optimiser, bool frozen, F f) {
  for (auto& network : model.networks) {
    const Parameters& p = network->parameters;
    // A model that is only used has not all of its networks.
    if (!p.built() || (!frozen && !network->learns())) continue;
    for (int i = 0; i < int(p.infos().size()); ++i) {
      const auto& info = p.infos()[i];
      const std::string name = network->name + "." + info.name;
      f(name, p, i, info.buffer ? Tensor() : p.weights());
      if (optimiser && !info.buffer && network->adam.m) {
        f("adam." + network->name + ".m." + info.name, p, i, network->adam.m);
        f("adam." + network->name + ".v." + info.name, p, i, network->adam.v);
      }
      if (p.average()) f("ema." + name, p, i, info.buffer ? Tensor() : p.average());
    }
  }
}

std::string adam_steps_key(const Network& network) { return "state.adam." + network.name + ".steps"; }

}  // namespace

std::string first_not_finite(Model& model) {
  struct Buffer {
    Tensor flat, values;
  };
  std::vector<Buffer> buffers;  // all are asked before the first is read: one wait for the device
  const auto ask = [&](const Tensor& flat) {
    if (flat && flat.count() > 0) buffers.push_back({flat, ask_finite(flat)});
  };
  for (auto& network : model.networks) {
    const Parameters& p = network->parameters;
    if (!p.built()) continue;
    for (const Tensor& flat : {p.weights(), p.statistics(), p.average(), network->adam.m, network->adam.v})
      ask(flat);
  }
  for (const auto& [name, tensor] : model.state()) ask(tensor);
  bool finite = true;
  for (const Buffer& buffer : buffers) finite = finite && buffer.values.host()[1] == 1;
  if (finite) return {};

  std::string bad;
  const auto look = [&](const std::string& name, const std::vector<float>& values) {
    const auto is_bad = [](float value) { return !std::isfinite(value); };
    if (bad.empty() && std::any_of(values.begin(), values.end(), is_bad)) bad = name;
  };
  for_each_tensor(model, true, true,
                  [&](const std::string& key, const Parameters& p, int i, const Tensor& flat) {
                    if (bad.empty()) look(key, p.export_values(i, flat));
                  });
  for (const auto& [name, tensor] : model.state()) look("state." + name, tensor.host_f32());
  return bad;
}

int64_t checkpoint_bytes(Model& model) {
  int64_t numbers = 0;
  for_each_tensor(model, true, true, [&](const std::string&, const Parameters& p, int i, const Tensor&) {
    numbers += p.infos()[size_t(i)].shape.count();
  });
  for (const auto& [name, tensor] : model.state()) numbers += tensor.count();
  return numbers * int64_t(sizeof(float));
}

void save_checkpoint(const Folder& folder, const std::string& name, Model& model, const TrainState& state) {
  if (const std::string bad = first_not_finite(model); !bad.empty())
    fail(Exit::diverged,
         "diverged: after step {} tensor `{}` holds a number that is not finite, so this state is not saved. "
         "The last checkpoint is untouched; try a smaller --lr, --weight-decay or weight of a loss",
         state.step, bad);
  SafetensorsWriter writer;
  for_each_tensor(model, true, true,
                  [&](const std::string& key, const Parameters& p, int i, const Tensor& flat) {
                    // Made one by one when they are written: a copy of everything would double a large network's memory.
                    writer.add(key, dims_of(p.infos()[i].file_shape()),
                               [&p, i, flat] { return p.export_values(i, flat); });
                  });
  std::deque<std::vector<int64_t>> numbers;
  auto add_number = [&](const std::string& key, int64_t value) {
    numbers.push_back({value});
    writer.add(key, {1}, std::span<const int64_t>(numbers.back()));
  };
  add_number("state.step", state.step);
  add_number("state.draw", state.draw);
  add_number("state.images", state.images);
  if (state.best_step > 0) {
    writer.add("state.best_score", {1}, std::span<const float>(&state.best, 1));
    add_number("state.best_step", state.best_step);
  }
  if (state.clock > 0) add_number("state.clock", state.clock);
  if (state.set_hash != 0) {
    add_number("state.pictures", state.pictures);
    add_number("state.set_hash", state.set_hash);
  }
  for (auto& network : model.networks)
    if (network->learns()) add_number(adam_steps_key(*network), network->adam.steps);
  for (const auto& [key, tensor] : model.state()) {
    writer.add("state." + key, dims_of(tensor.shape()), [tensor = tensor] { return tensor.host_f32(); });
  }
  writer.metadata["format"] = kFormat;
  writer.metadata["model"] = model.config.model;
  Config config = model.config;
  for (const auto& network : model.networks)
    if (!network->held_as.empty()) set_setting(config, network->weights_from, network->held_as, name);
  writer.metadata["config"] = to_toml(config, true);
  writer.save(folder, name);
}

namespace {

// A counter of a checkpoint, 0 to `most`.
int64_t read_counter(const SafetensorsFile& file, const std::string& key, int64_t most) {
  const std::string where = file.path().string();
  const TensorEntry& entry = file.get(key);
  if (entry.elements() != 1) fail(Exit::bad_data, "{}: `{}` should be one number", where, key);
  const int64_t value = file.read_i64(key).at(0);
  if (value < 0 || value > most)
    fail(Exit::bad_data, "{}: `{}` is {}, which no run can have: 0 to {} here", where, key, value, most);
  return value;
}

// Compares every key, shape and counter of a file with a model, built or planned.
void check_against(const SafetensorsFile& file, Model& model, bool optimiser) {
  const std::string where = file.path().string();
  const bool frozen = model.frozen() == Frozen::from_checkpoint;
  for_each_tensor(
      model, optimiser, frozen, [&](const std::string& key, const Parameters& p, int i, const Tensor&) {
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
    for (auto& network : model.networks) {
      if (!entry.name.starts_with(network->name + ".") || (!frozen && !network->learns())) continue;
      const auto& infos = network->parameters.infos();
      const auto name = entry.name.substr(network->name.size() + 1);
      if (name.ends_with("num_batches_tracked")) continue;  // PyTorch's counter; nothing here uses it
      if (std::none_of(infos.begin(), infos.end(), [&](const auto& info) { return info.name == name; }))
        fail(Exit::bad_data,
             "{}: tensor `{}` {} has no place in this model; this checkpoint is of another model", where,
             entry.name, text_of(entry.shape));
    }
  if (!optimiser) return;
  for (const auto& [name, tensor] : model.state()) {
    const std::string key = "state." + name;
    const TensorEntry& entry = file.get(key);
    if (entry.shape != dims_of(tensor.shape()))
      fail(Exit::bad_data,
           "{}: tensor `{}` is {}, this model wants {}; the settings differ from the checkpoint's", where,
           key, text_of(entry.shape), text_of(dims_of(tensor.shape())));
  }
  for (auto& network : model.networks)
    if (network->learns()) read_counter(file, adam_steps_key(*network), kMostDraws);
  read_train_state(file);
}

}  // namespace

TrainState read_train_state(const SafetensorsFile& file) {
  TrainState state;
  state.step = read_counter(file, "state.step", kMostDraws);
  state.draw = read_counter(file, "state.draw", kMostDraws);
  // A batch has at most 65536 pictures, and a step at most 1000 batches.
  state.images = read_counter(file, "state.images", state.step * 65536 * 1000);
  if (file.find("state.clock")) state.clock = read_counter(file, "state.clock", 1000);
  if (file.find("state.set_hash")) {
    state.pictures = read_counter(file, "state.pictures", INT32_MAX);
    state.set_hash = read_counter(file, "state.set_hash", INT64_MAX);
  }
  // Earlier versions kept the best PSNR, as state.best: the next validation finds the best anew.
  if (!file.find("state.best_score") || !file.find("state.best_step")) return state;
  const std::vector<float> best = file.read_f32("state.best_score");
  if (best.size() != 1 || !std::isfinite(best[0]))
    fail(Exit::bad_data, "{}: `state.best_score` should be one finite number", file.path().string());
  state.best_step = read_counter(file, "state.best_step", state.step);
  state.best = best[0];
  return state;
}

SafetensorsFile open_verified_checkpoint(const std::string& run_or_checkpoint) {
  InputFile opened = open_checkpoint(run_or_checkpoint);
  try {
    auto file = SafetensorsFile::open(std::move(opened));
    file.verify_hashes();
    return file;
  } catch (const Error& error) {
    if (error.code() != Exit::bad_data) throw;
    fail(error.code(), "{}{}", error.what(), other_checkpoints(run_or_checkpoint));
  }
}

Frozen frozen_of(const SafetensorsFile& file, const Config& config) {
  DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
  const auto model = build_model(plan, config);
  const Config own = read_checkpoint_config(file);
  for (const auto& network : model->networks) {
    if (network->learns()) continue;
    const std::string& named = network->weights_from;
    const bool same =
        named.empty() || (own.find(named) && get_setting(own, named) == get_setting(config, named));
    const auto& infos = network->parameters.infos();
    const bool whole = std::all_of(infos.begin(), infos.end(), [&](const ParameterInfo& info) {
      return file.find(network->name + "." + info.name) != nullptr;
    });
    if (!same || !whole) return Frozen::from_settings;
  }
  return Frozen::from_checkpoint;
}

Frozen check_checkpoint(const SafetensorsFile& file, const Config& config, bool optimiser) {
  DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
  const Frozen frozen = frozen_of(file, config);
  const auto model =
      optimiser ? build_model(plan, config, frozen) : build_model_for_use(plan, config, frozen);
  check_against(file, *model, optimiser);
  return frozen;
}

void load_checkpoint(const SafetensorsFile& file, Model& model, TrainState* state, bool optimiser) {
  check_against(file, model, optimiser);
  for_each_tensor(model, optimiser, model.frozen() == Frozen::from_checkpoint,
                  [&](const std::string& key, const Parameters& p, int i, const Tensor& flat) {
                    p.import_values(i, file.read_f32(key), flat);
                  });
  if (optimiser) {
    for (const auto& [name, tensor] : model.state())
      tensor.upload(std::span<const float>(file.read_f32("state." + name)));
    for (auto& network : model.networks)
      if (network->learns()) network->adam.steps = read_counter(file, adam_steps_key(*network), kMostDraws);
    if (state) *state = read_train_state(file);
  }
  if (const std::string bad = first_not_finite(model); !bad.empty())
    fail(Exit::bad_data, "{}: tensor `{}` holds a number that is not finite; take an earlier checkpoint",
         file.path().string(), bad);
}

Config read_checkpoint_config(const SafetensorsFile& file) {
  const auto& metadata = file.metadata();
  const auto format = metadata.find("format"), config = metadata.find("config");
  if (format == metadata.end() || format->second != kFormat || config == metadata.end())
    fail(Exit::bad_data, "{}: not a checkpoint of this program (no format {} in its header)",
         file.path().string(), kFormat);
  const std::string name = file.path().string();
  Config result;
  Origins origins;
  try {
    Config first(&catalogue());
    const auto only_model = [](const std::string& key, const std::string&) { return key != "model"; };
    read_toml_text(first, config->second, name, origins, "checkpoint", Foreign::refuse, only_model);
    result = neutral_config(first.model);
    read_toml_text(result, config->second, name, origins, "checkpoint", Foreign::pass_over);
    find_model(result.model).check(result);
  } catch (const Error& error) {  // what is wrong there is wrong with the file, not with the command
    fail(Exit::bad_data, "{}: the settings in its header: {}", file.path().string(), error.what());
  }
  return result;
}

}  // namespace gan
