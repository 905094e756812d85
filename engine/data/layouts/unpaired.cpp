// Pictures of two kinds that do not belong together: those of A in one folder, those of B in another. The
// forms of the folders are those of two_folders_of(). Only for validation and testing do files of the same
// name belong together: such pictures show whether the way from A to B is right.
#include "engine/data/folders.h"

namespace gan {

namespace {

bool serves(const DataOptions& options) { return options.examples == Examples::unpaired; }

bool recognises(const std::string& source) { return !two_folders_of(source).empty(); }

// The usual sets have trainA, trainB, testA and testB. Where there is no part for validation, the part for
// testing serves.
Listing list(const DataOptions& options) {
  Listing listing;
  listing.train = {{{"A"}, {}}, {{"B"}, {}}};
  const std::string a = options.b_to_a ? "B" : "A", b = options.b_to_a ? "A" : "B";
  for (const TwoFolders& folders : two_folders_of(options.source)) {
    // One of the two kinds may be missing where nothing trains.
    if (folders.part == "train") folders.check_both();
    std::vector<ListedExample> of_a, of_b;
    if (is_folder(folders.a)) of_a = examples_in(folders.a, a);
    if (is_folder(folders.b)) of_b = examples_in(folders.b, b);
    if (options.b_to_a) std::swap(of_a, of_b);
    if (folders.part == "val") listing.validation = joined_by_name({of_a, of_b});
    else if (folders.part == "test") listing.test = joined_by_name({of_a, of_b});
    else listing.train[0].examples = std::move(of_a), listing.train[1].examples = std::move(of_b);
  }
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

extern const DataLayout unpaired_layout = {
    "unpaired", "folders trainA and trainB (testA and testB), or A and B, or two as DIR_A,DIR_B",
    "pictures", "--unpaired",
    serves,     recognises,
    list,       read};

}  // namespace gan
