// The generator, w = its width; behind every convolution but the last a norm of the whole picture and leaky relu:
//
//   block_a  7x7 -> w; 3x3 stride 2 to (N,H/2,W/2,2w); 3x3
//   block_b  3x3 stride 2 to (N,H/4,W/4,4w); 3x3
//   block_c  3x3; four inverted residuals to 8w channels; 3x3 -> 4w
//   block_d  bilinear to (N,H/2,W/2,4w); two 3x3
//   block_e  bilinear to (N,H,W,4w); 3x3 -> 2w; 3x3; 7x7 -> w
//   out      1x1 -> 3, tanh
//
// All padding mirrors; the stride-2 convolutions pad at the end of rows and columns alone. Only the depthwise
// convolutions have a bias. The numbers in the names count PyTorch's modules.
//
// The discriminator, w = its width; 3x3 convolutions without a bias, padded by zeros, leaky relu behind all but the last:
//
//   conv_0               -> (N,H,W,w)
//   conv_s2_1, conv_s1_1 stride 2 -> (N,H/2,W/2,2w); -> 4w and a norm of the whole picture
//   conv_s2_2, conv_s1_2 stride 2 -> (N,H/4,W/4,4w); -> 8w and a norm
//   last_conv            -> 8w and a norm
//   D_logit              -> 1
#include "models/networks/animegan2.h"

namespace gan {

namespace {

constexpr ConvOptions kSeven{.kernel = 7, .stride = 1, .pad = 3, .padding = Padding::reflect};
constexpr ConvOptions kThree{.kernel = 3, .stride = 1, .pad = 1, .padding = Padding::reflect};
constexpr ConvOptions kHalve{.kernel = 3, .stride = 2, .pad = 0};  // of pictures by with_mirrored_end()
constexpr ConvOptions kOne{.kernel = 1, .stride = 1, .pad = 0};

// x (N,H,W,C) and behind its last row and column their mirror images, the last but one: (N,H+1,W+1,C). Where a side is
// odd it stays as it is, because a 3x3 convolution of stride 2 would not see the image.
Tensor with_mirrored_end(const Tensor& x) {
  const int64_t n = x.dim(0), h = x.dim(1), w = x.dim(2), c = x.dim(3);
  Tensor y = x;
  if (w % 2 == 0) {  // a row's pixels as channels of one pixel
    const Tensor rows = reshape(y, {n, h, 1, w * c});
    y = reshape(concat_channels(rows, slice_channels(rows, int((w - 2) * c), int(c))), {n, h, w + 1, c});
  }
  if (h % 2 == 0) {
    const int64_t row = y.dim(2) * c;
    const Tensor pictures = reshape(y, {n, 1, 1, h * row});
    y = reshape(concat_channels(pictures, slice_channels(pictures, int((h - 2) * row), int(row))),
                {n, h + 1, y.dim(2), c});
  }
  return y;
}

}  // namespace

AnimeGan2::AnimeGan2(Parameters& p, const AnimeGan2Options& o) : options_(o) {
  const int w = o.width;
  using Norm = NormedConv::Norm;
  const auto block = [&p](const std::string& name, int in, int out, const ConvOptions& conv,
                          bool bias = false) {
    return NormedConv::make(
        p, name + ".1", in, out,
        {.conv = conv, .bias = bias, .norm = Norm::picture, .norm_name = name + ".2", .act = kLeaky});
  };
  a_ = {block("block_a.0", 3, w, kSeven), block("block_a.1", w, 2 * w, kHalve),
        block("block_a.2", 2 * w, 2 * w, kThree)};
  b_ = {block("block_b.0", 2 * w, 4 * w, kHalve), block("block_b.1", 4 * w, 4 * w, kThree)};
  c_begin_ = {block("block_c.0", 4 * w, 4 * w, kThree)};
  for (int i = 1; i <= 4; ++i) {
    const std::string name = "block_c." + std::to_string(i) + ".layers";
    const int in = i == 1 ? 4 * w : 8 * w, out = 8 * w, wide = 2 * in;
    ConvOptions each_channel = kThree;
    each_channel.groups = wide;
    residuals_.push_back({.widen = block(name + ".0", in, wide, kOne),
                          .depthwise = block(name + ".1", wide, wide, each_channel, true),
                          .narrow = NormedConv::make(
                              p, name + ".2", wide, out,
                              {.conv = kOne, .norm = Norm::picture, .norm_name = name + ".3", .act = kNoAct}),
                          .adds_input = in == out});
  }
  c_end_ = {block("block_c.5", 8 * w, 4 * w, kThree)};
  d_ = {block("block_d.0", 4 * w, 4 * w, kThree), block("block_d.1", 4 * w, 4 * w, kThree)};
  e_ = {block("block_e.0", 4 * w, 2 * w, kThree), block("block_e.1", 2 * w, 2 * w, kThree),
        block("block_e.2", 2 * w, w, kSeven),
        NormedConv::make(p, "out_layer.0", w, 3, {.conv = kOne, .norm_name = {}, .act = kTanh})};
}

Tensor AnimeGan2::operator()(const Parameters& p, const Tensor& x, const Pass& pass) const {
  const auto run = [&](const std::vector<NormedConv>& blocks, Tensor y) {
    for (const NormedConv& block : blocks)
      y = block(p, block.options.conv.stride == 2 ? with_mirrored_end(y) : y, pass);
    return y;
  };
  // To the size of what went in before, or twice as large.
  const auto enlarge = [&](const Tensor& y, const Tensor& before) {
    if (options_.align_corners) return resize_bilinear(y, int(before.dim(1)), int(before.dim(2)), true);
    return resize_bilinear(y, int(2 * y.dim(1)), int(2 * y.dim(2)), false);
  };
  const Tensor half = run(a_, x);
  Tensor y = run(c_begin_, run(b_, half));
  for (const InvertedResidual& r : residuals_) {
    const Tensor made = r.narrow(p, r.depthwise(p, r.widen(p, y, pass), pass), pass);
    y = r.adds_input ? add(y, made) : made;
  }
  y = run(d_, enlarge(run(c_end_, y), half));
  return run(e_, enlarge(y, x));
}

AnimeGan2Discriminator::AnimeGan2Discriminator(Parameters& p, int in, int width, bool spectral) {
  const auto add = [&](const std::string& name, int to, int stride, const std::string& norm, Activation act) {
    blocks_.push_back(
        NormedConv::make(p, name, in, to,
                         {.conv = {.kernel = 3, .stride = stride, .pad = 1},
                          .spectral = spectral,
                          .norm = norm.empty() ? NormedConv::Norm::none : NormedConv::Norm::picture,
                          .norm_name = norm,
                          .act = act}));
    in = to;
  };
  add("conv_0", width, 1, "", kLeaky);
  for (int i = 1; i <= 2; ++i) {
    add(fmt::format("conv_s2_{}", i), 2 * i * width, 2, "", kLeaky);
    add(fmt::format("conv_s1_{}", i), 4 * i * width, 1, fmt::format("1_norm_{}", i), kLeaky);
  }
  add("last_conv", 8 * width, 1, "2_ins_norm", kLeaky);
  add("D_logit", 1, 1, "", kNoAct);
}

std::vector<Tensor> AnimeGan2Discriminator::operator()(const Parameters& p, const Tensor& x,
                                                       const Pass& pass) const {
  Tensor y = x;
  for (const NormedConv& block : blocks_) y = block(p, y, pass);
  return {y};
}

}  // namespace gan
