// Pairs out of single pictures: the picture is the target, and a network learns the way to it from what these
// functions make of it. One plain folder so serves for drawing, colouring, denoising, deblurring, enlarging
// and filling holes.
#pragma once
#include <string>

#include "engine/picture/image.h"

namespace gan {

enum class InputKind {
  none,
  sketch,  // ink lines on white: flow-based extended difference of Gaussians
  grey,    // Rec. 601 luma in all channels
  noise,   // plus normal noise of standard deviation 25 of 255, drawn anew each time
  blur,    // Gaussian blur, sigma 2 pixels
  lowres,  // a quarter of the size, and back (bicubic both ways)
  mask,    // two to five grey rectangles, together about a quarter of the picture, placed anew each time
  old,     // an old photo: grey, faded, worn, drawn anew each time (old_photo.h)
};
constexpr double kNoiseDeviation = 25, kBlurSigma = 2;
constexpr int kLowresFactor = 4;

// By the name above; empty: none. Exit::usage naming the nearest for anything else.
InputKind parse_input_kind(const std::string& name);
// Whether each draw of a picture gives another input (noise, mask, old).
inline bool is_drawn_anew(InputKind kind) {
  return kind == InputKind::noise || kind == InputKind::mask || kind == InputKind::old;
}

// Which random numbers: a function of these alone. Unused by the kinds that are not drawn anew.
struct InputSeed {
  uint64_t seed = 1;
  uint32_t draw = 0;
  uint64_t index = 0;  // of the picture in that draw
};

// The input for `target`, of the same size and channels. `side`: the size at which lines and scratches have their
// usual width (about 1.5 pixels at 256); 0: the target's shorter side.
Image make_input(const Image& target, InputKind kind, const InputSeed& seed = {}, int side = 0);

// Gaussian blur with the border repeated, in float and rounded once.
Image gaussian_blur(const Image& image, double sigma);

}  // namespace gan
