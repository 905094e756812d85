// The layers of our networks as problems for benchmarks: sizes, and random buffers on a device to run them
// on.
#pragma once
#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "engine/tensor/ops.h"
#include "kernels/shared/philox.h"

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

// The sizes of an operation in training (contract/ports.h), divided by `shrink` for a rehearsal.
class UsualSizes : public Sizes {
 public:
  explicit UsualSizes(int shrink) : shrink_(shrink) {}
  using Sizes::choice, Sizes::size;
  void size(const char*, int64_t& value, int64_t small, int64_t usual, int64_t) override {
    value = std::max(usual / shrink_, std::min(small, usual));
  }
  void choice(const char*, int& value, std::initializer_list<const char*>) override { value = 0; }
  void seldom(const char* port) override { absent_.insert(port); }
  bool takes(const char* port) const { return !absent_.count(port); }

 private:
  int shrink_;
  std::set<std::string> absent_;
};

// The arguments of an operation without buffers: of its usual sizes, or of a layer.
template <class Args>
Args usual_arguments(int shrink) {
  UsualSizes sizes(shrink);
  Args args;
  args.sizes(sizes);
  return args;
}
template <class Args>
Args arguments_of(const Conv2d& size) {
  Args args;
  args.size = size;
  return args;
}
template <class Args>
Args arguments_of(const GemmLayer& layer) {
  Args args;
  args.m = layer.m, args.n = layer.n, args.k = layer.k;
  args.transpose_a = layer.transpose_a, args.transpose_b = layer.transpose_b;
  return args;
}

// One problem in device memory. `buffers` keeps what `args` points to.
template <class Args>
struct Problem {
  struct Buffer {
    Port<Args> port;
    Tensor tensor;
    uint64_t seed;  // of its contents
  };
  Args args;
  double flop = 0;
  std::vector<Buffer> buffers;

  double bytes() const {
    double total = 0;
    for (const Buffer& buffer : buffers) total += double(buffer.tensor.bytes());
    return total;
  }
};

// Contents for a port: normal numbers, uniform ones in [0.5, 1.5) where they must be positive, others for
// each seed.
template <class Args>
void draw_contents(DeviceContext& context, const Args& args, const Port<Args>& port, const Tensor& to,
                   uint64_t seed) {
  const auto& rng = context.kernels().rng;
  const uint32_t stream = uint32_t(RandomStream::noise);
  if (port.kind == Kind::byte) {
    std::vector<uint8_t> bytes(to.bytes());
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = uint8_t(256 * random_uniform(seed, stream, 0, i));
    to.upload_bytes(bytes.data(), bytes.size());
  } else if (port.kind == Kind::index) {
    std::vector<int32_t> indices(size_t(to.count()));
    for (size_t i = 0; i < indices.size(); ++i)
      indices[i] = int32_t(double(port.limit(args, int64_t(i))) * random_uniform(seed, stream, 0, i));
    to.upload_bytes(indices.data(), to.bytes());
  } else if (port.is_positive) {
    context.run(rng.uniform, {.count = to.count(), .seed = seed, .stream = stream, .y = to.out()});
    context.run(context.kernels().pointwise.affine,
                {.count = to.count(), .shift = 0.5, .x = to.in(), .y = to.out()});
  } else {
    context.run(rng.normal, {.count = to.count(), .seed = seed, .stream = stream, .y = to.out()});
  }
}

// In training a weight is used several times before it changes, so a device may keep its own copy of it: each
// problem is one version.
inline uint64_t next_weight_version() {
  static uint64_t version = 0;
  return ++version;
}

// The buffers of arguments: values in `type`; statistics and gradients of weights in `float32`, unless a
// library stores those too in another type. Without contents, so that a plan will do as context.
template <class Args>
void allocate(Problem<Args>& p, DeviceContext& context, const Args& args, DType type,
              DType float32 = DType::f32) {
  p.args = args;
  UsualSizes sizes(1);
  Args(args).sizes(sizes);  // which ports take part
  uint64_t seed = 0;
  for (const Port<Args>& port : Args::ports()) {
    ++seed;
    if (port.is_optional && !sizes.takes(port.name)) continue;
    const DType stored = port.kind == Kind::value     ? type
                         : port.kind == Kind::float32 ? float32
                         : port.kind == Kind::index   ? DType::i32
                                                      : DType::u8;
    const Extents extents = port.extents(args);
    const Tensor tensor(context, {extents.count()}, stored);
    if (port.in) p.args.*port.in = tensor.in();
    else p.args.*port.out = tensor.out();
    p.buffers.push_back({port, tensor, seed});
  }
  if constexpr (requires { p.args.w_version; }) p.args.w_version = next_weight_version();
  if constexpr (requires { args.flop(); }) p.flop = args.flop();
  if constexpr (requires { args.size.flop(); }) p.flop = args.size.flop();
}

// The same with contents.
template <class Args>
void fill(Problem<Args>& p, DeviceContext& context, const Args& args, DType type,
          DType float32 = DType::f32) {
  allocate(p, context, args, type, float32);
  for (const auto& [port, tensor, seed] : p.buffers)
    if (port.is_read) draw_contents(context, args, port, tensor, seed);
}

// Gives what the operation reads and writes its first contents again, and what it only writes NaN: the variants of a
// problem share these buffers, and one that writes nothing shall not pass by what another has left.
template <class Args>
void restore(Problem<Args>& p, DeviceContext& context) {
  for (const auto& [port, tensor, seed] : p.buffers) {
    if (!port.is_written) continue;
    if (port.is_read) {
      draw_contents(context, p.args, port, tensor, seed);
      continue;
    }
    const std::vector<uint8_t> nan(size_t(tensor.count()) * size_of(tensor.dtype()), 0xFF);
    context.kernels().memory.upload(tensor.out().data, nan.data(), nan.size(), context.stream());
  }
}

}  // namespace gan::bench
