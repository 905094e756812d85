// The training loop: prepare, draw, step, log, sample, save, stop.
#include "models/training/loop.h"

#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>

#include "engine/data/drawn_sets.h"
#include "engine/files/atomic_file.h"
#include "engine/files/stop.h"
#include "engine/run/machine.h"
#include "engine/run/runlog.h"
#include "engine/tensor/trace.h"
#include "models/losses/adversarial.h"
#include "models/networks/features.h"
#include "models/training/coverage.h"
#include "models/training/evaluation.h"
#include "models/training/feeder.h"
#include "models/training/health.h"
#include "models/training/plan.h"
#include "models/training/recorded_steps.h"
#include "models/training/replay.h"
#include "models/use/checkpoint.h"
#include "models/use/init.h"
#include "models/use/sample.h"

namespace gan {

namespace fs = std::filesystem;

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

constexpr int kGridPictures = 64;
constexpr int kBelowEasiest = 4;
constexpr int64_t kTraced = 5;                     // steps in a trace, and before it
constexpr int64_t kFirstCoverage = 100;            // steps: before, there are no faces
constexpr int64_t kClock = 1000;                   // parts of the time that a schedule by the clock knows
constexpr double kFirstGrid = 40, kMeasured = 10;  // seconds
constexpr double kSilent = 2;                      // seconds of reading pictures that pass without a word
// --dry-run tries steps of each stage for so many seconds together, one at least; none that alone would take longer.
constexpr double kTrial = 2, kLargestTrial = 1e11;  // seconds, operations of floating-point arithmetic

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
    if (from_preset("least-steps")) config.least_steps = 0;
  }
  if (config.steps == 0 && config.epochs == 0 && config.minutes == 0)
    fail(Exit::usage, "nothing says how long to train: give --steps, --epochs or --minutes");
  if (config.data->empty())
    fail(Exit::usage, "no pictures to train on: gan train {} FOLDER, or {}", config.model,
         names_of_drawn_sets());
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
    if (const fs::path trace(*config_.trace); !trace.empty()) {  // known before an hour has passed
      const fs::path folder = trace.has_parent_path() ? trace.parent_path() : ".";
      if (!fs::is_directory(folder))
        fail(Exit::usage, "--trace {}: there is no folder {}", trace.string(), folder.string());
      if (fs::is_directory(trace))
        fail(Exit::usage, "--trace {}: is a folder; name a file in it", trace.string());
    }
    const ChosenDevice chosen = choose_device(config_.device);
    device_ = chosen.device;
    // What is written down is what was computed in: the run may go on elsewhere.
    const Precision precision = precision_of(config_.precision, chosen.device);
    config_.precision = name_of(precision);
    open_start();
    StepPlan plan = planned(chosen.device);
    throw_if_stopped();
    if (!replay_) {
      open_pictures(config_.size);
      plan.data_bytes = pictures_->cache_bytes();
    }
    if (replay_) length_ = {.last_step = replay_->steps(), .steps_per_epoch = replay_->steps()};
    else length_ = plan_length(config_, plan.draws, pictures_->draws_per_epoch(config_.batch));
    if (config_.dry_run) {
      print_plan(config_, origins_, plan, chosen.device);
      if (config_.json) return int(Exit::ok);
      fmt::print("length           {}\n", length_words(plan));
      std::fflush(stdout);
      fmt::print("time             {}\n", time_words(chosen.device, plan));
      return int(Exit::ok);
    }
    say_plan(chosen, plan);
    say_precision(precision);
    throw_if_stopped();
    make_context();
    build();
    throw_if_stopped();
    load_weights();
    if (!replay_ && !model_->use().pictures.empty())
      evaluation_ = std::make_unique<Evaluation>(*model_, *context_, *pictures_,
                                                 [this](const std::string& text) { progress_.say(text); });
    throw_if_stopped();
    if (!folder_) folder_ = RunFolder::create(config_.out, config_.model, config_.data, config_.force);
    first_step_ = saved_step_ = state_.step;
    try {
      folder_->write_config(config_);
      progress_.say(fmt::format("run {}: {}", folder_->path().string(), length_words(plan)));
      const int code = loop();
      progress_.finish();
      if (code == int(Exit::ok)) say_next();
      return code;
    } catch (const Stopped& stop) {  // before a step, or in the middle of one's preparations
      if (state_.step == first_step_) {
        give_up_start();
        throw;
      }
      save(false);
      return stopped_by(stop.signal);
    } catch (const Error& error) {
      // What has diverged is not worth saving; the checkpoint before it is.
      if (state_.step == first_step_) give_up_start();
      else if (error.code() != Exit::diverged) rescue();
      throw;
    } catch (const std::exception&) {
      if (state_.step == first_step_) give_up_start();
      else rescue();
      throw;
    }
  }

 private:
  void open_pictures(int size) {
    Config of_size = config_;
    of_size.size = size;
    if (config_.load_size > 0)
      of_size.load_size = std::max(size, int(int64_t(config_.load_size) * size / config_.size));
    try {
      pictures_ = std::make_unique<PictureSet>(data_options(of_size), reading_progress());
      progress_.clear();
    } catch (const Error& error) {
      if (config_.resume->empty() || error.code() != Exit::bad_data) throw;
      fail(error.code(),
           "{}; if the pictures have moved, give their new place: gan train {} FOLDER --resume {}",
           error.what(), config_.model, config_.resume);
    }
    const bool first = pictures_size_ == 0;
    pictures_size_ = size;
    if (config_.batch > pictures_->train_count())
      fail(Exit::usage, "--batch {} is more than the {} training pictures of {}; use --batch {}",
           config_.batch, pictures_->train_count(), config_.data, pictures_->train_count());
    if (first) progress_.say(pictures_->words());
  }

  // A line while pictures are read or drawn, where that takes time.
  ReadingProgress reading_progress() {
    if (config_.json) return {};
    return [this, start = now()](int64_t done, int64_t all) {
      const double passed = now() - start;
      if (passed < kSilent || done == all) return;
      progress_.show_line(fmt::format("pictures {}/{}  {} left", done, all,
                                      duration_text(passed / double(done) * double(all - done))));
    };
  }

  // Each setting is within its range, and together they may still be more than a network can be.
  StepPlan planned(Device device) const {
    try {
      return plan_step(of_model(), device);
    } catch (const Error& error) {
      if (error.code() != Exit::failure) throw;
      std::string sizes;
      for (const char* name : {"size", "batch", "ngf", "ndf", "nz"})
        if (config_.find(name))
          sizes += fmt::format("{}--{} {}", sizes.empty() ? "" : " ", name, get_setting(config_, name));
      fail(Exit::usage, "{} together are too much, make one of them smaller: {}", sizes, error.what());
    }
  }

  void say_plan(const ChosenDevice& chosen, const StepPlan& plan) {
    std::string counts;
    for (const auto& [network, count] : plan.parameters)
      counts += fmt::format("{}{}", counts.empty() ? "" : " + ", count);
    progress_.say(fmt::format("{} on {}{}: {} parameters, {:.1f} GFLOP a step, about {:.0f} MiB",
                              config_.model, name_of(chosen.device),
                              chosen.why.empty() ? "" : " (" + chosen.why + ")", counts, plan.flop / 1e9,
                              double(plan.memory_bytes()) / (1 << 20)));
  }

  void say_precision(Precision precision) {
    const bool emulated = device_ == Device::cpu && precision == Precision::bf16 && !cpu::multiplies_bf16();
    if (emulated)
      progress_.say(
          "this processor has no products of bfloat16 numbers: they are made of float32 ones, for trying it out; "
          "--precision fp32 is faster");
    if (precision == Precision::tf32 && device_ != Device::cuda && device_ != Device::simt)
      progress_.say(
          fmt::format("device {} has no tf32 products: it computes in full precision", name_of(device_)));
  }

  // A run's settings name the file that a network of features came from. Its checkpoints hold the network and say which
  // it is: that counts, unless this call names another.
  std::optional<std::string> features_held_by(const SafetensorsFile& checkpoint) const {
    const auto origin = origins_.find("features");
    const bool given = origin != origins_.end() && !origin->second.starts_with("run ");
    if (given || !config_.has<FeatureSettings>()) return {};
    return read_checkpoint_config(checkpoint).get<FeatureSettings>().features;
  }
  Config of_model() const {
    Config config = config_;
    if (held_features_) config.get<FeatureSettings>().features = *held_features_;
    return config;
  }

  bool is_recorded() const {  // a replay brings noise of its own
    return !replay_ && gan::is_recorded(config_, device_);
  }
  void make_context() {
    context_ = std::make_unique<DeviceContext>(
        device_, is_recorded() ? DeviceContext::Mode::queued : DeviceContext::Mode::run);
  }
  void build() {
    model_ = build_model(*context_, of_model(), frozen_);
    if (is_recorded()) steps_ = std::make_unique<RecordedSteps>(*model_, *context_);
  }

  // The checkpoint that training starts from is looked at before memory is taken for the networks.
  void open_start() {
    const std::string from = config_.resume->empty() ? config_.init : config_.resume;
    if (replay_ || from.empty()) return;
    if (!config_.resume->empty()) {
      const fs::path run = find_run_point(from).value().run;
      folder_ = config_.dry_run ? RunFolder::open(run) : RunFolder::resume(run);
    }
    if (!config_.resume->empty()) {
      start_ = open_verified_checkpoint(from);
      held_features_ = features_held_by(*start_);
      frozen_ = check_checkpoint(*start_, of_model(), true);
    } else {
      init_file_ = open_init(from);
      DeviceContext plan(Device::cpu, DeviceContext::Mode::plan);
      init_ = plan_init(*init_file_, *build_model(plan, config_));
    }
  }

  void load_weights() {
    if (replay_) {
      replay_->begin(*context_, *model_);
    } else if (!config_.resume->empty()) {
      load_checkpoint(*start_, *model_, &state_, true);
      progress_.say(fmt::format("resumed at step {} from {}", state_.step, start_->path().string()));
      say_what_changed(read_checkpoint_config(*start_));
      if (state_.best_step > 0) folder_->mend_best(state_.best_step);
    } else if (!config_.init->empty()) {
      init_weights(*init_file_, init_, *model_);
      const std::string more = init_.words();
      progress_.say(
          fmt::format("weights from {}{}{}", init_file_->path().string(), more.empty() ? "" : "; ", more));
    }
    start_.reset();
    init_file_.reset();
  }

  // What is not as it was when the checkpoint was written, as far as it shows in what is learnt from here on.
  void say_what_changed(const Config& earlier) {
    if (state_.set_hash != 0 && state_.set_hash != pictures_->names_hash())
      progress_.say(fmt::format(
          "the pictures of {} are not those that this run began with ({} to train on now, {} then): training goes "
          "on with these, and in another order",
          config_.data, pictures_->train_count(), state_.pictures));
    const RunLength before =
        plan_length(earlier, draws_per_step(*model_),
                    pictures_->draws_per_epoch(std::min<int64_t>(earlier.batch, pictures_->train_count())));
    if (before.by_clock || length_.by_clock) return;
    const auto rate = [&](const Config& config, const RunLength& length) {
      return config.lr *
             learning_rate_factor(config.lr_policy, state_.step / length.steps_per_epoch, length.epochs);
    };
    const bool constant = *config_.lr_policy == "constant" && *earlier.lr_policy == "constant";
    if (constant || (before.epochs == length_.epochs && *config_.lr_policy == *earlier.lr_policy)) return;
    progress_.say(fmt::format(
        "the learning-rate schedule ({}) now spans {} epochs, before it was {} over {}: the rate goes on at {:.3g} "
        "instead of {:.3g}",
        config_.lr_policy, length_.epochs, earlier.lr_policy, before.epochs, rate(config_, length_),
        rate(earlier, before)));
  }

  // The pictures of step `step`, counted from 0; `draw` counts batches and moves on.
  StepInput pictures_of(int64_t step, int64_t& draw) {
    const int stage = model_->stage_at(step);
    StepInput in;
    if (replay_) {
      in = replay_->input(*context_, step);
    } else {
      if (const int size = model_->size_at(stage); size != pictures_size_) open_pictures(size);
      in = in_span("pictures", [&] { return next_input(*model_, *pictures_, *context_, draw); });
    }
    in.step = step;
    in.stage = stage;
    return in;
  }
  // The next step, with those pictures.
  StepResult take(StepInput& in) {
    const double factor = rate_factor();
    in.learning_rate = config_.lr * factor;
    in.learning_rate_d = (config_.lr_d > 0 ? config_.lr_d : config_.lr) * factor;
    if (steps_) return steps_->take(in);
    model_->begin_step(in);
    if (!replay_) add_noise(*model_, *context_, in);
    return model_->step(in);
  }

  // The next step's pictures, while the device is busy with this one. What goes wrong with them is that step's fault.
  struct Ahead {
    StepInput input;
    int64_t draw = 0;  // after it
    std::exception_ptr fault;
  };
  void draw_ahead() {
    if (!steps_ || !context_->has_queues() || state_.step >= length_.last_step ||
        model_->stage_at(state_.step) != model_->stage_at(state_.step - 1))
      return;
    const DeviceContext::Beside beside(*context_);
    ahead_ = Ahead{.input = {}, .draw = state_.draw, .fault = {}};
    try {
      ahead_->input = pictures_of(state_.step, ahead_->draw);
    } catch (...) { ahead_->fault = std::current_exception(); }
  }
  StepInput next(int64_t& draw) {
    say_stage(model_->stage_at(state_.step));
    if (!ahead_) return pictures_of(state_.step, draw);
    const Ahead ahead = *std::exchange(ahead_, std::nullopt);
    if (ahead.fault) std::rethrow_exception(ahead.fault);
    draw = ahead.draw;
    return ahead.input;
  }

  // Which part of the training begins, of a model that has several; at the start also whether the last will come.
  void say_stage(int stage) {
    const auto& stages = model_->stages();
    if (stage == stage_said_ || stages.size() == 1) return;
    if (stage_said_ < 0 && model_->stage_at(length_.last_step - 1) + 1 < int(stages.size()))
      progress_.say(fmt::format(
          "this run ends before the stage \"{}\" begins; a longer one, or shorter stages before it, "
          "gets there",
          stages.back().name));
    stage_said_ = stage;
    const int64_t steps = stages[size_t(stage)].steps;
    progress_.say(fmt::format("step {}: stage \"{}\", {}", state_.step + 1, stages[size_t(stage)].name,
                              steps > 0 ? fmt::format("{} steps in all", steps) : "to the end"));
  }

  // Of the learning rates, for the next step. By the clock it changes at log points only, and where it stood is in
  // the log and in checkpoints: steps that are taken again after a resume have the rates that they had.
  double rate_factor() {
    if (!length_.by_clock)
      return learning_rate_factor(config_.lr_policy, state_.step / length_.steps_per_epoch, length_.epochs);
    const int64_t every = clock_steps();
    if (state_.step % every == 0) {
      const auto earlier = earlier_clock_.find(state_.step + every);
      const double passed = seconds_ / (config_.minutes * 60);
      state_.clock = earlier != earlier_clock_.end() ? int64_t(earlier->second)
                                                     : int64_t(std::clamp(passed, 0.0, 1.0) * (kClock - 1));
    }
    return learning_rate_factor(config_.lr_policy, state_.clock, kClock);
  }
  int64_t clock_steps() const { return config_.log_every > 0 ? int64_t(config_.log_every) : 50; }

  // Grids and checkpoints by the time: for people, not for runs that are compared.
  bool timed_output() const { return !replay_ && !config_.deterministic; }
  bool grid_is_due(double seconds) const {
    if (!timed_output() || config_.sample_every == 0 || config_.sample_minutes == 0) return false;
    const double wait = std::min(config_.sample_minutes * 60, grids_ == 0 ? kFirstGrid : 1e9);
    return seconds - grid_at_ >= wait;
  }
  bool save_is_due(double seconds) const {
    return timed_output() && config_.save_every > 0 && config_.save_minutes > 0 &&
           seconds - saved_at_ >= config_.save_minutes * 60;
  }

  int loop() {
    MetricsFile metrics(folder_->root(), config_, state_.step,
                        {.device = name_of(device_), .threads = arithmetic_threads(), .echo = config_.json});
    earlier_clock_ = metrics.dropped("clock");
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
      throw_if_stopped();
      trace_steps(state_.step - first_step_);
      const int64_t step = state_.step + 1;
      const bool due = config_.log_every > 0 && step % config_.log_every == 0;
      int64_t draw = state_.draw;
      StepInput input = next(draw);
      input.log = due || step == length_.last_step;
      in_step_ = true;
      const StepResult result = in_span("step", [&] { return take(input); });
      in_step_ = false;
      state_.draw = draw;
      state_.step = step;
      state_.images += images_per_step;
      draw_ahead();
      if (input.log || shared_memory) shown = in_span("read", [&] { return check_finite(result); });
      seconds_ = seconds_before + (now() - start);
      done = step == length_.last_step || stop_signal() ||
             (config_.minutes > 0 && seconds_ >= config_.minutes * 60);
      Metrics line;
      if (due || (done && config_.log_every > 0)) {
        line = {{"lr", input.learning_rate}};
        if (length_.by_clock) line.emplace_back("clock", double(state_.clock));
        line.insert(line.end(), shown.begin(), shown.end());
        if (config_.has<AdversarialSettings>())
          health_.see(step, config_.get<AdversarialSettings>().gan_loss, shown);
      }
      const bool evaluate = config_.eval_every > 0 && (done || step % config_.eval_every == 0);
      const bool best = evaluate && evaluation_ && !evaluation_->empty() && this->evaluate(line);
      if (evaluate && step >= kFirstCoverage && !line.empty()) look_at_faces(line);
      if (!line.empty()) metrics.write(step, state_.images, seconds_, line);
      const bool grid = config_.sample_every > 0 && (done || step % config_.sample_every == 0);
      if (grid || grid_is_due(now() - start)) {
        in_span("grid", [&] { write_grid(); });
        grid_at_ = now() - start, ++grids_;
      }
      const bool checkpoint = done || best || (config_.save_every > 0 && step % config_.save_every == 0);
      if (checkpoint || save_is_due(now() - start)) {
        in_span("checkpoint", [&] { save(best); });
        saved_at_ = now() - start;
      }
      const double elapsed = now() - start;
      const double rate = double(state_.images - images_before) / std::max(elapsed, 1e-9);
      const int64_t steps_taken = (state_.images - images_before) / images_per_step;
      progress_.show({step, length_.last_step == INT64_MAX ? 0 : length_.last_step, rate,
                      seconds_left(elapsed, steps_taken), peak_resident_bytes(), shown});
      if (!pace_said_ && !done && elapsed >= kMeasured && steps_taken >= 3)
        say_pace(rate, elapsed, steps_taken);
    }
    write_trace();
    if (!config_.trace->empty() && !traced_)
      progress_.say(fmt::format("no trace: it begins after {} steps of a call", kTraced));
    return stop_signal() ? stopped_by(stop_signal()) : int(Exit::ok);
  }

  template <class F>
  std::invoke_result_t<const F&> in_span(const char* name, const F& work) {
    const HostSpan span(*context_, name);
    return work();
  }
  // --trace: from the step on whose kernels are chosen and whose memory is there.
  void trace_steps(int64_t taken) {
    if (config_.trace->empty()) return;
    if (taken == kTraced) trace_ = std::make_unique<Trace>(*context_), context_->trace = trace_.get();
    if (taken == 2 * kTraced) write_trace();
  }
  void write_trace() {
    if (!trace_) return;
    context_->trace = nullptr;
    const std::string text = trace_->json();
    write_file_atomically(fs::path(*config_.trace), std::as_bytes(std::span(text)));
    traced_ = true;
    progress_.say(
        fmt::format("trace of {} operations and spans: {}; open it in ui.perfetto.dev or chrome://tracing",
                    trace_->spans(), config_.trace));
    trace_.reset();
  }

  // What the run will cost: before its first step what is known then, after a few seconds the time.
  std::string length_words(const StepPlan& plan) const {
    std::string length = length_.last_step == INT64_MAX
                             ? fmt::format("for {:g} minutes", double(config_.minutes))
                             : fmt::format("{} steps of {} pictures", length_.last_step, config_.batch);
    if (length_.last_step != INT64_MAX && !replay_)
      length += fmt::format(" ({:.3g} passes over the set)",
                            double(length_.last_step) / double(length_.steps_per_epoch));
    if (length_.last_step != INT64_MAX && config_.minutes > 0)
      length += fmt::format(", at most {:g} minutes", double(config_.minutes));
    std::string frozen;
    for (const auto& [network, bytes] : plan.frozen_bytes)
      frozen += fmt::format(", {:.3g} of it {}, which does not learn", double(bytes) / (1 << 20), network);
    return fmt::format(
        "{}; checkpoints of {:.3g} MiB{}, {}", length, double(plan.checkpoint_bytes) / (1 << 20), frozen,
        config_.keep > 0 ? fmt::format("at most {} of them", config_.keep + 2) : "all of them kept");
  }
  // --dry-run: the time that steps will take, from trying some of them. What they learn is forgotten.
  std::string time_words(Device device, const StepPlan& plan) {
    const bool emulated = device == Device::simt || device == Device::ref;
    const int64_t from = start_ ? read_train_state(*start_).step : 0;
    if (replay_) return "not measured: it is a replay's";
    if (emulated) return "not measured: this device is for looking into kernels";
    if (from > 0 && config_.minutes > 0)
      return "not measured: --minutes counts what the run has behind it too";
    if (plan.flop > kLargestTrial || plan.memory_bytes() > machine_memory() / 2)
      return "not measured: a step is too large to try one in passing";
    make_context();
    build();
    const auto& stages = model_->stages();
    state_.step = from;
    double seconds = 0, each = 0;
    int64_t stage_end = 0;
    for (size_t stage = 0; stage < stages.size(); ++stage) {
      stage_end = stages[stage].steps > 0 ? stage_end + stages[stage].steps : INT64_MAX;
      const int64_t end = std::min(stage_end, length_.last_step);
      if (state_.step >= end) continue;
      each = seconds_of_a_step(kTrial / double(stages.size()));
      int64_t steps = end - state_.step;
      if (config_.minutes > 0)
        steps = int64_t(std::min(double(steps), (config_.minutes * 60 - seconds) / each));
      seconds += double(steps) * each;
      state_.step += steps;
      if (state_.step < end) break;  // the time is over
    }
    return fmt::format("about {} for {} steps, {:.3g} s each{}; grids and validation come on top",
                       duration_text(seconds), state_.step - from, each,
                       stages.size() > 1 ? " in the last stage" : "");
  }
  // The mean of as many as there is time for; the first, for which libraries prepare themselves, only where it is alone.
  double seconds_of_a_step(double time) {
    const double start = now();
    double first = 0;
    int64_t draw = 0;
    for (int taken = 1;; ++taken) {
      throw_if_stopped();
      StepInput input = pictures_of(state_.step, draw);
      (void)take(input).read();
      const double passed = now() - start;
      if (taken == 1) first = passed;
      if (passed >= time) return taken == 1 ? passed : (passed - first) / (taken - 1);
    }
  }
  void say_pace(double rate, double elapsed, int64_t steps_taken) {
    pace_said_ = true;
    const double left = seconds_left(elapsed, steps_taken);
    if (left >= 0)
      progress_.say(fmt::format(
          "{:.3g} pictures/s: about {} to go; stop at any time with Ctrl-C and go on with --resume", rate,
          duration_text(left)));
  }
  void say_next() {
    const std::string run = folder_->path().string();
    if (!model_->makes_pictures()) {
      progress_.say(
          fmt::format("done: {}; next: gan train style PHOTOS --style PICTURES --features {}; go on: gan "
                      "train --resume {} --steps {}",
                      run, run, run, 2 * state_.step));
      return;
    }
    const bool pictures = !model_->use().pictures.empty();
    progress_.say(fmt::format("done: {}; next: gan {} {}{}; go on: gan train --resume {} --steps {}", run,
                              pictures ? "translate" : "sample", run,
                              pictures ? " PICTURES --out DIR" : " --out grid.png", run, 2 * state_.step));
  }

  int stopped_by(int signal) {
    progress_.say(fmt::format("stopped by a signal at step {}; go on with: gan train --resume {}",
                              state_.step, folder_->path().string()));
    return Stopped{signal}.exit_code();
  }

  // Before the first step: a new run leaves no folder behind, an earlier one stays as it was.
  void give_up_start() noexcept {
    if (!config_.resume->empty()) return;
    try {
      folder_->abandon();
    } catch (const std::exception& error) { progress_.say(error.what()); }
  }

  // After an error in the middle of training: what was learnt since the last checkpoint is saved if it can be.
  void rescue() noexcept {
    if (state_.step == saved_step_) return;
    try {
      progress_.finish();
      save(false);
      progress_.say(fmt::format("step {} was saved before ending{}; go on with: gan train --resume {}",
                                state_.step, in_step_ ? ", with a part of the next step in it" : "",
                                folder_->path().string()));
    } catch (const std::exception& error) {
      progress_.say(fmt::format("step {} cannot be saved: {}", state_.step, error.what()));
    }
  }

  // Adds the measures to a line of the log. True: the best model so far.
  bool evaluate(Metrics& line) {
    const Evaluation::Result found = evaluation_->run();
    line.insert(line.end(), found.measures.begin(), found.measures.end());
    // As it is kept: what is equal is not better.
    // A model that has not begun its last stage is not whole, however good what it can do by then.
    const bool whole = model_->stage_at(state_.step - 1) + 1 == int(model_->stages().size());
    const bool best = whole && (state_.best_step == 0 || float(found.best_by) > state_.best);
    progress_.say(
        fmt::format("step {}: validation {}{}", state_.step, found.words, best ? ", the best so far" : ""));
    if (best) state_.best = float(found.best_by), state_.best_step = state_.step;
    below_easiest_ = found.below_easiest ? below_easiest_ + 1 : 0;
    if (below_easiest_ == kBelowEasiest)
      progress_.say(fmt::format(
          "step {}: validation has been below the easiest answer {} times in a row: the model makes the pictures worse; "
          "what helps: more pictures, a smaller --lr-d or a larger --lambda-l1, a longer run",
          state_.step, kBelowEasiest));
    return best;
  }

  // Models of noise on the built-in faces: which traits they make.
  void look_at_faces(Metrics& line) {
    const bool of_noise = model_->makes_pictures() && model_->use().pictures.empty();
    if (replay_ || !of_noise || config_.data != "builtin:comics") return;
    if (!coverage_) coverage_ = std::make_unique<FaceCoverage>(config_.channels);
    const auto found = coverage_->look(
        sample_pictures(*model_, *context_, FaceCoverage::kPictures, uint64_t(config_.seed) + 1));
    line.insert(line.end(), found.measures.begin(), found.measures.end());
    progress_.say(fmt::format("step {}: faces: {}", state_.step, found.words));
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
    if (!model_->makes_pictures()) return;
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
    if (pictures_) state_.pictures = pictures_->train_count(), state_.set_hash = pictures_->names_hash();
    save_checkpoint(folder_->checkpoints(), RunFolder::checkpoint_name(state_.step), *model_, state_);
    // `best` first: whoever resumes after a kill between the two takes this step again and finds it best again.
    if (best) folder_->set_best(state_.step);
    folder_->set_latest(state_.step);
    saved_step_ = state_.step;
    folder_->prune_checkpoints(config_.keep);
  }

  Config config_;
  const Origins& origins_;
  Progress progress_;
  std::unique_ptr<DeviceContext> context_;  // before what holds device memory: it goes last
  std::unique_ptr<Model> model_;
  std::unique_ptr<RecordedSteps> steps_;  // null: each step runs as it is written
  std::optional<Ahead> ahead_;
  std::unique_ptr<Trace> trace_;
  bool traced_ = false;
  std::unique_ptr<Replay> replay_;
  std::optional<SafetensorsFile> start_;      // the checkpoint to resume, until it is loaded
  std::optional<std::string> held_features_;  // what a resumed checkpoint says of its network of features
  Frozen frozen_ = Frozen::from_settings;     // where networks that never learn have their weights from
  std::optional<WeightsFile> init_file_;      // the weights to start from, with --init, until they are loaded
  InitPlan init_;                             // what of them goes where
  std::unique_ptr<PictureSet> pictures_;
  int pictures_size_ = 0;  // side of the pictures that they give
  int stage_said_ = -1;    // the stage that was announced
  std::unique_ptr<Evaluation> evaluation_;
  std::unique_ptr<FaceCoverage> coverage_;
  std::optional<RunFolder> folder_;
  Health health_{[this](const std::string& text) { progress_.say(text); }};
  TrainState state_;
  int64_t first_step_ = 0, saved_step_ = 0;  // where this call began, and what the newest checkpoint is of
  bool in_step_ = false;
  Device device_ = Device::cpu;
  std::map<int64_t, double> earlier_clock_;  // of steps that are taken again
  double grid_at_ = 0, saved_at_ = 0;        // seconds of this call
  int grids_ = 0;
  bool pace_said_ = false;
  int below_easiest_ = 0;  // validations in a row
  double seconds_ = 0;     // of training, since step 1
  RunLength length_;
};

}  // namespace

int train(Config config, const Origins& origins) {
  const bool exact = config.deterministic || !config.replay->empty();
  if (exact) use_libraries(false);
  return Run(std::move(config), origins).run();
}

}  // namespace gan
