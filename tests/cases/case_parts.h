// What the tables of cases (cases_<family>.cpp) share. Sizes are chosen to be awkward: 1, odd, one more than
// a power of two, windows that hang over the edge, more padding than kernel, one segment and several. To add
// a case, add a line to the list of its operation; to add an operation, add a function cases<Args>().
//
// Every case but the true widths runs under 23 orders of threads, in three builds, two of which are tens of
// times slower: a size just beyond a tile, a split or a ring proves what ten times as much would.
#pragma once
#include <algorithm>

#include "tests/cases/cases.h"

// Arguments are written with the sizes that matter; pointers are bound later.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace gan::tests {

// One element; below, at and above a warp and a block; an odd number of many blocks.
inline constexpr int64_t counts[] = {1, 31, 32, 257, 1025, 10007};

inline constexpr Activation no_act{}, relu{Act::relu}, leaky{Act::leaky_relu, 0.2f}, tanh_act{Act::tanh},
    sigmoid_act{Act::sigmoid};
inline constexpr Activation activations[] = {no_act,   relu,       leaky, {Act::leaky_relu, 0.01f},
                                             tanh_act, sigmoid_act};

inline std::string name_of(const Activation& act) {
  switch (act.kind) {
    case Act::none: return "none";
    case Act::relu: return "relu";
    case Act::leaky_relu: return fmt::format("leaky_relu {:g}", act.slope);
    case Act::tanh: return "tanh";
    case Act::sigmoid: return "sigmoid";
  }
  return "?";
}

inline const char* name_of(Acc acc) { return acc == Acc::add ? " add" : ""; }

inline constexpr Acc both[] = {Acc::set, Acc::add};

// A case of the table again, on buffers that do not begin where four elements can be read at once.
template <class Args>
Case<Args> part_of_buffers(const std::vector<Case<Args>>& table, const std::string& name) {
  const auto found =
      std::find_if(table.begin(), table.end(), [&](const Case<Args>& c) { return c.name == name; });
  GAN_CHECK(found != table.end(), "there is no case {}", name);
  Case<Args> c = *found;
  c.name += " part";
  c.skip = 1;
  return c;
}

}  // namespace gan::tests
