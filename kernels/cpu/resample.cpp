// Pooling, resizing and pixel shuffle on the cpu: loops over pixels around short loops over their channels.
//
// The linear ones add up weighted rows of a picture, then weighted pixels of that sum (kernels/shared/resample.h says
// which), the same loops forwards and backwards. Threads take rows of the output; max pooling's gradient, which goes to
// the places of the largest elements, takes a picture each.
#include "kernels/shared/resample.h"

#include <algorithm>
#include <vector>

#include "kernels/cpu/loops.h"

namespace gan::cpu {
namespace {

// What each place of one side of an axis is made of: places of the other side, with weights.
class Taps {
 public:
  Taps(const ResampleAxis& axis, bool backward) {
    const int count = backward ? axis.in : axis.out;
    for (int i = 0; i < count; ++i) ranges_.push_back(backward ? outputs_of(axis, i) : inputs_of(axis, i));
    if (axis.kind == ResampleKind::bilinear) {
      for (int i = 0; i < count; ++i) {
        first_.push_back(int64_t(weights_.size()));
        for (int other = ranges_[size_t(i)].begin; other < ranges_[size_t(i)].end; ++other)
          weights_.push_back(backward ? resample_weight(axis, other, i) : resample_weight(axis, i, other));
      }
      return;
    }
    // Every input has the same weight in an output, so large windows need no large table.
    for (int output = 0; output < axis.out; ++output) weights_.push_back(resample_weight(axis, output, 0));
    for (int i = 0; i < count; ++i) first_.push_back(backward ? ranges_[size_t(i)].begin : i);
    step_ = backward ? 1 : 0;
  }
  // Neighbours that are made alike: as many taps each, of one weight, each a place further. Of a mean of stride 1 that
  // is all but the borders.
  struct Alike {
    int begin = 0, end = 0;   // places
    int first = 0, taps = 0;  // of the first of them
    float weight = 0;
  };
  // The longest row of such.
  Alike longest_alike() const {
    Alike longest;
    for (int i = 0; i < count();) {
      const IndexRange range = ranges_[size_t(i)];
      const int taps = range.end - range.begin;
      Alike here{i, i, range.begin, taps, taps > 0 ? weight(i, range.begin) : 0};
      while (here.end < count() && fits(here)) ++here.end;
      if (here.end - here.begin > longest.end - longest.begin) longest = here;
      i = std::max(here.end, i + 1);
    }
    return longest;
  }
  GAN_INLINE int count() const { return int(ranges_.size()); }
  GAN_INLINE IndexRange range(int i) const { return ranges_[size_t(i)]; }
  GAN_INLINE float weight(int i, int other) const {
    return weights_[size_t(first_[size_t(i)] + (other - ranges_[size_t(i)].begin) * step_)];
  }

 private:
  // Whether the place `alike.end` is like those before it.
  bool fits(const Alike& alike) const {
    const int i = alike.end, first = alike.first + (i - alike.begin);
    const IndexRange range = ranges_[size_t(i)];
    if (range.begin != first || range.end != first + alike.taps) return false;
    for (int other = range.begin; other < range.end; ++other)
      if (weight(i, other) != alike.weight) return false;
    return true;
  }

  std::vector<IndexRange> ranges_;
  std::vector<int64_t> first_;  // of each place: where in weights_ its first tap has its weight
  int64_t step_ = 1;            // from there to the next one's
  std::vector<float> weights_;
};

GAN_TARGET_CLONES
void add_weighted(const float* from, int64_t count, float weight, float* to) {
  for (int64_t i = 0; i < count; ++i) to[i] += weight * from[i];
}

// Of the columns begin <= i < end.
GAN_TARGET_CLONES
void add_pixels(const float* line, const Taps& columns, int begin, int end, int channels, float* to) {
  for (int column = begin; column < end; ++column, to += channels) {
    const IndexRange range = columns.range(column);
    for (int other = range.begin; other < range.end; ++other) {
      const float weight = columns.weight(column, other);
      const float* from = line + int64_t(other) * channels;
      for (int c = 0; c < channels; ++c) to[c] += weight * from[c];
    }
  }
}

// A whole line. Where many columns are alike, tap by tap over all of them, which is a long loop even when pixels have
// few channels; every element adds up the same numbers in the same order.
void add_line(const float* line, const Taps& columns, const Taps::Alike& alike, int channels, float* to) {
  constexpr int kFew = 8;  // columns for which the short loops are as good
  if (alike.end - alike.begin < kFew) return add_pixels(line, columns, 0, columns.count(), channels, to);
  add_pixels(line, columns, 0, alike.begin, channels, to);
  const int64_t many = int64_t(alike.end - alike.begin) * channels;
  for (int tap = 0; tap < alike.taps; ++tap)
    add_weighted(line + int64_t(alike.first + tap) * channels, many, alike.weight,
                 to + int64_t(alike.begin) * channels);
  add_pixels(line, columns, alike.end, columns.count(), channels, to + int64_t(alike.end) * channels);
}

// Pictures of from_height x from_width pixels to pictures of the sides that the taps have.
void run_linear(const Taps& rows, const Taps& columns, int pictures, int from_height, int from_width,
                int channels, const float* from, const Out& out) {
  float* to = out.as<float>();
  const int64_t from_row = int64_t(from_width) * channels, to_row = int64_t(columns.count()) * channels;
  const int height = rows.count();
  const Taps::Alike alike = columns.longest_alike();
  parallel_ranges(int64_t(pictures) * height, std::max(from_row, to_row), [&](int64_t begin, int64_t end) {
    std::vector<float> sum(static_cast<size_t>(from_row));
    const float* line;  // the weighted rows' sum, or the one row there is
    for (int64_t i = begin; i < end; ++i) {
      const float* picture = from + i / height * from_height * from_row;
      const int row = int(i % height);
      const IndexRange range = rows.range(row);
      if (range.end - range.begin == 1 && rows.weight(row, range.begin) == 1) {
        line = picture + range.begin * from_row;
      } else {
        line = sum.data();
        std::fill(sum.begin(), sum.end(), 0.0f);
        for (int other = range.begin; other < range.end; ++other)
          add_weighted(picture + other * from_row, from_row, rows.weight(row, other), sum.data());
      }
      if (out.acc == Acc::set) std::fill_n(to + i * to_row, to_row, 0.0f);
      add_line(line, columns, alike, channels, to + i * to_row);
    }
  });
}

void run(const ResampleFwd& a, Stream&) {
  const ResampleSize& s = a.size;
  const Taps rows(resample_rows(s, a.rule), false), columns(resample_columns(s, a.rule), false);
  run_linear(rows, columns, s.n, s.h, s.w, s.c, a.x.as<float>(), a.y);
}

void run(const ResampleBwd& a, Stream&) {
  const ResampleSize& s = a.size;
  const Taps rows(resample_rows(s, a.rule), true), columns(resample_columns(s, a.rule), true);
  run_linear(rows, columns, s.n, s.oh, s.ow, s.c, a.dy.as<float>(), a.dx);
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
