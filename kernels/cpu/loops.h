// What every loop of the cpu device shares: splitting work over threads, building hot loops for several
// instruction sets, activation functions that vectorise, and storing with Acc::set or Acc::add.
//
// The device at large: oneDNN computes convolutions and matrix products (onednn.h), everything else is a
// short OpenMP loop here. A family file has this shape: the inner loop as a function of one range, marked
// GAN_TARGET_CLONES; the launcher, which hands ranges to threads; the table of variants at its
// foot.
//
// Results depend on sizes and instruction set only: an elementwise loop does not care how it is split, and a
// sum is split into blocks of a size that does not depend on the thread count, whose partial sums are added
// in order.
#pragma once
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "kernels/kernels.h"
#include "kernels/shared/bf16.h"

// One binary for every x86-64: the function is compiled three times and the loader picks the best for this
// machine. clang has no such clones for whole architectures, and the pickers run before a sanitizer is ready.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define GAN_TARGET_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define GAN_TARGET_CLONES
#endif
// A clone must not call out to baseline code: what its loops are made of is inlined without fail.
#define GAN_INLINE [[gnu::always_inline]] inline
#define GAN_LAMBDA_INLINE __attribute__((always_inline))

namespace gan::cpu {

// ---------------------------------------------------------------------------------------------- threads

// Starting a team costs about a microsecond, as much as this many cheap element operations.
inline constexpr int64_t elements_per_team = 16384;

// Calls f(begin, end) for ranges that cover [0, items), on all threads when items * elements_per_item is
// worth a team, else here. Ranges begin at multiples of `multiple`. (Never on some of the threads: libgomp
// ends the threads a smaller team does not need and has to start them again for the next larger one.)
template <class F>
void parallel_ranges(int64_t items, int64_t elements_per_item, const F& f, int64_t multiple = 1) {
  if (items * elements_per_item < elements_per_team || omp_in_parallel()) {
    if (items > 0) f(int64_t(0), items);
    return;
  }
#pragma omp parallel
  {
    const int64_t team = omp_get_num_threads(), me = omp_get_thread_num();
    const int64_t units = (items + multiple - 1) / multiple;
    const int64_t begin = units * me / team * multiple;
    const int64_t end = std::min(items, units * (me + 1) / team * multiple);
    if (begin < end) f(begin, end);
  }
}

// Elementwise loops over float arrays: ranges of whole cache lines.
template <class F>
void parallel_elements(int64_t count, const F& f) {
  parallel_ranges(count, 1, f, 16);
}

// ----------------------------------------------------------------------------------- activation functions

template <Act A>
struct ActConstant {
  static constexpr Act value = A;
};

// Calls f with the activation as a constant, so that the choice is made outside of the loop.
template <class F>
GAN_INLINE void with_activation(Act kind, F&& f) {
  switch (kind) {
    case Act::none: f(ActConstant<Act::none>{}); break;
    case Act::relu: f(ActConstant<Act::relu>{}); break;
    case Act::leaky_relu: f(ActConstant<Act::leaky_relu>{}); break;
    case Act::tanh: f(ActConstant<Act::tanh>{}); break;
    case Act::sigmoid: f(ActConstant<Act::sigmoid>{}); break;
  }
}
// Calls f with Acc::add as a constant true or false.
template <class F>
GAN_INLINE void with_accumulate(Acc acc, F&& f) {
  if (acc == Acc::add) f(std::true_type{});
  else f(std::false_type{});
}
template <bool accumulate, class T>
GAN_INLINE void store(T& to, float value) {
  if constexpr (accumulate) value += to_float(to);
  to = from_float<T>(value);
}
// Calls f with a float or a bf16, the type that the elements of a buffer are stored as. Loops are written for both: they
// compute in float32, and read half the bytes of bfloat16.
template <class F>
void with_type(DType type, F&& f) {
  if (type == DType::bf16) return f(bf16{});
  f(float{});
}

// e^x to 2 units in the last place, without a call or a branch: 2^n times the polynomial of Cephes' expf on
// |r| <= ln(2)/2. Below -87.3 it stays at the smallest normal number, above 88.3 at the largest; NaN stays
// NaN.
GAN_INLINE float fast_exp(float x) {
  x = x < -87.33654f ? -87.33654f : x;
  x = x > 88.3f ? 88.3f : x;
  constexpr float magic = 0x1.8p23f;  // adding it leaves the nearest integer in the low bits
  const float shifted = x * 1.44269504f + magic;
  const float n = shifted - magic;
  float r = x - n * 0.693359375f;  // ln(2) in two parts, the first exact in few bits
  r = r - n * -2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  uint32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits << 23) + 0x3F800000u;  // 2^n: the low bits of `shifted` hold n
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

// tanh to 2 units in the last place: Cephes' odd polynomial near 0, where 1 - 2/(e^2x + 1) would cancel.
GAN_INLINE float fast_tanh(float x) {
  const float a = x < 0 ? -x : x;
  const float t = x * x;
  float p = -5.70498872745e-3f;
  p = p * t + 2.06390887954e-2f;
  p = p * t - 5.37397155531e-2f;
  p = p * t + 1.33314422036e-1f;
  p = p * t - 3.33332819422e-1f;
  const float near_zero = x + x * t * p;
  const float far = 1.0f - 2.0f / (fast_exp(2.0f * a) + 1.0f);
  const float signed_far = x < 0 ? -far : far;
  return a < 0.625f ? near_zero : signed_far;
}

GAN_INLINE float fast_sigmoid(float x) { return 1.0f / (1.0f + fast_exp(-x)); }

// act(x). A NaN comes out as NaN, so that a diverged run is seen.
template <Act A>
GAN_INLINE float activate(float x, float slope) {
  if constexpr (A == Act::relu) return x <= 0 ? 0.0f : x;
  if constexpr (A == Act::leaky_relu) return x > 0 ? x : slope * x;
  if constexpr (A == Act::tanh) return fast_tanh(x);
  if constexpr (A == Act::sigmoid) return fast_sigmoid(x);
  return x;
}
// dy * act'(.) from the output y.
template <Act A>
GAN_INLINE float activate_backward(float y, float dy, float slope) {
  if constexpr (A == Act::relu) return y > 0 ? dy : 0.0f;
  if constexpr (A == Act::leaky_relu) return y > 0 ? dy : slope * dy;
  if constexpr (A == Act::tanh) return dy * (1.0f - y * y);
  if constexpr (A == Act::sigmoid) return dy * y * (1.0f - y);
  return dy;
}

// y[r,c] = act(y[r,c] + bias[c]) for rows of `channels`; bias may be null. The end of a convolution or matrix
// product that oneDNN cannot end itself.
void add_bias_and_activate(float* y, int64_t rows, int channels, const float* bias, Activation act);
void add_bias_and_activate(bf16* y, int64_t rows, int channels, const float* bias, Activation act);

// to[r,c] = act(sums[r,c] + bias[c]), or with Acc::add added to it, for rows of `channels`; bias may be null. Sums are
// kept in float32 so that a result is rounded once.
void round_sums(const float* sums, int64_t rows, int channels, const float* bias, Activation act, Acc acc,
                bf16* to);

// c = act(op(a) op(b) + bias), or added to it, with the sizes of onednn_gemm(). T: float, or bf16 where
// multiplies_bf16(). `room`: (m,n) floats when c is bfloat16, else unused.
template <class T>
void multiply(bool transpose_a, bool transpose_b, int m, int n, int k, const T* a, const T* b,
              const float* bias, Activation act, Out c, float* room);

// ----------------------------------------------------------------------------------------------- what fits

// Whether all values of a call (activations, weights) are of this type, and all other numbers float32.
template <class Args>
bool values_are(DType wanted, const Args& args) {
  for (const Port<Args>& port : Args::ports()) {
    if (port.kind != Kind::value && port.kind != Kind::float32) continue;
    const DType type = port.in ? (args.*port.in).dtype : (args.*port.out).dtype;
    const bool is_there = port.in ? bool(args.*port.in) : bool(args.*port.out);
    if (is_there && type != (port.kind == Kind::value ? wanted : DType::f32)) return false;
  }
  return true;
}
template <class Args>
const char* f32_only(const Args& args) {
  return values_are(DType::f32, args) ? nullptr : "computes in float32 only";
}
template <class Args>
const char* f32_or_bf16(const Args& args) {
  return values_are(DType::f32, args) || values_are(DType::bf16, args)
             ? nullptr
             : "values must be all float32 or all bfloat16";
}

}  // namespace gan::cpu
