// Convolution, rung 1: naive. The formula of Conv2d (kernels/contract/conv.h) read off loop by loop,
//
//   fwd          y[n,oh,ow,k]  = sum over r,s,c      x[n, h(oh,r), w(ow,s), c] * w[k,r,s,c]
//   bwd_data     dx[n,h,w,c]   = sum over r,s,k     dy[n, oh(h,r), ow(w,s), k] * w[k,r,s,c]
//   bwd_weight   dw[k,r,s,c]   = sum over n,oh,ow   dy[n,oh,ow,k] * x[n, h(oh,r), w(ow,s), c]
//
// with h(oh,r) = oh*sh - ph + r*dh and oh(h,r) its inverse where there is one. Every size, stride, dilation,
// padding and number of groups works; each output re-reads everything it needs from global memory. These
// kernels stay for ever as what the faster ones are compared with, and they are what depthwise convolutions
// run on, where channels share nothing.
#include "kernels/gpu/conv/conv.cuh"

namespace gan::GAN_GPU {
namespace {

// ---- forward: one thread per output -------------------------------------------------------------------

template <class T>
__global__ void conv_fwd_naive_kernel(Conv2d g, const T* x, const T* weight, Epilogue<T> epilogue) {
  const int group_c = g.c / g.groups, group_k = g.k / g.groups;
  const int64_t count = int64_t{g.n} * g.oh * g.ow * g.k;
  for (int64_t index = first_element(); index < count; index += element_step()) {
    const int k = static_cast<int>(index % g.k), ow = static_cast<int>(index / g.k % g.ow);
    const int oh = static_cast<int>(index / g.k / g.ow % g.oh),
              n = static_cast<int>(index / g.k / g.ow / g.oh);
    const int first_c = k / group_k * group_c;
    float sum = 0;
    for (int r = 0; r < g.kh; ++r) {
      const int h = source_index(oh * g.sh - g.ph + r * g.dh, g.h, g.padding);
      for (int s = 0; s < g.kw; ++s) {
        const int w = source_index(ow * g.sw - g.pw + s * g.dw, g.w, g.padding);
        if (h < 0 || w < 0) continue;
        const T* pixel = x + (int64_t(n * g.h + h) * g.w + w) * g.c + first_c;  // (group_c)
        const T* tap = weight + (int64_t(k * g.kh + r) * g.kw + s) * group_c;   // (group_c)
        for (int c = 0; c < group_c; ++c) sum += to_float(pixel[c]) * to_float(tap[c]);
      }
    }
    epilogue.store(index, k, sum);
  }
}

template <class T>
void fwd_typed(const ConvFwd& args, Stream& stream) {
  launch(conv_fwd_naive_kernel<T>, grid_for(args.size.y_count()), block_threads, 0, handle_of(stream),
         args.size, args.x.as<T>(), args.w.as<T>(),
         make_epilogue<T>(args.y, args.bias, args.act, args.size.k));
}

// ---- backward to the data: one thread per input
// ---------------------------------------------------------------- A gather: the thread looks for the outputs
// that read its input, rather than each output adding to the inputs that it read, so nothing is added to by
// two threads. With reflect padding an input is read at its mirror images as well.

// The output row (or column) whose tap number r reads padded coordinate `at`, or -1.
__device__ __forceinline__ int output_index(int at, int r, int out_size, int stride, int pad, int dilation) {
  const int start = at + pad - r * dilation;
  return start >= 0 && start % stride == 0 && start / stride < out_size ? start / stride : -1;
}

template <class T>
__global__ void conv_bwd_data_naive_kernel(Conv2d g, const T* dy, const T* weight, Epilogue<T> epilogue) {
  const int group_c = g.c / g.groups, group_k = g.k / g.groups;
  const int64_t count = int64_t{g.n} * g.h * g.w * g.c;
  for (int64_t index = first_element(); index < count; index += element_step()) {
    const int c = static_cast<int>(index % g.c), w = static_cast<int>(index / g.c % g.w);
    const int h = static_cast<int>(index / g.c / g.w % g.h), n = static_cast<int>(index / g.c / g.w / g.h);
    const int group = c / group_c, first_k = group * group_k;
    const MirrorImages rows = mirror_images(h, g.h, g.ph, g.padding);
    const MirrorImages columns = mirror_images(w, g.w, g.pw, g.padding);
    float sum = 0;
    for (int i = 0; i < rows.count; ++i)
      for (int r = 0; r < g.kh; ++r) {
        const int oh = output_index(rows.at[i], r, g.oh, g.sh, g.ph, g.dh);
        if (oh < 0) continue;
        for (int j = 0; j < columns.count; ++j)
          for (int s = 0; s < g.kw; ++s) {
            const int ow = output_index(columns.at[j], s, g.ow, g.sw, g.pw, g.dw);
            if (ow < 0) continue;
            const T* gradient = dy + (int64_t(n * g.oh + oh) * g.ow + ow) * g.k;  // (k)
            for (int k = first_k; k < first_k + group_k; ++k)
              sum += to_float(gradient[k]) *
                     to_float(weight[(int64_t(k * g.kh + r) * g.kw + s) * group_c + (c - group * group_c)]);
          }
      }
    epilogue.store(index, c, sum);
  }
}

template <class T>
void bwd_data_typed(const ConvBwdData& args, Stream& stream) {
  launch(conv_bwd_data_naive_kernel<T>, grid_for(args.size.x_count()), block_threads, 0, handle_of(stream),
         args.size, args.dy.as<T>(), args.w.as<T>(),
         make_epilogue<T>(args.dx, args.bias, args.act, args.size.c));
}

// ---- backward to the weights: one warp per weight -----------------------------------------------------
// The sum runs over every pixel of the batch, so its 32 lanes each take every 32nd pixel and then add up in
// a fixed tree.

template <class T>
__global__ void conv_bwd_weight_naive_kernel(Conv2d g, const T* x, const T* dy, Epilogue<float> epilogue) {
  const int group_c = g.c / g.groups, group_k = g.k / g.groups;
  const int64_t warp = first_element() / 32, count = int64_t{g.k} * g.kh * g.kw * group_c;
  if (warp >= count) return;  // the whole warp
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int c_in_group = static_cast<int>(warp % group_c), s = static_cast<int>(warp / group_c % g.kw);
  const int r = static_cast<int>(warp / group_c / g.kw % g.kh),
            k = static_cast<int>(warp / group_c / g.kw / g.kh);
  const int c = k / group_k * group_c + c_in_group, pixels = g.n * g.oh * g.ow;
  float sum = 0;
  for (int64_t pixel = lane; pixel < pixels; pixel += 32) {
    const int ow = static_cast<int>(pixel % g.ow), oh = static_cast<int>(pixel / g.ow % g.oh);
    const int n = static_cast<int>(pixel / g.ow / g.oh);
    const int h = source_index(oh * g.sh - g.ph + r * g.dh, g.h, g.padding);
    const int w = source_index(ow * g.sw - g.pw + s * g.dw, g.w, g.padding);
    if (h >= 0 && w >= 0)
      sum += to_float(dy[pixel * g.k + k]) * to_float(x[(int64_t(n * g.h + h) * g.w + w) * g.c + c]);
  }
  sum = warp_sum(sum);
  if (lane == 0) epilogue.store(warp, 0, sum);
}

template <class T>
void bwd_weight_typed(const ConvBwdWeight& args, Stream& stream) {
  const auto blocks = static_cast<unsigned>(ceil_div(args.size.w_count(), int64_t{block_threads / 32}));
  launch(conv_bwd_weight_naive_kernel<T>, blocks, block_threads, 0, handle_of(stream), args.size,
         args.x.as<T>(), args.dy.as<T>(), make_epilogue<float>(args.dw, {}, {}, 1));
}

}  // namespace

// ---- launchers ----------------------------------------------------------------------------------------

void conv_fwd_naive(const ConvFwd& args, Stream& stream) {
  with_type(args.x.dtype, [&](auto type) { fwd_typed<decltype(type)>(args, stream); });
}

void conv_bwd_data_naive(const ConvBwdData& args, Stream& stream) {
  with_type(args.dy.dtype, [&](auto type) { bwd_data_typed<decltype(type)>(args, stream); });
}

void conv_bwd_weight_naive(const ConvBwdWeight& args, Stream& stream) {
  with_type(args.x.dtype, [&](auto type) { bwd_weight_typed<decltype(type)>(args, stream); });
}

}  // namespace gan::GAN_GPU
