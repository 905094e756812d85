// Style from any picture by adaptive instance normalisation (Huang and Belongie 2017), as naoto0804/pytorch-AdaIN has it,
// with its parameter names: an encoder, the statistics of a style, a decoder.
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

// What a style is: mean and standard deviation (unbiased, eps 1e-5 added to the variance) of each channel of a style
// picture's features (1,h,w,C), both (C).
struct AdainStyle {
  std::vector<double> mean, deviation;
};
AdainStyle style_of(const Tensor& features);

// Features (1,h,w,C) with the statistics of a style instead of their own, given by two tensors (C) that
// style_tensors() makes for features of as many pixels; alpha from 0 (as they are) to 1.
struct AdainTensors {
  Tensor gamma, beta;
};
AdainTensors style_tensors(DeviceContext& context, const AdainStyle& style, int64_t pixels);
Tensor with_style(const Tensor& features, const AdainTensors& style, double alpha);

}  // namespace gan
