// What batch, instance and layer normalisation share: what one column does to its values, and the launchers of
// layer_norm.cu and spectral_norm.cu, whose rows stand in the table of norm.cu.
#pragma once
#include "kernels/gpu/family.cuh"

namespace gan::GAN_GPU {

// What one column does to its values. Forward and backward pass both go through z(), with an explicit fma, so
// that they agree to the last bit on which side of a ReLU's corner a value lies.
struct Column {
  float mean, rstd, gamma, beta;
  __device__ float xhat(float x) const { return (x - mean) * rstd; }
  __device__ float z(float x) const { return fmaf(xhat(x), gamma, beta); }
};
__device__ __forceinline__ Column column(const float* mean, const float* rstd, const float* gamma,
                                         const float* beta, int64_t at, int c) {
  return {mean[at], rstd[at], gamma ? gamma[c] : 1.0f, beta ? beta[c] : 0.0f};
}

// dz = dy * act'(z).
__device__ __forceinline__ float gradient_of_z(const Column& column, const Activation& act, float x,
                                               float dy) {
  if (act.kind == Act::none) return dy;
  return dy * activation_slope(act, activate(act, column.z(x)));
}

// The launchers of spectral_norm.cu.
void spectral_forward_naive(const SpectralNormFwd& args, Stream& stream);
void spectral_forward_split(const SpectralNormFwd& args, Stream& stream);
void spectral_backward_naive(const SpectralNormBwd& args, Stream& stream);
void spectral_backward_split(const SpectralNormBwd& args, Stream& stream);
// The launchers of layer_norm.cu.
void layer_forward_naive(const LayerNormFwd& args, Stream& stream);
void layer_forward_block(const LayerNormFwd& args, Stream& stream);
void layer_backward_naive(const LayerNormBwd& args, Stream& stream);
void layer_backward_block(const LayerNormBwd& args, Stream& stream);

}  // namespace gan::GAN_GPU
