// Style as a user has it: trained in a few steps, and what `gan translate` makes with --style and --alpha.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "engine/picture/image.h"
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

}  // namespace

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

}  // namespace gan::tests
