// What a run tells while it goes on: metrics.jsonl in its folder, and the progress line on the terminal.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/run/run_folder.h"
#include "engine/settings/config.h"

namespace gan {

using Metrics = std::vector<std::pair<std::string, double>>;  // in the order they are written

bool is_metrics_header(std::string_view line);  // the first line of a metrics.jsonl

// metrics.jsonl: a header line, then one JSON object per logged step, floats with all their digits.
class MetricsFile {
 public:
  // What the header says of the program besides its settings.
  struct Facts {
    std::string device;  // that it runs on: "cpu" where the setting says auto
    int threads = 0;     // of the arithmetic
    bool echo = false;   // each line on standard output too
  };
  // from_step > 0: a resumed run; lines of later steps are dropped (they will be written again), and so is a
  // last line that a crash has cut. 0: a new file. Exit::io when it cannot be written.
  MetricsFile(const Folder& run, const Config& config, int64_t from_step, Facts facts);
  MetricsFile(const Folder& run, const Config& config, int64_t from_step)
      : MetricsFile(run, config, from_step, Facts()) {}
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  // One line, with a single write. `values` begin with lr. JSON has no NaN and no infinity: they are written
  // as the texts "nan", "inf", "-inf".
  void write(int64_t step, int64_t images, double seconds, const Metrics& values);
  // Training time up to the last line that was kept. It is the log's and not the checkpoint's, so that
  // checkpoints of equal runs are equal to the last bit.
  double seconds() const { return seconds_; }
  // `key` of the lines that were dropped, by their step: a resumed run takes the same steps again.
  std::map<int64_t, double> dropped(const std::string& key) const;

 private:
  int descriptor_ = -1;
  double seconds_ = 0;
  bool echo_ = false;
  std::string dropped_;  // lines
  std::filesystem::path file_;
};

// Progress on stderr: one line that is rewritten on a terminal, a plain line every few seconds elsewhere and
// where TERM=dumb; no colours and no escape sequences; silent when quiet.
class Progress {
 public:
  explicit Progress(bool quiet);
  ~Progress();
  struct Update {
    int64_t step, steps;  // steps 0: not known
    double images_per_second;
    double seconds_left;  // < 0: not known
    size_t peak_bytes;
    Metrics values;  // of the last logged step
  };
  void show(const Update& update);
  void show_line(const std::string& text);  // of other work; cut to the terminal's width
  void finish();                            // leaves the line standing
  void clear();                             // takes it away
  void say(const std::string& text);        // a line of talk, above the progress line
  // The line itself, cut to at most `width` columns by leaving out parts from the end.
  static std::string format(const Update& update, int width);

 private:
  void draw(const std::string& line);

  bool quiet_, terminal_;
  double last_shown_ = -1e9;  // seconds of a steady clock
  std::string line_;          // on the terminal now, still open
  std::string newest_, shown_;
};

std::string duration_text(double seconds);  // "45s", "3m05s", "2h07m"
size_t peak_resident_bytes();               // of this process, from the system

}  // namespace gan
