// The one way in which a model asks a discriminator. What all questions have in common has its place here: taps in
// the middle of the network for losses on features and penalties, and what is done to pictures before they are shown.
#pragma once
#include <vector>

#include "engine/tensor/ops.h"
#include "models/networks/blocks.h"
#include "models/players/step.h"

namespace gan {

// Logits, one tensor a scale, of pictures (N,H,W,C). `tap` is told the output of every layer, in order.
inline std::vector<Tensor> judge(const Network& network, const Discriminator& discriminator,
                                 const Tensor& pictures, const LayerTap& tap = {}) {
  return discriminator(network.parameters, pictures, {.tap = tap});
}
// Of two batches of equal size in one pass: half as many launches. The results are those of two passes, the first batch
// before the second, but for spectral norm, whose vectors move once for a pass: it wants two.
inline std::vector<Tensor> judge_both(const Network& network, const Discriminator& discriminator,
                                      const Tensor& first, const Tensor& second) {
  return discriminator(network.parameters, concat_batch(first, second), {.batches = 2});
}

// What every model logs of a discriminator's loss beside the loss: its two halves, and what it believes of pictures.
inline void report_judgement(Step& step, const LossValue& loss) {
  step.report("loss_D_real", loss.values.view(0, {1}));
  step.report("loss_D_fake", loss.values.view(1, {1}));
  step.report("D_real", loss.values.view(2, {1}));
  step.report("D_fake", loss.values.view(3, {1}));
}

}  // namespace gan
