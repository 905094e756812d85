// Comic's row of the zoo; how it works is in comic.cpp.
#pragma once
#include <span>

#include "models/players/model.h"

namespace gan {

struct NamedPreset;

// Every weight is of a mean over elements. 0 leaves the part out, with what only that part needs.
// clang-format off
struct ComicSettings : Group<ComicSettings> {
  ComicSettings() : Group("comic") {}
  Setting<double> lambda_surface{*this, "lambda-surface", 0, "the same of a discriminator of smoothed pictures: areas and their colours", "0..", kTrain | kNetwork};
  Setting<double> lambda_texture{*this, "lambda-texture", 0, "the same of a discriminator of grey pictures: lines and hatching", "0..", kTrain | kNetwork};
  Setting<double> d_grey{*this, "d-grey", 0, "weight of rejecting grey pictures of the style in the discriminator's loss", "0..", kTrain};
  Setting<double> d_soft{*this, "d-soft", 0, "weight of rejecting pictures of the style with soft edges", "0..", kTrain};
  Setting<double> lambda_structure{*this, "lambda-structure", 0, "weight of the distance to the photo as drawn by rules: flat areas, ink lines", "0..", kTrain};
  Setting<int64_t> content_steps{*this, "content-steps", 0, "steps at the beginning in which the generator learns content and structure alone", "0..", kTrain};
};
// clang-format on

void comic_preset(Config& config);
void comic_tuned(Config& config, bool cpu);
std::span<const NamedPreset> comic_presets();
void comic_check(const Config& config);
std::unique_ptr<Model> make_comic();
}  // namespace gan
