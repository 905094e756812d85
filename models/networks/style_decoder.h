// From what a network of features saw, with another picture's statistics, back to a picture: the decoder of style
// transfer by AdaIN (Huang and Belongie 2017), with one input for each level, so that fine things need not be made up
// again from the coarsest.
#pragma once
#include "models/networks/blocks.h"

namespace gan {

struct StyleDecoderOptions {
  std::vector<int> channels;  // of the levels, fine to coarse; each has half the side of the one before
  int width = 32;             // ngf: channels at full size, doubling with each level up to four times
  int levels = 4;             // so many of the finest are seen, besides the coarsest, which always is
  bool changes = false;       // it makes a change to a picture that it is given, not a picture
};

// level3.0, level3.1, ..., level0.0, out.
class StyleDecoder {
 public:
  StyleDecoder(Parameters& p, const StyleDecoderOptions& options);
  // Features fine to coarse, (N,H,W,C0), (N,H/2,W/2,C1), ... -> pictures (N,H,W,3) in [-1,1]; or `base` (N,H,W,3) changed,
  // which may leave that range.
  Tensor operator()(const Parameters& p, const std::vector<Tensor>& features, const Tensor& base,
                    const Pass& pass) const;

 private:
  struct Level {
    bool sees_features;
    std::vector<ConvBlock> convolutions;
  };
  std::vector<Level> levels_;  // fine to coarse
  std::vector<ConvBlock> out_;
  bool changes_;
};

}  // namespace gan
