// The wrappers of compute capability 9.0 in kernels/gpu/ptx.cuh, in the emulation: where tensor copies put
// what, which elements a descriptor names and which a thread holds of a product, against formulas written
// down here once more; and a ring of stages with one mistake at a time, and what has to catch it.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "kernels/gpu/gpu.cuh"
#include "kernels/shared/philox.h"
#include "kernels/simt/race.h"

namespace gan::simt {
namespace {

struct KeepConfig {
  Config saved = config();
  ~KeepConfig() { config() = saved; }
};

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const gan::Error& e) { return e.what(); }
  return "no error";
}
bool contains(const std::string& text, const std::string& part) {
  if (text.find(part) != std::string::npos) return true;
  MESSAGE("\"" << part << "\" is not in: " << text);
  return false;
}

std::vector<bf16> random_matrix(int count, uint64_t seed) {
  std::vector<bf16> result(static_cast<size_t>(count));
  for (size_t i = 0; i < result.size(); ++i) result[i] = to_bf16(2 * random_uniform(seed, 0, 0, i) - 1);
  return result;
}

// The swizzle of 128 bytes, as the documentation draws it: in a pattern of 8 rows of 8 vectors, row r has vector v at
// v XOR r. Element `column` of row `row`, in elements from the start.
constexpr int in_pattern(int row, int column) { return row * 64 + (column / 8 ^ row % 8) * 8 + column % 8; }

// ---- Tensor copies ------------------------------------------------------------------------------------

__global__ void copy_kernel(const __grid_constant__ TensorMap map, uint16_t* out, int column, int row,
                            int box_rows) {
  DYNAMIC_SHARED(uint16_t, box);
  SHARED_ARRAY(uint64_t, barrier, [1]);
  if (threadIdx.x == 0) {
    mbarrier_init(barrier, 1);
    mbarrier_init_fence();
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    mbarrier_arrive_expect_tx(barrier, box_rows * 128);
    tensor_copy(box, map, column, row, barrier);
  }
  mbarrier_wait(barrier, 0);
  for (int i = static_cast<int>(threadIdx.x); i < box_rows * 64; i += 32) out[i] = box[i];
}

TEST_CASE("hopper: a tensor copy brings a box, swizzled, with zeros outside of the matrix") {
  KeepConfig keep;
  constexpr int rows = 21, columns = 88;
  const std::vector<bf16> matrix = random_matrix(rows * columns, 1);
  for (const Schedule schedule : {Schedule::forward, Schedule::reverse, Schedule::random})
    for (const auto& place : {std::array{0, 0, 8},
                              {3, 8, 16},
                              {-2, -8, 8},
                              {16, 64, 24},
                              {-3, 30, 32},
                              {40, 0, 8},
                              {0, 100, 8},
                              {-100, -100, 1}}) {
      const int row = place[0], column = place[1], box_rows = place[2];
      config().schedule = schedule;
      CAPTURE(row);
      CAPTURE(column);
      const TensorMap map = tensor_map(matrix.data(), rows, columns, box_rows);
      std::vector<uint16_t> box(static_cast<size_t>(box_rows) * 64);
      launch(copy_kernel, 1, 32, static_cast<size_t>(box_rows) * 128, nullptr, map, box.data(), column, row,
             box_rows);
      int wrong = 0;
      for (int r = 0; r < box_rows; ++r)
        for (int c = 0; c < 64; ++c) {
          const int y = row + r, x = column + c;
          const bool inside = y >= 0 && y < rows && x >= 0 && x < columns;
          wrong += box[static_cast<size_t>(in_pattern(r, c))] !=
                   (inside ? matrix[static_cast<size_t>(y * columns + x)].bits : 0);
        }
      CHECK(wrong == 0);
    }
}

TEST_CASE("hopper: what no tensor map can be") {
  const std::vector<bf16> matrix(1000);
  const auto map = [&](int skip, int rows, int columns, int box_rows) {
    return message_of([&] { static_cast<void>(tensor_map(matrix.data() + skip, rows, columns, box_rows)); });
  };
  CHECK(map(0, 10, 64, 256) == "no error");
  CHECK(contains(map(1, 10, 64, 8), "the matrix must start at a multiple of 16 bytes"));
  CHECK(contains(map(0, 10, 63, 8), "a row must have a multiple of 16 bytes"));
  CHECK(contains(map(0, 10, 64, 257), "a box may have 1 to 256 rows"));
  CHECK(contains(map(0, 0, 64, 8), "rows and columns may be 1 to"));
}

// ---- Products -----------------------------------------------------------------------------------------

// d (64,n) = d + a (64,16) b (16,n), twice over k = 32. The operands lie in shared memory as a kernel has put
// them there element by element: a and b (lines, 64) or, transposed, (64, lines) in groups of 64 lines; the
// product takes k's 16 to 47.
template <int n, bool a_transposed, bool b_transposed>
__global__ void product_kernel(const bf16* a, const bf16* b, float* d) {
  DYNAMIC_SHARED(bf16, tiles);
  bf16 *const a_tile = tiles, *const b_tile = tiles + 64 * 64;
  const int t = static_cast<int>(threadIdx.x);
  const auto put = [&](bf16* tile, const bf16* from, int lines, bool transposed) {
    for (int i = t; i < lines * 64; i += 128) {
      const int line = i / 64, k = i % 64;
      tile[transposed ? line / 64 * 64 * 64 + in_pattern(k, line % 64) : in_pattern(line, k)] = from[i];
    }
  };
  put(a_tile, a, 64, a_transposed);
  put(b_tile, b, n, b_transposed);
  FragmentD sums[n / 8];
  for (int i = 0; i < n / 2; ++i) sums[i / 4].value[i % 4] = d[t * (n / 2) + i];
  fence_proxy_async();
  __syncthreads();
  wgmma_fence();
  for (int first = 16; first < 48; first += 16) {
    const uint64_t a_operand = wgmma_descriptor(a_tile + (a_transposed ? first * 64 : first), 8192, 1024);
    const uint64_t b_operand = wgmma_descriptor(b_tile + (b_transposed ? first * 64 : first), 8192, 1024);
    wgmma<n, a_transposed, b_transposed>(sums, a_operand, b_operand, true);
  }
  wgmma_commit();
  wgmma_finish(sums);
  for (int i = 0; i < n / 2; ++i) d[t * (n / 2) + i] = sums[i / 4].value[i % 4];
}

template <int n, bool a_transposed, bool b_transposed>
void check_product() {
  const std::vector<bf16> a = random_matrix(64 * 64, 2), b = random_matrix(n * 64, 3);
  std::vector<float> d(64 * n);
  for (size_t i = 0; i < d.size(); ++i) d[i] = random_uniform(4, 0, 0, i);
  const std::vector<float> before = d;
  launch(product_kernel<n, a_transposed, b_transposed>, 1, 128, (64 + n) * 128, nullptr, a.data(), b.data(),
         d.data());
  // "Matrix Fragments for wgmma.mma_async", D: groupID = lane >> 2; row = 16 * warp + groupID, + 8 for (i /
  // 2) % 2; column = (i / 4) * 8 + (lane % 4) * 2 + (i & 1).
  double worst = 0;
  for (int t = 0; t < 128; ++t)
    for (int i = 0; i < n / 2; ++i) {
      const int row = t / 32 * 16 + (t % 32 >> 2) + 8 * (i / 2 % 2), column = i / 4 * 8 + t % 4 * 2 + (i & 1);
      const auto place = static_cast<size_t>(t * (n / 2) + i);
      double exact = before[place], magnitude = std::abs(exact);
      for (int k = 16; k < 48; ++k) {
        const double term = double(to_float(a[static_cast<size_t>(row * 64 + k)])) *
                            double(to_float(b[static_cast<size_t>(column * 64 + k)]));
        exact += term;
        magnitude += std::abs(term);
      }
      worst = std::max(worst, std::abs(d[place] - exact) / (33 * 0x1p-24 * magnitude));
    }
  CHECK(worst <= 1);
}

TEST_CASE("hopper: a product of a warpgroup multiplies what its descriptors name, in every layout") {
  KeepConfig keep;
  for (const Schedule schedule : {Schedule::forward, Schedule::reverse, Schedule::random}) {
    config().schedule = schedule;
    check_product<64, false, false>();
    check_product<64, false, true>();
    check_product<64, true, false>();
    check_product<128, false, false>();
    check_product<128, false, true>();
    check_product<128, true, true>();
  }
}

// ---- A ring with mistakes -----------------------------------------------------------------------------

enum class Mistake {
  none,
  no_proxy_fence,  // ordinary writes that the units do not know of
  no_wait_full,    // operands that have not come
  no_finish,       // sums that are not there yet
  no_commit,       // a product that no wait covers
  no_register_fence,
  early_release,      // a stage is filled again while a product reads it
  wrong_phase,        // of the stage that is waited for
  wrong_first_phase,  // the producer waits for a stage that nobody has used
  too_few_bytes,
  too_many_bytes,
  one_arrival_more,
  no_init,
  no_init_fence,
  no_init_barrier,
  no_copy_wait,  // the block ends while a copy is under way
  wrong_start,   // of an operand
  wrong_stride,
  wrong_swizzle,
  start_outside,
  other_operands,  // not all threads of the warpgroup mean the same product
  misaligned_copy,
  part_of_warpgroup,
};

// c (64,64) = a (64, 64 steps) b (64, 64 steps)^T: one warpgroup brings the tiles, by tensor copies or by
// copies of its threads, one multiplies. Two stages of 8 KB for a and as much for b.
__global__ void ring_kernel(const __grid_constant__ TensorMap a_map, const __grid_constant__ TensorMap b_map,
                            const bf16* a, const bf16* b, float* c, int steps, bool tensor_copies,
                            Mistake mistake) {
  DYNAMIC_SHARED(unsigned char, ring);
  SHARED_ARRAY(uint64_t, full, [2]);
  SHARED_ARRAY(uint64_t, empty, [2]);
  const int t = static_cast<int>(threadIdx.x);
  if (t == 0 && mistake != Mistake::no_init) {
    for (int s = 0; s < 2; ++s) {
      mbarrier_init(&full[s], tensor_copies ? 1 : 128);
      mbarrier_init(&empty[s], 4);
    }
    if (mistake != Mistake::no_init_fence) mbarrier_init_fence();
  }
  if (mistake != Mistake::no_init_barrier) __syncthreads();
  if (t < 128) {
    for (int step = 0; step < steps; ++step) {
      unsigned char* const stage = ring + step % 2 * 16384;
      if (tensor_copies && t > 0) continue;
      mbarrier_wait(&empty[step % 2], (step / 2 + (mistake == Mistake::wrong_first_phase ? 0 : 1)) % 2);
      if (tensor_copies) {
        const int wrong = mistake == Mistake::too_few_bytes    ? -128
                          : mistake == Mistake::too_many_bytes ? 16
                                                               : 0;
        mbarrier_arrive_expect_tx(&full[step % 2], 16384 + wrong);
        tensor_copy(stage + (mistake == Mistake::misaligned_copy ? 128 : 0), a_map, step * 64, 0,
                    &full[step % 2]);
        tensor_copy(stage + 8192, b_map, step * 64, 0, &full[step % 2]);
        if (mistake == Mistake::one_arrival_more) mbarrier_arrive(&full[step % 2]);
      } else {
        for (int i = t; i < 1024; i += 128) {
          const int row = i / 8 % 64, vector = i % 8;
          const bf16* const from = (i < 512 ? a : b) + row * steps * 64 + step * 64 + vector * 8;
          cp_async<16>(stage + i / 512 * 8192 + in_pattern(row, vector * 8) * 2, from);
        }
        cp_async_commit();
        cp_async_wait<0>();
        if (mistake != Mistake::no_proxy_fence) fence_proxy_async();
        mbarrier_arrive(&full[step % 2]);
      }
    }
    return;
  }
  if (mistake == Mistake::no_copy_wait) return;
  if (mistake == Mistake::part_of_warpgroup && t >= 224) return;
  FragmentD sums[8];
  for (int step = 0; step < steps; ++step) {
    const unsigned char* const stage = ring + step % 2 * 16384;
    if (mistake != Mistake::no_wait_full)
      mbarrier_wait(&full[step % 2], (step / 2 + (mistake == Mistake::wrong_phase && step >= 2)) % 2);
    if (mistake != Mistake::no_register_fence) wgmma_fence();
    for (int k = 0; k < 4; ++k) {
      const bool here = step == 1 && k == 3;
      const int start = here && mistake == Mistake::wrong_start ? 16 : 32 * k;
      const unsigned char* const a_start =
          here && mistake == Mistake::start_outside ? ring + 4 * 8192 - 1024 : stage + start;
      uint64_t a_operand = wgmma_descriptor(a_start, 0, mistake == Mistake::wrong_stride ? 512 : 1024);
      if (mistake == Mistake::wrong_swizzle) a_operand ^= uint64_t{3} << 62;
      if (mistake == Mistake::other_operands && t == 200) a_operand += 2;
      wgmma<64, false, false>(sums, a_operand, wgmma_descriptor(stage + 8192 + 32 * k, 0, 1024),
                              step > 0 || k > 0);
    }
    if (mistake != Mistake::no_commit) wgmma_commit();
    if (mistake == Mistake::early_release && t % 32 == 0) mbarrier_arrive(&empty[step % 2]);
    if (mistake == Mistake::early_release)
      mbarrier_wait(&full[(step + 1) % 2], (step + 1) / 2 % 2 ^ (step + 1 == steps));
    if (mistake != Mistake::no_finish || step + 1 < steps) wgmma_wait<0>();
    if (mistake != Mistake::early_release && t % 32 == 0) mbarrier_arrive(&empty[step % 2]);
  }
  const int lane = t % 32, warp = t / 32 % 4;
  for (int i = 0; i < 32; ++i)
    c[(warp * 16 + lane / 4 + 8 * (i / 2 % 2)) * 64 + i / 4 * 8 + lane % 4 * 2 + i % 2] =
        sums[i / 4].value[i % 4];
  if (mistake == Mistake::no_finish) wgmma_wait<0>();
}

std::vector<float> run_ring(bool tensor_copies, Mistake mistake) {
  constexpr int steps = 5, depth = 64 * steps;
  const std::vector<bf16> a = random_matrix(64 * depth, 5), b = random_matrix(64 * depth, 6);
  std::vector<float> c(64 * 64, NAN);
  launch(ring_kernel, 1, 256, 2 * 16384, nullptr, tensor_map(a.data(), 64, depth, 64),
         tensor_map(b.data(), 64, depth, 64), a.data(), b.data(), c.data(), steps, tensor_copies, mistake);
  double worst = 0;
  for (int row = 0; row < 64; ++row)
    for (int column = 0; column < 64; ++column) {
      double exact = 0;
      for (int k = 0; k < depth; ++k)
        exact += double(to_float(a[static_cast<size_t>(row * depth + k)])) *
                 double(to_float(b[static_cast<size_t>(column * depth + k)]));
      const double off = std::abs(c[static_cast<size_t>(row * 64 + column)] - exact);
      worst = std::isfinite(off) ? std::max(worst, off) : HUGE_VAL;
    }
  if (worst > 1e-4) fail(Exit::failure, "a wrong value, off by {}", worst);
  return c;
}

// What is said about a mistake under one of the schedules.
std::string caught(bool tensor_copies, Mistake mistake) {
  KeepConfig keep;
  std::vector<Config> schedules{{Schedule::forward, 1, 1}, {Schedule::reverse, 1, 1}};
  for (uint64_t seed = 1; seed <= 4; ++seed) schedules.push_back({Schedule::random, seed, 1});
  for (const Config& schedule : schedules) {
    config() = schedule;
    const std::string message = message_of([&] { run_ring(tensor_copies, mistake); });
    if (message != "no error") return message;
  }
  return "no error";
}

TEST_CASE("hopper: a ring of stages between a producer and a warpgroup, right under every order of threads") {
  CHECK(caught(true, Mistake::none) == "no error");
  CHECK(caught(false, Mistake::none) == "no error");
}

TEST_CASE("hopper: mistakes in a ring are caught") {
  struct Row {
    bool tensor_copies;
    Mistake mistake;
    const char* said;       // in every build
    const char* race_said;  // in the race build, where it sees it sooner; null: the same
  };
  const Row rows[] = {
      {false, Mistake::no_proxy_fence, nullptr, "no fence_proxy_async() stands between"},
      {true, Mistake::no_wait_full, "more arrivals than the 1", ""},
      {false, Mistake::no_wait_full, "", ""},
      {true, Mistake::no_finish, "a wrong value", nullptr},
      {true, Mistake::no_commit, "tensor_copy to shared memory at offset", ""},
      {true, Mistake::no_register_fence, "wgmma_fence(): one comes first", nullptr},
      {true, Mistake::early_release, "still reads: its wgmma_wait() comes first", nullptr},
      {false, Mistake::early_release, "still reads: its wgmma_wait() comes first", " race: "},
      {true, Mistake::wrong_phase, "", ""},
      {true, Mistake::wrong_first_phase, "deadlock: no thread of the block can go on", nullptr},
      {true, Mistake::too_few_bytes, "and 128 bytes that nobody expected", nullptr},
      {true, Mistake::too_many_bytes, "1 of 1 arrivals have come, 16 bytes that were expected have not",
       nullptr},
      {true, Mistake::one_arrival_more, "more arrivals than the 1 that mbarrier_init()", nullptr},
      {true, Mistake::no_init, "where no mbarrier is", nullptr},
      {true, Mistake::no_init_fence, "no mbarrier_init_fence() has told", nullptr},
      {true, Mistake::no_init_barrier, "where no mbarrier is", nullptr},
      {true, Mistake::no_copy_wait, "", nullptr},
      {true, Mistake::wrong_start, "a wrong value", nullptr},
      {true, Mistake::wrong_stride, "a wrong value", nullptr},
      {true, Mistake::wrong_swizzle, "has another swizzle than that of 128 bytes", nullptr},
      {true, Mistake::start_outside, "outside of all shared arrays", nullptr},
      {true, Mistake::other_operands, "the threads of the warpgroup have different operands", nullptr},
      {true, Mistake::misaligned_copy, "which is no multiple of 1024", nullptr},
      {true, Mistake::part_of_warpgroup, "deadlock", nullptr},
  };
  for (const Row& row : rows) {
    CAPTURE(static_cast<int>(row.mistake));
    CAPTURE(row.tensor_copies);
    const std::string message = caught(row.tensor_copies, row.mistake);
    const char* const said = runtime::race_build && row.race_said ? row.race_said : row.said;
    if (!said) CHECK(message == "no error");  // elsewhere nobody sees ordinary writes
    else CHECK(contains(message, said));
    if (said) CHECK(message != "no error");
  }
  const std::string phase = caught(true, Mistake::wrong_first_phase);
  CHECK(contains(phase, "the mbarrier at shared offset"));
  CHECK(contains(phase,
                 "is in phase 0 while they wait for the end of one of parity 0: 0 of 4 arrivals have come"));
}

}  // namespace
}  // namespace gan::simt
