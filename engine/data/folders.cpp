// Parts and halves of a source by the names of its folders.
#include "engine/data/folders.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>

namespace gan {

namespace fs = std::filesystem;

namespace {

// Folder names of the parts, in lower case.
struct PartName {
  const char *name, *part;
};
constexpr PartName kPartNames[] = {
    {"train", "train"}, {"val", "val"}, {"valid", "val"}, {"validation", "val"}, {"test", "test"}};
constexpr const char* kParts[] = {"train", "val", "test"};

// Folder names of two halves, in lower case. Of the first row one is enough to know the form, and the other is
// missing; of the other rows, which are words that name other things too, both have to be there.
struct NamesOfTwo {
  const char *a, *b;
};
constexpr NamesOfTwo kNamesOfTwo[] = {
    {"a", "b"},      {"input", "target"}, {"input", "output"}, {"input", "gt"},    {"source", "target"},
    {"lq", "gt"},    {"lq", "hq"},        {"lr", "hr"},        {"low", "high"},    {"blur", "sharp"},
    {"noisy", "gt"}, {"noisy", "clean"},  {"sketch", "photo"}, {"images", "masks"}};

std::string lower_case(std::string text) {
  for (char& c : text) c = char(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// The part that a folder of this name is, or "".
std::string part_named(const fs::path& folder) {
  const std::string name = lower_case(folder.filename().string());
  for (const PartName& known : kPartNames)
    if (name == known.name) return known.part;
  return "";
}

struct PartFolder {
  std::string part;
  fs::path folder;
};
// The folders of the parts that are there, in the order train, val, test.
std::vector<PartFolder> parts_of(const fs::path& root) {
  std::vector<PartFolder> parts;
  const std::vector<fs::path> folders = subfolders(root);
  for (const char* part : kParts)
    for (const fs::path& folder : folders)
      if (part_named(folder) == part) parts.push_back({part, folder});
  return parts;
}

// The folder of a part in a folder, or where it would be.
fs::path part_in(const fs::path& folder, const std::string& part) {
  for (const PartFolder& found : parts_of(folder))
    if (found.part == part) return found.folder;
  return folder / part;
}

void add_unused(PassedOver& passed_over, const fs::path& root, const std::vector<fs::path>& used,
                const std::string& words) {
  PassedOver beside;
  const size_t pictures = list_if_any(root, beside, used).size();
  for (const auto& [kind, count] : beside.kinds) passed_over.kinds[kind] += count;
  passed_over.folders.insert(passed_over.folders.end(), beside.folders.begin(), beside.folders.end());
  if (pictures > 0) passed_over.unused_pictures[words] += int64_t(pictures);
}

}  // namespace

std::vector<ListedExample> examples_in(const fs::path& folder, const std::string& picture,
                                       PassedOver& passed_over) {
  std::vector<ListedExample> examples;
  for (auto& file : list_pictures(folder, passed_over)) {
    const fs::path below = file == folder ? file.filename() : file.lexically_relative(folder);
    examples.push_back({fs::path(below).replace_extension().string(), {{picture, file}}, "", "", -1});
  }
  return examples;
}

Listing examples_by_parts(const fs::path& root, const std::string& picture,
                          const std::vector<std::string>& kept) {
  Listing listing;
  listing.train.push_back({kept, {}});
  const std::vector<PartFolder> parts = parts_of(root);
  if (parts.empty()) {
    listing.train[0].examples = examples_in(root, picture, listing.passed_over);
    return listing;
  }
  listing.has_parts = true;
  std::vector<fs::path> folders;
  std::vector<std::string> names;
  for (const auto& [part, folder] : parts) {
    folders.push_back(folder);
    names.push_back(folder.filename().string() + "/");
    if (part != "train" && !has_pictures(folder)) {  // what trains can do without
      listing.passed_over.folders.push_back(folder.string() + ": no pictures");
      continue;
    }
    const auto found = examples_in(folder, picture, listing.passed_over);
    auto* into = &listing.train[0].examples;
    if (part != "train") into = part == "val" ? &listing.validation : &listing.test;
    into->insert(into->end(), found.begin(), found.end());
  }
  if (parts[0].part == "train") {
    add_unused(listing.passed_over, root, folders, fmt::format("{}", fmt::join(names, ", ")));
    return listing;
  }
  for (const fs::path& file : list_if_any(root, listing.passed_over, folders))
    listing.train[0].examples.push_back(
        {file.lexically_relative(root).replace_extension().string(), {{picture, file}}, "", "", -1});
  return listing;
}

void TwoFolders::check_both() const {
  for (const auto& [missing, other] : {std::pair(a, b), std::pair(b, a)})
    if (!is_folder(missing))
      fail(Exit::bad_data, "{}: no such folder; the pictures in {} want others beside them", missing.string(),
           other.string());
}

namespace {

// The halves of DIR_A,DIR_B. The names of folders may have commas too.
std::optional<std::pair<fs::path, fs::path>> named_folders(const std::string& source) {
  if (is_folder(source)) return {};
  std::optional<std::pair<fs::path, fs::path>> first;
  for (size_t comma = source.find(','); comma != source.npos; comma = source.find(',', comma + 1)) {
    const std::pair<fs::path, fs::path> halves{source.substr(0, comma), source.substr(comma + 1)};
    if (is_folder(halves.first) && is_folder(halves.second)) return halves;
    if (!first && !halves.first.empty() && !halves.second.empty()) first = halves;
  }
  return first;
}

// Two folders that hold both halves, or parts of them.
std::vector<TwoFolders> by_halves(const fs::path& a, const fs::path& b) {
  if (!is_folder(part_in(a, "train")) && !is_folder(part_in(b, "train"))) return {{"train", a, b, false}};
  std::vector<TwoFolders> found;
  for (const std::string part : kParts) {
    const TwoFolders folders{part, part_in(a, part), part_in(b, part), false};
    if (is_folder(folders.a) || is_folder(folders.b)) found.push_back(folders);
  }
  return found;
}

// Folders of two halves in one folder, called PREFIX and the name of a half. `in_capitals`: a single letter
// counts only as a capital, for small ones may name classes.
std::optional<std::pair<fs::path, fs::path>> halves_in(const fs::path& folder, const std::string& prefix,
                                                       bool in_capitals) {
  std::map<std::string, fs::path> by_name;
  for (const fs::path& path : subfolders(folder)) {
    const std::string name = path.filename().string();
    const bool small_letter = name.size() == 1 && std::islower(static_cast<unsigned char>(name[0]));
    if (!(in_capitals && small_letter)) by_name.emplace(lower_case(name), path);
  }
  for (const NamesOfTwo& names : kNamesOfTwo) {
    const auto a = by_name.find(prefix + names.a), b = by_name.find(prefix + names.b);
    const bool has_a = a != by_name.end(), has_b = b != by_name.end();
    if (has_a && has_b) return std::pair(a->second, b->second);
    if (&names != &kNamesOfTwo[0] || (!has_a && !has_b)) continue;
    // Where the missing one would be: as the other, with the other letter in its case.
    std::string other = (has_a ? a : b)->second.filename().string();
    other.back() = char(other.back() + (has_a ? 1 : -1));
    return has_a ? std::pair(a->second, folder / other) : std::pair(folder / other, b->second);
  }
  return {};
}

}  // namespace

std::vector<TwoFolders> two_folders_of(const std::string& source) {
  const fs::path root = source;
  if (const auto halves = named_folders(source)) return by_halves(halves->first, halves->second);
  if (const auto halves = halves_in(root, "", true)) return by_halves(halves->first, halves->second);
  std::vector<TwoFolders> found;
  for (const PartName& known : kPartNames)  // trainA, train_A, train-A
    for (const char* separator : {"", "_", "-"})
      if (const auto halves = halves_in(root, std::string(known.name) + separator, false))
        found.push_back({known.part, halves->first, halves->second, true});
  if (!found.empty()) return found;
  for (const auto& [part, folder] : parts_of(root))  // train/A
    if (const auto halves = halves_in(folder, "", false))
      found.push_back({part, halves->first, halves->second, false});
  return found;
}

void note_unused(const std::string& source, const std::vector<TwoFolders>& used, PassedOver& passed_over) {
  if (!is_folder(source)) return;  // two folders, all of which is used
  std::vector<fs::path> folders;
  std::vector<std::string> names;
  for (const TwoFolders& two : used)
    for (const fs::path& folder : {two.a, two.b})
      if (is_folder(folder)) {
        folders.push_back(folder);
        names.push_back(folder.lexically_relative(source).string() + "/");
      }
  add_unused(passed_over, source, folders, fmt::format("{}", fmt::join(names, ", ")));
}

Image read_file(const fs::path& file, const DataOptions& options) {
  return read_image(file, {.channels = options.channels, .matte = options.matte});
}

Image fit_square(const Image& image, int side, Filter filter) {
  const int shorter = std::min(image.height, image.width), longer = std::max(image.height, image.width);
  if (image.height == side && image.width == side) return image;
  // Of a picture as narrow as a thread only the middle: scaled whole it would fill the memory.
  if (longer / 8 > shorter)
    return fit_square(
        center_crop(image, std::min(image.height, 8 * shorter), std::min(image.width, 8 * shorter)), side,
        filter);
  return center_crop(resize_shorter_side(image, side, filter), side, side);
}

Image fitted(const Image& image, const Reading& reading) {
  return reading.side > 0 ? fit_square(image, reading.side, reading.filter) : image;
}

Example read_two_files(const ListedExample& example, const DataOptions& options, const Reading& reading) {
  const auto &file_a = example.sources[0].file, &file_b = example.sources[1].file;
  Image a = read_file(file_a, options), b = read_file(file_b, options);
  if (a.height != b.height || a.width != b.width)
    fail(Exit::bad_data, "{} is {} x {} and its partner {} is {} x {}: a pair has one size", file_a.string(),
         a.width, a.height, file_b.string(), b.width, b.height);
  if (options.b_to_a) std::swap(a, b);
  return {{}, {{"A", fitted(a, reading)}, {"B", fitted(b, reading)}}};
}

}  // namespace gan
