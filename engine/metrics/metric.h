// What a measure of pictures is: a row of the table in metrics.cpp. A new one is a file with its function and its
// row's struct, and a line of that table; options, tables, JSON, sheets and help follow.
#pragma once
#include "engine/picture/image.h"

namespace gan {

struct Metric {
  const char* name;  // as in --metrics and in JSON
  // Of a picture against another of the same size, or of each picture by itself: then the second picture's value is
  // called NAME_reference.
  double (*of_pair)(const Image& a, const Image& b) = nullptr;
  double (*of_one)(const Image& image) = nullptr;
  bool usual = true;  // among those that are measured when nobody chooses
  bool smaller_is_better = false;
  int decimals = 2;    // in tables
  int least_side = 1;  // smaller pictures have no value: NaN
};

// Throws unless both pictures have the same size and channels, and pixels at all.
void check_same_size(const Image& a, const Image& b);

}  // namespace gan
