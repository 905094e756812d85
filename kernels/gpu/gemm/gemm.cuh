// What the rungs of the matrix product ladder share: C = act(op(A) op(B) + bias), where op(X) is X or its
// transpose; A (m,k), B (k,n), C (m,n) row-major (Gemm in kernels/contract/gemm.h). Start reading with
// 1_naive.cu.
#pragma once
#include "kernels/gpu/tile.cuh"

namespace gan::GAN_GPU {

// The launchers of 1_naive.cu, 2_tiled.cu and 3_mma.cu.
void gemm_naive(const Gemm& args, Stream& stream);
void gemm_tiled(const Gemm& args, Stream& stream);
void gemm_mma(const Gemm& args, Stream& stream);

// ---- gemm as a product of tile.cuh --------------------------------------------------------------------

template <class Rung, class TOut, class SourceA, class SourceB>
void gemm_of_sources(const Gemm& args, const SourceA& a, const SourceB& b, Stream& stream) {
  const int64_t count = int64_t{args.m} * args.n;
  run_product<Rung>(plan_tiles<Rung>(args.m, args.n, args.k, 1, count),
                    MatrixProduct<SourceA, SourceB>{a, b, args.m, args.n, args.k},
                    make_epilogue<TOut>(args.c, args.bias, args.act, args.n), count, stream);
}

template <class Rung, class TOut>
void gemm_by(const Gemm& args, Stream& stream) {
  using T = typename Rung::Element;
  const T *a = args.a.as<T>(), *b = args.b.as<T>();
  const auto vector = [](const T* matrix, int row) { return aligned_rows(matrix, row, Rung::neighbours); };
  const MatrixAlongK<T> a_plain{a, args.m, args.k, vector(a, args.k)};
  const MatrixAlongLines<T> a_transposed{a, args.m, args.k, vector(a, args.m)};
  const MatrixAlongLines<T> b_plain{b, args.n, args.k, vector(b, args.n)};
  const MatrixAlongK<T> b_transposed{b, args.n, args.k, vector(b, args.k)};
  if (args.transpose_a && args.transpose_b)
    gemm_of_sources<Rung, TOut>(args, a_transposed, b_transposed, stream);
  else if (args.transpose_a) gemm_of_sources<Rung, TOut>(args, a_transposed, b_plain, stream);
  else if (args.transpose_b) gemm_of_sources<Rung, TOut>(args, a_plain, b_transposed, stream);
  else gemm_of_sources<Rung, TOut>(args, a_plain, b_plain, stream);
}

// Rung: a template over the type of A and B.
template <template <class> class Rung>
void gemm_by_types(const Gemm& args, Stream& stream) {
  if (args.a.dtype == DType::f32) gemm_by<Rung<float>, float>(args, stream);
  else if (args.c.dtype == DType::f32) gemm_by<Rung<bf16>, float>(args, stream);
  else gemm_by<Rung<bf16>, bf16>(args, stream);
}

}  // namespace gan::GAN_GPU
