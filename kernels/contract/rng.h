// Random numbers, and dropout. Element i is a function of (seed, stream, step, i) alone (kernels/shared/philox.h):
// the same numbers on every device. The step is the one in the arguments; where there is step_at, a counter on the
// device, it is the sum of both modulo 2^32, so that the same arguments draw other numbers in each step.
#pragma once
#include "kernels/contract/ports.h"
#include "kernels/contract/variant.h"

namespace gan {

struct RandomNormal {  // mean 0, deviation 1
  static constexpr const char* op = "random_normal";
  int64_t count = 0;
  uint64_t seed = 0;
  uint32_t stream = 0, step = 0;
  In step_at = {};  // a counter, or null
  Out y;

  static constexpr auto ports() {
    return std::array{reads("step_at", &RandomNormal::step_at, scalar, Kind::index).optional(),
                      writes("y", &RandomNormal::y, elements)};
  }
  void sizes(Sizes& s) {
    s.size("count", count, 1024, 1 << 20);
    s.seldom("step_at");
  }
  const char* wrong() const { return count < 0 ? "the count is negative" : nullptr; }
};
struct RandomUniform {  // [0, 1)
  static constexpr const char* op = "random_uniform";
  int64_t count = 0;
  uint64_t seed = 0;
  uint32_t stream = 0, step = 0;
  In step_at = {};  // a counter, or null
  Out y;

  static constexpr auto ports() {
    return std::array{reads("step_at", &RandomUniform::step_at, scalar, Kind::index).optional(),
                      writes("y", &RandomUniform::y, elements)};
  }
  void sizes(Sizes& s) {
    s.size("count", count, 1024, 1 << 20);
    s.seldom("step_at");
  }
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
  In step_at = {};     // a counter, or null
  In x;
  Out y;

  static constexpr auto ports() {
    return std::array{reads("step_at", &Dropout::step_at, scalar, Kind::index).optional(),
                      reads("x", &Dropout::x, elements), writes("y", &Dropout::y, elements)};
  }
  void sizes(Sizes& s) {
    s.size("count", count, 1024, 1 << 20);
    s.seldom("step_at");
  }
  const char* wrong() const {
    if (count < 0) return "the count is negative";
    return p >= 0 && p < 1 ? nullptr : "p must be in [0,1)";
  }
};

// The step of these random numbers, for devices whose memory is the host's.
template <class Args>
uint32_t step_on_host(const Args& args) {
  return args.step + (args.step_at ? uint32_t(*args.step_at.template as<int32_t>()) : 0u);
}

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
