// The reference: every operation of kernels/contract/ as the shortest loops that follow its formula.
//
// compute<T>(args) works on host buffers whose floating point type is T throughout (pictures stay u8,
// placements i32), and on arguments that have been checked (check_arguments). With T = double it is device
// `ref`, the oracle which all other devices are compared with and on which gradients are checked against
// finite differences; ref.cpp puts it into the tables. With T = float it is the plain same-precision version
// whose error sets the tolerance of those comparisons (tests/support/compare.h). Nothing here is written for speed.
// Read each function beside its struct's comment in kernels/contract/.
#pragma once
#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/shared/colour.h"
#include "kernels/shared/philox.h"

namespace gan::ref {

// ------------------------------------------------------------------------------------------ reading, writing

// One element of an output that may be unwanted: set or add, as the caller asked.
template <class T>
void store(const Out& out, int64_t index, T value) {
  T* data = out.as<T>();
  if (!data) return;
  data[index] = out.acc == Acc::add ? data[index] + value : value;
}

// One element of an input that may be missing.
template <class T>
T read_or(const In& in, int64_t index, T otherwise) {
  const T* data = in.as<T>();
  return data ? data[index] : otherwise;
}

// Calls f(i) for every i below `count`, on several threads: no two calls write to the same element.
void for_each_apart(int64_t count, const std::function<void(int64_t)>& f);

// ------------------------------------------------------------------------------------------------ pointwise

template <class T>
T sigmoid(T x) {
  return 1 / (1 + std::exp(-x));
}

// log(1 + e^x) without overflow.
template <class T>
T softplus(T x) {
  return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x)));
}

template <class T>
T activate(const Activation& act, T x) {
  switch (act.kind) {
    case Act::none: return x;
    case Act::relu: return x <= 0 ? T(0) : x;  // NaN stays NaN, so that divergence is noticed
    case Act::leaky_relu: return x > 0 ? x : T(act.slope) * x;
    case Act::tanh: return std::tanh(x);
    case Act::sigmoid: return sigmoid(x);
  }
  return x;
}

// The derivative, from the output y. At the corner of (leaky) relu it is the left one.
template <class T>
T activation_slope(const Activation& act, T y) {
  switch (act.kind) {
    case Act::none: return 1;
    case Act::relu: return y > 0 ? T(1) : T(0);
    case Act::leaky_relu: return y > 0 ? T(1) : T(act.slope);
    case Act::tanh: return 1 - y * y;
    case Act::sigmoid: return y * (1 - y);
  }
  return 1;
}

template <class T>
void compute(const ActivationFwd& a) {
  const T* x = a.x.as<T>();
  for (int64_t i = 0; i < a.count; ++i) store(a.y, i, activate(a.act, x[i]));
}

template <class T>
void compute(const ActivationBwd& a) {
  const T *y = a.y.as<T>(), *dy = a.dy.as<T>();
  for (int64_t i = 0; i < a.count; ++i) store(a.dx, i, dy[i] * activation_slope(a.act, y[i]));
}

template <class T>
void compute(const Binary& a) {
  const T *x = a.a.as<T>(), *b = a.b.as<T>();
  for (int64_t i = 0; i < a.count; ++i) {
    const T other = b[a.b_count == 1 ? 0 : i];
    store(a.y, i,
          a.kind == BinaryKind::add        ? x[i] + other
          : a.kind == BinaryKind::subtract ? x[i] - other
                                           : x[i] * other);
  }
}

template <class T>
void compute(const Affine& a) {
  const T* x = a.x.as<T>();
  for (int64_t i = 0; i < a.count; ++i) store(a.y, i, T(a.scale) * x[i] + T(a.shift));
}

template <class T>
void compute(const Power& a) {
  const T* x = a.x.as<T>();
  for (int64_t i = 0; i < a.count; ++i) store(a.y, i, std::pow(x[i] + T(a.shift), T(a.exponent)));
}

template <class T>
void compute(const Broadcast& a) {
  const T value = T(a.scale) * read_or(a.x, 0, T(1));
  for (int64_t i = 0; i < a.count; ++i) store(a.y, i, value);
}

template <class T>
void compute(const Sum& a) {
  const T* x = a.x.as<T>();
  T sum = 0;
  for (int64_t i = 0; i < a.count; ++i) sum += x[i];
  store(a.sum, 0, T(a.scale) * sum);
}

template <class T>
void compute(const SumRows& a) {
  const T* x = a.x.as<T>();  // (rows, channels)
  for (int c = 0; c < a.channels; ++c) {
    T sum = 0;
    for (int64_t r = 0; r < a.rows; ++r) sum += x[r * a.channels + c];
    store(a.sums, c, sum);
  }
}

template <class T>
void compute(const PutChannels& a) {
  const T* x = a.x.as<T>();
  for (int64_t r = 0; r < a.rows; ++r)
    for (int c = 0; c < a.channels; ++c)
      store(a.y, r * a.y_channels + a.first + c, activate(a.act, x[r * a.channels + c]));
}

template <class T>
void compute(const TakeChannels& a) {
  const T* dy = a.dy.as<T>();
  for (int64_t r = 0; r < a.rows; ++r)
    for (int c = 0; c < a.channels; ++c) {
      const int64_t wide = r * a.y_channels + a.first + c;
      store(a.dx, r * a.channels + c, dy[wide] * activation_slope(a.act, read_or(a.y, wide, T(0))));
    }
}

// ----------------------------------------------------------------------------------------------------- gemm

template <class T>
void compute(const Gemm& g) {
  const T *a = g.a.as<T>(), *b = g.b.as<T>();
  for_each_apart(g.m, [&](int64_t i) {
    for (int64_t j = 0; j < g.n; ++j) {
      T sum = 0;
      for (int64_t p = 0; p < g.k; ++p)
        sum += a[g.transpose_a ? p * g.m + i : i * g.k + p] * b[g.transpose_b ? j * g.k + p : p * g.n + j];
      store(g.c, i * g.n + j, activate(g.act, sum + read_or(g.bias, j, T(0))));
    }
  });
}

// ---------------------------------------------------------------------------------------------- convolution

// Where a row or column of the padded picture lies in the picture itself; -1: in the zero padding.
inline int source(int position, int length, Padding padding) {
  if (padding == Padding::reflect) {
    if (position < 0) position = -position;
    if (position >= length) position = 2 * (length - 1) - position;
  }
  return position >= 0 && position < length ? position : -1;
}

// Calls f(x, w, y, channels) for every tap of the convolution of these pictures by these output channels: the
// output element y (an index) takes part with `channels` neighbouring elements of the input from x on and of
// the weights from w on. The three directions are this one list of products, summed over different indices;
// that they are each other's adjoints is plain to see.
struct Range {
  int64_t begin, end;
};
template <class F>
void for_each_tap(const Conv2d& s, Range pictures, Range outputs, F&& f) {
  const int64_t group_in = s.c / s.groups, group_out = s.k / s.groups;
  for (int64_t n = pictures.begin; n < pictures.end; ++n)
    for (int oh = 0; oh < s.oh; ++oh)
      for (int ow = 0; ow < s.ow; ++ow)
        for (int64_t k = outputs.begin; k < outputs.end; ++k)
          for (int r = 0; r < s.kh; ++r)
            for (int q = 0; q < s.kw; ++q) {
              const int h = source(oh * s.sh - s.ph + r * s.dh, s.h, s.padding);
              const int w = source(ow * s.sw - s.pw + q * s.dw, s.w, s.padding);
              if (h < 0 || w < 0) continue;
              const int64_t x_index = ((n * s.h + h) * s.w + w) * s.c + k / group_out * group_in;
              const int64_t w_index = ((k * s.kh + r) * s.kw + q) * group_in;
              const int64_t y_index = ((n * s.oh + oh) * s.ow + ow) * s.k + k;
              f(x_index, w_index, y_index, group_in);
            }
}

template <class T>
void compute(const ConvFwd& a) {
  const Conv2d& s = a.size;
  const T *x = a.x.as<T>(), *w = a.w.as<T>();
  std::vector<T> y(s.y_count());
  for_each_apart(s.n, [&](int64_t n) {
    for_each_tap(s, {n, n + 1}, {0, s.k}, [&](int64_t xi, int64_t wi, int64_t yi, int64_t channels) {
      T sum = y[yi];
      for (int64_t c = 0; c < channels; ++c) sum += x[xi + c] * w[wi + c];
      y[yi] = sum;
    });
  });
  for (int64_t i = 0; i < s.y_count(); ++i)
    store(a.y, i, activate(a.act, y[i] + read_or(a.bias, i % s.k, T(0))));
}

template <class T>
void compute(const ConvBwdData& a) {
  const Conv2d& s = a.size;
  const T *dy = a.dy.as<T>(), *w = a.w.as<T>();
  std::vector<T> dx(s.x_count());
  for_each_apart(s.n, [&](int64_t n) {
    for_each_tap(s, {n, n + 1}, {0, s.k}, [&](int64_t xi, int64_t wi, int64_t yi, int64_t channels) {
      for (int64_t c = 0; c < channels; ++c) dx[xi + c] += dy[yi] * w[wi + c];
    });
  });
  for (int64_t i = 0; i < s.x_count(); ++i)
    store(a.dx, i, activate(a.act, dx[i] + read_or(a.bias, i % s.c, T(0))));
}

template <class T>
void compute(const ConvBwdWeight& a) {
  const Conv2d& s = a.size;
  const T *x = a.x.as<T>(), *dy = a.dy.as<T>();
  std::vector<T> dw(s.w_count());
  for_each_apart(s.k, [&](int64_t k) {
    for_each_tap(s, {0, s.n}, {k, k + 1}, [&](int64_t xi, int64_t wi, int64_t yi, int64_t channels) {
      for (int64_t c = 0; c < channels; ++c) dw[wi + c] += x[xi + c] * dy[yi];
    });
  });
  for (int64_t i = 0; i < s.w_count(); ++i) store(a.dw, i, dw[i]);
}

// ----------------------------------------------------------------------------------------------------- norm

// Running variances take the unbiased variance; a single row has none, and its variance of 0 is taken as it
// is.
template <class T>
void compute(const NormFwd& a) {
  const auto& [segments, rows, channels, eps] = a.size;
  const T* x = a.x.as<T>();
  T *mean = a.mean.as<T>(), *rstd = a.rstd.as<T>();
  T *running_mean = a.running_mean.as<T>(), *running_var = a.running_var.as<T>();
  for (int s = 0; s < segments; ++s)
    for (int c = 0; c < channels; ++c) {
      const auto at = [&, ch = channels, n = rows](int64_t row) { return (s * n + row) * ch + c; };
      T sum = 0, squares = 0;
      for (int64_t r = 0; r < rows; ++r) sum += x[at(r)];
      const T m = sum / T(rows);
      for (int64_t r = 0; r < rows; ++r) squares += (x[at(r)] - m) * (x[at(r)] - m);
      const T inverse = 1 / std::sqrt(squares / T(rows) + T(eps));
      mean[s * channels + c] = m;
      rstd[s * channels + c] = inverse;
      for (int64_t r = 0; r < rows; ++r) {
        const T normalised = (x[at(r)] - m) * inverse;
        store(a.y, at(r), activate(a.act, read_or(a.gamma, c, T(1)) * normalised + read_or(a.beta, c, T(0))));
      }
      if (running_mean) {
        const T unbiased = squares / T(std::max<int64_t>(rows - 1, 1)), keep = T(1 - a.momentum);
        running_mean[c] = keep * running_mean[c] + T(a.momentum) * m;
        running_var[c] = keep * running_var[c] + T(a.momentum) * unbiased;
      }
    }
}

template <class T>
void compute(const NormInfer& a) {
  const T *x = a.x.as<T>(), *mean = a.mean.as<T>(), *var = a.var.as<T>();
  for (int64_t i = 0; i < a.rows * a.channels; ++i) {
    const int64_t c = i % a.channels;
    const T normalised = (x[i] - mean[c]) / std::sqrt(var[c] + T(a.eps));
    store(a.y, i, activate(a.act, read_or(a.gamma, c, T(1)) * normalised + read_or(a.beta, c, T(0))));
  }
}

// With xhat the normalised x and dz the gradient of the activation's input gamma * xhat + beta:
//   dx = gamma * rstd * (dz - mean(dz) - xhat * mean(dz * xhat)), the means over the rows of a segment;
//   dgamma = sum of dz * xhat and dbeta = sum of dz over all rows of all segments.
template <class T>
void compute(const NormBwd& a) {
  const auto& [segments, rows, channels, eps] = a.size;
  const T *x = a.x.as<T>(), *dy = a.dy.as<T>(), *mean = a.mean.as<T>(), *rstd = a.rstd.as<T>();
  for (int c = 0; c < channels; ++c) {
    const T gamma = read_or(a.gamma, c, T(1)), beta = read_or(a.beta, c, T(0));
    T dgamma = 0, dbeta = 0;
    for (int s = 0; s < segments; ++s) {
      const T m = mean[s * channels + c], inverse = rstd[s * channels + c];
      const auto at = [&, s, c, ch = channels, n = rows](int64_t row) { return (s * n + row) * ch + c; };
      const auto xhat = [&](int64_t row) { return (x[at(row)] - m) * inverse; };
      const auto dz = [&](int64_t row) {
        return dy[at(row)] * activation_slope(a.act, activate(a.act, gamma * xhat(row) + beta));
      };
      T sum = 0, sum_xhat = 0;
      for (int64_t r = 0; r < rows; ++r) {
        sum += dz(r);
        sum_xhat += dz(r) * xhat(r);
      }
      for (int64_t r = 0; r < rows; ++r)
        store(a.dx, at(r), gamma * inverse * (dz(r) - sum / T(rows) - xhat(r) * sum_xhat / T(rows)));
      dgamma += sum_xhat;
      dbeta += sum;
    }
    store(a.dgamma, c, dgamma);
    store(a.dbeta, c, dbeta);
  }
}

template <class T>
void compute(const LayerNormFwd& a) {
  const T* x = a.x.as<T>();
  T *mean = a.mean.as<T>(), *rstd = a.rstd.as<T>();
  const int64_t elements = a.size.elements();
  for (int64_t g = 0; g < a.size.groups; ++g) {
    const T* group = x + g * elements;
    T sum = 0, squares = 0;
    for (int64_t i = 0; i < elements; ++i) sum += group[i];
    mean[g] = sum / T(elements);
    for (int64_t i = 0; i < elements; ++i) squares += (group[i] - mean[g]) * (group[i] - mean[g]);
    rstd[g] = 1 / std::sqrt(squares / T(elements) + T(a.size.eps));
    for (int64_t i = 0; i < elements; ++i) {
      const int64_t c = i % a.size.channels;
      const T z = read_or(a.gamma, c, T(1)) * (group[i] - mean[g]) * rstd[g] + read_or(a.beta, c, T(0));
      store(a.y, g * elements + i, activate(a.act, z));
    }
  }
}

// f(element of the weight, its output, its other index), in the order of memory.
template <class F>
void for_each_weight(const SpectralSize& s, F&& f) {
  const int rows = s.outputs_last ? s.others : s.outputs, columns = s.outputs_last ? s.outputs : s.others;
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < columns; ++c)
      f(int64_t{r} * columns + c, s.outputs_last ? c : r, s.outputs_last ? r : c);
}

// x / max(|x|, eps)
template <class T>
void to_unit_length(std::vector<T>& x) {
  T square = 0;
  for (T value : x) square += value * value;
  const T length = std::sqrt(square);
  for (T& value : x) value /= length < T(SpectralSize::eps) ? T(SpectralSize::eps) : length;
}

template <class T>
void compute(const SpectralNormFwd& a) {
  const T* w = a.w.as<T>();
  T *u = a.u.as<T>(), *v = a.v.as<T>();
  std::vector<T> left(u, u + a.size.outputs), right(v, v + a.size.others), product(a.size.outputs);
  if (a.move) {
    std::fill(right.begin(), right.end(), T(0));
    for_each_weight(a.size, [&](int64_t i, int output, int other) { right[other] += w[i] * left[output]; });
    to_unit_length(right);
  }
  for_each_weight(a.size, [&](int64_t i, int output, int other) { product[output] += w[i] * right[other]; });
  if (a.move) {
    left = product;
    to_unit_length(left);
    std::copy(left.begin(), left.end(), u);
    std::copy(right.begin(), right.end(), v);
  }
  T sigma = 0;
  for (int i = 0; i < a.size.outputs; ++i) sigma += left[i] * product[i];
  std::copy(left.begin(), left.end(), a.left.as<T>());
  std::copy(right.begin(), right.end(), a.right.as<T>());
  a.sigma.as<T>()[0] = sigma;
  for (int64_t i = 0; i < a.size.count(); ++i) store(a.y, i, w[i] / sigma);
}

template <class T>
void compute(const SpectralNormBwd& a) {
  const T *w = a.w.as<T>(), *dy = a.dy.as<T>(), *left = a.left.as<T>(), *right = a.right.as<T>();
  const T sigma = a.sigma.as<T>()[0];
  T dot = 0;
  for (int64_t i = 0; i < a.size.count(); ++i) dot += dy[i] * w[i];
  for_each_weight(a.size, [&](int64_t i, int output, int other) {
    store(a.dw, i, (dy[i] - dot / sigma * left[output] * right[other]) / sigma);
  });
}

// As in NormBwd, but the means are over all elements of a group, of gamma * dz and of gamma * dz * xhat:
//   dx = rstd * (gamma * dz - mean(gamma * dz) - xhat * mean(gamma * dz * xhat))
template <class T>
void compute(const LayerNormBwd& a) {
  const T *x = a.x.as<T>(), *dy = a.dy.as<T>(), *mean = a.mean.as<T>(), *rstd = a.rstd.as<T>();
  const int64_t elements = a.size.elements();
  std::vector<T> dgamma(a.size.channels), dbeta(a.size.channels);
  for (int64_t g = 0; g < a.size.groups; ++g) {
    T sum = 0, sum_xhat = 0;
    std::vector<T> xhat(elements), scaled(elements);  // scaled: gamma * dz
    for (int64_t i = 0; i < elements; ++i) {
      const int64_t c = i % a.size.channels;
      const T gamma = read_or(a.gamma, c, T(1));
      xhat[i] = (x[g * elements + i] - mean[g]) * rstd[g];
      const T dz = dy[g * elements + i] *
                   activation_slope(a.act, activate(a.act, gamma * xhat[i] + read_or(a.beta, c, T(0))));
      scaled[i] = gamma * dz;
      sum += scaled[i];
      sum_xhat += scaled[i] * xhat[i];
      dgamma[c] += dz * xhat[i];
      dbeta[c] += dz;
    }
    for (int64_t i = 0; i < elements; ++i)
      store(a.dx, g * elements + i,
            rstd[g] * (scaled[i] - sum / T(elements) - xhat[i] * sum_xhat / T(elements)));
  }
  for (int c = 0; c < a.size.channels; ++c) {
    store(a.dgamma, c, dgamma[c]);
    store(a.dbeta, c, dbeta[c]);
  }
}

// ------------------------------------------------------------------------------------------------ attention

// The scores of query `row` (an index over all problems) and their logarithm of sums of exponentials.
template <class T>
std::vector<T> attention_scores(const AttentionSize& s, const T* q, const T* k, int64_t row) {
  std::vector<T> scores(s.keys);
  for (int m = 0; m < s.keys; ++m) {
    const int64_t key = row / s.queries * s.keys + m;
    T sum = 0;
    for (int c = 0; c < s.key_width; ++c) sum += q[row * s.key_width + c] * k[key * s.key_width + c];
    scores[m] = T(s.scale) * sum;
  }
  return scores;
}

template <class T>
void compute(const AttentionFwd& a) {
  const AttentionSize& s = a.size;
  const T *q = a.q.as<T>(), *k = a.k.as<T>(), *v = a.v.as<T>();
  T* log_sum_exp = a.log_sum_exp.as<T>();
  for (int64_t row = 0; row < int64_t(s.batch) * s.queries; ++row) {
    std::vector<T> p = attention_scores(s, q, k, row);
    const T largest = *std::max_element(p.begin(), p.end());
    T sum = 0;
    for (T& score : p) sum += score = std::exp(score - largest);
    log_sum_exp[row] = largest + std::log(sum);
    const int64_t first_key = row / s.queries * s.keys;
    for (int c = 0; c < s.value_width; ++c) {
      T o = 0;
      for (int m = 0; m < s.keys; ++m) o += p[m] * v[(first_key + m) * s.value_width + c];
      store(a.o, row * s.value_width + c, o / sum);
    }
  }
}

template <class T>
void compute(const AttentionBwd& a) {
  const AttentionSize& s = a.size;
  const T *q = a.q.as<T>(), *k = a.k.as<T>(), *v = a.v.as<T>(), *o = a.o.as<T>();
  const T *log_sum_exp = a.log_sum_exp.as<T>(), *d_o = a.d_o.as<T>();
  std::vector<T> dq(s.query_count()), dk(s.key_count()), dv(s.value_count());
  for (int64_t row = 0; row < int64_t(s.batch) * s.queries; ++row) {
    const std::vector<T> scores = attention_scores(s, q, k, row);
    T mean_dp = 0;  // of dp under the probabilities p
    for (int64_t i = row * s.value_width; i < (row + 1) * s.value_width; ++i) mean_dp += d_o[i] * o[i];
    for (int m = 0; m < s.keys; ++m) {
      const int64_t key = row / s.queries * s.keys + m;
      const T p = std::exp(scores[m] - log_sum_exp[row]);
      T dp = 0;
      for (int c = 0; c < s.value_width; ++c) {
        dp += d_o[row * s.value_width + c] * v[key * s.value_width + c];
        dv[key * s.value_width + c] += p * d_o[row * s.value_width + c];
      }
      const T ds = T(s.scale) * p * (dp - mean_dp);
      for (int c = 0; c < s.key_width; ++c) {
        dq[row * s.key_width + c] += ds * k[key * s.key_width + c];
        dk[key * s.key_width + c] += ds * q[row * s.key_width + c];
      }
    }
  }
  for (int64_t i = 0; i < s.query_count(); ++i) store(a.dq, i, dq[i]);
  for (int64_t i = 0; i < s.key_count(); ++i) store(a.dk, i, dk[i]);
  for (int64_t i = 0; i < s.value_count(); ++i) store(a.dv, i, dv[i]);
}

// ----------------------------------------------------------------------------------------------------- loss

template <class T>
struct LossAndSlope {
  T loss, slope;
};

// One logit of the discriminator's loss, on the real or on the fake half.
template <class T>
LossAndSlope<T> discriminator_loss(GanLoss kind, bool real, T label, T x) {
  switch (kind) {
    case GanLoss::vanilla:
    case GanLoss::minimax: return {softplus(x) - x * label, sigmoid(x) - label};
    case GanLoss::lsgan: return {(x - label) * (x - label), 2 * (x - label)};
    case GanLoss::hinge: {
      const T margin = real ? 1 - x : 1 + x;
      return {std::max(margin, T(0)), margin > 0 ? T(real ? -1 : 1) : T(0)};
    }
    case GanLoss::wasserstein: return {real ? -x : x, T(real ? -1 : 1)};
  }
  return {};
}

// One logit of the generator's loss.
template <class T>
LossAndSlope<T> generator_loss(GanLoss kind, T x) {
  switch (kind) {
    case GanLoss::vanilla: return {softplus(-x), -sigmoid(-x)};
    case GanLoss::minimax: return {-softplus(x), -sigmoid(x)};
    case GanLoss::lsgan: return {(x - 1) * (x - 1), 2 * (x - 1)};
    case GanLoss::hinge:
    case GanLoss::wasserstein: return {-x, -1};
  }
  return {};
}

template <class T>
void compute(const DiscriminatorLoss& a) {
  const bool probability = a.kind == GanLoss::vanilla || a.kind == GanLoss::minimax;
  T total = 0;
  for (bool real : {true, false}) {
    const T* logits = (real ? a.real : a.fake).as<T>();
    const int64_t count = real ? a.real_count : a.fake_count;
    const T label = T(real ? a.real_label : a.fake_label);
    T loss = 0, shown = 0;
    for (int64_t i = 0; i < count; ++i) {
      const auto one = discriminator_loss(a.kind, real, label, logits[i]);
      loss += one.loss;
      shown += probability ? sigmoid(logits[i]) : logits[i];
      store(real ? a.d_real : a.d_fake, i, T(a.scale) * one.slope / T(count));
    }
    store(a.values, real ? 0 : 1, loss / T(count));
    store(a.values, real ? 2 : 3, shown / T(count));
    total += loss / T(count);
  }
  store(a.loss, 0, T(a.scale) * total);
}

template <class T>
void compute(const GeneratorLoss& a) {
  const T* fake = a.fake.as<T>();
  T loss = 0;
  for (int64_t i = 0; i < a.count; ++i) {
    const auto one = generator_loss(a.kind, fake[i]);
    loss += one.loss;
    store(a.d_fake, i, T(a.scale) * one.slope / T(a.count));
  }
  store(a.values, 0, loss / T(a.count));
  store(a.loss, 0, T(a.scale) * (loss / T(a.count)));
}

// Where a == b the gradient of |a - b| is taken as 0.
template <class T>
LossAndSlope<T> pixel_loss(PixelLossKind kind, T difference) {
  const T size = std::abs(difference), sign = T((difference > 0) - (difference < 0));
  switch (kind) {
    case PixelLossKind::l1: return {size, sign};
    case PixelLossKind::l2: return {difference * difference, 2 * difference};
    case PixelLossKind::huber:
      if (size > 1) return {size - T(0.5), sign};
      return {difference * difference / 2, difference};
  }
  return {};
}

template <class T>
void compute(const PixelLoss& a) {
  const T *x = a.a.as<T>(), *y = a.b.as<T>();
  T loss = 0;
  for (int64_t i = 0; i < a.count; ++i) {
    const auto one = pixel_loss(a.kind, x[i] - y[i]);
    loss += one.loss;
    store(a.da, i, T(a.scale) * one.slope / T(a.count));
    store(a.db, i, T(-a.scale) * one.slope / T(a.count));
  }
  store(a.value, 0, loss / T(a.count));
  store(a.loss, 0, T(a.scale) * (loss / T(a.count)));
}

// ---------------------------------------------------------------------------------------------------- optim

template <class T>
void compute(const Adam& a) {
  const T *grad = a.grad.as<T>(), *scalars = a.scalars.as<T>();
  T *weight = a.weight.as<T>(), *m = a.m.as<T>(), *v = a.v.as<T>(), *rounded = a.rounded.as<T>();
  for (int64_t i = 0; i < a.count; ++i) {
    const T g = grad[i] + T(a.weight_decay) * weight[i];
    m[i] = T(a.beta1) * m[i] + T(1 - a.beta1) * g;
    v[i] = T(a.beta2) * v[i] + T(1 - a.beta2) * g * g;
    weight[i] -= scalars[0] * (m[i] / scalars[1]) / (std::sqrt(v[i] / scalars[2]) + T(a.eps));
    if (rounded) rounded[i] = weight[i];
  }
}

template <class T>
void compute(const Sgd& a) {
  const T *grad = a.grad.as<T>(), *scalars = a.scalars.as<T>();
  T *weight = a.weight.as<T>(), *velocity = a.velocity.as<T>();
  for (int64_t i = 0; i < a.count; ++i) {
    T step = grad[i] + T(a.weight_decay) * weight[i];
    if (velocity) step = velocity[i] = T(a.momentum) * velocity[i] + step;
    weight[i] -= scalars[0] * step;
  }
}

template <class T>
void compute(const MovingAverage& a) {
  const T* weight = a.weight.as<T>();
  T* average = a.average.as<T>();
  for (int64_t i = 0; i < a.count; ++i) average[i] = T(a.decay) * average[i] + T(1 - a.decay) * weight[i];
}

template <class T>
void compute(const GradNorm& a) {
  const T* grad = a.grad.as<T>();
  T* values = a.values.as<T>();
  T squares = 0;
  bool finite = true;
  for (int64_t i = 0; i < a.count; ++i) {
    squares += grad[i] * grad[i];
    finite = finite && std::isfinite(grad[i]);
  }
  values[0] = std::sqrt(squares);
  values[1] = finite ? 1 : 0;
}

// ------------------------------------------------------------------------------------------------- resample

// One input of an output along an axis.
template <class T>
struct Tap {
  int input;
  T weight;
};

// The inputs that output i is made of along an axis of `in` inputs and `out` outputs.
template <class T>
std::vector<Tap<T>> resample_taps(const ResampleRule& rule, int i, int in, int out, int kernel, int stride,
                                  int pad) {
  std::vector<Tap<T>> taps;
  if (rule.kind == ResampleKind::nearest) {
    taps.push_back({i * in / out, 1});
  } else if (rule.kind == ResampleKind::adaptive_average) {
    const int begin = i * in / out, end = ((i + 1) * in + out - 1) / out;
    for (int input = begin; input < end; ++input) taps.push_back({input, 1 / T(end - begin)});
  } else if (rule.kind == ResampleKind::average_pool) {
    int counted = 0;
    for (int input = i * stride - pad; input < i * stride - pad + kernel; ++input) {
      const bool real = input >= 0 && input < in;
      if (real) taps.push_back({input, 0});
      counted += real || (rule.count_padding && input < in + pad);
    }
    for (Tap<T>& tap : taps) tap.weight = 1 / T(counted);
  } else {
    const T half = T(0.5), ratio = T(in) / T(out);
    const T position = rule.align_corners ? (out > 1 ? T(i) * T(in - 1) / T(out - 1) : T(0))
                                          : std::max((T(i) + half) * ratio - half, T(0));
    const int low = std::min(int(position), in - 1);
    const T to_high = position - T(low);
    taps.push_back({low, 1 - to_high});
    taps.push_back({std::min(low + 1, in - 1), to_high});
  }
  return taps;
}

// Calls f(x index, y index, weight) for every product of the sum: forwards and backwards are one list.
template <class T, class F>
void for_each_resample_tap(const ResampleSize& s, const ResampleRule& rule, F&& f) {
  const PoolWindow& p = rule.window;
  for (int64_t n = 0; n < s.n; ++n)
    for (int oh = 0; oh < s.oh; ++oh)
      for (int ow = 0; ow < s.ow; ++ow)
        for (const Tap<T>& row : resample_taps<T>(rule, oh, s.h, s.oh, p.kh, p.sh, p.ph))
          for (const Tap<T>& column : resample_taps<T>(rule, ow, s.w, s.ow, p.kw, p.sw, p.pw))
            for (int c = 0; c < s.c; ++c)
              f(((n * s.h + row.input) * s.w + column.input) * s.c + c,
                ((n * s.oh + oh) * s.ow + ow) * s.c + c, row.weight * column.weight);
}

template <class T>
void compute(const ResampleFwd& a) {
  const T* x = a.x.as<T>();
  std::vector<T> y(a.size.y_count());
  for_each_resample_tap<T>(a.size, a.rule,
                           [&](int64_t xi, int64_t yi, T weight) { y[yi] += weight * x[xi]; });
  for (int64_t i = 0; i < a.size.y_count(); ++i) store(a.y, i, y[i]);
}

template <class T>
void compute(const ResampleBwd& a) {
  const T* dy = a.dy.as<T>();
  std::vector<T> dx(a.size.x_count());
  for_each_resample_tap<T>(a.size, a.rule,
                           [&](int64_t xi, int64_t yi, T weight) { dx[xi] += weight * dy[yi]; });
  for (int64_t i = 0; i < a.size.x_count(); ++i) store(a.dx, i, dx[i]);
}

// Calls f(x index of the largest element of the window, y index) for every output.
template <class T, class F>
void for_each_maximum(const ResampleSize& s, const PoolWindow& p, const T* x, F&& f) {
  for (int64_t yi = 0; yi < s.y_count(); ++yi) {
    const int64_t c = yi % s.c, ow = yi / s.c % s.ow, oh = yi / s.c / s.ow % s.oh, n = yi / s.c / s.ow / s.oh;
    int64_t largest = -1;
    for (int64_t h = oh * p.sh - p.ph; h < oh * p.sh - p.ph + p.kh; ++h)
      for (int64_t w = ow * p.sw - p.pw; w < ow * p.sw - p.pw + p.kw; ++w) {
        if (h < 0 || h >= s.h || w < 0 || w >= s.w) continue;
        const int64_t xi = ((n * s.h + h) * s.w + w) * s.c + c;
        if (largest < 0 || x[xi] > x[largest] || std::isnan(x[xi])) largest = xi;
      }
    f(largest, yi);
  }
}

template <class T>
void compute(const MaxPoolFwd& a) {
  const T* x = a.x.as<T>();
  for_each_maximum(a.size, a.window, x, [&](int64_t xi, int64_t yi) { store(a.y, yi, x[xi]); });
}

template <class T>
void compute(const MaxPoolBwd& a) {
  const T *x = a.x.as<T>(), *dy = a.dy.as<T>();
  std::vector<T> dx(a.size.x_count());
  for_each_maximum(a.size, a.window, x, [&](int64_t xi, int64_t yi) { dx[xi] += dy[yi]; });
  for (int64_t i = 0; i < a.size.x_count(); ++i) store(a.dx, i, dx[i]);
}

template <class T>
void compute(const PixelShuffle& a) {
  const T* x = a.x.as<T>();
  const int64_t r = a.factor;
  for (int64_t n = 0; n < a.n; ++n)
    for (int64_t h = 0; h < a.h; ++h)
      for (int64_t w = 0; w < a.w; ++w)
        for (int64_t c = 0; c < a.c; ++c)
          for (int64_t i = 0; i < r; ++i)
            for (int64_t j = 0; j < r; ++j) {
              const int64_t small = ((n * a.h + h) * a.w + w) * a.c * r * r + (c * r + i) * r + j;
              const int64_t large = ((n * a.h * r + h * r + i) * a.w * r + w * r + j) * a.c + c;
              store(a.y, a.inverse ? small : large, x[a.inverse ? large : small]);
            }
}

// ---------------------------------------------------------------------------------------------------- image

template <class T>
void compute(const ImageBatch& a) {
  const auto* pool = a.pool.as<uint8_t>();
  const auto* placement = a.placement.as<int32_t>();
  int64_t out = 0;
  for (int n = 0; n < a.count; ++n) {
    const int32_t *place = placement + 4 * n, index = place[0], top = place[1], left = place[2];
    for (int y = 0; y < a.height; ++y)
      for (int x = 0; x < a.width; ++x)
        for (int c = 0; c < a.channels; ++c) {
          const int column = left + (place[3] ? a.width - 1 - x : x);
          const int64_t row = int64_t(index) * a.pool_height + top + y;
          store(a.batch, out++, T(pool[(row * a.pool_width + column) * a.channels + c]) / T(127.5) - 1);
        }
  }
}

template <class T>
void compute(const RgbToLab& a) {
  const T* rgb = a.rgb.as<T>();
  for (int64_t i = 0; i < a.count; ++i) {
    const auto lab =
        srgb_to_lab<T>({(rgb[3 * i] + 1) / 2, (rgb[3 * i + 1] + 1) / 2, (rgb[3 * i + 2] + 1) / 2});
    store(a.l, i, lab.x / 50 - 1);
    store(a.ab, 2 * i, lab.y / 110);
    store(a.ab, 2 * i + 1, lab.z / 110);
  }
}

template <class T>
void compute(const LabToRgb& a) {
  const T *l = a.l.as<T>(), *ab = a.ab.as<T>();
  for (int64_t i = 0; i < a.count; ++i) {
    const auto rgb = lab_to_srgb<T>({(l[i] + 1) * 50, ab[2 * i] * 110, ab[2 * i + 1] * 110});
    store(a.rgb, 3 * i, 2 * rgb.x - 1);
    store(a.rgb, 3 * i + 1, 2 * rgb.y - 1);
    store(a.rgb, 3 * i + 2, 2 * rgb.z - 1);
  }
}

template <class T>
void compute(const PoolExchange& a) {
  const T* batch = a.batch.as<T>();
  const auto* places = a.places.as<int32_t>();
  T *pool = a.pool.as<T>(), *shown = a.shown.as<T>();
  for (int n = 0; n < a.count; ++n) {
    const int32_t place = places[2 * n], swap = places[2 * n + 1];
    for (int64_t i = 0; i < a.elements; ++i) {
      const T picture = batch[n * a.elements + i];
      T* kept = place < 0 ? nullptr : pool + place * a.elements + i;
      shown[n * a.elements + i] = kept && swap ? *kept : picture;
      if (kept) *kept = picture;
    }
  }
}

// ------------------------------------------------------------------------------------------------------ rng

// Random numbers are float32 on every device; here they are widened, so that all devices see the same ones.
template <class T>
void compute(const RandomNormal& a) {
  const uint32_t step = step_on_host(a);
  for (int64_t i = 0; i < a.count; ++i) store(a.y, i, T(random_normal(a.seed, a.stream, step, i)));
}

template <class T>
void compute(const RandomUniform& a) {
  const uint32_t step = step_on_host(a);
  for (int64_t i = 0; i < a.count; ++i) store(a.y, i, T(random_uniform(a.seed, a.stream, step, i)));
}

template <class T>
void compute(const Dropout& a) {
  const T* x = a.x.as<T>();
  const uint32_t step = step_on_host(a);
  for (int64_t i = 0; i < a.count; ++i) {
    const bool stays = random_uniform(a.seed, a.stream, step, a.first + uint64_t(i)) >= float(a.p);
    store(a.y, i, stays ? x[i] / T(1 - a.p) : T(0));
  }
}

}  // namespace gan::ref
