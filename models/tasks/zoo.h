// The models there are: an explicit list, no registration behind the scenes. A new network is one file and
// one row.
#pragma once
#include <memory>
#include <span>
#include <string>

#include "engine/data/options.h"
#include "models/players/model.h"

namespace gan {

// Values over the tuned ones under a name of their own: --preset NAME.
struct NamedPreset {
  const char* name;
  void (*apply)(Config&);
};

struct ZooEntry {
  const char* name;
  const char* summary;        // one line, for --help
  void (*settings)(Config&);  // adds the groups that it has besides everybody's
  void (*paper)(Config&);     // the paper's values
  // Values over these that make good pictures in minutes where the paper had days (cpu: also small enough for it).
  void (*tuned)(Config&, bool cpu);
  void (*check)(const Config&);  // refuses what the model cannot be, Exit::usage with the nearest that works
  std::unique_ptr<Model> (*make)();
  Examples examples;  // what it learns from
  std::span<const NamedPreset> presets = {};
};

std::span<const ZooEntry> zoo();
// Every setting that a model has, and which models those are.
const Catalogue& catalogue();
// Throws Exit::usage naming the models there are, and the nearest.
const ZooEntry& find_model(const std::string& name);

// Settings of a model: as its paper has them; as they are when nobody asks for the paper's. Those of all models
// together, for what is about a call and not about one model. Tuned values may depend on what inputs are made of
// (--make-input).
Config preset_config(const std::string& model);
Config tuned_config(const std::string& model, Device device, const std::string& make_input = "");
// As --preset says: "tuned", "paper" or one of the model's own. Exit::usage naming those it has.
Config config_of_preset(const std::string& preset, const std::string& model, Device device,
                        const std::string& make_input = "");
// The same with every setting's own default: nothing is switched on.
Config neutral_config(const std::string& model);
Config config_of_all_models();

// The model of `config.model`, checked and built.
std::unique_ptr<Model> build_model(DeviceContext& context, const Config& config,
                                   Frozen frozen = Frozen::from_settings);
// Only to make pictures with (Model::build_for_use).
std::unique_ptr<Model> build_model_for_use(DeviceContext& context, const Config& config,
                                           Frozen frozen = Frozen::from_settings);

}  // namespace gan
