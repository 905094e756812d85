// The generator of AnimeGANv2 (Chen et al. 2020) as its PyTorch port (bryandlee/animegan2-pytorch) has it, with that
// port's parameter names: photos to drawings.
#pragma once
#include "models/networks/normed_conv.h"

namespace gan {

struct AnimeGan2Options {
  int width = 32;             // channels of the first layer
  bool align_corners = true;  // how it enlarges: the port's own default, and false in its test.py
};

class AnimeGan2 : public Generator {
 public:
  AnimeGan2(Parameters& p, const AnimeGan2Options& options);
  // Pictures of any size from 8 pixels on, (N,H,W,3). With align_corners the result has the same size, else sides
  // rounded down to a multiple of 4.
  Tensor operator()(const Parameters& p, const Tensor& x, const Pass& pass) const override;
  int side_multiple() const override { return 4; }

 private:
  // Widens, filters each channel by itself, narrows; adds its input where that has as many channels.
  struct InvertedResidual {
    NormedConv widen, depthwise, narrow;
    bool adds_input;
  };
  AnimeGan2Options options_;
  std::vector<NormedConv> a_, b_, c_begin_, c_end_, d_, e_;
  std::vector<InvertedResidual> residuals_;
};

}  // namespace gan
