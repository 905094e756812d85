// The decoder, w = its width, from the coarsest level to the finest:
//
//   level k  [twice the side, nearest], [concat with the level's features], 3x3 relu, 3x3 relu -> w * min(4, 2^k)
//   out      3x3 -> 3, tanh; or without it, starting near zero and added to a picture
//
// All borders are mirrored, all convolutions have a bias and start by He et al. 2015. There is no norm: statistics
// are what carries the style.
#include "models/networks/style_decoder.h"

#include <algorithm>
#include <cmath>

namespace gan {

namespace {
constexpr ConvOptions kThree{.kernel = 3, .stride = 1, .pad = 1, .padding = Padding::reflect};
}

StyleDecoder::StyleDecoder(Parameters& p, const StyleDecoderOptions& o) : changes_(o.changes) {
  const auto convolution = [&](const std::string& name, int in, int out, Activation act, double gain = 1) {
    return ConvBlock::make(p, name, in, out,
                           {.kind = ConvBlock::Kind::conv,
                            .conv = kThree,
                            .bias = true,
                            .norm = NormKind::none,
                            .norm_name = {},
                            .act = act,
                            .deviation = gain * std::sqrt(2.0 / (9.0 * in))});
  };
  const int coarsest = int(o.channels.size()) - 1;
  GAN_CHECK(coarsest >= 1, "a decoder of {} levels", o.channels.size());
  levels_.resize(o.channels.size());
  int above = 0;  // channels of the level that comes before
  for (int k = coarsest; k >= 0; --k) {
    Level& level = levels_[size_t(k)];
    const int width = o.width * std::min(4, 1 << k);
    level.sees_features = k == coarsest || k < o.levels;
    const int in = above + (level.sees_features ? o.channels[size_t(k)] : 0);
    const std::string name = "level" + std::to_string(k);
    level.convolutions.push_back(convolution(name + ".0", in, width, kRelu));
    level.convolutions.push_back(convolution(name + ".1", width, width, kRelu));
    above = width;
  }
  out_.push_back(changes_ ? convolution("out", above, 3, kNoAct, 0.1) : convolution("out", above, 3, kTanh));
}

Tensor StyleDecoder::operator()(const Parameters& p, const std::vector<Tensor>& features, const Tensor& base,
                                const Pass& pass) const {
  GAN_CHECK(features.size() == levels_.size(), "a decoder of {} levels got {}", levels_.size(),
            features.size());
  Tensor y;
  for (size_t k = levels_.size(); k-- > 0;) {
    const Level& level = levels_[k];
    if (y) y = resize_nearest(y, int(features[k].dim(1)), int(features[k].dim(2)));
    if (level.sees_features) y = y ? concat_channels(features[k], y) : features[k];
    for (const ConvBlock& convolution : level.convolutions) y = convolution(p, y, pass);
  }
  y = out_[0](p, y, pass);
  return changes_ ? add(base, y) : y;
}

}  // namespace gan
