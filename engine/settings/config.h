// All settings of one run: the groups that every run has, and those of its model. Read from TOML files, the
// environment and the command line; written to config.toml and the headers of checkpoints.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/settings/setting.h"
#include "kernels/contract/check.h"

namespace gan {

class InputFile;  // engine/files

// clang-format off
struct WhatSettings : Group<WhatSettings> {
  WhatSettings() : Group("what") {}
  Setting<std::string> model{*this, "model", "", "network to train: see `gan help train`", "", kNetwork};
  Setting<std::string> data{*this, "data", "", "folder of pictures, or builtin:comics", "", 0};
  Setting<std::string> preset{*this, "preset", "tuned", "what settings begin with: values for one machine and an evening, those of the model's paper, or of comic those for a kind of style", "tuned|paper|anime|comic|paint|abstract", kTrain | kOneCall};
};

struct RunSettings : Group<RunSettings> {
  RunSettings() : Group("run") {}
  Setting<std::string> out{*this, "out", "", "folder of the run, or the file to write; empty: runs/NNNNN-MODEL-DATA", "", kTrain | kSample | kTranslate | kOneCall};
  Setting<std::string> device{*this, "device", "auto", "auto, cpu, cuda, cuda:N, simt or ref", "", kTrain | kSample | kTranslate | kEval};
  Setting<int64_t> seed{*this, "seed", 1, "of all random numbers", "0..", kTrain | kSample | kTranslate | kEval};
  Setting<std::string> precision{*this, "precision", "auto", "of products: bf16 (activations too are bfloat16), tf32 (CUDA alone) or fp32; learnt weights, statistics and losses are float32 in each; auto: bf16 on a CUDA device, else fp32; a replay is fp32 unless it says otherwise", "auto|bf16|tf32|fp32", kTrain | kInspect};
  Setting<std::string> recorded{*this, "recorded", "auto", "training steps from a recording of one, which a GPU runs as one CUDA graph: the same results with fewer calls by the host; auto: on a CUDA device", "auto|on|off", kTrain | kPace};
  Setting<bool> deterministic{*this, "deterministic", false, "no libraries that are installed apart, nothing by the clock: results depend on the build and the device model alone", "", kTrain};
  Setting<int> workers{*this, "workers", 0, "threads that decode pictures; 0: one per core", "0..256", kTrain | kPace};
  Setting<double> cache_gb{*this, "cache-gb", 4, "memory for decoded pictures; a larger set streams from its files", "0..", kTrain | kPace};
  Setting<std::string> trace{*this, "trace", "", "file for a trace of a few steps after the first ones, by operation and queue, which chrome://tracing and ui.perfetto.dev show; those steps run as they are written, not from a recording, unless --recorded is on", "", kTrain | kOneCall};
  Setting<bool> dry_run{*this, "dry-run", false, "print settings, parameters, predicted memory and work per step, then stop", "", kTrain | kOneCall};
  Setting<bool> force{*this, "force", false, "clear an earlier run's files in --out", "", kTrain | kSample | kTranslate | kOneCall};
  Setting<bool> quiet{*this, "quiet", false, "errors only", "", kTrain | kSample | kTranslate | kEval | kOneCall};
  Setting<bool> verbose{*this, "verbose", false, "more detail on stderr", "", kTrain | kSample | kTranslate | kEval | kOneCall};
  Setting<bool> json{*this, "json", false, "machine-readable output on stdout", "", kTrain | kSample | kTranslate | kEval | kOneCall};
};

struct LengthSettings : Group<LengthSettings> {
  LengthSettings() : Group("length and output") {}
  Setting<int64_t> steps{*this, "steps", 0, "stop after this many steps; 0: by epochs or minutes", "0..", kTrain | kLength};
  Setting<int64_t> epochs{*this, "epochs", 0, "stop after this many passes over the data; 0: by steps or minutes", "0..", kTrain | kLength};
  Setting<double> minutes{*this, "minutes", 0, "stop after this much training time; 0: by steps or epochs", "0..", kTrain | kLength};
  Setting<int64_t> least_steps{*this, "least-steps", 0, "take at least so many steps, however few --epochs make on a small set", "0..", kTrain};
  Setting<int> batch{*this, "batch", 64, "pictures per batch", "1..65536", kTrain | kInspect};
  Setting<int64_t> log_every{*this, "log-every", 50, "steps between lines of metrics.jsonl; 0: never", "0..", kTrain};
  Setting<int64_t> sample_every{*this, "sample-every", 500, "steps between sample grids; 0: never", "0..", kTrain};
  Setting<double> sample_minutes{*this, "sample-minutes", 3, "a sample grid also when this much time has passed without one, the first within a minute; 0: never; never with --deterministic", "0..", kTrain | kPace};
  Setting<int64_t> save_every{*this, "save-every", 1000, "steps between checkpoints; 0: the last step only", "0..", kTrain};
  Setting<double> save_minutes{*this, "save-minutes", 3, "a checkpoint also when this much time has passed without one; 0: never; never with --deterministic", "0..", kTrain | kPace};
  Setting<int64_t> eval_every{*this, "eval-every", 500, "steps between validations of models that learn from pairs; 0: never", "0..", kTrain};
  Setting<int> keep{*this, "keep", 2, "checkpoints kept besides the latest; 0: all", "0..", kTrain};
  Setting<std::string> resume{*this, "resume", "", "go on with a run, or from one of its checkpoints (RUN, RUN/best, RUN/checkpoints/FILE)", "", kTrain | kOneCall};
  Setting<std::string> init{*this, "init", "", "start from the weights of this checkpoint", "", kTrain};
  Setting<std::string> replay{*this, "replay", "", "take weights, noise and pictures from this replay file", "", kTrain};
};

struct DataSettings : Group<DataSettings> {
  DataSettings() : Group("data") {}
  Setting<int> size{*this, "size", 64, "side of the pictures in pixels", "1..4096", kTrain | kInspect | kNetwork};
  Setting<int> load_size{*this, "load-size", 0, "side pictures are scaled to before a random crop of --size; 0: --size", "0..8192", kTrain};
  Setting<int> channels{*this, "channels", 3, "3 colour, 1 grey", "1|3", kTrain | kInspect | kNetwork};
  Setting<bool> no_augment{*this, "no-augment", false, "no random crops and flips", "", kTrain};
  Setting<bool> no_shuffle{*this, "no-shuffle", false, "pictures in the order of their names", "", kTrain};
  Setting<std::vector<double>> split{*this, "split", {}, "parts of the set for training and validation, as 0.9,0.1; empty: all for training, of pairs 1 in 20 for validation", "0..1", kTrain};
  Setting<std::string> matte{*this, "matte", "white", "colour behind transparent pictures: white, black or RRGGBB", "", kTrain | kTranslate | kEval};
  Setting<double> max_bad{*this, "max-bad", 0.01, "part of the files that may be unreadable (one file always may, unless this is 0)", "0..1", kTrain | kEval};
};

struct LearningSettings : Group<LearningSettings> {
  LearningSettings() : Group("learning") {}
  Setting<double> lr{*this, "lr", 2e-4, "Adam's learning rate", "0..", kTrain};
  Setting<double> lr_d{*this, "lr-d", 0, "the discriminator's learning rate; 0: --lr", "0..", kTrain};
  Setting<double> beta1{*this, "beta1", 0.5, "Adam's decay of the first moment", "0..0.9999", kTrain};
  Setting<double> beta2{*this, "beta2", 0.999, "Adam's decay of the second moment", "0..0.999999", kTrain};
  Setting<std::string> lr_policy{*this, "lr-policy", "constant", "how the learning rate changes at the end of an epoch", "constant|linear|step|cosine|cyclic", kTrain};
  Setting<double> weight_decay{*this, "weight-decay", 0, "L2 penalty of Adam", "0..", kTrain};
  Setting<double> ema{*this, "ema", 0, "decay of the generator's averaged weights; 0: none", "0..0.99999999", kTrain};
};
// clang-format on

// Every setting that any model has, and which models have it: the words for a setting that stands where it does
// not belong. models/zoo.h has the one there is.
class Catalogue {
 public:
  virtual ~Catalogue() = default;
  virtual std::vector<std::string> names() const = 0;
  virtual std::vector<std::string> owners_of(const std::string& name) const = 0;  // models; empty: unknown
};

class Config : public WhatSettings,
               public RunSettings,
               public LengthSettings,
               public DataSettings,
               public LearningSettings {
 public:
  // The groups that all runs have. A model's are added by the zoo; `catalogue` may be null.
  explicit Config(const Catalogue* catalogue = nullptr) : catalogue_(catalogue) {}
  Config(const Config& other);
  Config& operator=(const Config& other);
  Config(Config&&) = default;
  Config& operator=(Config&&) = default;

  template <class G>
  void add() {
    if (!group<G>()) own_.push_back(std::make_unique<G>());
  }
  // A model's own group. It must be there: the model's row of the zoo names it.
  template <class G>
  G& get() {
    G* found = group<G>();
    GAN_CHECK(found, "model {} does not have the settings \"{}\"", model, G().heading());
    return *found;
  }
  template <class G>
  const G& get() const {
    return const_cast<Config*>(this)->get<G>();
  }
  template <class G>
  bool has() const {
    return const_cast<Config*>(this)->group<G>() != nullptr;
  }

  // In the order of --help and config.toml.
  std::vector<SettingGroup*> groups();
  std::vector<const SettingGroup*> groups() const;
  AnySetting* find(std::string_view name);  // null when these settings have none of this name
  const AnySetting* find(std::string_view name) const;
  const Catalogue* catalogue() const { return catalogue_; }

 private:
  template <class G>
  G* group() {
    for (const auto& own : own_)
      if (auto* found = dynamic_cast<G*>(own.get())) return found;
    return nullptr;
  }
  const Catalogue* catalogue_;
  std::vector<std::unique_ptr<SettingGroup>> own_;
};

// Where each value came from: "preset", "config FILE", "environment GAN_LR", "command line", "run", "default".
// And what was passed over: settings of other models, named by a source that may have them.
struct Origins : std::map<std::string, std::string> {  // by the setting's name
  std::vector<std::string> passed_over;
};

// What becomes of a setting that another model has.
enum class Foreign {
  refuse,     // Exit::usage naming its owners
  pass_over,  // noted in Origins::passed_over
};

// Sets one setting from text. `source` is for the message: "--lr", "key lr in a.toml line 3". An unknown name is
// Exit::usage and names the nearest; one of another model names its owners.
void set_setting(Config& config, std::string_view name, const std::string& text, const std::string& source);
std::string get_setting(const Config& config, std::string_view name);      // as set_setting takes it
std::string nearest_setting(const Config& config, std::string_view name);  // empty when none is near

// Reads a flat TOML file or text; keys as names with _ for -; integers are fine for real numbers. Throws
// Exit::usage with file, line and key; a file that cannot be read is Exit::bad_data. A file that an earlier
// version wrote may hold other models' settings.
void read_toml_file(Config& config, const std::string& path, Origins& origins);
void read_toml_file(Config& config, const InputFile& file, Origins& origins);
// `skip` is asked about every key first, with its value as TOML writes it: true passes it over in silence.
using SkipKey = std::function<bool(const std::string& key, const std::string& value)>;
void read_toml_text(Config& config, const std::string& text, const std::string& name, Origins& origins,
                    const std::string& origin, Foreign foreign, const SkipKey& skip = {});
// GAN_LR and the like; an empty value counts as not set. Names that are no settings (GAN_CONFIG, GAN_KERNEL,
// GAN_NVTX, GAN_ALLOC, GAN_LOG, GAN_SIMT, GAN_SHARED, GAN_TEST_*) are left alone, other models' settings are
// passed over; another unknown GAN_ name is an error that names the nearest.
void read_environment(Config& config, Origins& origins);

// All settings as TOML, groups as comments, defaults included; reading it back gives the same Config, but for
// the settings of one call (kOneCall), which are left out. For a checkpoint also those that change no result are
// left out (kPace): the same training gives the same file, byte for byte.
std::string to_toml(const Config& config, bool for_checkpoint = false);
inline constexpr std::string_view kConfigFileMark = "# Settings of a run of gan";  // how that text begins
// The same settings as one JSON object, keys as in TOML.
std::string to_json(const Config& config);

}  // namespace gan
