// The U-Net generator of pix2pix (Isola et al. 2017), with the parameter names of its PyTorch version.
#pragma once
#include "models/networks/blocks.h"

namespace gan {

struct UnetOptions {
  int in = 3, out = 3;  // channels
  int width = 64;       // ngf
  int downs = 8;        // how often the side is halved, at least 5
  NormKind norm = NormKind::batch;
  ConvBlock::Kind up = ConvBlock::Kind::transposed;
  bool dropout = false;
  bool spectral = false;  // spectral norm in every convolution
};

class Unet : public Generator {
 public:
  Unet(Parameters& p, const UnetOptions& options);
  Tensor operator()(const Parameters& p, const Tensor& x, const Pass& pass) const override;
  int side_multiple() const override { return 1 << downs_.size(); }

 private:
  std::vector<ConvBlock> downs_, ups_;  // ups_[k] undoes downs_[k]
};

}  // namespace gan
