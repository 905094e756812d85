// The traits of a drawn face, rolled from its number.
#pragma once
#include "engine/data/drawing.h"

namespace gan::comics {

// Lengths are 1/4096 of the picture's width (kOne), origin in its middle.
using namespace drawing;

// Up to the mohawk they are short.
enum class HairStyle {
  bald,
  buzz,
  parted,
  swept,
  curtain,
  spiky,
  mohawk,
  bob,
  bangs,
  straight,
  wavy,
  bun,
  pigtails,
  afro
};
enum class Hat { none, cap, beanie, top_hat };
enum class Mouth { neutral, smile, grin, laugh, surprised, frown };
enum class Glasses { none, round, square, sun };
enum class Backdrop { gradient, halo, rays, stripes, discs };

struct Face {
  explicit Face(uint64_t index);

  uint32_t noise_seed;
  int shift_x, shift_y, zoom, tilt;  // of the head; zoom and tilt (radians) as fractions
  int light_side;                    // -1: light from the left, +1: from the right

  Color skin, lips, hair, iris, shirt, trim, hat_color, frame, backdrop_near, backdrop_far;
  HairStyle hair_style;
  Hat hat;
  Mouth mouth;
  Glasses glasses;
  Backdrop backdrop;

  int head_width, jaw_width;  // half widths
  int eye_x, eye_y, eye_width, eye_rise, eye_fall, eye_slant, iris_radius, gaze_x, gaze_y;
  int brow_lift, brow_arch, brow_slant, brow_thickness;
  int nose_y, nose_width, mouth_y, mouth_width, lip_height, blush;
  bool full_lips, beard, moustache, freckles, earrings, striped_shirt, low_neckline;
  int hair_thickness, hair_part;
};

}  // namespace gan::comics
