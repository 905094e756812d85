// builtin:comics, the data set that needs no download: faces drawn in code, each in two styles with the same
// geometry.
//
// A face is a pure function of its 64-bit number. As a "photo" it is shaded, textured and outline-free; as a
// "comic" it is flat, inked and half-toned. Both come from one description, pixel for pixel aligned, so that
// DCGAN can learn either style and pix2pix or cyclegan the way from one to the other.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "engine/picture/image.h"

namespace gan {

enum class ComicsStyle { photo, comic };

// Draws face number `index` (any 64-bit number; the same number is the same face in both styles).
// size: width and height in pixels, 32..256; anything else is a gan::Error with Exit::usage.
// Returns size * size * 3 bytes, RGB, row-major (NHWC with N = 1).
// All arithmetic is in integers: the bytes are the same on every machine, compiler and optimisation level.
std::vector<uint8_t> draw_comics_face(uint64_t index, ComicsStyle style, int size);

// The same as a picture of 3 channels, or of 1 (luma).
Image draw_face(uint64_t index, ComicsStyle style, int size, int channels);

// What face number `index` has, as numbers from 0: a hair style (of comics_hair_styles()), a hat (0 none, 1 to 3),
// glasses (0 none, 1 to 3).
struct ComicsTraits {
  int hair_style, hat, glasses;
};
ComicsTraits comics_traits(uint64_t index);
const std::vector<std::string>& comics_hair_styles();

}  // namespace gan
