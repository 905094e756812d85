// Random numbers, and dropout. Element i is a function of (seed, stream, step, i) alone (kernels/shared/philox.h):
// the same numbers on every device.
#pragma once
#include "kernels/contract/ports.h"
#include "kernels/contract/variant.h"

namespace gan {

struct RandomNormal {  // mean 0, deviation 1
  static constexpr const char* op = "random_normal";
  int64_t count = 0;
  uint64_t seed = 0;
  uint32_t stream = 0, step = 0;
  Out y;

  static constexpr auto ports() { return std::array{writes("y", &RandomNormal::y, elements)}; }
  void sizes(Sizes& s) { s.size("count", count, 1024, 1 << 20); }
  const char* wrong() const { return count < 0 ? "the count is negative" : nullptr; }
};
struct RandomUniform {  // [0, 1)
  static constexpr const char* op = "random_uniform";
  int64_t count = 0;
  uint64_t seed = 0;
  uint32_t stream = 0, step = 0;
  Out y;

  static constexpr auto ports() { return std::array{writes("y", &RandomUniform::y, elements)}; }
  void sizes(Sizes& s) { s.size("count", count, 1024, 1 << 20); }
  const char* wrong() const { return count < 0 ? "the count is negative" : nullptr; }
};

// Dropout (Srivastava et al. 2014): y[i] = x[i] / (1 - p) where u[first + i] >= p, else 0, with the numbers u
// of RandomUniform. The mask is nowhere stored: the gradient is the same operation on dy, which draws it
// again.
struct Dropout {
  static constexpr const char* op = "dropout";
  int64_t count = 0;
  double p = 0.5;  // the part that is dropped, 0 <= p < 1
  uint64_t seed = 0;
  uint32_t stream = 0, step = 0;
  uint64_t first = 0;  // layers of one step take different parts of the stream
  In x;
  Out y;

  static constexpr auto ports() {
    return std::array{reads("x", &Dropout::x, elements), writes("y", &Dropout::y, elements)};
  }
  void sizes(Sizes& s) { s.size("count", count, 1024, 1 << 20); }
  const char* wrong() const {
    if (count < 0) return "the count is negative";
    return p >= 0 && p < 1 ? nullptr : "p must be in [0,1)";
  }
};

struct RngTable {
  static constexpr const char* family = "rng";
  Op<RandomNormal> normal = {};
  Op<RandomUniform> uniform = {};
  Op<Dropout> dropout = {};

  template <class Table, class F>
  static constexpr void for_each(Table& table, F&& f) {
    f(table.normal);
    f(table.uniform);
    f(table.dropout);
  }
};

}  // namespace gan
