// Softmax attention on the cpu: oneDNN's matrix products around short loops over rows of scores.
//
// Queries are taken in blocks so small that their scores stay in a core's cache: only a block's rows of the
// (queries, keys) matrix exist at a time. Problems of a batch go to threads; a single problem leaves the
// threads to the matrix products. How it is cut depends on the sizes alone.
#include <cmath>
#include <vector>

#include "kernels/cpu/loops.h"
#include "kernels/cpu/onednn.h"

namespace gan::cpu {
namespace {

// Each row of s becomes e^(scale * s - its largest) / sum; log_sum_exp (rows).
GAN_TARGET_CLONES
void softmax_rows(float* s, int64_t rows, int64_t keys, float scale, float* log_sum_exp) {
  for (int64_t r = 0; r < rows; ++r) {
    float* row = s + r * keys;
    float largest = scale * row[0];
    for (int64_t m = 0; m < keys; ++m) {
      row[m] *= scale;
      largest = row[m] > largest ? row[m] : largest;
    }
    // Sixteen sums side by side: one long float32 sum would lose digits.
    float sums[16] = {};
    int64_t m = 0;
    for (; m + 16 <= keys; m += 16)
      for (int64_t i = 0; i < 16; ++i) {
        row[m + i] = fast_exp(row[m + i] - largest);
        sums[i] += row[m + i];
      }
    for (; m < keys; ++m) {
      row[m] = fast_exp(row[m] - largest);
      sums[m % 16] += row[m];
    }
    float sum = 0;
    for (float part : sums) sum += part;
    log_sum_exp[r] = largest + std::log(sum);
    const float inverse = 1.0f / sum;
    for (m = 0; m < keys; ++m) row[m] *= inverse;
  }
}

// Each row of s (scores without scale) becomes p, and each row of dp becomes scale * p * (dp - d_o . o).
GAN_TARGET_CLONES
void gradient_rows(float* s, float* dp, int64_t rows, int64_t keys, float scale, const float* log_sum_exp,
                   const float* o, const float* d_o, int64_t value_width) {
  for (int64_t r = 0; r < rows; ++r) {
    float delta = 0;
    for (int64_t c = 0; c < value_width; ++c) delta += d_o[r * value_width + c] * o[r * value_width + c];
    float *p = s + r * keys, *ds = dp + r * keys;
    for (int64_t m = 0; m < keys; ++m) {
      p[m] = fast_exp(scale * p[m] - log_sum_exp[r]);
      ds[m] = scale * p[m] * (ds[m] - delta);
    }
  }
}

// Queries of a block: about 256 KB of scores.
int block_queries(const AttentionSize& s) {
  return int(std::clamp<int64_t>(65536 / s.keys, 1, std::max(s.queries, 1)));
}

// Calls f(problem) for each problem of the batch.
template <class F>
void parallel_problems(const AttentionSize& s, const F& f) {
  if (s.batch == 1) return f(int64_t(0));
  parallel_ranges(s.batch, int64_t(s.queries) * s.keys, [&](int64_t begin, int64_t end) {
    for (int64_t problem = begin; problem < end; ++problem) f(problem);
  });
}

void run(const AttentionFwd& a, Stream&) {
  const AttentionSize& s = a.size;
  const float *q = a.q.as<float>(), *k = a.k.as<float>(), *v = a.v.as<float>();
  float *o = a.o.as<float>(), *log_sum_exp = a.log_sum_exp.as<float>();
  const int block = block_queries(s);
  parallel_problems(s, [&](int64_t problem) {
    std::vector<float> scores(size_t(block) * s.keys);
    const float *keys = k + problem * s.keys * s.key_width, *values = v + problem * s.keys * s.value_width;
    for (int first = 0; first < s.queries; first += block) {
      const int rows = std::min(block, s.queries - first);
      const int64_t row = problem * s.queries + first;
      onednn_gemm(false, true, rows, s.keys, s.key_width, q + row * s.key_width, keys, Acc::set,
                  scores.data());
      softmax_rows(scores.data(), rows, s.keys, float(s.scale), log_sum_exp + row);
      onednn_gemm(false, false, rows, s.value_width, s.keys, scores.data(), values, a.o.acc,
                  o + row * s.value_width);
    }
  });
}

void run(const AttentionBwd& a, Stream&) {
  const AttentionSize& s = a.size;
  const float *q = a.q.as<float>(), *k = a.k.as<float>(), *v = a.v.as<float>(), *o = a.o.as<float>();
  const float *log_sum_exp = a.log_sum_exp.as<float>(), *d_o = a.d_o.as<float>();
  float *dq = a.dq.as<float>(), *dk = a.dk.as<float>(), *dv = a.dv.as<float>();
  const int block = block_queries(s);
  parallel_problems(s, [&](int64_t problem) {
    std::vector<float> p(size_t(block) * s.keys), ds(p.size());
    const int64_t key = problem * s.keys;
    const float *keys = k + key * s.key_width, *values = v + key * s.value_width;
    for (int first = 0; first < s.queries; first += block) {
      const int rows = std::min(block, s.queries - first);
      const int64_t row = problem * s.queries + first;
      const float *queries = q + row * s.key_width, *gradients = d_o + row * s.value_width;
      onednn_gemm(false, true, rows, s.keys, s.key_width, queries, keys, Acc::set, p.data());
      onednn_gemm(false, true, rows, s.keys, s.value_width, gradients, values, Acc::set, ds.data());
      gradient_rows(p.data(), ds.data(), rows, s.keys, float(s.scale), log_sum_exp + row,
                    o + row * s.value_width, gradients, s.value_width);
      if (dq)
        onednn_gemm(false, false, rows, s.key_width, s.keys, ds.data(), keys, a.dq.acc,
                    dq + row * s.key_width);
      // Keys are seen by every block of queries.
      if (dk)
        onednn_gemm(true, false, s.keys, s.key_width, rows, ds.data(), queries,
                    first > 0 ? Acc::add : a.dk.acc, dk + key * s.key_width);
      if (dv)
        onednn_gemm(true, false, s.keys, s.value_width, rows, p.data(), gradients,
                    first > 0 ? Acc::add : a.dv.acc, dv + key * s.value_width);
    }
  });
}

const Variant<AttentionFwd> fwd_variants[] = {{"blocks", "f32", "any size", f32_only<AttentionFwd>, run}};
const Variant<AttentionBwd> bwd_variants[] = {{"blocks", "f32", "any size", f32_only<AttentionBwd>, run}};
}  // namespace

const AttentionTable attention = {{fwd_variants}, {bwd_variants}};

}  // namespace gan::cpu
