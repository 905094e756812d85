// The vocabulary networks are written in: each operation checks its shapes, allocates its output, runs a
// kernel, and leaves a record of how to go back (engine/tensor/record.h: how to add one). Shapes are (N,H,W,C);
// `act` is fused into the operation it follows. The families lie in engine/tensor/ops/.
#pragma once
#include <utility>

#include "engine/tensor/tape.h"

namespace gan {

// ---- elementwise ----
Tensor activation(const Tensor& x, Activation act);
Tensor add(const Tensor& a, const Tensor& b);
Tensor subtract(const Tensor& a, const Tensor& b);
Tensor multiply(const Tensor& a, const Tensor& b);
Tensor multiply_by(const Tensor& x, const Tensor& factor);       // factor (1), a scalar on the device
Tensor affine(const Tensor& x, double scale, double shift = 0);  // scale * x + shift
// (x + shift)^exponent, where x + shift is above 0, or the exponent whole
Tensor power(const Tensor& x, double exponent, double shift = 0);
// act of a's channels followed by b's: (N,H,W,Ca), (N,H,W,Cb) -> (N,H,W,Ca+Cb)
Tensor concat_channels(const Tensor& a, const Tensor& b, Activation act = {});
// a's pictures followed by b's: (Na,H,W,C), (Nb,H,W,C) -> (Na+Nb,H,W,C); any rank
Tensor concat_batch(const Tensor& a, const Tensor& b);
// Channels first ... first + count - 1 of x (N,H,W,C).
Tensor slice_channels(const Tensor& x, int first, int count);
// x (N,H,W,C) as the channels first ... first + C - 1 of (N,H,W,channels); the others are 0.
Tensor widen_channels(const Tensor& x, int first, int channels);
Tensor reshape(const Tensor& x, Shape shape);   // the same elements in the same order; no copy
Tensor sum(const Tensor& x, double scale = 1);  // (1): scale * (x_0 + x_1 + ...)
inline Tensor mean(const Tensor& x) { return sum(x, 1.0 / double(x.count())); }
Tensor broadcast(const Tensor& x, Shape shape, double scale = 1);  // scale * x everywhere; x (1)
Tensor sum_rows(const Tensor& x);                                  // (...,C) -> (C)
Tensor expand_rows(const Tensor& x, Shape shape);                  // (C) -> shape (...,C): x in every row
Tensor constant(DeviceContext& context, Shape shape, double value);
// The same numbers in another type of memory; x itself where it has that type.
Tensor cast(const Tensor& x, DType type);
// Two tensors in one type: as they are, or where they differ in the type of activations. Operations on two
// tensors begin with this, so that what is made in float32 (pictures, averaged weights) meets bfloat16.
std::pair<Tensor, Tensor> in_one_type(const Tensor& a, const Tensor& b);

// ---- products ----
// op(a) op(b): (m,k) x (k,n) -> (m,n); a transposed is given as (k,m), b transposed as (n,k). As many products as both have
// matrices: (B,m,k) x (B,k,n) -> (B,m,n).
Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);
// The same with a float32 result of bfloat16 matrices (float64 on ref).
Tensor matmul_wide(const Tensor& a, const Tensor& b, bool transpose_a = false, bool transpose_b = false);
// act(x w^T + bias): x (N,in), w (out,in), bias (out) or empty -> (N,out)
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias = {}, Activation act = {});

struct ConvOptions {
  int kernel = 4, stride = 2, pad = 1, dilation = 1, groups = 1;
  Padding padding = Padding::zero;
  int output_pad = 0;  // transposed convolutions: extra rows and columns at the end, < stride
};
// act(conv(x, w) + bias): x (N,H,W,C), w (K,kernel,kernel,C/groups), bias (K) or empty -> (N,OH,OW,K)
Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvOptions& options,
              Activation act = {});
// The transposed convolution, x (N,H,W,C) -> (N,OH,OW,K) with OH = (H-1)*stride - 2*pad + kernel +
// output_pad. Its weight is that of the mirrored convolution (K channels -> C channels): w
// (C,kernel,kernel,K).
Tensor conv_transpose2d(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvOptions& options,
                        Activation act = {});

// ---- normalisation ----
enum class NormKind { none, batch, instance };
struct NormTensors {
  Tensor gamma, beta;                // (C), or empty: 1 and 0
  Tensor running_mean, running_var;  // (C), or empty
};
// act(gamma * (x - mean) / sqrt(var + eps) + beta) by the statistics of x: of the batch per channel (batch)
// or of each picture per channel (instance). Moves the running statistics, if there are any, also when
// nothing is recorded. batches: so many batches of equal size lie behind each other in x, and each counts by itself, in
// their order; more than one has no second gradient.
Tensor normalise(const Tensor& x, NormKind kind, const NormTensors& t, Activation act = {},
                 double momentum = 0.1, double eps = 1e-5, int batches = 1);
// The same with the running statistics: what a trained network does with one picture does not depend on the
// others. Not differentiable.
Tensor normalise_running(const Tensor& x, const NormTensors& t, Activation act = {}, double eps = 1e-5);

// act(gamma * (x - mean) / sqrt(var + eps) + beta) by the one mean and variance of each x[n,...]: of a whole
// picture (N,H,W,C), or of a row (N,C). gamma, beta (C), or both empty.
Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, Activation act = {},
                  double eps = 1e-5);

// A weight divided by u^T W v, an estimate of the largest singular value of W, the weight as a matrix with a row for
// each output (Miyato et al. 2018): the weight's first size, or outputs_last its last. u (outputs) and v (the product of
// the other sizes) are vectors of length 1; `move` moves them one step of power iteration on, in place, before they are
// used. The gradient of the weight takes them for constants.
Tensor spectral_norm(const Tensor& weight, const Tensor& u, const Tensor& v, bool outputs_last, bool move);

// ---- pooling and resizing (definitions: kernels.h) ----
struct PoolOptions {
  int kernel = 2, stride = 2, pad = 0;
  bool ceil_mode = false;     // a last window may hang over the end
  bool count_padding = true;  // average_pool: zeros of the padding count
};
Tensor max_pool(const Tensor& x, const PoolOptions& options = {});  // (N,H,W,C) -> (N,OH,OW,C)
Tensor average_pool(const Tensor& x, const PoolOptions& options = {});
// The means of height x width bins that cover the picture (N,H,W,C) -> (N,height,width,C).
Tensor adaptive_average_pool(const Tensor& x, int height, int width);
// To another size, (N,H,W,C) -> (N,height,width,C).
Tensor resize_nearest(const Tensor& x, int height, int width);
Tensor resize_bilinear(const Tensor& x, int height, int width, bool align_corners = false);
// (N,H,W,C*r*r) -> (N,H*r,W*r,C) with r = factor, and back; channels in PyTorch's order.
Tensor pixel_shuffle(const Tensor& x, int factor);
Tensor pixel_unshuffle(const Tensor& x, int factor);

// ---- attention ----
// Each query's average of the values, weighted by the softmax over the keys of scale * (query . key):
// q (B,N,Dk), k (B,M,Dk), v (B,M,Dv) -> (B,N,Dv). Dk and Dv may differ; SAGAN has scale 1, transformers
// 1/sqrt(Dk). A picture (N,H,W,C) becomes (N,H*W,C) by reshape.
Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale = 1);

// ---- losses (formulas: kernels.h) ----
struct LossValue {
  Tensor loss;    // (1), to call backward() on
  Tensor values;  // what the kernel reports: see DiscriminatorLoss, GeneratorLoss, PixelLoss
};
// scale * (loss_real + loss_fake); values (4): loss_real, loss_fake, D_real, D_fake
LossValue discriminator_loss(const Tensor& real_logits, const Tensor& fake_logits, GanLoss kind,
                             double real_label = 1, double fake_label = 0, double scale = 1);
// The same of logits (N,...) whose first half, or second, is of real pictures. No second gradient.
enum class RealHalf { first, second };
LossValue discriminator_loss(const Tensor& logits, RealHalf real, GanLoss kind, double real_label = 1,
                             double fake_label = 0, double scale = 1);
// scale * loss; values (1)
LossValue generator_loss(const Tensor& fake_logits, GanLoss kind, double scale = 1);
// scale * the mean of |a-b|, (a-b)^2 or Huber's function of a-b; values (1): without scale
LossValue pixel_loss(const Tensor& a, const Tensor& b, PixelLossKind kind, double scale = 1);

// ---- dropout ----
// Which random numbers a mask is made of: every layer of every step takes its own. In training the step comes
// from the device (StepValues::step()), so that a recorded step draws new masks each time.
struct DropoutKey {
  uint64_t seed = 0;
  uint32_t step = 0;
  uint32_t layer = 0;
  In step_at = {};  // where there is one, a counter on the device that is added to `step`
};
// Each element is 0 with probability p, else x / (1 - p). A function of x, p and the key alone; the backward
// pass draws the mask again.
Tensor dropout(const Tensor& x, double p, const DropoutKey& key);

// ---- data and random numbers (not differentiable) ----
// placement (N,4) i32: index, top, left, flip; pool (pictures,H,W,C) u8 -> (N,height,width,C) in [-1,1]
Tensor image_batch(const Tensor& pool, const Tensor& placement, int height, int width);
// Pictures (N,H,W,3) in [-1,1] to lightness (N,H,W,1) = L/50 - 1 and colour (N,H,W,2) = (a,b)/110, and back.
struct LabPicture {
  Tensor l, ab;
};
LabPicture rgb_to_lab(const Tensor& rgb);
Tensor lab_to_rgb(const Tensor& l, const Tensor& ab);
// Mean 0, deviation 1. The second takes the step from a counter on the device (StepValues::draw()), plus
// `ahead`.
Tensor random_normal(DeviceContext& context, Shape shape, uint64_t seed, uint32_t stream, uint32_t step);
Tensor random_normal(DeviceContext& context, Shape shape, uint64_t seed, uint32_t stream, In step_at,
                     uint32_t ahead, DType type);

}  // namespace gan
