// The generator for one style each of pytorch/examples (fast_neural_style; Johnson et al. 2016 with instance norm and
// enlarging instead of transposed convolutions), with its parameter names.
#pragma once
#include "models/networks/normed_conv.h"

namespace gan {

// Pictures of any size from 8 pixels on, (N,H,W,3) with values 0 to 255, to the same; sides of the result are rounded up
// to a multiple of 4. Nothing keeps the result between 0 and 255.
class StyleNet : public Generator {
 public:
  explicit StyleNet(Parameters& p, int width = 32);  // width: channels of the first layer
  Tensor operator()(const Parameters& p, const Tensor& x, const Pass& pass) const override;
  int side_multiple() const override { return 4; }

 private:
  std::vector<NormedConv> head_, body_, tail_;  // body_: two convolutions for each residual block
};

}  // namespace gan
