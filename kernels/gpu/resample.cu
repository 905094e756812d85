// Pooling, resizing and pixel shuffle (definitions: contract/resample.h; the linear ones axis by axis:
// resample.h).
//
//   resample     y = sum of wy * wx * x over a small rectangle: average pools, bilinear, nearest
//   max_pool     y = the largest of a window
//   pixel_shuffle  channels to pixels, and back
//
// Each of them, also backwards, gathers: a thread owns an element of the output and reads what belongs to it,
// so no two threads write to one place. The pass is bound by memory; neighbouring threads have neighbouring
// channels. Read on: 1 resample, 2 max_pool, 3 pixel_shuffle, 4 launchers, 5 the list of variants.
#include "kernels/shared/resample.h"

#include "kernels/gpu/family.cuh"

namespace gan::GAN_GPU {
namespace {

// Which element of pictures (n, height, width, channels) an index is.
struct Place {
  int64_t n;
  int row, column, channel;
  __device__ Place(int64_t index, int height, int width, int channels) {
    channel = int(index % channels);
    index /= channels;
    column = int(index % width);
    index /= width;
    row = int(index % height);
    n = index / height;
  }
};

// ---- 1 resample ----------------------------------------------------------------------------------------

// backward: `from` is the gradient of the outputs, `to` that of the inputs.
template <class T, bool backward>
__global__ void resample_naive(int64_t count, int channels, ResampleAxis rows, ResampleAxis columns,
                               const T* from, T* to, bool add) {
  const int height = backward ? rows.in : rows.out, width = backward ? columns.in : columns.out;
  const int from_height = backward ? rows.out : rows.in, from_width = backward ? columns.out : columns.in;
  for (int64_t i = first_element(); i < count; i += element_step()) {
    const Place at(i, height, width, channels);
    const IndexRange over_rows = backward ? outputs_of(rows, at.row) : inputs_of(rows, at.row);
    const IndexRange over_columns = backward ? outputs_of(columns, at.column) : inputs_of(columns, at.column);
    float sum = 0;
    for (int row = over_rows.begin; row < over_rows.end; ++row) {
      const float weight = backward ? resample_weight(rows, row, at.row) : resample_weight(rows, at.row, row);
      const T* line = from + (at.n * from_height + row) * from_width * channels + at.channel;
      float line_sum = 0;
      for (int column = over_columns.begin; column < over_columns.end; ++column)
        line_sum += (backward ? resample_weight(columns, column, at.column)
                              : resample_weight(columns, at.column, column)) *
                    to_float(line[int64_t(column) * channels]);
      sum += weight * line_sum;
    }
    put(to, i, sum, add);
  }
}

// ---- 2 max_pool ----------------------------------------------------------------------------------------

// The place of the largest element of the window of output (row, column) in the picture that `x` begins, for
// one channel: the first of equals, or a NaN.
template <class T>
__device__ int64_t largest_of_window(const ResampleSize& s, const PoolWindow& window, const T* x, int row,
                                     int column) {
  const int top = row * window.sh - window.ph, left = column * window.sw - window.pw;
  int64_t place = -1;
  float largest = 0;
  for (int h = max(top, 0); h < min(top + window.kh, s.h); ++h)
    for (int w = max(left, 0); w < min(left + window.kw, s.w); ++w) {
      const int64_t here = (int64_t(h) * s.w + w) * s.c;
      const float value = to_float(x[here]);
      if (place < 0 || value > largest || value != value) {
        place = here;
        largest = value;
      }
    }
  return place;
}

template <class T>
__global__ void max_pool_naive(int64_t count, ResampleSize s, PoolWindow window, const T* x, T* y, bool add) {
  for (int64_t i = first_element(); i < count; i += element_step()) {
    const Place at(i, s.oh, s.ow, s.c);
    const T* picture = x + at.n * s.h * s.w * s.c + at.channel;
    put(y, i, to_float(picture[largest_of_window(s, window, picture, at.row, at.column)]), add);
  }
}

// Looks again for the largest of every window that covers the element, instead of keeping where it was.
template <class T>
__global__ void max_pool_backward_naive(int64_t count, ResampleSize s, PoolWindow window, const T* x,
                                        const T* dy, T* dx, bool add) {
  for (int64_t i = first_element(); i < count; i += element_step()) {
    const Place at(i, s.h, s.w, s.c);
    const T* picture = x + at.n * s.h * s.w * s.c + at.channel;
    const int64_t here = (int64_t(at.row) * s.w + at.column) * s.c;
    const IndexRange rows = windows_over(at.row, s.oh, window.kh, window.sh, window.ph);
    const IndexRange columns = windows_over(at.column, s.ow, window.kw, window.sw, window.pw);
    float sum = 0;
    for (int row = rows.begin; row < rows.end; ++row)
      for (int column = columns.begin; column < columns.end; ++column)
        if (largest_of_window(s, window, picture, row, column) == here)
          sum += to_float(dy[((at.n * s.oh + row) * s.ow + column) * s.c + at.channel]);
    put(dx, i, sum, add);
  }
}

// ---- 3 pixel_shuffle -----------------------------------------------------------------------------------

// The sizes are those of PixelShuffle; the loop runs over the elements of y.
template <class T>
__global__ void pixel_shuffle_naive(int64_t count, int height, int width, int channels, int factor,
                                    bool inverse, const T* x, T* y, bool add) {
  const int deep = channels * factor * factor;
  for (int64_t i = first_element(); i < count; i += element_step()) {
    int64_t from;
    if (inverse) {
      const Place at(i, height, width, deep);
      const int block = at.channel % (factor * factor);
      const int64_t row = (at.n * height + at.row) * factor + block / factor;
      from = (row * width * factor + at.column * factor + block % factor) * channels +
             at.channel / (factor * factor);
    } else {
      const Place at(i, height * factor, width * factor, channels);
      from = ((at.n * height + at.row / factor) * width + at.column / factor) * deep +
             at.channel * factor * factor + at.row % factor * factor + at.column % factor;
    }
    put(y, i, to_float(x[from]), add);
  }
}

// ---- 4 Launchers ---------------------------------------------------------------------------------------

void run_resample(const ResampleFwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    launch(resample_naive<T, false>, grid_for(o.size.y_count()), block_threads, 0, handle_of(stream),
           o.size.y_count(), o.size.c, resample_rows(o.size, o.rule), resample_columns(o.size, o.rule),
           o.x.as<T>(), o.y.as<T>(), o.y.acc == Acc::add);
  });
}
void run_resample_backward(const ResampleBwd& o, Stream& stream) {
  with_type(o.dy.dtype, [&]<class T>(T) {
    launch(resample_naive<T, true>, grid_for(o.size.x_count()), block_threads, 0, handle_of(stream),
           o.size.x_count(), o.size.c, resample_rows(o.size, o.rule), resample_columns(o.size, o.rule),
           o.dy.as<T>(), o.dx.as<T>(), o.dx.acc == Acc::add);
  });
}

void run_max_pool(const MaxPoolFwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    launch(max_pool_naive<T>, grid_for(o.size.y_count()), block_threads, 0, handle_of(stream),
           o.size.y_count(), o.size, o.window, o.x.as<T>(), o.y.as<T>(), o.y.acc == Acc::add);
  });
}
void run_max_pool_backward(const MaxPoolBwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    launch(max_pool_backward_naive<T>, grid_for(o.size.x_count()), block_threads, 0, handle_of(stream),
           o.size.x_count(), o.size, o.window, o.x.as<T>(), o.dy.as<T>(), o.dx.as<T>(), o.dx.acc == Acc::add);
  });
}

void run_pixel_shuffle(const PixelShuffle& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    launch(pixel_shuffle_naive<T>, grid_for(o.count()), block_threads, 0, handle_of(stream), o.count(), o.h,
           o.w, o.c, o.factor, o.inverse, o.x.as<T>(), o.y.as<T>(), o.y.acc == Acc::add);
  });
}

// ---- 5 Variants ----------------------------------------------------------------------------------------

const Variant<ResampleFwd> resample_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<ResampleFwd>, run_resample}};
const Variant<ResampleBwd> resample_backward_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<ResampleBwd>, run_resample_backward}};
const Variant<MaxPoolFwd> max_pool_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<MaxPoolFwd>, run_max_pool}};
const Variant<MaxPoolBwd> max_pool_backward_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<MaxPoolBwd>, run_max_pool_backward}};
const Variant<PixelShuffle> pixel_shuffle_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<PixelShuffle>, run_pixel_shuffle}};

}  // namespace

const ResampleTable resample = {{resample_variants},
                                {resample_backward_variants},
                                {max_pool_variants},
                                {max_pool_backward_variants},
                                {pixel_shuffle_variants}};

}  // namespace gan::GAN_GPU
