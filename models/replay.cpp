// Reading replay files.
#include "models/replay.h"

#include <algorithm>

#include "models/zoo.h"

namespace gan {

namespace {

constexpr const char* kFormat = "gan-replay/1";

// What the file does not say is neutral: no decay, smoothing, averages, augmentation or shuffle.
Config neutral_config(const std::string& model) {
  Config c;
  find_model(model).preset(c);
  c.model = model;
  c.epochs = 0;
  c.gan_loss = "vanilla";
  c.lr = 2e-4, c.lr_d = 0, c.beta1 = 0.5, c.beta2 = 0.999;
  c.lr_policy = "constant";
  c.weight_decay = c.ema = c.label_smooth = 0;
  c.n_critic = 1;
  c.no_augment = c.no_shuffle = true;
  return c;
}

// The format's keys for what noise models do not have. A file may say that they are off.
constexpr const char* kForeignKeys[] = {"dropout",         "netG", "netD", "r1", "lambda_l1", "lambda_cycle",
                                        "lambda_identity", "gp"};

// Passes over a key that switches off what this model has not; one that asks for it is refused.
ForeignKey switched_off(const std::string& file) {
  return [file](const std::string& key, const std::string& value) {
    if (std::find(std::begin(kForeignKeys), std::end(kForeignKeys), key) == std::end(kForeignKeys))
      return false;
    for (const char* off : {"false", "0", "0.0", "\"\"", "''"})
      if (value == off) return true;
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
  read_toml_text(first, text->second, name, origins, "replay", switched_off(name));
  if (first.model.empty()) fail(Exit::bad_data, "{}: the config names no model", name);
  config_ = neutral_config(first.model);
  read_toml_text(config_, text->second, name, origins, "replay", switched_off(name));
  find_model(config_.model).check(config_);
  if (config_.n_critic != 1)
    fail(Exit::bad_data, "{}: n_critic {} cannot be replayed: the file has one batch per step", name,
         config_.n_critic);

  const TensorEntry& z = file_.get("input.z");        // (S,N,nz)
  const TensorEntry& real = file_.get("input.real");  // (S,N,C,H,W)
  const bool fits = z.shape.size() == 3 && real.shape.size() == 5 && z.shape[0] == real.shape[0] &&
                    z.shape[1] == real.shape[1] && z.shape[2] == config_.nz &&
                    real.shape[2] == config_.channels && real.shape[3] == config_.size &&
                    real.shape[4] == config_.size && z.shape[0] >= 1 && z.shape[1] >= 1;
  if (!fits)
    fail(Exit::bad_data, "{}: input.z must be (steps,batch,{}) and input.real (steps,batch,{},{},{})", name,
         config_.nz, config_.channels, config_.size, config_.size);
  steps_ = z.shape[0];
  config_.batch = int(z.shape[1]);
  config_.steps = steps_;
  z_ = file_.read_f32("input.z");
  real_ = file_.read_f32("input.real");
}

void Replay::set_initial_weights(Model& model) const {
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

StepInput Replay::input(DeviceContext& context, int64_t step) const {
  const int64_t n = config_.batch, c = config_.channels, side = config_.size, nz = config_.nz;
  StepInput in;
  in.z.emplace_back(context, Shape{n, nz});
  in.z[0].upload(std::span<const float>(z_).subspan(size_t(step * n * nz), size_t(n * nz)));
  std::vector<float> nhwc(size_t(n * side * side * c));
  const float* nchw = real_.data() + step * n * c * side * side;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t k = 0; k < c; ++k)
      for (int64_t pixel = 0; pixel < side * side; ++pixel)
        nhwc[size_t((i * side * side + pixel) * c + k)] = nchw[(i * c + k) * side * side + pixel];
  in.real.emplace_back(context, Shape{n, side, side, c});
  in.real[0].upload(std::span<const float>(nhwc));
  return in;
}

}  // namespace gan
