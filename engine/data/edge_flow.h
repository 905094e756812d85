// Planes of real numbers, and which way the edges of a picture run: what ink lines and strokes of a brush follow.
#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/picture/image.h"

namespace gan {

// One channel of real numbers, row by row.
struct Plane {
  int height, width;
  std::vector<float> values;

  Plane(int height, int width) : height(height), width(width), values(size_t(height) * size_t(width)) {}
  float& at(int y, int x) { return values[size_t(y) * size_t(width) + size_t(x)]; }
  float at(int y, int x) const { return values[size_t(y) * size_t(width) + size_t(x)]; }
  // The nearest sample inside.
  float clamped(int y, int x) const { return at(std::clamp(y, 0, height - 1), std::clamp(x, 0, width - 1)); }
  // Bilinear, at any real place.
  float between(float y, float x) const {
    const float fy = std::floor(y), fx = std::floor(x), dy = y - fy, dx = x - fx;
    const int iy = int(fy), ix = int(fx);
    return (1 - dy) * ((1 - dx) * clamped(iy, ix) + dx * clamped(iy, ix + 1)) +
           dy * ((1 - dx) * clamped(iy + 1, ix) + dx * clamped(iy + 1, ix + 1));
  }
};

// Half of a Gaussian's taps, from the middle to three deviations; the whole kernel sums to 1.
std::vector<float> half_gaussian(double sigma);
// With the border repeated.
Plane blurred(const Plane& from, double sigma);
// From 0 to 1, by Rec. 601.
Plane luma_of(const Image& image);

// At each place the unit vector (y, x) across the edge, whose sign says nothing.
struct Flow {
  Plane y, x;
};
// The main direction of the structure tensor, blurred by `smoothing` pixels (Kyprianidis & Kang 2011), and once more by
// `far` pixels with the weight 1/4, if that is not 0: so even parts take the direction of the edges around them.
Flow edge_flow(const Image& image, double smoothing, double far = 0);

// Gaussian means along the edges, on both sides of each place: a line integral convolution (Cabral & Leedom 1993).
Plane gathered_along(const Plane& from, const Flow& across, double sigma);

}  // namespace gan
