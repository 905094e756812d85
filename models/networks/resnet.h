// The residual generator of Johnson et al. 2016 as CycleGAN and pix2pix use it, with PyTorch's parameter
// names.
#pragma once
#include "models/networks/blocks.h"

namespace gan {

struct ResnetOptions {
  int in = 3, out = 3;  // channels
  int width = 64;       // ngf
  int blocks = 9;       // 6 and 9 are usual
  NormKind norm = NormKind::instance;
  ConvBlock::Kind up = ConvBlock::Kind::transposed;
  bool dropout = false;
  bool spectral = false;  // spectral norm in every convolution
};

class Resnet : public Generator {
 public:
  Resnet(Parameters& p, const ResnetOptions& options);
  Tensor operator()(const Parameters& p, const Tensor& x, const Pass& pass) const override;
  int side_multiple() const override { return 4; }

 private:
  std::vector<ConvBlock> head_, body_, tail_;  // body_: two convolutions for each residual block
};

}  // namespace gan
