// A model in a file: one safetensors file with everything needed to go on bit for bit.
//
//   G.<name>, D.<name>          weights and running statistics in PyTorch's names, shapes and layouts,
//   float32 adam.G.m.<name>, .v.<name>  the optimisers' moments, laid out the same way ema.G.<name> averaged
//   weights, with copies of the running statistics (only with --ema) state.*                     counters:
//   where the run stands; the pool of earlier pictures (size,H,W,C)
//   __metadata__                format, model, config (TOML), and a hash per tensor
#pragma once
#include <filesystem>

#include "engine/safetensors.h"
#include "models/model.h"

namespace gan {

// Where a run stands. All randomness is counter-based, so this is all the hidden state there is.
struct TrainState {
  int64_t step = 0;    // steps done
  int64_t draw = 0;    // batches drawn from the data
  int64_t images = 0;  // real pictures D has been shown
  float best = 0;      // validation PSNR of the best checkpoint; 0: no validation yet
};

void save_checkpoint(const std::filesystem::path& path, Model& model, const TrainState& state);

// Into a built model. Keys and shapes must be the model's: the first that is not is named, with both shapes
// (Exit::bad_data). `optimiser` false: weights only (sampling, --init), of the players that are built.
void load_checkpoint(const SafetensorsFile& file, Model& model, TrainState* state, bool optimiser);

// The settings a checkpoint was made with. Exit::bad_data when the file is no checkpoint of ours.
Config read_checkpoint_config(const SafetensorsFile& file);

}  // namespace gan
