// Teachers, and drawings with soft edges.
#include "engine/data/style_examples.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "engine/data/made_input.h"
#include "kernels/shared/colour.h"

namespace gan {

namespace {

using LabPixels = std::vector<Colour<float>>;  // row-major

LabPixels lab_of(const Image& image) {
  LabPixels lab(size_t(image.height) * size_t(image.width));
  for (size_t i = 0; i < lab.size(); ++i) {
    const uint8_t* p = &image.pixels[3 * i];
    lab[i] = srgb_to_lab(Colour<float>{float(p[0]) / 255, float(p[1]) / 255, float(p[2]) / 255});
  }
  return lab;
}

// exp(-d^2 / (2 sigma^2)) by the squared distance d^2, which is all that the filter below asks for.
class Falloff {
 public:
  explicit Falloff(float sigma) : per_step_(kSteps / (9 * sigma * sigma)) {
    for (int i = 0; i < kSteps; ++i) values_[size_t(i)] = std::exp(-4.5f * float(i) / kSteps);
  }
  float operator()(float squared) const {
    const float step = squared * per_step_;
    return step < kSteps ? values_[size_t(step)] : 0;
  }

 private:
  static constexpr int kSteps = 512;  // up to three sigma
  float per_step_;
  std::array<float, kSteps> values_{};
};

// One pass of the bilateral filter (Tomasi & Manduchi 1998), distances of colours in Lab.
LabPixels bilateral(const LabPixels& from, int height, int width, float space, float colour) {
  const int radius = std::max(1, int(std::lround(2 * space)));
  const Falloff by_colour(colour);
  std::vector<float> by_place(size_t(radius * radius * 2 + 1));
  for (size_t squared = 0; squared < by_place.size(); ++squared)
    by_place[squared] = std::exp(-float(squared) / (2 * space * space));
  LabPixels to(from.size());
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const Colour<float> here = from[size_t(y) * size_t(width) + size_t(x)];
      Colour<float> sum{0, 0, 0};
      float weights = 0;
      for (int v = std::max(0, y - radius); v <= std::min(height - 1, y + radius); ++v)
        for (int u = std::max(0, x - radius); u <= std::min(width - 1, x + radius); ++u) {
          const Colour<float>& there = from[size_t(v) * size_t(width) + size_t(u)];
          const float dx = there.x - here.x, dy = there.y - here.y, dz = there.z - here.z;
          const float weight = by_place[size_t((v - y) * (v - y) + (u - x) * (u - x))] *
                               by_colour(dx * dx + dy * dy + dz * dz);
          sum.x += weight * there.x, sum.y += weight * there.y, sum.z += weight * there.z;
          weights += weight;
        }
      to[size_t(y) * size_t(width) + size_t(x)] = {sum.x / weights, sum.y / weights, sum.z / weights};
    }
  return to;
}

uint8_t byte_from(float value) { return uint8_t(std::lround(std::clamp(value, 0.0f, 1.0f) * 255)); }

// Edges by Canny's method: Sobel's gradient, thinned across the edge; strong edges, and weak ones that touch them.
std::vector<uint8_t> edges_of(const Image& picture) {
  constexpr int weak = 100, strong = 200;  // |gx| + |gy| of luma from 0 to 255
  const int height = picture.height, width = picture.width;
  const auto place = [&](int y, int x) { return size_t(y) * size_t(width) + size_t(x); };
  std::vector<int> light(size_t(height) * size_t(width)), gx(light.size()), gy(light.size()),
      size(light.size());
  for (size_t i = 0; i < light.size(); ++i) {
    const uint8_t* p = &picture.pixels[i * size_t(picture.channels)];
    light[i] = picture.channels == 1 ? p[0] : luma(p[0], p[1], p[2]);
  }
  const auto at = [&](int y, int x) {
    return light[place(std::clamp(y, 0, height - 1), std::clamp(x, 0, width - 1))];
  };
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const auto column = [&](int u) { return at(y - 1, u) + 2 * at(y, u) + at(y + 1, u); };
      const auto row = [&](int v) { return at(v, x - 1) + 2 * at(v, x) + at(v, x + 1); };
      const size_t i = place(y, x);
      gx[i] = column(x + 1) - column(x - 1), gy[i] = row(y + 1) - row(y - 1);
      size[i] = std::abs(gx[i]) + std::abs(gy[i]);
    }
  std::vector<uint8_t> edge(light.size());
  std::vector<size_t> grown;
  const auto size_at = [&](int y, int x) {
    return y < 0 || x < 0 || y >= height || x >= width ? 0 : size[place(y, x)];
  };
  std::vector<uint8_t> candidate(light.size());
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const size_t i = place(y, x);
      if (size[i] < weak) continue;
      // The neighbours across the edge, to the nearest of eight directions.
      const bool flat = 5 * std::abs(gy[i]) < 2 * std::abs(gx[i]),
                 steep = 5 * std::abs(gx[i]) < 2 * std::abs(gy[i]);
      const int dx = steep ? 0 : 1;
      int dy = flat ? 0 : 1;
      if (!flat && !steep && (gx[i] < 0) != (gy[i] < 0)) dy = -1;
      candidate[i] = size[i] > size_at(y - dy, x - dx) && size[i] >= size_at(y + dy, x + dx);
      if (candidate[i] && size[i] >= strong) edge[i] = 1, grown.push_back(i);
    }
  while (!grown.empty()) {
    const int y = int(grown.back() / size_t(width)), x = int(grown.back() % size_t(width));
    grown.pop_back();
    for (int v = std::max(0, y - 1); v <= std::min(height - 1, y + 1); ++v)
      for (int u = std::max(0, x - 1); u <= std::min(width - 1, x + 1); ++u)
        if (const size_t i = place(v, u); candidate[i] && !edge[i]) edge[i] = 1, grown.push_back(i);
  }
  return edge;
}

}  // namespace

Image drawn_by_rules(const Image& photo, int side) {
  if (side == 0) side = std::min(photo.height, photo.width);
  Image colour = photo;
  if (photo.channels == 1) {
    colour = Image(photo.height, photo.width, 3);
    for (size_t i = 0; i < colour.pixels.size(); ++i) colour.pixels[i] = photo.pixels[i / 3];
  }
  LabPixels lab = lab_of(colour);
  constexpr int passes = 4;
  constexpr float near_colour = 12, richer = 1.3f, ink = 0.85f;
  const float space = std::clamp(2.5f * float(side) / 256, 1.0f, 6.0f);
  for (int pass = 0; pass < passes; ++pass)
    lab = bilateral(lab, photo.height, photo.width, space, near_colour);
  const Image lines = make_input(colour, InputKind::sketch, {}, side);
  Image drawn(photo.height, photo.width, 3);
  for (size_t i = 0; i < lab.size(); ++i) {
    const float paper = 1 - ink * (1 - float(lines.pixels[3 * i]) / 255);
    const float saturation = photo.channels == 1 ? 0 : richer * (0.5f + 0.5f * paper);
    const Colour<float> rgb =
        lab_to_srgb(Colour<float>{lab[i].x * paper, lab[i].y * saturation, lab[i].z * saturation});
    uint8_t* p = &drawn.pixels[3 * i];
    p[0] = byte_from(rgb.x), p[1] = byte_from(rgb.y), p[2] = byte_from(rgb.z);
  }
  return drawn;
}

Image with_soft_edges(const Image& picture) {
  constexpr int reach = 2;       // pixels on both sides of an edge
  constexpr double sigma = 1.1;  // of a Gaussian that ends after two pixels
  const std::vector<uint8_t> edge = edges_of(picture);
  const Image soft = gaussian_blur(picture, sigma);
  Image result = picture;
  const size_t pixel = size_t(picture.channels);
  for (int y = 0; y < picture.height; ++y)
    for (int x = 0; x < picture.width; ++x) {
      if (!edge[size_t(y) * size_t(picture.width) + size_t(x)]) continue;
      for (int v = std::max(0, y - reach); v <= std::min(picture.height - 1, y + reach); ++v) {
        const int left = std::max(0, x - reach), right = std::min(picture.width - 1, x + reach);
        const size_t first = (size_t(v) * size_t(picture.width) + size_t(left)) * pixel;
        std::copy_n(&soft.pixels[first], size_t(right - left + 1) * pixel, &result.pixels[first]);
      }
    }
  return result;
}

}  // namespace gan
