// Hard edges: stripes of flat colour, upright, folded into chevrons, nested as squares or bows, or swelling in waves.
#include <vector>

#include "engine/data/abstract/school.h"

namespace gan::abstract {

namespace {

constexpr int kTurn = 65536;

struct Stripe {
  int end;  // where it gives way to the next
  Color color;
};

// What a stripe's colour is, in the order in which stripes follow each other.
std::vector<Color> sequence(const Palette& palette, Dice& dice) {
  std::vector<Color> colors;
  switch (dice.range(0, 3)) {
    case 0:  // two colours beat, a third comes in
      for (int i = 0; i < dice.range(2, 4); ++i)
        colors.insert(colors.end(), {palette.dominant, palette.light});
      colors.insert(colors.end(), {palette.accent, palette.light});
      break;
    case 1:  // from one to the other in steps
      for (int i = 0; i < 7; ++i) colors.push_back(mix(palette.dominant, palette.neutral, kOne * i / 6));
      colors.insert(colors.end(), {palette.accent, palette.dark, palette.subordinate});
      break;
    case 2:
      colors = {palette.subordinate, palette.light,    palette.dominant, palette.dark,
                palette.neutral,     palette.dominant, palette.accent,   palette.light};
      break;
    default:
      colors = {palette.dark,    palette.dominant,    palette.subordinate, palette.dominant,
                palette.neutral, palette.subordinate, palette.accent};
  }
  return colors;
}

}  // namespace

Finish paint_stripes(Canvas& canvas, const Palette& palette, Dice& dice) {
  const auto colors = sequence(palette, dice);
  const int kind = dice.range(0, 5);
  // Widths: even, or a rhythm of wide and narrow.
  const int usual = dice.range(kind >= 3 ? 650 : 420, 1300);
  const bool even = dice.chance(45);
  std::vector<Stripe> stripes;
  int end = -2 * kWidth;
  for (size_t i = 0; end < 4 * kWidth; ++i) {
    end += even ? usual : usual * (dice.chance(30) ? dice.range(150, 320) : dice.range(30, 110)) / 100;
    stripes.push_back({end, colors[i % colors.size()]});
  }
  const Point heart = {kWidth / 2 + dice.range(-1, 1) * kWidth / 6,
                       kWidth / 2 + dice.range(0, 2) * kWidth / 8};
  const int slope = dice.range(1200, 5200), fold = kWidth / 2 + dice.range(-1, 1) * kWidth / 6;
  const int angle = dice.range(-7000, 7000), wave = dice.range(5200, 11000), swing = dice.range(500, 1500);
  const int half = kWidth / 2, drift = dice.range(0, kTurn - 1), quarter_turn = dice.chance(35);

  // Where a place lies across the stripes.
  const auto across = [&](int px, int py) {
    const int x = quarter_turn ? py : px, y = quarter_turn ? px : py;
    switch (kind) {
      case 0: return mul(x, cosine(angle / 8)) + mul(y, sine(angle / 8));
      case 1: return mul(y + mul(std::abs(x - fold), slope), 3400);                   // chevrons
      case 2: return std::max(std::abs(x - heart.x), std::abs(y - heart.y)) * 5 / 4;  // nested squares
      case 3: {  // bows that stand on each other
        const int row = y < half ? 0 : 1, foot = (row + 1) * half;
        return length(x - (row ? kWidth - heart.x : heart.x), y - foot) + row * 5000;
      }
      case 4: {  // waves that swell
        const int phase = static_cast<int>(int64_t{y} * kTurn / wave) + drift;
        return x + mul(sine(phase), swing) + mul(sine(phase / 3 + x * 2), swing / 2);
      }
      default: {
        const int phase = static_cast<int>(int64_t{x + y / 3} * kTurn / wave) + drift;
        return y + mul(sine(phase), mix(swing / 3, swing, ramp(y, 0, kWidth)));
      }
    }
  };
  const uint32_t seed = static_cast<uint32_t>(dice.next());
  const int sample = canvas.sample();
  const Canvas::Area area = canvas.area_of(kEverywhere);
  for (int i = area.top; i < area.bottom; ++i)
    for (int j = area.left; j < area.right; ++j) {
      const int x = canvas.place(j), y = canvas.place(i);
      const int at = across(x, y) + mul(noise(x, y, 1500, 1500, seed), 7);  // tape lies almost straight
      const auto found = std::upper_bound(stripes.begin(), stripes.end(), at,
                                          [](int value, const Stripe& stripe) { return value < stripe.end; });
      const size_t own = std::min<size_t>(found - stripes.begin(), stripes.size() - 2);
      const int to_end = stripes[own].end - at;
      const int over = std::clamp(kOne / 2 - to_end * kOne / sample, 0, kOne / 2);  // of the next stripe
      const auto painted = [&](size_t which) {
        const uint32_t self = seed + static_cast<uint32_t>(which) * 17;
        return scale(stripes[which].color,
                     kOne + canvas.brushed(y, at, self) / 30 + noise(x, y, 4000, 4000, self) / 50);
      };
      canvas.color(i, j) = over > 0 ? mix(painted(own), painted(own + 1), over) : painted(own);
      const int ridge = ramp(to_end, 70, 0);  // paint that stood up against the tape
      canvas.set_height(i, j, 14 + ridge * 10 / kOne + static_cast<int>(own % 3) * 3, kOne);
    }
  return {.weave = 2000, .tooth = 60, .relief = 1900};
}

}  // namespace gan::abstract
