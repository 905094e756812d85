// What a run leaves behind: the run folder with config.toml, metrics.jsonl, samples/ and checkpoints/, and
// the progress line on the terminal.
#pragma once
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "engine/files/atomic_file.h"
#include "engine/picture/image.h"
#include "engine/settings/config.h"

namespace gan {

// The folder of one run. Names are a contract: README.md, "Run folder". The path to it may lead through
// links; inside there are none, and one that is found is refused (Exit::bad_data).
class RunFolder {
 public:
  // A new run. `out` empty: the next free runs/NNNNN-MODEL-DATA, also when several programs start at once. A
  // folder that is not empty throws Exit::usage; with `force` an earlier run's own files in it (config.toml,
  // metrics.jsonl, report.html, pictures in samples/, checkpoints/) are removed, other files stay, and a
  // folder that is no run is still refused. A folder that cannot be made is Exit::io.
  static RunFolder create(const std::string& out, const std::string& model, const std::string& data,
                          bool force);
  // The refusals of create() alone, to be heard before long preparations.
  static void check_out(const std::string& out, bool force);
  // An earlier run, in which nothing is changed by opening it. Throws Exit::bad_data when `path` is no run
  // folder.
  static RunFolder open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return root_.path(); }
  const Folder& root() const { return root_; }
  void read_config(Config& config, Origins& origins) const;  // config.toml
  void write_config(const Config& config) const;
  // Where checkpoints are written, and what the one of a step is called there: step-00000500.safetensors.
  Folder checkpoints() const { return root_.make_subfolder("checkpoints"); }
  static std::string checkpoint_name(int64_t step);
  // The file that checkpoints/latest or best names. Exit::bad_data when there is none.
  InputFile open_checkpoint(const std::string& which = "latest") const;
  void set_latest(int64_t step) const;  // checkpoints/latest, atomically
  void set_best(int64_t step) const;    // checkpoints/best, atomically
  // Removes checkpoints older than the newest `keep` besides the latest and the best; keep 0 removes
  // none.
  void prune_checkpoints(int keep) const;
  void write_sample(int64_t step, const Image& grid) const;  // samples/step-00000100.png

 private:
  explicit RunFolder(Folder root) : root_(std::move(root)) {}
  Folder root_;
};

// RUN or CKPT of the command line, opened: a run folder stands for its latest checkpoint, checkpoints/best
// and checkpoints/latest in it for the ones they name.
InputFile open_checkpoint(const std::string& run_or_checkpoint);

using Metrics = std::vector<std::pair<std::string, double>>;  // in the order they are written

// metrics.jsonl: a header line, then one JSON object per logged step, floats with all their digits.
class MetricsFile {
 public:
  // from_step > 0: a resumed run; lines of later steps are dropped (they will be written again), and so is a
  // last line that a crash has cut. 0: a new file. Exit::io when it cannot be written.
  MetricsFile(const Folder& run, const Config& config, int64_t from_step);
  ~MetricsFile();
  MetricsFile(const MetricsFile&) = delete;
  // One line, with a single write. `values` begin with lr. JSON has no NaN and no infinity: they are written
  // as the texts "nan", "inf", "-inf".
  void write(int64_t step, int64_t images, double seconds, const Metrics& values);
  // Training time up to the last line that was kept. It is the log's and not the checkpoint's, so that
  // checkpoints of equal runs are equal to the last bit.
  double seconds() const { return seconds_; }

 private:
  int descriptor_ = -1;
  double seconds_ = 0;
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
  void finish();                      // leaves the line standing
  void say(const std::string& text);  // a line of talk, above the progress line
  // The line itself, cut to at most `width` columns by leaving out parts from the end.
  static std::string format(const Update& update, int width);

 private:
  void draw(const std::string& line);

  bool quiet_, terminal_;
  double last_shown_ = -1e9;  // seconds of a steady clock
  std::string line_;          // on the terminal now, still open
  std::string newest_, shown_;
};

size_t peak_resident_bytes();  // of this process, from the system

}  // namespace gan
