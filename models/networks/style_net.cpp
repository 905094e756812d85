// w = width; behind every convolution but the last an instance norm with gains, and relu:
//
//   head  9x9 -> w; two 3x3 stride 2 to (N,H/4,W/4,4w)
//   body  five blocks of x + norm(conv(relu(norm(conv(x))))), 3x3
//   tail  twice: nearest x2, 3x3, to (N,H,W,w); 9x9 -> 3
//
// All padding mirrors; all convolutions have a bias.
#include "models/networks/style_net.h"

namespace gan {

namespace {
constexpr ConvOptions kNine{.kernel = 9, .stride = 1, .pad = 4, .padding = Padding::reflect};
constexpr ConvOptions kThree{.kernel = 3, .stride = 1, .pad = 1, .padding = Padding::reflect};
constexpr ConvOptions kHalve{.kernel = 3, .stride = 2, .pad = 1, .padding = Padding::reflect};
}  // namespace

StyleNet::StyleNet(Parameters& p, int width) {
  const int w = width;
  const auto block = [&p](const std::string& conv, const std::string& norm, int in, int out,
                          const ConvOptions& options, Activation act) {
    return NormedConv::make(p, conv + ".conv2d", in, out,
                            {.conv = options,
                             .bias = true,
                             .norm = norm.empty() ? NormedConv::Norm::none : NormedConv::Norm::channel,
                             .norm_name = norm,
                             .act = act});
  };
  head_ = {block("conv1", "in1", 3, w, kNine, kRelu), block("conv2", "in2", w, 2 * w, kHalve, kRelu),
           block("conv3", "in3", 2 * w, 4 * w, kHalve, kRelu)};
  for (int i = 1; i <= 5; ++i) {
    const std::string name = "res" + std::to_string(i) + ".";
    body_.push_back(block(name + "conv1", name + "in1", 4 * w, 4 * w, kThree, kRelu));
    body_.push_back(block(name + "conv2", name + "in2", 4 * w, 4 * w, kThree, kNoAct));
  }
  tail_ = {block("deconv1", "in4", 4 * w, 2 * w, kThree, kRelu),
           block("deconv2", "in5", 2 * w, w, kThree, kRelu), block("deconv3", "", w, 3, kNine, kNoAct)};
}

Tensor StyleNet::operator()(const Parameters& p, const Tensor& x, const Pass& pass) const {
  const auto doubled = [](const Tensor& y) {
    return resize_nearest(y, int(2 * y.dim(1)), int(2 * y.dim(2)));
  };
  Tensor y = x;
  for (const NormedConv& block : head_) y = block(p, y, pass);
  for (size_t b = 0; b < body_.size(); b += 2) y = add(y, body_[b + 1](p, body_[b](p, y, pass), pass));
  y = tail_[0](p, doubled(y), pass);
  y = tail_[1](p, doubled(y), pass);
  return tail_[2](p, y, pass);
}

}  // namespace gan
