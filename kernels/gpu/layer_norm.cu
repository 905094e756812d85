// Layer normalisation with the activation that follows (Ba et al. 2016): a group is normalised as one, gamma and beta
// are per channel. With m(.) the mean over a group and the names of norm.cu:
//   dx = rstd * (gamma dz - m(gamma dz) - xhat * m(gamma dz xhat))
//
// Read on: 1 what all kernels share, 2 naive: one thread per group, and one per channel for dgamma and dbeta,
// 3 block: one block per group, and tiles of channels x rows, 4 launchers. The rows of the table are in norm.cu.
#include "kernels/gpu/norm.cuh"

namespace gan::GAN_GPU {
namespace {

// ---- 1 Common parts ------------------------------------------------------------------------------------

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

// ---- 2 naive -------------------------------------------------------------------------------------------

template <class T>
__global__ void forward_naive(Layer<T> l, float eps, T* y, bool add, float* mean, float* rstd) {
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
__global__ void backward_naive(Layer<T> l, const T* dy, const float* mean, const float* rstd, T* dx,
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
__global__ void parameters_naive(Layer<T> l, const T* dy, const float* mean, const float* rstd, float* dgamma,
                                 bool add_dgamma, float* dbeta, bool add_dbeta) {
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

// ---- 3 block -------------------------------------------------------------------------------------------

// The mean is found twice, the second time from differences to the first one, which are small and leave
// little to round; what is left of their sum corrects the squares too (Chan, Golub & LeVeque 1983, equation
// 1.7).
constexpr int layer_threads = 512;

template <class T>
__global__ void __launch_bounds__(layer_threads)
    forward_block(Layer<T> l, float eps, T* y, bool add, float* mean, float* rstd) {
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
    backward_block(Layer<T> l, const T* dy, const float* mean, const float* rstd, T* dx, bool add) {
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
    parameter_sums(Layer<T> l, const T* dy, const float* mean, const float* rstd, int64_t chunk_rows,
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

// The last launch of a backward pass whose dgamma or dbeta is wanted: one thread per channel.
// sums: (chunks, channels)
__global__ void parameter_gradients(int chunks, int channels, const Pair* sums, float* dgamma,
                                    bool add_dgamma, float* dbeta, bool add_dbeta) {
  const int c = int(first_element());
  if (c >= channels) return;
  Pair sum{0, 0};
  for (int chunk = 0; chunk < chunks; ++chunk) sum = sum + sums[int64_t(chunk) * channels + c];
  if (dgamma) put(dgamma, c, sum.b, add_dgamma);
  if (dbeta) put(dbeta, c, sum.a, add_dbeta);
}

// ---- 4 Launchers ---------------------------------------------------------------------------------------

constexpr int64_t max_chunks = 256;

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
void run_forward(const LayerNormFwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    const Layer<T> l = parameters_of<T>(o);
    const auto start = [&](auto kernel, dim3 grid, dim3 block) {
      launch(kernel, grid, block, 0, handle_of(stream), l, float(o.size.eps), o.y.as<T>(),
             o.y.acc == Acc::add, o.mean.as<float>(), o.rstd.as<float>());
    };
    if (naive) start(forward_naive<T>, ceil_div(l.groups, 32), 32);
    else start(forward_block<T>, l.groups, layer_threads);
  });
}

template <bool naive>
void run_backward(const LayerNormBwd& o, Stream& stream) {
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
      if (naive) start(backward_naive<T>, ceil_div(l.groups, 32), 32);
      else start(backward_block<T>, l.groups, layer_threads);
    }
    if (!dgamma && !dbeta) return;
    if (naive) {
      launch(parameters_naive<T>, ceil_div(l.channels, 32), 32, 0, handle_of(stream), l, dy, mean, rstd,
             dgamma, add_dgamma, dbeta, add_dbeta);
      return;
    }
    const ColumnTiles t(o.size.groups * o.size.rows, l.channels, block_threads, max_chunks);
    Pair* sums = static_cast<Pair*>(stream.scratch(size_t(t.chunks) * l.channels * sizeof(Pair)));
    launch(parameter_sums<T>, dim3(t.tiles, unsigned(t.chunks)), t.block, 0, handle_of(stream), l, dy, mean,
           rstd, t.chunk_rows, sums);
    launch(parameter_gradients, grid_for(l.channels), block_threads, 0, handle_of(stream), int(t.chunks),
           l.channels, sums, dgamma, add_dgamma, dbeta, add_dbeta);
  });
}

}  // namespace

void layer_forward_naive(const LayerNormFwd& args, Stream& stream) { run_forward<true>(args, stream); }
void layer_forward_block(const LayerNormFwd& args, Stream& stream) { run_forward<false>(args, stream); }
void layer_backward_naive(const LayerNormBwd& args, Stream& stream) { run_backward<true>(args, stream); }
void layer_backward_block(const LayerNormBwd& args, Stream& stream) { run_backward<false>(args, stream); }

}  // namespace gan::GAN_GPU
