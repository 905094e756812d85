// Pictures from noise.
#pragma once
#include <functional>
#include <vector>

#include "engine/picture/image.h"
#include "models/use/load.h"

namespace gan {

inline constexpr int kSamplesAtOnce = 64;  // as a batch of the generator

// Pictures of noise, one by one: any number of them in the memory of a batch.
struct Sampling {
  int count = 1;
  uint64_t seed = 1;
  int stops = 0;  // of a walk through noise space, by spherical interpolation; 0: independent pictures
};
// Calls take(i, picture) for i in [0, count). Picture i of independent ones is the same for every count. Exit::usage
// for a model that makes pictures of pictures.
void for_each_sample(Model& model, DeviceContext& context, const Sampling& sampling,
                     const std::function<void(int, Image&&)>& take);

// `count` pictures of the noise stream `seed`, in batches; picture i is the same for every count. Exit::usage for
// a model that makes pictures of pictures.
std::vector<Image> sample_pictures(Model& model, DeviceContext& context, int count, uint64_t seed);
// `count` pictures on a walk through noise space: through `stops` random points, by spherical interpolation.
std::vector<Image> sample_walk(Model& model, DeviceContext& context, int count, int stops, uint64_t seed);

// (N,H,W,C) in [-1,1] to bytes: round((x+1)/2*255), clipped.
std::vector<Image> to_images(const Tensor& pictures);

}  // namespace gan
