// What every model is to the training loop: players that learn, one training step, and pictures to look at.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/optim.h"
#include "engine/runlog.h"
#include "engine/settings/config.h"
#include "models/blocks.h"

namespace gan {

// What the program takes before its first tensor: code and libraries, for predictions of memory.
inline constexpr size_t program_bytes = size_t(60) << 20;

// One network with its optimiser: "G", "D".
struct Player {
  std::string name;
  Parameters parameters;
  AdamOptimiser adam;
};

// What one training step works on. Noise models: one batch of pictures and one of noise per discriminator
// update. Paired models: a batch of pairs.
struct StepInput {
  std::vector<Tensor> real;  // n_critic x (N,H,W,C)
  std::vector<Tensor> z;     // n_critic x (N,nz)
  Tensor a, b;               // (N,H,W,Ca), (N,H,W,Cb): a is the generator's input
  int64_t step = 0;          // steps done before this one: what masks and pools draw by
  int64_t draw = 0;          // batches drawn before this step: what noise is drawn by
  double learning_rate_g = 0, learning_rate_d = 0;
  bool log = false;  // also compute what only the log needs (gradient norms)
};

// Scalars of a step, still on the device. Reading them waits for it.
struct StepResult {
  std::vector<std::pair<std::string, Tensor>> scalars;  // name, (1)
  Metrics read() const;
};

// How a trained generator is used. What it learnt with is batch statistics and its dropout; with the running
// statistics and none, pictures do not depend on their neighbours and come out the same each time.
struct TranslateOptions {
  Statistics statistics = Statistics::running;
  bool dropout = false;  // where the model was made with it
  uint64_t seed = 1;     // of the masks
};

class Model {
 public:
  virtual ~Model() = default;

  // Players in the order of checkpoints: G first.
  std::vector<std::unique_ptr<Player>> players;
  Player& player(const std::string& name);

  // Declares the layers, lays the parameters out on the device and makes the optimisers. Call once.
  void build(DeviceContext& context, const Config& config);
  // Only what making pictures needs: the first player's weights, no gradients, moments or other players.
  void build_for_use(DeviceContext& context, const Config& config);

  // Brings to the device what the host decides about the coming step: its numbers, learning rates, places in
  // a pool. step() does it by itself, and then it changes nothing; it is called before when noise is drawn by
  // StepValues::draw(), and for a recorded step that is run again.
  void begin_step(const StepInput& input);
  // One training step: every discriminator update, then the generator's; the model's file tells the order.
  virtual StepResult step(const StepInput& input) = 0;

  // Noise models. Pictures (N,H,W,C) in [-1,1] from noise (N,nz), by running statistics and averaged weights
  // where there are any: one picture at a time gives the same picture.
  virtual Tensor sample(const Tensor& z);

  // Paired models, which make pictures (N,H,W,Cb) of pictures (N,H,W,Ca). Channels are {Ca, Cb}; {0, 0} for a
  // model that is not paired.
  struct Channels {
    int a = 0, b = 0;
  };
  virtual Channels paired() const { return {}; }
  // The generator's picture of `a`, by averaged weights where there are any. H and W are multiples of
  // side_multiple().
  virtual Tensor translate(const Tensor& a, const TranslateOptions& options);
  virtual int side_multiple() const { return 1; }
  // Between what the networks see and pictures (N,H,W,C) in [-1,1] to look at: pix2pix's are the same,
  // colorize's are parts of Lab. The input alone, and the output with the input it belongs to.
  virtual Tensor picture_of_input(const Tensor& a) { return a; }
  virtual Tensor picture_of_output(const Tensor& a, const Tensor& b);

  // Tensors besides the players' that a checkpoint has to keep to go on bit for bit, with their names.
  virtual std::vector<std::pair<std::string, Tensor>> state() { return {}; }

  // What one step of `batch` takes, uninitialised: for a plan.
  StepInput planned_input(DeviceContext& context, int batch) const;

  // A forward pass of a player on a batch of `batch`, reporting each layer.
  virtual void describe(DeviceContext& context, int batch, const std::string& player,
                        const LayerObserver& tell) = 0;

  int picture_channels() const { return config.channels; }

  Config config;

 protected:
  virtual void declare() = 0;
  virtual void after_build(DeviceContext&) {}
  // Puts the values of the coming step into the context's StepValues.
  virtual void prepare(const StepInput& input) = 0;
  Player& add_player(const std::string& name);
};

}  // namespace gan
