// Looking through folders for pictures.
#include "engine/data/search.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <utility>

#include "engine/picture/image.h"
#include "engine/settings/config.h"
#include "kernels/contract/check.h"

namespace gan {

namespace fs = std::filesystem;

namespace {

constexpr const char* kOutputMark = ".gan-output";

// Which folder it is, whatever leads to it.
using Identity = std::pair<dev_t, ino_t>;

bool identify(const fs::path& path, Identity& identity) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return false;
  identity = {status.st_dev, status.st_ino};
  return true;
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// By the files that the program writes into each run.
bool is_run(const fs::path& folder) {
  if (!is_there(folder / "checkpoints") && !is_there(folder / "metrics.jsonl")) return false;
  std::error_code ignored;
  if (!fs::is_regular_file(folder / "config.toml", ignored)) return false;
  std::string begin(kConfigFileMark.size(), '\0');
  std::ifstream(folder / "config.toml").read(begin.data(), std::streamsize(begin.size()));
  return begin == kConfigFileMark;
}

// Empty for a folder.
std::string why_no_folder(const fs::path& path) {
  std::error_code error;
  const auto status = fs::status(path, error);
  if (!fs::exists(status)) return "no such folder";
  if (fs::is_directory(status)) return "";
  const std::string why = why_not_read(kind_of_file(path));
  return why.empty() ? "not a folder; give the folder that holds the pictures" : why;
}

bool is_hidden(const std::string& name) { return name.starts_with('.') || name == "__MACOSX"; }

std::string plural(int64_t count, const std::string& one) {
  return fmt::format("{} {}{}", count, one, count == 1 ? "" : "s");
}

// One walk through a folder and all that is below.
class Search {
 public:
  Search(const std::vector<fs::path>& except, PassedOver& passed_over)
      : except_(except), passed_over_(passed_over) {}

  // Calls found(file) for every picture until it returns false. Returns why `folder` itself cannot be listed;
  // folders below it that cannot are noted.
  std::error_code walk(const fs::path& folder, const std::function<bool(const fs::path&)>& found) {
    Identity identity;
    if (!identify(folder, identity)) return std::make_error_code(std::errc::no_such_file_or_directory);
    inside_.push_back(identity);
    std::error_code error;
    auto entry = fs::directory_iterator(folder, error);
    for (; !error && !stopped_ && entry != fs::directory_iterator(); entry.increment(error))
      look_at(entry->path(), found);
    inside_.pop_back();
    return error;
  }

 private:
  void look_at(const fs::path& path, const std::function<bool(const fs::path&)>& found) {
    std::error_code error;
    const auto status = fs::status(path, error);
    if (is_hidden(path.filename().string())) {
      // A mark of ours is no news to anybody.
      if (path.filename() != kOutputMark) ++passed_over_.kinds["hidden"];
    } else if (fs::is_directory(status)) {
      enter(path, found);
    } else if (fs::is_regular_file(status)) {
      if (!looks_like_image(path)) ++passed_over_.kinds[kind_of_file(path)];
      else if (!found(path)) stopped_ = true;
    } else if (fs::is_symlink(fs::symlink_status(path, error))) {
      ++passed_over_.kinds["broken links"];
    } else {
      ++passed_over_.kinds["special files"];
    }
  }

  void enter(const fs::path& folder, const std::function<bool(const fs::path&)>& found) {
    if (std::find(except_.begin(), except_.end(), folder) != except_.end()) return;
    const auto pass_over = [&](const std::string& why) {
      passed_over_.folders.push_back(fmt::format("{}: {}", folder.string(), why));
    };
    Identity identity;
    if (!identify(folder, identity)) return pass_over("cannot be looked at");
    if (std::find(inside_.begin(), inside_.end(), identity) != inside_.end())
      return pass_over("a link to a folder that it lies in");
    // Folders that link to each other in turn have many ways through them. No set of pictures has so many.
    if (++visits_[identity] > kMostVisits) return pass_over("linked to in too many places");
    if (is_run(folder)) return pass_over("a run of this program");
    if (is_there(folder / kOutputMark))
      return pass_over(fmt::format("output of this program; without its file {} it is used", kOutputMark));
    if (const std::error_code error = walk(folder, found); error)
      pass_over("cannot be listed: " + error.message());
  }

  static constexpr int kMostVisits = 100;
  const std::vector<fs::path>& except_;
  PassedOver& passed_over_;
  std::vector<Identity> inside_;  // the folders on the way here
  std::map<Identity, int> visits_;
  bool stopped_ = false;
};

}  // namespace

std::string PassedOver::words() const {
  constexpr size_t kKindsNamed = 8;
  std::vector<std::string> parts;
  int64_t files = 0;
  std::vector<std::pair<std::string, int64_t>> sorted(kinds.begin(), kinds.end());
  std::stable_sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) { return a.second > b.second; });
  std::vector<std::string> named;
  for (const auto& [kind, count] : sorted) {
    files += count;
    if (named.size() == kKindsNamed) continue;
    const std::string why = why_not_read(kind);
    named.push_back(fmt::format("{} {}{}", kind, count, why.empty() ? "" : fmt::format(" ({})", why)));
  }
  if (sorted.size() > kKindsNamed) named.push_back(plural(int64_t(sorted.size() - kKindsNamed), "more kind"));
  if (files > 0)
    parts.push_back(fmt::format("{} passed over: {}", plural(files, "other file"), fmt::join(named, ", ")));
  for (const auto& [used, count] : unused_pictures)
    parts.push_back(fmt::format("{} outside {} passed over", plural(count, "picture"), used));
  for (const std::string& folder : folders) parts.push_back("passed over " + folder);
  return fmt::format("{}", fmt::join(parts, "; "));
}

bool is_folder(const fs::path& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

std::vector<fs::path> list_if_any(const fs::path& folder, PassedOver& passed_over,
                                  const std::vector<fs::path>& except) {
  std::error_code ignored;
  if (fs::is_regular_file(folder, ignored) && looks_like_image(folder)) return {folder};
  if (const std::string why = why_no_folder(folder); !why.empty())
    fail(Exit::bad_data, "{}: {}", folder.string(), why);
  if (is_run(folder))
    fail(Exit::bad_data, "{}: this is a run of this program, not a folder of pictures", folder.string());
  std::vector<fs::path> files;
  const std::error_code error = Search(except, passed_over).walk(folder, [&](const fs::path& file) {
    files.push_back(file);
    return true;
  });
  if (error) fail(Exit::bad_data, "{}: cannot be listed: {}", folder.string(), error.message());
  std::sort(files.begin(), files.end(), [&](const fs::path& a, const fs::path& b) {
    return a.lexically_relative(folder).native() < b.lexically_relative(folder).native();
  });
  return files;
}

std::vector<fs::path> list_pictures(const fs::path& folder, PassedOver& passed_over,
                                    const std::vector<fs::path>& except) {
  PassedOver here;
  std::vector<fs::path> files = list_if_any(folder, here, except);
  if (files.empty())
    fail(Exit::bad_data, "{}: no pictures here ({}){}", folder.string(), picture_extensions(),
         here.empty() ? ", the folder is empty" : "; " + here.words());
  for (const auto& [kind, count] : here.kinds) passed_over.kinds[kind] += count;
  passed_over.folders.insert(passed_over.folders.end(), here.folders.begin(), here.folders.end());
  return files;
}

std::vector<fs::path> list_pictures(const fs::path& folder) {
  PassedOver unsaid;
  return list_pictures(folder, unsaid);
}

bool has_pictures(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) return looks_like_image(path);
  if (!is_folder(path)) return false;
  PassedOver unsaid;
  bool found = false;
  const std::error_code error = Search({}, unsaid).walk(path, [&](const fs::path&) {
    found = true;
    return false;
  });
  return found || error;
}

std::vector<fs::path> subfolders(const fs::path& folder) {
  std::vector<fs::path> folders;
  std::error_code error;
  auto entry = fs::directory_iterator(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error))
    if (is_folder(entry->path()) && !is_hidden(entry->path().filename().string()))
      folders.push_back(entry->path());
  std::sort(folders.begin(), folders.end());
  return folders;
}

std::string what_is_there(const fs::path& path) {
  if (const std::string why = why_no_folder(path); !why.empty()) return why;
  constexpr size_t kShown = 8;
  std::vector<std::string> folders;
  int64_t pictures = 0;
  PassedOver others;
  std::error_code error;
  auto walk = fs::directory_iterator(path, error);
  for (; !error && walk != fs::directory_iterator(); walk.increment(error)) {
    const std::string name = walk->path().filename().string();
    if (is_hidden(name)) ++others.kinds["hidden"];
    else if (is_folder(walk->path())) folders.push_back(name);
    else if (looks_like_image(walk->path())) ++pictures;
    else ++others.kinds[kind_of_file(walk->path())];
  }
  if (error) return fmt::format("cannot be listed: {}", error.message());
  std::sort(folders.begin(), folders.end());
  const size_t hidden = folders.size() - std::min(folders.size(), kShown);
  folders.resize(folders.size() - hidden);
  std::vector<std::string> words;
  if (hidden > 0)
    words.push_back(fmt::format("the folders {} and {} more", fmt::join(folders, ", "), hidden));
  else if (!folders.empty()) words.push_back(fmt::format("the folders {}", fmt::join(folders, ", ")));
  if (pictures > 0) words.push_back(plural(pictures, "picture"));
  const std::string passed_over = others.words();
  if (words.empty()) return passed_over.empty() ? "the folder is empty" : passed_over;
  return fmt::format("here are {}{}", fmt::join(words, ", "), passed_over.empty() ? "" : "; " + passed_over);
}

void mark_output_folder(const fs::path& folder) {
  std::error_code ignored;
  if (!fs::is_empty(folder, ignored) || ignored) return;
  std::ofstream(folder / kOutputMark) << "This program writes its pictures here, so they are no data for it. "
                                         "Remove this file to use them as data.\n";
}

}  // namespace gan
