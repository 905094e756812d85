// White-box's generator, w = ngf, leaky relu behind every convolution but the second of a residual block and the
// last:
//
//   down0  7x7                      (N,H,W,in)       -> (N,H,W,w)             skip 0
//   down1  3x3 stride 2, 3x3                         -> (N,H/2,W/2,2w)        skip 1
//   down3  3x3 stride 2, 3x3                         -> (N,H/4,W/4,4w)
//   body   x + conv(conv(x))                         as before
//   up0    3x3                                       -> (N,H/4,W/4,2w)
//          twice the side, + skip 1, 3x3, 3x3        -> (N,H/2,W/2,w)
//          twice the side, + skip 0, 3x3, 7x7        -> (N,H,W,out)
//
// A side is doubled bilinearly. The last convolution's output is added to the first channels of the input, where it has
// as many; it starts near zero, and the network as a picture of its input. Else it ends in tanh. All
// convolutions have a bias and start by He et al. 2015; borders are reflected.
#include "models/networks/whitebox.h"

#include <cmath>

namespace gan {

namespace {

constexpr ConvOptions kSeven{.kernel = 7, .stride = 1, .pad = 3, .padding = Padding::reflect};
constexpr ConvOptions kThree{.kernel = 3, .stride = 1, .pad = 1, .padding = Padding::reflect};
constexpr ConvOptions kHalve{.kernel = 3, .stride = 2, .pad = 1, .padding = Padding::reflect};

Tensor doubled(const Tensor& x) { return resize_bilinear(x, int(2 * x.dim(1)), int(2 * x.dim(2))); }

}  // namespace

Whitebox::Whitebox(Parameters& p, const WhiteboxOptions& o) : changes_input_(o.in >= o.out), out_(o.out) {
  const int w = o.width;
  const auto block = [&](const std::string& name, int in, int out, const ConvOptions& conv, Activation act,
                         double gain) {
    const double fan_in = double(in) * conv.kernel * conv.kernel;
    return ConvBlock::make(p, name, in, out,
                           {.kind = ConvBlock::Kind::conv,
                            .conv = conv,
                            .bias = true,
                            .spectral = o.spectral,
                            .norm = NormKind::none,
                            .norm_name = {},
                            .act = act,
                            .deviation = gain * std::sqrt(2 / fan_in)});
  };
  const auto add = [&](std::vector<ConvBlock>& to, const char* part, int in, int out,
                       const ConvOptions& conv) {
    to.push_back(block(part + std::to_string(to.size()), in, out, conv, kLeaky, 1));
  };
  add(down_, "down", o.in, w, kSeven);
  add(down_, "down", w, w, kHalve);
  add(down_, "down", w, 2 * w, kThree);
  add(down_, "down", 2 * w, 2 * w, kHalve);
  add(down_, "down", 2 * w, 4 * w, kThree);
  for (int b = 0; b < o.blocks; ++b) {
    const std::string name = "body" + std::to_string(b);
    body_.push_back(block(name + ".0", 4 * w, 4 * w, kThree, kLeaky, 1));
    // A sum of many blocks shall not grow: what each adds starts small.
    body_.push_back(block(name + ".1", 4 * w, 4 * w, kThree, kNoAct, 0.3));
  }
  add(up_, "up", 4 * w, 2 * w, kThree);
  add(up_, "up", 2 * w, 2 * w, kThree);
  add(up_, "up", 2 * w, w, kThree);
  add(up_, "up", w, w, kThree);
  up_.push_back(changes_input_ ? block("out", w, o.out, kSeven, kNoAct, 0.1)
                               : block("out", w, o.out, kSeven, kTanh, 0.3));
}

Tensor Whitebox::operator()(const Parameters& p, const Tensor& x, const Pass& pass) const {
  const Tensor whole = down_[0](p, x, pass);                        // (N,H,W,w)
  const Tensor half = down_[2](p, down_[1](p, whole, pass), pass);  // (N,H/2,W/2,2w)
  Tensor y = down_[4](p, down_[3](p, half, pass), pass);            // (N,H/4,W/4,4w)
  for (size_t b = 0; b < body_.size(); b += 2) y = gan::add(y, body_[b + 1](p, body_[b](p, y, pass), pass));
  y = gan::add(doubled(up_[0](p, y, pass)), half);                    // (N,H/2,W/2,2w)
  y = gan::add(doubled(up_[2](p, up_[1](p, y, pass), pass)), whole);  // (N,H,W,w)
  y = up_[4](p, up_[3](p, y, pass), pass);
  if (!changes_input_) return y;
  return gan::add(x.dim(3) == out_ ? x : slice_channels(x, 0, out_), y);
}

}  // namespace gan
