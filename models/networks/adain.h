// Style from any picture by adaptive instance normalisation (Huang and Belongie 2017), as naoto0804/pytorch-AdaIN has it,
// with its parameter names: an encoder and a decoder; what lies between is AdaIN (engine/tensor/picture_ops.h).
#pragma once
#include "models/networks/normed_conv.h"

namespace gan {

// The normalised VGG-19 of the authors up to relu4_1. Pictures (N,H,W,3) in RGB with values 0 to 1, of 9 pixels or more,
// to (N,H/8,W/8,8w), sides rounded up.
class AdainEncoder {
 public:
  explicit AdainEncoder(Parameters& p, int width = 64);
  Tensor operator()(const Parameters& p, const Tensor& x, const Pass& pass) const;

 private:
  std::vector<NormedConv> layers_;
};

// Its mirror: (N,h,w,8w) to pictures (N,8h,8w,3), mostly from 0 to 1.
class AdainDecoder {
 public:
  explicit AdainDecoder(Parameters& p, int width = 64);
  Tensor operator()(const Parameters& p, const Tensor& x, const Pass& pass) const;

 private:
  std::vector<NormedConv> layers_;
};

}  // namespace gan
