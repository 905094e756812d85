// What the rungs of the convolution ladder share: where a tap of the kernel falls in the picture, and the
// launchers. The sizes, the layouts and the formula are in kernels/contract/conv.h (Conv2d). Start reading
// with 1_naive.cu.
#pragma once
#include "kernels/gpu/epilogue.cuh"

namespace gan::GAN_GPU {

// The row (or column) of the picture that padded coordinate `at` stands for, or -1 where zeros are.
// Reflection mirrors at the centre of the edge pixel; pad < size, so that one mirroring is enough.
__device__ __forceinline__ int source_index(int at, int size, Padding padding) {
  if (at >= 0 && at < size) return at;
  if (padding == Padding::zero) return -1;
  return at < 0 ? -at : 2 * (size - 1) - at;
}

// The other way round: the padded coordinates, at most 3, that read row `i` of the picture.
struct MirrorImages {
  int at[3];
  int count;
};
__device__ __forceinline__ MirrorImages mirror_images(int i, int size, int pad, Padding padding) {
  MirrorImages images = {{i, 0, 0}, 1};
  if (padding == Padding::zero) return images;
  if (i > 0 && i <= pad) images.at[images.count++] = -i;
  if (i < size - 1 && i >= size - 1 - pad) images.at[images.count++] = 2 * (size - 1) - i;
  return images;
}

// The launchers of 1_naive.cu, 2_tiled.cu, 3_mma.cu and 4_hopper.cu.
void conv_fwd_naive(const ConvFwd& args, Stream& stream);
void conv_bwd_data_naive(const ConvBwdData& args, Stream& stream);
void conv_bwd_weight_naive(const ConvBwdWeight& args, Stream& stream);
void conv_fwd_tiled(const ConvFwd& args, Stream& stream);
void conv_bwd_data_tiled(const ConvBwdData& args, Stream& stream);
void conv_bwd_weight_tiled(const ConvBwdWeight& args, Stream& stream);
void conv_fwd_mma(const ConvFwd& args, Stream& stream);
void conv_bwd_data_mma(const ConvBwdData& args, Stream& stream);
void conv_bwd_weight_mma(const ConvBwdWeight& args, Stream& stream);
void conv_fwd_wgmma(const ConvFwd& args, Stream& stream);
void conv_bwd_data_wgmma(const ConvBwdData& args, Stream& stream);
void conv_bwd_weight_wgmma(const ConvBwdWeight& args, Stream& stream);

}  // namespace gan::GAN_GPU
