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

void onednn(const Gemm& g, Stream&) {
  float* c = g.c.as<float>();
  onednn_gemm(g.transpose_a, g.transpose_b, g.m, g.n, g.k, g.a.as<float>(), g.b.as<float>(), g.c.acc, c);
  add_bias_and_activate(c, g.m, g.n, g.bias.as<float>(), g.act);
}

const Variant<Gemm> gemm_variants[] = {
    {"loops", "f32", "any size", f32_only<Gemm>, naive},
    {"onednn", "f32", "any size", f32_only<Gemm>, onednn},
};
}  // namespace

const GemmTable gemm = {{gemm_variants}};

}  // namespace gan::cpu
