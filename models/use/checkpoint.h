// A model in a file: one safetensors file with everything needed to go on bit for bit.
//
//   G.<name>, D.<name>          weights and running statistics in PyTorch's names, shapes and layouts, float32; also of
//                               networks that never learn, so that no other file is needed to go on
//   adam.G.m.<name>, .v.<name>  the optimisers' moments, laid out the same way
//   ema.G.<name>                averaged weights, with copies of the running statistics (only with --ema)
//   state.*                     counters: where the run stands; the pool of earlier pictures (size,H,W,C)
//   __metadata__                format, model, config (TOML), and a hash per tensor
//
// Files may come from strangers. Shapes are compared before memory is taken for a model, every counter has a
// range, and no number that is not finite is saved or loaded.
#pragma once
#include <filesystem>

#include "engine/files/safetensors.h"
#include "models/players/model.h"

namespace gan {

// Where a run stands. All randomness is counter-based, so this is all the hidden state there is.
struct TrainState {
  int64_t step = 0;       // steps done
  int64_t draw = 0;       // batches drawn from the data
  int64_t images = 0;     // real pictures D has been shown
  float best = 0;         // validation score of the best checkpoint, where there is one
  int64_t best_step = 0;  // of that checkpoint; 0: no validation yet
  int64_t pictures = 0;   // that are trained on, 0: not known
  int64_t set_hash = 0;   // PictureSet::names_hash() of them, 0: not known
  int64_t clock = 0;      // where a schedule by the clock stood, in 1/1000 of the time given
};

// Random numbers are counted in 32 bits: so many batches a run may draw.
inline constexpr int64_t kMostDraws = 0xFFFFFFFE;

// The first tensor of the model, in the words of a checkpoint, that holds a number which is not finite:
// weights, running statistics, moments, averages, state(). Empty: all are finite. Looks on the device.
std::string first_not_finite(Model& model);

// Bytes of a checkpoint's tensors. The model may be a planned one.
int64_t checkpoint_bytes(Model& model);

// Exit::diverged, naming the tensor and writing nothing, when the model holds a number that is not finite.
void save_checkpoint(const Folder& folder, const std::string& name, Model& model, const TrainState& state);

// RUN or CKPT of the command line, opened, with every hash verified. Exit::bad_data; for a file of a run the message names
// another checkpoint that can be taken.
SafetensorsFile open_verified_checkpoint(const std::string& run_or_checkpoint);

// Whether a file holds the networks of the model of `config` that never learn, and the settings that say where these
// have their weights from are the file's own: then nothing else is opened for them.
Frozen frozen_of(const SafetensorsFile& file, const Config& config);

// Whether a file's keys and shapes are those of the model of `config`, found out without memory for a model.
// Exit::bad_data naming the first that is not, with both shapes. `optimiser`: as in load_checkpoint(). Says how the model
// is to be built for it: frozen_of().
Frozen check_checkpoint(const SafetensorsFile& file, const Config& config, bool optimiser);
// Into a built model, after the same checks: a refused file changes nothing, but for one with numbers that
// are not finite, which is found after loading (Exit::bad_data). `optimiser` false: weights only (sampling,
// --init), of the networks that are built.
void load_checkpoint(const SafetensorsFile& file, Model& model, TrainState* state, bool optimiser);

// Counters as they stand in a file, each within its range: Exit::bad_data for one that no run can have.
TrainState read_train_state(const SafetensorsFile& file);

// The settings a checkpoint was made with. Exit::bad_data when the file is no checkpoint of ours.
Config read_checkpoint_config(const SafetensorsFile& file);

}  // namespace gan
