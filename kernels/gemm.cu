// gemm: C = act(op(A) op(B) + bias), where op(X) is X or its transpose; A (m,k), B (k,n), C (m,n) row-major.
//
// Ladder: naive  one thread per element of C, reading k elements of A and of B from global memory for it
//         tiled  tiles in shared memory and in registers: each element read is used for many outputs
//         (tile.cuh) cublas NVIDIA's library (CUDA builds only)
// All sums are float32, whatever the storage type.
#include "kernels/tile.cuh"
#if defined(__CUDACC__)
#include "kernels/cuda_libraries.h"
#endif

namespace gan::GAN_GPU {
namespace {

// The sizes and types that every rung needs.
void check(const Gemm& args) {
  GAN_CHECK(args.m >= 1 && args.n >= 1 && args.k >= 1, "gemm of {} x {} x {}", args.m, args.n, args.k);
  GAN_CHECK(args.a && args.b, "gemm needs both matrices");
}

// ---- naive --------------------------------------------------------------------------------------------

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

// ---- tiled: the product of tile.cuh over plain matrices -----------------------------------------------

template <class SourceA, class SourceB>
struct MatrixProduct {
  SourceA a;
  SourceB b;
  int rows, columns, depth;

  __device__ void choose_part(int) {}
  __device__ int64_t row_start(int row) const { return int64_t{row} * columns; }
};

template <class TOut, class SourceA, class SourceB>
void gemm_tiled_sources(const Gemm& args, const SourceA& a, const SourceB& b, Stream& stream) {
  const int64_t count = int64_t{args.m} * args.n;
  run_tiled(plan_tiles(args.m, args.n, args.k, 1, count),
            MatrixProduct<SourceA, SourceB>{a, b, args.m, args.n, args.k},
            make_epilogue<TOut>(args.c, args.bias, args.act, args.n), count, stream);
}

template <class T, class TOut>
void gemm_tiled_typed(const Gemm& args, Stream& stream) {
  const T *a = args.a.as<T>(), *b = args.b.as<T>();
  const MatrixAlongK<T> a_plain{a, args.m, args.k, aligned_for_4(a, args.k)};
  const MatrixAlongLines<T> a_transposed{a, args.m, args.k, aligned_for_4(a, args.m)};
  const MatrixAlongLines<T> b_plain{b, args.n, args.k, aligned_for_4(b, args.n)};
  const MatrixAlongK<T> b_transposed{b, args.n, args.k, aligned_for_4(b, args.k)};
  if (args.transpose_a && args.transpose_b)
    gemm_tiled_sources<TOut>(args, a_transposed, b_transposed, stream);
  else if (args.transpose_a) gemm_tiled_sources<TOut>(args, a_transposed, b_plain, stream);
  else if (args.transpose_b) gemm_tiled_sources<TOut>(args, a_plain, b_transposed, stream);
  else gemm_tiled_sources<TOut>(args, a_plain, b_plain, stream);
}

// ---- launchers ----------------------------------------------------------------------------------------

// bfloat16 matrices may have a float32 product: weight gradients do.
const char* fits_types(const Gemm& args) {
  const bool bf16_in = args.a.dtype == DType::bf16 && args.b.dtype == DType::bf16;
  const bool f32_in = args.a.dtype == DType::f32 && args.b.dtype == DType::f32;
  if (f32_in && args.c.dtype == DType::f32) return nullptr;
  if (bf16_in && (args.c.dtype == DType::bf16 || args.c.dtype == DType::f32)) return nullptr;
  return "the matrices must be float32, or A and B bfloat16";
}

void gemm_naive(const Gemm& args, Stream& stream) {
  check(args);
  if (args.a.dtype == DType::f32) gemm_naive_typed<float, float>(args, stream);
  else if (args.c.dtype == DType::f32) gemm_naive_typed<bf16, float>(args, stream);
  else gemm_naive_typed<bf16, bf16>(args, stream);
}

void gemm_tiled(const Gemm& args, Stream& stream) {
  check(args);
  if (args.a.dtype == DType::f32) gemm_tiled_typed<float, float>(args, stream);
  else if (args.c.dtype == DType::f32) gemm_tiled_typed<bf16, float>(args, stream);
  else gemm_tiled_typed<bf16, bf16>(args, stream);
}

#if defined(__CUDACC__)
const char* fits_cublas(const Gemm& args) {
  const char* reason = fits_types(args);
  return reason ? reason : cublas_missing();
}

template <class TOut>
void gemm_cublas_typed(const Gemm& args, Stream& stream) {
  const auto epilogue = make_epilogue<TOut>(args.c, args.bias, args.act, args.n);
  cublas_gemm(args, stream);
  finish_in_place(epilogue, int64_t{args.m} * args.n, args.n, stream);
}

void gemm_cublas(const Gemm& args, Stream& stream) {
  check(args);
  if (args.c.dtype == DType::f32) gemm_cublas_typed<float>(args, stream);
  else gemm_cublas_typed<bf16>(args, stream);
}
#endif

constexpr Variant<Gemm> gemm_variants[] = {
    {"naive", "f32 bf16", "any size", fits_types, gemm_naive},
    {"tiled", "f32 bf16", "any size", fits_types, gemm_tiled},
#if defined(__CUDACC__)
    {"cublas", "f32 bf16", "where libcublas is installed", fits_cublas, gemm_cublas},
#endif
};

}  // namespace

const GemmTable gemm = {.gemm = {gemm_variants}};

}  // namespace gan::GAN_GPU
