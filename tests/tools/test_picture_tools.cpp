// The commands that measure and translate pictures, as a user has them.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/data/made_input.h"
#include "engine/files/safetensors.h"
#include "engine/picture/image.h"
#include "tests/support/shell.h"

namespace gan::tests {
namespace {

// A picture with something in it: a coloured disc on a ramp, another for each number.
Image scene(int height, int width, int number) {
  Image image(height, width, 3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const bool inside = std::hypot(y - height * (0.3 + 0.05 * number), x - width * 0.5) < height * 0.25;
      image.at(y, x, 0) = uint8_t(inside ? 40 * number + 50 : 255 * x / width);
      image.at(y, x, 1) = uint8_t(inside ? 200 - 30 * number : 255 * y / height);
      image.at(y, x, 2) = uint8_t(inside ? 90 : 30 * number);
    }
  return image;
}

// Trains a tiny network for a few steps.
std::vector<std::string> small_run(const std::string& model, const std::string& data, const std::string& out,
                                   const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"train", model,          data, "--preset", "paper", "--out",
                                        out,     "--size",       "32", "--ngf",    "4",     "--ndf",
                                        "4",     "--n-layers-d", "1",  "--batch",  "2",     "--device",
                                        "cpu",   "--log-every",  "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::vector<nlohmann::json> lines_of(const fs::path& file) {
  std::vector<nlohmann::json> lines;
  std::istringstream stream(text_of(file));
  for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace
using nlohmann::json;

TEST_CASE("gan compare: table, JSON and sheet of two folders") {
  Shell shell;
  for (const char* name : {"a", "b/sub"}) fs::create_directories(shell.folder / name);
  fs::create_directories(shell.folder / "a/sub");
  Image same(20, 30, 3, 50), near = same;
  for (auto& sample : near.pixels) sample += 3;
  write_png(shell.folder / "a/one.png", same), write_png(shell.folder / "b/one.PNG", same);
  write_png(shell.folder / "a/sub/two.png", same), write_png(shell.folder / "b/sub/two.png", near);
  write_png(shell.folder / "a/dot.png", Image(1, 1, 3, 9)),
      write_png(shell.folder / "b/dot.png", Image(1, 1, 3, 10));

  const auto result = shell.gan({"compare", "a", "b", "--json", "--sheet", "new/sheet.png"});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  const auto parsed = json::parse(result.out);
  REQUIRE(parsed["images"].size() == 3);
  CHECK(parsed["images"][0]["name"] == "dot");
  CHECK(parsed["images"][0]["ssim"].is_null());  // smaller than the window
  CHECK(parsed["images"][1]["psnr"] == "inf");
  CHECK(parsed["images"][2]["name"] == "sub/two");
  CHECK(parsed["images"][2]["psnr"].get<double>() == doctest::Approx(38.5885));
  CHECK(parsed["mean"]["psnr"] == "inf");
  CHECK(parsed["mean"]["l1"].get<double>() == doctest::Approx(4.0 / 3));
  CHECK(parsed["mean"]["ssim"].get<double>() < 1);
  const Image sheet =
      read_image(shell.folder / "new/sheet.png");  // three rows of A, B, difference: no fourth
  CHECK(sheet.width == 3 * 34 + 4);
  CHECK(sheet.height == 3 * 34 + 4);

  const auto table = shell.gan({"compare", "a", "b", "--metrics", "l1"});
  CHECK(table.code == 0);
  CHECK(contains(table.out, "mean of 3"));
  CHECK(contains(table.out, "1.33"));
  CHECK_FALSE(contains(table.out, "psnr"));
  const auto files = shell.gan({"compare", "a/one.png", "b/sub/two.png", "--metrics", "psnr", "--json"});
  CHECK(json::parse(files.out)["mean"]["psnr"].get<double>() == doctest::Approx(38.5885));
}

TEST_CASE("gan compare: what cannot be compared is named") {
  Shell shell;
  fs::create_directories(shell.folder / "a");
  fs::create_directories(shell.folder / "b");
  write_png(shell.folder / "a/one.png", Image(4, 5, 3, 1)),
      write_png(shell.folder / "b/one.png", Image(5, 4, 3, 1));
  check_refused(shell.gan({"compare", "a", "b"}), 3, "a/one.png is 5 x 4 and b/one.png is 4 x 5");
  write_png(shell.folder / "b/one.png", Image(4, 5, 3, 1));
  write_png(shell.folder / "b/two.png", Image(4, 5, 3, 1));
  check_refused(shell.gan({"compare", "a", "b", "--max-bad", "0"}), 3,
                "b/two.png: no partner of the same name (not in a)");
  check_refused(shell.gan({"compare", "b", "a", "--max-bad", "0"}), 3, "b/two.png: no partner");
  // One bad pair is left out and counted.
  const auto one = shell.gan({"compare", "a", "b", "--json"});
  CHECK(one.code == 0);
  CHECK(contains(one.err, "left out: b/two.png: no partner of the same name (not in a)"));
  CHECK(json::parse(one.out)["left_out"].size() == 1);
  CHECK(json::parse(one.out)["images"].size() == 1);
  CHECK(contains(shell.gan({"compare", "b", "a"}).out, "mean of 1, 1 left out"));
  write_png(shell.folder / "b/three.png", Image(4, 5, 3, 1));
  check_refused(shell.gan({"compare", "a", "b"}), 3, "2 of 3 pairs are bad, more than --max-bad 0.01 allows");
  CHECK(shell.gan({"compare", "a", "b", "--max-bad", "0.7"}).code == 0);
  fs::rename(shell.folder / "b/two.png", shell.folder / "b/e\u0301.png");
  fs::rename(shell.folder / "b/three.png", shell.folder / "a/\u00E9.png");
  check_refused(shell.gan({"compare", "a", "b"}), 3, "a/\u00E9.png: b/e\u0301.png looks alike");
  fs::rename(shell.folder / "b/e\u0301.png", shell.folder / "b/two.png");
  fs::remove(shell.folder / "a/\u00E9.png");
  check_refused(shell.gan({"compare", "a", "c"}), 3, "c: no such folder");
  check_refused(shell.gan({"compare", "a", "b/one.png"}), 2, "two folders or two files");
  check_refused(shell.gan({"compare", "a", "b", "--metrics", "pnsr"}), 2, "did you mean psnr?");
  // Whole names first, then without extensions; x.jpg.png is what translate makes of x.jpg beside x.png.
  fs::copy(shell.folder / "a/one.png", shell.folder / "a/one.jpg");
  const auto whole_names = shell.gan({"compare", "a", "b", "--max-bad", "1", "--json"});
  CHECK(json::parse(whole_names.out)["images"].size() == 1);
  CHECK(json::parse(whole_names.out)["left_out"].size() == 2);
  fs::remove(shell.folder / "b/two.png");
  fs::rename(shell.folder / "b/one.png", shell.folder / "b/one.jpg.png");
  fs::copy(shell.folder / "b/one.jpg.png", shell.folder / "b/one.png.png");
  CHECK(json::parse(shell.gan({"compare", "b", "a", "--json"}).out)["images"].size() == 2);
  CHECK(json::parse(shell.gan({"compare", "a", "b", "--json"}).out)["images"].size() == 2);
  fs::rename(shell.folder / "b/one.jpg.png", shell.folder / "b/one.png");
  fs::remove(shell.folder / "b/one.png.png"), fs::remove(shell.folder / "a/one.jpg");
  fs::resize_file(shell.folder / "b/one.png", 50);
  check_refused(shell.gan({"compare", "a", "b"}), 3, "b/one.png");
}

TEST_CASE("gan train pix2pix: pairs, validation, the best checkpoint, resuming bit for bit") {
  Shell shell;
  fs::create_directories(shell.folder / "pairs/train"), fs::create_directories(shell.folder / "pairs/val");
  for (int i = 0; i < 6; ++i) {
    const Image b = scene(40, 40, i % 5), a = make_input(b, InputKind::sketch);
    Image both(40, 80, 3);
    for (int y = 0; y < 40; ++y) {
      std::copy_n(&a.pixels[size_t(y) * 120], 120, &both.at(y, 0, 0));
      std::copy_n(&b.pixels[size_t(y) * 120], 120, &both.at(y, 40, 0));
    }
    write_png(shell.folder / (i < 4 ? "pairs/train" : "pairs/val") / (std::to_string(i) + ".png"), both);
  }
  const std::vector<std::string> schedule = {"--eval-every", "2", "--sample-every", "4",
                                             "--save-every", "2", "--keep",         "0"};
  auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), schedule.begin(), schedule.end());
    return more;
  };
  const auto whole = shell.gan(small_run("pix2pix", "pairs", "whole", with({"--steps", "4"})));
  CAPTURE(whole.err);
  REQUIRE(whole.code == 0);
  CHECK(contains(whole.err, "validation on 2 pictures; easiest answers: the input itself"));
  const auto lines = lines_of(shell.folder / "whole/metrics.jsonl");
  REQUIRE(lines.size() == 5);
  CHECK(lines[0]["config"]["load_size"] == 36);  // 286/256 of 32
  // The score is PSNR less what of the targets' detail and colour is missing.
  const auto missing = [](double part) { return 10 * std::log10(std::clamp(part, 1e-3, 1.0)); };
  for (const size_t line : {size_t(2), size_t(4)})
    CHECK(lines[line]["val_score"].get<double>() ==
          doctest::Approx(lines[line]["val_psnr"].get<double>() + missing(lines[line]["val_sharpness"]) +
                          missing(lines[line]["val_colour"])));
  CHECK_FALSE(lines[1].contains("val_psnr"));
  for (const char* key :
       {"loss_G_L1", "loss_G_GAN", "D_real", "val_psnr", "val_ssim", "val_psnr_trivial", "val_ssim_trivial"})
    CHECK(lines[2].contains(key));
  const Image grid = read_image(shell.folder / "whole/samples/step-00000004.png");
  CHECK(grid.width == 6 * 34 + 2);  // input, output, target of both pairs in one row
  CHECK(grid.height == 34 + 2);
  const double first = lines[2]["val_score"], second = lines[4]["val_score"];
  CHECK(text_of(shell.folder / "whole/checkpoints/best") ==
        (second > first ? "step-00000004.safetensors\n" : "step-00000002.safetensors\n"));

  REQUIRE(shell.gan(small_run("pix2pix", "pairs", "parts", with({"--steps", "2", "--lr-policy", "constant"})))
              .code == 0);
  const auto resumed = shell.gan({"train", "--resume", "parts", "--steps", "4"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  REQUIRE(shell.gan(small_run("pix2pix", "pairs", "again", with({"--steps", "4", "--lr-policy", "constant"})))
              .code == 0);
  const auto a = SafetensorsFile::open(shell.folder / "parts/checkpoints/step-00000004.safetensors"),
             b = SafetensorsFile::open(shell.folder / "again/checkpoints/step-00000004.safetensors");
  CHECK(a.tensors().size() == b.tensors().size());
  CHECK(a.find("state.best_score"));
  for (const auto& entry : a.tensors()) CHECK(a.read(entry) == b.read(*b.find(entry.name)));
  CHECK(text_of(shell.folder / "parts/checkpoints/best") == text_of(shell.folder / "again/checkpoints/best"));

  // What gets worse after a resume is not the best.
  int worse = 0;
  for (const auto& [steps, rate] : {std::pair("6", "0.01"), {"8", "0.5"}, {"10", "0.5"}}) {
    REQUIRE(shell.gan({"train", "--resume", "parts", "--steps", steps, "--lr", rate}).code == 0);
    double top = -1e9;
    int64_t best = 0;
    const auto longer = lines_of(shell.folder / "parts/metrics.jsonl");
    for (const auto& line : longer)
      if (line.contains("val_score") && line["val_score"].get<double>() > top)
        top = line["val_score"], best = line["step"];
      else worse += line.contains("val_score");
    CHECK(text_of(shell.folder / "parts/checkpoints/best") == fmt::format("step-{:08}.safetensors\n", best));
  }
  CHECK(worse > 0);

  const auto evaluated = shell.gan({"eval", "whole", "pairs", "--json"});
  CAPTURE(evaluated.err);
  REQUIRE(evaluated.code == 0);  // what validation said at the last step
  CHECK(json::parse(evaluated.out)["mean"]["psnr"].get<double>() ==
        doctest::Approx(lines[4]["val_psnr"].get<double>()).epsilon(1e-9));
  CHECK(json::parse(evaluated.out)["images"].size() == 2);
  const auto of_training = shell.gan(
      {"eval", "whole/checkpoints/best", "pairs", "--part", "train", "--sheet", "s.png", "--rows", "1"});
  CHECK(contains(of_training.out, "mean of 4"));
  CHECK(read_image(shell.folder / "s.png").width == 3 * 36 + 4);
  const auto whole_size = shell.gan({"eval", "whole", "pairs", "--full-size", "--json", "--metrics", "l1"});
  CHECK(whole_size.code == 0);
  check_refused(shell.gan({"eval", "whole", "pairs", "--part", "test"}), 2, "no pictures for \"test\"");
  check_refused(shell.gan({"train", "--resume", "whole", "--netD", "pixel", "--steps", "9"}), 2, "netD");

  // A bad pair is named before training, and by the command that the error points to.
  CHECK(contains(shell.gan({"data", "check", "pairs", "--pairs"}).out, "6 pairs, 0 of them bad"));
  write_png(shell.folder / "pairs/train/odd.png", Image(40, 79, 3, 1));
  check_refused(shell.gan(small_run("pix2pix", "pairs", "x", {"--max-bad", "0"})), 3,
                "gan data check --pairs pairs");
  CHECK(contains(shell.gan({"data", "check", "pairs"}).out, "7 pictures, 0 of them unreadable"));
  const auto checked = shell.gan({"data", "check", "--pairs", "pairs"});
  CHECK(checked.code == 3);
  CHECK(contains(checked.out, "pairs/train/odd.png: 79 x 40 pixels: a picture with A and B"));
  CHECK(contains(checked.out, "7 pairs, 1 of them bad"));
}

TEST_CASE("gan train: every kind of made input, colorize, and what is refused") {
  Shell shell;
  fs::create_directories(shell.folder / "photos");
  for (int i = 0; i < 5; ++i)
    write_png(shell.folder / "photos" / (std::to_string(i) + ".png"), scene(50, 44, i));
  for (const char* kind : {"sketch", "grey", "noise", "blur", "lowres", "mask", "old"}) {
    CAPTURE(std::string(kind));
    const auto result =
        shell.gan(small_run("pix2pix", "photos", kind, {"--make-input", kind, "--steps", "1"}));
    CAPTURE(result.err);
    CHECK(result.code == 0);
    CHECK(contains(result.err, "validation on 1 pictures"));
  }
  write_png(shell.folder / "photos/grey.png", make_input(scene(50, 44, 2), InputKind::grey));
  const auto colours = shell.gan(small_run("colorize", "photos", "colours", {"--steps", "1"}));
  CAPTURE(colours.err);
  CHECK(colours.code == 0);
  CHECK(contains(colours.err, "1 left out: grey or nearly so"));
  CHECK(contains(colours.err, "no colour"));
  // A grey photo at test time: its lightness stays, colour is added.
  write_png(shell.folder / "old.png", make_input(scene(70, 33, 3), InputKind::grey));
  const auto coloured = shell.gan({"translate", "colours", "old.png", "--out", "new.png"});
  CAPTURE(coloured.err);
  REQUIRE(coloured.code == 0);
  const Image before = read_image(shell.folder / "old.png"), after = read_image(shell.folder / "new.png");
  REQUIRE(after.height == 70);
  double light = 0, colour = 0;
  for (size_t i = 0; i < after.pixels.size(); i += 3) {
    const auto luma = [&](const Image& m) {
      return 0.299 * m.pixels[i] + 0.587 * m.pixels[i + 1] + 0.114 * m.pixels[i + 2];
    };
    light += std::abs(luma(after) - luma(before)) * 3 / double(after.pixels.size());
    colour += std::abs(after.pixels[i] - after.pixels[i + 2]) * 3 / double(after.pixels.size());
  }
  CHECK(light < 8);
  CHECK(colour > 0);
  const auto without =
      shell.gan({"translate", "colours", "old.png", "--saturation", "0", "--out", "none.png"});
  CHECK(without.code == 0);
  const Image none = read_image(shell.folder / "none.png");
  for (size_t i = 0; i < none.pixels.size(); i += 3)
    if (std::abs(none.pixels[i] - none.pixels[i + 2]) > 1) FAIL("a colour with --saturation 0");
  check_refused(shell.gan({"translate", "blur", "old.png", "--saturation", "2", "--out", "x.png"}), 2,
                "--saturation is for models that colour, colorize and restyle; pix2pix is none");

  check_refused(shell.gan(small_run("pix2pix", "photos", "x", {"--make-input", "skech", "--steps", "1"})), 2,
                "did you mean sketch?");
  check_refused(shell.gan(small_run("colorize", "photos", "x", {"--make-input", "grey", "--steps", "1"})), 2,
                "colorize has no such setting");
  check_refused(shell.gan(small_run("pix2pix", "photos", "x", {"--size", "40", "--steps", "1"})), 2,
                "the nearest is --size 32");
  check_refused(shell.gan(small_run("pix2pix", "photos", "x", {"--direction", "BtoC", "--steps", "1"})), 2,
                "AtoB");
  check_refused(shell.gan(small_run("pix2pix", "photos", "x", {"--make-input", "grey", "--channels", "1"})),
                2, "the input would be the target itself");
  // Weights of a network with other channels.
  check_refused(shell.gan(small_run("pix2pix", "photos", "x",
                                    {"--make-input", "blur", "--channels", "1", "--init", "blur", "--quiet",
                                     "--steps", "1"})),
                3, "this model wants");
}

TEST_CASE("gan translate: files, folders, patterns and streams, every size and kind of picture") {
  Shell shell;
  fs::create_directories(shell.folder / "in/sub");
  fs::create_directories(shell.folder / "photos");
  for (int i = 0; i < 3; ++i)
    write_png(shell.folder / "photos" / (std::to_string(i) + ".png"), scene(64, 64, i));
  REQUIRE(shell
              .gan(small_run("pix2pix", "photos", "run",
                             {"--size", "64", "--make-input", "blur", "--steps", "1", "--eval-every", "0",
                              "--sample-every", "0"}))
              .code == 0);
  write_png(shell.folder / "in/a.png", scene(37, 81, 1));
  write_png(shell.folder / "in/sub/b.png", scene(32, 32, 2));
  write_png(shell.folder / "in/dot.png", Image(1, 1, 3, 200));
  write_png(shell.folder / "in/grey.png", Image(20, 30, 1, 90));
  write_png(shell.folder / "in/wide.png", scene(9, 12'000, 3));
  {  // 16 bits a sample: 512/65535 is 2/255
    std::ofstream deep(shell.folder / "in/deep.pgm", std::ios::binary);
    deep << "P5 40 40 65535\n" << std::string(3200, '\2');
  }
  const auto folder = shell.gan({"translate", "run", "in", "--out", "out", "--json"});
  CAPTURE(folder.err);
  REQUIRE(folder.code == 0);
  const auto told = json::parse(folder.out);
  CHECK(told["pictures"] == 6);
  CHECK(told["seconds_each"].get<double>() > 0);
  for (const char* name : {"a", "sub/b", "dot", "grey", "wide"}) {
    const auto in = probe_image(shell.folder / "in" / (std::string(name) + ".png")),
               out = probe_image(shell.folder / "out" / (std::string(name) + ".png"));
    CHECK(in.width == out.width);
    CHECK(in.height == out.height);
    CHECK(out.channels == 3);
  }
  write_png(shell.folder / "shallow.png", Image(40, 40, 1, 2));
  REQUIRE(shell.gan({"translate", "run", "shallow.png", "--out", "same.png"}).code == 0);
  CHECK(read_image(shell.folder / "out/deep.png") == read_image(shell.folder / "same.png"));
  // The same picture by pattern, by stream and in tiles.
  const auto pattern = shell.gan({"translate", "run", "in/sub/*.png", "in/sub/?.png", "--out", "two"});
  CHECK(pattern.code == 0);
  CHECK(read_image(shell.folder / "two/b.png") == read_image(shell.folder / "out/sub/b.png"));
  shell.in_from = "in/sub/b.png", shell.out_to = "stream.png";
  CHECK(shell.gan({"translate", "run", "-"}).code == 0);
  shell.in_from = "/dev/null", shell.out_to = ".stdout";
  CHECK(read_image(shell.folder / "stream.png") == read_image(shell.folder / "out/sub/b.png"));
  const auto tiled =
      shell.gan({"translate", "run", "in/a.png", "--tile", "64", "--overlap", "16", "--out", "tiled.png"});
  CHECK(tiled.code == 0);
  CHECK(contains(tiled.err, "81 x 37 pixels in 2 x 1 tiles of 64 with an overlap of 16, about "));
  CHECK(contains(tiled.err, "megapixels/s"));
  const auto wide = shell.gan({"translate", "run", "in/wide.png", "--tile", "256", "--out", "w.png"});
  CHECK(wide.code == 0);
  CHECK(contains(wide.err, "12000 x 9 pixels in 63 x 1 tiles of 256"));
  CHECK(shell.gan({"translate", "run", "in/a.png", "--enlarge", "2", "--out", "large.png"}).code == 0);
  CHECK(probe_image(shell.folder / "large.png").width == 162);

  // Statistics and dropout: dropout alone depends on the seed; without it every call gives the same.
  const auto made = [&](const char* name, std::vector<std::string> more) {
    std::vector<std::string> arguments = {"translate", "run", "in/sub/b.png", "--out",
                                          std::string(name) + ".png"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    REQUIRE(shell.gan(arguments).code == 0);
    return read_image(shell.folder / (std::string(name) + ".png"));
  };
  const Image plain = made("p", {}), batch = made("q", {"--norm-mode", "batch"});
  CHECK(made("r", {"--seed", "2"}) == plain);
  CHECK(made("s", {"--norm-mode", "batch", "--seed", "2"}) == batch);
  CHECK(batch != plain);
  const Image dropped = made("t", {"--dropout", "--norm-mode", "batch"});
  CHECK(dropped != batch);
  CHECK(made("u", {"--dropout", "--norm-mode", "batch"}) == dropped);
  CHECK(made("v", {"--dropout", "--norm-mode", "batch", "--seed", "2"}) != dropped);

  check_refused(shell.gan({"translate", "run", "in/a.png", "--out", "out"}), 2, "out/a.png exists already");
  check_refused(shell.gan({"translate", "run", "none/*.png"}), 3, "none/*.png: no such picture");
  check_refused(shell.gan({"translate", "run", "in", "--tile", "100"}), 2, "the nearest is 128");
  check_refused(shell.gan({"translate", "run", "in", "--tile", "64", "--overlap", "40"}), 2, "at most 16");
  check_refused(shell.gan({"translate", "run"}), 2, "INPUT... is missing");
  check_refused(shell.gan({"translate", "run", "in/a.png", "in/sub/b.png", "--out", "-"}), 2,
                "takes one picture");
  fs::copy(shell.folder / "in/a.png", shell.folder / "in/a.ppm");
  // What differs in its extension alone gets an output of its own.
  REQUIRE(shell.gan({"translate", "run", "in", "--out", "both"}).code == 0);
  for (const char* name : {"a.png.png", "a.ppm.png", "sub/b.png"})
    CHECK(fs::exists(shell.folder / "both" / name));
  CHECK_FALSE(fs::exists(shell.folder / "both/a.png"));
  check_refused(shell.gan({"translate", "run", "in/a.png", "in/sub/../../in/a.png", "photos/0.png", "x.png",
                           "--out", "new"}),
                3, "x.png: no such picture");
  fs::create_directories(shell.folder / "in2");
  fs::copy(shell.folder / "in/a.png", shell.folder / "in2/a.png");
  check_refused(shell.gan({"translate", "run", "in/a.png", "in2/a.png", "--out", "new"}), 2,
                "would both become new/a.png");
  fs::resize_file(shell.folder / "in/a.ppm", 100);
  check_refused(shell.gan({"translate", "run", "in/a.ppm", "--out", "new"}), 3, "in/a.ppm");
  const auto damaged = shell.gan({"translate", "run", "in/a.ppm", "in/sub", "--out", "new"});
  CHECK(damaged.code == 3);
  CHECK(contains(damaged.err, "left out: in/a.ppm"));
  CHECK(fs::exists(shell.folder / "new/b.png"));
  REQUIRE(shell
              .gan({"train", "mlpgan", "builtin:comics", "--size", "32", "--batch", "2", "--steps", "1",
                    "--out", "noise", "--sample-every", "0"})
              .code == 0);
  check_refused(shell.gan({"translate", "noise", "in/dot.png", "--out", "z"}), 2,
                "makes pictures from noise");
  check_refused(shell.gan({"sample", "run"}), 2, "gan translate");
}

}  // namespace gan::tests
