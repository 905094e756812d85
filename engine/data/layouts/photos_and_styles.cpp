// Photos and pictures of a style, which do not belong together: photos in the source, the style in a source of its
// own (DataOptions::style). A is a photo, B a picture of the style; "drawn" and "soft" are what is made of them
// (style_examples.h). For validation there are photos alone.
#include "engine/data/folders.h"
#include "engine/data/style_examples.h"

namespace gan {

namespace {

bool serves(const DataOptions& options) { return options.examples == Examples::styled; }

std::string looks_for() { return "photos, and with --style the pictures of the style"; }

// Whatever has single pictures will do; find_layout() says what that is if nothing has.
bool recognises(const std::string&) { return true; }

DataOptions of_source(const DataOptions& options, const std::string& source) {
  DataOptions single = options;
  single.examples = Examples::pictures;
  single.source = source;
  single.style.clear();
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

Listing list(const DataOptions& options) {
  if (options.style.empty())
    fail(Exit::usage, "no pictures of a style: give a folder with --style, or --style builtin:comics");
  const DataOptions photos = of_source(options, options.source), styles = of_source(options, options.style);
  const DataLayout &reads_photos = find_layout(photos), &reads_styles = find_layout(styles);
  Listing listing = reads_photos.list(photos);
  Listing of_style = reads_styles.list(styles);
  for (auto* part : {&listing.train[0].examples, &listing.validation, &listing.test})
    *part = known_as("A", std::move(*part), reads_photos);
  listing.train[0].pictures = {"A", "drawn"};
  listing.train.push_back(
      {{"B", "soft"}, known_as("B", std::move(of_style.train[0].examples), reads_styles)});
  listing.held_out_lists = 1;
  return listing;
}

Example read(const ListedExample& example, const DataOptions& options, const Reading& reading) {
  const bool photo = example.sources[0].picture == "A";
  // Drawn faces are photos as "A" and comics as "B"; other layouts of single pictures do not ask.
  const DataOptions single = of_source(options, photo ? options.source : options.style);
  Image picture = std::move(example.made_of->read(example, single, reading).pictures[0].second);
  Image made = photo ? drawn_by_rules(picture) : with_soft_edges(picture);
  Example read;
  read.pictures.emplace_back(photo ? "A" : "B", std::move(picture));
  read.pictures.emplace_back(photo ? "drawn" : "soft", std::move(made));
  return read;
}

}  // namespace

extern const DataLayout photos_and_styles_layout = {"photos and styles", looks_for, "pictures", "", serves,
                                                    recognises,          list,      read};

}  // namespace gan
