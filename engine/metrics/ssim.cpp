// Structural similarity.
#include "engine/metrics/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "kernels/contract/check.h"

namespace gan {

namespace {

// SSIM of two pictures of `height` x `width` x `channels`; sample(y, x, c) gives both.
template <class F>
double ssim_of(int height, int width, int channels, F sample) {
  constexpr int window = kSsimWindow;
  GAN_CHECK(height >= window && width >= window, "ssim of {} x {} pixels; each side needs at least {}", width,
            height, window);
  std::array<double, window> taps;
  double sum = 0;
  for (int i = 0; i < window; ++i) {
    const double x = i - window / 2;
    sum += taps[size_t(i)] = std::exp(-x * x / (2 * 1.5 * 1.5));
  }
  for (double& tap : taps) tap /= sum;

  // The window's means of a, b, a^2, b^2 and ab. The filter is separable: along each row first, then down the
  // last `window` rows, which is all that is kept.
  constexpr int quantities = 5;
  constexpr double c1 = (0.01 * 255) * (0.01 * 255), c2 = (0.03 * 255) * (0.03 * 255);
  const int inside_width = width - window + 1, inside_height = height - window + 1;
  const size_t row = size_t(inside_width) * quantities;
  std::vector<double> rows(row * window), columns(row);
  double total = 0;
  for (int c = 0; c < channels; ++c)
    for (int y = 0; y < height; ++y) {
      double* filtered = &rows[size_t(y % window) * row];
      for (int x = 0; x < inside_width; ++x, filtered += quantities) {
        std::array<double, quantities> s{};
        for (int i = 0; i < window; ++i) {
          const auto [p, q] = sample(y, x + i, c);
          const double tap = taps[size_t(i)];
          s[0] += tap * p, s[1] += tap * q, s[2] += tap * p * p, s[3] += tap * q * q, s[4] += tap * p * q;
        }
        std::copy(s.begin(), s.end(), filtered);
      }
      if (y < window - 1) continue;
      std::fill(columns.begin(), columns.end(), 0);
      for (int i = 0; i < window; ++i) {
        const double* from = &rows[size_t((y + 1 + i) % window) * row];
        for (size_t k = 0; k < row; ++k) columns[k] += taps[size_t(i)] * from[k];
      }
      for (const double* m = columns.data(); m < columns.data() + row; m += quantities) {
        const double variances = (m[2] - m[0] * m[0]) + (m[3] - m[1] * m[1]);
        const double covariance = m[4] - m[0] * m[1];
        total += ((2 * m[0] * m[1] + c1) * (2 * covariance + c2)) /
                 ((m[0] * m[0] + m[1] * m[1] + c1) * (variances + c2));
      }
    }
  return total / (double(inside_width) * inside_height * channels);
}

}  // namespace

double ssim(const Image& a, const Image& b) {
  check_same_size(a, b);
  return ssim_of(a.height, a.width, a.channels, [&](int y, int x, int c) {
    return std::pair<double, double>(a.at(y, x, c), b.at(y, x, c));
  });
}

double ssim_256(const Image& a, const Image& b) {
  check_same_size(a, b);
  const int f = std::max(1, int(std::lround(std::min(a.height, a.width) / 256.0)));
  const auto average = [&](const Image& image, int y, int x, int c) {
    int sum = 0;
    for (int i = 0; i < f; ++i)
      for (int j = 0; j < f; ++j) sum += image.at(y * f + i, x * f + j, c);
    return double(sum) / (f * f);
  };
  return ssim_of(a.height / f, a.width / f, a.channels,
                 [&](int y, int x, int c) { return std::pair(average(a, y, x, c), average(b, y, x, c)); });
}

extern constexpr Metric kSsim{.name = "ssim", .of_pair = ssim, .decimals = 4, .least_side = kSsimWindow};
extern constexpr Metric kSsim256{
    .name = "ssim_256", .of_pair = ssim_256, .usual = false, .decimals = 4, .least_side = kSsimWindow};

}  // namespace gan
