// metrics.jsonl and the progress line.
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
#include <ctime>
#include <fstream>

#include <nlohmann/json.hpp>

#include "engine/files/atomic_file.h"
#include "engine/files/talk.h"
#include "engine/run/version.h"
#include "kernels/contract/check.h"

namespace gan {
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSchema = "gan-metrics/1";
constexpr const char* kMetricsName = "metrics.jsonl";
constexpr uint64_t kLargestMetrics = uint64_t(1) << 30;  // bytes: five million logged steps
constexpr double kMostSeconds = 1e10;                    // 300 years of training

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

// An object of one line of a metrics file; discarded when it is none, or longer than any line of ours.
nlohmann::json object_in(std::string_view line) {
  constexpr size_t kLongestLine = 1 << 20;
  auto parsed = line.size() > kLongestLine ? nlohmann::json() : nlohmann::json::parse(line, nullptr, false);
  return parsed.is_object() ? parsed : nlohmann::json();
}

}  // namespace

bool is_metrics_header(std::string_view line) {
  const auto header = object_in(line);
  return header.is_object() && header.contains("schema") && header["schema"] == kSchema;
}

// --------------------------------------------------------------------------------- metrics.jsonl

namespace {

std::string date_now() {  // in universal time: "2026-01-31T12:00:00Z"
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string header_line(const Config& config, const MetricsFile::Facts& facts) {
  nlohmann::ordered_json header;
  header["schema"] = kSchema;
  header["model"] = config.model;
  header["device"] = facts.device.empty() ? std::string(config.device) : facts.device;
  header["version"] = version();
  header["commit"] = commit();
  header["date"] = date_now();
  header["threads"] = facts.threads;
  header["config"] = nlohmann::ordered_json::parse(to_json(config));
  return header.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

// The lines of an earlier part of the run up to `step`, header included; empty when it is no metrics file. Those of
// later steps are added to `later`.
std::string lines_until(const Folder& run, int64_t step, std::string& later) {
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
    ((earlier ? kept : later) += line) += '\n';
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

MetricsFile::MetricsFile(const Folder& run, const Config& config, int64_t from_step, Facts facts)
    : echo_(facts.echo), file_(run.path() / kMetricsName) {
  std::string text;
  if (from_step > 0) text = lines_until(run, from_step, dropped_);
  if (text.empty()) text = header_line(config, facts);
  const std::string_view lines(text);
  if (const auto start = lines.rfind('\n', lines.size() - 2); start != lines.npos)
    seconds_ = seconds_in(lines.substr(start + 1));
  run.write(kMetricsName, bytes_of(text));
  descriptor_ = run.open_to_append(kMetricsName);
}

std::map<int64_t, double> MetricsFile::dropped(const std::string& key) const {
  std::map<int64_t, double> found;
  std::string_view text(dropped_);
  for (size_t end; (end = text.find('\n')) != text.npos; text.remove_prefix(end + 1)) {
    const auto line = object_in(text.substr(0, end));
    const bool whole = line.is_object() && line.contains("step") && line["step"].is_number_unsigned() &&
                       line["step"] < uint64_t(INT64_MAX) && line.contains(key) && line[key].is_number();
    if (whole) found[line["step"]] = line[key];
  }
  return found;
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
  if (written == ssize_t(line.size())) {
    if (echo_) fmt::print("{}", line), std::fflush(stdout);
    return;
  }
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

std::string bytes_text(size_t bytes) {
  const double mib = double(bytes) / (1 << 20);
  return mib < 1024 ? fmt::format("{:.0f} MiB", mib) : fmt::format("{:.2f} GiB", mib / 1024);
}

}  // namespace

std::string duration_text(double seconds) {
  const auto s = int64_t(std::ceil(seconds));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}h{:02}m", s / 3600, s / 60 % 60);
}

std::string Progress::format(const Update& update, int width) {
  std::vector<std::string> parts;
  parts.push_back(update.steps > 0 ? fmt::format("step {}/{}", update.step, update.steps)
                                   : fmt::format("step {}", update.step));
  if (const double rate = update.images_per_second; rate > 0)
    parts.push_back(fmt::format("{:.{}f} images/s", rate, rate < 100 ? 1 : 0));
  if (update.seconds_left >= 0) parts.push_back(duration_text(update.seconds_left) + " left");
  static constexpr std::pair<const char*, const char*> shown[] = {
      {"loss_D", "loss D"}, {"loss_G", "loss G"}, {"D_real", "D(x)"}, {"D_fake", "D(G)"}};
  for (const auto& [key, title] : shown)
    for (const auto& [name, value] : update.values)
      if (name == key) parts.push_back(fmt::format("{} {:.3f}", title, value));
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
  if (!quiet_) show_line(format(update, terminal_ ? terminal_width() - 1 : 1000));
}

void Progress::show_line(const std::string& text) {
  if (quiet_) return;
  newest_ = terminal_ ? text.substr(0, size_t(std::max(terminal_width() - 1, 1))) : text;
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

void Progress::clear() {
  if (terminal_ && !line_.empty()) draw("");
  newest_.clear();
  line_.clear();
}

void Progress::say(const std::string& text) {
  if (quiet_) return;
  const std::string line = line_;
  if (!line.empty()) draw("");
  talk(text);
  if (!line.empty()) draw(line);
}

size_t peak_resident_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return size_t(usage.ru_maxrss) * 1024;
}

}  // namespace gan
