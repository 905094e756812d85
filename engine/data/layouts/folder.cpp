// A folder of single pictures.
#include "engine/data/folders.h"

namespace gan {

namespace {

bool serves(const DataOptions& options) {
  return options.examples == Examples::pictures || options.examples == Examples::colour;
}

std::string looks_for() { return fmt::format("pictures ({}), in sub-folders too", picture_extensions()); }

bool recognises(const std::string& source) { return has_pictures(source); }

Listing list(const DataOptions& options) { return examples_by_parts(options.source, "picture", {"picture"}); }

Example read(const ListedExample& example, const DataOptions& options, const Reading& reading) {
  return {{}, {{"picture", fitted(read_file(example.sources[0].file, options), reading)}}};
}

}  // namespace

extern const DataLayout folder_layout = {"folder", looks_for, "pictures", "", serves, recognises, list, read};

}  // namespace gan
