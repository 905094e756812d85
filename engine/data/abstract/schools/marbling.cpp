// Marbling: drops of ink that spread on water and push each other aside, then a stylus, a comb, and whirls through them.
//
// Every such act moves the whole surface by a formula that can be turned round (Lu, Jaffer, Jin, Zhao, Mao:
// Mathematical Marbling, 2012): a drop of radius r at C moves P to C + (P - C) sqrt(1 + r^2 / |P - C|^2), a stylus by
// z u / (u + d) along its line, d being the distance. So each sample goes back through all acts, the last one first,
// until it finds the drop that it was in.
#include <vector>

#include "engine/data/abstract/school.h"

namespace gan::abstract {

namespace {

constexpr int kTurn = 65536;
constexpr int kFine = 16;  // lengths here are a sixteenth of kWidth's unit, for many small moves add up

struct Act {
  enum class Kind { drop, line, whirl } kind = Kind::drop;
  int64_t x = 0, y = 0;        // a drop's or whirl's middle, a point of a line
  int64_t radius = 0;          // of a drop; of a whirl
  int cos = 0, sin = 0;        // of a line's direction
  int64_t push = 0, soft = 0;  // of a line and a whirl: the largest shift, and the distance that halves it
  int ink = 0;                 // of a drop
};

// sine() with 2^22 = 1.0, of an angle in 2^-24 turns: a whirl carries ink far, and what is rounded shows.
int64_t fine_sine(int64_t angle) {
  const int64_t half = int64_t{1} << 23, p = angle & (half - 1), s = (p * (half - p)) >> 8;
  const int64_t value = (s << 26) / (((5 * half * half) >> 8) - 4 * s);
  return angle & half ? -value : value;
}

bool differ(Color a, Color b) {
  return std::abs(a.r - b.r) + std::abs(a.g - b.g) + std::abs(a.b - b.b) > 300;
}

}  // namespace

Finish paint_marbling(Canvas& canvas, const Palette& palette, Dice& dice) {
  std::vector<Act> acts;
  const Color inks[] = {palette.dominant, palette.light,  palette.subordinate,
                        palette.dark,     palette.accent, palette.neutral};
  const auto act_at = [&](Act::Kind kind, Point p) {
    Act act;
    act.kind = kind, act.x = p.x * kFine, act.y = p.y * kFine;
    return act;
  };
  const auto drop = [&](Point p, int radius, int ink) {
    Act act = act_at(Act::Kind::drop, p);
    act.radius = radius * kFine, act.ink = ink;
    acts.push_back(act);
  };
  const auto pull = [&](Point p, int angle, int push, int soft) {
    Act act = act_at(Act::Kind::line, p);
    act.cos = cosine(angle), act.sin = sine(angle), act.push = push * kFine, act.soft = soft * kFine;
    acts.push_back(act);
  };
  const auto whirl = [&](Point p, int radius, int push, int soft) {
    Act act = act_at(Act::Kind::whirl, p);
    act.radius = radius * kFine, act.push = push * kFine, act.soft = soft * kFine;
    acts.push_back(act);
  };

  // Places where drop falls on drop, so that rings come of them, and drops anywhere.
  const int wells = dice.range(4, 8);
  std::vector<Point> places(wells);
  for (Point& p : places) p = {dice.range(300, kWidth - 300), dice.range(300, kWidth - 300)};
  const int weights[] = {0, 0, 0, 1, 1, 2, 2, 2, 3, 4, 5, 1, 0};
  for (int i = dice.range(58, 86); i > 0; --i) {
    const int ink = weights[dice.range(0, 12)];
    const bool on_drops = dice.chance(62);
    Point p = {dice.range(-600, kWidth + 600), dice.range(-600, kWidth + 600)};
    if (on_drops) {
      const Point place = places[dice.range(0, wells - 1)];
      p = {place.x + dice.range(-240, 240), place.y + dice.range(-240, 240)};
    }
    drop(p, dice.range(on_drops ? 800 : 400, 1900), ink);
  }
  const int style = dice.range(0, 99), angle = dice.range(0, kTurn - 1);
  if (style < 45) {  // combed: one way, and back between
    const int spacing = dice.range(1100, 2000), push = dice.range(1800, 4200);
    const int passes = dice.range(1, 2);
    for (int pass = 0; pass < passes; ++pass)
      for (int k = -9; k <= 9; ++k) {
        const Point p = from({kWidth / 2, kWidth / 2}, angle + kTurn / 4 + pass * kTurn / 4,
                             k * spacing + (pass ? spacing / 3 : 0));
        pull(p, angle + pass * kTurn / 4 + (k % 2 ? kTurn / 2 : 0), push, dice.range(160, 420));
      }
  }
  if (style >= 30)
    for (int i = dice.range(3, 8); i > 0; --i) {
      const Point p = {dice.range(0, kWidth), dice.range(0, kWidth)};
      const int back = dice.chance(50) ? kTurn / 2 : 0, direction = angle + back + dice.range(-9000, 9000);
      const int push = dice.range(900, 3000), soft = dice.range(300, 1500);
      pull(p, direction, push, soft);
    }
  for (int i = dice.range(style < 45 ? 0 : 1, 4); i > 0; --i) {
    const Point p = {dice.range(2000, kWidth - 2000), dice.range(2000, kWidth - 2000)};
    const int radius = dice.range(500, 2200), way = dice.sign(), push = dice.range(1800, 6500);
    whirl(p, radius, way * push, dice.range(500, 1400));
  }

  const uint32_t seed = static_cast<uint32_t>(dice.next());
  const Color water = mix(palette.light, palette.neutral, dice.range(0, 2500));
  // The colour at a place; away_x, away_y: from it, in kFine-ths.
  const auto color_at = [&](int px, int py, int away_x, int away_y) {
    // The hand trembles a little.
    int64_t x = int64_t{px} * kFine + away_x + mul(noise(px, py, 1700, 1700, seed), 70 * kFine);
    int64_t y = int64_t{py} * kFine + away_y + mul(noise(px, py, 1700, 1700, seed + 1), 70 * kFine);
    for (size_t k = acts.size(); k-- > 0;) {
      const Act& act = acts[k];
      const int64_t dx = x - act.x, dy = y - act.y;
      if (act.kind == Act::Kind::line) {
        const int64_t away = std::abs(dx * act.sin - dy * act.cos) >> 12;
        const int64_t shift = act.push * act.soft / (act.soft + away);
        x -= (shift * act.cos) >> 12, y -= (shift * act.sin) >> 12;
        continue;
      }
      const int64_t square = dx * dx + dy * dy;
      if (act.kind == Act::Kind::whirl) {
        const int64_t reach = std::max(integer_sqrt(square), 1), away = std::abs(reach - act.radius);
        const int64_t shift = act.push * act.soft / (act.soft + away);
        const int64_t back = -shift * 2670177 / std::max(reach, act.soft);  // radians to 2^-24 turns
        const int64_t c = fine_sine(back + (1 << 22)), s = fine_sine(back);
        x = act.x + ((dx * c - dy * s) >> 22), y = act.y + ((dx * s + dy * c) >> 22);
        continue;
      }
      if (square <= act.radius * act.radius) {
        const int deep = static_cast<int>(act.radius - integer_sqrt(square));
        const int rim = ramp(deep, 65 * kFine, 0);  // ink gathers at its edge
        return scale(inks[act.ink],
                     kOne - rim / 12 + noise(px, py, 900, 900, seed + static_cast<uint32_t>(k)) / 26);
      }
      // sqrt(1 - r^2 / |P - C|^2) with 20 bits.
      const int64_t part = ((square - act.radius * act.radius) << 20) / square,
                    shrunk = integer_sqrt(part << 20);
      x = act.x + ((dx * shrunk) >> 20), y = act.y + ((dy * shrunk) >> 20);
    }
    return scale(water, kOne + noise(px, py, 1200, 1200, seed + 99) / 40);
  };
  const Finish finish = {.weave = 0, .tooth = 150, .relief = 1000};
  canvas.prime([&](int x, int y) { return color_at(x, y, 0, 0); });

  if (canvas.samples_of_pixel() > 2) return finish;
  // Between inks, where few samples are not enough, the mean of four more.
  const Canvas::Area area = canvas.area_of(kEverywhere);
  const int quarter = canvas.sample() * kFine / 4;
  std::vector<Color> above(area.right);  // as they were before
  for (int row = 0; row < area.bottom; ++row) {
    Color left = canvas.color(row, 0);
    for (int column = 0; column < area.right; ++column) {
      const Color own = canvas.color(row, column);
      bool edge = column > 0 && differ(own, left);
      edge |= row > 0 && differ(own, above[column]);
      edge |= column + 1 < area.right && differ(own, canvas.color(row, column + 1));
      edge |= row + 1 < area.bottom && differ(own, canvas.color(row + 1, column));
      left = above[column] = own;
      if (!edge) continue;
      Color sum = {0, 0, 0};
      for (const int dy : {-quarter, quarter})
        for (const int dx : {-quarter, quarter}) {
          const Color c = color_at(canvas.place(column), canvas.place(row), dx, dy);
          sum = {sum.r + c.r, sum.g + c.g, sum.b + c.b};
        }
      canvas.color(row, column) = {sum.r / 4, sum.g / 4, sum.b / 4};
    }
  }
  return finish;
}

}  // namespace gan::abstract
