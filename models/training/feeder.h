// From pictures to the inputs of a training step: what a model declares, drawn and converted.
#pragma once
#include "engine/data/picture_set.h"
#include "models/players/model.h"

namespace gan {

// The inputs of a step but noise. `draw` counts batches over the whole run and moves on.
StepInput next_input(const Model& model, PictureSet& pictures, DeviceContext& context, int64_t& draw);

// Then, after Model::begin_step(): new noise, which the device draws by the counter that begin_step() brought.
void add_noise(const Model& model, DeviceContext& context, StepInput& input);

}  // namespace gan
