// The run time of the SIMT emulation: runs the blocks of a grid on CPU threads, one block at a time per OS
// thread, and the CUDA threads of a block as fibers of that OS thread.
//
// Top to bottom: configuration; the pool of OS threads that deals blocks to engines (engine.h); the functions that
// simt.h declares.
#include "kernels/simt/simt.h"
#include "kernels/contract/kernel_launch.h"

#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <thread>
#include <tuple>
#include <vector>

#include "kernels/contract/kernel_launch.h"
#include "kernels/simt/engine.h"

__thread uint3 threadIdx, blockIdx;
__thread dim3 blockDim, gridDim;

namespace gan::simt {

// ---- Configuration ------------------------------------------------------------------------------------

namespace {

const char* name_of(Schedule schedule) {
  switch (schedule) {
    case Schedule::forward: return "forward";
    case Schedule::reverse: return "reverse";
    case Schedule::random: return "random";
  }
  return "?";
}

// More would run out of memory mappings (two for each fiber) with large blocks.
constexpr unsigned max_os_threads = 16;

[[noreturn]] void bad_setting(const std::string& part) {
  gan::fail(
      Exit::usage,
      "GAN_SIMT: cannot understand \"{}\"; write for example GAN_SIMT=schedule=random,seed=17,threads=1 "
      "(schedule: forward, reverse or random; products: rounded or truncated; threads: 0 to {})",
      part, max_os_threads);
}

uint64_t parse_number(const std::string& part, const std::string& digits) {
  if (digits.empty() || digits.size() > 19 || digits.find_first_not_of("0123456789") != std::string::npos)
    bad_setting(part);
  return std::stoull(digits);
}

}  // namespace

std::string runtime::setting_of(const Config& c) {
  return fmt::format("GAN_SIMT=schedule={},seed={},{}threads=1", name_of(c.schedule), c.seed,
                     c.products == Products::truncated ? "products=truncated," : "");
}

Config parse_config(const std::string& text) {
  Config result;
  std::string rest = text;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string part = rest.substr(0, comma);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
    const size_t equals = part.find('=');
    if (equals == std::string::npos) bad_setting(part);
    const std::string key = part.substr(0, equals), value = part.substr(equals + 1);
    if (key == "schedule" && value == "forward") result.schedule = Schedule::forward;
    else if (key == "schedule" && value == "reverse") result.schedule = Schedule::reverse;
    else if (key == "schedule" && value == "random") result.schedule = Schedule::random;
    else if (key == "products" && value == "rounded") result.products = Products::rounded;
    else if (key == "products" && value == "truncated") result.products = Products::truncated;
    else if (key == "seed") result.seed = parse_number(part, value);
    else if (key == "threads" && parse_number(part, value) <= max_os_threads)
      result.threads = static_cast<unsigned>(parse_number(part, value));
    else bad_setting(part);
  }
  return result;
}

Config& config() {
  static Config instance = [] {
    const char* text = std::getenv("GAN_SIMT");
    return parse_config(text ? text : "");
  }();
  return instance;
}

std::string replay() { return runtime::setting_of(config()); }

namespace runtime {
namespace {

// ---- Pool: deals blocks to engines --------------------------------------------------------------------

constinit thread_local Engine* active_engine = nullptr;  // the engine whose kernel runs on this OS thread

// A launch in progress. Blocks are dealt in one fixed order, so all blocks dealt before a failing one run to
// their end; of several failures the first in that order wins, however many OS threads there are.
class Grid {
 public:
  explicit Grid(const Launch& launch) : launch_(launch) {
    if (launch.config.schedule != Schedule::random) return;
    // Steps by a prime that does not divide the number of blocks visit each block once, far from its
    // neighbours.
    constexpr uint64_t primes[] = {7919, 104729, 1299709};
    stride_ = *std::find_if(primes, primes + 2, [&](uint64_t p) { return launch.blocks % p != 0; });
    start_ = mix(launch.config.seed) % launch.blocks;
  }

  // Runs blocks on this OS thread until none is left.
  void work() {
    static thread_local Engine engine;
    active_engine = &engine;
    engine.begin(launch_);
    while (!failed_.load(std::memory_order_relaxed)) {
      const uint64_t position = next_.fetch_add(1, std::memory_order_relaxed);
      if (position >= launch_.blocks) break;
      std::string error = engine.run_block(block_at(position));
      if (error.empty()) continue;
      failed_.store(true, std::memory_order_relaxed);
      const std::lock_guard lock(mutex_);
      if (position < failed_position_) failed_position_ = position, error_ = std::move(error);
    }
    active_engine = nullptr;
  }

  const std::string& error() const { return error_; }

 private:
  uint64_t block_at(uint64_t position) const {
    switch (launch_.config.schedule) {
      case Schedule::forward: return position;
      case Schedule::reverse: return launch_.blocks - 1 - position;
      case Schedule::random: break;
    }
    return static_cast<uint64_t>((static_cast<unsigned __int128>(position) * stride_ + start_) %
                                 launch_.blocks);
  }

  const Launch& launch_;
  uint64_t start_ = 0, stride_ = 1;
  std::atomic<uint64_t> next_{0};
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  uint64_t failed_position_ = ~uint64_t{0};
  std::string error_;
};

// OS threads that wait for grids. One launch at a time; the launching thread works too.
class Pool {
 public:
  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    start_.notify_all();
    for (std::thread& t : threads_) t.join();
  }

  void run(Grid& grid, size_t helpers) {
    const std::lock_guard one_launch(launch_mutex_);
    {
      const std::lock_guard lock(mutex_);
      try {
        while (threads_.size() < helpers) threads_.emplace_back([this] { serve(); });
      } catch (const std::system_error&) {  // the system gives no more: those that are there do the work
        helpers = threads_.size();
      }
      grid_ = &grid;
      wanted_ = helpers;
    }
    if (helpers == 1) start_.notify_one();
    if (helpers > 1) start_.notify_all();
    grid.work();
    std::unique_lock lock(mutex_);
    wanted_ = 0;  // whoever has not woken up by now is not needed
    done_.wait(lock, [this] { return busy_ == 0; });
    grid_ = nullptr;
  }

 private:
  void serve() {
    std::unique_lock lock(mutex_);
    for (;;) {
      start_.wait(lock, [this] { return stop_ || wanted_ > 0; });
      if (stop_) return;
      --wanted_;
      ++busy_;
      Grid* const grid = grid_;
      lock.unlock();
      grid->work();
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::mutex launch_mutex_, mutex_;
  std::condition_variable start_, done_;
  std::vector<std::thread> threads_;
  Grid* grid_ = nullptr;
  size_t wanted_ = 0, busy_ = 0;
  bool stop_ = false;
};

Engine& engine_for(const char* operation) {
  if (!active_engine) throw Error(fmt::format("{} was called outside a kernel", operation));
  return *active_engine;
}

constexpr uint64_t all_ones = ~uint64_t{0};

void run_shuffle(void* const lane_data[32], uint32_t mask) {
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    ShuffleLane& reader = *static_cast<ShuffleLane*>(lane_data[__builtin_ctz(rest)]);
    // Reading a lane that does not take part is undefined on a GPU; here it gives NaN (-1 in integers).
    const bool there = mask >> reader.source & 1;
    reader.result = there ? static_cast<ShuffleLane*>(lane_data[reader.source])->value : all_ones;
  }
}

void run_vote(void* const lane_data[32], uint32_t mask) {
  uint32_t ballot = 0;
  for (uint32_t rest = mask; rest; rest &= rest - 1)
    if (static_cast<VoteLane*>(lane_data[__builtin_ctz(rest)])->predicate) ballot |= rest & -rest;
  for (uint32_t rest = mask; rest; rest &= rest - 1) {
    VoteLane& voter = *static_cast<VoteLane*>(lane_data[__builtin_ctz(rest)]);
    voter.ballot = ballot;
    voter.members = mask;
  }
}

}  // namespace

// ---- What simt.h declares -----------------------------------------------------------------------------

const WarpOperation shuffle_any{"__shfl_sync", run_shuffle}, shuffle_xor{"__shfl_xor_sync", run_shuffle},
    shuffle_up{"__shfl_up_sync", run_shuffle}, shuffle_down{"__shfl_down_sync", run_shuffle};
const WarpOperation vote_ballot{"__ballot_sync", run_vote}, vote_any{"__any_sync", run_vote},
    vote_all{"__all_sync", run_vote}, sync_warp{"__syncwarp", nullptr};

// GAN_SIMT_LAUNCHES=FILE lists the launches of a run, each kind once: the kernel's address, the threads of a
// block, bytes of dynamic shared memory. The first line is the address of run_grid, so that `nm` of the
// program gives the names (bench/ptxas_report.py).
void note_launch(const LaunchShape& shape, const void* call) {
  static std::FILE* const list = [] {
    const char* path = std::getenv("GAN_SIMT_LAUNCHES");
    std::FILE* file = path ? std::fopen(path, "w") : nullptr;
    if (path && !file) gan::fail(Exit::io, "GAN_SIMT_LAUNCHES={}: cannot be written", path);
    if (file) fmt::print(file, "{:x}\n", reinterpret_cast<uintptr_t>(&run_grid));
    return file;
  }();
  if (!list) return;
  static std::mutex turn;
  static std::set<std::tuple<uintptr_t, unsigned, size_t>> seen;
  uintptr_t kernel = 0;
  std::memcpy(&kernel, call, sizeof kernel);
  const unsigned threads = shape.block.x * shape.block.y * shape.block.z;
  const std::lock_guard lock(turn);
  if (!seen.insert({kernel, threads, shape.dynamic_shared_bytes}).second) return;
  fmt::print(list, "{:x} {} {}\n", kernel, threads, shape.dynamic_shared_bytes);
  std::fflush(list);
}

void run_grid(const LaunchShape& shape, void* call, void (*body)(void*)) {
  if (NotedKernels* noted = NotedKernels::current()) {
    noted->launches.push_back({shape.site.file,
                               shape.site.line,
                               {shape.grid.x, shape.grid.y, shape.grid.z},
                               {shape.block.x, shape.block.y, shape.block.z},
                               shape.dynamic_shared_bytes});
    return;
  }
  note_launch(shape, call);
  if (active_engine)
    active_engine->fail("{}:{}: launch() was called inside a kernel", shape.site.file, shape.site.line);
  const Launch launch{shape,
                      call,
                      body,
                      config(),
                      static_cast<int>(shape.block.x * shape.block.y * shape.block.z),
                      uint64_t{shape.grid.x} * shape.grid.y * shape.grid.z};
  Grid grid(launch);
  unsigned wanted = launch.config.threads ? launch.config.threads : std::thread::hardware_concurrency();
  if (race_build || watch_build) wanted = 1;  // only then does one observer see all blocks
  const uint64_t helpers = std::min<uint64_t>(std::clamp(wanted, 1u, max_os_threads), launch.blocks) - 1;
  static Pool pool;
  pool.run(grid, static_cast<size_t>(helpers));
  if (!grid.error().empty()) throw Error(grid.error());
}

int block_barrier(const char* operation, Site site, bool predicate) {
  return engine_for(operation).barrier(operation, site, predicate);
}

void warp_rendezvous(const WarpOperation& operation, uint32_t mask, void* my_data, Site site) {
  engine_for(operation.name).rendezvous(operation, mask, my_data, site);
}

void* static_shared(const void* tag, const char* name, size_t bytes, size_t alignment) {
  return engine_for("SHARED_ARRAY").static_shared(tag, name, bytes, alignment);
}

void* dynamic_shared() { return engine_for("DYNAMIC_SHARED").dynamic_shared(); }

void async_copy(void* shared, const void* global, int bytes, bool real, Site site) {
  engine_for("cp_async").async_copy(shared, global, bytes, real, site);
}

void async_commit() { engine_for("cp_async_commit").async_commit(); }

void async_wait(int groups_left) { engine_for("cp_async_wait").async_wait(groups_left); }

void named_barrier(const char* operation, int id, int threads, bool wait, Site site) {
  engine_for(operation).named_barrier(operation, id, threads, wait, site);
}

void read_shared(const char* operation, void* to, const void* shared, size_t bytes, Site site) {
  engine_for(operation).read_shared(operation, to, shared, bytes, site);
}

void proxy_fence() { engine_for("fence_proxy_async").proxy_fence(); }

void async_proxy_read(const char* operation, void* to, const void* shared, size_t bytes, Site site) {
  engine_for(operation).async_proxy_read(operation, to, shared, bytes, site);
}

uint32_t shared_address(const void* shared) {
  return engine_for("shared_address").shared_offset("shared_address", shared);
}
void mbarrier_init(uint64_t* barrier, int arrivals, Site site) {
  engine_for("mbarrier_init").mbarrier_init(barrier, arrivals, site);
}
void mbarrier_init_fence() { engine_for("mbarrier_init_fence").mbarrier_init_fence(); }
void mbarrier_arrive(const char* operation, uint64_t* barrier, int expected_bytes, Site site) {
  engine_for(operation).mbarrier_arrive(operation, barrier, expected_bytes, site);
}
void mbarrier_wait(uint64_t* barrier, int parity, Site site) {
  engine_for("mbarrier_wait").mbarrier_wait(barrier, parity, site);
}
void tensor_copy(void* shared, const TensorMap& map, int column, int row, uint64_t* barrier, Site site) {
  engine_for("tensor_copy").tensor_copy(shared, map, column, row, barrier, site);
}
void warpgroup_fence() { engine_for("wgmma_fence").warpgroup_fence(); }
void warpgroup_product(float* d, const WarpgroupProduct& product, Site site) {
  engine_for("wgmma").warpgroup_product(d, product, site);
}
void warpgroup_commit() { engine_for("wgmma_commit").warpgroup_commit(); }
void warpgroup_wait(int groups_left, Site site) {
  engine_for("wgmma_wait").warpgroup_wait(groups_left, site);
}

void fail_with_race() { active_engine->fail_with_race(); }

void yield() {
  if (active_engine) active_engine->yield();
}

int lane() { return engine_for("a shuffle").lane(); }

void bad_shuffle_width(int width, Site site) {
  engine_for("a shuffle")
      .fail("{}:{}: a shuffle of width {}: it must be 1, 2, 4, 8, 16 or 32", site.file, site.line, width);
}

}  // namespace runtime
}  // namespace gan::simt
