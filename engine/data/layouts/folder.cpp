// A folder of single pictures.
#include "engine/data/folders.h"

namespace gan {

namespace {

bool serves(const DataOptions& options) {
  return options.examples == Examples::pictures || options.examples == Examples::colour;
}

bool recognises(const std::string& source) { return has_pictures(source); }

// What only needs pictures learns from all of them; what is measured on others has parts.
Listing list(const DataOptions& options) {
  if (options.examples != Examples::pictures)
    return examples_by_parts(options.source, "picture", {"picture"});
  Listing listing;
  listing.train.push_back({{"picture"}, examples_in(options.source, "picture")});
  return listing;
}

Example read(const ListedExample& example, const DataOptions& options, const Reading& reading) {
  return {{}, {{"picture", fitted(read_file(example.sources[0].file, options), reading)}}};
}

}  // namespace

extern const DataLayout folder_layout = {
    "folder",   "pictures (.jpg .jpeg .png .bmp .pbm .pgm .ppm .pnm), in sub-folders too",
    "pictures", "",
    serves,     recognises,
    list,       read};

}  // namespace gan
