// Convolution, rung 2: tiled. The implicit matrix product of implicit.cuh, on the tiles in shared memory and
// registers of kernels/gpu/tile.cuh. Groups stay with rung 1.
#include "kernels/gpu/conv/implicit.cuh"

namespace gan::GAN_GPU {

void conv_fwd_tiled(const ConvFwd& args, Stream& stream) { conv_fwd_by<TiledRung>(args, stream); }
void conv_bwd_data_tiled(const ConvBwdData& args, Stream& stream) {
  conv_bwd_data_by<TiledRung>(args, stream);
}
void conv_bwd_weight_tiled(const ConvBwdWeight& args, Stream& stream) {
  conv_bwd_weight_by<TiledRung>(args, stream);
}

}  // namespace gan::GAN_GPU
