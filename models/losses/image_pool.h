// Earlier generated pictures that the discriminator sees again, so that it does not forget (Shrivastava et
// al. 2017). What is kept and what is shown depends on the seed and on how many pictures came before, alone.
#pragma once
#include "engine/settings/config.h"
#include "engine/tensor/ops.h"
#include "engine/tensor/step_values.h"

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

  // Before a step: draws what happens to the next batch of `count` pictures, whose first is number `number` of
  // the run (from 0), and puts it into the context's StepValues. While the pool fills, each picture is shown
  // and kept; then, with equal chance, it is shown, or a kept one whose place it takes.
  void prepare(uint64_t seed, int64_t number, int64_t count);
  // What is shown of `made` (N,H,W,C); prepare() has announced N pictures.
  Tensor exchange(const Tensor& made) const;

  const Tensor& pictures() const { return pictures_; }  // (size,H,W,C), or empty

 private:
  Tensor pictures_;
  int places_ = 0;  // slot of the step's values: place and swap of each picture (PoolExchange in kernels.h)
  int64_t room_ = 0, announced_ = 0;  // pictures that the slot has room for; that prepare() drew for
};

}  // namespace gan
