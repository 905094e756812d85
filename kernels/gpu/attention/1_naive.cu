// Attention, rung 1: naive. A warp per row; the formulas stand in attention.cuh.
//
// The lanes of a warp split its row's scores: lane l computes those of l, l + 32, ... For products with the
// scores the lanes split the columns instead, and each score goes round by a shuffle. Whoever needs a score
// computes it: forwards once for the maximum, once for the sum, once for every 32 columns of the output.
#include "kernels/gpu/attention/attention.cuh"

namespace gan::GAN_GPU {
namespace {

template <class T>
__device__ float dot(const T* a, const T* b, int width) {
  float sum = 0;
  for (int c = 0; c < width; ++c) sum += to_float(a[c]) * to_float(b[c]);
  return sum;
}

// The row of a warp in a grid of blocks of (32, warps_per_block) threads.
constexpr int warps_per_block = 4;
__device__ int64_t row_of_warp() { return int64_t(blockIdx.x) * warps_per_block + threadIdx.y; }

// The first launch of each backward pass: delta, a warp per query.
template <class T>
__global__ void backward_delta(Backward<T> b) {
  const int64_t row = row_of_warp();
  if (row >= int64_t(b.size.batch) * b.size.queries) return;
  const int width = b.size.value_width;
  float sum = 0;
  for (int64_t i = row * width + threadIdx.x; i < (row + 1) * width; i += 32)
    sum += to_float(b.d_o[i]) * to_float(b.o[i]);
  sum = warp_sum(sum);
  if (threadIdx.x == 0) b.delta[row] = sum;
}

// ---- forward: a warp per query ------------------------------------------------------------------------

template <class T>
__global__ void forward_naive(Forward<T> f) {
  const Sizes& size = f.size;
  const int64_t row = row_of_warp();
  if (row >= int64_t(size.batch) * size.queries) return;
  const int lane = int(threadIdx.x);
  const T* q = f.q + row * size.key_width;
  const int64_t first_key = row / size.queries * size.keys;
  const T *k = f.k + first_key * size.key_width, *v = f.v + first_key * size.value_width;
  const auto score = [&](int key) {
    return size.scale * dot(q, k + int64_t(key) * size.key_width, size.key_width);
  };

  float largest = -INFINITY, sum = 0;
  for (int key = lane; key < size.keys; key += 32) largest = fmaxf(largest, score(key));
  largest = warp_max(largest);
  for (int key = lane; key < size.keys; key += 32) sum += expf(score(key) - largest);
  sum = warp_sum(sum);
  if (lane == 0) f.log_sum_exp[row] = largest + logf(sum);

  for (int first_column = 0; first_column < size.value_width; first_column += 32) {
    const int column = first_column + lane;
    float o = 0;
    for (int first = 0; first < size.keys; first += 32) {
      const float p = first + lane < size.keys ? expf(score(first + lane) - largest) : 0.0f;
      for (int other = 0; other < min(32, size.keys - first); ++other) {
        const float weight = __shfl_sync(0xffffffffu, p, other);
        if (column < size.value_width)
          o += weight * to_float(v[int64_t(first + other) * size.value_width + column]);
      }
    }
    if (column < size.value_width) put(f.o, row * size.value_width + column, o / sum, f.add_o);
  }
}

// ---- backward: a warp per query, then a warp per key --------------------------------------------------

// What one pair of query and key gives: the probability and the gradient of the score. Rows count over all
// problems.
struct PairGradient {
  float p, ds;
};
template <class T>
__device__ PairGradient pair_gradient(const Backward<T>& b, int64_t query, int64_t key) {
  const int key_width = b.size.key_width, value_width = b.size.value_width;
  const float score = b.size.scale * dot(b.q + query * key_width, b.k + key * key_width, key_width);
  const float dp = dot(b.d_o + query * value_width, b.v + key * value_width, value_width);
  const float p = expf(score - b.log_sum_exp[query]);
  return {p, p * (dp - b.delta[query])};
}

// A warp per query.
template <class T>
__global__ void backward_queries_naive(Backward<T> b) {
  const Sizes& size = b.size;
  const int64_t query = row_of_warp();
  if (query >= int64_t(size.batch) * size.queries) return;
  const int lane = int(threadIdx.x);
  const int64_t first_key = query / size.queries * size.keys;
  for (int first_column = 0; first_column < size.key_width; first_column += 32) {
    const int column = first_column + lane;
    float dq = 0;
    for (int first = 0; first < size.keys; first += 32) {
      const float ds = first + lane < size.keys ? pair_gradient(b, query, first_key + first + lane).ds : 0.0f;
      for (int other = 0; other < min(32, size.keys - first); ++other) {
        const float weight = __shfl_sync(0xffffffffu, ds, other);
        if (column < size.key_width)
          dq += weight * to_float(b.k[(first_key + first + other) * size.key_width + column]);
      }
    }
    if (column < size.key_width) put(b.dq, query * size.key_width + column, size.scale * dq, b.add_dq);
  }
}

// A warp per key.
template <class T>
__global__ void backward_keys_naive(Backward<T> b) {
  const Sizes& size = b.size;
  const int64_t key = row_of_warp();
  if (key >= int64_t(size.batch) * size.keys) return;
  const int lane = int(threadIdx.x);
  const int64_t first_query = key / size.keys * size.queries;
  for (int first_column = 0; first_column < max(size.key_width, size.value_width); first_column += 32) {
    const int column = first_column + lane;
    float dk = 0, dv = 0;
    for (int first = 0; first < size.queries; first += 32) {
      PairGradient mine{0, 0};
      if (first + lane < size.queries) mine = pair_gradient(b, first_query + first + lane, key);
      for (int other = 0; other < min(32, size.queries - first); ++other) {
        const float p = __shfl_sync(0xffffffffu, mine.p, other);
        const float ds = __shfl_sync(0xffffffffu, mine.ds, other);
        const int64_t query = first_query + first + other;
        if (column < size.key_width) dk += ds * to_float(b.q[query * size.key_width + column]);
        if (column < size.value_width) dv += p * to_float(b.d_o[query * size.value_width + column]);
      }
    }
    if (b.dk && column < size.key_width) put(b.dk, key * size.key_width + column, size.scale * dk, b.add_dk);
    if (b.dv && column < size.value_width) put(b.dv, key * size.value_width + column, dv, b.add_dv);
  }
}

// ---- launchers ----------------------------------------------------------------------------------------

unsigned row_blocks(int64_t rows) { return unsigned(ceil_div(rows, warps_per_block)); }
constexpr dim3 row_block(32, warps_per_block);

}  // namespace

template <class T>
void launch_delta(const Backward<T>& b, Stream& stream) {
  launch(backward_delta<T>, row_blocks(int64_t(b.size.batch) * b.size.queries), row_block, 0,
         handle_of(stream), b);
}
template void launch_delta(const Backward<float>&, Stream&);
template void launch_delta(const Backward<bf16>&, Stream&);

void attention_fwd_naive(const AttentionFwd& o, Stream& stream) {
  with_type(o.q.dtype, [&]<class T>(T) {
    const Forward<T> f = parameters_of<T>(o);
    launch(forward_naive<T>, row_blocks(int64_t(f.size.batch) * f.size.queries), row_block, 0,
           handle_of(stream), f);
  });
}
void attention_bwd_naive(const AttentionBwd& o, Stream& stream) {
  with_type(o.q.dtype, [&]<class T>(T) {
    const Backward<T> b = parameters_of<T>(o, stream);
    if (b.dq)
      launch(backward_queries_naive<T>, row_blocks(int64_t(b.size.batch) * b.size.queries), row_block, 0,
             handle_of(stream), b);
    if (b.dk || b.dv)
      launch(backward_keys_naive<T>, row_blocks(int64_t(b.size.batch) * b.size.keys), row_block, 0,
             handle_of(stream), b);
  });
}

}  // namespace gan::GAN_GPU
