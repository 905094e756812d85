// Cases of pooling and resizing.
#include "tests/cases/case_parts.h"

namespace gan::tests {

namespace {

struct ResampleCase {
  const char* name;
  ResampleSize size;  // pools: without oh, ow
  ResampleRule rule = {};
  bool ceil_mode = false;
};

constexpr ResampleRule pool(PoolWindow window, bool count_padding = true) {
  return {.kind = ResampleKind::average_pool, .count_padding = count_padding, .window = window};
}
constexpr ResampleRule adaptive{.kind = ResampleKind::adaptive_average};
constexpr ResampleRule bilinear{.kind = ResampleKind::bilinear};
constexpr ResampleRule bilinear_corners{.kind = ResampleKind::bilinear, .align_corners = true};
constexpr ResampleRule nearest{.kind = ResampleKind::nearest};

// clang-format off
const ResampleCase pool_cases[] = {
    {"one pixel",           {1, 1, 1, 1}, pool({})},
    {"2x2",                 {2, 6, 8, 5}, pool({2, 2, 2, 2})},
    {"2x2 odd",             {1, 7, 5, 3}, pool({2, 2, 2, 2})},
    {"2x2 odd ceil",        {1, 7, 5, 3}, pool({2, 2, 2, 2}), true},
    {"2x2 ceil uncounted",  {1, 7, 5, 3}, pool({2, 2, 2, 2}, false), true},
    {"3x3 stride 1 pad 1",  {1, 6, 5, 33}, pool({3, 3, 1, 1, 1, 1})},
    {"3x3 stride 2 pad 1",  {2, 9, 8, 4}, pool({3, 3, 2, 2, 1, 1})},
    {"3x3 uncounted",       {2, 9, 8, 4}, pool({3, 3, 2, 2, 1, 1}, false)},
    {"3x3 pad 1 ceil",      {1, 8, 9, 2}, pool({3, 3, 2, 2, 1, 1}), true},
    {"2x2 stride 1",        {1, 5, 4, 3}, pool({2, 2, 1, 1})},
    {"2x2 stride 3",        {1, 8, 11, 3}, pool({2, 2, 3, 3})},
    {"4x1 unequal",         {1, 9, 7, 2}, pool({4, 1, 2, 3, 2, 0})},
    {"the whole picture",   {3, 5, 4, 7}, pool({5, 4, 1, 1})},
    {"3x3 wide",            {1, 3, 21, 2}, pool({3, 3, 1, 1, 1, 1})},
    {"11x11 uncounted",     {1, 6, 25, 3}, pool({11, 11, 1, 1, 5, 5}, false)},
};
const ResampleCase resize_cases[] = {
    {"adaptive to 1",       {2, 7, 9, 3, 1, 1}, adaptive},
    {"adaptive to 2",       {1, 7, 9, 3, 2, 2}, adaptive},
    {"adaptive to 3x6",     {1, 10, 13, 4, 3, 6}, adaptive},
    {"adaptive to more",    {1, 3, 2, 5, 7, 3}, adaptive},
    {"nearest x2",          {2, 3, 5, 4, 6, 10}, nearest},
    {"nearest x3",          {1, 4, 1, 33, 12, 3}, nearest},
    {"nearest 7 to 5",      {1, 7, 5, 3, 5, 7}, nearest},
    {"nearest to less",     {1, 33, 16, 2, 7, 3}, nearest},
    {"bilinear same size",  {1, 4, 5, 3, 4, 5}, bilinear},
    {"bilinear x2",         {2, 5, 4, 3, 10, 8}, bilinear},
    {"bilinear 3 to 7",     {1, 3, 7, 5, 7, 3}, bilinear},
    {"bilinear to less",    {1, 33, 16, 2, 7, 3}, bilinear},
    {"bilinear from 1",     {1, 1, 2, 3, 4, 1}, bilinear},
    {"bilinear to 63",      {1, 6, 5, 1, 63, 31}, bilinear},
    {"corners same size",   {1, 4, 5, 3, 4, 5}, bilinear_corners},
    {"corners x2",          {2, 5, 4, 3, 10, 8}, bilinear_corners},
    {"corners 3 to 7",      {1, 3, 7, 5, 7, 3}, bilinear_corners},
    {"corners to less",     {1, 33, 16, 2, 7, 3}, bilinear_corners},
    {"corners from 1 to 1", {1, 1, 6, 3, 4, 1}, bilinear_corners},
    {"corners to 60",       {1, 6, 6, 2, 60, 60}, bilinear_corners},
};
// clang-format on

ResampleSize pooled(const ResampleCase& c) {
  const PoolWindow& p = c.rule.window;
  ResampleSize s = c.size;
  s.oh = PoolWindow::out_size(s.h, p.kh, p.sh, p.ph, c.ceil_mode);
  s.ow = PoolWindow::out_size(s.w, p.kw, p.sw, p.pw, c.ceil_mode);
  return s;
}

// Calls f(name, size, rule) for every linear case.
template <class F>
void for_each_resampling(F&& f) {
  for (const ResampleCase& c : pool_cases) f(std::string("average ") + c.name, pooled(c), c.rule);
  for (const ResampleCase& c : resize_cases) f(std::string(c.name), c.size, c.rule);
}

}  // namespace

template <>
const std::vector<Case<ResampleFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<ResampleFwd>> t;
    for (Acc acc : both)
      for_each_resampling([&](const std::string& name, const ResampleSize& s, const ResampleRule& rule) {
        t.push_back(Case<ResampleFwd>(name + name_of(acc), {.size = s, .rule = rule}).accumulate(acc));
      });
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<ResampleBwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<ResampleBwd>> t;
    for (Acc acc : both)
      for_each_resampling([&](const std::string& name, const ResampleSize& s, const ResampleRule& rule) {
        t.push_back(Case<ResampleBwd>(name + name_of(acc), {.size = s, .rule = rule}).accumulate(acc));
      });
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<MaxPoolFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<MaxPoolFwd>> t;
    for (Acc acc : both)
      for (const ResampleCase& c : pool_cases) {
        const ResampleSize s = pooled(c);
        t.push_back(Case<MaxPoolFwd>(c.name + std::string(name_of(acc)), {.size = s, .window = c.rule.window})
                        .fill("x", normals(1, -3))
                        .accumulate(acc));
      }
    return t;
  }();
  return table;
}

// Also with many equal elements: the first of them has the gradient, on every device.
template <>
const std::vector<Case<MaxPoolBwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<MaxPoolBwd>> t;
    for (bool equal : {false, true})
      for (Acc acc : both)
        for (const ResampleCase& c : pool_cases) {
          const ResampleSize s = pooled(c);
          t.push_back(Case<MaxPoolBwd>(fmt::format("{}{}{}", c.name, equal ? " equal" : "", name_of(acc)),
                                       {.size = s, .window = c.rule.window})
                          .fill("x", equal ? constant({0, -0.0}) : normals(1, -3))
                          .accumulate(acc));
        }
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<PixelShuffle>>& cases() {
  static const auto table = [] {
    std::vector<Case<PixelShuffle>> t;
    const PixelShuffle sizes[] = {{.n = 1, .h = 1, .w = 1, .c = 1, .factor = 1},
                                  {.n = 2, .h = 3, .w = 5, .c = 3, .factor = 2},
                                  {.n = 1, .h = 2, .w = 1, .c = 7, .factor = 3},
                                  {.n = 1, .h = 4, .w = 3, .c = 1, .factor = 4}};
    for (PixelShuffle size : sizes)
      for (bool inverse : {false, true})
        for (Acc acc : both) {
          size.inverse = inverse;
          const int64_t r = size.factor;
          const std::vector<int64_t> small = {size.n, size.h, size.w, size.c * r * r},
                                     large = {size.n, size.h * r, size.w * r, size.c};
          t.push_back(Case<PixelShuffle>(fmt::format("{}x{}x{}x{} by {}{}{}", size.n, size.h, size.w, size.c,
                                                     r, inverse ? " inverse" : "", name_of(acc)),
                                         size)
                          .accumulate(acc));
        }
    return t;
  }();
  return table;
}

}  // namespace gan::tests
