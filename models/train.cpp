// The training loop: plan, draw, step, log, sample, save, stop.
#include "models/train.h"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <csignal>
#include <nlohmann/json.hpp>
#include <optional>

#include "engine/data.h"
#include "engine/metrics.h"
#include "kernels/philox.h"
#include "models/adversarial.h"
#include "models/checkpoint.h"
#include "models/health.h"
#include "models/noise_gan.h"
#include "models/replay.h"
#include "models/translate.h"
#include "models/translation_networks.h"

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

}  // namespace

// ----------------------------------------------------------------------------------------------------- plan

namespace {
int updates_per_step(const Config& config) {  // of the discriminator
  return config.has<NoiseSettings>() ? int(config.get<NoiseSettings>().n_critic) : 1;
}
}  // namespace

StepPlan plan_step(const Config& config, Device device) {
  DeviceContext context(device, DeviceContext::Mode::plan);
  auto model = build_model(context, config);
  StepPlan plan;
  plan.parameters_g = model->player("G").parameters.learnt_count();
  plan.parameters_d = model->player("D").parameters.learnt_count();
  const int64_t operations = context.operations();
  const double flop = context.flop();
  model->step(model->planned_input(context, config.batch));
  plan.operations = context.operations() - operations;
  plan.flop = context.flop() - flop;
  plan.buffer_bytes = context.pool().reserved_bytes();
  // On cpu weights that are used twice between two updates have two re-laid-out copies (forward and input
  // gradient), the others about one: one at a time, or longer in Winograd's convolution.
  const int64_t copies = 2 * plan.parameters_d + (updates_per_step(config) > 1 ? 2 : 1) * plan.parameters_g;
  plan.library_bytes = (device == Device::cpu ? size_t(copies) * size_of(context.real()) : 0) + program_bytes;
  return plan;
}

// ------------------------------------------------------------------------------------------- sample pictures

std::vector<Image> to_images(const Tensor& pictures) {
  const std::vector<float> values = pictures.host_f32();
  const int n = int(pictures.dim(0)), h = int(pictures.dim(1)), w = int(pictures.dim(2)),
            c = int(pictures.dim(3));
  std::vector<Image> images(n);
  const size_t each = size_t(h) * w * c;
  for (int i = 0; i < n; ++i) {
    images[i].height = h, images[i].width = w, images[i].channels = c;
    images[i].pixels.resize(each);
    for (size_t k = 0; k < each; ++k) images[i].pixels[k] = byte_of(values[i * each + k]);
  }
  return images;
}

namespace {

std::vector<Image> pictures_from(Model& model, DeviceContext& context, std::span<const float> noise) {
  const int nz = model.config.get<NoiseSettings>().nz, count = int(noise.size()) / nz;
  std::vector<Image> images;
  for (int first = 0; first < count; first += 64) {
    const int n = std::min(64, count - first);
    Tensor z(context, {n, nz});
    z.upload(noise.subspan(size_t(first) * nz, size_t(n) * nz));
    for (auto& image : to_images(model.sample(z))) images.push_back(std::move(image));
  }
  return images;
}

std::vector<float> sample_noise(int count, int nz, uint64_t seed) {
  std::vector<float> noise(size_t(count) * nz);
  for (size_t i = 0; i < noise.size(); ++i)
    noise[i] = random_normal(seed, uint32_t(RandomStream::samples), 0, i);
  return noise;
}

}  // namespace

namespace {
int noise_values(const LoadedModel& loaded) {
  if (!loaded.config.has<NoiseSettings>())
    fail(Exit::usage, "{} makes pictures from pictures, not from noise; use `gan translate`",
         loaded.config.model);
  return loaded.config.get<NoiseSettings>().nz;
}
}  // namespace

std::vector<Image> sample_pictures(LoadedModel& loaded, int count, uint64_t seed) {
  return pictures_from(*loaded.model, *loaded.context, sample_noise(count, noise_values(loaded), seed));
}

std::vector<Image> sample_walk(LoadedModel& loaded, int count, int stops, uint64_t seed) {
  const int nz = noise_values(loaded);
  const std::vector<float> points = sample_noise(stops, nz, seed);
  std::vector<float> noise(size_t(count) * nz);
  for (int i = 0; i < count; ++i) {
    const double place = count > 1 ? double(i) * (stops - 1) / (count - 1) : 0;
    const int a = std::min(int(place), std::max(stops - 2, 0)), b = std::min(a + 1, stops - 1);
    const float *p = &points[size_t(a) * nz], *q = &points[size_t(b) * nz];
    // Spherical interpolation keeps the length that the generator was trained on.
    double pp = 0, qq = 0, pq = 0;
    for (int k = 0; k < nz; ++k) pp += p[k] * p[k], qq += q[k] * q[k], pq += p[k] * q[k];
    const double angle = std::acos(std::clamp(pq / std::sqrt(pp * qq), -1.0, 1.0)), t = place - a;
    const bool straight = std::sin(angle) < 1e-6;
    const double wp = straight ? 1 - t : std::sin((1 - t) * angle) / std::sin(angle);
    const double wq = straight ? t : std::sin(t * angle) / std::sin(angle);
    for (int k = 0; k < nz; ++k) noise[size_t(i) * nz + k] = float(wp * p[k] + wq * q[k]);
  }
  return pictures_from(*loaded.model, *loaded.context, noise);
}

LoadedModel load_model(const std::string& run_or_checkpoint, const std::string& device) {
  const auto file = SafetensorsFile::open(open_checkpoint(run_or_checkpoint));
  file.verify_hashes();
  LoadedModel loaded;
  loaded.config = read_checkpoint_config(file);
  check_checkpoint(file, loaded.config, false);
  loaded.context = std::make_unique<DeviceContext>(choose_device(device).device);
  loaded.model = build_model_for_use(*loaded.context, loaded.config);
  load_checkpoint(file, *loaded.model, nullptr, false);
  loaded.step = read_train_state(file).step;
  return loaded;
}

DataOptions data_options(const Config& c) {
  DataOptions o;
  o.source = c.data;
  o.examples = find_model(c.model).examples;
  if (c.has<PairSettings>()) {
    o.make_input = parse_input_kind(c.get<PairSettings>().make_input);
    o.b_to_a = c.get<PairSettings>().direction == "BtoA";
  }
  if (o.make_input == InputKind::grey && c.channels == 1)
    fail(Exit::usage, "--make-input grey with --channels 1: the input would be the target itself");
  o.size = c.size;
  o.load_size = c.load_size;
  o.channels = c.channels;
  o.augment = !c.no_augment;
  o.shuffle = !c.no_shuffle;
  o.split = c.split;
  o.matte = parse_colour(c.matte);
  o.max_bad = c.max_bad;
  o.workers = c.workers;
  o.cache_gb = c.cache_gb;
  o.seed = uint64_t(c.seed);
  return o;
}

// ----------------------------------------------------------------------------------------------------- loop

namespace {

constexpr int kGridPictures = 64, kGridPairs = 8, kValidationPictures = 32;

// The first tensor that holds a number that is not finite, in words.
std::string first_bad_tensor(Model& model) {
  for (auto& player : model.players)
    for (int i = 0; i < int(player->parameters.infos().size()); ++i) {
      const auto& info = player->parameters.infos()[i];
      auto bad = [](const std::vector<float>& values) {
        return std::any_of(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
      };
      if (!info.buffer && bad(player->parameters.gradient(i).host_f32()))
        return fmt::format("the gradient of {}.{} {}", player->name, info.name, to_string(info.shape));
      if (bad(player->parameters.value(i).host_f32()))
        return fmt::format("{}.{} {}", player->name, info.name, to_string(info.shape));
    }
  return "none of the weights and gradients";
}

void print_plan(const Config& config, const Origins& origins, const StepPlan& plan, Device device) {
  const double megabyte = 1 << 20;
  if (config.json) {
    nlohmann::ordered_json line;
    line["config"] = nlohmann::ordered_json::parse(to_json(config));
    line["origins"] = origins;
    line["device"] = name_of(device);
    line["parameters_G"] = plan.parameters_g;
    line["parameters_D"] = plan.parameters_d;
    line["memory_bytes"] = plan.memory_bytes();
    line["flop_per_step"] = std::llround(plan.flop);
    line["operations_per_step"] = plan.operations;
    fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  for (const SettingGroup* group : config.groups())
    for (const AnySetting* setting : group->settings()) {
      const std::string text = setting->text();
      const auto origin = origins.find(setting->name());
      fmt::print("{:<16}{:<24}{}\n", setting->name(), text.empty() ? "-" : text,
                 origin == origins.end() ? "default" : origin->second);
    }
  fmt::print("\ndevice           {}\n", name_of(device));
  fmt::print("parameters       G {}  D {}\n", plan.parameters_g, plan.parameters_d);
  fmt::print(
      "memory           {:.0f} MB: {:.0f} weights, moments and activations, {:.0f} pictures, {:.0f} library "
      "and code\n",
      double(plan.memory_bytes()) / megabyte, double(plan.buffer_bytes) / megabyte,
      double(plan.data_bytes) / megabyte, double(plan.library_bytes) / megabyte);
  fmt::print("work per step    {:.2f} GFLOP in {} operations\n", plan.flop / 1e9, plan.operations);
}

// One run: everything between the settings and the exit code.
class Trainer {
 public:
  Trainer(Config config, const Origins& origins) : config_(std::move(config)), origins_(origins) {}

  int run() {
    prepare_config();
    const ChosenDevice chosen = choose_device(config_.device);
    open_start();
    StepPlan plan = plan_step(config_, chosen.device);
    if (!replay_) {
      pictures_ = std::make_unique<PictureSet>(data_options(config_));
      plan.data_bytes = pictures_->cache_bytes();
      if (config_.batch > pictures_->train_count())
        fail(Exit::usage, "--batch {} is more than the {} training pictures of {}; use --batch {}",
             config_.batch, pictures_->train_count(), config_.data, pictures_->train_count());
    }
    plan_length();
    if (config_.dry_run) {
      print_plan(config_, origins_, plan, chosen.device);
      return int(Exit::ok);
    }
    Progress progress(config_.quiet);
    progress_ = &progress;
    progress.say(fmt::format("{} on {}{}: {} + {} parameters, {:.1f} GFLOP a step, about {:.0f} MB",
                             config_.model, name_of(chosen.device),
                             chosen.why.empty() ? "" : " (" + chosen.why + ")", plan.parameters_g,
                             plan.parameters_d, plan.flop / 1e9, double(plan.memory_bytes()) / (1 << 20)));

    if (pictures_ && pictures_->grey_count() > 0)
      progress.say(fmt::format("{} pictures left out: grey or nearly so, no colour to learn",
                               pictures_->grey_count()));

    context_ = std::make_unique<DeviceContext>(chosen.device);
    model_ = build_model(*context_, config_);
    load_weights();
    if (learns_pairs() && !replay_) prepare_validation();
    if (!folder_) folder_ = RunFolder::create(config_.out, config_.model, config_.data, config_.force);
    folder_->write_config(config_);
    const int code = loop();
    progress.finish();
    return code;
  }

 private:
  // Lengths given anywhere replace the preset's; a replay brings its own settings.
  void prepare_config() {
    if (!config_.replay->empty()) {
      replay_ = std::make_unique<Replay>(*config_.replay);
      Config c = replay_->config();
      if (!config_.model->empty() && config_.model != c.model)
        fail(Exit::usage, "{} is a replay of {}, not of {}", config_.replay, c.model, config_.model);
      c.out = config_.out, c.device = config_.device, c.force = config_.force, c.quiet = config_.quiet;
      c.json = config_.json, c.verbose = config_.verbose, c.dry_run = config_.dry_run,
      c.replay = config_.replay;
      c.seed = config_.seed, c.deterministic = config_.deterministic;
      c.data = config_.replay;
      c.log_every = 1, c.sample_every = 0, c.save_every = 0, c.eval_every = 0;
      config_ = c;
      return;
    }
    auto from_preset = [&](const char* name) {
      const auto origin = origins_.find(name);
      return origin == origins_.end() || origin->second == "preset" || origin->second == "default";
    };
    const bool given = !from_preset("steps") || !from_preset("epochs") || !from_preset("minutes");
    if (given) {
      if (from_preset("steps")) config_.steps = 0;
      if (from_preset("epochs")) config_.epochs = 0;
      if (from_preset("minutes")) config_.minutes = 0;
    }
    if (config_.steps == 0 && config_.epochs == 0 && config_.minutes == 0)
      fail(Exit::usage, "nothing says how long to train: give --steps, --epochs or --minutes");
    if (config_.data->empty())
      fail(Exit::usage, "no pictures to train on: gan train {} FOLDER, or builtin:comics", config_.model);
    find_model(config_.model).check(config_);
  }

  void plan_length() {
    if (replay_) {
      last_step_ = replay_->steps();
      steps_per_epoch_ = last_step_;
      return;
    }
    steps_per_epoch_ =
        std::max<int64_t>(1, pictures_->draws_per_epoch(config_.batch) / updates_per_step(config_));
    // More than the random numbers are counted for takes centuries; past it they would repeat.
    const int64_t most = kMostDraws / updates_per_step(config_);
    last_step_ = config_.steps > 0 ? std::min(int64_t(config_.steps), most) : INT64_MAX;
    if (config_.epochs > 0)
      last_step_ =
          std::min(last_step_, std::min(int64_t(config_.epochs), most / steps_per_epoch_) * steps_per_epoch_);
    if (last_step_ == INT64_MAX && config_.lr_policy != "constant")
      fail(Exit::usage,
           "--lr-policy {} needs to know the number of epochs: give --steps or --epochs with --minutes",
           config_.lr_policy);
    epochs_ = last_step_ == INT64_MAX ? 1 : (last_step_ + steps_per_epoch_ - 1) / steps_per_epoch_;
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
      replay_->set_initial_weights(*model_);
    } else if (!config_.resume->empty()) {
      folder_ = RunFolder::open(*config_.resume);
      load_checkpoint(*start_, *model_, &state_, true);
      progress_->say(fmt::format("resumed at step {} from {}", state_.step, start_->path().string()));
    } else if (!config_.init->empty()) {
      load_checkpoint(*start_, *model_, nullptr, false);
    }
    start_.reset();
  }

  StepInput next_input(bool log) {
    StepInput in;
    if (replay_) {
      in = replay_->input(*context_, state_.step);
    } else {
      in.draw = state_.draw;
      if (learns_pairs()) next_pair(in);
      for (int i = 0; i < updates_per_step(config_) && !learns_pairs(); ++i, ++state_.draw)
        in.real.push_back(pictures_->batch(*context_, state_.draw, config_.batch));
    }
    const double factor = learning_rate_factor(config_.lr_policy, state_.step / steps_per_epoch_, epochs_);
    in.learning_rate_g = config_.lr * factor;
    in.learning_rate_d = (config_.lr_d > 0 ? config_.lr_d : config_.lr) * factor;
    in.log = log;
    in.step = state_.step;
    model_->begin_step(in);
    if (!replay_)
      for (uint32_t i = 0; i < in.real.size(); ++i)
        in.z.push_back(random_normal(*context_, {config_.batch, config_.get<NoiseSettings>().nz},
                                     uint64_t(config_.seed), uint32_t(RandomStream::noise),
                                     context_->step_values().draw(), i));
    return in;
  }

  bool learns_pairs() const { return model_->paired().a > 0; }

  void next_pair(StepInput& in) {
    if (find_model(config_.model).examples == Examples::colour) {
      const auto lab = rgb_to_lab(pictures_->batch(*context_, state_.draw, config_.batch));
      in.a = lab.l, in.b = lab.ab;
    } else {
      const auto pairs = pictures_->pair_batch(*context_, state_.draw, config_.batch);
      in.a = pairs.input, in.b = pairs.target;
    }
    ++state_.draw;
  }

  // ---- validation: the same held-out pictures each time, one at a time

  // Reads them, and says what the easiest answers would be worth: the input itself (of colorize, grey), and
  // the mean of the training targets. Nothing learnt is worth less.
  void prepare_validation() {
    const int count = int(std::min<int64_t>(pictures_->validation_count(), kValidationPictures));
    for (int i = 0; i < count; ++i) {
      validation_.push_back(pictures_->pair(i, true));
      PicturePair& pair = validation_.back();
      shown_inputs_.push_back(seen_by(*model_, *context_, pair.input));
    }
    if (count == 0) {
      progress_->say("no pictures for validation: val/, or --split 0.9,0.1, gives some");
      return;
    }
    std::vector<Image> targets(size_t(std::min<int64_t>(pictures_->train_count(), 256)));
    parallel_for(int64_t(targets.size()), config_.workers,
                 [&](int64_t i) { targets[size_t(i)] = pictures_->pair(i, false).target; });
    const uint32_t means = uint32_t(targets.size());
    std::vector<uint32_t> sums(validation_[0].target.pixels.size());
    for (const Image& target : targets)
      for (size_t k = 0; k < sums.size(); ++k) sums[k] += target.pixels[k];
    Image mean = validation_[0].target;
    for (size_t k = 0; k < sums.size(); ++k) mean.pixels[k] = uint8_t((sums[k] + means / 2) / means);
    std::vector<Image> means_shown(size_t(count), mean);
    const Score of_input = score(shown_inputs_), of_mean = score(means_shown);
    easiest_ = {std::max(of_input.psnr, of_mean.psnr), std::max(of_input.ssim, of_mean.ssim)};
    progress_->say(fmt::format(
        "validation on {} pictures; easiest answers: {} {:.2f} dB, SSIM {:.4f}; the mean target {:.2f} dB, "
        "SSIM {:.4f}",
        count, find_model(config_.model).examples == Examples::colour ? "no colour" : "the input itself",
        of_input.psnr, of_input.ssim, of_mean.psnr, of_mean.ssim));
  }

  // Means over the validation pictures, each with the answer given for it.
  struct Score {
    double psnr = 0, ssim = 0;
  };
  Score score(const std::vector<Image>& answers) const {
    std::vector<Measures> all;
    for (size_t i = 0; i < answers.size(); ++i)
      all.push_back(measure(answers[i], validation_[i].target, {"psnr", "ssim"}));
    const Measures mean = mean_of(all);
    return {mean[0].second, mean[1].second};
  }

  Image output_of(const Image& input) {
    const TranslateOptions options{.statistics = config_.get<TranslationSettings>().norm_mode == "batch"
                                                     ? Statistics::batch
                                                     : Statistics::running};
    return translate_picture(translator_of(*model_, *context_, options), input,
                             {.tile = config_.size, .overlap = 0});
  }

  Score validate() {
    std::vector<Image> outputs;
    for (const auto& pair : validation_) outputs.push_back(output_of(pair.input));
    return score(outputs);
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
    Metrics shown;
    bool done = state_.step >= last_step_;
    if (done) progress_->say(fmt::format("nothing to do: step {} of {} is reached", state_.step, last_step_));
    while (!done) {
      const int64_t step = state_.step + 1;
      const bool due = config_.log_every > 0 && step % config_.log_every == 0;
      const bool log = due || step == last_step_;
      const StepInput input = next_input(log);
      const StepResult result = model_->step(input);
      state_.step = step;
      state_.images += int64_t(config_.batch) * updates_per_step(config_);
      if (log || shared_memory) shown = check_finite(result);
      seconds_ = seconds_before + (now() - start);
      done = step == last_step_ || stop_signal || (config_.minutes > 0 && seconds_ >= config_.minutes * 60);
      const bool evaluate =
          !validation_.empty() && config_.eval_every > 0 && (done || step % config_.eval_every == 0);
      Metrics line;
      if (due || (done && config_.log_every > 0)) {
        line = {{"lr", input.learning_rate_g}};
        line.insert(line.end(), shown.begin(), shown.end());
        health_.see(step, config_.get<AdversarialSettings>().gan_loss, shown);
      }
      bool best = false;
      if (evaluate) {
        const Score found = validate();
        const Metrics measured = {{"val_psnr", found.psnr},
                                  {"val_ssim", found.ssim},
                                  {"val_psnr_trivial", easiest_.psnr},
                                  {"val_ssim_trivial", easiest_.ssim}};
        line.insert(line.end(), measured.begin(), measured.end());
        best = found.psnr > state_.best;
        progress_->say(fmt::format(
            "step {}: validation PSNR {:.2f} dB (easiest answer {:.2f}), SSIM {:.4f} ({:.4f}){}", step,
            found.psnr, easiest_.psnr, found.ssim, easiest_.ssim, best ? ", the best so far" : ""));
        if (best) state_.best = float(found.psnr);
      }
      if (!line.empty()) metrics.write(step, state_.images, seconds_, line);
      if (config_.sample_every > 0 && (done || step % config_.sample_every == 0)) write_grid();
      if (done || best || (config_.save_every > 0 && step % config_.save_every == 0)) save(best);
      const double elapsed = now() - start;
      const double rate = double(state_.images - images_before) / std::max(elapsed, 1e-9);
      progress_->show({step, last_step_ == INT64_MAX ? 0 : last_step_, rate,
                       seconds_left(elapsed, images_before), peak_resident_bytes(), shown});
    }
    if (stop_signal) {
      progress_->say(fmt::format("stopped by a signal at step {}; go on with: gan train --resume {}",
                                 state_.step, folder_->path().string()));
      return 128 + stop_signal;
    }
    return int(Exit::ok);
  }

  double seconds_left(double elapsed, int64_t images_before) const {
    const int64_t done =
        (state_.images - images_before) / (int64_t(config_.batch) * updates_per_step(config_));
    double left = -1;
    if (last_step_ != INT64_MAX && done > 0) left = elapsed / double(done) * double(last_step_ - state_.step);
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
        progress_->finish();
        fail(Exit::diverged,
             "diverged: {} is {} at step {}; the first tensor that is not finite is {}. "
             "The last checkpoint is untouched; try a smaller --lr or another --gan-loss",
             name, std::isnan(value) ? "nan" : "infinite", state_.step, first_bad_tensor(*model_));
      }
    return values;
  }

  // Paired models: input, output and target side by side, two pairs in a row.
  void write_pairs_grid() {
    std::vector<Image> cells, outputs;
    const bool held_out = !validation_.empty();
    const int64_t count = held_out ? int64_t(validation_.size()) : pictures_->train_count();
    for (int64_t i = 0; i < std::min<int64_t>(count, kGridPairs); ++i) {
      const PicturePair pair = held_out ? validation_[size_t(i)] : pictures_->pair(i, false);
      outputs.push_back(output_of(pair.input));
      cells.push_back(held_out ? shown_inputs_[size_t(i)] : seen_by(*model_, *context_, pair.input));
      cells.push_back(outputs.back());
      cells.push_back(pair.target);
    }
    folder_->write_sample(state_.step, make_grid(cells, cells.size() > 3 ? 6 : 3, 2, 255));
    health_.look(state_.step, outputs);
  }

  void write_grid() {
    if (learns_pairs()) return write_pairs_grid();
    const auto noise = sample_noise(kGridPictures, config_.get<NoiseSettings>().nz, uint64_t(config_.seed));
    const auto pictures = pictures_from(*model_, *context_, noise);
    folder_->write_sample(state_.step, make_grid(pictures, 8, 2, 255));
    health_.look(state_.step, pictures);
  }

  void save(bool best) {
    save_checkpoint(folder_->checkpoints(), RunFolder::checkpoint_name(state_.step), *model_, state_);
    folder_->set_latest(state_.step);
    if (best) folder_->set_best(state_.step);
    folder_->prune_checkpoints(config_.keep);
  }

  Config config_;
  const Origins& origins_;
  std::unique_ptr<DeviceContext> context_;  // first: what holds device memory goes before it
  std::unique_ptr<Model> model_;
  std::unique_ptr<Replay> replay_;
  std::optional<SafetensorsFile> start_;  // the checkpoint to start from, until it is loaded
  std::unique_ptr<PictureSet> pictures_;
  std::optional<RunFolder> folder_;
  Progress* progress_ = nullptr;
  Health health_{[this](const std::string& text) { progress_->say(text); }};
  std::vector<PicturePair> validation_;
  std::vector<Image> shown_inputs_;  // of validation_, as the model sees them
  Score easiest_;                    // what the easiest answers are worth
  TrainState state_;
  double seconds_ = 0;  // of training, since step 1
  int64_t last_step_ = 0, steps_per_epoch_ = 1, epochs_ = 1;
};

}  // namespace

int train(Config config, const Origins& origins) { return Trainer(std::move(config), origins).run(); }

}  // namespace gan
