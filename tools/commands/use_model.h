// What `gan translate` and `gan eval` share: the options of how a trained model is used.
#pragma once
#include <map>
#include <optional>

#include "models/tasks/zoo.h"
#include "models/use/load.h"
#include "models/use/translate.h"
#include "tools/cli/commands.h"

namespace gan::tools {

// --style, --region, --alpha and --keep-colour: how a model of styles is used.
std::vector<Option> options_of_styles();
// --tile, --overlap, --memory-gb and --dropout.
std::vector<Option> options_of_use();

struct UseSettings {
  Config call = config_of_all_models();  // of this call, with the environment
  bool norm_mode_given = false;
  std::optional<double> saturation;  // of models that colour
  bool saturation_typed = false;     // it was asked for in this call, not by the environment
  bool dropout = false;              // use it
  int tile = 0, overlap = 64;        // tile 0: as large as the memory allows
  double memory_gb = 1;
  bool memory_given = false;
  // --style, --region, --alpha, --keep-colour, of models that take a style.
  struct StylePicture {
    std::string picture, mask;  // files; mask empty: everywhere
    double weight = 1;
  };
  std::vector<StylePicture> styles;
  std::optional<double> alpha;
  bool keep_colour = false;
};
UseSettings read_use_settings(const Arguments& arguments);

// How the model computes in this call: the run's --norm-mode unless the call gives one, and --direction of a model
// that has learnt both.
Use use_of(const UseSettings& settings, const Model& model);
bool has_control(const Model& model, const std::string& name);
// What `gan eval` compares: of a model of two directions that of --direction.
Trial trial_of(const UseSettings& settings, const Model& model);

// Tiles for each size of picture, found once. Says so when a picture goes through in tiles.
class TileChooser {
 public:
  TileChooser(const UseSettings& settings, const LoadedModel& loaded);
  // Of any network: the plan of it, the multiple that its tiles have, and the memory in bytes that --tile 0 may take.
  TileChooser(const UseSettings& settings, TranslatorPlan plan, int multiple, Device device, size_t memory);
  TileOptions choose(int height, int width, bool quiet);
  size_t bytes() const { return bytes_; }  // predicted for the last choice

 private:
  const UseSettings& settings_;
  TranslatorPlan plan_;
  int multiple_;
  Device device_;
  size_t memory_;
  std::map<std::pair<int, int>, std::pair<TileOptions, size_t>> known_;
  size_t bytes_ = 0;
};

}  // namespace gan::tools
