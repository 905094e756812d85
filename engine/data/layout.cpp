// The list of layouts.
#include "engine/data/layout.h"

#include <algorithm>
#include <map>

#include "engine/data/folders.h"

namespace gan {

namespace fs = std::filesystem;

// Each in its own file in layouts/.
extern const DataLayout photos_and_styles_layout, made_inputs_layout, drawn_paintings_layout,
    drawn_faces_layout, two_folders_layout, named_pairs_layout, side_by_side_layout, unpaired_layout,
    folder_layout, several_layout;

std::span<const DataLayout* const> layouts() {
  static constexpr const DataLayout* rows[] = {
      &photos_and_styles_layout,  // the first that recognises a source is taken
      &made_inputs_layout,        //
      &drawn_paintings_layout,    //
      &drawn_faces_layout,        //
      &two_folders_layout,        //
      &named_pairs_layout,        //
      &side_by_side_layout,       //
      &unpaired_layout,           //
      &folder_layout,             //
      &several_layout,
  };
  return rows;
}

const DataLayout& find_layout(const DataOptions& options) {
  const bool takes_made_inputs = options.examples == Examples::pairs ||
                                 options.examples == Examples::styled ||
                                 options.examples == Examples::coloured;
  if (options.make_input != InputKind::none && !takes_made_inputs)
    fail(Exit::usage, "--make-input makes pairs, and this model learns from no pairs: leave it out");
  std::vector<std::string> looked_for;
  for (const DataLayout* layout : layouts()) {
    if (!layout->serves(options)) continue;
    if (layout->recognises(options.source)) return *layout;
    looked_for.push_back(layout->looks_for());
  }
  fail(Exit::bad_data, "{}: {}; looked for {}", options.source, what_is_there(options.source),
       fmt::join(looked_for, "; or "));
}

bool Example::has(const std::string& picture) const {
  return std::any_of(pictures.begin(), pictures.end(),
                     [&](const auto& entry) { return entry.first == picture; });
}

std::vector<fs::path> ListedExample::files() const {
  std::vector<fs::path> files;
  for (const Source& source : sources)
    if (drawn < 0) files.push_back(source.file);
  return files;
}

Listing::Part Listing::part(const std::string& name, const std::string& source) const {
  const bool any = name.empty();
  Part chosen;
  if (name == "test" || any) chosen = {"test", test};
  if (name == "val" || (any && chosen.examples.empty())) chosen = {"val", validation};
  if (name == "train" || (any && chosen.examples.empty())) {
    std::vector<std::vector<ListedExample>> lists;
    for (const DrawList& list : train) lists.push_back(list.examples);
    chosen = {has_parts ? "train" : "all", joined_by_name(lists)};
  }
  if (chosen.examples.empty()) fail(Exit::usage, "{} has no pictures for \"{}\"", source, name);
  return chosen;
}

Reading reading_of(const DataOptions& options, int side, const std::optional<InputSeed>& seed) {
  const bool single = options.examples == Examples::pictures || options.examples == Examples::colour;
  return {side, single ? Filter::bilinear : Filter::bicubic, seed};
}

Example read_example(const DataLayout& layout, const ListedExample& example, const DataOptions& options,
                     const Reading& reading) {
  if (!example.problem.empty()) fail(Exit::bad_data, "{}", example.problem);
  const ReadingTurn turn(example.files());
  Example read = layout.read(example, options, reading);
  read.name = example.name;
  return read;
}

std::vector<ListedExample> joined_by_name(const std::vector<std::vector<ListedExample>>& lists) {
  struct Joined {
    ListedExample example;
    size_t place;      // in its first list
    size_t last_list;  // that gave it a picture
    bool alone;
  };
  std::vector<Joined> joined;
  std::map<std::string, size_t> by_name;
  for (size_t list = 0; list < lists.size(); ++list)
    for (size_t place = 0; place < lists[list].size(); ++place) {
      const ListedExample& example = lists[list][place];
      const auto [found, is_new] = by_name.try_emplace(example.name, joined.size());
      // A name that one list has twice names two examples.
      if (is_new || joined[found->second].last_list == list) {
        joined.push_back({example, place, list, true});
        continue;
      }
      Joined& whole = joined[found->second];
      whole.example.sources.insert(whole.example.sources.end(), example.sources.begin(),
                                   example.sources.end());
      if (whole.example.problem.empty()) whole.example.problem = example.problem;
      whole.last_list = list;
      whole.alone = false;
    }
  std::stable_sort(joined.begin(), joined.end(), [](const Joined& a, const Joined& b) {
    return std::pair(a.alone, a.place) < std::pair(b.alone, b.place);
  });
  std::vector<ListedExample> examples;
  for (Joined& whole : joined) examples.push_back(std::move(whole.example));
  return examples;
}

}  // namespace gan
