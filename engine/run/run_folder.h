// The folder of a run: config.toml, metrics.jsonl, samples/ and checkpoints/, and how a checkpoint in it is named.
#pragma once
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/files/atomic_file.h"
#include "engine/picture/image.h"
#include "engine/run/run_lock.h"
#include "engine/settings/config.h"

namespace gan {

// The folder of one run. Names are a contract: README.md, "Run folder". The path to it may lead through
// links; inside there are none, and one that is found is refused (Exit::bad_data). Who writes holds the run's lock
// (RunLock) for as long as this object or a copy of it lives.
class RunFolder {
 public:
  // A new run. `out` empty: the next free runs/NNNNN-MODEL-DATA, also when several programs start at once. A
  // folder that is not empty throws Exit::usage; with `force` an earlier run's own files in it (config.toml,
  // metrics.jsonl, report.html, pictures in samples/, checkpoints/) are removed, other files stay, and a
  // folder that is no run is still refused. So is one in which somebody trains. What a start that was killed has left
  // counts as nothing. A folder that cannot be made is Exit::io.
  static RunFolder create(const std::string& out, const std::string& model, const std::string& data,
                          bool force);
  // The refusals of create() alone, to be heard before long preparations.
  static void check_out(const std::string& out, bool force);
  // An earlier run, to be read. Nothing is changed in it. Throws Exit::bad_data when `path` is no run folder.
  static RunFolder open(const std::filesystem::path& path);
  // An earlier run, to be written: takes the lock (Exit::usage naming who has it) and removes temporary files that a
  // kill has left.
  static RunFolder resume(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return root_.path(); }
  const Folder& root() const { return root_; }
  void read_config(Config& config, Origins& origins) const;  // config.toml
  void write_config(const Config& config) const;
  // Where checkpoints are written, and what the one of a step is called there: step-00000500.safetensors.
  Folder checkpoints() const { return root_.make_subfolder("checkpoints"); }
  static std::string checkpoint_name(int64_t step);
  // A file in checkpoints/, or with "latest" or "best" the one that they name. Exit::bad_data when there is none,
  // naming those there are.
  InputFile open_checkpoint(const std::string& which = "latest") const;
  // The names of all checkpoints, the newest first.
  std::vector<std::string> checkpoint_names() const;
  void set_latest(int64_t step) const;  // checkpoints/latest, atomically
  void set_best(int64_t step) const;    // checkpoints/best, atomically
  // Lets `best` name the checkpoint of this step, if that is there and `best` names another that is older or nothing: a
  // kill may have come between the two.
  void mend_best(int64_t step) const;
  // Removes checkpoints older than the newest `keep` besides the latest and the best; keep 0 removes
  // none. Those later than the latest are of a future that was given up by going back, and stay.
  void prune_checkpoints(int keep) const;
  void write_sample(int64_t step, const Image& grid) const;  // samples/step-00000100.png

  // Takes back a run of create() that has come to nothing: its files, and the folders that create() made.
  void abandon();

 private:
  explicit RunFolder(Folder root) : root_(std::move(root)) {}
  Folder root_;
  std::shared_ptr<RunLock> lock_;            // of who writes
  std::vector<std::filesystem::path> made_;  // folders that create() has made, outermost first
};

// A checkpoint in a run, as the command line names it: RUN, RUN/latest, RUN/best, or one of RUN/checkpoints/.
struct RunPoint {
  std::filesystem::path run;
  std::string checkpoint;  // "latest", "best", or the name of a file
};
// Nothing when the word names no place in a run.
std::optional<RunPoint> find_run_point(const std::string& word);

// RUN or CKPT of the command line, opened: any RunPoint, or a file elsewhere. Exit::bad_data.
InputFile open_checkpoint(const std::string& run_or_checkpoint);
// The same, or any other file of weights as it is.
InputFile open_weights(const std::string& run_or_file);
// For the message about a checkpoint of a run that cannot be used: the others there are, in words that follow a
// semicolon; empty when there is none.
std::string other_checkpoints(const std::string& run_or_checkpoint);

}  // namespace gan
