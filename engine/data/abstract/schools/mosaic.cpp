// Mosaic: small stones in rows that follow the drawing, each cut, set and tilted by hand; or broken glass.
#include <array>
#include <vector>

#include "engine/data/abstract/school.h"

namespace gan::abstract {

namespace {

constexpr int kTurn = 65536;

uint32_t seed_of(Dice& dice) { return static_cast<uint32_t>(dice.next()); }

// The drawing that the stones show: rings around a sun and waves below it, or patches like islands on a map.
struct Drawing {
  std::array<Color, 7> colors;
  Point sun;
  int sun_radius, ring, wave_height, wave_length, slope, horizon;
  bool waves, islands;
  uint32_t seed;

  Color at(Point p) const {
    const int r = length(p.x - sun.x, p.y - sun.y);
    const int swell = mul(sine(static_cast<int>(int64_t{p.x} * kTurn / wave_length)), wave_height) +
                      mul(p.x - kWidth / 2, slope);
    if (islands) {
      const int height = clouds(p.x, p.y, 6200, 3, seed) * 5 / 2 + kOne;
      return colors[std::clamp(height * 7 / (2 * kOne), 0, 6)];
    }
    if (waves && p.y > horizon + swell) return colors[3 + ((p.y - horizon - swell) / ring) % 4];
    if (r < sun_radius) return r < sun_radius * 2 / 3 ? colors[0] : colors[1];
    const int level = (r - sun_radius) / ring;
    return mix(colors[1 + level % 3], colors[4 + level % 2], clouds(p.x, p.y, 3000, 2, seed) / 3 + 700);
  }
};

struct Stone {
  Point middle;
  int inset;      // how deep inside the stone, negative in the joint
  uint32_t luck;  // its own random number
};

}  // namespace

Finish paint_mosaic(Canvas& canvas, const Palette& palette, Dice& dice) {
  Drawing drawing;
  drawing.seed = seed_of(dice);
  const bool night = dice.chance(40);
  drawing.colors = {palette.accent,
                    palette.light,
                    palette.dominant,
                    palette.subordinate,
                    palette.neutral,
                    palette.dominant,
                    night ? palette.dark : palette.light};
  if (dice.chance(50)) std::swap(drawing.colors[2], drawing.colors[3]);
  if (night) std::swap(drawing.colors[1], drawing.colors[6]);
  drawing.sun = {dice.range(3000, kWidth - 3000), dice.range(2500, kWidth / 2 + 1500)};
  drawing.sun_radius = dice.range(1400, 3000);
  drawing.ring = dice.range(900, 2100);
  drawing.islands = dice.chance(38);
  drawing.waves = !drawing.islands && dice.chance(70);
  if (drawing.islands)
    drawing.sun = {dice.range(-6000, kWidth), dice.range(-9000, 0)};  // the rows are wide bows
  drawing.wave_height = dice.range(300, 1100);
  drawing.wave_length = dice.range(6000, 14000);
  drawing.slope = dice.range(-900, 900);
  drawing.horizon = dice.range(kWidth / 2, kWidth * 3 / 4);

  const int size = dice.range(330, 560), joint = size * dice.range(5, 9) / 100;
  const bool broken = dice.chance(30);
  const uint32_t seed = seed_of(dice);
  const Color mortar =
      dice.chance(65) ? mix(palette.dark, palette.neutral, 900) : mix(palette.neutral, palette.dark, 1100);

  // Stones in rows: rings around the sun, below the horizon rows that follow the waves.
  const auto row_stone = [&](int x, int y) {
    const int swell =
        mul(sine(static_cast<int>(int64_t{x} * kTurn / drawing.wave_length)), drawing.wave_height) +
        mul(x - kWidth / 2, drawing.slope);
    const bool in_waves = drawing.waves && y > drawing.horizon + swell;
    const int across = in_waves ? y - drawing.horizon - swell : length(x - drawing.sun.x, y - drawing.sun.y);
    const int row = across / size;
    const uint32_t row_luck = lattice_hash(row, in_waves, seed);
    Stone stone;
    int along = 0, width = size;
    if (in_waves) {
      width = size * (90 + static_cast<int>(row_luck % 40)) / 100;
      along = x + kWidth + static_cast<int>(row_luck >> 8 & 1023);
    } else {
      const int middle = row * size + size / 2,
                around = static_cast<int>(int64_t{middle} * 25736 / 4096);  // 2 pi
      const int count = std::max(around / size, 3);
      const int angle =
          (turn(x - drawing.sun.x, y - drawing.sun.y) + static_cast<int>(row_luck & 65535)) & 65535;
      width = around / count;
      along = static_cast<int>(int64_t{angle} * around / kTurn);
    }
    const int column = along / width;
    stone.luck = lattice_hash(column, row + (in_waves ? 1000 : 0), seed + 1);
    // Each stone is cut a little narrower and set a little askew.
    const int skew = static_cast<int>(stone.luck & 63) - 32, u = along % width - width / 2,
              v = across % size - size / 2;
    const int cut = static_cast<int>(stone.luck >> 6 & 15) * size / 300;
    stone.inset =
        std::min(width / 2 - std::abs(u + v * skew / 256), size / 2 - std::abs(v + u * skew / 300)) -
        joint / 2 - cut;
    // Its colour is that of its row's middle.
    const int to_middle = row * size + size / 2 - across;
    if (in_waves) stone.middle = {x, y + to_middle};
    else
      stone.middle = {x + (x - drawing.sun.x) * to_middle / std::max(across, 1),
                      y + (y - drawing.sun.y) * to_middle / std::max(across, 1)};
    return stone;
  };
  // Broken glass: the cells of the nearest of scattered points.
  const auto broken_stone = [&](int x, int y) {
    const int cell = size * 6 / 5, cx = (x + kWidth) / cell, cy = (y + kWidth) / cell;
    Stone stone;
    int64_t nearest = INT64_MAX;
    Point best = {0, 0};
    const auto point = [&](int i, int j) {
      const uint32_t luck = lattice_hash(i, j, seed);
      return Point{i * cell - kWidth + cell / 8 + static_cast<int>(luck % (cell * 3 / 4)),
                   j * cell - kWidth + cell / 8 + static_cast<int>((luck >> 12) % (cell * 3 / 4))};
    };
    for (int i = cx - 1; i <= cx + 1; ++i)
      for (int j = cy - 1; j <= cy + 1; ++j) {
        const Point p = point(i, j);
        const int64_t d = int64_t{p.x - x} * (p.x - x) + int64_t{p.y - y} * (p.y - y);
        if (d < nearest) nearest = d, best = p, stone.luck = lattice_hash(i, j, seed + 1);
      }
    int inset = kFar;
    for (int i = cx - 2; i <= cx + 2; ++i)
      for (int j = cy - 2; j <= cy + 2; ++j) {
        const Point p = point(i, j);
        const int64_t dx = p.x - best.x, dy = p.y - best.y;
        const int apart = length(dx, dy);
        if (apart == 0) continue;
        inset = std::min(inset, static_cast<int>(((p.x + best.x - 2 * x) * dx + (p.y + best.y - 2 * y) * dy) /
                                                 (2 * apart)));
      }
    stone.inset = inset - joint / 2;
    stone.middle = best;
    return stone;
  };

  const int sample = canvas.sample();
  const Canvas::Area area = canvas.area_of(kEverywhere);
  for (int i = area.top; i < area.bottom; ++i)
    for (int j = area.left; j < area.right; ++j) {
      const int x = canvas.place(j), y = canvas.place(i);
      const Stone stone = broken ? broken_stone(x, y) : row_stone(x, y);
      const int cover = std::clamp(kOne / 2 + stone.inset * kOne / sample, 0, kOne);
      const Color floor = scale(mortar, kOne + canvas.texture(x, y, 60, 60, seed + 5) / 8);
      Color color = drawing.at(stone.middle);
      const uint32_t luck = stone.luck;
      const int tone = static_cast<int>(luck >> 10 & 1023) - 512;
      // A few stones are of another quarry, and one in many is gilded.
      if ((luck >> 20) % 11 == 0) color = mix(color, palette.neutral, 1700);
      if ((luck >> 20) % 23 == 1) color = mix(color, palette.accent, 2600);
      color = scale(color, kOne + tone / 2 + clouds(x, y, 260, 2, luck) / 16);
      canvas.color(i, j) = mix(floor, color, cover);
      // A rounded edge, and a face that leans its own way.
      const int lean_x = static_cast<int>(luck & 31) - 16, lean_y = static_cast<int>(luck >> 5 & 31) - 16;
      const int face = (x * lean_x + y * lean_y) / 256 % 128;
      canvas.set_height(i, j, mul(cover, 60 + mul(smooth_ramp(stone.inset, 0, size / 7), 40)) + face / 32,
                        kOne);
    }
  return {.weave = 0, .tooth = 120, .relief = 1500};
}

}  // namespace gan::abstract
