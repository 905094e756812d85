// From pictures to the inputs of a training step: what a model declares, drawn and converted.
#pragma once
#include <map>

#include "engine/data.h"
#include "models/players/model.h"

namespace gan {

// The pictures of one draw by their names, each (N,H,W,C) in [-1,1].
using NamedPictures = std::map<std::string, Tensor>;
NamedPictures draw_pictures(PictureSet& pictures, Examples examples, DeviceContext& context, int64_t draw,
                            int batch);

// The inputs of a step. `draw` counts batches over the whole run and moves on.
StepInput next_input(const Model& model, PictureSet& pictures, DeviceContext& context, int64_t& draw);

}  // namespace gan
