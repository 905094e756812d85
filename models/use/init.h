// Starting from weights that come from elsewhere (--init): a checkpoint of this program, or another one's safetensors
// or PyTorch file, of the whole model or of its generator alone.
#pragma once
#include <string>
#include <vector>

#include "engine/files/weights_file.h"
#include "models/players/model.h"

namespace gan {

// What becomes of the file. Names may carry the prefixes that PyTorch's wrappers add ("module.", "G.module.",
// "module.G."), and where the model has one generator its name may be left out.
struct InitPlan {
  struct Match {
    std::string tensor;  // in the file
    size_t network;      // of Model::networks
    int parameter;
    bool average;
  };
  std::vector<Match> matches;
  std::vector<std::string> fresh;    // networks that keep their random weights, with the reason
  std::vector<std::string> missing;  // tensors of the others that the file does not have
  std::vector<std::string> unused;   // tensors of the file that no network has
  std::string words() const;         // in one line; empty when everything has found its place
};

// RUN, CKPT or a file of weights. Exit::bad_data for what is none, or damaged.
WeightsFile open_init(const std::string& from);

// A discriminator whose tensors are not all there in its shapes keeps its random weights. Exit::bad_data naming the
// file when a network that makes pictures finds none of its tensors, or one of another shape. The model may be a plan.
InitPlan plan_init(const WeightsFile& file, Model& model);

// Loads by such a plan. Averages that the file does not have start as the weights. Exit::bad_data naming file and
// tensor for a number that is not finite.
void init_weights(const WeightsFile& file, const InitPlan& plan, Model& model);

}  // namespace gan
