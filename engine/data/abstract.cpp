// The table of schools, and the way from a number to a painting.
#include "engine/data/abstract.h"

#include <iterator>
#include <utility>

#include "engine/data/abstract/school.h"
#include "engine/picture/channels.h"
#include "kernels/contract/check.h"

namespace gan {

namespace {

using abstract::School;

constexpr School kSchools[] = {
    {"grid", abstract::paint_grid},       {"fields", abstract::paint_fields},
    {"gesture", abstract::paint_gesture}, {"geometry", abstract::paint_geometry},
    {"cutouts", abstract::paint_cutouts}, {"mosaic", abstract::paint_mosaic},
    {"stripes", abstract::paint_stripes}, {"marbling", abstract::paint_marbling},
    {"impasto", abstract::paint_impasto},
};

// The first number that a painting's dice give decides on its school.
const School& choose_school(drawing::Dice& dice) {
  return kSchools[dice.range(0, static_cast<int>(std::size(kSchools)) - 1)];
}

}  // namespace

Image draw_abstract(uint64_t index, int size, int channels) {
  if (size < kSmallestAbstract || size > kLargestAbstract)
    fail(Exit::usage,
         "builtin:abstract paints pictures of {} to {} pixels, not {}; choose a size in that range",
         kSmallestAbstract, kLargestAbstract, size);
  drawing::Dice dice(index);
  const School& school = choose_school(dice);
  const abstract::Palette palette = abstract::choose_palette(dice);
  abstract::Canvas canvas(size, static_cast<uint32_t>(dice.next()));
  const abstract::Finish finish = school.paint(canvas, palette, dice);
  Image painting = canvas.finished(finish);
  if (channels == 1) return in_grey(std::move(painting));
  return painting;
}

std::string abstract_school(uint64_t index) {
  drawing::Dice dice(index);
  return choose_school(dice).name;
}

std::vector<std::string> abstract_schools() {
  std::vector<std::string> names;
  for (const School& school : kSchools) names.push_back(school.name);
  return names;
}

}  // namespace gan
