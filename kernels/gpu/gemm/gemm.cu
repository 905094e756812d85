// The variants of the matrix product, from naive upwards, and what each can compute.
//
// Ladder: 1_naive.cu  the formula, one thread per element of C
//         2_tiled.cu  tiles in shared memory and in registers
//         3_mma.cu    tensor cores: mma_bf16 on bfloat16, mma_tf32 on float32 (only when asked for by name)
//         4_hopper.cu wgmma_bf16: the tensor cores of compute capability 9.0 (only when asked for by name)
//         cublas      NVIDIA's library (CUDA builds only)
// All sums are float32, whatever the storage type.
#include "kernels/gpu/gemm/gemm.cuh"
#include "kernels/gpu/wgmma_tile.cuh"
#if defined(__CUDACC__)
#include "kernels/gpu/cuda_libraries.h"
#endif

namespace gan::GAN_GPU {
namespace {

// ---- what fits ----------------------------------------------------------------------------------------

// bfloat16 matrices may have a float32 product: weight gradients do.
const char* fits_types(const Gemm& args) {
  const bool bf16_in = args.a.dtype == DType::bf16 && args.b.dtype == DType::bf16;
  const bool f32_in = args.a.dtype == DType::f32 && args.b.dtype == DType::f32;
  if (f32_in && args.c.dtype == DType::f32) return nullptr;
  if (bf16_in && (args.c.dtype == DType::bf16 || args.c.dtype == DType::f32)) return nullptr;
  return "the matrices must be float32, or A and B bfloat16";
}

const char* fits_mma_bf16(const Gemm& args) {
  if (const char* reason = fits_types(args)) return reason;
  return args.a.dtype == DType::bf16 ? nullptr : "A and B must be bfloat16";
}

const char* fits_mma_tf32(const Gemm& args) {
  if (const char* reason = fits_types(args)) return reason;
  if (args.a.dtype != DType::f32) return "the matrices must be float32";
  return tf32_in_use() || forced_variant(Gemm::op) == "mma_tf32" ? nullptr : tf32_not_asked_for;
}

const char* fits_wgmma_bf16(const Gemm& args) {
  if (const char* reason = fits_mma_bf16(args)) return reason;
  if (forced_variant(Gemm::op) != "wgmma_bf16") return wgmma_not_asked_for;
  return wgmma_missing();
}

// ---- cuBLAS -------------------------------------------------------------------------------------------

#if defined(__CUDACC__)
const char* fits_cublas(const Gemm& args) {
  const char* reason = fits_types(args);
  return reason ? reason : cublas_missing();
}

template <class TOut>
void gemm_cublas_typed(const Gemm& args, Stream& stream) {
  const auto epilogue = make_epilogue<TOut>(args.c, args.bias, args.act, args.n);
  cublas_gemm(args, stream);
  finish_in_place(epilogue, int64_t{args.m} * args.n, args.n, stream);
}

void gemm_cublas(const Gemm& args, Stream& stream) {
  if (args.c.dtype == DType::f32) gemm_cublas_typed<float>(args, stream);
  else gemm_cublas_typed<bf16>(args, stream);
}
#endif

// ---- variants -----------------------------------------------------------------------------------------

constexpr const char* wgmma_where =
    "as mma_bf16, on compute capability 9.0, when forced (no GPU has timed it)";

constexpr Variant<Gemm> gemm_variants[] = {
    {"naive", "f32 bf16", "any size", fits_types, gemm_naive},
    {"tiled", "f32 bf16", "any size", fits_types, gemm_tiled},
    {"mma_tf32", "tf32", "any size, when forced", fits_mma_tf32, gemm_mma, 3000},
    {"mma_bf16", "bf16", "any size", fits_mma_bf16, gemm_mma},
    {"wgmma_bf16", "bf16", wgmma_where, fits_wgmma_bf16, gemm_wgmma},
#if defined(__CUDACC__)
    {"cublas", "f32 bf16", "where libcublas is installed", fits_cublas, gemm_cublas, 1, true},
#endif
};

}  // namespace

const GemmTable gemm = {.gemm = {gemm_variants}};

}  // namespace gan::GAN_GPU
