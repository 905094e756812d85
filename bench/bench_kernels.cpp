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

// Hidden layers of the MLP GAN on 28x28 pictures: forward, input gradient, weight gradient. The batch takes
// the place of the 0.
const std::pair<const char*, Gemm> gemm_layers[] = {
    {"M1_forward", {.m = 0, .n = 1024, .k = 784, .transpose_b = true}},
    {"M1_input_gradient", {.m = 0, .n = 784, .k = 1024}},
    {"M1_weight_gradient", {.m = 1024, .n = 784, .k = 0, .transpose_a = true}},
};

// One problem in device memory. `buffers` keeps what `args` points to.
template <class Args>
struct Problem {
  Args args;
  double flop = 0;
  std::vector<Tensor> buffers = {};

  double bytes() const {
    double total = 0;
    for (const auto& buffer : buffers) total += double(buffer.bytes());
    return total;
  }
};

Tensor random_buffer(DeviceContext& context, Shape shape) {
  return random_normal(context, shape, 1, uint32_t(RandomStream::noise), 0);
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

Problem<ConvFwd> make_problem(DeviceContext& context, const Conv2d& s, const ConvFwd*) {
  Tensor x = random_buffer(context, x_shape(s)), w = random_buffer(context, w_shape(s)),
         y(context, y_shape(s));
  return {{.size = s, .x = x.in(), .w = w.in(), .y = y.out(), .w_version = next_weight_version()},
          s.flop(),
          {x, w, y}};
}
Problem<ConvBwdData> make_problem(DeviceContext& context, const Conv2d& s, const ConvBwdData*) {
  Tensor dy = random_buffer(context, y_shape(s)), w = random_buffer(context, w_shape(s)),
         dx(context, x_shape(s));
  return {{.size = s, .dy = dy.in(), .w = w.in(), .dx = dx.out(), .w_version = next_weight_version()},
          s.flop(),
          {dy, w, dx}};
}
Problem<ConvBwdWeight> make_problem(DeviceContext& context, const Conv2d& s, const ConvBwdWeight*) {
  Tensor x = random_buffer(context, x_shape(s)), dy = random_buffer(context, y_shape(s)),
         dw(context, w_shape(s));
  return {{.size = s, .x = x.in(), .dy = dy.in(), .dw = dw.out()}, s.flop(), {x, dy, dw}};
}
Problem<Gemm> make_problem(DeviceContext& context, const Gemm& g, const Gemm*) {
  Tensor a = random_buffer(context, {g.m, g.k}), b = random_buffer(context, {g.k, g.n}),
         c(context, {g.m, g.n});
  Gemm args = g;
  args.a = a.in(), args.b = b.in(), args.c = c.out();
  return {args, 2.0 * g.m * g.n * g.k, {a, b, c}};
}

template <class Args, class Size>
void time_variant(benchmark::State& state, DeviceContext& context, const Variant<Args>& variant,
                  const Size& size) {
  const auto problem = make_problem(context, size, static_cast<const Args*>(nullptr));
  const Memory& memory = context.kernels().memory;
  if (const char* why = variant.fits(problem.args)) return state.SkipWithError(why);
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

template <class Args, class Size>
void add_row(DeviceContext& context, const Variant<Args>& variant, const char* layer, int batch,
             const Size& size) {
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
          for (auto [name, size] : conv_layers) {
            size.n = batch;
            size.oh = Conv2d::out_size(size.h, size.kh, size.sh, size.ph, size.dh);
            size.ow = Conv2d::out_size(size.w, size.kw, size.sw, size.pw, size.dw);
            add_row(context, variant, name, batch, size);
          }
        } else if constexpr (std::is_same_v<Args, Gemm>) {
          for (auto [name, size] : gemm_layers) {
            (size.m ? size.k : size.m) = batch;
            add_row(context, variant, name, batch, size);
          }
        }
      }
  });
}

int run(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);  // takes its own options out
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
