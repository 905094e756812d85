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
// multiplied in float32 (never TF32), bfloat16 ones on tensor cores with float32 sums.
void cublas_gemm(const Gemm& args, Stream& stream);

// The three directions of a zero-padded float32 convolution, in float32 (never TF32); bias and act are left
// to the caller. Of the algorithms cuDNN proposes for these sizes, the first deterministic one.
void cudnn_fwd(const ConvFwd& args, Stream& stream);
void cudnn_bwd_data(const ConvBwdData& args, Stream& stream);
void cudnn_bwd_weight(const ConvBwdWeight& args, Stream& stream);

}  // namespace gan::cuda
