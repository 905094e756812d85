// Matrix products on the cpu: the definition as three loops, and oneDNN's.
#include "kernels/cpu/loops.h"
#include "kernels/cpu/onednn.h"

namespace gan::cpu {
namespace {

// C = op(A) op(B). Each row of C is a sum of rows of B, so the innermost loop walks memory in order.
void naive(const Gemm& g, Stream&) {
  const float *a = g.a.as<float>(), *b = g.b.as<float>();
  float* c = g.c.as<float>();
  const float* bias = g.bias.as<float>();
  parallel_ranges(g.m, int64_t(g.n) * g.k, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* row = c + i * g.n;
      for (int j = 0; j < g.n; ++j) row[j] = (g.c.acc == Acc::add ? row[j] : 0.0f) + (bias ? bias[j] : 0.0f);
      for (int64_t l = 0; l < g.k; ++l) {
        const float left = g.transpose_a ? a[l * g.m + i] : a[i * g.k + l];
        for (int64_t j = 0; j < g.n; ++j) row[j] += left * (g.transpose_b ? b[j * g.k + l] : b[l * g.n + j]);
      }
    }
  });
  add_bias_and_activate(c, g.m, g.n, nullptr, g.act);
}

void onednn(const Gemm& g, Stream& stream) {
  float* room = static_cast<float*>(stream.scratch(size_t(g.m) * size_t(g.n) * sizeof(float)));
  with_type(g.a.dtype, [&]<class T>(T) {
    multiply(g.transpose_a, g.transpose_b, g.m, g.n, g.k, g.a.as<T>(), g.b.as<T>(), g.bias.as<float>(), g.act,
             g.c, room);
  });
}

// bfloat16 factors may have a float32 product.
const char* fits_onednn(const Gemm& g) {
  if (values_are(DType::f32, g)) return nullptr;
  if (g.a.dtype != DType::bf16 || g.b.dtype != DType::bf16)
    return "factors must be both float32 or both bfloat16";
  return multiplies_bf16() ? nullptr : "this processor has no products of bfloat16 numbers";
}

const Variant<Gemm> gemm_variants[] = {
    {"loops", "f32", "any size", f32_only<Gemm>, naive},
    {"onednn", "f32 bf16", "any size; bfloat16 where the processor multiplies it", fits_onednn, onednn},
};

void product_of(bool transpose_a, bool transpose_b, int m, int n, int k, const float* a, const float* b,
                Acc acc, float* c) {
  onednn_gemm(transpose_a, transpose_b, m, n, k, a, b, acc, c);
}
void product_of(bool transpose_a, bool transpose_b, int m, int n, int k, const bf16* a, const bf16* b,
                Acc acc, float* c) {
  const auto strides = [](int64_t rows, int64_t columns, bool transposed) {
    return transposed ? Strides{rows * columns, 1, rows} : Strides{rows * columns, columns, 1};
  };
  onednn_products(1, m, n, k, a, strides(m, k, transpose_a), b, strides(k, n, transpose_b), acc, c,
                  strides(m, n, false));
}

}  // namespace

template <class T>
void multiply(bool transpose_a, bool transpose_b, int m, int n, int k, const T* a, const T* b,
              const float* bias, Activation act, Out c, float* room) {
  if (c.dtype == DType::bf16) {
    product_of(transpose_a, transpose_b, m, n, k, a, b, Acc::set, room);
    return round_sums(room, m, n, bias, act, c.acc, c.as<bf16>());
  }
  product_of(transpose_a, transpose_b, m, n, k, a, b, c.acc, c.as<float>());
  add_bias_and_activate(c.as<float>(), m, n, bias, act);
}
template void multiply(bool, bool, int, int, int, const float*, const float*, const float*, Activation, Out,
                       float*);
template void multiply(bool, bool, int, int, int, const bf16*, const bf16*, const float*, Activation, Out,
                       float*);

const GemmTable gemm = {{gemm_variants}};

}  // namespace gan::cpu
