// Spectral normalisation on the cpu: two products of a matrix and a vector, which read the weights once each, and a
// division.
//
// The weight is a matrix as it lies, (rows, columns): outputs are rows, or where outputs are last columns. Threads share
// out rows of one product and columns of the other, so the order of additions does not depend on them.
#include "kernels/cpu/spectral_norm.h"

#include <cmath>

#include "kernels/cpu/loops.h"

namespace gan::cpu {
namespace {

struct Matrix {
  const float* values;
  int64_t rows, columns;
};

// y[r] = sum over c of m[r,c] x[c]
GAN_TARGET_CLONES
void multiply_rows(const Matrix& m, const float* x, float* y, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const float* row = m.values + r * m.columns;
    float lane[16] = {};
    int64_t c = 0;
    for (; c + 16 <= m.columns; c += 16)
      for (int64_t j = 0; j < 16; ++j) lane[j] += row[c + j] * x[c + j];
    for (; c < m.columns; ++c) lane[c % 16] += row[c] * x[c];
    float sum = 0;
    for (float l : lane) sum += l;
    y[r] = sum;
  }
}
// y[c] = sum over r of m[r,c] x[r]
GAN_TARGET_CLONES
void multiply_columns(const Matrix& m, const float* x, float* y, int64_t begin, int64_t end) {
  std::fill(y + begin, y + end, 0.0f);
  for (int64_t r = 0; r < m.rows; ++r)
    for (int64_t c = begin; c < end; ++c) y[c] += m.values[r * m.columns + c] * x[r];
}
// The matrix, or its transpose, times x.
void multiply(const Matrix& m, bool transposed, const float* x, float* y) {
  if (transposed)
    parallel_ranges(
        m.columns, m.rows, [&](int64_t begin, int64_t end) { multiply_columns(m, x, y, begin, end); }, 16);
  else
    parallel_ranges(m.rows, m.columns,
                    [&](int64_t begin, int64_t end) { multiply_rows(m, x, y, begin, end); });
}

void to_unit_length(float* x, int64_t count) {
  double square = 0;
  for (int64_t i = 0; i < count; ++i) square += double(x[i]) * x[i];
  const double length = std::max(std::sqrt(square), SpectralSize::eps);
  for (int64_t i = 0; i < count; ++i) x[i] = float(x[i] / length);
}

GAN_TARGET_CLONES
void divide_range(const float* w, float divisor, float* y, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) y[i] = w[i] / divisor;
}

GAN_TARGET_CLONES
double dot_of_block(const float* a, const float* b, int64_t count) {
  double lane[16] = {};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int j = 0; j < 16; ++j) lane[j] += double(a[i + j]) * double(b[i + j]);
  for (; i < count; ++i) lane[i % 16] += double(a[i]) * double(b[i]);
  double total = 0;
  for (double l : lane) total += l;
  return total;
}

// dw[r,c] = (dy[r,c] - along * rows[r] * columns[c]) / sigma
GAN_TARGET_CLONES
void gradient_rows(const float* dy, const float* rows, const float* columns, int64_t width, float along,
                   float sigma, Acc acc, float* dw, int64_t begin, int64_t end) {
  with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
    for (int64_t r = begin; r < end; ++r)
      for (int64_t c = 0; c < width; ++c) {
        const int64_t i = r * width + c;
        store<add.value>(dw[i], (dy[i] - along * rows[r] * columns[c]) / sigma);
      }
  });
}

}  // namespace

void spectral_norm_fwd(const SpectralNormFwd& a, Stream& stream) {
  const int64_t outputs = a.size.outputs, others = a.size.others;
  const bool last = a.size.outputs_last;
  const Matrix w{a.w.as<float>(), last ? others : outputs, last ? outputs : others};
  float *u = a.u.as<float>(), *v = a.v.as<float>();
  float *left = a.left.as<float>(), *right = a.right.as<float>();
  float* product = static_cast<float*>(stream.scratch(size_t(outputs) * sizeof(float)));  // W v
  std::copy_n(u, outputs, left);
  std::copy_n(v, others, right);
  if (a.move) {
    multiply(w, !last, left, right);
    to_unit_length(right, others);
  }
  multiply(w, last, right, product);
  if (a.move) {
    std::copy_n(product, outputs, left);
    to_unit_length(left, outputs);
    std::copy_n(left, outputs, u);
    std::copy_n(right, others, v);
  }
  double sigma = 0;
  for (int64_t i = 0; i < outputs; ++i) sigma += double(left[i]) * product[i];
  *a.sigma.as<float>() = float(sigma);
  float* y = a.y.as<float>();
  parallel_elements(a.size.count(),
                    [&](int64_t begin, int64_t end) { divide_range(w.values, float(sigma), y, begin, end); });
}

void spectral_norm_bwd(const SpectralNormBwd& a, Stream& stream) {
  constexpr int64_t block = 4096;
  const int64_t count = a.size.count(), blocks = (count + block - 1) / block;
  const float *w = a.w.as<float>(), *dy = a.dy.as<float>();
  double* partial = static_cast<double*>(stream.scratch(size_t(blocks) * sizeof(double)));
  parallel_ranges(blocks, block, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b)
      partial[b] = dot_of_block(w + b * block, dy + b * block, std::min(block, count - b * block));
  });
  double dot = 0;
  for (int64_t b = 0; b < blocks; ++b) dot += partial[b];
  const float sigma = *a.sigma.as<float>();
  const float *left = a.left.as<float>(), *right = a.right.as<float>();
  const bool last = a.size.outputs_last;
  const int64_t rows = last ? a.size.others : a.size.outputs, width = count / rows;
  float* dw = a.dw.as<float>();
  parallel_ranges(rows, width, [&](int64_t begin, int64_t end) {
    gradient_rows(dy, last ? right : left, last ? left : right, width, float(dot / sigma), sigma, a.dw.acc,
                  dw, begin, end);
  });
}

}  // namespace gan::cpu
