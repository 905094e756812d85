// builtin:abstract: the paintings are the same bytes everywhere and the same compositions at every size, of every
// school, with few colours each and many together; and the set serves whoever learns from single pictures.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/data/abstract.h"
#include "engine/data/drawn_sets.h"
#include "tests/support/shell.h"

using namespace gan;
using namespace gan::tests;

namespace {

// FNV-1a, 64 bits.
uint64_t hash_of(const Image& picture) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const uint8_t byte : picture.pixels) hash = (hash ^ byte) * 0x100000001B3u;
  return hash;
}

// Means over 8 x 8 equal blocks, three channels each.
std::vector<double> block_means(const Image& picture) {
  const Image small = resize(picture, 8, 8);
  return {small.pixels.begin(), small.pixels.end()};
}

double mean_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(a[i] - b[i]);
  return sum / double(a.size());
}

// How many colours (of 8 x 8 x 8) make up nine tenths of a picture.
int colours_of(const Image& picture) {
  std::map<int, int> counts;
  for (size_t i = 0; i < picture.pixels.size(); i += 3)
    ++counts[picture.pixels[i] / 32 * 64 + picture.pixels[i + 1] / 32 * 8 + picture.pixels[i + 2] / 32];
  std::vector<int> sizes;
  for (const auto& [colour, count] : counts) sizes.push_back(count);
  std::sort(sizes.rbegin(), sizes.rend());
  int colours = 0;
  for (int covered = 0; covered < picture.height * picture.width * 9 / 10; ++colours)
    covered += sizes[size_t(colours)];
  return colours;
}

DataOptions wanting(Examples examples, InputKind make = InputKind::none) {
  DataOptions options;
  options.source = "builtin:abstract", options.examples = examples, options.make_input = make;
  options.size = 32, options.builtin_count = 20, options.builtin_test = 5;
  return options;
}

std::string refusal(const DataOptions& options) {
  try {
    find_layout(options).list(options);
  } catch (const Error& error) {
    CHECK(error.code() == Exit::usage);
    return error.what();
  }
  return "no error";
}

}  // namespace

// These numbers may change only when the painting is changed on purpose. They hold for every compiler and
// optimisation level.
TEST_CASE("abstract: the paintings are pinned, byte for byte, one of each school") {
  struct Case {
    uint64_t index;
    const char* school;
    int size;
    uint64_t hash;
  };
  const Case cases[] = {
      {0x3u, "grid", 64, 0x427139424D6E0341u},
      {0x4u, "fields", 100, 0x1BB813067B209DB3u},
      {0x2u, "gesture", 128, 0xEC6982F6A9E37A01u},
      {0xbu, "geometry", 512, 0x2DA9BC229AB69AFFu},
      {0x0u, "cutouts", 64, 0xAA02563CC79E083Du},
      {0x1u, "mosaic", 181, 0x35D67B5D00283E32u},
      {0x10u, "stripes", 96, 0xA6A99D46FB0E7205u},
      {0xdu, "marbling", 200, 0xC8667A5B3F0C73B9u},
      {0xfu, "impasto", 80, 0x6096CC24BF3E680Eu},
      {0xFFFFFFFFFFFFFFFFu, "gesture", 64, 0x79130F21FBB12B11u},
      {0x8000000000000001u, "grid", 64, 0x4AB6D4BBD556555Eu},
  };
  std::set<std::string> seen;
  for (const Case& c : cases) {
    CAPTURE(c.index);
    CAPTURE(c.size);
    CHECK(abstract_school(c.index) == c.school);
    CHECK(hash_of(draw_abstract(c.index, c.size)) == c.hash);
    seen.insert(c.school);
  }
  const auto schools = abstract_schools();
  CHECK(seen == std::set<std::string>(schools.begin(), schools.end()));
}

TEST_CASE("abstract: every school has its share of the numbers") {
  std::map<std::string, int> counts;
  constexpr int kNumbers = 1800;
  for (uint64_t index = 0; index < kNumbers; ++index) ++counts[abstract_school(index)];
  const auto schools = abstract_schools();
  CHECK(schools.size() >= 6);
  CHECK(counts.size() == schools.size());
  for (const auto& school : schools) {
    CAPTURE(school);
    CHECK(counts[school] > kNumbers / int(schools.size()) * 7 / 10);
  }
}

TEST_CASE("abstract: a painting is the same composition at every size") {
  for (uint64_t index = 0; index < 16; ++index) {
    CAPTURE(index);
    CAPTURE(abstract_school(index));
    const auto large = block_means(draw_abstract(index, 160));
    for (const int size : {kSmallestAbstract, 75})
      CHECK(mean_difference(large, block_means(draw_abstract(index, size))) < 4);  // of 255 levels
    CHECK(mean_difference(large, block_means(draw_abstract(index + 1, 75))) > 12);
  }
  // The largest, once: it costs most.
  CHECK(mean_difference(block_means(draw_abstract(3, kLargestAbstract)), block_means(draw_abstract(3, 160))) <
        4);
}

TEST_CASE("abstract: no two alike, none of them blank, few colours in each and many in all") {
  std::set<uint64_t> hashes;
  std::set<int> all;
  std::vector<int> colours;
  constexpr int kPaintings = 120;
  for (uint64_t index = 0; index < kPaintings; ++index) {
    const Image picture = draw_abstract(index, 48);
    hashes.insert(hash_of(picture));
    colours.push_back(colours_of(picture));
    const auto means = block_means(picture);
    for (size_t i = 0; i < means.size(); i += 3)
      all.insert(int(means[i]) / 32 * 64 + int(means[i + 1]) / 32 * 8 + int(means[i + 2]) / 32);
    const auto [low, high] = std::minmax_element(picture.pixels.begin(), picture.pixels.end());
    CAPTURE(index);
    CHECK(*high - *low > 60);
  }
  CHECK(hashes.size() == kPaintings);
  std::sort(colours.begin(), colours.end());
  CHECK(colours[kPaintings / 2] <= 20);  // of 512
  CHECK(colours[kPaintings - 1] <= 60);
  CHECK(colours[0] >= 2);
  CHECK(all.size() > 100);
  CHECK(hash_of(draw_abstract(0, 48)) ==
        *hashes.find(hash_of(draw_abstract(0, 48))));  // nothing is left behind
}

TEST_CASE("abstract: paint has texture where a sign painter's would be flat") {
  int64_t equal = 0, pairs = 0;
  for (uint64_t index = 0; index < 18; ++index) {
    const Image picture = draw_abstract(index, 128, 1);
    for (int y = 0; y < picture.height; ++y)
      for (int x = 1; x < picture.width; ++x, ++pairs)
        equal += picture.at(y, x, 0) == picture.at(y, x - 1, 0);
  }
  CHECK(double(equal) / double(pairs) < 0.3);
}

TEST_CASE("abstract: grey is the luma of the colours; a size out of range is a usage error that names it") {
  const Image colour = draw_abstract(11, 40), grey = draw_abstract(11, 40, 1);
  CHECK(colour.channels == 3);
  CHECK(grey.channels == 1);
  for (int i = 0; i < 40 * 40; ++i) {
    const uint8_t* p = &colour.pixels[size_t(3 * i)];
    CHECK(grey.pixels[size_t(i)] == luma(p[0], p[1], p[2]));
  }
  for (const int size : {-1, 0, 31, 513, 1 << 30}) {
    CAPTURE(size);
    try {
      draw_abstract(1, size);
      FAIL("no error");
    } catch (const Error& error) {
      CHECK(error.code() == Exit::usage);
      CHECK(contains(error.what(), std::to_string(size)));
    }
  }
}

TEST_CASE("abstract: the set serves whoever learns from single pictures, and says what it is to others") {
  for (const Examples examples : {Examples::pictures, Examples::colour}) {
    const DataOptions options = wanting(examples);
    const DataLayout& layout = find_layout(options);
    const Listing listing = layout.list(options);
    REQUIRE(listing.train.size() == 1);
    CHECK(listing.train[0].examples.size() == 20);
    CHECK(listing.test.size() == 5);
    const ListedExample& example = listing.test[2];
    CHECK(example.name == abstract_school(uint64_t(kFirstDrawnTest + 2)) + "-1000002");
    CHECK(read_example(layout, example, options, reading_of(options, 32)).at("picture") ==
          draw_abstract(uint64_t(kFirstDrawnTest + 2), 32));
  }
  const DataOptions made = wanting(Examples::pairs, InputKind::blur);
  const DataLayout& layout = find_layout(made);
  const Example pair =
      read_example(layout, layout.list(made).train[0].examples[3], made, reading_of(made, 32, InputSeed{}));
  CHECK(pair.at("B") == draw_abstract(3, 32));
  CHECK(pair.has("A"));
  CHECK(contains(refusal(wanting(Examples::pairs)), "builtin:abstract holds single abstract paintings"));
  CHECK(contains(refusal(wanting(Examples::pairs)), "--make-input"));
  CHECK(contains(refusal(wanting(Examples::unpaired)), "pictures of two kinds"));
  DataOptions small = wanting(Examples::pictures);
  small.size = 16;
  CHECK(contains(refusal(small), "builtin:abstract draws pictures of 32 to 512 pixels, not 16"));
}

TEST_CASE("abstract: one school alone") {
  DataOptions impasto = wanting(Examples::pictures);
  impasto.source = "builtin:abstract:impasto";
  const Listing listing = find_layout(impasto).list(impasto);
  REQUIRE(listing.train[0].examples.size() == 20);
  REQUIRE(listing.test.size() == 5);
  std::set<int64_t> numbers;
  for (const auto* part : {&listing.train[0].examples, &listing.test})
    for (const ListedExample& example : *part) {
      CHECK(abstract_school(uint64_t(example.drawn)) == "impasto");
      CHECK(numbers.insert(example.drawn).second);
    }
  impasto.source = "builtin:abstract:impast";
  CHECK(contains(refusal(impasto), "did you mean impasto?"));
  impasto.source = "builtin:comics:impasto";
  CHECK(contains(refusal(impasto), "builtin:comics has no kinds to choose from"));
  impasto.source = "builtin:abstracts";
  CHECK(contains(refusal(impasto), "builtin:comics or builtin:abstract"));
}

TEST_CASE("abstract: training on it, and looking for its files") {
  Shell shell;
  const auto trained = shell.gan({"train", "dcgan", "builtin:abstract", "--size", "32", "--ngf", "2", "--ndf",
                                  "2", "--batch", "4", "--steps", "2", "--out", "run", "--cache-gb", "0"});
  CHECK_MESSAGE(trained.code == 0, trained.err);
  CHECK(contains(text_of(shell.folder / "run/config.toml"), "data = \"builtin:abstract\""));
  for (const char* name : {"builtin:abstract", "builtin:comics"})
    for (const char* what : {"check", "stats"})
      check_refused(shell.gan({"data", what, name}), 2, std::string(name) + " is drawn in code");
  check_refused(shell.gan({"train", "dcgan", "builtin:abstrakt", "--dry-run"}), 2,
                "builtin:comics or builtin:abstract");
}
