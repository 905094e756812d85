// Encoder and decoder are convolutions of 3x3 with mirrored borders, bias and relu. The numbers in the names count
// PyTorch's modules: paddings, activations, pooling and enlarging included.
#include "models/networks/adain.h"

#include <cmath>

namespace gan {

namespace {

constexpr ConvOptions kThree{.kernel = 3, .stride = 1, .pad = 1, .padding = Padding::reflect};
constexpr ConvOptions kOne{.kernel = 1, .stride = 1, .pad = 0};
constexpr double kEps = 1e-5;

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

AdainStyle style_of(const Tensor& features) {
  const int64_t channels = features.dim(3), pixels = features.dim(1) * features.dim(2);
  GAN_CHECK(features.dim(0) == 1 && pixels > 1, "the style of {}", to_string(features.shape()));
  const std::vector<float> values = features.host_f32();
  AdainStyle style;
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < pixels; ++i) sum += double(values[size_t(i * channels + c)]);
    const double mean = sum / double(pixels);
    for (int64_t i = 0; i < pixels; ++i) {
      const double off = double(values[size_t(i * channels + c)]) - mean;
      squares += off * off;
    }
    style.mean.push_back(mean);
    style.deviation.push_back(std::sqrt(squares / double(pixels - 1) + kEps));
  }
  return style;
}

// normalise() divides by the root of the biased variance plus eps, the authors by that of the unbiased one: both
// differ by the factor pixels / (pixels - 1) alone when eps is as much smaller.
namespace {
double biased_part(int64_t pixels) { return double(pixels - 1) / double(pixels); }
}  // namespace

AdainTensors style_tensors(DeviceContext& context, const AdainStyle& style, int64_t pixels) {
  const auto channels = int64_t(style.mean.size());
  std::vector<float> gamma, beta;
  for (size_t c = 0; c < style.mean.size(); ++c) {
    gamma.push_back(float(style.deviation[c] * std::sqrt(biased_part(pixels))));
    beta.push_back(float(style.mean[c]));
  }
  AdainTensors made{Tensor(context, {channels}), Tensor(context, {channels})};
  if (context.planning()) return made;
  made.gamma.upload(std::span<const float>(gamma));
  made.beta.upload(std::span<const float>(beta));
  return made;
}

Tensor with_style(const Tensor& features, const AdainTensors& style, double alpha) {
  const int64_t pixels = features.dim(1) * features.dim(2);
  GAN_CHECK(features.dim(0) == 1 && pixels > 1, "a style for {}", to_string(features.shape()));
  const Tensor styled = normalise(features, NormKind::instance, {style.gamma, style.beta, {}, {}}, {}, 0.1,
                                  kEps * biased_part(pixels));
  if (alpha == 1) return styled;
  return add(affine(styled, alpha), affine(features, 1 - alpha));
}

}  // namespace gan
