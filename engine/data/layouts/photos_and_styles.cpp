// Photos and pictures of a style, which do not belong together: photos in the source, the style in a source of its
// own (DataOptions::style). A is a photo, B a picture of the style; "drawn" and "soft" are what is made of them
// (style_examples.h), where the style is learnt, and "grain" is what strokes of a brush come from. With --make-input
// there is "made" too, the input that is made of the photo (made_input.h). For validation there are photos alone.
#include "engine/data/folders.h"
#include "engine/data/style_examples.h"
#include "engine/files/safetensors.h"

namespace gan {

namespace {

bool serves(const DataOptions& options) {
  return options.examples == Examples::styled || options.examples == Examples::referenced ||
         options.examples == Examples::coloured;
}

// Whether teachers and counter-examples are made.
bool teaches(const DataOptions& options) { return options.examples == Examples::styled; }

std::string looks_for() { return "photos, and with --style the pictures of the style"; }

// Whatever has single pictures will do; find_layout() says what that is if nothing has.
bool recognises(const std::string&) { return true; }

DataOptions of_source(const DataOptions& options, const std::string& source) {
  DataOptions single = options;
  single.examples = Examples::pictures;
  single.source = source;
  single.style.clear();
  single.make_input = InputKind::none;
  return single;
}

// Those examples, known as `picture` of the layout that reads them.
std::vector<ListedExample> known_as(const std::string& picture, std::vector<ListedExample> examples,
                                    const DataLayout& layout) {
  for (ListedExample& example : examples) {
    example.made_of = &layout;
    for (auto& source : example.sources) source.picture = picture;
  }
  return examples;
}

// Whether the teacher's strokes come out of a grain.
bool brushes(const DataOptions& options) { return teaches(options) && has_grain(options.teacher); }

Image teacher_of(const Image& photo, const DataOptions& options) {
  return options.teacher == "painted" ? painted_by_rules(photo) : drawn_by_rules(photo);
}

void add_made(Example& example, const DataOptions& options, const InputSeed& seed, int side) {
  Image made = make_input(example.at("A"), options.make_input, seed, side);
  example.pictures.emplace_back("made", std::move(made));
}

void make_anew(Example& cut, const DataOptions& options, const InputSeed& seed) {
  add_made(cut, options, seed, 0);
}

Listing list(const DataOptions& options) {
  if (options.style.empty())
    fail(Exit::usage, "no pictures of a style: give a folder with --style, or --style builtin:comics");
  const DataOptions photos = of_source(options, options.source), styles = of_source(options, options.style);
  const DataLayout &reads_photos = find_layout(photos), &reads_styles = find_layout(styles);
  Listing listing = reads_photos.list(photos);
  Listing of_style = reads_styles.list(styles);
  for (auto* part : {&listing.train[0].examples, &listing.validation, &listing.test})
    *part = known_as("A", std::move(*part), reads_photos);
  std::vector<std::string>& of_photo = listing.train[0].pictures;
  std::vector<std::string> of_style_picture = {"B"};
  of_photo = {"A"};
  if (teaches(options)) of_photo.push_back("drawn"), of_style_picture.push_back("soft");
  if (brushes(options)) of_photo.push_back("grain");
  if (is_drawn_anew(options.make_input)) listing.at_each_draw = make_anew;
  else if (options.make_input != InputKind::none) of_photo.push_back("made");
  listing.train.push_back(
      {of_style_picture, known_as("B", std::move(of_style.train[0].examples), reads_styles)});
  listing.held_out_lists = 1;
  return listing;
}

Example read(const ListedExample& example, const DataOptions& options, const Reading& reading) {
  const bool photo = example.sources[0].picture == "A";
  // Drawn faces are photos as "A" and comics as "B"; other layouts of single pictures do not ask.
  const DataOptions single = of_source(options, photo ? options.source : options.style);
  Image picture = std::move(example.made_of->read(example, single, reading).pictures[0].second);
  Example read;
  read.pictures.emplace_back(photo ? "A" : "B", picture);
  if (photo && brushes(options)) {  // the same grain whenever this photo is read
    const uint64_t seed = xxh64(std::as_bytes(std::span(example.name)), options.seed);
    Image grain = grain_of(picture.height, picture.width, picture.channels, seed);
    read.pictures.emplace_back("drawn", brushed_by_rules(picture, grain));
    read.pictures.emplace_back("grain", std::move(grain));
  } else if (teaches(options)) {
    read.pictures.emplace_back(photo ? "drawn" : "soft",
                               photo ? teacher_of(picture, options) : with_soft_edges(picture));
  }
  const bool anew = is_drawn_anew(options.make_input);
  if (photo && options.make_input != InputKind::none && (reading.seed || !anew))
    add_made(read, options, reading.seed.value_or(InputSeed{}),
             reading.side > 0 ? reading.side : options.size);
  return read;
}

}  // namespace

extern const DataLayout photos_and_styles_layout = {"photos and styles", looks_for, "pictures", "", serves,
                                                    recognises,          list,      read};

}  // namespace gan
