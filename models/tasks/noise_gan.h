// Generative adversarial training from noise: what DCGAN and the MLP GAN share. One file to read to see how
// two players learn from each other (Goodfellow et al. 2014, algorithm 1, with the losses of kernels.h).
#pragma once
#include "models/players/model.h"

namespace gan {

// clang-format off
struct NoiseSettings : Group<NoiseSettings> {
  NoiseSettings() : Group("noise") {}
  Setting<int> nz{*this, "nz", 100, "noise values per picture", "1..65536", kTrain | kInspect | kNetwork};
  Setting<int> n_critic{*this, "n-critic", 1, "discriminator updates per step", "1..1000", kTrain};
};
// clang-format on

class NoiseGan : public Model {
 public:
  NoiseGan();
  Tensor sample(const Tensor& z) override;
  void describe(DeviceContext& context, int batch, const std::string& network,
                const LayerObserver& tell) override;

 protected:
  void declare() final;
  void learn(Step& step) override;

  virtual void declare_layers() = 0;  // of both networks
  // z (N,nz) -> pictures (N,H,W,C) in [-1,1]
  virtual Tensor generate(const Tensor& z, Statistics statistics, const LayerObserver& tell = {}) = 0;
  // pictures (N,H,W,C) -> logits (N,...), one or more per picture; spectral norm is not among its layers
  virtual Tensor discriminate(const Tensor& pictures, const Pass& pass) = 0;

  Network &g_, &d_;
  Player &generator_player_, &discriminator_player_;
};

}  // namespace gan
