// Pictures of two kinds that do not belong together: those of A in one folder, those of B in another. The
// forms of the folders are those of two_folders_of(). Only for validation and testing do files of the same
// name belong together: such pictures show whether the way from A to B is right. What is held out of trainA and
// trainB never does, for there pictures are often numbered alike.
#include "engine/data/folders.h"

namespace gan {

namespace {

bool serves(const DataOptions& options) { return options.examples == Examples::unpaired; }

std::string looks_for() {
  return "folders trainA and trainB (testA and testB), or A and B, or two as DIR_A,DIR_B";
}

bool recognises(const std::string& source) { return !two_folders_of(source).empty(); }

// The usual sets have trainA, trainB, testA and testB. Where there is no part for validation, the part for
// testing serves.
Listing list(const DataOptions& options) {
  Listing listing;
  listing.train = {{{"A"}, {}}, {{"B"}, {}}};
  const std::string a = options.b_to_a ? "B" : "A", b = options.b_to_a ? "A" : "B";
  const std::vector<TwoFolders> all = two_folders_of(options.source);
  for (const TwoFolders& folders : all) {
    // One of the two kinds may be missing where nothing trains.
    if (folders.part == "train") folders.check_both();
    if (folders.named_by_part) listing.equal_names_match = false;
    std::vector<ListedExample> of_a, of_b;
    if (is_folder(folders.a)) of_a = examples_in(folders.a, a, listing.passed_over);
    if (is_folder(folders.b)) of_b = examples_in(folders.b, b, listing.passed_over);
    if (options.b_to_a) std::swap(of_a, of_b);
    const auto add = [](std::vector<ListedExample>& into, const std::vector<ListedExample>& examples) {
      into.insert(into.end(), examples.begin(), examples.end());
    };
    if (folders.part == "val") add(listing.validation, joined_by_name({of_a, of_b}));
    else if (folders.part == "test") add(listing.test, joined_by_name({of_a, of_b}));
    else add(listing.train[0].examples, of_a), add(listing.train[1].examples, of_b);
  }
  listing.has_parts = !listing.validation.empty() || !listing.test.empty();
  note_unused(options.source, all, listing.passed_over);
  listing.validates_on_test = listing.validation.empty();
  return listing;
}

Example read(const ListedExample& example, const DataOptions& options, const Reading& reading) {
  Example pictures;
  for (const auto& source : example.sources)
    pictures.pictures.emplace_back(source.picture, fitted(read_file(source.file, options), reading));
  return pictures;
}

}  // namespace

extern const DataLayout unpaired_layout = {"unpaired", looks_for,  "pictures", "--unpaired",
                                           serves,     recognises, list,       read};

}  // namespace gan
