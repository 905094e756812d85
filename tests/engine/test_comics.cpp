// builtin:comics: the drawn faces are the same bytes everywhere, differ from each other, and the two styles
// of one face lie exactly on top of each other.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/data/comics.h"
#include "kernels/contract/check.h"

using gan::ComicsStyle;
using gan::draw_comics_face;

namespace {

// FNV-1a, 64 bits.
uint64_t hash_bytes(const std::vector<uint8_t>& bytes) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001B3u;
  return hash;
}

std::vector<double> luma(const std::vector<uint8_t>& rgb) {
  std::vector<double> grey(rgb.size() / 3);
  for (size_t i = 0; i < grey.size(); ++i)
    grey[i] = 0.299 * rgb[3 * i] + 0.587 * rgb[3 * i + 1] + 0.114 * rgb[3 * i + 2];
  return grey;
}

// Correlation of two grey pictures over the middle, with b moved by (dx, dy) pixels; 1 for equal pictures.
double correlation(const std::vector<double>& a, const std::vector<double>& b, int size, int dx = 0,
                   int dy = 0) {
  const int margin = size / 8;
  double sum_a = 0, sum_b = 0, sum_aa = 0, sum_bb = 0, sum_ab = 0, n = 0;
  for (int y = margin; y < size - margin; ++y) {
    for (int x = margin; x < size - margin; ++x) {
      const double p = a[y * size + x], q = b[(y + dy) * size + x + dx];
      sum_a += p, sum_b += q, sum_aa += p * p, sum_bb += q * q, sum_ab += p * q, n += 1;
    }
  }
  const double covariance = sum_ab / n - sum_a / n * sum_b / n;
  const double variance_a = sum_aa / n - sum_a / n * sum_a / n;
  const double variance_b = sum_bb / n - sum_b / n * sum_b / n;
  return covariance / std::sqrt(variance_a * variance_b);
}

constexpr int kBlocks = 16;

// Means over 16 x 16 equal blocks of a square grey picture of any size; border pixels count by their share.
std::vector<double> block_means(const std::vector<double>& grey, int size) {
  const auto overlap = [&](int pixel, int block) {  // in pixels
    const double from = std::max<double>(pixel, double(block) * size / kBlocks);
    const double to = std::min<double>(pixel + 1, double(block + 1) * size / kBlocks);
    return std::max(to - from, 0.0);
  };
  std::vector<double> means(kBlocks * kBlocks);
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      for (int by = y * kBlocks / size; by < kBlocks && overlap(y, by) > 0; ++by) {
        for (int bx = x * kBlocks / size; bx < kBlocks && overlap(x, bx) > 0; ++bx) {
          means[by * kBlocks + bx] += grey[y * size + x] * overlap(y, by) * overlap(x, bx);
        }
      }
    }
  }
  for (double& mean : means) mean /= double(size) * size / (kBlocks * kBlocks);
  return means;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

}  // namespace

// These numbers may change only when the drawing is changed on purpose: results that were trained on
// builtin:comics are comparable as long as they stay. They hold for every compiler and optimisation level.
TEST_CASE("comics: the pictures are pinned, byte for byte") {
  struct Case {
    uint64_t index;
    ComicsStyle style;
    int size;
    uint64_t hash;
  };
  const Case cases[] = {
      {0x0u, ComicsStyle::photo, 32, 0xA18051A53B222390u},
      {0x0u, ComicsStyle::comic, 32, 0xC4B12D6B93D7F2C6u},
      {0x1u, ComicsStyle::photo, 64, 0xC7E8B34FE78CECF5u},
      {0x1u, ComicsStyle::comic, 64, 0x37CBBC66A7F9A5F7u},
      {0x7u, ComicsStyle::photo, 100, 0xDCE3F8E72E1B3D70u},
      {0x7u, ComicsStyle::comic, 100, 0x11140338A066D838u},
      {0x2Au, ComicsStyle::photo, 128, 0x6F258453E41317F9u},
      {0x2Au, ComicsStyle::comic, 128, 0x760415744CF3241Eu},
      {0xFFFFFFFFFFFFFFFFu, ComicsStyle::photo, 64, 0x8167539AAE022281u},
      {0xFFFFFFFFFFFFFFFFu, ComicsStyle::comic, 64, 0xD0FB774C5D7828BBu},
      {0x8000000000000001u, ComicsStyle::photo, 256, 0xCDE4CE6E90E82E92u},
      {0x8000000000000001u, ComicsStyle::comic, 256, 0x449988812D21DFC1u},
  };
  for (const Case& c : cases) {
    CAPTURE(c.index);
    CAPTURE(c.size);
    CHECK(hash_bytes(draw_comics_face(c.index, c.style, c.size)) == c.hash);
  }
}

TEST_CASE("comics: a face is a function of its number, style and size alone") {
  const auto first = draw_comics_face(5, ComicsStyle::photo, 48);
  CHECK(first.size() == 48 * 48 * 3);
  const auto comic = draw_comics_face(5, ComicsStyle::comic, 48);
  CHECK(first != comic);
  draw_comics_face(6, ComicsStyle::comic, 64);
  CHECK(draw_comics_face(5, ComicsStyle::photo, 48) == first);
}

TEST_CASE("comics: 500 faces, all different, none of them blank") {
  std::vector<uint64_t> hashes;
  for (uint64_t index = 0; index < 500; ++index) {
    for (const ComicsStyle style : {ComicsStyle::photo, ComicsStyle::comic}) {
      const auto picture = draw_comics_face(index, style, 32);
      hashes.push_back(hash_bytes(picture));
      const auto grey = luma(picture);
      const auto [low, high] = std::minmax_element(grey.begin(), grey.end());
      CAPTURE(index);
      CHECK(*high - *low > 80);  // eyes have white and pupil in every face: of 255 levels, a third at least
    }
  }
  // What was drawn in between leaves no trace.
  CHECK(hash_bytes(draw_comics_face(0, ComicsStyle::photo, 32)) == hashes[0]);
  CHECK(hash_bytes(draw_comics_face(499, ComicsStyle::comic, 32)) == hashes[999]);
  std::sort(hashes.begin(), hashes.end());
  CHECK(std::adjacent_find(hashes.begin(), hashes.end()) == hashes.end());
}

// Colours differ between the styles, so equality cannot be asked for; but light and dark places must
// coincide.
TEST_CASE("comics: photo and comic of one face have the same geometry") {
  constexpr int kSize = 64, kFaces = 32;
  std::vector<std::vector<double>> photos, comics;
  for (uint64_t index = 0; index < kFaces; ++index) {
    photos.push_back(luma(draw_comics_face(index, ComicsStyle::photo, kSize)));
    comics.push_back(luma(draw_comics_face(index, ComicsStyle::comic, kSize)));
  }
  SUBCASE("each photo is most like the comic of its own number") {
    for (int i = 0; i < kFaces; ++i) {
      const double own = correlation(photos[i], comics[i], kSize);
      for (int j = 0; j < kFaces; ++j) {
        CAPTURE(i);
        CAPTURE(j);
        if (j != i) CHECK(correlation(photos[i], comics[j], kSize) < own);
      }
    }
  }
  SUBCASE("the average fit is best without a shift, even of one pixel") {
    const auto mean_fit = [&](int dx, int dy) {
      double sum = 0;
      for (int i = 0; i < kFaces; ++i) sum += correlation(photos[i], comics[i], kSize, dx, dy);
      return sum / kFaces;
    };
    const double aligned = mean_fit(0, 0);
    for (const int step : {-1, 1}) {
      CHECK(mean_fit(step, 0) < aligned);
      CHECK(mean_fit(0, step) < aligned);
    }
  }
}

// The bounding boxes that save work must not cut anything off, least of all at sizes where a pixel is no
// whole number of drawing units. The finer a picture is, the nearer it comes to the one of 256 pixels: 173
// and 241 pixels must be nearer than 128, which divides the units.
TEST_CASE("comics: sizes that do not divide the drawing grid draw the same face") {
  for (const ComicsStyle style : {ComicsStyle::photo, ComicsStyle::comic}) {
    double even = 0, odd = 0;
    for (uint64_t index = 0; index < 12; ++index) {
      const auto large = block_means(luma(draw_comics_face(index, style, 256)), 256);
      even = std::max(even,
                      largest_difference(large, block_means(luma(draw_comics_face(index, style, 128)), 128)));
      for (const int size : {173, 241}) {
        odd = std::max(
            odd, largest_difference(large, block_means(luma(draw_comics_face(index, style, size)), size)));
      }
    }
    CAPTURE(static_cast<int>(style));
    CHECK(odd < even);
  }
}

TEST_CASE("comics: a size out of range is a usage error that names it") {
  CHECK(draw_comics_face(1, ComicsStyle::photo, 32).size() == 32 * 32 * 3);
  CHECK(draw_comics_face(1, ComicsStyle::comic, 256).size() == 256 * 256 * 3);
  for (const int size : {-1, 0, 31, 257, 1 << 30}) {
    CAPTURE(size);
    try {
      draw_comics_face(1, ComicsStyle::photo, size);
      FAIL("no error");
    } catch (const gan::Error& error) {
      CHECK(error.code() == gan::Exit::usage);
      CHECK(std::string(error.what()).find(std::to_string(size)) != std::string::npos);
    }
  }
}
