// One training step as a model's page writes it: what it works on, whose turn it is, what it reports.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/run/runlog.h"
#include "models/networks/blocks.h"
#include "models/players/player.h"

namespace gan {

// What one training step works on: every input that the model declares, by its name, and what the host knows.
struct StepInput {
  std::map<std::string, std::vector<Tensor>> tensors;  // as many of each as InputSpec::draws
  int64_t step = 0;                               // steps done before this one: what masks, pools draw by
  int64_t draw = 0;                               // batches drawn before this step: what noise is drawn by
  int stage = 0;                                  // of the model's stages
  double learning_rate = 0, learning_rate_d = 0;  // of the generating players, of the discriminating ones
  bool log = false;                               // also compute what only the log needs (gradient norms)

  void add(const std::string& name, const Tensor& tensor) { tensors[name].push_back(tensor); }
};

// Scalars of a step, still on the device. Reading them waits for it.
struct StepResult {
  std::vector<std::pair<std::string, Tensor>> scalars;  // name, (1)
  Metrics read() const;
};

class Model;

class Step {
 public:
  Step(Model& model, const StepInput& input);

  // (N,...) by its declared name; `draw` from 0 for inputs of several draws. Fails for what is not declared.
  const Tensor& input(const std::string& name, int draw = 0) const;
  int draws(const std::string& name) const;
  int stage() const { return input_.stage; }
  bool logs() const { return input_.log; }
  DeviceContext& context() const;
  // A forward pass of this step: batch statistics, dropout (if the network has any) by this step's masks.
  Pass pass(bool dropout = false) const;
  // A scalar for metrics.jsonl, in the order of the calls; (1) on the device.
  void report(const std::string& name, const Tensor& scalar);
  StepResult result();  // what was reported, then the gradient norms

 private:
  friend class Turn;
  Model& model_;
  const StepInput& input_;
  StepResult result_;
  std::vector<std::pair<std::string, Tensor>> norms_;
};

// One player's turn. From its beginning to its end the other players stand still: their networks pass gradients
// on and collect none. Running statistics are no weights: they follow every forward pass by batch statistics,
// whosever turn it is.
//
//   Turn turn(step, d_);
//   const LossValue loss = discriminator_loss(...);
//   turn.learn(loss.loss);
class Turn {
 public:
  // The player's networks forget their gradients.
  Turn(Step& step, Player& player);
  ~Turn();
  Turn(const Turn&) = delete;

  // Backward from the loss (1); then every network of the player that the stage trains takes one step of its
  // optimiser, and its average follows. The one place where weights change. Not more than Player::updates times
  // in a training step.
  void learn(const Tensor& loss);

 private:
  Step& step_;
  Player& player_;
  std::vector<std::unique_ptr<Freeze>> still_;
};

}  // namespace gan
