// gemm, rung 1: naive. One thread per element of C, reading k elements of A and of B from global memory for
// it.
#include "kernels/gpu/gemm/gemm.cuh"

namespace gan::GAN_GPU {
namespace {

// op(A)(row, k) = a[row * a_row + k * a_k], op(B)(k, column) = b[k * b_k + column * b_column]
struct GemmStrides {
  int64_t a_row, a_k, b_k, b_column;
};

template <class T, class TOut>
__global__ void gemm_naive_kernel(int m, int n, int depth, GemmStrides s, const T* a, const T* b,
                                  Epilogue<TOut> epilogue) {
  for (int64_t index = first_element(); index < int64_t{m} * n; index += element_step()) {
    const int64_t row = index / n, column = index % n;
    float sum = 0;
    for (int k = 0; k < depth; ++k)
      sum += to_float(a[row * s.a_row + k * s.a_k]) * to_float(b[k * s.b_k + column * s.b_column]);
    epilogue.store(index, static_cast<int>(column), sum);
  }
}

template <class T, class TOut>
void gemm_naive_typed(const Gemm& args, Stream& stream) {
  const GemmStrides strides = {args.transpose_a ? 1 : args.k, args.transpose_a ? args.m : 1,
                               args.transpose_b ? 1 : args.n, args.transpose_b ? args.k : 1};
  launch(gemm_naive_kernel<T, TOut>, grid_for(int64_t{args.m} * args.n), block_threads, 0, handle_of(stream),
         args.m, args.n, args.k, strides, args.a.as<T>(), args.b.as<T>(),
         make_epilogue<TOut>(args.c, args.bias, args.act, args.n));
}

}  // namespace

void gemm_naive(const Gemm& args, Stream& stream) {
  if (args.a.dtype == DType::f32) gemm_naive_typed<float, float>(args, stream);
  else if (args.c.dtype == DType::f32) gemm_naive_typed<bf16, float>(args, stream);
  else gemm_naive_typed<bf16, bf16>(args, stream);
}

}  // namespace gan::GAN_GPU
