// Colorization: pix2pix from lightness to colour, in the Lab colour space (kernels/shared/colour.h). A is L/50 - 1,
// B is (a, b)/110, both about [-1,1]; the discriminator sees all three. A grey picture is an L already, and
// its L is kept: only the colour is made up.
#include "models/tasks/colorize.h"

#include "engine/data/options.h"
#include "engine/tensor/picture_ops.h"
#include "models/tasks/pix2pix.h"

namespace gan {

namespace {

class Colorize : public Pix2pix {
 public:
  UseSpec use() const override { return {.pictures = {"picture"}, .controls = {saturation_control(config)}}; }
  Tensor make(const Use& use) override {
    const Tensor l = rgb_to_lab(picture(use, "picture")).l;  // (N,H,W,1)
    return lab_to_rgb(l, affine(generate(l, use), control(use, "saturation")));
  }
  Tensor seen(const Tensor& picture) const override { return without_colour(picture); }

 protected:
  Sides sides() const override {
    return {{.name = "A", .kind = InputSpec::Kind::lightness, .of = "picture"},
            {.name = "B", .kind = InputSpec::Kind::colour, .of = "picture"},
            1,
            2};
  }
};

}  // namespace

Control saturation_control(const Config& config) {
  return {.name = "saturation",
          .help = "how strong the colours are: 1 as they were learnt, 0 none",
          .value = config.get<ColouringSettings>().saturation,
          .low = 0,
          .high = 4};
}

void colorize_preset(Config& c) { pix2pix_preset(c); }

// A few hundred photos teach what tends to be green or blue, and to remember every photo. Means (l2) of what is possible,
// other exposures and no discriminator that asks for bold guesses stay above no colour at all on photos from elsewhere;
// without a norm the network knows how light a photo is as a whole. Means are pale: a fifth more colour costs hardly any
// distance to the truth.
void colorize_tuned(Config& c, bool cpu) {
  pix2pix_tuned(c, cpu);
  if (cpu) c.get<ConvSettings>().ngf = 16, c.get<ConvSettings>().ndf = 16;
  c.load_size = c.size * 3 / 2;
  c.batch = 8, c.lr = 3e-4, c.weight_decay = 1e-4;
  c.epochs = 160;
  c.get<ConvSettings>().norm = "none";
  c.get<UpSettings>().up = "convt";
  c.get<ExposureSettings>().jitter_exposure = 0.5;
  c.get<PixelLossSettings>().pixel_loss = "l2";
  c.get<Pix2pixSettings>().lambda_gan = 0;
  c.get<ColouringSettings>().saturation = 1.2;
}

void colorize_check(const Config& c) {
  pix2pix_check(c);
  if (c.channels != 3)
    fail(Exit::usage, "colorize learns from colour pictures: --channels 3, not {}", c.channels);
}

std::unique_ptr<Model> make_colorize() { return std::make_unique<Colorize>(); }

}  // namespace gan
