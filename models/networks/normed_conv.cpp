// Declaring it, running it, telling of it.
#include "models/networks/normed_conv.h"

namespace gan {

NormedConv NormedConv::make(Parameters& p, const std::string& name, int in, int out, const Options& o) {
  NormedConv block{.name = name, .options = o, .conv = {}};
  block.conv = ConvLayer::make(p, name, in, out, o.conv, false, o.bias, 0.02, 1, o.spectral);
  if (o.norm == Norm::none) return block;
  block.gamma = p.declare({.name = o.norm_name + ".weight", .shape = {out}, .picture = {}, .mean = 1});
  block.beta = p.declare({.name = o.norm_name + ".bias", .shape = {out}, .picture = {}});
  return block;
}

namespace {
LayerRecord record_of(const NormedConv& b, const Parameters& p, const Shape& output, double flop) {
  const char* const norms[] = {"", " + instance norm", " + layer norm"};
  const char* const acts[] = {"", " + relu", " + leaky relu", " + tanh", " + sigmoid"};
  const ConvOptions& o = b.options.conv;
  int64_t count = 0;
  for (const int index : {b.conv.weight, b.conv.bias, b.gamma, b.beta})
    if (index >= 0) count += p.infos()[size_t(index)].shape.count();
  return {b.name,
          fmt::format("{} {}x{} stride {} pad {}{}{}{}{}", o.groups > 1 ? "depthwise conv2d" : "conv2d",
                      o.kernel, o.kernel, o.stride, o.pad, o.padding == Padding::reflect ? " reflect" : "",
                      b.options.spectral ? " + spectral norm" : "", norms[int(b.options.norm)],
                      acts[int(b.options.act.kind)]),
          output, count, flop};
}
}  // namespace

Tensor NormedConv::operator()(const Parameters& p, const Tensor& x, const Pass& pass) const {
  DeviceContext& context = x.context();
  const double before = context.flop();
  Tensor y;
  switch (options.norm) {
    case Norm::none: y = conv(p, x, options.act, pass.statistics); break;
    case Norm::channel:
      y = normalise(conv(p, x, kNoAct, pass.statistics), NormKind::instance, {p[gamma], p[beta], {}, {}},
                    options.act);
      break;
    case Norm::picture:
      y = layer_norm(conv(p, x, kNoAct, pass.statistics), p[gamma], p[beta], options.act);
      break;
  }
  if (pass.tap) pass.tap(name, y);
  if (pass.tell) pass.tell(record_of(*this, p, y.shape(), context.flop() - before));
  return y;
}

}  // namespace gan
