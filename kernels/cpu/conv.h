// What the convolution variants of conv.cpp take besides their buffers, for predictions of memory.
#pragma once
#include "kernels/kernels.h"

namespace gan::cpu {

// Of `shifts`, in bytes, with as many threads as there are now.
size_t shifts_fwd_scratch_bytes(const Conv2d& size);
size_t shifts_bwd_weight_scratch_bytes(const Conv2d& size);

}  // namespace gan::cpu
