// Cut paper: sheets painted with gouache, and on them algae, leaves, stars and pebbles cut with scissors and pasted.
#include <vector>

#include "engine/data/abstract/school.h"

namespace gan::abstract {

namespace {

constexpr int kTurn = 65536;

uint32_t seed_of(Dice& dice) { return static_cast<uint32_t>(dice.next()); }

struct Limb {
  Point a, b;
  int radius_a, radius_b;
};

// A piece of paper: limbs that flow into each other.
struct Cutting {
  std::vector<Limb> limbs;
  int joint = 200;  // how widely

  Box box() const {
    Box box = {kFar, kFar, -kFar, -kFar};
    for (const Limb& limb : limbs)
      for (const auto& [p, radius] : {std::pair{limb.a, limb.radius_a}, std::pair{limb.b, limb.radius_b}})
        box = {std::min(box.left, p.x - radius), std::min(box.top, p.y - radius),
               std::max(box.right, p.x + radius), std::max(box.bottom, p.y + radius)};
    return box;
  }
  int distance(int x, int y) const {
    int d = kFar;
    for (const Limb& limb : limbs)
      d = smooth_min(d, capsule(x, y, limb.a, limb.b, limb.radius_a, limb.radius_b), joint);
    return d;
  }
};

// A spine with lobes to both sides, longest in its middle.
Cutting alga(Dice& dice, Point root, int angle, int reach) {
  Cutting cutting;
  const int nodes = dice.range(3, 5), bend = dice.range(-7000, 7000),
            width = reach * dice.range(40, 54) / 100;
  const int thick = reach * dice.range(27, 34) / (100 * (nodes + 1)), open = dice.range(10500, 13500);
  Point here = root;
  int direction = angle - bend / 2;
  for (int i = 0; i <= nodes; ++i) {
    const Point next = from(here, direction, reach / (nodes + 1));
    cutting.limbs.push_back({here, next, thick * 9 / 10, thick * 8 / 10});
    if (i > 0) {
      const int part = kOne * i / nodes,
                lobe = mul(width, kOne - mul(part, mul(part, 2600)) - (i == 1 ? 900 : 0));
      for (const int side : {-1, 1}) {
        const int lobe_angle = direction + side * (open - i * 700) + dice.range(-1500, 1500);
        const Point elbow = from(here, lobe_angle, lobe * 6 / 10);
        const Point tip = from(elbow, lobe_angle - side * dice.range(1500, 4500), lobe * 4 / 10);
        cutting.limbs.push_back({here, elbow, thick * 6 / 10, thick * 9 / 10});
        cutting.limbs.push_back({elbow, tip, thick * 9 / 10, thick * dice.range(85, 125) / 100});
      }
    }
    here = next;
    direction += bend / nodes;
  }
  cutting.limbs.push_back({here, from(here, direction, reach / 8), thick, thick});
  cutting.joint = thick * 6 / 10;
  return cutting;
}

Cutting leaf(Dice& dice, Point root, int angle, int reach) {
  Cutting cutting;
  const int bend = dice.range(-12000, 12000), pieces = 6;
  const auto width = [&](int i) { return 30 + reach * 24 / 100 * sine(kTurn / 2 * i / pieces) / kOne; };
  Point here = root;
  for (int i = 0; i < pieces; ++i) {
    const Point next = from(here, angle - bend / 2 + bend * i / pieces, reach / pieces);
    cutting.limbs.push_back({here, next, width(i), width(i + 1)});
    here = next;
  }
  cutting.joint = 90;
  return cutting;
}

Cutting star(Dice& dice, Point middle, int angle, int reach) {
  Cutting cutting;
  const int arms = dice.range(4, 7), thick = reach / 7;
  for (int i = 0; i < arms; ++i) {
    const int direction = angle + kTurn * i / arms + dice.range(-1500, 1500),
              arm = reach * dice.range(45, 62) / 100;
    cutting.limbs.push_back({middle, from(middle, direction, arm), thick, thick / 4});
  }
  cutting.joint = thick * 2 / 3;
  return cutting;
}

Cutting pebble(Dice& dice, Point middle, int angle, int reach) {
  Cutting cutting;
  for (int i = dice.range(2, 3); i > 0; --i)
    cutting.limbs.push_back({from(middle, angle + dice.range(-9000, 9000), reach / 5),
                             from(middle, angle + kTurn / 2 + dice.range(-9000, 9000), reach / 5),
                             reach * dice.range(16, 26) / 100, reach * dice.range(14, 24) / 100});
  cutting.joint = reach / 3;
  return cutting;
}

// Scissors turn a little with every cut.
int cut_edge(const Cutting& cutting, int x, int y, uint32_t seed) {
  return cutting.distance(x, y) + mul(noise(x, y, 620, 620, seed), 46) +
         mul(noise(x, y, 240, 240, seed + 1), 12);
}

// Gouache: opaque, with the sweep of a wide brush.
Color gouache(const Canvas& canvas, Color color, int x, int y, int angle, uint32_t seed) {
  const int along = mul(x, cosine(angle)) + mul(y, sine(angle)),
            across = mul(y, cosine(angle)) - mul(x, sine(angle));
  return scale(color, kOne + canvas.brushed(along, across, seed) / 22 +
                          noise(along, across, 4200, 620, seed + 5) / 30);
}

void paste(Canvas& canvas, Dice& dice, const Cutting& cutting, Color color) {
  const uint32_t seed = seed_of(dice);
  const int angle = dice.range(0, kTurn / 2);
  const Box box = cutting.box().grown(120);
  canvas.lay(  // the paper's shadow
      box, [&](int x, int y) { return cut_edge(cutting, x - 38, y - 48, seed); },
      [&](int, int, Color old) { return scale(old, 2500); }, {.opacity = 2200, .soft = 90});
  canvas.lay(
      box, [&](int x, int y) { return cut_edge(cutting, x, y, seed); },
      [&](int x, int y, Color) { return gouache(canvas, color, x, y, angle, seed + 7); }, {.body = 16});
}

bool alike(Color a, Color b) {
  return std::abs(a.r - b.r) + std::abs(a.g - b.g) + std::abs(a.b - b.b) < 2700;
}

}  // namespace

Finish paint_cutouts(Canvas& canvas, const Palette& palette, Dice& dice) {
  canvas.prime([&](int, int) { return palette.light; });
  const Color sheets[] = {palette.dominant, palette.light,  palette.subordinate, palette.neutral,
                          palette.dominant, palette.accent, palette.dark};
  const Color papers[] = {palette.light, palette.accent,      palette.dominant,
                          palette.light, palette.subordinate, palette.dark};
  const int columns = dice.range(2, 3), rows = dice.range(1, 3);
  const bool one_sheet = dice.chance(22);  // under all of them
  const auto cuts = [&](int count) {
    std::vector<int> at(count + 1);
    for (int i = 0; i <= count; ++i) at[i] = kWidth * i / count;
    for (int i = 1; i < count; ++i) at[i] += dice.range(-kWidth, kWidth) / (count * 6);
    return at;
  };
  const auto x = cuts(columns), y = cuts(rows);
  int before = -1;
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      const Box box = {x[j], y[i], x[j + 1], y[i + 1]};
      int sheet = dice.range(0, columns * rows < 3 ? 4 : 6);
      if (sheet == before) sheet = (sheet + 2) % 5;
      if (one_sheet && before >= 0) sheet = before;
      before = sheet;
      const Color ground = sheets[sheet];
      const uint32_t seed = seed_of(dice);
      const int angle = dice.range(0, kTurn / 2);
      const Point m = box.middle();
      canvas.lay(
          box.grown(60),
          [&](int px, int py) {
            return rounded_box(px, py, m.x, m.y, box.width() / 2 + 20, box.height() / 2 + 20, 1) +
                   mul(noise(px, py, 2000, 2000, seed), 22);
          },
          [&](int px, int py, Color) { return gouache(canvas, ground, px, py, angle, seed); }, {.body = 10});
      const auto paper = [&](Color except) {
        int which = dice.range(0, 5);
        for (int k = 0; k < 6 && (alike(papers[which], ground) || alike(papers[which], except)); ++k)
          which = (which + 1) % 6;
        return papers[which];
      };
      const int reach = std::min(box.width(), box.height());
      const Color main = paper(ground);
      const int standing = -kTurn / 4 + dice.range(-4500, 4500),
                lying = box.width() > box.height() * 3 / 2 ? kTurn / 4 : 0;
      const int largest = std::min(std::max(box.width(), box.height()) * 72 / 100, reach * 115 / 100);
      const int kind = dice.range(0, 99);
      const int direction = standing + lying;
      const Point root = from(m, direction + kTurn / 2, largest / 2);
      if (kind < 68) paste(canvas, dice, alga(dice, root, direction, largest), main);
      else if (kind < 90) {
        const int leaves = dice.range(3, 6);
        for (int k = 0; k < leaves; ++k)
          paste(canvas, dice,
                leaf(dice, from(root, direction, largest * k / (leaves + 2)),
                     direction + (k % 2 ? 6500 : -6500), largest * 54 / 100),
                main);
      } else paste(canvas, dice, star(dice, m, dice.range(0, kTurn - 1), largest), main);
      const Color second = paper(main);
      for (int k = dice.range(0, 3); k > 0; --k) {
        const Point p = {dice.range(box.left + reach / 9, box.right - reach / 9),
                         dice.range(box.top + reach / 9, box.bottom - reach / 9)};
        const int size = reach * dice.range(13, 30) / 100, turned = dice.range(0, kTurn - 1);
        if (dice.chance(22)) paste(canvas, dice, star(dice, p, turned, size), second);
        else
          paste(canvas, dice,
                dice.chance(50) ? pebble(dice, p, turned, size) : leaf(dice, p, turned, size * 3 / 2),
                second);
      }
    }
  return {.weave = 0, .tooth = 210, .relief = 1900};
}

}  // namespace gan::abstract
