// Networks by their settings.
#include "models/networks/translation_networks.h"

#include <algorithm>

#include "models/networks/animegan2.h"
#include "models/networks/resnet.h"
#include "models/networks/unet.h"
#include "models/networks/whitebox.h"

namespace gan {

namespace {

constexpr int kMostDowns = 8, kFewestDowns = 5;

// How often a U-Net halves the side: `unet_256` down to one pixel of 256, so 8 times; `unet` as often as
// --size allows. 0 for what is no U-Net.
int unet_downs(const std::string& net, int size) {
  int downs = 0;
  if (net == "unet")
    for (; downs < kMostDowns && size % (2 << downs) == 0; ++downs) {}
  else if (net.starts_with("unet_"))
    for (int side = std::stoi(net.substr(5)); side > 1; side /= 2) ++downs;
  return downs;
}

}  // namespace

std::unique_ptr<Generator> make_generator(Parameters& p, const Config& c, int in, int out) {
  const auto& conv = c.get<ConvSettings>();
  const auto& nets = c.get<TranslationSettings>();
  const NormKind norm = norm_kind_of(conv.norm);
  const ConvBlock::Kind up = up_kind_of(c.get<UpSettings>().up);
  const bool spectral = c.get<SpectralSettings>().of_generator();
  if (const int downs = unet_downs(nets.netG, c.size); downs > 0)
    return std::make_unique<Unet>(p, UnetOptions{.in = in,
                                                 .out = out,
                                                 .width = conv.ngf,
                                                 .downs = downs,
                                                 .norm = norm,
                                                 .up = up,
                                                 .dropout = nets.dropout,
                                                 .spectral = spectral});
  if (nets.netG == "animegan2") return std::make_unique<AnimeGan2>(p, AnimeGan2Options{.width = conv.ngf});
  if (nets.netG == "whitebox")
    return std::make_unique<Whitebox>(
        p, WhiteboxOptions{.in = in, .out = out, .width = conv.ngf, .spectral = spectral});
  return std::make_unique<Resnet>(p, ResnetOptions{.in = in,
                                                   .out = out,
                                                   .width = conv.ngf,
                                                   .blocks = nets.netG == "resnet_6" ? 6 : 9,
                                                   .norm = norm,
                                                   .up = up,
                                                   .dropout = nets.dropout,
                                                   .spectral = spectral});
}

std::unique_ptr<Discriminator> make_discriminator(Parameters& p, const Config& c, int channels) {
  const auto& conv = c.get<ConvSettings>();
  const auto& nets = c.get<CriticSettings>();
  const NormKind norm = norm_kind_of(conv.norm);
  const bool spectral = c.get<SpectralSettings>().of_discriminator();
  if (nets.netD == "pixel") return std::make_unique<PixelGan>(p, channels, conv.ndf, norm, spectral);
  if (nets.netD == "animegan2")
    return std::make_unique<AnimeGan2Discriminator>(p, channels, conv.ndf, spectral);
  return std::make_unique<PatchGan>(p, PatchOptions{.in = channels,
                                                    .width = conv.ndf,
                                                    .layers = nets.n_layers_d,
                                                    .norm = norm,
                                                    .scales = nets.discriminators,
                                                    .spectral = spectral});
}

void check_discriminator(const Config& c) {
  const auto& nets = c.get<CriticSettings>();
  if (nets.netD != "patch") {
    if (nets.discriminators > 1)
      fail(Exit::usage, "--discriminators {}: only --netD patch looks at several scales",
           nets.discriminators);
  } else if (const int least = PatchGan::smallest_side(nets.n_layers_d, nets.discriminators);
             c.size < least) {
    fail(Exit::usage,
         "a patch discriminator with --n-layers-d {} at {} scale{} needs pictures of at least {} pixels, not "
         "{}; use fewer layers or --netD pixel",
         nets.n_layers_d, nets.discriminators, nets.discriminators > 1 ? "s" : "", least, c.size);
  }
}

void check_translation_networks(const Config& c) {
  const auto& nets = c.get<TranslationSettings>();
  if (nets.netG == "animegan2") {
    if (c.channels != 3 || c.model == "colorize" || c.model == "restyle")
      fail(Exit::usage,
           "--netG animegan2 makes colour pictures of colour pictures; {} does not: take another --netG",
           c.channels != 3 ? fmt::format("--channels {}", c.channels) : *c.model);
    if (c.get<SpectralSettings>().of_generator())
      fail(Exit::usage, "--netG animegan2 has no spectral norm: --sn D or none, not {}",
           c.get<SpectralSettings>().sn);
  }
  const int size = c.size;
  const bool unet = nets.netG->starts_with("unet");
  const int downs = unet_downs(nets.netG, size);
  const int multiple = unet ? 1 << std::max(downs, kFewestDowns) : 4;
  if (size % multiple != 0 || size < 8) {
    const int nearest = std::max(unet ? multiple : 8, (size + multiple / 2) / multiple * multiple);
    fail(Exit::usage,
         "{} with --netG {} takes pictures whose side is a multiple of {}, not {}; the nearest is --size {}",
         c.model, nets.netG, multiple, size, nearest);
  }
  check_discriminator(c);
}

}  // namespace gan
