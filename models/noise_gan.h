// Generative adversarial training from noise: what DCGAN and the MLP GAN share. One file to read to see how
// two players learn from each other (Goodfellow et al. 2014, algorithm 1, with the losses of kernels.h).
#pragma once
#include "models/model.h"

namespace gan {

class NoiseGan : public Model {
 public:
  NoiseGan();
  StepResult step(const StepInput& input) override;
  Tensor sample(const Tensor& z) override;
  void describe(DeviceContext& context, int batch, const std::string& player,
                const LayerObserver& tell) override;

 protected:
  // z (N,nz) -> pictures (N,H,W,C) in [-1,1]
  virtual Tensor generate(const Tensor& z, Statistics statistics, const LayerObserver& tell = {}) = 0;
  // pictures (N,H,W,C) -> logits (N,...), one or more per picture
  virtual Tensor discriminate(const Tensor& pictures, const LayerObserver& tell = {}) = 0;

  Player& g_;
  Player& d_;
};

}  // namespace gan
