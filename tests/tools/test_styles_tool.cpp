// Models of styles as a user has them: trained in a few steps, stopped and resumed, and what `gan translate` makes with
// --style, --region, --alpha and --keep-colour.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "engine/files/safetensors.h"
#include "engine/picture/image.h"
#include "kernels/shared/colour.h"
#include "tests/support/film.h"
#include "tests/support/shell.h"
#include "tests/support/vgg_file.h"

namespace gan::tests {
namespace {

using Words = std::vector<std::string>;

// The smallest network, on the pictures of make_sets().
Words train(const std::string& model, const std::string& run, const Words& more) {
  Words words = {"train",
                 model,
                 "photos",
                 "--style",
                 "drawings",
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
                 "--ema",
                 "0",
                 "--lr",
                 "1e-3",
                 "--quiet",
                 "--lr-policy",
                 "constant",
                 "--out",
                 run,
                 "--eval-every",
                 "0",
                 "--sample-every",
                 "0"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

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

// A run of style, two steps old, a photo of 60 x 40 pixels and two styles.
class Workshop {
 public:
  static Workshop& open() {
    static Workshop workshop;
    return workshop;
  }
  void write(const std::string& name, const Image& picture) { write_png(shell.folder / name, picture); }
  Result translate(const Words& more, const std::string& photo = "photo.png") {
    Words words = {"translate", "run", photo, "--device", "cpu", "--quiet", "--out", "out.png", "--force"};
    words.insert(words.end(), more.begin(), more.end());
    return shell.gan(words);
  }
  Image made(const Words& more, const std::string& photo = "photo.png") {
    fs::remove(shell.folder / "out.png");
    const auto result = translate(more, photo);
    REQUIRE_MESSAGE(result.code == 0, result.err);
    return read_image(shell.folder / "out.png");
  }
  Shell shell;

 private:
  Workshop() {
    make_sets(shell.folder);
    write("photo.png", texture(40, 60));
    write("one.png", texture(48, 48, 0, 0, 5));
    write("two.png", texture(64, 40, 0, 0, 9));
    const auto trained = shell.gan(train("style", "run", {"--steps", "2"}));
    REQUIRE_MESSAGE(trained.code == 0, trained.err);
  }
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

Image plain(int height, int width, uint8_t red, uint8_t green, uint8_t blue) {
  Image image(height, width, 3);
  const uint8_t colour[] = {red, green, blue};
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = colour[i % 3];
  return image;
}

// A PNG of the picture whose pixels are seen in this part, from 0 to 255.
std::string png_with_alpha(const Image& picture, uint8_t alpha) {
  const auto number = [](uint32_t value) {
    std::string bytes;
    for (const int shift : {24, 16, 8, 0}) bytes += char(value >> shift & 255);
    return bytes;
  };
  const auto chunk = [&](const std::string& name_and_body) {
    const auto* bytes = reinterpret_cast<const Bytef*>(name_and_body.data());
    return number(uint32_t(name_and_body.size() - 4)) + name_and_body +
           number(uint32_t(crc32(0, bytes, uInt(name_and_body.size()))));
  };
  std::string rows;
  for (int y = 0; y < picture.height; ++y) {
    rows += '\0';
    for (int x = 0; x < picture.width; ++x) {
      for (int c = 0; c < 3; ++c) rows += char(picture.at(y, x, c));
      rows += char(alpha);
    }
  }
  uLongf length = compressBound(uLong(rows.size()));
  std::string packed(length, '\0');
  REQUIRE(compress(reinterpret_cast<Bytef*>(packed.data()), &length,
                   reinterpret_cast<const Bytef*>(rows.data()), uLong(rows.size())) == Z_OK);
  packed.resize(length);
  return "\x89PNG\r\n\x1a\n" +
         chunk("IHDR" + number(uint32_t(picture.width)) + number(uint32_t(picture.height)) +
               std::string("\x08\x06\0\0\0", 5)) +
         chunk("IDAT" + packed) + chunk("IEND");
}

}  // namespace

TEST_CASE("styles: comic stopped in its stage of content, or behind it, goes on bit for bit") {
  Shell shell;
  make_sets(shell.folder);
  const auto run = [&](const std::string& name, const std::string& steps) {
    const auto trained = shell.gan(
        train("comic", name, {"--ndf", "4", "--n-layers-d", "2", "--content-steps", "2", "--steps", steps}));
    REQUIRE_MESSAGE(trained.code == 0, trained.err);
  };
  run("whole", "4");
  const auto wanted = tensors_of(shell.folder / "whole/checkpoints/step-00000004.safetensors");
  for (const char* stop : {"1", "2", "3"}) {
    CAPTURE(std::string(stop));
    const std::string parts = std::string("stop") + stop;
    run(parts, stop);
    CHECK(tensors_of(shell.folder / parts / "checkpoints" /
                     fmt::format("step-0000000{}.safetensors", stop)) != wanted);
    const auto resumed = shell.gan({"train", "--resume", parts, "--steps", "4", "--quiet"});
    REQUIRE_MESSAGE(resumed.code == 0, resumed.err);
    CHECK(tensors_of(shell.folder / parts / "checkpoints/step-00000004.safetensors") == wanted);
  }
  write_png(shell.folder / "photo.png", texture(37, 50));
  REQUIRE(shell.gan({"translate", "whole", "photo.png", "--out", "drawing.png"}).code == 0);
  const Image drawing = read_image(shell.folder / "drawing.png");
  CHECK((drawing.height == 37 && drawing.width == 50));
  const auto refused = [&](const Words& options, const std::string& part) {
    Words words = {"translate", "whole", "photo.png", "--out", "x.png"};
    words.insert(words.end(), options.begin(), options.end());
    check_refused(shell.gan(words), 2, part);
  };
  refused({"--style", "photo.png"},
          "--style belongs to models that take a style when they are used; this one is a comic");
  refused({"--region", "photo.png=photo.png"}, "--region belongs to models");
  refused({"--alpha", "0.5"}, "--alpha belongs to models");
  refused({"--keep-colour"}, "--keep-colour belongs to models");

  // A file of features that is none, by what is wrong in it.
  const auto features = [&](const std::string& header, const std::string& part) {
    const uint64_t size = header.size();
    std::string file(reinterpret_cast<const char*>(&size), 8);
    write_text(shell.folder / "vgg.safetensors", file + header + std::string(16, '\0'));
    check_refused_at_end(
        shell.gan(
            train("comic", "x", {"--steps", "1", "--lambda-style", "1", "--features", "vgg.safetensors"})),
        3, "vgg.safetensors: " + part);
    CHECK(!fs::exists(shell.folder / "x"));
  };
  check_refused_at_end(shell.gan(train("comic", "x", {"--steps", "1", "--features", "vgg.safetensors"})), 2,
                       "--features vgg.safetensors: nothing would be compared there");
  features(R"({"conv.bias":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
           "no tensor is called features.N.weight");
  features(R"({"features.0.bias":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})",
           "no tensor `features.0.weight` (64,3,3,3)");
}

TEST_CASE("styles: style has settings of its networks alone, and sizes that they can take") {
  Shell shell;
  const auto refused = [&](const Words& options, const std::string& part) {
    Words words = {"train",    "style", "builtin:comics", "--style", "builtin:abstract",
                   "--device", "cpu",   "--dry-run"};
    words.insert(words.end(), options.begin(), options.end());
    check_refused(shell.gan(words), 2, part);
  };
  refused({"--netG", "resnet_6"}, "--netG: netG belongs to pix2pix");
  refused({"--up", "resize"}, "--up: up belongs to dcgan, pix2pix");
  refused({"--size", "100"},
          "style takes pictures whose side is a multiple of 8, not 100; the nearest is --size 104");
  refused({"--size", "32", "--lambda-adversarial", "1", "--n-layers-d", "5"},
          "a patch discriminator with --n-layers-d 5");
}

TEST_CASE(
    "styles: a checkpoint holds the VGG that it was trained with; neither use nor resume needs the file") {
  Shell shell;
  make_sets(shell.folder);
  write_vgg("vgg16", shell.folder / "vgg.safetensors");
  const auto run = [&](const std::string& out, const std::string& steps) {
    const auto trained =
        shell.gan(train("style", out, {"--features", "vgg.safetensors", "--batch", "1", "--steps", steps}));
    REQUIRE_MESSAGE(trained.code == 0, trained.err);
  };
  run("whole", "3"), run("parts", "2");
  const auto translated = [&](const std::string& out) {
    const auto result =
        shell.gan({"translate", "whole", "photos/0.png", "--style", "drawings/1.png", "--out", out});
    REQUIRE_MESSAGE(result.code == 0, result.err);
    return read_image(shell.folder / out);
  };
  const Image before = translated("before.png");
  fs::remove(shell.folder / "vgg.safetensors");
  CHECK(translated("after.png").pixels == before.pixels);
  const auto resumed = shell.gan({"train", "--resume", "parts", "--steps", "3", "--quiet"});
  REQUIRE_MESSAGE(resumed.code == 0, resumed.err);
  const fs::path last = "checkpoints/step-00000003.safetensors";
  CHECK(tensors_of(shell.folder / "parts" / last) == tensors_of(shell.folder / "whole" / last));
  // The network is VGG's, and its numbers are the file's.
  const auto file = SafetensorsFile::open(shell.folder / "whole" / last);
  const NamedShapes tensors = vgg_tensors("vgg16");
  CHECK(file.read_f32("features." + tensors[2].first) == vgg_values(tensors[2].second, 2));
}

TEST_CASE("styles: weights of several styles, and how much of them") {
  Workshop& w = Workshop::open();
  const Image one = w.made({"--style", "one.png"}), two = w.made({"--style", "two.png"});
  CHECK((one.height == 40 && one.width == 60));
  CHECK(largest_difference(one, two) > 2);
  CHECK(largest_difference(w.made({"--style", "one.png:0.3,one.png:0.7"}), one) <= 1);
  const Image mixed = w.made({"--style", "one.png:0.7,two.png:0.3"});
  CHECK(largest_difference(mixed, one) > 0);
  CHECK(largest_difference(w.made({"--style", "one.png:0.3,two.png:0.7"}), mixed) > 0);
  CHECK(largest_difference(w.made({"--style", "two.png:3,one.png:7"}), mixed) <= 1);
  // Without a style the photo's own is left: what makes the photo from its features.
  const Image none = w.made({"--style", "one.png", "--alpha", "0"});
  CHECK(largest_difference(none, one) > 2);
  CHECK(largest_difference(w.made({"--style", "two.png", "--alpha", "0"}), none) == 0);
  w.write("own.png",
          texture(48, 64));  // of sides that need no padding, so that its statistics are the style's
  CHECK(largest_difference(w.made({"--style", "own.png"}, "own.png"),
                           w.made({"--style", "one.png", "--alpha", "0"}, "own.png")) <= 1);
  CHECK(largest_difference(w.made({"--style", "one.png", "--alpha", "1"}), one) == 0);
  const Image half = w.made({"--style", "one.png", "--alpha", "0.5"});
  CHECK((largest_difference(half, one) > 1 && largest_difference(half, none) > 1));

  check_refused(w.translate({}), 2, "style needs a picture of a style: --style PICTURE");
  check_refused(w.translate({"--style", "one.png:0"}), 2, "--style one.png:0");
  check_refused(w.translate({"--style", "one.png", "--alpha", "1.5"}), 2, "--alpha");
  check_refused(w.translate({"--style", "three.png"}), 3, "three.png");
}

TEST_CASE("styles: a region's mask of another size counts where it is white, a grey one counts in part") {
  Workshop& w = Workshop::open();
  const Image whole = w.made({"--style", "one.png"}), part = w.made({"--style", "two.png"}),
              photo = texture(40, 60);
  // The left half white, at half and at twice the size of the photo.
  for (const int scale : {1, 4}) {
    CAPTURE(scale);
    Image mask(20 * scale, 30 * scale, 1, 0);
    for (int y = 0; y < mask.height; ++y)
      for (int x = 0; x < mask.width / 2; ++x) mask.at(y, x, 0) = 255;
    w.write("mask.png", mask);
    const Image both = w.made({"--style", "one.png", "--region", "mask.png=two.png"}),
                alone = w.made({"--region", "mask.png=two.png"});
    int differs = 0, wrong = 0;
    for (int y = 0; y < 40; ++y)
      for (int x = 0; x < 60; ++x)
        for (int c = 0; c < 3; ++c) {
          if (x >= 28 && x < 32) continue;  // where the mask was scaled
          wrong += both.at(y, x, c) != (x < 30 ? part : whole).at(y, x, c);
          wrong += alone.at(y, x, c) != (x < 30 ? part : photo).at(y, x, c);
          differs += part.at(y, x, c) != whole.at(y, x, c);
        }
    CHECK(wrong == 0);
    CHECK(differs > 1000);
  }
  w.write("grey.png", Image(40, 60, 1, 51));  // a fifth
  const Image fifth = w.made({"--style", "one.png", "--region", "grey.png=two.png"});
  double worst = 0;
  for (size_t i = 0; i < fifth.pixels.size(); ++i)
    worst = std::max(worst, std::abs(fifth.pixels[i] - (0.8 * whole.pixels[i] + 0.2 * part.pixels[i])));
  CHECK(worst <= 0.5 + 1e-9);

  w.write("square.png", Image(50, 50, 1, 255));
  check_refused_at_end(w.translate({"--style", "one.png", "--region", "square.png=two.png"}), 3,
                       "50 x 50 pixels is no mask for a picture of 60 x 40");
  write_text(w.shell.folder / "words.png", "no picture");
  check_refused_at_end(w.translate({"--style", "one.png", "--region", "words.png=two.png"}), 3, "words.png");
  check_refused_at_end(w.translate({"--style", "one.png", "--region", "nowhere.png=two.png"}), 3,
                       "nowhere.png");
  check_refused(w.translate({"--region", "mask.png"}), 2, "--region mask.png: wants MASK=PICTURE");
}

TEST_CASE("styles: --keep-colour keeps a and b of Lab, and draws light and shade anew") {
  Workshop& w = Workshop::open();
  // Colours near grey fit any lightness, so that none is clipped.
  Image photo(40, 60, 3);
  for (int y = 0; y < 40; ++y)
    for (int x = 0; x < 60; ++x) {
      photo.at(y, x, 0) = uint8_t(128 + (x % 5) * 2), photo.at(y, x, 1) = 128;
      photo.at(y, x, 2) = uint8_t(128 + (y % 7) * 2);
    }
  w.write("pale.png", photo);
  const Image made = w.made({"--style", "one.png"}, "pale.png"),
              kept = w.made({"--style", "one.png", "--keep-colour"}, "pale.png");
  double worst_colour = 0, worst_light = 0, moved = 0;
  int looked_at = 0;
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

TEST_CASE("styles: a style may be one pixel, grey, seen through, or far larger than the photo") {
  Workshop& w = Workshop::open();
  // One colour is the same style at every size, down to a pixel.
  w.write("dot.png", plain(1, 1, 200, 30, 90));
  w.write("area.png", plain(48, 48, 200, 30, 90));
  w.write("wall.png", plain(900, 1300, 200, 30, 90));
  const Image area = w.made({"--style", "area.png"});
  CHECK(largest_difference(w.made({"--style", "dot.png"}), area) <= 1);
  CHECK(largest_difference(w.made({"--style", "wall.png"}), area) <= 1);
  CHECK(largest_difference(w.made({"--style", "one.png"}), area) > 2);
  w.write("other.png", plain(48, 48, 200, 90, 30));  // its red is the same
  CHECK(largest_difference(w.made({"--style", "other.png"}), area) > 0);

  const Image one = read_image(w.shell.folder / "one.png");
  Image grey(48, 48, 1), in_three(48, 48, 3);
  for (size_t i = 0; i < in_three.pixels.size(); ++i)
    grey.pixels[i / 3] = in_three.pixels[i] = one.pixels[i / 3 * 3];
  w.write("grey.png", grey);
  w.write("in_three.png", in_three);
  CHECK(largest_difference(w.made({"--style", "grey.png"}), w.made({"--style", "in_three.png"})) == 0);

  // What is not seen counts as --matte, which is white.
  write_text(w.shell.folder / "glass.png", png_with_alpha(one, 0));
  write_text(w.shell.folder / "solid.png", png_with_alpha(one, 255));
  w.write("white.png", Image(48, 48, 3, 255));
  w.write("black.png", Image(48, 48, 3, 0));
  const Image white = w.made({"--style", "white.png"}), black = w.made({"--style", "black.png"});
  CHECK(largest_difference(w.made({"--style", "solid.png"}), w.made({"--style", "one.png"})) == 0);
  CHECK(largest_difference(w.made({"--style", "glass.png"}), white) == 0);
  CHECK(largest_difference(w.made({"--style", "glass.png", "--matte", "black"}), black) == 0);
  CHECK(largest_difference(white, black) > 2);
}

}  // namespace gan::tests
