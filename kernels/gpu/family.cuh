// What the kernel families have in common: data types, activations, sums over columns, sizes of grids.
//
// The family files (pointwise.cu, norm.cu, ...) include this. Device code comes first, then what launchers
// use. Arithmetic is float32 whatever the storage type is: load with to_float, store with put().
#pragma once
#include <algorithm>
#include <initializer_list>

#include "kernels/gpu/gpu.cuh"
#include "kernels/kernels.h"

namespace gan::GAN_GPU {

// ---- Elements ------------------------------------------------------------------------------------------

// to[i] = value, or += value when the caller collects gradients there.
template <class T>
__device__ __forceinline__ void put(T* to, int64_t i, float value, bool add) {
  to[i] = from_float<T>(add ? to_float(to[i]) + value : value);
}

// Four neighbouring elements as one memory access of 16 (float) or 8 (bf16) bytes.
struct Four {
  float v[4];
};
__device__ __forceinline__ Four load_four(const float* from) {
  const float4 f = *reinterpret_cast<const float4*>(from);
  return {{f.x, f.y, f.z, f.w}};
}
__device__ __forceinline__ void store_four(float* to, Four f) {
  *reinterpret_cast<float4*>(to) = make_float4(f.v[0], f.v[1], f.v[2], f.v[3]);
}
struct alignas(8) FourBf16 {
  bf16 v[4];
};
__device__ __forceinline__ Four load_four(const bf16* from) {
  const FourBf16 f = *reinterpret_cast<const FourBf16*>(from);
  return {{to_float(f.v[0]), to_float(f.v[1]), to_float(f.v[2]), to_float(f.v[3])}};
}
__device__ __forceinline__ void store_four(bf16* to, Four f) {
  *reinterpret_cast<FourBf16*>(to) = {{to_bf16(f.v[0]), to_bf16(f.v[1]), to_bf16(f.v[2]), to_bf16(f.v[3])}};
}

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

__device__ __forceinline__ float activate(Activation act, float x) {
  switch (act.kind) {
    case Act::none: return x;
    case Act::relu: return x < 0 ? 0.0f : x;  // NaN stays NaN, so that divergence is noticed
    case Act::leaky_relu: return x > 0 ? x : float(act.slope) * x;
    case Act::tanh: return tanhf(x);
    case Act::sigmoid: return sigmoid(x);
  }
  return x;
}

// act'(x) from y = act(x). For leaky_relu the sign of y is the sign of x because the slope is positive.
__device__ __forceinline__ float activation_slope(Activation act, float y) {
  switch (act.kind) {
    case Act::none: return 1.0f;
    case Act::relu: return y > 0 ? 1.0f : 0.0f;
    case Act::leaky_relu: return y > 0 ? 1.0f : float(act.slope);
    case Act::tanh: return 1.0f - y * y;
    case Act::sigmoid: return y * (1.0f - y);
  }
  return 1.0f;
}

// The first element of this thread, and the distance to its next one, in a one-dimensional grid.
__device__ __forceinline__ int64_t first_element() { return int64_t(blockIdx.x) * blockDim.x + threadIdx.x; }
__device__ __forceinline__ int64_t element_step() { return int64_t(gridDim.x) * blockDim.x; }

// ---- Columns -------------------------------------------------------------------------------------------
// Per-channel sums walk down the columns of a matrix (rows, channels). A block is (width, groups) threads:
// threadIdx.x picks the channel, so that neighbouring threads read neighbouring addresses; threadIdx.y is a
// group, which takes every groups-th row. Then the groups are added up pairwise, in a fixed order.

// The sum over threadIdx.y of the block, for each threadIdx.x, in every thread.
// V is anything with operator+; blockDim.y is a power of two; shared has one V for each thread. All threads
// take part.
template <class V>
__device__ V sum_of_groups(V value, V* shared) {
  const int mine = int(threadIdx.y * blockDim.x + threadIdx.x);
  __syncthreads();  // the previous use of `shared` is over
  shared[mine] = value;
  __syncthreads();
  for (int half = int(blockDim.y) / 2; half > 0; half /= 2) {
    if (int(threadIdx.y) < half) shared[mine] = shared[mine] + shared[mine + half * int(blockDim.x)];
    __syncthreads();
  }
  return shared[threadIdx.x];
}

// Two sums at once.
struct Pair {
  float a, b;
};
__device__ __forceinline__ Pair operator+(Pair x, Pair y) { return {x.a + y.a, x.b + y.b}; }

// ---- For launchers -------------------------------------------------------------------------------------

// Calls f(float{}) or f(bf16{}): turns a data type known at run time into a template parameter.
template <class F>
void with_type(DType type, F&& f) {
  if (type == DType::f32) return f(float{});
  if (type == DType::bf16) return f(bf16{});
  fail(Exit::failure, "elements are {}; the GPU kernels compute on f32 and bf16", name_of(type));
}

inline constexpr int block_threads = 256;

// A grid of blocks of 256 threads for loops with element_step(): one thread per item, up to a number of
// blocks that keeps any GPU busy; beyond it each thread takes several.
inline dim3 grid_for(int64_t items) {
  return dim3(unsigned(std::clamp<int64_t>(ceil_div(items, int64_t{block_threads}), 1, 1 << 16)));
}

// How the columns of a (rows, channels) matrix are dealt to blocks. A pure function of the sizes, never of
// the GPU, so that sums come out the same everywhere.
struct ColumnTiles {
  dim3 block;          // (width, groups): width channels, a power of two <= 32
  unsigned tiles;      // blocks side by side: over the channels
  int64_t chunk_rows;  // rows of one block
  int64_t chunks;      // blocks one above the other: over the rows

  // threads: of a block, a power of two >= 32. max_chunks: 1 gives all rows to one block.
  ColumnTiles(int64_t rows, int channels, unsigned threads, int64_t max_chunks) {
    unsigned width = 1;
    while (width < 32 && int64_t{width} < channels) width *= 2;
    block = dim3(width, threads / width);
    tiles = unsigned(ceil_div(channels, int(width)));
    // 16 rows for each group at least, or the blocks would do little but add up their groups.
    chunk_rows = std::max<int64_t>(16 * block.y, ceil_div(rows, max_chunks));
    if (max_chunks == 1) chunk_rows = rows;
    chunks = ceil_div(rows, chunk_rows);
  }
};

// Whether float4 accesses are possible: true for whole buffers, perhaps not for a part of one. Null is.
inline bool aligned_for_four(std::initializer_list<const void*> addresses) {
  return std::all_of(addresses.begin(), addresses.end(),
                     [](const void* a) { return reinterpret_cast<uintptr_t>(a) % 16 == 0; });
}

}  // namespace gan::GAN_GPU
