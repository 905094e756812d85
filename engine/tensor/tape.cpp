// Recording and the backward pass.
#include "engine/tensor/tape.h"

#include <algorithm>

#include "engine/tensor/ops.h"

namespace gan {

bool Tape::wants(const Tensors& inputs) const {
  if (!enabled_) return false;
  return std::any_of(inputs.begin(), inputs.end(), [](const Tensor* t) { return t->needs_gradient(); });
}

void Tape::add(Tensor& output, std::unique_ptr<const AnyRecord> record, bool wanted) {
  if (wanted && record->refuses_gradient())
    fail(Exit::failure, "{} has no gradient: {}", record->name(), record->refuses_gradient());
  Node node{std::move(record), output.shape(), wanted ? std::make_shared<Gradient>() : nullptr};
  if (on_operation) on_operation(node);
  if (!wanted) return;
  output.set_gradient(node.output);
  nodes_.push_back(std::move(node));
}

namespace {
void check_start(const char* who, const Tensor& scalar) {
  GAN_CHECK(scalar.needs_gradient(), "nothing that leads to this scalar was recorded");
  GAN_CHECK(scalar.count() == 1, "{}() starts from a scalar, got {}", who, to_string(scalar.shape()));
}
}  // namespace

void Tape::backward(const Tensor& scalar) {
  check_start("backward", scalar);
  NoGradient quiet(context_);
  if (!seed_) seed_ = constant(context_, {1}, 1);
  scalar.gradient()->value = seed_.view(0, scalar.shape());
  scalar.gradient()->received = scalar.gradient()->shared = true;  // nothing is added to the seed
  for (size_t i = nodes_.size(); i-- > 0;) {
    Node& node = nodes_[i];
    if (!node.output->received) continue;
    node.record->backward(node.output->value);
    node.output->value = Tensor();  // the gradient and everything the record saved go back to the pool
    node.output->received = false;
    node.output.reset();
    node.record.reset();
  }
  std::erase_if(nodes_, [](const Node& node) { return !node.record; });
}

std::vector<Tensor> Tape::gradients(const Tensor& scalar, const std::vector<Tensor>& inputs) {
  check_start("gradients", scalar);
  // What depends on the inputs, found forwards; then what of it leads to the scalar, found backwards.
  Gradients::Slots needed, reached = {scalar.gradient().get()};
  for (const Tensor& input : inputs) {
    GAN_CHECK(input.needs_gradient(), "an input {} of gradients() is unknown to the tape: see variable()",
              to_string(input.shape()));
    needed.insert(input.gradient().get());
  }
  auto is_needed = [&](const Tensor* t) {
    return t->needs_gradient() && needed.contains(t->gradient().get());
  };
  for (const Node& node : nodes_) {
    const Tensors from = node.record->inputs();
    if (std::any_of(from.begin(), from.end(), is_needed)) needed.insert(node.output.get());
  }
  std::vector<size_t> path;
  for (size_t i = nodes_.size(); i-- > 0;) {
    if (!reached.contains(nodes_[i].output.get()) || !needed.contains(nodes_[i].output.get())) continue;
    const Tensors from = nodes_[i].record->inputs();
    // An input of gradients() that is an operation's result: what led to it is nobody's business.
    if (std::none_of(from.begin(), from.end(), is_needed)) continue;
    path.push_back(i);
    for (const Tensor* t : from)
      if (is_needed(t)) reached.insert(t->gradient().get());
  }
  for (const Tensor& input : inputs)
    GAN_CHECK(reached.contains(input.gradient().get()),
              "an input {} of gradients() does not lead to the scalar, or backward() has dropped what was in "
              "between",
              to_string(input.shape()));
  for (size_t i : path) {
    const AnyRecord& record = *nodes_[i].record;
    if (record.refuses_second_gradient())
      fail(Exit::failure, "{} has no second derivative: {}", record.name(), record.refuses_second_gradient());
  }

  Gradients::Sums sums = {{scalar.gradient().get(), constant(context_, scalar.shape(), 1)}};
  for (size_t i : path) {
    const std::shared_ptr<Gradient> output = nodes_[i].output;
    const auto dy = sums.find(output.get());
    if (dy == sums.end()) continue;  // nothing arrived: a derivative that is 0 everywhere
    Gradients to(sums, needed, output);
    // Adds nodes, so nodes_ may move; the record does not.
    const AnyRecord& record = *nodes_[i].record;
    record.backward_in_operations(dy->second, to);
  }
  std::vector<Tensor> result;
  for (const Tensor& input : inputs) {
    const auto sum = sums.find(input.gradient().get());
    result.push_back(sum == sums.end() ? constant(context_, input.shape(), 0) : sum->second);
  }
  return result;
}

Tensor variable(const Tensor& values) {
  Tensor t = values.detach();
  t.set_gradient(std::make_shared<Gradient>());
  return t;
}

namespace {
void copy(const Tensor& to, const Tensor& from) {
  DeviceContext& c = to.context();
  c.run(c.kernels().pointwise.affine, {.count = to.count(), .x = from.in(), .y = to.out()});
}
}  // namespace

Out gradient_of(const Tensor& input) {
  const bool is_there = input.needs_gradient() && input.gradient()->value;
  return gradient_of(input, is_there ? input.gradient()->value.dtype() : input.dtype());
}

Out gradient_of(const Tensor& input, DType type) {
  if (!input.needs_gradient()) return {};
  Gradient& g = *input.gradient();
  const bool other = g.value && g.value.dtype() != type;
  if (!g.value || ((g.shared || other) && !g.received))
    g.value = Tensor(input.context(), input.shape(), type);
  if ((g.shared || other) && g.received) {
    const Tensor own(input.context(), input.shape(), type);
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
  if (to.acc == Acc::set || gradient.dtype() != to.dtype)
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
