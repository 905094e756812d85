// Batch and instance normalisation with the activation that follows (Ioffe & Szegedy 2015; Ulyanov et al. 2016).
//
// x is `segments` matrices (rows, channels); each column of each matrix is normalised by its own statistics:
//   xhat = (x - mean) * rstd      mean, variance over the rows, rstd = 1 / sqrt(variance + eps)
//   z = gamma * xhat + beta       y = act(z)
// Backwards, with dz = dy * act'(z):
//   dbeta = sum dz      dgamma = sum dz * xhat
//   dx = gamma * rstd * (dz - mean of dz - xhat * mean of (dz * xhat))
//
// Read on: 1 what all kernels share, 2 naive: one thread per channel, 3 block: one block per matrix and up to
// 32 channels, 4 split: the rows of a matrix go to many blocks, in two launches, 5 inference, 6 launchers, 7 the
// list of variants. Layer norm, which has one mean and variance for a whole matrix, is in layer_norm.cu.
//
// Precision: a mean far larger than the deviation costs no digits. The naive rung sums in double; the others
// take values relative to a rough mean before they sum.
#include "kernels/gpu/norm.cuh"

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
  double per_row;                     // 1 / rows: a division in double costs a GPU many registers
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

// The mean and 1 / sqrt(variance + eps) of a column.
struct Statistics {
  float mean, rstd;
};

// sum_of_squares: of the differences from the mean. Stores what is known of the column, where `store`: running
// statistics move once per segment, in order.
template <class T>
__device__ Statistics statistics_of(const Forward<T>& f, int segment, int c, float mean, float sum_of_squares,
                                    bool store) {
  const float rows = float(f.rows), variance = sum_of_squares / rows;
  const Statistics statistics{mean, 1.0f / sqrtf(variance + f.eps)};
  if (!store) return statistics;
  const int64_t at = int64_t(segment) * f.channels + c;
  f.mean[at] = statistics.mean;
  f.rstd[at] = statistics.rstd;
  if (f.running_mean) {
    const float unbiased = f.rows > 1 ? sum_of_squares / (rows - 1.0f) : variance;
    f.running_mean[c] = (1.0f - f.momentum) * f.running_mean[c] + f.momentum * mean;
    f.running_var[c] = (1.0f - f.momentum) * f.running_var[c] + f.momentum * unbiased;
  }
  return statistics;
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
    statistics_of(f, segment, c, float(mean), float(sum_of_squares), true);
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
// The threads of a block are (lanes, groups of rows); see "Columns" in family.cuh. A lane is `width` neighbouring
// channels, four where the addresses allow it: one access to memory brings all of them. A warp reads neighbouring
// channels of few rows, and the second walk through the rows finds them in the cache.

template <int width>
struct Values {
  float v[width];
};
template <int width, class T>
__device__ __forceinline__ Values<width> load(const T* from) {
  if constexpr (width == 1) return {{to_float(*from)}};
  else {
    const Four four = load_four(from);
    return {{four.v[0], four.v[1], four.v[2], four.v[3]}};
  }
}
template <int width, class T>
__device__ __forceinline__ void put_values(T* to, Values<width> values, bool add) {
  if constexpr (width == 1) put(to, 0, values.v[0], add);
  else {
    Four four{{values.v[0], values.v[1], values.v[2], values.v[3]}};
    if (add) {
      const Four before = load_four(to);
#pragma unroll
      for (int j = 0; j < 4; ++j) four.v[j] += before.v[j];
    }
    store_four(to, four);
  }
}

// Of each channel of a lane: count, sum and sum of squared differences from the mean of some values. Two of these
// make one without going back to the values and without cancellation (Chan, Golub & LeVeque 1979, eq. 2.1).
template <int width>
struct Moments {
  float count, sum[width], sum_of_squares[width];
};
template <int width>
__device__ Moments<width> operator+(const Moments<width>& a, const Moments<width>& b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  Moments<width> both;
  both.count = a.count + b.count;
  const float per_a = 1.0f / a.count, per_b = 1.0f / b.count, weight = a.count * (b.count / both.count);
#pragma unroll
  for (int j = 0; j < width; ++j) {
    const float difference = b.sum[j] * per_b - a.sum[j] * per_a;
    both.sum[j] = a.sum[j] + b.sum[j];
    both.sum_of_squares[j] = a.sum_of_squares[j] + b.sum_of_squares[j] + difference * difference * weight;
  }
  return both;
}

// (sum dz, sum dz * xhat) of each channel of a lane.
template <int width>
struct GradientSums {
  float dz[width], dz_xhat[width];
};
template <int width>
__device__ GradientSums<width> operator+(GradientSums<width> a, const GradientSums<width>& b) {
#pragma unroll
  for (int j = 0; j < width; ++j) {
    a.dz[j] += b.dz[j];
    a.dz_xhat[j] += b.dz_xhat[j];
  }
  return a;
}

// A thread's part of a matrix: rows begin, begin + step, ... < end of `width` channels from c on.
struct Part {
  int c;
  int64_t begin, end;
  int step;
};
// This thread's part of rows first ... last - 1.
template <int width>
__device__ Part part_of(int64_t first, int64_t last) {
  return {int(blockIdx.x * blockDim.x + threadIdx.x) * width, first + threadIdx.y, last, int(blockDim.y)};
}

// A rough mean of the lane's columns of the matrix x, from four rows: sums of differences from it stay small.
template <int width, class T>
__device__ Values<width> reference_of(const T* x, int64_t rows, int channels, int c) {
  Values<width> sum{};
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    const Values<width> value = load<width>(x + rows * k / 4 * channels + c);
#pragma unroll
    for (int j = 0; j < width; ++j) sum.v[j] += 0.25f * value.v[j];
  }
  return sum;
}

// How many rows a thread loads before it uses the first one: that many loads are under way together.
template <int width>
constexpr int rows_at_once = width == 1 ? 8 : 4;

// The moments of a part of the matrix x (rows, channels), relative to `reference`. Some values at a time lie in
// registers: their mean and squares are found in two passes there, then joined to what is known so far.
template <int width, class T>
__device__ Moments<width> moments_of(const T* x, const Part& part, int channels,
                                     const Values<width>& reference) {
  constexpr int at_once = rows_at_once<width>;
  Moments<width> total{};
  for (int64_t row = part.begin; row < part.end; row += int64_t{at_once} * part.step) {
    Values<width> value[at_once];
    Moments<width> now{};
#pragma unroll
    for (int k = 0; k < at_once; ++k) {
      const int64_t r = row + int64_t(k) * part.step;
      value[k] = r < part.end ? load<width>(x + r * channels + part.c) : reference;
      now.count += r < part.end ? 1.0f : 0.0f;
    }
    const float per_value = 1.0f / now.count;
#pragma unroll
    for (int j = 0; j < width; ++j) {
#pragma unroll
      for (int k = 0; k < at_once; ++k) now.sum[j] += value[k].v[j] -= reference.v[j];
      const float mean = now.sum[j] * per_value;
#pragma unroll
      for (int k = 0; k < at_once; ++k) {
        const float difference = float(k) < now.count ? value[k].v[j] - mean : 0.0f;
        now.sum_of_squares[j] += difference * difference;
      }
    }
    total = total + now;
  }
  return total;
}

// What is left when all rows of a column have been joined; the moments are relative to the reference. One
// addition in double keeps what is left when that and the mean of the differences cancel.
template <int width, class T>
__device__ void statistics_of_lane(const Forward<T>& f, int segment, int c, const Moments<width>& moments,
                                   bool store, Statistics* statistics) {
  const Values<width> reference =
      reference_of<width>(f.x + segment * f.rows * f.channels, f.rows, f.channels, c);
#pragma unroll
  for (int j = 0; j < width; ++j) {
    const double mean = double(reference.v[j]) + double(moments.sum[j]) * f.per_row;
    // Member by member: the race detector does not see what a call writes as its result.
    const Statistics known = statistics_of(f, segment, c + j, float(mean), moments.sum_of_squares[j], store);
    statistics[j].mean = known.mean;
    statistics[j].rstd = known.rstd;
  }
}

// What the channels of a lane do to their values.
template <int width>
struct Columns {
  Column v[width];
};
template <int width>
__device__ Columns<width> columns_of(const Statistics* statistics, const float* gamma, const float* beta,
                                     int c) {
  Columns<width> columns;
#pragma unroll
  for (int j = 0; j < width; ++j)
    columns.v[j] = {statistics[j].mean, statistics[j].rstd, gamma ? gamma[c + j] : 1.0f,
                    beta ? beta[c + j] : 0.0f};
  return columns;
}
template <int width, class T>
__device__ Columns<width> columns_of(const Backward<T>& b, int segment, int c) {
  Columns<width> columns;
#pragma unroll
  for (int j = 0; j < width; ++j)
    columns.v[j] = column(b.mean, b.rstd, b.gamma, b.beta, int64_t(segment) * b.channels + c + j, c + j);
  return columns;
}

// x, y: the matrix.
template <int width, class T>
__device__ void normalise(const Forward<T>& f, const Columns<width>& columns, const T* x, T* y,
                          const Part& part) {
  constexpr int at_once = rows_at_once<width>;
  const int64_t stride = int64_t{part.step} * f.channels;
  for (int64_t row = part.begin; row < part.end; row += int64_t{at_once} * part.step) {
    const int64_t first = row * f.channels + part.c;
    Values<width> value[at_once];
#pragma unroll
    for (int k = 0; k < at_once; ++k)
      if (row + int64_t(k) * part.step < part.end) value[k] = load<width>(x + first + k * stride);
#pragma unroll
    for (int k = 0; k < at_once; ++k)
      if (row + int64_t(k) * part.step < part.end) {
#pragma unroll
        for (int j = 0; j < width; ++j) value[k].v[j] = activate(f.act, columns.v[j].z(value[k].v[j]));
        put_values<width>(y + first + k * stride, value[k], f.add_y);
      }
  }
}

// x, dy: the matrix.
template <int width, class T>
__device__ GradientSums<width> gradient_sums_of(const Backward<T>& b, const Columns<width>& columns,
                                                const T* x, const T* dy, const Part& part) {
  GradientSums<width> sums{};
#pragma unroll 4
  for (int64_t row = part.begin; row < part.end; row += part.step) {
    const int64_t i = row * b.channels + part.c;
    const Values<width> xs = load<width>(x + i), dys = load<width>(dy + i);
#pragma unroll
    for (int j = 0; j < width; ++j) {
      const float dz = gradient_of_z(columns.v[j], b.act, xs.v[j], dys.v[j]);
      sums.dz[j] += dz;
      sums.dz_xhat[j] += dz * columns.v[j].xhat(xs.v[j]);
    }
  }
  return sums;
}

// x, dy, dx: the matrix. sums: over all of its rows.
template <int width, class T>
__device__ void input_gradient(const Backward<T>& b, const Columns<width>& columns,
                               const GradientSums<width>& sums, const T* x, const T* dy, T* dx,
                               const Part& part) {
  constexpr int at_once = rows_at_once<width> / 2;  // two inputs
  float scale[width], mean_dz[width], mean_dz_xhat[width];
#pragma unroll
  for (int j = 0; j < width; ++j) {
    scale[j] = columns.v[j].gamma * columns.v[j].rstd;
    mean_dz[j] = sums.dz[j] / float(b.rows);
    mean_dz_xhat[j] = sums.dz_xhat[j] / float(b.rows);
  }
  const int64_t stride = int64_t{part.step} * b.channels;
  for (int64_t row = part.begin; row < part.end; row += int64_t{at_once} * part.step) {
    const int64_t first = row * b.channels + part.c;
    Values<width> xs[at_once], dys[at_once];
#pragma unroll
    for (int k = 0; k < at_once; ++k)
      if (row + int64_t(k) * part.step < part.end) {
        xs[k] = load<width>(x + first + k * stride);
        dys[k] = load<width>(dy + first + k * stride);
      }
#pragma unroll
    for (int k = 0; k < at_once; ++k)
      if (row + int64_t(k) * part.step < part.end) {
#pragma unroll
        for (int j = 0; j < width; ++j) {
          const Column& col = columns.v[j];
          const float dz = gradient_of_z(col, b.act, xs[k].v[j], dys[k].v[j]);
          xs[k].v[j] = scale[j] * (dz - mean_dz[j] - col.xhat(xs[k].v[j]) * mean_dz_xhat[j]);
        }
        put_values<width>(dx + first + k * stride, xs[k], b.add_dx);
      }
  }
}

// total: the sums over all rows of all segments.
template <int width, class T>
__device__ void put_parameter_gradients(const Backward<T>& b, int c, const GradientSums<width>& total) {
#pragma unroll
  for (int j = 0; j < width; ++j) {
    if (b.dgamma) put(b.dgamma, c + j, total.dz_xhat[j], b.add_dgamma);
    if (b.dbeta) put(b.dbeta, c + j, total.dz[j], b.add_dbeta);
  }
}

constexpr int norm_threads = 512;  // of a block, for up to 128 registers each

// Grid (channel tiles, segments). With running statistics grid.y is 1 and the block takes the segments in
// order.
template <int width, class T>
__global__ void __launch_bounds__(norm_threads) forward_block(Forward<T> f) {
  SHARED_ARRAY(Moments<width>, shared, [norm_threads]);
  SHARED_ARRAY(Statistics, statistics, [32]);
  const Part part = part_of<width>(0, f.rows);
  const bool inside = part.c < f.channels;
  for (int segment = int(blockIdx.y); segment < f.segments; segment += int(gridDim.y)) {
    const int64_t start = segment * f.rows * f.channels;
    Moments<width> moments{};
    if (inside)
      moments = moments_of<width>(f.x + start, part, f.channels,
                                  reference_of<width>(f.x + start, f.rows, f.channels, part.c));
    moments = sum_of_groups(moments, shared);
    if (inside && threadIdx.y == 0)
      statistics_of_lane<width>(f, segment, part.c, moments, true, statistics + threadIdx.x * width);
    __syncthreads();  // the statistics are there, for all groups
    if (inside)
      normalise<width>(f, columns_of<width>(statistics + threadIdx.x * width, f.gamma, f.beta, part.c),
                       f.x + start, f.y + start, part);
  }
}

// Grid (channel tiles, segments). Where gradients of the parameters are wanted, grid.y is 1 and the block takes
// the segments in order.
template <int width, class T>
__global__ void __launch_bounds__(norm_threads) backward_block(Backward<T> b) {
  SHARED_ARRAY(GradientSums<width>, shared, [norm_threads]);
  const Part part = part_of<width>(0, b.rows);
  const bool inside = part.c < b.channels;
  GradientSums<width> total{};
  for (int segment = int(blockIdx.y); segment < b.segments; segment += int(gridDim.y)) {
    const int64_t start = segment * b.rows * b.channels;
    Columns<width> columns{};
    GradientSums<width> sums{};
    if (inside) {
      columns = columns_of<width>(b, segment, part.c);
      sums = gradient_sums_of<width>(b, columns, b.x + start, b.dy + start, part);
    }
    sums = sum_of_groups(sums, shared);
    if (inside && b.dx)
      input_gradient<width>(b, columns, sums, b.x + start, b.dy + start, b.dx + start, part);
    total = total + sums;
  }
  if (inside && threadIdx.y == 0) put_parameter_gradients<width>(b, part.c, total);
}

// ---- 4 split: the rows of a matrix go to many blocks ---------------------------------------------------
// Batch norm has few channels and very many rows: one block per 32 channels would leave most of a GPU idle.
// So each block takes a chunk of rows and leaves its sums behind; in a second launch each block joins the sums of
// all chunks of its channels, which are few, before it works on its chunk. So no launch stands between the two only
// to join. Grids are (channel tiles, chunks, segments).

// The rows of this block's chunk.
template <int width>
__device__ Part chunk_part(int64_t chunk_rows, int64_t rows) {
  const int64_t begin = blockIdx.y * chunk_rows;
  return part_of<width>(begin, min(begin + chunk_rows, rows));
}

// The sum over the chunks of one lane, in every thread: the groups of the block share the work.
// chunk_sums: (chunks, lanes) of this segment
template <class V>
__device__ V sum_of_chunks(const V* chunk_sums, int chunks, int lanes, V* shared) {
  const int lane = int(blockIdx.x * blockDim.x + threadIdx.x);
  V sum{};
  if (lane < lanes)
    for (int chunk = int(threadIdx.y); chunk < chunks; chunk += int(blockDim.y))
      sum = sum + chunk_sums[int64_t(chunk) * lanes + lane];
  return sum_of_groups(sum, shared);
}

// Leaves a block's sum behind. chunk_sums: (segments, chunks, lanes)
template <class V>
__device__ void store_chunk(V* chunk_sums, int segment, int lanes, const V& sum) {
  const int lane = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (lane < lanes && threadIdx.y == 0)
    chunk_sums[(int64_t(segment) * gridDim.y + blockIdx.y) * lanes + lane] = sum;
}

template <int width, class T>
__global__ void __launch_bounds__(norm_threads)
    forward_moments(Forward<T> f, int64_t chunk_rows, Moments<width>* moments) {
  SHARED_ARRAY(Moments<width>, shared, [norm_threads]);
  const Part part = chunk_part<width>(chunk_rows, f.rows);
  for (int segment = int(blockIdx.z); segment < f.segments; segment += int(gridDim.z)) {
    const T* x = f.x + segment * f.rows * f.channels;
    Moments<width> mine{};
    if (part.c < f.channels)
      mine = moments_of<width>(x, part, f.channels, reference_of<width>(x, f.rows, f.channels, part.c));
    store_chunk(moments, segment, f.channels / width, sum_of_groups(mine, shared));
  }
}

// As in forward_block, running statistics want the segments in order.
template <int width, class T>
__global__ void __launch_bounds__(norm_threads)
    forward_normalise(Forward<T> f, int64_t chunk_rows, int chunks, const Moments<width>* moments) {
  SHARED_ARRAY(Moments<width>, shared, [norm_threads]);
  SHARED_ARRAY(Statistics, statistics, [32]);
  const Part part = chunk_part<width>(chunk_rows, f.rows);
  const int lanes = f.channels / width;
  const bool inside = part.c < f.channels;
  for (int segment = int(blockIdx.z); segment < f.segments; segment += int(gridDim.z)) {
    const Moments<width> all =
        sum_of_chunks(moments + int64_t(segment) * chunks * lanes, chunks, lanes, shared);
    if (inside && threadIdx.y == 0)  // the first chunk stores them for all
      statistics_of_lane<width>(f, segment, part.c, all, blockIdx.y == 0, statistics + threadIdx.x * width);
    __syncthreads();  // the statistics are there, for all groups
    const int64_t start = segment * f.rows * f.channels;
    if (inside)
      normalise<width>(f, columns_of<width>(statistics + threadIdx.x * width, f.gamma, f.beta, part.c),
                       f.x + start, f.y + start, part);
  }
}

template <int width, class T>
__global__ void __launch_bounds__(norm_threads)
    backward_sums(Backward<T> b, int64_t chunk_rows, GradientSums<width>* chunk_sums) {
  SHARED_ARRAY(GradientSums<width>, shared, [norm_threads]);
  const Part part = chunk_part<width>(chunk_rows, b.rows);
  for (int segment = int(blockIdx.z); segment < b.segments; segment += int(gridDim.z)) {
    const int64_t start = segment * b.rows * b.channels;
    GradientSums<width> mine{};
    if (part.c < b.channels)
      mine =
          gradient_sums_of<width>(b, columns_of<width>(b, segment, part.c), b.x + start, b.dy + start, part);
    store_chunk(chunk_sums, segment, b.channels / width, sum_of_groups(mine, shared));
  }
}

// As in backward_block, gradients of the parameters want the segments in order; without dx there is one block for
// each channel tile.
template <int width, class T>
__global__ void __launch_bounds__(norm_threads)
    backward_input(Backward<T> b, int64_t chunk_rows, int chunks, const GradientSums<width>* chunk_sums) {
  SHARED_ARRAY(GradientSums<width>, shared, [norm_threads]);
  const Part part = chunk_part<width>(chunk_rows, b.rows);
  const int lanes = b.channels / width;
  const bool inside = part.c < b.channels;
  GradientSums<width> total{};
  for (int segment = int(blockIdx.z); segment < b.segments; segment += int(gridDim.z)) {
    const GradientSums<width> sums =
        sum_of_chunks(chunk_sums + int64_t(segment) * chunks * lanes, chunks, lanes, shared);
    const int64_t start = segment * b.rows * b.channels;
    if (inside && b.dx)
      input_gradient<width>(b, columns_of<width>(b, segment, part.c), sums, b.x + start, b.dy + start,
                            b.dx + start, part);
    total = total + sums;
  }
  if (inside && threadIdx.y == 0 && blockIdx.y == 0) put_parameter_gradients<width>(b, part.c, total);
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

// tiles: a thread stays with its channels, so the square root and the division by `channels` are done once.
// f carries the sizes, x, y, gamma and beta; it has no statistics.
template <int width, class T>
__global__ void __launch_bounds__(norm_threads)
    infer_tiles(Forward<T> f, const float* mean, const float* var, int64_t chunk_rows) {
  const Part part = chunk_part<width>(chunk_rows, f.rows);
  if (part.c >= f.channels) return;
  Statistics statistics[width];
#pragma unroll
  for (int j = 0; j < width; ++j) statistics[j] = {mean[part.c + j], 1.0f / sqrtf(var[part.c + j] + f.eps)};
  normalise<width>(f, columns_of<width>(statistics, f.gamma, f.beta, part.c), f.x, f.y, part);
}

// ---- 6 Launchers ---------------------------------------------------------------------------------------

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
          o.running_var.as<float>(),
          1.0 / double(o.size.rows)};
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

// Calls f with the number of channels of a lane: four where every address of a row is one of four elements.
template <class F>
void with_width(int channels, std::initializer_list<const void*> addresses, F&& f) {
  if (channels % 4 == 0 && aligned_for_four(addresses)) f(std::integral_constant<int, 4>{});
  else f(std::integral_constant<int, 1>{});
}

// How the columns of a matrix are dealt to blocks of `threads` threads, up to 32 channels to each. A pure function
// of the sizes, never of the GPU, so that sums come out the same everywhere.
struct Tiles {
  dim3 block;      // (lanes, groups)
  unsigned tiles;  // blocks side by side: over the channels
  int64_t chunk_rows = 0;
  unsigned chunks = 1;  // blocks one above the other: over the rows

  Tiles(int64_t rows, int channels, int width, unsigned threads) : chunk_rows(rows) {
    unsigned lanes = 1;
    while (lanes < 32u / unsigned(width) && int(lanes) * width < channels) lanes *= 2;
    block = dim3(lanes, threads / lanes);
    tiles = unsigned(ceil_div(channels, int(lanes) * width));
  }
  // Rows go to several blocks: as many as one group loads at once to each group at least, or the blocks would do
  // little but add up their groups.
  void split(int64_t rows, int width, int64_t max_chunks) {
    const int64_t at_once = width == 1 ? rows_at_once<1> : rows_at_once<4>;
    chunk_rows = std::max<int64_t>(at_once * block.y, ceil_div(rows, max_chunks));
    chunks = unsigned(ceil_div(rows, chunk_rows));
  }
};

unsigned grid_yz(int64_t wanted) { return unsigned(std::min<int64_t>(wanted, 65535)); }

// Where something moves once per segment, in order, one block has to take all segments.
template <class T>
unsigned segment_blocks(const Forward<T>& f) {
  return f.running_mean ? 1 : grid_yz(f.segments);
}
template <class T>
unsigned segment_blocks(const Backward<T>& b) {
  return b.dgamma || b.dbeta ? 1 : grid_yz(b.segments);
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
    with_width(f.channels, {f.x, f.y}, [&]<int width>(std::integral_constant<int, width>) {
      const Tiles t(f.rows, f.channels, width, norm_threads);
      launch(forward_block<width, T>, dim3(t.tiles, segment_blocks(f)), t.block, 0, handle_of(stream), f);
    });
  });
}
void run_backward_block(const NormBwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    const Backward<T> b = parameters_of<T>(o);
    with_width(b.channels, {b.x, b.dy, b.dx}, [&]<int width>(std::integral_constant<int, width>) {
      const Tiles t(b.rows, b.channels, width, norm_threads);
      launch(backward_block<width, T>, dim3(t.tiles, segment_blocks(b)), t.block, 0, handle_of(stream), b);
    });
  });
}

// Every block of the second launch reads the sums of all chunks of its channels. So there are few chunks, fewer
// where channels and segments make many blocks already: some 512 blocks keep any GPU busy.
int64_t most_chunks(const Tiles& t, int64_t segment_blocks) {
  return std::clamp<int64_t>(512 / (t.tiles * segment_blocks), 8, 64);
}

void run_forward_split(const NormFwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    const Forward<T> f = parameters_of<T>(o);
    with_width(f.channels, {f.x, f.y}, [&]<int width>(std::integral_constant<int, width>) {
      Tiles t(f.rows, f.channels, width, norm_threads);
      t.split(f.rows, width, most_chunks(t, segment_blocks(f)));
      auto* moments = static_cast<Moments<width>*>(
          stream.scratch(size_t(f.segments) * t.chunks * (f.channels / width) * sizeof(Moments<width>)));
      launch(forward_moments<width, T>, dim3(t.tiles, t.chunks, grid_yz(f.segments)), t.block, 0,
             handle_of(stream), f, t.chunk_rows, moments);
      launch(forward_normalise<width, T>, dim3(t.tiles, t.chunks, segment_blocks(f)), t.block, 0,
             handle_of(stream), f, t.chunk_rows, int(t.chunks), moments);
    });
  });
}
void run_backward_split(const NormBwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    const Backward<T> b = parameters_of<T>(o);
    if (!b.dx && !b.dgamma && !b.dbeta) return;
    with_width(b.channels, {b.x, b.dy, b.dx}, [&]<int width>(std::integral_constant<int, width>) {
      Tiles t(b.rows, b.channels, width, norm_threads);
      t.split(b.rows, width, most_chunks(t, segment_blocks(b)));
      auto* chunk_sums = static_cast<GradientSums<width>*>(
          stream.scratch(size_t(b.segments) * t.chunks * (b.channels / width) * sizeof(GradientSums<width>)));
      launch(backward_sums<width, T>, dim3(t.tiles, t.chunks, grid_yz(b.segments)), t.block, 0,
             handle_of(stream), b, t.chunk_rows, chunk_sums);
      launch(backward_input<width, T>, dim3(t.tiles, b.dx ? t.chunks : 1, segment_blocks(b)), t.block, 0,
             handle_of(stream), b, t.chunk_rows, int(t.chunks), chunk_sums);
    });
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
    with_width(f.channels, {f.x, f.y}, [&]<int width>(std::integral_constant<int, width>) {
      Tiles t(f.rows, f.channels, width, norm_threads);
      t.split(f.rows, width, 4096);
      launch(infer_tiles<width, T>, dim3(t.tiles, t.chunks), t.block, 0, handle_of(stream), f,
             o.mean.as<float>(), o.var.as<float>(), t.chunk_rows);
    });
  });
}

// ---- 7 Variants ----------------------------------------------------------------------------------------

constexpr int64_t split_from_rows = 1024;  // fewer rows are too little work for two launches
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
    {"naive", "f32 bf16", "any size", fits_any<LayerNormFwd>, layer_forward_naive},
    {"block", "f32 bf16", "any size", fits_any<LayerNormFwd>, layer_forward_block},
};
const Variant<LayerNormBwd> layer_backward_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<LayerNormBwd>, layer_backward_naive},
    {"block", "f32 bf16", "any size", fits_any<LayerNormBwd>, layer_backward_block},
};

const char* fits_spectral_split(const SpectralSize& size) {
  return size.count() >= 16384 ? nullptr : "fewer than 16384 weights, work for one block";
}
const Variant<SpectralNormFwd> spectral_forward_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<SpectralNormFwd>, spectral_forward_naive},
    {"split", "f32 bf16", "16384 weights or more",
     [](const SpectralNormFwd& o) { return fits_spectral_split(o.size); }, spectral_forward_split},
};
const Variant<SpectralNormBwd> spectral_backward_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<SpectralNormBwd>, spectral_backward_naive},
    {"split", "f32 bf16", "16384 weights or more",
     [](const SpectralNormBwd& o) { return fits_spectral_split(o.size); }, spectral_backward_split},
};

}  // namespace

const NormTable norm = {{forward_variants},          {infer_variants},          {backward_variants},
                        {layer_forward_variants},    {layer_backward_variants}, {spectral_forward_variants},
                        {spectral_backward_variants}};

}  // namespace gan::GAN_GPU
