// Cases of random numbers and dropout.
#include "tests/cases/case_parts.h"

namespace gan::tests {

namespace {

template <class Args>
std::vector<Case<Args>> random_cases() {
  std::vector<Case<Args>> t;
  for (int64_t count : {1, 2, 3, 4, 5, 31, 1025, 10007})
    for (uint64_t seed : {uint64_t(0), uint64_t(0x123456789ABCDEF0)}) {
      t.push_back(Case<Args>(fmt::format("{} seed {}", count, seed),
                             {.count = count, .seed = seed, .stream = 6, .step = seed ? 70000u : 0u}));
      t.back().bit_exact = true;
    }
  t.push_back(Case<Args>("37 add", {.count = 37, .seed = 5, .stream = 2, .step = 1}).accumulate(Acc::add));
  t.back().bit_exact = true;
  // A counter on the device; the sum of -2 and the step is below none.
  for (int counter : {70000, -2}) {
    t.push_back(
        Case<Args>(fmt::format("37 counter {}", counter), {.count = 37, .seed = 5, .stream = 2, .step = 1})
            .with("step_at", constant({double(counter)})));
    t.back().bit_exact = true;
  }
  return t;
}

}  // namespace

template <>
const std::vector<Case<RandomNormal>>& cases() {
  static const auto table = random_cases<RandomNormal>();
  return table;
}

template <>
const std::vector<Case<RandomUniform>>& cases() {
  static const auto table = random_cases<RandomUniform>();
  return table;
}

template <>
const std::vector<Case<Dropout>>& cases() {
  static const auto table = [] {
    std::vector<Case<Dropout>> t;
    for (int64_t count : {1, 3, 4, 5, 31, 1025, 10007})
      for (double p : {0.0, 0.5, 0.3, 0.99})
        for (uint64_t first : {uint64_t(0), uint64_t(3) << 40, uint64_t(6)})
          for (Acc acc : both) {
            if (count > 1025 && (first == 6 || acc == Acc::add)) continue;
            t.push_back(
                Case<Dropout>(fmt::format("{} p {} first {}{}", count, p, first, name_of(acc)),
                              {.count = count, .p = p, .seed = 7, .stream = 8, .step = 41, .first = first})
                    .accumulate(acc));
          }
    for (uint64_t first : {uint64_t(0), uint64_t(6)})
      t.push_back(Case<Dropout>(fmt::format("37 counter first {}", first),
                                {.count = 37, .p = 0.5, .seed = 7, .stream = 8, .step = 2, .first = first})
                      .with("step_at", constant({70000})));
    return t;
  }();
  return table;
}

}  // namespace gan::tests
