// Convolution, rung 3: tensor cores. The implicit matrix product of rung 2, multiplied by
// kernels/gpu/mma_tile.cuh: bfloat16 as it is (variant mma_bf16), float32 rounded to tf32 (mma_tf32). Pixels go
// to shared memory by asynchronous copies of 8 (bfloat16) or 4 channels; copies of padding write zeros.
#include "kernels/gpu/conv/implicit.cuh"
#include "kernels/gpu/mma_tile.cuh"

namespace gan::GAN_GPU {

void conv_fwd_mma(const ConvFwd& args, Stream& stream) { conv_fwd_by<MmaRung>(args, stream); }
void conv_bwd_data_mma(const ConvBwdData& args, Stream& stream) { conv_bwd_data_by<MmaRung>(args, stream); }
void conv_bwd_weight_mma(const ConvBwdWeight& args, Stream& stream) {
  conv_bwd_weight_by<MmaRung>(args, stream);
}

}  // namespace gan::GAN_GPU
