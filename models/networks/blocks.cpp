// Blocks and the words for them.
#include "models/networks/blocks.h"

namespace gan {

ConvBlock ConvBlock::make(Parameters& p, const std::string& name, int in, int out, const Options& o) {
  ConvBlock block{.name = name, .options = o, .conv = {}, .norm = {}};
  const bool shuffles = o.kind == Kind::shuffle;
  if (shuffles || o.kind == Kind::resize) block.options.conv = {.kernel = 3, .stride = 1, .pad = 1};
  block.conv = ConvLayer::make(p, name, in, shuffles ? 4 * out : out, block.options.conv,
                               o.kind == Kind::transposed, o.bias, o.deviation, shuffles ? 4 : 1, o.spectral);
  if (o.norm != NormKind::none) block.norm = NormLayer::make(p, o.norm_name, o.norm, out);
  return block;
}

namespace {
LayerRecord record_of(const ConvBlock& b, const Parameters& p, const Shape& output, double flop) {
  static const char* const kinds[] = {"conv2d", "conv_transpose2d", "nearest x2 + conv2d", "conv2d"};
  static const char* const norms[] = {"", " + batch norm", " + instance norm"};
  static const char* const acts[] = {"", " + relu", " + leaky relu", " + tanh", " + sigmoid"};
  const ConvOptions& o = b.options.conv;
  int64_t count = 0;
  for (int index : {b.conv.weight, b.conv.bias, b.norm.gamma, b.norm.beta})
    if (index >= 0) count += p.infos()[size_t(index)].shape.count();
  return {b.name,
          fmt::format("{} {}x{} stride {} pad {}{}{}{}{}{}{}", kinds[int(b.options.kind)], o.kernel, o.kernel,
                      o.stride, o.pad, o.padding == Padding::reflect ? " reflect" : "",
                      b.options.spectral ? " + spectral norm" : "",
                      b.options.kind == ConvBlock::Kind::shuffle ? " + pixel shuffle" : "",
                      norms[int(b.norm.kind)], acts[int(b.options.act.kind)],
                      b.options.dropout > 0 ? fmt::format(" + dropout {}", b.options.dropout) : ""),
          output, count, flop};
}
}  // namespace

// Without a norm the activation is fused into the convolution, else into the norm.
Tensor ConvBlock::operator()(const Parameters& p, const Tensor& x, const Pass& pass) const {
  DeviceContext& context = x.context();
  const double before = context.flop();
  const bool has_norm = norm.kind != NormKind::none;
  Tensor y = options.kind == Kind::resize ? resize_nearest(x, int(2 * x.dim(1)), int(2 * x.dim(2))) : x;
  y = conv(p, y, has_norm ? kNoAct : options.act, pass.statistics);
  if (options.kind == Kind::shuffle) y = pixel_shuffle(y, 2);
  if (has_norm) y = norm(p, y, options.act, pass.statistics, pass.batches);
  if (pass.dropout && options.dropout > 0)
    y = dropout(y, options.dropout,
                {.seed = pass.seed, .layer = options.dropout_layer, .step_at = pass.step});
  if (pass.tap) pass.tap(name, y);
  if (pass.tell) pass.tell(record_of(*this, p, y.shape(), context.flop() - before));
  return y;
}

NormKind norm_kind_of(const std::string& name) {
  if (name == "batch") return NormKind::batch;
  if (name == "instance") return NormKind::instance;
  if (name == "none") return NormKind::none;
  fail(Exit::usage, "unknown norm `{}`: batch, instance or none", name);
}

ConvBlock::Kind up_kind_of(const std::string& name) {
  if (name == "convt") return ConvBlock::Kind::transposed;
  if (name == "resize") return ConvBlock::Kind::resize;
  if (name == "shuffle") return ConvBlock::Kind::shuffle;
  fail(Exit::usage, "unknown up `{}`: convt, resize or shuffle", name);
}

}  // namespace gan
