// Time of single kernels: every variant of convolutions and matrix products over the layers of our networks.
// Google Benchmark; its options work, e.g. --benchmark_filter='fwd/.*/G' --benchmark_min_time=0.2.
//
//   bench_kernels --device cpu --batch 16,64
//   bench_kernels --device cuda --type bf16
//   GAN_KERNEL=conv2d_fwd=mma_tf32 bench_kernels --device cuda     also the variants that have to be forced
//
// A row is operation/variant/layer/batch, with FLOP/s and bytes/s (every input read once, every output
// written once). Its time runs from the call to the device being idle. A transposed layer (G1 to G5) is the
// mirrored convolution: its forward pass is the row conv2d_bwd_data, its input gradient conv2d_fwd.
#include <benchmark/benchmark.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "engine/ops.h"
#include "kernels/philox.h"

namespace gan::bench {
namespace {

struct ConvLayer {
  const char* name;
  Conv2d size;  // without n, oh, ow
};
// DCGAN-64 at width 64 (Radford et al. 2016). G1 sees the noise, D5 gives the logit.
// clang-format off
const ConvLayer conv_layers[] = {
    {"G1", {.h =  4, .w =  4, .c = 512, .k = 100, .kh = 4, .kw = 4}},
    {"G2", {.h =  8, .w =  8, .c = 256, .k = 512, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}},
    {"G3", {.h = 16, .w = 16, .c = 128, .k = 256, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}},
    {"G4", {.h = 32, .w = 32, .c =  64, .k = 128, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}},
    {"G5", {.h = 64, .w = 64, .c =   3, .k =  64, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}},
    {"D1", {.h = 64, .w = 64, .c =   3, .k =  64, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}},
    {"D2", {.h = 32, .w = 32, .c =  64, .k = 128, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}},
    {"D3", {.h = 16, .w = 16, .c = 128, .k = 256, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}},
    {"D4", {.h =  8, .w =  8, .c = 256, .k = 512, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1}},
    {"D5", {.h =  4, .w =  4, .c = 512, .k =   1, .kh = 4, .kw = 4}},
};
// clang-format on

// A hidden layer of the MLP GAN on 28x28 pictures: forward, input gradient, weight gradient. The batch takes
// the place of the 0.
struct GemmLayer {
  const char* name;
  int m, n, k;
  bool transpose_a, transpose_b;
};
const GemmLayer gemm_layers[] = {
    {"M1_forward", 0, 1024, 784, false, true},
    {"M1_input_gradient", 0, 784, 1024, false, false},
    {"M1_weight_gradient", 1024, 784, 0, true, false},
};

// One problem in device memory. `buffers` keeps what `args` points to.
template <class Args>
struct Problem {
  Args args;
  double flop = 0;
  std::vector<Tensor> buffers;

  double bytes() const {
    double total = 0;
    for (const auto& buffer : buffers) total += double(buffer.bytes());
    return total;
  }
};

Tensor random_buffer(DeviceContext& context, Shape shape, DType type) {
  const Tensor numbers = random_normal(context, shape, 1, uint32_t(RandomStream::noise), 0);
  if (type == numbers.dtype()) return numbers;
  const Tensor converted(context, shape, type);
  context.run(context.kernels().pointwise.affine,
              {.count = numbers.count(), .x = numbers.in(), .y = converted.out()});
  return converted;
}

Shape x_shape(const Conv2d& s) { return {s.n, s.h, s.w, s.c}; }
Shape y_shape(const Conv2d& s) { return {s.n, s.oh, s.ow, s.k}; }
Shape w_shape(const Conv2d& s) { return {s.k, s.kh, s.kw, s.c / s.groups}; }

// In training a weight is used several times before it changes, so a device may keep its own copy of it: each
// problem is one version.
uint64_t next_weight_version() {
  static uint64_t version = 0;
  return ++version;
}

void fill(Problem<ConvFwd>& p, DeviceContext& context, const Conv2d& s, DType type) {
  p.buffers = {random_buffer(context, x_shape(s), type), random_buffer(context, w_shape(s), type),
               Tensor(context, y_shape(s), type)};
  p.args.size = s, p.args.x = p.buffers[0].in(), p.args.w = p.buffers[1].in(), p.args.y = p.buffers[2].out();
  p.args.w_version = next_weight_version();
  p.flop = s.flop();
}
void fill(Problem<ConvBwdData>& p, DeviceContext& context, const Conv2d& s, DType type) {
  p.buffers = {random_buffer(context, y_shape(s), type), random_buffer(context, w_shape(s), type),
               Tensor(context, x_shape(s), type)};
  p.args.size = s, p.args.dy = p.buffers[0].in(), p.args.w = p.buffers[1].in();
  p.args.dx = p.buffers[2].out(), p.args.w_version = next_weight_version();
  p.flop = s.flop();
}
void fill(Problem<ConvBwdWeight>& p, DeviceContext& context, const Conv2d& s, DType type) {
  p.buffers = {random_buffer(context, x_shape(s), type), random_buffer(context, y_shape(s), type),
               Tensor(context, w_shape(s))};
  p.args.size = s, p.args.x = p.buffers[0].in(), p.args.dy = p.buffers[1].in();
  p.args.dw = p.buffers[2].out();
  p.flop = s.flop();
}
void fill(Problem<Gemm>& p, DeviceContext& context, const GemmLayer& g, DType type) {
  p.buffers = {random_buffer(context, {g.m, g.k}, type), random_buffer(context, {g.k, g.n}, type),
               Tensor(context, {g.m, g.n}, type)};
  p.args.m = g.m, p.args.n = g.n, p.args.k = g.k;
  p.args.transpose_a = g.transpose_a, p.args.transpose_b = g.transpose_b;
  p.args.a = p.buffers[0].in(), p.args.b = p.buffers[1].in(), p.args.c = p.buffers[2].out();
  p.flop = 2.0 * g.m * g.n * g.k;
}

template <class Args, class Size>
void time_variant(benchmark::State& state, DeviceContext& context, const Variant<Args>& variant,
                  const Size& size, DType type) {
  Problem<Args> problem;
  fill(problem, context, size, type);
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
             const Size& size, DType type) {
  DeviceContext plan(context.device(), DeviceContext::Mode::plan);
  Problem<Args> problem;
  fill(problem, plan, size, type);
  if (variant.fits(problem.args)) return;
  const std::string name = fmt::format("{}/{}/{}/b{}{}", Args::op, variant.name, layer, batch,
                                       type == DType::f32 ? "" : std::string("/") + name_of(type));
  benchmark::RegisterBenchmark(name.c_str(),
                               [&context, &variant, size, type](benchmark::State& state) {
                                 time_variant(state, context, variant, size, type);
                               })
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond);
}

// Walks the device's tables, so a new variant needs no line here.
void add_rows(DeviceContext& context, const std::vector<int>& batches, DType type) {
  for_each_op(context.kernels(), [&](const char*, const auto& op) {
    using Args = typename std::decay_t<decltype(op)>::Arguments;
    for (const auto& variant : op.variants)
      for (const int batch : batches) {
        if constexpr (requires(Args args) { args.size.kh; }) {
          for (auto [name, size] : conv_layers) {
            size.n = batch;
            size.oh = Conv2d::out_size(size.h, size.kh, size.sh, size.ph, size.dh);
            size.ow = Conv2d::out_size(size.w, size.kw, size.sw, size.pw, size.dw);
            add_row(context, variant, name, batch, size, type);
          }
        } else if constexpr (std::is_same_v<Args, Gemm>) {
          for (GemmLayer layer : gemm_layers) {
            (layer.m ? layer.k : layer.m) = batch;
            add_row(context, variant, layer.name, batch, layer, type);
          }
        }
      }
  });
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv, [] {
    fmt::print(
        "bench_kernels [--device cpu|cuda|simt|ref] [--batch N,N,...] [--type f32|bf16]\n"
        "              [--benchmark_filter=REGEX]\n"
        "  and the other --benchmark_ options: --benchmark_min_time=SECONDS, --benchmark_format=json,\n"
        "  --benchmark_repetitions=N, --benchmark_list_tests\n");
  });  // takes its own options out
  std::string device = "cpu", type = "f32";
  std::vector<int> batches{16};
  CLI::App app("Times every variant of convolutions and matrix products; --benchmark_* options as well.");
  app.add_option("--device", device, "cpu, cuda, simt, ref or auto");
  app.add_option("--batch", batches, "batch sizes, separated by commas")
      ->delimiter(',')
      ->check(CLI::PositiveNumber);
  app.add_option("--type", type, "of activations and weights: f32 or bf16")
      ->check(CLI::IsMember({"f32", "bf16"}));
  CLI11_PARSE(app, argc, argv);
  DeviceContext context(choose_device(device).device);
  add_rows(context, batches, type == "bf16" ? DType::bf16 : DType::f32);
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
