// Strokes of a bristle brush.
#pragma once
#include <vector>

#include "engine/data/abstract/canvas.h"

namespace gan::abstract {

struct Brush {
  int radius;          // half the width of a stroke
  int bristles = 14;   // tufts across its width
  int body = 40;       // how high its paint stands
  int streaks = 2000;  // how much the two paints on it stay apart: 0 one colour, 1 tufts of either
  int dry = kOne;      // from this part of a stroke on tufts run out of paint; 1: none does
  int opacity = kOne;
  bool pointed = false;  // the stroke begins and ends thin
};

// A stroke along `path` (at least two points), with two paints on the brush.
void stroke(Canvas& canvas, const Brush& brush, const std::vector<Point>& path, Color paint, Color second,
            uint32_t seed);

// A line of thinned paint that falls from a can: no bristles, its width changes along the way.
void pour(Canvas& canvas, const std::vector<Point>& path, int radius, Color paint, int body, uint32_t seed);

// Drops around a place, thrown towards an angle (1/65536 of a turn): many small ones, few large.
void splash(Canvas& canvas, Dice& dice, Point place, int angle, int reach, int count, int largest,
            Color paint);

}  // namespace gan::abstract
