// Cases of the matrix product.
#include "tests/cases/case_parts.h"

namespace gan::tests {

template <>
const std::vector<Case<Gemm>>& cases() {
  static const auto table = [] {
    std::vector<Case<Gemm>> t;
    const auto add = [&](int m, int n, int k, bool ta, bool tb, bool bias, Activation act,
                         Acc acc) -> Case<Gemm>& {
      Case<Gemm> c(fmt::format("{}x{}x{}{}{}{} {}{}", m, n, k, ta ? " At" : "", tb ? " Bt" : "",
                               bias ? " bias" : "", name_of(act), name_of(acc)),
                   {.m = m, .n = n, .k = k, .transpose_a = ta, .transpose_b = tb, .act = act});
      if (bias) c.with("bias");
      c.accumulate(acc);
      c.for_tiles = n > 128 || k > 500;
      t.push_back(std::move(c));
      return t.back();
    };
    const int sizes[][3] = {{1, 1, 1},    {1, 7, 5},    {17, 1, 33},   {4, 4, 4},   {33, 65, 17},
                            {64, 64, 64}, {128, 72, 8}, {66, 130, 25}, {65, 31, 68}};
    for (auto [m, n, k] : sizes)
      for (bool ta : {false, true})
        for (bool tb : {false, true}) {
          add(m, n, k, ta, tb, false, no_act, Acc::set);
          add(m, n, k, ta, tb, true, ta ? tanh_act : leaky, Acc::set);
          if (ta == tb) add(m, n, k, ta, tb, tb, no_act, Acc::add);
        }
    for (const Activation& act : activations) add(9, 20, 6, false, true, true, act, Acc::set);
    for (bool ta : {false, true})
      for (bool tb : {false, true}) {
        // k in several splits, each of several stages.
        add(66, 24, 544, ta, tb, tb, no_act, Acc::set);
        add(9, 70, 529, ta, tb, ta, leaky, Acc::set);
        Case<Gemm>& c = add(66, 72, 40, ta, tb, ta, ta ? leaky : no_act, ta ? Acc::set : Acc::add);
        c.name += " to float32";  // from bfloat16 matrices in bfloat16 runs
        c.stored_as("c", Kind::float32);
        // The largest tiles are for products that fill a GPU.
        add(1409, 1400, 40, ta, tb, false, no_act, Acc::set).real_width = true;
        // The same for steps of 64 k's: several splits, and a large tile with more steps than stages.
        if (ta == tb) add(66, 24, 1032, ta, tb, tb, no_act, Acc::set);
        add(16, 8520, 264, ta, tb, tb, leaky, Acc::set).real_width = true;
      }
    t.push_back(part_of_buffers(t, "64x64x64 none"));
    t.push_back(part_of_buffers(t, "64x64x64 At Bt none"));
    add(64, 1024, 784, false, true, true, leaky, Acc::set).real_width = true;  // the layers of an MLP GAN
    add(64, 784, 1024, false, false, false, no_act, Acc::set).real_width = true;
    add(1024, 784, 64, true, false, false, no_act, Acc::add).real_width = true;
    return t;
  }();
  return table;
}

}  // namespace gan::tests
