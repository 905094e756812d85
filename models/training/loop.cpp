// The training loop: prepare, draw, step, log, sample, save, stop.
#include "models/training/loop.h"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <optional>

#include "engine/run/runlog.h"
#include "models/losses/adversarial.h"
#include "models/training/evaluation.h"
#include "models/training/feeder.h"
#include "models/training/health.h"
#include "models/training/plan.h"
#include "models/training/replay.h"
#include "models/use/checkpoint.h"
#include "models/use/sample.h"

namespace gan {

// -------------------------------------------------------------------------------------------------- signals

namespace {

// First SIGINT or SIGTERM: finish the step, save, exit 128 + n. Second: leave at once.
volatile std::sig_atomic_t stop_signal = 0;
void on_signal(int number) {
  if (stop_signal) _exit(128 + number);
  stop_signal = number;
}

class StopOnSignal {
 public:
  StopOnSignal() {
    stop_signal = 0;
    struct sigaction action = {};
    action.sa_handler = on_signal;
    sigaction(SIGINT, &action, &before_[0]);
    sigaction(SIGTERM, &action, &before_[1]);
  }
  ~StopOnSignal() {
    sigaction(SIGINT, &before_[0], nullptr);
    sigaction(SIGTERM, &before_[1], nullptr);
  }
  StopOnSignal(const StopOnSignal&) = delete;

 private:
  struct sigaction before_[2];
};

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr int kGridPictures = 64;

// The first tensor that holds a number that is not finite, in words.
std::string first_bad_tensor(Model& model) {
  for (auto& network : model.networks) {
    if (!network->learns()) continue;
    const Parameters& p = network->parameters;
    for (int i = 0; i < int(p.infos().size()); ++i) {
      const auto& info = p.infos()[size_t(i)];
      auto bad = [](const std::vector<float>& values) {
        return std::any_of(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
      };
      if (!info.buffer && bad(p.gradient(i).host_f32()))
        return fmt::format("the gradient of {}.{} {}", network->name, info.name, to_string(info.shape));
      if (bad(p.value(i).host_f32()))
        return fmt::format("{}.{} {}", network->name, info.name, to_string(info.shape));
    }
  }
  return "none of the weights and gradients";
}

// ----------------------------------------------------------------------------------------------- settings

// A replay brings its own settings; of the call only those about the call count.
Config config_of(const Config& call, const Replay& replay) {
  Config c = replay.config();
  if (!call.model->empty() && *call.model != *c.model)
    fail(Exit::usage, "{} is a replay of {}, not of {}", call.replay, c.model, call.model);
  c.out = call.out, c.device = call.device, c.force = call.force, c.quiet = call.quiet;
  c.json = call.json, c.verbose = call.verbose, c.dry_run = call.dry_run, c.replay = call.replay;
  c.seed = call.seed, c.deterministic = call.deterministic;
  c.data = *call.replay;
  c.log_every = 1, c.sample_every = 0, c.save_every = 0, c.eval_every = 0;
  return c;
}

// A length given anywhere replaces the preset's.
void settle_length(Config& config, const Origins& origins) {
  auto from_preset = [&](const char* name) {
    const auto origin = origins.find(name);
    return origin == origins.end() || origin->second == "preset" || origin->second == "default";
  };
  const bool given = !from_preset("steps") || !from_preset("epochs") || !from_preset("minutes");
  if (given) {
    if (from_preset("steps")) config.steps = 0;
    if (from_preset("epochs")) config.epochs = 0;
    if (from_preset("minutes")) config.minutes = 0;
  }
  if (config.steps == 0 && config.epochs == 0 && config.minutes == 0)
    fail(Exit::usage, "nothing says how long to train: give --steps, --epochs or --minutes");
  if (config.data->empty())
    fail(Exit::usage, "no pictures to train on: gan train {} FOLDER, or builtin:comics", config.model);
}

// ----------------------------------------------------------------------------------------------------- loop

// One run: everything between the settings and the exit code.
class Run {
 public:
  Run(Config config, const Origins& origins)
      : config_(std::move(config)), origins_(origins), progress_(config_.quiet) {}

  int run() {
    if (!config_.replay->empty()) {
      replay_ = std::make_unique<Replay>(*config_.replay);
      config_ = config_of(config_, *replay_);
    } else {
      settle_length(config_, origins_);
      find_model(config_.model).check(config_);
    }
    const ChosenDevice chosen = choose_device(config_.device);
    open_start();
    StepPlan plan = plan_step(config_, chosen.device);
    if (!replay_) {
      open_pictures(config_.size);
      plan.data_bytes = pictures_->cache_bytes();
    }
    if (config_.dry_run) {
      print_plan(config_, origins_, plan, chosen.device);
      return int(Exit::ok);
    }
    say_plan(chosen, plan);
    context_ = std::make_unique<DeviceContext>(chosen.device);
    model_ = build_model(*context_, config_);
    if (replay_) length_ = {replay_->steps(), replay_->steps(), 1};
    else length_ = plan_length(config_, *model_, pictures_->draws_per_epoch(config_.batch));
    load_weights();
    if (!replay_ && !model_->use().pictures.empty())
      evaluation_ = std::make_unique<Evaluation>(*model_, *context_, *pictures_,
                                                 [this](const std::string& text) { progress_.say(text); });
    if (!folder_) folder_ = RunFolder::create(config_.out, config_.model, config_.data, config_.force);
    folder_->write_config(config_);
    const int code = loop();
    progress_.finish();
    return code;
  }

 private:
  void open_pictures(int size) {
    Config of_size = config_;
    of_size.size = size;
    if (config_.load_size > 0)
      of_size.load_size = std::max(size, int(int64_t(config_.load_size) * size / config_.size));
    pictures_ = std::make_unique<PictureSet>(data_options(of_size));
    if (pictures_size_ == 0) progress_.say(pictures_->words());
    pictures_size_ = size;
    if (config_.batch > pictures_->train_count())
      fail(Exit::usage, "--batch {} is more than the {} training pictures of {}; use --batch {}",
           config_.batch, pictures_->train_count(), config_.data, pictures_->train_count());
  }

  void say_plan(const ChosenDevice& chosen, const StepPlan& plan) {
    std::string counts;
    for (const auto& [network, count] : plan.parameters)
      counts += fmt::format("{}{}", counts.empty() ? "" : " + ", count);
    progress_.say(fmt::format("{} on {}{}: {} parameters, {:.1f} GFLOP a step, about {:.0f} MB",
                              config_.model, name_of(chosen.device),
                              chosen.why.empty() ? "" : " (" + chosen.why + ")", counts, plan.flop / 1e9,
                              double(plan.memory_bytes()) / (1 << 20)));
  }

  // The checkpoint that training starts from is looked at before memory is taken for the networks.
  void open_start() {
    const std::string from = config_.resume->empty() ? config_.init : config_.resume;
    if (replay_ || from.empty()) return;
    start_ = SafetensorsFile::open(open_checkpoint(from));
    start_->verify_hashes();
    check_checkpoint(*start_, config_, !config_.resume->empty());
  }

  void load_weights() {
    if (replay_) {
      replay_->begin(*context_, *model_);
    } else if (!config_.resume->empty()) {
      folder_ = RunFolder::open(*config_.resume);
      load_checkpoint(*start_, *model_, &state_, true);
      progress_.say(fmt::format("resumed at step {} from {}", state_.step, start_->path().string()));
    } else if (!config_.init->empty()) {
      load_checkpoint(*start_, *model_, nullptr, false);
    }
    start_.reset();
  }

  StepInput next() {
    const int stage = model_->stage_at(state_.step);
    StepInput in;
    if (replay_) {
      in = replay_->input(*context_, state_.step);
    } else {
      if (const int size = model_->size_at(stage); size != pictures_size_) open_pictures(size);
      in = next_input(*model_, *pictures_, *context_, state_.draw);
    }
    const double factor =
        learning_rate_factor(config_.lr_policy, state_.step / length_.steps_per_epoch, length_.epochs);
    in.learning_rate = config_.lr * factor;
    in.learning_rate_d = (config_.lr_d > 0 ? config_.lr_d : config_.lr) * factor;
    in.step = state_.step;
    in.stage = stage;
    return in;
  }

  int loop() {
    MetricsFile metrics(folder_->root(), config_, state_.step);
    StopOnSignal signals;
    // Reading a scalar costs nothing where host and device share memory; on a GPU it waits, so only log
    // points look.
    const bool shared_memory = context_->memory_is_host();
    const double seconds_before = metrics.seconds(), start = now();
    seconds_ = seconds_before;
    const int64_t images_before = state_.images;
    const int64_t images_per_step = int64_t(config_.batch) * draws_per_step(*model_);
    Metrics shown;
    bool done = state_.step >= length_.last_step;
    if (done)
      progress_.say(fmt::format("nothing to do: step {} of {} is reached", state_.step, length_.last_step));
    while (!done) {
      const int64_t step = state_.step + 1;
      const bool due = config_.log_every > 0 && step % config_.log_every == 0;
      StepInput input = next();
      input.log = due || step == length_.last_step;
      const StepResult result = model_->step(input);
      state_.step = step;
      state_.images += images_per_step;
      if (input.log || shared_memory) shown = check_finite(result);
      seconds_ = seconds_before + (now() - start);
      done = step == length_.last_step || stop_signal ||
             (config_.minutes > 0 && seconds_ >= config_.minutes * 60);
      Metrics line;
      if (due || (done && config_.log_every > 0)) {
        line = {{"lr", input.learning_rate}};
        line.insert(line.end(), shown.begin(), shown.end());
        health_.see(step, config_.get<AdversarialSettings>().gan_loss, shown);
      }
      const bool evaluate = evaluation_ && !evaluation_->empty() && config_.eval_every > 0 &&
                            (done || step % config_.eval_every == 0);
      const bool best = evaluate && this->evaluate(line);
      if (!line.empty()) metrics.write(step, state_.images, seconds_, line);
      if (config_.sample_every > 0 && (done || step % config_.sample_every == 0)) write_grid();
      if (done || best || (config_.save_every > 0 && step % config_.save_every == 0)) save(best);
      const double elapsed = now() - start;
      const double rate = double(state_.images - images_before) / std::max(elapsed, 1e-9);
      const int64_t steps_taken = (state_.images - images_before) / images_per_step;
      progress_.show({step, length_.last_step == INT64_MAX ? 0 : length_.last_step, rate,
                      seconds_left(elapsed, steps_taken), peak_resident_bytes(), shown});
    }
    if (stop_signal) {
      progress_.say(fmt::format("stopped by a signal at step {}; go on with: gan train --resume {}",
                                state_.step, folder_->path().string()));
      return 128 + stop_signal;
    }
    return int(Exit::ok);
  }

  // Adds the measures to a line of the log. True: the best model so far.
  bool evaluate(Metrics& line) {
    const Evaluation::Result found = evaluation_->run();
    line.insert(line.end(), found.measures.begin(), found.measures.end());
    const bool best = found.best_by > state_.best;
    progress_.say(
        fmt::format("step {}: validation {}{}", state_.step, found.words, best ? ", the best so far" : ""));
    if (best) state_.best = float(found.best_by);
    return best;
  }

  double seconds_left(double elapsed, int64_t steps_taken) const {
    double left = -1;
    if (length_.last_step != INT64_MAX && steps_taken > 0)
      left = elapsed / double(steps_taken) * double(length_.last_step - state_.step);
    if (config_.minutes > 0) {
      const double by_clock = config_.minutes * 60 - seconds_;
      left = left < 0 ? by_clock : std::min(left, by_clock);
    }
    return left;
  }

  Metrics check_finite(const StepResult& result) {
    Metrics values = result.read();
    for (const auto& [name, value] : values)
      if (!std::isfinite(value)) {
        progress_.finish();
        fail(Exit::diverged,
             "diverged: {} is {} at step {}; the first tensor that is not finite is {}. "
             "The last checkpoint is untouched; try a smaller --lr or another --gan-loss",
             name, std::isnan(value) ? "nan" : "infinite", state_.step, first_bad_tensor(*model_));
      }
    return values;
  }

  void write_grid() {
    std::vector<Image> made;
    if (evaluation_) {
      folder_->write_sample(state_.step, evaluation_->grid(made));
    } else {
      made = sample_pictures(*model_, *context_, kGridPictures, uint64_t(config_.seed));
      folder_->write_sample(state_.step, make_grid(made, 8, 2, 255));
    }
    health_.look(state_.step, made);
  }

  void save(bool best) {
    save_checkpoint(folder_->checkpoints(), RunFolder::checkpoint_name(state_.step), *model_, state_);
    folder_->set_latest(state_.step);
    if (best) folder_->set_best(state_.step);
    folder_->prune_checkpoints(config_.keep);
  }

  Config config_;
  const Origins& origins_;
  Progress progress_;
  std::unique_ptr<DeviceContext> context_;  // before what holds device memory: it goes last
  std::unique_ptr<Model> model_;
  std::unique_ptr<Replay> replay_;
  std::optional<SafetensorsFile> start_;  // the checkpoint to start from, until it is loaded
  std::unique_ptr<PictureSet> pictures_;
  int pictures_size_ = 0;  // side of the pictures that they give
  std::unique_ptr<Evaluation> evaluation_;
  std::optional<RunFolder> folder_;
  Health health_{[this](const std::string& text) { progress_.say(text); }};
  TrainState state_;
  double seconds_ = 0;  // of training, since step 1
  RunLength length_;
};

}  // namespace

int train(Config config, const Origins& origins) { return Run(std::move(config), origins).run(); }

}  // namespace gan
