// Normalisation: batch and instance norm as one operation, layer norm, and spectral norm of a weight.
#pragma once
#include "kernels/contract/ports.h"
#include "kernels/contract/variant.h"

namespace gan {

// What all of them ask of their options.
inline const char* wrong_norm(double eps, const Activation& act, const In& gamma, const In& beta) {
  if (!(eps >= 0)) return "eps must not be negative";
  if (bool(gamma) != bool(beta)) return "gamma and beta come together";
  return act.wrong();
}

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

  void sizes(Sizes& s) {
    s.size("segments", segments, 1, 1);
    s.size("rows", rows, 1024, 1 << 14);
    s.size("channels", channels, 64, 128);
  }
  const char* wrong() const {
    return segments >= 1 && rows >= 1 && channels >= 1 ? nullptr
                                                       : "segments, rows and channels must be at least 1";
  }
};

// Extents of x, of its statistics and of its parameters.
template <class Args>
Extents norm_x(const Args& o) {
  return {o.size.segments, o.size.rows, o.size.channels};
}
template <class Args>
Extents norm_statistics(const Args& o) {
  return {o.size.segments, o.size.channels};
}
template <class Args>
Extents norm_parameters(const Args& o) {
  return {o.size.channels};
}

// y = act(gamma * (x - mean) * rstd + beta), rstd = 1/sqrt(variance + eps) (Ioffe & Szegedy 2015; Ulyanov et
// al. 2016). Without gamma and beta: 1 and 0. Running statistics, where wanted, move once per segment in
// order: r = (1-momentum) r + momentum * value, the variance unbiased (rows/(rows-1)). Variances are two-pass
// or Welford: a large mean costs no digits.
struct NormFwd {
  static constexpr const char* op = "norm_fwd";
  NormSize size;
  double momentum = 0.1;
  In x;
  In gamma, beta;  // or both null
  Activation act;
  Out y;
  Out mean, rstd;                 // always wanted: the backward pass reads them
  Out running_mean, running_var;  // or both null

  static constexpr auto ports() {
    return std::array{
        reads("x", &NormFwd::x, norm_x),
        reads("gamma", &NormFwd::gamma, norm_parameters, Kind::float32).optional(),
        reads("beta", &NormFwd::beta, norm_parameters, Kind::float32).optional(),
        writes("y", &NormFwd::y, norm_x),
        writes("mean", &NormFwd::mean, norm_statistics, Kind::float32).set_only(),
        writes("rstd", &NormFwd::rstd, norm_statistics, Kind::float32).set_only(),
        updates("running_mean", &NormFwd::running_mean, norm_parameters, Kind::float32).optional(),
        updates("running_var", &NormFwd::running_var, norm_parameters, Kind::float32).positive().optional()};
  }
  void sizes(Sizes& s) {
    size.sizes(s);
    s.activation(act);
  }
  const char* wrong() const {
    if (const char* why = size.wrong()) return why;
    if (bool(running_mean) != bool(running_var)) return "running mean and variance come together";
    return wrong_norm(size.eps, act, gamma, beta);
  }
};

// y = act(gamma * (x - mean) / sqrt(var + eps) + beta) with given statistics.
struct NormInfer {
  static constexpr const char* op = "norm_infer";
  int64_t rows = 0;
  int channels = 0;
  double eps = 1e-5;
  In x, gamma, beta, mean, var;
  Activation act;
  Out y;

  static constexpr auto ports() {
    constexpr ExtentsOf<NormInfer> matrix = [](const NormInfer& o) -> Extents {
      return {o.rows, o.channels};
    };
    constexpr ExtentsOf<NormInfer> channels = [](const NormInfer& o) -> Extents { return {o.channels}; };
    return std::array{reads("x", &NormInfer::x, matrix),
                      reads("gamma", &NormInfer::gamma, channels, Kind::float32).optional(),
                      reads("beta", &NormInfer::beta, channels, Kind::float32).optional(),
                      reads("mean", &NormInfer::mean, channels, Kind::float32),
                      reads("var", &NormInfer::var, channels, Kind::float32).positive(),
                      writes("y", &NormInfer::y, matrix)};
  }
  void sizes(Sizes& s) {
    s.size("rows", rows, 256, 1 << 14);
    s.size("channels", channels, 64, 128);
    s.activation(act);
  }
  const char* wrong() const {
    if (rows < 1 || channels < 1) return "rows and channels must be at least 1";
    return wrong_norm(eps, act, gamma, beta);
  }
};

// The gradients of NormFwd. Each may be unwanted.
struct NormBwd {
  static constexpr const char* op = "norm_bwd";
  NormSize size;
  In x, dy;
  In gamma, beta;  // or both null; beta is needed to find the activation's input again
  In mean, rstd;
  Activation act;
  Out dx;
  Out dgamma, dbeta;

  static constexpr auto ports() {
    return std::array{reads("x", &NormBwd::x, norm_x),
                      reads("dy", &NormBwd::dy, norm_x),
                      reads("gamma", &NormBwd::gamma, norm_parameters, Kind::float32).optional(),
                      reads("beta", &NormBwd::beta, norm_parameters, Kind::float32).optional(),
                      reads("mean", &NormBwd::mean, norm_statistics, Kind::float32),
                      reads("rstd", &NormBwd::rstd, norm_statistics, Kind::float32).positive(),
                      writes("dx", &NormBwd::dx, norm_x).optional(),
                      writes("dgamma", &NormBwd::dgamma, norm_parameters, Kind::float32).optional(),
                      writes("dbeta", &NormBwd::dbeta, norm_parameters, Kind::float32).optional()};
  }
  void sizes(Sizes& s) {
    size.sizes(s);
    s.activation(act);
  }
  const char* wrong() const {
    const char* why = size.wrong();
    return why ? why : wrong_norm(size.eps, act, gamma, beta);
  }
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

  void sizes(Sizes& s) {
    s.size("groups", groups, 4, 16);
    s.size("rows", rows, 16, 1024);
    s.size("channels", channels, 64, 128);
  }
  const char* wrong() const {
    if (groups < 1 || rows < 1 || channels < 1) return "groups, rows and channels must be at least 1";
    return elements() < INT32_MAX ? nullptr : "a group of 2^31 elements; use a smaller one";
  }
};
void check(const LayerNormSize& size);

template <class Args>
Extents layer_norm_x(const Args& o) {
  return {o.size.groups, o.size.rows, o.size.channels};
}
template <class Args>
Extents layer_norm_statistics(const Args& o) {
  return {o.size.groups};
}

// y = act(gamma * (x - mean) * rstd + beta), rstd = 1/sqrt(variance + eps)
struct LayerNormFwd {
  static constexpr const char* op = "layer_norm_fwd";
  LayerNormSize size;
  In x;
  In gamma, beta;  // or both null: 1 and 0
  Activation act;
  Out y;
  Out mean, rstd;  // always wanted: the backward pass reads them

  static constexpr auto ports() {
    return std::array{reads("x", &LayerNormFwd::x, layer_norm_x),
                      reads("gamma", &LayerNormFwd::gamma, norm_parameters, Kind::float32).optional(),
                      reads("beta", &LayerNormFwd::beta, norm_parameters, Kind::float32).optional(),
                      writes("y", &LayerNormFwd::y, layer_norm_x),
                      writes("mean", &LayerNormFwd::mean, layer_norm_statistics, Kind::float32).set_only(),
                      writes("rstd", &LayerNormFwd::rstd, layer_norm_statistics, Kind::float32).set_only()};
  }
  void sizes(Sizes& s) {
    size.sizes(s);
    s.activation(act);
  }
  const char* wrong() const {
    const char* why = size.wrong();
    return why ? why : wrong_norm(size.eps, act, gamma, beta);
  }
};

// The gradients of LayerNormFwd. Each may be unwanted.
struct LayerNormBwd {
  static constexpr const char* op = "layer_norm_bwd";
  LayerNormSize size;
  In x, dy;
  In gamma, beta;  // or both null
  In mean, rstd;
  Activation act;
  Out dx;
  Out dgamma, dbeta;

  static constexpr auto ports() {
    return std::array{reads("x", &LayerNormBwd::x, layer_norm_x),
                      reads("dy", &LayerNormBwd::dy, layer_norm_x),
                      reads("gamma", &LayerNormBwd::gamma, norm_parameters, Kind::float32).optional(),
                      reads("beta", &LayerNormBwd::beta, norm_parameters, Kind::float32).optional(),
                      reads("mean", &LayerNormBwd::mean, layer_norm_statistics, Kind::float32),
                      reads("rstd", &LayerNormBwd::rstd, layer_norm_statistics, Kind::float32).positive(),
                      writes("dx", &LayerNormBwd::dx, layer_norm_x).optional(),
                      writes("dgamma", &LayerNormBwd::dgamma, norm_parameters, Kind::float32).optional(),
                      writes("dbeta", &LayerNormBwd::dbeta, norm_parameters, Kind::float32).optional()};
  }
  void sizes(Sizes& s) {
    size.sizes(s);
    s.activation(act);
  }
  const char* wrong() const {
    const char* why = size.wrong();
    return why ? why : wrong_norm(size.eps, act, gamma, beta);
  }
};

// Spectral normalisation (Miyato et al. 2018): a weight W, taken as a matrix with a row for each output, is divided by
// u^T W v, which estimates its largest singular value sigma from below. `move` is one step of power iteration before:
//   v = W^T u / max(|W^T u|, eps)      u = W v / max(|W v|, eps)      eps = 1e-12, as in PyTorch
struct SpectralSize {
  int outputs = 0, others = 0;  // others: the product of the weight's other sizes
  bool outputs_last = false;    // the weight is stored (others, outputs), as a transposed convolution's
  static constexpr double eps = 1e-12;
  int64_t count() const { return int64_t{outputs} * others; }  // less than 2^31
  bool operator==(const SpectralSize&) const = default;

  void sizes(Sizes& s) {
    s.size("outputs", outputs, 64, 512);
    s.size("others", others, 256, 4096);
    s.flag("outputs_last", outputs_last);
  }
  const char* wrong() const {
    if (outputs < 1 || others < 1) return "outputs and others must be at least 1";
    return count() < INT32_MAX ? nullptr : "a weight of 2^31 elements";
  }
};
template <class Args>
Extents spectral_weight(const Args& o) {
  return {o.size.count()};
}
template <class Args>
Extents spectral_outputs(const Args& o) {
  return {o.size.outputs};
}
template <class Args>
Extents spectral_others(const Args& o) {
  return {o.size.others};
}

struct SpectralNormFwd {
  static constexpr const char* op = "spectral_norm_fwd";
  SpectralSize size;
  bool move = false;
  In w;
  Out u, v;         // kept from pass to pass; not written to unless they move
  Out left, right;  // copies of u and v as this pass uses them: the backward pass reads them
  Out sigma;        // u^T W v
  Out y;            // W / sigma

  static constexpr auto ports() {
    return std::array{reads("w", &SpectralNormFwd::w, spectral_weight),
                      updates("u", &SpectralNormFwd::u, spectral_outputs, Kind::float32),
                      updates("v", &SpectralNormFwd::v, spectral_others, Kind::float32),
                      writes("left", &SpectralNormFwd::left, spectral_outputs, Kind::float32).set_only(),
                      writes("right", &SpectralNormFwd::right, spectral_others, Kind::float32).set_only(),
                      writes("sigma", &SpectralNormFwd::sigma, scalar, Kind::float32).set_only(),
                      writes("y", &SpectralNormFwd::y, spectral_weight).set_only()};
  }
  void sizes(Sizes& s) {
    size.sizes(s);
    s.flag("move", move);
  }
  const char* wrong() const { return size.wrong(); }
};

// The gradient of y with respect to w, u and v being constants:
//   dw = (dy - <dy, w> / sigma u v^T) / sigma
struct SpectralNormBwd {
  static constexpr const char* op = "spectral_norm_bwd";
  SpectralSize size;
  In w, dy;
  In left, right, sigma;
  Out dw;

  static constexpr auto ports() {
    return std::array{reads("w", &SpectralNormBwd::w, spectral_weight),
                      reads("dy", &SpectralNormBwd::dy, spectral_weight, Kind::float32),
                      reads("left", &SpectralNormBwd::left, spectral_outputs, Kind::float32),
                      reads("right", &SpectralNormBwd::right, spectral_others, Kind::float32),
                      reads("sigma", &SpectralNormBwd::sigma, scalar, Kind::float32).positive(),
                      writes("dw", &SpectralNormBwd::dw, spectral_weight, Kind::float32)};
  }
  void sizes(Sizes& s) { size.sizes(s); }
  const char* wrong() const { return size.wrong(); }
};

struct NormTable {
  static constexpr const char* family = "norm";
  Op<NormFwd> fwd = {};
  Op<NormInfer> infer = {};
  Op<NormBwd> bwd = {};
  Op<LayerNormFwd> layer_fwd = {};
  Op<LayerNormBwd> layer_bwd = {};
  Op<SpectralNormFwd> spectral_fwd = {};
  Op<SpectralNormBwd> spectral_bwd = {};

  template <class Table, class F>
  static constexpr void for_each(Table& table, F&& f) {
    f(table.fwd);
    f(table.infer);
    f(table.bwd);
    f(table.layer_fwd);
    f(table.layer_bwd);
    f(table.spectral_fwd);
    f(table.spectral_bwd);
  }
};

}  // namespace gan
