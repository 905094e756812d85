// NVIDIA's libraries, opened when first used: a program that links them pays for it at every start, and a
// machine without them still runs everything. cuBLAS computes plain matrix products; cuDNN is the rival that
// the convolution benchmarks compare with. Only in builds with CUDA.
#pragma once
#include "kernels/kernels.h"

namespace gan::cuda {

// Why cuBLAS or cuDNN cannot be used, or null. The first call opens the library.
const char* cublas_missing();
const char* cudnn_missing();

// c = op(a) op(b), or c += with Acc::add; bias and act are left to the caller. float32 matrices are
// multiplied in float32, or in TF32 when asked for; bfloat16 ones on tensor cores with float32 sums.
void cublas_gemm(const Gemm& args, Stream& stream, bool tf32 = false);

// What cuDNN may do.
struct CudnnRules {
  bool tf32 = false;      // multiply float32 in TF32
  bool measured = false;  // the fastest algorithm by cuDNN's own measurement, deterministic or not; else the
                          // first deterministic one that it proposes
  bool operator==(const CudnnRules&) const = default;
};

// The three directions of a zero-padded convolution; bias and act are left to the caller. All three buffers
// are float32, or all three bfloat16 (multiplied on tensor cores, sums float32), the gradient of the weights
// too.
void cudnn_fwd(const ConvFwd& args, Stream& stream, CudnnRules rules = {});
void cudnn_bwd_data(const ConvBwdData& args, Stream& stream, CudnnRules rules = {});
void cudnn_bwd_weight(const ConvBwdWeight& args, Stream& stream, CudnnRules rules = {});

}  // namespace gan::cuda
