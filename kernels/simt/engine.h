// One engine of the SIMT emulation: it runs the blocks that it is given, one after another, and the CUDA threads
// of a block as fibers. Inside of kernels/simt; what kernels see is simt.h.
#pragma once
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "kernels/simt/fiber.h"
#include "kernels/simt/race.h"
#include "kernels/simt/simt.h"
#include "kernels/simt/watch.h"

namespace gan::simt::runtime {

constexpr int max_warps = 32;

// Each engine's shared memory lies in one arena, aligned to its own size: an address's offset in it can serve
// as the 32-bit shared-memory address that some GPU instructions want. Dynamic shared memory comes first, a
// guard behind it; SHARED_ARRAYs are dealt from the end of the arena downwards. What belongs to none of them
// is poisoned for ASan.
constexpr size_t arena_bytes = 256 * 1024;
constexpr size_t arena_first = 1024;  // offset of dynamic shared memory
constexpr size_t red_zone = 64;       // unallocated bytes around a SHARED_ARRAY
constexpr size_t max_static_bytes = 48 * 1024;
constexpr size_t max_total_bytes = 227 * 1024;

// Without ASan: bytes behind dynamic shared memory that must still hold guard_word when a block has ended.
// Read as float32, bf16 or float64 it is NaN, and not the NaN that shared memory starts out with.
constexpr size_t guard_bytes = 16 * 1024;
constexpr uint32_t guard_word = 0xffa5ffa5u;
static_assert(arena_first + max_total_bytes + guard_bytes < arena_bytes);

inline uint64_t mix(uint64_t x) {  // the finaliser of SplitMix64: neighbouring numbers come out unrelated
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// The environment variable that runs the same schedule again, on one OS thread.
std::string setting_of(const Config& config);

struct Launch {
  LaunchShape shape;
  void* call;
  void (*body)(void*);
  Config config;
  int threads;      // per block
  uint64_t blocks;  // in the grid
};

struct Worker;  // a fiber and the CUDA thread it was last given

struct AsyncCopy {
  void* to;
  int bytes;
  bool landed;     // early
  uint64_t group;  // which commit of its thread covers it
  Site site;
  char data[16];
};

// A tensor copy that has not landed.
struct TensorCopy {
  char* to;
  std::vector<char> data;  // as it will lie there
  size_t barrier;          // offset of the mbarrier that counts its bytes
  int thread;              // that started it
  uint32_t clock;          // of that thread
  Site site;
};

// An mbarrier: a phase, the arrivals that the phase still lacks, and the bytes. How it lies in shared memory is the
// hardware's secret, so what a kernel has there is only its name.
struct MBarrier {
  size_t offset;
  int expected, missing;  // arrivals of a phase
  int64_t bytes;          // expected and not yet come; negative: come and not yet expected
  uint64_t phase;
  int initialiser;  // the thread
  bool visible;     // to asynchronous units: its initialisation is behind a fence
  Site site;        // of the initialisation
  uint32_t waiting[max_warps];
  Handover arriving, passed;  // of this phase; of the phase before
};

// Sums of a warp's part of products that are under way: until they are finished the lanes' registers hold NaN.
struct WarpgroupSums {
  float* registers[32];
  int n, products;           // products: not yet finished
  std::vector<float> value;  // (32 lanes, n / 2)
};
struct PendingProduct {
  WarpgroupProduct product;
  uint64_t group;  // which commit covers it
  Site site;
  const float* sums;             // the registers of the warp's first lane, which say where the sums go
  std::vector<size_t> operands;  // offsets of the 16 bytes each that it reads, first those of a
};

// The 128 threads of an aligned warpgroup on their way into one product.
struct WarpgroupMeeting {
  int arrived = 0;
  Site site{};
  float* registers[128] = {};
  WarpgroupProduct product{};
  uint32_t waiting[4] = {};
};

struct CudaThread {
  uint3 index;
  Worker* worker;  // null: not started, or exited
  bool exited;
  const char* operation;  // what it waits in, when it waits
  Site site;
  uint32_t wanted_mask;           // the lanes it waits for; 0: the whole block
  std::vector<AsyncCopy> copies;  // not yet waited for, oldest first
  uint64_t groups;                // committed so far
  size_t mbarrier;                // offset of the one that it waits for, or 0
  int parity;                     // of the phase that it waits for
  bool registers_fenced;    // no register of a product can have been touched since the last warpgroup_fence()
  uint64_t product_groups;  // committed so far
};

struct Barrier {
  int arrived = 0;
  int yes = 0;       // arrived with a true predicate
  int last_yes = 0;  // result of the round that has just been completed
  const char* operation = nullptr;
  Site site{};
  uint32_t waiting[max_warps] = {};
};

constexpr int named_barriers = 16;  // number 0 is __syncthreads

struct NamedBarrier {
  int arrived = 0, expected = 0;
  Site site{};  // of the first to arrive
  uint32_t waiting[max_warps] = {};
  Handover handover;  // what the arrived threads have done
};

// Lanes of one warp on their way into one WarpOperation; free when nobody has arrived.
struct Rendezvous {
  uint32_t mask = 0, arrived = 0;
  const WarpOperation* operation = nullptr;
  Site site{};
  void* lane_data[32] = {};
};

struct StaticArray {
  const void* tag;
  size_t offset, bytes;
};

class Engine {
 public:
  Engine();
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void begin(const Launch& launch);
  // Runs one block; returns an error message, or nothing when all went well.
  std::string run_block(uint64_t block);

  void run_threads(Worker* self);  // what a fiber does; never returns

  int lane() const { return current_ & 31; }
  int barrier(const char* operation, Site site, bool predicate);
  void named_barrier(const char* operation, int id, int threads, bool wait, Site site);
  void rendezvous(const WarpOperation& operation, uint32_t mask, void* my_data, Site site);
  void* static_shared(const void* tag, const char* name, size_t bytes, size_t alignment);
  void* dynamic_shared();
  void read_shared(const char* operation, void* to, const void* shared, size_t bytes, Site site);
  void proxy_fence() {
    race_.proxy_fence();
    mbarrier_init_fence();
  }
  void async_proxy_read(const char* operation, void* to, const void* shared, size_t bytes, Site site);
  void async_copy(void* shared, const void* global, int bytes, bool real, Site site);
  void async_commit() { ++threads_[static_cast<size_t>(current_)].groups; }
  void async_wait(int groups_left);
  void yield();

  // hopper.cpp
  uint32_t shared_offset(const char* operation, const void* shared);
  void mbarrier_init(uint64_t* barrier, int arrivals, Site site);
  void mbarrier_init_fence();
  void mbarrier_arrive(const char* operation, uint64_t* barrier, int expected_bytes, Site site);
  void mbarrier_wait(uint64_t* barrier, int parity, Site site);
  void tensor_copy(void* shared, const TensorMap& map, int column, int row, uint64_t* barrier, Site site);
  void warpgroup_fence() { threads_[static_cast<size_t>(current_)].registers_fenced = true; }
  void warpgroup_product(float* d, const WarpgroupProduct& product, Site site);
  void warpgroup_commit() { ++threads_[static_cast<size_t>(current_)].product_groups; }
  void warpgroup_wait(int groups_left, Site site);
  void finish_products(int groups_left, Site site);  // of the running warp

  // Where much time goes, functions of their own, bad_...(), find the words, so that what goes well stays
  // short.
  template <class... A>
  [[noreturn]] void fail(fmt::format_string<A...> format, A&&... arguments) {
    race_.end_block();
    const uint3 t = threads_[static_cast<size_t>(current_)].index;
    auto end = fmt::format_to_n(message_, sizeof message_ - 100, format, std::forward<A>(arguments)...).out;
    end = fmt::format_to_n(end, 99, "\n  thread ({},{},{})", t.x, t.y, t.z).out;
    *end = '\0';
    failure_ = Failure::message;
    return_to_main();
    std::abort();  // nobody takes up an abandoned stack
  }
  [[noreturn]] void fail_with_race();

 private:
  // Schedule.
  uint64_t random();
  void reset_schedule(uint64_t block);
  void shuffle_priorities();
  void wake(int warp, uint32_t lanes);
  int pick();

  // Threads and fibers.
  Worker* take_worker();
  void resume(int thread);
  void wait(const char* operation, Site site, uint32_t wanted_mask);
  void on_exit();
  void return_to_main();

  [[noreturn, gnu::noinline]] void bad_barrier(const char* operation, Site site);
  [[noreturn, gnu::noinline]] void bad_named_barrier(const char* operation, int id, int threads, Site site);
  [[noreturn, gnu::noinline]] void bad_rendezvous(const WarpOperation& operation, uint32_t mask, Site site);
  [[noreturn, gnu::noinline]] void bad_shared(const char* operation, const void* address, size_t bytes,
                                              size_t alignment, Site site);
  [[noreturn, gnu::noinline]] void bad_copy(const void* global, int bytes, Site site);
  void check_shared(const char* operation, const void* address, size_t bytes, size_t alignment, Site site);
  void check_guard();
  uint32_t existing_lanes(int warp) const;
  void release_barrier();

  // hopper.cpp
  void begin_hopper();
  void check_hopper();
  void check_exit();
  bool land_copy();
  void land(const TensorCopy& copy);
  MBarrier* find_mbarrier(size_t offset);
  MBarrier& known_mbarrier(const char* operation, const uint64_t* barrier, Site site);
  void complete_phase(MBarrier& barrier);
  std::string describe(const MBarrier& barrier, int parity) const;
  void issue_product(int warpgroup);
  void run_product(int warp, const PendingProduct& pending, WarpgroupSums& sums);
  void check_not_read(const char* operation, const void* shared, size_t bytes, Site site);
  void fail_after_block(const std::string& text);
  std::string deadlock_report() const;

  const Launch* launch_ = nullptr;
  uint64_t random_state_ = 1;

  std::vector<CudaThread> threads_;  // of the current block
  int warps_ = 0, live_ = 0, current_ = -1;
  uint32_t exited_lanes_[max_warps] = {};

  std::vector<std::unique_ptr<Worker>> workers_;  // every fiber ever made
  std::vector<Worker*> free_workers_;
  Fiber main_;
  Fiber* running_ = nullptr;

  // The ready set: lanes per warp, and the warps that have any. Bit p of ready_priorities_ is the warp
  // warp_at_[p], so that the lowest set bit is the warp to run next.
  enum class Style { in_order, fair, changing_priorities, fixed_priorities } style_ = Style::in_order;
  uint32_t ready_lanes_[max_warps] = {}, ready_priorities_ = 0;
  int warp_at_[max_warps] = {}, priority_of_[max_warps] = {};
  int first_lane_ = 0;  // the lane that comes first within a warp

  Barrier barrier_;
  NamedBarrier named_barriers_[named_barriers];
  std::vector<Rendezvous> meetings_[max_warps];

  // hopper.cpp
  std::vector<MBarrier> mbarriers_;
  std::vector<TensorCopy> copies_;  // under way, oldest first
  WarpgroupMeeting warpgroups_[max_warps / 4];
  std::vector<PendingProduct> products_[max_warps];  // of each warp, oldest first
  std::vector<WarpgroupSums> sums_[max_warps];
  // For each 16 bytes of shared memory: how many products under way read them, and a line that started one.
  struct ProductReads {
    uint16_t count;
    Site site;
  };
  std::vector<ProductReads> product_reads_;

  char* arena_;
  size_t statics_begin_ = arena_bytes;  // offset of the lowest SHARED_ARRAY
  size_t static_bytes_ = 0;
  bool guarded_ = false;  // the guard of this launch stands
  std::vector<StaticArray> static_arrays_;

  // Errors arise on a fiber whose stack is then abandoned, so they are formatted without any heap memory.
  enum class Failure { none, message, deadlock, race } failure_ = Failure::none;
  char message_[2048];

  RaceDetector race_;
  Watcher watch_;
};

struct Worker {
  Worker(Engine* engine_, size_t number) : engine(engine_), fiber(&start, this, number) {}
  static void start(void* self);
  Engine* engine;
  Fiber fiber;
};

}  // namespace gan::simt::runtime
