// What every model is to the training loop: players that learn, one training step, and pictures to look at.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/config.h"
#include "engine/nn.h"
#include "engine/optim.h"
#include "engine/runlog.h"

namespace gan {

// One network with its optimiser: "G", "D".
struct Player {
  std::string name;
  Parameters parameters;
  AdamOptimiser adam;
};

// What one training step works on. Noise models: one batch of pictures and one of noise per discriminator
// update.
struct StepInput {
  std::vector<Tensor> real;  // n_critic x (N,H,W,C)
  std::vector<Tensor> z;     // n_critic x (N,nz)
  double learning_rate_g = 0, learning_rate_d = 0;
  bool log = false;  // also compute what only the log needs (gradient norms)
};

// Scalars of a step, still on the device. Reading them waits for it.
struct StepResult {
  std::vector<std::pair<std::string, Tensor>> scalars;  // name, (1)
  Metrics read() const;
};

// Told of every layer of a forward pass, for `gan inspect`.
struct LayerRecord {
  std::string name;  // "main.0"
  std::string kind;  // "conv_transpose2d 4x4 stride 2 + batch norm + relu"
  Shape output;
  int64_t parameters;
  double flop;
};
using LayerObserver = std::function<void(const LayerRecord&)>;

class Model {
 public:
  virtual ~Model() = default;

  // Players in the order of checkpoints: G first.
  std::vector<std::unique_ptr<Player>> players;
  Player& player(const std::string& name);

  // Declares the layers, lays the parameters out on the device and makes the optimisers. Call once.
  void build(DeviceContext& context, const Config& config);

  // One training step: every discriminator update, then the generator's; the model's file tells the order.
  virtual StepResult step(const StepInput& input) = 0;

  // Pictures (N,H,W,C) in [-1,1] from noise (N,nz), by running statistics and averaged weights where there
  // are any: one picture at a time gives the same picture.
  virtual Tensor sample(const Tensor& z) = 0;

  // A forward pass of every player on a batch of `batch`, reporting each layer.
  virtual void describe(DeviceContext& context, int batch, const std::string& player,
                        const LayerObserver& tell) = 0;

  int picture_channels() const { return config.channels; }

  Config config;

 protected:
  virtual void declare() = 0;
};

}  // namespace gan
