// How colourful a picture is.
#include "engine/metrics/metrics.h"

#include <algorithm>
#include <cmath>

#include "kernels/contract/check.h"

namespace gan {

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

extern constexpr Metric kColourfulness{.name = "colourfulness", .of_one = colourfulness};

}  // namespace gan
