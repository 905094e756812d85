// What the rungs of the matrix product ladder share: C = act(op(A) op(B) + bias), where op(X) is X or its
// transpose; A (m,k), B (k,n), C (m,n) row-major (Gemm in kernels/contract/gemm.h). Start reading with
// 1_naive.cu.
#pragma once
#include "kernels/gpu/tile.cuh"

namespace gan::GAN_GPU {

// The launchers of 1_naive.cu, 2_tiled.cu, 3_mma.cu and 4_hopper.cu.
void gemm_naive(const Gemm& args, Stream& stream);
void gemm_tiled(const Gemm& args, Stream& stream);
void gemm_mma(const Gemm& args, Stream& stream);
void gemm_wgmma(const Gemm& args, Stream& stream);

// ---- gemm as a product of tile.cuh --------------------------------------------------------------------

template <class Rung, class TOut, class SourceA, class SourceB>
void gemm_of_sources(const Gemm& args, const SourceA& a, const SourceB& b, Stream& stream) {
  const int64_t count = int64_t{args.m} * args.n;
  using Product = MatrixProduct<SourceA, SourceB>;
  run_product<Rung>(plan_tiles<Rung>(args.m, args.n, args.k, 1, count, Product::always_vector),
                    Product{a, b, args.m, args.n, args.k},
                    make_epilogue<TOut>(args.c, args.bias, args.act, args.n), count, stream);
}

template <class Rung, class TOut>
void gemm_by(const Gemm& args, Stream& stream) {
  using T = typename Rung::Element;
  const T *a = args.a.as<T>(), *b = args.b.as<T>();
  const bool a_vector = aligned_rows(a, args.transpose_a ? args.m : args.k, Rung::neighbours);
  const bool b_vector = aligned_rows(b, args.transpose_b ? args.k : args.n, Rung::neighbours);
  with_flag(a_vector && b_vector, [&](auto always) {
    const MatrixAlongK<T, always> a_plain{a, args.m, args.k, a_vector};
    const MatrixAlongLines<T, always> a_transposed{a, args.m, args.k, a_vector};
    const MatrixAlongLines<T, always> b_plain{b, args.n, args.k, b_vector};
    const MatrixAlongK<T, always> b_transposed{b, args.n, args.k, b_vector};
    if (args.transpose_a && args.transpose_b)
      gemm_of_sources<Rung, TOut>(args, a_transposed, b_transposed, stream);
    else if (args.transpose_a) gemm_of_sources<Rung, TOut>(args, a_transposed, b_plain, stream);
    else if (args.transpose_b) gemm_of_sources<Rung, TOut>(args, a_plain, b_transposed, stream);
    else gemm_of_sources<Rung, TOut>(args, a_plain, b_plain, stream);
  });
}

// Rung: a template over the type of A and B.
template <template <class> class Rung>
void gemm_by_types(const Gemm& args, Stream& stream) {
  if (args.a.dtype == DType::f32) gemm_by<Rung<float>, float>(args, stream);
  else if (args.c.dtype == DType::f32) gemm_by<Rung<bf16>, float>(args, stream);
  else gemm_by<Rung<bf16>, bf16>(args, stream);
}

}  // namespace gan::GAN_GPU
