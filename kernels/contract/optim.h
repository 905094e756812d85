// Optimisers, averages of weights, the norm of a gradient.
//
// All work on one flat buffer per network. What changes every step lies on the device in
// `scalars` = {learning rate, 1 - beta1^t, 1 - beta2^t}, so that a step is the same work every time.
#pragma once
#include "kernels/contract/ports.h"
#include "kernels/contract/variant.h"

namespace gan {

template <class Args>
Extents step_scalars(const Args&) {
  return {3};
}

// Adam (Kingma & Ba 2015): m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2;
// w -= lr * (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps). weight_decay > 0 adds weight_decay * w to g first
// (L2).
struct Adam {
  static constexpr const char* op = "adam";
  int64_t count = 0;
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0;
  In grad, scalars;
  Out weight, m, v;
  Out rounded;  // the new weights once more, in the type that products read (bfloat16); may be unwanted

  static constexpr auto ports() {
    return std::array{reads("grad", &Adam::grad, elements, Kind::float32),
                      reads("scalars", &Adam::scalars, step_scalars, Kind::float32).positive(),
                      updates("weight", &Adam::weight, elements, Kind::float32),
                      updates("m", &Adam::m, elements, Kind::float32),
                      updates("v", &Adam::v, elements, Kind::float32).positive(),
                      writes("rounded", &Adam::rounded, elements).optional().set_only()};
  }
  void sizes(Sizes& s) {
    s.size("count", count, 1024, 1 << 22);
    s.seldom("rounded");
  }
  const char* wrong() const {
    if (count < 0) return "the count is negative";
    const bool right = beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1 && eps >= 0;
    return right ? nullptr : "beta1 and beta2 must be in [0,1), eps not negative";
  }
};

// SGD with momentum: u = momentum * u + g; w -= lr * u. Without velocity: w -= lr * g.
struct Sgd {
  static constexpr const char* op = "sgd";
  int64_t count = 0;
  double momentum = 0, weight_decay = 0;
  In grad, scalars;
  Out weight, velocity;  // velocity may be null when momentum is 0

  static constexpr auto ports() {
    return std::array{reads("grad", &Sgd::grad, elements, Kind::float32),
                      reads("scalars", &Sgd::scalars, step_scalars, Kind::float32).positive(),
                      updates("weight", &Sgd::weight, elements, Kind::float32),
                      updates("velocity", &Sgd::velocity, elements, Kind::float32).optional()};
  }
  void sizes(Sizes& s) { s.size("count", count, 1024, 1 << 22); }
  const char* wrong() const {
    if (count < 0) return "the count is negative";
    return velocity || momentum == 0 || count == 0 ? nullptr : "momentum needs a velocity";
  }
};

// average = decay * average + (1 - decay) * weight
struct MovingAverage {
  static constexpr const char* op = "moving_average";
  int64_t count = 0;
  double decay = 0.999;
  In weight;
  Out average;

  static constexpr auto ports() {
    return std::array{reads("weight", &MovingAverage::weight, elements, Kind::float32),
                      updates("average", &MovingAverage::average, elements, Kind::float32)};
  }
  void sizes(Sizes& s) { s.size("count", count, 1024, 1 << 22); }
  const char* wrong() const { return count < 0 ? "the count is negative" : nullptr; }
};

// values = {the Euclidean norm of the gradient; 1 if every element is finite, else 0}.
struct GradNorm {
  static constexpr const char* op = "grad_norm";
  int64_t count = 0;
  In grad;
  Out values;

  static constexpr auto ports() {
    constexpr ExtentsOf<GradNorm> two = [](const GradNorm&) -> Extents { return {2}; };
    return std::array{reads("grad", &GradNorm::grad, elements, Kind::float32),
                      writes("values", &GradNorm::values, two, Kind::float32).set_only()};
  }
  void sizes(Sizes& s) { s.size("count", count, 16384, 1 << 22); }
  const char* wrong() const { return count < 0 ? "the count is negative" : nullptr; }
};

struct OptimTable {
  static constexpr const char* family = "optim";
  Op<Adam> adam = {};
  Op<Sgd> sgd = {};
  Op<MovingAverage> moving_average = {};
  Op<GradNorm> grad_norm = {};

  template <class Table, class F>
  static constexpr void for_each(Table& table, F&& f) {
    f(table.adam);
    f(table.sgd);
    f(table.moving_average);
    f(table.grad_norm);
  }
};

}  // namespace gan
