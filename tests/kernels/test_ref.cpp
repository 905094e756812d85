// Is the reference itself right? Two kinds of proof, both on kernels/ref/ref.h in float64, which all other
// devices are then compared with: forward operations against values worked out by hand or by another formula,
// and every gradient against central finite differences of its forward operation, in random directions and
// single elements.
#include <doctest/doctest.h>

#include <functional>

#include "kernels/ref/ref.h"
#include "tests/cases/cases.h"

// Arguments are written with the sizes that matter.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace gan::tests {
namespace {

using ref::compute;

In in(const Values& values) { return {values.data(), DType::f64}; }
Out out(Values& values, Acc acc = Acc::set) { return {values.data(), DType::f64, acc}; }

Values random(int64_t count, uint64_t seed, double deviation = 1) {
  return normals(deviation)(count, seed, {});
}

double dot(const Values& a, const Values& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

// A random integer in [low, high]: number `index` of a seed.
int random_int(uint64_t seed, uint64_t index, int low, int high) {
  return low + int(double(random_uniform(seed, 99, 0, index)) * (high - low + 1));
}

// ---------------------------------------------------------------------------------------- finite differences

using Inputs = std::vector<Values>;
using Function = std::function<double(const Inputs&)>;

// Checks `gradients` (one per input) of `f` at x. Central differences with step 1e-6 err by about 1e-12 f'''
// from curvature and 1e-10 |f| from cancellation.
void check_gradients(const std::string& what, const Function& f, const Inputs& x, const Inputs& gradients) {
  constexpr double step = 1e-6;
  const double size = std::abs(f(x));
  const auto check = [&](const std::string& where, const Inputs& direction) {
    Inputs up = x, down = x;
    double derivative = 0, terms = 0;
    for (size_t p = 0; p < x.size(); ++p)
      for (size_t i = 0; i < x[p].size(); ++i) {
        up[p][i] += step * direction[p][i];
        down[p][i] -= step * direction[p][i];
        derivative += gradients[p][i] * direction[p][i];
        terms += std::abs(gradients[p][i] * direction[p][i]);
      }
    const double measured = (f(up) - f(down)) / (2 * step);
    const double allowed = 1e-6 * terms + 1e-8 * (1 + size);
    CHECK_MESSAGE(std::abs(measured - derivative) <= allowed,
                  fmt::format("{}, {}: gradient says {:.9g}, finite difference {:.9g}", what, where,
                              derivative, measured));
  };
  Inputs zero;
  for (const Values& values : x) zero.emplace_back(values.size(), 0.0);
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    Inputs direction;
    for (size_t p = 0; p < x.size(); ++p) direction.push_back(random(int64_t(x[p].size()), seed * 100 + p));
    check(fmt::format("direction {}", seed), direction);
  }
  for (size_t p = 0; p < x.size(); ++p)
    for (uint64_t sample = 0; sample < 3; ++sample) {
      const int i = random_int(7 + p, sample, 0, int(x[p].size()) - 1);
      Inputs direction = zero;
      direction[p][i] = 1;
      check(fmt::format("input {} element {}", p, i), direction);
    }
}

constexpr Activation activations[] = {
    {Act::none}, {Act::relu}, {Act::leaky_relu, 0.2f}, {Act::tanh}, {Act::sigmoid}};

TEST_CASE("ref gradients: activations") {
  for (const Activation& act : activations) {
    constexpr int64_t count = 40;
    const Values x = random(count, 1), dy = random(count, 2);
    Values y(count), dx(count);
    compute<double>(ActivationFwd{.count = count, .act = act, .x = in(x), .y = out(y)});
    compute<double>(ActivationBwd{.count = count, .act = act, .y = in(y), .dy = in(dy), .dx = out(dx)});
    const Function f = [&](const Inputs& p) {
      Values result(count);
      compute<double>(ActivationFwd{.count = count, .act = act, .x = in(p[0]), .y = out(result)});
      return dot(dy, result);
    };
    check_gradients(fmt::format("activation {}", int(act.kind)), f, {x}, {dx});
  }
}

TEST_CASE("ref gradients: a sum's is a broadcast, a bias's is a sum of rows") {
  const Values x = random(15, 3);  // (5,3)
  Values dx(15);
  const Values dsum = {1.7};
  compute<double>(Broadcast{.count = 15, .scale = -0.4, .x = in(dsum), .y = out(dx)});
  const Function sum = [&](const Inputs& p) {
    Values result(1);
    compute<double>(Sum{.count = 15, .scale = -0.4, .x = in(p[0]), .sum = out(result)});
    return dsum[0] * result[0];
  };
  check_gradients("sum", sum, {x}, {dx});

  const Values a = random(10, 4), b = random(6, 5), bias = random(3, 6), dc = random(15, 7);
  Values dbias(3);
  compute<double>(SumRows{.rows = 5, .channels = 3, .x = in(dc), .sums = out(dbias)});
  const Function gemm = [&](const Inputs& p) {
    Values c(15);
    compute<double>(Gemm{.m = 5, .n = 3, .k = 2, .a = in(a), .b = in(b), .bias = in(p[0]), .c = out(c)});
    return dot(dc, c);
  };
  check_gradients("bias", gemm, {bias}, {dbias});
}

TEST_CASE("ref gradients: matrix product") {
  const int m = 4, n = 5, k = 3;
  const Values a = random(m * k, 8), b = random(k * n, 9), dc = random(m * n, 10);
  Values da(m * k), db(k * n);
  // dA = dC B^T, dB = A^T dC: the transposed forms are gradients of the plain one.
  compute<double>(Gemm{.m = m, .n = k, .k = n, .transpose_b = true, .a = in(dc), .b = in(b), .c = out(da)});
  compute<double>(Gemm{.m = k, .n = n, .k = m, .transpose_a = true, .a = in(a), .b = in(dc), .c = out(db)});
  const Function f = [&](const Inputs& p) {
    Values c(m * n);
    compute<double>(Gemm{.m = m, .n = n, .k = k, .a = in(p[0]), .b = in(p[1]), .c = out(c)});
    return dot(dc, c);
  };
  check_gradients("gemm", f, {a, b}, {da, db});
}

// A convolution of any kind the engine allows, small.
Conv2d random_convolution(uint64_t seed) {
  for (uint64_t attempt = 0;; ++attempt) {
    uint64_t index = attempt * 32;
    const auto draw = [&](int low, int high) { return random_int(seed, index++, low, high); };
    Conv2d s;
    s.n = draw(1, 2), s.h = draw(1, 7), s.w = draw(1, 7), s.c = draw(1, 4);
    s.kh = draw(1, 4), s.kw = draw(1, 4), s.sh = draw(1, 3), s.sw = draw(1, 3);
    s.ph = draw(0, 3), s.pw = draw(0, 3), s.dh = draw(1, 2), s.dw = draw(1, 2);
    s.groups = draw(0, 2) ? 1 : s.c;
    s.k = draw(1, 3) * s.groups;
    s.padding = draw(0, 1) ? Padding::reflect : Padding::zero;
    if (s.padding == Padding::reflect && (s.ph >= s.h || s.pw >= s.w)) continue;
    if (s.dh * (s.kh - 1) >= s.h + 2 * s.ph || s.dw * (s.kw - 1) >= s.w + 2 * s.pw) continue;
    s.oh = Conv2d::out_size(s.h, s.kh, s.sh, s.ph, s.dh);
    s.ow = Conv2d::out_size(s.w, s.kw, s.sw, s.pw, s.dw);
    return s;
  }
}

TEST_CASE("ref gradients: 60 random convolutions") {
  int reflecting = 0, grouped = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    const Conv2d s = random_convolution(seed);
    CAPTURE(to_string(s));
    reflecting += s.padding == Padding::reflect && s.ph + s.pw > 0;
    grouped += s.groups > 1;
    const Values x = random(s.x_count(), seed), w = random(s.w_count(), seed + 1),
                 dy = random(s.y_count(), seed + 2);
    Values dx(x.size()), dw(w.size()), y(dy.size());
    compute<double>(ConvFwd{.size = s, .x = in(x), .w = in(w), .y = out(y)});
    compute<double>(ConvBwdData{.size = s, .dy = in(dy), .w = in(w), .dx = out(dx)});
    compute<double>(ConvBwdWeight{.size = s, .x = in(x), .dy = in(dy), .dw = out(dw)});
    // The three directions are one trilinear form.
    const double form = dot(y, dy);
    CHECK(dot(x, dx) == doctest::Approx(form).epsilon(1e-12).scale(10));
    CHECK(dot(w, dw) == doctest::Approx(form).epsilon(1e-12).scale(10));
    const Function f = [&](const Inputs& p) {
      Values result(dy.size());
      compute<double>(ConvFwd{.size = s, .x = in(p[0]), .w = in(p[1]), .y = out(result)});
      return dot(dy, result);
    };
    check_gradients("convolution", f, {x, w}, {dx, dw});
  }
  CHECK(reflecting >= 5);
  CHECK(grouped >= 5);
}

TEST_CASE("ref gradients: normalisation, with and without gamma and beta, and each activation") {
  const NormSize sizes[] = {{1, 4, 1}, {1, 9, 3}, {3, 5, 2}, {2, 16, 4, 0.5}, {4, 3, 1}};
  uint64_t seed = 20;
  for (const NormSize& size : sizes)
    for (const Activation& act : activations)
      for (bool affine : {true, false}) {
        const Values x = random(size.count(), ++seed), dy = random(size.count(), seed + 1000);
        const Values gamma = random(size.channels, seed + 2000), beta = random(size.channels, seed + 3000);
        const auto forward = [&](const Inputs& p, Values& y, Values& mean, Values& rstd) {
          NormFwd a{
              .size = size, .x = in(p[0]), .act = act, .y = out(y), .mean = out(mean), .rstd = out(rstd)};
          if (affine) a.gamma = in(p[1]), a.beta = in(p[2]);
          compute<double>(a);
        };
        const Function f = [&](const Inputs& p) {
          Values y(x.size()), mean(size.segments * size.channels), rstd(mean.size());
          forward(p, y, mean, rstd);
          return dot(dy, y);
        };
        Values y(x.size()), mean(size.segments * size.channels), rstd(mean.size());
        Values dx(x.size()), dgamma(size.channels), dbeta(size.channels);
        forward({x, gamma, beta}, y, mean, rstd);
        NormBwd b{.size = size,
                  .x = in(x),
                  .dy = in(dy),
                  .mean = in(mean),
                  .rstd = in(rstd),
                  .act = act,
                  .dx = out(dx)};
        if (affine) b.gamma = in(gamma), b.beta = in(beta), b.dgamma = out(dgamma), b.dbeta = out(dbeta);
        compute<double>(b);
        check_gradients(fmt::format("norm {}x{}x{} activation {}", size.segments, size.rows, size.channels,
                                    int(act.kind)),
                        f, affine ? Inputs{x, gamma, beta} : Inputs{x},
                        affine ? Inputs{dx, dgamma, dbeta} : Inputs{dx});
      }
}

TEST_CASE("ref gradients: attention") {
  const AttentionSize sizes[] = {{1, 1, 1, 1, 1}, {1, 3, 5, 2, 4}, {2, 4, 3, 3, 2, 0.6}, {3, 2, 6, 1, 1, -2}};
  uint64_t seed = 500;
  for (const AttentionSize& s : sizes) {
    const Values q = random(s.query_count(), ++seed), k = random(s.key_count(), seed + 100),
                 v = random(s.value_count(), seed + 200), d_o = random(s.output_count(), seed + 300);
    const auto forward = [&](const Inputs& p, Values& o, Values& log_sum_exp) {
      compute<double>(AttentionFwd{.size = s,
                                   .q = in(p[0]),
                                   .k = in(p[1]),
                                   .v = in(p[2]),
                                   .o = out(o),
                                   .log_sum_exp = out(log_sum_exp)});
    };
    Values o(d_o.size()), log_sum_exp(s.batch * s.queries), dq(q.size()), dk(k.size()), dv(v.size());
    forward({q, k, v}, o, log_sum_exp);
    compute<double>(AttentionBwd{.size = s,
                                 .q = in(q),
                                 .k = in(k),
                                 .v = in(v),
                                 .o = in(o),
                                 .log_sum_exp = in(log_sum_exp),
                                 .d_o = in(d_o),
                                 .dq = out(dq),
                                 .dk = out(dk),
                                 .dv = out(dv)});
    const Function f = [&](const Inputs& p) {
      Values result(o.size()), sums(log_sum_exp.size());
      forward(p, result, sums);
      return dot(d_o, result);
    };
    check_gradients(fmt::format("attention {}x{}x{}", s.batch, s.queries, s.keys), f, {q, k, v},
                    {dq, dk, dv});
  }
}

TEST_CASE("ref gradients: layer norm, with and without gamma and beta") {
  const LayerNormSize sizes[] = {{1, 4, 1}, {3, 1, 5}, {2, 5, 3}, {2, 3, 2, 0.5}};
  uint64_t seed = 700;
  for (const LayerNormSize& size : sizes)
    for (const Activation& act : activations)
      for (bool affine : {true, false}) {
        const Values x = random(size.count(), ++seed), dy = random(size.count(), seed + 1000);
        const Values gamma = random(size.channels, seed + 2000), beta = random(size.channels, seed + 3000);
        const auto forward = [&](const Inputs& p, Values& y, Values& mean, Values& rstd) {
          LayerNormFwd a{
              .size = size, .x = in(p[0]), .act = act, .y = out(y), .mean = out(mean), .rstd = out(rstd)};
          if (affine) a.gamma = in(p[1]), a.beta = in(p[2]);
          compute<double>(a);
        };
        const Function f = [&](const Inputs& p) {
          Values y(x.size()), mean(size.groups), rstd(size.groups);
          forward(p, y, mean, rstd);
          return dot(dy, y);
        };
        Values y(x.size()), mean(size.groups), rstd(size.groups);
        Values dx(x.size()), dgamma(size.channels), dbeta(size.channels);
        forward({x, gamma, beta}, y, mean, rstd);
        LayerNormBwd b{.size = size,
                       .x = in(x),
                       .dy = in(dy),
                       .mean = in(mean),
                       .rstd = in(rstd),
                       .act = act,
                       .dx = out(dx)};
        if (affine) b.gamma = in(gamma), b.beta = in(beta), b.dgamma = out(dgamma), b.dbeta = out(dbeta);
        compute<double>(b);
        check_gradients(fmt::format("layer norm {}x{}x{} activation {}", size.groups, size.rows,
                                    size.channels, int(act.kind)),
                        f, affine ? Inputs{x, gamma, beta} : Inputs{x},
                        affine ? Inputs{dx, dgamma, dbeta} : Inputs{dx});
      }
}

TEST_CASE("ref gradients: every resampling of the case table is the adjoint of its backward pass") {
  for (const Case<ResampleFwd>& c : cases<ResampleFwd>()) {
    CAPTURE(c.name);
    const Values x = random(c.args.size.x_count(), 1), dy = random(c.args.size.y_count(), 2);
    Values y(dy.size()), dx(x.size());
    compute<double>(ResampleFwd{.size = c.args.size, .rule = c.args.rule, .x = in(x), .y = out(y)});
    compute<double>(ResampleBwd{.size = c.args.size, .rule = c.args.rule, .dy = in(dy), .dx = out(dx)});
    CHECK(dot(y, dy) == doctest::Approx(dot(x, dx)).epsilon(1e-12).scale(10));
    // Averages of ones are ones, but where zeros of the padding count.
    const Values ones(x.size(), 1.0);
    compute<double>(ResampleFwd{.size = c.args.size, .rule = c.args.rule, .x = in(ones), .y = out(y)});
    const PoolWindow& p = c.args.rule.window;
    if (!c.args.rule.count_padding || p.ph + p.pw == 0)
      for (double value : y) CHECK(value == doctest::Approx(1).epsilon(1e-12));
  }
}

TEST_CASE("ref gradients: max pooling and pixel shuffle") {
  const ResampleSize s{2, 7, 6, 3, 4, 3};
  const PoolWindow window{3, 3, 2, 2, 1, 1};
  const Values x = random(s.x_count(), 3), dy = random(s.y_count(), 4);
  Values dx(x.size());
  compute<double>(MaxPoolBwd{.size = s, .window = window, .x = in(x), .dy = in(dy), .dx = out(dx)});
  check_gradients("max pool",
                  [&](const Inputs& p) {
                    Values y(dy.size());
                    compute<double>(MaxPoolFwd{.size = s, .window = window, .x = in(p[0]), .y = out(y)});
                    return dot(dy, y);
                  },
                  {x}, {dx});
  const Values small = random(2 * 3 * 2 * 12, 5), large = random(2 * 3 * 2 * 12, 6);
  Values up(small.size()), down(small.size());
  PixelShuffle shuffle{.n = 2, .h = 3, .w = 2, .c = 3, .factor = 2, .x = in(small), .y = out(up)};
  compute<double>(shuffle);
  shuffle.inverse = true, shuffle.x = in(large), shuffle.y = out(down);
  compute<double>(shuffle);
  CHECK(dot(up, large) == doctest::Approx(dot(small, down)).epsilon(1e-12));
  shuffle.x = in(up);
  compute<double>(shuffle);
  CHECK(down == small);
}

TEST_CASE("ref gradients: losses") {
  for (GanLoss kind :
       {GanLoss::vanilla, GanLoss::minimax, GanLoss::lsgan, GanLoss::hinge, GanLoss::wasserstein}) {
    const Values real = random(7, 31, 2), fake = random(5, 32, 2);
    const auto discriminator = [&](const Inputs& p, Values* d_real, Values* d_fake) {
      Values values(4);
      DiscriminatorLoss a{.kind = kind,
                          .real_count = 7,
                          .fake_count = 5,
                          .real_label = 0.9,
                          .fake_label = 0.2,
                          .scale = 0.5,
                          .real = in(p[0]),
                          .fake = in(p[1]),
                          .values = out(values)};
      if (d_real) a.d_real = out(*d_real), a.d_fake = out(*d_fake);
      compute<double>(a);
      return 0.5 * (values[0] + values[1]);
    };
    Values d_real(7), d_fake(5);
    discriminator({real, fake}, &d_real, &d_fake);
    check_gradients(fmt::format("discriminator loss {}", int(kind)),
                    [&](const Inputs& p) { return discriminator(p, nullptr, nullptr); }, {real, fake},
                    {d_real, d_fake});
    const auto generator = [&](const Inputs& p, Values* gradient) {
      Values values(1);
      GeneratorLoss a{.kind = kind, .count = 5, .scale = 3, .fake = in(p[0]), .values = out(values)};
      if (gradient) a.d_fake = out(*gradient);
      compute<double>(a);
      return 3 * values[0];
    };
    generator({fake}, &d_fake);
    check_gradients(fmt::format("generator loss {}", int(kind)),
                    [&](const Inputs& p) { return generator(p, nullptr); }, {fake}, {d_fake});
  }
  for (PixelLossKind kind : {PixelLossKind::l1, PixelLossKind::l2, PixelLossKind::huber}) {
    const Values a = random(11, 33), b = random(11, 34);
    const auto pixel = [&](const Inputs& p, Values* da, Values* db) {
      Values value(1);
      PixelLoss args{
          .kind = kind, .count = 11, .scale = 100, .a = in(p[0]), .b = in(p[1]), .value = out(value)};
      if (da) args.da = out(*da), args.db = out(*db);
      compute<double>(args);
      return 100 * value[0];
    };
    Values da(11), db(11);
    pixel({a, b}, &da, &db);
    check_gradients(fmt::format("pixel loss {}", int(kind)),
                    [&](const Inputs& p) { return pixel(p, nullptr, nullptr); }, {a, b}, {da, db});
  }
}

// -------------------------------------------------------------------------------------------- forward values

void check_close(const Values& got, const Values& want) {
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < want.size(); ++i) {
    CAPTURE(i);
    CHECK(got[i] == doctest::Approx(want[i]).epsilon(1e-12).scale(1));
  }
}

TEST_CASE("ref values: convolution by hand") {
  const Values x = {1, 2, 3, 4}, w = {1, 10, 100}, bias = {0.5};
  const auto row = [&](int pad, int stride, int dilation, Padding padding) {
    Conv2d s{.n = 1,
             .h = 1,
             .w = 4,
             .c = 1,
             .oh = 1,
             .k = 1,
             .kw = 3,
             .sw = stride,
             .pw = pad,
             .dw = dilation,
             .padding = padding};
    s.ow = Conv2d::out_size(4, 3, stride, pad, dilation);
    Values y(s.y_count());
    compute<double>(ConvFwd{.size = s, .x = in(x), .w = in(w), .bias = in(bias), .y = out(y)});
    return y;
  };
  check_close(row(0, 1, 1, Padding::zero), {321.5, 432.5});
  check_close(row(1, 1, 1, Padding::zero), {210.5, 321.5, 432.5, 43.5});
  check_close(row(1, 1, 1, Padding::reflect), {212.5, 321.5, 432.5, 343.5});
  check_close(row(1, 2, 1, Padding::zero), {210.5, 432.5});
  check_close(row(2, 1, 2, Padding::reflect), {313.5, 422.5, 331.5, 242.5});
  // Two groups of one channel with two outputs each: outputs 0 and 1 see channel 0 only.
  const Values pair = {3, 5}, scales = {1, 2, 10, 20};
  Values y(4);
  compute<double>(ConvFwd{.size = {.n = 1, .h = 1, .w = 1, .c = 2, .oh = 1, .ow = 1, .k = 4, .groups = 2},
                          .x = in(pair),
                          .w = in(scales),
                          .y = out(y)});
  check_close(y, {3, 6, 50, 100});
  compute<double>(ConvFwd{.size = {.n = 1, .h = 1, .w = 1, .c = 2, .oh = 1, .ow = 1, .k = 4, .groups = 2},
                          .x = in(pair),
                          .w = in(scales),
                          .y = out(y, Acc::add)});
  check_close(y, {6, 12, 100, 200});
}

TEST_CASE("ref values: normalisation by hand") {
  const Values x = {1, 2, 3, 6}, gamma = {2}, beta = {1};  // mean 3, squares 14: variance 3.5, unbiased 14/3
  Values y(4), mean(1), rstd(1), running_mean = {10}, running_var = {1};
  compute<double>(NormFwd{.size = {1, 4, 1, 0.5},
                          .momentum = 0.25,
                          .x = in(x),
                          .gamma = in(gamma),
                          .beta = in(beta),
                          .act = {Act::relu},
                          .y = out(y),
                          .mean = out(mean),
                          .rstd = out(rstd),
                          .running_mean = out(running_mean),
                          .running_var = out(running_var)});
  check_close(mean, {3});
  check_close(rstd, {0.5});
  check_close(y, {0, 0, 1, 4});
  check_close(running_mean, {8.25});
  check_close(running_var, {0.75 + 0.25 * 14 / 3});
  const Values var = {3.5};
  compute<double>(NormInfer{.rows = 4,
                            .channels = 1,
                            .eps = 0.5,
                            .x = in(x),
                            .gamma = in(gamma),
                            .beta = in(beta),
                            .mean = in(mean),
                            .var = in(var),
                            .act = {},
                            .y = out(y)});
  check_close(y, {-1, 0, 1, 4});
}

TEST_CASE("ref values: attention by hand") {
  // Scores log 1, log 3 and, far above what e^ can hold, 1000 + log 1, 1000 + log 3: weights 1/4 and 3/4.
  const double l = std::log(3);
  const Values q = {1, 2, 0, 500}, k = {0, 2, l, 2}, v = {4, 0, 8, -4};  // widths 2 and 2
  const AttentionSize s{1, 2, 2, 2, 2};
  Values o = {1, 1, 1, 1}, log_sum_exp(2);
  compute<double>(AttentionFwd{
      .size = s, .q = in(q), .k = in(k), .v = in(v), .o = out(o), .log_sum_exp = out(log_sum_exp)});
  check_close(o, {7, -3, 6, -2});
  check_close(log_sum_exp, {4 + std::log(4), 1000 + std::log(2)});
}

TEST_CASE("ref values: layer norm by hand") {
  const Values x = {1, 2, 3, 6}, gamma = {2, 4}, beta = {1, 0};  // mean 3, squares 14: variance 3.5
  Values y(4), mean(1), rstd(1);
  compute<double>(LayerNormFwd{.size = {1, 2, 2, 0.5},
                               .x = in(x),
                               .gamma = in(gamma),
                               .beta = in(beta),
                               .act = {Act::relu},
                               .y = out(y),
                               .mean = out(mean),
                               .rstd = out(rstd)});
  check_close(mean, {3});
  check_close(rstd, {0.5});
  check_close(y, {0, 0, 1, 6});
}

// One row of pixels; the numbers of the resizes are PyTorch's.
TEST_CASE("ref values: pooling, resizing and pixel shuffle by hand") {
  const auto row = [](const Values& x, const ResampleRule& rule, int out_width) {
    Values y(out_width);
    compute<double>(
        ResampleFwd{.size = {1, 1, int(x.size()), 1, 1, out_width}, .rule = rule, .x = in(x), .y = out(y)});
    return y;
  };
  const Values x = {1, 3, 5, 11};
  check_close(row(x, {.kind = ResampleKind::bilinear}, 8), {1, 1.5, 2.5, 3.5, 4.5, 6.5, 9.5, 11});
  check_close(row(x, {.kind = ResampleKind::bilinear}, 2), {2, 8});
  check_close(row(x, {.kind = ResampleKind::bilinear, .align_corners = true}, 7), {1, 2, 3, 4, 5, 8, 11});
  check_close(row(x, {.kind = ResampleKind::bilinear, .align_corners = true}, 1), {1});
  check_close(row(x, {.kind = ResampleKind::nearest}, 6), {1, 1, 3, 5, 5, 11});
  check_close(row(x, {.kind = ResampleKind::nearest}, 3), {1, 3, 5});
  check_close(row(x, {.kind = ResampleKind::adaptive_average}, 3), {2, 4, 8});
  PoolWindow window{.kw = 3, .sw = 2, .pw = 1};
  check_close(row(x, {.kind = ResampleKind::average_pool, .window = window}, 2), {4.0 / 3, 19.0 / 3});
  check_close(row(x, {.kind = ResampleKind::average_pool, .count_padding = false, .window = window}, 2),
              {2, 19.0 / 3});
  // With ceil mode a third window begins at the last element and ends with the padding.
  CHECK(PoolWindow::out_size(4, 3, 2, 1) == 2);
  CHECK(PoolWindow::out_size(4, 3, 2, 1, true) == 3);
  CHECK(PoolWindow::out_size(3, 2, 2, 0, true) == 2);
  CHECK(PoolWindow::out_size(3, 1, 3, 0, true) == 1);  // a second one would begin beyond the end
  check_close(row(x, {.kind = ResampleKind::average_pool, .window = window}, 3), {4.0 / 3, 19.0 / 3, 5.5});
  Values y(3);
  compute<double>(MaxPoolFwd{.size = {1, 1, 4, 1, 1, 3}, .window = window, .x = in(x), .y = out(y)});
  check_close(y, {3, 11, 11});
  const Values equal = {2, 2, 2, 2}, dy = {1, 10, 100};
  Values dx(4);
  compute<double>(
      MaxPoolBwd{.size = {1, 1, 4, 1, 1, 3}, .window = window, .x = in(equal), .dy = in(dy), .dx = out(dx)});
  check_close(dx, {1, 10, 0, 100});
  // Two channels from eight: those of one output channel lie together, rows of the block first.
  const Values deep = {0, 1, 2, 3, 4, 5, 6, 7};
  Values flat(8);
  compute<double>(PixelShuffle{.n = 1, .h = 1, .w = 1, .c = 2, .factor = 2, .x = in(deep), .y = out(flat)});
  check_close(flat, {0, 4, 1, 5, 2, 6, 3, 7});
}

TEST_CASE("ref values: losses by hand") {
  const Values real = {0, 2}, fake = {-1};
  const double e = std::exp(1), e2 = std::exp(2);
  const auto values = [&](GanLoss kind) {
    Values v(4);
    compute<double>(DiscriminatorLoss{.kind = kind,
                                      .real_count = 2,
                                      .fake_count = 1,
                                      .real = in(real),
                                      .fake = in(fake),
                                      .values = out(v)});
    return v;
  };
  const Values vanilla = {(std::log(2) + std::log(1 + 1 / e2)) / 2, std::log(1 + 1 / e),
                          (0.5 + e2 / (1 + e2)) / 2, 1 / (1 + e)};
  check_close(values(GanLoss::vanilla), vanilla);
  check_close(values(GanLoss::minimax), vanilla);
  check_close(values(GanLoss::lsgan), {1, 1, 1, -1});
  check_close(values(GanLoss::hinge), {0.5, 0, 1, -1});
  check_close(values(GanLoss::wasserstein), {-1, -1, 1, -1});
  const auto generator = [&](GanLoss kind) {
    Values v(1);
    compute<double>(GeneratorLoss{.kind = kind, .count = 1, .fake = in(fake), .values = out(v)});
    return v[0];
  };
  check_close({generator(GanLoss::vanilla), generator(GanLoss::minimax), generator(GanLoss::lsgan),
               generator(GanLoss::hinge), generator(GanLoss::wasserstein)},
              {std::log(1 + e), std::log(1 - 1 / (1 + e)), 4, 1, 1});
}

TEST_CASE("ref values: optimisers by hand") {
  const Values grad = {2}, scalars = {0.1, 0.19, 0.36};  // beta1 0.9 after two steps, beta2 0.8
  Values weight = {1}, m = {0.5}, v = {3};
  compute<double>(Adam{.count = 1,
                       .beta1 = 0.9,
                       .beta2 = 0.8,
                       .eps = 0.5,
                       .grad = in(grad),
                       .scalars = in(scalars),
                       .weight = out(weight),
                       .m = out(m),
                       .v = out(v)});
  check_close(m, {0.65});
  check_close(v, {3.2});
  check_close(weight, {1 - 0.1 * (0.65 / 0.19) / (std::sqrt(3.2 / 0.36) + 0.5)});
  Values velocity = {1};
  weight = {1};
  compute<double>(Sgd{.count = 1,
                      .momentum = 0.5,
                      .weight_decay = 0.25,
                      .grad = in(grad),
                      .scalars = in(scalars),
                      .weight = out(weight),
                      .velocity = out(velocity)});
  check_close(velocity, {2.75});
  check_close(weight, {0.725});
  Values average = {3};
  compute<double>(MovingAverage{.count = 1, .decay = 0.75, .weight = in(grad), .average = out(average)});
  check_close(average, {2.75});
  const Values two = {3, -4};
  Values norm(2);
  compute<double>(GradNorm{.count = 2, .grad = in(two), .values = out(norm)});
  check_close(norm, {5, 1});
}

TEST_CASE("ref values: a picture is cropped, flipped and scaled") {
  const uint8_t pool[2 * 2 * 3] = {0, 1, 2, 3, 4, 5, 0, 51, 102, 153, 204, 255};  // two pictures of 2x3
  const int32_t placement[] = {1, 1, 1, 1, 0, 0, 0, 0};
  Values batch(4);
  compute<double>(ImageBatch{.count = 2,
                             .pool_height = 2,
                             .pool_width = 3,
                             .height = 1,
                             .width = 2,
                             .channels = 1,
                             .pool = {pool, DType::u8},
                             .placement = {placement, DType::i32},
                             .batch = out(batch)});
  check_close(batch, {1, 0.6, -1, 1 / 127.5 - 1});
}

}  // namespace
}  // namespace gan::tests
