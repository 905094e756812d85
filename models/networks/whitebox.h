// The generator of White-box Cartoonization (Wang & Yu 2020): what it makes is the input picture and a change to it.
// Skips are added, not concatenated, and there is no norm, so that colours of one part of a picture do not depend on
// another and pictures of any size come out alike.
#pragma once
#include "models/networks/blocks.h"

namespace gan {

struct WhiteboxOptions {
  int in = 3, out = 3;    // channels
  int width = 32;         // ngf: channels at full size
  int blocks = 4;         // residual ones, at a quarter of the side
  bool spectral = false;  // spectral norm in every convolution
};

// down0, down1, ..., body0.0, body0.1, ..., up0, up1, ..., out.
class Whitebox : public Generator {
 public:
  Whitebox(Parameters& p, const WhiteboxOptions& options);
  Tensor operator()(const Parameters& p, const Tensor& x, const Pass& pass) const override;
  int side_multiple() const override { return 4; }

 private:
  std::vector<ConvBlock> down_, body_, up_;  // body_: two convolutions for each residual block
  bool changes_input_;
  int out_;
};

}  // namespace gan
