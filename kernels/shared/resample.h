// One axis of a linear resampling (ResampleFwd in contract/resample.h), for the host and for CUDA: which
// inputs make an output, which outputs an input goes into, and with what weight. All positions are fractions
// of integers, so every device finds the same neighbours, and weights are right to the last bits at any size.
#pragma once
#include "kernels/kernels.h"
#include "kernels/shared/philox.h"  // GAN_HOST_DEVICE

namespace gan {

struct ResampleAxis {
  ResampleKind kind;
  bool align_corners, count_padding;
  int in, out;              // 1 to 16384, so that products of two sizes fit into an int
  int kernel, stride, pad;  // average_pool
};

inline ResampleAxis resample_rows(const ResampleSize& s, const ResampleRule& r) {
  return {r.kind, r.align_corners, r.count_padding, s.h, s.oh, r.window.kh, r.window.sh, r.window.ph};
}
inline ResampleAxis resample_columns(const ResampleSize& s, const ResampleRule& r) {
  return {r.kind, r.align_corners, r.count_padding, s.w, s.ow, r.window.kw, r.window.sw, r.window.pw};
}

struct IndexRange {
  int begin, end;  // none when begin >= end
};

namespace detail {
GAN_HOST_DEVICE int smaller(int a, int b) { return a < b ? a : b; }
GAN_HOST_DEVICE int larger(int a, int b) { return a > b ? a : b; }
// The next integer from a/b upwards, a >= 0, b > 0.
GAN_HOST_DEVICE int divide_up(int a, int b) { return (a + b - 1) / b; }

// Where an output of bilinear lies between its two inputs.
struct Between {
  int low, high;  // neighbours, or the same twice at the end
  float to_high;  // weight of high
};
GAN_HOST_DEVICE Between between(const ResampleAxis& a, int output) {
  const int over = a.align_corners ? larger(a.out - 1, 1) : 2 * a.out;
  const int position =  // of the output on the axis of the inputs, times `over`
      a.align_corners ? (a.out > 1 ? output * (a.in - 1) : 0) : larger((2 * output + 1) * a.in - a.out, 0);
  const int low = position / over;
  return {low, smaller(low + 1, a.in - 1), float(position - low * over) / float(over)};
}
}  // namespace detail

// Outputs whose windows of a pooling cover the input.
GAN_HOST_DEVICE IndexRange windows_over(int input, int out, int kernel, int stride, int pad) {
  const int first = input + pad - kernel + 1;
  return {first > 0 ? detail::divide_up(first, stride) : 0, detail::smaller(out, (input + pad) / stride + 1)};
}

GAN_HOST_DEVICE IndexRange inputs_of(const ResampleAxis& a, int output) {
  switch (a.kind) {
    case ResampleKind::average_pool: {
      const int first = output * a.stride - a.pad;
      return {detail::larger(first, 0), detail::smaller(first + a.kernel, a.in)};
    }
    case ResampleKind::adaptive_average:
      return {output * a.in / a.out, detail::divide_up((output + 1) * a.in, a.out)};
    case ResampleKind::bilinear: {
      const detail::Between b = detail::between(a, output);
      return {b.low, b.high + 1};
    }
    case ResampleKind::nearest: break;
  }
  const int input = output * a.in / a.out;
  return {input, input + 1};
}

// Every output that the input has a weight in; for bilinear perhaps one more at either end, with weight 0.
GAN_HOST_DEVICE IndexRange outputs_of(const ResampleAxis& a, int input) {
  switch (a.kind) {
    case ResampleKind::average_pool: return windows_over(input, a.out, a.kernel, a.stride, a.pad);
    case ResampleKind::adaptive_average:
      return {input * a.out / a.in, detail::divide_up((input + 1) * a.out, a.in)};
    case ResampleKind::bilinear: {
      if (a.in == 1 || a.out == 1) return {0, a.out};
      int begin, end;  // positions above input - 1 and below input + 1
      if (a.align_corners) {
        begin = (input - 1) * (a.out - 1) / (a.in - 1);
        end = (input + 1) * (a.out - 1) / (a.in - 1) + 1;
      } else {
        begin = ((2 * input - 1) * a.out - a.in) / (2 * a.in);
        end = ((2 * input + 3) * a.out - a.in) / (2 * a.in) + 1;
      }
      // The last input also takes what lies beyond it.
      return {detail::larger(begin, 0),
              input == a.in - 1 ? a.out : detail::smaller(detail::larger(end, 0), a.out)};
    }
    case ResampleKind::nearest: break;
  }
  return {detail::divide_up(input * a.out, a.in), detail::divide_up((input + 1) * a.out, a.in)};
}

// Of `input` in `output`.
GAN_HOST_DEVICE float resample_weight(const ResampleAxis& a, int output, int input) {
  switch (a.kind) {
    case ResampleKind::average_pool: {
      const int first = output * a.stride - a.pad, end = first + a.kernel;
      return 1.0f / float(a.count_padding ? detail::smaller(end, a.in + a.pad) - first
                                          : detail::smaller(end, a.in) - detail::larger(first, 0));
    }
    case ResampleKind::adaptive_average: {
      const IndexRange bin = inputs_of(a, output);
      return 1.0f / float(bin.end - bin.begin);
    }
    case ResampleKind::bilinear: {
      const detail::Between b = detail::between(a, output);
      return (input == b.low ? 1.0f - b.to_high : 0.0f) + (input == b.high ? b.to_high : 0.0f);
    }
    case ResampleKind::nearest: break;
  }
  return 1.0f;
}

}  // namespace gan
