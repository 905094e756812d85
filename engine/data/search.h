// Looking through folders for pictures: what counts as one, what is passed over, and how that is said.
//
// Symbolic links are followed, to files and to folders; a folder that is reached again inside itself is a loop
// and is passed over. What begins with a dot is hidden, and `__MACOSX` is what an archiver left behind. Runs of
// this program and folders that it filled with pictures are never data, unless such an output folder is asked
// for by its own name.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace gan {

// What a search left aside.
struct PassedOver {
  std::map<std::string, int64_t> kinds;  // files by their extension, or "hidden", "broken links", ...
  std::map<std::string, int64_t> unused_pictures;  // pictures outside of what is used, by what that is
  std::vector<std::string> folders;                // each with its reason
  bool empty() const { return kinds.empty() && unused_pictures.empty() && folders.empty(); }
  // "120 other files passed over: webp 100, txt 20; ..."; empty when there is nothing.
  std::string words() const;
};

bool is_folder(const std::filesystem::path& path);

// A folder's picture files in the order of their names (bytewise, of the path below the folder), and that file
// alone if `folder` is a picture file. `except`: folders in `folder` that are not looked into. Throws
// Exit::bad_data when the folder is missing, unreadable, a run of this program, a file of another kind, or
// holds no pictures, and says which.
std::vector<std::filesystem::path> list_pictures(const std::filesystem::path& folder, PassedOver& passed_over,
                                                 const std::vector<std::filesystem::path>& except = {});
std::vector<std::filesystem::path> list_pictures(const std::filesystem::path& folder);
// The same, and an empty list where there is no picture.
std::vector<std::filesystem::path> list_if_any(const std::filesystem::path& folder, PassedOver& passed_over,
                                               const std::vector<std::filesystem::path>& except = {});
// Whether it is a picture file, or a folder with one somewhere in it. A folder that cannot be looked into counts.
bool has_pictures(const std::filesystem::path& path);

// The folders in a folder that may hold pictures, sorted by name. None where it cannot be looked into.
std::vector<std::filesystem::path> subfolders(const std::filesystem::path& folder);

// What lies at a path, in words, for an error: "no such folder", "here are the folders x, y, 3 pictures".
std::string what_is_there(const std::filesystem::path& path);

// Marks a folder as one that this program fills with pictures, so that no search takes them for data. Nothing
// is done where the folder holds something else already. The folder must exist.
void mark_output_folder(const std::filesystem::path& folder);

}  // namespace gan
