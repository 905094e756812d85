// The run folder, metrics.jsonl and the progress line.
#include "engine/runlog.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include <nlohmann/json.hpp>

#include "engine/atomic_file.h"
#include "kernels/check.h"

namespace gan {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSchema = "gan-metrics/1";

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// The first line of a file, at most 64 KiB of it; empty when there is none.
std::string first_line(const fs::path& file) {
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored)) return {};
  std::ifstream stream(file, std::ios::binary);
  std::string line(1 << 16, '\0');
  stream.read(line.data(), std::streamsize(line.size()));
  line.resize(size_t(stream.gcount()));
  return line.substr(0, line.find('\n'));
}

// A run's own signs, so that --force never clears a folder of something else: the first line of either file.
bool is_run(const fs::path& folder) {
  if (first_line(folder / "config.toml").starts_with(kConfigFileMark)) return true;
  const auto header = nlohmann::json::parse(first_line(folder / "metrics.jsonl"), nullptr, false);
  return header.is_object() && header.value("schema", nlohmann::json()) == kSchema;
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

void remove_file(const fs::path& file) {
  std::error_code error;
  if (!fs::remove(file, error) && error)
    fail(Exit::io, "{} cannot be removed: {}", file.string(), error.message());
}

std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    files.push_back(it->path());
  return files;
}

// Removes what a run has written, and nothing else: a picture of the user's own in samples/ stays.
void clear_run(const fs::path& folder) {
  for (const char* name : {"config.toml", "metrics.jsonl", "report.html"}) remove_file(folder / name);
  for (const auto& file : files_in(folder / "samples"))
    if (step_in_name(file.filename(), ".png") >= 0) remove_file(file);
  for (const auto& file : files_in(folder / "checkpoints"))
    if (step_in_name(file.filename(), ".safetensors") >= 0 || file.filename() == "latest" ||
        file.filename() == "best")
      remove_file(file);
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
  for (const auto& folder : files_in(runs)) {
    const std::string name = folder.filename();
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

}  // namespace

// ---------------------------------------------------------------------------------------- folder

void RunFolder::check_out(const std::string& out, bool force) {
  std::error_code error;
  const auto status = fs::status(out, error);
  if (out.empty() || !fs::exists(status)) return;
  if (!fs::is_directory(status)) fail(Exit::usage, "--out {}: there is a file of this name", out);
  const bool empty = fs::is_empty(out, error);
  if (error) fail(Exit::io, "--out {} cannot be read: {}", out, error.message());
  if (empty) return;
  const bool earlier_run = is_run(out);
  if (!force)
    fail(Exit::usage, "--out {}: the folder is not empty; {}", out,
         earlier_run ? "go on with this run by --resume, or clear it by --force" : "choose another one");
  if (!earlier_run)
    fail(Exit::usage, "--out {}: the folder is not empty and holds no earlier run; --force clears only runs",
         out);
}

RunFolder RunFolder::create(const std::string& out, const std::string& model, const std::string& data,
                            bool force) {
  check_out(out, force);
  RunFolder run;
  run.path_ = out.empty() ? numbered_folder(model, data) : fs::path(out);
  if (force && is_run(run.path_)) clear_run(run.path_);
  make_folder(run.path_ / "samples");
  make_folder(run.path_ / "checkpoints");
  return run;
}

RunFolder RunFolder::open(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) fail(Exit::bad_data, "{}: no such run folder", path.string());
  if (!fs::is_directory(path, error))
    fail(Exit::bad_data, "{} is a file; a run is a folder with config.toml and checkpoints/", path.string());
  if (!fs::is_regular_file(path / "config.toml", error))
    fail(Exit::bad_data, "{} is no run folder: it has no config.toml", path.string());
  RunFolder run;
  run.path_ = path;
  make_folder(path / "samples");
  make_folder(path / "checkpoints");
  return run;
}

void RunFolder::write_config(const Config& config) const {
  write_file_atomically(path_ / "config.toml", bytes_of(to_toml(config)));
}

fs::path RunFolder::checkpoint_path(int64_t step) const {
  return path_ / "checkpoints" / fmt::format("step-{:08}.safetensors", step);
}

namespace {

// The file that checkpoints/latest or best names; throws Exit::bad_data.
fs::path named_checkpoint(const fs::path& run, const char* which) {
  const fs::path pointer = run / "checkpoints" / which;
  std::error_code error;
  if (!fs::exists(pointer, error))
    fail(Exit::bad_data, "{} has no checkpoint yet ({} is missing)", run.string(), pointer.string());
  const auto bytes = read_file(pointer, 4096);
  std::string name(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  while (!name.empty() && std::isspace(static_cast<unsigned char>(name.back()))) name.pop_back();
  if (name.empty() || name.find('/') != name.npos || name.starts_with('.') || name.find('\0') != name.npos)
    fail(Exit::bad_data, "{} does not hold the name of a checkpoint", pointer.string());
  const fs::path file = run / "checkpoints" / name;
  if (!fs::exists(file, error))
    fail(Exit::bad_data, "{} names {}, which is not there; give a checkpoint file instead of the run",
         pointer.string(), name);
  return file;
}

}  // namespace

fs::path RunFolder::latest_checkpoint() const { return named_checkpoint(path_, "latest"); }

void RunFolder::set_latest(int64_t step) const {
  write_file_atomically(path_ / "checkpoints" / "latest",
                        bytes_of(checkpoint_path(step).filename().string() + "\n"));
}

void RunFolder::set_best(int64_t step) const {
  write_file_atomically(path_ / "checkpoints" / "best",
                        bytes_of(checkpoint_path(step).filename().string() + "\n"));
}

void RunFolder::prune_checkpoints(int keep) const {
  if (keep <= 0) return;
  std::error_code error;
  std::vector<fs::path> spared;
  for (const char* which : {"latest", "best"})
    if (fs::exists(path_ / "checkpoints" / which, error))
      spared.push_back(named_checkpoint(path_, which).filename());
  std::vector<std::pair<int64_t, fs::path>> others;
  for (const auto& file : files_in(path_ / "checkpoints")) {
    const int64_t step = step_in_name(file.filename(), ".safetensors");
    if (step >= 0 && std::find(spared.begin(), spared.end(), file.filename()) == spared.end())
      others.emplace_back(step, file);
  }
  std::sort(others.rbegin(), others.rend());
  for (size_t i = size_t(keep); i < others.size(); ++i) remove_file(others[i].second);
}

void RunFolder::write_sample(int64_t step, const Image& grid) const {
  write_png(path_ / "samples" / fmt::format("step-{:08}.png", step), grid);
}

fs::path find_checkpoint(const std::string& run_or_checkpoint) {
  std::error_code error;
  const fs::path path = run_or_checkpoint;
  if (!fs::exists(path, error)) fail(Exit::bad_data, "{}: no such run folder or checkpoint", path.string());
  if (fs::is_directory(path, error)) return RunFolder::open(path).latest_checkpoint();
  for (const char* which : {"latest", "best"})
    if (path.filename() == which && path.parent_path().filename() == "checkpoints")
      return named_checkpoint(path.parent_path().parent_path(), which);
  return path;
}

// --------------------------------------------------------------------------------- metrics.jsonl

namespace {

std::string header_line(const Config& config) {
  nlohmann::ordered_json header;
  header["schema"] = kSchema;
  header["model"] = config.model;
  header["device"] = config.device;
  header["config"] = nlohmann::ordered_json::parse(to_json(config));
  return header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

// The lines of an earlier part of the run up to `step`, header included; empty when it is no metrics file.
std::string lines_until(const fs::path& file, int64_t step) {
  std::ifstream stream(file, std::ios::binary);
  std::string kept, line;
  while (std::getline(stream, line)) {
    if (stream.eof()) break;  // no line end: cut by a crash
    const auto object = nlohmann::json::parse(line, nullptr, false);
    if (kept.empty()) {
      if (!object.is_object() || object.value("schema", nlohmann::json()) != kSchema) return {};
      kept = line + "\n";
    } else if (object.is_object() && object.value("step", step + 1) <= step) {
      kept += line + "\n";
    }
  }
  return kept;
}

std::string json_number(double value) {
  if (std::isnan(value)) return "\"nan\"";
  if (std::isinf(value)) return value > 0 ? "\"inf\"" : "\"-inf\"";
  return fmt::format("{}", value);  // the shortest text that reads back as the same number
}

}  // namespace

MetricsFile::MetricsFile(const fs::path& file, const Config& config, int64_t from_step) : file_(file) {
  std::string text;
  if (from_step > 0) text = lines_until(file, from_step);
  if (text.empty()) text = header_line(config);
  if (const auto start = text.rfind('\n', text.size() - 2); start != text.npos)
    seconds_ = nlohmann::json::parse(text.substr(start + 1)).value("seconds", 0.0);
  write_file_atomically(file, bytes_of(text));
  descriptor_ = open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (descriptor_ < 0) fail(Exit::io, "{} cannot be opened: {}", file.string(), std::strerror(errno));
}

MetricsFile::~MetricsFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

void MetricsFile::write(int64_t step, int64_t images, double seconds, const Metrics& values) {
  std::string line =
      fmt::format("{{\"step\": {}, \"images\": {}, \"seconds\": {}", step, images, json_number(seconds));
  for (const auto& [name, value] : values)
    line += fmt::format(", {}: {}", nlohmann::json(name).dump(), json_number(value));
  line += "}\n";
  struct stat before {};
  fstat(descriptor_, &before);
  ssize_t written;
  do written = ::write(descriptor_, line.data(), line.size());
  while (written < 0 && errno == EINTR);
  if (written == ssize_t(line.size())) return;
  const std::string reason = written < 0 ? std::strerror(errno) : "the disk is full";
  if (written > 0 && ftruncate(descriptor_, before.st_size) != 0)
    fail(Exit::io, "{}: a line is cut in half: {}", file_.string(), reason);
  fail(Exit::io, "{}: step {} cannot be written: {}", file_.string(), step, reason);
}

// -------------------------------------------------------------------------------------- progress

namespace {

constexpr double kTerminalPeriod = 0.1, kPlainPeriod = 5;  // seconds between lines

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  const char* columns = std::getenv("COLUMNS");
  const int width = columns ? std::atoi(columns) : 0;
  return width > 0 ? width : 80;
}

// "45s", "3m05s", "2h07m"
std::string duration_text(double seconds) {
  const auto s = int64_t(std::ceil(seconds));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
}

std::string bytes_text(size_t bytes) {
  const double mib = double(bytes) / (1 << 20);
  return mib < 1024 ? fmt::format("{:.0f} MiB", mib) : fmt::format("{:.2f} GiB", mib / 1024);
}

}  // namespace

std::string Progress::format(const Update& update, int width) {
  std::vector<std::string> parts;
  parts.push_back(update.steps > 0 ? fmt::format("step {}/{}", update.step, update.steps)
                                   : fmt::format("step {}", update.step));
  if (const double rate = update.images_per_second; rate > 0)
    parts.push_back(fmt::format("{:.{}f} images/s", rate, rate < 100 ? 1 : 0));
  static constexpr std::pair<const char*, const char*> shown[] = {
      {"loss_D", "loss D"}, {"loss_G", "loss G"}, {"D_real", "D(x)"}, {"D_fake", "D(G)"}};
  for (const auto& [key, title] : shown)
    for (const auto& [name, value] : update.values)
      if (name == key) parts.push_back(fmt::format("{} {:.3f}", title, value));
  if (update.seconds_left >= 0) parts.push_back(duration_text(update.seconds_left) + " left");
  if (update.peak_bytes > 0) parts.push_back("peak " + bytes_text(update.peak_bytes));
  std::string line;
  for (const auto& part : parts) {
    const std::string longer = line.empty() ? part : line + "  " + part;
    if (!line.empty() && int(longer.size()) > width) break;
    line = longer;
  }
  return line.substr(0, size_t(std::max(width, 1)));
}

Progress::Progress(bool quiet) : quiet_(quiet) {
  const char* term = std::getenv("TERM");
  terminal_ = isatty(STDERR_FILENO) && !(term && std::string_view(term) == "dumb");
}

Progress::~Progress() { finish(); }

// Overwrites the line on the terminal; blanks cover what is left of a longer one.
void Progress::draw(const std::string& line) {
  const size_t rest = line_.size() > line.size() ? line_.size() - line.size() : 0;
  std::fprintf(stderr, "\r%s%*s%s", line.c_str(), int(rest), "", line.empty() ? "\r" : "");
  std::fflush(stderr);
  line_ = line;
}

void Progress::show(const Update& update) {
  if (quiet_) return;
  newest_ = format(update, terminal_ ? terminal_width() - 1 : 1000);
  if (now() - last_shown_ < (terminal_ ? kTerminalPeriod : kPlainPeriod)) return;
  last_shown_ = now();
  if (terminal_) draw(newest_);
  else std::fprintf(stderr, "%s\n", newest_.c_str());
  shown_ = newest_;
}

void Progress::finish() {
  if (quiet_ || newest_.empty()) return;
  if (terminal_) draw(newest_);
  if (terminal_ || shown_ != newest_) std::fprintf(stderr, "%s\n", terminal_ ? "" : newest_.c_str());
  newest_.clear();
  line_.clear();
}

void Progress::say(const std::string& text) {
  if (quiet_) return;
  const std::string line = line_;
  if (!line.empty()) draw("");
  std::fprintf(stderr, "%s\n", text.c_str());
  if (!line.empty()) draw(line);
}

size_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return size_t(usage.ru_maxrss) * 1024;
}

}  // namespace gan
