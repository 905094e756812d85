// Replay files: another framework's run, step by step (README.md, "Replay files"). The file holds the initial
// weights and every step's noise and pictures, or pairs; training on it must give the same losses.
#pragma once
#include "engine/files/safetensors.h"
#include "models/players/model.h"

namespace gan {

class Replay {
 public:
  // Reads and checks the file. `config` has the model's settings from the file; keys it does not name are
  // neutral.
  explicit Replay(const std::filesystem::path& path);

  const Config& config() const { return config_; }
  int64_t steps() const { return steps_; }
  // Gives the model the file's weights. From here on the device takes only variants whose error is that of a
  // plain float32 sum: a larger one can move a value across the kink of a (leaky) relu, which Adam's first
  // steps, each as long as the learning rate, then carry into the losses.
  void begin(DeviceContext& context, Model& model) const;
  StepInput input(DeviceContext& context, int64_t step) const;  // step from 0

 private:
  struct Recorded {
    InputSpec input;
    std::vector<float> values;  // of all steps, as the file has them
  };
  void check_initial_weights() const;
  void read_input(const InputSpec& input);
  Tensor batch_of(DeviceContext& context, const Recorded& recorded, int64_t step) const;

  SafetensorsFile file_;
  Config config_;
  int64_t steps_ = 0;
  std::vector<Recorded> inputs_;
};

}  // namespace gan
