// Steadiness of films: where the blocks of a frame were in the frame before, how much a network's frames flicker beyond
// what moves, and a filter that takes flicker out.
#pragma once
#include <cstdint>
#include <vector>

#include "engine/picture/image.h"

namespace gan {

// For each block of kBlock x kBlock pixels of a frame, where it was in the frame before.
struct MotionField {
  static constexpr int kBlock = 8;
  struct Vector {
    int dx = 0, dy = 0;  // half pixels: pixel (x, y) was at (x + dx / 2, y + dy / 2)
    bool operator==(const Vector&) const = default;
  };
  int rows = 0, columns = 0;
  std::vector<Vector> vectors;  // [rows, columns]
};

// By comparing blocks of luma, coarse to fine, down to half pixels; finds shifts up to about 30 pixels (15 in pictures
// of less than 64). Both frames have one size.
MotionField find_motion(const Image& before, const Image& now);

// Samples of a picture as they are computed with: (height, width, channels), 0..255.
using Samples = std::vector<float>;

// What was before, moved to where it is now. Outside of the picture its border goes on.
Samples moved(const Samples& before, int height, int width, int channels, const MotionField& motion);

// A filter over the frames that a network makes: where a frame of the input shows what the frame before showed, moved,
// the output before, moved as well, is blended in.
class TemporalFilter {
 public:
  // strength: part of the output before where the match is perfect, 0 to 1.
  explicit TemporalFilter(float strength = 0.7f) : strength_(strength) {}

  // The next frame: the network's input and what it made of it, of one height and width. The first frame, and the first
  // after a cut or a change of size, comes back as it is.
  Image next(const Image& input, const Image& made);

  // Flicker: the mean difference between a frame and the one before it, moved, over all pixels where the inputs differ
  // by at most kStill from each other, moved. Levels of 255.
  struct Report {
    double before = 0, after = 0;  // of the network's frames and of the filter's
    int64_t pixels = 0;            // that this was measured at; 0: it could not be
    int cuts = 0;
  };
  Report report() const;

  static constexpr float kStill = 4;  // levels
  static constexpr float kMatch = 3,
                         kMiss = 12;   // up to here the match is perfect; from here on there is none
  static constexpr double kCut = 0.3;  // of the pixels: where fewer match, another scene has begun

 private:
  float strength_;
  Image input_;           // the frame before
  Samples made_, shown_;  // what the network and the filter made of it
  double flicker_made_ = 0, flicker_shown_ = 0;
  int64_t pixels_ = 0;
  int cuts_ = 0;
};

}  // namespace gan
