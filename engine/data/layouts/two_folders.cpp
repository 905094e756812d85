// Finding and reading pairs of pictures.
#include "engine/data/layout.h"

#include <map>

#include "engine/data/picture_set.h"
#include "kernels/check.h"

namespace gan {

namespace fs = std::filesystem;

namespace {

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::string name_below(const fs::path& file, const fs::path& folder) {
  return file.lexically_relative(folder).replace_extension().string();
}

std::vector<PictureFile> singles_in(const fs::path& folder) {
  std::vector<PictureFile> files;
  for (auto& file : list_pictures(folder)) files.push_back({name_below(file, folder), file, {}, {}});
  return files;
}

// Files of the same name in two folders. What is in one alone, or twice under one name, is a problem.
std::vector<PictureFile> pairs_in(const fs::path& a, const fs::path& b) {
  std::map<std::string, PictureFile> pairs;  // in the order of names
  for (auto& found : singles_in(a)) {
    auto& entry = pairs[found.name];
    if (entry.file.empty()) entry = found;
    else
      entry.problem = fmt::format("{} and {} have the same name", entry.file.string(), found.file.string());
  }
  for (auto& found : singles_in(b)) {
    auto& entry = pairs[found.name];
    entry.name = found.name;
    if (entry.file.empty())
      entry.problem = fmt::format("{}: no partner {}.* in {}", found.file.string(), found.name, a.string());
    else if (entry.partner.empty()) entry.partner = found.file;
    else
      entry.problem =
          fmt::format("{} and {} have the same name", entry.partner.string(), found.file.string());
  }
  std::vector<PictureFile> files;
  for (auto& [name, entry] : pairs) {
    if (entry.partner.empty() && entry.problem.empty())
      entry.problem = fmt::format("{}: no partner {}.* in {}", entry.file.string(), name, b.string());
    files.push_back(entry);
  }
  return files;
}

}  // namespace

const std::vector<PictureFile>& PictureListing::part(const std::string& name,
                                                     const std::string& folder) const {
  const auto& chosen = name == "train"  ? train
                       : name == "val"  ? validation
                       : name == "test" ? test
                       : !test.empty()  ? test
                                        : (validation.empty() ? train : validation);
  if (chosen.empty()) fail(Exit::usage, "{} has no pictures for \"{}\"", folder, name);
  return chosen;
}

PictureListing list_pairs(const fs::path& root) {
  PictureListing listing;
  struct Part {
    const char* name;
    std::vector<PictureFile>* files;
  };
  const Part parts[] = {{"train", &listing.train}, {"val", &listing.validation}, {"test", &listing.test}};
  const auto both = [&](const fs::path& a, const fs::path& b) {  // the two folders of a layout
    if (is_folder(a) == is_folder(b)) return is_folder(a);
    const bool has_a = is_folder(a);
    fail(Exit::bad_data, "{}: no folder {} for the partners of the pictures in {}", root.string(),
         (has_a ? b : a).filename().string(), (has_a ? a : b).filename().string());
  };
  if (both(root / "A", root / "B")) {
    if (both(root / "A" / "train", root / "B" / "train")) {
      for (const Part& part : parts)
        if (both(root / "A" / part.name, root / "B" / part.name))
          *part.files = pairs_in(root / "A" / part.name, root / "B" / part.name);
      listing.has_parts = true;
    } else {
      listing.train = pairs_in(root / "A", root / "B");
    }
  } else if (both(root / "trainA", root / "trainB")) {
    for (const Part& part : parts) {
      const std::string name = part.name;
      if (both(root / (name + "A"), root / (name + "B")))
        *part.files = pairs_in(root / (name + "A"), root / (name + "B"));
    }
    listing.has_parts = true;
  } else {
    listing = list_singles(root);
  }
  return listing;
}

PictureListing list_singles(const fs::path& root) {
  PictureListing listing;
  listing.has_parts = is_folder(root / "train");
  if (!listing.has_parts) {
    listing.train = singles_in(root);
    return listing;
  }
  listing.train = singles_in(root / "train");
  if (is_folder(root / "val")) listing.validation = singles_in(root / "val");
  if (is_folder(root / "test")) listing.test = singles_in(root / "test");
  return listing;
}

PicturePair read_pair(const PictureFile& file, bool b_to_a, const DecodeOptions& decode) {
  if (!file.problem.empty()) fail(Exit::bad_data, "{}", file.problem);
  PicturePair pair;
  if (file.partner.empty()) {
    const Image both = read_image(file.file, decode);
    if (both.width % 2 != 0)
      fail(Exit::bad_data, "{}: {} x {} pixels: a picture with A and B side by side has an even width",
           file.file.string(), both.width, both.height);
    pair.input = crop(both, 0, 0, both.height, both.width / 2);
    pair.target = crop(both, 0, both.width / 2, both.height, both.width / 2);
  } else {
    pair.input = read_image(file.file, decode);
    pair.target = read_image(file.partner, decode);
    if (pair.input.height != pair.target.height || pair.input.width != pair.target.width)
      fail(Exit::bad_data, "{} is {} x {} and its partner {} is {} x {}: a pair has one size",
           file.file.string(), pair.input.width, pair.input.height, file.partner.string(), pair.target.width,
           pair.target.height);
  }
  if (b_to_a) std::swap(pair.input, pair.target);
  return pair;
}

}  // namespace gan
