// Every rung of every operation, on any device, as benchmarks of Google Benchmark: convolutions and matrix products on the
// layers of our networks, on a GPU side by side with NVIDIA's libraries, on the cpu with oneDNN; all operations on the
// sizes that their contract calls usual.
//
//   bench_rungs --device cuda --benchmark_out=rungs.json          the default sets of layers, about 4 minutes
//   bench_rungs --device cuda --sets dcgan:128 --layers G3,D3     two layers
//   bench_rungs --benchmark_filter='conv2d_fwd/D./b16/'           one operation on the cpu
//   bench_rungs --sets usual:1 --ops norm_fwd,norm_bwd            two operations on their usual sizes
//   bench_rungs --device simt --sets dcgan:1 --shrink 32          a rehearsal: the numbers mean nothing
//
// A benchmark is one rung on one problem: operation/layer/batch/type/rung. It takes turns with the library on the same
// problem, until the median is known (turns.h); on a GPU a turn is one CUDA graph of many runs between two events, and the
// runs go through several copies of the problem, together three times the L2 cache. Each result is compared with the
// first rung (naive) in float32: a fast wrong kernel is an error and makes the exit code 1. bench/README.md tells how to
// read the numbers.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <map>
#include <sstream>

#include "bench/layers.h"
#include "bench/program.h"
#include "bench/turns.h"
#ifdef GAN_WITH_CUDA
#include "kernels/gpu/cuda_libraries.h"
#endif

namespace gan::bench {
namespace {

struct Options {
  std::string sets = "dcgan:128,unet:16,mlp:128,usual:1,dcgan:16,unet:1,patch:32,square:1,unet:64,dcgan:1024";
  std::vector<std::string> layers, operations;  // none: all
  std::vector<std::string> types{"f32", "bf16"};
  double seconds = 0;  // 0: as long as it takes
  int shrink = 1;
  Patience patience;
};

// ------------------------------------------------------------------------------------------------- problems

// What calculates with fewer digits is compared with a library that does so too.
enum class Precision { f32, tf32, bf16 };
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

// What a problem's outputs hold.
using Results = std::vector<std::vector<float>>;

// A problem in any operation. One text measures all of them.
class AnyProblem {
 public:
  virtual ~AnyProblem() = default;
  std::string op, layer;
  int batch = 0;
  DType type = DType::f32;

  struct Row {
    std::string name;
    Precision precision;
    bool rival = false;  // a library, called for comparison alone
  };
  std::vector<Row> rows;

  virtual void set_up() = 0;  // buffers, and the results that are right
  virtual void clear() = 0;
  double flop = 0, bytes = 0;  // bytes: once it is set up
  size_t copies = 1;
  Results want;
  std::string picked;                                 // what a training step would use
  virtual const char* why_not(size_t row) const = 0;  // why it cannot be called here; null: it can
  virtual void run(size_t row, int copy) = 0;
  virtual Results first_results(size_t row) = 0;  // of the first copy, restored and run

  std::string name_of_row(size_t row) const {
    return fmt::format("{}/{}/b{}/{}/{}", op, layer, batch, gan::name_of(type), rows[row].name);
  }
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

// The largest of its outputs' errors; NaN is larger than all.
double relative_error(const Results& got, const Results& want) {
  double worst = 0;
  for (size_t i = 0; i < want.size(); ++i)
    if (const double error = relative_error(got[i], want[i]); !(error <= worst)) worst = error;
  return worst;
}

template <class Args>
using Copies = std::vector<Problem<Args>>;

// How many copies of a problem leave the L2 cache cold.
int copies_for(DeviceContext& context, double bytes) {
  return int(std::clamp(std::ceil(3 * cache_bytes(context) / bytes), 1.0, 256.0));
}

template <class Args>
Copies<Args> make_copies(DeviceContext& context, const Args& args, DType type, DType float32) {
  Copies<Args> copies(1);
  fill(copies[0], context, args, type, float32);
  const int count = copies_for(context, copies[0].bytes());
  for (int i = 1; i < count; ++i) fill(copies.emplace_back(), context, args, type, float32);
  return copies;
}

// Rounds float32 numbers to what `type` holds.
void round_to(DeviceContext& context, DType type, const Tensor& numbers) {
  if (type == DType::f32) return;
  const auto& copy = context.kernels().pointwise.affine;
  const Tensor stored(context, numbers.shape(), type);
  context.run(copy, {.count = numbers.count(), .x = numbers.in(), .y = stored.out()});
  context.run(copy, {.count = numbers.count(), .x = stored.in(), .y = numbers.out()});
}

// The cpu's plain loops (kernels/cpu/reference.cpp) would be most of the time for large problems.
constexpr double most_plain_flop = 2e9;

// Rows that pick() takes only when told to are timed too: whether it should is what the time says.
template <class Args>
bool fits_when_forced(const Variant<Args>& variant, const Args& args) {
  force_variants(fmt::format("{}={}", Args::op, variant.name));
  const bool fits = !variant.fits(args);
  force_variants("");
  return fits;
}

template <class Args>
class ProblemOf : public AnyProblem {
 public:
  ProblemOf(DeviceContext& context, const Op<Args>& operation, const std::string& its_layer, int its_batch,
            const Args& args, DType its_type)
      : context_(context), operation_(operation), args_(args) {
    op = Args::op, layer = its_layer, batch = its_batch, type = its_type;
    DeviceContext plan(context.device(), DeviceContext::Mode::plan);
    Problem<Args> planned;
    allocate(planned, plan, args, type);
    flop = planned.flop;
    for (const Variant<Args>& variant : operation.variants) {
      const std::string name = variant.name;
      if (name == "cudnn" || name == "cublas") continue;  // rivals at their best, below
      if (!fits_when_forced(variant, planned.args)) continue;
      if (is_plain_loops(name) && flop >= most_plain_flop && operation.variants.size() > 1) continue;
      rows.push_back({name, precision_of(name, type)});
      variants_.push_back(&variant);
    }
    if constexpr (has_rival<Args>) {
      if (context.device() != Device::cuda) return;
      const std::string name = is_gemm ? "cublas" : "cudnn";
      if (type == DType::bf16) rows.push_back({name, Precision::bf16, true});
      else
        rows.push_back({name, Precision::f32, true}), rows.push_back({name + "_tf32", Precision::tf32, true});
    }
  }

  void set_up() override {
    Problem<Args> reference;
    fill(reference, context_, args_, DType::f32);
    for (const auto& buffer : reference.buffers)  // the numbers that the rungs get
      if (buffer.port.kind == Kind::value && buffer.port.is_read) round_to(context_, type, buffer.tensor);
    // Right is what the first rung makes in float32, but not the plain loops: they add up long sums one by one.
    const Variant<Args>* first = nullptr;
    for (const Variant<Args>& variant : operation_.variants)
      if (!variant.fits(reference.args) && (!first || is_plain_loops(first->name))) first = &variant;
    GAN_CHECK(first, "{}: no rung computes in float32", Args::op);
    first->run(reference.args, context_.stream());
    want = results_of(reference);
    reference = {};
    problems_ = make_copies<Args>(context_, args_, type, DType::f32);
    // cuDNN stores the gradient of bfloat16 weights in bfloat16.
    if (std::is_same_v<Args, ConvBwdWeight> && type == DType::bf16 && rows.size() > variants_.size())
      rival_problems_ = make_copies<Args>(context_, args_, type, DType::bf16);
    bytes = problems_[0].bytes();
    copies = problems_.size();
    picked = operation_.pick(problems_[0].args).name;
  }
  void clear() override { problems_.clear(), rival_problems_.clear(), want.clear(); }

  const char* why_not(size_t row) const override {
    return rows[row].rival ? rival_missing(is_gemm) : nullptr;
  }
  void run(size_t row, int copy) override { run_on(row, problems_of(row)[size_t(copy)].args); }
  Results first_results(size_t row) override {
    Problem<Args>& problem = problems_of(row)[0];
    restore(problem, context_);  // the one before may have changed it
    run_on(row, problem.args);
    context_.kernels().memory.synchronize(context_.stream());
    return results_of(problem);
  }

 private:
  static constexpr bool is_gemm = std::is_same_v<Args, Gemm>;

  Copies<Args>& problems_of(size_t row) {
    return rows[row].rival && !rival_problems_.empty() ? rival_problems_ : problems_;
  }
  void run_on(size_t row, const Args& args) {
    if (row < variants_.size()) return variants_[row]->run(args, context_.stream());
    if constexpr (has_rival<Args>) run_rival(args, context_.stream(), rows[row].precision);
  }

  DeviceContext& context_;
  const Op<Args>& operation_;
  Args args_;
  std::vector<const Variant<Args>*> variants_;
  Copies<Args> problems_, rival_problems_;
};

// ------------------------------------------------------------------------------------------------- measuring

// What this machine does at most: the share of its floor that a benchmark reaches is against these.
struct Ceilings {
  double flop_per_s = 0, bytes_per_s = 0;
};

// A large product by the variant that a step would take, in `type`; numbers added to others, far above all caches.
Ceilings measure_ceilings(DeviceContext& context, DType type, ClockProbe& probe) {
  const bool on_gpu = context.device() == Device::cuda;
  const int side = on_gpu ? 4096 : 1024;
  const int64_t count = on_gpu ? int64_t{1} << 28 : int64_t{1} << 25;
  const auto best = [&](const std::function<void(int)>& run) {
    run(0);
    const Turns turns = take_turns(context, run, {}, 1, probe, {.min_seconds = 0.1, .timeout = 1});
    return *std::min_element(turns.seconds.begin(), turns.seconds.end());
  };
  Ceilings found;
  {
    Problem<Gemm> product;
    fill(product, context, arguments_of<Gemm>(GemmLayer{"", side, side, side, false, false}), type);
    found.flop_per_s =
        product.flop / best([&](int) { context.run(context.kernels().gemm.gemm, product.args); });
  }
  const Tensor from(context, {count}), to(context, {count});
  context.run(context.kernels().rng.uniform, {.count = count, .seed = 1, .stream = 0, .y = from.out()});
  const Affine copy{.count = count, .x = from.in(), .y = to.out()};
  found.bytes_per_s = double(from.bytes() + to.bytes()) /
                      best([&](int) { context.run(context.kernels().pointwise.affine, copy); });
  return found;
}

// One call of the program.
class Session {
 public:
  Session(DeviceContext& context, const Options& options)
      : context_(context), options_(options), start_(now()), probe_(context) {
    if (context.device() == Device::simt) return;  // emulated: no ceiling means anything
    for (const DType type : {DType::f32, DType::bf16})
      if (type == DType::f32 || context.device() == Device::cuda)
        ceilings_[type] = measure_ceilings(context, type, probe_);
    for (const auto& [type, ceilings] : ceilings_)
      benchmark::AddCustomContext(fmt::format("ceiling_{}", gan::name_of(type)),
                                  fmt::format("{:.4g} FLOP/s, {:.4g} bytes/s, measured here",
                                              ceilings.flop_per_s, ceilings.bytes_per_s));
  }
  ~Session() {
    if (current_) current_->clear();
  }

  void measure(benchmark::State& state, AnyProblem& problem, size_t row) {
    if (options_.seconds > 0 && now() - start_ > options_.seconds) {
      ++left_out_;
      return state.SkipWithError(fmt::format("left out: --seconds {} were over", options_.seconds).c_str());
    }
    const AnyProblem::Row& own = problem.rows[row];
    try {
      if (current_ != &problem) {
        if (current_) current_->clear();
        current_ = nullptr;
        problem.set_up();
        current_ = &problem;
      }
      if (const char* why = problem.why_not(row))
        return state.SkipWithError(fmt::format("skipped: {}", why).c_str());
      // The first run chooses, compiles and allocates.
      const double error = relative_error(problem.first_results(row), problem.want);
      const double limit = error_limit(own.precision) * (is_plain_loops(own.name) ? 100 : 1);
      if (!(error <= limit)) {
        if (!own.rival) ++failures_;
        return state.SkipWithError(
            fmt::format("WRONG: relative error {:.1e}, at most {:.0e}", error, limit).c_str());
      }
      const std::optional<size_t> rival = rival_of(problem, row);
      if (rival) problem.run(*rival, 0);  // it compiles and allocates too
      std::function<void(int)> run_rival;
      if (rival) run_rival = [&](int copy) { problem.run(*rival, copy); };
      const Turns turns = take_turns(
          context_, [&](int copy) { problem.run(row, copy); }, run_rival, int(problem.copies), probe_,
          options_.patience);
      report(state, problem, row, turns, error, rival);
    } catch (const Error& failure) {
      if (!own.rival) ++failures_;
      state.SkipWithError(failure.what());
    }
  }

  // Geometric means against the libraries, and where we lose most.
  void summarise(FILE* to) const {
    fmt::print(
        to, "\n{} measured{}\n", measured_,
        left_out_ ? fmt::format(", {} left out: --seconds {} were over", left_out_, options_.seconds) : "");
    const auto print = [&](const char* what,
                           const std::map<std::string, std::map<std::string, double>>& groups) {
      std::vector<std::pair<double, std::string>> all;
      for (const auto& [key, ratios] : groups) {
        double sum = 0;
        for (const auto& [place, ratio] : ratios) sum += std::log(ratio), all.push_back({ratio, place});
        fmt::print(to, "{:10}{:28}{:>6.2f}x of the library's speed over {} problems\n", what, key,
                   std::exp(sum / double(ratios.size())), ratios.size());
      }
      std::sort(all.begin(), all.end());
      for (size_t i = 0; i < std::min<size_t>(all.size(), 5); ++i)
        fmt::print(to, "{:10}slowest: {:<36}{:>8.2f}x\n", what, all[i].second, all[i].first);
    };
    print("picked", picked_);
    print("best rung", best_);
    if (failures_) fmt::print(to, "{} benchmarks are wrong or failed\n", failures_);
  }
  int failures() const { return failures_; }

 private:
  // The library on the same problem in the same precision. On the cpu that is a rung.
  std::optional<size_t> rival_of(const AnyProblem& problem, size_t row) const {
    for (size_t i = 0; i < problem.rows.size(); ++i)
      if (i != row && problem.rows[i].precision == problem.rows[row].precision && !problem.rows[row].rival &&
          (problem.rows[i].rival || problem.rows[i].name == "onednn") && !problem.why_not(i))
        return i;
    return std::nullopt;
  }

  void report(benchmark::State& state, const AnyProblem& problem, size_t row, const Turns& turns,
              double error, std::optional<size_t> rival) {
    ++measured_;
    const double middle = median(turns.seconds);
    // One iteration to Google Benchmark, which wants equally many in each repetition.
    while (state.KeepRunning()) state.SetIterationTime(middle);
    state.counters["runs"] = double(turns.seconds.size()) * turns.runs;
    using benchmark::Counter;
    if (problem.flop > 0)
      state.counters["FLOP/s"] = Counter(problem.flop / middle, Counter::kDefaults, Counter::kIs1000);
    state.counters["bytes/s"] = Counter(problem.bytes / middle, Counter::kDefaults, Counter::kIs1000);
    if (error > 0)
      state.counters["error"] = error;  // deviations in parts of 0 would be no numbers in the JSON
    state.counters["noise"] = turns.noise();
    if (const auto at = ceilings_.find(problem.type);
        at != ceilings_.end() && problem.rows[row].precision != Precision::tf32)
      state.counters["floor"] =
          std::max(problem.flop / at->second.flop_per_s, problem.bytes / at->second.bytes_per_s) / middle;
    const bool picked = problem.rows[row].name == problem.picked;
    std::string label = picked ? "picked" : "";
    const auto say = [&](const std::string& words) { label += (label.empty() ? "" : ", ") + words; };
    if (rival) {
      std::vector<double> ratios;  // of turns that followed each other
      for (size_t i = 0; i < turns.seconds.size(); ++i)
        ratios.push_back(turns.rival_seconds[i] / turns.seconds[i]);
      const double ratio = median(ratios);
      state.counters["library"] = ratio;
      say("library " + problem.rows[*rival].name);
      const std::string key = fmt::format("{} {}", problem.op, gan::name_of(problem.type));
      const std::string place =
          fmt::format("{} {} b{} {}", problem.op, problem.layer, problem.batch, gan::name_of(problem.type));
      double& best = best_[key][place];
      best = std::max(best, ratio);
      if (picked) picked_[key][place] = ratio;
    }
    if (problem.copies > 1) say(fmt::format("{} copies", problem.copies));
    if (turns.is_graph) say("graph");
    if (turns.noise() > options_.patience.max_noise) say("noisy");
    if (turns.thrown_away > 0) say(fmt::format("{} turns thrown away: throttled", turns.thrown_away));
    state.SetLabel(label);
  }

  DeviceContext& context_;
  const Options& options_;
  double start_;
  ClockProbe probe_;
  std::map<DType, Ceilings> ceilings_;
  AnyProblem* current_ = nullptr;  // whose buffers are there
  std::map<std::string, std::map<std::string, double>> best_, picked_;
  int measured_ = 0, left_out_ = 0, failures_ = 0;
};

// As Google Benchmark writes it, but a run that is cut short keeps its rows.
class FlushedJson : public benchmark::JSONReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    JSONReporter::ReportRuns(runs);
    GetOutputStream().flush();
  }
};

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

// Every problem of the sets, the most important first.
std::vector<std::unique_ptr<AnyProblem>> problems_of(DeviceContext& context, const Options& options) {
  std::vector<std::unique_ptr<AnyProblem>> problems;
  const auto wanted = [](const std::vector<std::string>& names, const char* name) {
    return names.empty() || std::count(names.begin(), names.end(), name);
  };
  const auto add = [&]<class Args>(const Op<Args>& op, const char* layer, int batch, const Args& args,
                                   DType type) {
    if (!op.variants.empty() && wanted(options.operations, Args::op) && wanted(options.layers, layer))
      problems.push_back(std::make_unique<ProblemOf<Args>>(context, op, layer, batch, args, type));
  };
  const Backend& kernels = context.kernels();
  for (const auto& [set, batch] : parse_sets(options.sets))
    for (const std::string& type_name : options.types) {
      const DType type = type_name == "bf16" ? DType::bf16 : DType::f32;
      const bool has_bf16 = context.device() == Device::cuda || context.device() == Device::simt ||
                            (context.device() == Device::cpu && cpu::multiplies_bf16());
      if (type == DType::bf16 && !has_bf16) continue;
      for (const ConvLayer& layer : conv_layers_of(set)) {
        const Conv2d size = with_batch(shrunk(layer.size, options.shrink), batch);
        add(kernels.conv.fwd, layer.name, batch, arguments_of<ConvFwd>(size), type);
        add(kernels.conv.bwd_data, layer.name, batch, arguments_of<ConvBwdData>(size), type);
        add(kernels.conv.bwd_weight, layer.name, batch, arguments_of<ConvBwdWeight>(size), type);
      }
      for (const GemmLayer& layer : gemm_layers_of(set))
        add(kernels.gemm.gemm, layer.name, batch,
            arguments_of<Gemm>(shrunk(with_batch(layer, batch), options.shrink)), type);
      if (set == "usual")
        for_each_op(kernels, [&]<class Args>(const char*, const Op<Args>& op) {
          add(op, "usual", 1, usual_arguments<Args>(options.shrink), type);
        });
    }
  return problems;
}

int run(int argc, char** argv) {
  Options options;
  std::string device = "cpu";
  CLI::App app(
      "Times every rung of every operation; convolutions and matrix products beside NVIDIA's libraries on cuda, beside oneDNN "
      "on the cpu.");
  app.footer(
      "Options that begin with --benchmark_ are Google Benchmark's: --benchmark_filter=REGEX, --benchmark_list_tests=true, "
      "--benchmark_min_time=SECONDS, --benchmark_repetitions=N, --benchmark_enable_random_interleaving=true, "
      "--benchmark_format=console|json|csv, --benchmark_out=FILE and the others of its user guide.");
  app.allow_extras();
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
  app.add_option("--max-noise", options.patience.max_noise,
                 "measure on until the median's standard error is below this part of it [0.01]")
      ->check(CLI::PositiveNumber);
  app.add_option("--timeout", options.patience.timeout, "but no longer than this many seconds [2]")
      ->check(CLI::PositiveNumber);
  app.add_option("--shrink", options.shrink, "divide pictures and channels by this, for a rehearsal")
      ->check(CLI::PositiveNumber);
  if (!parse(app, argc, argv)) return 0;

  // Google Benchmark's own options: its minimum of time serves for all of a rung's turns, which it takes to be one batch.
  std::vector<std::string> theirs = {"bench_rungs"};
  for (const std::string& word : app.remaining()) {
    if (word.rfind("--benchmark_", 0) != 0 && word.rfind("--v=", 0) != 0)
      fail(Exit::usage, "{}: no such option; see --help", word);
    constexpr std::string_view least = "--benchmark_min_time=";
    if (word.rfind(least, 0) == 0) options.patience.min_seconds = std::atof(word.c_str() + least.size());
    else theirs.push_back(word);
  }
  theirs.push_back("--benchmark_min_time=1e-9");  // else it would begin anew with more of them
  std::vector<char*> words;
  for (std::string& word : theirs) words.push_back(word.data());
  int count = int(words.size());
  benchmark::Initialize(&count, words.data());
  if (count > 1)
    fail(Exit::usage, "{}: Google Benchmark has no such option, or not this value; see --help", words[1]);

  DeviceContext context(choose_device(device).device);
  if (context.device() == Device::ref)
    fail(Exit::usage, "--device ref: it calculates in float64, for right results; use cpu, cuda or simt");
  const std::vector<std::unique_ptr<AnyProblem>> problems = problems_of(context, options);
  if (problems.empty())
    fail(Exit::usage,
         "nothing is left to time: --sets, --layers, --ops and --types exclude every problem of {}",
         name_of(context.device()));

  std::unique_ptr<Session> session;
  for (const auto& problem : problems)
    for (size_t row = 0; row < problem->rows.size(); ++row)
      benchmark::RegisterBenchmark(problem->name_of_row(row).c_str(),
                                   [&, row, problem = problem.get()](benchmark::State& state) {
                                     session->measure(state, *problem, row);
                                   })
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
  const auto given = [&](std::string_view option) {
    return std::any_of(theirs.begin(), theirs.end(),
                       [&](const std::string& word) { return word.starts_with(option); });
  };
  const bool only_lists = given("--benchmark_list_tests") && !given("--benchmark_list_tests=false");
  if (!only_lists) session = std::make_unique<Session>(context, options);
  benchmark::AddCustomContext("device", name_of(context.device()));
  FlushedJson json;
  const size_t ran = benchmark::RunSpecifiedBenchmarks(nullptr, given("--benchmark_out=") ? &json : nullptr);
  if (ran == 0)
    fail(Exit::usage,
         "nothing is left to time: --benchmark_filter matches no name; see --benchmark_list_tests=true");
  if (only_lists) return 0;
  const bool is_table = !given("--benchmark_format=") || given("--benchmark_format=console");
  session->summarise(is_table ? stdout : stderr);
  return session->failures() ? 1 : 0;
}

}  // namespace
}  // namespace gan::bench

int main(int argc, char** argv) {
  return gan::bench::run_program("bench_rungs", gan::bench::run, argc, argv);
}
