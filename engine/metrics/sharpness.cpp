// How much detail a picture has.
#include "engine/metrics/metrics.h"

#include <cstdlib>
#include <limits>

namespace gan {

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

extern constexpr Metric kSharpness{.name = "sharpness", .of_pair = sharpness, .usual = false};

}  // namespace gan
