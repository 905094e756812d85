// Pairs out of single pictures: B, the target, is a picture of another layout, and A, the input, is made of it
// (made_input.h).
#include "engine/data/layout.h"

namespace gan {

namespace {

bool serves(const DataOptions& options) {
  return options.examples == Examples::pairs && options.make_input != InputKind::none;
}

// Where the targets come from: single pictures with parts of their own, as colour sets have them.
DataOptions of_targets(const DataOptions& options) {
  DataOptions targets = options;
  targets.examples = Examples::colour;
  targets.make_input = InputKind::none;
  return targets;
}

std::string looks_for() { return "pictures to make inputs of"; }

// Whatever has single pictures will do; find_layout() says what that is if nothing has.
bool recognises(const std::string&) { return true; }

void add_input(Example& example, const DataOptions& options, const InputSeed& seed, int side) {
  Image input = make_input(example.at("B"), options.make_input, seed, side);
  example.pictures.emplace(example.pictures.begin(), "A", std::move(input));
}

void make_anew(Example& cut, const DataOptions& options, const InputSeed& seed) {
  add_input(cut, options, seed, 0);
}

Listing list(const DataOptions& options) {
  const DataOptions targets = of_targets(options);
  const DataLayout& layout = find_layout(targets);
  Listing listing = layout.list(targets);
  for (auto* part : {&listing.train[0].examples, &listing.validation, &listing.test})
    for (ListedExample& example : *part) example.made_of = &layout;
  const bool anew = is_drawn_anew(options.make_input);
  listing.train[0].pictures = anew ? std::vector<std::string>{"B"} : std::vector<std::string>{"A", "B"};
  if (anew) listing.at_each_draw = make_anew;
  return listing;
}

Example read(const ListedExample& example, const DataOptions& options, const Reading& reading) {
  Example pair;
  pair.pictures = {{"B", example.made_of->read(example, of_targets(options), reading).at("picture")}};
  if (reading.seed || !is_drawn_anew(options.make_input))
    add_input(pair, options, reading.seed.value_or(InputSeed{}),
              reading.side > 0 ? reading.side : options.size);
  return pair;
}

}  // namespace

extern const DataLayout made_inputs_layout = {"made inputs", looks_for,  "pictures", "",
                                              serves,        recognises, list,       read};

}  // namespace gan
