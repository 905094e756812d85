// Pictures from noise.
#pragma once
#include <span>
#include <vector>

#include "engine/picture/image.h"
#include "models/use/load.h"

namespace gan {

// `count` pictures of the noise stream `seed`, in batches; picture i is the same for every count. Exit::usage for
// a model that makes pictures of pictures.
std::vector<Image> sample_pictures(Model& model, DeviceContext& context, int count, uint64_t seed);
// `count` pictures on a walk through noise space: through `stops` random points, by spherical interpolation.
std::vector<Image> sample_walk(Model& model, DeviceContext& context, int count, int stops, uint64_t seed);

// (N,H,W,C) in [-1,1] to bytes: round((x+1)/2*255), clipped.
std::vector<Image> to_images(const Tensor& pictures);

}  // namespace gan
