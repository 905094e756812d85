// Cases of optimisers.
#include "tests/cases/case_parts.h"

#include <cmath>
#include <limits>

namespace gan::tests {

// Learning rates here are large, so that the step and not the weight decides the last digits.

template <>
const std::vector<Case<Adam>>& cases() {
  static const auto table = [] {
    std::vector<Case<Adam>> t;
    const auto add = [&](const char* name, const Adam& args, const Generator& grad, const Generator& m,
                         const Generator& v, int step) {
      t.push_back(Case<Adam>(fmt::format("{} {}", name, args.count), args)
                      .fill("grad", grad)
                      .fill("scalars",
                            constant({0.5, 1 - std::pow(args.beta1, step), 1 - std::pow(args.beta2, step)}))
                      .fill("m", m)
                      .fill("v", v));
    };
    for (int64_t count : counts) {
      add("usual", {.count = count}, normals(), normals(0.3), uniform(0.01, 2), 3);
      add("dcgan", {.count = count, .beta1 = 0.5, .weight_decay = 0.01}, normals(), normals(0.3),
          uniform(0.01, 2), 10);
    }
    for (int64_t count : {31, 1025}) {
      add("with a rounded copy", {.count = count}, normals(), normals(0.3), uniform(0.01, 2), 3);
      t.back().with("rounded");
    }
    t.push_back(part_of_buffers(t, "usual 257"));
    t.push_back(part_of_buffers(t, "with a rounded copy 1025"));
    add("first step", {.count = 100}, normals(), constant({0}), constant({0}), 1);
    add("beside eps", {.count = 100, .eps = 1e-6}, normals(1e-6), constant({0}), constant({0}), 1);
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<Sgd>>& cases() {
  static const auto table = [] {
    std::vector<Case<Sgd>> t;
    for (int64_t count : counts)
      for (double momentum : {0.0, 0.9})
        for (double weight_decay : {0.0, 0.05})
          for (bool velocity : {false, true}) {
            if (momentum > 0 && !velocity) continue;
            Case<Sgd> c(fmt::format("{} momentum {} decay {}{}", count, momentum, weight_decay,
                                    velocity ? " velocity" : ""),
                        {.count = count, .momentum = momentum, .weight_decay = weight_decay});
            c.fill("scalars", constant({0.5, 1, 1}));
            if (velocity) c.with("velocity", normals());
            t.push_back(std::move(c));
          }
    t.push_back(part_of_buffers(t, "257 momentum 0.9 decay 0.05 velocity"));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<MovingAverage>>& cases() {
  static const auto table = [] {
    std::vector<Case<MovingAverage>> t;
    for (int64_t count : counts)
      for (double decay : {0.0, 0.5, 0.999})
        t.push_back(
            Case<MovingAverage>(fmt::format("{} decay {}", count, decay), {.count = count, .decay = decay})
                .fill("weight", normals(100))
                .fill("average", normals(0.01)));
    t.push_back(part_of_buffers(t, "257 decay 0.5"));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<GradNorm>>& cases() {
  static const auto table = [] {
    std::vector<Case<GradNorm>> t;
    const auto add = [&](const char* name, int64_t count, const Generator& grad) {
      t.push_back(Case<GradNorm>(fmt::format("{} {}", name, count), {.count = count}).fill("grad", grad));
    };
    for (int64_t count : counts) add("normal", count, normals());
    add("zero", 40, constant({0}));
    add("small", 1000, normals(1e-6));
    // One bad element, in the last place.
    for (double bad : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
      for (int64_t count : {1, 33, 5000})
        add(std::isnan(bad) ? "nan" : "infinite", count,
            [bad](int64_t n, uint64_t seed, const std::vector<Values>& earlier) {
              Values values = normals()(n, seed, earlier);
              values.back() = bad;
              return values;
            });
    return t;
  }();
  return table;
}

}  // namespace gan::tests
