// PSNR, SSIM, mean absolute difference, colourfulness.
#include "engine/metrics/metrics.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "engine/settings/words.h"
#include "kernels/contract/check.h"

namespace gan {

namespace {

void check_same_size(const Image& a, const Image& b) {
  GAN_CHECK(a.height == b.height && a.width == b.width && a.channels == b.channels && !a.pixels.empty(),
            "pictures of {} x {} x {} and {} x {} x {} cannot be compared", a.height, a.width, a.channels,
            b.height, b.width, b.channels);
}

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

double psnr(const Image& a, const Image& b) {
  check_same_size(a, b);
  uint64_t squares = 0;  // at most 2^16 each: exact for any picture
  for (size_t i = 0; i < a.pixels.size(); ++i) {
    const int difference = int(a.pixels[i]) - int(b.pixels[i]);
    squares += uint64_t(difference * difference);
  }
  if (squares == 0) return std::numeric_limits<double>::infinity();
  return 10 * std::log10(255.0 * 255.0 * double(a.pixels.size()) / double(squares));
}

double mean_absolute_difference(const Image& a, const Image& b) {
  check_same_size(a, b);
  uint64_t sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) sum += uint64_t(std::abs(int(a.pixels[i]) - int(b.pixels[i])));
  return double(sum) / double(a.pixels.size());
}

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

OpponentColours opponent_colours(const Image& image) {
  GAN_CHECK(image.channels == 3 && !image.pixels.empty(), "opponent colours of {} channels", image.channels);
  const size_t count = image.pixels.size() / 3;
  double rg_sum = 0, rg_squares = 0, yb_sum = 0, yb_squares = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* p = &image.pixels[3 * i];
    const double rg = double(p[0]) - p[1], yb = 0.5 * (double(p[0]) + p[1]) - p[2];
    rg_sum += rg, rg_squares += rg * rg, yb_sum += yb, yb_squares += yb * yb;
  }
  const double n = double(count), rg = rg_sum / n, yb = yb_sum / n;
  return {rg, yb, std::max(0.0, rg_squares / n - rg * rg) + std::max(0.0, yb_squares / n - yb * yb)};
}

double colourfulness(const Image& image) {
  if (image.channels == 1) return 0;
  const auto [rg, yb, variance] = opponent_colours(image);
  return std::sqrt(variance) + 0.3 * std::sqrt(rg * rg + yb * yb);
}

double sharpness(const Image& a, const Image& b) {
  check_same_size(a, b);
  const auto detail = [](const Image& image) {
    int64_t sum = 0;
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x)
        for (int c = 0; c < image.channels; ++c) {
          if (x > 0) sum += std::abs(image.at(y, x, c) - image.at(y, x - 1, c));
          if (y > 0) sum += std::abs(image.at(y, x, c) - image.at(y - 1, x, c));
        }
    return double(sum);
  };
  const double of_b = detail(b);
  return of_b > 0 ? detail(a) / of_b : std::numeric_limits<double>::quiet_NaN();
}

std::vector<std::string> parse_metrics(const std::string& list) {
  static const std::vector<std::string> known = {"psnr",          "ssim",     "l1",
                                                 "colourfulness", "ssim_256", "sharpness"};
  if (list.empty()) return {known.begin(), known.end() - 2};
  std::vector<std::string> metrics;
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    const std::string name = list.substr(at, comma - at);
    at = comma + 1;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string nearest = nearest_word(known, name, 3);
      fail(Exit::usage, "--metrics: there is no metric \"{}\"; {}", name,
           nearest.empty() || name.empty() ? fmt::format("choose from {}", fmt::join(known, ", "))
                                           : fmt::format("did you mean {}?", nearest));
    }
    if (std::find(metrics.begin(), metrics.end(), name) == metrics.end()) metrics.push_back(name);
  }
  return metrics;
}

Measures measure(const Image& a, const Image& b, const std::vector<std::string>& metrics) {
  Measures result;
  for (const auto& name : metrics) {
    if (name == "psnr") result.emplace_back(name, psnr(a, b));
    if (name.starts_with("ssim"))
      result.emplace_back(name, std::min(a.height, a.width) < kSsimWindow
                                    ? std::numeric_limits<double>::quiet_NaN()
                                : name == "ssim" ? ssim(a, b)
                                                 : ssim_256(a, b));
    if (name == "sharpness") result.emplace_back(name, sharpness(a, b));
    if (name == "l1") result.emplace_back(name, mean_absolute_difference(a, b));
    if (name == "colourfulness") {
      result.emplace_back(name, colourfulness(a));
      result.emplace_back("colourfulness_reference", colourfulness(b));
    }
  }
  return result;
}

Measures mean_of(const std::vector<Measures>& all) {
  Measures mean;
  if (all.empty()) return mean;
  for (size_t k = 0; k < all[0].size(); ++k) {
    double sum = 0;
    int64_t count = 0;
    for (const auto& measures : all)
      if (!std::isnan(measures[k].second)) sum += measures[k].second, ++count;
    mean.emplace_back(all[0][k].first,
                      count ? sum / double(count) : std::numeric_limits<double>::quiet_NaN());
  }
  return mean;
}

}  // namespace gan
