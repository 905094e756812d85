// Attention, rung 2: online. Tiles of 64 x 64 scores, and a softmax that corrects itself from tile to tile.
//
// A block owns 64 rows (queries; in the pass for dk and dv, keys) and walks through the others 64 at a time.
// Each of its 256 threads holds 4 x 4 elements of every tile. All is built from one product of two tiles in
// shared memory, left^T right, so both operands lie with their common dimension ("depth") first.
//
// The forward pass does not know the largest score of a row before the last tile. It keeps the largest so far
// and, when a tile raises it, scales down what it has summed: by e^(old - new) (Milakov & Gimelshein 2018).
#include "kernels/gpu/attention/attention.cuh"

namespace gan::GAN_GPU {
namespace {

constexpr int tile = 64, tile_threads = 256;
constexpr int pitch =
    tile + 4;  // of a row in shared memory: keeps float4 aligned, spreads columns over banks
constexpr int tile_floats = tile * pitch;
constexpr size_t online_shared_bytes = 3 * tile_floats * sizeof(float);
constexpr int widest_key = tile;  // rows of q and k fit into one tile
constexpr int widest_value = 256;

// This thread's elements of a tile: rows first_row() .. + 3, columns first_column() .. + 3.
struct Part {
  float v[4][4];
};
__device__ __forceinline__ int first_row() { return int(threadIdx.x) / 16 * 4; }
__device__ __forceinline__ int first_column() { return int(threadIdx.x) % 16 * 4; }

// to[r][c] = from[r, c] for r, c < 64; rows beyond `rows` and columns beyond `columns` are 0, because
// products read four columns at a time. The matrix has rows of `width`.
template <class T>
__device__ void load_tile(float* to, const T* from, int rows, int columns, int width) {
  for (int i = int(threadIdx.x); i < tile * tile; i += tile_threads) {
    const int r = i / tile, c = i % tile;
    to[r * pitch + c] = r < rows && c < columns ? to_float(from[int64_t(r) * width + c]) : 0.0f;
  }
}
// to[c][r] = the same.
template <class T>
__device__ void load_transposed(float* to, const T* from, int rows, int columns, int width) {
  for (int i = int(threadIdx.x); i < tile * columns; i += tile_threads) {
    const int r = i / columns, c = i % columns;
    to[c * pitch + r] = r < rows ? to_float(from[int64_t(r) * width + c]) : 0.0f;
  }
}
// to[column][row] = part, by all threads together.
__device__ void store_transposed(float* to, const Part& part) {
#pragma unroll
  for (int j = 0; j < 4; ++j)
    store_four(to + (first_column() + j) * pitch + first_row(),
               {{part.v[0][j], part.v[1][j], part.v[2][j], part.v[3][j]}});
}

// sums[r][c] += left[0][r] right[0][c] + ... + left[depth-1][r] right[depth-1][c]
__device__ __forceinline__ void multiply_add(Part& sums, const float* left, const float* right, int depth) {
  left += first_row();
  right += first_column();
#pragma unroll 4
  for (int d = 0; d < depth; ++d) {
    const Four a = load_four(left + d * pitch), b = load_four(right + d * pitch);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j) sums.v[i][j] += a.v[i] * b.v[j];
  }
}

// Adds to `sums` the product of two matrices with long rows, left (left_rows, width) and right (right_rows,
// width), 64 columns at a time. Begins with a barrier: the two buffers may still be in use before it.
template <class T>
__device__ void multiply_rows(Part& sums, const T* left, int left_rows, const T* right, int right_rows,
                              int width, float* left_buffer, float* right_buffer) {
  for (int first = 0; first < width; first += tile) {
    const int columns = min(tile, width - first);
    __syncthreads();
    load_transposed(left_buffer, left + first, left_rows, columns, width);
    load_transposed(right_buffer, right + first, right_rows, columns, width);
    __syncthreads();
    multiply_add(sums, left_buffer, right_buffer, columns);
  }
}

// to[row, first + column] (+)= scale * part, for rows below `rows` of a matrix with rows of `width`.
template <class T>
__device__ void store_part(T* to, int rows, int width, int first, const Part& part, const float (&scale)[4],
                           bool add) {
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const int row = first_row() + i, column = first + first_column() + j;
      if (row < rows && column < width) put(to, int64_t(row) * width + column, part.v[i][j] * scale[i], add);
    }
}

constexpr int row_threads = 16;  // neighbours in a warp that share rows

// Grid: batch * tiles of queries. `slices` of 64 columns hold value_width.
template <class T, int slices>
__global__ void __launch_bounds__(tile_threads, 1) forward_online(Forward<T> f) {
  DYNAMIC_SHARED(float, shared);
  float *query_tile = shared, *operand = shared + tile_floats, *weights = operand + tile_floats;
  const Sizes& size = f.size;
  const int tiles = ceil_div(size.queries, tile), problem = int(blockIdx.x) / tiles;
  const int first_query = int(blockIdx.x) % tiles * tile, queries = min(tile, size.queries - first_query);
  const int64_t row = int64_t(problem) * size.queries + first_query, key = int64_t(problem) * size.keys;
  load_transposed(query_tile, f.q + row * size.key_width, queries, size.key_width, size.key_width);

  Part o[slices] = {};
  float largest[4] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY}, sum[4] = {0, 0, 0, 0};
  for (int first_key = 0; first_key < size.keys; first_key += tile) {
    const int keys = min(tile, size.keys - first_key);
    __syncthreads();  // the previous tile has been used
    load_transposed(operand, f.k + (key + first_key) * size.key_width, keys, size.key_width, size.key_width);
    __syncthreads();
    Part s{};
    multiply_add(s, query_tile, operand, size.key_width);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float tile_largest = -INFINITY, tile_sum = 0;
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        s.v[i][j] = first_column() + j < keys ? size.scale * s.v[i][j] : -INFINITY;
        tile_largest = fmaxf(tile_largest, s.v[i][j]);
      }
      const float before = largest[i];
      largest[i] = fmaxf(before, warp_max<row_threads>(tile_largest));
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        s.v[i][j] = expf(s.v[i][j] - largest[i]);
        tile_sum += s.v[i][j];
      }
      const float shrink = expf(before - largest[i]);
      sum[i] = sum[i] * shrink + warp_sum<row_threads>(tile_sum);
#pragma unroll
      for (int slice = 0; slice < slices; ++slice)
#pragma unroll
        for (int j = 0; j < 4; ++j) o[slice].v[i][j] *= shrink;
    }
    store_transposed(weights, s);
#pragma unroll
    for (int slice = 0; slice < slices; ++slice) {
      if (slice * tile >= size.value_width) break;
      __syncthreads();  // the keys, or the slice before, have been used
      load_tile(operand, f.v + (key + first_key) * size.value_width + slice * tile, keys,
                min(tile, size.value_width - slice * tile), size.value_width);
      __syncthreads();
      multiply_add(o[slice], weights, operand, keys);
    }
  }

  float inverse[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    inverse[i] = 1.0f / sum[i];
    if (first_column() == 0 && first_row() + i < queries)
      f.log_sum_exp[row + first_row() + i] = largest[i] + logf(sum[i]);
  }
#pragma unroll
  for (int slice = 0; slice < slices; ++slice)
    store_part(f.o + row * size.value_width, queries, size.value_width, slice * tile, o[slice], inverse,
               f.add_o);
}

// dq. Grid: batch * tiles of queries. Keys beyond the last need no mask: the last product's depth leaves them
// out.
template <class T>
__global__ void __launch_bounds__(tile_threads, 1) backward_queries_online(Backward<T> b) {
  DYNAMIC_SHARED(float, shared);
  float *query_tile = shared, *left = shared + tile_floats, *right = left + tile_floats;
  const Sizes& size = b.size;
  const int tiles = ceil_div(size.queries, tile), problem = int(blockIdx.x) / tiles;
  const int first_query = int(blockIdx.x) % tiles * tile, queries = min(tile, size.queries - first_query);
  const int64_t row = int64_t(problem) * size.queries + first_query, key = int64_t(problem) * size.keys;
  load_transposed(query_tile, b.q + row * size.key_width, queries, size.key_width, size.key_width);
  float log_sum_exp[4], delta[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const bool inside = first_row() + i < queries;
    log_sum_exp[i] = inside ? b.log_sum_exp[row + first_row() + i] : 0.0f;
    delta[i] = inside ? b.delta[row + first_row() + i] : 0.0f;
  }

  Part dq{};
  for (int first_key = 0; first_key < size.keys; first_key += tile) {
    const int keys = min(tile, size.keys - first_key);
    const T* k = b.k + (key + first_key) * size.key_width;
    __syncthreads();  // the previous tile has been used
    load_transposed(right, k, keys, size.key_width, size.key_width);
    __syncthreads();
    Part s{}, dp{};
    multiply_add(s, query_tile, right, size.key_width);
    multiply_rows(dp, b.d_o + row * size.value_width, queries, b.v + (key + first_key) * size.value_width,
                  keys, size.value_width, left, right);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        s.v[i][j] = expf(size.scale * s.v[i][j] - log_sum_exp[i]) * (dp.v[i][j] - delta[i]);
    __syncthreads();  // the last slices have been used
    store_transposed(left, s);
    load_tile(right, k, keys, size.key_width, size.key_width);
    __syncthreads();
    multiply_add(dq, left, right, keys);
  }
  const float scale[4] = {size.scale, size.scale, size.scale, size.scale};
  store_part(b.dq + row * size.key_width, queries, size.key_width, 0, dq, scale, b.add_dq);
}

// dk and dv. Grid: batch * tiles of keys. Rows of the tiles are keys here, columns queries.
template <class T, int slices>
__global__ void __launch_bounds__(tile_threads, 1) backward_keys_online(Backward<T> b) {
  DYNAMIC_SHARED(float, shared);
  float *key_tile = shared, *left = shared + tile_floats, *right = left + tile_floats;
  const Sizes& size = b.size;
  const int tiles = ceil_div(size.keys, tile), problem = int(blockIdx.x) / tiles;
  const int first_key = int(blockIdx.x) % tiles * tile, keys = min(tile, size.keys - first_key);
  const int64_t row = int64_t(problem) * size.keys + first_key, query = int64_t(problem) * size.queries;
  load_transposed(key_tile, b.k + row * size.key_width, keys, size.key_width, size.key_width);

  Part dk{}, dv[slices] = {};
  for (int first_query = 0; first_query < size.queries; first_query += tile) {
    const int queries = min(tile, size.queries - first_query);
    const T* q = b.q + (query + first_query) * size.key_width;
    const T* d_o = b.d_o + (query + first_query) * size.value_width;
    __syncthreads();  // the previous tile has been used
    load_transposed(right, q, queries, size.key_width, size.key_width);
    __syncthreads();
    Part p{}, ds{};
    multiply_add(p, key_tile, right, size.key_width);
    multiply_rows(ds, b.v + row * size.value_width, keys, d_o, queries, size.value_width, left, right);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const bool inside = first_column() + j < queries;
      const int64_t at = query + first_query + first_column() + j;
      const float log_sum_exp = inside ? b.log_sum_exp[at] : 0.0f, delta = inside ? b.delta[at] : 0.0f;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        p.v[i][j] = expf(size.scale * p.v[i][j] - log_sum_exp);
        ds.v[i][j] = p.v[i][j] * (ds.v[i][j] - delta);
      }
    }
    __syncthreads();  // the last slices have been used
    store_transposed(left, ds);
    load_tile(right, q, queries, size.key_width, size.key_width);
    __syncthreads();
    multiply_add(dk, left, right, queries);
    __syncthreads();
    store_transposed(left, p);
#pragma unroll
    for (int slice = 0; slice < slices; ++slice) {
      if (slice * tile >= size.value_width) break;
      if (slice > 0) __syncthreads();  // the slice before has been used
      load_tile(right, d_o + slice * tile, queries, min(tile, size.value_width - slice * tile),
                size.value_width);
      __syncthreads();
      multiply_add(dv[slice], left, right, queries);
    }
  }
  const float scale[4] = {size.scale, size.scale, size.scale, size.scale}, one[4] = {1, 1, 1, 1};
  if (b.dk) store_part(b.dk + row * size.key_width, keys, size.key_width, 0, dk, scale, b.add_dk);
  if (b.dv) {
#pragma unroll
    for (int slice = 0; slice < slices; ++slice)
      store_part(b.dv + row * size.value_width, keys, size.value_width, slice * tile, dv[slice], one,
                 b.add_dv);
  }
}

// ---- launchers ----------------------------------------------------------------------------------------

// Calls f with the number of slices of 64 columns as a constant: 1, 2 or 4.
template <class F>
void with_slices(int value_width, F&& f) {
  if (value_width <= tile) return f(std::integral_constant<int, 1>{});
  if (value_width <= 2 * tile) return f(std::integral_constant<int, 2>{});
  f(std::integral_constant<int, 4>{});
}

unsigned tile_blocks(int batch, int rows) { return unsigned(int64_t(batch) * ceil_div(rows, tile)); }

const char* too_wide(const AttentionSize& size) {
  if (size.key_width > widest_key) return "a key width above 64";
  if (size.value_width > widest_value) return "a value width above 256";
  return nullptr;
}

}  // namespace

const char* fits_online(const AttentionFwd& args) { return too_wide(args.size); }
const char* fits_online(const AttentionBwd& args) { return too_wide(args.size); }

void attention_fwd_online(const AttentionFwd& o, Stream& stream) {
  GAN_CHECK(!fits_online(o), "{}", fits_online(o));
  with_type(o.q.dtype, [&]<class T>(T) {
    const Forward<T> f = parameters_of<T>(o);
    with_slices(f.size.value_width, [&](auto slices) {
      launch(forward_online<T, slices.value>, tile_blocks(f.size.batch, f.size.queries), tile_threads,
             online_shared_bytes, handle_of(stream), f);
    });
  });
}
void attention_bwd_online(const AttentionBwd& o, Stream& stream) {
  GAN_CHECK(!fits_online(o), "{}", fits_online(o));
  with_type(o.q.dtype, [&]<class T>(T) {
    const Backward<T> b = parameters_of<T>(o, stream);
    if (b.dq)
      launch(backward_queries_online<T>, tile_blocks(b.size.batch, b.size.queries), tile_threads,
             online_shared_bytes, handle_of(stream), b);
    if (b.dk || b.dv)
      with_slices(b.size.value_width, [&](auto slices) {
        launch(backward_keys_online<T, slices.value>, tile_blocks(b.size.batch, b.size.keys), tile_threads,
               online_shared_bytes, handle_of(stream), b);
      });
  });
}

}  // namespace gan::GAN_GPU
