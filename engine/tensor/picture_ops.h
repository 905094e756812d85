// Operations on pictures that are made of those in ops.h: statistics of each picture, blurs, colours. They have
// the gradients that their parts have, of every order.
#pragma once
#include <vector>

#include "engine/tensor/ops.h"

namespace gan {

// A tensor of these numbers, put there by launches: what a training step may do (engine/tensor/recording.h).
// For a few numbers; each is a launch.
Tensor constants(DeviceContext& context, Shape shape, const std::vector<double>& values);

// ---- statistics of each picture ----
// The Gram matrix of each picture's channels, F^T F / (C H W) with F (H W, C) its pixels: (N,H,W,C) -> (N,C,C).
Tensor gram(const Tensor& x);

// Of each channel of each picture: (N,1,1,C).
struct ChannelStatistics {
  Tensor mean;
  Tensor deviation;  // sqrt(variance + eps)
};
enum class Variance { biased, unbiased };  // the sum of squares divided by H W, or by H W - 1
ChannelStatistics channel_statistics(const Tensor& x, Variance variance = Variance::unbiased,
                                     double eps = 1e-5);
// x with the statistics `wanted` instead of `own`: (x - mean) / deviation * deviation' + mean'.
Tensor with_statistics(const Tensor& x, const ChannelStatistics& own, const ChannelStatistics& wanted);
// AdaIN (Huang and Belongie 2017): content (N,H,W,C) with the statistics of style (N,h,w,C). Other kinds of variance:
// with_statistics().
Tensor adain(const Tensor& content, const Tensor& style);
// Between the two: (1 - amount) a + amount b, amount from 0 to 1; at 1 b itself.
Tensor blend(const Tensor& a, const Tensor& b, double amount);

// scale * (the mean of f over the differences of horizontal neighbours + that over those of vertical ones), f being
// |d|, d^2 or Huber's function: (N,H,W,C) -> (1). AnimeGANv2's form is half of l2.
Tensor total_variation(const Tensor& x, PixelLossKind kind = PixelLossKind::l1, double scale = 1);

// ---- filters ----
// The mean of the square of side 2 radius + 1 around each pixel, of what of it lies in the picture.
Tensor box_blur(const Tensor& x, int radius);
// The guided filter (He et al. 2010), channel by channel: smooths x (N,H,W,C) but for the edges that guide
// (N,H,W,C) has, where its variance in a square of that radius is above eps. A picture may be its own guide.
Tensor guided_filter(const Tensor& x, const Tensor& guide, int radius, double eps);

// ---- colours, of pictures (N,H,W,3) in [-1,1] ----
// The luma 0.299 R + 0.587 G + 0.114 B in each of three channels, in [-1,1].
Tensor grey(const Tensor& x);
// The colours of lab_to_rgb() (ops.h), made of operations that have gradients: slower, for colours that a network
// has made and losses on the picture. L (N,H,W,1), (a,b) (N,H,W,2) -> (N,H,W,3). Where a channel is clipped it passes
// no gradient.
Tensor lab_to_rgb_by_parts(const Tensor& l, const Tensor& ab);
// A colour picture with its lightness alone: L stays, a and b are 0. Without gradients.
Tensor without_colour(const Tensor& rgb);
// Y in [0,1], U in [-0.436,0.436], V in [-0.615,0.615] of the same colours in [0,1] (BT.601).
Tensor to_yuv(const Tensor& x);

}  // namespace gan
