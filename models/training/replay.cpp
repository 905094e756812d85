// Reading replay files.
#include "models/training/replay.h"

#include <algorithm>
#include <span>

#include "models/networks/translation_networks.h"
#include "models/tasks/noise_gan.h"
#include "models/tasks/zoo.h"
#include "models/training/checkpoint.h"

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
constexpr const char* kKeysOfOthers[] = {"dropout",        "netG", "netD", "norm",      "pool",
                                         "n_critic",       "r1",   "gp",   "lambda_l1", "lambda_cycle",
                                         "lambda_identity"};

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
  {
    const auto model = entry.make();
    model->config = config_;
    paired_ = model->paired().a > 0;
  }
  read_toml_text(config_, text->second, name, origins, "replay", Foreign::refuse,
                 switched_off(name, config_));
  entry.check(config_);
  if (!paired_) {
    const auto& noise = config_.get<NoiseSettings>();
    if (noise.n_critic != 1)
      fail(Exit::bad_data, "{}: n_critic {} cannot be replayed: the file has one batch per step", name,
           noise.n_critic);
  }

  check_initial_weights();

  if (paired_) {
    const auto model = entry.make();
    model->config = config_;
    a_ = read_pictures("input.A", model->paired().a);
    b_ = read_pictures("input.B", model->paired().b);
  } else {
    real_ = read_pictures("input.real", config_.channels);
    const TensorEntry& z = file_.get("input.z");  // (S,N,nz)
    const int nz = config_.get<NoiseSettings>().nz;
    if (z.shape != std::vector<int64_t>{steps_, config_.batch, nz})
      fail(Exit::bad_data, "{}: input.z must be ({},{},{})", name, steps_, config_.batch, nz);
    z_ = file_.read_f32("input.z");
  }
  config_.steps = steps_;
}

// (S,N,C,H,W). The first one says how many steps and how many pictures there are.
Replay::Pictures Replay::read_pictures(const std::string& key, int channels) {
  const TensorEntry& entry = file_.get(key);
  const auto& s = entry.shape;
  const bool fits = s.size() == 5 && s[0] >= 1 && s[0] <= kMostDraws && s[1] >= 1 && s[1] <= 65536 &&
                    (steps_ == 0 || s[0] == steps_) && (steps_ == 0 || s[1] == config_.batch) &&
                    s[2] == channels && s[3] == config_.size && s[4] == config_.size;
  if (!fits)
    fail(Exit::bad_data, "{}: {} is ({}), it must be ({},{},{},{},{})", file_.path().string(), key,
         fmt::join(s, ","), steps_ ? std::to_string(steps_) : "steps",
         steps_ ? std::to_string(config_.batch) : "batch", channels, config_.size, config_.size);
  steps_ = s[0];
  config_.batch = int(s[1]);
  return {channels, file_.read_f32(key)};
}

namespace {
std::string initial_key(const Player& player, const ParameterInfo& info) {
  return "init." + player.name + "." + info.name;
}
}  // namespace

// Shapes first, on a plan: a small file cannot make the program take memory for a large model.
void Replay::check_initial_weights() const {
  DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
  const auto model = build_model(plan, config_);
  for (auto& player : model->players)
    for (const auto& info : player->parameters.infos()) {
      const std::string key = initial_key(*player, info);
      const TensorEntry& entry = file_.get(key);
      const Shape want = info.file_shape();
      if (!std::equal(entry.shape.begin(), entry.shape.end(), want.dims.begin(),
                      want.dims.begin() + want.rank))
        fail(Exit::bad_data,
             "{}: tensor `{}` is ({}), this model wants {}; the config differs from the weights",
             file_.path().string(), key, fmt::join(entry.shape, ","), to_string(want));
    }
}

void Replay::set_initial_weights(Model& model) const {
  for (auto& player : model.players) {
    const Parameters& p = player->parameters;
    for (int i = 0; i < int(p.infos().size()); ++i)
      p.import_values(i, file_.read_f32(initial_key(*player, p.infos()[i])),
                      p.infos()[i].buffer ? Tensor() : p.weights());
  }
}

Tensor Replay::batch_of(DeviceContext& context, const Pictures& pictures, int64_t step) const {
  const int64_t n = config_.batch, c = pictures.channels, pixels = int64_t(config_.size) * config_.size;
  std::vector<float> nhwc(size_t(n * pixels * c));
  const float* nchw = pictures.values.data() + step * n * c * pixels;
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
  if (paired_) {
    in.a = batch_of(context, a_, step);
    in.b = batch_of(context, b_, step);
    return in;
  }
  const int64_t n = config_.batch, nz = config_.get<NoiseSettings>().nz;
  in.z.emplace_back(context, Shape{n, nz});
  in.z[0].upload(std::span<const float>(z_).subspan(size_t(step * n * nz), size_t(n * nz)));
  in.real.push_back(batch_of(context, real_, step));
  return in;
}

}  // namespace gan
