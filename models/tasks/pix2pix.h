// Paired image translation (Isola et al. 2017): a generator that turns A into B, and a discriminator that
// sees both. Pix2pix itself, and what colorize builds on.
#pragma once
#include "models/losses/image_pool.h"
#include "models/losses/pixel.h"
#include "models/networks/translation_networks.h"
#include "models/players/model.h"

namespace gan {

// clang-format off
struct Pix2pixSettings : Group<Pix2pixSettings> {
  Pix2pixSettings() : Group("pix2pix") {}
  Setting<double> lambda_l1{*this, "lambda-l1", 100, "weight of the mean distance to the right picture", "0..", kTrain};
  Setting<double> lambda_gan{*this, "lambda-gan", 1, "weight of the discriminator in the generator's loss; 0: there is none", "0..", kTrain | kNetwork};
};
// clang-format on

class Pix2pix : public Model {
 public:
  Pix2pix();
  UseSpec use() const override { return {.pictures = {"picture"}, .controls = {}}; }
  Tensor make(const Use& use) override;
  int side_multiple() const override { return generator_->side_multiple(); }
  std::vector<Trial> trials() const override;
  GridRow show(const std::map<std::string, Tensor>& example, const Use& use) override;
  std::vector<std::pair<std::string, Tensor>> state() override;
  void describe(DeviceContext& context, int batch, const std::string& network,
                const LayerObserver& tell) override;

 protected:
  void declare() override;
  void after_build(DeviceContext& context) override;
  void prepare(const StepInput& input) override;
  void learn(Step& step) override;

  // Channels of A and B, and which pictures of an example they are.
  struct Sides {
    InputSpec a, b;
    int a_channels, b_channels;
  };
  virtual Sides sides() const;
  Tensor generate(const Tensor& a, const Use& use);  // B (N,H,W,Cb), by averaged weights where there are any

 private:
  Network& g_;
  Network* d_ = nullptr;
  Player& generator_player_;
  Player* discriminator_player_ = nullptr;  // where it counts
  std::unique_ptr<Generator> generator_;
  std::unique_ptr<Discriminator> discriminator_;
  ImagePool pool_;  // of pairs
};

void pix2pix_preset(Config& config);
void pix2pix_tuned(Config& config, bool cpu);
void pix2pix_check(const Config& config);
std::unique_ptr<Model> make_pix2pix();

}  // namespace gan
