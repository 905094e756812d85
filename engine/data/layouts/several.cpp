// Single pictures from several sources at once, named one behind the other with commas between:
// builtin:abstract,builtin:comics. Each is read as it would be alone.
#include "engine/data/folders.h"

namespace gan {

namespace {

bool serves(const DataOptions& options) {
  return options.examples == Examples::pictures || options.examples == Examples::colour;
}

std::string looks_for() { return "several of these, as SOURCE,SOURCE"; }

std::vector<std::string> sources_of(const std::string& text) {
  std::vector<std::string> sources;
  for (size_t from = 0; from <= text.size();) {
    const size_t comma = std::min(text.find(',', from), text.size());
    sources.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return sources;
}

// A folder whose name has a comma is one source.
bool recognises(const std::string& source) {
  const std::vector<std::string> sources = sources_of(source);
  const auto is_empty = [](const std::string& one) { return one.empty(); };
  return sources.size() > 1 && !has_pictures(source) &&
         std::none_of(sources.begin(), sources.end(), is_empty);
}

DataOptions of_source(const DataOptions& options, const std::string& source) {
  DataOptions one = options;
  one.source = source;
  return one;
}

std::string begins(const std::string& source) { return source + ": "; }

// Each part of all sources together. An example's name begins with its source.
Listing list(const DataOptions& options) {
  Listing all;
  all.train = {{{"picture"}, {}}};
  for (const std::string& source : sources_of(options.source)) {
    const DataOptions one = of_source(options, source);
    const DataLayout& layout = find_layout(one);
    Listing listing = layout.list(one);
    const auto add = [&](std::vector<ListedExample>& into, std::vector<ListedExample>& examples) {
      for (ListedExample& example : examples) {
        example.name = begins(source) + example.name;
        example.of_source = &layout;
        into.push_back(std::move(example));
      }
    };
    add(all.train[0].examples, listing.train[0].examples);
    add(all.validation, listing.validation);
    add(all.test, listing.test);
    all.has_parts = all.has_parts || listing.has_parts;
    const PassedOver& left = listing.passed_over;
    for (const auto& [kind, count] : left.kinds) all.passed_over.kinds[kind] += count;
    for (const auto& [kind, count] : left.unused_pictures) all.passed_over.unused_pictures[kind] += count;
    all.passed_over.folders.insert(all.passed_over.folders.end(), left.folders.begin(), left.folders.end());
  }
  return all;
}

Example read(const ListedExample& example, const DataOptions& options, const Reading& reading) {
  for (const std::string& source : sources_of(options.source)) {
    if (!example.name.starts_with(begins(source))) continue;
    return example.of_source->read(example, of_source(options, source), reading);
  }
  fail(Exit::failure, "{} is of none of the sources {}", example.name, options.source);
}

}  // namespace

extern const DataLayout several_layout = {"several", looks_for,  "pictures", "",
                                          serves,    recognises, list,       read};

}  // namespace gan
