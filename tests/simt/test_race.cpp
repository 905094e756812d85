// Mistakes that kernels really have, each planted once, and the net that has to catch it.
//
// One table: a kernel with a switch for the mistake, and by which build it is caught: as a wrong value or an
// error under some order of threads (every build), by the race detector (preset simt-race), by the address or
// undefined-behaviour sanitizer (preset simt-asan). The same kernels without the mistake must pass in every
// build. The reports' lines are checked for the clearest case of each kind.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "kernels/gpu/gpu.cuh"
#include "kernels/simt/fiber.h"
#include "kernels/simt/race.h"
#include "tests/support/skip.h"

namespace gan::simt {
namespace {

enum class Mistake {
  none,
  no_barrier_after_write,     // a warp's partial sum is read before it is there
  no_barrier_before_reuse,    // ... or overwritten before it has been read
  no_barrier_at_end_of_loop,  // the next tile overwrites the one in use
  no_wait,                    // an asynchronous copy's destination is read too early
  no_barrier_after_product,   // ... or copied over while others still read
  beyond_global,
  beyond_shared,
  misaligned_float4,
  sum_from_blocks,      // several blocks add to one number without atomics
  divergent_barrier,    // threads wait at different barriers
  short_named_barrier,  // fewer threads come than are waited for
  absent_lanes,         // a shuffle names lanes that do not come
  no_syncwarp,          // lanes exchange through shared memory in step, as before Volta
  never_written,        // shared memory is read that nobody wrote
};

// ---- Kernels ------------------------------------------------------------------------------------------

// out[i] = x[i] - mean of the block's 256 numbers, scaled to a deviation of 1.
__global__ void norm_kernel(const float* x, float* out, Mistake mistake) {
  SHARED_ARRAY(float, partial, [8]);
  const unsigned i = blockIdx.x * 256 + threadIdx.x;
  const auto sum = [&](float value) {
    value = warp_sum(value);
    if (mistake != Mistake::no_barrier_before_reuse) __syncthreads();
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
    if (mistake != Mistake::no_barrier_after_write) __syncthreads();
    float total = 0;
    for (int w = 0; w < 8; ++w) total += partial[w];
    return total;
  };
  const float centred = x[i] - sum(x[i]) / 256;
  out[i] = centred * rsqrtf(sum(centred * centred) / 256 + 1e-5f);
}

// c (n,n) = a (n,n) b (n,n) in float32 tiles of 16 x 16; n need not be a multiple of 16.
__global__ void matrix_kernel(const float* a, const float* b, float* c, int n, Mistake mistake) {
  SHARED_ARRAY(float, left, [16][16]);
  SHARED_ARRAY(float, right, [16][16]);
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  const int row = static_cast<int>(blockIdx.y) * 16 + y, column = static_cast<int>(blockIdx.x) * 16 + x;
  float sum = 0;
  for (int k = 0; k < n; k += 16) {
    const bool inside = row < n || mistake == Mistake::beyond_global;
    left[y][x] = inside && k + x < n ? a[row * n + k + x] : 0.0f;
    right[y][x] = k + y < n && column < n ? b[(k + y) * n + column] : 0.0f;
    __syncthreads();
    for (int i = 0; i < 16; ++i) sum += left[y][i] * right[i][x];
    if (mistake != Mistake::no_barrier_at_end_of_loop) __syncthreads();
  }
  if (row < n && column < n) c[row * n + column] = sum;
}

// c (64,64) = a (64,k) b (64,k)^T on tensor cores: 4 warps of 32 x 32, slices of 32 in two buffers that
// asynchronous copies fill in turn.
constexpr int pitch = 40;  // bf16 numbers from row to row of a buffer
__global__ void tensor_kernel(const bf16* a, const bf16* b, float* c, int depth, Mistake mistake) {
  DYNAMIC_SHARED(bf16, buffers);  // (2)(64 rows of a, 64 rows of b)(pitch)
  const int t = static_cast<int>(threadIdx.x), lane = t % 32, warp = t / 32;
  const int first_row = warp / 2 * 32, first_column = warp % 2 * 32;
  const auto fetch = [&](int slice) {
    for (int i = t; i < 512; i += 128) {
      const int row = i / 4, piece = i % 4 * 8;
      const bf16* const source = (row < 64 ? a + row * depth : b + (row - 64) * depth) + slice * 32 + piece;
      cp_async<16>(buffers + (slice % 2 * 128 + row) * pitch + piece, source);
    }
    cp_async_commit();
  };
  FragmentD sum[2][4] = {};
  const int slices = depth / 32;
  fetch(0);
  for (int slice = 0; slice < slices; ++slice) {
    if (slice + 1 < slices) {
      fetch(slice + 1);
      cp_async_wait<1>();
    } else if (mistake != Mistake::no_wait) {
      cp_async_wait<0>();
    }
    __syncthreads();
    const bf16* const left = buffers + slice % 2 * 128 * pitch;
    const bf16* const right = left + 64 * pitch;
    for (int k = 0; k < 32; k += 16) {
      FragmentA<bf16> rows[2];
      FragmentB<bf16> columns[4];
      for (int i = 0; i < 2; ++i)
        ldmatrix(rows[i].word, left + (first_row + i * 16 + lane % 16) * pitch + k + lane / 16 * 8);
      for (int j = 0; j < 4; ++j)
        ldmatrix(columns[j].word, right + (first_column + j * 8 + lane % 8) * pitch + k + lane / 8 % 2 * 8);
      mma_tile(sum, rows, columns);
    }
    if (mistake != Mistake::no_barrier_after_product) __syncthreads();
  }
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 4; ++j)
      for (int v = 0; v < 4; ++v)
        c[(first_row + i * 16 + lane / 4 + v / 2 * 8) * 64 + first_column + j * 8 + lane % 4 * 2 + v % 2] =
            sum[i][j].value[v];
}

std::atomic<int> line_of_write, line_of_read;  // in the kernels whose reports are read

// Small ones, one thread or warp each. global: 64 floats.
__global__ void small_kernel(float* global, Mistake mistake) {
  SHARED_ARRAY(float, s, [64]);
  const unsigned t = threadIdx.x;
  if (mistake != Mistake::never_written) s[t] = 1;
  if (mistake == Mistake::divergent_barrier && t < 16) __syncthreads();
  else __syncthreads();
  if (mistake == Mistake::never_written) global[t] = s[t];
  if (mistake == Mistake::beyond_shared) {
    volatile int index = 64;
    if (t == 0) global[0] = s[index];
  }
  if (mistake == Mistake::misaligned_float4 && t == 0) {
    volatile int offset = 1;
    const float4 four = *reinterpret_cast<const float4*>(global + offset);
    global[0] = four.x;
  }
  if (mistake == Mistake::sum_from_blocks && t == 0) {
    line_of_write = __LINE__ + 1;
    global[0] += 1;
  }
  if (mistake == Mistake::short_named_barrier && t < 32) named_barrier_sync(1, 64);
  if (mistake == Mistake::absent_lanes && t % 32 < 16) __shfl_xor_sync(0xffffffffu, 1, 1);
  if (mistake == Mistake::no_syncwarp && t < 32) {
    s[t] = static_cast<float>(t);
    line_of_write = __LINE__ - 1;
    global[t] = s[31 - t];
    line_of_read = __LINE__ - 1;
  }
}

// ---- Nets ---------------------------------------------------------------------------------------------

struct KeepConfig {
  Config saved = config();
  ~KeepConfig() { config() = saved; }
};

// Runs a kernel; returns its output.
using Run = std::function<std::vector<float>(Mistake)>;

std::vector<float> run_norm(Mistake mistake) {
  std::vector<float> x(4 * 256), out(x.size());
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<float>(i * i));
  launch(norm_kernel, 4, 256, 0, nullptr, x.data(), out.data(), mistake);
  return out;
}

std::vector<float> run_matrix(Mistake mistake) {
  constexpr int n = 41;
  std::vector<float> a(n * n), b(n * n), c(n * n);
  for (size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i % 7), b[i] = static_cast<float>(i % 5);
  launch(matrix_kernel, dim3(3, 3), dim3(16, 16), 0, nullptr, a.data(), b.data(), c.data(), n, mistake);
  return c;
}

std::vector<float> run_tensor(Mistake mistake) {
  constexpr int depth = 160;
  std::vector<bf16> a(64 * depth), b(64 * depth);
  for (size_t i = 0; i < a.size(); ++i) {
    a[i] = to_bf16(static_cast<float>(i % 7));
    b[i] = to_bf16(static_cast<float>(i % 5));
  }
  std::vector<float> c(64 * 64);
  launch(tensor_kernel, 1, 128, 2 * 128 * pitch * sizeof(bf16), nullptr, a.data(), b.data(), c.data(), depth,
         mistake);
  return c;
}

std::vector<float> run_small(Mistake mistake) {
  alignas(16) static float global[64];
  std::fill(global, global + 64, 0.0f);
  launch(small_kernel, 3, 64, 0, nullptr, global, mistake);
  return std::vector<float>(global, global + 64);
}

// Whether a run under one of the schedules throws or differs from `right`; the error, when there was one.
bool caught_by_a_schedule(const Run& run, Mistake mistake, const std::vector<float>& right,
                          std::string& message) {
  KeepConfig keep;
  std::vector<Config> schedules{{Schedule::forward, 1, 1}, {Schedule::reverse, 1, 1}};
  for (uint64_t seed = 1; seed <= 3; ++seed) schedules.push_back({Schedule::random, seed, 1});
  bool caught = false;
  for (const Config& schedule : schedules) {
    config() = schedule;
    try {
      caught |= std::memcmp(run(mistake).data(), right.data(), right.size() * sizeof(float)) != 0;
    } catch (const Error& e) {
      caught = true;
      if (message.empty()) message = e.what();
    }
  }
  return caught;
}

#if defined(GAN_SIMT_ASAN)
constexpr bool sanitized = true;
#else
constexpr bool sanitized = false;
#endif

// Whether a sanitizer ends a child process that makes the mistake.
bool caught_by_a_sanitizer(const Run& run, Mistake mistake) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    static_cast<void>(std::freopen("/dev/null", "w", stderr));  // its report
    config() = {Schedule::forward, 1, 1};
    run(mistake);
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

enum Net { value = 1, race = 2, sanitizer = 4 };
struct Row {
  const char* name;
  Run run;
  Mistake mistake;
  int nets;  // those that must catch it
};
const std::vector<Row>& rows() {
  static const std::vector<Row> all{
      {"no barrier after a write", run_norm, Mistake::no_barrier_after_write, value | race},
      {"no barrier before reuse", run_norm, Mistake::no_barrier_before_reuse, value | race},
      {"no barrier at the end of a loop", run_matrix, Mistake::no_barrier_at_end_of_loop, value | race},
      {"no wait for a copy", run_tensor, Mistake::no_wait, value | race},
      {"no barrier before a copy", run_tensor, Mistake::no_barrier_after_product, value | race},
      {"beyond a global array", run_matrix, Mistake::beyond_global, sanitizer},
      {"beyond a shared array", run_small, Mistake::beyond_shared, race | sanitizer},
      {"misaligned float4", run_small, Mistake::misaligned_float4, sanitizer},
      {"sum from several blocks", run_small, Mistake::sum_from_blocks, race},
      {"divergent barrier", run_small, Mistake::divergent_barrier, value | race},
      {"short named barrier", run_small, Mistake::short_named_barrier, value | race},
      {"absent lanes", run_small, Mistake::absent_lanes, value | race},
      {"no __syncwarp", run_small, Mistake::no_syncwarp, value | race},
      {"shared memory never written", run_small, Mistake::never_written, value | race},
  };
  return all;
}

std::string message_of(const Run& run, Mistake mistake) {
  try {
    run(mistake);
  } catch (const Error& e) { return e.what(); }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return true;
  MESSAGE("\"" << part << "\" is not in: " << text);
  return false;
}

std::string at(int line) { return "test_race.cpp:" + std::to_string(line); }

}  // namespace
}  // namespace gan::simt

using namespace gan::simt;

TEST_SUITE_BEGIN("race");

TEST_CASE("race: every planted mistake is caught by its nets, and nothing else is") {
  for (const Row& row : rows()) {
    CAPTURE(row.name);
    KeepConfig keep;
    config() = {Schedule::forward, 1, 1};
    const std::vector<float> right = row.run(Mistake::none);
    std::string message;
    if (!caught_by_a_schedule(row.run, Mistake::none, right, message)) CHECK(message.empty());
    else FAIL_CHECK("without the mistake: " << message);

    const int net = runtime::race_build ? race : value;
    if (row.nets & net) CHECK(caught_by_a_schedule(row.run, row.mistake, right, message));
    if (runtime::race_build && (row.nets & race)) CHECK(!message.empty());
    if (sanitized && (row.nets & sanitizer)) CHECK(caught_by_a_sanitizer(row.run, row.mistake));
  }
}

TEST_CASE("race: a report names both lines, both threads, the blocks and the way to repeat it") {
  if (!runtime::race_build) GAN_SKIP("only the race build (preset simt-race) looks for races");
  KeepConfig keep;
  config() = {Schedule::forward, 1, 1};
  const std::string within = message_of(run_small, Mistake::no_syncwarp);
  CHECK(contains(within, at(line_of_write) + ": race: thread (16,0,0) writes shared memory"));
  CHECK(contains(within, at(line_of_read) + ": thread (15,0,0) reads; no barrier stands between them"));
  CHECK(contains(within, "replay with GAN_SIMT=schedule=forward,seed=1,threads=1"));

  const std::string between = message_of(run_small, Mistake::sum_from_blocks);
  CHECK(contains(between, at(line_of_write) + ": race: thread (0,0,0) reads global memory"));
  CHECK(contains(between, "thread (0,0,0) of block (0,0,0) writes; nothing orders blocks of a grid"));
  CHECK(contains(between, "in block (1,0,0)"));

  CHECK(contains(message_of(run_small, Mistake::never_written), "which nobody has written"));
  CHECK(contains(message_of(run_tensor, Mistake::no_wait), "the copy has not been waited for"));
}

// What wrappers of such instructions will do. `fence`: who calls it, and when.
enum class Fence { none, before_writing, writers, one_writer, reader };
__global__ void proxy_kernel(float* out, Fence fence, bool named) {
  SHARED_ARRAY(float, tile, [64]);
  if (fence == Fence::before_writing) fence_proxy_async();
  line_of_write = __LINE__ + 1;
  tile[threadIdx.x] = static_cast<float>(threadIdx.x);
  if (fence == Fence::writers || (fence == Fence::one_writer && threadIdx.x == 0)) fence_proxy_async();
  if (named) named_barrier_sync(1, 64);
  else __syncthreads();
  if (fence == Fence::reader && threadIdx.x == 0) fence_proxy_async();
  if (threadIdx.x == 0) runtime::async_proxy_read("a store", out, tile, sizeof tile, {"the store", 7});
}

TEST_CASE("race: an asynchronous unit reads ordinary writes only behind a proxy fence") {
  KeepConfig keep;
  config() = {Schedule::forward, 1, 1};
  const auto message = [](Fence fence, bool named = false) -> std::string {
    std::vector<float> out(64);
    try {
      launch(proxy_kernel, 1, 64, 0, nullptr, out.data(), fence, named);
    } catch (const Error& e) { return e.what(); }
    CHECK(out[63] == 63);
    return "";
  };
  CHECK(message(Fence::writers).empty());
  CHECK(message(Fence::reader).empty());
  CHECK(message(Fence::writers, true).empty());
  CHECK(message(Fence::reader, true).empty());
  if (!runtime::race_build) return;  // elsewhere nobody sees ordinary writes
  for (Fence fence : {Fence::none, Fence::before_writing, Fence::one_writer}) {
    const std::string text = message(fence);
    CHECK(contains(text, "the store:7: thread (0,0,0) lets an asynchronous unit read shared memory"));
    CHECK(contains(text, at(line_of_write)));
    CHECK(contains(text, fence == Fence::one_writer ? "thread (1,0,0) writes" : "thread (0,0,0) writes"));
    CHECK(contains(text, "no fence_proxy_async() stands between them"));
    CHECK(contains(message(fence, true), "no fence_proxy_async() stands between them"));
  }
}

TEST_SUITE_END();
