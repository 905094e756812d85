// Impasto: short thick strokes, layer over layer, that follow a current around whirls, over a scene of bands, discs and
// clouds of colour.
#include <vector>

#include "engine/data/abstract/school.h"

namespace gan::abstract {

namespace {

constexpr int kTurn = 65536;

uint32_t seed_of(Dice& dice) { return static_cast<uint32_t>(dice.next()); }

struct Whirl {
  Point middle;
  int radius, strength;  // how far it reaches; which way it turns
};

struct Scene {
  std::vector<Whirl> whirls;
  std::vector<Color> bands;  // from top to bottom
  std::vector<Point> discs;
  int disc_radius, lean, waving;
  Color disc, halo, deep;
  bool banded;
  uint32_t seed;

  // 1/65536 of a turn.
  int current(Point p) const {
    int64_t x = mul(cosine(lean), 2600), y = mul(sine(lean), 2600);
    const int wander = mul(clouds(p.x, p.y, 5200, 2, seed), waving);
    const int64_t turned_x = (x * cosine(wander) - y * sine(wander)) >> 12,
                  turned_y = (x * sine(wander) + y * cosine(wander)) >> 12;
    x = turned_x, y = turned_y;
    for (const Whirl& whirl : whirls) {
      const int dx = p.x - whirl.middle.x, dy = p.y - whirl.middle.y, far = std::max(length(dx, dy), 1);
      const int force = mul(whirl.strength, mul(ramp(far, whirl.radius * 5 / 2, whirl.radius / 2), 4 * kOne));
      x += -int64_t{dy} * force / far, y += int64_t{dx} * force / far;
    }
    return turn(static_cast<int>(x), static_cast<int>(y));
  }

  Color at(Point p, int luck) const {
    const int drift = mul(clouds(p.x, p.y, 4800, 3, seed + 7), banded ? 2300 : 9000);
    const int count = static_cast<int>(bands.size());
    const int level = std::clamp((p.y + drift + luck / 5) * count, 0, kWidth * count - 1);
    const int band = std::clamp(level / kWidth, 0, count - 1), next = std::min(band + 1, count - 1);
    Color color = mix(bands[band], bands[next], ramp(level % kWidth, kWidth * 6 / 10, kWidth));
    for (const Whirl& whirl : whirls) {  // rings of light around a whirl
      const int far = length(p.x - whirl.middle.x, p.y - whirl.middle.y);
      const int wave = triangle_wave(far + luck / 9, whirl.radius * 2 / 3);
      color = mix(color, wave > 0 ? halo : deep,
                  mul(ramp(far, whirl.radius * 3 / 2, whirl.radius / 3), std::abs(wave) / 2));
    }
    for (const Point middle : discs) {
      const int far = length(p.x - middle.x, p.y - middle.y) + luck / 30;
      color = mix(color, halo, mul(ramp(far, disc_radius * 3, disc_radius), 2700));
      if (far < disc_radius) color = disc;
    }
    return color;
  }
};

}  // namespace

Finish paint_impasto(Canvas& canvas, const Palette& palette, Dice& dice) {
  Scene scene;
  scene.seed = seed_of(dice);
  scene.lean = dice.range(-6000, 6000);
  scene.waving = dice.range(3000, 12000);
  scene.banded = dice.chance(70);
  for (int i = dice.range(0, 3); i > 0; --i)
    scene.whirls.push_back({{dice.range(2500, kWidth - 2500), dice.range(2500, kWidth - 2500)},
                            dice.range(2200, 4200),
                            dice.sign() * kOne});
  const Color paints[] = {palette.dominant, palette.subordinate, palette.neutral, palette.light,
                          palette.dark};
  const int bands = dice.range(3, 6);
  for (int i = 0, last = -1; i < bands; ++i) {
    int which = dice.range(0, 4);
    if (which == last) which = (which + 1) % 4;
    if (i == bands / 2) which = 0;  // the dominant colour is there
    scene.bands.push_back(paints[which]);
    last = which;
  }
  scene.disc_radius = dice.range(900, 1900);
  for (int i = dice.chance(70) ? dice.range(1, 2) : 0; i > 0; --i)
    scene.discs.push_back({dice.range(2500, kWidth - 2500), dice.range(2500, kWidth - 4500)});
  scene.disc = palette.accent;
  scene.halo = mix(palette.accent, palette.light, dice.range(1000, 3000));
  scene.deep = mix(palette.dark, palette.dominant, 1600);

  canvas.prime([&](int x, int y) { return scale(scene.at({x, y}, 0), 3000); });
  struct Layer {
    int radius, spacing, reach;
  };
  const int coarse = dice.range(80, 130);
  const Layer layers[] = {{520, 900, 3400}, {300, 520, 2300}, {180, 370, 1500}};
  for (const Layer& layer : layers) {
    const int radius = layer.radius * coarse / 100, spacing = layer.spacing * coarse / 100,
              reach = layer.reach * coarse / 100;
    const int side = kWidth / spacing + 1;
    std::vector<int> order(side * side);  // not row by row, which would show
    for (int i = 0; i < side * side; ++i) order[i] = i;
    for (int i = side * side - 1; i > 0; --i) std::swap(order[i], order[dice.range(0, i)]);
    const bool last = layer.radius < 200;
    for (const int place : order) {
      if (last && dice.chance(35)) continue;
      const Point middle = {place % side * spacing + dice.range(0, spacing),
                            place / side * spacing + dice.range(0, spacing)};
      const int luck = dice.range(-kOne, kOne), own = reach * dice.range(60, 130) / 100;
      std::vector<Point> path(5);
      path[2] = middle;
      for (const int way : {-1, 1})
        for (int i = 2; i > 0 && i < 4; i += way)
          path[i + way] = from(path[i], scene.current(path[i]) + (way < 0 ? kTurn / 2 : 0), own / 4);
      Color paint = scene.at(middle, luck);
      // Broken colour: neighbours differ in tone, and now and then the accent or its opposite flashes.
      paint = scale(paint, kOne + luck / 7);
      const int flash = dice.range(0, 99);
      if (flash < 3) paint = palette.accent;
      else if (flash < 7) paint = mix(paint, palette.light, 1900);
      else if (flash < 11) paint = mix(paint, palette.subordinate, 2300);
      const Point beside = from(middle, dice.range(0, kTurn - 1), radius * 3);
      const Color second = mix(paint, scene.at(beside, luck), 2200);
      const Brush brush = {.radius = radius * dice.range(75, 120) / 100,
                           .bristles = 9,
                           .body = 70 + radius / 8,
                           .streaks = 1300,
                           .dry = dice.range(2600, 5000),
                           .pointed = dice.chance(50)};
      stroke(canvas, brush, path, clamp_color(paint), clamp_color(second), seed_of(dice));
    }
  }
  return {.weave = 900, .tooth = 60, .relief = 1900};
}

}  // namespace gan::abstract
