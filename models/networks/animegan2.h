// AnimeGANv2 (Chen et al. 2020): its generator, photos to drawings, as the PyTorch port (bryandlee/animegan2-pytorch) has
// it, with that port's parameter names; and its discriminator, which no port has, with the names of the authors' program.
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

// One logit for each 4x4 pixels, which sees 37x37. `width`: channels of the first layer, 32 in the paper.
class AnimeGan2Discriminator : public Discriminator {
 public:
  AnimeGan2Discriminator(Parameters& p, int in, int width, bool spectral);
  std::vector<Tensor> operator()(const Parameters& p, const Tensor& x, const Pass& pass) const override;

 private:
  std::vector<NormedConv> blocks_;
};

}  // namespace gan
