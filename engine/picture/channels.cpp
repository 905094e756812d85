// From three channels to one and back.
#include "engine/picture/channels.h"

#include <algorithm>

namespace gan {

Image in_grey(Image picture) {
  if (picture.channels == 1) return picture;
  Image grey(picture.height, picture.width, 1);
  for (size_t i = 0; i < grey.pixels.size(); ++i) {
    const uint8_t* p = &picture.pixels[3 * i];
    grey.pixels[i] = luma(p[0], p[1], p[2]);
  }
  return grey;
}

Image in_colour(Image picture) {
  if (picture.channels == 3) return picture;
  Image colours(picture.height, picture.width, 3);
  for (size_t i = 0; i < picture.pixels.size(); ++i)
    std::fill_n(&colours.pixels[3 * i], 3, picture.pixels[i]);
  return colours;
}

}  // namespace gan
