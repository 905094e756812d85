// What a step takes, made of noise: for tests in which it does not matter what pictures show.
#pragma once
#include "models/players/model.h"

namespace gan::tests {

// Two examples in (-1,1), others for each step, the same at every call.
inline StepInput noise_input(DeviceContext& context, const Model& model, int64_t step) {
  StepInput in = model.planned_input(context, 2);
  uint32_t stream = 100;
  for (auto& [name, draws] : in.tensors)
    for (Tensor& values : draws)
      values = activation(random_normal(context, values.shape(), 3, stream++, uint32_t(step)), {Act::tanh});
  in.learning_rate = in.learning_rate_d = 1e-3;
  in.step = step, in.stage = model.stage_at(step);
  return in;
}

}  // namespace gan::tests
