// The tape: what was computed, in order, and how to go back.
//
// An operation that has an input whose gradient is wanted leaves a record (engine/tensor/record.h): a struct of its
// own type that, given the output's gradient, adds to the gradients of the inputs. backward() runs the
// records in reverse order of creation: no sort, no recursion. A record holds inputs and saved buffers, never
// its output; it is dropped as soon as it has run, so memory falls as the backward pass goes. gradients()
// goes back in operations instead, so that what it finds is on the tape and can be differentiated again.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "engine/tensor/record.h"
#include "engine/tensor/scoped_flag.h"

namespace gan {

class Tape {
 public:
  struct Node {
    std::unique_ptr<const AnyRecord> record;
    Shape shape;                       // of the output
    std::shared_ptr<Gradient> output;  // where its gradient is collected; null when no gradient was wanted
  };

  explicit Tape(DeviceContext& context) : context_(context) {}

  // True when an operation on these inputs has to be recorded.
  bool wants(const Tensors& inputs) const;
  bool has_listener() const { return bool(on_operation); }
  // Makes `output` known to the tape, or, when `wanted` is false, only tells the listener. Operations call
  // record(output, struct) below.
  void add(Tensor& output, std::unique_ptr<const AnyRecord> record, bool wanted);

  // Gradients of a scalar: seeds it with 1 and runs backwards. Nodes that played a part are dropped; the
  // others stay for a later call (the generator's nodes wait while the discriminator learns).
  void backward(const Tensor& scalar);
  // The gradients of a scalar with respect to `inputs`, in their order, each of its input's shape and itself
  // on the tape: gradient penalties are made of them. Nothing is dropped, and nobody's collected gradient
  // changes; a later backward() goes through the gradients and then through what led to the scalar. Throws,
  // before anything is computed, when an operation in between refuses a second derivative.
  std::vector<Tensor> gradients(const Tensor& scalar, const std::vector<Tensor>& inputs);
  // Whether it is the 1 which backward() begins with, so that to multiply by it would change nothing.
  bool is_seed(const Tensor& gradient) const { return seed_ && gradient.in().data == seed_.in().data; }
  void clear() { nodes_.clear(); }
  size_t size() const { return nodes_.size(); }
  const std::vector<Node>& nodes() const { return nodes_; }
  // Told of every operation (`gan inspect --tape`). The node of one that is not recorded has no output.
  std::function<void(const Node&)> on_operation;
  bool enabled() const { return enabled_; }

 private:
  friend class NoGradient;
  DeviceContext& context_;
  std::vector<Node> nodes_;
  Tensor seed_;  // a 1, made once
  bool enabled_ = true;
};

// Each operation calls this once it has run: leaves its record on the tape if a gradient is wanted.
template <class R>
void record(Tensor& output, R operation) {
  Tape& tape = output.context().tape();
  const bool wanted = tape.wants(operation.inputs());
  if (wanted || tape.has_listener())
    tape.add(output, std::make_unique<RecordOf<R>>(std::move(operation)), wanted);
}

// A tensor with the memory of `values` that collects a gradient of its own: the input of a gradient penalty.
Tensor variable(const Tensor& values);

// Where a backward pass by kernels writes the gradient of `input`: null when it is not wanted, Acc::set for
// the first contribution and Acc::add after it.
Out gradient_of(const Tensor& input);
// The same in a type of the kernel's choice: gradients of weights are float32 whatever the weights are.
Out gradient_of(const Tensor& input, DType type);
// The same when the producer has the whole gradient in a tensor already: shares it as the first contribution
// instead of copying, or adds. `gradient` must not be written to afterwards.
void give_gradient(const Tensor& input, const Tensor& gradient);

// Inside its scope nothing is recorded.
class NoGradient : ScopedFlag {
 public:
  explicit NoGradient(DeviceContext& context) : ScopedFlag(context.tape().enabled_, false) {}
};

}  // namespace gan
