// Measures of pictures: closed forms, the definition written out, and values that others have published.
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <sstream>

#include "engine/metrics/metrics.h"
#include "kernels/contract/check.h"
#include "tests/support/skip.h"

using namespace gan;
namespace fs = std::filesystem;

namespace {

Image noise(int height, int width, int channels, uint32_t seed) {
  Image image(height, width, channels);
  for (auto& sample : image.pixels) sample = uint8_t((seed = seed * 1664525 + 1013904223) >> 24);
  return image;
}

// SSIM as its authors define it: every window by itself, in two dimensions, with its mean taken off first.
double ssim_by_definition(const Image& a, const Image& b) {
  double total = 0;
  int windows = 0;
  for (int c = 0; c < a.channels; ++c)
    for (int top = 0; top + 11 <= a.height; ++top)
      for (int left = 0; left + 11 <= a.width; ++left, ++windows) {
        double sum = 0, mean_a = 0, mean_b = 0, aa = 0, bb = 0, ab = 0;
        auto each = [&](auto f) {
          for (int y = 0; y < 11; ++y)
            for (int x = 0; x < 11; ++x)
              f(std::exp(-((y - 5) * (y - 5) + (x - 5) * (x - 5)) / 4.5), double(a.at(top + y, left + x, c)),
                double(b.at(top + y, left + x, c)));
        };
        each([&](double w, double p, double q) { sum += w, mean_a += w * p, mean_b += w * q; });
        mean_a /= sum, mean_b /= sum;
        each([&](double w, double p, double q) {
          aa += w * (p - mean_a) * (p - mean_a), bb += w * (q - mean_b) * (q - mean_b);
          ab += w * (p - mean_a) * (q - mean_b);
        });
        const double c1 = 6.5025, c2 = 58.5225;
        total += (2 * mean_a * mean_b + c1) * (2 * ab / sum + c2) /
                 ((mean_a * mean_a + mean_b * mean_b + c1) * (aa / sum + bb / sum + c2));
      }
  return total / windows;
}

}  // namespace

TEST_CASE("metrics: sharpness is the part of the reference's detail") {
  Image stripes(4, 6, 1), faint(4, 6, 1), flat(4, 6, 1);
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 6; ++x) {
      stripes.at(y, x, 0) = x % 2 ? 100 : 20, faint.at(y, x, 0) = x % 2 ? 70 : 50, flat.at(y, x, 0) = 9;
    }
  CHECK(sharpness(stripes, stripes) == 1);
  CHECK(sharpness(faint, stripes) == 0.25);  // 20 of 80 at every edge
  CHECK(sharpness(stripes, faint) == 4);
  CHECK(sharpness(flat, stripes) == 0);
  CHECK(std::isnan(sharpness(stripes, flat)));
  Image turned(6, 4, 1);
  for (int y = 0; y < 6; ++y)
    for (int x = 0; x < 4; ++x) turned.at(y, x, 0) = faint.at(x, y, 0);
  Image as_turned(6, 4, 1);
  for (int y = 0; y < 6; ++y)
    for (int x = 0; x < 4; ++x) as_turned.at(y, x, 0) = stripes.at(x, y, 0);
  CHECK(sharpness(turned, as_turned) == 0.25);  // along the other side
  Image blue(4, 6, 3), faint_blue(4, 6, 3);     // one channel has all the detail
  for (int y = 0; y < 4; ++y)
    for (int x = 0; x < 6; ++x)
      blue.at(y, x, 2) = stripes.at(y, x, 0), faint_blue.at(y, x, 2) = faint.at(y, x, 0);
  CHECK(sharpness(faint_blue, blue) == 0.25);
}

TEST_CASE("metrics: closed forms") {
  const Image dark(12, 15, 3, 100), light(12, 15, 3, 103), far(12, 15, 3, 150);
  CHECK(psnr(dark, light) == doctest::Approx(10 * std::log10(65025.0 / 9)).epsilon(1e-12));
  CHECK(std::isinf(psnr(dark, dark)));
  CHECK(mean_absolute_difference(light, dark) == 3);
  CHECK(ssim(dark, dark) == doctest::Approx(1).epsilon(1e-12));
  CHECK(ssim(dark, far) ==  // constant pictures: the luminance term alone
        doctest::Approx((2 * 100 * 150 + 6.5025) / (100 * 100 + 150 * 150 + 6.5025)).epsilon(1e-9));

  // Half red, half grey: rg is 255 or 0, yb 127.5 or 0.
  Image halves(1, 2, 3, 90);
  halves.at(0, 0, 0) = 255, halves.at(0, 0, 1) = 0, halves.at(0, 0, 2) = 0;
  const double expected = std::sqrt(127.5 * 127.5 + 63.75 * 63.75) * 1.3;
  CHECK(colourfulness(halves) == doctest::Approx(expected).epsilon(1e-12));
  CHECK(colourfulness(Image(3, 3, 3, 77)) == 0);
  CHECK(colourfulness(Image(3, 3, 1, 77)) == 0);
}

TEST_CASE("metrics: SSIM equals its definition window by window") {
  for (int channels : {1, 3}) {
    const Image a = noise(14, 19, channels, 1);
    Image b = a;
    for (size_t i = 0; i < b.pixels.size(); ++i) b.pixels[i] = uint8_t((3 * b.pixels[i] + i % 97) / 4);
    const double value = ssim(a, b);
    CHECK(value == doctest::Approx(ssim_by_definition(a, b)).epsilon(1e-9));
    CHECK(value == doctest::Approx(ssim(b, a)).epsilon(1e-12));
    CHECK(value < 0.99);
  }
  const Image a = noise(11, 11, 1, 5), b = noise(11, 11, 1, 6);  // one window
  CHECK(ssim(a, b) == doctest::Approx(ssim_by_definition(a, b)).epsilon(1e-9));
  // Averaged down by two: the same as plain SSIM of the averages, here of pairs of equal rows and columns.
  const Image half = noise(200, 210, 1, 7), half_b = noise(200, 210, 1, 8);
  Image whole(400, 420, 1), whole_b = whole;
  for (int y = 0; y < 400; ++y)
    for (int x = 0; x < 420; ++x)
      whole.at(y, x, 0) = half.at(y / 2, x / 2, 0), whole_b.at(y, x, 0) = half_b.at(y / 2, x / 2, 0);
  CHECK(ssim_256(whole, whole_b) == doctest::Approx(ssim(half, half_b)).epsilon(1e-12));
  CHECK(ssim_256(half, half_b) == ssim(half, half_b));
  CHECK_THROWS_AS(ssim(noise(10, 40, 1, 1), noise(10, 40, 1, 2)), Error);
  CHECK_THROWS_AS(psnr(noise(4, 4, 1, 1), noise(4, 5, 1, 1)), Error);
}

TEST_CASE("metrics: by name, with means over the pictures that have them") {
  CHECK(parse_metrics("ssim,psnr,ssim") == std::vector<std::string>{"ssim", "psnr"});
  CHECK(parse_metrics("").size() == 4);
  CHECK_THROWS_WITH_AS(parse_metrics("psrn"), doctest::Contains("did you mean psnr?"), Error);
  CHECK_THROWS_WITH_AS(parse_metrics("psnr,"),
                       doctest::Contains("psnr, ssim, l1, colourfulness, ssim_256, sharpness"), Error);
  CHECK(metric_of("colourfulness_reference") == metric_of("colourfulness"));
  CHECK(metric_of("ssim_reference") == nullptr);  // it looks at both pictures
  CHECK(metric_of("ssim")->decimals == 4);
  for (const Metric* metric : metrics())
    CHECK(metric->smaller_is_better == (metric->name == std::string("l1")));
  const Image small(4, 4, 3, 10), small_b(4, 4, 3, 12), large(16, 16, 3, 10);
  const auto first = measure(small, small_b, {"l1", "ssim"}), second = measure(large, large, {"l1", "ssim"});
  CHECK(first[0] == std::pair<std::string, double>("l1", 2));
  CHECK(std::isnan(first[1].second));
  const auto mean = mean_of({first, second});
  CHECK(mean[0].second == 1);
  CHECK(mean[1].second == doctest::Approx(1));
}

TEST_CASE("metrics: published values") {
  const fs::path folder = tests::shared_folder("metric-references");
  if (folder.empty()) return;
  std::ifstream table(folder / "reference-values.csv");
  std::string line;
  int checked = 0;
  while (std::getline(table, line)) {
    std::stringstream cells(line);
    std::string metric, name, reference, value;
    std::getline(cells, metric, ',') && std::getline(cells, name, ',') &&
        std::getline(cells, reference, ',') && std::getline(cells, value, ',');
    if (name.starts_with("pyssim")) continue;  // without alpha, which is composited here
    const bool grey = line.find(",grey,") != line.npos || line.find(", L") != line.npos ||
                      line.find(",\"grey,") != line.npos;
    const auto read = [&](const std::string& file) {
      return read_image(folder / file, {.channels = grey ? 1 : 3});
    };
    if (metric != "SSIM" && metric != "MSE" && metric != "MAE" && metric != "PSNR") continue;
    CAPTURE(line);
    const Image a = read(name), b = read(reference);
    const double expected = std::stod(value);
    if (metric == "SSIM") CHECK(std::abs(ssim_256(a, b) - expected) < (grey ? 1e-4 : 1e-2));
    if (metric == "MSE") CHECK(std::abs(65025 / std::pow(10, psnr(a, b) / 10) - expected) < 1e-6 * expected);
    if (metric == "MAE") CHECK(std::abs(mean_absolute_difference(a, b) - expected) < 1e-6);
    if (metric == "PSNR") CHECK(std::abs(psnr(a, b) - expected) < 1e-6);
    // A grey picture read as colour has the same values.
    if (grey) CHECK(psnr(read_image(folder / name), read_image(folder / reference)) == psnr(a, b));
    ++checked;
  }
  CHECK(checked == 14);
}
