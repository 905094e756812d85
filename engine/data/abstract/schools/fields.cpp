// Colour fields: a few soft rectangles that hover on a ground, each scrubbed on in thin veils, edges that breathe.
#include <vector>

#include "engine/data/abstract/school.h"

namespace gan::abstract {

namespace {

struct Field {
  Box box;
  Color color, under;  // what shows through its veils
  int feather;
  uint32_t seed;
};

}  // namespace

Finish paint_fields(Canvas& canvas, const Palette& palette, Dice& dice) {
  // Scrubbed with a rag and a brush: marks of all directions.
  const auto scrubbed = [&](int x, int y, uint32_t own) {
    const int turned = clouds(x, y, 2600, 2, own);  // where the hand goes up and down, and where across
    const int flat = canvas.texture(x, y, 760, 120, own + 1),
              upright = canvas.texture(x, y, 120, 700, own + 2);
    return mix(flat, upright, ramp(turned, -700, 900)) * 5 / 8 +
           canvas.texture(x, y, 90, 80, own + 3) * 3 / 8;
  };
  const auto seed = [&] { return static_cast<uint32_t>(dice.next()); };
  const bool dark_ground = dice.chance(45);
  Color ground = mix(palette.dominant, palette.neutral, dice.range(300, 1800));
  if (dark_ground) ground = mix(palette.dark, palette.dominant, dice.range(500, 2200));
  std::vector<Color> colors = {palette.dominant, palette.subordinate, palette.accent, palette.neutral,
                               palette.light};
  if (!dark_ground)
    colors = {palette.subordinate, palette.dark, palette.accent, palette.light, palette.dominant};
  for (size_t i = colors.size() - 1; i > 0; --i)
    std::swap(colors[i], colors[dice.range(0, static_cast<int>(i))]);

  const int count = dice.range(2, 4), side = dice.range(900, 1700), end = dice.range(700, 1300),
            gap = dice.range(260, 700);
  std::vector<int> weights(count);
  int weight = 0;
  const int major = dice.range(0, count - 1);
  for (int i = 0; i < count; ++i)
    weight += weights[i] = i == major ? dice.range(110, 190) : dice.range(28, 90);
  std::vector<Field> fields;
  int top = end;
  const int room = kWidth - 2 * end - gap * (count - 1);
  for (int i = 0; i < count; ++i) {
    const int height = room * weights[i] / weight;
    const Color color = colors[i];
    const Color veil = dice.chance(50) ? palette.light : palette.dark;
    const Color under = mix(ground, veil, dice.range(600, 2000));
    fields.push_back(
        {{side + dice.range(-120, 120), top, kWidth - side + dice.range(-120, 120), top + height},
         color,
         under,
         dice.range(260, 620),
         seed()});
    top += height + gap;
  }

  const uint32_t ground_seed = seed();
  canvas.prime([&](int x, int y) {
    const int wash = clouds(x, y, 5000, 4, ground_seed), marks = scrubbed(x, y, ground_seed + 20);
    return scale(ground, kOne + wash / 8 + marks / 22);
  });
  for (const Field& field : fields) {
    const Point middle = field.box.middle();
    const int feather = field.feather, hx = field.box.width() / 2, hy = field.box.height() / 2;
    // Two coats: a thin one that reaches farther, and the field itself.
    for (const int coat : {0, 1}) {
      const uint32_t own = field.seed + static_cast<uint32_t>(coat) * 50;
      const int grown = coat == 0 ? feather / 3 : -feather / 4;
      const auto distance = [&](int x, int y) {
        return rounded_box(x, y, middle.x, middle.y, hx + grown, std::max(hy + grown, feather), feather / 2) +
               mul(clouds(x, y, 1500, 4, own), 420);
      };
      canvas.lay(
          field.box.grown(feather * 2 + 400), [](int, int) { return -kFar; },
          [&](int x, int y, Color old) {
            int cover = smooth_ramp(-distance(x, y), -feather, feather);
            if (cover == 0) return old;
            const int marks = scrubbed(x, y, own + 10);
            // Where the brush runs dry, the marks of its hairs show.
            cover = std::clamp(cover + mul(mul(cover, kOne - cover) * 4, marks), 0, kOne);
            const int veil = clouds(x + 9000, y, 4200, 4, own + 30);
            Color color = mix(field.color, field.under, std::clamp(600 + veil * 3 / 4 + marks / 4, 0, 2300));
            color = scale(color, kOne + veil / 11 + marks / 20);
            return mix(old, clamp_color(color), mul(cover, coat == 0 ? 1900 : 3700));
          });
    }
  }
  return {.weave = 3400, .tooth = 130, .relief = 1500};
}

}  // namespace gan::abstract
