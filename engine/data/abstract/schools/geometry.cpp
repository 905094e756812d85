// Geometry, after the Bauhaus: circles, arcs, wedges and lines on a washed ground; circles in the dark; or a wall of
// quarter circles.
#include <vector>

#include "engine/data/abstract/school.h"

namespace gan::abstract {

namespace {

constexpr int kTurn = 65536;

uint32_t seed_of(Dice& dice) { return static_cast<uint32_t>(dice.next()); }

Box around(Point p, int radius) { return Box{p.x, p.y, p.x, p.y}.grown(radius); }

// Watercolour: stronger at the rim, clouded inside.
Color washed(Color color, int x, int y, int distance, uint32_t seed) {
  const int rim = smooth_ramp(distance, -260, 0);
  return scale(color, kOne + clouds(x, y, 2600, 4, seed) / 9 - rim / 11);
}

void disc(Canvas& canvas, Dice& dice, Point p, int radius, Color color, int opacity, bool through) {
  const uint32_t seed = seed_of(dice);
  canvas.lay(
      around(p, radius), [&](int x, int y) { return circle(x, y, p.x, p.y, radius); },
      [&](int x, int y, Color old) {
        const Color paint = washed(color, x, y, circle(x, y, p.x, p.y, radius), seed);
        return through ? mix(glazed(old, paint), paint, 1100) : paint;
      },
      {.opacity = opacity, .body = 8});
}

void ring(Canvas& canvas, Point p, int radius, int half_width, Color color) {
  canvas.lay(
      around(p, radius + half_width),
      [&](int x, int y) { return std::abs(circle(x, y, p.x, p.y, radius)) - half_width; },
      [&](int, int, Color) { return color; }, {.body = 12});
}

void halo(Canvas& canvas, Point p, int radius, int width, Color color, int opacity) {
  canvas.lay(
      around(p, radius + width), [](int, int) { return -kFar; },
      [&](int x, int y, Color old) {
        const int far = smooth_ramp(circle(x, y, p.x, p.y, radius), width, 0);
        return mix(old, color, mul(opacity, mul(far, far)));
      });
}

void line(Canvas& canvas, Point a, Point b, int from_width, int to_width, Color color) {
  const int most = std::max(from_width, to_width);
  canvas.lay(
      Box{std::min(a.x, b.x), std::min(a.y, b.y), std::max(a.x, b.x), std::max(a.y, b.y)}.grown(most),
      [&](int x, int y) { return capsule(x, y, a, b, from_width, to_width); },
      [&](int, int, Color) { return color; }, {.body = 12});
}

// How far outside of the half plane to the right of the way from a to b.
int beyond(int x, int y, Point a, Point b) {
  const int64_t dx = b.x - a.x, dy = b.y - a.y;
  return static_cast<int>(((x - a.x) * dy - (y - a.y) * dx) / std::max(length(dx, dy), 1));
}

// The convex polygon of these corners, in clockwise order (y down).
void polygon(Canvas& canvas, Dice& dice, const std::vector<Point>& corners, Color color, int opacity) {
  const uint32_t seed = seed_of(dice);
  Box box = around(corners[0], 0);
  for (const Point p : corners)
    box = {std::min(box.left, p.x), std::min(box.top, p.y), std::max(box.right, p.x),
           std::max(box.bottom, p.y)};
  const auto distance = [&](int x, int y) {
    int most = -kFar;
    for (size_t i = 0; i < corners.size(); ++i)
      most = std::max(most, beyond(x, y, corners[i], corners[(i + 1) % corners.size()]));
    return most;
  };
  canvas.lay(box, distance,
             [&](int x, int y, Color old) {
               const Color paint = washed(color, x, y, distance(x, y), seed);
               return mix(glazed(old, paint), paint, 1500);
             },
             {.opacity = opacity, .body = 6});
}

void checkers(Canvas& canvas, Dice& dice, Point corner, int angle, int cell, Color dark, Color light,
              Color spot) {
  const int rows = dice.range(3, 4), columns = dice.range(4, 6), lean = kTurn / 4 + dice.range(-4500, 4500);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      const Point a = from(from(corner, angle, j * cell), angle + lean, i * cell);
      const Point b = from(a, angle, cell), c = from(b, angle + lean, cell), d = from(a, angle + lean, cell);
      Color color = (i + j) % 2 ? dark : light;
      if (dice.chance(14)) color = spot;
      polygon(canvas, dice, {a, b, c, d}, color, 3900);
    }
}

void washed_ground(Canvas& canvas, Dice& dice, Color color, Color other) {
  const uint32_t seed = seed_of(dice);
  const Point glow = {dice.range(3000, kWidth - 3000), dice.range(3000, kWidth - 3000)};
  canvas.prime([&](int x, int y) {
    const int wash = clouds(x, y, 6000, 5, seed);
    const int far = smooth_ramp(length(x - glow.x, y - glow.y), 2000, 15000);
    return scale(mix(color, other, std::clamp(mul(far, 2600) + wash / 3, 0, kOne)), kOne + wash / 16);
  });
}

void composition(Canvas& canvas, const Palette& palette, Dice& dice) {
  washed_ground(canvas, dice, palette.light, palette.neutral);
  const Color paints[] = {palette.dominant, palette.subordinate, palette.dominant, palette.accent,
                          palette.subordinate};
  const bool left = dice.chance(50), high = dice.chance(60);
  const int third = kWidth / 3;
  const Point sun = {(left ? third : kWidth - third) + dice.range(-900, 900),
                     (high ? third : kWidth - third) + dice.range(-900, 900)};
  const int radius = dice.range(2500, 4200);
  const int diagonal = turn(kWidth / 2 - sun.x, kWidth / 2 - sun.y) + dice.range(-5000, 5000);

  // A pale disc or ring behind everything.
  const Point pale = from(sun, diagonal, dice.range(3500, 7500));
  const Color tint = mix(palette.light, palette.subordinate, dice.range(900, 2000));
  const bool whole = dice.chance(60);
  const int pale_radius = dice.range(3800, 6000), pale_width = dice.range(250, 800);
  if (whole) disc(canvas, dice, pale, pale_radius, tint, 3000, true);
  else ring(canvas, pale, pale_radius, pale_width, tint);
  // Wedges point along the diagonal.
  for (int i = dice.range(2, 3); i > 0; --i) {
    const int toward = diagonal + dice.range(-6000, 6000);
    const Point tip = from(sun, toward, dice.range(7000, 12500));
    const int back = diagonal + kTurn / 2 + dice.range(-3500, 3500), open = dice.range(2400, 6000),
              reach = dice.range(6000, 13000);
    const Color color = paints[dice.range(0, 4)];
    polygon(canvas, dice, {tip, from(tip, back - open / 2, reach), from(tip, back + open / 2, reach)}, color,
            dice.range(1800, 3400));
  }
  const int halo_width = dice.range(900, 2400);
  halo(canvas, sun, radius, halo_width, palette.accent, dice.range(900, 2200));
  disc(canvas, dice, sun, radius, palette.dominant, 3950, false);
  if (dice.chance(75))
    disc(canvas, dice, from(sun, diagonal, radius / 4), radius * dice.range(50, 66) / 100,
         palette.subordinate, 3950, false);
  if (dice.chance(75))
    disc(canvas, dice, from(sun, diagonal, radius / 3), radius * dice.range(18, 34) / 100, palette.accent,
         4000, false);
  const int rim = radius + dice.range(150, 400), rim_width = dice.range(18, 60);
  if (dice.chance(60)) ring(canvas, sun, rim, rim_width, palette.dark);

  // Half circles along an arc.
  const int arcs = dice.range(2, 5), arc_angle = dice.range(0, kTurn - 1);
  const Point middle = from(sun, diagonal, dice.range(6000, 8500));
  for (int i = 0; i < arcs; ++i) {
    const int inner = dice.range(600, 900), r = inner + i * dice.range(520, 800), half = dice.range(70, 260);
    const Color color = i == arcs - 1 ? palette.dark : paints[dice.range(0, 4)];
    canvas.lay(
        around(middle, r + half),
        [&](int x, int y) {
          const int side = beyond(x, y, middle, from(middle, arc_angle, kOne));
          return std::max(std::abs(circle(x, y, middle.x, middle.y, r)) - half, side);
        },
        [&](int, int, Color) { return color; }, {.body = 12});
  }
  const int beside = diagonal + (dice.chance(50) ? 9000 : -9000);
  const Point corner = from(sun, beside, dice.range(6000, 8000));
  const int askew = diagonal + dice.range(-3000, 3000), cell = dice.range(600, 1000);
  if (dice.chance(70))
    checkers(canvas, dice, corner, askew, cell, palette.dark, palette.light, palette.accent);
  // Lines: one across everything, a few that go with it, some against.
  const Point start = from(sun, diagonal + kTurn / 2, dice.range(3500, 5500));
  const Point end = from(start, diagonal, dice.range(14000, 19000));
  line(canvas, start, end, 14, dice.range(70, 130), palette.dark);
  const int parallel = dice.range(3, 6), spacing = dice.range(240, 420),
            against = diagonal + kTurn / 4 + dice.range(-6000, 6000);
  const Point first = from(sun, diagonal, dice.range(4500, 9500));
  for (int i = 0; i < parallel; ++i) {
    const Point p = from(from(first, diagonal, i * spacing), against + kTurn / 2, dice.range(1500, 3600));
    const Point q = from(p, against, dice.range(3500, 7000));
    const int from_width = dice.range(14, 40), to_width = dice.range(14, 40);
    line(canvas, p, q, from_width, to_width, palette.dark);
  }
  // A wave, and small discs that float.
  if (dice.chance(55)) {
    std::vector<Point> wave;
    const Point begin = {dice.range(800, 6000), dice.range(1500, kWidth - 1500)};
    for (int i = 0; i < 9; ++i)
      wave.push_back(from(from(begin, diagonal, i * 650), diagonal + kTurn / 4, (i % 2 ? 1 : -1) * 330));
    const int wide = dice.range(36, 80);
    const Color color = dice.chance(50) ? palette.dark : palette.dominant;
    pour(canvas, curve_through(wave, 8), wide, color, 16, seed_of(dice));
  }
  for (int i = dice.range(6, 13); i > 0; --i) {
    const Point p = {dice.range(700, kWidth - 700), dice.range(700, kWidth - 700)};
    const int r = dice.range(110, 560);
    const Color color = paints[dice.range(0, 4)];
    disc(canvas, dice, p, r, color, 3700, dice.chance(50));
    const int around_it = r + dice.range(40, 160), width = dice.range(14, 36);
    if (dice.chance(45)) ring(canvas, p, around_it, width, palette.dark);
  }
}

void circles_in_the_dark(Canvas& canvas, const Palette& palette, Dice& dice) {
  washed_ground(canvas, dice, mix(palette.dark, palette.dominant, 500), palette.dark);
  const Color paints[] = {palette.dominant,    palette.subordinate, palette.neutral, palette.accent,
                          palette.subordinate, palette.dominant,    palette.light};
  const Point large = {dice.range(5200, kWidth - 5200), dice.range(5200, kWidth - 5200)};
  const int radius = dice.range(3000, 4300);
  halo(canvas, large, radius, 3000, mix(palette.subordinate, palette.light, 1500), 2600);
  disc(canvas, dice, large, radius, palette.subordinate, 3950, false);
  const Point inner = from(large, dice.range(0, kTurn - 1), radius / 4);
  disc(canvas, dice, inner, radius * dice.range(45, 62) / 100, mix(palette.dark, palette.dominant, 900), 3900,
       false);
  for (int i = dice.range(15, 26); i > 0; --i) {
    const Point p = {dice.range(900, kWidth - 900), dice.range(900, kWidth - 900)};
    const int luck = dice.range(0, kOne), r = 180 + mul(1750, mul(luck, mul(luck, luck)));
    const Color color = paints[dice.range(0, 6)];
    if (dice.chance(50)) halo(canvas, p, r, r / 2 + 260, color, 1700);
    disc(canvas, dice, p, r, color, dice.range(2200, 3900), false);
    const int core = r * dice.range(35, 65) / 100;
    const Color core_color = paints[dice.range(0, 6)];
    if (dice.chance(50)) disc(canvas, dice, p, core, core_color, 3700, false);
    const int around_it = r + dice.range(60, 190), width = dice.range(14, 30);
    if (dice.chance(25)) ring(canvas, p, around_it, width, color);
  }
}

// A square module: what it shows is cut from quarter and whole circles.
void module(Canvas& canvas, Dice& dice, Box box, Color ground, Color figure, Color second) {
  const uint32_t seed = seed_of(dice);
  const int kind = dice.range(0, 7), side = box.width(), half = side / 2;
  const int corner = dice.range(0, 3), other = dice.chance(50) ? corner ^ 3 : corner ^ 1;
  const Point middle = box.middle();
  const auto corner_point = [&](int which) {
    return Point{which & 1 ? box.right : box.left, which & 2 ? box.bottom : box.top};
  };
  const auto quarter = [&](int x, int y, int which, int radius) {
    const Point p = corner_point(which);
    return circle(x, y, p.x, p.y, radius);
  };
  const auto figure_distance = [&](int x, int y) {
    switch (kind) {
      case 0:
      case 1: return quarter(x, y, corner, side);
      case 2: return std::min(quarter(x, y, corner, half), quarter(x, y, other, half));
      case 3: return circle(x, y, middle.x, middle.y, half * 4 / 5);
      case 4: return std::max(quarter(x, y, corner, side), quarter(x, y, corner ^ 3, side));  // a leaf
      case 5: return quarter(x, y, corner, side);
      case 6: {
        const Point p = {corner & 1 ? box.left : box.right, middle.y};
        return circle(x, y, p.x, p.y, half);
      }
      default:
        return beyond(x, y, corner_point(corner & 1 ? 1 : 0), corner_point(corner & 1 ? 2 : 3)) *
               (corner & 2 ? -1 : 1);
    }
  };
  const auto second_distance = [&](int x, int y) {
    switch (kind) {
      case 0: return quarter(x, y, corner, half);
      case 3: return circle(x, y, middle.x, middle.y, half * 2 / 5);
      case 5: return std::abs(quarter(x, y, corner, side * 5 / 8)) - side / 8;
      default: return kFar;
    }
  };
  const auto inside = [&](int x, int y) { return rounded_box(x, y, middle.x, middle.y, half, half, 1); };
  const auto printed = [&](int x, int y, Color color) {
    return scale(color, kOne + clouds(x, y, 700, 4, seed) / 18 + canvas.texture(x, y, 46, 46, seed + 9) / 24);
  };
  canvas.lay(box.grown(16), inside, [&](int x, int y, Color) { return printed(x, y, ground); });
  canvas.lay(
      box, [&](int x, int y) { return std::max(inside(x, y), figure_distance(x, y)); },
      [&](int x, int y, Color) { return printed(x, y, figure); }, {.body = 7});
  canvas.lay(
      box, [&](int x, int y) { return std::max(inside(x, y), second_distance(x, y)); },
      [&](int x, int y, Color) { return printed(x, y, second); }, {.body = 9});
}

void wall(Canvas& canvas, const Palette& palette, Dice& dice) {
  const int count = dice.range(3, 6), margin = dice.chance(50) ? 0 : dice.range(600, 1300);
  canvas.prime([&](int, int) { return palette.light; });
  const Color paints[] = {palette.dominant, palette.dominant,   palette.light,    palette.subordinate,
                          palette.neutral,  palette.dark,       palette.dominant, palette.light,
                          palette.accent,   palette.subordinate};
  for (int i = 0; i < count; ++i)
    for (int j = 0; j < count; ++j) {
      const auto edge = [&](int k) { return margin + (kWidth - 2 * margin) * k / count; };
      const int ground = dice.range(0, 9);
      int figure = dice.range(0, 9), second = dice.range(0, 9);
      const auto same = [&](int a, int b) { return std::abs(luma(paints[a]) - luma(paints[b])) < 420; };
      for (int k = 0; k < 10 && same(figure, ground); ++k) figure = (figure + 3) % 10;
      for (int k = 0; k < 10 && same(second, figure); ++k) second = (second + 3) % 10;
      module(canvas, dice, {edge(j), edge(i), edge(j + 1), edge(i + 1)}, paints[ground], paints[figure],
             paints[second]);
    }
}

}  // namespace

Finish paint_geometry(Canvas& canvas, const Palette& palette, Dice& dice) {
  const int kind = dice.range(0, 99);
  if (kind < 45) composition(canvas, palette, dice);
  else if (kind < 68) circles_in_the_dark(canvas, palette, dice);
  else wall(canvas, palette, dice);
  return {.weave = kind < 68 ? 1700 : 500, .tooth = 190, .relief = 1500};
}

}  // namespace gan::abstract
