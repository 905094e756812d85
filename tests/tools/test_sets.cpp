// Sets of pictures as a user has them: what each command says of what it used and passed over, parts, files of
// pairs, links, and one bad file among good ones.
#include <nlohmann/json.hpp>

#include <fstream>

#include "engine/picture/image.h"
#include "tests/support/scene.h"
#include "tests/support/shell.h"

namespace gan::tests {
namespace {

using nlohmann::json;

void put(const fs::path& file, const Image& image) {
  fs::create_directories(file.parent_path());
  write_png(file, image);
}
void put_text(const fs::path& file) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << "no picture";
}

std::vector<std::string> small_run(const std::string& model, const std::string& data, const std::string& out,
                                   const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {
      "train", model,     data, "--out",    out,   "--size",  "32", "--ngf",          "4", "--ndf",
      "4",     "--batch", "2",  "--device", "cpu", "--steps", "1",  "--sample-every", "0"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

}  // namespace

TEST_CASE("sets: train, data check and translate say what was used and what was passed over") {
  Shell shell;
  for (int i = 0; i < 4; ++i) put(shell.folder / ("set/" + std::to_string(i) + ".png"), scene(40, 40, i));
  put(shell.folder / "set/.ipynb_checkpoints/0.png", scene(40, 40, 5));
  for (const char* name : {"set/a.txt", "set/b.txt", "set/c.gif", "set/._0.png"})
    put_text(shell.folder / name);
  const std::string others = "5 other files passed over: hidden 2, txt 2, gif 1";
  const auto trained = shell.gan(small_run("dcgan", "set", "set/run"));
  CAPTURE(trained.err);
  REQUIRE(trained.code == 0);
  CHECK(contains(trained.err, "set: 4 pictures for training; " + others + "\n"));
  // The run lies in the set from now on, and is no part of it.
  const auto checked = shell.gan({"data", "check", "set"});
  CHECK(checked.code == 0);
  CHECK(checked.out ==
        "4 pictures, 0 of them unreadable\n" + others + "; passed over set/run: a run of this program\n");
  const auto as_json = json::parse(shell.gan({"data", "check", "set", "--json"}).out);
  CHECK(as_json["files"] == 4);
  CHECK(as_json["passed_over"] == json{{"hidden", 2}, {"txt", 2}, {"gif", 1}});
  CHECK(as_json["folders_passed_over"][0] == "set/run: a run of this program");
  check_refused(shell.gan({"data", "check", "set/run"}), 3, "set/run: this is a run of this program");

  REQUIRE(
      shell.gan(small_run("pix2pix", "set", "made", {"--make-input", "blur", "--n-layers-d", "1"})).code ==
      0);
  const auto translated = shell.gan({"translate", "made", "set", "--out", "set/out"});
  CAPTURE(translated.err);
  CHECK(translated.code == 0);
  CHECK(contains(translated.err, "4 pictures; " + others + "; passed over set/run: a run of this program\n"));
  // What came out is no input of the next call, nor data, but can be named.
  const auto again = shell.gan({"translate", "made", "set", "--out", "set/out", "--force", "--json"});
  CHECK(json::parse(again.out)["pictures"] == 4);
  CHECK(contains(shell.gan({"data", "check", "set"}).out, "4 pictures, 0"));
  CHECK(contains(shell.gan({"data", "check", "set"}).out, "passed over set/out: output of this program"));
  CHECK(contains(shell.gan({"data", "check", "set/out"}).out, "4 pictures, 0"));
  CHECK(shell.gan({"compare", "set/out", "set"}).code == 0);
  // A folder with pictures of the user's own stays what it was.
  put(shell.folder / "set/mine/x.png", scene(40, 40, 6));
  REQUIRE(shell.gan({"translate", "made", "set/0.png", "--out", "set/mine"}).code == 0);
  CHECK(contains(shell.gan({"data", "check", "set"}).out, "6 pictures, 0"));
  REQUIRE(shell.gan({"sample", "set/run", "--separate", "--n", "2", "--out", "set/samples"}).code == 0);
  CHECK(contains(shell.gan({"data", "check", "set"}).out, "6 pictures, 0"));
}

TEST_CASE("sets: an output for each input name, links too") {
  Shell shell;
  for (int i = 0; i < 3; ++i) put(shell.folder / ("in/" + std::to_string(i) + ".png"), scene(32, 32, i));
  REQUIRE(shell.gan(small_run("pix2pix", "in", "run", {"--make-input", "blur", "--n-layers-d", "1"})).code ==
          0);
  fs::create_symlink("0.png", shell.folder / "in/same.png");
  put(shell.folder / "elsewhere/far.png", scene(32, 32, 3));
  fs::create_directory_symlink("../elsewhere", shell.folder / "in/linked");
  fs::create_directory_symlink("..", shell.folder / "in/linked/loop");
  fs::copy(shell.folder / "in/1.png", shell.folder / "in/1.bmp");      // the content decides how it is read
  fs::copy(shell.folder / "in/1.png", shell.folder / "in/1.png.png");  // its stem is another's whole name
  const auto result = shell.gan({"translate", "run", "in", "in/0.png", "--out", "out", "--json"});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(json::parse(result.out)["pictures"] == 7);
  for (const char* name :
       {"0.png", "same.png", "linked/far.png", "1.png.png", "1.bmp.png", "1.png.png.png"}) {
    CAPTURE(std::string(name));
    CHECK(fs::exists(shell.folder / "out" / name));
  }
}

TEST_CASE("sets: eval says which part it scored, and one bad file does not end it") {
  Shell shell;
  for (int i = 0; i < 3; ++i)
    for (const char* part : {"Train/", "VALID/"})
      put(shell.folder / "set" / (part + std::to_string(i) + ".png"), scene(32, 64, i));
  REQUIRE(shell.gan(small_run("pix2pix", "set", "run", {"--n-layers-d", "1"})).code == 0);
  const auto of_part = shell.gan({"eval", "run", "set", "--json"});
  CAPTURE(of_part.err);
  REQUIRE(of_part.code == 0);
  CHECK(contains(of_part.err, "set: scoring the part val, pairs: 3\n"));
  CHECK(json::parse(of_part.out)["part"] == "val");
  CHECK(json::parse(of_part.out)["left_out"].empty());
  const auto training = shell.gan({"eval", "run", "set", "--part", "train"});
  CHECK(contains(training.err, "scoring the part train, pairs: 3"));
  CHECK(contains(shell.gan({"eval", "run", "set/VALID"}).err,
                 "scoring all of it, for it has no parts, pairs: 3"));

  put_text(shell.folder / "set/VALID/1.png");
  const auto one = shell.gan({"eval", "run", "set", "--json", "--sheet", "s.png"});
  CAPTURE(one.err);
  REQUIRE(one.code == 0);
  CHECK(contains(one.err, "left out: set/VALID/1.png: is no JPEG"));
  CHECK(json::parse(one.out)["images"].size() == 2);
  CHECK(json::parse(one.out)["images"][1]["name"] == "2");
  CHECK(json::parse(one.out)["left_out"].size() == 1);
  CHECK(contains(shell.gan({"eval", "run", "set"}).out, "mean of 2, 1 left out"));
  check_refused_at_end(shell.gan({"eval", "run", "set", "--max-bad", "0"}), 3,
                       "set: 1 of 3 pairs are bad, more than --max-bad 0 allows: set/VALID/1.png");
  put_text(shell.folder / "set/VALID/2.png");
  check_refused_at_end(shell.gan({"eval", "run", "set"}), 3, "set: 2 of 3 pairs are bad");
  CHECK(shell.gan({"eval", "run", "set", "--max-bad", "0.7"}).code == 0);
  put_text(shell.folder / "set/VALID/0.png");
  check_refused_at_end(shell.gan({"eval", "run", "set", "--max-bad", "1"}), 3,
                       "none of the 3 pairs can be measured");
}

TEST_CASE("sets: a file with A and B side by side, given to translate and eval") {
  Shell shell;
  for (int i = 0; i < 3; ++i) {
    Image pair = scene(32, 64, i);
    for (int y = 0; y < 32; ++y)
      for (int x = 32; x < 64; ++x) pair.at(y, x, 2) = 200;
    put(shell.folder / "set" / (std::to_string(i) + ".png"), pair);
  }
  REQUIRE(shell.gan(small_run("pix2pix", "set", "run", {"--n-layers-d", "1"})).code == 0);
  REQUIRE(shell.gan(small_run("pix2pix", "set", "back", {"--n-layers-d", "1", "--direction", "BtoA"})).code ==
          0);
  const Image pair = read_image(shell.folder / "set/0.png");
  put(shell.folder / "left.png", crop(pair, 0, 0, 32, 32));
  put(shell.folder / "right.png", crop(pair, 0, 32, 32, 32));
  const auto out_of = [&](const std::string& run, const std::string& file,
                          std::vector<std::string> more = {}) {
    std::vector<std::string> words = {"translate", run, file, "--out", "o.png", "--force"};
    words.insert(words.end(), more.begin(), more.end());
    const auto result = shell.gan(words);
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    return std::pair(read_image(shell.folder / "o.png"), result.err);
  };
  // As the run's own data are such files, the half that is the input is taken, and said.
  const auto [half, words] = out_of("run", "set/0.png");
  CHECK(half == out_of("run", "left.png").first);
  CHECK(contains(
      words,
      "set/0.png is twice as wide as high, as the pairs are that this run learnt from: its left half"));
  CHECK(out_of("back", "set/0.png").first == out_of("back", "right.png").first);
  CHECK(out_of("run", "set/0.png", {"--pairs=false"}).first.width == 64);
  // Where nobody knows, the picture stays whole.
  fs::rename(shell.folder / "set", shell.folder / "moved");
  const auto [whole, hint] = out_of("run", "moved/0.png");
  CHECK(whole.width == 64);
  CHECK(contains(hint, "--pairs takes the left half"));
  CHECK(out_of("run", "moved/0.png", {"--pairs"}).first == half);
  check_refused_at_end(shell.gan({"translate", "run", "left.png", "--out", "p.png", "--pairs"}), 3,
                       "left.png: 32 x 32 pixels: no A and B side by side");

  CHECK(json::parse(shell.gan({"eval", "run", "moved/0.png", "--json"}).out)["images"].size() == 1);
  check_refused_at_end(shell.gan({"eval", "run", "left.png"}), 3,
                       "left.png: 32 x 32 pixels: a single picture");
  check_refused_at_end(shell.gan({"eval", "run", "left.png"}), 3,
                       "--make-input makes pairs of single pictures");
  const auto checked = shell.gan({"data", "check", "--pairs", "left.png", "--json"});
  CHECK(checked.code == 3);
  CHECK(json::parse(checked.out)["problems"][0]["file"] == "left.png");
}

TEST_CASE("sets: a missing partner has its name in what data check says") {
  Shell shell;
  for (const char* name : {"set/train/A/1.png", "set/train/A/2.png", "set/train/B/2.png"})
    put(shell.folder / name, scene(32, 32, 1));
  const auto result = shell.gan({"data", "check", "--pairs", "set"});
  CHECK(result.code == 3);
  CHECK(result.out == "set/train/A/1.png: no partner 1.* in set/train/B\n2 pairs, 1 of them bad\n");
  const auto problem =
      json::parse(shell.gan({"data", "check", "--pairs", "set", "--json"}).out)["problems"][0];
  CHECK(problem["file"] == "set/train/A/1.png");
  CHECK(problem["partner"] == "set/train/B/1.*");
  CHECK(problem["problem"] == "no partner 1.* in set/train/B");
}

}  // namespace gan::tests
