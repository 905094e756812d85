// DCGAN (Radford, Metz & Chintala 2016), the networks of pytorch/examples: all-convolutional, sizes 32 to 256.
//
//   G   z (N,1,1,nz)
//       -> convT k4 s1 p0   (N,4,4,ngf*size/8)
//       -> convT k4 s2 p1   each halves the width and doubles the side, down to (N,size/2,size/2,ngf); with --up resize
//                           nearest neighbours and conv k3 s1 p1, with shuffle conv k3 s1 p1 and pixel shuffle
//       -> convT k4 s2 p1   tanh (N,size,size,channels); norm and relu between
//   D   the mirror image with leaky relu 0.2: (N,size,size,channels)
//       -> conv k4 s2 p1    ... (N,4,4,ndf*size/8)
//       -> conv k4 s1 p0    logit (N,1,1,1); no norm after its first layer
//
// No convolution has a bias. Weights start as N(0, 0.02), norm scales as N(1, 0.02). Parameters are named
// main.k, k counting convolutions, norms and activations as they come.
#include "models/tasks/dcgan.h"

#include "models/losses/adversarial.h"
#include "models/tasks/noise_gan.h"

namespace gan {

namespace {

constexpr ConvOptions kProject{.kernel = 4, .stride = 1, .pad = 0};  // 1x1 <-> 4x4
constexpr ConvOptions kDouble{.kernel = 4, .stride = 2, .pad = 1};   // side <-> side/2

class Dcgan : public NoiseGan {
  using Kind = ConvBlock::Kind;

 protected:
  void declare_layers() override {
    const auto& conv = config.get<ConvSettings>();
    const int size = config.size, channels = config.channels;
    const Kind up = up_kind_of(config.get<UpSettings>().up);
    int width = conv.ngf * size / 8;
    const int nz = config.get<NoiseSettings>().nz;
    add(g_, generator_, nz, width, kProject, Kind::transposed, kRelu);  // (N,4,4,ngf*size/8)
    for (int side = 8; side < size; side *= 2, width /= 2)
      add(g_, generator_, width, width / 2, kDouble, up, kRelu);      // (N,side,side,width/2)
    add(g_, generator_, width, channels, kDouble, up, kTanh, false);  // (N,size,size,channels)

    width = conv.ndf;
    add(d_, discriminator_, channels, width, kDouble, Kind::conv, kLeaky, false);  // (N,size/2,size/2,ndf)
    for (int side = size / 4; side >= 4; side /= 2, width *= 2)
      add(d_, discriminator_, width, width * 2, kDouble, Kind::conv, kLeaky);  // (N,side,side,width*2)
    add(d_, discriminator_, width, 1, kProject, Kind::conv, kNoAct, false);    // (N,1,1,1)
  }

  Tensor generate(const Tensor& z, Statistics statistics, const LayerObserver& tell) override {
    return forward(g_, generator_, reshape(z, {z.dim(0), 1, 1, z.dim(1)}),
                   {.statistics = statistics, .tell = tell});
  }
  Tensor discriminate(const Tensor& pictures, const Pass& pass) override {
    return forward(d_, discriminator_, pictures, pass);
  }

 private:
  void add(Network& network, std::vector<ConvBlock>& blocks, int in, int out, ConvOptions options, Kind kind,
           Activation act, bool with_norm = true) {
    int& index = &blocks == &generator_ ? generator_modules_ : discriminator_modules_;
    const NormKind norm = with_norm ? norm_kind_of(config.get<ConvSettings>().norm) : NormKind::none;
    auto module = [](int k) { return "main." + std::to_string(k); };
    blocks.push_back(ConvBlock::make(
        network.parameters, module(index), in, out,
        {.kind = kind, .conv = options, .norm = norm, .norm_name = module(index + 1), .act = act}));
    index += 1 + (norm != NormKind::none) + (act.kind != Act::none);
  }

  static Tensor forward(const Network& network, const std::vector<ConvBlock>& blocks, Tensor x,
                        const Pass& pass) {
    for (const ConvBlock& block : blocks) x = block(network.parameters, x, pass);
    return x;
  }

  std::vector<ConvBlock> generator_, discriminator_;
  int generator_modules_ = 0, discriminator_modules_ = 0;
};

}  // namespace

void dcgan_preset(Config& c) { c.size = 64, c.batch = 64, c.epochs = 25; }

// A generator that learns faster than its judge, whose certainty is dampened, averaged weights, and no transposed
// convolutions, whose checkerboard takes long to go. A processor makes few steps in ten minutes: small batches give more.
void dcgan_tuned(Config& c, bool cpu) {
  c.get<ConvSettings>().ngf = 32, c.get<ConvSettings>().ndf = 32;
  c.get<UpSettings>().up = "resize";
  if (cpu) c.batch = 32;
  c.lr = 4e-4, c.lr_d = 2e-4, c.ema = 0.998;
  c.get<AdversarialSettings>().label_smooth = 0.1;
  c.least_steps = 3000;
}

void dcgan_check(const Config& c) {
  int nearest = 32;
  while (nearest < 256 && 2 * nearest * nearest < c.size * c.size) nearest *= 2;  // nearest by ratio
  if (c.size != nearest)
    fail(Exit::usage, "dcgan makes pictures of 32, 64, 128 or 256 pixels, not {}; the nearest is --size {}",
         c.size, nearest);
}

std::unique_ptr<Model> make_dcgan() { return std::make_unique<Dcgan>(); }

}  // namespace gan
