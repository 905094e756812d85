// The layers of our networks as problems for benchmarks: sizes, and random buffers on a device to run them
// on.
#pragma once
#include <vector>

#include "engine/ops.h"
#include "kernels/philox.h"

namespace gan::bench {

// A transposed layer is the mirrored convolution: its forward pass is conv2d_bwd_data, its input gradient
// conv2d_fwd.
struct ConvLayer {
  const char* name;
  Conv2d size;  // without n, oh, ow
};

// Of h x h pictures: kernel 4, and stride 2 with padding 1, or stride 1 with padding `pad`.
constexpr Conv2d halving(int h, int c, int k) {
  return {.h = h, .w = h, .c = c, .k = k, .kh = 4, .kw = 4, .sh = 2, .sw = 2, .ph = 1, .pw = 1};
}
constexpr Conv2d stride1(int h, int c, int k, int pad) {
  return {.h = h, .w = h, .c = c, .k = k, .kh = 4, .kw = 4, .ph = pad, .pw = pad};
}

// DCGAN-64 at width 64 (Radford et al. 2016). G1 to G5 are transposed; G1 sees the noise, D5 gives the logit.
inline const ConvLayer dcgan_layers[] = {
    {"G1", stride1(4, 512, 100, 0)}, {"G2", halving(8, 256, 512)},  {"G3", halving(16, 128, 256)},
    {"G4", halving(32, 64, 128)},    {"G5", halving(64, 3, 64)},    {"D1", halving(64, 3, 64)},
    {"D2", halving(32, 64, 128)},    {"D3", halving(16, 128, 256)}, {"D4", halving(8, 256, 512)},
    {"D5", stride1(4, 512, 1, 0)},
};

// The U-Net of pix2pix on 256x256 pictures (Isola et al. 2017): d1 to d8 down, u8 to u1, transposed, up
// again. The u layers from u7 on see the skip connection beside what comes from below.
inline const ConvLayer unet_layers[] = {
    {"d1", halving(256, 3, 64)},    {"d2", halving(128, 64, 128)}, {"d3", halving(64, 128, 256)},
    {"d4", halving(32, 256, 512)},  {"d5", halving(16, 512, 512)}, {"d6", halving(8, 512, 512)},
    {"d7", halving(4, 512, 512)},   {"d8", halving(2, 512, 512)},  {"u8", halving(2, 512, 512)},
    {"u7", halving(4, 512, 1024)},  {"u6", halving(8, 512, 1024)}, {"u5", halving(16, 512, 1024)},
    {"u4", halving(32, 256, 1024)}, {"u3", halving(64, 128, 512)}, {"u2", halving(128, 64, 256)},
    {"u1", halving(256, 3, 128)},
};

// Its discriminator, which judges 70x70 patches of picture and input side by side.
inline const ConvLayer patch_layers[] = {
    {"P1", halving(256, 6, 64)},      {"P2", halving(128, 64, 128)},  {"P3", halving(64, 128, 256)},
    {"P4", stride1(32, 256, 512, 1)}, {"P5", stride1(31, 512, 1, 1)},
};

// A matrix product; the batch takes the place of the 0.
struct GemmLayer {
  const char* name;
  int m, n, k;
  bool transpose_a, transpose_b;
};
// A hidden layer of the MLP GAN on 28x28 pictures.
inline const GemmLayer mlp_layers[] = {
    {"M1_forward", 0, 1024, 784, false, true},
    {"M1_input_gradient", 0, 784, 1024, false, false},
    {"M1_weight_gradient", 1024, 784, 0, true, false},
};

inline Conv2d with_batch(Conv2d size, int batch) {
  size.n = batch;
  size.oh = Conv2d::out_size(size.h, size.kh, size.sh, size.ph, size.dh);
  size.ow = Conv2d::out_size(size.w, size.kw, size.sw, size.pw, size.dw);
  return size;
}
inline GemmLayer with_batch(GemmLayer layer, int batch) {
  if (layer.m == 0) layer.m = batch;
  if (layer.k == 0) layer.k = batch;
  return layer;
}

// One problem in device memory. `buffers` keeps what `args` points to; the last of them is the result.
template <class Args>
struct Problem {
  Args args;
  double flop = 0;
  std::vector<Tensor> buffers;

  double bytes() const {
    double total = 0;
    for (const auto& buffer : buffers) total += double(buffer.bytes());
    return total;
  }
};

// Normal numbers, for each seed others.
inline Tensor random_buffer(DeviceContext& context, Shape shape, DType type, uint64_t seed) {
  Tensor buffer(context, shape, type);
  RandomNormal args;
  args.count = shape.count();
  args.seed = seed, args.stream = uint32_t(RandomStream::noise);
  args.y = buffer.out();
  context.run(context.kernels().rng.normal, args);
  return buffer;
}

inline Shape x_shape(const Conv2d& s) { return {s.n, s.h, s.w, s.c}; }
inline Shape y_shape(const Conv2d& s) { return {s.n, s.oh, s.ow, s.k}; }
inline Shape w_shape(const Conv2d& s) { return {s.k, s.kh, s.kw, s.c / s.groups}; }

// In training a weight is used several times before it changes, so a device may keep its own copy of it: each
// problem is one version.
inline uint64_t next_weight_version() {
  static uint64_t version = 0;
  return ++version;
}

// Inputs in `type`, the result too, but for the gradient of the weights: `weight_gradient`.
inline void fill(Problem<ConvFwd>& p, DeviceContext& context, const Conv2d& s, DType type, uint64_t seed = 1,
                 DType = DType::f32) {
  p.buffers = {random_buffer(context, x_shape(s), type, seed),
               random_buffer(context, w_shape(s), type, seed + 1), Tensor(context, y_shape(s), type)};
  p.args.size = s, p.args.x = p.buffers[0].in(), p.args.w = p.buffers[1].in(), p.args.y = p.buffers[2].out();
  p.args.w_version = next_weight_version();
  p.flop = s.flop();
}
inline void fill(Problem<ConvBwdData>& p, DeviceContext& context, const Conv2d& s, DType type,
                 uint64_t seed = 1, DType = DType::f32) {
  p.buffers = {random_buffer(context, y_shape(s), type, seed),
               random_buffer(context, w_shape(s), type, seed + 1), Tensor(context, x_shape(s), type)};
  p.args.size = s, p.args.dy = p.buffers[0].in(), p.args.w = p.buffers[1].in();
  p.args.dx = p.buffers[2].out(), p.args.w_version = next_weight_version();
  p.flop = s.flop();
}
inline void fill(Problem<ConvBwdWeight>& p, DeviceContext& context, const Conv2d& s, DType type,
                 uint64_t seed = 1, DType weight_gradient = DType::f32) {
  p.buffers = {random_buffer(context, x_shape(s), type, seed),
               random_buffer(context, y_shape(s), type, seed + 1),
               Tensor(context, w_shape(s), weight_gradient)};
  p.args.size = s, p.args.x = p.buffers[0].in(), p.args.dy = p.buffers[1].in();
  p.args.dw = p.buffers[2].out();
  p.flop = s.flop();
}
inline void fill(Problem<Gemm>& p, DeviceContext& context, const GemmLayer& g, DType type, uint64_t seed = 1,
                 DType = DType::f32) {
  p.buffers = {random_buffer(context, {g.m, g.k}, type, seed),
               random_buffer(context, {g.k, g.n}, type, seed + 1), Tensor(context, {g.m, g.n}, type)};
  p.args.m = g.m, p.args.n = g.n, p.args.k = g.k;
  p.args.transpose_a = g.transpose_a, p.args.transpose_b = g.transpose_b;
  p.args.a = p.buffers[0].in(), p.args.b = p.buffers[1].in(), p.args.c = p.buffers[2].out();
  p.flop = 2.0 * g.m * g.n * g.k;
}

}  // namespace gan::bench
