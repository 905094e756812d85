// Attention, rung 3: tensor cores, for bfloat16 (FlashAttention-2, Dao 2023). The walk through tiles of rung 2,
// whose factors lie in shared memory as bfloat16 and are multiplied by mma (kernels/gpu/ptx.cuh).
//
// Three ideas, beside the asynchronous copies, the swizzle and the fragments that kernels/gpu/mma_tile.cuh explains:
//   registers    The scores of a warp are sums of one product and the left factor of the next, and what a lane
//                holds of two FragmentDs side by side is, rounded to bfloat16, just what it has to hold of a
//                FragmentA. So p goes from q k^T to p v without a way through shared memory. The backward pass is
//                split so that the same holds: a warp owns queries for dq = ds k, and keys, with s turned round as
//                k q^T, for dk = ds^T q and dv = p^T d_o
//   base 2       e^x is 2^(x log2(e)), and that factor is part of the scale: a score becomes a weight by one
//                multiplication with addition and one power
//   rare change  o is scaled down only when a tile has raised the largest score of a row of the warp: after the first
//                tiles that is rare, and the weights are the same
//
// Scores, sums and gradients are float32; p and ds are rounded to bfloat16 (Variant::rounding). Widths between those
// of the panels are filled up with zeros in shared memory.
//
// Read on: panels (shared memory), products, the ring, forward, backward to the queries, backward to the keys and
// values, launchers.
#include <cfloat>

#include "kernels/gpu/attention/attention.cuh"
#include "kernels/gpu/tile.cuh"

namespace gan::GAN_GPU {
namespace {

__device__ __forceinline__ int lane_id() { return int(threadIdx.x) % 32; }
__device__ __forceinline__ int warp_id() { return int(threadIdx.x) / 32; }

// ---- panels -------------------------------------------------------------------------------------------

// Some rows of a matrix in global memory: `rows` that exist from `at` on, and of them the columns from
// first_column on.
struct Rows {
  const bf16* at;
  int rows, width, first_column;
  bool vectors;  // each 8 neighbours, counted from first_column, lie aligned and inside or outside together
};

// Rows of `width` bfloat16 in shared memory, as 16-byte vectors. The vectors of a row are permuted so that the
// same vector of 8 rows, which is what ldmatrix reads, lies in 8 different places of the 8 x 16 bytes of the
// banks (mma_tile.cuh: StagedTile).
template <int width>
struct Panel {
  static constexpr int vectors = width / 8, row_bytes = 2 * width;
  static_assert(vectors == 2 || vectors == 4 || vectors % 8 == 0);

  static __device__ __forceinline__ int offset(int row, int v) {
    const int s = vectors >= 8 ? row % 8 : row / (8 / vectors) % vectors;
    return row * row_bytes + 16 * (v ^ s);
  }

  // Starts the copies of `rows` rows by a block of `threads`; what does not exist becomes 0. A thread copies the same
  // vector of several rows.
  template <int rows, int threads>
  static __device__ __forceinline__ void copy(unsigned char* panel, const Rows& from) {
    constexpr int rows_apart = threads / vectors;
    static_assert(threads % vectors == 0);
    const int v = int(threadIdx.x) % vectors, first_row = int(threadIdx.x) / vectors;
    const int column = from.first_column + 8 * v;
    if (!from.vectors) return copy_elements<rows, threads>(panel, from);
#pragma unroll
    for (int round = 0; round < ceil_div(rows, rows_apart); ++round) {
      const int row = first_row + round * rows_apart;
      if (rows % rows_apart == 0 || row < rows)
        cp_async<16>(panel + offset(row, v), rows_behind(from.at, row, from.width) + column,
                     row < from.rows && column < from.width);
    }
  }
  // Elements are too small for asynchronous copies and go by registers.
  template <int rows, int threads>
  static __device__ __forceinline__ void copy_elements(unsigned char* panel, const Rows& from) {
#pragma unroll 1
    for (int i = int(threadIdx.x); i < rows * width; i += threads) {
      const int row = i / width, column = i % width, source = from.first_column + column;
      const bool inside = row < from.rows && source < from.width;
      *reinterpret_cast<bf16*>(panel + offset(row, column / 8) + column % 8 * sizeof(bf16)) =
          inside ? rows_behind(from.at, row, from.width)[source] : bf16{};
    }
  }

  // The 16 rows from `panel` on (a multiple of 8 rows behind a panel's start), columns 16 step .. + 15, as the left
  // factor of a product.
  static __device__ __forceinline__ void load(FragmentA<bf16>& a, const unsigned char* panel, int step) {
    ldmatrix(a.word, panel + offset_at(lane_id() % 16, lane_id() / 16, step));
  }
  // The same as the right factor: these rows are its columns.
  static __device__ __forceinline__ void load(FragmentB<bf16> (&b)[2], const unsigned char* panel, int step) {
    uint32_t word[4];
    const int lane = lane_id();
    ldmatrix(word, panel + offset_at(lane / 16 * 8 + lane % 8, lane / 8 % 2, step));
    b[0] = {{word[0], word[1]}};
    b[1] = {{word[2], word[3]}};
  }
  // The same as the right factor, as it lies: these columns are its columns.
  static __device__ __forceinline__ void load_rows(FragmentB<bf16> (&b)[2], const unsigned char* panel,
                                                   int step) {
    uint32_t word[4];
    ldmatrix_transposed(word, panel + offset_at(lane_id() % 16, lane_id() / 16, step));
    b[0] = {{word[0], word[1]}};
    b[1] = {{word[2], word[3]}};
  }

 private:
  // offset(row, 2 step + half), with the lane's part of the arithmetic apart from what the compiler knows.
  static __device__ __forceinline__ int offset_at(int row, int half, int step) {
    return (offset(row, half) ^ 32 * (step % 4)) + 128 * (step / 4);
  }
};

// ---- products -----------------------------------------------------------------------------------------
// The sums of a warp are parts x n fragments: 16 parts rows and 8 n columns.

// sums[r, c] += row r of `left` times row c of `right`.
template <int width, int parts, int n>
__device__ __forceinline__ void multiply_rows(FragmentD (&sums)[parts][n], const unsigned char* left,
                                              const unsigned char* right) {
#pragma unroll
  for (int step = 0; step < width / 16; ++step) {
    FragmentA<bf16> a[parts];
#pragma unroll
    for (int i = 0; i < parts; ++i) Panel<width>::load(a[i], left + 16 * i * Panel<width>::row_bytes, step);
#pragma unroll
    for (int j = 0; j < n; j += 2) {
      FragmentB<bf16> b[2];
      Panel<width>::load(b, right + 8 * j * Panel<width>::row_bytes, step);
#pragma unroll
      for (int i = 0; i < parts; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half) mma(sums[i][j + half], a[i], b[half]);
    }
  }
}

// sums += weights `right`, where the weights, as bfloat16, have a column for each row of `right`.
template <int width, int parts, int n, int columns>
__device__ __forceinline__ void add_weighted(FragmentD (&sums)[parts][columns],
                                             const FragmentD (&weights)[parts][n],
                                             const unsigned char* right) {
  static_assert(columns == width / 8);
#pragma unroll
  for (int j = 0; j < n; j += 2) {
    FragmentA<bf16> a[parts];
#pragma unroll
    for (int i = 0; i < parts; ++i)
#pragma unroll
      for (int w = 0; w < 4; ++w) {
        const float(&value)[4] = weights[i][j + w / 2].value;
        a[i].word[w] = two_bf16(value[w % 2 * 2], value[w % 2 * 2 + 1]);
      }
#pragma unroll
    for (int step = 0; step < width / 16; ++step) {
      FragmentB<bf16> b[2];
      Panel<width>::load_rows(b, right + 8 * j * Panel<width>::row_bytes, step);
#pragma unroll
      for (int i = 0; i < parts; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half) mma(sums[i][2 * step + half], a[i], b[half]);
    }
  }
}

// Of the fragments of a lane, value v of sums[i][j] is that of this row and column.
__device__ __forceinline__ int row_of(int i, int v) { return 16 * i + lane_id() / 4 + v / 2 * 8; }
__device__ __forceinline__ int column_of(int j, int v) { return 8 * j + lane_id() % 4 * 2 + v % 2; }

template <int parts, int n, class F>
__device__ __forceinline__ void for_each_value(FragmentD (&sums)[parts][n], F&& f) {
#pragma unroll
  for (int i = 0; i < parts; ++i)
#pragma unroll
    for (int j = 0; j < n; ++j)
#pragma unroll
      for (int v = 0; v < 4; ++v) f(i, j, v, sums[i][j].value[v]);
}

// Word i of lane q of each 4 becomes word q of lane i.
__device__ __forceinline__ void turn_words(uint32_t (&word)[4]) {
#pragma unroll
  for (int distance = 1; distance <= 2; distance *= 2) {
    const bool upper = lane_id() & distance;
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      if (w & distance) continue;
      uint32_t &low = word[w], &high = word[w + distance];
      const uint32_t got = __shfl_xor_sync(0xffffffffu, upper ? low : high, distance);
      (upper ? low : high) = got;
    }
  }
}

// to[first_row + r, first_column + c] (+)= sums[r, c], where there are such rows and columns. `vectors`: each 8
// neighbours lie aligned, and inside or outside together. The 4 lanes that have 2 x 16 elements between them then turn
// them so that each stores 8 neighbours, and two lanes a whole sector of 32 bytes.
template <int parts, int n>
__device__ __forceinline__ void store_sums(bf16* to, int rows, int width, int first_row, int first_column,
                                           FragmentD (&sums)[parts][n], bool vectors, bool add) {
  if (!vectors || add) {
    for_each_value(sums, [&](int i, int j, int v, float value) {
      const int row = first_row + row_of(i, v), column = first_column + column_of(j, v);
      if (row < rows && column < width) put(to, int64_t{row} * width + column, value, add);
    });
    return;
  }
  const int half = lane_id() % 2, fragment = lane_id() / 2 % 2;  // of those that this lane stores
#pragma unroll
  for (int i = 0; i < parts; ++i)
#pragma unroll
    for (int j = 0; j < n; j += 2) {
      struct alignas(16) {
        uint32_t word[4];
      } eight;
#pragma unroll
      for (int w = 0; w < 4; ++w) {
        const float(&value)[4] = sums[i][j + w / 2].value;
        eight.word[w] = two_bf16(value[w % 2 * 2], value[w % 2 * 2 + 1]);
      }
      turn_words(eight.word);  // the whole warp
      const int row = first_row + row_of(i, 2 * half), column = first_column + 8 * (j + fragment);
      if (row < rows && column < width)
        *reinterpret_cast<decltype(eight)*>(to + int64_t{row} * width + column) = eight;
    }
}

// ---- the ring -----------------------------------------------------------------------------------------

// Calls use(i, stage) for i = 0 .. count - 1 when the copies that fetch(i, stage) has started are there, and those
// of the next stages - 1 tiles are under way. Copies that the caller has started before are there as well. The
// one barrier of a step shows what all threads have copied, and says that the stage of step i - 1 has been read.
template <int stages, class Fetch, class Use>
__device__ __forceinline__ void through_ring(int count, const Fetch& fetch, const Use& use) {
#pragma unroll
  for (int i = 0; i < stages - 1; ++i) {
    if (i < count) fetch(i, i);
    cp_async_commit();  // an empty group too, so that the wait below always means the same
  }
  for (int i = 0; i < count; ++i) {
    cp_async_wait<stages - 2>();
    __syncthreads();
    const int next = i + stages - 1;
    if (next < count) fetch(next, next % stages);
    cp_async_commit();
    use(i, i % stages);
  }
}

// Which matrices consist of aligned vectors of 8 (Rows::vectors), which only the host knows: those as wide as keys and
// those as wide as values.
struct Layout {
  bool key_vectors, value_vectors;
};

constexpr float log2_e = 1.44269504f, log_2 = 0.693147181f;

// ---- forward ------------------------------------------------------------------------------------------

// A block owns 128 queries, 32 for each warp, and `columns` of the values: wider ones are cut, and each slice
// computes the scores again. The shared memory has the queries, then the ring of keys and values.
template <int key_width, int columns_>
struct ForwardShape {
  static constexpr int columns = columns_, warps = 4, threads = 32 * warps, rows = 32 * warps, stages = 3;
  static constexpr int step_rows = 32, step_parts = step_rows / 8;  // keys
  static constexpr int keys_bytes = step_rows * Panel<key_width>::row_bytes;
  static constexpr int stage_bytes = keys_bytes + step_rows * Panel<columns>::row_bytes;
  static constexpr int own_bytes = rows * Panel<key_width>::row_bytes;
  static constexpr size_t shared_bytes = own_bytes + stages * stage_bytes;
};

// Of each of the 4 rows that a lane has a part of (values 0 and 1, values 2 and 3 of both parts): what is added to a
// score in powers of 2, which is minus the largest of them so far, and the sum of the lane's own columns.
struct RunningSoftmax {
  float shift[2][2], sum[2][2];
};

// From products q . k to weights, 2^(scale (s - largest)); o and the sums so far are made to suit the new largest
// product. scale is above 0, or the largest product would not have the largest score.
template <int n, int columns>
__device__ __forceinline__ void soften(FragmentD (&s)[2][n], FragmentD (&o)[2][columns],
                                       RunningSoftmax& running, float scale) {
  float before[2][2];
  bool raised = false;
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float largest = -INFINITY;
#pragma unroll
      for (int j = 0; j < n; ++j)
        largest = fmaxf(largest, fmaxf(s[i][j].value[2 * half], s[i][j].value[2 * half + 1]));
      before[i][half] = running.shift[i][half];
      running.shift[i][half] = fminf(before[i][half], -scale * warp_max<4>(largest));
      raised |= running.shift[i][half] < before[i][half];
    }
  if (__any_sync(0xffffffffu, raised)) {
    float shrink[2][2];
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        shrink[i][half] = fast_exp2(running.shift[i][half] - before[i][half]);
        running.sum[i][half] *= shrink[i][half];
      }
    for_each_value(o, [&](int i, int, int v, float& value) { value *= shrink[i][v / 2]; });
  }
  for_each_value(s, [&](int i, int, int v, float& value) {
    value = fast_exp2(scale * value + running.shift[i][v / 2]);
    running.sum[i][v / 2] += value;
  });
}

// Grid: batch * tiles of queries * slices of value_width.
template <int key_width, int columns>
__global__ void __launch_bounds__(ForwardShape<key_width, columns>::threads, 2)
    forward_mma(Forward<bf16> f, Layout layout) {
  using Shape = ForwardShape<key_width, columns>;
  DYNAMIC_SHARED(unsigned char, shared);
  unsigned char* const ring = shared + Shape::own_bytes;
  const Sizes& size = f.size;
  const int slices = ceil_div(size.value_width, columns), tiles = ceil_div(size.queries, Shape::rows);
  const int slice = int(blockIdx.x) % slices, tile = int(blockIdx.x) / slices;
  const int problem = tile / tiles, first_query = tile % tiles * Shape::rows;
  const int queries = min(Shape::rows, size.queries - first_query);
  const int row = problem * size.queries + first_query, key = problem * size.keys;  // of all problems
  const int warp_row = 32 * warp_id();
  const bf16* const k = rows_behind(f.k, key, size.key_width);
  const bf16* const v = rows_behind(f.v, key, size.value_width);
  const float scale = size.scale * log2_e;

  Panel<key_width>::template copy<Shape::rows, Shape::threads>(
      shared, {rows_behind(f.q, row, size.key_width), queries, size.key_width, 0, layout.key_vectors});
  FragmentD o[2][columns / 8] = {};
  RunningSoftmax running = {{{INFINITY, INFINITY}, {INFINITY, INFINITY}}, {}};
  through_ring<Shape::stages>(
      ceil_div(size.keys, Shape::step_rows),
      [&](int step, int stage) {
        const int keys = size.keys - step * Shape::step_rows;
        unsigned char* const at = ring + stage * Shape::stage_bytes;
        Panel<key_width>::template copy<Shape::step_rows, Shape::threads>(
            at, {rows_behind(k, step * Shape::step_rows, size.key_width), keys, size.key_width, 0,
                 layout.key_vectors});
        Panel<columns>::template copy<Shape::step_rows, Shape::threads>(
            at + Shape::keys_bytes, {rows_behind(v, step * Shape::step_rows, size.value_width), keys,
                                     size.value_width, slice * columns, layout.value_vectors});
      },
      [&](int step, int stage) {
        const unsigned char* const at = ring + stage * Shape::stage_bytes;
        FragmentD s[2][Shape::step_parts] = {};
        multiply_rows<key_width>(s, shared + warp_row * Panel<key_width>::row_bytes, at);
        const int keys = size.keys - step * Shape::step_rows;
        if (keys < Shape::step_rows)  // the last step alone
          for_each_value(s, [&](int, int j, int v, float& value) {
            if (column_of(j, v) >= keys) value = -INFINITY;
          });
        soften(s, o, running, scale);
        add_weighted<columns>(o, s, at + Shape::keys_bytes);
      });

#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float& sum = running.sum[i][half];
      sum = warp_sum<4>(sum);
      const int own_row = warp_row + row_of(i, 2 * half);
      if (slice == 0 && lane_id() % 4 == 0 && own_row < queries)
        f.log_sum_exp[row + own_row] = logf(sum) - running.shift[i][half] * log_2;
      sum = 1.0f / sum;
    }
  for_each_value(o, [&](int i, int, int v, float& value) { value *= running.sum[i][v / 2]; });
  store_sums(f.o + int64_t{row} * size.value_width, queries, size.value_width, warp_row, slice * columns, o,
             layout.value_vectors, f.add_o);
}

// ---- backward to the queries --------------------------------------------------------------------------

// A block owns the rows of q and d_o of its queries, 32 for each warp, and walks through keys and values. Where
// values are wide it has fewer warps, for the sake of shared memory.
template <int key_width, int value_width>
struct QueriesShape {
  static constexpr int warps = value_width > 128 ? 2 : 4, threads = 32 * warps, rows = 32 * warps, stages = 2;
  static constexpr int step_rows = 32, step_parts = step_rows / 8;  // keys
  static constexpr int keys_bytes = step_rows * Panel<key_width>::row_bytes;
  static constexpr int stage_bytes = keys_bytes + step_rows * Panel<value_width>::row_bytes;
  static constexpr int queries_bytes = rows * Panel<key_width>::row_bytes;
  static constexpr int own_bytes = queries_bytes + rows * Panel<value_width>::row_bytes;
  static constexpr size_t shared_bytes = own_bytes + stages * stage_bytes;
};

// dq. Grid: batch * tiles of queries.
template <int key_width, int value_width>
__global__ void __launch_bounds__(QueriesShape<key_width, value_width>::threads, 2)
    backward_queries_mma(Backward<bf16> b, Layout layout) {
  using Shape = QueriesShape<key_width, value_width>;
  DYNAMIC_SHARED(unsigned char, shared);
  unsigned char *const outputs = shared + Shape::queries_bytes, *const ring = shared + Shape::own_bytes;
  const Sizes& size = b.size;
  const int tiles = ceil_div(size.queries, Shape::rows), problem = int(blockIdx.x) / tiles;
  const int first_query = int(blockIdx.x) % tiles * Shape::rows;
  const int queries = min(Shape::rows, size.queries - first_query);
  const int row = problem * size.queries + first_query, key = problem * size.keys;  // of all problems
  const int warp_row = 32 * warp_id();
  const bf16* const k = rows_behind(b.k, key, size.key_width);
  const bf16* const v = rows_behind(b.v, key, size.value_width);
  const float scale = size.scale * log2_e;

  Panel<key_width>::template copy<Shape::rows, Shape::threads>(
      shared, {rows_behind(b.q, row, size.key_width), queries, size.key_width, 0, layout.key_vectors});
  Panel<value_width>::template copy<Shape::rows, Shape::threads>(
      outputs,
      {rows_behind(b.d_o, row, size.value_width), queries, size.value_width, 0, layout.value_vectors});
  float log_sum_exp[2][2], delta[2][2];  // of the lane's rows; log_sum_exp in powers of 2
#pragma unroll
  for (int i = 0; i < 2; ++i)
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int own_row = warp_row + row_of(i, 2 * half);
      const bool inside = own_row < queries;
      log_sum_exp[i][half] = inside ? b.log_sum_exp[row + own_row] * log2_e : 0.0f;
      delta[i][half] = inside ? b.delta[row + own_row] : 0.0f;
    }

  FragmentD dq[2][key_width / 8] = {};
  through_ring<Shape::stages>(
      ceil_div(size.keys, Shape::step_rows),
      [&](int step, int stage) {
        const int keys = size.keys - step * Shape::step_rows;
        unsigned char* const at = ring + stage * Shape::stage_bytes;
        Panel<key_width>::template copy<Shape::step_rows, Shape::threads>(
            at, {rows_behind(k, step * Shape::step_rows, size.key_width), keys, size.key_width, 0,
                 layout.key_vectors});
        Panel<value_width>::template copy<Shape::step_rows, Shape::threads>(
            at + Shape::keys_bytes, {rows_behind(v, step * Shape::step_rows, size.value_width), keys,
                                     size.value_width, 0, layout.value_vectors});
      },
      [&](int step, int stage) {
        const unsigned char* const at = ring + stage * Shape::stage_bytes;
        FragmentD s[2][Shape::step_parts] = {}, dp[2][Shape::step_parts] = {};
        multiply_rows<key_width>(s, shared + warp_row * Panel<key_width>::row_bytes, at);
        multiply_rows<value_width>(dp, outputs + warp_row * Panel<value_width>::row_bytes,
                                   at + Shape::keys_bytes);
        for_each_value(s, [&](int i, int j, int v, float& value) {
          const int half = v / 2;
          value = fast_exp2(scale * value - log_sum_exp[i][half]) * (dp[i][j].value[v] - delta[i][half]);
        });
        // The score of a key beyond the last is 0, which against a low log_sum_exp is an infinite p.
        const int keys = size.keys - step * Shape::step_rows;
        if (keys < Shape::step_rows)
          for_each_value(s, [&](int, int j, int v, float& value) {
            if (column_of(j, v) >= keys) value = 0;
          });
        add_weighted<key_width>(dq, s, at);
      });
  for_each_value(dq, [&](int, int, int, float& value) { value *= size.scale; });
  store_sums(b.dq + int64_t{row} * size.key_width, queries, size.key_width, warp_row, 0, dq,
             layout.key_vectors, b.add_dq);
}

// ---- backward to the keys and values ------------------------------------------------------------------

// A block owns 64 rows of k and v, 16 for each warp, and walks through the queries, whose q, d_o, log_sum_exp and
// delta make a stage. Where values are wide, dv takes so many registers that a step has fewer queries.
template <int key_width, int value_width>
struct KeysShape {
  static constexpr int warps = 4, threads = 32 * warps, rows = 16 * warps, stages = 2;
  static constexpr int step_rows = value_width > 128 ? 16 : 32, step_parts = step_rows / 8;  // queries
  static constexpr int queries_bytes = step_rows * Panel<key_width>::row_bytes;
  static constexpr int statistics_at = queries_bytes + step_rows * Panel<value_width>::row_bytes;
  static constexpr int stage_bytes = statistics_at + 2 * step_rows * int(sizeof(float));
  static constexpr int keys_bytes = rows * Panel<key_width>::row_bytes;
  static constexpr int own_bytes = keys_bytes + rows * Panel<value_width>::row_bytes;
  static constexpr size_t shared_bytes = own_bytes + stages * stage_bytes;
};

// dk and dv. Rows of the products are keys here, columns queries. Grid: batch * tiles of keys. Queries beyond the
// last need no mask: their log_sum_exp is 0 like their scores, p is 1, and its factors are 0.
template <int key_width, int value_width>
__global__ void __launch_bounds__(KeysShape<key_width, value_width>::threads, 2)
    backward_keys_mma(Backward<bf16> b, Layout layout) {
  using Shape = KeysShape<key_width, value_width>;
  DYNAMIC_SHARED(unsigned char, shared);
  unsigned char *const values = shared + Shape::keys_bytes, *const ring = shared + Shape::own_bytes;
  const Sizes& size = b.size;
  const int tiles = ceil_div(size.keys, Shape::rows), problem = int(blockIdx.x) / tiles;
  const int first_key = int(blockIdx.x) % tiles * Shape::rows;
  const int keys = min(Shape::rows, size.keys - first_key);
  const int row = problem * size.keys + first_key, query = problem * size.queries;  // of all problems
  const int warp_row = 16 * warp_id();
  const bf16* const q = rows_behind(b.q, query, size.key_width);
  const bf16* const d_o = rows_behind(b.d_o, query, size.value_width);
  const float *const log_sum_exp = b.log_sum_exp + query, *const delta = b.delta + query;
  const float scale = size.scale * log2_e;

  Panel<key_width>::template copy<Shape::rows, Shape::threads>(
      shared, {rows_behind(b.k, row, size.key_width), keys, size.key_width, 0, layout.key_vectors});
  Panel<value_width>::template copy<Shape::rows, Shape::threads>(
      values, {rows_behind(b.v, row, size.value_width), keys, size.value_width, 0, layout.value_vectors});
  FragmentD dk[1][key_width / 8] = {}, dv[1][value_width / 8] = {};
  through_ring<Shape::stages>(
      ceil_div(size.queries, Shape::step_rows),
      [&](int step, int stage) {
        const int first = step * Shape::step_rows;
        const int queries = size.queries - first;
        unsigned char* const at = ring + stage * Shape::stage_bytes;
        Panel<key_width>::template copy<Shape::step_rows, Shape::threads>(
            at, {rows_behind(q, first, size.key_width), queries, size.key_width, 0, layout.key_vectors});
        Panel<value_width>::template copy<Shape::step_rows, Shape::threads>(
            at + Shape::queries_bytes,
            {rows_behind(d_o, first, size.value_width), queries, size.value_width, 0, layout.value_vectors});
        if (threadIdx.x < 2 * Shape::step_rows) {
          const int column = int(threadIdx.x) % Shape::step_rows;
          const float* const statistic = int(threadIdx.x) < Shape::step_rows ? log_sum_exp : delta;
          cp_async<4>(at + Shape::statistics_at + 4 * threadIdx.x, statistic + first + column,
                      column < queries);
        }
      },
      [&](int, int stage) {
        const unsigned char* const at = ring + stage * Shape::stage_bytes;
        const float* const statistics = reinterpret_cast<const float*>(at + Shape::statistics_at);
        FragmentD p[1][Shape::step_parts] = {}, ds[1][Shape::step_parts] = {};
        multiply_rows<key_width>(p, shared + warp_row * Panel<key_width>::row_bytes, at);
        for_each_value(p, [&](int, int j, int v, float& value) {
          value = fast_exp2(scale * value - log2_e * statistics[column_of(j, v)]);
        });
        if (b.dv) add_weighted<value_width>(dv, p, at + Shape::queries_bytes);
        if (!b.dk) return;
        multiply_rows<value_width>(ds, values + warp_row * Panel<value_width>::row_bytes,
                                   at + Shape::queries_bytes);
        for_each_value(ds, [&](int i, int j, int v, float& value) {
          value = p[i][j].value[v] * (value - statistics[Shape::step_rows + column_of(j, v)]);
        });
        add_weighted<key_width>(dk, ds, at);
      });
  if (b.dk) {
    for_each_value(dk, [&](int, int, int, float& value) { value *= size.scale; });
    store_sums(b.dk + int64_t{row} * size.key_width, keys, size.key_width, warp_row, 0, dk,
               layout.key_vectors, b.add_dk);
  }
  if (b.dv)
    store_sums(b.dv + int64_t{row} * size.value_width, keys, size.value_width, warp_row, 0, dv,
               layout.value_vectors, b.add_dv);
}

// ---- launchers ----------------------------------------------------------------------------------------

constexpr int widest_key = 64, widest_value = 256;

const char* wrong_type_or_key(DType type, const AttentionSize& size) {
  if (type != DType::bf16) return "queries, keys and values must be bfloat16";
  return size.key_width > widest_key ? "a key width above 64" : nullptr;
}

// Calls f with the first of the widths, as a constant, that is not below `width`, or the last.
template <int first, int... others, class F>
void with_width(int width, F&& f) {
  if constexpr (sizeof...(others) > 0)
    if (width > first) return with_width<others...>(width, f);
  f(std::integral_constant<int, first>{});
}

bool in_vectors(int width, std::initializer_list<const void*> matrices) {
  return width % 8 == 0 && aligned_for_four(matrices);
}
}  // namespace

const char* fits_mma(const AttentionFwd& args) {
  if (const char* reason = wrong_type_or_key(args.q.dtype, args.size)) return reason;
  return args.size.scale < FLT_MIN ? "a scale that is not above 0" : nullptr;
}
const char* fits_mma(const AttentionBwd& args) {
  if (const char* reason = wrong_type_or_key(args.q.dtype, args.size)) return reason;
  return args.size.value_width > widest_value ? "a value width above 256" : nullptr;
}

void attention_fwd_mma(const AttentionFwd& args, Stream& stream) {
  GAN_CHECK(!fits_mma(args), "{}", fits_mma(args));
  const Forward<bf16> f = parameters_of<bf16>(args);
  const Sizes& size = f.size;
  const Layout layout{in_vectors(size.key_width, {f.q, f.k}), in_vectors(size.value_width, {f.v, f.o})};
  with_width<16, 32, 64>(size.key_width, [&](auto key_width) {
    with_width<64, 128>(size.value_width, [&](auto columns) {
      using Shape = ForwardShape<key_width.value, columns.value>;
      const int64_t tiles = int64_t(size.batch) * ceil_div(size.queries, Shape::rows);
      launch(forward_mma<key_width.value, columns.value>,
             unsigned(tiles * ceil_div(size.value_width, Shape::columns)), Shape::threads,
             Shape::shared_bytes, handle_of(stream), f, layout);
    });
  });
}

void attention_bwd_mma(const AttentionBwd& args, Stream& stream) {
  GAN_CHECK(!fits_mma(args), "{}", fits_mma(args));
  const Backward<bf16> b = parameters_of<bf16>(args, stream);
  const Sizes& size = b.size;
  const Layout layout{in_vectors(size.key_width, {b.q, b.k, b.dq, b.dk}),
                      in_vectors(size.value_width, {b.v, b.d_o, b.dv})};
  with_width<16, 32, 64>(size.key_width, [&](auto key_width) {
    with_width<64, 128, 256>(size.value_width, [&](auto value_width) {
      using Queries = QueriesShape<key_width.value, value_width.value>;
      using Keys = KeysShape<key_width.value, value_width.value>;
      if (b.dq)
        launch(backward_queries_mma<key_width.value, value_width.value>,
               unsigned(int64_t(size.batch) * ceil_div(size.queries, Queries::rows)), Queries::threads,
               Queries::shared_bytes, handle_of(stream), b, layout);
      if (b.dk || b.dv)
        launch(backward_keys_mma<key_width.value, value_width.value>,
               unsigned(int64_t(size.batch) * ceil_div(size.keys, Keys::rows)), Keys::threads,
               Keys::shared_bytes, handle_of(stream), b, layout);
    });
  });
}

}  // namespace gan::GAN_GPU
