// Softmax attention.
#include "engine/tensor/ops.h"

namespace gan {

namespace {

struct AttentionRecord {
  Tensor q, k, v, kept, log_sum_exp;
  AttentionSize size;

  static constexpr const char* refuses_second_gradient =
      "leave attention out of a network whose gradient is penalised, or use a loss without a gradient "
      "penalty "
      "(hinge)";
  const char* name() const { return "attention"; }
  Tensors inputs() const { return {&q, &k, &v}; }
  Attributes attributes() const { return {{"scale", size.scale}}; }
  void backward(const Tensor& d_o) const {
    DeviceContext& c = q.context();
    c.run(c.kernels().attention.bwd, {.size = size,
                                      .q = q.in(),
                                      .k = k.in(),
                                      .v = v.in(),
                                      .o = kept.in(),
                                      .log_sum_exp = log_sum_exp.in(),
                                      .d_o = d_o.in(),
                                      .dq = gradient_of(q),
                                      .dk = gradient_of(k),
                                      .dv = gradient_of(v)});
    c.count_flop(2 * size.flop() + 2.0 * size.batch * size.queries * size.keys * size.key_width);
  }
  Exported exported() const {
    if (size.key_width != size.value_width)
      return not_exported("ONNX's Attention has values as wide as its keys");
    return exported_as("Attention", {{"q_num_heads", 1}, {"kv_num_heads", 1}, {"scale", size.scale}});
  }
};

}  // namespace

Tensor attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  GAN_CHECK(q.shape().rank == 3 && k.shape().rank == 3 && v.shape().rank == 3 && q.dim(0) == k.dim(0) &&
                k.dim(0) == v.dim(0) && q.dim(2) == k.dim(2) && k.dim(1) == v.dim(1),
            "attention of queries {}, keys {} and values {}; wanted (B,N,Dk), (B,M,Dk) and (B,M,Dv)",
            to_string(q.shape()), to_string(k.shape()), to_string(v.shape()));
  DeviceContext& c = q.context();
  const AttentionSize size{.batch = int(q.dim(0)),
                           .queries = int(q.dim(1)),
                           .keys = int(k.dim(1)),
                           .key_width = int(q.dim(2)),
                           .value_width = int(v.dim(2)),
                           .scale = scale};
  check(size);
  Tensor o(c, {q.dim(0), q.dim(1), v.dim(2)}, q.dtype()), log_sum_exp(c, {q.dim(0), q.dim(1)});
  c.run(
      c.kernels().attention.fwd,
      {.size = size, .q = q.in(), .k = k.in(), .v = v.in(), .o = o.out(), .log_sum_exp = log_sum_exp.out()});
  c.count_flop(size.flop());
  record(o, AttentionRecord{q, k, v, o.detach(), log_sum_exp, size});
  return o;
}

}  // namespace gan
