// gemm, rung 2: tiled. Tiles in shared memory and in registers: each element read from global memory is used
// for many outputs. The product is kernels/gpu/tile.cuh, over plain matrices.
#include "kernels/gpu/gemm/gemm.cuh"

namespace gan::GAN_GPU {

void gemm_tiled(const Gemm& args, Stream& stream) { gemm_by_types<TiledRung>(args, stream); }

}  // namespace gan::GAN_GPU
