// Operations that only backward passes are made of, and helpers that several families share. Networks are
// written in engine/tensor/ops.h.
#pragma once
#include "engine/tensor/ops.h"

namespace gan {

// The copy of an output that a backward pass needs to go back through `act`: empty when there is none.
inline Tensor kept_for(Activation act, const Tensor& y) {
  return act.kind == Act::none ? Tensor() : y.detach();
}
// The gradient of pre from that of y = act(pre): dy * act'(.), found from y; without an activation dy.
Tensor before_activation(const Tensor& y, const Tensor& dy, Activation act);

// The gradient of a bias by kernels, from that of what it was added to.
void bias_gradient(const Tensor& bias, const Tensor& dy);

// The three sides of a convolution of a given size: the picture x, the weights w, the result y. Each is
// computed from the other two: y by the convolution, x by the transposed one (the gradient of x), w by the
// sum over positions (the gradient of w). All three are linear in each of their inputs, and the gradients of
// each are the other two.
enum class ConvSide { x, w, y };
Tensor convolution(ConvSide side, const Conv2d& size, const Tensor& x, const Tensor& w, const Tensor& y,
                   const Tensor& bias = {}, Activation act = {});

}  // namespace gan
