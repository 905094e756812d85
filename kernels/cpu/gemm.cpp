// Matrix products on the cpu: the definition as three loops, and oneDNN's.
#include "kernels/cpu/loops.h"
#include "kernels/cpu/onednn.h"

namespace gan::cpu {
namespace {

void check_arguments(const Gemm& g) {
  GAN_CHECK(g.m >= 1 && g.n >= 1 && g.k >= 1, "({},{}) x ({},{})", g.m, g.k, g.k, g.n);
  GAN_CHECK(g.a && g.b && g.c);
  GAN_CHECK(g.act.kind == Act::none || g.c.acc == Acc::set, "an activation needs Acc::set");
}

// C = op(A) op(B). Each row of C is a sum of rows of B, so the innermost loop walks memory in order.
void naive(const Gemm& g, Stream&) {
  check_arguments(g);
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
  check_arguments(g);
  float* c = g.c.as<float>();
  onednn_gemm(g.transpose_a, g.transpose_b, g.m, g.n, g.k, g.a.as<float>(), g.b.as<float>(), g.c.acc, c);
  add_bias_and_activate(c, g.m, g.n, g.bias.as<float>(), g.act);
}

const char* fits(const Gemm& g) { return f32_only(g.a, g.b, g.bias, g.c); }

const Variant<Gemm> gemm_variants[] = {
    {"loops", "f32", "any size", fits, naive},
    {"onednn", "f32", "any size", fits, onednn},
};
}  // namespace

const GemmTable gemm = {{gemm_variants}};

}  // namespace gan::cpu
