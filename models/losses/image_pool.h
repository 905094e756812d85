// Earlier generated pictures that the discriminator sees again, so that it does not forget (Shrivastava et
// al. 2017). What is kept and what is shown depends on the seed and on how many pictures came before, alone.
#pragma once
#include "engine/settings/config.h"
#include "engine/tensor/ops.h"

namespace gan {

// clang-format off
struct PoolSettings : Group<PoolSettings> {
  PoolSettings() : Group("image pool") {}
  Setting<int> pool{*this, "pool", 0, "earlier generated pictures that the discriminator sees again; 0: none", "0..10000", kTrain};
};
// clang-format on

class ImagePool {
 public:
  ImagePool() = default;
  // Room for `size` pictures (H,W,C); 0: none, every batch is passed through.
  ImagePool(DeviceContext& context, int size, int64_t height, int64_t width, int64_t channels);

  // For each picture of `batch` (N,H,W,C), whose first is number `number` of the run (from 0): while the pool
  // fills, that picture, which is kept; then, with equal chance, that picture, or a kept one whose place it
  // takes.
  Tensor exchange(const Tensor& batch, uint64_t seed, int64_t number);

  const Tensor& pictures() const { return pictures_; }  // (size,H,W,C), or empty

 private:
  Tensor pictures_;
};

}  // namespace gan
