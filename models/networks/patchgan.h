// Discriminators that judge patches: PatchGAN (Isola et al. 2017), its 1x1 form, and several of them at
// several scales (Wang et al. 2018), with PyTorch's parameter names.
#pragma once
#include "models/networks/blocks.h"

namespace gan {

struct PatchOptions {
  int in = 6;      // channels
  int width = 64;  // ndf
  int layers = 3;  // 3: each logit sees 70x70 pixels
  NormKind norm = NormKind::batch;
  int scales = 1;         // how many such networks, each on a picture of half the side of the one before
  bool spectral = false;  // spectral norm in every convolution
};

// model.0, model.2, ...; with several scales scale0.model.0, ... (the whole picture), scale1.model.0, ...
class PatchGan : public Discriminator {
 public:
  PatchGan(Parameters& p, const PatchOptions& options);
  std::vector<Tensor> operator()(const Parameters& p, const Tensor& x, const Pass& pass) const override;
  // The smallest side of a picture that gives a logit at every scale.
  static int smallest_side(int layers, int scales);

 private:
  std::vector<std::vector<ConvBlock>> scales_;
};

// One logit for each pixel, from that pixel alone: net.0, net.2, net.5.
class PixelGan : public Discriminator {
 public:
  PixelGan(Parameters& p, int in, int width, NormKind norm, bool spectral = false);
  std::vector<Tensor> operator()(const Parameters& p, const Tensor& x, const Pass& pass) const override;

 private:
  std::vector<ConvBlock> blocks_;
};

}  // namespace gan
