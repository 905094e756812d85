// Convolution as an implicit matrix product ("implicit GEMM"), for the rungs 2_tiled.cu and 3_mma.cu.
//
// Each direction is a matrix product one of whose matrices exists only as an address calculation: the patches
// of the picture, which would be kh*kw times as large as the picture if they were written out.
//
//                 row                   column          k                    A                     B
//   fwd           (n,oh,ow)             k               (r,s,c)              patches of x          weights
//   bwd_data      (n,h,w)               c               (r,s,k)              patches of dy         weights
//   bwd_weight    k                     (r,s,c)         (n,oh,ow)            dy                    patches of x
//
// The product itself is kernels/gpu/tile.cuh or, on tensor cores, kernels/gpu/mma_tile.cuh: the template parameter
// Rung says which. Here are the sources that tell it where elements lie. Strided bwd_data is cut into stride
// classes, so that nothing is multiplied by the zeros between strided pixels; reflect padding's bwd_data goes
// through the gradient of the padded picture. Groups stay with rung 1.
#pragma once
#include "kernels/gpu/conv/conv.cuh"
#include "kernels/gpu/tile.cuh"

namespace gan::GAN_GPU {

// ---- patches of a picture -----------------------------------------------------------------------------

// Windows of a picture, in a grid: window number i = (n, row, column) has its tap (r, s) at
// (top + row * row_step + r * tap_down, left + column * column_step + s * tap_right) of picture n.
struct Windows {
  int h = 0, w = 0, c = 0;    // of a picture
  int count = 0;              // of windows, over all pictures
  int rows = 0, columns = 0;  // of windows, over one picture
  FastDivision by_rows = {}, by_columns = {}, by_channels = {};
  int top = 0, left = 0, row_step = 0, column_step = 0;
  int taps_down = 0, taps_across = 0;  // at most most_taps
  int tap_down = 0, tap_right = 0;     // may be negative

  static constexpr int most_taps = 15;  // in either direction: as many as the masks below can tell apart

  struct Window {
    int n, row, column;
  };
  __device__ Window window(int i) const {
    const int row = by_columns.quotient(i), n = by_rows.quotient(row);
    return {n, row - n * rows, i - row * columns};
  }
};

// A place in the padded picture as one in the picture; with zero padding it may be outside, where zeros are.
template <bool mirrored>
__device__ __forceinline__ int mirror(int at, int size) {
  // As source_index(): pad < size, so that one mirroring at each edge is enough.
  return mirrored ? min(abs(at), 2 * (size - 1) - at) : at;
}

// Source: line = window, k = (r,s,c), the channel running fastest.
//
// With zero padding a line is the address of its tap (0, 0) and a mask of the taps that fall outside of the
// picture; how far a tap is from the first is the same for all lines. So an element costs a test of the mask and an addition.
// Mirrored taps have no such distance: there each tap is looked up.
template <class T, bool always, bool mirrored>
struct Patches {
  static constexpr bool along_k = true, always_vector = always;
  using Element = T;
  const T* data;  // (n,h,w,c)
  Windows g;
  bool vector;

  struct MaskedLine {
    const T* at;
    uint32_t missing;  // bit r: tap row r is outside; bit 16 + s: tap column s is; beyond: always set
  };
  struct MirroredLine {
    const T* image;
    int top, left, taps_down;  // 0: there is no such window
  };
  using Line = std::conditional_t<mirrored, MirroredLine, MaskedLine>;
  struct Position {
    int channel, r, s;
    uint32_t bits;  // of r and s in `missing`; beyond the last tap one that is always set there
    int distance;   // from tap (0,0), channel 0 to this element
  };

  __device__ Line line(int i) const {
    const auto [n, row, column] = g.window(i);
    const int top = g.top + row * g.row_step, left = g.left + column * g.column_step;
    const T* image = data + int64_t{n} * g.h * g.w * g.c;
    if constexpr (mirrored) {
      return {image, top, left, i < g.count ? g.taps_down : 0};
    } else {
      if (i >= g.count) return {data, ~0u};
      uint32_t missing = 0x80000000u;
#pragma unroll 1
      for (int r = 0, h = top; r < g.taps_down; ++r, h += g.tap_down)
        if (h < 0 || h >= g.h) missing |= 1u << r;
#pragma unroll 1
      for (int s = 0, w = left; s < g.taps_across; ++s, w += g.tap_right)
        if (w < 0 || w >= g.w) missing |= 0x10000u << s;
      return {image + (int64_t{top} * g.w + left) * g.c, missing};
    }
  }
  __device__ Position position(int k) const {
    const int tap = g.by_channels.quotient(k), across = max(g.taps_across, 1);
    Position result = {k - tap * g.c, tap / across, tap % across, 0, 0};
    find(result);
    return result;
  }
  __device__ void advance(Position& k, int step) const {
    k.channel += step;
    k.distance += step;
    if (k.channel < g.c) return;
    do {
      k.channel -= g.c;
      if (++k.s == g.taps_across) k.s = 0, ++k.r;
    } while (k.channel >= g.c);
    find(k);
  }
  __device__ Place<T> place(const Line& line, const Position& k) const {
    if constexpr (mirrored) {
      const int h = mirror<true>(line.top + k.r * g.tap_down, g.h);
      const int w = mirror<true>(line.left + k.s * g.tap_right, g.w);
      return {rows_behind(line.image + k.channel, h * g.w + w, g.c), k.r < line.taps_down};
    } else {
      return {line.at + k.distance, (line.missing & k.bits) == 0};
    }
  }
  __device__ void next(Line&, Position& k) const { advance(k, 1); }

 private:
  __device__ void find(Position& k) const {
    k.bits = k.r < g.taps_down ? 1u << k.r | 0x10000u << k.s : 0x80000000u;
    k.distance = (k.r * g.tap_down * g.w + k.s * g.tap_right) * g.c + k.channel;
  }
};

// The windows of the forward convolution, one for each output pixel.
inline Windows windows_of(const Conv2d& g) {
  return {.h = g.h,
          .w = g.w,
          .c = g.c,
          .count = g.n * g.oh * g.ow,
          .rows = g.oh,
          .columns = g.ow,
          .by_rows = FastDivision(g.oh),
          .by_columns = FastDivision(g.ow),
          .by_channels = FastDivision(g.c),
          .top = -g.ph,
          .left = -g.pw,
          .row_step = g.sh,
          .column_step = g.sw,
          .taps_down = g.kh,
          .taps_across = g.kw,
          .tap_down = g.dh,
          .tap_right = g.dw};
}

// Calls f(always, mirrored) with the flags of Patches.
template <class F>
void with_flags(bool vector, Padding padding, F&& f) {
  with_flag(vector, [&](auto always) {
    with_flag(padding == Padding::reflect, [&](auto mirrored) { f(always, mirrored); });
  });
}

// ---- forward ------------------------------------------------------------------------------------------

template <class Rung>
void fwd_by(const ConvFwd& args, Stream& stream) {
  using T = typename Rung::Element;
  const Conv2d& g = args.size;
  const T *x = args.x.as<T>(), *w = args.w.as<T>();
  const int pixels = g.n * g.oh * g.ow, depth = g.kh * g.kw * g.c;
  const bool x_vector = aligned_rows(x, g.c, Rung::neighbours);
  const bool w_vector = aligned_rows(w, depth, Rung::neighbours);
  with_flags(x_vector && w_vector, g.padding, [&](auto always, auto mirrored) {
    // Rows are pixels of y, columns its channels; the weights lie as (k, kh*kw*c).
    const MatrixProduct<Patches<T, always, mirrored>, MatrixAlongK<T, always>> product{
        {x, windows_of(g), x_vector}, {w, g.k, depth, w_vector}, pixels, g.k, depth};
    run_product<Rung>(plan_tiles<Rung>(pixels, g.k, depth, 1, g.y_count(), always), product,
                      make_epilogue<T>(args.y, args.bias, args.act, g.k), g.y_count(), stream);
  });
}

// ---- backward to the data -----------------------------------------------------------------------------

// Along one axis, input h and tap r meet in output oh = (h + pad - r*dilation) / stride, if that is a whole
// number. So the inputs with the same (h + pad) % stride see the same taps, and all others not at all: a
// class of inputs whose gradient is a small dense convolution. With kernel 4, stride 2: two classes of 2 taps
// instead of 4 taps half wasted.
struct StrideClass {
  int first, count;               // the inputs first, first + stride, ...
  int first_tap, taps, tap_step;  // the taps first_tap, first_tap + tap_step, ...
  int first_out, out_step;  // input number i and tap number t meet in output first_out + i - t * out_step
};

__device__ inline StrideClass stride_class(int remainder, int in_size, int kernel, int stride, int pad,
                                           int dilation) {
  StrideClass result;
  result.first = (remainder + stride - pad % stride) % stride;
  result.count = result.first < in_size ? ceil_div(in_size - result.first, stride) : 0;
  result.tap_step = 1;  // taps that differ by tap_step see the same inputs
  while (result.tap_step * dilation % stride != 0) ++result.tap_step;
  result.first_tap = 0;
  while (result.first_tap < result.tap_step && result.first_tap * dilation % stride != remainder)
    ++result.first_tap;
  const bool any = result.first_tap < result.tap_step && result.first_tap < kernel;
  result.taps = any ? ceil_div(kernel - result.first_tap, result.tap_step) : 0;
  result.first_out = any ? (result.first + pad - result.first_tap * dilation) / stride : 0;  // a whole number
  result.out_step = result.tap_step * dilation / stride;
  return result;
}

// Source: line = input channel, k = (tap number down, tap number across, k) of a pair of stride classes.
template <class T, bool always>
struct ClassWeights {
  static constexpr bool along_k = false, always_vector = always;
  using Element = T;
  const T* data;  // w
  int c, k, kh, kw;
  FastDivision by_k;
  bool vector;
  StrideClass down, across;
  int depth;
  uint32_t taps_across_inverse;  // 2^16 / taps, rounded up: exact for taps up to most_taps x most_taps

  using Line = int;      // the channel
  using Position = int;  // k

  __device__ void choose_class() {
    depth = down.taps * across.taps * k;
    taps_across_inverse =
        (0xffffu + static_cast<uint32_t>(max(across.taps, 1))) / static_cast<uint32_t>(max(across.taps, 1));
  }
  __device__ Line line(int i) const { return i; }
  __device__ Position position(int k_number) const { return k_number; }
  __device__ void advance(Position& k_number, int step) const { k_number += step; }
  __device__ Place<T> place(Line channel, Position k_number) const {
    const int tap = by_k.quotient(k_number), out_channel = k_number - tap * k;
    const int row = static_cast<int>(static_cast<uint32_t>(tap) * taps_across_inverse >> 16);
    const int r = down.first_tap + row * down.tap_step;
    const int s = across.first_tap + (tap - row * across.taps) * across.tap_step;
    return {rows_behind(data + channel, (out_channel * kh + r) * kw + s, c), channel < c && k_number < depth};
  }
  __device__ void next(Line& channel, Position&) const { ++channel; }
};

// A number that is n for the first classes of an axis and n - 1 for the others, as a divisor.
struct ClassDivision {
  int n;
  FastDivision by_n, by_less;

  ClassDivision() = default;
  explicit ClassDivision(int most) : n(most), by_n(most), by_less(std::max(most - 1, 1)) {}
  __device__ FastDivision of(int number) const {
    FastDivision result = by_n;
    if (number != n) result = by_less;
    return result;
  }
};

template <class T, bool always>
struct BackwardDataProduct {
  static constexpr bool always_vector = always;
  Patches<T, always, false> a;  // of dy: line = input pixel of a pair of stride classes
  ClassWeights<T, always> b;
  int rows, columns, depth;
  Conv2d g;
  ClassDivision down_counts, across_counts;

  // part: the remainders of the two stride classes.
  __device__ void choose_part(int part) {
    const StrideClass down = b.down = stride_class(part / g.sw, g.h, g.kh, g.sh, g.ph, g.dh);
    const StrideClass across = b.across = stride_class(part % g.sw, g.w, g.kw, g.sw, g.pw, g.dw);
    b.choose_class();
    Windows& windows = a.g;
    windows.count = rows = g.n * down.count * across.count;
    windows.rows = down.count, windows.columns = across.count;
    windows.by_rows = down_counts.of(down.count), windows.by_columns = across_counts.of(across.count);
    windows.top = down.first_out, windows.left = across.first_out;
    windows.taps_down = down.taps, windows.taps_across = across.taps;
    windows.tap_down = -down.out_step, windows.tap_right = -across.out_step;
    depth = b.depth;
  }
  __device__ int64_t row_start(int row) const {
    const auto [n, row_number, column_number] = a.g.window(row);
    const int h = b.down.first + row_number * g.sh, w = b.across.first + column_number * g.sw;
    return (int64_t{n * g.h + h} * g.w + w) * g.c;
  }
};

// With reflect padding: dx[h,w] = the gradients of the padded picture at (h,w) and at its mirror images.
// padded has `splits` partial sums of (n, h + 2 ph, w + 2 pw, c).
template <class T>
__global__ void fold_mirror_images(Conv2d g, const float* padded, int splits, Epilogue<T> epilogue) {
  const int64_t count = int64_t{g.n} * g.h * g.w * g.c;
  const int padded_h = g.h + 2 * g.ph, padded_w = g.w + 2 * g.pw;
  const int64_t padded_count = int64_t{g.n} * padded_h * padded_w * g.c;
  for (int64_t index = first_element(); index < count; index += element_step()) {
    const int c = static_cast<int>(index % g.c), w = static_cast<int>(index / g.c % g.w);
    const int h = static_cast<int>(index / g.c / g.w % g.h), n = static_cast<int>(index / g.c / g.w / g.h);
    const MirrorImages rows = mirror_images(h, g.h, g.ph, g.padding);
    const MirrorImages columns = mirror_images(w, g.w, g.pw, g.padding);
    float sum = 0;
    for (int i = 0; i < rows.count; ++i)
      for (int j = 0; j < columns.count; ++j) {
        const int64_t pixel = int64_t(n * padded_h + rows.at[i] + g.ph) * padded_w + columns.at[j] + g.pw;
        for (int split = 0; split < splits; ++split) sum += padded[split * padded_count + pixel * g.c + c];
      }
    epilogue.store(index, c, sum);
  }
}

template <class Rung>
void bwd_data_by(const ConvBwdData& args, Stream& stream) {
  using T = typename Rung::Element;
  Conv2d g = args.size;
  const bool reflect = g.padding == Padding::reflect;
  if (reflect) {  // the same convolution of a picture that has its padding within
    g.h += 2 * g.ph, g.w += 2 * g.pw;
    g.ph = g.pw = 0;
    g.padding = Padding::zero;
    gan::check(g);
  }
  const T *dy = args.dy.as<T>(), *w = args.w.as<T>();
  const int most_rows = g.n * ceil_div(g.h, g.sh) * ceil_div(g.w, g.sw);
  const int most_depth = ceil_div(g.kh, g.sh) * ceil_div(g.kw, g.sw) * g.k;  // exact when dilation is 1
  const bool dy_vector = aligned_rows(dy, g.k, Rung::neighbours);
  const bool w_vector = aligned_rows(w, g.c, Rung::neighbours);
  const auto epilogue = make_epilogue<T>(args.dx, args.bias, args.act, g.c);
  with_flag(dy_vector && w_vector, [&](auto always) {
    BackwardDataProduct<T, always> product{};
    product.a.data = dy, product.a.vector = dy_vector;
    Windows& windows = product.a.g;
    windows.h = g.oh, windows.w = g.ow, windows.c = g.k;
    windows.by_channels = FastDivision(g.k);
    windows.row_step = windows.column_step = 1;
    product.b.data = w, product.b.vector = w_vector;
    product.b.c = g.c, product.b.k = g.k, product.b.kh = g.kh, product.b.kw = g.kw;
    product.b.by_k = FastDivision(g.k);
    product.columns = g.c;
    product.g = g;
    product.down_counts = ClassDivision(ceil_div(g.h, g.sh));
    product.across_counts = ClassDivision(ceil_div(g.w, g.sw));
    const TilePlan plan = plan_tiles<Rung>(most_rows, g.c, most_depth, g.sh * g.sw, g.x_count(), always);
    if (!reflect) return run_product<Rung>(plan, product, epilogue, g.x_count(), stream);

    auto* padded = static_cast<float*>(stream.scratch(sizeof(float) * g.x_count() * plan.splits));
    const auto handle = handle_of(stream);
    launch_tiles<Rung>(plan, product, epilogue, padded, g.x_count(), handle);
    launch(fold_mirror_images<T>, grid_for(args.size.x_count()), block_threads, 0, handle, args.size, padded,
           plan.splits, epilogue);
  });
}

// ---- backward to the weights --------------------------------------------------------------------------

// Source: line = (r,s,c), k = window.
template <class T, bool always, bool mirrored>
struct PatchColumns {
  static constexpr bool along_k = false, always_vector = always;
  using Element = T;
  const T* data;  // (n,h,w,c)
  Windows g;
  bool vector;

  struct Line {
    int channel, r, s;
    int top, left;  // of the tap under the first window
  };
  using Position = int;

  __device__ Line line(int i) const {
    const int tap = g.by_channels.quotient(i);
    Line result = {i - tap * g.c, tap / g.taps_across, tap % g.taps_across, 0, 0};
    find(result);
    return result;
  }
  __device__ Position position(int k) const { return k; }
  __device__ void advance(Position& k, int step) const { k += step; }
  __device__ Place<T> place(const Line& tap, Position k) const {
    const auto [n, row, column] = g.window(k);
    const int h = mirror<mirrored>(tap.top + row * g.row_step, g.h);
    const int w = mirror<mirrored>(tap.left + column * g.column_step, g.w);
    const bool in_picture = mirrored || (static_cast<unsigned>(h) < static_cast<unsigned>(g.h) &&
                                         static_cast<unsigned>(w) < static_cast<unsigned>(g.w));
    return {rows_behind(data + tap.channel, (n * g.h + h) * g.w + w, g.c),
            in_picture && k < g.count && tap.r < g.taps_down};
  }
  __device__ void next(Line& tap, Position&) const {
    if (++tap.channel < g.c) return;
    tap.channel = 0;
    if (++tap.s == g.taps_across) tap.s = 0, ++tap.r;
    find(tap);
  }

 private:
  __device__ void find(Line& tap) const {
    tap.top = g.top + tap.r * g.tap_down;
    tap.left = g.left + tap.s * g.tap_right;
  }
};

template <class Rung>
void bwd_weight_by(const ConvBwdWeight& args, Stream& stream) {
  using T = typename Rung::Element;
  const Conv2d& g = args.size;
  const T *x = args.x.as<T>(), *dy = args.dy.as<T>();
  const int pixels = g.n * g.oh * g.ow, columns = g.kh * g.kw * g.c;
  const bool x_vector = aligned_rows(x, g.c, Rung::neighbours);
  const bool dy_vector = aligned_rows(dy, g.k, Rung::neighbours);
  with_flags(x_vector && dy_vector, g.padding, [&](auto always, auto mirrored) {
    // dy lies as (n*oh*ow, k).
    const MatrixProduct<MatrixAlongLines<T, always>, PatchColumns<T, always, mirrored>> product{
        {dy, g.k, pixels, dy_vector}, {x, windows_of(g), x_vector}, g.k, columns, pixels};
    run_product<Rung>(plan_tiles<Rung>(g.k, columns, pixels, 1, g.w_count(), always), product,
                      make_epilogue<float>(args.dw, {}, {}, columns), g.w_count(), stream);
  });
}

// ---- launchers ----------------------------------------------------------------------------------------

// Rung: a template over the type of the activations.
template <template <class> class Rung>
void conv_fwd_by(const ConvFwd& args, Stream& stream) {
  GAN_CHECK(args.size.groups == 1, "{}", to_string(args.size));
  with_type(args.x.dtype, [&](auto type) { fwd_by<Rung<decltype(type)>>(args, stream); });
}

template <template <class> class Rung>
void conv_bwd_data_by(const ConvBwdData& args, Stream& stream) {
  GAN_CHECK(args.size.groups == 1, "{}", to_string(args.size));
  with_type(args.dy.dtype, [&](auto type) { bwd_data_by<Rung<decltype(type)>>(args, stream); });
}

template <template <class> class Rung>
void conv_bwd_weight_by(const ConvBwdWeight& args, Stream& stream) {
  GAN_CHECK(args.size.groups == 1, "{}", to_string(args.size));
  with_type(args.x.dtype, [&](auto type) { bwd_weight_by<Rung<decltype(type)>>(args, stream); });
}

}  // namespace gan::GAN_GPU
