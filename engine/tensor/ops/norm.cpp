// Normalisation: batch, instance and layer norm.
//
// The backward pass by kernels is one fused pass over the saved statistics. In operations it is made of means
// over the values that are normalised together (a Group), and of 1/deviation as a function of x.
#include "engine/tensor/ops/backward.h"

namespace gan {

namespace {

// Which values share a mean and a variance: those of a channel, of a picture's channel, or all of x[n,...].
enum class Group { channel, channel_of_picture, picture };

// The mean of each group: (C), (N,1,1,C) or (N,1).
Tensor mean_of(Group group, const Tensor& x) {
  if (group == Group::channel_of_picture) return adaptive_average_pool(x, 1, 1);
  if (group == Group::channel) {
    const double channels = double(x.dim(x.shape().rank - 1));
    return affine(sum_rows(x), channels / double(x.count()));
  }
  const int64_t n = x.dim(0), elements = x.count() / n;
  const Tensor sums = matmul(reshape(x, {n, elements}), constant(x.context(), {elements, 1}, 1));
  return affine(sums, 1 / double(elements));
}

// The value of each element's group, from values that lie as mean_of() gives them.
Tensor spread(Group group, const Tensor& values, const Shape& shape) {
  if (group == Group::channel_of_picture) return resize_nearest(values, int(shape[1]), int(shape[2]));
  if (group == Group::channel) return expand_rows(values, shape);
  const int64_t elements = shape.count() / shape[0];
  return reshape(matmul(values, constant(values.context(), {1, elements}, 1)), shape);
}

Tensor centred(Group group, const Tensor& x) {
  return subtract(x, spread(group, mean_of(group, x), x.shape()));
}

// r = 1/sqrt(variance + eps) of each group of x, which the forward pass has computed. With R values in a
// group, dr/dx = -r^3 (x - mean) / R.
struct InverseDeviationRecord {
  Tensor x, kept;
  Group group;

  const char* name() const { return "inverse_deviation"; }
  Tensors inputs() const { return {&x}; }
  void backward_in_operations(const Tensor& dr, Gradients& to) const {
    const Tensor r = to.output(kept);
    const Tensor scale =
        affine(multiply(dr, multiply(r, multiply(r, r))), -double(r.count()) / double(x.count()));
    to.give(x, multiply(centred(group, x), spread(group, scale, x.shape())));
  }
  Exported exported() const { return exported_never(); }
};

Tensor inverse_deviation(Group group, const Tensor& x, const Tensor& saved) {
  Shape shape = {saved.count()};
  if (group == Group::channel_of_picture) shape = {x.dim(0), 1, 1, x.dim(3)};
  if (group == Group::picture) shape = {x.dim(0), 1};
  Tensor r = saved.view(0, shape);
  record(r, InverseDeviationRecord{x, r.detach(), group});
  return r;
}

// What normalise and layer_norm keep alike.
struct NormTape {
  Group group;
  Tensor x, gamma, beta, mean, rstd;
  Activation act;

  // The gradients of y = act(gamma * (x - mean) * r + beta). With n = (x - mean) * r and g the gradient of n:
  // dx = r * (g - mean(g) - n * mean(g * n)).
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    const Shape& shape = x.shape();
    const Tensor r = spread(group, inverse_deviation(group, x, rstd), shape);
    const Tensor n = multiply(centred(group, x), r);
    Tensor before = dy;
    if (act.kind != Act::none) {  // the output is not kept: again from x
      Tensor y = n;
      if (gamma) y = add(multiply(y, expand_rows(gamma, shape)), expand_rows(beta, shape));
      before = before_activation(activation(y, act), dy, act);
    }
    if (to.wants(gamma)) to.give(gamma, sum_rows(multiply(before, n)));
    if (to.wants(beta)) to.give(beta, sum_rows(before));
    if (!to.wants(x)) return;
    const Tensor g = gamma ? multiply(before, expand_rows(gamma, shape)) : before;
    const Tensor along_mean = spread(group, mean_of(group, g), shape);
    const Tensor along_n = multiply(n, spread(group, mean_of(group, multiply(g, n)), shape));
    to.give(x, multiply(r, subtract(subtract(g, along_mean), along_n)));
  }
  // `op` is the device's NormBwd or LayerNormBwd.
  template <class Args, class Size>
  void backward(const Op<Args>& op, const Size& size, const Tensor& dy) const {
    x.context().run(op, {.size = size,
                         .x = x.in(),
                         .dy = dy.in(),
                         .gamma = gamma.in(),
                         .beta = beta.in(),
                         .mean = mean.in(),
                         .rstd = rstd.in(),
                         .act = act,
                         .dx = gradient_of(x),
                         .dgamma = gradient_of(gamma),
                         .dbeta = gradient_of(beta)});
  }
};

struct NormaliseRecord {
  NormTape t;
  NormSize size;
  double momentum;

  static constexpr const char* names[] = {"batch_norm", "instance_norm"};
  const char* name() const { return names[t.group == Group::channel ? 0 : 1]; }
  Tensors inputs() const { return {&t.x, &t.gamma, &t.beta}; }
  Attributes attributes() const {
    Attributes a = {{"eps", size.eps}};
    add_activation(a, t.act);
    return a;
  }
  void backward(const Tensor& dy) const { t.backward(t.x.context().kernels().norm.bwd, size, dy); }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    GAN_CHECK(t.group != Group::channel || size.segments == 1,
              "a norm of {} batches in one has no second gradient; normalise each by itself", size.segments);
    t.backward_in_operations(dy, to);
  }
  Exported exported() const {
    Attributes constants;
    if (!t.gamma) {
      const size_t channels = size_t(size.channels);
      constants = {{"scale", std::vector<double>(channels, 1.0)}, {"B", std::vector<double>(channels, 0.0)}};
    }
    if (t.group != Group::channel)
      return exported_as("InstanceNormalization", {{"epsilon", size.eps}}, constants).then(t.act);
    return not_exported(
        "normalisation by the statistics of a batch belongs to training; use running statistics");
  }
};

// left, right: u and v, copies that a later pass does not move: the backward pass of this one needs them as they are.
struct SpectralNormRecord {
  Tensor weight, left, right, sigma, kept;
  SpectralSize size;

  const char* name() const { return "spectral_norm"; }
  Tensors inputs() const { return {&weight}; }
  Attributes attributes() const { return {{"outputs_last", size.outputs_last}}; }
  void backward(const Tensor& dy) const {
    if (!weight.needs_gradient()) return;
    weight.context().run(weight.context().kernels().norm.spectral_bwd, {.size = size,
                                                                        .w = weight.in(),
                                                                        .dy = dy.in(),
                                                                        .left = left.in(),
                                                                        .right = right.in(),
                                                                        .sigma = sigma.in(),
                                                                        .dw = gradient_of(weight)});
  }
  // dw = (dy - <dy, y> u v^T) / sigma, where y and sigma depend on the weight.
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    const bool last = size.outputs_last;
    const int64_t outputs = size.outputs, others = size.others;
    const Tensor w = reshape(weight, last ? Shape{others, outputs} : Shape{outputs, others});
    const Tensor along = last ? matmul(right, left, false, true) : matmul(left, right, false, true);
    const Tensor share = sum(multiply(dy, to.output(kept)));
    const Tensor rest = subtract(dy, multiply_by(reshape(along, weight.shape()), share));
    to.give(weight, multiply_by(rest, power(sum(multiply(left, matmul(w, right, last))), -1)));
  }
  Exported exported() const {
    return not_exported("spectral norm belongs to training: its weight divided by sigma is a constant");
  }
};

struct LayerNormRecord {
  NormTape t;
  LayerNormSize size;

  const char* name() const { return "layer_norm"; }
  Tensors inputs() const { return {&t.x, &t.gamma, &t.beta}; }
  Attributes attributes() const {
    Attributes a = {{"eps", size.eps}};
    add_activation(a, t.act);
    return a;
  }
  void backward(const Tensor& dy) const { t.backward(t.x.context().kernels().norm.layer_bwd, size, dy); }
  void backward_in_operations(const Tensor& dy, Gradients& to) const { t.backward_in_operations(dy, to); }
  Exported exported() const {
    const size_t channels = size_t(size.channels);
    Attributes constants;
    if (!t.gamma)
      constants = {{"scale", std::vector<double>(channels, 1.0)},
                   {"bias", std::vector<double>(channels, 0.0)}};
    return exported_as("GroupNormalization", {{"epsilon", size.eps}, {"num_groups", 1}}, constants)
        .then(t.act);
  }
};

struct NormaliseRunningRecord {
  Tensor x, gamma, beta, mean, var;
  double eps;
  Activation act;

  static constexpr const char* refuses_gradient =
      "normalise by the statistics of the batch where something is to be learnt, or use NoGradient";
  const char* name() const { return "normalise_running"; }
  Tensors inputs() const { return {&x, &gamma, &beta, &mean, &var}; }
  Attributes attributes() const {
    Attributes a = {{"eps", eps}};
    add_activation(a, act);
    return a;
  }
  Exported exported() const { return exported_as("BatchNormalization", {{"epsilon", eps}}).then(act); }
};

}  // namespace

Tensor normalise(const Tensor& x, NormKind kind, const NormTensors& t, Activation act, double momentum,
                 double eps, int batches) {
  GAN_CHECK(kind != NormKind::none && x.shape().rank == 4 && batches >= 1 && x.dim(0) % batches == 0,
            "normalise of {}, {} batches", to_string(x.shape()), batches);
  DeviceContext& c = x.context();
  const int64_t pixels = x.dim(1) * x.dim(2);
  const NormSize size{.segments = kind == NormKind::batch ? batches : int(x.dim(0)),
                      .rows = kind == NormKind::batch ? x.dim(0) / batches * pixels : pixels,
                      .channels = int(x.dim(3)),
                      .eps = eps};
  Tensor y(c, x.shape(), x.dtype());
  Tensor mean(c, {size.segments, size.channels}), rstd(c, {size.segments, size.channels});
  c.run(c.kernels().norm.fwd, {.size = size,
                               .momentum = momentum,
                               .x = x.in(),
                               .gamma = t.gamma.in(),
                               .beta = t.beta.in(),
                               .act = act,
                               .y = y.out(),
                               .mean = mean.out(),
                               .rstd = rstd.out(),
                               .running_mean = t.running_mean.out(),
                               .running_var = t.running_var.out()});
  const Group group = kind == NormKind::batch ? Group::channel : Group::channel_of_picture;
  record(y, NormaliseRecord{{group, x, t.gamma, t.beta, mean, rstd, act}, size, momentum});
  return y;
}

Tensor normalise_running(const Tensor& x, const NormTensors& t, Activation act, double eps) {
  GAN_CHECK(t.running_mean && t.running_var, "this normalisation keeps no running statistics");
  DeviceContext& c = x.context();
  Tensor y(c, x.shape(), x.dtype());
  const int channels = int(x.dim(x.shape().rank - 1));
  c.run(c.kernels().norm.infer, {.rows = x.count() / channels,
                                 .channels = channels,
                                 .eps = eps,
                                 .x = x.in(),
                                 .gamma = t.gamma.in(),
                                 .beta = t.beta.in(),
                                 .mean = t.running_mean.in(),
                                 .var = t.running_var.in(),
                                 .act = act,
                                 .y = y.out()});
  record(y, NormaliseRunningRecord{x, t.gamma, t.beta, t.running_mean, t.running_var, eps, act});
  return y;
}

Tensor spectral_norm(const Tensor& weight, const Tensor& u, const Tensor& v, bool outputs_last, bool move) {
  const Shape& shape = weight.shape();
  GAN_CHECK(u.count() == shape[outputs_last ? shape.rank - 1 : 0] && u.count() * v.count() == shape.count(),
            "spectral norm of {} with vectors {} and {}", to_string(shape), to_string(u.shape()),
            to_string(v.shape()));
  DeviceContext& c = weight.context();
  const SpectralSize size{int(u.count()), int(v.count()), outputs_last};
  const Tensor left(c, {u.count(), 1}), right(c, {v.count(), 1}), sigma(c, {1});
  Tensor y(c, shape, weight.dtype());
  c.run(c.kernels().norm.spectral_fwd, {.size = size,
                                        .move = move,
                                        .w = weight.in(),
                                        .u = u.out(),
                                        .v = v.out(),
                                        .left = left.out(),
                                        .right = right.out(),
                                        .sigma = sigma.out(),
                                        .y = y.out()});
  record(y, SpectralNormRecord{weight, left, right, sigma, y.detach(), size});
  return y;
}

Tensor layer_norm(const Tensor& x, const Tensor& gamma, const Tensor& beta, Activation act, double eps) {
  GAN_CHECK(x.shape().rank >= 2, "layer norm of {}", to_string(x.shape()));
  DeviceContext& c = x.context();
  const int64_t channels = x.dim(x.shape().rank - 1), groups = x.dim(0);
  for (const Tensor* t : {&gamma, &beta})
    GAN_CHECK(!*t || t->count() == channels, "layer norm of {} with gamma or beta {}", to_string(x.shape()),
              to_string(t->shape()));
  const LayerNormSize size{
      .groups = int(groups), .rows = x.count() / (groups * channels), .channels = int(channels), .eps = eps};
  check(size);
  Tensor y(c, x.shape(), x.dtype()), mean(c, {groups}), rstd(c, {groups});
  c.run(c.kernels().norm.layer_fwd, {.size = size,
                                     .x = x.in(),
                                     .gamma = gamma.in(),
                                     .beta = beta.in(),
                                     .act = act,
                                     .y = y.out(),
                                     .mean = mean.out(),
                                     .rstd = rstd.out()});
  record(y, LayerNormRecord{{Group::picture, x, gamma, beta, mean, rstd, act}, size});
  return y;
}

}  // namespace gan
