// What a model is to everything around it: what it declares once, its training step, and how it is used. A model is
// one file in models/tasks and one row in its zoo; the learner, the loop, the checkpoint and the commands walk what
// is declared here and know no model by name.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/settings/config.h"
#include "models/players/step.h"

namespace gan {

// What the program takes before its first tensor: code and libraries, for predictions of memory.
inline constexpr size_t program_bytes = size_t(22) << 20;

// An input of the training step.
struct InputSpec {
  enum class Kind {
    picture,    // (N,size,size,channels) in [-1,1]
    lightness,  // of a colour picture: L/50 - 1, (N,size,size,1)
    colour,     // of a colour picture: (a,b)/110, (N,size,size,2)
    grain,      // of a picture in grey, (N,size,size,1)
    noise,      // normal numbers, (N,width)
  };
  std::string name;  // "real", "A", "z"
  Kind kind = Kind::picture;
  std::string of;  // which picture of an example: "picture", "A", "B"
  int width = 0;   // of noise
  int draws = 1;   // batches of it that one step takes
};

int channels_of(const InputSpec& input, const Config& config);  // of an input that is a picture

// A part of the training: its own length, size and players. The last one has the rest of the run.
struct Stage {
  std::string name;
  int64_t steps = 0;                // 0: the rest
  int size = 0;                     // side of the pictures; 0: --size
  std::vector<std::string> trains;  // names of networks; empty: all that learn
};

// How a trained model is used, beside its pictures: a number that the user may turn.
struct Control {
  std::string name, help;
  double value = 1, low = 0, high = 1;
};

// One use of a trained model: named pictures (N,H,W,C) in [-1,1], and how the networks compute. What they learnt
// with is batch statistics and dropout; with the running statistics and none, pictures do not depend on their
// neighbours and come out the same each time.
struct Use {
  // A picture of the style that is wanted, and how much of it beside others.
  struct Style {
    Tensor picture;  // (1,h,w,C) in [-1,1]
    double weight = 1;
  };
  std::map<std::string, Tensor> pictures;  // by UsePicture name
  std::vector<Style> styles;               // of a model that takes them
  std::map<std::string, double> controls;  // those not given have their Control's value
  Statistics statistics = Statistics::running;
  bool dropout = false;  // where the model was made with it
  uint64_t seed = 1;     // of the masks
};
// What `gan translate` may be given. Empty pictures: the model makes pictures from noise.
struct UseSpec {
  std::vector<std::string> pictures;  // the first is what is translated; others are given by options
  std::vector<Control> controls;
  bool styles = false;     // takes pictures of a style, one at least unless:
  bool styleless = false;  // it also makes a picture without a style, whose colours --keep-colour keeps
  bool whole =
      false;  // what it makes of a part depends on the whole picture: tiles are for the largest alone
};

// How validation tries a model: a picture of an example goes in, and another says what should come out.
struct Trial {
  std::string measure;  // how its measures begin in metrics.jsonl: "val"
  std::string input, target;
  std::map<std::string, double> controls;
};

// A row of the sample grid: pictures side by side; `made` says which of them the model made.
struct GridRow {
  std::vector<Tensor> cells;  // (1,H,W,C) in [-1,1]
  std::vector<size_t> made;
};

// Where networks that never learn have their weights from when a model is built.
enum class Frozen {
  from_settings,    // the program, or files that settings name
  from_checkpoint,  // the checkpoint that is loaded next, which holds them
};

class Model {
 public:
  virtual ~Model() = default;

  Config config;
  // In the order of checkpoints.
  std::vector<std::unique_ptr<Network>> networks;
  std::vector<std::unique_ptr<Player>> players;
  Network& network(const std::string& name);
  // What of each a step takes; the stages, at least one.
  const std::vector<InputSpec>& inputs() const { return inputs_; }
  const std::vector<Stage>& stages() const { return stages_; }
  // The stage that a step belongs to; a resumed run finds its place by this alone.
  int stage_at(int64_t steps_done) const;
  int size_at(int stage) const;  // side of its pictures
  bool trains(int stage, const Network& network) const;

  // Declares everything, lays the parameters out on the device and makes the optimisers. Call once.
  void build(DeviceContext& context, const Config& config, Frozen frozen = Frozen::from_settings);
  // Only what making pictures needs: the weights of the networks that are used.
  void build_for_use(DeviceContext& context, const Config& config, Frozen frozen = Frozen::from_settings);
  Frozen frozen() const { return frozen_; }  // as it was built
  // Gives frozen networks their weights: those that the program holds, or from files that settings name. Exit::bad_data
  // names the file and what is wrong in it: a tensor that is missing, of another shape, or not finite; tensors that no
  // network asks for may be there.
  void load_frozen();

  // Brings to the device what the host decides about the coming step: its number, learning rates, places in a
  // pool. Call it before noise is drawn by StepValues::draw(), and before a recorded step is run again; step()
  // does it by itself, which then changes nothing.
  void begin_step(const StepInput& input);
  // One training step: runs learn() on a clean tape.
  StepResult step(const StepInput& input);
  // What a step of `batch` takes, uninitialised: for a plan.
  StepInput planned_input(DeviceContext& context, int batch) const;

  // Models of noise. Pictures (N,H,W,C) in [-1,1] from noise (N,nz), by running statistics and averaged weights
  // where there are any: one picture at a time gives the same picture.
  virtual Tensor sample(const Tensor& z);

  // False of a model that learns for others' sake and has nothing to show.
  virtual bool makes_pictures() const { return true; }
  void check_makes_pictures() const;  // Exit::usage of one that does not

  // Models of pictures.
  virtual UseSpec use() const { return {}; }
  virtual Tensor make(const Use& use);  // (N,H,W,C) in [-1,1]
  // What make() asks a Use for. A picture that is not there, and a control outside its range, are Exit::usage.
  const Tensor& picture(const Use& use, const std::string& name) const;
  double control(const Use& use, const std::string& name) const;  // its declared value when it is not given
  virtual int side_multiple() const { return 1; }                 // heights and widths of what make() takes
  // What the model sees of its input, as a picture: colorize sees no colour.
  virtual Tensor seen(const Tensor& picture) const { return picture; }
  // Trials of examples that have these pictures.
  virtual std::vector<Trial> trials() const { return {}; }
  // What the grid shows of an example.
  virtual GridRow show(const std::map<std::string, Tensor>& example, const Use& use);

  // Tensors besides the networks' that a checkpoint has to keep to go on bit for bit, with their names.
  virtual std::vector<std::pair<std::string, Tensor>> state() { return {}; }

  // A forward pass of a network on a batch of `batch`, reporting each layer.
  virtual void describe(DeviceContext& context, int batch, const std::string& network,
                        const LayerObserver& tell) = 0;

 protected:
  // ---- a model's page
  virtual void declare() = 0;  // networks and their layers, players, inputs, stages
  virtual void after_build(DeviceContext&) {}
  virtual void learn(Step& step) = 0;        // the training step, read from top to bottom
  virtual void prepare(const StepInput&) {}  // what of begin_step() is the model's own

  // `traits` names what differs from a plain network that learns.
  struct NetworkTraits {
    bool averaged = false, used = false;
    std::string weights_from;
    std::function<bool(const Parameters&, const std::string& value)> built_in = {};
    std::string file_prefix = {};
  };
  Network& add_network(const std::string& name, const NetworkTraits& traits);
  Network& add_network(const std::string& name) { return add_network(name, {}); }
  // "features", frozen: what --features says (models/networks/features.h).
  Network& add_features(bool used);
  Player& add_player(const std::string& name, std::vector<Network*> networks, bool discriminates = false);
  void add_input(const InputSpec& input) { inputs_.push_back(input); }
  void add_stage(const Stage& stage) { stages_.push_back(stage); }

 private:
  void declare_all(const Config& config);
  std::vector<InputSpec> inputs_;
  std::vector<Stage> stages_;
  Frozen frozen_ = Frozen::from_settings;
};

}  // namespace gan
