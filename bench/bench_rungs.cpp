// Every rung of every operation, on any device: convolutions and matrix products on the layers of our
// networks, on a GPU side by side with NVIDIA's libraries in one run; all operations on the sizes that their
// contract calls usual.
//
//   bench_rungs --device cuda --json rungs.jsonl                  the default sets of layers, about 4 minutes
//   bench_rungs --device cuda --sets dcgan:128 --layers G3,D3     two layers
//   bench_rungs --sets dcgan:16 --ops conv2d_fwd                  one operation on the cpu
//   bench_rungs --sets usual:1 --ops norm_fwd,norm_bwd            two operations on their usual sizes
//   bench_rungs --device simt --sets dcgan:1 --shrink 32          a rehearsal: the numbers mean nothing
//
// For each layer, direction and type all contenders take turns, round after round, so that a change of clock
// or a neighbour hits all of them; medians over the rounds are compared. On a GPU a turn is one CUDA graph of
// many runs between two events, and the runs go through several copies of the problem, together three times
// the L2 cache. Each result is compared with the first rung (naive) in float32: a fast wrong kernel is
// reported and makes the exit code 1. bench/README.md tells how to read the numbers.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "bench/layers.h"
#include "bench/program.h"
#ifdef GAN_WITH_CUDA
#include <cuda_runtime_api.h>

#include "kernels/gpu/cuda_libraries.h"
#endif

namespace gan::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Options {
  std::string sets = "dcgan:128,unet:16,mlp:128,usual:1,dcgan:16,unet:1,patch:32,square:1,unet:64,dcgan:1024";
  std::string json_file;
  std::vector<std::string> layers, operations;  // none: all
  std::vector<std::string> types{"f32", "bf16"};
  double seconds = 0;  // 0: as long as it takes
  int rounds = 9;
  int shrink = 1;
};

// ------------------------------------------------------------------------------------------------- one turn

#ifdef GAN_WITH_CUDA
void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // reported here: the next launch must not find it again
  fail(Exit::failure, "{}: {}", call, cudaGetErrorString(status));
}
#endif

// A function that queues run number i, ready to be timed `runs` at a time.
class Repeated {
 public:
  Repeated(DeviceContext& context, std::function<void(int)> run, int runs)
      : context_(context), run_(std::move(run)), runs_(runs) {
#ifdef GAN_WITH_CUDA
    if (context_.device() != Device::cuda) return;
    check(cudaEventCreate(&start_), "cudaEventCreate");
    check(cudaEventCreate(&stop_), "cudaEventCreate");
    record();
#endif
  }
  ~Repeated() {
#ifdef GAN_WITH_CUDA
    if (graph_) cudaGraphExecDestroy(graph_);
    if (start_) cudaEventDestroy(start_);
    if (stop_) cudaEventDestroy(stop_);
#endif
  }
  Repeated(const Repeated&) = delete;
  Repeated& operator=(const Repeated&) = delete;

  // Takes one turn.
  double seconds_per_run() {
#ifdef GAN_WITH_CUDA
    if (context_.device() == Device::cuda) {
      check(cudaEventRecord(start_, stream()), "cudaEventRecord");
      if (graph_) check(cudaGraphLaunch(graph_, stream()), "cudaGraphLaunch");
      else queue();
      check(cudaEventRecord(stop_, stream()), "cudaEventRecord");
      check(cudaEventSynchronize(stop_), "wait for the GPU");
      float milliseconds = 0;
      check(cudaEventElapsedTime(&milliseconds, start_, stop_), "cudaEventElapsedTime");
      return double(milliseconds) / 1e3 / runs_;
    }
#endif
    const double start = now();
    queue();
    context_.kernels().memory.synchronize(context_.stream());
    return (now() - start) / runs_;
  }
  bool is_graph() const { return graph_ != nullptr; }

 private:
  void queue() {
    for (int i = 0; i < runs_; ++i) run_(i);
  }
#ifdef GAN_WITH_CUDA
  cudaStream_t stream() { return static_cast<cudaStream_t>(context_.stream().handle); }

  // Turns the runs into a graph. What refuses to be recorded is launched call by call.
  void record() {
    check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeRelaxed), "cudaStreamBeginCapture");
    bool recorded = true;
    try {
      queue();
    } catch (const Error&) { recorded = false; }
    cudaGraph_t graph = nullptr;
    recorded &= cudaStreamEndCapture(stream(), &graph) == cudaSuccess && graph;
    recorded = recorded && cudaGraphInstantiate(&graph_, graph, 0) == cudaSuccess;
    if (!recorded) graph_ = nullptr;
    if (graph) cudaGraphDestroy(graph);
    cudaGetLastError();  // of a recording that failed
  }

  cudaEvent_t start_ = nullptr, stop_ = nullptr;
  cudaGraphExec_t graph_ = nullptr;
#else
  static constexpr void* graph_ = nullptr;
#endif
  DeviceContext& context_;
  std::function<void(int)> run_;
  int runs_;
};

// ------------------------------------------------------------------------------------------------ contenders

// What calculates with fewer digits is compared with a library that does so too.
enum class Precision { f32, tf32, bf16 };
const char* name_of(Precision precision) {
  return precision == Precision::f32 ? "f32" : precision == Precision::tf32 ? "tf32" : "bf16";
}
Precision precision_of(const std::string& variant, DType type) {
  if (type == DType::bf16) return Precision::bf16;
  return variant.find("tf32") != variant.npos ? Precision::tf32 : Precision::f32;
}
// The largest relative error, in the 2-norm, that a right result has. The reference is itself float32.
double error_limit(Precision precision) {
  return precision == Precision::f32 ? 1e-4 : precision == Precision::tf32 ? 1e-3 : 1e-2;
}

// The cpu's row for what nobody has written a faster one.
bool is_plain_loops(const std::string& variant) { return variant == "reference"; }

// Copies of one problem for the runs to go through.
template <class Args>
using Copies = std::vector<Problem<Args>>;

// One way to compute a problem. It knows no operation: one text serves for all of them.
using Results = std::vector<std::vector<float>>;  // what a problem's outputs hold
struct Contender {
  std::string name;
  Precision precision;
  bool rival = false;
  bool picked = false;  // what a training step would use
  size_t copies = 1;    // of the problem
  std::function<void(size_t copy)> run = {};
  std::function<Results()> first_results = {};  // of the first copy, restored and run
  double error = 0;                             // relative, against the reference
  std::string failure = {};
  std::vector<double> seconds = {};  // by round
  bool is_graph = false;
};

// A problem that is measured, in words and counts.
struct Measured {
  const char* op;
  std::string layer;
  int batch;
  DType type;
  double flop, bytes;
};

// NVIDIA's libraries at their best for each precision.
#ifdef GAN_WITH_CUDA
void run_rival(const ConvFwd& a, Stream& s, Precision p) {
  cuda::cudnn_fwd(a, s, {.tf32 = p == Precision::tf32, .measured = true});
}
void run_rival(const ConvBwdData& a, Stream& s, Precision p) {
  cuda::cudnn_bwd_data(a, s, {.tf32 = p == Precision::tf32, .measured = true});
}
void run_rival(const ConvBwdWeight& a, Stream& s, Precision p) {
  cuda::cudnn_bwd_weight(a, s, {.tf32 = p == Precision::tf32, .measured = true});
}
void run_rival(const Gemm& a, Stream& s, Precision p) { cuda::cublas_gemm(a, s, p == Precision::tf32); }

const char* rival_missing(bool gemm) { return gemm ? cuda::cublas_missing() : cuda::cudnn_missing(); }
#else
template <class Args>
void run_rival(const Args&, Stream&, Precision) {}  // nobody calls it
const char* rival_missing(bool) { return "this build has no cuda device"; }
#endif
// Of the other operations the libraries have none.
template <class Args>
constexpr bool has_rival = std::is_same_v<Args, Gemm> || std::is_same_v<Args, ConvFwd> ||
                           std::is_same_v<Args, ConvBwdData> || std::is_same_v<Args, ConvBwdWeight>;

// The first and the last `most` numbers of a tensor.
std::vector<float> ends_of(const Tensor& t, int64_t most = 1 << 19) {
  if (t.count() <= 2 * most) return t.host_f32();
  std::vector<float> values = t.view(0, {most}).host_f32();
  const std::vector<float> last = t.view(t.count() - most, {most}).host_f32();
  values.insert(values.end(), last.begin(), last.end());
  return values;
}

// What a problem computed: its outputs one after another, of each the ends.
template <class Args>
Results results_of(const Problem<Args>& problem) {
  Results results;
  for (const auto& buffer : problem.buffers)
    if (buffer.port.is_written) results.push_back(ends_of(buffer.tensor));
  return results;
}

double relative_error(const std::vector<float>& got, const std::vector<float>& want) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    difference += std::pow(double(got[i]) - double(want[i]), 2);
    norm += std::pow(double(want[i]), 2);
  }
  return norm > 0 ? std::sqrt(difference / norm) : std::sqrt(difference);
}

// -------------------------------------------------------------------------------------------------- problems

// What one program run writes: rows to stdout and, flushed one by one, as JSON Lines.
class Report {
 public:
  Report(const Options& options, Device device) : options_(options), device_(device) {
    if (options.json_file.empty()) return;
    json_.open(options.json_file);
    if (!json_) fail(Exit::io, "{}: cannot be written", options.json_file);
  }

  void add(const Measured& m, const std::vector<Contender>& contenders) {
    const auto rival_of = [&](const Contender& c) -> const Contender* {
      for (const auto& other : contenders)
        if (other.rival && other.precision == c.precision && other.failure.empty()) return &other;
      return nullptr;
    };
    double best_ratio = 0, picked_ratio = 0;
    for (const auto& c : contenders) {
      Json row = {{"op", m.op},
                  {"layer", m.layer},
                  {"batch", m.batch},
                  {"type", gan::name_of(m.type)},
                  {"variant", c.name},
                  {"precision", name_of(c.precision)},
                  {"rival", c.rival},
                  {"picked", c.picked},
                  {"device", gan::name_of(device_)}};
      std::string text = fmt::format("{:20}{:20}{:>6} {:5}{:14}", m.op, m.layer, m.batch,
                                     gan::name_of(m.type), c.name + (c.picked ? "*" : ""));
      if (!c.failure.empty()) {
        row["failure"] = c.failure;
        text += " " + c.failure;
        if (!c.rival) ++failures_;
      } else {
        const double middle = median(c.seconds);
        row["median_us"] = middle * 1e6;
        row["low_us"] = *std::min_element(c.seconds.begin(), c.seconds.end()) * 1e6;
        row["high_us"] = *std::max_element(c.seconds.begin(), c.seconds.end()) * 1e6;
        row["tflops"] = m.flop / middle / 1e12;
        row["gb_per_s"] = m.bytes / middle / 1e9;
        row["rounds"] = c.seconds.size();
        row["copies"] = c.copies;
        row["graph"] = c.is_graph;
        row["error"] = c.error;
        text += fmt::format("{:>12.2f}{:>10.1f}{:>10.1f}{:>10.1e}", middle * 1e6, m.flop / middle / 1e9,
                            m.bytes / middle / 1e9, c.error);
        const double limit =
            is_plain_loops(c.name) ? 100 * error_limit(c.precision) : error_limit(c.precision);
        if (!(c.error <= limit)) {
          row["wrong"] = true;
          text += "  WRONG";
          if (!c.rival) ++failures_;
        }
        if (const auto* rival = rival_of(c); rival && !c.rival) {
          std::vector<double> ratios;  // of turns that followed each other
          for (size_t i = 0; i < std::min(c.seconds.size(), rival->seconds.size()); ++i)
            ratios.push_back(rival->seconds[i] / c.seconds[i]);
          const double ratio = median(ratios);
          row["against"] = rival->name;
          row["ratio"] = ratio;
          row["ratio_low"] = *std::min_element(ratios.begin(), ratios.end());
          row["ratio_high"] = *std::max_element(ratios.begin(), ratios.end());
          text += fmt::format("{:>9.2f}x", ratio);
          best_ratio = std::max(best_ratio, ratio);
          if (c.picked) picked_ratio = ratio;
        }
      }
      fmt::print("{}\n", text);
      if (json_.is_open()) json_ << row.dump() << std::endl;  // a run that is cut short keeps its rows
    }
    std::fflush(stdout);
    ++problems_;
    const std::string key = fmt::format("{} {}", m.op, gan::name_of(m.type));
    const std::string place = fmt::format("{} {} b{} {}", m.op, m.layer, m.batch, gan::name_of(m.type));
    if (best_ratio > 0) best_[key].push_back({best_ratio, place});
    if (picked_ratio > 0) picked_[key].push_back({picked_ratio, place});
  }

  // Geometric means against the libraries, and where we lose most. `left`: problems that found no time.
  void summarise(int left) {
    fmt::print("\n{} problems measured{}\n", problems_,
               left ? fmt::format(", {} left out: --seconds {} were over", left, options_.seconds) : "");
    const auto print = [&](const char* what, const std::map<std::string, std::vector<Ratio>>& groups) {
      std::vector<Ratio> all;
      for (const auto& [key, ratios] : groups) {
        fmt::print("{:10}{:28}{:>6.2f}x of the library's speed over {} problems\n", what, key, mean(ratios),
                   ratios.size());
        all.insert(all.end(), ratios.begin(), ratios.end());
      }
      std::sort(all.begin(), all.end());
      for (size_t i = 0; i < std::min<size_t>(all.size(), 5); ++i)
        fmt::print("{:10}slowest: {:<28}{:>6.2f}x\n", what, all[i].second, all[i].first);
    };
    print("picked", picked_);
    print("best rung", best_);
    if (failures_) fmt::print("{} rows are wrong or failed\n", failures_);
  }
  int failures() const { return failures_; }

 private:
  using Ratio = std::pair<double, std::string>;
  static double mean(const std::vector<Ratio>& ratios) {
    double sum = 0;
    for (const auto& [ratio, place] : ratios) sum += std::log(ratio);
    return std::exp(sum / double(ratios.size()));
  }

  const Options& options_;
  Device device_;
  std::ofstream json_;
  std::map<std::string, std::vector<Ratio>> best_, picked_;
  int problems_ = 0, failures_ = 0;
};

// How many copies of a problem leave the L2 cache cold.
int copies_for(DeviceContext& context, double bytes) {
#ifdef GAN_WITH_CUDA
  if (context.device() == Device::cuda) {
    int gpu = 0, cache = 0;
    check(cudaGetDevice(&gpu), "cudaGetDevice");
    check(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, gpu), "cudaDeviceGetAttribute");
    return int(std::clamp(std::ceil(3.0 * cache / bytes), 1.0, 256.0));
  }
#else
  (void)context, (void)bytes;
#endif
  return 1;
}

template <class Args>
Copies<Args> make_copies(DeviceContext& context, const Args& args, DType type, DType float32) {
  Copies<Args> copies(1);
  fill(copies[0], context, args, type, float32);
  const int count = copies_for(context, copies[0].bytes());
  for (int i = 1; i < count; ++i) fill(copies.emplace_back(), context, args, type, float32);
  return copies;
}

// Runs it once, which chooses, compiles and allocates; compares.
void try_once(Contender& c, const Results& want) {
  try {
    const Results got = c.first_results();
    for (size_t i = 0; i < want.size(); ++i)  // NaN is the largest
      if (const double error = relative_error(got[i], want[i]); !(error <= c.error)) c.error = error;
  } catch (const Error& error) { c.failure = error.what(); }
}

// How fast each of them is: turns, round after round.
void take_turns(DeviceContext& context, std::vector<Contender>& contenders, int rounds) {
  // Scratch memory has its final size now, so graphs may hold its address.
  std::vector<std::unique_ptr<Repeated>> turns;
  for (auto& c : contenders) {
    turns.emplace_back();
    if (!c.failure.empty()) continue;
    const auto run = [&c](int i) { c.run(size_t(i) % c.copies); };
    Repeated one(context, run, 1);
    one.seconds_per_run();  // the first launch of a graph uploads it
    const double once = one.seconds_per_run();
    // Rungs that are there to be read are slow: one run is a turn, of the slowest the only one.
    const bool slow = once > 5e-3, on_gpu = context.device() == Device::cuda;
    if (once > 5e-2) {
      c.seconds = {once};
      continue;
    }
    const int least = on_gpu && !slow ? int(c.copies) : 1;
    const int runs = std::max(int(std::clamp(5e-4 / once, 1.0, 256.0)), least);
    turns.back() = std::make_unique<Repeated>(context, run, runs);
    c.is_graph = turns.back()->is_graph();
    turns.back()->seconds_per_run();
  }
  for (int round = 0; round < rounds; ++round)
    for (size_t i = 0; i < contenders.size(); ++i) {
      Contender& c = contenders[i];
      // Three turns of a slow one are enough.
      if (!turns[i] || (round >= 3 && c.seconds[0] > 5e-3)) continue;
      c.seconds.push_back(turns[i]->seconds_per_run());
    }
}

// Rounds float32 numbers to what `type` holds.
void round_to(DeviceContext& context, DType type, const Tensor& numbers) {
  if (type == DType::f32) return;
  const auto& copy = context.kernels().pointwise.affine;
  const Tensor stored(context, numbers.shape(), type);
  context.run(copy, {.count = numbers.count(), .x = numbers.in(), .y = stored.out()});
  context.run(copy, {.count = numbers.count(), .x = stored.in(), .y = numbers.out()});
}

template <class Args>
void measure(DeviceContext& context, const Op<Args>& op, const std::string& layer, int batch,
             const Args& args, DType type, const Options& options, Report& report) {
  // The cpu's plain loops (kernels/cpu/reference.cpp) would be most of the run for large problems.
  Problem<Args> reference;
  fill(reference, context, args, DType::f32);
  for (const auto& buffer : reference.buffers)  // the numbers that the contenders get
    if (buffer.port.kind == Kind::value && buffer.port.is_read) round_to(context, type, buffer.tensor);
  std::vector<const Variant<Args>*> rows;
  for (const auto& variant : op.variants)
    if (!is_plain_loops(variant.name) || reference.flop < 2e9 || op.variants.size() == 1)
      rows.push_back(&variant);
  // All are compared with the first rung, in float32, but not with the plain loops: they add up long sums one
  // by one.
  const size_t first = rows.size() > 1 && is_plain_loops(rows[0]->name) ? 1 : 0;
  rows[first]->run(reference.args, context.stream());
  const Results want = results_of(reference);
  reference = {};

  std::vector<Contender> contenders;
  const auto add = [&](Contender c, Copies<Args>& problems, std::function<void(const Args&, Stream&)> run) {
    c.copies = problems.size();
    c.run = [&context, &problems, run](size_t copy) { run(problems[copy].args, context.stream()); };
    c.first_results = [&context, &problems, run] {
      restore(problems[0], context);  // the one before may have changed it
      run(problems[0].args, context.stream());
      context.kernels().memory.synchronize(context.stream());
      return results_of(problems[0]);
    };
    contenders.push_back(std::move(c));
  };
  Copies<Args> problems = make_copies<Args>(context, args, type, DType::f32);
  const std::string picked = op.pick(problems[0].args).name;
  for (const Variant<Args>* row : rows) {
    const Variant<Args>& variant = *row;
    const std::string name = variant.name;
    if (name == "cudnn" || name == "cublas" || variant.fits(problems[0].args)) continue;
    add({.name = name, .precision = precision_of(name, type), .picked = name == picked}, problems,
        [&variant](const Args& a, Stream& stream) { variant.run(a, stream); });
  }
  // cuDNN stores the gradient of bfloat16 weights in bfloat16.
  Copies<Args> rival_problems;
  if constexpr (has_rival<Args>) {
    constexpr bool is_gemm = std::is_same_v<Args, Gemm>;
    if (context.device() == Device::cuda && !rival_missing(is_gemm)) {
      const bool own = std::is_same_v<Args, ConvBwdWeight> && type == DType::bf16;
      if (own) rival_problems = make_copies<Args>(context, args, type, DType::bf16);
      for (const Precision precision : {Precision::f32, Precision::tf32, Precision::bf16}) {
        if ((precision == Precision::bf16) != (type == DType::bf16)) continue;
        const std::string name = is_gemm ? "cublas" : "cudnn";
        add({.name = precision == Precision::tf32 ? name + "_tf32" : name,
             .precision = precision,
             .rival = true,
             .picked = name == picked && precision != Precision::tf32},
            own ? rival_problems : problems,
            [precision](const Args& own_args, Stream& stream) { run_rival(own_args, stream, precision); });
      }
    }
  }
  for (auto& c : contenders) try_once(c, want);
  take_turns(context, contenders, options.rounds);
  report.add({Args::op, layer, batch, type, problems[0].flop, problems[0].bytes()}, contenders);
}

// ------------------------------------------------------------------------------------------------- the list

struct LayerSet {
  std::string name;
  int batch = 0;
};

std::vector<LayerSet> parse_sets(const std::string& text) {
  std::vector<LayerSet> sets;
  std::istringstream items(text);
  for (std::string item; std::getline(items, item, ',');) {
    const size_t colon = item.find(':');
    const std::string name = item.substr(0, colon);
    int batch = 0;
    if (colon != item.npos) {
      const char *begin = item.data() + colon + 1, *end = item.data() + item.size();
      const auto [stop, error] = std::from_chars(begin, end, batch);
      if (error != std::errc() || stop != end) batch = 0;
    }
    if (batch < 1 || (name != "dcgan" && name != "unet" && name != "patch" && name != "mlp" &&
                      name != "square" && name != "usual"))
      fail(Exit::usage,
           "--sets {}: wants NAME:BATCH,... with dcgan, unet, patch, mlp, square or usual, for example "
           "dcgan:128",
           item);
    sets.push_back({name, batch});
  }
  return sets;
}

std::span<const ConvLayer> conv_layers_of(const std::string& set) {
  if (set == "dcgan") return dcgan_layers;
  if (set == "unet") return unet_layers;
  if (set == "patch") return patch_layers;
  return {};
}
std::vector<GemmLayer> gemm_layers_of(const std::string& set) {
  if (set == "mlp") return {std::begin(mlp_layers), std::end(mlp_layers)};
  if (set == "square")
    return {{"1024", 1024, 1024, 1024, false, false}, {"4096", 4096, 4096, 4096, false, false}};
  return {};
}

// A rehearsal's size.
int shrunk(int value, int by, int least) { return value <= least ? value : std::max(value / by, least); }
Conv2d shrunk(Conv2d size, int by) {
  size.h = size.w = shrunk(size.h, by, 4);
  size.c = shrunk(size.c, by, 3);
  size.k = shrunk(size.k, by, 4);
  return size;
}
GemmLayer shrunk(GemmLayer layer, int by) {
  layer.m = shrunk(layer.m, by, 4), layer.n = shrunk(layer.n, by, 4), layer.k = shrunk(layer.k, by, 4);
  return layer;
}

int run(int argc, char** argv) {
  Options options;
  std::string device = "cpu";
  CLI::App app(
      "Times every rung of every operation, convolutions and matrix products on cuda beside NVIDIA's "
      "libraries.");
  std::vector<std::string> operations;
  for_each_op(*find_backend(Device::cpu),
              [&](const char*, const auto& op) { operations.push_back(op.name()); });
  app.add_option("--device", device, "cpu, cuda, simt or auto");
  app.add_option("--sets", options.sets,
                 "layers with their batch, most important first: dcgan:N, unet:N, patch:N, mlp:N, square:1; "
                 "or usual:1, every "
                 "operation on its usual sizes [" +
                     options.sets + "]");
  app.add_option("--layers", options.layers, "only these layers, for example G3,d2")->delimiter(',');
  app.add_option("--ops", options.operations, "only these operations, for example conv2d_fwd,gemm")
      ->delimiter(',')
      ->check(CLI::IsMember(operations));
  app.add_option("--types", options.types, "f32, bf16 or both")
      ->delimiter(',')
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("--seconds", options.seconds, "begin nothing new after this time; 0: no limit")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--rounds", options.rounds, "turns of each contender")->check(CLI::PositiveNumber);
  app.add_option("--shrink", options.shrink, "divide pictures and channels by this, for a rehearsal")
      ->check(CLI::PositiveNumber);
  app.add_option("--json", options.json_file, "write JSON Lines to this file, each row at once");
  if (!parse(app, argc, argv)) return 0;

  const double start = now();
  const auto sets = parse_sets(options.sets);
  DeviceContext context(choose_device(device).device);
  if (context.device() == Device::ref)
    fail(Exit::usage, "--device ref: it calculates in float64, for right results; use cpu, cuda or simt");
#ifdef GAN_WITH_CUDA
  if (context.device() == Device::cuda) {  // the default stream cannot be recorded
    cudaStream_t stream = nullptr;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
    context.stream().handle = stream;
  }
#endif
  if (context.device() == Device::cuda)
    for (const bool gemm : {false, true})
      if (const char* why = rival_missing(gemm))
        fmt::print("no rival for {}: {}\n", gemm ? "gemm" : "conv", why);
  fmt::print("{:20}{:20}{:>6} {:5}{:14}{:>12}{:>10}{:>10}{:>10}{:>10}\n", "operation", "layer", "batch",
             "type", "variant", "median us", "GFLOP/s", "GB/s", "error", "library");
  Report report(options, context.device());
  int left = 0, problems = 0;
  const auto wanted = [](const std::vector<std::string>& names, const char* name) {
    return names.empty() || std::count(names.begin(), names.end(), name);
  };
  const auto visit = [&]<class Args>(const Op<Args>& op, const char* layer, int batch, const Args& args,
                                     DType type) {
    if (op.variants.empty() || !wanted(options.operations, Args::op) || !wanted(options.layers, layer))
      return;
    ++problems;
    if (options.seconds > 0 && now() - start > options.seconds) ++left;
    else measure(context, op, layer, batch, args, type, options, report);
  };
  const Backend& kernels = context.kernels();
  for (const auto& [set, batch] : sets)
    for (const std::string& type_name : options.types) {
      const DType type = type_name == "bf16" ? DType::bf16 : DType::f32;
      if (type == DType::bf16 && context.device() != Device::cuda && context.device() != Device::simt)
        continue;
      for (const ConvLayer& layer : conv_layers_of(set)) {
        const Conv2d size = with_batch(shrunk(layer.size, options.shrink), batch);
        visit(kernels.conv.fwd, layer.name, batch, arguments_of<ConvFwd>(size), type);
        visit(kernels.conv.bwd_data, layer.name, batch, arguments_of<ConvBwdData>(size), type);
        visit(kernels.conv.bwd_weight, layer.name, batch, arguments_of<ConvBwdWeight>(size), type);
      }
      for (const GemmLayer& layer : gemm_layers_of(set))
        visit(kernels.gemm.gemm, layer.name, batch,
              arguments_of<Gemm>(shrunk(with_batch(layer, batch), options.shrink)), type);
      if (set == "usual")
        for_each_op(kernels, [&]<class Args>(const char*, const Op<Args>& op) {
          visit(op, "usual", 1, usual_arguments<Args>(options.shrink), type);
        });
    }
  if (problems == 0)
    fail(Exit::usage,
         "nothing is left to time: --sets, --layers, --ops and --types exclude every problem of {}",
         name_of(context.device()));
  report.summarise(left);
  return report.failures() ? 1 : 0;
}

}  // namespace
}  // namespace gan::bench

int main(int argc, char** argv) {
  return gan::bench::run_program("bench_rungs", gan::bench::run, argc, argv);
}
