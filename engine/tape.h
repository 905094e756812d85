// The tape: what was computed, in order, and how to go back.
//
// An operation that has an input whose gradient is wanted records one node: its name, where its output's
// gradient will be collected, and a closure that, given that gradient, adds to the gradients of the inputs.
// backward() runs the nodes in reverse order of creation: no sort, no recursion. A closure holds inputs and
// saved buffers, never its output; a node is dropped as soon as it has run, so memory falls as the backward
// pass goes.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace gan {

class Tape {
 public:
  // What a closure gets: the gradient of the operation's output.
  using Backward = std::function<void(const Tensor& output_gradient)>;
  struct Node {
    const char* name;
    Shape shape;  // of the output
    std::shared_ptr<Gradient> output;
    Backward backward;
  };

  explicit Tape(DeviceContext& context) : context_(context) {}

  // True when an operation on these inputs has to be recorded.
  template <class... T>
  bool wants(const T&... inputs) const {
    return enabled_ && (inputs.needs_gradient() || ...);
  }
  // Makes `output` known to the tape. Call only when wants(inputs...).
  void record(const char* name, Tensor& output, Backward backward);

  // Gradients of a scalar: seeds it with 1 and runs backwards. Nodes that played a part are dropped; the
  // others stay for a later call (the generator's nodes wait while the discriminator learns).
  void backward(const Tensor& scalar);
  void clear() { nodes_.clear(); }
  size_t size() const { return nodes_.size(); }
  const std::vector<Node>& nodes() const { return nodes_; }
  std::function<void(const Node&)> on_record;  // told of every node, for `gan inspect --tape`
  bool enabled() const { return enabled_; }

 private:
  friend class NoGradient;
  DeviceContext& context_;
  std::vector<Node> nodes_;
  bool enabled_ = true;
};

// Where a closure writes the gradient of `input`: null when it is not wanted, Acc::set for the first
// contribution and Acc::add after it.
Out gradient_of(const Tensor& input);
// The same when the producer has the whole gradient in a tensor already: shares it as the first contribution
// instead of copying, or adds. `gradient` must not be written to afterwards.
void give_gradient(const Tensor& input, const Tensor& gradient);

// Inside its scope nothing is recorded.
class NoGradient {
 public:
  explicit NoGradient(DeviceContext& context) : tape_(context.tape()), before_(tape_.enabled_) {
    tape_.enabled_ = false;
  }
  ~NoGradient() { tape_.enabled_ = before_; }
  NoGradient(const NoGradient&) = delete;

 private:
  Tape& tape_;
  bool before_;
};

}  // namespace gan
