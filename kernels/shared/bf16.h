// bfloat16 as a storage type: the upper half of a float32 (8 exponent bits, 7 mantissa bits).
//
// One type for the whole program: plain C++, nvcc and the simt build all see this struct, so a buffer of it
// passes between them unchanged. There is no arithmetic on it; code converts to float, computes and converts
// back. `to_float` and `from_float<T>` are also defined for float, so that a kernel templated on its storage
// type reads the same for both.
#pragma once
#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define GAN_BF16_FUNCTION __host__ __device__ inline
#else
#define GAN_BF16_FUNCTION inline __attribute__((always_inline))
#endif

namespace gan {

struct bf16 {
  uint16_t bits;
};

GAN_BF16_FUNCTION float to_float(bf16 value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
  float result;
  memcpy(&result, &bits, sizeof result);
  return result;
}

GAN_BF16_FUNCTION float to_float(float value) { return value; }

// Rounds to nearest, ties to even; values beyond the largest bfloat16 become infinite. Every NaN becomes
// 0x7fff, which is what the GPU's own conversion gives, so that all devices store the same bits.
GAN_BF16_FUNCTION bf16 to_bf16(float value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  bf16 result;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(result.bits) : "f"(value));
  return result;
#else
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  // Adding just under half a unit, plus one more when the kept part is odd, carries exactly when rounding
  // goes up. A choice instead of a branch, so that loops vectorise.
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  return bf16{static_cast<uint16_t>((bits & 0x7fffffffu) > 0x7f800000u ? 0x7fffu : rounded)};
#endif
}

template <class T>
GAN_BF16_FUNCTION T from_float(float value);

template <>
GAN_BF16_FUNCTION float from_float<float>(float value) {
  return value;
}

template <>
GAN_BF16_FUNCTION bf16 from_float<bf16>(float value) {
  return to_bf16(value);
}

}  // namespace gan
