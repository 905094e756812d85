// A picture for tests that need several which differ.
#pragma once
#include "engine/picture/image.h"

namespace gan::tests {

// Coloured so that no two numbers look alike.
inline Image scene(int height, int width, int number) {
  Image image(height, width, 3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      image.at(y, x, 0) = uint8_t(255 * x / width);
      image.at(y, x, 1) = uint8_t(255 * y / height);
      image.at(y, x, 2) = uint8_t(40 * number);
    }
  return image;
}

}  // namespace gan::tests
