// builtin:abstract, a set of abstract paintings drawn in code: no download, no licence to keep.
//
// A painting is a pure function of its 64-bit number: its school, its palette and its composition come from the number
// alone, and are the same at every size.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/picture/image.h"

namespace gan {

constexpr int kSmallestAbstract = 32, kLargestAbstract = 512;  // pixels of a side

// Paints number `index` (any 64-bit number). size: width and height in pixels, kSmallestAbstract to
// kLargestAbstract; anything else is a gan::Error with Exit::usage. channels: 3, or 1 (luma).
// All arithmetic is in integers: the bytes are the same on every machine, compiler and optimisation level.
Image draw_abstract(uint64_t index, int size, int channels = 3);

// The school that painting `index` is of, one of abstract_schools(): "grid", "fields", ...
std::string abstract_school(uint64_t index);
std::vector<std::string> abstract_schools();

}  // namespace gan
