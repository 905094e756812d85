// Elementwise operations and plain sums on the cpu: each is one loop over a range and a launcher that splits
// it.
#include <cmath>
#include <vector>

#include "kernels/cpu/loops.h"
#include "kernels/shared/bf16.h"

namespace gan::cpu {
namespace {

// ------------------------------------------------------------------------------------------- activation

GAN_TARGET_CLONES
void activation_fwd_range(Activation act, Acc acc, const float* x, float* y, int64_t begin, int64_t end) {
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      for (int64_t i = begin; i < end; ++i) store<add.value>(y[i], activate<kind.value>(x[i], act.slope));
    });
  });
}
void run(const ActivationFwd& a, Stream&) {
  const float* x = a.x.as<float>();
  float* y = a.y.as<float>();
  parallel_elements(
      a.count, [&](int64_t begin, int64_t end) { activation_fwd_range(a.act, a.y.acc, x, y, begin, end); });
}

GAN_TARGET_CLONES
void activation_bwd_range(Activation act, Acc acc, const float* y, const float* dy, float* dx, int64_t begin,
                          int64_t end) {
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      for (int64_t i = begin; i < end; ++i)
        store<add.value>(dx[i], activate_backward<kind.value>(y[i], dy[i], act.slope));
    });
  });
}
void run(const ActivationBwd& a, Stream&) {
  const float *y = a.y.as<float>(), *dy = a.dy.as<float>();
  float* dx = a.dx.as<float>();
  parallel_elements(a.count, [&](int64_t begin, int64_t end) {
    activation_bwd_range(a.act, a.dx.acc, y, dy, dx, begin, end);
  });
}

GAN_TARGET_CLONES
void bias_activation_rows(float* y, int64_t rows, int channels, const float* bias, Activation act) {
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    if (!bias) {
      for (int64_t i = 0; i < rows * channels; ++i) y[i] = activate<kind.value>(y[i], act.slope);
      return;
    }
    for (int64_t r = 0; r < rows; ++r)
      for (int c = 0; c < channels; ++c) {
        float& v = y[r * channels + c];
        v = activate<kind.value>(v + bias[c], act.slope);
      }
  });
}
}  // namespace

void add_bias_and_activate(float* y, int64_t rows, int channels, const float* bias, Activation act) {
  if (!bias && act.kind == Act::none) return;
  parallel_ranges(rows, channels, [&](int64_t begin, int64_t end) {
    bias_activation_rows(y + begin * channels, end - begin, channels, bias, act);
  });
}

// ---------------------------------------------------------------------------------- arithmetic and copies

namespace {
GAN_TARGET_CLONES
void binary_range(BinaryKind kind, Acc acc, const float* a, const float* b, bool b_is_scalar, float* y,
                  int64_t begin, int64_t end) {
  auto loop = [&](auto combine) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      if (b_is_scalar) {
        const float scalar = b[0];
        for (int64_t i = begin; i < end; ++i) store<add.value>(y[i], combine(a[i], scalar));
      } else {
        for (int64_t i = begin; i < end; ++i) store<add.value>(y[i], combine(a[i], b[i]));
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
  const float *x = a.a.as<float>(), *b = a.b.as<float>();
  float* y = a.y.as<float>();
  const bool b_is_scalar = a.b_count == 1;
  parallel_elements(a.count, [&](int64_t begin, int64_t end) {
    binary_range(a.kind, a.y.acc, x, b, b_is_scalar, y, begin, end);
  });
}

GAN_TARGET_CLONES
void affine_range(float scale, float shift, Acc acc, const float* x, float* y, int64_t begin, int64_t end) {
  with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
    for (int64_t i = begin; i < end; ++i) store<add.value>(y[i], scale * x[i] + shift);
  });
}
// Conversions from and to bfloat16, which is only a storage type here.
template <class From, class To>
void affine_convert_range(float scale, float shift, Acc acc, const From* x, To* y, int64_t begin,
                          int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const float value = scale * to_float(x[i]) + shift;
    y[i] = from_float<To>(acc == Acc::add ? to_float(y[i]) + value : value);
  }
}
template <class From, class To>
void affine_convert(const Affine& a) {
  const From* x = a.x.as<From>();
  To* y = a.y.as<To>();
  parallel_elements(a.count, [&](int64_t begin, int64_t end) {
    affine_convert_range<From, To>(float(a.scale), float(a.shift), a.y.acc, x, y, begin, end);
  });
}
void run(const Affine& a, Stream&) {
  if (a.x.dtype == DType::bf16 && a.y.dtype == DType::bf16) return affine_convert<bf16, bf16>(a);
  if (a.x.dtype == DType::bf16) return affine_convert<bf16, float>(a);
  if (a.y.dtype == DType::bf16) return affine_convert<float, bf16>(a);
  const float* x = a.x.as<float>();
  float* y = a.y.as<float>();
  const bool plain_copy = a.scale == 1 && a.shift == 0 && a.y.acc == Acc::set && x != y;
  parallel_elements(a.count, [&](int64_t begin, int64_t end) {
    if (plain_copy) std::memcpy(y + begin, x + begin, size_t(end - begin) * sizeof(float));
    else affine_range(float(a.scale), float(a.shift), a.y.acc, x, y, begin, end);
  });
}
const char* affine_fits(const Affine& a) {
  auto fits = [](DType t) { return t == DType::f32 || t == DType::bf16; };
  return fits(a.x.dtype) && fits(a.y.dtype) ? nullptr : "converts between float32 and bfloat16 only";
}

// The exponents that statistics and quotients need vectorise; the others are a call for each element.
GAN_TARGET_CLONES
void power_range(float exponent, float shift, Acc acc, const float* x, float* y, int64_t begin, int64_t end) {
  auto loop = [&](auto raise) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      for (int64_t i = begin; i < end; ++i) store<add.value>(y[i], raise(x[i] + shift));
    });
  };
  if (exponent == 0.5f) loop([](float base) GAN_LAMBDA_INLINE { return std::sqrt(base); });
  else if (exponent == -0.5f) loop([](float base) GAN_LAMBDA_INLINE { return 1.0f / std::sqrt(base); });
  else if (exponent == -1.0f) loop([](float base) GAN_LAMBDA_INLINE { return 1.0f / base; });
  else loop([exponent](float base) GAN_LAMBDA_INLINE { return std::pow(base, exponent); });
}
void run(const Power& a, Stream&) {
  const float* x = a.x.as<float>();
  float* y = a.y.as<float>();
  parallel_elements(a.count, [&](int64_t begin, int64_t end) {
    power_range(float(a.exponent), float(a.shift), a.y.acc, x, y, begin, end);
  });
}

GAN_TARGET_CLONES
void broadcast_range(float value, Acc acc, float* y, int64_t begin, int64_t end) {
  with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
    for (int64_t i = begin; i < end; ++i) store<add.value>(y[i], value);
  });
}
void run(const Broadcast& a, Stream&) {
  const float value = float(a.scale * (a.x ? double(*a.x.as<float>()) : 1.0));
  float* y = a.y.as<float>();
  parallel_elements(a.count,
                    [&](int64_t begin, int64_t end) { broadcast_range(value, a.y.acc, y, begin, end); });
}

// ------------------------------------------------------------------------------------------------- sums

// One block's sum in 16 float64 lanes, so that the loop vectorises and loses no digits.
GAN_TARGET_CLONES
double sum_block(const float* x, int64_t count) {
  double lane[16] = {};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int j = 0; j < 16; ++j) lane[j] += double(x[i + j]);
  for (; i < count; ++i) lane[i % 16] += double(x[i]);
  double total = 0;
  for (double l : lane) total += l;
  return total;
}
void run(const Sum& a, Stream& stream) {
  constexpr int64_t block = 4096;
  const int64_t blocks = (a.count + block - 1) / block;
  const float* x = a.x.as<float>();
  double* partial = static_cast<double*>(stream.scratch(size_t(blocks + 1) * sizeof(double)));
  parallel_ranges(blocks, block, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b)
      partial[b] = sum_block(x + b * block, std::min(block, a.count - b * block));
  });
  double total = 0;
  for (int64_t b = 0; b < blocks; ++b) total += partial[b];
  float& sum = *a.sum.as<float>();
  sum = float(a.scale * total + (a.sum.acc == Acc::add ? double(sum) : 0.0));
}

// sums[c] = sum over `rows` rows of x[r,c].
GAN_TARGET_CLONES
void sum_rows_block(const float* x, int64_t rows, int channels, float* sums) {
  for (int c = 0; c < channels; ++c) sums[c] = 0;
  for (int64_t r = 0; r < rows; ++r)
    for (int c = 0; c < channels; ++c) sums[c] += x[r * channels + c];
}
// Blocks of rows give partial sums in float32, which are added in order in float64. Few channels would not
// fill a vector: then several rows count as one wide row, and its sums are folded at the end.
void run(const SumRows& a, Stream& stream) {
  const int fold = a.channels >= 32 ? 1 : 64 / a.channels;
  const int wide = a.channels * fold;
  const int64_t wide_rows = a.rows / fold;
  const int64_t block = std::max<int64_t>(16, 8192 / wide);
  const int64_t blocks = (wide_rows + block - 1) / block;
  const float* x = a.x.as<float>();
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
    for (int c = 0; c < a.channels; ++c) total[c] += x[r * a.channels + c];
  float* sums = a.sums.as<float>();
  for (int c = 0; c < a.channels; ++c)
    sums[c] = float(total[c] + (a.sums.acc == Acc::add ? double(sums[c]) : 0.0));
}
}  // namespace

// -------------------------------------------------------------------------------------- parts of channels

namespace {
GAN_TARGET_CLONES
void put_channels_rows(Activation act, Acc acc, int64_t rows, int channels, int y_channels, const float* x,
                       float* y) {
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      for (int64_t r = 0; r < rows; ++r)
        for (int c = 0; c < channels; ++c)
          store<add.value>(y[r * y_channels + c], activate<kind.value>(x[r * channels + c], act.slope));
    });
  });
}
void run(const PutChannels& a, Stream&) {
  const float* x = a.x.as<float>();
  float* y = a.y.as<float>() + a.first;
  parallel_ranges(a.rows, a.channels, [&](int64_t begin, int64_t end) {
    put_channels_rows(a.act, a.y.acc, end - begin, a.channels, a.y_channels, x + begin * a.channels,
                      y + begin * a.y_channels);
  });
}

GAN_TARGET_CLONES
void take_channels_rows(Activation act, Acc acc, int64_t rows, int channels, int y_channels, const float* y,
                        const float* dy, float* dx) {
  with_activation(act.kind, [&](auto kind) GAN_LAMBDA_INLINE {
    with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
      for (int64_t r = 0; r < rows; ++r)
        for (int c = 0; c < channels; ++c) {
          const int64_t wide = r * y_channels + c;
          store<add.value>(dx[r * channels + c], activate_backward<kind.value>(y[wide], dy[wide], act.slope));
        }
    });
  });
}
void run(const TakeChannels& a, Stream&) {
  const float* dy = a.dy.as<float>() + a.first;
  const float* y = a.act.kind == Act::none ? dy : a.y.as<float>() + a.first;
  float* dx = a.dx.as<float>();
  parallel_ranges(a.rows, a.channels, [&](int64_t begin, int64_t end) {
    take_channels_rows(a.act, a.dx.acc, end - begin, a.channels, a.y_channels, y + begin * a.y_channels,
                       dy + begin * a.y_channels, dx + begin * a.channels);
  });
}
}  // namespace

// ----------------------------------------------------------------------------------------- the variants

namespace {

const Variant<ActivationFwd> activation_fwd_variants[] = {
    {"loops", "f32", "any size", f32_only<ActivationFwd>, run}};
const Variant<ActivationBwd> activation_bwd_variants[] = {
    {"loops", "f32", "any size", f32_only<ActivationBwd>, run}};
const Variant<Binary> binary_variants[] = {{"loops", "f32", "any size", f32_only<Binary>, run}};
const Variant<Affine> affine_variants[] = {{"loops", "f32 bf16", "any size", affine_fits, run}};
const Variant<Power> power_variants[] = {{"loops", "f32", "any size", f32_only<Power>, run}};
const Variant<Broadcast> broadcast_variants[] = {{"loops", "f32", "any size", f32_only<Broadcast>, run}};
const Variant<Sum> sum_variants[] = {{"loops", "f32", "any size", f32_only<Sum>, run}};
const Variant<SumRows> sum_rows_variants[] = {{"loops", "f32", "any size", f32_only<SumRows>, run}};
const Variant<PutChannels> put_channels_variants[] = {
    {"loops", "f32", "any size", f32_only<PutChannels>, run}};
const Variant<TakeChannels> take_channels_variants[] = {
    {"loops", "f32", "any size", f32_only<TakeChannels>, run}};
}  // namespace

const PointwiseTable pointwise = {
    {activation_fwd_variants}, {activation_bwd_variants}, {binary_variants}, {affine_variants},
    {power_variants},          {broadcast_variants},      {sum_variants},    {sum_rows_variants},
    {put_channels_variants},   {take_channels_variants}};

}  // namespace gan::cpu
