// The U-Net: a picture goes down to a few pixels and up again, and every level of the way up also sees what
// left the same level on the way down.
//
//   level 0        (N,H,W,in)        -> conv                     -> (N,H/2,W/2,w)      w = ngf
//   level 1 ... 3  leaky relu -> conv -> norm, width doubling    -> (N,H/16,W/16,8w)
//   level 4 ...    leaky relu -> conv -> norm                    -> 8w channels, half the side each
//   the innermost  leaky relu -> conv -> relu -> up -> norm      there and back, no norm at the bottom
//   level 4 ...    concat(down, up) -> relu -> up -> norm [-> dropout 0.5]
//   level 3 ... 1  concat -> relu -> up -> norm
//   level 0        concat -> relu -> up with bias -> tanh        -> (N,H,W,out)
//
// conv is 4x4 stride 2 padding 1, up the transposed convolution of the same shape (or see ConvBlock::Kind). A
// skip holds leaky_relu(x), not x: the relu behind the concatenation makes them equal. Convolutions have a
// bias only with instance norm, the last one always.
#include "models/networks/unet.h"

#include <algorithm>

namespace gan {

namespace {
constexpr ConvOptions kHalve{.kernel = 4, .stride = 2, .pad = 1};
}

Unet::Unet(Parameters& p, const UnetOptions& o) {
  GAN_CHECK(o.downs >= 5, "a U-Net of {} levels", o.downs);
  const bool bias = o.norm == NormKind::instance;
  const int innermost = o.downs - 1;
  auto width = [&](int level) { return o.width * std::min(8, 1 << level); };
  std::string inside = "model.model";  // the list of modules of the level at hand
  for (int k = 0; k < o.downs; ++k) {
    const bool outer = k == 0, inner = k == innermost;
    auto module = [&](int index) { return inside + "." + std::to_string(index); };
    downs_.push_back(ConvBlock::make(p, module(outer ? 0 : 1), outer ? o.in : width(k - 1), width(k),
                                     {.kind = ConvBlock::Kind::conv,
                                      .conv = kHalve,
                                      .bias = bias,
                                      .spectral = o.spectral,
                                      .norm = outer || inner ? NormKind::none : o.norm,
                                      .norm_name = module(2),
                                      .act = inner ? kRelu : kLeaky}));
    const bool drops = o.dropout && k >= 4 && !inner;
    ups_.push_back(ConvBlock::make(p, module(outer || inner ? 3 : 5), inner ? width(k) : 2 * width(k),
                                   outer ? o.out : width(k - 1),
                                   {.kind = o.up,
                                    .conv = kHalve,
                                    .bias = bias || outer,
                                    .spectral = o.spectral,
                                    .norm = outer ? NormKind::none : o.norm,
                                    .norm_name = module(inner ? 4 : 6),
                                    .act = outer ? kTanh : kNoAct,
                                    .dropout = drops ? 0.5 : 0,
                                    .dropout_layer = uint32_t(k)}));
    inside += outer ? ".1.model" : ".3.model";
  }
}

Tensor Unet::operator()(const Parameters& p, const Tensor& x, const Pass& pass) const {
  std::vector<Tensor> skips;
  Tensor y = x;
  for (const ConvBlock& down : downs_) skips.push_back(y = down(p, y, pass));
  skips.pop_back();
  y = ups_.back()(p, y, pass);
  for (size_t k = ups_.size() - 1; k-- > 0;) {
    y = ups_[k](p, concat_channels(skips[k], y, kRelu), pass);
    skips.pop_back();
  }
  return y;
}

}  // namespace gan
