// gemm, rung 3: tensor cores. The same matrices as rung 2, multiplied by kernels/gpu/mma_tile.cuh: bfloat16 as it
// is (variant mma_bf16), float32 rounded to tf32 (mma_tf32).
#include "kernels/gpu/gemm/gemm.cuh"
#include "kernels/gpu/mma_tile.cuh"

namespace gan::GAN_GPU {

void gemm_mma(const Gemm& args, Stream& stream) { gemm_by_types<MmaRung>(args, stream); }

}  // namespace gan::GAN_GPU
