// gemm, rung 4: the tensor cores of compute capability 9.0. The same matrices as rungs 2 and 3, multiplied by
// kernels/gpu/wgmma_tile.cuh (variant wgmma_bf16). Rows that are multiples of 16 bytes come by tensor copies,
// others by copies of a warpgroup.
#include "kernels/gpu/gemm/gemm.cuh"
#include "kernels/gpu/wgmma_tile.cuh"

namespace gan::GAN_GPU {

void gemm_wgmma(const Gemm& args, Stream& stream) {
  if (args.c.dtype == DType::f32) gemm_by<WgmmaRung, float>(args, stream);
  else gemm_by<WgmmaRung, bf16>(args, stream);
}

#if defined(__CUDACC__)
namespace {
// The code that a GPU has loaded of a program for several architectures tells which by its shared memory.
__global__ void code_kernel(int* out) {
  __shared__ volatile int held[built_for_wgmma ? 32 : 1];
  held[threadIdx.x % (built_for_wgmma ? 32 : 1)] = *out;
  __syncthreads();
  *out = held[0];
}
}  // namespace

const char* wgmma_missing() {
  static const bool is_there = [] {
    cudaFuncAttributes attributes{};
    const cudaError_t status = cudaFuncGetAttributes(&attributes, code_kernel);
    if (status != cudaSuccess)
      cudaGetLastError();  // what is wrong with the GPU is for the next launch to say
    return status == cudaSuccess && attributes.sharedSizeBytes >= 32 * sizeof(int);
  }();
  return is_there ? nullptr : "needs a GPU of compute capability 9.0 and code for sm_90a";
}
#else
const char* wgmma_missing() { return nullptr; }
#endif

}  // namespace gan::GAN_GPU
