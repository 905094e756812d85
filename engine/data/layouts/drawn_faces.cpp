// builtin:comics, faces drawn in code: single comics, photo and comic of the same face as a pair, or unpaired
// photos and comics of different faces.
#include "engine/data/comics.h"

#include "engine/data/layout.h"

namespace gan {

namespace {

constexpr int64_t kValidationFaces = 32;       // of unpaired ones; other sets are split
constexpr int64_t kFirstTestFace = 1'000'000;  // faces from here on are in no training set

bool serves(const DataOptions& options) { return options.make_input == InputKind::none; }

std::string looks_for() { return "builtin:comics"; }

bool recognises(const std::string& source) { return source.starts_with("builtin:"); }

void check(const DataOptions& options) {
  if (options.source != "builtin:comics")
    fail(Exit::usage, "`{}`: the embedded data set is builtin:comics", options.source);
  const int side = options.stored_size();
  if (side < 32 || side > 256)
    fail(Exit::usage, "builtin:comics draws pictures of 32 to 256 pixels, not {}", side);
}

// Large faces take long to draw and much memory: fewer of them.
int64_t training_faces(const DataOptions& options) {
  if (options.builtin_count > 0) return options.builtin_count;
  const int side = options.stored_size();
  if (side <= 64) return 4096;
  return side <= 128 ? 2048 : 1024;
}

std::vector<ListedExample> faces(int64_t first, int64_t count, const std::vector<std::string>& pictures) {
  std::vector<ListedExample> examples;
  for (int64_t number = first; number < first + count; ++number) {
    ListedExample face;
    face.name = fmt::format("face-{}", number);
    face.drawn = number;
    for (const std::string& picture : pictures) face.sources.push_back({picture, {}});
    examples.push_back(std::move(face));
  }
  return examples;
}

Listing list(const DataOptions& options) {
  check(options);
  const int64_t count = training_faces(options);
  const bool single = options.examples == Examples::pictures || options.examples == Examples::colour;
  const std::vector<std::string> whole =
      single ? std::vector<std::string>{"picture"} : std::vector<std::string>{"A", "B"};
  Listing listing;
  if (options.examples == Examples::unpaired) {
    // No face is there as a photo and as a comic; those for validation are, and so can be measured.
    const int64_t half = (count + 1) / 2;
    listing.train = {{{"A"}, faces(0, half, {"A"})}, {{"B"}, faces(half, half, {"B"})}};
    listing.validation = faces(2 * half, kValidationFaces, whole);
  } else {
    listing.train = {{whole, faces(0, count, whole)}};
  }
  listing.has_parts = true;
  listing.test = faces(kFirstTestFace, options.builtin_test, whole);
  return listing;
}

// A is the photo and B the comic, as long as nobody wants the other direction; a single picture is a comic.
ComicsStyle style_of(const std::string& picture, bool b_to_a) {
  if (picture == "picture") return ComicsStyle::comic;
  return (picture == "A") == b_to_a ? ComicsStyle::comic : ComicsStyle::photo;
}

Example read(const ListedExample& example, const DataOptions& options, const Reading& reading) {
  if (reading.side == 0) fail(Exit::usage, "builtin:comics has no size of its own: leave out --full-size");
  Example face;
  for (const auto& source : example.sources)
    face.pictures.emplace_back(source.picture,
                               draw_face(uint64_t(example.drawn), style_of(source.picture, options.b_to_a),
                                         reading.side, options.channels));
  return face;
}

}  // namespace

extern const DataLayout drawn_faces_layout = {"builtin", looks_for,  "faces", "",
                                              serves,    recognises, list,    read};

}  // namespace gan
