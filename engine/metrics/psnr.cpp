// Differences of samples: peak signal-to-noise ratio, and the mean absolute difference.
#include "engine/metrics/metrics.h"

#include <cmath>
#include <cstdlib>
#include <limits>

namespace gan {

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

extern constexpr Metric kPsnr{.name = "psnr", .of_pair = psnr};
extern constexpr Metric kL1{.name = "l1", .of_pair = mean_absolute_difference, .smaller_is_better = true};

}  // namespace gan
