// PatchGAN with n layers, w = ndf; every convolution is 4x4 with padding 1, logits come from patches of 16,
// 34, 70, 142 or 286 pixels for n = 1 ... 5:
//
//   conv stride 2 with bias, leaky relu                    in -> w
//   n-1 times: conv stride 2, norm, leaky relu             width doubling, at most 8w
//   conv stride 1, norm, leaky relu                        width doubling, at most 8w
//   conv stride 1 with bias                                -> 1
//
// The pixel discriminator has 1x1 convolutions: in -> w leaky relu, -> 2w norm leaky relu, -> 1. Between the
// ends convolutions have a bias only with instance norm, and so has the pixel discriminator's last.
#include "models/networks/patchgan.h"

#include <algorithm>

namespace gan {

namespace {

std::vector<ConvBlock> patch_blocks(Parameters& p, const std::string& prefix, const PatchOptions& o) {
  std::vector<ConvBlock> blocks;
  auto module = [&](int index) { return prefix + "model." + std::to_string(index); };
  auto add = [&](int index, int in, int out, int stride, bool bias, NormKind norm, Activation act) {
    blocks.push_back(ConvBlock::make(p, module(index), in, out,
                                     {.kind = ConvBlock::Kind::conv,
                                      .conv = {.kernel = 4, .stride = stride, .pad = 1},
                                      .bias = bias,
                                      .spectral = o.spectral,
                                      .norm = norm,
                                      .norm_name = module(index + 1),
                                      .act = act}));
  };
  auto width = [&](int layer) { return o.width * std::min(8, 1 << layer); };
  const bool bias = o.norm == NormKind::instance;
  add(0, o.in, o.width, 2, true, NormKind::none, kLeaky);
  for (int n = 1; n <= o.layers; ++n)
    add(3 * n - 1, width(n - 1), width(n), n < o.layers ? 2 : 1, bias, o.norm, kLeaky);
  add(3 * o.layers + 2, width(o.layers), 1, 1, true, NormKind::none, kNoAct);
  return blocks;
}

Tensor run(const std::vector<ConvBlock>& blocks, const Parameters& p, Tensor x, const Pass& pass) {
  for (const ConvBlock& block : blocks) x = block(p, x, pass);
  return x;
}

}  // namespace

PatchGan::PatchGan(Parameters& p, const PatchOptions& o) {
  for (int s = 0; s < o.scales; ++s)
    scales_.push_back(patch_blocks(p, o.scales > 1 ? fmt::format("scale{}.", s) : "", o));
}

std::vector<Tensor> PatchGan::operator()(const Parameters& p, const Tensor& x, const Pass& pass) const {
  std::vector<Tensor> logits;
  Tensor picture = x;
  for (const auto& blocks : scales_) {
    if (!logits.empty())
      picture = average_pool(picture, {.kernel = 3, .stride = 2, .pad = 1, .count_padding = false});
    logits.push_back(run(blocks, p, picture, pass));
  }
  return logits;
}

int PatchGan::smallest_side(int layers, int scales) {
  int side = 3;                                          // the two convolutions of stride 1 take a pixel each
  for (int n = 0; n < layers; ++n) side *= 2;            // out = in/2, rounded down
  for (int s = 1; s < scales; ++s) side = 2 * side - 1;  // out = in/2, rounded up
  return side;
}

PixelGan::PixelGan(Parameters& p, int in, int width, NormKind norm, bool spectral) {
  const bool bias = norm == NormKind::instance;
  auto add = [&](int index, int from, int to, bool with_bias, NormKind kind, Activation act) {
    blocks_.push_back(ConvBlock::make(p, "net." + std::to_string(index), from, to,
                                      {.kind = ConvBlock::Kind::conv,
                                       .conv = {.kernel = 1, .stride = 1, .pad = 0},
                                       .bias = with_bias,
                                       .spectral = spectral,
                                       .norm = kind,
                                       .norm_name = "net." + std::to_string(index + 1),
                                       .act = act}));
  };
  add(0, in, width, true, NormKind::none, kLeaky);
  add(2, width, 2 * width, bias, norm, kLeaky);
  add(5, 2 * width, 1, bias, NormKind::none, kNoAct);
}

std::vector<Tensor> PixelGan::operator()(const Parameters& p, const Tensor& x, const Pass& pass) const {
  return {run(blocks_, p, x, pass)};
}

}  // namespace gan
