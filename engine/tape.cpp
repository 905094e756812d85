// Recording and the backward pass.
#include "engine/tape.h"

namespace gan {

void Tape::record(const char* name, Tensor& output, Backward backward) {
  output.set_gradient(std::make_shared<Gradient>());
  nodes_.push_back({name, output.shape(), output.gradient(), std::move(backward)});
  if (on_record) on_record(nodes_.back());
}

void Tape::backward(const Tensor& scalar) {
  GAN_CHECK(scalar.needs_gradient(), "nothing that leads to this scalar was recorded");
  GAN_CHECK(scalar.count() == 1, "backward() starts from a scalar, got {}", to_string(scalar.shape()));
  NoGradient quiet(context_);
  Tensor one(context_, scalar.shape(), scalar.dtype());
  context_.run(context_.kernels().pointwise.broadcast, {.count = 1, .scale = 1, .x = {}, .y = one.out()});
  scalar.gradient()->value = one;
  scalar.gradient()->received = true;
  for (size_t i = nodes_.size(); i-- > 0;) {
    Node& node = nodes_[i];
    if (!node.output || !node.output->received) continue;
    node.backward(node.output->value);
    node.output->value = Tensor();  // the gradient and everything the closure saved go back to the pool
    node.output->received = false;
    node.output.reset();
    node.backward = nullptr;
  }
  std::erase_if(nodes_, [](const Node& node) { return !node.backward; });
}

namespace {
void copy(const Tensor& to, const Tensor& from) {
  DeviceContext& c = to.context();
  c.run(c.kernels().pointwise.affine, {.count = to.count(), .x = from.in(), .y = to.out()});
}
}  // namespace

Out gradient_of(const Tensor& input) {
  if (!input.needs_gradient()) return {};
  Gradient& g = *input.gradient();
  if (!g.value || (g.shared && !g.received)) g.value = Tensor(input.context(), input.shape(), input.dtype());
  if (g.shared && g.received) {
    const Tensor own(input.context(), input.shape(), input.dtype());
    copy(own, g.value);
    g.value = own;
  }
  g.shared = false;
  const Acc acc = g.received ? Acc::add : Acc::set;
  g.received = true;
  return g.value.out(acc);
}

void give_gradient(const Tensor& input, const Tensor& gradient) {
  if (!input.needs_gradient()) return;
  Gradient& g = *input.gradient();
  if (!g.received && !g.parameter && gradient.dtype() == input.dtype()) {
    g.value = gradient.view(0, input.shape());
    g.received = g.shared = true;
    return;
  }
  const Out to = gradient_of(input);
  DeviceContext& c = input.context();
  if (to.acc == Acc::set)
    c.run(c.kernels().pointwise.affine, {.count = input.count(), .x = gradient.in(), .y = to});
  else
    c.run(c.kernels().pointwise.binary, {.count = input.count(),
                                         .b_count = input.count(),
                                         .kind = BinaryKind::add,
                                         .a = g.value.in(),
                                         .b = gradient.in(),
                                         .y = g.value.out()});
}

}  // namespace gan
