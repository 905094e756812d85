// Elementwise operations and plain sums on the cpu: each is one loop over a range and a launcher that splits
// it.
#include <cmath>
#include <vector>

#include "kernels/cpu/loops.h"

namespace gan::cpu {
namespace {

// ------------------------------------------------------------------------------------------- activation

template <class T>
GAN_TARGET_CLONES void activation_fwd_range(Activation act, Acc acc, const T* x, T* y, int64_t begin,
                                            int64_t end) {
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      for (int64_t i = begin; i < end; ++i)
        store<add.value>(y[i], activate<kind.value>(to_float(x[i]), act.slope));
    });
  });
}
void run(const ActivationFwd& a, Stream&) {
  with_type(a.x.dtype, [&]<class T>(T) {
    const T* x = a.x.as<T>();
    T* y = a.y.as<T>();
    parallel_elements(
        a.count, [&](int64_t begin, int64_t end) { activation_fwd_range(a.act, a.y.acc, x, y, begin, end); });
  });
}

template <class T>
GAN_TARGET_CLONES void activation_bwd_range(Activation act, Acc acc, const T* y, const T* dy, T* dx,
                                            int64_t begin, int64_t end) {
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      for (int64_t i = begin; i < end; ++i)
        store<add.value>(dx[i], activate_backward<kind.value>(to_float(y[i]), to_float(dy[i]), act.slope));
    });
  });
}
void run(const ActivationBwd& a, Stream&) {
  with_type(a.dy.dtype, [&]<class T>(T) {
    const T *y = a.y.as<T>(), *dy = a.dy.as<T>();
    T* dx = a.dx.as<T>();
    parallel_elements(a.count, [&](int64_t begin, int64_t end) {
      activation_bwd_range(a.act, a.dx.acc, y, dy, dx, begin, end);
    });
  });
}

template <class T>
GAN_TARGET_CLONES void bias_activation_rows(T* y, int64_t rows, int channels, const float* bias,
                                            Activation act) {
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    if (!bias) {
      for (int64_t i = 0; i < rows * channels; ++i)
        y[i] = from_float<T>(activate<kind.value>(to_float(y[i]), act.slope));
      return;
    }
    for (int64_t r = 0; r < rows; ++r)
      for (int c = 0; c < channels; ++c) {
        T& v = y[r * channels + c];
        v = from_float<T>(activate<kind.value>(to_float(v) + bias[c], act.slope));
      }
  });
}
template <class T>
void bias_and_activation(T* y, int64_t rows, int channels, const float* bias, Activation act) {
  if (!bias && act.kind == Act::none) return;
  parallel_ranges(rows, channels, [&](int64_t begin, int64_t end) {
    bias_activation_rows(y + begin * channels, end - begin, channels, bias, act);
  });
}
}  // namespace

namespace {
GAN_TARGET_CLONES
void round_sums_rows(const float* sums, int64_t rows, int channels, const float* bias, Activation act,
                     Acc acc, bf16* to) {
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      if (!bias) {
        for (int64_t i = 0; i < rows * channels; ++i)
          store<add.value>(to[i], activate<kind.value>(sums[i], act.slope));
        return;
      }
      for (int64_t r = 0; r < rows; ++r)
        for (int c = 0; c < channels; ++c)
          store<add.value>(to[r * channels + c],
                           activate<kind.value>(sums[r * channels + c] + bias[c], act.slope));
    });
  });
}
}  // namespace
void round_sums(const float* sums, int64_t rows, int channels, const float* bias, Activation act, Acc acc,
                bf16* to) {
  parallel_ranges(rows, channels, [&](int64_t begin, int64_t end) {
    round_sums_rows(sums + begin * channels, end - begin, channels, bias, act, acc, to + begin * channels);
  });
}

void add_bias_and_activate(float* y, int64_t rows, int channels, const float* bias, Activation act) {
  bias_and_activation(y, rows, channels, bias, act);
}
void add_bias_and_activate(bf16* y, int64_t rows, int channels, const float* bias, Activation act) {
  bias_and_activation(y, rows, channels, bias, act);
}

// ---------------------------------------------------------------------------------- arithmetic and copies

namespace {
template <class T, class B>
GAN_TARGET_CLONES void binary_range(BinaryKind kind, Acc acc, const T* a, const B* b, bool b_is_scalar, T* y,
                                    int64_t begin, int64_t end) {
  auto loop = [&](auto combine) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      if (b_is_scalar) {
        const float scalar = to_float(b[0]);
        for (int64_t i = begin; i < end; ++i) store<add.value>(y[i], combine(to_float(a[i]), scalar));
      } else {
        for (int64_t i = begin; i < end; ++i) store<add.value>(y[i], combine(to_float(a[i]), to_float(b[i])));
      }
    });
  };
  switch (kind) {
    case BinaryKind::add: loop([](float u, float v) GAN_LAMBDA_INLINE { return u + v; }); break;
    case BinaryKind::subtract: loop([](float u, float v) GAN_LAMBDA_INLINE { return u - v; }); break;
    case BinaryKind::multiply: loop([](float u, float v) GAN_LAMBDA_INLINE { return u * v; }); break;
  }
}
void run(const Binary& a, Stream&) {
  with_type(a.a.dtype, [&]<class T>(T) {
    with_type(a.b.dtype, [&]<class B>(B) {
      const T* x = a.a.as<T>();
      const B* b = a.b.as<B>();
      T* y = a.y.as<T>();
      const bool b_is_scalar = a.b_count == 1;
      parallel_elements(a.count, [&](int64_t begin, int64_t end) {
        binary_range(a.kind, a.y.acc, x, b, b_is_scalar, y, begin, end);
      });
    });
  });
}
// A scalar is float32 where it is a loss, whatever it is multiplied with.
const char* binary_fits(const Binary& a) {
  return a.a.dtype == a.y.dtype && (a.b.dtype == a.a.dtype || (a.b_count == 1 && a.b.dtype == DType::f32))
             ? nullptr
             : "a, b and y must be all float32 or all bfloat16; a scalar b may be float32";
}

template <class From, class To>
GAN_TARGET_CLONES void affine_range(float scale, float shift, Acc acc, const From* x, To* y, int64_t begin,
                                    int64_t end) {
  with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
    for (int64_t i = begin; i < end; ++i) store<add.value>(y[i], scale * to_float(x[i]) + shift);
  });
}
void run(const Affine& a, Stream&) {
  with_type(a.x.dtype, [&]<class From>(From) {
    with_type(a.y.dtype, [&]<class To>(To) {
      const From* x = a.x.as<From>();
      To* y = a.y.as<To>();
      const bool plain_copy = a.scale == 1 && a.shift == 0 && a.y.acc == Acc::set &&
                              std::is_same_v<From, To> && a.x.data != a.y.data;
      parallel_elements(a.count, [&](int64_t begin, int64_t end) {
        if (plain_copy) std::memcpy(y + begin, x + begin, size_t(end - begin) * sizeof(To));
        else affine_range(float(a.scale), float(a.shift), a.y.acc, x, y, begin, end);
      });
    });
  });
}
const char* affine_fits(const Affine& a) {
  auto fits = [](DType t) { return t == DType::f32 || t == DType::bf16; };
  return fits(a.x.dtype) && fits(a.y.dtype) ? nullptr : "converts between float32 and bfloat16 only";
}

// The exponents that statistics and quotients need vectorise; the others are a call for each element.
template <class T>
GAN_TARGET_CLONES void power_range(float exponent, float shift, Acc acc, const T* x, T* y, int64_t begin,
                                   int64_t end) {
  auto loop = [&](auto raise) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      for (int64_t i = begin; i < end; ++i) store<add.value>(y[i], raise(to_float(x[i]) + shift));
    });
  };
  if (exponent == 0.5f) loop([](float base) GAN_LAMBDA_INLINE { return std::sqrt(base); });
  else if (exponent == -0.5f) loop([](float base) GAN_LAMBDA_INLINE { return 1.0f / std::sqrt(base); });
  else if (exponent == -1.0f) loop([](float base) GAN_LAMBDA_INLINE { return 1.0f / base; });
  else loop([exponent](float base) GAN_LAMBDA_INLINE { return std::pow(base, exponent); });
}
void run(const Power& a, Stream&) {
  with_type(a.x.dtype, [&]<class T>(T) {
    const T* x = a.x.as<T>();
    T* y = a.y.as<T>();
    parallel_elements(a.count, [&](int64_t begin, int64_t end) {
      power_range(float(a.exponent), float(a.shift), a.y.acc, x, y, begin, end);
    });
  });
}

template <class T>
GAN_TARGET_CLONES void broadcast_range(float value, Acc acc, T* y, int64_t begin, int64_t end) {
  with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
    for (int64_t i = begin; i < end; ++i) store<add.value>(y[i], value);
  });
}
void run(const Broadcast& a, Stream&) {
  const float value = float(a.scale * (a.x ? double(*a.x.as<float>()) : 1.0));
  with_type(a.y.dtype, [&]<class T>(T) {
    T* y = a.y.as<T>();
    parallel_elements(a.count,
                      [&](int64_t begin, int64_t end) { broadcast_range(value, a.y.acc, y, begin, end); });
  });
}

// ------------------------------------------------------------------------------------------------- sums

// One block's sum in 16 float64 lanes, so that the loop vectorises and loses no digits.
template <class T>
GAN_TARGET_CLONES double sum_block(const T* x, int64_t count) {
  double lane[16] = {};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int j = 0; j < 16; ++j) lane[j] += double(to_float(x[i + j]));
  for (; i < count; ++i) lane[i % 16] += double(to_float(x[i]));
  double total = 0;
  for (double l : lane) total += l;
  return total;
}
void run(const Sum& a, Stream& stream) {
  constexpr int64_t block = 4096;
  const int64_t blocks = (a.count + block - 1) / block;
  double* partial = static_cast<double*>(stream.scratch(size_t(blocks + 1) * sizeof(double)));
  with_type(a.x.dtype, [&]<class T>(T) {
    const T* x = a.x.as<T>();
    parallel_ranges(blocks, block, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b)
        partial[b] = sum_block(x + b * block, std::min(block, a.count - b * block));
    });
  });
  double total = 0;
  for (int64_t b = 0; b < blocks; ++b) total += partial[b];
  float& sum = *a.sum.as<float>();
  sum = float(a.scale * total + (a.sum.acc == Acc::add ? double(sum) : 0.0));
}

// sums[c] = sum over `rows` rows of x[r,c].
template <class T>
GAN_TARGET_CLONES void sum_rows_block(const T* x, int64_t rows, int channels, float* sums) {
  for (int c = 0; c < channels; ++c) sums[c] = 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int c = 0; c < channels; ++c) sums[c] += to_float(x[r * channels + c]);
}
// Blocks of rows give partial sums in float32, which are added in order in float64. Few channels would not
// fill a vector: then several rows count as one wide row, and its sums are folded at the end.
template <class T>
void run_sum_rows(const SumRows& a, const T* x, Stream& stream) {
  const int fold = a.channels >= 32 ? 1 : 64 / a.channels;
  const int wide = a.channels * fold;
  const int64_t wide_rows = a.rows / fold;
  const int64_t block = std::max<int64_t>(16, 8192 / wide);
  const int64_t blocks = (wide_rows + block - 1) / block;
  const size_t partial_count = size_t(blocks) * size_t(wide);
  char* scratch =
      static_cast<char*>(stream.scratch(size_t(a.channels) * sizeof(double) + partial_count * sizeof(float)));
  double* total = reinterpret_cast<double*>(scratch);                                        // (channels)
  float* partial = reinterpret_cast<float*>(scratch + size_t(a.channels) * sizeof(double));  // (blocks, wide)

  parallel_ranges(blocks, block * wide, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b)
      sum_rows_block(x + b * block * wide, std::min(block, wide_rows - b * block), wide, partial + b * wide);
  });
  std::fill_n(total, a.channels, 0.0);
  for (int64_t b = 0; b < blocks; ++b)
    for (int f = 0; f < fold; ++f)
      for (int c = 0; c < a.channels; ++c) total[c] += partial[b * wide + f * a.channels + c];
  for (int64_t r = wide_rows * fold; r < a.rows; ++r)
    for (int c = 0; c < a.channels; ++c) total[c] += to_float(x[r * a.channels + c]);
  float* sums = a.sums.as<float>();
  for (int c = 0; c < a.channels; ++c)
    sums[c] = float(total[c] + (a.sums.acc == Acc::add ? double(sums[c]) : 0.0));
}
void run(const SumRows& a, Stream& stream) {
  with_type(a.x.dtype, [&]<class T>(T) { run_sum_rows(a, a.x.as<T>(), stream); });
}
}  // namespace

// -------------------------------------------------------------------------------------- parts of channels

namespace {
template <class T>
GAN_TARGET_CLONES void put_channels_rows(Activation act, Acc acc, int64_t rows, int channels, int y_channels,
                                         const T* x, T* y) {
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      for (int64_t r = 0; r < rows; ++r)
        for (int c = 0; c < channels; ++c)
          store<add.value>(y[r * y_channels + c],
                           activate<kind.value>(to_float(x[r * channels + c]), act.slope));
    });
  });
}
void run(const PutChannels& a, Stream&) {
  with_type(a.x.dtype, [&]<class T>(T) {
    const T* x = a.x.as<T>();
    T* y = a.y.as<T>() + a.first;
    parallel_ranges(a.rows, a.channels, [&](int64_t begin, int64_t end) {
      put_channels_rows(a.act, a.y.acc, end - begin, a.channels, a.y_channels, x + begin * a.channels,
                        y + begin * a.y_channels);
    });
  });
}

template <class T>
GAN_TARGET_CLONES void take_channels_rows(Activation act, Acc acc, int64_t rows, int channels, int y_channels,
                                          const T* y, const T* dy, T* dx) {
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      for (int64_t r = 0; r < rows; ++r)
        for (int c = 0; c < channels; ++c) {
          const int64_t wide = r * y_channels + c;
          store<add.value>(dx[r * channels + c],
                           activate_backward<kind.value>(to_float(y[wide]), to_float(dy[wide]), act.slope));
        }
    });
  });
}
void run(const TakeChannels& a, Stream&) {
  with_type(a.dy.dtype, [&]<class T>(T) {
    const T* dy = a.dy.as<T>() + a.first;
    const T* y = a.act.kind == Act::none ? dy : a.y.as<T>() + a.first;
    T* dx = a.dx.as<T>();
    parallel_ranges(a.rows, a.channels, [&](int64_t begin, int64_t end) {
      take_channels_rows(a.act, a.dx.acc, end - begin, a.channels, a.y_channels, y + begin * a.y_channels,
                         dy + begin * a.y_channels, dx + begin * a.channels);
    });
  });
}
}  // namespace

// ----------------------------------------------------------------------------------------- the variants

namespace {

template <class Args>
constexpr Variant<Args> loops(const char* (*fits)(const Args&) = f32_or_bf16<Args>) {
  return {"loops", "f32 bf16", "any size", fits, run};
}
const Variant<ActivationFwd> activation_fwd_variants[] = {loops<ActivationFwd>()};
const Variant<ActivationBwd> activation_bwd_variants[] = {loops<ActivationBwd>()};
const Variant<Binary> binary_variants[] = {loops<Binary>(binary_fits)};
const Variant<Affine> affine_variants[] = {loops<Affine>(affine_fits)};
const Variant<Power> power_variants[] = {loops<Power>()};
const Variant<Broadcast> broadcast_variants[] = {loops<Broadcast>()};
const Variant<Sum> sum_variants[] = {loops<Sum>()};
const Variant<SumRows> sum_rows_variants[] = {loops<SumRows>()};
const Variant<PutChannels> put_channels_variants[] = {loops<PutChannels>()};
const Variant<TakeChannels> take_channels_variants[] = {loops<TakeChannels>()};
}  // namespace

const PointwiseTable pointwise = {
    {activation_fwd_variants}, {activation_bwd_variants}, {binary_variants}, {affine_variants},
    {power_variants},          {broadcast_variants},      {sum_variants},    {sum_rows_variants},
    {put_channels_variants},   {take_channels_variants}};

}  // namespace gan::cpu
