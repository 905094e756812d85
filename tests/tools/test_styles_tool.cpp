// Models of styles as a user has them: trained in a few steps, stopped and resumed, and what `gan translate` makes with
// --style, --region, --alpha and --keep-colour.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>

#include "engine/files/safetensors.h"
#include "engine/picture/image.h"
#include "kernels/shared/colour.h"
#include "tests/support/film.h"
#include "tests/support/shell.h"

namespace gan::tests {
namespace {

using Words = std::vector<std::string>;

Words train(const std::string& model, const std::string& run, const Words& more) {
  Words words = {"train",
                 model,
                 "builtin:comics",
                 "--style",
                 "builtin:abstract",
                 "--device",
                 "cpu",
                 "--size",
                 "32",
                 "--load-size",
                 "32",
                 "--batch",
                 "2",
                 "--ngf",
                 "4",
                 "--ndf",
                 "4",
                 "--n-layers-d",
                 "2",
                 "--ema",
                 "0",
                 "--lr",
                 "1e-3",
                 "--lr-policy",
                 "constant",
                 "--eval-every",
                 "0",
                 "--sample-every",
                 "0",
                 "--quiet",
                 "--out",
                 run};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

// What train() learns from: few small pictures, so that a start takes no time.
void make_sets(const fs::path& folder) {
  for (int i = 0; i < 4; ++i)
    for (const char* set : {"photos", "drawings"}) {
      fs::create_directories(folder / set);
      write_png(folder / set / fmt::format("{}.png", i), texture(32, 32, 40 * i, 0, *set == 'p' ? 1 : 2));
    }
}

std::vector<std::vector<std::byte>> tensors_of(const fs::path& checkpoint) {
  const auto file = SafetensorsFile::open(checkpoint);
  std::vector<std::vector<std::byte>> all;
  for (const auto& entry : file.tensors()) all.push_back(file.read(entry));
  return all;
}

// A run of style, two steps old, and pictures to try it on.
struct Workshop {
  Workshop() {
    make_sets(shell.folder);
    write_png(shell.folder / "photo.png", texture(40, 60));
    write_png(shell.folder / "one.png", texture(48, 48, 0, 0, 5));
    write_png(shell.folder / "two.png", texture(64, 40, 0, 0, 9));
    const auto trained = shell.gan(train("style", "run", {"--steps", "2"}));
    REQUIRE_MESSAGE(trained.code == 0, trained.err);
  }
  Result translate(const Words& more) {
    Words words = {"translate", "run",   "photo.png", "--device", "cpu",
                   "--quiet",   "--out", "out.png",   "--force"};
    words.insert(words.end(), more.begin(), more.end());
    return shell.gan(words);
  }
  Image made(const Words& more) {
    fs::remove(shell.folder / "out.png");
    const auto result = translate(more);
    REQUIRE_MESSAGE(result.code == 0, result.err);
    return read_image(shell.folder / "out.png");
  }
  Shell shell;
};

int largest_difference(const Image& a, const Image& b) {
  REQUIRE(a.pixels.size() == b.pixels.size());
  int worst = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i)
    worst = std::max(worst, std::abs(int(a.pixels[i]) - int(b.pixels[i])));
  return worst;
}

Colour<double> lab_at(const Image& image, int y, int x) {
  return srgb_to_lab(
      Colour<double>{image.at(y, x, 0) / 255.0, image.at(y, x, 1) / 255.0, image.at(y, x, 2) / 255.0});
}

}  // namespace

TEST_CASE("styles: comic stopped in its stage of content, or behind it, goes on bit for bit") {
  Shell shell;
  make_sets(shell.folder);
  const Words stage = {"--content-steps", "2", "--steps"};
  const auto run = [&](const std::string& name, const std::string& steps) {
    Words more = stage;
    more.push_back(steps);
    const auto trained = shell.gan(train("comic", name, more));
    REQUIRE_MESSAGE(trained.code == 0, trained.err);
  };
  run("whole", "4");
  const auto wanted = tensors_of(shell.folder / "whole/checkpoints/step-00000004.safetensors");
  for (const char* stop : {"1", "2", "3"}) {
    CAPTURE(std::string(stop));
    const std::string parts = std::string("stop") + stop;
    run(parts, stop);
    const auto resumed = shell.gan({"train", "--resume", parts, "--steps", "4", "--quiet"});
    REQUIRE_MESSAGE(resumed.code == 0, resumed.err);
    CHECK(tensors_of(shell.folder / parts / "checkpoints/step-00000004.safetensors") == wanted);
  }
  run("later", "3");
  CHECK(tensors_of(shell.folder / "later/checkpoints/step-00000003.safetensors") != wanted);
  write_png(shell.folder / "photo.png", texture(37, 50));
  REQUIRE(shell.gan({"translate", "whole", "photo.png", "--out", "drawing.png"}).code == 0);
  const Image drawing = read_image(shell.folder / "drawing.png");
  CHECK(drawing.height == 37);
  CHECK(drawing.width == 50);
  check_refused(shell.gan({"translate", "whole", "photo.png", "--style", "photo.png", "--out", "x.png"}), 2,
                "--style belongs to models that take a style when they are used; this one is a comic");
  check_refused(shell.gan({"translate", "whole", "photo.png", "--keep-colour", "--out", "x.png"}), 2,
                "--keep-colour belongs to models");
}

TEST_CASE("styles: weights of several styles, and how much of them") {
  Workshop w;
  const Image one = w.made({"--style", "one.png"}), two = w.made({"--style", "two.png"});
  CHECK(one.height == 40);
  CHECK(one.width == 60);
  CHECK(largest_difference(one, two) > 2);
  CHECK(largest_difference(w.made({"--style", "one.png:3"}), one) == 0);
  CHECK(largest_difference(w.made({"--style", "one.png:0.3,one.png:0.7"}), one) <= 1);
  const Image mixed = w.made({"--style", "one.png:0.7,two.png:0.3"});
  CHECK(largest_difference(mixed, one) > 0);
  CHECK(largest_difference(w.made({"--style", "two.png:3,one.png:7"}), mixed) <= 1);
  const Image none = w.made({"--style", "one.png", "--alpha", "0"});
  CHECK(largest_difference(w.made({"--style", "two.png", "--alpha", "0"}), none) == 0);
  CHECK(largest_difference(none, one) > 2);
  CHECK(largest_difference(w.made({"--style", "one.png", "--alpha", "1"}), one) == 0);

  check_refused(w.translate({}), 2, "style needs a picture of a style: --style PICTURE");
  check_refused(w.translate({"--style", "one.png:0"}), 2, "--style one.png:0");
  check_refused(w.translate({"--style", "three.png"}), 3, "three.png");
}

TEST_CASE(
    "styles: a region's mask of another size counts where it is white, one of another shape is refused") {
  Workshop w;
  // The left half white, at half and at twice the size of the photo of 60 x 40.
  for (const int scale : {1, 4}) {
    CAPTURE(scale);
    Image mask(20 * scale, 30 * scale, 1, 0);
    for (int y = 0; y < mask.height; ++y)
      for (int x = 0; x < mask.width / 2; ++x) mask.at(y, x, 0) = 255;
    write_png(w.shell.folder / "mask.png", mask);
    const Image whole = w.made({"--style", "one.png"}), part = w.made({"--style", "two.png"}),
                both = w.made({"--style", "one.png", "--region", "mask.png=two.png"}),
                alone = w.made({"--region", "mask.png=two.png"}),
                photo = read_image(w.shell.folder / "photo.png");
    int differs = 0;
    for (int y = 0; y < 40; ++y)
      for (int x = 0; x < 60; ++x)
        for (int c = 0; c < 3; ++c) {
          if (x >= 28 && x < 32) continue;  // where the mask was scaled
          const bool inside = x < 30;
          CHECK(both.at(y, x, c) == (inside ? part : whole).at(y, x, c));
          CHECK(alone.at(y, x, c) == (inside ? part : photo).at(y, x, c));
          differs += part.at(y, x, c) != whole.at(y, x, c);
        }
    CHECK(differs > 1000);
  }
  write_png(w.shell.folder / "square.png", Image(50, 50, 1, 255));
  const auto refused = w.translate({"--style", "one.png", "--region", "square.png=two.png"});
  check_refused_at_end(refused, 3, "50 x 50 pixels is no mask for a picture of 60 x 40");
  check_refused(w.translate({"--region", "mask.png"}), 2, "--region mask.png: wants MASK=PICTURE");
}

TEST_CASE("styles: --keep-colour keeps a and b of Lab, and draws light and shade anew") {
  Workshop w;
  // Light and shade of what is made are far from the photo's; colours near grey fit any lightness, so that none is
  // clipped.
  Image photo(40, 60, 3);
  for (int y = 0; y < 40; ++y)
    for (int x = 0; x < 60; ++x) {
      photo.at(y, x, 0) = uint8_t(128 + (x % 5) * 2), photo.at(y, x, 1) = 128;
      photo.at(y, x, 2) = uint8_t(128 + (y % 7) * 2);
    }
  write_png(w.shell.folder / "photo.png", photo);
  const Image made = w.made({"--style", "one.png"}), kept = w.made({"--style", "one.png", "--keep-colour"});
  double worst_colour = 0, worst_light = 0, moved = 0, looked_at = 0;
  for (int y = 0; y < 40; ++y)
    for (int x = 0; x < 60; ++x) {
      const auto from = lab_at(photo, y, x), drawn = lab_at(made, y, x), to = lab_at(kept, y, x);
      if (drawn.x < 20 || drawn.x > 90)
        continue;  // where even these colours are clipped, or too dark to tell
      ++looked_at;
      worst_colour = std::max({worst_colour, std::abs(to.y - from.y), std::abs(to.z - from.z)});
      worst_light = std::max(worst_light, std::abs(to.x - drawn.x));
      moved = std::max({moved, std::abs(drawn.y - from.y), std::abs(drawn.z - from.z)});
    }
  CHECK(looked_at > 500);
  CHECK(worst_colour < 1);  // half a level of 255 in each channel
  CHECK(worst_light < 0.5);
  CHECK(moved > 5);  // without the option colours are others
}

TEST_CASE("styles: a picture of one pixel and a grey one are styles too") {
  Workshop w;
  Image dot(1, 1, 3);
  dot.at(0, 0, 0) = 200, dot.at(0, 0, 1) = 30, dot.at(0, 0, 2) = 90;
  write_png(w.shell.folder / "dot.png", dot);
  Image area(48, 48, 3);
  for (size_t i = 0; i < area.pixels.size(); ++i) area.pixels[i] = dot.pixels[i % 3];
  write_png(w.shell.folder / "area.png", area);
  CHECK(largest_difference(w.made({"--style", "dot.png"}), w.made({"--style", "area.png"})) == 0);

  Image grey(48, 48, 1), in_colour(48, 48, 3);
  const Image one = read_image(w.shell.folder / "one.png");
  for (int y = 0; y < 48; ++y)
    for (int x = 0; x < 48; ++x) {
      grey.at(y, x, 0) = one.at(y, x, 0);
      for (int c = 0; c < 3; ++c) in_colour.at(y, x, c) = one.at(y, x, 0);
    }
  write_png(w.shell.folder / "grey.png", grey);
  write_png(w.shell.folder / "in_colour.png", in_colour);
  CHECK(largest_difference(w.made({"--style", "grey.png"}), w.made({"--style", "in_colour.png"})) == 0);
}

}  // namespace gan::tests
