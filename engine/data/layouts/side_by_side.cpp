// Aligned pairs, each in one file: A is its left half, B its right half.
#include "engine/data/folders.h"

namespace gan {

namespace {

bool serves(const DataOptions& options) {
  return options.examples == Examples::pairs && options.make_input == InputKind::none;
}

bool recognises(const std::string& source) { return has_pictures(source); }

Listing list(const DataOptions& options) {
  return examples_by_parts(options.source, "A beside B", {"A", "B"});
}

Example read(const ListedExample& example, const DataOptions& options, const Reading& reading) {
  const auto& file = example.sources[0].file;
  const Image both = read_file(file, options);
  if (both.width % 2 != 0)
    fail(Exit::bad_data, "{}: {} x {} pixels: a picture with A and B side by side has an even width",
         file.string(), both.width, both.height);
  const int left = 0, right = both.width / 2;
  const auto half = [&](int at) { return fitted(crop(both, 0, at, both.height, both.width / 2), reading); };
  return {{}, {{"A", half(options.b_to_a ? right : left)}, {"B", half(options.b_to_a ? left : right)}}};
}

}  // namespace

extern const DataLayout side_by_side_layout = {
    "pairs side by side",
    "pictures with A in their left half and B in their right half, in train/ or here",
    "pairs",
    "--pairs",
    serves,
    recognises,
    list,
    read};

}  // namespace gan
