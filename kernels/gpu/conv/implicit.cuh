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

// A tap and a channel: one k of the patch matrices, the channel running fastest.
struct Tap {
  int r, s, channel;
};
__device__ __forceinline__ Tap tap_at(int k, int taps_across, int channels) {
  const int tap = k / channels;
  return {tap / taps_across, tap % taps_across, k % channels};
}
// Moves on by `step`, without a division: k runs through the whole matrix, a few channels at a time.
__device__ __forceinline__ void advance_tap(Tap& tap, int step, int taps_across, int channels) {
  tap.channel += step;
  while (tap.channel >= channels) {
    tap.channel -= channels;
    if (++tap.s == taps_across) tap.s = 0, ++tap.r;
  }
}

// ---- forward ------------------------------------------------------------------------------------------

// The part of the picture under one output pixel: image is x[n], (top, left) the place of tap (0,0).
template <class T>
struct Window {
  const T* image;  // (h,w,c); null: there is no such output pixel
  int top, left;
};

// The channels (c) of the picture under tap (r,s) of a window; null where they are zeros.
template <class T>
__device__ __forceinline__ const T* pixel_under(const Conv2d& g, const Window<T>& window, int r, int s) {
  const int h = source_index(window.top + r * g.dh, g.h, g.padding);
  const int w = source_index(window.left + s * g.dw, g.w, g.padding);
  return h < 0 || w < 0 ? nullptr : window.image + int64_t(h * g.w + w) * g.c;
}

// Source: line = output pixel, k = (r,s,c).
template <class T>
struct Patches {
  static constexpr bool along_k = true;
  using Element = T;
  const T* data;  // x
  Conv2d g;
  bool vector;

  using Line = Window<T>;
  using Position = Tap;

  __device__ Line line(int i) const {
    if (i >= g.n * g.oh * g.ow) return {nullptr, 0, 0};
    const int ow = i % g.ow, oh = i / g.ow % g.oh, n = i / g.ow / g.oh;
    return {data + int64_t{n} * g.h * g.w * g.c, oh * g.sh - g.ph, ow * g.sw - g.pw};
  }
  __device__ Position position(int k) const { return tap_at(k, g.kw, g.c); }
  __device__ void advance(Position& tap, int step) const { advance_tap(tap, step, g.kw, g.c); }
  __device__ const T* address(const Line& window, const Position& tap) const {
    if (!window.image || tap.r >= g.kh) return nullptr;
    const T* pixel = pixel_under(g, window, tap.r, tap.s);
    return pixel ? pixel + tap.channel : nullptr;
  }
  __device__ void next(Line&, Position& tap) const { advance(tap, 1); }
};

template <class Rung>
void fwd_by(const ConvFwd& args, Stream& stream) {
  using T = typename Rung::Element;
  const Conv2d& g = args.size;
  const T *x = args.x.as<T>(), *w = args.w.as<T>();
  const int pixels = g.n * g.oh * g.ow, depth = g.kh * g.kw * g.c;
  // Rows are pixels of y, columns its channels; the weights lie as (k, kh*kw*c).
  const MatrixProduct<Patches<T>, MatrixAlongK<T>> product{
      {x, g, aligned_rows(x, g.c, Rung::neighbours)},
      {w, g.k, depth, aligned_rows(w, depth, Rung::neighbours)},
      pixels,
      g.k,
      depth};
  run_product<Rung>(plan_tiles<Rung>(pixels, g.k, depth, 1, g.y_count()), product,
                    make_epilogue<T>(args.y, args.bias, args.act, g.k), g.y_count(), stream);
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

// Source: line = input pixel of a pair of stride classes, k = (tap number down, tap number across, k).
template <class T>
struct GradientPatches {
  static constexpr bool along_k = true;
  using Element = T;
  const T* data;  // dy
  Conv2d g;
  bool vector;
  StrideClass down, across;

  struct Line {
    const T* image;  // dy[n], (oh,ow,k); null: there is no such input pixel
    int oh, ow;      // where the pixel meets the first taps
  };
  using Position = Tap;

  __device__ Line line(int i) const {
    if (i >= g.n * down.count * across.count) return {nullptr, 0, 0};
    const int column = i % across.count, row = i / across.count % down.count;
    const int n = i / across.count / down.count;
    return {data + int64_t{n} * g.oh * g.ow * g.k, down.first_out + row, across.first_out + column};
  }
  __device__ Position position(int k) const { return tap_at(k, max(across.taps, 1), g.k); }
  __device__ void advance(Position& tap, int step) const { advance_tap(tap, step, across.taps, g.k); }
  __device__ const T* address(const Line& line, const Position& tap) const {
    const int oh = line.oh - tap.r * down.out_step, ow = line.ow - tap.s * across.out_step;
    const bool inside = tap.r < down.taps && oh >= 0 && oh < g.oh && ow >= 0 && ow < g.ow;
    return line.image && inside ? line.image + int64_t(oh * g.ow + ow) * g.k + tap.channel : nullptr;
  }
  __device__ void next(Line&, Position& tap) const { advance(tap, 1); }
};

// Source: line = input channel, k as in GradientPatches.
template <class T>
struct ClassWeights {
  static constexpr bool along_k = false;
  using Element = T;
  const T* data;  // w
  Conv2d g;
  bool vector;
  StrideClass down, across;

  using Line = int;  // the channel
  using Position = Tap;

  __device__ Line line(int i) const { return i; }
  __device__ Position position(int k) const { return tap_at(k, max(across.taps, 1), g.k); }
  __device__ void advance(Position& tap, int step) const { advance_tap(tap, step, across.taps, g.k); }
  __device__ const T* address(Line c, const Position& tap) const {
    if (c >= g.c || tap.r >= down.taps) return nullptr;
    const int r = down.first_tap + tap.r * down.tap_step, s = across.first_tap + tap.s * across.tap_step;
    return data + (int64_t(tap.channel * g.kh + r) * g.kw + s) * g.c + c;
  }
  __device__ void next(Line& c, Position&) const { ++c; }
};

template <class T>
struct BackwardDataProduct {
  GradientPatches<T> a;
  ClassWeights<T> b;
  int rows, columns, depth;

  // part: the remainders of the two stride classes.
  __device__ void choose_part(int part) {
    const Conv2d& g = a.g;
    a.down = b.down = stride_class(part / g.sw, g.h, g.kh, g.sh, g.ph, g.dh);
    a.across = b.across = stride_class(part % g.sw, g.w, g.kw, g.sw, g.pw, g.dw);
    rows = g.n * a.down.count * a.across.count;
    depth = a.down.taps * a.across.taps * g.k;
  }
  __device__ int64_t row_start(int row) const {
    const int column_number = row % a.across.count, row_number = row / a.across.count % a.down.count;
    const int n = row / a.across.count / a.down.count;
    const int h = a.down.first + row_number * a.g.sh, w = a.across.first + column_number * a.g.sw;
    return (int64_t(n * a.g.h + h) * a.g.w + w) * a.g.c;
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
  BackwardDataProduct<T> product{};
  product.a.data = dy, product.a.g = g, product.a.vector = aligned_rows(dy, g.k, Rung::neighbours);
  product.b.data = w, product.b.g = g, product.b.vector = aligned_rows(w, g.c, Rung::neighbours);
  product.columns = g.c;
  const auto epilogue = make_epilogue<T>(args.dx, args.bias, args.act, g.c);
  const TilePlan plan = plan_tiles<Rung>(most_rows, g.c, most_depth, g.sh * g.sw, g.x_count());
  if (!reflect) return run_product<Rung>(plan, product, epilogue, g.x_count(), stream);

  auto* padded = static_cast<float*>(stream.scratch(sizeof(float) * g.x_count() * plan.splits));
  const auto handle = handle_of(stream);
  launch_tiles<Rung>(plan, product, epilogue, padded, g.x_count(), handle);
  launch(fold_mirror_images<T>, grid_for(args.size.x_count()), block_threads, 0, handle, args.size, padded,
         plan.splits, epilogue);
}

// ---- backward to the weights --------------------------------------------------------------------------

// Source: line = (r,s,c), k = output pixel.
template <class T>
struct PatchColumns {
  static constexpr bool along_k = false;
  using Element = T;
  const T* data;  // x
  Conv2d g;
  bool vector;

  using Line = Tap;
  struct Position {
    int n, oh, ow;
  };

  __device__ Line line(int i) const { return tap_at(i, g.kw, g.c); }
  __device__ Position position(int k) const { return {k / g.ow / g.oh, k / g.ow % g.oh, k % g.ow}; }
  __device__ void advance(Position& pixel, int step) const {
    pixel.ow += step;
    while (pixel.ow >= g.ow) {
      pixel.ow -= g.ow;
      if (++pixel.oh == g.oh) pixel.oh = 0, ++pixel.n;
    }
  }
  __device__ const T* address(const Line& tap, const Position& output) const {
    if (output.n >= g.n || tap.r >= g.kh) return nullptr;
    const Window<T> window = {data + int64_t{output.n} * g.h * g.w * g.c, output.oh * g.sh - g.ph,
                              output.ow * g.sw - g.pw};
    const T* pixel = pixel_under(g, window, tap.r, tap.s);
    return pixel ? pixel + tap.channel : nullptr;
  }
  __device__ void next(Line& tap, Position&) const { advance_tap(tap, 1, g.kw, g.c); }
};

template <class Rung>
void bwd_weight_by(const ConvBwdWeight& args, Stream& stream) {
  using T = typename Rung::Element;
  const Conv2d& g = args.size;
  const T *x = args.x.as<T>(), *dy = args.dy.as<T>();
  const int pixels = g.n * g.oh * g.ow, columns = g.kh * g.kw * g.c;
  // dy lies as (n*oh*ow, k).
  const MatrixProduct<MatrixAlongLines<T>, PatchColumns<T>> product{
      {dy, g.k, pixels, aligned_rows(dy, g.k, Rung::neighbours)},
      {x, g, aligned_rows(x, g.c, Rung::neighbours)},
      g.k,
      columns,
      pixels};
  run_product<Rung>(plan_tiles<Rung>(g.k, columns, pixels, 1, g.w_count()), product,
                    make_epilogue<float>(args.dw, {}, {}, columns), g.w_count(), stream);
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
