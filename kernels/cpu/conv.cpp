// Convolutions on the cpu, in three directions (fwd, bwd_data, bwd_weight; the sizes are in contract/conv.h).
//
// The variants, from the definition upwards:
//   loops    the formula of Conv2d as loops: every size, every padding
//   onednn   oneDNN on plain NHWC buffers; reflect padding by way of a padded copy of x
//   winograd fewer multiplications for large pictures with many channels (winograd.cpp)
//   im2col   few output pixels and many weights (the inner levels of a U-Net): matrix products with the
//            weights as they lie, which oneDNN would lay out anew each time
//   col2im   bwd_data for pictures of few channels (a generator's last layer), where oneDNN leaves most
//            of each vector empty: a matrix product, then a sum of its overlapping patches
//   shifts   fwd and bwd_weight for few output channels (a patch discriminator's last layer), likewise
//   gemm     a kernel as large as the picture (a generator's first layer, a discriminator's last): a matrix
//            product without any layout change
#include "kernels/cpu/conv.h"
#include "kernels/cpu/loops.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/winograd.h"

namespace gan::cpu {
namespace {

// ------------------------------------------------------------------------------------------------- loops

// The row (or column) of x that padded position `i` shows, or -1 for zero padding.
int source(int i, int size, Padding padding) {
  if (i >= 0 && i < size) return i;
  if (padding == Padding::zero) return -1;
  return i < 0 ? -i : 2 * (size - 1) - i;
}

// Calls f(x offset, w offset within one output channel) for every tap of output pixel (oh, ow) that lies on
// the picture: the first input channel of one group, of `group_channels`.
template <class F>
void for_each_tap(const Conv2d& s, int n, int oh, int ow, const F& f) {
  const int group_channels = s.c / s.groups;
  for (int r = 0; r < s.kh; ++r) {
    const int h = source(oh * s.sh - s.ph + r * s.dh, s.h, s.padding);
    if (h < 0) continue;
    for (int q = 0; q < s.kw; ++q) {
      const int w = source(ow * s.sw - s.pw + q * s.dw, s.w, s.padding);
      if (w < 0) continue;
      f(((int64_t(n) * s.h + h) * s.w + w) * s.c, (int64_t(r) * s.kw + q) * group_channels);
    }
  }
}

void naive_fwd(const ConvFwd& a, Stream&) {
  const Conv2d& s = a.size;
  const int group_channels = s.c / s.groups, group_outputs = s.k / s.groups;
  const int64_t filter = int64_t(s.kh) * s.kw * group_channels;
  const float *x = a.x.as<float>(), *w = a.w.as<float>(), *bias = a.bias.as<float>();
  float* y = a.y.as<float>();
  parallel_ranges(int64_t(s.n) * s.oh * s.ow, s.k * filter, [&](int64_t begin, int64_t end) {
    for (int64_t pixel = begin; pixel < end; ++pixel) {
      const int ow = int(pixel % s.ow), oh = int(pixel / s.ow % s.oh), n = int(pixel / s.ow / s.oh);
      for (int k = 0; k < s.k; ++k) {
        const int first = k / group_outputs * group_channels;  // the group's first input channel
        float total = 0;  // of the taps' sums: shorter sums lose fewer digits
        for_each_tap(s, n, oh, ow, [&](int64_t x_at, int64_t w_at) {
          float sum = 0;
          for (int c = 0; c < group_channels; ++c) sum += x[x_at + first + c] * w[k * filter + w_at + c];
          total += sum;
        });
        if (bias) total += bias[k];
        float& out = y[pixel * s.k + k];
        out = a.y.acc == Acc::add ? out + total : total;
      }
    }
  });
  add_bias_and_activate(y, int64_t(s.n) * s.oh * s.ow, s.k, nullptr, a.act);
}

// Every output pixel hands its gradient back to the taps it read; pictures are independent of each other.
void naive_bwd_data(const ConvBwdData& a, Stream&) {
  const Conv2d& s = a.size;
  const int group_channels = s.c / s.groups, group_outputs = s.k / s.groups;
  const int64_t filter = int64_t(s.kh) * s.kw * group_channels, picture = int64_t(s.h) * s.w * s.c;
  const float *dy = a.dy.as<float>(), *w = a.w.as<float>();
  float* dx = a.dx.as<float>();
  parallel_ranges(s.n, s.oh * s.ow * s.k * filter, [&](int64_t begin, int64_t end) {
    for (int n = int(begin); n < end; ++n) {
      if (a.dx.acc == Acc::set) std::fill_n(dx + n * picture, picture, 0.0f);
      for (int oh = 0; oh < s.oh; ++oh)
        for (int ow = 0; ow < s.ow; ++ow)
          for (int k = 0; k < s.k; ++k) {
            const int first = k / group_outputs * group_channels;
            const float gradient = dy[((int64_t(n) * s.oh + oh) * s.ow + ow) * s.k + k];
            for_each_tap(s, n, oh, ow, [&](int64_t x_at, int64_t w_at) {
              for (int c = 0; c < group_channels; ++c)
                dx[x_at + first + c] += gradient * w[k * filter + w_at + c];
            });
          }
    }
  });
  add_bias_and_activate(dx, int64_t(s.n) * s.h * s.w, s.c, a.bias.as<float>(), a.act);
}

void naive_bwd_weight(const ConvBwdWeight& a, Stream&) {
  const Conv2d& s = a.size;
  const int group_channels = s.c / s.groups, group_outputs = s.k / s.groups;
  const int64_t filter = int64_t(s.kh) * s.kw * group_channels;
  const float *x = a.x.as<float>(), *dy = a.dy.as<float>();
  float* dw = a.dw.as<float>();
  parallel_ranges(s.k, int64_t(s.n) * s.oh * s.ow * filter, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      if (a.dw.acc == Acc::set) std::fill_n(dw + k * filter, filter, 0.0f);
      const int first = int(k) / group_outputs * group_channels;
      for (int n = 0; n < s.n; ++n)
        for (int oh = 0; oh < s.oh; ++oh)
          for (int ow = 0; ow < s.ow; ++ow) {
            const float gradient = dy[((int64_t(n) * s.oh + oh) * s.ow + ow) * s.k + k];
            for_each_tap(s, n, oh, ow, [&](int64_t x_at, int64_t w_at) {
              for (int c = 0; c < group_channels; ++c)
                dw[k * filter + w_at + c] += gradient * x[x_at + first + c];
            });
          }
    }
  });
}

// ------------------------------------------------------------------------------------------------ onednn

// The same convolution over a picture that already has its padding.
Conv2d with_padding_in_picture(Conv2d s) {
  s.h += 2 * s.ph, s.w += 2 * s.pw;
  s.ph = s.pw = 0;
  s.padding = Padding::zero;
  return s;
}

// padded (n, h+2ph, w+2pw, c): x with its edges mirrored.
template <class T>
void reflect_pad(const Conv2d& s, const T* x, T* padded) {
  const int padded_h = s.h + 2 * s.ph, padded_w = s.w + 2 * s.pw;
  const size_t pixel = size_t(s.c);
  parallel_ranges(int64_t(s.n) * padded_h, int64_t(padded_w) * s.c, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int h = source(int(row % padded_h) - s.ph, s.h, Padding::reflect);
      const T* from = x + (row / padded_h * s.h + h) * s.w * int64_t(s.c);
      T* to = padded + row * padded_w * int64_t(s.c);
      std::memcpy(to + size_t(s.pw) * pixel, from, size_t(s.w) * pixel * sizeof(T));
      for (int p = 0; p < s.pw; ++p) {
        const int left = source(p - s.pw, s.w, Padding::reflect);
        const int right = source(s.w + p, s.w, Padding::reflect);
        std::memcpy(to + size_t(p) * pixel, from + size_t(left) * pixel, pixel * sizeof(T));
        std::memcpy(to + size_t(s.pw + s.w + p) * pixel, from + size_t(right) * pixel, pixel * sizeof(T));
      }
    }
  });
}

// The padded positions that show row (or column) `i`: itself and up to two mirror images. Returns how many.
int images_of(int i, int size, int pad, int positions[3]) {
  int count = 0;
  positions[count++] = i + pad;
  if (i >= 1 && i <= pad) positions[count++] = pad - i;
  if (i <= size - 2 && i >= size - 1 - pad) positions[count++] = pad + 2 * (size - 1) - i;
  return count;
}

// dx = (or +=) the gradient of a padded picture, folded back: each pixel gathers from all its mirror images.
void reflect_fold(const Conv2d& s, const float* padded, Acc acc, float* dx) {
  const int padded_h = s.h + 2 * s.ph, padded_w = s.w + 2 * s.pw;
  parallel_ranges(int64_t(s.n) * s.h, int64_t(s.w) * s.c, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      int rows[3], columns[3];
      const int row_count = images_of(int(row % s.h), s.h, s.ph, rows);
      const float* picture = padded + row / s.h * padded_h * padded_w * s.c;
      for (int w = 0; w < s.w; ++w) {
        const int column_count = images_of(w, s.w, s.pw, columns);
        float* to = dx + (row * s.w + w) * s.c;
        bool first = acc == Acc::set;
        for (int i = 0; i < row_count; ++i)
          for (int j = 0; j < column_count; ++j, first = false) {
            const float* from = picture + (int64_t(rows[i]) * padded_w + columns[j]) * s.c;
            for (int c = 0; c < s.c; ++c) to[c] = first ? from[c] : to[c] + from[c];
          }
      }
    }
  });
}

// The picture as oneDNN takes it: x, or where borders are mirrored a copy that has them, with the size of that.
In with_borders(Conv2d& s, In x, Stream& stream) {
  if (s.padding == Padding::zero) return x;
  const Conv2d padded = with_padding_in_picture(s);
  void* copy = stream.scratch(size_t(padded.x_count()) * size_of(x.dtype));
  with_type(x.dtype, [&]<class T>(T) { reflect_pad(s, x.as<T>(), static_cast<T*>(copy)); });
  s = padded;
  return {copy, x.dtype};
}

void onednn_fwd(const ConvFwd& a, Stream& stream) {
  Conv2d s = a.size;
  const In x = with_borders(s, a.x, stream);
  onednn_conv_fwd(s, x, a.w, a.w_version, a.bias, a.act, a.y);
}

GAN_TARGET_CLONES
void add_range(const float* x, float* y, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) y[i] += x[i];
}

// oneDNN's gradient of the input neither adds nor ends in bias and activation: those are second passes.
void onednn_bwd_data_f32(const ConvBwdData& a, Stream& stream) {
  const Conv2d& s = a.size;
  float* dx = a.dx.as<float>();
  if (s.padding == Padding::reflect) {
    const Conv2d padded = with_padding_in_picture(s);
    float* gradient = static_cast<float*>(stream.scratch(size_t(padded.x_count()) * sizeof(float)));
    onednn_conv_bwd_data(padded, a.dy, a.w, a.w_version, Out{gradient});
    reflect_fold(s, gradient, a.dx.acc, dx);
  } else if (a.dx.acc == Acc::add) {
    float* gradient = static_cast<float*>(stream.scratch(size_t(s.x_count()) * sizeof(float)));
    onednn_conv_bwd_data(s, a.dy, a.w, a.w_version, Out{gradient});
    parallel_elements(s.x_count(), [&](int64_t begin, int64_t end) { add_range(gradient, dx, begin, end); });
  } else {
    onednn_conv_bwd_data(s, a.dy, a.w, a.w_version, a.dx);
  }
  add_bias_and_activate(dx, int64_t(s.n) * s.h * s.w, s.c, a.bias.as<float>(), a.act);
}

// Where a second pass follows, the first one leaves float32.
void onednn_bwd_data_bf16(const ConvBwdData& a, Stream& stream) {
  const Conv2d& s = a.size;
  const bool mirrored = s.padding == Padding::reflect;
  if (!mirrored && a.dx.acc == Acc::set && !a.bias && a.act.kind == Act::none)
    return onednn_conv_bwd_data(s, a.dy, a.w, a.w_version, a.dx);
  const Conv2d size = mirrored ? with_padding_in_picture(s) : s;
  const int64_t count = (size.x_count() + 31) / 32 * 32;
  float* gradient =
      static_cast<float*>(stream.scratch(size_t(count + (mirrored ? s.x_count() : 0)) * sizeof(float)));
  float* sums = mirrored ? gradient + count : gradient;
  onednn_conv_bwd_data(size, a.dy, a.w, a.w_version, Out{gradient});
  if (mirrored) reflect_fold(s, gradient, Acc::set, sums);
  round_sums(sums, int64_t(s.n) * s.h * s.w, s.c, a.bias.as<float>(), a.act, a.dx.acc, a.dx.as<bf16>());
}

void onednn_bwd_data(const ConvBwdData& a, Stream& stream) {
  if (a.dx.dtype == DType::bf16) onednn_bwd_data_bf16(a, stream);
  else onednn_bwd_data_f32(a, stream);
}

void onednn_bwd_weight(const ConvBwdWeight& a, Stream& stream) {
  Conv2d s = a.size;
  const In x = with_borders(s, a.x, stream);
  onednn_conv_bwd_weight(s, x, a.dy, a.dw);
}

// ------------------------------------------------------------------------------------------------ col2im

// Per band of rows of dx:
//   patches (rows of y that touch the band, OW, kh, kw, C) = dy (.., OW, K) x w (K, kh*kw*C)
//   dx[h,w,c] = sum of the patch elements that lie on (h,w)
// A band's patches stay in a core's second-level cache, and bands are what threads share out.
constexpr int64_t patch_floats = 96 * 1024;  // per thread

struct Band {
  int h_begin, h_end, oh_begin, oh_end;
};
// Band `index` of `count` equal ones, and the rows of y that touch it.
Band band_of(const Conv2d& s, int index, int count) {
  const int begin = int(int64_t(s.h) * index / count), end = int(int64_t(s.h) * (index + 1) / count);
  // oh touches h when h = oh*sh - ph + r*dh for an r in [0, kh).
  const int reach = (s.kh - 1) * s.dh;
  const int low = begin + s.ph - reach;
  return {begin, end, low <= 0 ? 0 : std::min(s.oh, (low + s.sh - 1) / s.sh),
          std::min(s.oh, (end - 1 + s.ph) / s.sh + 1)};
}
int band_count(const Conv2d& s) {
  const int64_t patch_row = int64_t(s.ow) * s.kh * s.kw * s.c;
  const int64_t y_rows = std::max<int64_t>(1, patch_floats / patch_row);
  return int(std::clamp<int64_t>((s.oh + y_rows - 1) / y_rows, 1, s.h));
}

// dx of a band += its patches. Channels are a constant where that is usual, so that the innermost loop
// unrolls.
template <int constant_c>
void add_patches(const Conv2d& s, const Band& band, const float* patches, float* dx) {
  const int channels = constant_c ? constant_c : s.c;
  for (int oh = band.oh_begin; oh < band.oh_end; ++oh)
    for (int r = 0; r < s.kh; ++r) {
      const int h = oh * s.sh - s.ph + r * s.dh;
      if (h < band.h_begin || h >= band.h_end) continue;
      float* to_row = dx + int64_t(h) * s.w * channels;
      const float* from_row = patches + (int64_t(oh - band.oh_begin) * s.ow * s.kh + r) * s.kw * channels;
      for (int ow = 0; ow < s.ow; ++ow) {
        const float* from = from_row + int64_t(ow) * s.kh * s.kw * channels;
        for (int q = 0; q < s.kw; ++q) {
          const int w = ow * s.sw - s.pw + q * s.dw;
          if (w < 0 || w >= s.w) continue;
          for (int c = 0; c < channels; ++c) to_row[w * channels + c] += from[q * channels + c];
        }
      }
    }
}

void col2im_bwd_data(const ConvBwdData& a, Stream& stream) {
  const Conv2d& s = a.size;
  const float *dy = a.dy.as<float>(), *w = a.w.as<float>(), *bias = a.bias.as<float>();
  float* dx = a.dx.as<float>();
  const int filter = s.kh * s.kw * s.c, bands = band_count(s);
  int64_t patch_rows = 0;  // of the largest band
  for (int b = 0; b < bands; ++b) {
    const Band band = band_of(s, b, bands);
    patch_rows = std::max<int64_t>(patch_rows, band.oh_end - band.oh_begin);
  }
  const int64_t room = (patch_rows * s.ow * filter + 31) / 32 * 32;
  float* scratch =
      static_cast<float*>(stream.scratch(size_t(room) * size_t(omp_get_max_threads()) * sizeof(float)));
  parallel_ranges(int64_t(s.n) * bands, patch_rows * s.ow * filter * s.k, [&](int64_t begin, int64_t end) {
    float* patches = scratch + room * (omp_in_parallel() ? omp_get_thread_num() : 0);
    for (int64_t item = begin; item < end; ++item) {
      const int64_t n = item / bands;
      const Band band = band_of(s, int(item % bands), bands);
      float* picture = dx + n * s.h * s.w * s.c;
      float* first = picture + int64_t(band.h_begin) * s.w * s.c;
      const int64_t pixels = int64_t(band.h_end - band.h_begin) * s.w;
      if (a.dx.acc == Acc::set) std::fill_n(first, pixels * s.c, 0.0f);
      if (band.oh_begin < band.oh_end) {
        onednn_gemm(false, false, (band.oh_end - band.oh_begin) * s.ow, filter, s.k,
                    dy + (n * s.oh + band.oh_begin) * s.ow * s.k, w, Acc::set, patches);
        if (s.c == 3) add_patches<3>(s, band, patches, picture);
        else if (s.c == 1) add_patches<1>(s, band, patches, picture);
        else add_patches<0>(s, band, patches, picture);
      }
      add_bias_and_activate(first, pixels, s.c, bias, a.act);
    }
  });
}

const char* fits_col2im(const Conv2d& s) {
  if (s.padding != Padding::zero) return "zero padding only";
  if (s.groups != 1) return "one group only";
  if (s.c > 4) return "more than 4 channels in the picture";
  return nullptr;
}

// ------------------------------------------------------------------------------------------------ shifts

// The mirror image of col2im for few output channels: with stride 1, every tap of the kernel is a 1x1
// convolution whose result is shifted. With the weights read as a matrix (K*kh*kw, C) and pictures as
// (pixels, C):
//   fwd         products (K*kh*kw, pixels) = w x^T;  y[k] = sum over taps of products[k, tap] shifted by the
//   tap bwd_weight  dw = shifted (K*kh*kw, pixels) x (pixels, C);  shifted[k, tap] = dy[k] shifted by the tap

// The columns of x that tap column `q` brings to a column of y, w -> w + pw - q*dw.
struct Columns {
  int begin, end, shift;
};
Columns columns_of(const Conv2d& s, int q) {
  const int shift = s.pw - q * s.dw;
  const int begin = std::max(0, -shift);
  return {begin, std::max(begin, std::min(s.w, s.ow - shift)), shift};
}

// x without reflect padding: size and x stay, or become those of a padded copy at `room`.
void resolve_padding(Conv2d& size, const float*& x, float* room) {
  if (size.padding == Padding::zero) return;
  reflect_pad(size, x, room);
  size = with_padding_in_picture(size), x = room;
}
int64_t padding_room(const Conv2d& s) {
  return s.padding == Padding::zero ? 0 : (with_padding_in_picture(s).x_count() + 31) / 32 * 32;
}

// How the forward pass is cut, and the room in floats that it works in.
struct ShiftsFwdRoom {
  int band_rows, chunk_rows;
  int64_t copy;            // x with its padding, where that is mirrored
  int64_t products, each;  // of one thread: products of a chunk alone, and with the sums of a band
  int64_t floats() const { return copy + each * omp_get_max_threads(); }
};
ShiftsFwdRoom shifts_fwd_room(const Conv2d& s) {
  const int taps = s.k * s.kh * s.kw, reach = (s.kh - 1) * s.dh;
  const int padded_w = s.padding == Padding::zero ? s.w : s.w + 2 * s.pw;
  ShiftsFwdRoom room;
  room.band_rows = std::min(s.oh, std::max(16, 4 * reach));
  room.chunk_rows = int(std::max<int64_t>(1, patch_floats / (int64_t(taps) * padded_w)));
  room.copy = padding_room(s);
  room.products = int64_t(taps) * room.chunk_rows * padded_w;
  room.each = (room.products + int64_t(s.k) * room.band_rows * s.ow + 31) / 32 * 32;
  return room;
}

void shifts_fwd(const ConvFwd& a, Stream& stream) {
  Conv2d s = a.size;
  const float *x = a.x.as<float>(), *w = a.w.as<float>();
  float* y = a.y.as<float>();
  const ShiftsFwdRoom room = shifts_fwd_room(s);
  const int taps = s.k * s.kh * s.kw, reach = (s.kh - 1) * s.dh;
  const int band_rows = room.band_rows, bands = (s.oh + band_rows - 1) / band_rows;
  const int64_t plane = int64_t(band_rows) * s.ow;
  float* scratch = static_cast<float*>(stream.scratch(size_t(room.floats()) * sizeof(float)));
  resolve_padding(s, x, scratch);

  parallel_ranges(int64_t(s.n) * bands, plane * taps * s.c, [&](int64_t first_item, int64_t last_item) {
    float* products = scratch + room.copy + room.each * (omp_in_parallel() ? omp_get_thread_num() : 0);
    float* sums = products + room.products;  // (K, band rows, OW)
    for (int64_t item = first_item; item < last_item; ++item) {
      const int64_t n = item / bands;
      const int oh_begin = int(item % bands) * band_rows, oh_end = std::min(s.oh, oh_begin + band_rows);
      std::fill_n(sums, s.k * plane, 0.0f);
      const int h_end = std::min(s.h, oh_end - s.ph + reach);
      for (int h = std::max(0, oh_begin - s.ph); h < h_end; h += room.chunk_rows) {
        const int rows = std::min(room.chunk_rows, h_end - h), pixels = rows * s.w;
        onednn_gemm(false, true, taps, pixels, s.c, w, x + (n * s.h + h) * s.w * s.c, Acc::set, products);
        for (int tap = 0; tap < taps; ++tap) {
          const int k = tap / (s.kh * s.kw), r = tap / s.kw % s.kh;
          const Columns columns = columns_of(s, tap % s.kw);
          for (int row = 0; row < rows; ++row) {
            const int oh = h + row + s.ph - r * s.dh;
            if (oh < oh_begin || oh >= oh_end) continue;
            add_range(products + int64_t(tap) * pixels + row * s.w,
                      sums + k * plane + int64_t(oh - oh_begin) * s.ow + columns.shift, columns.begin,
                      columns.end);
          }
        }
      }
      const int64_t band_pixels = int64_t(oh_end - oh_begin) * s.ow;
      float* to = y + (n * s.oh + oh_begin) * s.ow * s.k;
      for (int64_t i = 0; i < band_pixels; ++i)
        for (int k = 0; k < s.k; ++k) {
          float& out = to[i * s.k + k];
          out = sums[k * plane + i] + (a.y.acc == Acc::add ? out : 0.0f);
        }
      add_bias_and_activate(to, band_pixels, s.k, a.bias.as<float>(), a.act);
    }
  });
}

struct ShiftsBwdWeightRoom {
  int64_t chunk_rows, copy, shifted;
  int64_t floats() const { return copy + shifted; }
};
ShiftsBwdWeightRoom shifts_bwd_weight_room(const Conv2d& s) {
  const int64_t taps = int64_t(s.k) * s.kh * s.kw;
  const int padded_w = s.padding == Padding::zero ? s.w : s.w + 2 * s.pw;
  const int64_t chunk_rows = std::max<int64_t>(1, 8 * patch_floats / (taps * padded_w));
  return {chunk_rows, padding_room(s), taps * chunk_rows * padded_w};
}

void shifts_bwd_weight(const ConvBwdWeight& a, Stream& stream) {
  Conv2d s = a.size;
  const float *x = a.x.as<float>(), *dy = a.dy.as<float>();
  const int taps = s.k * s.kh * s.kw;
  const ShiftsBwdWeightRoom room = shifts_bwd_weight_room(s);
  float* scratch = static_cast<float*>(stream.scratch(size_t(room.floats()) * sizeof(float)));
  resolve_padding(s, x, scratch);
  float* shifted = scratch + room.copy;

  const int64_t all_rows = int64_t(s.n) * s.h;  // of all pictures, which follow each other in memory
  for (int64_t first = 0; first < all_rows; first += room.chunk_rows) {
    const int64_t rows = std::min(room.chunk_rows, all_rows - first), pixels = rows * s.w;
    parallel_ranges(taps, pixels, [&](int64_t begin, int64_t end) {
      for (int64_t tap = begin; tap < end; ++tap) {
        const int64_t k = tap / (s.kh * s.kw);
        const int r = int(tap / s.kw) % s.kh;
        const Columns columns = columns_of(s, int(tap % s.kw));
        std::fill_n(shifted + tap * pixels, pixels, 0.0f);
        for (int64_t row = 0; row < rows; ++row) {
          const int64_t n = (first + row) / s.h, oh = (first + row) % s.h + s.ph - r * s.dh;
          if (oh < 0 || oh >= s.oh) continue;
          const float* from = dy + ((n * s.oh + oh) * s.ow + columns.shift) * s.k + k;
          float* to = shifted + tap * pixels + row * s.w;
          for (int64_t w = columns.begin; w < columns.end; ++w) to[w] = from[w * s.k];
        }
      }
    });
    onednn_gemm(false, false, taps, s.c, int(pixels), shifted, x + first * s.w * s.c,
                first == 0 ? a.dw.acc : Acc::add, a.dw.as<float>());
  }
}

const char* fits_shifts(const Conv2d& s) {
  if (s.sh != 1 || s.sw != 1) return "stride 1 only";
  if (s.groups != 1) return "one group only";
  if (s.k > 4) return "more than 4 output channels";
  if (s.kh * s.kw == 1 || s.c < 16) return "a larger kernel and at least 16 input channels only";
  return nullptr;
}

// ------------------------------------------------------------------------------------------------ im2col

// For few output pixels and many weights (the inner levels of a U-Net at a small batch): what costs time is
// reading the weights, so they are read once, where they lie, and not laid out anew for oneDNN. With P =
// N*OH*OW output pixels and filters of F = kh*kw*C weights:
//   fwd         y^T (K,P) = w (K,F) x patches^T (F,P)
//   bwd_data    patches (P,F) = dy (P,K) x w (K,F);  dx sums the patches' elements that lie on a pixel
//   bwd_weight  dw (K,F) = dy^T (K,P) x patches (P,F)
// Measured: with fewer weights or more pixels nothing is gained over the other variants.
constexpr int64_t fewest_weights = 32 << 10, most_patches = 64;

int64_t patch_count(const Conv2d& s) { return int64_t(s.n) * s.oh * s.ow; }
int64_t filter_size(const Conv2d& s) { return int64_t(s.kh) * s.kw * s.c; }

// The pixel of x (counted over all pictures) that tap (r, q) of output pixel `p` reads, or -1 for padding.
int64_t pixel_under_tap(const Conv2d& s, int64_t p, int r, int q) {
  const int h = int(p / s.ow % s.oh) * s.sh - s.ph + r * s.dh, w = int(p % s.ow) * s.sw - s.pw + q * s.dw;
  if (h < 0 || h >= s.h || w < 0 || w >= s.w) return -1;
  return (p / s.ow / s.oh * s.h + h) * s.w + w;
}

// patches (P,F), zero where a tap lies on padding.
template <class T>
void take_patches(const Conv2d& s, const T* x, T* patches) {
  const int64_t count = patch_count(s), filter = filter_size(s);
  parallel_ranges(count * s.kh, int64_t(s.kw) * s.c, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t p = item / s.kh;
      const int r = int(item % s.kh);
      for (int q = 0; q < s.kw; ++q) {
        T* to = patches + p * filter + (int64_t(r) * s.kw + q) * s.c;
        const int64_t pixel = pixel_under_tap(s, p, r, q);
        if (pixel < 0) std::fill_n(to, s.c, T{});
        else std::copy_n(x + pixel * s.c, s.c, to);
      }
    }
  });
}

// patches^T (F,P): with few columns, the order in which oneDNN's product is fast.
void take_patches_transposed(const Conv2d& s, const float* x, float* patches) {
  const int64_t count = patch_count(s);
  parallel_ranges(int64_t(s.kh) * s.kw, count * s.c, [&](int64_t begin, int64_t end) {
    for (int64_t tap = begin; tap < end; ++tap) {
      float* to = patches + tap * s.c * count;
      for (int64_t p = 0; p < count; ++p) {
        const int64_t pixel = pixel_under_tap(s, p, int(tap / s.kw), int(tap % s.kw));
        for (int64_t c = 0; c < s.c; ++c) to[c * count + p] = pixel < 0 ? 0.0f : x[pixel * s.c + c];
      }
    }
  });
}

// The output row (or column) that reads position `i` of x with tap `tap`, or -1.
int output_of(int i, int tap, int stride, int pad, int dilation, int out) {
  const int at = i + pad - tap * dilation;
  return at >= 0 && at % stride == 0 && at / stride < out ? at / stride : -1;
}

// dx = (or +=) the sum of the patches' elements on each pixel: every pixel gathers its own.
void gather_patches(const Conv2d& s, const float* patches, Acc acc, float* dx) {
  const int64_t filter = filter_size(s);
  parallel_ranges(int64_t(s.n) * s.h, int64_t(s.w) * s.c * 4, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / s.h;
      float* to = dx + row * s.w * s.c;
      if (acc == Acc::set) std::fill_n(to, int64_t(s.w) * s.c, 0.0f);
      for (int r = 0; r < s.kh; ++r) {
        const int oh = output_of(int(row % s.h), r, s.sh, s.ph, s.dh, s.oh);
        if (oh < 0) continue;
        for (int w = 0; w < s.w; ++w)
          for (int q = 0; q < s.kw; ++q) {
            const int ow = output_of(w, q, s.sw, s.pw, s.dw, s.ow);
            if (ow < 0) continue;
            const int64_t p = (n * s.oh + oh) * s.ow + ow;
            add_range(patches + p * filter + (int64_t(r) * s.kw + q) * s.c, to + int64_t(w) * s.c, 0, s.c);
          }
      }
    }
  });
}

int64_t whole_lines(int64_t floats) { return (floats + 31) / 32 * 32; }

void im2col_fwd_f32(const ConvFwd& a, Stream& stream) {
  const Conv2d& s = a.size;
  const int64_t count = patch_count(s), filter = filter_size(s);
  float* patches =
      static_cast<float*>(stream.scratch(size_t(whole_lines(filter * count) + s.k * count) * sizeof(float)));
  float *transposed = patches + whole_lines(filter * count), *y = a.y.as<float>();
  take_patches_transposed(s, a.x.as<float>(), patches);
  onednn_gemm(false, false, s.k, int(count), int(filter), a.w.as<float>(), patches, Acc::set, transposed);
  parallel_ranges(count, s.k, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p)
      for (int64_t k = 0; k < s.k; ++k) {
        float& out = y[p * s.k + k];
        out = transposed[k * count + p] + (a.y.acc == Acc::add ? out : 0.0f);
      }
  });
  add_bias_and_activate(y, count, s.k, a.bias.as<float>(), a.act);
}

// The same in bfloat16, whose product is fast either way.
void im2col_fwd_bf16(const ConvFwd& a, Stream& stream) {
  const Conv2d& s = a.size;
  const int64_t count = patch_count(s), filter = filter_size(s);
  float* room = static_cast<float*>(stream.scratch(size_t(whole_lines(count * s.k)) * sizeof(float) +
                                                   size_t(filter * count) * sizeof(bf16)));
  bf16* patches = reinterpret_cast<bf16*>(room + whole_lines(count * s.k));
  take_patches(s, a.x.as<bf16>(), patches);
  multiply(false, true, int(count), s.k, int(filter), patches, a.w.as<bf16>(), a.bias.as<float>(), a.act, a.y,
           room);
}
void im2col_fwd(const ConvFwd& a, Stream& stream) {
  if (a.x.dtype == DType::bf16) im2col_fwd_bf16(a, stream);
  else im2col_fwd_f32(a, stream);
}

void im2col_bwd_data(const ConvBwdData& a, Stream& stream) {
  const Conv2d& s = a.size;
  const int64_t count = patch_count(s), filter = filter_size(s), pixels = int64_t(s.n) * s.h * s.w;
  const int64_t sums = a.dx.dtype == DType::bf16 ? s.x_count() : 0;
  float* patches =
      static_cast<float*>(stream.scratch(size_t(whole_lines(filter * count) + sums) * sizeof(float)));
  with_type(a.dy.dtype, [&]<class T>(T) {
    multiply(false, false, int(count), int(filter), s.k, a.dy.as<T>(), a.w.as<T>(), nullptr, {}, Out{patches},
             nullptr);
  });
  if (a.dx.dtype == DType::f32) {
    gather_patches(s, patches, a.dx.acc, a.dx.as<float>());
    return add_bias_and_activate(a.dx.as<float>(), pixels, s.c, a.bias.as<float>(), a.act);
  }
  float* gathered = patches + whole_lines(filter * count);
  gather_patches(s, patches, Acc::set, gathered);
  round_sums(gathered, pixels, s.c, a.bias.as<float>(), a.act, a.dx.acc, a.dx.as<bf16>());
}

// One row of dw, a weighted sum of few patches: a row stays in the cache while they are added.
template <class T>
GAN_TARGET_CLONES void sum_of_patches(const T* patches, int64_t count, int64_t filter, const T* dy,
                                      int64_t dy_stride, bool accumulate, float* __restrict dw) {
  for (int64_t p = 0; p < count; ++p) {
    const float factor = to_float(dy[p * dy_stride]);
    const T* patch = patches + p * filter;
    if (p == 0 && !accumulate)
      for (int64_t f = 0; f < filter; ++f) dw[f] = factor * to_float(patch[f]);
    else
      for (int64_t f = 0; f < filter; ++f) dw[f] += factor * to_float(patch[f]);
  }
}

void im2col_bwd_weight(const ConvBwdWeight& a, Stream& stream) {
  const Conv2d& s = a.size;
  const int64_t count = patch_count(s), filter = filter_size(s);
  with_type(a.x.dtype, [&]<class T>(T) {
    T* patches = static_cast<T*>(stream.scratch(size_t(filter * count) * sizeof(T)));
    const T* dy = a.dy.as<T>();
    float* dw = a.dw.as<float>();
    take_patches(s, a.x.as<T>(), patches);
    if (count > 4)
      return multiply(true, false, s.k, int(filter), int(count), dy, patches, nullptr, {}, a.dw, nullptr);
    parallel_ranges(s.k, filter * count, [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k)
        sum_of_patches(patches, count, filter, dy + k, s.k, a.dw.acc == Acc::add, dw + k * filter);
    });
  });
}

const char* fits_im2col(const Conv2d& s) {
  if (s.padding != Padding::zero) return "zero padding only";
  if (s.groups != 1) return "one group only";
  if (s.w_count() < fewest_weights) return "less than 32768 weights";
  return patch_count(s) > most_patches ? "more than 64 output pixels" : nullptr;
}

// -------------------------------------------------------------------------------------------------- gemm

// With a kernel as large as the picture every output is 1x1 and a picture is one row of h*w*c numbers:
//   y (N,K) = x (N,hwc) w (K,hwc)^T     dx (N,hwc) = dy (N,K) w (K,hwc)     dw (K,hwc) = dy (N,K)^T x (N,hwc)
const char* is_one_product(const Conv2d& s) {
  const bool covers = s.ph == 0 && s.pw == 0 && s.kh == s.h && s.kw == s.w && (s.kh == 1 || s.dh == 1) &&
                      (s.kw == 1 || s.dw == 1);
  if (!covers) return "the kernel does not cover the picture exactly";
  return s.groups == 1 ? nullptr : "one group only";
}

// Room for the sums of a bfloat16 result.
float* room_for_sums(const Out& to, int64_t count, Stream& stream) {
  return to.dtype == DType::bf16 ? static_cast<float*>(stream.scratch(size_t(count) * sizeof(float)))
                                 : nullptr;
}
void gemm_fwd(const ConvFwd& a, Stream& stream) {
  const Conv2d& s = a.size;
  with_type(a.y.dtype, [&]<class T>(T) {
    multiply(false, true, s.n, s.k, s.h * s.w * s.c, a.x.as<T>(), a.w.as<T>(), a.bias.as<float>(), a.act, a.y,
             room_for_sums(a.y, s.y_count(), stream));
  });
}
// bias and activation are the picture's channels', which are not the product's columns.
void gemm_bwd_data(const ConvBwdData& a, Stream& stream) {
  const Conv2d& s = a.size;
  const int64_t pixels = int64_t(s.n) * s.h * s.w;
  if (a.dx.dtype == DType::f32) {
    multiply(false, false, s.n, s.h * s.w * s.c, s.k, a.dy.as<float>(), a.w.as<float>(), nullptr, {}, a.dx,
             nullptr);
    return add_bias_and_activate(a.dx.as<float>(), pixels, s.c, a.bias.as<float>(), a.act);
  }
  float* sums = room_for_sums(a.dx, s.x_count(), stream);
  multiply(false, false, s.n, s.h * s.w * s.c, s.k, a.dy.as<bf16>(), a.w.as<bf16>(), nullptr, {}, Out{sums},
           nullptr);
  round_sums(sums, pixels, s.c, a.bias.as<float>(), a.act, a.dx.acc, a.dx.as<bf16>());
}
void gemm_bwd_weight(const ConvBwdWeight& a, Stream&) {
  const Conv2d& s = a.size;
  with_type(a.x.dtype, [&]<class T>(T) {
    multiply(true, false, s.k, s.h * s.w * s.c, s.n, a.dy.as<T>(), a.x.as<T>(), nullptr, {}, a.dw, nullptr);
  });
}

// ---------------------------------------------------------------------------------------- the variants

// Of a variant for some sizes.
template <const char* (*size_fits)(const Conv2d&), class Args>
const char* some_sizes(const Args& a) {
  const char* why = f32_only(a);
  return why ? why : size_fits(a.size);
}
// Of a variant that lets the library multiply bfloat16 numbers, where the processor can.
template <class Args>
const char* f32_or_products_of_bf16(const Args& a) {
  if (values_are(DType::f32, a)) return nullptr;
  if (!values_are(DType::bf16, a)) return "values must be all float32 or all bfloat16";
  return multiplies_bf16() ? nullptr : "this processor has no products of bfloat16 numbers";
}
template <const char* (*size_fits)(const Conv2d&), class Args>
const char* sizes_of_either(const Args& a) {
  const char* why = f32_or_products_of_bf16(a);
  return why ? why : size_fits(a.size);
}

// Of bfloat16 numbers oneDNN is slower than col2im and shifts, on float32 copies, where those fit.
template <class Args>
const char* fits_onednn(const Args& a) {
  if (const char* why = f32_or_products_of_bf16(a)) return why;
  const bool better_converted =
      std::is_same_v<Args, ConvBwdData> ? !fits_col2im(a.size) : !fits_shifts(a.size);
  // What no output pixel meets it leaves unwritten in the gradient of such weights, where it is 0.
  const bool reaches_out = std::is_same_v<Args, ConvBwdWeight> && ((a.size.kh - 1) * a.size.dh >= a.size.h ||
                                                                   (a.size.kw - 1) * a.size.dw >= a.size.w);
  if (values_are(DType::bf16, a) && reaches_out) return "a kernel larger than the picture";
  return values_are(DType::bf16, a) && better_converted ? "float32 copies are faster for so few channels"
                                                        : nullptr;
}

// The transforms of few channels cost more than products of bfloat16 numbers that they save; gradients of weights, which
// oneDNN is slow at, are another matter.
template <class Args>
const char* winograd_sizes(const Args& a) {
  if (const char* why = sizes_of_either<fits_winograd>(a)) return why;
  const bool few = std::min(a.size.c, a.size.k) < 128 && !std::is_same_v<Args, ConvBwdWeight> &&
                   forced_variant(Args::op) != "winograd";
  return values_are(DType::bf16, a) && few ? "less than 128 channels of bfloat16, unless forced" : nullptr;
}

void winograd_fwd_variant(const ConvFwd& a, Stream& stream) {
  winograd_fwd(a, stream);
  with_type(a.y.dtype, [&]<class T>(T) {
    add_bias_and_activate(a.y.as<T>(), patch_count(a.size), a.size.k, a.bias.as<float>(), a.act);
  });
}
void winograd_bwd_data_variant(const ConvBwdData& a, Stream& stream) {
  winograd_bwd_data(a, stream);
  with_type(a.dx.dtype, [&]<class T>(T) {
    add_bias_and_activate(a.dx.as<T>(), int64_t(a.size.n) * a.size.h * a.size.w, a.size.c, a.bias.as<float>(),
                          a.act);
  });
}
void winograd_bwd_weight_variant(const ConvBwdWeight& a, Stream& stream) { winograd_bwd_weight(a, stream); }

constexpr const char* any_size = "any size; bfloat16 where the processor multiplies it";
constexpr const char* few_outputs = "up to 4 output channels, stride 1, 16 or more input channels";
constexpr const char* large_area = "4x4 stride 2 or 1, 3x3 stride 1; channels in 16s, 64 or more tiles";
constexpr const char* few_patches = "32768 or more weights, up to 64 output pixels, zero padding";
constexpr const char* product_only = "kernel as large as the picture, no padding";

const Variant<ConvFwd> fwd_variants[] = {
    {"loops", "f32", "any size", f32_only<ConvFwd>, naive_fwd},
    {"onednn", "f32 bf16", any_size, fits_onednn<ConvFwd>, onednn_fwd},
    {"winograd", "f32 bf16", large_area, winograd_sizes<ConvFwd>, winograd_fwd_variant, 1.7, false, 0.007},
    {"im2col", "f32 bf16", few_patches, sizes_of_either<fits_im2col>, im2col_fwd},
    {"shifts", "f32", few_outputs, some_sizes<fits_shifts>, shifts_fwd},
    {"gemm", "f32 bf16", product_only, sizes_of_either<is_one_product>, gemm_fwd},
};
const Variant<ConvBwdData> bwd_data_variants[] = {
    {"loops", "f32", "any size", f32_only<ConvBwdData>, naive_bwd_data},
    {"onednn", "f32 bf16", any_size, fits_onednn<ConvBwdData>, onednn_bwd_data},
    {"winograd", "f32 bf16", large_area, winograd_sizes<ConvBwdData>, winograd_bwd_data_variant, 1.7, false,
     0.01},
    {"im2col", "f32 bf16", few_patches, sizes_of_either<fits_im2col>, im2col_bwd_data},
    {"col2im", "f32", "up to 4 channels in x, zero padding", some_sizes<fits_col2im>, col2im_bwd_data},
    {"gemm", "f32 bf16", product_only, sizes_of_either<is_one_product>, gemm_bwd_data},
};
const Variant<ConvBwdWeight> bwd_weight_variants[] = {
    {"loops", "f32", "any size", f32_only<ConvBwdWeight>, naive_bwd_weight},
    {"onednn", "f32 bf16", any_size, fits_onednn<ConvBwdWeight>, onednn_bwd_weight},
    {"winograd", "f32 bf16", large_area, winograd_sizes<ConvBwdWeight>, winograd_bwd_weight_variant, 1.5,
     false, 0.01},
    {"im2col", "f32 bf16", few_patches, sizes_of_either<fits_im2col>, im2col_bwd_weight},
    {"shifts", "f32", few_outputs, some_sizes<fits_shifts>, shifts_bwd_weight},
    {"gemm", "f32 bf16", product_only, sizes_of_either<is_one_product>, gemm_bwd_weight},
};
}  // namespace

const ConvTable conv = {{fwd_variants}, {bwd_data_variants}, {bwd_weight_variants}};

size_t shifts_fwd_scratch_bytes(const Conv2d& size) {
  return size_t(shifts_fwd_room(size).floats()) * sizeof(float);
}
size_t shifts_bwd_weight_scratch_bytes(const Conv2d& size) {
  return size_t(shifts_bwd_weight_room(size).floats()) * sizeof(float);
}

}  // namespace gan::cpu
