// Spectral normalisation of a weight (Miyato et al. 2018), see SpectralNormFwd in contract/norm.h.
//
// The weight is a matrix in memory, rows x columns; its outputs are the rows, or the columns (outputs_last). A step of
// power iteration is two products with a vector, one along each direction:
//   t = W^T u      v = t / max(|t|, eps)      p = W v      u = p / max(|p|, eps)      sigma = u^T p      y = W / sigma
// Backwards, u and v being constants:  dW = (dy - <dy, W> / sigma u v^T) / sigma
//
// Read on: 1 what all kernels share, 2 naive: one block does everything, 3 split: many blocks, a launch for each sum
// over the whole weight that the next step needs, 4 launchers. The rows of the table are in norm.cu.
#include "kernels/gpu/norm.cuh"

namespace gan::GAN_GPU {
namespace {

// ---- 1 Common parts ------------------------------------------------------------------------------------

template <class T>
struct Spectral {
  int outputs, others;
  bool outputs_last, move;
  const T* w;           // (outputs, others), or (others, outputs)
  float *u, *v;         // (outputs), (others)
  float *left, *right;  // the same
  float* sigma;         // (1)
  T* y;                 // as w
};

template <class T>
struct SpectralGradient {
  int outputs, others;
  bool outputs_last;
  const T* w;
  const float* dy;                    // as w
  const float *left, *right, *sigma;  // (outputs), (others), (1)
  float* dw;                          // as w
  bool add;

  // <dy, w>, given: stores the gradients of elements first, first + step, ...
  __device__ void store(float dot, int first, int step) const {
    const int columns = outputs_last ? outputs : others;
    const float* of_row = outputs_last ? right : left;
    const float* of_column = outputs_last ? left : right;
    const float per_sigma = 1.0f / *sigma, along = dot * per_sigma;
    for (int64_t i = first; i < int64_t{outputs} * others; i += step) {
      const int at = int(i);
      put(dw, i, (dy[i] - along * of_row[at / columns] * of_column[at % columns]) * per_sigma, add);
    }
  }
};

// 1 / max(|x|, eps), in every thread; NaN stays NaN. All threads of the block take part.
__device__ float per_length(const float* x, int count, float* scratch) {
  float square = 0;
  for (int i = thread_rank(); i < count; i += int(blockDim.x * blockDim.y)) square += x[i] * x[i];
  const float length = sqrtf(block_sum(square, scratch));
  return 1.0f / (length < float(SpectralSize::eps) ? float(SpectralSize::eps) : length);
}

// The product of x with row `row` of w, or with column `column`: the part of one of `step` threads.
template <class T>
__device__ float product_of_row(const T* w, int row, int columns, const float* x, int first, int step) {
  const T* from = w + int64_t{row} * columns;
  float sum = 0;
#pragma unroll 4
  for (int c = first; c < columns; c += step) sum += to_float(from[c]) * x[c];
  return sum;
}
template <class T>
__device__ float product_of_column(const T* w, int column, int rows, int columns, const float* x, int first,
                                   int step) {
  float sum = 0;
#pragma unroll 4
  for (int r = first; r < rows; r += step) sum += to_float(w[int64_t{r} * columns + column]) * x[r];
  return sum;
}

// ---- 2 naive: one block --------------------------------------------------------------------------------

constexpr int naive_threads = 1024;

// to = W x over the outputs, or W^T x over the others; one thread for each sum.
template <class T>
__device__ void multiply(const Spectral<T>& s, bool over_outputs, const float* x, float* to) {
  const int rows = s.outputs_last ? s.others : s.outputs, columns = s.outputs_last ? s.outputs : s.others;
  const bool of_rows = over_outputs != s.outputs_last;
  for (int i = int(threadIdx.x); i < (over_outputs ? s.outputs : s.others); i += naive_threads)
    to[i] = of_rows ? product_of_row(s.w, i, columns, x, 0, 1)
                    : product_of_column(s.w, i, rows, columns, x, 0, 1);
  __syncthreads();  // the product is there, for all threads
}

// products: (outputs)
template <class T>
__global__ void __launch_bounds__(naive_threads) forward_naive(Spectral<T> s, float* products) {
  SHARED_ARRAY(float, scratch, [32]);
  const int thread = int(threadIdx.x);
  if (s.move) {
    multiply(s, false, s.u, s.right);
    const float scale = per_length(s.right, s.others, scratch);
    for (int i = thread; i < s.others; i += naive_threads) s.v[i] = s.right[i] = s.right[i] * scale;
  } else {
    for (int i = thread; i < s.others; i += naive_threads) s.right[i] = s.v[i];
  }
  __syncthreads();  // `right` is there, for all threads
  multiply(s, true, s.right, products);
  if (s.move) {
    const float scale = per_length(products, s.outputs, scratch);
    for (int i = thread; i < s.outputs; i += naive_threads) s.u[i] = products[i] * scale;
  }
  float sigma = 0;
  for (int i = thread; i < s.outputs; i += naive_threads) {
    s.left[i] = s.u[i];
    sigma += s.u[i] * products[i];
  }
  sigma = block_sum(sigma, scratch);
  if (thread == 0) *s.sigma = sigma;
  const float per_sigma = 1.0f / sigma;
  for (int64_t i = thread; i < int64_t{s.outputs} * s.others; i += naive_threads)
    put(s.y, i, to_float(s.w[i]) * per_sigma, false);
}

template <class T>
__global__ void __launch_bounds__(naive_threads) backward_naive(SpectralGradient<T> g) {
  SHARED_ARRAY(float, scratch, [32]);
  float dot = 0;
  for (int64_t i = threadIdx.x; i < int64_t{g.outputs} * g.others; i += naive_threads)
    dot += g.dy[i] * to_float(g.w[i]);
  g.store(block_sum(dot, scratch), int(threadIdx.x), naive_threads);
}

// ---- 3 split: many blocks ------------------------------------------------------------------------------
// A launch ends where the next step needs a sum over all of the weight: after t, and after p. The lengths of t and p
// are short sums, which each block of the next launch finds for itself.

// to = W x, one warp for each row. unit: x is divided by its length.
template <class T>
__global__ void __launch_bounds__(block_threads)
    products_of_rows(int rows, int columns, const T* w, const float* x, bool unit, float* to) {
  SHARED_ARRAY(float, scratch, [32]);
  const float scale = unit ? per_length(x, columns, scratch) : 1.0f;
  const int row = int(blockIdx.x * (block_threads / 32) + threadIdx.x / 32), lane = int(threadIdx.x % 32);
  if (row >= rows) return;
  const float sum = warp_sum(product_of_row(w, row, columns, x, lane, 32));
  if (lane == 0) to[row] = scale * sum;
}

// to = W^T x, 32 columns to a block: a warp reads neighbouring columns of one row.
template <class T>
__global__ void __launch_bounds__(naive_threads)
    products_of_columns(int rows, int columns, const T* w, const float* x, bool unit, float* to) {
  SHARED_ARRAY(float, scratch, [32]);
  SHARED_ARRAY(float, shared, [naive_threads]);
  const float scale = unit ? per_length(x, rows, scratch) : 1.0f;
  const int column = int(blockIdx.x * 32 + threadIdx.x);
  float sum = 0;
  if (column < columns)
    sum = product_of_column(w, column, rows, columns, x, int(threadIdx.y), int(blockDim.y));
  sum = sum_of_groups(sum, shared);
  if (column < columns && threadIdx.y == 0) to[column] = scale * sum;
}

// t: (others), of no length in particular. products: (outputs)
template <class T>
__global__ void __launch_bounds__(block_threads)
    forward_divide(Spectral<T> s, const float* t, const float* products) {
  SHARED_ARRAY(float, scratch, [32]);
  float scale = 1;
  if (s.move) scale = per_length(products, s.outputs, scratch);
  float sigma = 0;
  for (int i = int(threadIdx.x); i < s.outputs; i += block_threads)
    sigma += (s.move ? products[i] * scale : s.u[i]) * products[i];
  sigma = block_sum(sigma, scratch);
  const float per_sigma = 1.0f / sigma;
  for (int64_t i = first_element(); i < int64_t{s.outputs} * s.others; i += element_step())
    put(s.y, i, to_float(s.w[i]) * per_sigma, false);
  if (blockIdx.x != 0) return;
  // Nobody reads u and v in this launch when they move.
  if (threadIdx.x == 0) *s.sigma = sigma;
  for (int i = int(threadIdx.x); i < s.outputs; i += block_threads) {
    s.left[i] = s.move ? products[i] * scale : s.u[i];
    if (s.move) s.u[i] = s.left[i];
  }
  const float t_scale = s.move ? per_length(t, s.others, scratch) : 1.0f;
  for (int i = int(threadIdx.x); i < s.others; i += block_threads) {
    s.right[i] = s.move ? t[i] * t_scale : s.v[i];
    if (s.move) s.v[i] = s.right[i];
  }
}

// sums: one for each block
template <class T>
__global__ void __launch_bounds__(block_threads) backward_dots(SpectralGradient<T> g, float* sums) {
  SHARED_ARRAY(float, scratch, [32]);
  float dot = 0;
#pragma unroll 4
  for (int64_t i = first_element(); i < int64_t{g.outputs} * g.others; i += element_step())
    dot += g.dy[i] * to_float(g.w[i]);
  dot = block_sum(dot, scratch);
  if (threadIdx.x == 0) sums[blockIdx.x] = dot;
}
// Each block adds up the sums for itself; there are as many of them as blocks, at most 256.
template <class T>
__global__ void __launch_bounds__(block_threads) backward_weight(SpectralGradient<T> g, const float* sums) {
  SHARED_ARRAY(float, scratch, [32]);
  float dot = threadIdx.x < gridDim.x ? sums[threadIdx.x] : 0.0f;
  dot = block_sum(dot, scratch);
  g.store(dot, int(first_element()), int(element_step()));
}

// ---- 4 Launchers ---------------------------------------------------------------------------------------

template <class T>
Spectral<T> parameters_of(const SpectralNormFwd& o) {
  return {o.size.outputs,      o.size.others,       o.size.outputs_last, o.move,
          o.w.as<T>(),         o.u.as<float>(),     o.v.as<float>(),     o.left.as<float>(),
          o.right.as<float>(), o.sigma.as<float>(), o.y.as<T>()};
}
template <class T>
SpectralGradient<T> parameters_of(const SpectralNormBwd& o) {
  return {o.size.outputs,   o.size.others,       o.size.outputs_last, o.w.as<T>(),
          o.dy.as<float>(), o.left.as<float>(),  o.right.as<float>(), o.sigma.as<float>(),
          o.dw.as<float>(), o.dw.acc == Acc::add};
}

// to = W x over the outputs, or W^T x over the others.
template <class T>
void launch_products(const Spectral<T>& s, bool over_outputs, const float* x, bool unit, float* to,
                     Stream& stream) {
  const int rows = s.outputs_last ? s.others : s.outputs, columns = s.outputs_last ? s.outputs : s.others;
  if (over_outputs != s.outputs_last)
    launch(products_of_rows<T>, ceil_div(rows, block_threads / 32), block_threads, 0, handle_of(stream), rows,
           columns, s.w, x, unit, to);
  else
    launch(products_of_columns<T>, ceil_div(columns, 32), dim3(32, naive_threads / 32), 0, handle_of(stream),
           rows, columns, s.w, x, unit, to);
}

}  // namespace

void spectral_forward_naive(const SpectralNormFwd& o, Stream& stream) {
  with_type(o.w.dtype, [&]<class T>(T) {
    auto* products = static_cast<float*>(stream.scratch(size_t(o.size.outputs) * sizeof(float)));
    launch(forward_naive<T>, 1, naive_threads, 0, handle_of(stream), parameters_of<T>(o), products);
  });
}

void spectral_forward_split(const SpectralNormFwd& o, Stream& stream) {
  with_type(o.w.dtype, [&]<class T>(T) {
    const Spectral<T> s = parameters_of<T>(o);
    auto* products = static_cast<float*>(stream.scratch(size_t(s.outputs + s.others) * sizeof(float)));
    float* t = products + s.outputs;  // (others)
    if (s.move) launch_products(s, false, s.u, false, t, stream);
    launch_products(s, true, s.move ? t : s.v, s.move, products, stream);
    launch(forward_divide<T>, unsigned(std::clamp<int64_t>(o.size.count() / 2048, 1, 1024)), block_threads, 0,
           handle_of(stream), s, t, products);
  });
}

void spectral_backward_naive(const SpectralNormBwd& o, Stream& stream) {
  with_type(o.w.dtype, [&]<class T>(T) {
    launch(backward_naive<T>, 1, naive_threads, 0, handle_of(stream), parameters_of<T>(o));
  });
}

void spectral_backward_split(const SpectralNormBwd& o, Stream& stream) {
  with_type(o.w.dtype, [&]<class T>(T) {
    const unsigned blocks = unsigned(std::clamp<int64_t>(o.size.count() / 2048, 1, block_threads));
    auto* sums = static_cast<float*>(stream.scratch(blocks * sizeof(float)));
    launch(backward_dots<T>, blocks, block_threads, 0, handle_of(stream), parameters_of<T>(o), sums);
    launch(backward_weight<T>, blocks, block_threads, 0, handle_of(stream), parameters_of<T>(o), sums);
  });
}

}  // namespace gan::GAN_GPU
