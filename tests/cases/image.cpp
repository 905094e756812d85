// Cases of batches of pictures, colours and kept pictures.
#include "tests/cases/case_parts.h"

namespace gan::tests {

template <>
const std::vector<Case<ImageBatch>>& cases() {
  static const auto table = [] {
    std::vector<Case<ImageBatch>> t;
    const auto add = [&](int pictures, ImageBatch a, Acc acc = Acc::set) {
      a.pictures = pictures;
      t.push_back(
          Case<ImageBatch>(fmt::format("{} of {}x{}x{} from {} of {}x{}{}", a.count, a.height, a.width,
                                       a.channels, pictures, a.pool_height, a.pool_width, name_of(acc)),
                           a)
              .accumulate(acc));
    };
    for (int channels : {1, 3, 4, 5}) {
      add(1, {.count = 1, .pool_height = 1, .pool_width = 1, .height = 1, .width = 1, .channels = channels});
      add(5,
          {.count = 9, .pool_height = 11, .pool_width = 13, .height = 8, .width = 7, .channels = channels});
      add(3,
          {.count = 4, .pool_height = 16, .pool_width = 16, .height = 16, .width = 16, .channels = channels});
    }
    add(4, {.count = 5, .pool_height = 9, .pool_width = 12, .height = 6, .width = 5, .channels = 3},
        Acc::add);
    add(8, {.count = 20, .pool_height = 36, .pool_width = 34, .height = 32, .width = 32, .channels = 3});
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<RgbToLab>>& cases() {
  static const auto table = [] {
    std::vector<Case<RgbToLab>> t;
    for (int64_t count : {1, 33, 1025})
      for (Acc acc : both)
        t.push_back(Case<RgbToLab>(fmt::format("{}{}", count, name_of(acc)), {.count = count})
                        .fill("rgb", uniform(-1, 1))
                        .accumulate(acc));
    t.push_back(Case<RgbToLab>("corners and the dark", {.count = 8})
                    .fill("rgb", constant({-1,    -1,    -1,    1,    1,     1, -1, 1, -1, 1,  -1,  1, -0.99,
                                           -0.98, -0.97, -0.93, -0.9, -0.95, 0, 0,  0, 1,  -1, -0.5})));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<LabToRgb>>& cases() {
  static const auto table = [] {
    std::vector<Case<LabToRgb>> t;
    for (int64_t count : {1, 33, 1025})
      for (double wide : {0.2, 1.0})  // mostly inside of what a screen shows; mostly not
        for (Acc acc : both)
          t.push_back(Case<LabToRgb>(fmt::format("{} ab {}{}", count, wide, name_of(acc)), {.count = count})
                          .fill("l", uniform(-1, 1))
                          .fill("ab", uniform(-wide, wide))
                          .accumulate(acc));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<PoolExchange>>& cases() {
  static const auto table = [] {
    struct Plan {
      const char* name;
      int kept;
      std::vector<double> places;  // place and swap of each picture
    };
    const Plan plans[] = {
        {"through", 2, {-1, 0}},
        {"kept", 3, {2, 0, 0, 0}},
        {"swapped", 4, {1, 1, -1, 0, 3, 1}},
        // One place several times: the later pictures show what the earlier ones left.
        {"one place", 1, {0, 1, 0, 1, -1, 1, 0, 0, 0, 1}},
    };
    std::vector<Case<PoolExchange>> t;
    for (const Plan& plan : plans)
      for (int64_t elements : {1, 31, 257, 1025}) {
        const int count = int(plan.places.size()) / 2;
        t.push_back(Case<PoolExchange>(fmt::format("{} {}", plan.name, elements),
                                       {.count = count, .kept = plan.kept, .elements = elements})
                        .fill("places", constant(plan.places)));
        t.back().bit_exact = true;
      }
    return t;
  }();
  return table;
}

}  // namespace gan::tests
