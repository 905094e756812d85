// Cases of normalisation.
#include "tests/cases/case_parts.h"

#include <cmath>

namespace gan::tests {

namespace {

struct NormCase {
  int segments;
  int64_t rows;
  int channels;
  Activation act = no_act;
  double mean = 0.3, deviation = 1.5;  // of x
};

const NormCase norm_cases[] = {
    {1, 1, 1},
    {1, 1, 7, leaky},
    {2, 1, 5},
    {1, 3, 3},
    {1, 31, 3, relu},
    {2, 64, 5, leaky},
    {3, 35, 64, tanh_act},
    {1, 1025, 1},
    {1, 6, 65},
    {4, 16, 33, sigmoid_act},
    {2, 1024, 4, leaky},
    {1, 4099, 3, relu},
    {2, 1037, 36, leaky},  // several chunks of rows, the last one short; a tile of one lane behind a full one
    {3, 9, 66, leaky},
    {1, 64, 72, relu},
    {1, 257, 8, no_act, 1000, 1},
    {2, 100, 12, leaky, -30, 0.5},
};

std::string name_of(const NormCase& c) {
  return fmt::format("{}x{}x{} {} mean {:g}", c.segments, c.rows, c.channels, tests::name_of(c.act), c.mean);
}

// The mean, or 1/sqrt(variance + eps), of every (segment, channel) of port 0.
Generator statistics(const NormSize& s, bool reciprocal_deviation) {
  return [=](int64_t count, uint64_t, const std::vector<Values>& earlier) {
    Values values(count);
    for (int64_t i = 0; i < count; ++i) {
      const double* x = earlier[0].data() + i / s.channels * s.rows * s.channels + i % s.channels;
      double sum = 0, squares = 0;
      for (int64_t r = 0; r < s.rows; ++r) sum += x[r * s.channels];
      for (int64_t r = 0; r < s.rows; ++r) squares += std::pow(x[r * s.channels] - sum / double(s.rows), 2);
      values[i] =
          reciprocal_deviation ? 1 / std::sqrt(squares / double(s.rows) + s.eps) : sum / double(s.rows);
    }
    return values;
  };
}

}  // namespace

template <>
const std::vector<Case<NormFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<NormFwd>> t;
    for (const NormCase& n : norm_cases)
      for (bool affine : {true, false})
        for (bool running : {true, false}) {
          Case<NormFwd> c(name_of(n) + (affine ? "" : " plain") + (running ? " running" : ""),
                          {.size = {n.segments, n.rows, n.channels}, .act = n.act});
          c.fill("x", normals(n.deviation, n.mean));
          if (affine) c.with("gamma", normals(0.2, 1)).with("beta", normals(0.5));
          if (running) c.with("running_mean", normals()).with("running_var", uniform(0.5, 1.5));
          t.push_back(std::move(c));
        }
    for (const NormSize& size : {NormSize{2, 33, 5}, NormSize{1, 1030, 3}})
      t.push_back(Case<NormFwd>(fmt::format("{}x{}x{} add", size.segments, size.rows, size.channels),
                                {.size = size, .act = leaky})
                      .fill("x", normals(1.5, 0.3))
                      .accumulate(Acc::add));
    for (const char* name : {"2x1037x36 leaky_relu 0.2 mean 0.3", "1x64x72 relu mean 0.3 running"})
      t.push_back(part_of_buffers(t, name));
    t.push_back(Case<NormFwd>("large eps, momentum", {.size = {1, 50, 6, 0.8}, .momentum = 0.6})
                    .with("running_mean", normals())
                    .with("running_var", uniform(0.5, 1.5)));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<NormInfer>>& cases() {
  static const auto table = [] {
    std::vector<Case<NormInfer>> t;
    for (const NormCase& n : norm_cases)
      for (bool affine : {true, false}) {
        const int64_t rows = n.segments * n.rows;
        Case<NormInfer> c(name_of(n) + (affine ? "" : " plain"),
                          {.rows = rows, .channels = n.channels, .act = n.act});
        c.fill("x", normals(n.deviation, n.mean));
        if (affine) c.with("gamma", normals(0.2, 1)).with("beta", normals(0.5));
        c.fill("mean", normals(0.1, n.mean)).fill("var", uniform(0.1, 2));
        t.push_back(std::move(c));
      }
    t.push_back(Case<NormInfer>("large eps, add", {.rows = 70, .channels = 9, .eps = 0.8, .act = relu})
                    .fill("mean", normals(0.1))
                    .fill("var", uniform(0.1, 2))
                    .accumulate(Acc::add));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<NormBwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<NormBwd>> t;
    const auto add = [&](const NormCase& n, bool affine, bool dx, bool parameters, Acc acc) {
      const NormSize size{n.segments, n.rows, n.channels};
      Case<NormBwd> c(fmt::format("{}{}{}{}{}", name_of(n), affine ? "" : " plain", dx ? " dx" : "",
                                  parameters ? " dgamma dbeta" : "", name_of(acc)),
                      {.size = size, .act = n.act});
      c.fill("x", normals(n.deviation, n.mean));
      if (affine) c.with("gamma", normals(0.2, 1)).with("beta", normals(0.5));
      c.fill("mean", statistics(size, false)).fill("rstd", statistics(size, true));
      if (dx) c.with("dx");
      if (parameters) c.with("dgamma").with("dbeta");
      c.accumulate(acc);
      t.push_back(std::move(c));
    };
    for (const NormCase& n : norm_cases) {
      add(n, true, true, true, Acc::set);
      add(n, true, true, true, Acc::add);
      add(n, true, true, false, Acc::set);
      add(n, true, false, true, Acc::set);
      add(n, false, true, false, Acc::set);
    }
    for (const char* name : {"2x1037x36 leaky_relu 0.2 mean 0.3", "1x64x72 relu mean 0.3"})
      t.push_back(part_of_buffers(t, name + std::string(" dx dgamma dbeta")));
    return t;
  }();
  return table;
}

namespace {

struct LayerNormCase {
  int groups;
  int64_t rows;
  int channels;
  Activation act = no_act;
  double mean = 0.3, deviation = 1.5;  // of x
};

// No group of one element: the exact gradient is 0 there, and any rounding is infinitely wrong.
const LayerNormCase layer_norm_cases[] = {
    {1, 1, 3},          {3, 1, 7, leaky},        {5, 1, 65, tanh_act},
    {2, 9, 1, relu},    {4, 35, 3, sigmoid_act}, {1, 513, 4, leaky},
    {5, 16, 33, leaky}, {2, 70, 64, relu},       {2, 100, 12, leaky, 1000, 1},
};

std::string name_of(const LayerNormCase& c) {
  return fmt::format("{}x{}x{} {} mean {:g}", c.groups, c.rows, c.channels, tests::name_of(c.act), c.mean);
}

}  // namespace

template <>
const std::vector<Case<LayerNormFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<LayerNormFwd>> t;
    for (const LayerNormCase& n : layer_norm_cases)
      for (bool affine : {true, false})
        for (Acc acc : both) {
          if (acc == Acc::add && !affine) continue;
          Case<LayerNormFwd> c(name_of(n) + (affine ? "" : " plain") + name_of(acc),
                               {.size = {n.groups, n.rows, n.channels}, .act = n.act});
          c.fill("x", normals(n.deviation, n.mean));
          if (affine) c.with("gamma", normals(0.2, 1)).with("beta", normals(0.5));
          c.accumulate(acc);
          t.push_back(std::move(c));
        }
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<LayerNormBwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<LayerNormBwd>> t;
    const auto add = [&](const LayerNormCase& n, bool affine, bool dx, bool parameters, Acc acc) {
      // The groups' statistics are those of one column each.
      const NormSize columns{n.groups, n.rows * n.channels, 1};
      Case<LayerNormBwd> c(fmt::format("{}{}{}{}{}", name_of(n), affine ? "" : " plain", dx ? " dx" : "",
                                       parameters ? " dgamma dbeta" : "", name_of(acc)),
                           {.size = {n.groups, n.rows, n.channels}, .act = n.act});
      c.fill("x", normals(n.deviation, n.mean));
      if (affine) c.with("gamma", normals(0.2, 1)).with("beta", normals(0.5));
      c.fill("mean", statistics(columns, false)).fill("rstd", statistics(columns, true));
      if (dx) c.with("dx");
      if (parameters) c.with("dgamma").with("dbeta");
      c.accumulate(acc);
      t.push_back(std::move(c));
    };
    for (const LayerNormCase& n : layer_norm_cases) {
      add(n, true, true, true, Acc::set);
      add(n, true, true, true, Acc::add);
      add(n, true, false, true, Acc::set);
      add(n, false, true, false, Acc::set);
    }
    return t;
  }();
  return table;
}

namespace {
// The last two are work for many blocks.
const SpectralSize spectral_sizes[] = {{1, 1},        {1, 7},    {5, 1, true},   {33, 18},
                                       {3, 40, true}, {40, 450}, {37, 450, true}};
std::string name_of(const SpectralSize& s) {
  return fmt::format("{}x{}{}", s.outputs, s.others, s.outputs_last ? " outputs last" : "");
}
}  // namespace

// Positive ones: sigma is no small difference then.
template <>
const std::vector<Case<SpectralNormFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<SpectralNormFwd>> t;
    for (const SpectralSize& size : spectral_sizes)
      for (const bool move : {false, true})
        t.push_back(Case<SpectralNormFwd>(name_of(size) + (move ? " move" : ""), {.size = size, .move = move})
                        .fill("w", uniform(0.2, 1.5))
                        .fill("u", uniform(0.1, 1))
                        .fill("v", uniform(0.1, 1)));
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<SpectralNormBwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<SpectralNormBwd>> t;
    for (const SpectralSize& size : spectral_sizes)
      for (const Acc acc : both)
        t.push_back(Case<SpectralNormBwd>(name_of(size) + name_of(acc), {.size = size})
                        .fill("w", normals())
                        .fill("left", normals(0.3))
                        .fill("right", normals(0.3))
                        .fill("sigma", uniform(0.5, 2))
                        .accumulate(acc));
    return t;
  }();
  return table;
}

}  // namespace gan::tests
