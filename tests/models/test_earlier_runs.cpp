// Runs that an earlier version left behind, in tests/data/earlier: their settings files hold every model's
// settings, as all did then. They go on where they stood, and their losses are those that the earlier version had.
#include <doctest/doctest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/support/places.h"
#include "tests/support/shell.h"

namespace gan::tests {
namespace {

// The losses of a step in a metrics file.
nlohmann::json step_of(const fs::path& metrics, int step) {
  std::istringstream lines(text_of(metrics));
  for (std::string line; std::getline(lines, line);) {
    const auto object = nlohmann::json::parse(line);
    if (object.value("step", 0) == step) return object;
  }
  FAIL("no step ", step, " in ", metrics.string());
  return {};
}

}  // namespace

TEST_CASE("earlier runs: resumed, they take the steps that the earlier version took") {
  for (const char* model : {"dcgan", "pix2pix", "colorize"}) {
    CAPTURE(std::string(model));
    Shell shell;
    const fs::path earlier = fs::path(source_dir) / "tests/data/earlier" / model;
    fs::copy(earlier, shell.folder / "run", fs::copy_options::recursive);
    const auto resumed = shell.gan({"train", "--resume", "run", "--device", "cpu", "--steps", "4"});
    REQUIRE_MESSAGE(resumed.code == 0, resumed.err);
    CHECK(contains(resumed.err, "resumed at step 2"));
    for (int step : {3, 4}) {
      const auto wanted = step_of(earlier / "metrics.jsonl", step),
                 got = step_of(shell.folder / "run/metrics.jsonl", step);
      int losses = 0;
      for (const auto& [name, value] : wanted.items()) {
        if (!name.starts_with("loss_") && name != "images" && name != "lr") continue;
        CAPTURE(name);
        CHECK(got.at(name).get<double>() == doctest::Approx(value.get<double>()).epsilon(1e-4));
        ++losses;
      }
      CHECK(losses >= 6);
    }
    // The settings file that is written now has this model's settings alone, and can be given back.
    const std::string config = text_of(shell.folder / "run/config.toml");
    CHECK(contains(config, "netG") == (std::string(model) != "dcgan"));
    CHECK(contains(config, "\nnz = ") == (std::string(model) == "dcgan"));
  }
}

TEST_CASE("earlier runs: their settings files and checkpoints are taken by the commands") {
  Shell shell;
  const std::string runs = std::string(source_dir) + "/tests/data/earlier/";
  const auto again = shell.gan({"train", "dcgan", "--config", runs + "dcgan/config.toml", "--steps", "1",
                                "--out", "again", "--device", "cpu"});
  CHECK_MESSAGE(again.code == 0, again.err);
  CHECK(contains(again.err, "passed over, settings that dcgan does not have: "));
  CHECK(contains(again.err, "netG"));
  CHECK(shell.gan({"sample", runs + "dcgan", "--out", "grid.png"}).code == 0);
  CHECK(shell.gan({"eval", runs + "colorize", "builtin:comics", "--n", "2"}).code == 0);
  CHECK(shell.gan({"translate", runs + "pix2pix", "grid.png", "--out", "out"}).code == 0);
  CHECK(shell.gan({"inspect", runs + "pix2pix"}).code == 0);
  const auto typed = shell.gan({"train", "dcgan", "builtin:comics", "--netG", "resnet_9"});
  check_refused(typed, 2, "--netG: netG belongs to pix2pix, colorize");
}

}  // namespace gan::tests
