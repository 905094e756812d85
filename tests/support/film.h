// Films for tests: frames that move in a known way, and the bytes of y4m and PPM streams.
#pragma once
#include <fmt/format.h>

#include <string>
#include <vector>

#include "engine/picture/image.h"

namespace gan::tests {

// A smooth, colourful texture without repetition; (left, top): the part of it that is seen.
inline Image texture(int height, int width, int left = 0, int top = 0, uint32_t seed = 1) {
  const auto point = [&](int x, int y, int k) {
    uint32_t h =
        seed * 977u + uint32_t(x) * 0x9E3779B1u + uint32_t(y) * 0x85EBCA77u + uint32_t(k) * 0xC2B2AE3Du;
    h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
    h = (h ^ (h >> 12)) * 0x297A2D39u;
    return float((h ^ (h >> 15)) & 255);
  };
  constexpr int kCell = 9;
  Image image(height, width, 3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int k = 0; k < 3; ++k) {
        const int sx = x + left + 9000, sy = y + top + 9000, cx = sx / kCell, cy = sy / kCell;
        const float u = float(sx % kCell) / kCell, v = float(sy % kCell) / kCell;
        const float above = point(cx, cy, k) * (1 - u) + point(cx + 1, cy, k) * u;
        const float below = point(cx, cy + 1, k) * (1 - u) + point(cx + 1, cy + 1, k) * u;
        image.at(y, x, k) = uint8_t(above * (1 - v) + below * v);
      }
  return image;
}

inline std::string ppm(const Image& frame) {
  std::string bytes = fmt::format("P6\n{} {}\n255\n", frame.width, frame.height);
  return bytes.append(frame.pixels.begin(), frame.pixels.end());
}

// A stream of grey frames, each of one level: y4m of the kind "mono".
inline std::string grey_y4m(int height, int width, const std::vector<int>& levels) {
  std::string bytes =
      fmt::format("YUV4MPEG2 W{} H{} F30000:1001 Ip A1:1 Cmono XCOLORRANGE=FULL\n", width, height);
  for (const int level : levels)
    bytes += "FRAME\n" + std::string(size_t(height) * size_t(width), char(level));
  return bytes;
}

}  // namespace gan::tests
