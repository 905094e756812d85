// The list of models.
#include "models/tasks/zoo.h"

#include "engine/settings/words.h"

#include "models/losses/adversarial.h"
#include "models/losses/perceptual.h"
#include "models/networks/features.h"
#include "models/players/reference_style.h"
#include "models/tasks/colorize.h"
#include "models/tasks/comic.h"
#include "models/tasks/cyclegan.h"
#include "models/tasks/dcgan.h"
#include "models/tasks/encoder.h"
#include "models/tasks/mlpgan.h"
#include "models/tasks/noise_gan.h"
#include "models/tasks/pix2pix.h"
#include "models/tasks/restyle.h"
#include "models/tasks/style.h"

namespace gan {

namespace {
template <class... G>
void with(Config& config) {
  (config.add<G>(), ...);
}
}  // namespace

std::span<const ZooEntry> zoo() {
  static const ZooEntry entries[] = {
      {"dcgan", "pictures from noise, convolutional (Radford et al. 2016)",
       with<NoiseSettings, ConvSettings, UpSettings, AdversarialSettings>, dcgan_preset, dcgan_tuned,
       dcgan_check, make_dcgan, Examples::pictures},
      {"mlpgan", "pictures from noise, fully connected (Goodfellow et al. 2014)",
       with<NoiseSettings, AdversarialSettings>, mlpgan_preset, mlpgan_tuned, mlpgan_check, make_mlpgan,
       Examples::pictures},
      {"pix2pix", "pictures from pictures, learnt from pairs (Isola et al. 2017)",
       with<PairSettings, MadeInputSettings, ConvSettings, UpSettings, TranslationSettings, CriticSettings,
            SpectralSettings, AdversarialSettings, PixelLossSettings, Pix2pixSettings, PoolSettings>,
       pix2pix_preset, pix2pix_tuned, pix2pix_check, make_pix2pix, Examples::pairs},
      {"colorize", "colour for grey pictures, learnt from any colour pictures (pix2pix in Lab)",
       with<ExposureSettings, ConvSettings, UpSettings, TranslationSettings, CriticSettings, SpectralSettings,
            AdversarialSettings, PixelLossSettings, Pix2pixSettings, PoolSettings, ColouringSettings>,
       colorize_preset, colorize_tuned, colorize_check, make_colorize, Examples::colour},
      {"cyclegan", "pictures from pictures, learnt from two sets without pairs (Zhu et al. 2017)",
       with<PairSettings, MadeInputSettings, ConvSettings, UpSettings, TranslationSettings, CriticSettings,
            SpectralSettings, AdversarialSettings, CycleGanSettings, PoolSettings>,
       cyclegan_preset, cyclegan_tuned, cyclegan_check, make_cyclegan, Examples::unpaired},
      {"comic", "photos into drawings of a style: comic, painting (AnimeGANv2, White-box)",
       with<StyleSetSettings, TeacherSettings, MadeInputSettings, ConvSettings, UpSettings,
            TranslationSettings, CriticSettings, SpectralSettings, AdversarialSettings, FeatureSettings,
            StyleLossSettings, ComicSettings>,
       comic_preset, comic_tuned, comic_check, make_comic, Examples::styled, comic_presets()},
      {"style", "photos in the style of any picture, given when it is used (AdaIN; Huang and Belongie 2017)",
       with<StyleSetSettings, ConvSettings, CriticSettings, SpectralSettings, AdversarialSettings,
            FeatureSettings, StyleLossSettings, StyleSettings>,
       style_preset, style_tuned, style_check, make_style, Examples::referenced},
      {"restyle",
       "colour and a style for grey photos, learnt in three stages (colorize, style, both together)",
       with<StyleSetSettings, MadeInputSettings, ExposureSettings, ConvSettings, UpSettings,
            TranslationSettings, CriticSettings, SpectralSettings, AdversarialSettings, FeatureSettings,
            StyleLossSettings, StyleSettings, PixelLossSettings, RestyleSettings, ColouringSettings>,
       restyle_preset, restyle_tuned, restyle_check, make_restyle, Examples::coloured},
      {"encoder",
       "what --features of comic, style and restyle takes: pictures compared, learnt without labels",
       with<EncoderSettings>, encoder_preset, encoder_tuned, encoder_check, make_encoder, Examples::pictures},
  };
  return entries;
}

namespace {

class ZooCatalogue : public Catalogue {
 public:
  std::vector<std::string> names() const override {
    std::vector<std::string> names;
    const Config all = config_of_all_models();
    for (const SettingGroup* group : all.groups())
      for (const AnySetting* setting : group->settings()) names.push_back(setting->name());
    return names;
  }
  std::vector<std::string> owners_of(const std::string& name) const override {
    std::vector<std::string> owners;
    for (const ZooEntry& entry : zoo()) {
      Config config;
      entry.settings(config);
      if (config.find(name)) owners.push_back(entry.name);
    }
    return owners;
  }
};

}  // namespace

const Catalogue& catalogue() {
  static const ZooCatalogue all;
  return all;
}

Config neutral_config(const std::string& model) {
  Config config(&catalogue());
  find_model(model).settings(config);
  config.model = model;
  return config;
}

Config preset_config(const std::string& model) {
  Config config = neutral_config(model);
  find_model(model).paper(config);
  return config;
}

Config tuned_config(const std::string& model, Device device, const std::string& make_input) {
  Config config = preset_config(model);
  if (config.has<MadeInputSettings>()) config.get<MadeInputSettings>().make_input = make_input;
  find_model(model).tuned(config, device == Device::cpu);
  return config;
}

Config config_of_preset(const std::string& preset, const std::string& model, Device device,
                        const std::string& make_input) {
  if (preset == "paper") return preset_config(model);
  Config config = tuned_config(model, device, make_input);
  if (preset == "tuned") return config;
  std::vector<std::string> names = {"tuned", "paper"};
  for (const NamedPreset& own : find_model(model).presets) {
    if (preset == own.name) {
      own.apply(config);
      return config;
    }
    names.push_back(own.name);
  }
  fail(Exit::usage, "--preset {}: {} has {}", preset, model, fmt::join(names, ", "));
}

Config config_of_all_models() {
  Config config(&catalogue());
  for (const ZooEntry& entry : zoo()) entry.settings(config);
  return config;
}

const ZooEntry& find_model(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& entry : zoo()) {
    if (name == entry.name) return entry;
    names.push_back(entry.name);
  }
  const std::string nearest = nearest_word(names, name, 2);
  fail(Exit::usage, "unknown model `{}`{} Models: {}", name,
       nearest.empty() ? "." : fmt::format("; did you mean {}?", nearest), fmt::join(names, ", "));
}

namespace {
std::unique_ptr<Model> checked_model(const Config& config) {
  const ZooEntry& entry = find_model(config.model);
  entry.check(config);
  return entry.make();
}
}  // namespace

std::unique_ptr<Model> build_model(DeviceContext& context, const Config& config, Frozen frozen) {
  auto model = checked_model(config);
  model->build(context, config, frozen);
  return model;
}

std::unique_ptr<Model> build_model_for_use(DeviceContext& context, const Config& config, Frozen frozen) {
  auto model = checked_model(config);
  model->build_for_use(context, config, frozen);
  return model;
}

}  // namespace gan
