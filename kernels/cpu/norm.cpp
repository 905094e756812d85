// Batch, instance and layer normalisation on the cpu.
//
// Read in order: moments of one block of rows, the merge of blocks, the elementwise pass; then the same three
// for the gradients. A block is small enough to stay in a core's cache while it is read twice, so the
// two-pass variance costs one trip to memory; its size depends on the channels alone, so the thread count
// changes no bit. The activation's input is never stored: the backward pass finds it again from x. Layer
// norm, at the end, joins the same blocks over the channels of a group too.
#include <cmath>
#include <vector>

#include "kernels/cpu/loops.h"
#include "kernels/cpu/room.h"
#include "kernels/cpu/spectral_norm.h"

namespace gan::cpu {
namespace {

// How the rows of all segments are cut into blocks.
struct Blocks {
  int64_t rows, channels, rows_per_block, per_segment, count;
  Blocks(int64_t segments, int64_t rows_, int channels_)
      : rows(rows_),
        channels(channels_),
        rows_per_block(std::clamp<int64_t>(16384 / channels_, 16, 512)),
        per_segment((rows_ + rows_per_block - 1) / rows_per_block),
        count(segments * per_segment) {}
  int64_t segment(int64_t block) const { return block / per_segment; }
  int64_t rows_of(int64_t block) const {
    return std::min(rows_per_block, rows - block % per_segment * rows_per_block);
  }
  int64_t offset(int64_t block) const {  // of its first element in x
    return (segment(block) * rows + block % per_segment * rows_per_block) * channels;
  }
  template <class F>
  void parallel(const F& f) const {  // f(block)
    parallel_ranges(count, std::min(rows_per_block, rows) * channels, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) f(b);
    });
  }
  // Tiles of up to 16 channels of every segment: f(segment, first channel, how many), for work on per-block
  // sums.
  template <class F>
  void parallel_tiles(int64_t segments, const F& f) const {
    const int64_t tiles = (channels + 15) / 16;
    parallel_ranges(segments * tiles, per_segment * 32, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t c = i % tiles * 16;
        f(i / tiles, c, std::min<int64_t>(16, channels - c));
      }
    });
  }
};

// -------------------------------------------------------------------------------------- sums over one block

// Adds per row and channel: term(x index, channel) gives two values that are added to first[c] and second[c].
// Four rows at a time, so that the sums are loaded and stored once for four.
template <class Term>
GAN_INLINE void sum_two(int64_t rows, int64_t channels, float* __restrict first, float* __restrict second,
                        Term&& term) {
  for (int64_t c = 0; c < channels; ++c) first[c] = second[c] = 0;
  int64_t r = 0;
  for (; r + 4 <= rows; r += 4)
    for (int64_t c = 0; c < channels; ++c) {
      float u[4], v[4];
      for (int64_t i = 0; i < 4; ++i) term((r + i) * channels + c, c, u[i], v[i]);
      first[c] += (u[0] + u[1]) + (u[2] + u[3]);
      second[c] += (v[0] + v[1]) + (v[2] + v[3]);
    }
  for (; r < rows; ++r)
    for (int64_t c = 0; c < channels; ++c) {
      float u, v;
      term(r * channels + c, c, u, v);
      first[c] += u;
      second[c] += v;
    }
}

// Mean and sum of squared differences from it. The second pass corrects the rounding of the first mean: what
// is left of sum(x - m) moves the mean and leaves the squares (Chan, Golub & LeVeque 1983, equation 1.7).
// The mean is given as its distance from `origin` (channels), a row of the same segment: next to a large
// mean, float32 would round it. `rough` is room for (channels) floats.
template <class T>
GAN_TARGET_CLONES void moments_of_block(const T* x, int64_t rows, int64_t channels, const T* origin,
                                        float* __restrict mean, float* __restrict squares,
                                        float* __restrict rough) {
  sum_two(rows, channels, rough, squares,
          [x](int64_t i, int64_t, float& u, float& v) GAN_LAMBDA_INLINE { u = to_float(x[i]), v = 0; });
  const float per_row = 1.0f / float(rows);
  for (int64_t c = 0; c < channels; ++c) rough[c] *= per_row;
  sum_two(rows, channels, mean, squares,
          [x, rough](int64_t i, int64_t c, float& u, float& v) GAN_LAMBDA_INLINE {
            u = to_float(x[i]) - rough[c];
            v = u * u;
          });
  for (int64_t c = 0; c < channels; ++c) {
    squares[c] -= mean[c] * mean[c] * per_row;
    mean[c] = (rough[c] - to_float(origin[c])) + mean[c] * per_row;
  }
}

// What an elementwise pass needs per channel of one segment: activation input = (x - mean) * scale + shift.
struct Coefficients {
  const float *mean, *scale, *shift;
};

template <class T>
GAN_TARGET_CLONES void normalize_block(const T* x, int64_t rows, int64_t channels, Coefficients k,
                                       Activation act, Acc acc, T* y) {
  const float *mean = k.mean, *scale = k.scale, *shift = k.shift;
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      for (int64_t r = 0; r < rows; ++r) {
        const T* from = x + r * channels;
        T* to = y + r * channels;
        for (int64_t c = 0; c < channels; ++c)
          store<add.value>(
              to[c], activate<kind.value>((to_float(from[c]) - mean[c]) * scale[c] + shift[c], act.slope));
      }
    });
  });
}

// The gradient at the activation's input.
template <Act kind>
GAN_INLINE float input_gradient(float centered, float scale, float shift, float dy, float slope) {
  return activate_backward<kind>(activate<kind>(centered * scale + shift, slope), dy, slope);
}

// sum of e and of e * (x - mean), where e is the gradient at the activation's input.
template <class T>
GAN_TARGET_CLONES void gradient_sums_of_block(const T* x, const T* dy, int64_t rows, int64_t channels,
                                              Coefficients k, Activation act, float* sum_e, float* sum_ex) {
  const float *mean = k.mean, *scale = k.scale, *shift = k.shift;
  const float slope = float(act.slope);
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    sum_two(rows, channels, sum_e, sum_ex, [=](int64_t i, int64_t c, float& u, float& v) GAN_LAMBDA_INLINE {
      const float centered = to_float(x[i]) - mean[c];
      u = input_gradient<decltype(kind)::value>(centered, scale[c], shift[c], to_float(dy[i]), slope);
      v = u * centered;
    });
  });
}

// dx = scale * (e - mean of e - (x - mean) * slope of e on x)
template <class T>
GAN_TARGET_CLONES void input_gradient_block(const T* x, const T* dy, int64_t rows, int64_t channels,
                                            Coefficients k, const float* mean_e, const float* slope_e,
                                            Activation act, Acc acc, T* dx) {
  const float *mean = k.mean, *scale = k.scale, *shift = k.shift;
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      for (int64_t r = 0; r < rows; ++r) {
        const T *from = x + r * channels, *gradient = dy + r * channels;
        T* to = dx + r * channels;
        for (int64_t c = 0; c < channels; ++c) {
          const float centered = to_float(from[c]) - mean[c];
          const float e =
              input_gradient<kind.value>(centered, scale[c], shift[c], to_float(gradient[c]), act.slope);
          store<add.value>(to[c], scale[c] * (e - mean_e[c] - centered * slope_e[c]));
        }
      }
    });
  });
}

// -------------------------------------------------------------------------------------------- launchers

template <class T>
void run_typed(const NormFwd& a, Stream& stream) {
  const NormSize& s = a.size;
  const Blocks blocks(s.segments, s.rows, s.channels);
  const int64_t channels = s.channels, all = s.segments * channels;
  const T* x = a.x.as<T>();
  const float *gamma = a.gamma.as<float>(), *beta = a.beta.as<float>();
  T* y = a.y.as<T>();
  float *mean = a.mean.as<float>(), *rstd = a.rstd.as<float>();
  Carver carver(
      stream.scratch(2 * Carver::bytes<float>(blocks.count * channels) + 3 * Carver::bytes<float>(all)));
  float* block_means = carver.take<float>(blocks.count * channels);    // (blocks, channels)
  float* block_squares = carver.take<float>(blocks.count * channels);  // (blocks, channels)
  float* variance = carver.take<float>(all);                           // (segments, channels)
  float* scale = carver.take<float>(all);                              // (segments, channels)
  float* shift = carver.take<float>(all);                              // (segments, channels)

  const auto origin = [&](int64_t segment) { return x + segment * s.rows * channels; };  // its first row
  blocks.parallel([&](int64_t b) {
    thread_local std::vector<float> rough;
    rough.resize(size_t(channels));
    moments_of_block(x + blocks.offset(b), blocks.rows_of(b), channels, origin(blocks.segment(b)),
                     block_means + b * channels, block_squares + b * channels, rough.data());
  });

  // Seen from the origin: mean = sum n_b mean_b / rows; squares = sum squares_b + n_b (mean_b - mean)^2
  blocks.parallel_tiles(s.segments, [&](int64_t segment, int64_t first, int64_t width) {
    double total[16] = {}, squares[16] = {};
    const int64_t begin = segment * blocks.per_segment, end = begin + blocks.per_segment;
    for (int64_t b = begin; b < end; ++b)
      for (int64_t j = 0; j < width; ++j)
        total[j] += double(blocks.rows_of(b)) * block_means[b * channels + first + j];
    for (double& t : total) t /= double(s.rows);
    for (int64_t b = begin; b < end; ++b)
      for (int64_t j = 0; j < width; ++j) {
        const double apart = block_means[b * channels + first + j] - total[j];
        squares[j] += block_squares[b * channels + first + j] + double(blocks.rows_of(b)) * apart * apart;
      }
    for (int64_t j = 0; j < width; ++j) {
      const int64_t c = first + j, i = segment * channels + c;
      const double r = 1.0 / std::sqrt(squares[j] / double(s.rows) + s.eps);
      mean[i] = float(double(to_float(origin(segment)[c])) + total[j]);
      rstd[i] = float(r);
      variance[i] = float(squares[j] / double(std::max<int64_t>(1, s.rows - 1)));
      scale[i] = gamma ? gamma[c] * rstd[i] : rstd[i];
      shift[i] = beta ? beta[c] : 0.0f;
    }
  });
  if (a.running_mean) {
    float *running_mean = a.running_mean.as<float>(), *running_var = a.running_var.as<float>();
    for (int64_t i = 0; i < all; ++i) {
      float &m = running_mean[i % channels], &v = running_var[i % channels];
      m = float((1 - a.momentum) * m + a.momentum * mean[i]);
      v = float((1 - a.momentum) * v + a.momentum * variance[i]);
    }
  }

  blocks.parallel([&](int64_t b) {
    const int64_t at = blocks.segment(b) * channels;
    normalize_block(x + blocks.offset(b), blocks.rows_of(b), channels, {mean + at, scale + at, shift + at},
                    a.act, a.y.acc, y + blocks.offset(b));
  });
}

template <class T>
void run_typed(const NormInfer& a, Stream& stream) {
  const int64_t channels = a.channels;
  const T* x = a.x.as<T>();
  const float *gamma = a.gamma.as<float>(), *beta = a.beta.as<float>();
  const float *mean = a.mean.as<float>(), *var = a.var.as<float>();
  T* y = a.y.as<T>();
  Carver carver(stream.scratch(2 * Carver::bytes<float>(channels)));
  float* scale = carver.take<float>(channels);
  float* shift = carver.take<float>(channels);
  for (int64_t c = 0; c < channels; ++c) {
    scale[c] = float((gamma ? double(gamma[c]) : 1.0) / std::sqrt(double(var[c]) + a.eps));
    shift[c] = beta ? beta[c] : 0.0f;
  }
  parallel_ranges(a.rows, channels, [&](int64_t begin, int64_t end) {
    normalize_block(x + begin * channels, end - begin, channels, {mean, scale, shift}, a.act, a.y.acc,
                    y + begin * channels);
  });
}

template <class T>
void run_typed(const NormBwd& a, Stream& stream) {
  const NormSize& s = a.size;
  const Blocks blocks(s.segments, s.rows, s.channels);
  const int64_t channels = s.channels, all = s.segments * channels;
  const T *x = a.x.as<T>(), *dy = a.dy.as<T>();
  const float *gamma = a.gamma.as<float>(), *beta = a.beta.as<float>();
  const float *mean = a.mean.as<float>(), *rstd = a.rstd.as<float>();
  Carver carver(
      stream.scratch(2 * Carver::bytes<float>(blocks.count * channels) + 6 * Carver::bytes<float>(all)));
  float* block_e = carver.take<float>(blocks.count * channels);   // (blocks, channels)
  float* block_ex = carver.take<float>(blocks.count * channels);  // (blocks, channels)
  float* scale = carver.take<float>(all);  // this and what follows (segments, channels)
  float* shift = carver.take<float>(all);
  float* sum_e = carver.take<float>(all);   // the segment's share of dbeta
  float* sum_ex = carver.take<float>(all);  // the segment's share of dgamma
  float* mean_e = carver.take<float>(all);
  float* slope_e = carver.take<float>(all);
  for (int64_t i = 0; i < all; ++i) {
    scale[i] = gamma ? gamma[i % channels] * rstd[i] : rstd[i];
    shift[i] = beta ? beta[i % channels] : 0.0f;
  }

  blocks.parallel([&](int64_t b) {
    const int64_t at = blocks.segment(b) * channels;
    gradient_sums_of_block(x + blocks.offset(b), dy + blocks.offset(b), blocks.rows_of(b), channels,
                           {mean + at, scale + at, shift + at}, a.act, block_e + b * channels,
                           block_ex + b * channels);
  });

  blocks.parallel_tiles(s.segments, [&](int64_t segment, int64_t first, int64_t width) {
    double total_e[16] = {}, total_ex[16] = {};
    const int64_t begin = segment * blocks.per_segment, end = begin + blocks.per_segment;
    for (int64_t b = begin; b < end; ++b)
      for (int64_t j = 0; j < width; ++j) {
        total_e[j] += block_e[b * channels + first + j];
        total_ex[j] += block_ex[b * channels + first + j];
      }
    for (int64_t j = 0; j < width; ++j) {
      const int64_t i = segment * channels + first + j;
      const double r = rstd[i];
      sum_e[i] = float(total_e[j]);
      sum_ex[i] = float(total_ex[j] * r);
      mean_e[i] = float(total_e[j] / double(s.rows));
      slope_e[i] = float(total_ex[j] * r * r / double(s.rows));
    }
  });
  const auto add_segments = [&](const Out& out, const float* shares) {
    if (!out) return;
    float* to = out.as<float>();
    for (int64_t c = 0; c < channels; ++c) {
      double total = out.acc == Acc::add ? double(to[c]) : 0.0;
      for (int64_t i = c; i < all; i += channels) total += shares[i];
      to[c] = float(total);
    }
  };
  add_segments(a.dbeta, sum_e);
  add_segments(a.dgamma, sum_ex);

  if (!a.dx) return;
  T* dx = a.dx.as<T>();
  blocks.parallel([&](int64_t b) {
    const int64_t at = blocks.segment(b) * channels;
    input_gradient_block(x + blocks.offset(b), dy + blocks.offset(b), blocks.rows_of(b), channels,
                         {mean + at, scale + at, shift + at}, mean_e + at, slope_e + at, a.act, a.dx.acc,
                         dx + blocks.offset(b));
  });
}

// ------------------------------------------------------------------------------------------- layer norm

// Calls f(group) for every group, on the results of blocks.
template <class F>
void parallel_groups(const LayerNormSize& s, const Blocks& blocks, const F& f) {
  parallel_ranges(s.groups, blocks.per_segment * s.channels, [&](int64_t begin, int64_t end) {
    for (int64_t group = begin; group < end; ++group) f(group);
  });
}

// What the elementwise passes need of each channel of each group: scale = gamma * rstd, shift = beta, and the
// group's mean.
void fill_coefficients(const LayerNormSize& s, int64_t group, const float* gamma, const float* beta,
                       float mean, float rstd, float* means, float* scale, float* shift) {
  for (int64_t c = 0; c < s.channels; ++c) {
    means[group * s.channels + c] = mean;
    scale[group * s.channels + c] = gamma ? gamma[c] * rstd : rstd;
    shift[group * s.channels + c] = beta ? beta[c] : 0.0f;
  }
}

template <class T>
void run_typed(const LayerNormFwd& a, Stream& stream) {
  const LayerNormSize& s = a.size;
  const Blocks blocks(s.groups, s.rows, s.channels);
  const int64_t channels = s.channels, all = s.groups * channels;
  const T* x = a.x.as<T>();
  const float *gamma = a.gamma.as<float>(), *beta = a.beta.as<float>();
  T* y = a.y.as<T>();
  float *mean = a.mean.as<float>(), *rstd = a.rstd.as<float>();
  Carver carver(
      stream.scratch(2 * Carver::bytes<float>(blocks.count * channels) + 3 * Carver::bytes<float>(all)));
  float* block_means = carver.take<float>(blocks.count * channels);    // (blocks, channels)
  float* block_squares = carver.take<float>(blocks.count * channels);  // (blocks, channels)
  float* means = carver.take<float>(all);  // this and what follows (groups, channels)
  float* scale = carver.take<float>(all);
  float* shift = carver.take<float>(all);

  const auto origin = [&](int64_t group) { return x + group * s.elements(); };  // its first row
  blocks.parallel([&](int64_t b) {
    thread_local std::vector<float> rough;
    rough.resize(size_t(channels));
    moments_of_block(x + blocks.offset(b), blocks.rows_of(b), channels, origin(blocks.segment(b)),
                     block_means + b * channels, block_squares + b * channels, rough.data());
  });
  parallel_groups(s, blocks, [&](int64_t group) {
    const int64_t begin = group * blocks.per_segment, end = begin + blocks.per_segment;
    double total = 0, squares = 0;
    for (int64_t b = begin; b < end; ++b)
      for (int64_t c = 0; c < channels; ++c)
        total +=
            double(blocks.rows_of(b)) * (double(to_float(origin(group)[c])) + block_means[b * channels + c]);
    total /= double(s.elements());
    for (int64_t b = begin; b < end; ++b)
      for (int64_t c = 0; c < channels; ++c) {
        const double apart = double(to_float(origin(group)[c])) + block_means[b * channels + c] - total;
        squares += block_squares[b * channels + c] + double(blocks.rows_of(b)) * apart * apart;
      }
    mean[group] = float(total);
    rstd[group] = float(1.0 / std::sqrt(squares / double(s.elements()) + s.eps));
    fill_coefficients(s, group, gamma, beta, mean[group], rstd[group], means, scale, shift);
  });
  blocks.parallel([&](int64_t b) {
    const int64_t at = blocks.segment(b) * channels;
    normalize_block(x + blocks.offset(b), blocks.rows_of(b), channels, {means + at, scale + at, shift + at},
                    a.act, a.y.acc, y + blocks.offset(b));
  });
}

// dx = rstd * (gamma e - mean of gamma e - (x - mean) * slope of gamma e on x)
template <class T>
GAN_TARGET_CLONES void layer_gradient_block(const T* x, const T* dy, int64_t rows, int64_t channels,
                                            Coefficients k, const float* gamma, float rstd, float mean_e,
                                            float slope_e, Activation act, Acc acc, T* dx) {
  const float *mean = k.mean, *scale = k.scale, *shift = k.shift;
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      for (int64_t r = 0; r < rows; ++r) {
        const T *from = x + r * channels, *gradient = dy + r * channels;
        T* to = dx + r * channels;
        for (int64_t c = 0; c < channels; ++c) {
          const float centered = to_float(from[c]) - mean[c];
          const float e =
              input_gradient<kind.value>(centered, scale[c], shift[c], to_float(gradient[c]), act.slope);
          store<add.value>(to[c], rstd * (gamma[c] * e - mean_e - centered * slope_e));
        }
      }
    });
  });
}

template <class T>
void run_typed(const LayerNormBwd& a, Stream& stream) {
  const LayerNormSize& s = a.size;
  const Blocks blocks(s.groups, s.rows, s.channels);
  const int64_t channels = s.channels, all = s.groups * channels;
  const T *x = a.x.as<T>(), *dy = a.dy.as<T>();
  const float *gamma = a.gamma.as<float>(), *beta = a.beta.as<float>();
  const float *mean = a.mean.as<float>(), *rstd = a.rstd.as<float>();
  Carver carver(stream.scratch(2 * Carver::bytes<float>(blocks.count * channels) +
                               3 * Carver::bytes<float>(all) + 2 * Carver::bytes<float>(s.groups) +
                               Carver::bytes<float>(channels)));
  float* block_e = carver.take<float>(blocks.count * channels);   // (blocks, channels)
  float* block_ex = carver.take<float>(blocks.count * channels);  // (blocks, channels)
  float* means = carver.take<float>(all);                         // these three (groups, channels)
  float* scale = carver.take<float>(all);
  float* shift = carver.take<float>(all);
  float* mean_e = carver.take<float>(s.groups);
  float* slope_e = carver.take<float>(s.groups);
  float* factor = carver.take<float>(channels);  // gamma, or ones
  for (int64_t c = 0; c < channels; ++c) factor[c] = gamma ? gamma[c] : 1.0f;
  for (int64_t group = 0; group < s.groups; ++group)
    fill_coefficients(s, group, gamma, beta, mean[group], rstd[group], means, scale, shift);

  blocks.parallel([&](int64_t b) {
    const int64_t at = blocks.segment(b) * channels;
    gradient_sums_of_block(x + blocks.offset(b), dy + blocks.offset(b), blocks.rows_of(b), channels,
                           {means + at, scale + at, shift + at}, a.act, block_e + b * channels,
                           block_ex + b * channels);
  });
  parallel_groups(s, blocks, [&](int64_t group) {
    const int64_t begin = group * blocks.per_segment, end = begin + blocks.per_segment;
    double total_e = 0, total_ex = 0;  // of gamma e, and of gamma e (x - mean)
    for (int64_t b = begin; b < end; ++b)
      for (int64_t c = 0; c < channels; ++c) {
        total_e += double(factor[c]) * block_e[b * channels + c];
        total_ex += double(factor[c]) * block_ex[b * channels + c];
      }
    const double r = rstd[group];
    mean_e[group] = float(total_e / double(s.elements()));
    slope_e[group] = float(r * r * total_ex / double(s.elements()));
  });
  const auto add_blocks = [&](const Out& out, const float* sums, bool times_rstd) {
    if (!out) return;
    float* to = out.as<float>();
    for (int64_t c = 0; c < channels; ++c) {
      double total = out.acc == Acc::add ? double(to[c]) : 0.0;
      for (int64_t b = 0; b < blocks.count; ++b)
        total += double(sums[b * channels + c]) * (times_rstd ? double(rstd[blocks.segment(b)]) : 1.0);
      to[c] = float(total);
    }
  };
  add_blocks(a.dbeta, block_e, false);
  add_blocks(a.dgamma, block_ex, true);

  if (!a.dx) return;
  T* dx = a.dx.as<T>();
  blocks.parallel([&](int64_t b) {
    const int64_t group = blocks.segment(b), at = group * channels;
    layer_gradient_block(x + blocks.offset(b), dy + blocks.offset(b), blocks.rows_of(b), channels,
                         {means + at, scale + at, shift + at}, factor, rstd[group], mean_e[group],
                         slope_e[group], a.act, a.dx.acc, dx + blocks.offset(b));
  });
}

// ----------------------------------------------------------------------------------------- the variants

template <class Args>
void run(const Args& a, Stream& stream) {
  with_type(a.x.dtype, [&]<class T>(T) { run_typed<T>(a, stream); });
}
template <class Args>
constexpr Variant<Args> loops = {"loops", "f32 bf16", "any size", f32_or_bf16<Args>, run<Args>};
const Variant<NormFwd> fwd_variants[] = {loops<NormFwd>};
const Variant<NormInfer> infer_variants[] = {loops<NormInfer>};
const Variant<NormBwd> bwd_variants[] = {loops<NormBwd>};
const Variant<LayerNormFwd> layer_fwd_variants[] = {loops<LayerNormFwd>};
const Variant<LayerNormBwd> layer_bwd_variants[] = {loops<LayerNormBwd>};
const Variant<SpectralNormFwd> spectral_fwd_variants[] = {
    {"loops", "f32", "any size", f32_only<SpectralNormFwd>, spectral_norm_fwd}};
const Variant<SpectralNormBwd> spectral_bwd_variants[] = {
    {"loops", "f32", "any size", f32_only<SpectralNormBwd>, spectral_norm_bwd}};
}  // namespace

const NormTable norm = {{fwd_variants},         {infer_variants},     {bwd_variants},
                        {layer_fwd_variants},   {layer_bwd_variants}, {spectral_fwd_variants},
                        {spectral_bwd_variants}};

}  // namespace gan::cpu
