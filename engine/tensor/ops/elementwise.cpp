// Elementwise operations, sums, and what moves elements without computing.
#include "engine/tensor/ops/backward.h"

namespace gan {

// ------------------------------------------------------------------------------------------------ activation

namespace {

// dx = dy * act'(.) from the activation's output y.
struct ActivationGradientRecord {
  Tensor y, dy;
  Activation act;

  const char* name() const { return "activation_gradient"; }
  Tensors inputs() const { return {&y, &dy}; }
  Attributes attributes() const {
    Attributes a;
    add_activation(a, act);
    return a;
  }
  void backward_in_operations(const Tensor& d, Gradients& to) const {
    if (to.wants(dy)) to.give(dy, before_activation(y, d, act));
    if (!to.wants(y)) return;
    // act' as a function of y: 1 - y^2 for tanh, y - y^2 for the sigmoid, constant pieces for the others.
    if (act.kind == Act::tanh) to.give(y, multiply(multiply(d, dy), affine(y, -2)));
    if (act.kind == Act::sigmoid) to.give(y, multiply(multiply(d, dy), affine(y, -2, 1)));
  }
  Exported exported() const { return exported_never(); }
};

struct ActivationRecord {
  Tensor x, kept;
  Activation act;

  const char* name() const { return "activation"; }
  Tensors inputs() const { return {&x}; }
  Attributes attributes() const {
    Attributes a;
    add_activation(a, act);
    return a;
  }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    to.give(x, before_activation(to.output(kept), dy, act));
  }
  Exported exported() const { return act.kind == Act::none ? exported_as("Identity") : Exported().then(act); }
};

}  // namespace

Tensor activation(const Tensor& x, Activation act) {
  DeviceContext& c = x.context();
  Tensor y(c, x.shape(), x.dtype());
  c.run(c.kernels().pointwise.activation_fwd, {.count = x.count(), .act = act, .x = x.in(), .y = y.out()});
  record(y, ActivationRecord{x, y.detach(), act});
  return y;
}

Tensor before_activation(const Tensor& y, const Tensor& dy, Activation act) {
  if (act.kind == Act::none) return dy;
  DeviceContext& c = dy.context();
  Tensor dx(c, dy.shape(), dy.dtype());
  c.run(c.kernels().pointwise.activation_bwd,
        {.count = dy.count(), .act = act, .y = y.in(), .dy = dy.in(), .dx = dx.out()});
  record(dx, ActivationGradientRecord{y, dy, act});
  return dx;
}

// --------------------------------------------------------------------------------- two tensors, and a factor

namespace {

struct AddRecord {
  Tensor a, b;
  const char* name() const { return "add"; }
  Tensors inputs() const { return {&a, &b}; }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    to.give(a, dy);
    to.give(b, dy);
  }
  Exported exported() const { return exported_as("Add"); }
};

struct SubtractRecord {
  Tensor a, b;
  const char* name() const { return "subtract"; }
  Tensors inputs() const { return {&a, &b}; }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    to.give(a, dy);
    if (to.wants(b)) to.give(b, affine(dy, -1));
  }
  Exported exported() const { return exported_as("Sub"); }
};

struct MultiplyRecord {
  Tensor a, b;
  const char* name() const { return "multiply"; }
  Tensors inputs() const { return {&a, &b}; }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    if (to.wants(a)) to.give(a, multiply(b, dy));
    if (to.wants(b)) to.give(b, multiply(a, dy));
  }
  Exported exported() const { return exported_as("Mul"); }
};

struct MultiplyByRecord {
  Tensor x, factor;
  const char* name() const { return "multiply_by"; }
  Tensors inputs() const { return {&x, &factor}; }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    if (to.wants(x)) to.give(x, multiply_by(dy, factor));
    if (to.wants(factor)) to.give(factor, sum(multiply(x, dy)));
  }
  Exported exported() const { return exported_as("Mul"); }
};

struct AffineRecord {
  Tensor x;
  double scale, shift;
  const char* name() const { return "affine"; }
  Tensors inputs() const { return {&x}; }
  Attributes attributes() const { return {{"scale", scale}, {"shift", shift}}; }
  void backward_in_operations(const Tensor& dy, Gradients& to) const { to.give(x, affine(dy, scale)); }
  Exported exported() const {
    const Exported scaled = exported_as("Mul", {}, {{"scale", scale}});
    return shift == 0 ? scaled : scaled.then("Add", {}, {{"shift", shift}});
  }
};

struct PowerRecord {
  Tensor x;
  double exponent, shift;
  const char* name() const { return "power"; }
  Tensors inputs() const { return {&x}; }
  Attributes attributes() const { return {{"exponent", exponent}, {"shift", shift}}; }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    to.give(x, affine(multiply(power(x, exponent - 1, shift), dy), exponent));
  }
  Exported exported() const {
    const Exported shifted = shift == 0 ? Exported() : exported_as("Add", {}, {{"shift", shift}});
    return shifted.then("Pow", {}, {{"exponent", exponent}});
  }
};

struct CastRecord {
  Tensor x;
  const char* name() const { return "cast"; }
  Tensors inputs() const { return {&x}; }
  void backward_in_operations(const Tensor& dy, Gradients& to) const { to.give(x, cast(dy, x.dtype())); }
  Exported exported() const { return exported_as("Identity"); }
};

// y = a (+,-,*) b; b has as many elements as a, or one.
Tensor binary(BinaryKind kind, const Tensor& a, const Tensor& b) {
  DeviceContext& c = a.context();
  Tensor y(c, a.shape(), a.dtype());
  c.run(c.kernels().pointwise.binary,
        {.count = a.count(), .b_count = b.count(), .kind = kind, .a = a.in(), .b = b.in(), .y = y.out()});
  return y;
}

void check_same_shape(const char* name, const Tensor& a, const Tensor& b) {
  GAN_CHECK(a.shape() == b.shape(), "{} of {} and {}", name, to_string(a.shape()), to_string(b.shape()));
}

}  // namespace

Tensor add(const Tensor& left, const Tensor& right) {
  check_same_shape("add", left, right);
  const auto [a, b] = in_one_type(left, right);
  Tensor y = binary(BinaryKind::add, a, b);
  record(y, AddRecord{a, b});
  return y;
}

Tensor subtract(const Tensor& left, const Tensor& right) {
  check_same_shape("subtract", left, right);
  const auto [a, b] = in_one_type(left, right);
  Tensor y = binary(BinaryKind::subtract, a, b);
  record(y, SubtractRecord{a, b});
  return y;
}

Tensor multiply(const Tensor& left, const Tensor& right) {
  check_same_shape("multiply", left, right);
  const auto [a, b] = in_one_type(left, right);
  Tensor y = binary(BinaryKind::multiply, a, b);
  record(y, MultiplyRecord{a, b});
  return y;
}

Tensor multiply_by(const Tensor& x, const Tensor& factor) {
  GAN_CHECK(factor.count() == 1, "multiply_by a scalar, not {}", to_string(factor.shape()));
  Tensor y = binary(BinaryKind::multiply, x, factor);
  record(y, MultiplyByRecord{x, factor});
  return y;
}

Tensor affine(const Tensor& x, double scale, double shift) {
  DeviceContext& c = x.context();
  Tensor y(c, x.shape(), x.dtype());
  c.run(c.kernels().pointwise.affine,
        {.count = x.count(), .scale = scale, .shift = shift, .x = x.in(), .y = y.out()});
  record(y, AffineRecord{x, scale, shift});
  return y;
}

Tensor cast(const Tensor& x, DType type) {
  if (x.dtype() == type) return x;
  DeviceContext& c = x.context();
  Tensor y(c, x.shape(), type);
  c.run(c.kernels().pointwise.affine, {.count = x.count(), .x = x.in(), .y = y.out()});
  record(y, CastRecord{x});
  return y;
}

std::pair<Tensor, Tensor> in_one_type(const Tensor& a, const Tensor& b) {
  if (a.dtype() == b.dtype()) return {a, b};
  const DType type = a.context().activations();
  return {cast(a, type), cast(b, type)};
}

Tensor power(const Tensor& x, double exponent, double shift) {
  DeviceContext& c = x.context();
  Tensor y(c, x.shape(), x.dtype());
  c.run(c.kernels().pointwise.power,
        {.count = x.count(), .exponent = exponent, .shift = shift, .x = x.in(), .y = y.out()});
  record(y, PowerRecord{x, exponent, shift});
  return y;
}

// -------------------------------------------------------------------------------------------------- channels

namespace {

int64_t channels_of(const Tensor& x) { return x.dim(x.shape().rank - 1); }
int64_t rows_of(const Tensor& x) { return x.count() / channels_of(x); }

Shape with_channels(Shape shape, int64_t channels) {
  shape.dims[shape.rank - 1] = channels;
  return shape;
}

// The channels from `first` on of y become act(x).
void put(const Tensor& x, int64_t first, Activation act, const Tensor& y) {
  DeviceContext& c = x.context();
  c.run(c.kernels().pointwise.put_channels, {.rows = rows_of(x),
                                             .channels = int(channels_of(x)),
                                             .y_channels = int(channels_of(y)),
                                             .first = int(first),
                                             .act = act,
                                             .x = x.in(),
                                             .y = y.out()});
}

// dx = act'(.) * dy of the channels from `first` on, dx having `channels`.
void take(const Tensor& y, const Tensor& dy, int64_t first, int64_t channels, Activation act, const Out& dx) {
  DeviceContext& c = dy.context();
  c.run(c.kernels().pointwise.take_channels, {.rows = rows_of(dy),
                                              .channels = int(channels),
                                              .y_channels = int(channels_of(dy)),
                                              .first = int(first),
                                              .act = act,
                                              .y = y.in(),
                                              .dy = dy.in(),
                                              .dx = dx});
}

struct ConcatChannelsRecord {
  Tensor a, b, kept;
  Activation act;

  const char* name() const { return "concat_channels"; }
  Tensors inputs() const { return {&a, &b}; }
  Attributes attributes() const {
    Attributes list;
    add_activation(list, act);
    return list;
  }
  void backward(const Tensor& dy) const {
    if (a.needs_gradient()) take(kept, dy, 0, channels_of(a), act, gradient_of(a));
    if (b.needs_gradient()) take(kept, dy, channels_of(a), channels_of(b), act, gradient_of(b));
  }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    const Tensor before = before_activation(to.output(kept), dy, act);
    if (to.wants(a)) to.give(a, slice_channels(before, 0, int(channels_of(a))));
    if (to.wants(b)) to.give(b, slice_channels(before, int(channels_of(a)), int(channels_of(b))));
  }
  Exported exported() const { return exported_as("Concat", {{"axis", 1}}).then(act); }
};

struct SliceChannelsRecord {
  Tensor x;
  int first, count;

  const char* name() const { return "slice_channels"; }
  Tensors inputs() const { return {&x}; }
  Attributes attributes() const { return {{"first", first}, {"count", count}}; }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    to.give(x, widen_channels(dy, first, int(channels_of(x))));
  }
  Exported exported() const {
    return exported_as("Slice", {}, {{"starts", first}, {"ends", first + count}, {"axes", 1}});
  }
};

struct WidenChannelsRecord {
  Tensor x;
  int first, channels;

  const char* name() const { return "widen_channels"; }
  Tensors inputs() const { return {&x}; }
  Attributes attributes() const { return {{"first", first}, {"channels", channels}}; }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    to.give(x, slice_channels(dy, first, int(channels_of(x))));
  }
  Exported exported() const {
    const int64_t after = channels - first - channels_of(x);
    return exported_as("Pad", {{"mode", "constant"}},
                       {{"pads", std::vector<int64_t>{0, first, 0, 0, 0, after, 0, 0}}});
  }
};

}  // namespace

Tensor concat_channels(const Tensor& first, const Tensor& second, Activation act) {
  const auto [a, b] = in_one_type(first, second);
  const bool fit = a.shape().rank == 4 && b.shape().rank == 4 && a.dim(0) == b.dim(0) &&
                   a.dim(1) == b.dim(1) && a.dim(2) == b.dim(2);
  GAN_CHECK(fit, "concat_channels of {} and {}", to_string(a.shape()), to_string(b.shape()));
  Tensor y(a.context(), with_channels(a.shape(), a.dim(3) + b.dim(3)), a.dtype());
  put(a, 0, act, y);
  put(b, a.dim(3), act, y);
  record(y, ConcatChannelsRecord{a, b, kept_for(act, y), act});
  return y;
}

// All of a tensor is one row of channels here.
Tensor concat_batch(const Tensor& a, const Tensor& b) {
  Shape shape = a.shape();
  shape.dims[0] = b.dim(0);
  GAN_CHECK(shape == b.shape(), "concat_batch of {} and {}", to_string(a.shape()), to_string(b.shape()));
  shape.dims[0] += a.dim(0);
  return reshape(concat_channels(reshape(a, {1, 1, 1, a.count()}), reshape(b, {1, 1, 1, b.count()})), shape);
}

Tensor slice_channels(const Tensor& x, int first, int count) {
  GAN_CHECK(x.shape().rank == 4 && first >= 0 && count >= 1 && first + count <= x.dim(3),
            "slice_channels {} to {} of {}", first, first + count, to_string(x.shape()));
  Tensor y(x.context(), with_channels(x.shape(), count), x.dtype());
  take({}, x, first, count, {}, y.out());
  record(y, SliceChannelsRecord{x, first, count});
  return y;
}

Tensor widen_channels(const Tensor& x, int first, int channels) {
  GAN_CHECK(x.shape().rank == 4 && first >= 0 && first + x.dim(3) <= channels,
            "widen_channels of {} at {} of {}", to_string(x.shape()), first, channels);
  Tensor y = constant(x.context(), with_channels(x.shape(), channels), 0);
  put(x, first, {}, y);
  record(y, WidenChannelsRecord{x, first, channels});
  return y;
}

// ------------------------------------------------------------------------------------------ reshape and sums

namespace {

std::vector<int64_t> file_dims(const Shape& s) {
  if (s.rank == 4) return {s[0], s[3], s[1], s[2]};
  return {s.dims.begin(), s.dims.begin() + s.rank};
}

struct ReshapeRecord {
  Tensor x;
  Shape shape;

  const char* name() const { return "reshape"; }
  Tensors inputs() const { return {&x}; }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    if (to.wants(x)) to.give(x, reshape(dy, x.shape()));
  }
  // The elements keep the order that they have here, channels last; a picture has another one in the file.
  Exported exported() const {
    Exported e;
    if (x.shape().rank == 4) e = e.then("Transpose", {{"perm", std::vector<int64_t>{0, 2, 3, 1}}});
    e = e.then("Reshape", {},
               {{"shape", std::vector<int64_t>{shape.dims.begin(), shape.dims.begin() + shape.rank}}});
    if (shape.rank == 4) e = e.then("Transpose", {{"perm", std::vector<int64_t>{0, 3, 1, 2}}});
    return e;
  }
};

struct SumRecord {
  Tensor x;
  double scale;

  const char* name() const { return "sum"; }
  Tensors inputs() const { return {&x}; }
  Attributes attributes() const { return {{"scale", scale}}; }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    to.give(x, broadcast(dy, x.shape(), scale));
  }
  Exported exported() const {
    return exported_as("ReduceSum", {{"keepdims", 0}})
        .then("Reshape", {}, {{"shape", std::vector<int64_t>{1}}})
        .then("Mul", {}, {{"scale", scale}});
  }
};

struct BroadcastRecord {
  Tensor x;
  Shape shape;
  double scale;

  const char* name() const { return "broadcast"; }
  Tensors inputs() const { return {&x}; }
  Attributes attributes() const { return {{"scale", scale}}; }
  void backward_in_operations(const Tensor& dy, Gradients& to) const { to.give(x, sum(dy, scale)); }
  Exported exported() const {
    return exported_as("Expand", {}, {{"shape", file_dims(shape)}}).then("Mul", {}, {{"scale", scale}});
  }
};

struct SumRowsRecord {
  Tensor x;

  const char* name() const { return "sum_rows"; }
  Tensors inputs() const { return {&x}; }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    to.give(x, expand_rows(dy, x.shape()));
  }
  Exported exported() const {
    if (x.shape().rank != 4) return not_exported("a sum of rows that are no picture");
    return exported_as("ReduceSum", {{"keepdims", 0}}, {{"axes", std::vector<int64_t>{0, 2, 3}}});
  }
};

}  // namespace

Tensor reshape(const Tensor& x, Shape shape) {
  GAN_CHECK(shape.count() == x.count(), "reshape of {} to {}", to_string(x.shape()), to_string(shape));
  Tensor y = x.view(0, shape);
  record(y, ReshapeRecord{x, shape});
  return y;
}

Tensor sum(const Tensor& x, double scale) {
  DeviceContext& c = x.context();
  Tensor y(c, {1});
  c.run(c.kernels().pointwise.sum, {.count = x.count(), .scale = scale, .x = x.in(), .sum = y.out()});
  record(y, SumRecord{x, scale});
  return y;
}

Tensor constant(DeviceContext& c, Shape shape, double value) {
  Tensor y(c, shape);
  c.run(c.kernels().pointwise.broadcast, {.count = y.count(), .scale = value, .x = {}, .y = y.out()});
  return y;
}

Tensor broadcast(const Tensor& x, Shape shape, double scale) {
  GAN_CHECK(x.count() == 1, "broadcast of {}, which is no scalar", to_string(x.shape()));
  DeviceContext& c = x.context();
  Tensor y(c, shape, x.dtype());
  c.run(c.kernels().pointwise.broadcast, {.count = y.count(), .scale = scale, .x = x.in(), .y = y.out()});
  record(y, BroadcastRecord{x, shape, scale});
  return y;
}

Tensor sum_rows(const Tensor& x) {
  DeviceContext& c = x.context();
  Tensor y(c, {channels_of(x)});
  c.run(c.kernels().pointwise.sum_rows,
        {.rows = rows_of(x), .channels = int(channels_of(x)), .x = x.in(), .sums = y.out()});
  record(y, SumRowsRecord{x});
  return y;
}

Tensor expand_rows(const Tensor& x, Shape shape) {
  const int64_t channels = shape[shape.rank - 1];
  GAN_CHECK(x.count() == channels, "expand_rows of {} to {}", to_string(x.shape()), to_string(shape));
  const Tensor ones = constant(x.context(), {shape.count() / channels, 1}, 1);
  return reshape(matmul(ones, reshape(x, {1, channels})), shape);
}

void bias_gradient(const Tensor& bias, const Tensor& dy) {
  if (!bias || !bias.needs_gradient()) return;
  DeviceContext& c = dy.context();
  const int channels = int(bias.count());
  c.run(c.kernels().pointwise.sum_rows,
        {.rows = dy.count() / channels, .channels = channels, .x = dy.in(), .sums = gradient_of(bias)});
}

}  // namespace gan
