// The sets of pictures that are drawn in code, and what their layouts share: names, sizes, how many pictures there are.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/data/layout.h"

namespace gan {

struct DrawnSet {
  const char* source;     // as DATA names it: "builtin:comics"
  const char* holds;      // "drawn faces"
  int smallest, largest;  // side of a picture, pixels
  int count;              // of pictures to train on up to 64 pixels; half of it up to 128, a quarter above
  std::vector<std::string> kinds;  // the set of one of them is SOURCE:KIND: "builtin:abstract:impasto"
};

const std::vector<DrawnSet>& drawn_sets();
// Null when `source` is none of them.
const DrawnSet* find_drawn_set(const std::string& source);
// Of a source that find_drawn_set() finds: the kind behind the set's name, or empty. Exit::usage, naming those there
// are, for another.
std::string kind_of_drawn_set(const std::string& source);
// "builtin:comics or builtin:abstract".
std::string names_of_drawn_sets();

// Exit::usage when the set has no pictures of the size wanted.
void check_drawn_size(const DrawnSet& set, const DataOptions& options);

// How many pictures there are to train on, of the size wanted, unless the options say how many: large ones take long
// to draw and much memory.
int64_t training_count(const DrawnSet& set, const DataOptions& options);

constexpr int64_t kFirstDrawnTest = 1'000'000;  // pictures from this number on are in no training set

// `count` pictures from number `first` on, which consist of `pictures`. Those that have no name are left out.
std::vector<ListedExample> drawn_examples(int64_t first, int64_t count,
                                          const std::vector<std::string>& pictures,
                                          const std::function<std::string(int64_t number)>& name);

}  // namespace gan
