// What a set of pictures is made from, and how: the source, what the model wants of it, sizes, order, limits.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/data/made_input.h"
#include "engine/settings/config.h"

namespace gan {

// What one example is to a model that learns from it. Every layout says which of these it serves (layout.h).
enum class Examples {
  pictures,  // single pictures
  pairs,     // input and target: aligned in the folder, or made (DataOptions::make_input)
  colour,    // single pictures that have colour; nearly grey ones are left out and counted
  unpaired,  // pictures of two kinds that do not belong together
  styled,  // photos, and pictures of a style from a source of their own (DataOptions::style), with what teaches it
  referenced,  // the same without: pictures whose style is looked at and not learnt
  coloured,    // the same with photos that have colour; nearly grey ones are left out and counted
};

// Whether a teacher's strokes come out of a grain, which the generator sees beside the photo.
inline bool has_grain(const std::string& teacher) { return teacher == "brushed"; }

// clang-format off
struct PairSettings : Group<PairSettings> {
  PairSettings() : Group("pairs") {}
  Setting<std::string> direction{*this, "direction", "AtoB", "which of the two kinds of pictures becomes which; of a trained cyclegan, which way to go", "AtoB|BtoA", kTrain | kTranslate | kEval};
};
struct MadeInputSettings : Group<MadeInputSettings> {
  MadeInputSettings() : Group("made inputs") {}
  Setting<std::string> make_input{*this, "make-input", "", "make the input from the picture that is wanted: sketch, grey, noise, blur, lowres, mask or old (an old photo); empty: the input as it is", "", kTrain | kEval};

  bool on() const { return !make_input->empty(); }
};
struct TeacherSettings : Group<TeacherSettings> {
  TeacherSettings() : Group("teacher") {}
  Setting<std::string> teacher{*this, "teacher", "drawn", "what the program makes of a photo by rules for --lambda-structure: drawn with ink lines around flat areas, painted in dabs of colour, or those dabs brushed in thick strokes", "drawn|painted|brushed", kTrain | kInspect | kNetwork};

  bool has_grain() const { return gan::has_grain(teacher); }
};
struct ExposureSettings : Group<ExposureSettings> {
  ExposureSettings() : Group("colour photos") {}
  Setting<double> jitter_exposure{*this, "jitter-exposure", 0, "stops by which photos are made darker or brighter at most, at random, as by a camera; 0: never", "0..3", kTrain};
};
struct StyleSetSettings : Group<StyleSetSettings> {
  StyleSetSettings() : Group("style set") {}
  Setting<std::string> style{*this, "style", "", "pictures of the style to learn: a folder, builtin:comics or builtin:abstract", "", kTrain};
};
// clang-format on

struct DataOptions {
  std::string source;  // a folder (sub-folders welcome), two folders as DIR_A,DIR_B, or "builtin:..."
  std::string style;  // of Examples::styled, coloured: where the pictures of the style are, of the same forms
  Examples examples = Examples::pictures;
  std::string teacher = "drawn";  // of styled examples, by TeacherSettings
  // Of pairs, none: the source has aligned pairs. Of styled and coloured ones, none: the photo is the input.
  InputKind make_input = InputKind::none;
  bool b_to_a = false;         // B of the source is "A", the input, and A is "B", the target
  int size = 64;               // side of a training picture
  int load_size = 0;           // side pictures are scaled to (shorter side, then centre square); 0: size
  int channels = 3;            // 1 or 3
  double jitter_exposure = 0;  // stops; of the first list's pictures, at each draw
  bool augment = true;         // random flip; random crop when load_size > size; off: centre crop
  bool shuffle = true;
  std::vector<double>
      split;  // {train, validation} parts; empty: all single pictures train; of all other examples the
              // source's own part is for validation, or else one in twenty (1 to 32 of each list)
  std::array<uint8_t, 3> matte{255, 255, 255};
  double max_bad = 0.01;  // see bad_allowed()
  int workers = 0;        // decoding threads; 0: one per core. Never changes a result
  double cache_gb = 4;    // above it pictures are decoded again for each batch
  uint64_t seed = 1;
  int builtin_count = 0;  // training pictures of a drawn set; 0: as many as it has for the size (DrawnSet)
  int builtin_test = 64;  // pictures of a drawn set for evaluation

  int stored_size() const { return load_size > 0 ? load_size : size; }
};

// How many of `count` files may be bad before it is an error: that part of them, and one in any case, but none if
// the part is 0.
int64_t bad_allowed(double max_bad, int64_t count);

// "white", "black" or RRGGBB; Exit::usage for anything else.
std::array<uint8_t, 3> parse_colour(const std::string& text);

}  // namespace gan
