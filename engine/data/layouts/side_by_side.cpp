// Aligned pairs, each in one file: A is its left half, B its right half. Such a file is about twice as wide as
// high; one of another shape is a single picture and is never cut.
#include "engine/data/folders.h"

namespace gan {

namespace {

bool serves(const DataOptions& options) {
  return options.examples == Examples::pairs && options.make_input == InputKind::none;
}

std::string looks_for() {
  return "pictures with A in their left half and B in their right half, in train/ or here";
}

bool recognises(const std::string& source) { return has_pictures(source); }

Listing list(const DataOptions& options) {
  return examples_by_parts(options.source, "A beside B", {"A", "B"});
}

Example read(const ListedExample& example, const DataOptions& options, const Reading& reading) {
  const auto& file = example.sources[0].file;
  const Image both = read_file(file, options);
  if (!looks_like_pair(both.width, both.height))
    fail(Exit::bad_data,
         "{}: {} x {} pixels: a single picture, no pair side by side, which is about twice as wide as high "
         "(--make-input makes pairs of single pictures)",
         file.string(), both.width, both.height);
  if (both.width % 2 != 0)
    fail(Exit::bad_data, "{}: {} x {} pixels: a picture with A and B side by side has an even width",
         file.string(), both.width, both.height);
  const int left = 0, right = both.width / 2;
  const auto half = [&](int at) { return fitted(crop(both, 0, at, both.height, both.width / 2), reading); };
  return {{}, {{"A", half(options.b_to_a ? right : left)}, {"B", half(options.b_to_a ? left : right)}}};
}

}  // namespace

bool looks_like_pair(int width, int height) {
  return int64_t{10} * width >= int64_t{19} * height && int64_t{10} * width <= int64_t{21} * height;
}

extern const DataLayout side_by_side_layout = {"pairs side by side", looks_for, "pairs", "--pairs", serves,
                                               recognises,           list,      read};

}  // namespace gan
