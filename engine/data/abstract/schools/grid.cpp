// A grid of bars, after De Stijl: fields of colour and of several whites between black bars, no two alike, or bars of
// colour on which small squares flicker.
#include <algorithm>
#include <vector>

#include "engine/data/abstract/school.h"

namespace gan::abstract {

namespace {

struct Plan {
  std::vector<Box> cells, bars;
};

// Cuts a cell in two at a place that is not its middle, and goes on with the parts.
void divide(Plan& plan, Dice& dice, Box cell, int bar, int smallest, int depth) {
  const bool upright = cell.width() * dice.range(60, 140) > cell.height() * 100;
  const int side = upright ? cell.width() : cell.height();
  if (depth == 0 || side < 3 * smallest || (depth < 3 && dice.chance(22))) {
    plan.cells.push_back(cell);
    return;
  }
  int part = dice.range(24, 42);
  if (dice.chance(50)) part = 100 - part;
  const int cut = std::clamp(side * part / 100, smallest, side - smallest);
  const int half = bar * dice.range(70, 130) / 200;
  Box first = cell, second = cell, between = cell;
  if (upright) {
    first.right = between.left = cell.left + cut - half;
    second.left = between.right = cell.left + cut + half;
  } else {
    first.bottom = between.top = cell.top + cut - half;
    second.top = between.bottom = cell.top + cut + half;
  }
  plan.bars.push_back(between);
  divide(plan, dice, first, bar, smallest, depth - 1);
  divide(plan, dice, second, bar, smallest, depth - 1);
}

int box_distance(Box box, int x, int y) {
  const Point m = box.middle();
  return rounded_box(x, y, m.x, m.y, box.width() / 2, box.height() / 2, 1);
}

// Paint laid on by hand along the longer side, its edges not quite straight.
void fill(Canvas& canvas, Box box, Color color, int body, uint32_t seed) {
  const bool upright = box.height() > box.width();
  canvas.lay(
      box.grown(20),
      [&](int x, int y) { return box_distance(box, x, y) + mul(noise(x, y, 1300, 1300, seed), 9); },
      [&](int x, int y, Color) {
        const int marks = upright ? canvas.brushed(y, x, seed) : canvas.brushed(x, y, seed);
        return scale(color, kOne + marks / 34 + noise(x, y, 5200, 4100, seed + 9) / 45);
      },
      {.body = body});
}

}  // namespace

Finish paint_grid(Canvas& canvas, const Palette& palette, Dice& dice) {
  const bool flicker = dice.chance(28);
  const int bar = flicker ? dice.range(420, 620) : dice.range(230, 470);
  Plan plan;
  const Box whole = {-100, -100, kWidth + 100, kWidth + 100};
  divide(plan, dice, whole, bar, flicker ? 1500 : 1250, flicker ? 5 : dice.range(3, 5));
  const auto seed = [&] { return static_cast<uint32_t>(dice.next()); };

  std::sort(plan.cells.begin(), plan.cells.end(),
            [](Box a, Box b) { return int64_t{a.width()} * a.height() > int64_t{b.width()} * b.height(); });
  // The large cells stay light but for one; smaller ones may have the stronger colours.
  const int count = static_cast<int>(plan.cells.size());
  std::vector<Color> colors(count);
  for (Color& color : colors) color = mix(palette.light, palette.neutral, dice.range(0, 2) * 1500);
  const auto give = [&](int from_part, int to_part, Color color) {
    colors[std::clamp(dice.range(count * from_part / 100, count * to_part / 100), 0, count - 1)] = color;
  };
  give(20, 70, palette.subordinate);
  if (count > 7) give(40, 80, palette.subordinate);
  give(60, 100, palette.accent);
  if (count > 9) give(70, 100, palette.accent);
  if (count > 5) give(60, 100, palette.dark);
  give(0, 25, palette.dominant);
  if (count > 8) give(50, 90, palette.dominant);

  canvas.prime([&](int, int) { return palette.light; });
  for (int i = 0; i < count; ++i) fill(canvas, plan.cells[i].grown(60), colors[i], 12, seed());
  // Bars that were cut later end at those that were cut earlier, so they go under them.
  for (size_t i = plan.bars.size(); i-- > 0;) {
    const Box box = plan.bars[i];
    fill(canvas, box, flicker ? palette.accent : palette.dark, 26, seed());
    if (!flicker) continue;
    const bool upright = box.height() > box.width();
    const int width = std::min(box.width(), box.height()), reach = std::max(box.width(), box.height());
    const Color paints[] = {palette.dominant, palette.subordinate, palette.neutral, palette.dark};
    for (int at = dice.range(0, 3) * width / 2; at + width < reach; at += width * dice.range(2, 7) / 2) {
      const int size = dice.chance(75) ? width : width * 3 / 2;
      Box square = {box.left + at, box.top, box.left + at + size, box.bottom};
      if (upright) square = {box.left, box.top + at, box.right, box.top + at + size};
      const Color paint = paints[dice.range(0, 3)];
      fill(canvas, square, paint, 30, seed());
    }
  }
  return {.weave = 2600, .tooth = 70, .relief = 2300};
}

}  // namespace gan::abstract
