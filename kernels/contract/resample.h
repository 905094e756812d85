// Pooling, resizing, pixel shuffle.
#pragma once
#include "kernels/contract/ports.h"
#include "kernels/contract/variant.h"

namespace gan {

// Pictures x (n,h,w,c) and y (n,oh,ow,c): every channel by itself.
struct ResampleSize {
  int n = 0, h = 0, w = 0, c = 0;  // x; h and w at most 16384
  int oh = 0, ow = 0;              // y; likewise
  int64_t x_count() const { return int64_t(n) * h * w * c; }
  int64_t y_count() const { return int64_t(n) * oh * ow * c; }
  bool operator==(const ResampleSize&) const = default;

  void sizes(Sizes& s) {  // of x
    s.size("n", n, 1, 16);
    s.size("h", h, 16, 64);
    s.size("w", w, 16, 64);
    s.size("c", c, 32, 64);
  }
  const char* wrong() const;
};
std::string to_string(const ResampleSize& size);

// Windows of a pooling. The window of output row i is the rows i*sh - ph ... i*sh - ph + kh - 1 that exist.
struct PoolWindow {
  int kh = 1, kw = 1;  // >= 1
  int sh = 1, sw = 1;  // stride, >= 1
  int ph = 0, pw = 0;  // padding at each end, at most half of the window
  // With ceil_mode a last window that hangs over the padding counts, if it begins before it.
  static int out_size(int in, int kernel, int stride, int pad, bool ceil_mode = false) {
    const int out = (in + 2 * pad - kernel + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    return ceil_mode && (out - 1) * stride >= in + pad ? out - 1 : out;
  }
  bool operator==(const PoolWindow&) const = default;

  // Square windows, without ceil_mode; the size of y follows.
  void sizes(Sizes& s, ResampleSize& size);
  const char* wrong(const ResampleSize& size) const;
};
void check(const ResampleSize& size, const PoolWindow& window);

// The linear ones. Each works on rows and columns alike: y = sum of wy * wx * x. With in and out the sizes
// along an axis and i an output:
//   average_pool      the mean of a window. count_padding: zeros of the padding count as elements of it
//   adaptive_average  the mean of inputs floor(i*in/out) ... ceil((i+1)*in/out) - 1 (pyramid pooling)
//   bilinear          between the two inputs next to (i + 1/2) * in/out - 1/2, at least 0; with align_corners
//                     next to i * (in-1)/(out-1): the corners' centres stay where they are. At the end the
//                     last input counts for both. Making smaller skips inputs: it does not smooth.
//   nearest           input floor(i*in/out)
enum class ResampleKind : uint8_t { average_pool, adaptive_average, bilinear, nearest };
struct ResampleRule {
  ResampleKind kind = ResampleKind::nearest;
  bool align_corners = false;  // bilinear
  bool count_padding = true;   // average_pool
  PoolWindow window;           // average_pool

  void sizes(Sizes& s, ResampleSize& size);
  const char* wrong(const ResampleSize& size) const {
    return kind == ResampleKind::average_pool ? window.wrong(size) : size.wrong();
  }
};
void check(const ResampleSize& size, const ResampleRule& rule);

template <class Args>
Extents resample_x(const Args& a) {
  return {a.size.n, a.size.h, a.size.w, a.size.c};
}
template <class Args>
Extents resample_y(const Args& a) {
  return {a.size.n, a.size.oh, a.size.ow, a.size.c};
}

struct ResampleFwd {
  static constexpr const char* op = "resample_fwd";
  ResampleSize size;
  ResampleRule rule;
  In x;
  Out y;

  static constexpr auto ports() {
    return std::array{reads("x", &ResampleFwd::x, resample_x), writes("y", &ResampleFwd::y, resample_y)};
  }
  void sizes(Sizes& s) { rule.sizes(s, size); }
  const char* wrong() const { return rule.wrong(size); }
};
struct ResampleBwd {
  static constexpr const char* op = "resample_bwd";
  ResampleSize size;
  ResampleRule rule;
  In dy;
  Out dx;

  static constexpr auto ports() {
    return std::array{reads("dy", &ResampleBwd::dy, resample_y), writes("dx", &ResampleBwd::dx, resample_x)};
  }
  void sizes(Sizes& s) { rule.sizes(s, size); }
  const char* wrong() const { return rule.wrong(size); }
};

// y = the largest element of each window; padding never is. The gradient goes to the first of equal elements
// (rows from the top, then columns), which the backward pass finds again from x.
struct MaxPoolFwd {
  static constexpr const char* op = "max_pool_fwd";
  ResampleSize size;
  PoolWindow window;
  In x;
  Out y;

  static constexpr auto ports() {
    return std::array{reads("x", &MaxPoolFwd::x, resample_x), writes("y", &MaxPoolFwd::y, resample_y)};
  }
  void sizes(Sizes& s) {
    size.sizes(s);
    window.sizes(s, size);
  }
  const char* wrong() const { return window.wrong(size); }
};
struct MaxPoolBwd {
  static constexpr const char* op = "max_pool_bwd";
  ResampleSize size;
  PoolWindow window;
  In x, dy;
  Out dx;

  static constexpr auto ports() {
    return std::array{reads("x", &MaxPoolBwd::x, resample_x), reads("dy", &MaxPoolBwd::dy, resample_y),
                      writes("dx", &MaxPoolBwd::dx, resample_x)};
  }
  void sizes(Sizes& s) {
    size.sizes(s);
    window.sizes(s, size);
  }
  const char* wrong() const { return window.wrong(size); }
};

// Channels to pixels, in PyTorch's order of channels (Shi et al. 2016), with r = factor:
//   y[n, h*r + i, w*r + j, c] = x[n, h, w, (c*r + i)*r + j],   0 <= i, j < r
// inverse: pixels to channels, the same from y to x; each is the other's gradient.
struct PixelShuffle {
  static constexpr const char* op = "pixel_shuffle";
  int n = 0, h = 0, w = 0;  // of the small picture
  int c = 0;                // of the large picture
  int factor = 1;           // 1 to 256
  bool inverse = false;
  In x;
  Out y;
  int64_t count() const { return int64_t(n) * h * w * c * factor * factor; }

  Extents small() const { return {n, h, w, int64_t(c) * factor * factor}; }
  Extents large() const { return {n, int64_t(h) * factor, int64_t(w) * factor, c}; }
  static constexpr auto ports() {
    return std::array{
        reads("x", &PixelShuffle::x, [](const PixelShuffle& o) { return o.inverse ? o.large() : o.small(); }),
        writes("y", &PixelShuffle::y,
               [](const PixelShuffle& o) { return o.inverse ? o.small() : o.large(); })};
  }
  void sizes(Sizes& s) {
    s.size("n", n, 1, 16);
    s.size("h", h, 8, 32);
    s.size("w", w, 8, 32);
    s.size("c", c, 16, 64);
    s.size("factor", factor, 2, 2);
    s.flag("inverse", inverse);
  }
  const char* wrong() const {
    if (n < 1 || h < 1 || w < 1 || c < 1 || factor < 1 || factor > 256)
      return "sizes must be at least 1, the factor at most 256";
    return int64_t(c) * factor * factor < INT32_MAX && count() < INT32_MAX
               ? nullptr
               : "more than 2^31 elements; use a smaller batch";
  }
};

struct ResampleTable {
  static constexpr const char* family = "resample";
  Op<ResampleFwd> fwd = {};
  Op<ResampleBwd> bwd = {};
  Op<MaxPoolFwd> max_pool_fwd = {};
  Op<MaxPoolBwd> max_pool_bwd = {};
  Op<PixelShuffle> pixel_shuffle = {};

  template <class Table, class F>
  static constexpr void for_each(Table& table, F&& f) {
    f(table.fwd);
    f(table.bwd);
    f(table.max_pool_fwd);
    f(table.max_pool_bwd);
    f(table.pixel_shuffle);
  }
};

}  // namespace gan
