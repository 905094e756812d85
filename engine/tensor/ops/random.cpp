// Random numbers, and dropout.
#include "engine/tensor/ops.h"
#include "kernels/shared/philox.h"

namespace gan {

namespace {

Tensor drop(const Tensor& x, const Dropout& numbers);

void run_dropout(Dropout args, const Tensor& from, const Out& to) {
  args.x = from.in(), args.y = to;
  from.context().run(from.context().kernels().rng.dropout, args);
}

// The mask is a function of `numbers`, so the gradient is the same operation on dy.
struct DropoutRecord {
  Tensor x;
  Dropout numbers;  // without buffers

  const char* name() const { return "dropout"; }
  Tensors inputs() const { return {&x}; }
  Attributes attributes() const { return {{"p", numbers.p}}; }
  void backward(const Tensor& dy) const { run_dropout(numbers, dy, gradient_of(x)); }
  void backward_in_operations(const Tensor& dy, Gradients& to) const { to.give(x, drop(dy, numbers)); }
  Exported exported() const {
    return exported_as("Dropout", {}, {{"ratio", numbers.p}, {"training_mode", 1}});
  }
};

Tensor drop(const Tensor& x, const Dropout& numbers) {
  Tensor y(x.context(), x.shape(), x.dtype());
  run_dropout(numbers, x, y.out());
  record(y, DropoutRecord{x, numbers});
  return y;
}

}  // namespace

Tensor dropout(const Tensor& x, double p, const DropoutKey& key) {
  // 2^40 numbers for each layer: more than any tensor has elements.
  return drop(x, {.count = x.count(),
                  .p = p,
                  .seed = key.seed,
                  .stream = uint32_t(RandomStream::dropout),
                  .step = key.step,
                  .first = uint64_t(key.layer) << 40,
                  .step_at = key.step_at,
                  .x = {},
                  .y = {}});
}

Tensor random_normal(DeviceContext& c, Shape shape, uint64_t seed, uint32_t stream, uint32_t step) {
  return random_normal(c, shape, seed, stream, In{}, step, c.real());
}

Tensor random_normal(DeviceContext& c, Shape shape, uint64_t seed, uint32_t stream, In step_at,
                     uint32_t ahead, DType type) {
  Tensor z(c, shape, type);
  c.run(
      c.kernels().rng.normal,
      {.count = z.count(), .seed = seed, .stream = stream, .step = ahead, .step_at = step_at, .y = z.out()});
  return z;
}

}  // namespace gan
