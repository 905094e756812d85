// Making, opening and clearing run folders; the names of checkpoints.
#include "engine/run/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "engine/run/runlog.h"
#include "kernels/contract/check.h"

namespace gan {
namespace fs = std::filesystem;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

constexpr uint64_t kLargestFirstLine = 1 << 16;  // bytes

// The first line of a file, as far as it reaches in its first bytes; empty when there is no such file.
std::string first_line(const Folder& folder, const std::string& name) {
  if (!folder.has(name)) return {};
  const InputFile file = folder.open(name);
  std::string line(std::min(file.size(), kLargestFirstLine), '\0');
  file.read(0, std::as_writable_bytes(std::span(line)));
  return line.substr(0, line.find('\n'));
}

// A run's own signs, so that --force never clears a folder of something else: the first line of either file, or a lock
// that was there before this program came (what a killed start or a killed --force leaves).
bool is_run(const Folder& folder, bool had_lock) {
  return had_lock || first_line(folder, "config.toml").starts_with(kConfigFileMark) ||
         is_metrics_header(first_line(folder, "metrics.jsonl"));
}

// A folder in which a start was killed before it wrote anything is as good as an empty one.
bool holds_nothing(const Folder& folder) {
  for (const std::string& name : folder.names()) {
    if (name == RunLock::kName || is_temporary_name(name)) continue;
    if (name != "samples" && name != "checkpoints") return false;
    std::error_code ignored;
    if (!fs::is_directory(folder.path() / name, ignored)) return false;
    if (const auto inside = folder.subfolder(name); !inside || !inside->names().empty()) return false;
  }
  return true;
}

// N of "step-N<suffix>", or -1.
int64_t step_in_name(const std::string& name, std::string_view suffix) {
  constexpr std::string_view prefix = "step-";
  if (!name.starts_with(prefix) || !name.ends_with(suffix) || name.size() <= prefix.size() + suffix.size())
    return -1;
  const char *begin = name.data() + prefix.size(), *end = name.data() + name.size() - suffix.size();
  int64_t step = -1;
  const auto [stop, error] = std::from_chars(begin, end, step);
  return error == std::errc() && stop == end ? step : -1;
}

// Removes what a run has written, and nothing else: a picture of the user's own in samples/ stays. What shows that the
// folder is a run goes last, so that it can be cleared again after a kill.
void clear_run(const Folder& folder) {
  if (const auto samples = folder.subfolder("samples"))
    for (const auto& name : samples->names())
      if (step_in_name(name, ".png") >= 0) samples->remove(name);
  if (const auto checkpoints = folder.subfolder("checkpoints"))
    for (const auto& name : checkpoints->names())
      if (step_in_name(name, ".safetensors") >= 0 || name == "latest" || name == "best")
        checkpoints->remove(name);
  for (const char* name : {"report.html", "metrics.jsonl", "config.toml"}) folder.remove(name);
}

void remove_leftovers(const Folder& folder) {
  folder.remove_leftovers();
  for (const char* name : {"samples", "checkpoints"})
    if (const auto inside = folder.subfolder(name)) inside->remove_leftovers();
}

// The folders of a path that are not there yet, outermost first.
std::vector<fs::path> missing_folders(const fs::path& path) {
  std::vector<fs::path> missing;
  std::error_code ignored;
  for (fs::path at = path; !at.empty() && !fs::exists(at, ignored); at = at.parent_path()) {
    if (at.has_filename()) missing.push_back(at);  // "runs/x/" ends in a name that is empty
    if (at == at.parent_path()) break;
  }
  std::reverse(missing.begin(), missing.end());
  return missing;
}

void make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) fail(Exit::io, "folder {} cannot be made: {}", folder.string(), error.message());
}

// What a run on `data` is called: its last word, fit for a file name.
std::string data_name(const std::string& data) {
  std::string name;
  if (const auto colon = data.find(':'); data.starts_with("builtin:")) name = data.substr(colon + 1);
  else {
    std::error_code ignored;
    name = fs::weakly_canonical(data, ignored).filename();
    if (name.empty()) name = fs::weakly_canonical(data, ignored).parent_path().filename();
  }
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') c = '-';
  return name.empty() || data.empty() ? "run" : name.substr(0, 64);
}

// runs/NNNNN-MODEL-DATA with the next free number. The folder `runs` is locked meanwhile, so that programs
// started together get different numbers; where locks do not work, mkdir still gives each its own folder.
fs::path numbered_folder(const std::string& model, const std::string& data) {
  const fs::path runs = "runs";
  make_folder(runs);
  struct Lock {
    int descriptor;
    ~Lock() { close(descriptor); }
  } lock{open(runs.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (lock.descriptor >= 0) flock(lock.descriptor, LOCK_EX);
  int number = 0;
  for (const auto& name : Folder(runs).names()) {
    int taken = 0;
    const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), taken);
    if (error == std::errc() && *stop == '-') number = std::max(number, taken + 1);
  }
  for (;; ++number) {
    const fs::path folder = runs / fmt::format("{:05}-{}-{}", number, model, data_name(data));
    if (mkdir(folder.c_str(), 0777) == 0) return folder;
    if (errno != EEXIST)
      fail(Exit::io, "folder {} cannot be made: {}", folder.string(), std::strerror(errno));
  }
}

// Refuses a folder that is not empty, unless it is a run and `force` is given.
void check_contents(const Folder& folder, const std::string& out, bool force, bool had_lock) {
  if (holds_nothing(folder)) return;
  const bool earlier_run = is_run(folder, had_lock);
  if (!force)
    fail(Exit::usage, "--out {}: the folder is not empty; {}", out,
         earlier_run ? "go on with this run by --resume, or clear it by --force" : "choose another one");
  if (!earlier_run)
    fail(Exit::usage, "--out {}: the folder is not empty and holds no earlier run; --force clears only runs",
         out);
}

}  // namespace

// ---------------------------------------------------------------------------------------- folder

void RunFolder::check_out(const std::string& out, bool force) {
  std::error_code error;
  const auto status = fs::status(out, error);
  if (out.empty() || !fs::exists(status)) return;
  if (!fs::is_directory(status)) fail(Exit::usage, "--out {}: there is a file of this name", out);
  const Folder folder(out);
  RunLock::check_free(folder, "--out " + out);
  check_contents(folder, out, force, RunLock::is_there(folder));
}

RunFolder RunFolder::create(const std::string& out, const std::string& model, const std::string& data,
                            bool force) {
  check_out(out, force);
  std::vector<fs::path> made = missing_folders(out.empty() ? fs::path("runs") : fs::path(out));
  const fs::path path = out.empty() ? numbered_folder(model, data) : fs::path(out);
  if (out.empty()) made.push_back(path);
  make_folder(path);
  RunFolder run{Folder(path)};
  run.made_ = std::move(made);
  run.lock_ = std::make_shared<RunLock>(run.root_, "--out " + path.string());
  // Somebody else may have begun and ended a run here since check_out().
  if (!out.empty()) check_contents(run.root_, out, force, run.lock_->was_there());
  remove_leftovers(run.root_);
  if (force && is_run(run.root_, run.lock_->was_there())) clear_run(run.root_);
  run.root_.make_subfolder("samples");
  run.root_.make_subfolder("checkpoints");
  return run;
}

void RunFolder::abandon() {
  clear_run(root_);
  root_.remove_empty("samples");
  root_.remove_empty("checkpoints");
  lock_.reset();
  std::error_code ignored;
  for (auto folder = made_.rbegin(); folder != made_.rend(); ++folder) fs::remove(*folder, ignored);
}

RunFolder RunFolder::open(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) fail(Exit::bad_data, "{}: no such run folder", path.string());
  if (!fs::is_directory(path, error))
    fail(Exit::bad_data, "{} is a file; a run is a folder with config.toml and checkpoints/", path.string());
  RunFolder run{Folder(path)};
  if (!run.root_.has("config.toml"))
    fail(Exit::bad_data, "{} is no run folder: it has no config.toml", path.string());
  return run;
}

RunFolder RunFolder::resume(const fs::path& path) {
  RunFolder run = open(path);
  run.lock_ = std::make_shared<RunLock>(run.root_, "--resume " + path.string());
  remove_leftovers(run.root_);
  return run;
}

void RunFolder::read_config(Config& config, Origins& origins) const {
  read_toml_file(config, root_.open("config.toml"), origins);
}

void RunFolder::write_config(const Config& config) const {
  root_.write("config.toml", bytes_of(to_toml(config)));
}

std::string RunFolder::checkpoint_name(int64_t step) { return fmt::format("step-{:08}.safetensors", step); }

namespace {

// The name that checkpoints/latest or best holds; throws Exit::bad_data.
std::string named_checkpoint(const Folder& checkpoints, const std::string& which) {
  const InputFile pointer = checkpoints.open(which);
  const auto bytes = pointer.read_all(4096);
  std::string name(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  while (!name.empty() && std::isspace(static_cast<unsigned char>(name.back()))) name.pop_back();
  if (name.empty() || name.find('/') != name.npos || name.starts_with('.') || name.find('\0') != name.npos)
    fail(Exit::bad_data, "{} does not hold the name of a checkpoint", pointer.path().string());
  return name;
}

bool is_pointer(const std::string& name) { return name == "latest" || name == "best"; }

std::string others_in_words(const RunFolder& run, const std::string& but) {
  std::vector<std::string> names = run.checkpoint_names();
  std::erase(names, but);
  if (names.empty()) return "";
  return fmt::format("; instead, this checkpoint of the run can be given: {}{}",
                     (run.path() / "checkpoints" / names[0]).string(),
                     names.size() > 1 ? fmt::format(" (or one of {} older)", names.size() - 1) : "");
}

}  // namespace

std::vector<std::string> RunFolder::checkpoint_names() const {
  std::vector<std::pair<int64_t, std::string>> found;
  if (const auto checkpoints = root_.subfolder("checkpoints"))
    for (const auto& name : checkpoints->names())
      if (const int64_t step = step_in_name(name, ".safetensors"); step >= 0) found.emplace_back(step, name);
  std::sort(found.rbegin(), found.rend());
  std::vector<std::string> names;
  for (auto& [step, name] : found) names.push_back(std::move(name));
  return names;
}

InputFile RunFolder::open_checkpoint(const std::string& which) const {
  const fs::path file = path() / "checkpoints" / which;
  const auto checkpoints = root_.subfolder("checkpoints");
  const auto others = [&](const std::string& but) { return others_in_words(*this, but); };
  if (!checkpoints || !checkpoints->has(which))
    fail(Exit::bad_data, "{} is missing{}", file.string(),
         checkpoint_names().empty() ? ": the run has no checkpoint yet" : others(""));
  if (!is_pointer(which)) return checkpoints->open(which);
  std::string name;
  try {
    name = named_checkpoint(*checkpoints, which);
  } catch (const Error& error) { fail(error.code(), "{}{}", error.what(), others("")); }
  if (!checkpoints->has(name))
    fail(Exit::bad_data, "{} names {}, which is not there{}", file.string(), name, others(""));
  return checkpoints->open(name);
}

void RunFolder::set_latest(int64_t step) const {
  checkpoints().write("latest", bytes_of(checkpoint_name(step) + "\n"));
}

void RunFolder::set_best(int64_t step) const {
  checkpoints().write("best", bytes_of(checkpoint_name(step) + "\n"));
}

void RunFolder::mend_best(int64_t step) const {
  const Folder folder = checkpoints();
  if (!folder.has(checkpoint_name(step))) return;
  const int64_t named =
      folder.has("best") ? step_in_name(named_checkpoint(folder, "best"), ".safetensors") : -1;
  if (named < step) set_best(step);
}

void RunFolder::prune_checkpoints(int keep) const {
  if (keep <= 0) return;
  const Folder folder = checkpoints();
  if (!folder.has("latest")) return;
  const std::string latest = named_checkpoint(folder, "latest");
  const std::string best = folder.has("best") ? named_checkpoint(folder, "best") : "";
  int kept = 0;
  for (const std::string& name : checkpoint_names()) {
    const bool later = step_in_name(name, ".safetensors") > step_in_name(latest, ".safetensors");
    if (later || name == latest || name == best) continue;
    if (++kept > keep) folder.remove(name);
  }
}

void RunFolder::write_sample(int64_t step, const Image& grid) const {
  root_.make_subfolder("samples").write(fmt::format("step-{:08}.png", step), encode_png(grid));
}

std::optional<RunPoint> find_run_point(const std::string& word) {
  std::error_code ignored;
  fs::path path = word;
  if (fs::is_directory(path, ignored)) return RunPoint{path, "latest"};
  const std::string name = path.filename();
  const auto is_run_path = [&](const fs::path& run) {
    return fs::exists((run.empty() ? fs::path(".") : run) / "config.toml", ignored);
  };
  const auto point = [&](const fs::path& run) { return RunPoint{run.empty() ? fs::path(".") : run, name}; };
  const fs::path folder = path.parent_path();
  const bool exists = fs::exists(path, ignored);
  if (folder.filename() == "checkpoints" && (exists || is_pointer(name)) && is_run_path(folder.parent_path()))
    return point(folder.parent_path());
  if (!exists && is_pointer(name) && is_run_path(folder)) return point(folder);
  return {};
}

InputFile open_checkpoint(const std::string& run_or_checkpoint) {
  const auto point = find_run_point(run_or_checkpoint);
  if (point && is_pointer(point->checkpoint))
    return RunFolder::open(point->run).open_checkpoint(point->checkpoint);
  std::error_code error;
  if (!fs::exists(run_or_checkpoint, error))
    fail(Exit::bad_data, "{}: no such run folder or checkpoint{}", run_or_checkpoint,
         other_checkpoints(run_or_checkpoint));
  return InputFile(fs::path(run_or_checkpoint));
}

InputFile open_weights(const std::string& run_or_file) {
  return find_run_point(run_or_file) ? open_checkpoint(run_or_file) : InputFile(run_or_file);
}

std::string other_checkpoints(const std::string& run_or_checkpoint) {
  fs::path run;
  std::string but;
  const fs::path path = run_or_checkpoint;
  if (const auto point = find_run_point(run_or_checkpoint)) run = point->run, but = point->checkpoint;
  else if (path.parent_path().filename() == "checkpoints") run = path.parent_path().parent_path();
  try {
    const auto folder = RunFolder::open(run.empty() ? fs::path(".") : run);
    if (is_pointer(but)) but = named_checkpoint(folder.root().subfolder("checkpoints").value(), but);
    return others_in_words(folder, but);
  } catch (const std::exception&) { return ""; }  // only a hint, and there is none
}

}  // namespace gan
