// Looking into folders.
#include "engine/data/folders.h"

#include <algorithm>
#include <optional>

namespace gan {

namespace fs = std::filesystem;

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

namespace {
// Empty for a folder.
std::string why_no_folder(const fs::path& path) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status)) return "no such folder";
  return fs::is_directory(status) ? "" : "not a folder; give the folder that holds the pictures";
}
}  // namespace

std::vector<fs::path> list_pictures(const fs::path& folder) {
  if (const std::string why = why_no_folder(folder); !why.empty())
    fail(Exit::bad_data, "{}: {}", folder.string(), why);
  std::vector<fs::path> files;
  size_t others = 0;
  std::error_code error;
  auto walk = fs::recursive_directory_iterator(folder, error);
  for (; !error && walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    std::error_code ignored;
    if (walk->is_directory(ignored)) continue;
    if (looks_like_image(walk->path())) files.push_back(walk->path());
    else ++others;
  }
  if (error) fail(Exit::bad_data, "{}: cannot be listed: {}", folder.string(), error.message());
  if (files.empty())
    fail(Exit::bad_data, "{}: no pictures here (.jpg .jpeg .png .bmp .pbm .pgm .ppm .pnm){}", folder.string(),
         others ? fmt::format(", only {} other files", others) : ", the folder is empty");
  std::sort(files.begin(), files.end(), [&](const fs::path& a, const fs::path& b) {
    return a.lexically_relative(folder).native() < b.lexically_relative(folder).native();
  });
  return files;
}

bool has_pictures(const fs::path& folder) {
  if (!is_folder(folder)) return false;
  std::error_code error;
  auto walk = fs::recursive_directory_iterator(folder, error);
  for (; !error && walk != fs::recursive_directory_iterator(); walk.increment(error)) {
    std::error_code ignored;
    if (!walk->is_directory(ignored) && looks_like_image(walk->path())) return true;
  }
  return bool(error);
}

std::string what_is_there(const fs::path& path) {
  if (const std::string why = why_no_folder(path); !why.empty()) return why;
  constexpr size_t kShown = 8;
  std::vector<std::string> folders;
  size_t pictures = 0, others = 0;
  std::error_code error;
  auto walk = fs::directory_iterator(path, error);
  for (; !error && walk != fs::directory_iterator(); walk.increment(error)) {
    if (is_folder(walk->path())) folders.push_back(walk->path().filename().string());
    else ++(looks_like_image(walk->path()) ? pictures : others);
  }
  if (error) return fmt::format("cannot be listed: {}", error.message());
  std::sort(folders.begin(), folders.end());
  const size_t hidden = folders.size() - std::min(folders.size(), kShown);
  folders.resize(folders.size() - hidden);
  std::vector<std::string> words;
  if (hidden > 0)
    words.push_back(fmt::format("the folders {} and {} more", fmt::join(folders, ", "), hidden));
  else if (!folders.empty()) words.push_back(fmt::format("the folders {}", fmt::join(folders, ", ")));
  if (pictures > 0) words.push_back(fmt::format("{} picture{}", pictures, pictures > 1 ? "s" : ""));
  if (others > 0) words.push_back(fmt::format("{} other file{}", others, others > 1 ? "s" : ""));
  return words.empty() ? "the folder is empty" : fmt::format("here are {}", fmt::join(words, ", "));
}

std::vector<ListedExample> examples_in(const fs::path& folder, const std::string& picture) {
  std::vector<ListedExample> examples;
  for (auto& file : list_pictures(folder))
    examples.push_back(
        {file.lexically_relative(folder).replace_extension().string(), {{picture, file}}, "", -1});
  return examples;
}

Listing examples_by_parts(const fs::path& root, const std::string& picture,
                          const std::vector<std::string>& kept) {
  Listing listing;
  if (!is_folder(root / "train")) {
    listing.train.push_back({kept, examples_in(root, picture)});
    return listing;
  }
  listing.train.push_back({kept, examples_in(root / "train", picture)});
  if (is_folder(root / "val")) listing.validation = examples_in(root / "val", picture);
  if (is_folder(root / "test")) listing.test = examples_in(root / "test", picture);
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
}  // namespace

std::vector<TwoFolders> two_folders_of(const std::string& source) {
  static constexpr const char* parts[] = {"train", "val", "test"};
  const fs::path root = source;
  std::vector<TwoFolders> found;
  const auto add = [&](const char* part, const fs::path& a, const fs::path& b) {
    if (is_folder(a) || is_folder(b)) found.push_back({part, a, b});
  };
  auto halves = named_folders(source);
  if (!halves && (is_folder(root / "A") || is_folder(root / "B"))) halves = {root / "A", root / "B"};
  if (!halves) {
    for (const std::string part : parts) add(part.c_str(), root / (part + "A"), root / (part + "B"));
    return found;
  }
  const auto& [a, b] = *halves;
  if (is_folder(a / "train") || is_folder(b / "train")) {
    for (const char* part : parts) add(part, a / part, b / part);
  } else {
    found.push_back({"train", a, b});
  }
  return found;
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

}  // namespace gan
