// How long a trained generator takes to make one picture, beside what a large matrix product reaches on the same
// machine. Weights may be a run, a checkpoint or a file that its authors publish.
//
//   bench_translate weights.pt --size 256         one row
//   bench_translate RUN --size 512x768 --json
//   bench_translate weights.pt --interleave       serves bench/compare_step.py: `step 1 K` lines on stdin
//
// The picture lies on the device already and is not read back: the network alone is timed.
#include <omp.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "bench/program.h"
#include "engine/tensor/ops.h"
#include "engine/tensor/picture_ops.h"
#include "kernels/shared/philox.h"
#include "models/use/load.h"
#include "models/use/published.h"

namespace gan::bench {
namespace {

using nlohmann::json;

struct Options {
  std::string weights, size = "256", device = "cpu";
  double seconds = 5;
  int threads = 0;
};

// A generator and a picture of noise on its device.
class Maker {
 public:
  explicit Maker(const Options& options) {
    if (is_published_file(options.weights)) {
      published_.emplace(options.weights, "", options.device, "", "", PublishedUse{});
      translator_ = published_->translator();
    } else {
      loaded_.emplace(load_model(options.weights, options.device));
      translator_ = translator_of(*loaded_->model, *loaded_->context, Use{});
    }
    int height = 0, width = 0;
    if (std::sscanf(options.size.c_str(), "%dx%d", &height, &width) == 1) width = height;
    const int multiple = translator_.multiple;
    if (height < 1 || width < 1 || height % multiple != 0 || width % multiple != 0)
      fail(Exit::usage, "--size {}: this network takes sides that are multiples of {}", options.size,
           multiple);
    NoGradient quiet(context());
    picture_ = activation(random_normal(context(), {1, height, width, translator_.channels}, 1,
                                        uint32_t(RandomStream::noise), 0),
                          {Act::tanh});
    for (int i = 0; i < 3; ++i) make();  // the pool grows, kernels are chosen and compiled
    const double before = context().flop();
    make();
    flop_ = context().flop() - before;
  }

  // Seconds of one picture, the device having finished.
  double make() {
    const double start = now();
    NoGradient quiet(context());
    translator_.run(picture_);
    context().kernels().memory.synchronize(context().stream());
    return now() - start;
  }

  DeviceContext& context() { return *translator_.context; }
  double flop() const { return flop_; }
  const Shape& shape() const { return picture_.shape(); }

 private:
  std::optional<PublishedModel> published_;
  std::optional<LoadedModel> loaded_;
  Translator translator_;
  Tensor picture_;
  double flop_ = 0;
};

// FLOP a second of a product of square float32 matrices: what convolutions could come near to.
double product_speed(DeviceContext& context) {
  const int64_t n = 1024;
  NoGradient quiet(context);
  const Tensor a = random_normal(context, {n, n}, 1, 1, 0), b = random_normal(context, {n, n}, 1, 2, 0);
  std::vector<double> times;
  for (int i = 0; i < 12; ++i) {
    const double start = now();
    matmul(a, b);
    context.kernels().memory.synchronize(context.stream());
    times.push_back(now() - start);
  }
  return 2.0 * n * n * n / median(times);
}

int serve(Maker& maker) {
  return serve_turns([&](int batch, int count) -> json {
    if (batch != 1) return {{"error", fmt::format("pictures are made one by one, not {} at a time", batch)}};
    json times = json::array();
    for (int i = 0; i < count; ++i) times.push_back(maker.make());
    return {{"peer", "gan"}, {"times", times}, {"peak_rss_mb", double(peak_resident_bytes()) / (1 << 20)}};
  });
}

int run(int argc, char** argv) {
  Options options;
  bool interleave = false, as_json = false;
  CLI::App app("Times a generator on one picture.");
  app.add_option("weights", options.weights, "a run, a checkpoint or published weights")->required();
  app.add_option("--size", options.size, "side of the picture, or HEIGHTxWIDTH");
  app.add_option("--device", options.device, "cpu, cuda, simt, ref or auto");
  app.add_option("--seconds", options.seconds, "how long to measure")->check(CLI::PositiveNumber);
  app.add_option("--threads", options.threads, "0: OMP_NUM_THREADS or every core")
      ->check(CLI::Range(0, 1024));
  app.add_flag("--interleave", interleave, "serve `step 1 K` lines from stdin");
  app.add_flag("--json", as_json, "one JSON object");
  if (!parse(app, argc, argv)) return 0;
  if (options.threads > 0) omp_set_num_threads(options.threads);

  Maker maker(options);
  if (interleave) return serve(maker);
  std::vector<double> times;
  for (const double end = now() + options.seconds; now() < end || times.size() < 5;)
    times.push_back(maker.make());
  const double middle = median(times), reached = maker.flop() / middle,
               product = product_speed(maker.context());
  if (as_json)
    fmt::print("{}\n", json{{"weights", options.weights},
                            {"height", maker.shape()[1]},
                            {"width", maker.shape()[2]},
                            {"threads", omp_get_max_threads()},
                            {"pictures", times.size()},
                            {"median_s", middle},
                            {"min_s", *std::min_element(times.begin(), times.end())},
                            {"gflop", maker.flop() / 1e9},
                            {"gflop_per_s", reached / 1e9},
                            {"product_gflop_per_s", product / 1e9}}
                           .dump());
  else
    fmt::print(
        "{}x{}: {:.4f} s a picture, {:.1f} pictures/s, {:.1f} GFLOP each, {:.0f} GFLOP/s; a product of 1024x1024 "
        "matrices reaches {:.0f}; {} threads of {}\n",
        maker.shape()[1], maker.shape()[2], middle, 1 / middle, maker.flop() / 1e9, reached / 1e9,
        product / 1e9, omp_get_max_threads(), name_of(maker.context().device()));
  return 0;
}

}  // namespace
}  // namespace gan::bench

int main(int argc, char** argv) {
  return gan::bench::run_program("bench_translate", gan::bench::run, argc, argv);
}
