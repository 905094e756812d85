// The door to oneDNN, without its headers: convolutions and matrix products on plain buffers, float32 or bfloat16.
//
// Everything here is synchronous and safe to call from several threads (calls take turns; each uses all
// cores). A call keeps what it prepared: compiled primitives per size, and weights in the primitive's own
// layout per version. The conventions of kernels.h hold: activations NHWC, weights (O,kh,kw,I).
#pragma once
#include <string>

#include "kernels/kernels.h"
#include "kernels/shared/bf16.h"

namespace gan::cpu {

// Convolutions with zero padding (size.padding is ignored), any groups and dilation that check(Conv2d)
// allows. w_version as in ConvFwd: a number that no other contents of this address ever had, or 0. Copies of
// weights are kept while their version stays the same, up to 1 GiB of them, least recently used first to go.

// x, w and y are of one type; bias and dw are float32.

// y = act(conv(x, w) + bias), or with Acc::add (and no activation) added to y. bias may be null.
void onednn_conv_fwd(const Conv2d& size, In x, In w, uint64_t w_version, In bias, Activation act, Out y);
// dx = gradient of x, overwritten; float32 also where dy and w are bfloat16.
void onednn_conv_bwd_data(const Conv2d& size, In dy, In w, uint64_t w_version, Out dx);
void onednn_conv_bwd_weight(const Conv2d& size, In x, In dy, Out dw);

// c = op(a) op(b), or added to c; row-major, (m,k) x (k,n), a stored (k,m) when transpose_a, b stored (n,k)
// when transpose_b. Inside a parallel region it runs on the calling thread alone.
void onednn_gemm(bool transpose_a, bool transpose_b, int m, int n, int k, const float* a, const float* b,
                 Acc acc, float* c);

// `count` products of bfloat16 matrices, with float32 results: c[i] = a[i] b[i], or added to c[i]. a is (m,k), b (k,n)
// and c (m,n) with the given distances, in elements, from one row, column and matrix to the next.
struct Strides {
  int64_t matrix, row, column;
};
void onednn_products(int64_t count, int m, int n, int k, const bf16* a, Strides a_strides, const bf16* b,
                     Strides b_strides, Acc acc, float* c, Strides c_strides);

// What would compute this: the variant's name, for oneDNN with its implementation, e.g. "gemm" or
// "onednn brgconv:avx512_core". "onednn ref:any" is orders of magnitude slower than anything else.
std::string conv_implementation(const ConvFwd& args);
std::string conv_implementation(const ConvBwdData& args);
std::string conv_implementation(const ConvBwdWeight& args);

std::string onednn_version();  // "2.6.3"
std::string onednn_isa();      // the instruction set its code is generated for, e.g. "avx512_core_bf16"

}  // namespace gan::cpu
