// Convolutions in two dimensions, in three directions.
#pragma once
#include "kernels/contract/ports.h"
#include "kernels/contract/variant.h"

namespace gan {

enum class Padding : uint8_t { zero, reflect };

// Sizes of a 2-D convolution x (N,H,W,C) -> y (N,OH,OW,K) with weights w (K,kh,kw,C/groups):
//   y[n,oh,ow,k] = sum over r,s,c of x[n, oh*sh - ph + r*dh, ow*sw - pw + s*dw, c] * w[k,r,s,c]
// The output size is explicit because several input sizes share one: H may be anything that makes
// out_size(H, ...) == OH. A transposed convolution is the mirrored convolution run backwards: its input is y,
// its output is x, and its weight is the mirrored one's.
struct Conv2d {
  int n = 0, h = 0, w = 0, c = 0;   // x
  int oh = 0, ow = 0, k = 0;        // y
  int kh = 1, kw = 1;               // kernel
  int sh = 1, sw = 1;               // stride, >= 1
  int ph = 0, pw = 0;               // padding before the first row and column, >= 0
  int dh = 1, dw = 1;               // dilation, >= 1
  int groups = 1;                   // 1 or c; k % groups == 0
  Padding padding = Padding::zero;  // reflect mirrors without repeating the edge: ph < h, pw < w

  static int out_size(int in, int kernel, int stride, int pad, int dilation) {
    return (in + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
  }
  Extents x_extents() const { return {n, h, w, c}; }
  Extents y_extents() const { return {n, oh, ow, k}; }
  Extents w_extents() const { return {k, kh, kw, groups >= 1 ? c / groups : 0}; }
  int64_t x_count() const { return int64_t(n) * h * w * c; }
  int64_t y_count() const { return int64_t(n) * oh * ow * k; }
  int64_t w_count() const { return int64_t(k) * kh * kw * (c / groups); }
  double flop() const { return 2.0 * double(y_count()) * kh * kw * (c / groups); }  // one direction
  bool operator==(const Conv2d&) const = default;

  // Square kernels, strides and pads; oh and ow follow.
  void sizes(Sizes& s);
  const char* wrong() const;
};
// Throws unless the sizes are a convolution that can be computed.
void check(const Conv2d& size);
std::string to_string(const Conv2d& size);

// The extents of x, y and w for all three directions.
template <class Args>
Extents conv_x(const Args& a) {
  return a.size.x_extents();
}
template <class Args>
Extents conv_y(const Args& a) {
  return a.size.y_extents();
}
template <class Args>
Extents conv_w(const Args& a) {
  return a.size.w_extents();
}

// y = act(conv(x, w) + bias)
struct ConvFwd {
  static constexpr const char* op = "conv2d_fwd";
  Conv2d size;
  In x, w, bias;
  Activation act;  // needs y.acc == set
  Out y;
  // Not 0: w's contents have this version, and a device may keep a re-laid-out copy until it changes.
  uint64_t w_version = 0;

  static constexpr auto ports() {
    return std::array{
        reads("x", &ConvFwd::x, conv_x), reads("w", &ConvFwd::w, conv_w),
        reads(
            "bias", &ConvFwd::bias, [](const ConvFwd& a) -> Extents { return {a.size.k}; }, Kind::float32)
            .optional(),
        writes("y", &ConvFwd::y, conv_y)};
  }
  void sizes(Sizes& s) {
    size.sizes(s);
    s.seldom("bias");
    s.activation(act);
  }
  const char* wrong() const {
    const char* why = size.wrong();
    return why ? why : act.wrong_with(y);
  }
};

// dx = act(gradient of x + bias): with bias and act, the forward pass of a transposed convolution.
struct ConvBwdData {
  static constexpr const char* op = "conv2d_bwd_data";
  Conv2d size;
  In dy, w, bias;
  Activation act;  // needs dx.acc == set
  Out dx;
  uint64_t w_version = 0;

  static constexpr auto ports() {
    return std::array{reads("dy", &ConvBwdData::dy, conv_y), reads("w", &ConvBwdData::w, conv_w),
                      reads(
                          "bias", &ConvBwdData::bias,
                          [](const ConvBwdData& a) -> Extents { return {a.size.c}; }, Kind::float32)
                          .optional(),
                      writes("dx", &ConvBwdData::dx, conv_x)};
  }
  void sizes(Sizes& s) {
    size.sizes(s);
    s.seldom("bias");
    s.activation(act);
  }
  const char* wrong() const {
    const char* why = size.wrong();
    return why ? why : act.wrong_with(dx);
  }
};

struct ConvBwdWeight {
  static constexpr const char* op = "conv2d_bwd_weight";
  Conv2d size;
  In x, dy;
  Out dw;

  static constexpr auto ports() {
    return std::array{reads("x", &ConvBwdWeight::x, conv_x), reads("dy", &ConvBwdWeight::dy, conv_y),
                      writes("dw", &ConvBwdWeight::dw, conv_w, Kind::float32)};
  }
  void sizes(Sizes& s) { size.sizes(s); }
  const char* wrong() const { return size.wrong(); }
};

struct ConvTable {
  static constexpr const char* family = "conv";
  Op<ConvFwd> fwd = {};
  Op<ConvBwdData> bwd_data = {};
  Op<ConvBwdWeight> bwd_weight = {};

  template <class Table, class F>
  static constexpr void for_each(Table& table, F&& f) {
    f(table.fwd);
    f(table.bwd_data);
    f(table.bwd_weight);
  }
};

}  // namespace gan
