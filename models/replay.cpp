// Reading replay files.
#include "models/replay.h"

#include <algorithm>
#include <span>

#include "models/zoo.h"

namespace gan {

namespace {

constexpr const char* kFormat = "gan-replay/1";

// What the file does not say is neutral: no decay, smoothing, averages, pool, dropout, augmentation or
// shuffle.
Config neutral_config(const std::string& model) {
  Config c;
  find_model(model).preset(c);
  c.model = model;
  c.epochs = 0, c.load_size = 0;
  c.gan_loss = "vanilla";
  c.lr = 2e-4, c.lr_d = 0, c.beta1 = 0.5, c.beta2 = 0.999;
  c.lr_policy = "constant";
  c.weight_decay = c.ema = c.label_smooth = 0;
  c.n_critic = 1, c.pool = 0, c.dropout = false;
  c.no_augment = c.no_shuffle = true;
  return c;
}

// The format's keys for what a model may not have. A file may say that they are off.
constexpr const char* kKeysOfNoise[] = {"dropout",         "netG", "netD", "r1", "lambda_l1", "lambda_cycle",
                                        "lambda_identity", "gp"};
// Dropout among them: another framework's masks cannot be repeated.
constexpr const char* kKeysOfPairs[] = {"dropout", "r1", "lambda_cycle", "lambda_identity", "gp"};

// Passes over a key that switches off what this model has not; one that asks for it is refused.
ForeignKey switched_off(const std::string& file, bool paired) {
  return [file, paired](const std::string& key, const std::string& value) {
    const std::span<const char* const> keys =
        paired ? std::span<const char* const>(kKeysOfPairs) : kKeysOfNoise;
    if (std::find(keys.begin(), keys.end(), key) == keys.end()) return false;
    for (const char* off : {"false", "0", "0.0", "\"\"", "''"})
      if (value == off) return true;
    fail(Exit::bad_data, "{}: the config asks for {} = {}, which this model cannot replay", file, key, value);
  };
}

bool only_model(const std::string& key, const std::string&) { return key != "model"; }

}  // namespace

Replay::Replay(const std::filesystem::path& path) : file_(SafetensorsFile::open(path)) {
  const std::string name = path.string();
  const auto& metadata = file_.metadata();
  const auto format = metadata.find("format"), text = metadata.find("config");
  if (format == metadata.end() || format->second != kFormat || text == metadata.end())
    fail(Exit::bad_data, "{}: not a replay file (no format {} with a config in its header)", name, kFormat);
  Config first;
  Origins origins;
  read_toml_text(first, text->second, name, origins, "replay", only_model);
  if (first.model.empty()) fail(Exit::bad_data, "{}: the config names no model", name);
  config_ = neutral_config(first.model);
  const ZooEntry& entry = find_model(config_.model);
  {
    const auto model = entry.make();
    model->config = config_;
    paired_ = model->paired().a > 0;
  }
  read_toml_text(config_, text->second, name, origins, "replay", switched_off(name, paired_));
  entry.check(config_);
  if (config_.n_critic != 1)
    fail(Exit::bad_data, "{}: n_critic {} cannot be replayed: the file has one batch per step", name,
         config_.n_critic);

  if (paired_) {
    const auto model = entry.make();
    model->config = config_;
    a_ = read_pictures("input.A", model->paired().a);
    b_ = read_pictures("input.B", model->paired().b);
  } else {
    real_ = read_pictures("input.real", config_.channels);
    const TensorEntry& z = file_.get("input.z");  // (S,N,nz)
    if (z.shape != std::vector<int64_t>{steps_, config_.batch, config_.nz})
      fail(Exit::bad_data, "{}: input.z must be ({},{},{})", name, steps_, config_.batch, config_.nz);
    z_ = file_.read_f32("input.z");
  }
  config_.steps = steps_;
}

// (S,N,C,H,W). The first one says how many steps and how many pictures there are.
Replay::Pictures Replay::read_pictures(const std::string& key, int channels) {
  const TensorEntry& entry = file_.get(key);
  const auto& s = entry.shape;
  const bool fits = s.size() == 5 && s[0] >= 1 && s[1] >= 1 && (steps_ == 0 || s[0] == steps_) &&
                    (steps_ == 0 || s[1] == config_.batch) && s[2] == channels && s[3] == config_.size &&
                    s[4] == config_.size;
  if (!fits)
    fail(Exit::bad_data, "{}: {} is ({}), it must be ({},{},{},{},{})", file_.path().string(), key,
         fmt::join(s, ","), steps_ ? std::to_string(steps_) : "steps",
         steps_ ? std::to_string(config_.batch) : "batch", channels, config_.size, config_.size);
  steps_ = s[0];
  config_.batch = int(s[1]);
  return {channels, file_.read_f32(key)};
}

void Replay::begin(DeviceContext& context, Model& model) const {
  context.stream().strict = true;
  for (auto& player : model.players) {
    const Parameters& p = player->parameters;
    for (int i = 0; i < int(p.infos().size()); ++i) {
      const auto& info = p.infos()[i];
      const std::string key = "init." + player->name + "." + info.name;
      const TensorEntry& entry = file_.get(key);
      const Shape want = info.file_shape();
      if (!std::equal(entry.shape.begin(), entry.shape.end(), want.dims.begin(),
                      want.dims.begin() + want.rank))
        fail(Exit::bad_data, "{}: tensor `{}` does not have the shape {} of this model",
             file_.path().string(), key, to_string(want));
      p.import_values(i, file_.read_f32(key), info.buffer ? Tensor() : p.weights());
    }
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
  const int64_t n = config_.batch, nz = config_.nz;
  in.z.emplace_back(context, Shape{n, nz});
  in.z[0].upload(std::span<const float>(z_).subspan(size_t(step * n * nz), size_t(n * nz)));
  in.real.push_back(batch_of(context, real_, step));
  return in;
}

}  // namespace gan
