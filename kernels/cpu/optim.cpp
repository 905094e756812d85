// Optimisers on the cpu: one pass over a network's flat buffers.
#include <cmath>

#include "kernels/cpu/loops.h"

namespace gan::cpu {
namespace {

// 1 - beta and 1 - decay are taken in float64: of 1 - 0.9999 in float32 only four digits would be right.

struct AdamFactors {
  float beta1, beta2, rest1, rest2, eps, weight_decay;  // rest = 1 - beta
  float step_size;                                      // learning rate / (1 - beta1^t)
  float correction2;                                    // 1 / (1 - beta2^t)
};
// rounded: null, or what takes the new weights once more.
template <class R>
GAN_TARGET_CLONES void adam_range(AdamFactors f, const float* __restrict grad, float* __restrict weight,
                                  float* __restrict m, float* __restrict v, R* __restrict rounded,
                                  int64_t begin, int64_t end) {
  const auto update = [=](int64_t i) GAN_LAMBDA_INLINE {
    const float g = grad[i] + f.weight_decay * weight[i];
    m[i] = f.beta1 * m[i] + f.rest1 * g;
    v[i] = f.beta2 * v[i] + f.rest2 * g * g;
    weight[i] -= f.step_size * m[i] / (std::sqrt(v[i] * f.correction2) + f.eps);
  };
  if (!rounded)
    for (int64_t i = begin; i < end; ++i) update(i);
  else
    for (int64_t i = begin; i < end; ++i) {
      update(i);
      rounded[i] = from_float<R>(weight[i]);
    }
}
void run(const Adam& a, Stream&) {
  const float* scalars = a.scalars.as<float>();
  const AdamFactors factors = {.beta1 = float(a.beta1),
                               .beta2 = float(a.beta2),
                               .rest1 = float(1.0 - a.beta1),
                               .rest2 = float(1.0 - a.beta2),
                               .eps = float(a.eps),
                               .weight_decay = float(a.weight_decay),
                               .step_size = scalars[0] / scalars[1],
                               .correction2 = 1.0f / scalars[2]};
  const float* grad = a.grad.as<float>();
  float *weight = a.weight.as<float>(), *m = a.m.as<float>(), *v = a.v.as<float>();
  with_type(a.rounded.dtype, [&]<class R>(R) {
    R* rounded = a.rounded.as<R>();
    parallel_elements(a.count, [&](int64_t begin, int64_t end) {
      adam_range(factors, grad, weight, m, v, rounded, begin, end);
    });
  });
}

GAN_TARGET_CLONES
void sgd_range(float rate, float momentum, float weight_decay, const float* __restrict grad,
               float* __restrict weight, float* __restrict velocity, int64_t begin, int64_t end) {
  if (!velocity) {
    for (int64_t i = begin; i < end; ++i) weight[i] -= rate * (grad[i] + weight_decay * weight[i]);
    return;
  }
  for (int64_t i = begin; i < end; ++i) {
    velocity[i] = momentum * velocity[i] + (grad[i] + weight_decay * weight[i]);
    weight[i] -= rate * velocity[i];
  }
}
void run(const Sgd& a, Stream&) {
  const float rate = a.scalars.as<float>()[0];
  const float* grad = a.grad.as<float>();
  float *weight = a.weight.as<float>(), *velocity = a.velocity.as<float>();
  parallel_elements(a.count, [&](int64_t begin, int64_t end) {
    sgd_range(rate, float(a.momentum), float(a.weight_decay), grad, weight, velocity, begin, end);
  });
}

GAN_TARGET_CLONES
void moving_average_range(float decay, float rest, const float* __restrict weight, float* __restrict average,
                          int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) average[i] = decay * average[i] + rest * weight[i];
}
void run(const MovingAverage& a, Stream&) {
  const float* weight = a.weight.as<float>();
  float* average = a.average.as<float>();
  parallel_elements(a.count, [&](int64_t begin, int64_t end) {
    moving_average_range(float(a.decay), float(1.0 - a.decay), weight, average, begin, end);
  });
}

// Squares of float32 numbers cannot overflow float64, so the sum is finite exactly when every element is.
GAN_TARGET_CLONES
double squares_of_block(const float* x, int64_t count) {
  double lane[16] = {};
  int64_t i = 0;
  for (; i + 16 <= count; i += 16)
    for (int j = 0; j < 16; ++j) lane[j] += double(x[i + j]) * double(x[i + j]);
  for (; i < count; ++i) lane[i % 16] += double(x[i]) * double(x[i]);
  double total = 0;
  for (double l : lane) total += l;
  return total;
}
void run(const GradNorm& a, Stream& stream) {
  constexpr int64_t block = 4096;
  const int64_t blocks = (a.count + block - 1) / block;
  const float* grad = a.grad.as<float>();
  double* partial = static_cast<double*>(stream.scratch(size_t(blocks + 1) * sizeof(double)));
  parallel_ranges(blocks, block, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b)
      partial[b] = squares_of_block(grad + b * block, std::min(block, a.count - b * block));
  });
  double total = 0;
  for (int64_t b = 0; b < blocks; ++b) total += partial[b];
  float* values = a.values.as<float>();
  values[0] = float(std::sqrt(total));
  values[1] = std::isfinite(total) ? 1.0f : 0.0f;
}

// ----------------------------------------------------------------------------------------- the variants

const Variant<Adam> adam_variants[] = {{"loops", "f32 bf16", "any size", f32_or_bf16<Adam>, run}};
const Variant<Sgd> sgd_variants[] = {{"loops", "f32", "any size", f32_only<Sgd>, run}};
const Variant<MovingAverage> moving_average_variants[] = {
    {"loops", "f32", "any size", f32_only<MovingAverage>, run}};
const Variant<GradNorm> grad_norm_variants[] = {{"loops", "f32", "any size", f32_only<GradNorm>, run}};
}  // namespace

const OptimTable optim = {{adam_variants}, {sgd_variants}, {moving_average_variants}, {grad_norm_variants}};

}  // namespace gan::cpu
