// Reading replay files.
#include "models/training/replay.h"

#include <algorithm>
#include <span>

#include "models/losses/image_pool.h"
#include "models/networks/translation_networks.h"
#include "models/tasks/zoo.h"
#include "models/use/checkpoint.h"

namespace gan {

namespace {

constexpr const char* kFormat = "gan-replay/1";

// What the file does not say is neutral: the settings' own defaults (no decay, smoothing, averages, pool), no
// augmentation, shuffle or dropout. What shapes the networks has the values of the model's preset.
Config config_of_replay(const std::string& model) {
  Config c = neutral_config(model);
  const Config preset = preset_config(model);
  for (SettingGroup* group : c.groups())
    for (AnySetting* setting : group->settings())
      if (setting->is(kNetwork)) setting->set(get_setting(preset, setting->name()), setting->name());
  if (c.has<TranslationSettings>()) c.get<TranslationSettings>().dropout = false;
  c.no_augment = c.no_shuffle = true;
  return c;
}

// Keys of the format that a model here may not have, and dropout: another framework's masks cannot be repeated.
// A file may say that they are off.
constexpr const char* kKeysOfOthers[] = {"dropout", "netG",      "netD",         "norm",
                                         "sn",      "pool",      "n_critic",     "r1",
                                         "gp",      "lambda_l1", "lambda_cycle", "lambda_identity"};

// Passes over a key that switches off what this model has not; one that asks for it is refused.
SkipKey switched_off(const std::string& file, const Config& config) {
  return [file, &config](const std::string& key, const std::string& value) {
    std::string name = key;
    std::replace(name.begin(), name.end(), '_', '-');
    const auto found = std::find_if(std::begin(kKeysOfOthers), std::end(kKeysOfOthers),
                                    [&](const char* other) { return key == other; });
    if (found == std::end(kKeysOfOthers) || (config.find(name) && key != "dropout")) return false;
    const bool neutral = key == "n_critic" && value == "1";  // one update a step is what there is without it
    for (const char* off : {"false", "0", "0.0", "\"\"", "''", "\"none\"", "'none'"})
      if (value == off || neutral) return true;
    fail(Exit::bad_data, "{}: the config asks for {} = {}, which this model cannot replay", file, key, value);
  };
}

}  // namespace

Replay::Replay(const std::filesystem::path& path) : file_(SafetensorsFile::open(path)) {
  const std::string name = path.string();
  const auto& metadata = file_.metadata();
  const auto format = metadata.find("format"), text = metadata.find("config");
  if (format == metadata.end() || format->second != kFormat || text == metadata.end())
    fail(Exit::bad_data, "{}: not a replay file (no format {} with a config in its header)", name, kFormat);
  Config first;
  Origins origins;
  const auto only_model = [](const std::string& key, const std::string&) { return key != "model"; };
  read_toml_text(first, text->second, name, origins, "replay", Foreign::refuse, only_model);
  if (first.model->empty()) fail(Exit::bad_data, "{}: the config names no model", name);
  const ZooEntry& entry = find_model(first.model);
  config_ = config_of_replay(first.model);
  read_toml_text(config_, text->second, name, origins, "replay", Foreign::refuse,
                 switched_off(name, config_));
  entry.check(config_);
  if (config_.has<PoolSettings>() && config_.get<PoolSettings>().pool > 0)
    fail(Exit::bad_data,
         "{}: the config asks for pool = {}; another framework's draws from a pool cannot be repeated", name,
         config_.get<PoolSettings>().pool);
  check_initial_weights();

  DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
  const auto model = build_model(plan, config_);
  for (const InputSpec& input : model->inputs()) {
    if (input.draws != 1)
      fail(Exit::bad_data, "{}: n_critic {} cannot be replayed: the file has one batch per step", name,
           input.draws);
    read_input(input);
  }
  config_.steps = steps_;
  if (*config_.precision == "auto") config_.precision = "fp32";
}

// Pictures (S,N,C,H,W), noise (S,N,width). The first one says how many steps and how many pictures there are.
void Replay::read_input(const InputSpec& input) {
  const std::string key = "input." + input.name;
  const TensorEntry& entry = file_.get(key);
  const auto& s = entry.shape;
  std::vector<int64_t> want = {steps_, config_.batch};
  if (steps_ == 0) {
    const bool fits = s.size() >= 2 && s[0] >= 1 && s[0] <= kMostDraws && s[1] >= 1 && s[1] <= 65536;
    if (!fits)
      fail(Exit::bad_data, "{}: {} is ({}), it must begin with steps and pictures a step",
           file_.path().string(), key, fmt::join(s, ","));
    want = {s[0], s[1]};
  }
  if (input.kind == InputSpec::Kind::noise) want.push_back(input.width);
  else want.insert(want.end(), {channels_of(input, config_), config_.size, config_.size});
  if (s != want)
    fail(Exit::bad_data, "{}: {} is ({}), it must be ({})", file_.path().string(), key, fmt::join(s, ","),
         fmt::join(want, ","));
  steps_ = s[0];
  config_.batch = int(s[1]);
  inputs_.push_back({input, file_.read_f32(key)});
}

namespace {
// A network that never learns has its weights in the file too, under its own name.
std::string initial_key(const Network& network, const ParameterInfo& info) {
  return (network.learns() ? "init." : "") + network.name + "." + info.name;
}
}  // namespace

// Shapes first, on a plan: a small file cannot make the program take memory for a large model.
void Replay::check_initial_weights() const {
  DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
  const auto model = build_model(plan, config_);
  for (auto& network : model->networks)
    for (const auto& info : network->parameters.infos()) {
      const std::string key = initial_key(*network, info);
      const TensorEntry& entry = file_.get(key);
      const Shape want = info.file_shape();
      if (!std::equal(entry.shape.begin(), entry.shape.end(), want.dims.begin(),
                      want.dims.begin() + want.rank))
        fail(Exit::bad_data,
             "{}: tensor `{}` is ({}), this model wants {}; the config differs from the weights",
             file_.path().string(), key, fmt::join(entry.shape, ","), to_string(want));
    }
}

void Replay::begin(DeviceContext& context, Model& model) const {
  context.stream().strict = context.precision() == Precision::fp32;
  for (auto& network : model.networks) {
    const Parameters& p = network->parameters;
    for (int i = 0; i < int(p.infos().size()); ++i)
      p.import_values(i, file_.read_f32(initial_key(*network, p.infos()[i])),
                      p.infos()[i].buffer ? Tensor() : p.weights());
  }
}

// The pictures of a step: (N,C,H,W) in the file, (N,H,W,C) here.
Tensor Replay::batch_of(DeviceContext& context, const Recorded& recorded, int64_t step) const {
  const int64_t n = config_.batch, c = channels_of(recorded.input, config_),
                pixels = int64_t(config_.size) * config_.size;
  std::vector<float> nhwc(size_t(n * pixels * c));
  const float* nchw = recorded.values.data() + step * n * c * pixels;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < c; ++k)
      for (int64_t pixel = 0; pixel < pixels; ++pixel)
        nhwc[size_t((i * pixels + pixel) * c + k)] = nchw[(i * c + k) * pixels + pixel];
  Tensor batch(context, {n, config_.size, config_.size, c});
  batch.upload(std::span<const float>(nhwc));
  return batch;
}

StepInput Replay::input(DeviceContext& context, int64_t step) const {
  StepInput in;
  in.step = step;
  for (const Recorded& recorded : inputs_) {
    if (recorded.input.kind != InputSpec::Kind::noise) {
      in.add(recorded.input.name, batch_of(context, recorded, step));
      continue;
    }
    const int64_t n = config_.batch, width = recorded.input.width;
    Tensor z(context, {n, width});
    z.upload(std::span<const float>(recorded.values).subspan(size_t(step * n * width), size_t(n * width)));
    in.add(recorded.input.name, z);
  }
  return in;
}

}  // namespace gan
