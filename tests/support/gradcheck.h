// Gradients against central finite differences.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/tensor/ops.h"

namespace gan::tests {

// What an operation, or a few of them, make of their inputs.
using Operation = std::function<Tensor(const std::vector<Tensor>&)>;

// A tensor that collects a gradient, as a parameter does: what arrives first overwrites.
Tensor leaf(DeviceContext& context, Shape shape, const std::vector<double>& values);
// What it has collected; zeros when nothing arrived.
std::vector<double> gradient(const Tensor& t);

// The gradients of every input that the tape finds on device ref, for random inputs of these shapes, against
// finite differences; and the same results and gradients on every other device.
void check_gradients(const std::string& name, const Operation& operation, const std::vector<Shape>& shapes);

// The gradients that Tape::gradients() finds in operations against those by kernels, and their derivatives
// against finite differences.
void check_second_gradients(const std::string& name, const Operation& operation,
                            const std::vector<Shape>& shapes);

}  // namespace gan::tests
