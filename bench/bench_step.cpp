// Time of whole training steps, or of making pictures with a model, and what of it is the engine's own bookkeeping.
// bench/README.md tells how to read the numbers.
//
//   bench_step                                  DCGAN-64 at batch 16 and 64 on the cpu
//   bench_step --size 32 --ngf 32 --ndf 32 --batch 64
//   bench_step --model pix2pix --batch 1
//   bench_step --model pix2pix --batch 1,16 --inference
//   bench_step --model comic --size 256 --batch 1 --settings   what its step would be, as JSON, for bench/peer_torch.py
//   bench_step --data                           pictures per second out of the data set, on one core
//   bench_step --interleave                     serves bench/compare_step.py: `step BATCH K` lines on stdin
//
// A step is the one of the training loop: noise is drawn, both players learn. The pictures are random and
// lie on the device already, so that nothing but the step is timed. With --inference, what is timed is what `gan sample`
// and `gan translate` ask a model for, with random weights.
#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/program.h"
#include "engine/data/picture_set.h"
#include "engine/tensor/step_values.h"
#include "kernels/shared/philox.h"
#include "models/tasks/noise_gan.h"
#include "models/training/feeder.h"
#include "models/training/plan.h"
#include "models/training/recorded_steps.h"

namespace gan::bench {
namespace {

using nlohmann::json;

struct Options {
  Config config;  // model, size, ngf, ndf, ...
  std::vector<int> batches{16, 64};
  double seconds = 10;  // for each configuration
  int threads = 0;      // 0: as OMP_NUM_THREADS or the number of cores says
  bool data = false, interleave = false, settings = false, inference = false;
};

// In (-1,1), as pictures are.
Tensor random_picture(DeviceContext& context, const Shape& shape, uint32_t number) {
  return activation(random_normal(context, shape, 1, uint32_t(RandomStream::noise), number), {Act::tanh});
}

// What is timed, again and again.
class Timed {
 public:
  virtual ~Timed() = default;
  virtual double step() = 0;  // seconds, the device having finished
  virtual DeviceContext& context() = 0;

  // For about this long, at least five.
  std::vector<double> run(double seconds) {
    std::vector<double> times;
    for (const double end = now() + seconds; now() < end || times.size() < 5;) times.push_back(step());
    return times;
  }
};

// A model with one resident batch, ready to take steps.
class Stepper : public Timed {
 public:
  Stepper(const Config& config, Device device, DeviceContext::Mode mode)
      : config_(config),
        context_(device, mode == DeviceContext::Mode::run && is_recorded(config, device)
                             ? DeviceContext::Mode::queued
                             : mode) {
    const ZooEntry& entry = find_model(config_.model);
    entry.check(config_);
    model_ = entry.make();
    model_->build(context_, config_);
    input_ = model_->planned_input(context_, config_.batch);
    uint32_t number = 0;
    for (const InputSpec& spec : model_->inputs())
      if (spec.kind != InputSpec::Kind::noise)
        for (Tensor& pictures : input_.tensors.at(spec.name))
          pictures = cast(random_picture(context_, pictures.shape(), number++), context_.activations());
    if (!context_.planning() && is_recorded(config, device))
      steps_ = std::make_unique<RecordedSteps>(*model_, context_);
    for (int i = 0; i < 4; ++i) step();  // the pool grows, kernels are chosen and compiled, a graph is made
  }

  double step() override {
    const double start = now();
    input_.learning_rate = input_.learning_rate_d = config_.lr;
    if (steps_) {
      steps_->take(input_);
    } else {
      model_->begin_step(input_);
      add_noise(*model_, context_, input_);
      model_->step(input_);
    }
    ++input_.step;
    input_.draw += draws_per_step(*model_);
    if (!context_.planning()) context_.kernels().memory.synchronize(context_.stream());
    return now() - start;
  }

  DeviceContext& context() override { return context_; }

 private:
  Config config_;
  DeviceContext context_;  // before the model, whose memory goes back to it
  std::unique_ptr<Model> model_;
  std::unique_ptr<RecordedSteps> steps_;  // null: each step runs as it is written
  StepInput input_;
};

// A model of random weights that makes a batch of pictures.
class Maker : public Timed {
 public:
  Maker(const Config& config, Device device, DeviceContext::Mode mode) : context_(device, mode) {
    model_ = find_model(config.model).make();
    model_->build(context_, config);
    model_->check_makes_pictures();
    const Shape shape{config.batch, config.size, config.size, config.channels};
    uint32_t number = 0;
    for (const std::string& name : model_->use().pictures)
      use_.pictures[name] = random_picture(context_, shape, number++);
    if (model_->use().styles)
      use_.styles.push_back(
          {random_picture(context_, {1, config.size, config.size, config.channels}, number), 1});
    if (use_.pictures.empty())
      noise_ = random_normal(context_, {config.batch, int64_t(*config.get<NoiseSettings>().nz)}, 1,
                             uint32_t(RandomStream::noise), 0);
    for (int i = 0; i < 3; ++i) step();
  }
  double step() override {
    const double start = now();
    if (noise_) model_->sample(noise_);
    else model_->make(use_);
    if (!context_.planning()) context_.kernels().memory.synchronize(context_.stream());
    return now() - start;
  }
  DeviceContext& context() override { return context_; }

 private:
  DeviceContext context_;
  std::unique_ptr<Model> model_;
  Use use_;
  Tensor noise_;
};

std::unique_ptr<Timed> timed(const Options& options, const Config& config, Device device,
                             DeviceContext::Mode mode = DeviceContext::Mode::run) {
  if (options.inference) return std::make_unique<Maker>(config, device, mode);
  return std::make_unique<Stepper>(config, device, mode);
}

Config with_batch(const Options& options, int batch) {
  Config config = options.config;
  config.batch = batch;
  return config;
}

json description(const Config& config, Device device) {
  json row = {{"model", *config.model}, {"device", name_of(device)}, {"size", *config.size}};
  if (config.has<ConvSettings>()) {
    row["ngf"] = *config.get<ConvSettings>().ngf;
    row["ndf"] = *config.get<ConvSettings>().ndf;
  }
  row["batch"] = *config.batch;
  row["precision"] = name_of(precision_of(config.precision, device));
  row["recorded"] = is_recorded(config, device);
  row["threads"] = omp_get_max_threads();
  return row;
}

double peak_rss_mb() { return double(peak_resident_bytes()) / (1 << 20); }

// ------------------------------------------------------------------------------------------------ steps

void print_row(const json& row) {
  auto number = [&](const char* key) { return row.at(key).get<double>(); };
  const bool convolutional = row.contains("ngf");
  const std::string name = fmt::format(
      "{}-{}{} batch {} {}", row["model"].get<std::string>(), row["size"].get<int>(),
      convolutional ? fmt::format(" ngf {} ndf {}", row["ngf"].get<int>(), row["ndf"].get<int>()) : "",
      row["batch"].get<int>(), row["precision"].get<std::string>());
  fmt::print("{:40}{:>10.4f}{:>10.4f}{:>10.1f}{:>10.1f}{:>10.0f}{:>10.0f}{:>11.3f}\n", name,
             number("median_s"), number("min_s"), number("images_per_s"), number("gflop_per_s"),
             number("peak_rss_mb"), number("pool_mb"), number("overhead_percent"));
}

// What a step is without any kernel: the same step on a plan, which allocates, records the tape and runs it backwards,
// but calls nothing.
struct Bookkeeping {
  double seconds, flop;
  int64_t operations;
};
Bookkeeping bookkeeping_of(const Options& options, const Config& config, Device device) {
  const auto plan = timed(options, config, device, DeviceContext::Mode::plan);
  const double flop = plan->context().flop();
  const int64_t operations = plan->context().operations();
  plan->step();
  Bookkeeping one{0, plan->context().flop() - flop, plan->context().operations() - operations};
  one.seconds = median(plan->run(0.3));
  return one;
}

int measure_steps(const Options& options, Device device) {
  if (!options.config.json)
    fmt::print("device {}, {} threads\n{:40}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>11}\n", name_of(device),
               omp_get_max_threads(), "", "median s", "min s", "images/s", "GFLOP/s", "RSS MB", "pool MB",
               "overhead %");
  for (const int batch : options.batches) {
    const Config config = with_batch(options, batch);
    const Bookkeeping plan = bookkeeping_of(options, config, device);
    const auto stepper = timed(options, config, device);
    const std::vector<double> times = stepper->run(options.seconds);
    const double middle = median(times);
    json row = description(config, device);
    row["what"] = options.inference ? "inference" : "training step";
    row["steps"] = times.size();
    row["median_s"] = middle;
    row["min_s"] = *std::min_element(times.begin(), times.end());
    const bool critics = config.has<NoiseSettings>() && !options.inference;
    const int updates = critics ? *config.get<NoiseSettings>().n_critic : 1;
    row["images_per_s"] = double(batch) * updates / middle;
    row["gflop_per_step"] = plan.flop / 1e9;
    row["gflop_per_s"] = plan.flop / 1e9 / middle;
    row["peak_rss_mb"] = peak_rss_mb();  // of the process: also of the configurations before
    row["pool_mb"] = double(stepper->context().pool().peak_bytes()) / (1 << 20);
    row["operations"] = plan.operations;
    row["overhead_s"] = plan.seconds;
    row["overhead_percent"] = 100 * plan.seconds / middle;
    if (options.config.json) fmt::print("{}\n", row.dump());
    else print_row(row);
    std::fflush(stdout);
  }
  return 0;
}

// ------------------------------------------------------------------------------------------- interleaved

// A model is built at the first request for its batch size.
int serve(const Options& options, Device device) {
  std::map<int, std::unique_ptr<Timed>> steppers;
  return serve_turns([&](int batch, int count) {
    const Config config = with_batch(options, batch);
    auto& stepper = steppers[batch];
    if (!stepper) stepper = timed(options, config, device);
    json answer = description(config, device);
    answer["peer"] = "gan";
    answer["times"] = json::array();
    for (int i = 0; i < count; ++i) answer["times"].push_back(stepper->step());
    answer["peak_rss_mb"] = peak_rss_mb();
    return answer;
  });
}

// -------------------------------------------------------------------------------------------------- data

// Batches from memory with crop and flip: how fast pictures could be dealt out if training took no time.
int measure_data(const Options& options, Device device) {
  DataOptions data;
  data.source = "builtin:comics";
  data.builtin_count = 1024;
  data.size = options.config.size;
  data.load_size = data.size * 286 / 256;  // pix2pix's ratio: a crop has somewhere to go
  data.channels = options.config.channels;
  PictureSet pictures(data);
  if (options.threads == 0) omp_set_num_threads(1);
  DeviceContext context(device);
  for (const int batch : options.batches) {
    if (batch > pictures.train_count())
      fail(Exit::usage, "--batch {} is more than the {} pictures of this benchmark", batch,
           pictures.train_count());
    std::vector<double> times;
    int64_t draw = 0;
    pictures.batch(context, draw++, batch);  // uploads the pictures
    for (const double end = now() + options.seconds; now() < end || times.size() < 5;) {
      const double start = now();
      const Batch pixels = pictures.batch(context, draw++, batch);
      context.kernels().memory.synchronize(context.stream());
      times.push_back(now() - start);
    }
    const double middle = median(times);
    const json row = {{"device", name_of(device)},   {"size", data.size},
                      {"load_size", data.load_size}, {"batch", batch},
                      {"median_s", middle},          {"threads", omp_get_max_threads()},
                      {"batches", times.size()},     {"images_per_s", batch / middle}};
    if (options.config.json) fmt::print("{}\n", row.dump());
    else
      fmt::print("{0}x{0} out of {1}x{1}, flipped, batch {2}: {3:.0f} images/s on {4} thread(s) of {5}\n",
                 data.size, data.load_size, batch, batch / middle, omp_get_max_threads(), name_of(device));
    std::fflush(stdout);
  }
  return 0;
}

int run(int argc, char** argv) {
  Options options;
  Config& config = options.config;
  std::string model = "dcgan", device = "cpu", precision, recorded;
  int size = 0, ngf = 0, ndf = 0;
  CLI::App app("Times whole training steps, or making pictures.");
  app.add_option("--model", model, "a model of `gan help train`");
  app.add_option("--size", size, "side of the pictures");
  app.add_option("--ngf", ngf, "width of the generator");
  app.add_option("--ndf", ndf, "width of the discriminator");
  app.add_option("--batch", options.batches, "batch sizes, separated by commas")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  app.add_option("--device", device, "cpu, cuda, simt, ref or auto");
  app.add_option("--precision", precision, "fp32, tf32, bf16 or auto");
  app.add_option("--recorded", recorded,
                 "steps from a recording of one: on, off, or auto (on a CUDA device)");
  app.add_option("--seconds", options.seconds, "how long to measure each configuration")
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "0: OMP_NUM_THREADS or every core (--data: one)")
      ->check(CLI::Range(0, 1024));
  app.add_flag("--inference", options.inference,
               "time making pictures with the model instead of a training step");
  app.add_flag("--data", options.data, "time the data set instead of the step");
  app.add_flag("--interleave", options.interleave, "serve `step BATCH K` lines from stdin");
  app.add_flag("--settings", options.settings, "print all settings as JSON, and measure nothing");
  bool as_json = false;
  app.add_flag("--json", as_json, "one JSON object a configuration");
  if (!parse(app, argc, argv)) return 0;

  config = preset_config(model);
  config.json = as_json;
  for (const auto& [name, value] : {std::pair("size", size), std::pair("ngf", ngf), std::pair("ndf", ndf)})
    if (value != 0) set_setting(config, name, std::to_string(value), std::string("--") + name);
  if (!precision.empty()) set_setting(config, "precision", precision, "--precision");
  if (!recorded.empty()) set_setting(config, "recorded", recorded, "--recorded");
  if (options.threads > 0) omp_set_num_threads(options.threads);
  if (options.settings) {
    fmt::print("{}\n", to_json(with_batch(options, options.batches.front())));
    return 0;
  }
  const ChosenDevice chosen = choose_device(device);
  if (options.interleave) return serve(options, chosen.device);
  if (options.data) return measure_data(options, chosen.device);
  return measure_steps(options, chosen.device);
}

}  // namespace
}  // namespace gan::bench

int main(int argc, char** argv) { return gan::bench::run_program("bench_step", gan::bench::run, argc, argv); }
