// Clocks, CUDA graphs, and when enough is measured.
#include "bench/turns.h"

#include <algorithm>
#include <cmath>

#include "bench/program.h"
#include "engine/tensor/ops.h"
#ifdef GAN_WITH_CUDA
#include <cuda_runtime_api.h>
#endif

namespace gan::bench {

#ifdef GAN_WITH_CUDA
namespace {

void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) return;
  cudaGetLastError();  // reported here: the next launch must not find it again
  fail(Exit::failure, "{}: {}", call, cudaGetErrorString(status));
}
cudaStream_t stream_of(DeviceContext& context) { return static_cast<cudaStream_t>(context.stream().handle); }
cudaEvent_t event(void* handle) { return static_cast<cudaEvent_t>(handle); }

}  // namespace
#endif

Turn::Turn(DeviceContext& context, std::function<void(int)> run, int runs)
    : context_(context), run_(std::move(run)), runs_(runs) {
#ifdef GAN_WITH_CUDA
  if (context_.device() != Device::cuda) return;
  cudaEvent_t start = nullptr, stop = nullptr;
  check(cudaEventCreate(&start), "cudaEventCreate");
  start_ = start;
  check(cudaEventCreate(&stop), "cudaEventCreate");
  stop_ = stop;
  record();
#endif
}

Turn::~Turn() {
#ifdef GAN_WITH_CUDA
  if (graph_) context_.kernels().queues.release_graph(graph_);
  if (start_) cudaEventDestroy(event(start_));
  if (stop_) cudaEventDestroy(event(stop_));
#endif
}

double Turn::take() {
#ifdef GAN_WITH_CUDA
  if (context_.device() == Device::cuda) {
    const cudaStream_t stream = stream_of(context_);
    check(cudaEventRecord(event(start_), stream), "cudaEventRecord");
    if (graph_) context_.kernels().queues.run_graph(graph_, context_.stream());
    else queue();
    check(cudaEventRecord(event(stop_), stream), "cudaEventRecord");
    check(cudaEventSynchronize(event(stop_)), "wait for the GPU");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, event(start_), event(stop_)), "cudaEventElapsedTime");
    return double(milliseconds) / 1e3;
  }
#endif
  const double start = now();
  queue();
  context_.kernels().memory.synchronize(context_.stream());
  return now() - start;
}

void Turn::queue() {
  for (int i = 0; i < runs_; ++i) run_(i);
}

// What cannot be captured is queued each time.
void Turn::record() {
  const Queues& queues = context_.kernels().queues;
  queues.begin_capture(context_.stream());
  bool recorded = true;
  try {
    queue();
  } catch (const Error&) { recorded = false; }
  try {
    graph_ = queues.end_capture(context_.stream());
  } catch (const Error&) { return; }
  if (recorded) return;
  queues.release_graph(graph_);
  graph_ = nullptr;
}

double cache_bytes(const DeviceContext& context) {
  (void)context;
#ifdef GAN_WITH_CUDA
  if (context.device() == Device::cuda) {
    int gpu = 0, bytes = 0;
    check(cudaGetDevice(&gpu), "cudaGetDevice");
    check(cudaDeviceGetAttribute(&bytes, cudaDevAttrL2CacheSize, gpu), "cudaDeviceGetAttribute");
    return bytes;
  }
#endif
  return 0;
}

// A product of matrices that stay in the caches, by the variant that a training step would take.
ClockProbe::ClockProbe(DeviceContext& context) {
  const int side = context.device() == Device::cuda ? 1024 : context.device() == Device::cpu ? 256 : 8;
  for (int i = 0; i < 3; ++i) matrices_.push_back(Tensor(context, {side, side}));
  for (int i = 0; i < 2; ++i)
    matrices_[size_t(i)].upload(std::vector<float>(size_t(side) * size_t(side), 0.5f));
  Gemm args{};
  args.m = args.n = args.k = side;
  args.a = matrices_[0].in(), args.b = matrices_[1].in(), args.c = matrices_[2].out();
  const auto run = [&context, args](int) { context.run(context.kernels().gemm.gemm, args); };
  run(0);
  turn_ = std::make_unique<Turn>(context, run, 4);
  for (int i = 0; i < 5; ++i) slowdown();
}

double ClockProbe::slowdown() {
  // The shorter of two: one alone may have been interrupted, which says nothing of the next second.
  const double seconds = std::min(turn_->take(), turn_->take());
  if (shortest_ == 0 || seconds < shortest_) shortest_ = seconds;
  return seconds / shortest_;
}

double Turns::noise() const {
  if (seconds.size() < 5) return 1;
  std::vector<double> sorted = seconds;
  std::sort(sorted.begin(), sorted.end());
  const size_t quarter = sorted.size() / 4;
  const double between = sorted[sorted.size() - 1 - quarter] - sorted[quarter];
  return 0.93 * between / std::sqrt(double(sorted.size())) / median(sorted);
}

Turns take_turns(DeviceContext& context, const std::function<void(int)>& run,
                 const std::function<void(int)>& rival, int copies, ClockProbe& probe,
                 const Patience& patience) {
  constexpr double turn_seconds = 5e-4;  // of which the clock is read precisely enough
  constexpr size_t between_probes = 8;
  const auto prepared = [&](const std::function<void(int)>& f) {
    const auto on_copy = [f, copies](int i) { f(i % copies); };
    Turn one(context, on_copy, 1);
    one.take();  // the first launch of a graph uploads it
    const double once = one.take();
    // Each copy has its run, unless they are slow: then the caches are cold anyway.
    const int least = context.device() == Device::cuda && once < 5e-3 ? copies : 1;
    auto turn = std::make_unique<Turn>(context, on_copy,
                                       std::max(int(std::clamp(turn_seconds / once, 1.0, 256.0)), least));
    turn->take();
    return turn;
  };
  const auto ours = prepared(run);
  const auto theirs = rival ? prepared(rival) : nullptr;
  Turns turns{.seconds = {}, .rival_seconds = {}, .runs = ours->runs(), .is_graph = ours->is_graph()};
  const double start = now();
  double measured = 0;
  size_t kept = 0;  // turns up to the last probe
  const auto is_fast = [&] { return probe.slowdown() <= patience.slowest; };
  while (true) {
    turns.seconds.push_back(ours->take() / ours->runs());
    if (theirs) turns.rival_seconds.push_back(theirs->take() / theirs->runs());
    measured += turns.seconds.back() * ours->runs();
    const bool over = now() - start > patience.timeout;
    const bool enough = measured >= patience.min_seconds && turns.noise() <= patience.max_noise;
    if (!over && !enough && turns.seconds.size() - kept < between_probes) continue;
    if (over && kept == 0) break;  // something is better than nothing
    if (is_fast()) {
      kept = turns.seconds.size();
      if (enough || over) break;
      continue;
    }
    turns.thrown_away += int(turns.seconds.size() - kept);
    turns.seconds.resize(kept);
    if (theirs) turns.rival_seconds.resize(kept);
    if (over) break;
  }
  return turns;
}

}  // namespace gan::bench
