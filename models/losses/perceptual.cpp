// The losses of style models.
#include "models/losses/perceptual.h"

namespace gan {

namespace {

// The sum of one(i) over the taps.
template <class One>
Tensor over_taps(const char* name, const Features& made, const Features& other, const One& one) {
  GAN_CHECK(!made.empty() && made.size() == other.size(), "{} of {} features and {}", name, made.size(),
            other.size());
  Tensor sum;
  for (size_t i = 0; i < made.size(); ++i) sum = sum ? add(sum, one(i)) : one(i);
  return sum;
}

}  // namespace

Tensor content_loss(const Features& made, const Features& wanted, PixelLossKind kind, double scale) {
  return over_taps("content_loss", made, wanted,
                   [&](size_t i) { return pixel_loss(made[i], wanted[i].detach(), kind, scale).loss; });
}

Tensor gram_loss(const Features& made, const Features& style, PixelLossKind kind, double scale) {
  return over_taps("gram_loss", made, style, [&](size_t i) {
    return pixel_loss(gram(made[i]), gram(style[i].detach()), kind, scale).loss;
  });
}

Tensor statistics_loss(const Features& made, const Features& style, double scale) {
  return over_taps("statistics_loss", made, style, [&](size_t i) {
    const ChannelStatistics own = channel_statistics(made[i]);
    const ChannelStatistics wanted = channel_statistics(style[i].detach());
    return add(pixel_loss(own.mean, wanted.mean, PixelLossKind::l2, scale).loss,
               pixel_loss(own.deviation, wanted.deviation, PixelLossKind::l2, scale).loss);
  });
}

Tensor colour_loss(const Tensor& made, const Tensor& wanted, double scale) {
  const Tensor a = to_yuv(made), b = to_yuv(wanted.detach());
  const auto channel = [&](int c, PixelLossKind kind) {
    return pixel_loss(slice_channels(a, c, 1), slice_channels(b, c, 1), kind, scale).loss;
  };
  const Tensor colours = add(channel(1, PixelLossKind::huber), channel(2, PixelLossKind::huber));
  return add(channel(0, PixelLossKind::l1), colours);
}

Tensor smoothness_loss(const Tensor& made, double scale) {
  return total_variation(made, PixelLossKind::l2, scale / 2);
}

}  // namespace gan
