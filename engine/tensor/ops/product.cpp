// Matrix products and dense layers.
#include "engine/tensor/ops/backward.h"

namespace gan {

namespace {

void run_gemm(const Gemm& args, DeviceContext& c) {
  c.run(c.kernels().gemm.gemm, args);
  c.count_flop(2.0 * args.m * args.n * args.k);
}

// op(a) op(b), where op transposes or does not; of every pair, where a and b are several matrices.
struct MatmulRecord {
  Tensor a, b;
  bool transpose_a, transpose_b;

  const char* name() const { return "matmul"; }
  Tensors inputs() const { return {&a, &b}; }
  Attributes attributes() const { return {{"transpose_a", transpose_a}, {"transpose_b", transpose_b}}; }
  // With A = op(a) and B = op(b): dA = dy B^T and dB = A^T dy; where op transposes, so does the gradient.
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    if (to.wants(a))
      to.give(a, transpose_a ? matmul(b, dy, transpose_b, true) : matmul(dy, b, false, !transpose_b));
    if (to.wants(b))
      to.give(b, transpose_b ? matmul(dy, a, true, transpose_a) : matmul(a, dy, !transpose_a, false));
  }
  Exported exported() const {
    if (a.shape().rank == 2) return exported_as("Gemm", {{"transA", transpose_a}, {"transB", transpose_b}});
    if (transpose_a || transpose_b) return not_exported("ONNX transposes no factor of several products");
    return exported_as("MatMul");
  }
};

struct LinearRecord {
  Tensor x, w, bias, kept;
  Activation act;

  const char* name() const { return "linear"; }
  Tensors inputs() const { return {&x, &w, &bias}; }
  Attributes attributes() const {
    Attributes a;
    add_activation(a, act);
    return a;
  }
  void backward(const Tensor& dy) const {
    DeviceContext& c = x.context();
    const int n = int(x.dim(0)), in = int(x.dim(1)), out = int(w.dim(0));
    const Tensor before = before_activation(kept, dy, act);  // (n,out)
    if (w.needs_gradient())                                  // dw (out,in) = before^T x
      run_gemm({.m = out,
                .n = in,
                .k = n,
                .transpose_a = true,
                .a = before.in(),
                .b = x.in(),
                .bias = {},
                .act = {},
                .c = gradient_of(w)},
               c);
    bias_gradient(bias, before);
    if (x.needs_gradient())  // dx (n,in) = before w
      run_gemm({.m = n,
                .n = in,
                .k = out,
                .a = before.in(),
                .b = w.in(),
                .bias = {},
                .act = {},
                .c = gradient_of(x)},
               c);
  }
  void backward_in_operations(const Tensor& dy, Gradients& to) const {
    const Tensor before = before_activation(to.output(kept), dy, act);
    if (to.wants(w)) to.give(w, matmul(before, x, true, false));
    if (to.wants(bias)) to.give(bias, sum_rows(before));
    if (to.wants(x)) to.give(x, matmul(before, w));
  }
  Exported exported() const { return exported_as("Gemm", {{"transB", 1}}).then(act); }
};

}  // namespace

namespace {
Tensor multiply_matrices(const Tensor& left, const Tensor& right, bool transpose_a, bool transpose_b,
                         bool wide) {
  const auto [a, b] = in_one_type(left, right);
  const int rank = a.shape().rank, rows = rank - 2, columns = rank - 1;
  const bool matrices =
      (rank == 2 || rank == 3) && b.shape().rank == rank && (rank == 2 || a.dim(0) == b.dim(0));
  GAN_CHECK(matrices && a.dim(transpose_a ? rows : columns) == b.dim(transpose_b ? columns : rows),
            "matmul of {}{} and {}{}", to_string(a.shape()), transpose_a ? " transposed" : "",
            to_string(b.shape()), transpose_b ? " transposed" : "");
  const int64_t m = a.dim(transpose_a ? columns : rows), k = a.dim(transpose_a ? rows : columns),
                n = b.dim(transpose_b ? rows : columns), products = rank == 3 ? a.dim(0) : 1;
  Tensor y(a.context(), rank == 3 ? Shape{products, m, n} : Shape{m, n},
           wide ? a.context().real() : a.dtype());
  for (int64_t i = 0; i < products; ++i)
    run_gemm({.m = int(m),
              .n = int(n),
              .k = int(k),
              .transpose_a = transpose_a,
              .transpose_b = transpose_b,
              .a = a.view(i * m * k, {m, k}).in(),
              .b = b.view(i * k * n, {k, n}).in(),
              .bias = {},
              .act = {},
              .c = y.view(i * m * n, {m, n}).out()},
             a.context());
  record(y, MatmulRecord{a, b, transpose_a, transpose_b});
  return y;
}
}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  return multiply_matrices(a, b, transpose_a, transpose_b, false);
}
Tensor matmul_wide(const Tensor& a, const Tensor& b, bool transpose_a, bool transpose_b) {
  return multiply_matrices(a, b, transpose_a, transpose_b, true);
}

Tensor linear(const Tensor& rows, const Tensor& weights, const Tensor& bias, Activation act) {
  const auto [x, w] = in_one_type(rows, weights);
  GAN_CHECK(x.shape().rank == 2 && w.shape().rank == 2 && x.dim(1) == w.dim(1),
            "linear of {} with weights {}", to_string(x.shape()), to_string(w.shape()));
  Tensor y(x.context(), {x.dim(0), w.dim(0)}, x.dtype());
  run_gemm({.m = int(x.dim(0)),
            .n = int(w.dim(0)),
            .k = int(x.dim(1)),
            .transpose_b = true,
            .a = x.in(),
            .b = w.in(),
            .bias = bias.in(),
            .act = act,
            .c = y.out()},
           x.context());
  record(y, LinearRecord{x, w, bias, kept_for(act, y), act});
  return y;
}

}  // namespace gan
