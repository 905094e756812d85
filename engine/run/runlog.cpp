// The run folder, metrics.jsonl and the progress line.
#include "engine/run/runlog.h"

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

#include "engine/files/atomic_file.h"
#include "kernels/contract/check.h"

namespace gan {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSchema = "gan-metrics/1";
constexpr const char* kMetricsName = "metrics.jsonl";
constexpr uint64_t kLargestMetrics = uint64_t(1) << 30;  // bytes: five million logged steps
constexpr double kMostSeconds = 1e10;                    // 300 years of training

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

// An object of one line of a metrics file; discarded when it is none, or longer than any line of ours.
nlohmann::json object_in(std::string_view line) {
  constexpr size_t kLongestLine = 1 << 20;
  auto parsed = line.size() > kLongestLine ? nlohmann::json() : nlohmann::json::parse(line, nullptr, false);
  return parsed.is_object() ? parsed : nlohmann::json();
}

bool is_metrics_header(std::string_view line) {
  const auto header = object_in(line);
  return header.is_object() && header.contains("schema") && header["schema"] == kSchema;
}

// A run's own signs, so that --force never clears a folder of something else: the first line of either file.
bool is_run(const Folder& folder) {
  return first_line(folder, "config.toml").starts_with(kConfigFileMark) ||
         is_metrics_header(first_line(folder, "metrics.jsonl"));
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

// Removes what a run has written, and nothing else: a picture of the user's own in samples/ stays.
void clear_run(const Folder& folder) {
  for (const char* name : {"config.toml", "metrics.jsonl", "report.html"}) folder.remove(name);
  if (const auto samples = folder.subfolder("samples"))
    for (const auto& name : samples->names())
      if (step_in_name(name, ".png") >= 0) samples->remove(name);
  if (const auto checkpoints = folder.subfolder("checkpoints"))
    for (const auto& name : checkpoints->names())
      if (step_in_name(name, ".safetensors") >= 0 || name == "latest" || name == "best")
        checkpoints->remove(name);
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
  const bool earlier_run = is_run(Folder(out));
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
  const fs::path path = out.empty() ? numbered_folder(model, data) : fs::path(out);
  make_folder(path);
  RunFolder run{Folder(path)};
  if (force && is_run(run.root_)) clear_run(run.root_);
  run.root_.make_subfolder("samples");
  run.root_.make_subfolder("checkpoints");
  return run;
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

}  // namespace

InputFile RunFolder::open_checkpoint(const std::string& which) const {
  const fs::path pointer = path() / "checkpoints" / which;
  const auto checkpoints = root_.subfolder("checkpoints");
  if (!checkpoints || !checkpoints->has(which))
    fail(Exit::bad_data, "{} has no checkpoint yet ({} is missing)", path().string(), pointer.string());
  const std::string name = named_checkpoint(*checkpoints, which);
  if (!checkpoints->has(name))
    fail(Exit::bad_data, "{} names {}, which is not there; give a checkpoint file instead of the run",
         pointer.string(), name);
  return checkpoints->open(name);
}

void RunFolder::set_latest(int64_t step) const {
  checkpoints().write("latest", bytes_of(checkpoint_name(step) + "\n"));
}

void RunFolder::set_best(int64_t step) const {
  checkpoints().write("best", bytes_of(checkpoint_name(step) + "\n"));
}

void RunFolder::prune_checkpoints(int keep) const {
  if (keep <= 0) return;
  const Folder folder = checkpoints();
  std::vector<std::string> spared;
  for (const char* which : {"latest", "best"})
    if (folder.has(which)) spared.push_back(named_checkpoint(folder, which));
  std::vector<std::pair<int64_t, std::string>> others;
  for (const auto& name : folder.names()) {
    const int64_t step = step_in_name(name, ".safetensors");
    if (step >= 0 && std::find(spared.begin(), spared.end(), name) == spared.end())
      others.emplace_back(step, name);
  }
  std::sort(others.rbegin(), others.rend());
  for (size_t i = size_t(keep); i < others.size(); ++i) folder.remove(others[i].second);
}

void RunFolder::write_sample(int64_t step, const Image& grid) const {
  root_.make_subfolder("samples").write(fmt::format("step-{:08}.png", step), encode_png(grid));
}

InputFile open_checkpoint(const std::string& run_or_checkpoint) {
  std::error_code error;
  const fs::path path = run_or_checkpoint;
  if (!fs::exists(path, error)) fail(Exit::bad_data, "{}: no such run folder or checkpoint", path.string());
  if (fs::is_directory(path, error)) return RunFolder::open(path).open_checkpoint();
  for (const char* which : {"latest", "best"})
    if (path.filename() == which && path.parent_path().filename() == "checkpoints")
      return RunFolder::open(path.parent_path().parent_path()).open_checkpoint(which);
  return InputFile(path);
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
std::string lines_until(const Folder& run, int64_t step) {
  if (!run.has(kMetricsName)) return {};
  const auto bytes = run.open(kMetricsName).read_all(kLargestMetrics);
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::string kept;
  for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
    const std::string_view line = text.substr(0, end);
    if (kept.empty()) {
      if (!is_metrics_header(line)) return {};
      (kept = line) += '\n';
      continue;
    }
    const auto object = object_in(line);
    const bool earlier = object.is_object() && object.contains("step") &&
                         object["step"].is_number_unsigned() && object["step"] <= uint64_t(step);
    if (earlier) (kept += line) += '\n';
  }
  return kept;  // what follows the last line end has been cut by a crash
}

// The training time that a line tells; 0 when it tells none that could be true.
double seconds_in(std::string_view line) {
  const auto object = object_in(line);
  if (!object.is_object() || !object.contains("seconds") || !object["seconds"].is_number()) return 0;
  const double seconds = object["seconds"];
  return seconds >= 0 && seconds < kMostSeconds ? seconds : 0;
}

std::string json_number(double value) {
  if (std::isnan(value)) return "\"nan\"";
  if (std::isinf(value)) return value > 0 ? "\"inf\"" : "\"-inf\"";
  return fmt::format("{}", value);  // the shortest text that reads back as the same number
}

}  // namespace

MetricsFile::MetricsFile(const Folder& run, const Config& config, int64_t from_step)
    : file_(run.path() / kMetricsName) {
  std::string text;
  if (from_step > 0) text = lines_until(run, from_step);
  if (text.empty()) text = header_line(config);
  const std::string_view lines(text);
  if (const auto start = lines.rfind('\n', lines.size() - 2); start != lines.npos)
    seconds_ = seconds_in(lines.substr(start + 1));
  run.write(kMetricsName, bytes_of(text));
  descriptor_ = run.open_to_append(kMetricsName);
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
