// sRGB and CIE Lab (white D65, 2 degree observer), one pixel at a time, for the host and for CUDA. The
// constants are those of scikit-image, so that networks trained elsewhere see the colours they know.
#pragma once
#include <cmath>

#include "kernels/shared/philox.h"  // GAN_HOST_DEVICE

namespace gan {

template <class T>
struct Colour {
  T x, y, z;  // red, green, blue in [0,1]; X, Y, Z; or L in [0,100], a, b
};

namespace detail {
GAN_HOST_DEVICE float power(float x, float exponent) { return powf(x, exponent); }
GAN_HOST_DEVICE double power(double x, double exponent) { return pow(x, exponent); }
GAN_HOST_DEVICE float cube_root(float x) { return cbrtf(x); }
GAN_HOST_DEVICE double cube_root(double x) { return cbrt(x); }
}  // namespace detail

// An sRGB value in [0,1] as light, and back, clipped.
template <class T>
GAN_HOST_DEVICE T linear_of_srgb(T c) {
  return c > T(0.04045) ? detail::power((c + T(0.055)) / T(1.055), T(2.4)) : c / T(12.92);
}
template <class T>
GAN_HOST_DEVICE T srgb_of_linear(T c) {
  const T v = c > T(0.0031308) ? T(1.055) * detail::power(c, T(1) / T(2.4)) - T(0.055) : T(12.92) * c;
  return v < 0 ? T(0) : v > 1 ? T(1) : v;
}

namespace detail {
template <class T>
GAN_HOST_DEVICE T lab_curve(T t) {
  return t > T(0.008856) ? cube_root(t) : T(7.787) * t + T(16) / T(116);
}
template <class T>
GAN_HOST_DEVICE T lab_curve_inverse(T t) {
  return t > T(0.2068966) ? t * t * t : (t - T(16) / T(116)) / T(7.787);
}
}  // namespace detail

// Of the white point; Y is 1.
inline constexpr double kWhiteX = 0.95047, kWhiteZ = 1.08883;

template <class T>
GAN_HOST_DEVICE Colour<T> srgb_to_lab(Colour<T> rgb) {
  const T r = linear_of_srgb(rgb.x), g = linear_of_srgb(rgb.y), b = linear_of_srgb(rgb.z);
  const T fx = detail::lab_curve((T(0.412453) * r + T(0.357580) * g + T(0.180423) * b) / T(kWhiteX));
  const T fy = detail::lab_curve(T(0.212671) * r + T(0.715160) * g + T(0.072169) * b);
  const T fz = detail::lab_curve((T(0.019334) * r + T(0.119193) * g + T(0.950227) * b) / T(kWhiteZ));
  return {T(116) * fy - T(16), T(500) * (fx - fy), T(200) * (fy - fz)};
}

// Clipped to [0,1].
template <class T>
GAN_HOST_DEVICE Colour<T> lab_to_srgb(Colour<T> lab) {
  const T fy = (lab.x + T(16)) / T(116), fx = lab.y / T(500) + fy;
  const T below = fy - lab.z / T(200), fz = below < 0 ? T(0) : below;
  const T x = detail::lab_curve_inverse(fx) * T(kWhiteX), y = detail::lab_curve_inverse(fy),
          z = detail::lab_curve_inverse(fz) * T(kWhiteZ);
  return {srgb_of_linear(T(3.24048134) * x + T(-1.53715152) * y + T(-0.49853633) * z),
          srgb_of_linear(T(-0.96925495) * x + T(1.87599) * y + T(0.04155593) * z),
          srgb_of_linear(T(0.05564664) * x + T(-0.20404134) * y + T(1.05731107) * z)};
}

}  // namespace gan
