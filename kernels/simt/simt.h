// CUDA's vocabulary for g++ and clang++: lets a kernel file (.cu) compile as plain C++ and run on the CPU.
//
// Kernel files include "kernels/gpu/gpu.cuh", which includes this. Read it in three parts: A the interface to the
// emulation (configuration, errors), B the few functions of the run time (simt.cpp) that everything else is
// built on, C CUDA's own names in the global namespace, each a line or two over B. README.md beside this file
// says what is emulated, how failures are replayed, and what the emulation cannot see.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <type_traits>

#include "kernels/contract/check.h"

// Keywords. __noinline__ must never be defined: the standard library spells an attribute that way.
#define __global__
#define __host__
#if defined(GAN_SIMT_WATCH)
// Device functions are inlined although nothing is optimised there, as a GPU's compiler does: the access to a
// struct in memory that is handed to a function by value, or assigned from one, is not instrumented.
#define __device__ __attribute__((always_inline))
#else
#define __device__
#endif
#define __grid_constant__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __align__(n) __attribute__((aligned(n)))

// Vector types with CUDA's sizes and alignments (so that UBSan sees a misaligned float4 access).
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct uint3 {
  unsigned x, y, z;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// ---- A Interface --------------------------------------------------------------------------------------

namespace gan::simt {

namespace runtime {
class Queue;
}
using StreamHandle = runtime::Queue*;  // null: a launch has finished on return

// In which order the threads of a block run between two synchronisation points, and the blocks of a grid.
enum class Schedule {
  forward,  // lowest thread first, each as far as it can go
  reverse,  // highest thread first
  random,   // drawn from (seed, block index): per block either fair picks or changing priorities
};

// How a tensor core adds up. What hardware does is not documented; measured (Fasi, Higham, Mikaitis & Pranesh 2021), it
// brings the products and the accumulator to the exponent of the largest and cuts off what lies below.
enum class Products {
  rounded,  // one by one in float32, each sum rounded to nearest
  truncated,  // as the coarsest hardware measured: all at once, cut after 24 bits of the largest, and the sum again
};

// Read at each launch. The first use fills it from the environment variable GAN_SIMT, for example
// GAN_SIMT=schedule=random,seed=17,products=truncated,threads=1 (any part may be left out).
struct Config {
  Schedule schedule = Schedule::forward;
  uint64_t seed = 1;
  unsigned threads =
      0;  // OS threads that run blocks; 0: as many as the machine has (<= 16). Never changes a result.
  Products products = Products::rounded;
};

Config& config();

// Reads the form that GAN_SIMT has ("" gives the defaults). Throws gan::Error(Exit::usage) naming the part
// that it cannot understand; so does the first config().
Config parse_config(const std::string& text);

// What to put before the command to repeat the current schedule:
// "GAN_SIMT=schedule=random,seed=17,threads=1". Tests put it into their failure messages: a wrong VALUE is
// something only the test can notice.
std::string replay();

// What a kernel did wrong: thrown from launch(), with the block, the thread and the way to repeat it.
class Error : public gan::Error {
 public:
  explicit Error(const std::string& message) : gan::Error(Exit::failure, message) {}
};

// ---- B Run time (simt.cpp) ----------------------------------------------------------------------------

namespace runtime {

// A line of a kernel file. CUDA's names below get theirs by default arguments.
struct Site {
  const char* file;
  int line;
};

struct LaunchShape {
  dim3 grid, block;
  size_t dynamic_shared_bytes;
  Site site;  // of the launch() call
};

// Runs body(call) once for each thread of the grid. The kernel's address stands first in *call.
void run_grid(const LaunchShape& shape, void* call, void (*body)(void* call));

// For later, when the queue's turn comes (queues.h).
void queue_work(StreamHandle queue, std::function<void()> work);

// Waits until every thread of the block that has not exited is at the same line. Returns for how many of them
// predicate was true. operation: the CUDA name, for messages.
int block_barrier(const char* operation, Site site, bool predicate);

// Something that the lanes of a warp do together: each lane named in a mask leaves a pointer to its own
// inputs and outputs; when the last has come, run() is called once with all of them, and all go on. Shuffles
// and votes are such operations, and anything else that works on a whole warp fits the same form.
struct WarpOperation {
  const char* name;
  void (*run)(void* const lane_data[32], uint32_t mask);  // may be null: only meet
};
void warp_rendezvous(const WarpOperation& operation, uint32_t mask, void* my_data, Site site);

// The block's array for this declaration (tag: its address is the declaration's identity), made on first use.
void* static_shared(const void* tag, const char* name, size_t bytes, size_t alignment);
void* dynamic_shared();

// A point where a random schedule may let others go first.
void yield();

struct ShuffleLane {
  uint64_t value, result;
  int source;  // lane to read from
};
extern const WarpOperation shuffle_any, shuffle_xor, shuffle_up, shuffle_down;

struct VoteLane {
  bool predicate;
  uint32_t ballot, members;  // results: lanes that voted yes, lanes that voted
};
extern const WarpOperation vote_ballot, vote_any, vote_all, sync_warp;

// What kernels/gpu/ptx.cuh is made of; the meaning of the arguments stands there.
void async_copy(void* shared, const void* global, int bytes, bool real, Site site);
void async_commit();
void async_wait(int groups_left);
void named_barrier(const char* operation, int id, int threads, bool wait, Site site);

// Copies `bytes` of shared memory (a multiple of 16, at an address that is one too) for an instruction that
// reads them itself.
void read_shared(const char* operation, void* to, const void* shared, size_t bytes, Site site);

// The same for an instruction that hands the reading to a unit of its own (a TMA store, wgmma). Such a unit
// sees ordinary writes only behind a proxy_fence(): the race build stops where none stands between a write
// and this read.
void async_proxy_read(const char* operation, void* to, const void* shared, size_t bytes, Site site);
void proxy_fence();

// hopper.cpp: what compute capability 9.0 adds. shared_address(): the offset in the block's shared memory that
// stands for a GPU's 32-bit address of it.
uint32_t shared_address(const void* shared);
void mbarrier_init(uint64_t* barrier, int arrivals, Site site);
void mbarrier_init_fence();
void mbarrier_arrive(const char* operation, uint64_t* barrier, int expected_bytes, Site site);
void mbarrier_wait(uint64_t* barrier, int parity, Site site);

// A matrix in global memory and the box of it that one tensor copy brings: what a CUtensorMap holds, plain to see.
struct TensorMap {
  const void* data;
  uint64_t columns, rows, row_bytes;
  uint32_t box_columns, box_rows;
};
TensorMap encode_tensor_map(const void* data, int64_t rows, int64_t columns, int box_rows);
void tensor_copy(void* shared, const TensorMap& map, int column, int row, uint64_t* barrier, Site site);

// One product of a warpgroup, as all its threads ask for it.
struct WarpgroupProduct {
  uint64_t a, b;  // descriptors
  int n;
  bool accumulate, a_transposed, b_transposed;
};
void warpgroup_fence();
void warpgroup_product(float* d, const WarpgroupProduct& product, Site site);
void warpgroup_commit();
void warpgroup_wait(int groups_left, Site site);

// tensor.cpp: the part of one warp in a product of a warpgroup. a (16,16), b (n,16), d (32 lanes, n / 2).
void add_warpgroup_rows(const uint16_t (*a)[16], const uint16_t (*b)[16], float* d, int n);

// tensor.cpp: word: `count` of them; row: this lane's address.
void load_matrices(uint32_t* word, const void* row, int count, bool transposed, Site site);

// tensor.cpp: this lane's fragments, one behind the other where the operation has several.
extern const WarpOperation mma_bf16, mma_tf32, mma_tile_bf16, mma_tile_tf32;
void tensor_product(const WarpOperation& operation, float* d, const uint32_t* a, const uint32_t* b,
                    Site site);

[[noreturn]] void bad_shuffle_width(int width, Site site);
int lane();  // of the calling thread

// The lane which each kind of shuffle reads from, by the rules of CUDA's programming guide: lanes form groups
// of `width`; a lane whose source would lie outside its group keeps its own value.
template <class T>
T shuffle(const WarpOperation& kind, uint32_t mask, T value, int argument, int width, Site site) {
  static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>, "a shuffle moves at most 8 bytes");
  if (width < 1 || width > 32 || (width & (width - 1))) bad_shuffle_width(width, site);
  const int me = lane(), first = me & ~(width - 1), last = first + width - 1;
  int source = first + (argument & (width - 1));
  if (&kind == &shuffle_xor) source = (me ^ argument) <= last ? me ^ argument : me;
  if (&kind == &shuffle_up) source = me - argument >= first ? me - argument : me;
  if (&kind == &shuffle_down) source = me + argument <= last ? me + argument : me;
  ShuffleLane data{0, 0, source};
  __builtin_memcpy(&data.value, &value, sizeof value);  // no call, where calls of memcpy are watched
  warp_rendezvous(kind, mask, &data, site);
  __builtin_memcpy(&value, &data.result, sizeof value);
  return value;
}

inline VoteLane vote(const WarpOperation& kind, uint32_t mask, bool predicate, Site site) {
  VoteLane data{predicate, 0, 0};
  warp_rendezvous(kind, mask, &data, site);
  return data;
}

}  // namespace runtime
}  // namespace gan::simt

// ---- C CUDA's names -----------------------------------------------------------------------------------

// Real variables, one set per OS thread, which the run time sets whenever another CUDA thread goes on: a
// debugger can print them and stop on them (break norm.cu:19 if threadIdx.x == 37).
extern __thread uint3 threadIdx, blockIdx;
extern __thread dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

// Static and dynamic shared memory (described in gpu.cuh). The array keeps its type, so UBSan checks its
// indices.
#define SHARED_ARRAY(T, name, ...)                  \
  static char name##_tag_;                          \
  using name##_type_ = T __VA_ARGS__;               \
  name##_type_& name = *static_cast<name##_type_*>( \
      ::gan::simt::runtime::static_shared(&name##_tag_, #name, sizeof(name##_type_), alignof(name##_type_)))
#define DYNAMIC_SHARED(T, name) T* name = static_cast<T*>(::gan::simt::runtime::dynamic_shared())

#define GAN_SIMT_CALLER const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(GAN_SIMT_CALLER) {
  gan::simt::runtime::block_barrier("__syncthreads", {file, line}, false);
}
inline int __syncthreads_or(int predicate, GAN_SIMT_CALLER) {
  return gan::simt::runtime::block_barrier("__syncthreads_or", {file, line}, predicate != 0) != 0;
}
inline void __syncwarp(unsigned mask = 0xffffffffu, GAN_SIMT_CALLER) {
  gan::simt::runtime::warp_rendezvous(gan::simt::runtime::sync_warp, mask, nullptr, {file, line});
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source_lane, int width = 32, GAN_SIMT_CALLER) {
  using namespace gan::simt::runtime;
  return shuffle(shuffle_any, mask, value, source_lane, width, {file, line});
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, GAN_SIMT_CALLER) {
  using namespace gan::simt::runtime;
  return shuffle(shuffle_xor, mask, value, lane_mask, width, {file, line});
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, GAN_SIMT_CALLER) {
  using namespace gan::simt::runtime;
  return shuffle(shuffle_up, mask, value, static_cast<int>(delta), width, {file, line});
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, GAN_SIMT_CALLER) {
  using namespace gan::simt::runtime;
  return shuffle(shuffle_down, mask, value, static_cast<int>(delta), width, {file, line});
}

inline unsigned __ballot_sync(unsigned mask, int predicate, GAN_SIMT_CALLER) {
  using namespace gan::simt::runtime;
  return vote(vote_ballot, mask, predicate != 0, {file, line}).ballot;
}
inline int __any_sync(unsigned mask, int predicate, GAN_SIMT_CALLER) {
  using namespace gan::simt::runtime;
  return vote(vote_any, mask, predicate != 0, {file, line}).ballot != 0;
}
inline int __all_sync(unsigned mask, int predicate, GAN_SIMT_CALLER) {
  using namespace gan::simt::runtime;
  const VoteLane result = vote(vote_all, mask, predicate != 0, {file, line});
  return result.ballot == result.members;
}

__device__ inline int atomicAdd(int* address, int value) {
  gan::simt::runtime::yield();
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
__device__ inline unsigned atomicAdd(unsigned* address, unsigned value) {
  gan::simt::runtime::yield();
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}
__device__ inline float atomicAdd(float* address, float value) {
  gan::simt::runtime::yield();
  float before, after;
  __atomic_load(address, &before, __ATOMIC_RELAXED);
  do {
    after = before + value;
  } while (!__atomic_compare_exchange(address, &before, &after, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
  return before;
}
__device__ inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }

template <class T>
__device__ inline T __ldg(const T* address) {
  return *address;
}
__device__ inline int __popc(unsigned value) { return __builtin_popcount(value); }
__device__ inline int __ffs(int value) { return __builtin_ffs(value); }
__device__ inline unsigned __float_as_uint(float value) {
  unsigned bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
__device__ inline float __uint_as_float(unsigned bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
__device__ inline float rsqrtf(float value) noexcept { return 1.0f / std::sqrt(value); }
using std::max;
using std::min;

__device__ constexpr float2 make_float2(float x, float y) { return {x, y}; }
__device__ constexpr float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
__device__ constexpr int2 make_int2(int x, int y) { return {x, y}; }
__device__ constexpr int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
__device__ constexpr uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
__device__ constexpr uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
