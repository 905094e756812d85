// Does the emulation do what the GPU does? Every wrapper of kernels/gpu/ptx.cuh on random data, on both.
//
// Compiled twice, like a kernel file: nvcc makes gan::cuda::wrapper_results(), g++ (included by the main
// program, wrapper_conformance.cpp) gan::simt::wrapper_results(). Both run the kernels below on the same
// inputs.
#include "tests/conformance/wrapper_conformance.h"

#include <vector>

#include "kernels/gpu/gpu.cuh"

namespace gan::GAN_GPU {
namespace {

#if defined(__CUDACC__)
void check(cudaError_t status) {
  if (status != cudaSuccess) fail(Exit::failure, "wrapper_conformance: {}", cudaGetErrorString(status));
}
#endif

// Runs kernel(in, out) with one block of 128 threads on copies of the inputs.
std::vector<uint32_t> run(void (*kernel)(const uint32_t*, uint32_t*), const std::vector<uint32_t>& in,
                          size_t out_words) {
  std::vector<uint32_t> out(out_words);
#if defined(__CUDACC__)
  uint32_t *device_in = nullptr, *device_out = nullptr;
  check(cudaMalloc(&device_in, in.size() * 4));
  check(cudaMalloc(&device_out, out_words * 4));
  check(cudaMemcpy(device_in, in.data(), in.size() * 4, cudaMemcpyHostToDevice));
  check(cudaMemset(device_out, 0, out_words * 4));
  launch(kernel, 1, 128, 0, nullptr, static_cast<const uint32_t*>(device_in), device_out);
  check(cudaMemcpy(out.data(), device_out, out_words * 4, cudaMemcpyDeviceToHost));
  check(cudaFree(device_in));
  check(cudaFree(device_out));
#else
  launch(kernel, 1, 128, 0, nullptr, in.data(), out.data());
#endif
  return out;
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

}  // namespace

#if defined(__CUDACC__)
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
  return all;
}

}  // namespace gan::GAN_GPU
