// Pooling, resizing and pixel shuffle on the cpu: loops over pixels around short loops over their channels.
//
// The linear ones add weighted rows of channels (kernels/shared/resample.h says which), the same loop forwards and
// backwards. Threads take rows of the output; max pooling's gradient, which goes to the places of the largest
// elements, takes a picture each.
#include "kernels/shared/resample.h"

#include <vector>

#include "kernels/cpu/loops.h"

namespace gan::cpu {
namespace {

GAN_TARGET_CLONES
void add_weighted(const float* from, int channels, float weight, float* to) {
  for (int c = 0; c < channels; ++c) to[c] += weight * from[c];
}

// One row of pixels of the output, `to` (width, channels), from a whole picture.
template <bool backward>
void resample_row(const float* picture, const ResampleAxis& rows, const ResampleAxis& columns, int row,
                  int channels, bool add, float* to) {
  const int width = backward ? columns.in : columns.out, from_width = backward ? columns.out : columns.in;
  if (!add) std::fill(to, to + int64_t(width) * channels, 0.0f);
  const IndexRange from_rows = backward ? outputs_of(rows, row) : inputs_of(rows, row);
  for (int column = 0; column < width; ++column) {
    const IndexRange from_columns = backward ? outputs_of(columns, column) : inputs_of(columns, column);
    for (int r = from_rows.begin; r < from_rows.end; ++r) {
      const float row_weight = backward ? resample_weight(rows, r, row) : resample_weight(rows, row, r);
      for (int c = from_columns.begin; c < from_columns.end; ++c) {
        const float weight = row_weight * (backward ? resample_weight(columns, c, column)
                                                    : resample_weight(columns, column, c));
        add_weighted(picture + (int64_t(r) * from_width + c) * channels, channels, weight,
                     to + int64_t(column) * channels);
      }
    }
  }
}

void run(const ResampleFwd& a, Stream&) {
  const ResampleSize& s = a.size;
  const float* x = a.x.as<float>();
  float* y = a.y.as<float>();
  const ResampleAxis rows = resample_rows(s, a.rule), columns = resample_columns(s, a.rule);
  parallel_ranges(int64_t(s.n) * s.oh, int64_t(s.ow) * s.c, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      resample_row<false>(x + i / s.oh * s.h * s.w * s.c, rows, columns, int(i % s.oh), s.c,
                          a.y.acc == Acc::add, y + i * s.ow * s.c);
  });
}

void run(const ResampleBwd& a, Stream&) {
  const ResampleSize& s = a.size;
  const float* dy = a.dy.as<float>();
  float* dx = a.dx.as<float>();
  const ResampleAxis rows = resample_rows(s, a.rule), columns = resample_columns(s, a.rule);
  parallel_ranges(int64_t(s.n) * s.h, int64_t(s.w) * s.c, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      resample_row<true>(dy + i / s.h * s.oh * s.ow * s.c, rows, columns, int(i % s.h), s.c,
                         a.dx.acc == Acc::add, dx + i * s.w * s.c);
  });
}

// The largest elements of one window, per channel, and which pixel of the picture each is: the first of
// equals, or a NaN.
void largest_of_window(const ResampleSize& s, const PoolWindow& window, const float* picture, int row,
                       int column, float* largest, int* pixel) {
  const int top = row * window.sh - window.ph, left = column * window.sw - window.pw;
  bool first = true;
  for (int h = std::max(top, 0); h < std::min(top + window.kh, s.h); ++h)
    for (int w = std::max(left, 0); w < std::min(left + window.kw, s.w); ++w, first = false) {
      const int here = h * s.w + w;
      const float* x = picture + int64_t(here) * s.c;
      for (int c = 0; c < s.c; ++c)
        if (first || x[c] > largest[c] || x[c] != x[c]) {
          largest[c] = x[c];
          pixel[c] = here;
        }
    }
}

void run(const MaxPoolFwd& a, Stream&) {
  const ResampleSize& s = a.size;
  const float* x = a.x.as<float>();
  float* y = a.y.as<float>();
  parallel_ranges(int64_t(s.n) * s.oh, int64_t(s.ow) * s.c * 4, [&](int64_t begin, int64_t end) {
    std::vector<float> largest(s.c);
    std::vector<int> pixel(s.c);
    for (int64_t i = begin; i < end; ++i)
      for (int column = 0; column < s.ow; ++column) {
        largest_of_window(s, a.window, x + i / s.oh * s.h * s.w * s.c, int(i % s.oh), column, largest.data(),
                          pixel.data());
        float* to = y + (i * s.ow + column) * s.c;
        for (int c = 0; c < s.c; ++c) to[c] = a.y.acc == Acc::add ? to[c] + largest[c] : largest[c];
      }
  });
}

void run(const MaxPoolBwd& a, Stream&) {
  const ResampleSize& s = a.size;
  const float *x = a.x.as<float>(), *dy = a.dy.as<float>();
  float* dx = a.dx.as<float>();
  const int64_t picture = int64_t(s.h) * s.w * s.c;
  parallel_ranges(s.n, picture * 4, [&](int64_t begin, int64_t end) {
    std::vector<float> largest(s.c);
    std::vector<int> pixel(s.c);
    if (a.dx.acc == Acc::set) std::fill(dx + begin * picture, dx + end * picture, 0.0f);
    for (int64_t n = begin; n < end; ++n)
      for (int row = 0; row < s.oh; ++row)
        for (int column = 0; column < s.ow; ++column) {
          largest_of_window(s, a.window, x + n * picture, row, column, largest.data(), pixel.data());
          const float* from = dy + ((n * s.oh + row) * s.ow + column) * s.c;
          for (int c = 0; c < s.c; ++c) dx[n * picture + int64_t(pixel[c]) * s.c + c] += from[c];
        }
  });
}

void run(const PixelShuffle& a, Stream&) {
  const float* x = a.x.as<float>();
  float* y = a.y.as<float>();
  const int factor = a.factor, blocks = factor * factor, deep = a.c * blocks;
  const bool add = a.y.acc == Acc::add;
  parallel_ranges(int64_t(a.n) * a.h, int64_t(a.w) * deep, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t column = 0; column < a.w; ++column)
        for (int block = 0; block < blocks; ++block) {
          const int64_t small = (row * a.w + column) * deep + block;
          const int64_t large =
              ((row * factor + block / factor) * a.w * factor + column * factor + block % factor) * a.c;
          for (int c = 0; c < a.c; ++c) {
            float& to = y[a.inverse ? small + c * blocks : large + c];
            const float from = x[a.inverse ? large + c : small + c * blocks];
            to = add ? to + from : from;
          }
        }
  });
}

const Variant<ResampleFwd> resample_variants[] = {{"loops", "f32", "any size", f32_only<ResampleFwd>, run}};
const Variant<ResampleBwd> resample_backward_variants[] = {
    {"loops", "f32", "any size", f32_only<ResampleBwd>, run}};
const Variant<MaxPoolFwd> max_pool_variants[] = {{"loops", "f32", "any size", f32_only<MaxPoolFwd>, run}};
const Variant<MaxPoolBwd> max_pool_backward_variants[] = {
    {"loops", "f32", "any size", f32_only<MaxPoolBwd>, run}};
const Variant<PixelShuffle> pixel_shuffle_variants[] = {
    {"loops", "f32", "any size", f32_only<PixelShuffle>, run}};
}  // namespace

const ResampleTable resample = {{resample_variants},
                                {resample_backward_variants},
                                {max_pool_variants},
                                {max_pool_backward_variants},
                                {pixel_shuffle_variants}};

}  // namespace gan::cpu
