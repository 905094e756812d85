// MLP GAN: two fully connected networks, the smallest GAN there is (Goodfellow et al. 2014).
//
//   G   z (N,nz) -> 256 -> 512 -> 1024 relu -> H*W*C tanh
//   D   H*W*C -> 1024 -> 512 -> 256 leaky relu 0.2 -> logit (N,1)
//
// In files G's output and D's input count a picture's elements as (C,H,W), as PyTorch's view() does; in
// memory as (H,W,C), so that no batch is ever reordered. Weights start with the variance of PyTorch's linear
// layers, 1 / (3 inputs), biases at 0.
#include "models/tasks/mlpgan.h"

#include <cmath>

#include "models/tasks/noise_gan.h"

namespace gan {

namespace {

constexpr int kGeneratorWidths[] = {256, 512, 1024};
constexpr int kDiscriminatorWidths[] = {1024, 512, 256};

struct DenseLayer {
  std::string name;
  LinearLayer linear;
  Activation act;
};

class MlpGan : public NoiseGan {
 protected:
  void declare_layers() override {
    picture_ = {config.size, config.size, config.channels};
    const int elements = int(picture_.count());
    int in = config.get<NoiseSettings>().nz;
    for (int width : kGeneratorWidths) {
      add(g_, generator_, in, width, {Act::relu});  // (N,width)
      in = width;
    }
    add(g_, generator_, in, elements, {Act::tanh}, Layout::rows_picture);  // (N,H*W*C)

    in = elements;
    Layout layout = Layout::columns_picture;
    for (int width : kDiscriminatorWidths) {
      add(d_, discriminator_, in, width, {Act::leaky_relu, 0.2}, layout);  // (N,width)
      in = width;
      layout = Layout::plain;
    }
    add(d_, discriminator_, in, 1, {Act::none});  // (N,1)
  }

  Tensor generate(const Tensor& z, Statistics, const LayerObserver& tell) override {
    const Tensor flat = forward(g_, generator_, z, tell);  // (N,H*W*C)
    return reshape(flat, {z.dim(0), picture_[0], picture_[1], picture_[2]});
  }
  Tensor discriminate(const Tensor& pictures, const Pass& pass) override {
    return forward(d_, discriminator_, reshape(pictures, {pictures.dim(0), picture_.count()}), pass.tell);
  }

 private:
  void add(Network& network, std::vector<DenseLayer>& stages, int in, int out, Activation act,
           Layout layout = Layout::plain) {
    DenseLayer s{.name = "main." + std::to_string(2 * stages.size()), .linear = {}, .act = act};
    s.linear.weight = network.parameters.declare({.name = s.name + ".weight",
                                                  .shape = {out, in},
                                                  .layout = layout,
                                                  .picture = picture_,
                                                  .deviation = 1 / std::sqrt(3.0 * in)});
    s.linear.bias =
        network.parameters.declare({.name = s.name + ".bias",
                                    .shape = {out},
                                    .layout = layout == Layout::rows_picture ? layout : Layout::plain,
                                    .picture = picture_});
    stages.push_back(s);
  }

  Tensor forward(const Network& network, const std::vector<DenseLayer>& stages, Tensor x,
                 const LayerObserver& tell) {
    for (const DenseLayer& s : stages) {
      const double before = x.context().flop();
      x = s.linear(network.parameters, x, s.act);
      if (!tell) continue;
      static const char* const acts[] = {"", " + relu", " + leaky relu", " + tanh", " + sigmoid"};
      const auto& infos = network.parameters.infos();
      tell({s.name, fmt::format("linear{}", acts[int(s.act.kind)]), x.shape(),
            infos[s.linear.weight].shape.count() + infos[s.linear.bias].shape.count(),
            x.context().flop() - before});
    }
    return x;
  }

  Shape picture_;  // (H,W,C)
  std::vector<DenseLayer> generator_, discriminator_;
};

}  // namespace

void mlpgan_preset(Config& c) {
  c.size = 28, c.channels = 1;
  c.batch = 64, c.epochs = 200;
}

void mlpgan_tuned(Config& c, bool) { c.ema = 0.998, c.least_steps = 5000; }

void mlpgan_check(const Config& c) {
  if (c.size > 512)
    fail(Exit::usage, "mlpgan's layers grow with the square of --size: at most 512, not {}; use dcgan",
         c.size);
}

std::unique_ptr<Model> make_mlpgan() { return std::make_unique<MlpGan>(); }

}  // namespace gan
