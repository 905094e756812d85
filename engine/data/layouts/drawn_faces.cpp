// builtin:comics, faces drawn in code: single comics, photo and comic of the same face as a pair, or unpaired
// photos and comics of different faces.
#include "engine/data/comics.h"

#include "engine/data/drawn_sets.h"

namespace gan {

namespace {

constexpr int64_t kValidationFaces = 32;  // of unpaired ones; other sets are split

bool serves(const DataOptions& options) { return options.make_input == InputKind::none; }

std::string looks_for() { return "builtin:comics"; }

// Also a name that no drawn set has, so that faces_for() can say which there are. Several sources are not for here.
bool recognises(const std::string& source) {
  return source.starts_with("builtin:") && source.find(',') == std::string::npos;
}

// The set of faces; Exit::usage when another is meant, or another size.
const DrawnSet& faces_for(const DataOptions& options) {
  const DrawnSet* set = find_drawn_set(options.source);
  if (!set) fail(Exit::usage, "`{}`: the embedded data sets are {}", options.source, names_of_drawn_sets());
  kind_of_drawn_set(options.source);
  if (options.source != "builtin:comics")
    fail(Exit::usage, "{} holds single {}, and this model learns from {}", options.source, set->holds,
         options.examples == Examples::pairs ? "pairs: --make-input makes pairs of them"
                                             : "pictures of two kinds");
  check_drawn_size(*set, options);
  return *set;
}

std::vector<ListedExample> faces(int64_t first, int64_t count, const std::vector<std::string>& pictures) {
  return drawn_examples(first, count, pictures,
                        [](int64_t number) { return fmt::format("face-{}", number); });
}

Listing list(const DataOptions& options) {
  const int64_t count = training_count(faces_for(options), options);
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
  listing.test = faces(kFirstDrawnTest, options.builtin_test, whole);
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
