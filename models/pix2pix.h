// Paired image translation (Isola et al. 2017): a generator that turns A into B, and a discriminator that
// sees both. Pix2pix itself, and what colorize builds on.
#pragma once
#include "models/image_pool.h"
#include "models/model.h"
#include "models/translation_networks.h"

namespace gan {

// clang-format off
struct Pix2pixSettings : Group<Pix2pixSettings> {
  Pix2pixSettings() : Group("pixel loss") {}
  Setting<double> lambda_l1{*this, "lambda-l1", 100, "weight of the mean distance to the right picture", "0..", kTrain};
};
// clang-format on

class Pix2pix : public Model {
 public:
  Pix2pix();
  StepResult step(const StepInput& input) override;
  Channels paired() const override { return {config.channels, config.channels}; }
  Tensor translate(const Tensor& a, const TranslateOptions& options) override;
  int side_multiple() const override { return generator_->side_multiple(); }
  std::vector<std::pair<std::string, Tensor>> state() override;
  void describe(DeviceContext& context, int batch, const std::string& player,
                const LayerObserver& tell) override;

 protected:
  void declare() override;
  void after_build(DeviceContext& context) override;
  void prepare(const StepInput& input) override;

 private:
  Player& g_;
  Player& d_;
  std::unique_ptr<Generator> generator_;
  std::unique_ptr<Discriminator> discriminator_;
  ImagePool pool_;  // of pairs
};

void pix2pix_preset(Config& config);
void pix2pix_check(const Config& config);
std::unique_ptr<Model> make_pix2pix();

}  // namespace gan
