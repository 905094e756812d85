// Convolutions with fewer multiplications than their definition has, for large pictures with many channels.
#pragma once
#include "kernels/kernels.h"

namespace gan::cpu {

// Null when the size can be and is worth being computed this way, else the reason in words: one group,
// kernels 4x4 of stride 2 or 1 and 3x3 of stride 1, channels a multiple of 16, 64 tiles or more; any padding.
const char* fits_winograd(const Conv2d& size);

// Bias and activation are the caller's to add; Acc is obeyed. w_version as in ConvFwd: weights are kept
// transformed while their version stays the same, up to 256 MiB of them.
void winograd_fwd(const ConvFwd& args, Stream& stream);
void winograd_bwd_data(const ConvBwdData& args, Stream& stream);
void winograd_bwd_weight(const ConvBwdWeight& args, Stream& stream);

// What a convolution of this size takes: room for a chunk of tiles, and the weights transformed for tiles of one side.
struct WinogradMemory {
  size_t scratch, weights;  // bytes
  int tile;
};
WinogradMemory winograd_memory(const Conv2d& size);

}  // namespace gan::cpu
