// Colorization: pix2pix from lightness to colour, in the Lab colour space (kernels/colour.h). A is L/50 - 1,
// B is (a, b)/110, both about [-1,1]; the discriminator sees all three. A grey picture is an L already, and
// its L is kept: only the colour is made up.
#include "models/tasks/colorize.h"

#include "models/tasks/pix2pix.h"

namespace gan {

namespace {

class Colorize : public Pix2pix {
 public:
  Channels paired() const override { return {1, 2}; }
  Tensor picture_of_input(const Tensor& a) override {
    Tensor no_colour(a.context(), {a.dim(0), a.dim(1), a.dim(2), 2});
    no_colour.zero();
    return lab_to_rgb(a, no_colour);
  }
  Tensor picture_of_output(const Tensor& a, const Tensor& b) override { return lab_to_rgb(a, b); }
};

}  // namespace

void colorize_preset(Config& c) { pix2pix_preset(c); }

void colorize_check(const Config& c) {
  pix2pix_check(c);
  if (c.channels != 3)
    fail(Exit::usage, "colorize learns from colour pictures: --channels 3, not {}", c.channels);
}

std::unique_ptr<Model> make_colorize() { return std::make_unique<Colorize>(); }

}  // namespace gan
