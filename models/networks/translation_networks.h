// The networks that make pictures of pictures and judge them, chosen by settings: what pix2pix, colorize,
// CycleGAN and comic share.
#pragma once
#include <memory>

#include "models/networks/blocks.h"
#include "models/networks/patchgan.h"

namespace gan {

// clang-format off
struct TranslationSettings : Group<TranslationSettings> {
  TranslationSettings() : Group("translation networks") {}
  Setting<std::string> netG{*this, "netG", "unet", "generator; unet: the deepest that --size allows", "unet|unet_32|unet_64|unet_128|unet_256|resnet_6|resnet_9|whitebox|animegan2", kTrain | kInspect | kNetwork};
  Setting<bool> dropout{*this, "dropout", false, "dropout in the generator", "", kTrain | kInspect | kNetwork};
  Setting<std::string> norm_mode{*this, "norm-mode", "running", "batch norm of a trained network: by running statistics, or by those of each picture", "running|batch", kTrain | kTranslate | kEval};
};
struct CriticSettings : Group<CriticSettings> {
  CriticSettings() : Group("discriminators of pictures") {}
  Setting<std::string> netD{*this, "netD", "patch", "discriminator; animegan2: that of AnimeGANv2, whose logits see 37 pixels", "patch|pixel|animegan2", kTrain | kInspect | kNetwork};
  Setting<int> n_layers_d{*this, "n-layers-d", 3, "layers of --netD patch; 3: each logit sees 70 pixels", "1..5", kTrain | kInspect | kNetwork};
  Setting<int> discriminators{*this, "discriminators", 1, "scales at which --netD patch looks", "1..3", kTrain | kInspect | kNetwork};
};
// clang-format on

// By ConvSettings, UpSettings, TranslationSettings and SpectralSettings; `in`, `out`: channels of what it takes and makes.
std::unique_ptr<Generator> make_generator(Parameters& p, const Config& config, int in, int out);
// By ConvSettings, CriticSettings and SpectralSettings.
std::unique_ptr<Discriminator> make_discriminator(Parameters& p, const Config& config, int channels);
// Exit::usage, with the nearest that works, when --size does not fit these networks.
void check_discriminator(const Config& config);
void check_translation_networks(const Config& config);  // both

}  // namespace gan
