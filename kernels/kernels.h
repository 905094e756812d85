// The contract between the engine and the devices: what can be computed, on which buffers, with which sizes.
//
// Each operation is one argument struct: sizes, inputs (In), outputs (Out). Each family of operations is one
// table of Op<Args>; each device (cuda, simt, cpu, ref) fills the tables it can, and an operation it lacks
// has no variants and is one clear error when called. Nothing here knows a Tensor, the tape or a file.
//
// Conventions that hold for every entry
//   layout      activations (N,H,W,C), convolution weights (O,kh,kw,I), matrices row-major, all dense
//   In / Out    a pointer on the device with its data type; a null In is "not there", a null Out is "not
//   wanted" Out.acc     Acc::set overwrites, Acc::add adds to what is there (the tape decides, the kernel
//   obeys) dtypes      activations and weights float32 or bfloat16; statistics, losses, optimiser state
//   float32;
//               device `ref` computes everything in float64 on float64 buffers
//   results     do not depend on thread timing: no float atomics, fixed reduction trees
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "kernels/check.h"
#include "kernels/variant.h"

namespace gan {

// ---------------------------------------------------------------------------------------- values and buffers

enum class DType : uint8_t { f32, bf16, f64, i32, u8 };
size_t size_of(DType type);  // bytes of one element
const char* name_of(DType type);

enum class Acc : uint8_t { set, add };

struct bf16;  // kernels/bf16.h
template <class T>
constexpr DType dtype_of();  // dtype_of<float>() == DType::f32, ...
// clang-format off
template <> constexpr DType dtype_of<float>() { return DType::f32; }
template <> constexpr DType dtype_of<bf16>() { return DType::bf16; }
template <> constexpr DType dtype_of<double>() { return DType::f64; }
template <> constexpr DType dtype_of<int32_t>() { return DType::i32; }
template <> constexpr DType dtype_of<uint8_t>() { return DType::u8; }
// clang-format on

struct In {
  const void* data = nullptr;
  DType dtype = DType::f32;
  explicit operator bool() const { return data != nullptr; }
  // The pointer as T*; throws when the buffer holds another type. Null stays null.
  template <class T>
  const T* as() const {
    GAN_CHECK(!data || dtype == dtype_of<T>(), "input is {}, wanted {}", name_of(dtype),
              name_of(dtype_of<T>()));
    return static_cast<const T*>(data);
  }
};

struct Out {
  void* data = nullptr;
  DType dtype = DType::f32;
  Acc acc = Acc::set;
  explicit operator bool() const { return data != nullptr; }
  template <class T>
  T* as() const {
    GAN_CHECK(!data || dtype == dtype_of<T>(), "output is {}, wanted {}", name_of(dtype),
              name_of(dtype_of<T>()));
    return static_cast<T*>(data);
  }
};

enum class Act : uint8_t { none, relu, leaky_relu, tanh, sigmoid };
// An activation function. Every one has a gradient that is a function of its output alone (leaky_relu needs
// slope > 0 for that), so a fused forward pass keeps only y.
struct Activation {
  Act kind = Act::none;
  double slope = 0.2;  // leaky_relu only, > 0
};

// ------------------------------------------------------------------------------------------------ pointwise

// y = act(x). `count` elements.
struct ActivationFwd {
  static constexpr const char* op = "activation_fwd";
  int64_t count = 0;
  Activation act;
  In x;
  Out y;
};
// dx = dy * act'(.), from the forward output y.
struct ActivationBwd {
  static constexpr const char* op = "activation_bwd";
  int64_t count = 0;
  Activation act;
  In y, dy;
  Out dx;
};
enum class BinaryKind : uint8_t { add, subtract, multiply };
// y = a (+,-,*) b. b has b_count elements: `count`, or 1 for a scalar that lies on the device.
struct Binary {
  static constexpr const char* op = "binary";
  int64_t count = 0, b_count = 0;
  BinaryKind kind = BinaryKind::add;
  In a, b;
  Out y;
};
// y = scale * x + shift; also converts between float types (scale 1, shift 0: a plain copy or cast).
struct Affine {
  static constexpr const char* op = "affine";
  int64_t count = 0;
  double scale = 1, shift = 0;
  In x;
  Out y;
};
// y[i] = scale * x[0] for every i; without x: y[i] = scale. (The backward of a sum; also fills a buffer.)
struct Broadcast {
  static constexpr const char* op = "broadcast";
  int64_t count = 0;
  double scale = 1;
  In x;  // (1) or null
  Out y;
};
// sum[0] = scale * (x[0] + ... + x[count-1]). sum is float32 (float64 on ref).
struct Sum {
  static constexpr const char* op = "sum";
  int64_t count = 0;
  double scale = 1;
  In x;
  Out sum;  // (1)
};
// sums[c] = sum over rows of x[r,c]: the gradient of a bias. sums is float32 (float64 on ref).
struct SumRows {
  static constexpr const char* op = "sum_rows";
  int64_t rows = 0;
  int channels = 0;
  In x;      // (rows, channels)
  Out sums;  // (channels)
};

// One part of a concatenation of channels: y[r, first + c] = act(x[r, c]) for c < channels. The other
// channels of y stay as they are.
struct PutChannels {
  static constexpr const char* op = "put_channels";
  int64_t rows = 0;
  int channels = 0;    // of x
  int y_channels = 0;  // of y
  int first = 0;       // first + channels <= y_channels
  Activation act;
  In x;   // (rows, channels)
  Out y;  // (rows, y_channels)
};
void check(const PutChannels& args);
// Its gradient: dx[r, c] = dy[r, first + c] * act'(.), from the forward output y.
struct TakeChannels {
  static constexpr const char* op = "take_channels";
  int64_t rows = 0;
  int channels = 0, y_channels = 0, first = 0;  // as in PutChannels
  Activation act;
  In y;    // (rows, y_channels); may be null without an activation
  In dy;   // (rows, y_channels)
  Out dx;  // (rows, channels)
};
void check(const TakeChannels& args);

struct PointwiseTable {
  Op<ActivationFwd> activation_fwd;
  Op<ActivationBwd> activation_bwd;
  Op<Binary> binary;
  Op<Affine> affine;
  Op<Broadcast> broadcast;
  Op<Sum> sum;
  Op<SumRows> sum_rows;
  Op<PutChannels> put_channels;
  Op<TakeChannels> take_channels;
};

// ----------------------------------------------------------------------------------------------------- gemm

// C = act(op(A) op(B) + bias): (m,k) x (k,n) -> (m,n), row-major; bias (n) is added to every row.
struct Gemm {
  static constexpr const char* op = "gemm";
  int m = 0, n = 0, k = 0;
  bool transpose_a = false;  // A is stored (k,m)
  bool transpose_b = false;  // B is stored (n,k)
  In a, b, bias;
  Activation act;  // needs c.acc == set
  Out c;           // (m,n)
};

struct GemmTable {
  Op<Gemm> gemm;
};

// ---------------------------------------------------------------------------------------------- convolution

enum class Padding : uint8_t { zero, reflect };

// Sizes of a 2-D convolution x (N,H,W,C) -> y (N,OH,OW,K) with weights w (K,kh,kw,C/groups):
//   y[n,oh,ow,k] = sum over r,s,c of x[n, oh*sh - ph + r*dh, ow*sw - pw + s*dw, c] * w[k,r,s,c]
// The output size is explicit because several input sizes share one: H may be anything that makes
// out_size(H, ...) == OH. A transposed convolution is the mirrored convolution run backwards: its input is y,
// its output is x, and its weight is the mirrored one's.
struct Conv2d {
  int n = 0, h = 0, w = 0, c = 0;   // x
  int oh = 0, ow = 0, k = 0;        // y
  int kh = 1, kw = 1;               // kernel
  int sh = 1, sw = 1;               // stride, >= 1
  int ph = 0, pw = 0;               // padding before the first row and column, >= 0
  int dh = 1, dw = 1;               // dilation, >= 1
  int groups = 1;                   // 1 or c; k % groups == 0
  Padding padding = Padding::zero;  // reflect mirrors without repeating the edge: ph < h, pw < w

  static int out_size(int in, int kernel, int stride, int pad, int dilation) {
    return (in + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
  }
  int64_t x_count() const { return int64_t(n) * h * w * c; }
  int64_t y_count() const { return int64_t(n) * oh * ow * k; }
  int64_t w_count() const { return int64_t(k) * kh * kw * (c / groups); }
  double flop() const { return 2.0 * double(y_count()) * kh * kw * (c / groups); }  // one direction
  bool operator==(const Conv2d&) const = default;
};
// Throws unless the sizes are a convolution that can be computed; every launcher calls it.
void check(const Conv2d& size);
std::string to_string(const Conv2d& size);

// y = act(conv(x, w) + bias)
struct ConvFwd {
  static constexpr const char* op = "conv2d_fwd";
  Conv2d size;
  In x;     // (n,h,w,c)
  In w;     // (k,kh,kw,c/groups)
  In bias;  // (k) float32 or null
  Activation act;
  Out y;  // (n,oh,ow,k)
  // Not 0: w's contents have this version, and a device may keep a re-laid-out copy until it changes.
  uint64_t w_version = 0;
};
// dx = act(gradient of x + bias): with bias and act, the forward pass of a transposed convolution.
struct ConvBwdData {
  static constexpr const char* op = "conv2d_bwd_data";
  Conv2d size;
  In dy;           // (n,oh,ow,k)
  In w;            // (k,kh,kw,c/groups)
  In bias;         // (c) float32 or null
  Activation act;  // needs dx.acc == set
  Out dx;          // (n,h,w,c)
  uint64_t w_version = 0;
};
struct ConvBwdWeight {
  static constexpr const char* op = "conv2d_bwd_weight";
  Conv2d size;
  In x;    // (n,h,w,c)
  In dy;   // (n,oh,ow,k)
  Out dw;  // (k,kh,kw,c/groups) float32
};

struct ConvTable {
  Op<ConvFwd> fwd;
  Op<ConvBwdData> bwd_data;
  Op<ConvBwdWeight> bwd_weight;
};

// ----------------------------------------------------------------------------------------------------- norm

// Batch and instance normalisation are one thing: x is `segments` blocks of `rows` rows of `channels` values,
// and every (segment, channel) is normalised by its own mean and biased variance over the rows. Batch norm:
// segments 1, rows N*H*W (segments 2 when two batches run as one); instance norm: segments N, rows H*W.
struct NormSize {
  int segments = 1;
  int64_t rows = 0;  // per segment, >= 1
  int channels = 0;
  double eps = 1e-5;
  int64_t count() const { return segments * rows * channels; }
  bool operator==(const NormSize&) const = default;
};
// y = act(gamma * (x - mean) * rstd + beta), rstd = 1/sqrt(variance + eps) (Ioffe & Szegedy 2015; Ulyanov et
// al. 2016). Running statistics, where wanted, move once per segment in order: r = (1-momentum) r + momentum
// * value, the variance unbiased (rows/(rows-1)). Variances are two-pass or Welford: a large mean costs no
// digits.
struct NormFwd {
  static constexpr const char* op = "norm_fwd";
  NormSize size;
  double momentum = 0.1;
  In x;            // (segments, rows, channels)
  In gamma, beta;  // (channels) float32, or both null: 1 and 0
  Activation act;
  Out y;                          // as x
  Out mean, rstd;                 // (segments, channels) float32, always wanted: the backward pass reads them
  Out running_mean, running_var;  // (channels) float32, read and written; or both null
};
// y = act(gamma * (x - mean) / sqrt(var + eps) + beta) with given statistics (channels).
struct NormInfer {
  static constexpr const char* op = "norm_infer";
  int64_t rows = 0;
  int channels = 0;
  double eps = 1e-5;
  In x, gamma, beta, mean, var;
  Activation act;
  Out y;
};
// The gradients of NormFwd. dx, dgamma, dbeta: each may be unwanted.
struct NormBwd {
  static constexpr const char* op = "norm_bwd";
  NormSize size;
  In x, dy;        // (segments, rows, channels)
  In gamma, beta;  // (channels) or null; beta is needed to find the activation's input again
  In mean, rstd;   // (segments, channels)
  Activation act;
  Out dx;             // as x
  Out dgamma, dbeta;  // (channels) float32
};

// Layer normalisation (Ba et al. 2016): every group of rows * channels values is normalised by its one mean
// and biased variance; gamma and beta are per channel. Over whole pictures (AnimeGAN): groups N, rows H*W.
// Over the last dimension of a matrix: groups its rows, rows 1.
struct LayerNormSize {
  int groups = 0;
  int64_t rows = 0;  // per group, >= 1
  int channels = 0;
  double eps = 1e-5;
  int64_t elements() const { return rows * channels; }  // of a group, less than 2^31
  int64_t count() const { return groups * rows * channels; }
  bool operator==(const LayerNormSize&) const = default;
};
void check(const LayerNormSize& size);
// y = act(gamma * (x - mean) * rstd + beta), rstd = 1/sqrt(variance + eps)
struct LayerNormFwd {
  static constexpr const char* op = "layer_norm_fwd";
  LayerNormSize size;
  In x;            // (groups, rows, channels)
  In gamma, beta;  // (channels) float32, or both null: 1 and 0
  Activation act;
  Out y;           // as x
  Out mean, rstd;  // (groups) float32, always wanted: the backward pass reads them
};
// The gradients of LayerNormFwd. dx, dgamma, dbeta: each may be unwanted.
struct LayerNormBwd {
  static constexpr const char* op = "layer_norm_bwd";
  LayerNormSize size;
  In x, dy;        // (groups, rows, channels)
  In gamma, beta;  // (channels) or both null
  In mean, rstd;   // (groups)
  Activation act;
  Out dx;             // as x
  Out dgamma, dbeta;  // (channels) float32
};

struct NormTable {
  Op<NormFwd> fwd;
  Op<NormInfer> infer;
  Op<NormBwd> bwd;
  Op<LayerNormFwd> layer_fwd;
  Op<LayerNormBwd> layer_bwd;
};

// ------------------------------------------------------------------------------------------------ attention

// `batch` independent problems in each of which N queries look at M keys. The width of queries and keys may
// differ from that of the values and outputs. Self-attention over a picture has N = H*W; pooled keys and
// values make M smaller.
struct AttentionSize {
  int batch = 0, queries = 0, keys = 0;  // B, N, M
  int key_width = 0, value_width = 0;    // of a row of q and k; of v and o
  double scale = 1;                      // of the scores; 1/sqrt(key_width) where a network wants that
  int64_t query_count() const { return int64_t(batch) * queries * key_width; }
  int64_t key_count() const { return int64_t(batch) * keys * key_width; }
  int64_t value_count() const { return int64_t(batch) * keys * value_width; }
  int64_t output_count() const { return int64_t(batch) * queries * value_width; }
  double flop() const { return 2.0 * batch * queries * keys * (double(key_width) + value_width); }
  bool operator==(const AttentionSize&) const = default;
};
// Throws unless every size is at least 1 and no buffer has 2^31 elements or more; every launcher calls it.
void check(const AttentionSize& size);

// With scores s[n,m] = scale * (q[n,:] . k[m,:]) of one problem:
//   log_sum_exp[n] = log of the sum over m of e^s[n,m]
//   o[n,:] = sum over m of p[n,m] v[m,:],  p[n,m] = e^(s[n,m] - log_sum_exp[n]): the softmax over the keys
// The largest score is subtracted before e^ is taken: no score is too large. The matrix of scores is never
// stored as a whole (Milakov & Gimelshein 2018; Dao et al. 2022).
struct AttentionFwd {
  static constexpr const char* op = "attention_fwd";
  AttentionSize size;
  In q;             // (batch, queries, key_width)
  In k;             // (batch, keys, key_width)
  In v;             // (batch, keys, value_width)
  Out o;            // (batch, queries, value_width)
  Out log_sum_exp;  // (batch, queries) float32, always wanted: the backward pass reads it
};
// With dp[n,m] = d_o[n,:] . v[m,:] and ds[n,m] = p[n,m] (dp[n,m] - d_o[n,:] . o[n,:]):
//   dq[n,:] = scale * sum over m of ds[n,m] k[m,:]     dk[m,:] = scale * sum over n of ds[n,m] q[n,:]
//   dv[m,:] = sum over n of p[n,m] d_o[n,:]
// Each may be unwanted.
struct AttentionBwd {
  static constexpr const char* op = "attention_bwd";
  AttentionSize size;
  In q, k, v, o, log_sum_exp;  // as in AttentionFwd, o and log_sum_exp as it computed them
  In d_o;                      // as o
  Out dq, dk, dv;              // as q, k, v
};

struct AttentionTable {
  Op<AttentionFwd> fwd;
  Op<AttentionBwd> bwd;
};

// ----------------------------------------------------------------------------------------------------- loss

// With logits r = D(real), f = D(fake) and softplus(x) = log(1 + e^x):
//              discriminator real                     fake                          generator
//   vanilla    softplus(-r) against label 1           softplus(f)                   softplus(-f)
//   (non-saturating) minimax    the same                               the same -softplus(f) = log(1 -
//   sigmoid(f)) lsgan      (r - label)^2                          (f - label)^2                 (f - 1)^2
//   hinge      max(0, 1 - r)                          max(0, 1 + f)                 -f
//   wasserstein  -r                                   f                             -f
// each a plain mean over its logits. Labels other than 1 and 0 (smoothing) make vanilla/minimax the cross
// entropy max(x,0) - x*label + log(1 + e^-|x|). Sources: Goodfellow 2014, Mao 2017, Lim & Ye 2017, Arjovsky
// 2017.
enum class GanLoss : uint8_t { vanilla, minimax, lsgan, hinge, wasserstein };

// Value and gradient in one launch, both halves together. The gradients are those of
// scale * (loss_real + loss_fake).
struct DiscriminatorLoss {
  static constexpr const char* op = "discriminator_loss";
  GanLoss kind = GanLoss::vanilla;
  int64_t real_count = 0, fake_count = 0;
  double real_label = 1, fake_label = 0;  // vanilla, minimax, lsgan
  double scale = 1;
  In real, fake;       // logits
  Out d_real, d_fake;  // gradients, as the logits; may be unwanted
  // (4) float32: loss_real, loss_fake (unscaled), and the mean of sigmoid(logit) for vanilla and minimax or
  // of the logit itself for the others, real then fake.
  Out values;
};
struct GeneratorLoss {
  static constexpr const char* op = "generator_loss";
  GanLoss kind = GanLoss::vanilla;
  int64_t count = 0;
  double scale = 1;
  In fake;     // logits
  Out d_fake;  // gradient of scale * loss
  Out values;  // (1) float32: loss (unscaled)
};
enum class PixelLossKind : uint8_t { l1, l2 };
// value = mean |a - b| or mean (a - b)^2 (unscaled); da, db = gradients of scale * value.
struct PixelLoss {
  static constexpr const char* op = "pixel_loss";
  PixelLossKind kind = PixelLossKind::l1;
  int64_t count = 0;
  double scale = 1;
  In a, b;
  Out da, db;
  Out value;  // (1) float32
};

struct LossTable {
  Op<DiscriminatorLoss> discriminator;
  Op<GeneratorLoss> generator;
  Op<PixelLoss> pixel;
};

// ---------------------------------------------------------------------------------------------------- optim

// All optimisers work on one flat buffer per network. What changes every step lies on the device in
// `scalars`, so that a step is the same work every time: scalars = (3) {learning rate, 1 - beta1^t, 1 -
// beta2^t}, float32.

// Adam (Kingma & Ba 2015): m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
// w -= lr * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps). weight_decay > 0 adds weight_decay * w to g first
// (L2).
struct Adam {
  static constexpr const char* op = "adam";
  int64_t count = 0;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  In grad, scalars;
  Out weight, m, v;  // read and written
};
// SGD with momentum: u = momentum * u + g; w -= lr * u. Without velocity: w -= lr * g.
struct Sgd {
  static constexpr const char* op = "sgd";
  int64_t count = 0;
  double momentum = 0, weight_decay = 0;
  In grad, scalars;
  Out weight, velocity;  // velocity may be null when momentum is 0
};
// average = decay * average + (1 - decay) * weight
struct MovingAverage {
  static constexpr const char* op = "moving_average";
  int64_t count = 0;
  double decay = 0.999;
  In weight;
  Out average;
};
// values = (2) float32: the Euclidean norm of the gradient; 1 if every element is finite, else 0.
struct GradNorm {
  static constexpr const char* op = "grad_norm";
  int64_t count = 0;
  In grad;
  Out values;
};

struct OptimTable {
  Op<Adam> adam;
  Op<Sgd> sgd;
  Op<MovingAverage> moving_average;
  Op<GradNorm> grad_norm;
};

// ------------------------------------------------------------------------------------------------- resample

// Pictures x (n,h,w,c) and y (n,oh,ow,c): every channel by itself.
struct ResampleSize {
  int n = 0, h = 0, w = 0, c = 0;  // x; h and w at most 16384
  int oh = 0, ow = 0;              // y; likewise
  int64_t x_count() const { return int64_t(n) * h * w * c; }
  int64_t y_count() const { return int64_t(n) * oh * ow * c; }
  bool operator==(const ResampleSize&) const = default;
};
// Windows of a pooling. The window of output row i is the rows i*sh - ph ... i*sh - ph + kh - 1 that exist.
struct PoolWindow {
  int kh = 1, kw = 1;  // >= 1
  int sh = 1, sw = 1;  // stride, >= 1
  int ph = 0, pw = 0;  // padding at each end, at most half of the window
  // With ceil_mode a last window that hangs over the padding counts, if it begins before it.
  static int out_size(int in, int kernel, int stride, int pad, bool ceil_mode = false) {
    const int out = (in + 2 * pad - kernel + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    return ceil_mode && (out - 1) * stride >= in + pad ? out - 1 : out;
  }
  bool operator==(const PoolWindow&) const = default;
};
void check(const ResampleSize& size, const PoolWindow& window);

// The linear ones. Each works on rows and columns alike: y = sum of wy * wx * x. With in and out the sizes
// along an axis and i an output:
//   average_pool      the mean of a window. count_padding: zeros of the padding count as elements of it
//   adaptive_average  the mean of inputs floor(i*in/out) ... ceil((i+1)*in/out) - 1 (pyramid pooling)
//   bilinear          between the two inputs next to (i + 1/2) * in/out - 1/2, at least 0; with align_corners
//                     next to i * (in-1)/(out-1): the corners' centres stay where they are. At the end the
//                     last input counts for both. Making smaller skips inputs: it does not smooth.
//   nearest           input floor(i*in/out)
enum class ResampleKind : uint8_t { average_pool, adaptive_average, bilinear, nearest };
struct ResampleRule {
  ResampleKind kind = ResampleKind::nearest;
  bool align_corners = false;  // bilinear
  bool count_padding = true;   // average_pool
  PoolWindow window;           // average_pool
};
void check(const ResampleSize& size, const ResampleRule& rule);
struct ResampleFwd {
  static constexpr const char* op = "resample_fwd";
  ResampleSize size;
  ResampleRule rule;
  In x;   // (n,h,w,c)
  Out y;  // (n,oh,ow,c)
};
struct ResampleBwd {
  static constexpr const char* op = "resample_bwd";
  ResampleSize size;
  ResampleRule rule;
  In dy;   // (n,oh,ow,c)
  Out dx;  // (n,h,w,c)
};

// y = the largest element of each window; padding never is. The gradient goes to the first of equal elements
// (rows from the top, then columns), which the backward pass finds again from x.
struct MaxPoolFwd {
  static constexpr const char* op = "max_pool_fwd";
  ResampleSize size;
  PoolWindow window;
  In x;   // (n,h,w,c)
  Out y;  // (n,oh,ow,c)
};
struct MaxPoolBwd {
  static constexpr const char* op = "max_pool_bwd";
  ResampleSize size;
  PoolWindow window;
  In x;    // (n,h,w,c)
  In dy;   // (n,oh,ow,c)
  Out dx;  // (n,h,w,c)
};

// Channels to pixels, in PyTorch's order of channels (Shi et al. 2016), with r = factor:
//   y[n, h*r + i, w*r + j, c] = x[n, h, w, (c*r + i)*r + j],   0 <= i, j < r
// inverse: pixels to channels, the same from y to x; each is the other's gradient.
struct PixelShuffle {
  static constexpr const char* op = "pixel_shuffle";
  int n = 0, h = 0, w = 0;  // of the small picture
  int c = 0;                // of the large picture
  int factor = 1;           // >= 1
  bool inverse = false;
  In x;   // (n,h,w,c*r*r); inverse: (n,h*r,w*r,c)
  Out y;  // (n,h*r,w*r,c); inverse: (n,h,w,c*r*r)
  int64_t count() const { return int64_t(n) * h * w * c * factor * factor; }
};
void check(const PixelShuffle& args);

struct ResampleTable {
  Op<ResampleFwd> fwd;
  Op<ResampleBwd> bwd;
  Op<MaxPoolFwd> max_pool_fwd;
  Op<MaxPoolBwd> max_pool_bwd;
  Op<PixelShuffle> pixel_shuffle;
};

// ---------------------------------------------------------------------------------------------------- image

// A training batch out of the resident pictures: batch[n,y,x,c] = pool[index, top + y, left + (flip ?
// width-1-x : x), c] / 127.5 - 1.
struct ImageBatch {
  static constexpr const char* op = "image_batch";
  int count = 0;                            // pictures in the batch
  int pool_height = 0, pool_width = 0;      // size of the resident pictures
  int height = 0, width = 0, channels = 0;  // of the crop
  In pool;                                  // (pictures, pool_height, pool_width, channels) u8
  In placement;                             // (count, 4) i32: index, top, left, flip
  Out batch;                                // (count, height, width, channels)
};

// Colours between sRGB, as networks have it in [-1,1], and the parts of CIE Lab that colorization works on:
// l = L/50 - 1 and ab = (a, b)/110 (kernels/colour.h). Back in sRGB, what no screen can show is clipped.
struct RgbToLab {
  static constexpr const char* op = "rgb_to_lab";
  int64_t count = 0;  // pixels
  In rgb;             // (count,3)
  Out l;              // (count)
  Out ab;             // (count,2)
};
struct LabToRgb {
  static constexpr const char* op = "lab_to_rgb";
  int64_t count = 0;  // pixels
  In l;               // (count)
  In ab;              // (count,2)
  Out rgb;            // (count,3)
};

// A batch is shown, in part as pictures that were kept earlier. For each picture n in turn, with
// (place, swap) = places[n]: place -1 shows it, and keeps nothing; else it is kept at `place`, and shown is
// itself (swap 0) or what was kept there before (swap 1). Later pictures of the batch see what earlier ones
// left. Copies, bit for bit.
struct PoolExchange {
  static constexpr const char* op = "pool_exchange";
  int count = 0;         // pictures in the batch
  int kept = 0;          // places in the pool
  int64_t elements = 0;  // of a picture
  In batch;              // (count, elements)
  In places;             // (count, 2) i32: place -1 ... kept-1, swap 0 or 1
  Out pool;              // (kept, elements), read and written
  Out shown;             // (count, elements), set; not the batch itself
};
void check(const PoolExchange& args);

struct ImageTable {
  Op<ImageBatch> batch;
  Op<RgbToLab> rgb_to_lab;
  Op<LabToRgb> lab_to_rgb;
  Op<PoolExchange> pool_exchange;
};

// ------------------------------------------------------------------------------------------------------ rng

// Element i is a function of (seed, stream, step, i) alone: kernels/philox.h. The same numbers on every
// device. The step is the one in the arguments; where there is step_at, a counter on the device, it is the
// sum of both modulo 2^32, so that the same arguments draw other numbers in each step.
struct RandomNormal {  // mean 0, deviation 1
  static constexpr const char* op = "random_normal";
  int64_t count = 0;
  uint64_t seed = 0;
  uint32_t stream = 0, step = 0;
  In step_at;  // (1) i32 or null
  Out y;
};
struct RandomUniform {  // [0, 1)
  static constexpr const char* op = "random_uniform";
  int64_t count = 0;
  uint64_t seed = 0;
  uint32_t stream = 0, step = 0;
  In step_at;  // (1) i32 or null
  Out y;
};

// Dropout (Srivastava et al. 2014): y[i] = x[i] / (1 - p) where u[first + i] >= p, else 0, with the numbers u
// of RandomUniform. The mask is nowhere stored: the gradient is the same operation on dy, which draws it
// again.
struct Dropout {
  static constexpr const char* op = "dropout";
  int64_t count = 0;
  double p = 0.5;  // the part that is dropped, 0 <= p < 1
  uint64_t seed = 0;
  uint32_t stream = 0, step = 0;
  uint64_t first = 0;  // layers of one step take different parts of the stream
  In step_at;          // (1) i32 or null, as in RandomUniform
  In x;
  Out y;
};
void check(const Dropout& args);

// The step of these random numbers, for devices whose memory is the host's.
template <class Args>
uint32_t step_on_host(const Args& args) {
  return args.step + (args.step_at ? uint32_t(*args.step_at.template as<int32_t>()) : 0u);
}

struct RngTable {
  Op<RandomNormal> normal;
  Op<RandomUniform> uniform;
  Op<Dropout> dropout;
};

// -------------------------------------------------------------------------------------------------- devices

enum class Device : uint8_t { cpu, cuda, simt, ref };
const char* name_of(Device device);

// Raw memory of a device. Addresses are at least 128-byte aligned; `simt` gives exact-size blocks so that an
// address sanitizer sees every access outside of a buffer.
struct Memory {
  void* (*allocate)(size_t bytes);  // throws Error(out_of_memory)
  void (*release)(void* address) noexcept;
  void (*upload)(void* device, const void* host, size_t bytes, Stream& stream);
  void (*download)(void* host, const void* device, size_t bytes, Stream& stream);  // waits for the stream
  void (*copy)(void* to, const void* from, size_t bytes, Stream& stream);
  void (*zero)(void* to, size_t bytes, Stream& stream);
  void (*synchronize)(Stream& stream);
  bool pooled;  // worth caching released blocks (not on simt)
};

// Everything a device can do.
struct Backend {
  Device device;
  Memory memory;
  PointwiseTable pointwise;
  GemmTable gemm;
  ConvTable conv;
  NormTable norm;
  AttentionTable attention;
  LossTable loss;
  OptimTable optim;
  ResampleTable resample;
  ImageTable image;
  RngTable rng;
};

// The device's backend, or null when this build has none (cuda without the toolkit). Does not touch the
// device.
const Backend* find_backend(Device device);

// Calls f(family, op) for every operation of a backend; `op` is the Op<Args>. Tests, benchmarks and `gan
// kernels` walk this, so that a new operation or variant needs no list elsewhere.
template <class F>
void for_each_op(const Backend& b, F&& f) {
  f("pointwise", b.pointwise.activation_fwd);
  f("pointwise", b.pointwise.activation_bwd);
  f("pointwise", b.pointwise.binary);
  f("pointwise", b.pointwise.affine);
  f("pointwise", b.pointwise.broadcast);
  f("pointwise", b.pointwise.sum);
  f("pointwise", b.pointwise.sum_rows);
  f("pointwise", b.pointwise.put_channels);
  f("pointwise", b.pointwise.take_channels);
  f("gemm", b.gemm.gemm);
  f("conv", b.conv.fwd);
  f("conv", b.conv.bwd_data);
  f("conv", b.conv.bwd_weight);
  f("norm", b.norm.fwd);
  f("norm", b.norm.infer);
  f("norm", b.norm.bwd);
  f("norm", b.norm.layer_fwd);
  f("norm", b.norm.layer_bwd);
  f("attention", b.attention.fwd);
  f("attention", b.attention.bwd);
  f("loss", b.loss.discriminator);
  f("loss", b.loss.generator);
  f("loss", b.loss.pixel);
  f("optim", b.optim.adam);
  f("optim", b.optim.sgd);
  f("optim", b.optim.moving_average);
  f("optim", b.optim.grad_norm);
  f("resample", b.resample.fwd);
  f("resample", b.resample.bwd);
  f("resample", b.resample.max_pool_fwd);
  f("resample", b.resample.max_pool_bwd);
  f("resample", b.resample.pixel_shuffle);
  f("image", b.image.batch);
  f("image", b.image.rgb_to_lab);
  f("image", b.image.lab_to_rgb);
  f("image", b.image.pool_exchange);
  f("rng", b.rng.normal);
  f("rng", b.rng.uniform);
  f("rng", b.rng.dropout);
}

// The tables each device defines at the foot of its family files.
#define GAN_DECLARE_TABLES(space)        \
  namespace space {                      \
  extern const PointwiseTable pointwise; \
  extern const GemmTable gemm;           \
  extern const ConvTable conv;           \
  extern const NormTable norm;           \
  extern const AttentionTable attention; \
  extern const LossTable loss;           \
  extern const OptimTable optim;         \
  extern const ResampleTable resample;   \
  extern const ImageTable image;         \
  extern const RngTable rng;             \
  extern const Memory memory;            \
  }
GAN_DECLARE_TABLES(cuda)
GAN_DECLARE_TABLES(simt)
GAN_DECLARE_TABLES(cpu)
GAN_DECLARE_TABLES(ref)
#undef GAN_DECLARE_TABLES

}  // namespace gan
