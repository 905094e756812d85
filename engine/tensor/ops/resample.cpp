// Pooling, resizing, and moving pixels to channels and back.
#include "engine/tensor/ops/backward.h"
#include "engine/tensor/picture_ops.h"

namespace gan {

// ----------------------------------------------------------------------------- linear: averages and resizing

namespace {

Tensor resample(const Tensor& x, const ResampleSize& size, const ResampleRule& rule, bool gradient = false);

// `to` becomes the resampled x; with `gradient`, x is a result's gradient and `to` that of the picture.
void run_resample(const Tensor& x, const ResampleSize& size, const ResampleRule& rule, bool gradient,
                  const Out& to) {
  DeviceContext& c = x.context();
  if (gradient) c.run(c.kernels().resample.bwd, {.size = size, .rule = rule, .dy = x.in(), .dx = to});
  else c.run(c.kernels().resample.fwd, {.size = size, .rule = rule, .x = x.in(), .y = to});
}

// Linear, so the gradient does not depend on x, and the gradient of the gradient is the operation itself.
struct ResampleRecord {
  Tensor x;
  ResampleSize size;
  ResampleRule rule;
  bool gradient;

  static constexpr const char* names[] = {"average_pool", "adaptive_average_pool", "resize_bilinear",
                                          "resize_nearest", "resample_gradient"};
  const char* name() const { return names[gradient ? 4 : int(rule.kind)]; }
  Tensors inputs() const { return {&x}; }
  Attributes attributes() const {
    const PoolWindow& w = rule.window;
    if (rule.kind == ResampleKind::average_pool && w.kh != w.kw)
      return {{"kernel", std::vector<int64_t>{w.kh, w.kw}}, {"pad", std::vector<int64_t>{w.ph, w.pw}}};
    if (rule.kind == ResampleKind::average_pool) return {{"kernel", w.kh}, {"stride", w.sh}, {"pad", w.ph}};
    return {{"size", std::vector<int64_t>{size.oh, size.ow}}};
  }
  void backward(const Tensor& dy) const { run_resample(dy, size, rule, !gradient, gradient_of(x)); }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    to.give(x, resample(dy, size, rule, !gradient));
  }
  Exported exported() const;
};

// Where a last window may hang over the end.
int64_t ceil_mode(const ResampleSize& s, const PoolWindow& w) {
  return s.oh != PoolWindow::out_size(s.h, w.kh, w.sh, w.ph) ||
         s.ow != PoolWindow::out_size(s.w, w.kw, w.sw, w.pw);
}

Attributes exported_window(const ResampleSize& s, const PoolWindow& w) {
  return {{"kernel_shape", std::vector<int64_t>{w.kh, w.kw}},
          {"strides", std::vector<int64_t>{w.sh, w.sw}},
          {"pads", std::vector<int64_t>{w.ph, w.pw, w.ph, w.pw}},
          {"ceil_mode", ceil_mode(s, w)}};
}

Exported ResampleRecord::exported() const {
  if (gradient) return exported_never();
  const Attributes sizes = {{"sizes", std::vector<int64_t>{size.n, size.c, size.oh, size.ow}}};
  switch (rule.kind) {
    case ResampleKind::average_pool: {
      Attributes a = exported_window(size, rule.window);
      a.push_back({"count_include_pad", rule.count_padding});
      return exported_as("AveragePool", a);
    }
    case ResampleKind::adaptive_average: {
      if (size.h % size.oh != 0 || size.w % size.ow != 0)
        return not_exported("ONNX has no adaptive pooling to a size that does not divide the picture");
      const int kh = size.h / size.oh, kw = size.w / size.ow;
      return exported_as("AveragePool", exported_window(size, {.kh = kh, .kw = kw, .sh = kh, .sw = kw}));
    }
    case ResampleKind::bilinear:
      return exported_as(
          "Resize",
          {{"mode", "linear"},
           {"coordinate_transformation_mode", rule.align_corners ? "align_corners" : "half_pixel"}},
          sizes);
    case ResampleKind::nearest:
      return exported_as(
          "Resize",
          {{"mode", "nearest"}, {"coordinate_transformation_mode", "asymmetric"}, {"nearest_mode", "floor"}},
          sizes);
  }
  return not_exported("unknown");
}

Tensor resample(const Tensor& x, const ResampleSize& size, const ResampleRule& rule, bool gradient) {
  check(size, rule);
  const Shape shape =
      gradient ? Shape{size.n, size.h, size.w, size.c} : Shape{size.n, size.oh, size.ow, size.c};
  Tensor y(x.context(), shape, x.dtype());
  run_resample(x, size, rule, gradient, y.out());
  record(y, ResampleRecord{x, size, rule, gradient});
  return y;
}

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

Tensor resize(const char* name, const Tensor& x, int height, int width, ResampleKind kind,
              bool align_corners) {
  return resample(x, resample_size(name, x, height, width),
                  {.kind = kind, .align_corners = align_corners, .count_padding = true, .window = {}});
}

}  // namespace

Tensor average_pool(const Tensor& x, const PoolOptions& o) {
  return resample(x, pool_size("average_pool", x, o),
                  {.kind = ResampleKind::average_pool,
                   .align_corners = false,
                   .count_padding = o.count_padding,
                   .window = window_of(o)});
}
// Columns, then rows: the mean over a rectangle is the mean of its rows' means, also where it is cut off.
Tensor box_blur(const Tensor& x, int radius) {
  GAN_CHECK(radius >= 0, "box_blur with radius {}", radius);
  const int side = 2 * radius + 1;
  const ResampleSize size = resample_size("box_blur", x, x.dim(1), x.dim(2));
  const ResampleRule down{.kind = ResampleKind::average_pool,
                          .align_corners = false,
                          .count_padding = false,
                          .window = {.kh = side, .kw = 1, .sh = 1, .sw = 1, .ph = radius, .pw = 0}};
  ResampleRule across = down;
  across.window = {.kh = 1, .kw = side, .sh = 1, .sw = 1, .ph = 0, .pw = radius};
  return resample(resample(x, size, down), size, across);
}
Tensor adaptive_average_pool(const Tensor& x, int height, int width) {
  return resize("adaptive_average_pool", x, height, width, ResampleKind::adaptive_average, false);
}
Tensor resize_nearest(const Tensor& x, int height, int width) {
  return resize("resize_nearest", x, height, width, ResampleKind::nearest, false);
}
Tensor resize_bilinear(const Tensor& x, int height, int width, bool align_corners) {
  return resize("resize_bilinear", x, height, width, ResampleKind::bilinear, align_corners);
}

// --------------------------------------------------------------------------------------- the largest element

namespace {

struct MaxPoolRecord {
  Tensor x;
  ResampleSize size;
  PoolWindow window;

  static constexpr const char* refuses_second_gradient =
      "use average_pool or a convolution with a stride in a network whose gradient is penalised";
  const char* name() const { return "max_pool"; }
  Tensors inputs() const { return {&x}; }
  Attributes attributes() const { return {{"kernel", window.kh}, {"stride", window.sh}, {"pad", window.ph}}; }
  void backward(const Tensor& dy) const {
    DeviceContext& c = x.context();
    c.run(c.kernels().resample.max_pool_bwd,
          {.size = size, .window = window, .x = x.in(), .dy = dy.in(), .dx = gradient_of(x)});
  }
  Exported exported() const { return exported_as("MaxPool", exported_window(size, window)); }
};

}  // namespace

Tensor max_pool(const Tensor& x, const PoolOptions& o) {
  const ResampleSize size = pool_size("max_pool", x, o);
  const PoolWindow window = window_of(o);
  check(size, window);
  DeviceContext& c = x.context();
  Tensor y(c, {size.n, size.oh, size.ow, size.c}, x.dtype());
  c.run(c.kernels().resample.max_pool_fwd, {.size = size, .window = window, .x = x.in(), .y = y.out()});
  record(y, MaxPoolRecord{x, size, window});
  return y;
}

// --------------------------------------------------------------------------------------- pixels and channels

namespace {

// With the sizes of the small picture and the large one's channels; `y` where it shall go.
void run_shuffle(const Tensor& x, const Shape& small, int factor, bool inverse, const Out& y) {
  DeviceContext& c = x.context();
  c.run(c.kernels().resample.pixel_shuffle, {.n = int(small[0]),
                                             .h = int(small[1]),
                                             .w = int(small[2]),
                                             .c = int(small[3] / (int64_t(factor) * factor)),
                                             .factor = factor,
                                             .inverse = inverse,
                                             .x = x.in(),
                                             .y = y});
}

// Either way is the gradient of the other.
struct PixelShuffleRecord {
  Tensor x;
  Shape small;
  int factor;
  bool inverse;

  static constexpr const char* names[] = {"pixel_shuffle", "pixel_unshuffle"};
  const char* name() const { return names[inverse ? 1 : 0]; }
  Tensors inputs() const { return {&x}; }
  Attributes attributes() const { return {{"factor", factor}}; }
  void backward(const Tensor& dy) const { run_shuffle(dy, small, factor, !inverse, gradient_of(x)); }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    to.give(x, inverse ? pixel_shuffle(dy, factor) : pixel_unshuffle(dy, factor));
  }
  Exported exported() const {
    if (!inverse) return exported_as("DepthToSpace", {{"blocksize", factor}, {"mode", "CRD"}});
    // ONNX's SpaceToDepth orders the channels another way.
    const int64_t n = small[0], h = small[1], w = small[2], r = factor, c = small[3] / (r * r);
    return exported_as("Reshape", {}, {{"shape", std::vector<int64_t>{n, c, h, r, w, r}}})
        .then("Transpose", {{"perm", std::vector<int64_t>{0, 1, 3, 5, 2, 4}}})
        .then("Reshape", {}, {{"shape", std::vector<int64_t>{n, c * r * r, h, w}}});
  }
};

}  // namespace

Tensor pixel_shuffle(const Tensor& x, int factor) {
  GAN_CHECK(x.shape().rank == 4 && factor >= 1 && x.dim(3) % (int64_t(factor) * factor) == 0,
            "pixel_shuffle of {} by {}", to_string(x.shape()), factor);
  const int64_t channels = x.dim(3) / (int64_t(factor) * factor);
  Tensor y(x.context(), {x.dim(0), x.dim(1) * factor, x.dim(2) * factor, channels}, x.dtype());
  run_shuffle(x, x.shape(), factor, false, y.out());
  record(y, PixelShuffleRecord{x, x.shape(), factor, false});
  return y;
}

Tensor pixel_unshuffle(const Tensor& x, int factor) {
  GAN_CHECK(x.shape().rank == 4 && factor >= 1 && x.dim(1) % factor == 0 && x.dim(2) % factor == 0,
            "pixel_unshuffle of {} by {}", to_string(x.shape()), factor);
  const Shape small{x.dim(0), x.dim(1) / factor, x.dim(2) / factor, x.dim(3) * factor * factor};
  Tensor y(x.context(), small, x.dtype());
  run_shuffle(x, small, factor, true, y.out());
  record(y, PixelShuffleRecord{x, small, factor, true});
  return y;
}

}  // namespace gan
