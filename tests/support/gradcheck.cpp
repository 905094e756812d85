// Gradients against central finite differences.
#include "tests/support/gradcheck.h"

#include <doctest/doctest.h>

#include <cmath>

#include "tests/cases/run_case.h"

namespace gan::tests {

namespace {

using Lists = std::vector<std::vector<double>>;

Lists random_values(const std::vector<Shape>& shapes) {
  DeviceContext context(Device::ref);
  Lists values;
  for (const Shape& shape : shapes)
    values.push_back(random_normal(context, shape, 77, 1, uint32_t(values.size())).host());
  return values;
}

std::vector<Tensor> leaves(DeviceContext& context, const std::vector<Shape>& shapes, const Lists& values) {
  std::vector<Tensor> inputs;
  for (size_t i = 0; i < shapes.size(); ++i) inputs.push_back(leaf(context, shapes[i], values[i]));
  return inputs;
}

struct Result {
  std::vector<double> output;
  double scalar = 0;  // the output times fixed random numbers, which no symmetry hides
  Lists gradients;    // of the scalar
};

Result run(Device device, const Operation& operation, const std::vector<Shape>& shapes, const Lists& values) {
  DeviceContext context(device);
  const std::vector<Tensor> inputs = leaves(context, shapes, values);
  const Tensor y = operation(inputs);
  const Tensor scalar = sum(multiply(y, random_normal(context, y.shape(), 78, 1, 0)));
  context.tape().backward(scalar);
  Result result{y.host(), scalar.host()[0], {}};
  for (const Tensor& t : inputs) result.gradients.push_back(gradient(t));
  return result;
}

}  // namespace

Tensor leaf(DeviceContext& context, Shape shape, const std::vector<double>& values) {
  Tensor t(context, shape);
  t.upload(std::span<const double>(values));
  auto slot = std::make_shared<Gradient>();
  slot->value = Tensor(context, shape);
  slot->parameter = true;
  t.set_gradient(slot);
  return t;
}

std::vector<double> gradient(const Tensor& t) {
  if (!t.gradient()->received) return std::vector<double>(size_t(t.count()), 0.0);
  return t.gradient()->value.host();
}

void check_gradients(const std::string& name, const Operation& operation, const std::vector<Shape>& shapes) {
  CAPTURE(name);
  const Lists values = random_values(shapes);
  const Result exact = run(Device::ref, operation, shapes, values);
  // Central differences with step 1e-6 err by about 1e-10 relative to the sum they are taken of.
  constexpr double step = 1e-6;
  const double size = std::abs(exact.scalar) + 1;
  for (size_t input = 0; input < shapes.size(); ++input)
    for (size_t i = 0; i < values[input].size(); ++i) {
      Lists up = values, down = values;
      up[input][i] += step;
      down[input][i] -= step;
      const double above = run(Device::ref, operation, shapes, up).scalar;
      const double below = run(Device::ref, operation, shapes, down).scalar;
      const double measured = (above - below) / (2 * step);
      CAPTURE(input);
      CAPTURE(i);
      CAPTURE(measured);
      CAPTURE(exact.gradients[input][i]);
      CHECK(std::abs(measured - exact.gradients[input][i]) <= 1e-8 * size + 1e-6 * std::abs(measured));
    }
  // The devices' own precision is the case table's business; here, that their entries are wired up alike.
  for (Device device : usable({Device::cpu, Device::simt, Device::cuda})) {
    CAPTURE(name_of(device));
    const Result other = run(device, operation, shapes, values);
    REQUIRE(other.output.size() == exact.output.size());
    for (size_t i = 0; i < exact.output.size(); ++i)
      CHECK(other.output[i] == doctest::Approx(exact.output[i]).epsilon(1e-4).scale(1));
    for (size_t input = 0; input < shapes.size(); ++input)
      for (size_t i = 0; i < values[input].size(); ++i)
        CHECK(other.gradients[input][i] == doctest::Approx(exact.gradients[input][i]).epsilon(1e-4).scale(1));
  }
}

void check_second_gradients(const std::string& name, const Operation& operation,
                            const std::vector<Shape>& shapes) {
  CAPTURE(name);
  // Squared, so that the gradient of a linear operation depends on its inputs too.
  auto scalar_of = [&](const std::vector<Tensor>& in) {
    const Tensor y = operation(in);
    return sum(multiply(multiply(y, y), random_normal(y.context(), y.shape(), 78, 2, 0)));
  };
  const Lists values = random_values(shapes);
  DeviceContext by_kernels(Device::ref), in_operations(Device::ref);
  const auto expected = leaves(by_kernels, shapes, values), inputs = leaves(in_operations, shapes, values);
  by_kernels.tape().backward(scalar_of(expected));
  const auto found = in_operations.tape().gradients(scalar_of(inputs), inputs);
  for (size_t input = 0; input < shapes.size(); ++input) {
    CAPTURE(input);
    REQUIRE(found[input].shape() == shapes[input]);
    const auto is = found[input].host(), should = gradient(expected[input]);
    for (size_t i = 0; i < is.size(); ++i) CHECK(is[i] == doctest::Approx(should[i]).epsilon(1e-10).scale(1));
  }
  in_operations.tape().clear();

  const Operation sum_of_gradients = [&](const std::vector<Tensor>& in) {
    DeviceContext& context = in[0].context();
    const auto gradients = context.tape().gradients(scalar_of(in), in);
    Tensor total;
    for (size_t i = 0; i < in.size(); ++i) {
      const Tensor weights = random_normal(context, in[i].shape(), 79, 1, uint32_t(i));
      const Tensor part = sum(multiply(gradients[i], weights));
      total = total ? add(total, part) : part;
    }
    return total;
  };
  check_gradients(name + ", the gradient of its gradients", sum_of_gradients, shapes);
}

}  // namespace gan::tests
