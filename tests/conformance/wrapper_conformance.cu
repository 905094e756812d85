// Does the emulation do what the GPU does? Every wrapper of kernels/gpu/ptx.cuh on random data, on both.
//
// Compiled twice, like a kernel file: nvcc makes gan::cuda::wrapper_results(), g++ (included by the main
// program, wrapper_conformance.cpp) gan::simt::wrapper_results(). Both run the kernels below on the same
// inputs.
#include "tests/conformance/wrapper_conformance.h"

#include <vector>

#include "kernels/gpu/wgmma_tile.cuh"

namespace gan::GAN_GPU {
namespace {

#if defined(__CUDACC__)
void check(cudaError_t status) {
  if (status != cudaSuccess) fail(Exit::failure, "wrapper_conformance: {}", cudaGetErrorString(status));
}
#endif

// Calls start(in, out) with copies of the inputs where a kernel can read them.
template <class Start>
std::vector<uint32_t> run_by(const Start& start, const std::vector<uint32_t>& in, size_t out_words) {
  std::vector<uint32_t> out(out_words);
#if defined(__CUDACC__)
  uint32_t *device_in = nullptr, *device_out = nullptr;
  check(cudaMalloc(&device_in, in.size() * 4));
  check(cudaMalloc(&device_out, out_words * 4));
  check(cudaMemcpy(device_in, in.data(), in.size() * 4, cudaMemcpyHostToDevice));
  check(cudaMemset(device_out, 0, out_words * 4));
  start(static_cast<const uint32_t*>(device_in), device_out);
  check(cudaMemcpy(out.data(), device_out, out_words * 4, cudaMemcpyDeviceToHost));
  check(cudaFree(device_in));
  check(cudaFree(device_out));
#else
  start(in.data(), out.data());
#endif
  return out;
}

// Runs kernel(in, out) with one block of 128 threads.
std::vector<uint32_t> run(void (*kernel)(const uint32_t*, uint32_t*), const std::vector<uint32_t>& in,
                          size_t out_words) {
  return run_by([&](const uint32_t* from, uint32_t* to) { launch(kernel, 1, 128, 0, nullptr, from, to); }, in,
                out_words);
}

// in: 512 words. Groups of three sizes; every third thread has no source.
template <int words>
__global__ void copy_kernel(const uint32_t* in, uint32_t* out) {
  SHARED_ARRAY(uint32_t, s, [512]);
  const unsigned t = threadIdx.x;
  cp_async<4 * words>(&s[t * words], &in[t * words], t % 3 != 0);
  cp_async_commit();
  cp_async_wait<0>();
  __syncthreads();
  const unsigned other = 127 - t;
  for (unsigned i = 0; i < words; ++i) out[t * words + i] = s[other * words + i];
}

// in: 512 words; each warp loads the same 32 rows of 16 bytes.
template <int count, bool transposed>
__global__ void ldmatrix_kernel(const uint32_t* in, uint32_t* out) {
  SHARED_ARRAY(uint32_t, s, [32][4]);
  const unsigned t = threadIdx.x;
  s[t / 4][t % 4] = in[t];
  __syncthreads();
  uint32_t word[count];
  if constexpr (transposed) ldmatrix_transposed(word, s[t % 32]);
  else ldmatrix(word, s[t % 32]);
  for (unsigned i = 0; i < count; ++i) out[t * count + i] = word[i];
}

// in: for each thread 4 words of d, 4 of a, 2 of b; out: 4 words of d.
template <class T>
__global__ void mma_kernel(const uint32_t* in, uint32_t* out) {
  const uint32_t* const mine = in + threadIdx.x * 10;
  FragmentD d;
  FragmentA<T> a;
  FragmentB<T> b;
  for (int i = 0; i < 4; ++i) d.value[i] = __uint_as_float(mine[i]);
  for (int i = 0; i < 4; ++i) a.word[i] = mine[4 + i];
  for (int i = 0; i < 2; ++i) b.word[i] = mine[8 + i];
  mma(d, a, b);
  for (unsigned i = 0; i < 4; ++i) out[threadIdx.x * 4 + i] = __float_as_uint(d.value[i]);
}

// in: for each thread 2 x 4 words of a, 4 x 2 of b; out: 2 x 4 x 4 words of d.
template <class T>
__global__ void mma_tile_kernel(const uint32_t* in, uint32_t* out) {
  const uint32_t* const mine = in + threadIdx.x * 16;
  FragmentD d[2][4] = {};
  FragmentA<T> a[2];
  FragmentB<T> b[4];
  for (int i = 0; i < 8; ++i) a[i / 4].word[i % 4] = mine[i];
  for (int i = 0; i < 8; ++i) b[i / 2].word[i % 2] = mine[8 + i];
  mma_tile(d, a, b);
  for (unsigned i = 0; i < 32; ++i)
    out[threadIdx.x * 32 + i] = __float_as_uint(d[i / 16][i / 4 % 4].value[i % 4]);
}

__global__ void tf32_kernel(const uint32_t* in, uint32_t* out) {
  out[threadIdx.x] = to_tf32(__uint_as_float(in[threadIdx.x])).bits;
}

__global__ void two_bf16_kernel(const uint32_t* in, uint32_t* out) {
  out[threadIdx.x] = two_bf16(__uint_as_float(in[threadIdx.x]), __uint_as_float(in[127 - threadIdx.x]));
}

// Of the numbers themselves and of 50 times them.
__global__ void exp2_kernel(const uint32_t* in, uint32_t* out) {
  const float number = __uint_as_float(in[threadIdx.x]);
  out[2 * threadIdx.x] = __float_as_uint(fast_exp2(number));
  out[2 * threadIdx.x + 1] = __float_as_uint(fast_exp2(-50 * number));
}

// Warps 0 and 1 hand numbers to warps 2 and 3 and get them back changed.
__global__ void barrier_kernel(const uint32_t* in, uint32_t* out) {
  SHARED_ARRAY(uint32_t, s, [64]);
  const unsigned t = threadIdx.x, place = t % 64;
  if (t < 64) {
    s[place] = in[place];
    named_barrier_arrive(1, 128);
    named_barrier_sync(2, 128);
    out[t] = s[63 - place];
  } else {
    named_barrier_sync(1, 128);
    const uint32_t value = s[63 - place] * 3;
    named_barrier_sync(3, 64);
    s[place] = value;
    named_barrier_arrive(2, 128);
    out[t] = value;
  }
}

// Warps 0 and 1 hand numbers to warps 2 and 3 through one slot, three times: a full and an empty mbarrier.
__global__ void mbarrier_kernel(const uint32_t* in, uint32_t* out) {
  if constexpr (!built_for_wgmma) return needs_sm_90a();
  SHARED_ARRAY(uint32_t, slot, [64]);
  SHARED_ARRAY(uint64_t, barriers, [2]);
  uint64_t *const full = &barriers[0], *const empty = &barriers[1];
  const unsigned t = threadIdx.x, place = t % 64;
  if (t == 0) {
    mbarrier_init(full, 64);
    mbarrier_init(empty, 64);
    mbarrier_init_fence();
  }
  __syncthreads();
  for (unsigned round = 0; round < 3; ++round) {
    if (t < 64) {
      mbarrier_wait(empty, 1 - static_cast<int>(round % 2));
      slot[place] = in[round * 64 + place];
      mbarrier_arrive(full);
    } else {
      mbarrier_wait(full, static_cast<int>(round % 2));
      out[round * 64 + place] = slot[63 - place];
      mbarrier_arrive(empty);
    }
  }
}

// Boxes of 24 rows from a matrix of 40 x 72, some of them over its edges: how they lie in shared memory.
constexpr int copy_rows = 40, copy_columns = 72, copy_box_rows = 24, copy_boxes = 4;
constexpr int copy_words = copy_boxes * copy_box_rows * 32;
__global__ void tensor_copy_kernel(const __grid_constant__ TensorMap map, uint32_t* out) {
  if constexpr (!built_for_wgmma) return needs_sm_90a();
  DYNAMIC_SHARED(uint32_t, boxes);
  SHARED_ARRAY(uint64_t, barrier, [1]);
  constexpr int box_words = copy_box_rows * 32;
  const int t = static_cast<int>(threadIdx.x);
  if (t == 0) {
    mbarrier_init(barrier, 1);
    mbarrier_init_fence();
  }
  __syncthreads();
  if (t == 0) {
    mbarrier_arrive_expect_tx(barrier, copy_boxes * box_words * 4);
    tensor_copy(boxes, map, 8, 3, barrier);
    tensor_copy(boxes + box_words, map, -16, -5, barrier);
    tensor_copy(boxes + 2 * box_words, map, 40, 30, barrier);
    tensor_copy(boxes + 3 * box_words, map, 1, 100, barrier);
  }
  mbarrier_wait(barrier, 0);
  for (int i = t; i < copy_words; i += 128) out[i] = boxes[i];
}

// One product of a warpgroup on the k's 16 to 31 of two tiles, which tensor copies bring.
template <int n, bool a_transposed, bool b_transposed>
__global__ void one_product_kernel(const __grid_constant__ TensorMap a, const __grid_constant__ TensorMap b,
                                   const uint32_t* sums, uint32_t* out) {
  if constexpr (!built_for_wgmma) return needs_sm_90a();
  using TileA = WgmmaTile<64, !a_transposed>;
  using TileB = WgmmaTile<n, !b_transposed>;
  DYNAMIC_SHARED(unsigned char, tiles);
  SHARED_ARRAY(uint64_t, barrier, [1]);
  const unsigned t = threadIdx.x;
  if (t == 0) {
    mbarrier_init(barrier, 1);
    mbarrier_init_fence();
  }
  __syncthreads();
  if (t == 0) {
    mbarrier_arrive_expect_tx(barrier, TileA::bytes + TileB::bytes);
    tensor_copy_tile<64, !a_transposed>(tiles, a, 0, 0, barrier);
    tensor_copy_tile<n, !b_transposed>(tiles + TileA::bytes, b, 0, 0, barrier);
  }
  mbarrier_wait(barrier, 0);
  FragmentD d[n / 8];
#pragma unroll
  for (int i = 0; i < n / 2; ++i) d[i / 4].value[i % 4] = __uint_as_float(sums[t * (n / 2) + i]);
  wgmma_fence();
  wgmma<n, a_transposed, b_transposed>(d, TileA::operand(tiles, 0, 1),
                                       TileB::operand(tiles + TileA::bytes, 0, 1), true);
  wgmma_commit();
  wgmma_finish(d);
#pragma unroll
  for (int i = 0; i < n / 2; ++i) out[t * (n / 2) + i] = __float_as_uint(d[i / 4].value[i % 4]);
}

// in: 64 x 64 bf16 for a, n x 64 for b, and 64 x n float32 for d.
template <int n, bool a_transposed, bool b_transposed>
std::vector<uint32_t> run_wgmma(const std::vector<uint32_t>& in) {
  const auto start = [](const uint32_t* from, uint32_t* to) {
    const auto *a = reinterpret_cast<const bf16*>(from), *b = a + 64 * 64;
    const TensorMap a_map = tensor_map(a, 64, 64, 64);
    const TensorMap b_map = b_transposed ? tensor_map(b, 64, n, 64) : tensor_map(b, n, 64, n);
    launch(one_product_kernel<n, a_transposed, b_transposed>, 1, 128, (64 + n) * 128, nullptr, a_map, b_map,
           from + (64 + n) * 32, to);
  };
  return run_by(start, in, 64 * n);
}

}  // namespace

#if defined(__CUDACC__)
bool gpu_has_wgmma() { return !wgmma_missing(); }
bool gpu_present() {
  int devices = 0;
  return cudaGetDeviceCount(&devices) == cudaSuccess && devices > 0;
}
#endif

std::vector<WrapperResult> wrapper_results(const WrapperInputs& in) {
  std::vector<WrapperResult> all;
  const auto add = [&](const char* name, Compare compare, std::vector<uint32_t> words) {
    all.push_back({name, compare, std::move(words)});
  };
  add("cp_async<4>", Compare::bits, run(copy_kernel<1>, in.words, 128));
  add("cp_async<8>", Compare::bits, run(copy_kernel<2>, in.words, 256));
  add("cp_async<16>", Compare::bits, run(copy_kernel<4>, in.words, 512));
  add("ldmatrix x1", Compare::bits, run(ldmatrix_kernel<1, false>, in.words, 128));
  add("ldmatrix x2", Compare::bits, run(ldmatrix_kernel<2, false>, in.words, 256));
  add("ldmatrix x4", Compare::bits, run(ldmatrix_kernel<4, false>, in.words, 512));
  add("ldmatrix_transposed x1", Compare::bits, run(ldmatrix_kernel<1, true>, in.words, 128));
  add("ldmatrix_transposed x2", Compare::bits, run(ldmatrix_kernel<2, true>, in.words, 256));
  add("ldmatrix_transposed x4", Compare::bits, run(ldmatrix_kernel<4, true>, in.words, 512));
  add("mma bf16", Compare::sums, run(mma_kernel<bf16>, in.bf16_fragments, 512));
  add("mma tf32", Compare::sums, run(mma_kernel<tf32>, in.tf32_fragments, 512));
  add("mma bf16, specials", Compare::near, run(mma_kernel<bf16>, in.bf16_specials, 512));
  add("mma tf32, specials", Compare::near, run(mma_kernel<tf32>, in.tf32_specials, 512));
  add("mma_tile bf16", Compare::sums, run(mma_tile_kernel<bf16>, in.bf16_tiles, 4096));
  add("mma_tile tf32", Compare::sums, run(mma_tile_kernel<tf32>, in.tf32_tiles, 4096));
  add("to_tf32", Compare::bits_or_nan, run(tf32_kernel, in.numbers, 128));
  add("two_bf16", Compare::bits, run(two_bf16_kernel, in.numbers, 128));
  add("fast_exp2", Compare::near, run(exp2_kernel, in.numbers, 256));
  add("named barriers", Compare::bits, run(barrier_kernel, in.words, 128));
  if (!in.wgmma) return all;
  add("mbarriers", Compare::bits, run(mbarrier_kernel, in.words, 192));
  const auto copy = [](const uint32_t* from, uint32_t* to) {
    const TensorMap map =
        tensor_map(reinterpret_cast<const bf16*>(from), copy_rows, copy_columns, copy_box_rows);
    launch(tensor_copy_kernel, 1, 128, copy_words * 4, nullptr, map, to);
  };
  add("tensor_copy", Compare::bits, run_by(copy, in.wgmma_operands, copy_words));
  add("wgmma 64", Compare::sums, run_wgmma<64, false, false>(in.wgmma_operands));
  add("wgmma 128", Compare::sums, run_wgmma<128, false, false>(in.wgmma_operands));
  add("wgmma 128, a transposed", Compare::sums, run_wgmma<128, true, false>(in.wgmma_operands));
  add("wgmma 128, b transposed", Compare::sums, run_wgmma<128, false, true>(in.wgmma_operands));
  add("wgmma 64, both", Compare::sums, run_wgmma<64, true, true>(in.wgmma_operands));
  add("wgmma 128, both", Compare::sums, run_wgmma<128, true, true>(in.wgmma_operands));
  return all;
}

}  // namespace gan::GAN_GPU
