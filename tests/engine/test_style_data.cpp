// What models of styles learn from: squares out of comic pages, teachers drawn by rules, drawings with soft edges,
// and the set that deals them out.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/data/picture_set.h"
#include "engine/data/style_examples.h"
#include "engine/data/tiles.h"
#include "kernels/shared/colour.h"
#include "tests/support/shell.h"
#include "tests/support/skip.h"

namespace gan::tests {
namespace {

// Two panels of coloured stripes beside each other, white paper around and between them.
//   columns 0..9 paper, 10..119 panel, 120..129 gutter, 130..239 panel, 240..249 paper; rows likewise 0..9, 10..239
Image page() {
  Image image(250, 250, 3, 255);
  for (int y = 10; y < 240; ++y)
    for (int x = 10; x < 240; ++x)
      if (x < 120 || x >= 130)
        for (int c = 0; c < 3; ++c)
          image.at(y, x, c) = uint8_t(40 + (y / 7 * 53 + x / 5 * 31 + c * 67) % 160);
  return image;
}

int light(const Image& image, int y, int x) {
  return luma(image.at(y, x, 0), image.at(y, x, 1), image.at(y, x, 2));
}

// One colour with noise, 96 x 96.
Image noisy_brown() {
  Image noisy(96, 96, 3);
  for (size_t i = 0; i < noisy.pixels.size(); ++i)
    noisy.pixels[i] = uint8_t(std::array{150, 110, 100}[i % 3] + int(i * 7919 % 9) - 4);
  return noisy;
}

// How much light changes from pixel to pixel in the middle of such a picture.
double roughness(const Image& image) {
  double sum = 0;
  for (int y = 16; y < 80; ++y)
    for (int x = 16; x < 79; ++x) sum += std::abs(light(image, y, x + 1) - light(image, y, x));
  return sum;
}

// Dark left of column `edge`, bright from there on.
Image step_edge(int side, int edge, uint8_t dark, uint8_t bright) {
  Image image(side, side, 3, dark);
  for (int y = 0; y < side; ++y)
    for (int x = edge; x < side; ++x)
      for (int c = 0; c < 3; ++c) image.at(y, x, c) = bright;
  return image;
}

DataOptions styled(const fs::path& photos, const fs::path& style, int size) {
  DataOptions o;
  o.source = photos, o.style = style, o.examples = Examples::styled;
  o.size = o.load_size = size;
  o.augment = o.shuffle = false;
  return o;
}

std::vector<uint8_t> bytes_of(const Tensor& batch) {
  std::vector<uint8_t> bytes;
  for (const double value : batch.host()) bytes.push_back(byte_of(float(value)));
  return bytes;
}

}  // namespace

TEST_CASE("tiles: what is wrong with a square is named") {
  const Image p = page();
  CHECK(fault_of(p, 20, 15, 96) == TileFault::none);
  CHECK(fault_of(p, 20, 80, 96) == TileFault::gutter);  // columns 120..129 cross it
  CHECK(fault_of(p, 20, 5, 96) == TileFault::gutter);   // five columns of the page's margin
  CHECK(fault_of(p, 20, 8, 96) == TileFault::none);     // two columns are too thin for a gutter
  CHECK(fault_of(Image(64, 64, 3, 255), 0, 0, 64) == TileFault::paper);
  CHECK(fault_of(Image(64, 64, 3, 5), 0, 0, 64) == TileFault::dark);
  CHECK(fault_of(Image(64, 64, 3, 128), 0, 0, 64) == TileFault::even);
  Image grey(64, 64, 1, 90);
  for (int y = 0; y < 64; ++y)
    for (int x = 0; x < 64; ++x) grey.at(y, x, 0) = uint8_t(60 + 2 * y);
  CHECK(fault_of(grey, 0, 0, 64) == TileFault::none);
}

TEST_CASE("tiles: squares cover a page from edge to edge and step aside from gutters") {
  const Image p = page();
  const std::vector<Tile> tiles = tiles_of(p, 96, 77);
  REQUIRE(tiles.size() == 9);  // 250 - 96 = 154: three places down and across
  // The middle column lies on the gutter (77..172) and finds no place within half a step; the outer ones move in from
  // the margin.
  int good = 0;
  for (const Tile& tile : tiles) {
    CHECK(fault_of(p, tile.top, tile.left, 96) == tile.fault);
    good += tile.fault == TileFault::none;
    if (tile.fault == TileFault::none) CHECK((tile.left + 96 <= 122 || tile.left >= 128));
  }
  CHECK(good >= 6);
  CHECK(tiles_of(p, 251, 10).empty());
  CHECK(tiles_of(p, 250, 1).size() == 1);
  CHECK(tiles_of(Image(100, 300, 3), 100, 100).size() == 3);
}

TEST_CASE("teachers: even parts stay even, an edge gets a dark line, grey stays grey") {
  const Image edge = step_edge(128, 64, 90, 190), drawn = drawn_by_rules(edge);
  REQUIRE(drawn.height == 128);
  REQUIRE(drawn.channels == 3);
  int darkest = 255;
  for (int x = 56; x < 72; ++x) darkest = std::min(darkest, light(drawn, 64, x));
  CHECK(darkest < light(drawn, 64, 32) - 10);
  for (int y = 16; y < 112; ++y) CHECK(std::abs(light(drawn, y, 24) - light(drawn, 64, 32)) <= 1);
  for (size_t i = 0; i < drawn.pixels.size(); i += 3) {
    CHECK(std::abs(drawn.pixels[i] - drawn.pixels[i + 1]) <= 1);
    CHECK(std::abs(drawn.pixels[i] - drawn.pixels[i + 2]) <= 1);
  }
  // Noise in an even part goes, a colour becomes stronger.
  const Image noisy = noisy_brown();
  const Image flat = drawn_by_rules(noisy);
  CHECK(roughness(flat) < roughness(noisy) / 4);
  CHECK(flat.at(48, 48, 0) - flat.at(48, 48, 2) > 55);
  Image grey(32, 32, 1, 77);
  CHECK(drawn_by_rules(grey).channels == 3);
}

TEST_CASE("a drawn teacher's light is brighter and lies near one of seven tones") {
  // x = (L/100)^0.78, L' = 100 (x + 0.11 (3x^2 - 2x^3 - x)); the tone t is the nearest multiple of 100/6, and
  // L'' = t + 100/12 tanh(4 (L' - t) / (100/6)) / tanh(2).
  for (const int value : {10, 60, 100, 128, 180, 230}) {
    const double l = srgb_to_lab(Colour<double>{value / 255.0, value / 255.0, value / 255.0}).x;
    const double x = std::pow(l / 100, 0.78);
    const double bright = 100 * (x + 0.11 * (3 * x * x - 2 * x * x * x - x)), step = 100.0 / 6;
    const double tone = step * std::round(bright / step);
    const double wanted = tone + step / 2 * std::tanh(4 * (bright - tone) / step) / std::tanh(2.0);
    const Image drawn = drawn_by_rules(Image(48, 48, 3, uint8_t(value)));
    CAPTURE(value);
    CHECK(std::abs(light(drawn, 24, 24) - 255 * lab_to_srgb(Colour<double>{wanted, 0, 0}).x) <= 1.5);
  }
}

TEST_CASE(
    "a painted teacher: noise goes, an edge stays as sharp as it was, colour is stronger, grey stays grey") {
  const Image edge = step_edge(96, 48, 90, 190), painted = painted_by_rules(edge);
  CHECK(light(painted, 48, 48) - light(painted, 48, 47) >= 90);  // of 100
  for (int x = 0; x < 96; ++x) CHECK(std::abs(light(painted, 48, x) - light(edge, 48, x)) <= 5);
  const Image noisy = noisy_brown();
  const Image even = painted_by_rules(noisy, 256);
  CHECK(roughness(even) < roughness(noisy) / 4);
  CHECK(even.at(48, 48, 0) - even.at(48, 48, 2) > 60);  // 50 before
  const Image grey = painted_by_rules(Image(32, 32, 1, 77));
  CHECK(grey.channels == 1);
  CHECK(grey.pixels == Image(32, 32, 1, 77).pixels);
}

TEST_CASE(
    "a brushed teacher: its strokes come out of the grain, run along edges, and have the photo's colours") {
  // A step of light, slanting: x + y < 96 is dark.
  Image slope(96, 96, 3);
  for (int y = 0; y < 96; ++y)
    for (int x = 0; x < 96; ++x)
      for (int c = 0; c < 3; ++c) slope.at(y, x, c) = x + y < 96 ? 100 : 150;
  const Image grain = grain_of(96, 96, 3, 7);
  const Image brushed = brushed_by_rules(slope, grain, 256);
  CHECK(brushed == brushed_by_rules(slope, grain, 256));
  CHECK_FALSE(brushed == brushed_by_rules(slope, grain_of(96, 96, 3, 8), 256));
  // Without grain there are no strokes. 127 is half a step below the middle, a fifth of a stroke: 2 % darker.
  const Image still = brushed_by_rules(slope, Image(96, 96, 3, 127), 256),
              painted = painted_by_rules(slope, 256);
  for (size_t i = 0; i < still.pixels.size(); ++i)
    CHECK(std::abs(int(still.pixels[i]) - int(painted.pixels[i])) <= 4);
  // Two steps along the edge change less than two across, by half at least; far from it too.
  double along = 0, across = 0;
  for (int y = 20; y < 76; ++y)
    for (int x = 20; x < 76; ++x) {
      along += std::abs(light(brushed, y + 1, x - 1) - light(brushed, y - 1, x + 1));
      if (std::abs(x + y - 96) > 8)
        across += std::abs(light(brushed, y + 1, x + 1) - light(brushed, y - 1, x - 1));
    }
  CHECK(along < across / 2);
  CHECK(across / (56 * 56) > 4);  // of 255: they are there to be seen
  // On the whole the light is the photo's, and what is grey stays grey.
  double dark = 0, bright = 0;
  for (int y = 0; y < 96; ++y)
    for (int x = 0; x < 96; ++x) (x + y < 96 ? dark : bright) += light(brushed, y, x) / (96.0 * 48);
  CHECK(std::abs(dark - 100) < 4);
  CHECK(std::abs(bright - 150) < 4);
  for (size_t i = 0; i < brushed.pixels.size(); i += 3)
    CHECK(std::max({brushed.pixels[i], brushed.pixels[i + 1], brushed.pixels[i + 2]}) ==
          std::min({brushed.pixels[i], brushed.pixels[i + 1], brushed.pixels[i + 2]}));
  CHECK(brushed_by_rules(Image(32, 32, 1, 77), grain).channels == 1);
}

TEST_CASE("strokes catch light from above left: a ridge of grain is bright on that side") {
  // One grain of paint in the middle of an even ground: a hill in the height of the strokes.
  Image grain(65, 65, 1, 127);
  for (int y = 31; y <= 33; ++y)
    for (int x = 31; x <= 33; ++x) grain.at(y, x, 0) = 255;
  const Image lit = brushed_by_rules(Image(65, 65, 3, 128), grain, 256);
  double above_left = 0, below_right = 0;
  for (int i = 1; i <= 4; ++i)
    above_left += light(lit, 32 - i, 32 - i), below_right += light(lit, 32 + i, 32 + i);
  CHECK(above_left > below_right + 20);
}

TEST_CASE("grain: a third of normal numbers as bytes, the same in every channel, by the seed alone") {
  const Image grain = grain_of(200, 200, 3, 5);
  CHECK(grain == grain_of(200, 200, 3, 5));
  double sum = 0, squares = 0;
  for (size_t i = 0; i < grain.pixels.size(); i += 3) {
    CHECK(grain.pixels[i] == grain.pixels[i + 2]);
    const double value = 3 * (grain.pixels[i] / 127.5 - 1);
    sum += value, squares += value * value;
  }
  // 40,000 numbers: the mean has a deviation of 1/200, the mean square of sqrt(2)/200. Cutting takes 0.5 % of the square.
  CHECK(std::abs(sum / 40000) < 4.0 / 200);
  CHECK(std::abs(squares / 40000 - 1) < 0.005 + 4 * std::sqrt(2.0) / 200);
}

TEST_CASE("soft edges: an edge is blurred over five pixels, all else keeps its bytes") {
  const Image edge = step_edge(64, 32, 20, 220), soft = with_soft_edges(edge);
  for (int y = 0; y < 64; ++y) {
    for (int x = 0; x < 64; ++x)
      if (x < 28 || x > 35) CHECK(light(soft, y, x) == light(edge, y, x));
    CHECK(light(soft, y, 31) > 40);
    CHECK(light(soft, y, 32) < 200);
  }
  const Image weak = step_edge(64, 32, 100, 120);  // no edge: 4 x 20 is below the threshold
  CHECK(with_soft_edges(weak) == weak);
}

TEST_CASE("a set of photos and styles deals out what is made of the pictures that it deals out") {
  Shell shell;
  for (int i = 0; i < 6; ++i) {
    fs::create_directories(shell.folder / "photos");
    fs::create_directories(shell.folder / "pages");
    write_png(shell.folder / fmt::format("photos/{}.png", i),
              step_edge(48, 10 + 4 * i, 60, uint8_t(150 + 10 * i)));
    if (i < 3) write_png(shell.folder / fmt::format("pages/{}.png", i), step_edge(48, 12 + 8 * i, 10, 240));
  }
  DataOptions options = styled(shell.folder / "photos", shell.folder / "pages", 48);
  options.split = {0.5, 0.5};
  PictureSet set(options);
  CHECK(set.train_count() == 3);       // half of the photos, and every picture of the style
  CHECK(set.validation_count() == 3);  // photos alone
  for (int i = 0; i < 3; ++i) {
    CHECK(set.example(i, true).has("A"));
    CHECK_FALSE(set.example(i, true).has("B"));
  }
  DeviceContext context(Device::cpu);
  const Batch batch = set.batch(context, 0, 2);
  for (const auto& [from, made] : {std::pair{"A", "drawn"}, {"B", "soft"}}) {
    const std::vector<uint8_t> originals = bytes_of(batch.at(from)), derived = bytes_of(batch.at(made));
    REQUIRE(originals.size() == 2 * 48 * 48 * 3);
    for (size_t k = 0; k < 2; ++k) {
      Image original(48, 48, 3);
      std::copy_n(originals.begin() + long(k * original.pixels.size()), original.pixels.size(),
                  original.pixels.begin());
      const Image want = *from == 'A' ? drawn_by_rules(original) : with_soft_edges(original);
      CHECK(
          std::equal(want.pixels.begin(), want.pixels.end(), derived.begin() + long(k * want.pixels.size())));
    }
  }
  // Strokes of a brush: the grain that they come from is dealt out beside them, and is the same each time.
  options.teacher = "brushed";
  PictureSet brushed(options), brushed_again(options);
  const Batch strokes = brushed.batch(context, 0, 2);
  for (const char* name : {"A", "drawn", "grain"})
    CHECK(bytes_of(strokes.at(name)) == bytes_of(brushed_again.batch(context, 0, 2).at(name)));
  std::vector<Image> parts;
  for (const char* name : {"A", "grain", "drawn"}) {
    parts.emplace_back(48, 48, 3);
    const std::vector<uint8_t> all = bytes_of(strokes.at(name));
    std::copy_n(all.begin(), parts.back().pixels.size(), parts.back().pixels.begin());
  }
  CHECK(brushed_by_rules(parts[0], parts[1]) == parts[2]);
  CHECK(bytes_of(strokes.at("A")) == bytes_of(batch.at("A")));
  options.teacher = "drawn";
  // An input that is made of the photo, anew at each draw, beside the photo as it is.
  options.examples = Examples::coloured, options.make_input = InputKind::noise;
  CHECK_THROWS_WITH_AS(PictureSet{options}, doctest::Contains("no colour to learn"), Error);
  options.examples = Examples::styled;
  PictureSet noisy(options);
  const Batch first = noisy.batch(context, 0, 2), again = noisy.batch(context, 0, 2);
  CHECK(bytes_of(first.at("A")) == bytes_of(batch.at("A")));
  CHECK(bytes_of(first.at("drawn")) == bytes_of(batch.at("drawn")));
  const std::vector<uint8_t> photos = bytes_of(first.at("A")), inputs = bytes_of(first.at("made"));
  CHECK(inputs == bytes_of(again.at("made")));
  double squares = 0;
  for (size_t i = 0; i < photos.size(); ++i)
    squares += (photos[i] - inputs[i]) * (photos[i] - inputs[i]) / double(photos.size());
  CHECK(std::abs(std::sqrt(squares) - kNoiseDeviation) < 2);
  options.make_input = InputKind::none;
  // The built-in faces serve on both sides: as photos, and as comics.
  DataOptions faces = styled("builtin:comics", "builtin:comics", 32);
  faces.builtin_count = 8;
  PictureSet drawn(faces);
  const Batch both = drawn.batch(context, 0, 4);
  CHECK(bytes_of(both.at("A")) != bytes_of(both.at("B")));
  options.style.clear();
  CHECK_THROWS_WITH_AS(PictureSet{options}, doctest::Contains("--style"), Error);
  options.style = shell.folder / "nothing";
  CHECK_THROWS_WITH_AS(PictureSet{options}, doctest::Contains("nothing"), Error);
}

TEST_CASE("gan data tiles cuts pages, counts what it leaves out, and overwrites nothing") {
  Shell shell;
  fs::create_directories(shell.folder / "pages/one");
  write_png(shell.folder / "pages/one/a.png", page());
  write_png(shell.folder / "pages/small.png", Image(50, 50, 3, 90));
  const Result cut =
      shell.gan({"data", "tiles", "pages", "--out", "squares", "--size", "96", "--step", "77"});
  CHECK(cut.code == 0);
  CHECK(cut.out.find("from 2 pages; left out: gutter") != cut.out.npos);
  CHECK(cut.out.find("1 pages are smaller than a square") != cut.out.npos);
  size_t written = 0;
  for (const auto& entry : fs::recursive_directory_iterator(shell.folder / "squares")) {
    if (!entry.is_regular_file()) continue;
    ++written;
    const Image square = read_image(entry.path());
    CHECK(square.height == 96);
    CHECK(square.width == 96);
    CHECK(fault_of(square, 0, 0, 96) == TileFault::none);
  }
  CHECK(written >= 6);
  CHECK(cut.out.starts_with(fmt::format("squares: {} squares of 96 pixels", written)));
  CHECK(shell.gan({"data", "tiles", "pages", "--out", "squares"}).code == 2);
  CHECK(shell.gan({"data", "tiles", "pages"}).code == 2);
  CHECK(shell.gan({"data", "stats", "pages", "--out", "x"}).code == 2);
  const Result none = shell.gan({"data", "tiles", "nowhere", "--out", "y"});
  CHECK(none.code == 3);
  CHECK_FALSE(fs::exists(shell.folder / "y"));
}

}  // namespace gan::tests
