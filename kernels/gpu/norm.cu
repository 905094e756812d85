// Batch, instance and layer normalisation with the activation that follows (Ioffe & Szegedy 2015; Ulyanov et
// al. 2016; Ba et al. 2016).
//
// x is `segments` matrices (rows, channels); each column of each matrix is normalised by its own statistics:
//   xhat = (x - mean) * rstd      mean, variance over the rows, rstd = 1 / sqrt(variance + eps)
//   z = gamma * xhat + beta       y = act(z)
// Backwards, with dz = dy * act'(z):
//   dbeta = sum dz      dgamma = sum dz * xhat
//   dx = gamma * rstd * (dz - mean of dz - xhat * mean of (dz * xhat))
//
// Read on: 1 what all kernels share, 2 naive: one thread per channel, 3 block: one block per matrix and up to
// 32 channels, 4 split: the rows of a matrix go to many blocks, in three launches, 5 inference, 6 layer norm:
// one mean and variance for a whole matrix, 7 launchers, 8 the list of variants.
//
// Precision: a mean far larger than the deviation costs no digits. The naive rung sums in double; the others
// take values relative to the column's first one before they sum.
#include "kernels/gpu/family.cuh"

namespace gan::GAN_GPU {
namespace {

// ---- 1 Common parts ------------------------------------------------------------------------------------

template <class T>
struct Forward {
  int segments;
  int64_t rows;
  int channels;
  float eps, momentum;
  const T* x;                 // (segments, rows, channels)
  const float *gamma, *beta;  // (channels) or null
  Activation act;
  T* y;  // (segments, rows, channels)
  bool add_y;
  float *mean, *rstd;                 // (segments, channels)
  float *running_mean, *running_var;  // (channels) or null
};

template <class T>
struct Backward {
  int segments;
  int64_t rows;
  int channels;
  const T *x, *dy;            // (segments, rows, channels)
  const float *gamma, *beta;  // (channels) or null
  const float *mean, *rstd;   // (segments, channels)
  Activation act;
  T* dx;  // (segments, rows, channels) or null
  bool add_dx;
  float *dgamma, *dbeta;  // (channels) or null
  bool add_dgamma, add_dbeta;
};

// What one column does to its values. Forward and backward pass both go through z(), with an explicit fma, so
// that they agree to the last bit on which side of a ReLU's corner a value lies.
struct Column {
  float mean, rstd, gamma, beta;
  __device__ float xhat(float x) const { return (x - mean) * rstd; }
  __device__ float z(float x) const { return fmaf(xhat(x), gamma, beta); }
};
__device__ Column column(const float* mean, const float* rstd, const float* gamma, const float* beta,
                         int64_t at, int c) {
  return {mean[at], rstd[at], gamma ? gamma[c] : 1.0f, beta ? beta[c] : 0.0f};
}

// dz = dy * act'(z).
__device__ float gradient_of_z(const Column& column, const Activation& act, float x, float dy) {
  if (act.kind == Act::none) return dy;
  return dy * activation_slope(act, activate(act, column.z(x)));
}

// sum_of_squares: of the differences from the mean.
template <class T>
__device__ void store_statistics(const Forward<T>& f, int segment, int c, float mean, float sum_of_squares) {
  const float rows = float(f.rows), variance = sum_of_squares / rows;
  const int64_t at = int64_t(segment) * f.channels + c;
  f.mean[at] = mean;
  f.rstd[at] = 1.0f / sqrtf(variance + f.eps);
  if (f.running_mean) {
    const float unbiased = f.rows > 1 ? sum_of_squares / (rows - 1.0f) : variance;
    f.running_mean[c] = (1.0f - f.momentum) * f.running_mean[c] + f.momentum * mean;
    f.running_var[c] = (1.0f - f.momentum) * f.running_var[c] + f.momentum * unbiased;
  }
}

// ---- 2 naive: one thread per channel -------------------------------------------------------------------
// Walks through its channel three times: mean, variance, output; then the same for the next segment. The sums
// are in double: one long float32 sum would lose digits that the pairwise sums of the better rungs keep.

template <class T>
__global__ void forward_naive(Forward<T> f) {
  const int c = int(first_element());
  if (c >= f.channels) return;
  for (int segment = 0; segment < f.segments; ++segment) {
    const int64_t start = segment * f.rows * f.channels + c, stop = start + f.rows * f.channels;
    double sum = 0, sum_of_squares = 0;
    for (int64_t i = start; i < stop; i += f.channels) sum += to_float(f.x[i]);
    const double mean = sum / double(f.rows);
    for (int64_t i = start; i < stop; i += f.channels) {
      const double difference = to_float(f.x[i]) - mean;
      sum_of_squares += difference * difference;
    }
    store_statistics(f, segment, c, float(mean), float(sum_of_squares));
    const Column col = column(f.mean, f.rstd, f.gamma, f.beta, int64_t(segment) * f.channels + c, c);
    for (int64_t i = start; i < stop; i += f.channels)
      put(f.y, i, activate(f.act, col.z(to_float(f.x[i]))), f.add_y);
  }
}

template <class T>
__global__ void backward_naive(Backward<T> b) {
  const int c = int(first_element());
  if (c >= b.channels) return;
  double dgamma = 0, dbeta = 0;
  for (int segment = 0; segment < b.segments; ++segment) {
    const int64_t start = segment * b.rows * b.channels + c, stop = start + b.rows * b.channels;
    const Column col = column(b.mean, b.rstd, b.gamma, b.beta, int64_t(segment) * b.channels + c, c);
    double sum_dz = 0, sum_dz_xhat = 0;
    for (int64_t i = start; i < stop; i += b.channels) {
      const float x = to_float(b.x[i]), dz = gradient_of_z(col, b.act, x, to_float(b.dy[i]));
      sum_dz += dz;
      sum_dz_xhat += dz * col.xhat(x);
    }
    const float mean_dz = float(sum_dz / double(b.rows)), mean_dz_xhat = float(sum_dz_xhat / double(b.rows));
    for (int64_t i = start; b.dx && i < stop; i += b.channels) {
      const float x = to_float(b.x[i]), dz = gradient_of_z(col, b.act, x, to_float(b.dy[i]));
      put(b.dx, i, col.gamma * col.rstd * (dz - mean_dz - col.xhat(x) * mean_dz_xhat), b.add_dx);
    }
    dgamma += sum_dz_xhat;
    dbeta += sum_dz;
  }
  if (b.dgamma) put(b.dgamma, c, float(dgamma), b.add_dgamma);
  if (b.dbeta) put(b.dbeta, c, float(dbeta), b.add_dbeta);
}

// ---- 3 block: one block per matrix and up to 32 channels -----------------------------------------------
// The threads of a block are (channels, groups of rows); see "Columns" in family.cuh. A warp reads
// neighbouring channels of one row, and the second walk through the rows finds them in the cache.

// Count, sum and sum of squared differences from the mean of some values. Two of these make one without
// going back to the values and without cancellation (Chan, Golub & LeVeque 1979, eq. 2.1).
struct Moments {
  float count, sum, sum_of_squares;
};
__device__ Moments operator+(Moments a, Moments b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  const float count = a.count + b.count, difference = b.sum / b.count - a.sum / a.count;
  return {count, a.sum + b.sum,
          a.sum_of_squares + b.sum_of_squares + difference * difference * a.count * (b.count / count)};
}

// Stores what is left when all rows of a column have been joined; the moments are relative to the first row.
// One addition in double keeps what is left when that row and the mean of the differences cancel.
template <class T>
__device__ void store_moments(const Forward<T>& f, int segment, int c, Moments moments) {
  const double first = to_float(f.x[segment * f.rows * f.channels + c]);
  const double mean = first + double(moments.sum) / double(moments.count);
  store_statistics(f, segment, c, float(mean), moments.sum_of_squares);
}

// How many rows a thread loads before it uses the first one: that many loads are under way together.
constexpr int rows_at_once = 8;

// The moments of rows begin, begin + step, ... < end of one column, relative to `first`. Eight values at a
// time lie in registers: their mean and squares are found in two passes there, then joined to what is known
// so far.
template <class T>
__device__ Moments moments_of_column(const T* x, int64_t begin, int64_t end, int step, int channels,
                                     float first) {
  Moments total{0, 0, 0};
  for (int64_t row = begin; row < end; row += int64_t{rows_at_once} * step) {
    float value[rows_at_once], sum = 0, sum_of_squares = 0;
    int count = 0;
#pragma unroll
    for (int k = 0; k < rows_at_once; ++k) {
      const int64_t r = row + int64_t(k) * step;
      value[k] = r < end ? to_float(x[r * channels]) - first : 0.0f;
      count += r < end;
      sum += value[k];
    }
    const float mean = sum / float(count);
#pragma unroll
    for (int k = 0; k < rows_at_once; ++k) {
      const float difference = k < count ? value[k] - mean : 0.0f;
      sum_of_squares += difference * difference;
    }
    total = total + Moments{float(count), sum, sum_of_squares};
  }
  return total;
}

template <class T>
__device__ void normalise_column(const Forward<T>& f, const Column& col, int64_t first_row, int64_t begin,
                                 int64_t end, int step, int c) {
  const int64_t stride = int64_t{step} * f.channels;
  for (int64_t row = begin; row < end; row += int64_t{rows_at_once} * step) {
    const int64_t first = (first_row + row) * f.channels + c;
    float value[rows_at_once];
#pragma unroll
    for (int k = 0; k < rows_at_once; ++k)
      value[k] = row + int64_t(k) * step < end ? to_float(f.x[first + k * stride]) : 0.0f;
#pragma unroll
    for (int k = 0; k < rows_at_once; ++k)
      if (row + int64_t(k) * step < end)
        put(f.y, first + k * stride, activate(f.act, col.z(value[k])), f.add_y);
  }
}

// (sum dz, sum dz * xhat) over rows of one column.
template <class T>
__device__ Pair gradient_sums_of_column(const Backward<T>& b, const Column& col, int64_t first_row,
                                        int64_t begin, int64_t end, int step, int c) {
  Pair sums{0, 0};
#pragma unroll 4
  for (int64_t row = begin; row < end; row += step) {
    const int64_t i = (first_row + row) * b.channels + c;
    const float x = to_float(b.x[i]), dz = gradient_of_z(col, b.act, x, to_float(b.dy[i]));
    sums = sums + Pair{dz, dz * col.xhat(x)};
  }
  return sums;
}

template <class T>
__device__ void input_gradient_of_column(const Backward<T>& b, const Column& col, Pair sums,
                                         int64_t first_row, int64_t begin, int64_t end, int step, int c) {
  constexpr int at_once = rows_at_once / 2;  // two inputs
  const float mean_dz = sums.a / float(b.rows), mean_dz_xhat = sums.b / float(b.rows),
              scale = col.gamma * col.rstd;
  for (int64_t row = begin; row < end; row += int64_t{at_once} * step) {
    float x[at_once], dy[at_once];
#pragma unroll
    for (int k = 0; k < at_once; ++k) {
      const int64_t r = row + int64_t(k) * step, i = (first_row + r) * b.channels + c;
      x[k] = r < end ? to_float(b.x[i]) : 0.0f;
      dy[k] = r < end ? to_float(b.dy[i]) : 0.0f;
    }
#pragma unroll
    for (int k = 0; k < at_once; ++k) {
      const int64_t r = row + int64_t(k) * step, i = (first_row + r) * b.channels + c;
      const float dz = gradient_of_z(col, b.act, x[k], dy[k]);
      if (r < end) put(b.dx, i, scale * (dz - mean_dz - col.xhat(x[k]) * mean_dz_xhat), b.add_dx);
    }
  }
}

constexpr int large_block_threads = 1024;

// Grid (channel tiles, segments). With running statistics grid.y is 1 and the block takes the segments in
// order.
template <class T>
__global__ void __launch_bounds__(large_block_threads) forward_block(Forward<T> f) {
  SHARED_ARRAY(Moments, shared, [large_block_threads]);
  const int c = int(blockIdx.x * blockDim.x + threadIdx.x), groups = int(blockDim.y);
  const bool inside = c < f.channels;
  for (int segment = int(blockIdx.y); segment < f.segments; segment += int(gridDim.y)) {
    const int64_t first_row = segment * f.rows;
    const T* x = f.x + first_row * f.channels + c;
    Moments moments{0, 0, 0};
    if (inside) moments = moments_of_column(x, threadIdx.y, f.rows, groups, f.channels, to_float(*x));
    moments = sum_of_groups(moments, shared);
    if (inside && threadIdx.y == 0) store_moments(f, segment, c, moments);
    __syncthreads();  // the statistics are in memory, for all groups
    if (inside) {
      const Column col = column(f.mean, f.rstd, f.gamma, f.beta, int64_t(segment) * f.channels + c, c);
      normalise_column(f, col, first_row, threadIdx.y, f.rows, groups, c);
    }
  }
}

// Grid (channel tiles, segments). sums: (segments, channels)
template <class T>
__global__ void __launch_bounds__(large_block_threads) backward_block(Backward<T> b, Pair* sums) {
  SHARED_ARRAY(Pair, shared, [large_block_threads]);
  const int c = int(blockIdx.x * blockDim.x + threadIdx.x), groups = int(blockDim.y);
  const bool inside = c < b.channels;
  for (int segment = int(blockIdx.y); segment < b.segments; segment += int(gridDim.y)) {
    const int64_t first_row = segment * b.rows, at = int64_t(segment) * b.channels + c;
    Column col{};
    Pair sum{0, 0};
    if (inside) {
      col = column(b.mean, b.rstd, b.gamma, b.beta, at, c);
      sum = gradient_sums_of_column(b, col, first_row, threadIdx.y, b.rows, groups, c);
    }
    sum = sum_of_groups(sum, shared);  // in group 0
    if (inside && threadIdx.y == 0) sums[at] = sum;
    __syncthreads();  // the sums are in memory, for all groups
    if (inside && b.dx) input_gradient_of_column(b, col, sums[at], first_row, threadIdx.y, b.rows, groups, c);
  }
}

// The last launch of each backward pass whose dgamma or dbeta is wanted: one thread per channel.
__global__ void parameter_gradients(int segments, int channels, const Pair* sums, float* dgamma,
                                    bool add_dgamma, float* dbeta, bool add_dbeta) {
  const int c = int(first_element());
  if (c >= channels) return;
  Pair sum{0, 0};
  for (int segment = 0; segment < segments; ++segment) sum = sum + sums[int64_t(segment) * channels + c];
  if (dgamma) put(dgamma, c, sum.b, add_dgamma);
  if (dbeta) put(dbeta, c, sum.a, add_dbeta);
}

// ---- 4 split: the rows of a matrix go to many blocks ---------------------------------------------------
// Batch norm has few channels and very many rows: one block per 32 channels would leave most of a GPU idle.
// So each block takes a chunk of rows and leaves its moments behind; a second launch joins the chunks; a
// third normalises. Grids are (channel tiles, chunks, segments).

// moments: (segments, chunks, channels)
template <class T>
__global__ void __launch_bounds__(block_threads)
    forward_moments(Forward<T> f, int64_t chunk_rows, Moments* moments) {
  SHARED_ARRAY(Moments, shared, [block_threads]);
  const int c = int(blockIdx.x * blockDim.x + threadIdx.x);
  const bool inside = c < f.channels;
  const int64_t begin = blockIdx.y * chunk_rows, end = min(begin + chunk_rows, f.rows);
  for (int segment = int(blockIdx.z); segment < f.segments; segment += int(gridDim.z)) {
    const T* x = f.x + segment * f.rows * f.channels + c;
    Moments mine{0, 0, 0};
    if (inside)
      mine = moments_of_column(x, begin + threadIdx.y, end, int(blockDim.y), f.channels, to_float(*x));
    mine = sum_of_groups(mine, shared);
    if (inside && threadIdx.y == 0)
      moments[(int64_t(segment) * gridDim.y + blockIdx.y) * f.channels + c] = mine;
  }
}

// The sum over the chunks of one channel, shared among the groups of a block; valid where threadIdx.y == 0.
// chunk_sums: (chunks, channels) of this segment
template <class V>
__device__ V sum_of_chunks(const V* chunk_sums, int chunks, int channels, int c, V* shared) {
  V sum{};
  if (c < channels)
    for (int chunk = int(threadIdx.y); chunk < chunks; chunk += int(blockDim.y))
      sum = sum + chunk_sums[int64_t(chunk) * channels + c];
  return sum_of_groups(sum, shared);
}

// Grid (channel tiles, segments); as in forward_block, running statistics want the segments in order.
template <class T>
__global__ void __launch_bounds__(block_threads)
    forward_statistics(Forward<T> f, int chunks, const Moments* moments) {
  SHARED_ARRAY(Moments, shared, [block_threads]);
  const int c = int(blockIdx.x * blockDim.x + threadIdx.x);
  for (int segment = int(blockIdx.y); segment < f.segments; segment += int(gridDim.y)) {
    const Moments sum =
        sum_of_chunks(moments + int64_t(segment) * chunks * f.channels, chunks, f.channels, c, shared);
    if (c < f.channels && threadIdx.y == 0) store_moments(f, segment, c, sum);
  }
}

template <class T>
__global__ void __launch_bounds__(block_threads) forward_normalise(Forward<T> f, int64_t chunk_rows) {
  const int c = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (c >= f.channels) return;
  const int64_t begin = blockIdx.y * chunk_rows, end = min(begin + chunk_rows, f.rows);
  for (int segment = int(blockIdx.z); segment < f.segments; segment += int(gridDim.z)) {
    const Column col = column(f.mean, f.rstd, f.gamma, f.beta, int64_t(segment) * f.channels + c, c);
    normalise_column(f, col, segment * f.rows, begin + threadIdx.y, end, int(blockDim.y), c);
  }
}

// chunk_sums: (segments, chunks, channels)
template <class T>
__global__ void __launch_bounds__(block_threads)
    backward_sums(Backward<T> b, int64_t chunk_rows, Pair* chunk_sums) {
  SHARED_ARRAY(Pair, shared, [block_threads]);
  const int c = int(blockIdx.x * blockDim.x + threadIdx.x);
  const bool inside = c < b.channels;
  const int64_t begin = blockIdx.y * chunk_rows, end = min(begin + chunk_rows, b.rows);
  for (int segment = int(blockIdx.z); segment < b.segments; segment += int(gridDim.z)) {
    Pair mine{0, 0};
    if (inside) {
      const Column col = column(b.mean, b.rstd, b.gamma, b.beta, int64_t(segment) * b.channels + c, c);
      mine = gradient_sums_of_column(b, col, segment * b.rows, begin + threadIdx.y, end, int(blockDim.y), c);
    }
    mine = sum_of_groups(mine, shared);
    if (inside && threadIdx.y == 0)
      chunk_sums[(int64_t(segment) * gridDim.y + blockIdx.y) * b.channels + c] = mine;
  }
}

// Grid (channel tiles, segments). sums: (segments, channels)
__global__ void __launch_bounds__(block_threads)
    backward_join(int segments, int channels, int chunks, const Pair* chunk_sums, Pair* sums) {
  SHARED_ARRAY(Pair, shared, [block_threads]);
  const int c = int(blockIdx.x * blockDim.x + threadIdx.x);
  for (int segment = int(blockIdx.y); segment < segments; segment += int(gridDim.y)) {
    const Pair sum =
        sum_of_chunks(chunk_sums + int64_t(segment) * chunks * channels, chunks, channels, c, shared);
    if (c < channels && threadIdx.y == 0) sums[int64_t(segment) * channels + c] = sum;
  }
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    backward_input(Backward<T> b, int64_t chunk_rows, const Pair* sums) {
  const int c = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (c >= b.channels) return;
  const int64_t begin = blockIdx.y * chunk_rows, end = min(begin + chunk_rows, b.rows);
  for (int segment = int(blockIdx.z); segment < b.segments; segment += int(gridDim.z)) {
    const int64_t at = int64_t(segment) * b.channels + c;
    const Column col = column(b.mean, b.rstd, b.gamma, b.beta, at, c);
    input_gradient_of_column(b, col, sums[at], segment * b.rows, begin + threadIdx.y, end, int(blockDim.y),
                             c);
  }
}

// ---- 5 Inference ---------------------------------------------------------------------------------------
// The statistics are given, so every element stands alone.

template <class T>
__global__ void infer_naive(int64_t count, int channels, float eps, const T* x, const float* gamma,
                            const float* beta, const float* mean, const float* var, Activation act, T* y,
                            bool add) {
  for (int64_t i = first_element(); i < count; i += element_step()) {
    const int c = int(i % channels);
    const Column col{mean[c], 1.0f / sqrtf(var[c] + eps), gamma ? gamma[c] : 1.0f, beta ? beta[c] : 0.0f};
    put(y, i, activate(act, col.z(to_float(x[i]))), add);
  }
}

// tiles: a thread stays with one channel, so the square root and the division by `channels` are done once.
// f carries the sizes, x, y, gamma and beta; it has no statistics.
template <class T>
__global__ void __launch_bounds__(block_threads)
    infer_tiles(Forward<T> f, const float* mean, const float* var, int64_t chunk_rows) {
  const int c = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (c >= f.channels) return;
  const int64_t begin = blockIdx.y * chunk_rows, end = min(begin + chunk_rows, f.rows);
  const Column col{mean[c], 1.0f / sqrtf(var[c] + f.eps), f.gamma ? f.gamma[c] : 1.0f,
                   f.beta ? f.beta[c] : 0.0f};
  normalise_column(f, col, 0, begin + threadIdx.y, end, int(blockDim.y), c);
}

// ---- 6 Layer norm ---------------------------------------------------------------------------------------
// A group is normalised as one; gamma and beta are per channel. With m(.) the mean over a group:
//   dx = rstd * (gamma dz - m(gamma dz) - xhat * m(gamma dz xhat))
// naive: one thread per group, and one per channel for dgamma and dbeta. block: one block per group, and
// tiles of channels x rows.

template <class T>
struct Layer {
  int groups, elements, channels;  // elements: of a group
  const T* x;                      // (groups, elements)
  const float *gamma, *beta;       // (channels) or null
  Activation act;

  // What element i of a group does to its value.
  __device__ Column column_of(float mean, float rstd, int i) const {
    const int c = i % channels;
    return {mean, rstd, gamma ? gamma[c] : 1.0f, beta ? beta[c] : 0.0f};
  }
  // gamma dz, and xhat, of element i of a group that begins at `start`.
  __device__ Pair scaled_gradient(const T* dy, float mean, float rstd, int64_t start, int i) const {
    const Column col = column_of(mean, rstd, i);
    const float value = to_float(x[start + i]);
    return {col.gamma * gradient_of_z(col, act, value, to_float(dy[start + i])), col.xhat(value)};
  }
};

template <class T>
__global__ void layer_forward_naive(Layer<T> l, float eps, T* y, bool add, float* mean, float* rstd) {
  const int group = int(first_element());
  if (group >= l.groups) return;
  const int64_t start = int64_t(group) * l.elements;
  double sum = 0, sum_of_squares = 0;
  for (int i = 0; i < l.elements; ++i) sum += to_float(l.x[start + i]);
  const double m = sum / l.elements;
  for (int i = 0; i < l.elements; ++i) {
    const double difference = to_float(l.x[start + i]) - m;
    sum_of_squares += difference * difference;
  }
  const float r = 1.0f / sqrtf(float(sum_of_squares / l.elements) + eps);
  for (int i = 0; i < l.elements; ++i)
    put(y, start + i, activate(l.act, l.column_of(float(m), r, i).z(to_float(l.x[start + i]))), add);
  mean[group] = float(m);
  rstd[group] = r;
}

template <class T>
__global__ void layer_backward_naive(Layer<T> l, const T* dy, const float* mean, const float* rstd, T* dx,
                                     bool add) {
  const int group = int(first_element());
  if (group >= l.groups) return;
  const int64_t start = int64_t(group) * l.elements;
  double sum = 0, sum_xhat = 0;
  for (int i = 0; i < l.elements; ++i) {
    const Pair p = l.scaled_gradient(dy, mean[group], rstd[group], start, i);
    sum += p.a;
    sum_xhat += double(p.a) * p.b;
  }
  const float mean_dz = float(sum / l.elements), mean_dz_xhat = float(sum_xhat / l.elements);
  for (int i = 0; i < l.elements; ++i) {
    const Pair p = l.scaled_gradient(dy, mean[group], rstd[group], start, i);
    put(dx, start + i, rstd[group] * (p.a - mean_dz - p.b * mean_dz_xhat), add);
  }
}

template <class T>
__global__ void layer_parameters_naive(Layer<T> l, const T* dy, const float* mean, const float* rstd,
                                       float* dgamma, bool add_dgamma, float* dbeta, bool add_dbeta) {
  const int c = int(first_element());
  if (c >= l.channels) return;
  double sum = 0, sum_xhat = 0;
  for (int group = 0; group < l.groups; ++group) {
    const Column col = l.column_of(mean[group], rstd[group], c);
    for (int i = c; i < l.elements; i += l.channels) {
      const int64_t at = int64_t(group) * l.elements + i;
      const float x = to_float(l.x[at]), dz = gradient_of_z(col, l.act, x, to_float(dy[at]));
      sum += dz;
      sum_xhat += dz * col.xhat(x);
    }
  }
  if (dgamma) put(dgamma, c, float(sum_xhat), add_dgamma);
  if (dbeta) put(dbeta, c, float(sum), add_dbeta);
}

// The mean is found twice, the second time from differences to the first one, which are small and leave
// little to round; what is left of their sum corrects the squares too (Chan, Golub & LeVeque 1983, equation
// 1.7).
constexpr int layer_threads = 512;

template <class T>
__global__ void __launch_bounds__(layer_threads)
    layer_forward_block(Layer<T> l, float eps, T* y, bool add, float* mean, float* rstd) {
  SHARED_ARRAY(float, scratch, [32]);
  const int64_t start = int64_t(blockIdx.x) * l.elements;
  const T* x = l.x + start;
  const float first = to_float(x[0]), per_element = 1.0f / float(l.elements);
  float sum = 0, sum_of_squares = 0;
#pragma unroll 4
  for (int i = int(threadIdx.x); i < l.elements; i += layer_threads) sum += to_float(x[i]) - first;
  const float rough = first + block_sum(sum, scratch) * per_element;
  sum = 0;
#pragma unroll 4
  for (int i = int(threadIdx.x); i < l.elements; i += layer_threads) {
    const float difference = to_float(x[i]) - rough;
    sum += difference;
    sum_of_squares += difference * difference;
  }
  sum = block_sum(sum, scratch);
  sum_of_squares = block_sum(sum_of_squares, scratch) - sum * sum * per_element;
  const float m = rough + sum * per_element, r = 1.0f / sqrtf(sum_of_squares * per_element + eps);
  for (int i = int(threadIdx.x); i < l.elements; i += layer_threads)
    put(y, start + i, activate(l.act, l.column_of(m, r, i).z(to_float(x[i]))), add);
  if (threadIdx.x == 0) {
    mean[blockIdx.x] = m;
    rstd[blockIdx.x] = r;
  }
}

template <class T>
__global__ void __launch_bounds__(layer_threads)
    layer_backward_block(Layer<T> l, const T* dy, const float* mean, const float* rstd, T* dx, bool add) {
  SHARED_ARRAY(float, scratch, [32]);
  const int64_t start = int64_t(blockIdx.x) * l.elements;
  const float m = mean[blockIdx.x], r = rstd[blockIdx.x];
  float sum = 0, sum_xhat = 0;
  for (int i = int(threadIdx.x); i < l.elements; i += layer_threads) {
    const Pair p = l.scaled_gradient(dy, m, r, start, i);
    sum += p.a;
    sum_xhat += p.a * p.b;
  }
  const float mean_dz = block_sum(sum, scratch) / float(l.elements);
  const float mean_dz_xhat = block_sum(sum_xhat, scratch) / float(l.elements);
  for (int i = int(threadIdx.x); i < l.elements; i += layer_threads) {
    const Pair p = l.scaled_gradient(dy, m, r, start, i);
    put(dx, start + i, r * (p.a - mean_dz - p.b * mean_dz_xhat), add);
  }
}

// Grid (channel tiles, chunks of the rows of all groups). sums: (chunks, channels), for parameter_gradients.
template <class T>
__global__ void __launch_bounds__(block_threads)
    layer_parameter_sums(Layer<T> l, const T* dy, const float* mean, const float* rstd, int64_t chunk_rows,
                         Pair* sums) {
  SHARED_ARRAY(Pair, shared, [block_threads]);
  const int c = int(blockIdx.x * blockDim.x + threadIdx.x), rows = l.elements / l.channels;
  const int64_t begin = blockIdx.y * chunk_rows, end = min(begin + chunk_rows, int64_t(l.groups) * rows);
  Pair sum{0, 0};
  if (c < l.channels) {
    for (int64_t row = begin + threadIdx.y; row < end; row += blockDim.y) {
      const int group = int(row / rows);
      const Column col = l.column_of(mean[group], rstd[group], c);
      const float x = to_float(l.x[row * l.channels + c]);
      const float dz = gradient_of_z(col, l.act, x, to_float(dy[row * l.channels + c]));
      sum = sum + Pair{dz, dz * col.xhat(x)};
    }
  }
  sum = sum_of_groups(sum, shared);
  if (c < l.channels && threadIdx.y == 0) sums[int64_t(blockIdx.y) * l.channels + c] = sum;
}

// ---- 7 Launchers ---------------------------------------------------------------------------------------

template <class T>
Forward<T> parameters_of(const NormFwd& o) {
  return {o.size.segments,
          o.size.rows,
          o.size.channels,
          float(o.size.eps),
          float(o.momentum),
          o.x.as<T>(),
          o.gamma.as<float>(),
          o.beta.as<float>(),
          o.act,
          o.y.as<T>(),
          o.y.acc == Acc::add,
          o.mean.as<float>(),
          o.rstd.as<float>(),
          o.running_mean.as<float>(),
          o.running_var.as<float>()};
}

template <class T>
Backward<T> parameters_of(const NormBwd& o) {
  return {o.size.segments,
          o.size.rows,
          o.size.channels,
          o.x.as<T>(),
          o.dy.as<T>(),
          o.gamma.as<float>(),
          o.beta.as<float>(),
          o.mean.as<float>(),
          o.rstd.as<float>(),
          o.act,
          o.dx.as<T>(),
          o.dx.acc == Acc::add,
          o.dgamma.as<float>(),
          o.dbeta.as<float>(),
          o.dgamma.acc == Acc::add,
          o.dbeta.acc == Acc::add};
}

unsigned grid_yz(int64_t wanted) { return unsigned(std::min<int64_t>(wanted, 65535)); }

// Running statistics move once per segment, in order: one block has to take all segments then.
template <class T>
unsigned statistics_blocks(const Forward<T>& f) {
  return f.running_mean ? 1 : grid_yz(f.segments);
}

template <class T>
void launch_parameter_gradients(const Backward<T>& b, const Pair* sums, Stream& stream) {
  if (b.dgamma || b.dbeta)
    launch(parameter_gradients, grid_for(b.channels), block_threads, 0, handle_of(stream), b.segments,
           b.channels, sums, b.dgamma, b.add_dgamma, b.dbeta, b.add_dbeta);
}

void run_forward_naive(const NormFwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    launch(forward_naive<T>, ceil_div(o.size.channels, 32), 32, 0, handle_of(stream), parameters_of<T>(o));
  });
}
void run_backward_naive(const NormBwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    launch(backward_naive<T>, ceil_div(o.size.channels, 32), 32, 0, handle_of(stream), parameters_of<T>(o));
  });
}

void run_forward_block(const NormFwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    const Forward<T> f = parameters_of<T>(o);
    const ColumnTiles t(f.rows, f.channels, large_block_threads, 1);
    launch(forward_block<T>, dim3(t.tiles, statistics_blocks(f)), t.block, 0, handle_of(stream), f);
  });
}
void run_backward_block(const NormBwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    const Backward<T> b = parameters_of<T>(o);
    const ColumnTiles t(b.rows, b.channels, large_block_threads, 1);
    Pair* sums = static_cast<Pair*>(stream.scratch(size_t(b.segments) * b.channels * sizeof(Pair)));
    launch(backward_block<T>, dim3(t.tiles, grid_yz(b.segments)), t.block, 0, handle_of(stream), b, sums);
    launch_parameter_gradients(b, sums, stream);
  });
}

constexpr int64_t max_chunks = 256;

void run_forward_split(const NormFwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    const Forward<T> f = parameters_of<T>(o);
    const ColumnTiles t(f.rows, f.channels, block_threads, max_chunks);
    const dim3 grid(t.tiles, unsigned(t.chunks), grid_yz(f.segments));
    Moments* moments =
        static_cast<Moments*>(stream.scratch(size_t(f.segments) * t.chunks * f.channels * sizeof(Moments)));
    launch(forward_moments<T>, grid, t.block, 0, handle_of(stream), f, t.chunk_rows, moments);
    launch(forward_statistics<T>, dim3(t.tiles, statistics_blocks(f)), t.block, 0, handle_of(stream), f,
           int(t.chunks), moments);
    launch(forward_normalise<T>, grid, t.block, 0, handle_of(stream), f, t.chunk_rows);
  });
}
void run_backward_split(const NormBwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    const Backward<T> b = parameters_of<T>(o);
    const ColumnTiles t(b.rows, b.channels, block_threads, max_chunks);
    const dim3 grid(t.tiles, unsigned(t.chunks), grid_yz(b.segments));
    const size_t columns = size_t(b.segments) * b.channels;
    Pair* chunk_sums = static_cast<Pair*>(stream.scratch(columns * (t.chunks + 1) * sizeof(Pair)));
    Pair* sums = chunk_sums + columns * t.chunks;  // (segments, channels)
    launch(backward_sums<T>, grid, t.block, 0, handle_of(stream), b, t.chunk_rows, chunk_sums);
    launch(backward_join, dim3(t.tiles, grid.z), t.block, 0, handle_of(stream), b.segments, b.channels,
           int(t.chunks), chunk_sums, sums);
    if (b.dx) launch(backward_input<T>, grid, t.block, 0, handle_of(stream), b, t.chunk_rows, sums);
    launch_parameter_gradients(b, sums, stream);
  });
}

void run_infer_naive(const NormInfer& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    launch(infer_naive<T>, grid_for(o.rows * o.channels), block_threads, 0, handle_of(stream),
           o.rows * o.channels, o.channels, float(o.eps), o.x.as<T>(), o.gamma.as<float>(),
           o.beta.as<float>(), o.mean.as<float>(), o.var.as<float>(), o.act, o.y.as<T>(),
           o.y.acc == Acc::add);
  });
}
void run_infer_tiles(const NormInfer& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    Forward<T> f{};
    f.segments = 1, f.rows = o.rows, f.channels = o.channels, f.eps = float(o.eps);
    f.x = o.x.as<T>(), f.gamma = o.gamma.as<float>(), f.beta = o.beta.as<float>(), f.act = o.act,
    f.y = o.y.as<T>(), f.add_y = o.y.acc == Acc::add;
    const ColumnTiles t(f.rows, f.channels, block_threads, 4096);
    launch(infer_tiles<T>, dim3(t.tiles, unsigned(t.chunks)), t.block, 0, handle_of(stream), f,
           o.mean.as<float>(), o.var.as<float>(), t.chunk_rows);
  });
}

// ---- 8 Variants ----------------------------------------------------------------------------------------

template <class T, class Args>  // LayerNormFwd, LayerNormBwd
Layer<T> parameters_of(const Args& o) {
  return {o.size.groups,
          int(o.size.elements()),
          o.size.channels,
          o.x.template as<T>(),
          o.gamma.template as<float>(),
          o.beta.template as<float>(),
          o.act};
}

template <bool naive>
void run_layer_forward(const LayerNormFwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    const Layer<T> l = parameters_of<T>(o);
    const auto start = [&](auto kernel, dim3 grid, dim3 block) {
      launch(kernel, grid, block, 0, handle_of(stream), l, float(o.size.eps), o.y.as<T>(),
             o.y.acc == Acc::add, o.mean.as<float>(), o.rstd.as<float>());
    };
    if (naive) start(layer_forward_naive<T>, ceil_div(l.groups, 32), 32);
    else start(layer_forward_block<T>, l.groups, layer_threads);
  });
}

template <bool naive>
void run_layer_backward(const LayerNormBwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    const Layer<T> l = parameters_of<T>(o);
    const T* dy = o.dy.as<T>();
    const float *mean = o.mean.as<float>(), *rstd = o.rstd.as<float>();
    float *dgamma = o.dgamma.as<float>(), *dbeta = o.dbeta.as<float>();
    T* dx = o.dx.as<T>();
    const bool add_dgamma = o.dgamma.acc == Acc::add, add_dbeta = o.dbeta.acc == Acc::add;
    if (dx) {
      const auto start = [&](auto kernel, dim3 grid, dim3 block) {
        launch(kernel, grid, block, 0, handle_of(stream), l, dy, mean, rstd, dx, o.dx.acc == Acc::add);
      };
      if (naive) start(layer_backward_naive<T>, ceil_div(l.groups, 32), 32);
      else start(layer_backward_block<T>, l.groups, layer_threads);
    }
    if (!dgamma && !dbeta) return;
    if (naive) {
      launch(layer_parameters_naive<T>, ceil_div(l.channels, 32), 32, 0, handle_of(stream), l, dy, mean, rstd,
             dgamma, add_dgamma, dbeta, add_dbeta);
      return;
    }
    const ColumnTiles t(o.size.groups * o.size.rows, l.channels, block_threads, max_chunks);
    Pair* sums = static_cast<Pair*>(stream.scratch(size_t(t.chunks) * l.channels * sizeof(Pair)));
    launch(layer_parameter_sums<T>, dim3(t.tiles, unsigned(t.chunks)), t.block, 0, handle_of(stream), l, dy,
           mean, rstd, t.chunk_rows, sums);
    launch(parameter_gradients, grid_for(l.channels), block_threads, 0, handle_of(stream), int(t.chunks),
           l.channels, sums, dgamma, add_dgamma, dbeta, add_dbeta);
  });
}

constexpr int64_t split_from_rows = 1024;  // fewer rows are too little work for three launches
template <class Args>
const char* fits_split(const Args& o) {
  return o.size.rows >= split_from_rows ? nullptr : "fewer than 1024 rows";
}

const Variant<NormFwd> forward_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<NormFwd>, run_forward_naive},
    {"block", "f32 bf16", "any size", fits_any<NormFwd>, run_forward_block},
    {"split", "f32 bf16", "1024 rows or more", fits_split<NormFwd>, run_forward_split},
};
const Variant<NormInfer> infer_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<NormInfer>, run_infer_naive},
    {"tiles", "f32 bf16", "any size", fits_any<NormInfer>, run_infer_tiles},
};
const Variant<NormBwd> backward_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<NormBwd>, run_backward_naive},
    {"block", "f32 bf16", "any size", fits_any<NormBwd>, run_backward_block},
    {"split", "f32 bf16", "1024 rows or more", fits_split<NormBwd>, run_backward_split},
};

const Variant<LayerNormFwd> layer_forward_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<LayerNormFwd>, run_layer_forward<true>},
    {"block", "f32 bf16", "any size", fits_any<LayerNormFwd>, run_layer_forward<false>},
};
const Variant<LayerNormBwd> layer_backward_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<LayerNormBwd>, run_layer_backward<true>},
    {"block", "f32 bf16", "any size", fits_any<LayerNormBwd>, run_layer_backward<false>},
};

}  // namespace

const NormTable norm = {{forward_variants},
                        {infer_variants},
                        {backward_variants},
                        {layer_forward_variants},
                        {layer_backward_variants}};

}  // namespace gan::GAN_GPU
