// The list of models.
#include "models/zoo.h"

#include "models/colorize.h"
#include "models/dcgan.h"
#include "models/mlpgan.h"
#include "models/pix2pix.h"

namespace gan {

std::span<const ZooEntry> zoo() {
  static const ZooEntry entries[] = {
      {"dcgan", "pictures from noise, convolutional (Radford et al. 2016)", dcgan_preset, dcgan_check,
       make_dcgan, Examples::pictures},
      {"mlpgan", "pictures from noise, fully connected (Goodfellow et al. 2014)", mlpgan_preset, mlpgan_check,
       make_mlpgan, Examples::pictures},
      {"pix2pix", "pictures from pictures, learnt from pairs (Isola et al. 2017)", pix2pix_preset,
       pix2pix_check, make_pix2pix, Examples::pairs},
      {"colorize", "colour for grey pictures, learnt from any colour pictures (pix2pix in Lab)",
       colorize_preset, colorize_check, make_colorize, Examples::colour},
  };
  return entries;
}

const ZooEntry& find_model(const std::string& name) {
  std::string all;
  const ZooEntry* nearest = nullptr;
  for (const auto& entry : zoo()) {
    if (name == entry.name) return entry;
    all += std::string(all.empty() ? "" : ", ") + entry.name;
    if (edit_distance(name, entry.name) <= 2) nearest = &entry;
  }
  fail(Exit::usage, "unknown model `{}`{} Models: {}", name,
       nearest ? fmt::format("; did you mean {}?", nearest->name) : ".", all);
}

namespace {
std::unique_ptr<Model> checked_model(const Config& config) {
  const ZooEntry& entry = find_model(config.model);
  entry.check(config);
  return entry.make();
}
}  // namespace

std::unique_ptr<Model> build_model(DeviceContext& context, const Config& config) {
  auto model = checked_model(config);
  model->build(context, config);
  return model;
}

std::unique_ptr<Model> build_model_for_use(DeviceContext& context, const Config& config) {
  auto model = checked_model(config);
  model->build_for_use(context, config);
  return model;
}

}  // namespace gan
