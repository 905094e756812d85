// What layouts share: the parts of a source and its two halves, found by the names of folders, and reading files
// as they lie there.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "engine/data/layout.h"
#include "engine/data/search.h"

namespace gan {

// Every picture of a folder as an example with one source, known as `picture`; a picture file is one example.
std::vector<ListedExample> examples_in(const std::filesystem::path& folder, const std::string& picture,
                                       PassedOver& passed_over);
// The same by parts: folders train, val (valid, validation) and test in ROOT, in any case. What lies outside of
// them trains if there is no train.
Listing examples_by_parts(const std::filesystem::path& root, const std::string& picture,
                          const std::vector<std::string>& kept);

// Two folders of one part: those of A and of B, of which one may be missing.
struct TwoFolders {
  std::string part;  // "train", "val", "test"
  std::filesystem::path a, b;
  bool named_by_part =
      false;  // trainA and trainB, as sets are called whose pictures need not belong together
  // Exit::bad_data naming the one that is missing.
  void check_both() const;
};
// Of a source that has folders for A and B in one of these forms, the first that is there; `A` and `B` may be
// `input` and `target` or other usual names (kNamesOfTwo in folders.cpp), parts as in examples_by_parts():
//   ROOT/A, ROOT/B, or two folders DIR_A,DIR_B, both with or without parts of their own (ROOT/A/train)
//   ROOT/trainA, ROOT/trainB, also train_A or train-A
//   ROOT/train/A, ROOT/train/B
// Empty: nothing like it.
std::vector<TwoFolders> two_folders_of(const std::string& source);
// Adds pictures of a source that are in none of its two folders to what is passed over.
void note_unused(const std::string& source, const std::vector<TwoFolders>& used, PassedOver& passed_over);

// Whether a picture of that size may be A and B side by side: its width is twice its height, within a twentieth.
bool looks_like_pair(int width, int height);
extern const DataLayout side_by_side_layout;  // the layout of such files

// A picture file as the options want it, at its own size.
Image read_file(const std::filesystem::path& file, const DataOptions& options);
// Scaled so that the shorter side is `side`, and cut to the middle square.
Image fit_square(const Image& image, int side, Filter filter);
// The same where the reading asks for a side.
Image fitted(const Image& image, const Reading& reading);
// A pair of two files, A first, as DataLayout::read: both have one size.
Example read_two_files(const ListedExample& example, const DataOptions& options, const Reading& reading);

}  // namespace gan
