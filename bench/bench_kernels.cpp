// Time of single kernels: every variant of convolutions and matrix products over the layers of our networks.
// Google Benchmark; its options work, e.g. --benchmark_filter='fwd/.*/G' --benchmark_min_time=0.2.
//
//   bench_kernels --device cpu --batch 16,64
//
// A row is operation/variant/layer/batch, with FLOP/s and bytes/s (every input read once, every output
// written once). Its time runs from the call to the device being idle. A transposed layer (G1 to G5) is the
// mirrored convolution: its forward pass is the row conv2d_bwd_data, its input gradient conv2d_fwd.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "bench/layers.h"

namespace gan::bench {
namespace {

template <class Args, class Size>
void time_variant(benchmark::State& state, DeviceContext& context, const Variant<Args>& variant,
                  const Size& size) {
  Problem<Args> problem;
  fill(problem, context, size, context.real());
  const Memory& memory = context.kernels().memory;
  variant.run(problem.args, context.stream());  // chooses, compiles, warms the caches
  memory.synchronize(context.stream());
  for (auto _ : state) {
    variant.run(problem.args, context.stream());
    memory.synchronize(context.stream());
  }
  using benchmark::Counter;
  state.counters["FLOP/s"] = Counter(problem.flop, Counter::kIsIterationInvariantRate);
  state.counters["bytes/s"] = Counter(problem.bytes(), Counter::kIsIterationInvariantRate, Counter::kIs1024);
}

// A row for the layer, when the variant can compute it: asked on a plan, which has sizes and types but no
// memory.
template <class Args, class Size>
void add_row(DeviceContext& context, const Variant<Args>& variant, const char* layer, int batch,
             const Size& size) {
  DeviceContext plan(context.device(), DeviceContext::Mode::plan);
  Problem<Args> problem;
  fill(problem, plan, size, plan.real());
  if (variant.fits(problem.args)) return;
  const std::string name = fmt::format("{}/{}/{}/b{}", Args::op, variant.name, layer, batch);
  benchmark::RegisterBenchmark(
      name.c_str(),
      [&context, &variant, size](benchmark::State& state) { time_variant(state, context, variant, size); })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

// Walks the device's tables, so a new variant needs no line here.
void add_rows(DeviceContext& context, const std::vector<int>& batches) {
  for_each_op(context.kernels(), [&](const char*, const auto& op) {
    using Args = typename std::decay_t<decltype(op)>::Arguments;
    for (const auto& variant : op.variants)
      for (const int batch : batches) {
        if constexpr (requires(Args args) { args.size.kh; }) {
          for (const ConvLayer& layer : dcgan_layers)
            add_row(context, variant, layer.name, batch, with_batch(layer.size, batch));
        } else if constexpr (std::is_same_v<Args, Gemm>) {
          for (const GemmLayer& layer : mlp_layers)
            add_row(context, variant, layer.name, batch, with_batch(layer, batch));
        }
      }
  });
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv, [] {
    fmt::print(
        "bench_kernels [--device cpu|cuda|simt|ref] [--batch N,N,...] [--benchmark_filter=REGEX]\n"
        "  and the other --benchmark_ options: --benchmark_min_time=SECONDS, --benchmark_format=json,\n"
        "  --benchmark_repetitions=N, --benchmark_list_tests\n");
  });  // takes its own options out
  std::string device = "cpu";
  std::vector<int> batches{16};
  CLI::App app("Times every variant of convolutions and matrix products; --benchmark_* options as well.");
  app.add_option("--device", device, "cpu, cuda, simt, ref or auto");
  app.add_option("--batch", batches, "batch sizes, separated by commas")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  DeviceContext context(choose_device(device).device);
  add_rows(context, batches);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace gan::bench

int main(int argc, char** argv) {
  try {
    return gan::bench::run(argc, argv);
  } catch (const gan::Error& error) {
    fmt::print(stderr, "bench_kernels: {}\n", error.what());
    return int(error.code());
  }
}
