// The list of backends: in a file of its own, so that a program with one device need not link the others.
#include "kernels/kernels.h"

namespace gan {

#define GAN_BACKEND(space)                                                                                   \
  {                                                                                                          \
    Device::space, space::memory, space::pointwise, space::gemm, space::conv, space::norm, space::attention, \
        space::loss, space::optim, space::resample, space::image, space::rng                                 \
  }

// Filled on first use: the tables are constants of other files, whose initialisation order is not defined.
const Backend* find_backend(Device device) {
  switch (device) {
    case Device::cpu: {
      static const Backend backend = GAN_BACKEND(cpu);
      return &backend;
    }
    case Device::simt: {
      static const Backend backend = GAN_BACKEND(simt);
      return &backend;
    }
    case Device::ref: {
      static const Backend backend = GAN_BACKEND(ref);
      return &backend;
    }
    case Device::cuda: {
#ifdef GAN_WITH_CUDA
      static const Backend backend = GAN_BACKEND(cuda);
      return &backend;
#else
      return nullptr;
#endif
    }
  }
  return nullptr;
}

}  // namespace gan
