// Gesture: either a few large strokes of a dry brush with drips and drops, or skeins of poured paint over the whole
// canvas.
#include <vector>

#include "engine/data/abstract/school.h"

namespace gan::abstract {

namespace {

constexpr int kTurn = 65536;

uint32_t seed_of(Dice& dice) { return static_cast<uint32_t>(dice.next()); }

// An arm's movement: it starts somewhere, leans one way, and bends.
std::vector<Point> movement(Dice& dice, Point start, int angle, int reach, int bend) {
  std::vector<Point> points = {start};
  const int steps = 4;
  int direction = angle - bend / 2;
  for (int i = 0; i < steps; ++i) {
    points.push_back(from(points.back(), direction, reach / steps));
    direction += bend / steps + dice.range(-900, 900);
  }
  return curve_through(points, 4);
}

Point somewhere(Dice& dice, int margin) {
  return {dice.range(margin, kWidth - margin), dice.range(margin, kWidth - margin)};
}

void drip(Canvas& canvas, Dice& dice, Point start, Color paint) {
  const int reach = dice.range(1200, 6000), radius = dice.range(24, 62);
  std::vector<Point> points = {start};
  for (int i = 1; i <= 5; ++i) points.push_back({start.x + dice.range(-40, 40), start.y + reach * i / 5});
  pour(canvas, curve_through(points, 3), radius, paint, 22, seed_of(dice));
  const Point end = points.back();
  canvas.lay(
      Box{end.x, end.y, end.x, end.y}.grown(radius * 2),
      [&](int x, int y) { return circle(x, y, end.x, end.y, radius * 3 / 2); },
      [&](int, int, Color) { return paint; }, {.body = 34});
}

void scumble(Canvas& canvas, const Palette& palette, Dice& dice, Color ground) {
  const uint32_t seed = seed_of(dice);
  canvas.prime([&](int x, int y) { return scale(ground, kOne + clouds(x, y, 4200, 4, seed) / 12); });
  const int count = dice.range(14, 24);
  for (int i = 0; i < count; ++i) {
    const Color other = dice.chance(70) ? palette.neutral : palette.light;
    const Color paint = mix(ground, other, dice.range(700, 2600));
    const Point start = somewhere(dice, -1000);
    const int angle = dice.range(0, kTurn - 1), reach = dice.range(3500, 8000);
    const auto path = movement(dice, start, angle, reach, dice.range(-6000, 6000));
    const Brush brush = {.radius = dice.range(700, 1500),
                         .bristles = 26,
                         .body = 16,
                         .dry = dice.range(300, 2200),
                         .opacity = 3000};
    stroke(canvas, brush, path, paint, mix(paint, ground, 1600), seed_of(dice));
  }
}

void large_strokes(Canvas& canvas, const Palette& palette, Dice& dice) {
  const bool night = dice.chance(22);
  const Color ground = night ? palette.dark : mix(palette.light, palette.neutral, dice.range(0, 2600));
  scumble(canvas, palette, dice, ground);
  const int lean = dice.range(0, kTurn - 1);
  const Point heart = {kWidth / 2 + dice.range(-1800, 1800), kWidth / 2 + dice.range(-1800, 1800)};

  const auto group = [&](int count, int low, int high, Color paint, Color second, int dry, int spread,
                         int body) {
    for (int i = 0; i < count; ++i) {
      const int radius = dice.range(low, high), reach = dice.range(5500, 9500) + 3 * radius;
      const int against = dice.chance(35) ? kTurn / 4 : 0, angle = lean + against + dice.range(-5500, 5500);
      const Point place = {heart.x + dice.range(-spread, spread), heart.y + dice.range(-spread, spread)};
      const auto path =
          movement(dice, from(place, angle + kTurn / 2, reach / 2), angle, reach, dice.range(-13000, 13000));
      const Brush brush = {.radius = radius,
                           .bristles = 12 + radius / 45,
                           .body = body,
                           .streaks = 2400,
                           .dry = dry + dice.range(-500, 500)};
      stroke(canvas, brush, path, paint, second, seed_of(dice));
      if (dice.chance(45)) {
        const int far = dice.range(1800, 4200), drops = dice.range(12, 40);
        splash(canvas, dice, path.back(), angle, far, drops, 190, paint);
      }
      if (dice.chance(40))
        for (int k = dice.range(1, 3); k > 0; --k)
          drip(canvas, dice, path[path.size() * static_cast<size_t>(dice.range(25, 85)) / 100], paint);
    }
  };
  const Color deep = night ? palette.light : palette.dark;
  group(dice.range(3, 5), 1000, 1900, palette.subordinate, mix(palette.subordinate, palette.neutral, 2400),
        2000, 4600, 30);
  group(dice.range(2, 4), 800, 1600, palette.dominant, mix(palette.dominant, palette.dark, 1500), 2300, 4300,
        42);
  group(dice.range(3, 5), 420, 1250, deep, mix(deep, palette.dominant, 900), 2000, 4400, 50);
  group(dice.range(1, 2), 260, 520, palette.accent, mix(palette.accent, palette.light, 1700), 2700, 3800, 64);
  if (dice.chance(60)) group(1, 180, 420, palette.light, palette.neutral, 2000, 3800, 64);
}

void skein(Canvas& canvas, Dice& dice, Color paint, int radius) {
  std::vector<Point> points = {somewhere(dice, -800)};
  int direction = dice.range(0, kTurn - 1), turning = dice.range(-4000, 4000);
  const int steps = dice.range(22, 44);
  for (int i = 0; i < steps; ++i) {
    const Point here = points.back();
    const Point next = from(here, direction, dice.range(700, 2000));
    points.push_back(next);
    turning = std::clamp(turning + dice.range(-4200, 4200), -9500, 9500);
    direction += turning;
    // The arm comes back to the canvas.
    if (next.x < -500 || next.x > kWidth + 500 || next.y < -500 || next.y > kWidth + 500)
      direction = turn(kWidth / 2 - next.x, kWidth / 2 - next.y) + dice.range(-7000, 7000);
  }
  pour(canvas, curve_through(points, 7), radius, paint, std::min(radius / 2 + 14, 40), seed_of(dice));
}

void poured(Canvas& canvas, const Palette& palette, Dice& dice) {
  const bool night = dice.chance(35);
  scumble(canvas, palette, dice,
          night ? mix(palette.dark, palette.subordinate, 500) : mix(palette.light, palette.neutral, 1700));
  const Color deep = night ? palette.light : palette.dark;
  const Color paints[] = {palette.subordinate, deep,
                          palette.dominant,    deep,
                          palette.accent,      night ? palette.neutral : palette.light};
  const int counts[] = {5, 5, 6, 5, 3, 5};
  for (int layer = 0; layer < 6; ++layer) {
    const int count = counts[layer] + dice.range(-1, 2);
    for (int i = 0; i < count; ++i) {
      skein(canvas, dice, paints[layer], dice.chance(16) ? dice.range(70, 135) : dice.range(18, 62));
      const Point place = somewhere(dice, 500);
      const int angle = dice.range(0, kTurn - 1), far = dice.range(1500, 5000), drops = dice.range(10, 36);
      splash(canvas, dice, place, angle, far, drops, 150, paints[layer]);
    }
  }
}

}  // namespace

Finish paint_gesture(Canvas& canvas, const Palette& palette, Dice& dice) {
  if (dice.chance(62)) large_strokes(canvas, palette, dice);
  else poured(canvas, palette, dice);
  return {.weave = 2600, .tooth = 80, .relief = 2500};
}

}  // namespace gan::abstract
