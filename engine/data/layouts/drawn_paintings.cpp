// builtin:abstract, paintings drawn in code: single pictures, named by their schools. builtin:abstract:impasto are those
// of one school.
#include "engine/data/abstract.h"
#include "engine/data/drawn_sets.h"

namespace gan {

namespace {

constexpr const char* kSource = "builtin:abstract";

bool serves(const DataOptions& options) {
  return options.examples == Examples::pictures || options.examples == Examples::colour;
}

std::string looks_for() { return kSource; }

bool recognises(const std::string& source) { return find_drawn_set(source) == find_drawn_set(kSource); }

Listing list(const DataOptions& options) {
  const DrawnSet& set = *find_drawn_set(kSource);
  check_drawn_size(set, options);
  const std::string wanted = kind_of_drawn_set(options.source);
  const auto paintings = [&](int64_t first, int64_t count) {
    return drawn_examples(first, count, {"picture"}, [&](int64_t number) {
      const std::string school = abstract_school(uint64_t(number));
      return wanted.empty() || school == wanted ? fmt::format("{}-{}", school, number) : "";
    });
  };
  Listing listing;
  listing.train = {{{"picture"}, paintings(0, training_count(set, options))}};
  listing.has_parts = true;
  listing.test = paintings(kFirstDrawnTest, options.builtin_test);
  return listing;
}

Example read(const ListedExample& example, const DataOptions& options, const Reading& reading) {
  if (reading.side == 0) fail(Exit::usage, "{} has no size of its own: leave out --full-size", kSource);
  return {{}, {{"picture", draw_abstract(uint64_t(example.drawn), reading.side, options.channels)}}};
}

}  // namespace

extern const DataLayout drawn_paintings_layout = {"abstract", looks_for,  "paintings", "",
                                                  serves,     recognises, list,        read};

}  // namespace gan
