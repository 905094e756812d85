// Encoder and decoder are convolutions of 3x3 with mirrored borders, bias and relu. The numbers in the names count
// PyTorch's modules: paddings, activations, pooling and enlarging included.
#include "models/networks/adain.h"

namespace gan {

namespace {

constexpr ConvOptions kThree{.kernel = 3, .stride = 1, .pad = 1, .padding = Padding::reflect};
constexpr ConvOptions kOne{.kernel = 1, .stride = 1, .pad = 0};

NormedConv layer(Parameters& p, int module, int in, int out, const ConvOptions& conv, Activation act) {
  return NormedConv::make(p, std::to_string(module), in, out,
                          {.conv = conv, .bias = true, .norm_name = {}, .act = act});
}

}  // namespace

AdainEncoder::AdainEncoder(Parameters& p, int width) {
  const int w = width;
  const auto add = [&](int module, int in, int out) {
    layers_.push_back(layer(p, module, in, out, kThree, kRelu));
  };
  layers_.push_back(layer(p, 0, 3, 3, kOne, kNoAct));  // to the colours that the weights were learnt with
  add(2, 3, w), add(5, w, w);
  add(9, w, 2 * w), add(12, 2 * w, 2 * w);
  add(16, 2 * w, 4 * w), add(19, 4 * w, 4 * w), add(22, 4 * w, 4 * w), add(25, 4 * w, 4 * w);
  add(29, 4 * w, 8 * w);
}

Tensor AdainEncoder::operator()(const Parameters& p, const Tensor& x, const Pass& pass) const {
  Tensor y = x;
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (i == 3 || i == 5 || i == 9) y = max_pool(y, {.ceil_mode = true});
    y = layers_[i](p, y, pass);
  }
  return y;
}

AdainDecoder::AdainDecoder(Parameters& p, int width) {
  const int w = width;
  const auto add = [&](int module, int in, int out, Activation act = kRelu) {
    layers_.push_back(layer(p, module, in, out, kThree, act));
  };
  add(1, 8 * w, 4 * w);
  add(5, 4 * w, 4 * w), add(8, 4 * w, 4 * w), add(11, 4 * w, 4 * w), add(14, 4 * w, 2 * w);
  add(18, 2 * w, 2 * w), add(21, 2 * w, w);
  add(25, w, w), add(28, w, 3, kNoAct);
}

Tensor AdainDecoder::operator()(const Parameters& p, const Tensor& x, const Pass& pass) const {
  Tensor y = x;
  for (size_t i = 0; i < layers_.size(); ++i) {
    if (i == 1 || i == 5 || i == 7) y = resize_nearest(y, int(2 * y.dim(1)), int(2 * y.dim(2)));
    y = layers_[i](p, y, pass);
  }
  return y;
}

}  // namespace gan
