// Squares out of pages: what a comic page holds that a network can learn a style from. Gutters, pages' margins,
// speech bubbles alone and even grounds teach nothing but themselves.
#pragma once
#include <vector>

#include "engine/picture/image.h"

namespace gan {

// Why a square of a page is no use.
enum class TileFault {
  none,
  gutter,  // a straight line of paper, white or black, crosses it
  paper,   // mostly white: margin or speech bubble
  dark,    // mostly black
  even,    // next to no light and shade
};
inline constexpr const char* kTileFaultNames[] = {"", "gutter", "paper", "dark", "even"};

struct Tile {
  int top = 0, left = 0;
  TileFault fault = TileFault::none;
};

// Looks at the square of `size` pixels there. A 1-channel page is looked at as it is, colours by their luma.
TileFault fault_of(const Image& page, int top, int left, int size);

// The squares of `size` pixels that a page of at least that size is cut into: as many as fit, spread evenly from edge
// to edge; `step`: how far apart they may be at most, in pixels, from 1 to size. Where a square has a gutter, one moved
// by up to half a step that has none takes its place. None for a page that is smaller.
std::vector<Tile> tiles_of(const Image& page, int size, int step);

}  // namespace gan
