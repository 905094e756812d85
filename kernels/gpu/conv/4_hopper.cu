// Convolution, rung 4: the tensor cores of compute capability 9.0. The implicit matrix product of rungs 2 and
// 3, multiplied by kernels/gpu/wgmma_tile.cuh (variant wgmma_bf16). Patches of a picture are no box of a
// matrix, so a warpgroup copies them, 8 channels at a time.
#include "kernels/gpu/conv/implicit.cuh"
#include "kernels/gpu/wgmma_tile.cuh"

namespace gan::GAN_GPU {

void conv_fwd_wgmma(const ConvFwd& args, Stream& stream) { fwd_by<WgmmaRung>(args, stream); }
void conv_bwd_data_wgmma(const ConvBwdData& args, Stream& stream) { bwd_data_by<WgmmaRung>(args, stream); }
void conv_bwd_weight_wgmma(const ConvBwdWeight& args, Stream& stream) {
  bwd_weight_by<WgmmaRung>(args, stream);
}

}  // namespace gan::GAN_GPU
