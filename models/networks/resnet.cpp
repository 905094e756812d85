// The residual generator, w = ngf:
//
//   head  7x7 reflect (N,H,W,in) -> w; two 3x3 stride 2 to (N,H/4,W/4,4w); norm and relu behind each
//   body  blocks of x + norm(conv(dropout(relu(norm(conv(x)))))), 3x3 reflect; nothing after the sum
//   tail  two doublings to (N,H,W,w), norm and relu behind each; 7x7 reflect with bias -> out, tanh
//
// Convolutions have a bias only with instance norm, the last one always. The numbers in the names count
// PyTorch's modules, paddings and activations included.
#include "models/networks/resnet.h"

namespace gan {

namespace {
constexpr ConvOptions kSeven{.kernel = 7, .stride = 1, .pad = 3, .padding = Padding::reflect};
constexpr ConvOptions kThree{.kernel = 3, .stride = 1, .pad = 1, .padding = Padding::reflect};
constexpr ConvOptions kHalve{.kernel = 3, .stride = 2, .pad = 1};
constexpr ConvOptions kDouble{.kernel = 3, .stride = 2, .pad = 1, .output_pad = 1};
}  // namespace

Resnet::Resnet(Parameters& p, const ResnetOptions& o) {
  using Kind = ConvBlock::Kind;
  const bool bias = o.norm == NormKind::instance;
  const int w = o.width;
  auto module = [](int index) { return "model." + std::to_string(index); };
  auto add = [&](std::vector<ConvBlock>& to, int index, int in, int out, Kind kind, ConvOptions conv) {
    to.push_back(ConvBlock::make(p, module(index), in, out,
                                 {.kind = kind,
                                  .conv = conv,
                                  .bias = bias,
                                  .spectral = o.spectral,
                                  .norm = o.norm,
                                  .norm_name = module(index + 1),
                                  .act = kRelu}));
  };
  add(head_, 1, o.in, w, Kind::conv, kSeven);       // 0 is the padding
  add(head_, 4, w, 2 * w, Kind::conv, kHalve);      // (N,H/2,W/2,2w)
  add(head_, 7, 2 * w, 4 * w, Kind::conv, kHalve);  // (N,H/4,W/4,4w)
  for (int b = 0; b < o.blocks; ++b) {
    const std::string block = module(10 + b) + ".conv_block.";
    auto half = [&](int index, Activation act, double dropout) {
      body_.push_back(ConvBlock::make(p, block + std::to_string(index), 4 * w, 4 * w,
                                      {.kind = Kind::conv,
                                       .conv = kThree,
                                       .bias = bias,
                                       .spectral = o.spectral,
                                       .norm = o.norm,
                                       .norm_name = block + std::to_string(index + 1),
                                       .act = act,
                                       .dropout = dropout,
                                       .dropout_layer = uint32_t(b)}));
    };
    half(1, kRelu, o.dropout ? 0.5 : 0);
    half(o.dropout ? 6 : 5, kNoAct, 0);
  }
  const int tail = 10 + o.blocks;
  add(tail_, tail, 4 * w, 2 * w, o.up, kDouble);  // (N,H/2,W/2,2w)
  add(tail_, tail + 3, 2 * w, w, o.up, kDouble);  // (N,H,W,w)
  tail_.push_back(ConvBlock::make(p, module(tail + 7), w, o.out,
                                  {.kind = Kind::conv,
                                   .conv = kSeven,
                                   .bias = true,
                                   .spectral = o.spectral,
                                   .norm = NormKind::none,
                                   .norm_name = {},
                                   .act = kTanh}));
}

Tensor Resnet::operator()(const Parameters& p, const Tensor& x, const Pass& pass) const {
  Tensor y = x;
  for (const ConvBlock& block : head_) y = block(p, y, pass);
  for (size_t b = 0; b < body_.size(); b += 2) y = add(y, body_[b + 1](p, body_[b](p, y, pass), pass));
  for (const ConvBlock& block : tail_) y = block(p, y, pass);
  return y;
}

}  // namespace gan
