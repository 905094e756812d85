// Operations: each is one short function with its backward pass beside it.
#include "engine/ops.h"

#include "kernels/philox.h"

namespace gan {

namespace {

// dpre = gradient before the activation, from the output and its gradient; the gradient itself when there is
// none.
Tensor before_activation(const Tensor& y, const Tensor& dy, Activation act) {
  if (act.kind == Act::none) return dy;
  DeviceContext& c = dy.context();
  Tensor dpre(c, dy.shape(), dy.dtype());
  c.run(c.kernels().pointwise.activation_bwd,
        {.count = dy.count(), .act = act, .y = y.in(), .dy = dy.in(), .dx = dpre.out()});
  return dpre;
}

void bias_gradient(const Tensor& bias, const Tensor& dy) {
  if (!bias || !bias.needs_gradient()) return;
  DeviceContext& c = dy.context();
  const int channels = int(bias.count());
  c.run(c.kernels().pointwise.sum_rows,
        {.rows = dy.count() / channels, .channels = channels, .x = dy.in(), .sums = gradient_of(bias)});
}

Tensor binary(const char* name, BinaryKind kind, const Tensor& a, const Tensor& b, Tensor& y) {
  GAN_CHECK(a.shape() == b.shape(), "{} of {} and {}", name, to_string(a.shape()), to_string(b.shape()));
  DeviceContext& c = a.context();
  y = Tensor(c, a.shape(), a.dtype());
  c.run(c.kernels().pointwise.binary,
        {.count = a.count(), .b_count = b.count(), .kind = kind, .a = a.in(), .b = b.in(), .y = y.out()});
  return y;
}

// dx (+)= scale * dy
void scaled_gradient(const Tensor& x, const Tensor& dy, double scale) {
  if (!x.needs_gradient()) return;
  DeviceContext& c = x.context();
  Tensor dx(c, x.shape(), x.dtype());
  c.run(c.kernels().pointwise.affine, {.count = x.count(), .scale = scale, .x = dy.in(), .y = dx.out()});
  give_gradient(x, dx);
}

// dx (+)= factor * dy, elementwise or with a scalar dy
void multiplied_gradient(const Tensor& x, const Tensor& factor, const Tensor& dy) {
  if (!x.needs_gradient()) return;
  DeviceContext& c = x.context();
  Tensor dx(c, x.shape(), x.dtype());
  c.run(c.kernels().pointwise.binary, {.count = x.count(),
                                       .b_count = dy.count(),
                                       .kind = BinaryKind::multiply,
                                       .a = factor.in(),
                                       .b = dy.in(),
                                       .y = dx.out()});
  give_gradient(x, dx);
}

}  // namespace

// ---------------------------------------------------------------------------------------------- elementwise

Tensor activation(const Tensor& x, Activation act) {
  DeviceContext& c = x.context();
  Tensor y(c, x.shape(), x.dtype());
  c.run(c.kernels().pointwise.activation_fwd, {.count = x.count(), .act = act, .x = x.in(), .y = y.out()});
  if (c.tape().wants(x))
    c.tape().record("activation", y, [x, kept = y.detach(), act](const Tensor& dy) {
      give_gradient(x, before_activation(kept, dy, act));
    });
  return y;
}

Tensor add(const Tensor& a, const Tensor& b) {
  Tensor y;
  binary("add", BinaryKind::add, a, b, y);
  if (a.context().tape().wants(a, b))
    a.context().tape().record("add", y, [a, b](const Tensor& dy) {
      give_gradient(a, dy);
      give_gradient(b, dy);
    });
  return y;
}

Tensor subtract(const Tensor& a, const Tensor& b) {
  Tensor y;
  binary("subtract", BinaryKind::subtract, a, b, y);
  if (a.context().tape().wants(a, b))
    a.context().tape().record("subtract", y, [a, b](const Tensor& dy) {
      give_gradient(a, dy);
      scaled_gradient(b, dy, -1);
    });
  return y;
}

Tensor multiply(const Tensor& a, const Tensor& b) {
  Tensor y;
  binary("multiply", BinaryKind::multiply, a, b, y);
  if (a.context().tape().wants(a, b))
    a.context().tape().record("multiply", y, [a, b](const Tensor& dy) {
      multiplied_gradient(a, b, dy);
      multiplied_gradient(b, a, dy);
    });
  return y;
}

Tensor affine(const Tensor& x, double scale, double shift) {
  DeviceContext& c = x.context();
  Tensor y(c, x.shape(), x.dtype());
  c.run(c.kernels().pointwise.affine,
        {.count = x.count(), .scale = scale, .shift = shift, .x = x.in(), .y = y.out()});
  if (c.tape().wants(x))
    c.tape().record("affine", y, [x, scale](const Tensor& dy) { scaled_gradient(x, dy, scale); });
  return y;
}

Tensor concat_channels(const Tensor& a, const Tensor& b, Activation act) {
  const bool fit = a.shape().rank == 4 && b.shape().rank == 4 && a.dim(0) == b.dim(0) &&
                   a.dim(1) == b.dim(1) && a.dim(2) == b.dim(2);
  GAN_CHECK(fit, "concat_channels of {} and {}", to_string(a.shape()), to_string(b.shape()));
  DeviceContext& c = a.context();
  Tensor y(c, {a.dim(0), a.dim(1), a.dim(2), a.dim(3) + b.dim(3)}, a.dtype());
  const int64_t rows = a.dim(0) * a.dim(1) * a.dim(2);
  const int wide = int(y.dim(3)), a_channels = int(a.dim(3));
  auto put = [&](const Tensor& x, int first) {
    c.run(c.kernels().pointwise.put_channels, {.rows = rows,
                                               .channels = int(x.dim(3)),
                                               .y_channels = wide,
                                               .first = first,
                                               .act = act,
                                               .x = x.in(),
                                               .y = y.out()});
  };
  put(a, 0);
  put(b, a_channels);
  if (c.tape().wants(a, b)) {
    const Tensor kept = act.kind == Act::none ? Tensor() : y.detach();
    c.tape().record("concat_channels", y, [a, b, act, kept, rows, wide, a_channels](const Tensor& dy) {
      DeviceContext& context = a.context();
      auto take = [&](const Tensor& x, int first) {
        if (!x.needs_gradient()) return;
        context.run(context.kernels().pointwise.take_channels, {.rows = rows,
                                                                .channels = int(x.dim(3)),
                                                                .y_channels = wide,
                                                                .first = first,
                                                                .act = act,
                                                                .y = kept.in(),
                                                                .dy = dy.in(),
                                                                .dx = gradient_of(x)});
      };
      take(a, 0);
      take(b, a_channels);
    });
  }
  return y;
}

Tensor reshape(const Tensor& x, Shape shape) {
  GAN_CHECK(shape.count() == x.count(), "reshape of {} to {}", to_string(x.shape()), to_string(shape));
  Tensor y = x.view(0, shape);
  if (x.context().tape().wants(x))
    x.context().tape().record("reshape", y, [x](const Tensor& dy) { give_gradient(x, dy); });
  return y;
}

Tensor sum(const Tensor& x, double scale) {
  DeviceContext& c = x.context();
  Tensor y(c, {1});
  c.run(c.kernels().pointwise.sum, {.count = x.count(), .scale = scale, .x = x.in(), .sum = y.out()});
  if (c.tape().wants(x))
    c.tape().record("sum", y, [x, scale](const Tensor& dy) {
      DeviceContext& context = x.context();
      Tensor dx(context, x.shape(), x.dtype());
      context.run(context.kernels().pointwise.broadcast,
                  {.count = x.count(), .scale = scale, .x = dy.in(), .y = dx.out()});
      give_gradient(x, dx);
    });
  return y;
}

// ------------------------------------------------------------------------------------------------- products

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias, Activation act) {
  GAN_CHECK(x.shape().rank == 2 && w.shape().rank == 2 && x.dim(1) == w.dim(1),
            "linear of {} with weights {}", to_string(x.shape()), to_string(w.shape()));
  DeviceContext& c = x.context();
  const int n = int(x.dim(0)), in = int(x.dim(1)), out = int(w.dim(0));
  Tensor y(c, {n, out}, x.dtype());
  c.run(c.kernels().gemm.gemm, {.m = n,
                                .n = out,
                                .k = in,
                                .transpose_b = true,
                                .a = x.in(),
                                .b = w.in(),
                                .bias = bias.in(),
                                .act = act,
                                .c = y.out()});
  c.count_flop(2.0 * n * in * out);
  if (c.tape().wants(x, w, bias))
    c.tape().record("linear", y, [x, w, bias, act, kept = y.detach(), n, in, out](const Tensor& dy) {
      DeviceContext& context = x.context();
      const Tensor dpre = before_activation(kept, dy, act);  // (n,out)
      const auto& gemm = context.kernels().gemm.gemm;
      if (w.needs_gradient()) {  // dw (out,in) = dpre^T x
        context.run(gemm, {.m = out,
                           .n = in,
                           .k = n,
                           .transpose_a = true,
                           .a = dpre.in(),
                           .b = x.in(),
                           .bias = {},
                           .act = {},
                           .c = gradient_of(w)});
        context.count_flop(2.0 * n * in * out);
      }
      bias_gradient(bias, dpre);
      if (x.needs_gradient()) {  // dx (n,in) = dpre w
        context.run(gemm, {.m = n,
                           .n = in,
                           .k = out,
                           .a = dpre.in(),
                           .b = w.in(),
                           .bias = {},
                           .act = {},
                           .c = gradient_of(x)});
        context.count_flop(2.0 * n * in * out);
      }
    });
  return y;
}

namespace {
// The convolution that maps `x` (N,H,W,C) to `k` channels, as kernels see it.
Conv2d conv_size(int64_t n, int64_t h, int64_t w, int64_t c, int64_t k, const ConvOptions& o) {
  Conv2d s;
  s.n = int(n), s.h = int(h), s.w = int(w), s.c = int(c), s.k = int(k);
  s.kh = s.kw = o.kernel, s.sh = s.sw = o.stride, s.ph = s.pw = o.pad, s.dh = s.dw = o.dilation;
  s.groups = o.groups, s.padding = o.padding;
  s.oh = Conv2d::out_size(s.h, s.kh, s.sh, s.ph, s.dh);
  s.ow = Conv2d::out_size(s.w, s.kw, s.sw, s.pw, s.dw);
  return s;
}
Shape weight_shape(const Conv2d& s) { return {s.k, s.kh, s.kw, s.c / s.groups}; }
}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvOptions& o, Activation act) {
  GAN_CHECK(x.shape().rank == 4 && w.shape().rank == 4, "conv2d of {} with weights {}", to_string(x.shape()),
            to_string(w.shape()));
  DeviceContext& c = x.context();
  const Conv2d size = conv_size(x.dim(0), x.dim(1), x.dim(2), x.dim(3), w.dim(0), o);
  GAN_CHECK(w.shape() == weight_shape(size), "weights {}, wanted {}", to_string(w.shape()),
            to_string(weight_shape(size)));
  check(size);
  Tensor y(c, {size.n, size.oh, size.ow, size.k}, x.dtype());
  c.run(c.kernels().conv.fwd, {.size = size,
                               .x = x.in(),
                               .w = w.in(),
                               .bias = bias.in(),
                               .act = act,
                               .y = y.out(),
                               .w_version = w.version()});
  c.count_flop(size.flop());
  if (c.tape().wants(x, w, bias))
    c.tape().record(
        "conv2d", y,
        [x, w, bias, act, size, kept = act.kind == Act::none ? Tensor() : y.detach()](const Tensor& dy) {
          DeviceContext& context = x.context();
          const Tensor dpre = before_activation(kept, dy, act);
          if (w.needs_gradient()) {
            context.run(context.kernels().conv.bwd_weight,
                        {.size = size, .x = x.in(), .dy = dpre.in(), .dw = gradient_of(w)});
            context.count_flop(size.flop());
          }
          bias_gradient(bias, dpre);
          if (x.needs_gradient()) {
            context.run(context.kernels().conv.bwd_data, {.size = size,
                                                          .dy = dpre.in(),
                                                          .w = w.in(),
                                                          .bias = {},
                                                          .act = {},
                                                          .dx = gradient_of(x),
                                                          .w_version = w.version()});
            context.count_flop(size.flop());
          }
        });
  return y;
}

Tensor conv_transpose2d(const Tensor& x, const Tensor& w, const Tensor& bias, const ConvOptions& o,
                        Activation act) {
  GAN_CHECK(x.shape().rank == 4 && w.shape().rank == 4, "conv_transpose2d of {} with weights {}",
            to_string(x.shape()), to_string(w.shape()));
  GAN_CHECK(o.padding == Padding::zero && o.output_pad >= 0 &&
            (o.output_pad < o.stride || o.output_pad < o.dilation));
  DeviceContext& c = x.context();
  const int64_t extent = o.dilation * (o.kernel - 1) + 1 + o.output_pad - 2 * o.pad;
  // Mirrored: the convolution from this operation's output to its input.
  const Conv2d size = conv_size(x.dim(0), (x.dim(1) - 1) * o.stride + extent,
                                (x.dim(2) - 1) * o.stride + extent, w.dim(3) * o.groups, x.dim(3), o);
  GAN_CHECK(size.oh == x.dim(1) && size.ow == x.dim(2), "{} for input {}", to_string(size),
            to_string(x.shape()));
  GAN_CHECK(w.shape() == weight_shape(size), "weights {}, wanted {}", to_string(w.shape()),
            to_string(weight_shape(size)));
  check(size);
  Tensor y(c, {size.n, size.h, size.w, size.c}, x.dtype());
  c.run(c.kernels().conv.bwd_data, {.size = size,
                                    .dy = x.in(),
                                    .w = w.in(),
                                    .bias = bias.in(),
                                    .act = act,
                                    .dx = y.out(),
                                    .w_version = w.version()});
  c.count_flop(size.flop());
  if (c.tape().wants(x, w, bias))
    c.tape().record(
        "conv_transpose2d", y,
        [x, w, bias, act, size, kept = act.kind == Act::none ? Tensor() : y.detach()](const Tensor& dy) {
          DeviceContext& context = x.context();
          const Tensor dpre = before_activation(kept, dy, act);
          if (w.needs_gradient()) {
            context.run(context.kernels().conv.bwd_weight,
                        {.size = size, .x = dpre.in(), .dy = x.in(), .dw = gradient_of(w)});
            context.count_flop(size.flop());
          }
          bias_gradient(bias, dpre);
          if (x.needs_gradient()) {
            context.run(context.kernels().conv.fwd, {.size = size,
                                                     .x = dpre.in(),
                                                     .w = w.in(),
                                                     .bias = {},
                                                     .act = {},
                                                     .y = gradient_of(x),
                                                     .w_version = w.version()});
            context.count_flop(size.flop());
          }
        });
  return y;
}

// -------------------------------------------------------------------------------------------- normalisation

namespace {
// The backward pass of normalise and layer_norm: `backward` is the device's NormBwd or LayerNormBwd.
template <class Args, class Size>
void record_norm(const char* name, Tensor& y, const Op<Args>& backward, const Tensor& x, const Tensor& gamma,
                 const Tensor& beta, const Tensor& mean, const Tensor& rstd, const Size& size,
                 Activation act) {
  Tape& tape = x.context().tape();
  if (!tape.wants(x, gamma, beta)) return;
  tape.record(name, y, [&backward, x, gamma, beta, mean, rstd, size, act](const Tensor& dy) {
    x.context().run(backward, {.size = size,
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
  });
}
}  // namespace

Tensor normalise(const Tensor& x, NormKind kind, const NormTensors& t, Activation act, double momentum,
                 double eps) {
  GAN_CHECK(kind != NormKind::none && x.shape().rank == 4, "normalise of {}", to_string(x.shape()));
  DeviceContext& c = x.context();
  const int64_t pixels = x.dim(1) * x.dim(2);
  NormSize size{.segments = kind == NormKind::batch ? 1 : int(x.dim(0)),
                .rows = kind == NormKind::batch ? x.dim(0) * pixels : pixels,
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
  record_norm("normalise", y, c.kernels().norm.bwd, x, t.gamma, t.beta, mean, rstd, size, act);
  return y;
}

Tensor normalise_running(const Tensor& x, const NormTensors& t, Activation act, double eps) {
  GAN_CHECK(t.running_mean && t.running_var, "this normalisation keeps no running statistics");
  DeviceContext& c = x.context();
  GAN_CHECK(
      !c.tape().wants(x, t.gamma, t.beta),
      "normalisation by running statistics has no gradient here; use NoGradient or training statistics");
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
  record_norm("layer_norm", y, c.kernels().norm.layer_bwd, x, gamma, beta, mean, rstd, size, act);
  return y;
}

// ------------------------------------------------------------------------------------------------- resample

namespace {

ResampleSize resample_size(const char* name, const Tensor& x, int64_t height, int64_t width) {
  GAN_CHECK(x.shape().rank == 4, "{} of {}; wanted (N,H,W,C)", name, to_string(x.shape()));
  return {.n = int(x.dim(0)),
          .h = int(x.dim(1)),
          .w = int(x.dim(2)),
          .c = int(x.dim(3)),
          .oh = int(height),
          .ow = int(width)};
}

PoolWindow window_of(const PoolOptions& o) {
  return {.kh = o.kernel, .kw = o.kernel, .sh = o.stride, .sw = o.stride, .ph = o.pad, .pw = o.pad};
}

ResampleSize pool_size(const char* name, const Tensor& x, const PoolOptions& o) {
  GAN_CHECK(o.kernel >= 1 && o.stride >= 1 && o.pad >= 0, "{} with kernel {} stride {} padding {}", name,
            o.kernel, o.stride, o.pad);
  ResampleSize s = resample_size(name, x, 0, 0);
  s.oh = PoolWindow::out_size(s.h, o.kernel, o.stride, o.pad, o.ceil_mode);
  s.ow = PoolWindow::out_size(s.w, o.kernel, o.stride, o.pad, o.ceil_mode);
  return s;
}

Tensor resample(const char* name, const Tensor& x, const ResampleSize& size, const ResampleRule& rule) {
  check(size, rule);
  DeviceContext& c = x.context();
  Tensor y(c, {size.n, size.oh, size.ow, size.c}, x.dtype());
  c.run(c.kernels().resample.fwd, {.size = size, .rule = rule, .x = x.in(), .y = y.out()});
  if (c.tape().wants(x))
    c.tape().record(name, y, [x, size, rule](const Tensor& dy) {
      DeviceContext& context = x.context();
      context.run(context.kernels().resample.bwd,
                  {.size = size, .rule = rule, .dy = dy.in(), .dx = gradient_of(x)});
    });
  return y;
}

}  // namespace

Tensor max_pool(const Tensor& x, const PoolOptions& o) {
  const ResampleSize size = pool_size("max_pool", x, o);
  const PoolWindow window = window_of(o);
  check(size, window);
  DeviceContext& c = x.context();
  Tensor y(c, {size.n, size.oh, size.ow, size.c}, x.dtype());
  c.run(c.kernels().resample.max_pool_fwd, {.size = size, .window = window, .x = x.in(), .y = y.out()});
  if (c.tape().wants(x))
    c.tape().record("max_pool", y, [x, size, window](const Tensor& dy) {
      DeviceContext& context = x.context();
      context.run(context.kernels().resample.max_pool_bwd,
                  {.size = size, .window = window, .x = x.in(), .dy = dy.in(), .dx = gradient_of(x)});
    });
  return y;
}

Tensor average_pool(const Tensor& x, const PoolOptions& o) {
  return resample("average_pool", x, pool_size("average_pool", x, o),
                  {.kind = ResampleKind::average_pool,
                   .align_corners = false,
                   .count_padding = o.count_padding,
                   .window = window_of(o)});
}

namespace {
Tensor resize(const char* name, const Tensor& x, int height, int width, ResampleKind kind,
              bool align_corners) {
  return resample(name, x, resample_size(name, x, height, width),
                  {.kind = kind, .align_corners = align_corners, .count_padding = true, .window = {}});
}
}  // namespace

Tensor adaptive_average_pool(const Tensor& x, int height, int width) {
  return resize("adaptive_average_pool", x, height, width, ResampleKind::adaptive_average, false);
}
Tensor resize_nearest(const Tensor& x, int height, int width) {
  return resize("resize_nearest", x, height, width, ResampleKind::nearest, false);
}
Tensor resize_bilinear(const Tensor& x, int height, int width, bool align_corners) {
  return resize("resize_bilinear", x, height, width, ResampleKind::bilinear, align_corners);
}

namespace {
// With the sizes of the small picture and the large one's channels; `y` where it shall go.
void shuffle(const Tensor& x, const Shape& small, int64_t channels, int factor, bool inverse, const Out& y) {
  DeviceContext& c = x.context();
  c.run(c.kernels().resample.pixel_shuffle, {.n = int(small[0]),
                                             .h = int(small[1]),
                                             .w = int(small[2]),
                                             .c = int(channels),
                                             .factor = factor,
                                             .inverse = inverse,
                                             .x = x.in(),
                                             .y = y});
}
}  // namespace

Tensor pixel_shuffle(const Tensor& x, int factor) {
  GAN_CHECK(x.shape().rank == 4 && factor >= 1 && x.dim(3) % (int64_t(factor) * factor) == 0,
            "pixel_shuffle of {} by {}", to_string(x.shape()), factor);
  DeviceContext& c = x.context();
  const int64_t channels = x.dim(3) / (int64_t(factor) * factor);
  Tensor y(c, {x.dim(0), x.dim(1) * factor, x.dim(2) * factor, channels}, x.dtype());
  shuffle(x, x.shape(), channels, factor, false, y.out());
  if (c.tape().wants(x))
    c.tape().record("pixel_shuffle", y, [x, channels, factor](const Tensor& dy) {
      shuffle(dy, x.shape(), channels, factor, true, gradient_of(x));
    });
  return y;
}

Tensor pixel_unshuffle(const Tensor& x, int factor) {
  GAN_CHECK(x.shape().rank == 4 && factor >= 1 && x.dim(1) % factor == 0 && x.dim(2) % factor == 0,
            "pixel_unshuffle of {} by {}", to_string(x.shape()), factor);
  DeviceContext& c = x.context();
  const int64_t channels = x.dim(3);
  const Shape small{x.dim(0), x.dim(1) / factor, x.dim(2) / factor, channels * factor * factor};
  Tensor y(c, small, x.dtype());
  shuffle(x, small, channels, factor, true, y.out());
  if (c.tape().wants(x))
    c.tape().record("pixel_unshuffle", y, [x, small, channels, factor](const Tensor& dy) {
      shuffle(dy, small, channels, factor, false, gradient_of(x));
    });
  return y;
}

// ------------------------------------------------------------------------------------------------ attention

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  GAN_CHECK(q.shape().rank == 3 && k.shape().rank == 3 && v.shape().rank == 3 && q.dim(0) == k.dim(0) &&
                k.dim(0) == v.dim(0) && q.dim(2) == k.dim(2) && k.dim(1) == v.dim(1),
            "attention of queries {}, keys {} and values {}; wanted (B,N,Dk), (B,M,Dk) and (B,M,Dv)",
            to_string(q.shape()), to_string(k.shape()), to_string(v.shape()));
  DeviceContext& c = q.context();
  const AttentionSize size{.batch = int(q.dim(0)),
                           .queries = int(q.dim(1)),
                           .keys = int(k.dim(1)),
                           .key_width = int(q.dim(2)),
                           .value_width = int(v.dim(2)),
                           .scale = scale};
  check(size);
  Tensor o(c, {q.dim(0), q.dim(1), v.dim(2)}, q.dtype()), log_sum_exp(c, {q.dim(0), q.dim(1)});
  c.run(
      c.kernels().attention.fwd,
      {.size = size, .q = q.in(), .k = k.in(), .v = v.in(), .o = o.out(), .log_sum_exp = log_sum_exp.out()});
  c.count_flop(size.flop());
  if (c.tape().wants(q, k, v))
    c.tape().record("attention", o, [q, k, v, kept = o.detach(), log_sum_exp, size](const Tensor& d_o) {
      DeviceContext& context = q.context();
      context.run(context.kernels().attention.bwd, {.size = size,
                                                    .q = q.in(),
                                                    .k = k.in(),
                                                    .v = v.in(),
                                                    .o = kept.in(),
                                                    .log_sum_exp = log_sum_exp.in(),
                                                    .d_o = d_o.in(),
                                                    .dq = gradient_of(q),
                                                    .dk = gradient_of(k),
                                                    .dv = gradient_of(v)});
      context.count_flop(2 * size.flop() + 2.0 * size.batch * size.queries * size.keys * size.key_width);
    });
  return o;
}

// --------------------------------------------------------------------------------------------------- losses

namespace {
Tensor like_if_wanted(const Tensor& t) {
  return t.needs_gradient() ? Tensor(t.context(), t.shape(), t.dtype()) : Tensor();
}
}  // namespace

LossValue discriminator_loss(const Tensor& real, const Tensor& fake, GanLoss kind, double real_label,
                             double fake_label, double scale) {
  DeviceContext& c = real.context();
  Tensor d_real = like_if_wanted(real), d_fake = like_if_wanted(fake), values(c, {4});
  c.run(c.kernels().loss.discriminator, {.kind = kind,
                                         .real_count = real.count(),
                                         .fake_count = fake.count(),
                                         .real_label = real_label,
                                         .fake_label = fake_label,
                                         .scale = scale,
                                         .real = real.in(),
                                         .fake = fake.in(),
                                         .d_real = d_real.out(),
                                         .d_fake = d_fake.out(),
                                         .values = values.out()});
  Tensor loss = sum(values.view(0, {2}), scale);
  if (c.tape().wants(real, fake))
    c.tape().record("discriminator_loss", loss, [real, fake, d_real, d_fake](const Tensor& dy) {
      multiplied_gradient(real, d_real, dy);
      multiplied_gradient(fake, d_fake, dy);
    });
  return {loss, values};
}

LossValue generator_loss(const Tensor& fake, GanLoss kind, double scale) {
  DeviceContext& c = fake.context();
  Tensor d_fake = like_if_wanted(fake), values(c, {1});
  c.run(c.kernels().loss.generator, {.kind = kind,
                                     .count = fake.count(),
                                     .scale = scale,
                                     .fake = fake.in(),
                                     .d_fake = d_fake.out(),
                                     .values = values.out()});
  Tensor loss = sum(values, scale);
  if (c.tape().wants(fake))
    c.tape().record("generator_loss", loss,
                    [fake, d_fake](const Tensor& dy) { multiplied_gradient(fake, d_fake, dy); });
  return {loss, values};
}

LossValue pixel_loss(const Tensor& a, const Tensor& b, PixelLossKind kind, double scale) {
  GAN_CHECK(a.shape() == b.shape(), "pixel loss of {} and {}", to_string(a.shape()), to_string(b.shape()));
  DeviceContext& c = a.context();
  Tensor da = like_if_wanted(a), db = like_if_wanted(b), value(c, {1});
  c.run(c.kernels().loss.pixel, {.kind = kind,
                                 .count = a.count(),
                                 .scale = scale,
                                 .a = a.in(),
                                 .b = b.in(),
                                 .da = da.out(),
                                 .db = db.out(),
                                 .value = value.out()});
  Tensor loss = sum(value, scale);
  if (c.tape().wants(a, b))
    c.tape().record("pixel_loss", loss, [a, b, da, db](const Tensor& dy) {
      multiplied_gradient(a, da, dy);
      multiplied_gradient(b, db, dy);
    });
  return {loss, value};
}

// -------------------------------------------------------------------------------------------------- dropout

Tensor dropout(const Tensor& x, double p, const DropoutKey& key) {
  DeviceContext& c = x.context();
  Tensor y(c, x.shape(), x.dtype());
  // 2^40 numbers for each layer: more than any tensor has elements.
  const Dropout args{.count = x.count(),
                     .p = p,
                     .seed = key.seed,
                     .stream = uint32_t(RandomStream::dropout),
                     .step = key.step,
                     .first = uint64_t(key.layer) << 40,
                     .x = {},
                     .y = {}};
  auto run = [&c](Dropout a, const Tensor& from, const Out& to) {
    a.x = from.in(), a.y = to;
    c.run(c.kernels().rng.dropout, a);
  };
  run(args, x, y.out());
  if (c.tape().wants(x))
    c.tape().record("dropout", y, [x, args, run](const Tensor& dy) { run(args, dy, gradient_of(x)); });
  return y;
}

// -------------------------------------------------------------------------------------------- data and noise

Tensor image_batch(const Tensor& pool, const Tensor& placement, int height, int width) {
  GAN_CHECK(pool.dtype() == DType::u8 && placement.dtype() == DType::i32 && placement.dim(1) == 4);
  DeviceContext& c = pool.context();
  Tensor batch(c, {placement.dim(0), height, width, pool.dim(3)});
  c.run(c.kernels().image.batch, {.count = int(placement.dim(0)),
                                  .pool_height = int(pool.dim(1)),
                                  .pool_width = int(pool.dim(2)),
                                  .height = height,
                                  .width = width,
                                  .channels = int(pool.dim(3)),
                                  .pool = pool.in(),
                                  .placement = placement.in(),
                                  .batch = batch.out()});
  return batch;
}

LabPicture rgb_to_lab(const Tensor& rgb) {
  GAN_CHECK(rgb.shape().rank == 4 && rgb.dim(3) == 3, "rgb_to_lab of {}", to_string(rgb.shape()));
  DeviceContext& c = rgb.context();
  const Shape s = rgb.shape();
  LabPicture lab{Tensor(c, {s[0], s[1], s[2], 1}), Tensor(c, {s[0], s[1], s[2], 2})};
  c.run(c.kernels().image.rgb_to_lab,
        {.count = lab.l.count(), .rgb = rgb.in(), .l = lab.l.out(), .ab = lab.ab.out()});
  return lab;
}

Tensor lab_to_rgb(const Tensor& l, const Tensor& ab) {
  GAN_CHECK(l.shape().rank == 4 && l.dim(3) == 1 && ab.count() == 2 * l.count(), "lab_to_rgb of {} and {}",
            to_string(l.shape()), to_string(ab.shape()));
  DeviceContext& c = l.context();
  Tensor rgb(c, {l.dim(0), l.dim(1), l.dim(2), 3});
  c.run(c.kernels().image.lab_to_rgb, {.count = l.count(), .l = l.in(), .ab = ab.in(), .rgb = rgb.out()});
  return rgb;
}

Tensor random_normal(DeviceContext& c, Shape shape, uint64_t seed, uint32_t stream, uint32_t step) {
  Tensor z(c, shape);
  c.run(c.kernels().rng.normal,
        {.count = z.count(), .seed = seed, .stream = stream, .step = step, .y = z.out()});
  return z;
}

}  // namespace gan
