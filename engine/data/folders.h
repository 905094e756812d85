// What layouts share: looking into folders, and reading files as they lie there.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "engine/data/layout.h"

namespace gan {

bool is_folder(const std::filesystem::path& path);

// A folder's picture files in the order of their names (bytewise, of the path below the folder). Throws
// Exit::bad_data when the folder is missing, unreadable, a file, or holds no pictures, and says which.
std::vector<std::filesystem::path> list_pictures(const std::filesystem::path& folder);
// Whether it is a folder with a picture somewhere in it. One that cannot be looked into counts.
bool has_pictures(const std::filesystem::path& folder);

// What lies at a path, in words, for an error: "no such folder", "there are the folders x, y and 3 pictures".
std::string what_is_there(const std::filesystem::path& path);

// Every picture of a folder as an example with one source, known as `picture`.
std::vector<ListedExample> examples_in(const std::filesystem::path& folder, const std::string& picture);
// The same by parts: ROOT/train, ROOT/val and ROOT/test if there is a ROOT/train, else all of ROOT trains.
Listing examples_by_parts(const std::filesystem::path& root, const std::string& picture,
                          const std::vector<std::string>& kept);

// Two folders of one part: those of A and of B, of which one may be missing.
struct TwoFolders {
  std::string part;  // "train", "val", "test"
  std::filesystem::path a, b;
  // Exit::bad_data naming the one that is missing.
  void check_both() const;
};
// Of a source that is ROOT/trainA and ROOT/trainB (valA, valB, testA, testB), or ROOT/A and ROOT/B, or two
// folders DIR_A,DIR_B; the latter two may have parts of their own (ROOT/A/train). Empty: nothing like it.
std::vector<TwoFolders> two_folders_of(const std::string& source);

// A picture file as the options want it, at its own size.
Image read_file(const std::filesystem::path& file, const DataOptions& options);
// Scaled so that the shorter side is `side`, and cut to the middle square.
Image fit_square(const Image& image, int side, Filter filter);
// The same where the reading asks for a side.
Image fitted(const Image& image, const Reading& reading);

}  // namespace gan
