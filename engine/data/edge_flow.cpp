// The structure tensor and the ways along it.
#include "engine/data/edge_flow.h"

#include <utility>

namespace gan {

std::vector<float> half_gaussian(double sigma) {
  std::vector<float> taps;
  double sum = 0;
  for (int i = 0; i <= int(std::ceil(3 * sigma)); ++i) {
    taps.push_back(float(std::exp(-i * i / (2 * sigma * sigma))));
    sum += (i ? 2 : 1) * double(taps.back());
  }
  for (float& tap : taps) tap = float(tap / sum);
  return taps;
}

Plane blurred(const Plane& from, double sigma) {
  const std::vector<float> taps = half_gaussian(sigma);
  Plane rows(from.height, from.width), result(from.height, from.width);
  for (int y = 0; y < from.height; ++y)
    for (int x = 0; x < from.width; ++x) {
      float sum = taps[0] * from.at(y, x);
      for (int i = 1; i < int(taps.size()); ++i)
        sum += taps[size_t(i)] * (from.clamped(y, x - i) + from.clamped(y, x + i));
      rows.at(y, x) = sum;
    }
  for (int y = 0; y < from.height; ++y)
    for (int x = 0; x < from.width; ++x) {
      float sum = taps[0] * rows.at(y, x);
      for (int i = 1; i < int(taps.size()); ++i)
        sum += taps[size_t(i)] * (rows.clamped(y - i, x) + rows.clamped(y + i, x));
      result.at(y, x) = sum;
    }
  return result;
}

Plane luma_of(const Image& image) {
  Plane plane(image.height, image.width);
  for (int y = 0; y < image.height; ++y)
    for (int x = 0; x < image.width; ++x)
      plane.at(y, x) =
          image.channels == 1
              ? float(image.at(y, x, 0)) / 255
              : (0.299f * image.at(y, x, 0) + 0.587f * image.at(y, x, 1) + 0.114f * image.at(y, x, 2)) / 255;
  return plane;
}

Flow edge_flow(const Image& image, double smoothing, double far) {
  Plane yy(image.height, image.width), xx = yy, xy = yy;
  for (int c = 0; c < image.channels; ++c) {
    Plane plane(image.height, image.width);
    for (size_t i = 0; i < plane.values.size(); ++i)
      plane.values[i] = float(image.pixels[i * size_t(image.channels) + size_t(c)]) / 255;
    for (int y = 0; y < image.height; ++y)
      for (int x = 0; x < image.width; ++x) {  // Sobel's differences
        const auto column = [&](int dx) {
          return plane.clamped(y - 1, x + dx) + 2 * plane.clamped(y, x + dx) + plane.clamped(y + 1, x + dx);
        };
        const auto row = [&](int dy) {
          return plane.clamped(y + dy, x - 1) + 2 * plane.clamped(y + dy, x) + plane.clamped(y + dy, x + 1);
        };
        const float gx = column(1) - column(-1), gy = row(1) - row(-1);
        xx.at(y, x) += gx * gx, yy.at(y, x) += gy * gy, xy.at(y, x) += gx * gy;
      }
  }
  for (Plane* plane : {&xx, &yy, &xy}) {
    Plane near = blurred(*plane, smoothing);
    if (far > 0) {
      const Plane around = blurred(*plane, far);
      for (size_t i = 0; i < near.values.size(); ++i) near.values[i] += around.values[i] / 4;
    }
    *plane = std::move(near);
  }
  Flow flow{Plane(image.height, image.width), Plane(image.height, image.width)};
  for (size_t i = 0; i < xx.values.size(); ++i) {
    const float angle = 0.5f * std::atan2(2 * xy.values[i], xx.values[i] - yy.values[i]);
    flow.x.values[i] = std::cos(angle), flow.y.values[i] = std::sin(angle);
  }
  return flow;
}

Plane gathered_along(const Plane& from, const Flow& across, double sigma) {
  const std::vector<float> taps = half_gaussian(sigma);
  Plane result(from.height, from.width);
  for (int y = 0; y < from.height; ++y)
    for (int x = 0; x < from.width; ++x) {
      float sum = taps[0] * from.at(y, x);
      for (const float sign : {1.0f, -1.0f}) {  // both ways from here
        float py = float(y), px = float(x);
        float ty = sign * across.x.at(y, x), tx = -sign * across.y.at(y, x);
        for (int i = 1; i < int(taps.size()); ++i) {
          py += ty, px += tx;
          sum += taps[size_t(i)] * from.between(py, px);
          const int ny = std::clamp(int(std::lround(py)), 0, from.height - 1);
          const int nx = std::clamp(int(std::lround(px)), 0, from.width - 1);
          float next_y = across.x.at(ny, nx), next_x = -across.y.at(ny, nx);
          if (next_y * ty + next_x * tx < 0) next_y = -next_y, next_x = -next_x;  // directions have no sign
          ty = next_y, tx = next_x;
        }
      }
      result.at(y, x) = sum;
    }
  return result;
}

}  // namespace gan
