// The matrix product.
#pragma once
#include "kernels/contract/ports.h"
#include "kernels/contract/variant.h"

namespace gan {

// C = act(op(A) op(B) + bias): (m,k) x (k,n) -> (m,n), row-major; bias is added to every row.
struct Gemm {
  static constexpr const char* op = "gemm";
  int m = 0, n = 0, k = 0;
  bool transpose_a = false;  // A is stored (k,m)
  bool transpose_b = false;  // B is stored (n,k)
  In a, b, bias;
  Activation act;  // needs c.acc == set
  Out c;           // bfloat16 factors may have a float32 product

  static constexpr auto ports() {
    return std::array{reads("a", &Gemm::a,
                            [](const Gemm& g) {
                              return g.transpose_a ? Extents{g.k, g.m} : Extents{g.m, g.k};
                            }),
                      reads("b", &Gemm::b,
                            [](const Gemm& g) {
                              return g.transpose_b ? Extents{g.n, g.k} : Extents{g.k, g.n};
                            }),
                      reads(
                          "bias", &Gemm::bias, [](const Gemm& g) -> Extents { return {g.n}; }, Kind::float32)
                          .optional(),
                      writes("c", &Gemm::c, [](const Gemm& g) -> Extents {
                        return {g.m, g.n};
                      })};
  }
  void sizes(Sizes& s) {
    s.size("m", m, 64, 1024);
    s.size("n", n, 64, 1024);
    s.size("k", k, 64, 1024);
    s.flag("transpose_a", transpose_a);
    s.flag("transpose_b", transpose_b);
    s.seldom("bias");
    s.activation(act);
  }
  const char* wrong() const {
    return m >= 1 && n >= 1 && k >= 1 ? act.wrong_with(c) : "m, n and k must be at least 1";
  }
  double flop() const { return 2.0 * m * n * k; }
};

struct GemmTable {
  static constexpr const char* family = "gemm";
  Op<Gemm> gemm = {};

  template <class Table, class F>
  static constexpr void for_each(Table& table, F&& f) {
    f(table.gemm);
  }
};

}  // namespace gan
