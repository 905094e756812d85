// Convolutions and transposed convolutions: one operation seen from three sides (engine/tensor/ops/backward.h).
#include "engine/tensor/ops/backward.h"

namespace gan {

namespace {

// Computes `side` from the other two of x, w and y. A bias is added to y or x, then `act` is applied.
void run_convolution(ConvSide side, const Conv2d& size, const Tensor& x, const Tensor& w, const Tensor& y,
                     const Tensor& bias, Activation act, const Out& to) {
  DeviceContext& c = (x ? x : y).context();
  // When a recorded step is run again, weights that have versions have other ones. What else is convolved
  // with is not held, so that its memory can be used again within the step.
  const Tensor versioned = w.version() == 0 ? Tensor() : w.detach();
  const auto look_up_version = [versioned](auto& args) {
    if (versioned) args.w_version = versioned.version();
  };
  switch (side) {
    case ConvSide::y:
      c.run(c.kernels().conv.fwd,
            {.size = size,
             .x = x.in(),
             .w = w.in(),
             .bias = bias.in(),
             .act = act,
             .y = to,
             .w_version = w.version()},
            look_up_version);
      break;
    case ConvSide::x:
      c.run(c.kernels().conv.bwd_data,
            {.size = size,
             .dy = y.in(),
             .w = w.in(),
             .bias = bias.in(),
             .act = act,
             .dx = to,
             .w_version = w.version()},
            look_up_version);
      break;
    case ConvSide::w:
      c.run(c.kernels().conv.bwd_weight, {.size = size, .x = x.in(), .dy = y.in(), .dw = to});
      break;
  }
  c.count_flop(size.flop());
}

struct ConvolutionRecord {
  ConvSide side;  // what was computed; that tensor is empty
  Conv2d size;
  Tensor x, w, y, bias, kept;
  Activation act;

  static constexpr const char* names[] = {"conv_transpose2d", "conv2d_weight_gradient", "conv2d"};
  const char* name() const { return names[int(side)]; }
  Tensors inputs() const {
    if (side == ConvSide::w) return {&x, &y};
    return {side == ConvSide::y ? &x : &y, &w, &bias};
  }
  Attributes attributes() const {
    Attributes a = {{"kernel", size.kh}, {"stride", size.sh}, {"pad", size.ph}};
    if (size.dh != 1) a.push_back({"dilation", size.dh});
    if (size.groups != 1) a.push_back({"groups", size.groups});
    if (size.padding == Padding::reflect) a.push_back({"padding", "reflect"});
    if (side == ConvSide::x && output_pad() != 0) a.push_back({"output_pad", output_pad()});
    add_activation(a, act);
    return a;
  }

  // The gradient of what was computed takes its place among the three sides; each input is the side computed
  // from it and the other input.
  void backward(const Tensor& dy) const {
    const Tensor before = before_activation(kept, dy, act);
    auto gradient = [&](ConvSide of, const Tensor& input) {
      if (input.needs_gradient())
        run_convolution(of, size, with(ConvSide::x, before), with(ConvSide::w, before),
                        with(ConvSide::y, before), {}, {},
                        of == ConvSide::w ? gradient_of(input, input.context().real()) : gradient_of(input));
    };
    gradient(ConvSide::w, w);
    bias_gradient(bias, before);
    gradient(ConvSide::x, x);
    gradient(ConvSide::y, y);
  }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    const Tensor before = before_activation(to.output(kept), dy, act);
    auto gradient = [&](ConvSide of, const Tensor& input) {
      if (to.wants(input))
        to.give(input, convolution(of, size, with(ConvSide::x, before), with(ConvSide::w, before),
                                   with(ConvSide::y, before)));
    };
    gradient(ConvSide::w, w);
    if (to.wants(bias)) to.give(bias, sum_rows(before));
    gradient(ConvSide::x, x);
    gradient(ConvSide::y, y);
  }

  Exported exported() const {
    if (side == ConvSide::w) return exported_never();
    const std::vector<int64_t> pads = {size.ph, size.pw, size.ph, size.pw};
    Attributes a = {{"kernel_shape", std::vector<int64_t>{size.kh, size.kw}},
                    {"strides", std::vector<int64_t>{size.sh, size.sw}},
                    {"dilations", std::vector<int64_t>{size.dh, size.dw}},
                    {"group", size.groups}};
    if (side == ConvSide::y && size.padding == Padding::reflect)
      return exported_as("Pad", {{"mode", "reflect"}},
                         {{"pads", std::vector<int64_t>{0, 0, size.ph, size.pw, 0, 0, size.ph, size.pw}}})
          .then("Conv", a)
          .then(act);
    a.push_back({"pads", pads});
    if (side == ConvSide::y) return exported_as("Conv", a).then(act);
    if (size.padding == Padding::reflect) return exported_never();
    a.push_back({"output_padding", std::vector<int64_t>{output_pad(), output_pad()}});
    return exported_as("ConvTranspose", a).then(act);
  }

 private:
  // The tensor of one side, or `result` where that side is what was computed.
  const Tensor& with(ConvSide which, const Tensor& result) const {
    if (which == side) return result;
    if (which == ConvSide::w) return w;
    return which == ConvSide::x ? x : y;
  }
  // Rows of x that the convolution leaves out at the end.
  int output_pad() const {
    return size.h + 2 * size.ph - size.dh * (size.kh - 1) - 1 - (size.oh - 1) * size.sh;
  }
};

Shape picture_shape(const Conv2d& s) { return {s.n, s.h, s.w, s.c}; }
Shape weight_shape(const Conv2d& s) { return {s.k, s.kh, s.kw, s.c / s.groups}; }
Shape result_shape(const Conv2d& s) { return {s.n, s.oh, s.ow, s.k}; }

// The convolution that maps (n,h,w,c) to `k` channels, as kernels see it.
Conv2d conv_size(int64_t n, int64_t h, int64_t w, int64_t c, int64_t k, const ConvOptions& o) {
  Conv2d s;
  s.n = int(n), s.h = int(h), s.w = int(w), s.c = int(c), s.k = int(k);
  s.kh = s.kw = o.kernel, s.sh = s.sw = o.stride, s.ph = s.pw = o.pad, s.dh = s.dw = o.dilation;
  s.groups = o.groups, s.padding = o.padding;
  s.oh = Conv2d::out_size(s.h, s.kh, s.sh, s.ph, s.dh);
  s.ow = Conv2d::out_size(s.w, s.kw, s.sw, s.pw, s.dw);
  return s;
}

void check_pictures(const char* name, const Tensor& x, const Tensor& w) {
  GAN_CHECK(x.shape().rank == 4 && w.shape().rank == 4, "{} of {} with weights {}", name,
            to_string(x.shape()), to_string(w.shape()));
}

}  // namespace

Tensor convolution(ConvSide side, const Conv2d& size, const Tensor& x, const Tensor& w, const Tensor& y,
                   const Tensor& bias, Activation act) {
  check(size);
  auto fits = [&](ConvSide which, const Tensor& t, const Shape& wanted, const char* what) {
    GAN_CHECK(which == side || t.shape() == wanted, "{} {}, wanted {}", what, to_string(t.shape()),
              to_string(wanted));
  };
  fits(ConvSide::x, x, picture_shape(size), "pictures");
  fits(ConvSide::w, w, weight_shape(size), "weights");
  fits(ConvSide::y, y, result_shape(size), "results");
  Shape shape = weight_shape(size);
  if (side == ConvSide::x) shape = picture_shape(size);
  if (side == ConvSide::y) shape = result_shape(size);
  const Tensor& given = x && side != ConvSide::x ? x : y;
  Tensor result(given.context(), shape, given.dtype());
  run_convolution(side, size, x, w, y, bias, act, result.out());
  // The side that was computed stays empty in the record, which must not hold its output.
  record(result,
         ConvolutionRecord{side, size, side == ConvSide::x ? Tensor() : x, side == ConvSide::w ? Tensor() : w,
                           side == ConvSide::y ? Tensor() : y, bias, kept_for(act, result), act});
  return result;
}

Tensor conv2d(const Tensor& pictures, const Tensor& weights, const Tensor& bias, const ConvOptions& o,
              Activation act) {
  check_pictures("conv2d", pictures, weights);
  const auto [x, w] = in_one_type(pictures, weights);
  const Conv2d size = conv_size(x.dim(0), x.dim(1), x.dim(2), x.dim(3), w.dim(0), o);
  return convolution(ConvSide::y, size, x, w, {}, bias, act);
}

Tensor conv_transpose2d(const Tensor& pictures, const Tensor& weights, const Tensor& bias,
                        const ConvOptions& o, Activation act) {
  check_pictures("conv_transpose2d", pictures, weights);
  const auto [x, w] = in_one_type(pictures, weights);
  GAN_CHECK(o.padding == Padding::zero && o.output_pad >= 0 &&
            (o.output_pad < o.stride || o.output_pad < o.dilation));
  const int64_t extent = o.dilation * (o.kernel - 1) + 1 + o.output_pad - 2 * o.pad;
  // Mirrored: the convolution from this operation's output to its input.
  const Conv2d size = conv_size(x.dim(0), (x.dim(1) - 1) * o.stride + extent,
                                (x.dim(2) - 1) * o.stride + extent, w.dim(3) * o.groups, x.dim(3), o);
  GAN_CHECK(size.oh == x.dim(1) && size.ow == x.dim(2), "{} for input {}", to_string(size),
            to_string(x.shape()));
  return convolution(ConvSide::x, size, {}, w, x, bias, act);
}

}  // namespace gan
