// The one way in which a model asks a discriminator. What all questions have in common has its place here: taps in
// the middle of the network for losses on features and penalties, and what is done to pictures before they are shown.
#pragma once
#include <vector>

#include "models/networks/blocks.h"
#include "models/players/step.h"

namespace gan {

// Logits, one tensor a scale, of pictures (N,H,W,C). `tap` is told the output of every layer, in order.
inline std::vector<Tensor> judge(const Network& network, const Discriminator& discriminator,
                                 const Tensor& pictures, const LayerTap& tap = {}) {
  return discriminator(network.parameters, pictures, {.tap = tap});
}

}  // namespace gan
