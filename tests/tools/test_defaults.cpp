// What a newcomer meets: presets, lengths by the clock, what is said before and after, output by the time.
#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "engine/files/safetensors.h"
#include "engine/learning/optim.h"
#include "models/networks/blocks.h"
#include "models/tasks/zoo.h"
#include "tests/support/shell.h"

namespace gan::tests {
namespace {

using nlohmann::json;
using Words = std::vector<std::string>;

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(json::parse(line));
  return lines;
}

Words small_pix2pix(const Words& more) {
  Words words = {"train",
                 "pix2pix",
                 "builtin:comics",
                 "--device",
                 "cpu",
                 "--size",
                 "64",
                 "--ngf",
                 "2",
                 "--ndf",
                 "2",
                 "--batch",
                 "1",
                 "--n-layers-d",
                 "1",
                 "--sample-every",
                 "0",
                 "--eval-every",
                 "0"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("defaults: --preset says what settings begin with, whatever is given wins over both") {
  Shell shell;
  const auto settings_of = [&](const Words& more) {
    Words words = {"train", "pix2pix", "builtin:comics", "--device", "cpu",       "--ngf", "4",
                   "--ndf", "4",       "--cache-gb",     "0",        "--dry-run", "--json"};
    words.insert(words.end(), more.begin(), more.end());
    const auto result = shell.gan(words);
    REQUIRE_MESSAGE(result.code == 0, result.err);
    return json::parse(result.out);
  };
  const json tuned = settings_of({}), paper = settings_of({"--preset", "paper"});
  // Isola et al. 2017, section 6: 256 pixels, batch 1, batch norm, no average.
  CHECK(paper["config"]["size"] == 256);
  CHECK(paper["config"]["load_size"] == 256);  // faces are drawn no larger
  CHECK(paper["config"]["batch"] == 1);
  CHECK(paper["config"]["norm"] == "batch");
  CHECK(paper["config"]["ema"] == 0);
  CHECK(paper["config"]["least_steps"] == 0);
  CHECK(paper["config"]["up"] == "convt");
  CHECK(tuned["config"]["up"] == "resize");
  CHECK(tuned["config"]["size"] == 128);
  CHECK(tuned["config"]["load_size"] == 143);
  CHECK(tuned["origins"]["size"] == "preset");
  // Weights and two moments of both networks, an average of G; names and settings take little.
  const double g = tuned["parameters_G"], d = tuned["parameters_D"], bytes = tuned["checkpoint_bytes"];
  CHECK(bytes >= 16 * g + 12 * d);
  CHECK(bytes < 16 * g + 12 * d + 1e5);
  const json given = settings_of({"--size", "64", "--batch", "3"});
  CHECK(given["config"]["size"] == 64);
  CHECK(given["config"]["load_size"] == 72);  // 143/128 of it
  CHECK(given["config"]["batch"] == 3);
  // A picture that only lacks sharpness is changed; one that lacks its colours or was a sketch is drawn anew.
  for (const char* kind : {"noise", "blur", "lowres", "grey", "sketch"}) {
    CAPTURE(std::string(kind));
    const bool changed = std::string(kind) != "grey" && std::string(kind) != "sketch";
    const json made = settings_of({"--make-input", kind});
    CHECK(made["config"]["netG"] == (changed ? "whitebox" : "unet"));
    CHECK(made["config"]["lambda_l1"] == (changed ? 1000 : 100));
  }
  CHECK(settings_of({"--make-input", "lowres", "--netG", "unet"})["config"]["netG"] == "unet");
  CHECK(settings_of({"--make-input", "lowres", "--preset", "paper"})["config"]["netG"] == "unet");
  check_refused(shell.gan({"train", "dcgan", "builtin:comics", "--preset", "papers"}), 2, "paper");
}

TEST_CASE("defaults: every model's preset trains on the built-in pictures") {
  for (const ZooEntry& entry : zoo()) {
    CAPTURE(std::string(entry.name));
    Shell shell;
    Words presets = {"tuned"};
#ifndef __SANITIZE_ADDRESS__  // each plans a full-sized step
    presets.push_back("paper");
    for (const NamedPreset& own : entry.presets) presets.push_back(own.name);
#endif
    for (const std::string& preset : presets) {
      CAPTURE(preset);
      // Of a set that streams nothing is drawn before it is trained on.
      Words words = {"train",      entry.name, "builtin:comics", "--preset", preset,
                     "--cache-gb", "0",        "--device",       "cpu",      "--dry-run"};
      const Config config = config_of_preset(preset, entry.name, Device::cpu);
      if (config.has<StyleSetSettings>()) words.insert(words.end(), {"--style", "builtin:comics"});
      // Narrow networks: a dry run takes a few steps.
      if (config.has<ConvSettings>()) words.insert(words.end(), {"--ngf", "8", "--ndf", "8"});
      const auto result = shell.gan(words);
      CHECK_MESSAGE(result.code == 0, result.err);
      CHECK(contains(result.out, " passes over the set"));
      CHECK(contains(result.out, "checkpoints of "));
    }
  }
}

TEST_CASE("defaults: a dry run tries a few steps and says what time they will take") {
  Shell shell;
  const auto time_of = [&](const Words& more) {
    Words words = small_pix2pix({"--dry-run"});
    words.insert(words.end(), more.begin(), more.end());
    const auto result = shell.gan(words);
    REQUIRE_MESSAGE(result.code == 0, result.err);
    const size_t at = result.out.rfind("\ntime  ");
    return at == std::string::npos ? "" : result.out.substr(at + 18);
  };
  const auto seconds_each = [](const std::string& words) {  // "... steps, 0.0123 s each..."
    const size_t at = words.find(" steps, ");
    return at == std::string::npos ? 0.0 : std::atof(words.c_str() + at + 8);
  };
  const std::string known = time_of({"--steps", "3600000"});
  CAPTURE(known);
  CHECK(contains(known, " for 3600000 steps, "));
  const double each = seconds_each(known);
  REQUIRE(each > 0);
  // A thousand hours for each second of a step.
  const size_t hours = size_t(std::atoi(known.c_str() + std::string("about ").size()));
  CHECK(double(hours) == doctest::Approx(each * 1000).epsilon(0.01).scale(200));
  const std::string clock = time_of({"--minutes", "10"});
  CAPTURE(clock);
  CHECK((clock.starts_with("about 10m00s for ") || clock.starts_with("about 9m5")));
  const double steps = std::atof(clock.c_str() + clock.find(" for ") + 5);
  CHECK(steps * seconds_each(clock) == doctest::Approx(600).epsilon(0.02));
  // Of a run that goes on only what is left.
  REQUIRE(shell.gan(small_pix2pix({"--steps", "3", "--out", "run", "--quiet"})).code == 0);
  const auto resumed = shell.gan({"train", "--resume", "run", "--steps", "10", "--dry-run"});
  CHECK(contains(resumed.out, " for 7 steps, "));
  const Words emulated = {"train", "dcgan",    "builtin:comics", "--size", "32",       "--ngf", "2",
                          "--ndf", "2",        "--batch",        "4",      "--device", "simt",  "--steps",
                          "1",     "--dry-run"};
  CHECK(contains(shell.gan(emulated).out, "not measured: this device"));
  CHECK(contains(shell
                     .gan({"train", "pix2pix", "builtin:comics", "--batch", "128", "--cache-gb", "0",
                           "--device", "cpu", "--dry-run"})
                     .out,
                 "not measured: a step is too large"));
}

TEST_CASE("defaults: while pictures are drawn a line says how far that is, unless nobody wants it") {
  Shell shell;
  const auto started = [&](const Words& more) {
    Words words = {"train",    "comic", "builtin:comics", "--style", "builtin:abstract", "--size", "256",
                   "--device", "cpu",   "--out",          "run"};
    words.insert(words.end(), more.begin(), more.end());
    return shell.start(gan_binary, words);
  };
  const pid_t telling = started({});
  for (int i = 0; i < 6000 && !contains(text_of(shell.folder / ".stderr"), " left"); ++i) usleep(10000);
  kill(telling, SIGINT);
  const auto told = shell.wait(telling);
  CHECK(told.code == 130);
  CHECK_MESSAGE(std::regex_search(told.err, std::regex("pictures [0-9]+/[0-9]+  [0-9hms]+ left")), told.err);
  CHECK(contains(told.err, "stopped by a signal before the first step"));
  for (const char* silent : {"--quiet", "--json"}) {
    const pid_t child = started({silent});
    sleep(4);  // the line comes after two seconds
    kill(child, SIGINT);
    const auto result = shell.wait(child);
    CHECK_MESSAGE(!std::regex_search(result.err, std::regex("pictures [0-9]+/")), result.err);
  }
}

TEST_CASE("defaults: a length that is given replaces the preset's least number of steps") {
  Shell shell;
  const auto length_of = [&](const Words& more) {
    Words words = {"train", "dcgan", "builtin:comics", "--device", "cpu",        "--batch", "64",
                   "--ngf", "2",     "--ndf",          "2",        "--cache-gb", "0",       "--dry-run"};
    words.insert(words.end(), more.begin(), more.end());
    const std::string out = shell.gan(words).out;
    return out.substr(out.rfind("length") == out.npos ? out.size() : out.rfind("length"));
  };
  CHECK(contains(length_of({}), "3000 steps of 64 pictures (46.9 passes"));  // 25 passes are 1,600 steps
  CHECK(contains(length_of({"--epochs", "2"}), "128 steps of 64 pictures (2 passes"));
  CHECK(contains(length_of({"--epochs", "2", "--least-steps", "200"}), "200 steps"));
  CHECK(contains(length_of({"--minutes", "2"}), "for 2 minutes"));
}

TEST_CASE(
    "defaults: a schedule follows the clock where time is all that is given; a resume repeats its rates") {
  Shell shell;
  const auto first = shell.gan(small_pix2pix({"--minutes", "0.1", "--log-every", "1", "--save-every", "20",
                                              "--keep", "0", "--out", "run", "--quiet"}));
  REQUIRE_MESSAGE(first.code == 0, first.err);
  const auto lines = lines_of(text_of(shell.folder / "run/metrics.jsonl"));
  REQUIRE(lines.size() > 25);
  double last = 1;
  for (size_t i = 1; i < lines.size(); ++i) {
    const int64_t clock = lines[i]["clock"];
    const double rate = lines[i]["lr"].get<double>() / 2e-4;
    CHECK(rate == doctest::Approx(learning_rate_factor("linear", clock, 1000)).epsilon(1e-12));
    CHECK(rate <= last);
    // The clock was read before the step: it is behind what the line before says by rounding alone.
    const double before = i > 1 ? lines[i - 1]["seconds"].get<double>() : 0.0;
    CHECK(double(clock) <= before / 6 * 999 + 1);
    CHECK(double(clock) >= before / 6 * 999 - 200);
    last = rate;
  }
  CHECK(last < 0.5);
  // From the checkpoint of step 20 on, the steps that come again have the rates that they had.
  REQUIRE(shell.gan({"train", "--resume", "run/checkpoints/step-00000020.safetensors", "--quiet"}).code == 0);
  const auto again = lines_of(text_of(shell.folder / "run/metrics.jsonl"));
  for (size_t step = 1; step < std::min(lines.size(), again.size()); ++step) {
    CAPTURE(step);
    REQUIRE(again[step]["step"] == step);
    CHECK(again[step]["lr"] == lines[step]["lr"]);
    CHECK(again[step]["loss_G"] == lines[step]["loss_G"]);
  }
}

TEST_CASE("defaults: grids and checkpoints come by the time too, and change no weights") {
  Shell shell;
  const auto train = [&](const std::string& out, const Words& more) {
    Words words = {
        "train", "dcgan", "builtin:comics", "--device", "cpu",     "--size", "32",    "--ngf", "2",
        "--ndf", "2",     "--batch",        "4",        "--steps", "30",     "--out", out,     "--quiet"};
    words.insert(words.end(), more.begin(), more.end());
    REQUIRE(shell.gan(words).code == 0);
  };
  const auto files_in = [&](const std::string& folder) {
    return std::distance(fs::directory_iterator(shell.folder / folder), fs::directory_iterator());
  };
  const Words often = {"--sample-minutes", "1e-9", "--save-minutes", "1e-9", "--keep", "0"};
  Words never = often;
  never.insert(never.end(), {"--deterministic"});
  train("often", often);
  train("never", never);
  train("plain", {});
  CHECK(files_in("often/samples") == 30);
  CHECK(files_in("often/checkpoints") == 31);  // and latest
  CHECK(files_in("never/samples") == 1);
  CHECK(files_in("never/checkpoints") == 2);
  const auto values = [&](const std::string& run) {
    const auto file = SafetensorsFile::open(shell.folder / run / "checkpoints/step-00000030.safetensors");
    std::vector<std::vector<std::byte>> all;
    for (const auto& entry : file.tensors()) all.push_back(file.read(entry));
    return all;
  };
  CHECK(values("often") == values("plain"));
  CHECK(values("never") == values("plain"));
}

TEST_CASE("defaults: where the run is, what it costs and what comes next is said; --json gives lines") {
  Shell shell;
  const auto result =
      shell.gan({"train", "dcgan", "builtin:comics", "--device", "auto", "--size", "32", "--ngf", "2",
                 "--ndf", "2", "--batch", "4", "--steps", "4", "--log-every", "2", "--json"});
  REQUIRE_MESSAGE(result.code == 0, result.err);
  CHECK(contains(result.err, "run runs/00000-dcgan-comics: 4 steps of 4 pictures"));
  CHECK(contains(result.err, "done: runs/00000-dcgan-comics; next: gan sample runs/00000-dcgan-comics"));
  CHECK_FALSE(contains(result.err, "collapsed"));
  const auto printed = lines_of(result.out);
  const auto kept = lines_of(text_of(shell.folder / "runs/00000-dcgan-comics/metrics.jsonl"));
  REQUIRE(kept.size() == 3);
  REQUIRE(printed.size() == 2);
  CHECK(printed[0] == kept[1]);
  CHECK(printed[1] == kept[2]);
  CHECK(kept[0]["device"] != "auto");
  CHECK(kept[0]["threads"].get<int>() >= 1);
  CHECK(kept[0]["version"].get<std::string>().size() >= 5);
  CHECK(kept[0]["commit"].is_string());
  CHECK(kept[0]["date"].get<std::string>().size() == 20);
}

}  // namespace gan::tests
