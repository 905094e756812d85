// Published weights through the program, compared with what PyTorch makes of them (tests/peers/make_published.py: tiny
// networks with their authors' names), and what is refused.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "engine/files/weights_file.h"
#include "engine/picture/image.h"
#include "tests/support/shell.h"

namespace gan::tests {
namespace {

std::string published(const std::string& name) {
  return (fs::path(source_dir) / "tests/data/published" / name).string();
}

// A picture of an expectation file: "input", "output", "style".
Image picture_of(const std::string& expectation, const std::string& name) {
  const auto file = SafetensorsFile::open(published(expectation + ".safetensors"));
  const TensorEntry& entry = file.get(name);
  Image image(int(entry.shape[0]), int(entry.shape[1]), int(entry.shape[2]));
  file.read(entry, std::as_writable_bytes(std::span(image.pixels)));
  return image;
}

// The largest difference of a sample, 256 for pictures of different sizes.
int largest_difference(const Image& a, const Image& b) {
  if (a.height != b.height || a.width != b.width || a.channels != b.channels) return 256;
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i)
    largest = std::max(largest, std::abs(int(a.pixels[i]) - int(b.pixels[i])));
  return largest;
}

// Translates `input.png` and reads the result.
Image translated(Shell& shell, const std::string& weights, const std::vector<std::string>& more) {
  std::vector<std::string> words = {"translate", weights, "input.png", "--out", "output.png", "--force"};
  words.insert(words.end(), more.begin(), more.end());
  const auto result = shell.gan(words);
  CHECK_MESSAGE(result.code == 0, result.err);
  return result.code == 0 ? read_image(shell.folder / "output.png") : Image();
}

}  // namespace

TEST_CASE("published: every kind makes the pictures that PyTorch makes") {
  Shell shell;
  const struct {
    const char *weights, *expectation;
    std::vector<std::string> options;
  } cases[] = {
      {"animegan2.pt", "animegan2", {"--align-corners"}},
      {"animegan2.pt", "animegan2", {"--as", "animegan2", "--align-corners"}},
      {"animegan2.pt", "animegan2_not_aligned", {}},
      {"fast-style.pth", "fast-style", {}},
      {"adain.pth",
       "adain",
       {"--features", published("adain_vgg.pth"), "--style", "style.png", "--alpha", "0.75", "--load-size",
        "0"}},
      {"pix2pix.pth", "pix2pix", {"--load-size", "32"}},
      {"pix2pix.pth", "pix2pix_eval", {"--load-size", "32", "--norm-mode", "running"}},
      {"cyclegan.pth", "cyclegan", {"--load-size", "32"}},
      {"cyclegan.pth", "cyclegan", {"--load-size", "0", "--as", "pix2pix"}},
  };
  for (const auto& one : cases) {
    CAPTURE(std::string(one.expectation));
    write_png(shell.folder / "input.png", picture_of(one.expectation, "input"));
    if (std::string(one.expectation) == "adain")
      write_png(shell.folder / "style.png", picture_of("adain", "style"));
    const Image made = translated(shell, published(one.weights), one.options);
    const Image wanted = picture_of(one.expectation, "output");
    CHECK(largest_difference(made, wanted) <= 1);
    // Tiny networks may have died: a picture of one colour would say nothing.
    const auto [least, most] = std::minmax_element(wanted.pixels.begin(), wanted.pixels.end());
    CHECK(*most - *least > 100);
  }
}

TEST_CASE("published: the same weights in a safetensors file, and on other devices") {
  Shell shell;
  write_png(shell.folder / "input.png", picture_of("animegan2", "input"));
  const auto file = WeightsFile::open(published("animegan2.pt"));
  SafetensorsWriter writer;
  std::map<std::string, std::vector<float>> values;
  for (const auto& tensor : file.tensors()) {
    values[tensor.name] = file.read_f32(tensor.name);
    writer.add("module." + tensor.name, tensor.shape, std::span<const float>(values[tensor.name]));
  }
  writer.save(shell.folder / "weights.safetensors");
  const Image wanted = picture_of("animegan2", "output");
  CHECK(largest_difference(translated(shell, "weights.safetensors", {"--align-corners"}), wanted) <= 1);
  for (const char* device : {"ref", "simt"})
    CHECK(largest_difference(
              translated(shell, published("animegan2.pt"), {"--device", device, "--align-corners"}),
              wanted) <= 1);
}

TEST_CASE("published: sizes are those of the authors' scripts") {
  Shell shell;
  write_png(shell.folder / "input.png", Image(40, 47, 3, 120));
  write_png(shell.folder / "style.png", picture_of("adain", "style"));
  const auto size = [&](const std::string& weights, const std::vector<std::string>& options) {
    const Image made = translated(shell, published(weights), options);
    return std::pair(made.height, made.width);
  };
  const std::string vgg = published("adain_vgg.pth");
  CHECK(size("pix2pix.pth", {}) == std::pair(256, 256));
  CHECK(size("cyclegan.pth", {}) == std::pair(256, 256));
  CHECK(size("cyclegan.pth", {"--load-size", "0"}) == std::pair(40, 47));  // mirrored and cut
  CHECK(size("adain.pth", {"--features", vgg, "--style", "style.png"}) ==
        std::pair(512, 608));  // 512 x 601 rounded up
  CHECK(size("adain.pth", {"--features", vgg, "--style", "style.png", "--load-size", "24"}) ==
        std::pair(24, 32));
  CHECK(size("animegan2.pt", {}) == std::pair(40, 44));
  CHECK(size("animegan2.pt", {"--align-corners"}) == std::pair(40, 47));
  CHECK(size("fast-style.pth", {}) == std::pair(40, 48));
  // In tiles, where the picture is said not to fit: as large as it is.
  CHECK(size("fast-style.pth", {"--tile", "32", "--overlap", "8"}) == std::pair(40, 47));
}

TEST_CASE("published: a wrong network, missing and extra tensors, and options of others are named") {
  Shell shell;
  write_png(shell.folder / "input.png", picture_of("animegan2", "input"));
  const auto refused = [&](std::vector<std::string> words, int code, const std::string& part) {
    words.insert(words.begin(), "translate");
    words.insert(words.end(), {"input.png", "--out", "output.png"});
    check_refused(shell.gan(words), code, part);
    CHECK(!fs::exists(shell.folder / "output.png"));
  };
  refused({published("pix2pix.pth"), "--as", "animegan2"}, 3, "they look like those of pix2pix");
  refused({published("animegan2.pt"), "--as", "cyclegan"}, 3, "they look like those of animegan2");
  refused({published("animegan2.pt"), "--as", "animegan"}, 2, "did you mean animegan2?");
  refused({published("strided.pth")}, 3, "no network that is known here");
  refused({published("adain_vgg.pth")}, 3, "goes with --features");
  refused({published("adain.pth")}, 2, "--features");
  refused({published("adain.pth"), "--features", published("adain_vgg.pth")}, 2, "--style is missing");
  refused({published("adain.pth"), "--features", published("animegan2.pt"), "--style", "input.png"}, 3,
          "not the normalised VGG");
  refused({published("animegan2.pt"), "--style", "input.png"}, 2, "--style belongs to adain");
  refused({published("animegan2.pt"), "--alpha", "0.5"}, 2, "--alpha belongs to adain");
  refused({published("cyclegan.pth"), "--load-size", "-1"}, 2, "--load-size");
  refused({"missing.pth"}, 3, "missing.pth");
  write_text(shell.folder / "page.pth", "<html>not found</html>");
  refused({"page.pth"}, 3, "a web page");

  // Files of which a tensor's name is another one of equal length.
  std::string bytes = text_of(published("fast-style.pth"));
  size_t at = bytes.find("res2.in1.bias");
  REQUIRE(at != bytes.npos);
  bytes.replace(at, 13, "res2.in1.bios");
  write_text(shell.folder / "renamed.pth", bytes);
  refused({"renamed.pth"}, 3, "missing `res2.in1.bias`; too many `res2.in1.bios`");

  // A picture that is too small for the mirrored borders.
  write_png(shell.folder / "input.png", Image(5, 40, 3));
  check_refused_at_end(shell.gan({"translate", published("animegan2.pt"), "input.png"}), 3,
                       "too small for animegan2");
}

TEST_CASE("published: options of published weights are refused for a trained model") {
  Shell shell;
  write_png(shell.folder / "input.png", picture_of("animegan2", "input"));
  const std::string run = (fs::path(source_dir) / "tests/data/earlier/pix2pix").string();
  const auto result = shell.gan({"translate", run, "input.png", "--alpha", "0.5", "--out", "output.png"});
  check_refused(result, 2, "--alpha belongs to models that take a style");
  check_refused(shell.gan({"translate", run, "input.png", "--as", "adain", "--out", "output.png"}), 3,
                "is a folder, not a file");
  check_refused(shell.gan({"translate", run, "input.png", "--load-size", "64", "--out", "output.png"}), 2,
                "--load-size belongs to weights as their authors publish them");
}

TEST_CASE("published: help names every kind with licence and command; inspect lists a file's tensors") {
  Shell shell;
  const auto help = shell.gan({"help", "weights"});
  CHECK(help.code == 0);
  for (const char* part :
       {"animegan2", "fast-style", "adain", "pix2pix", "cyclegan", "licence", "gan translate"})
    CHECK(contains(help.out, part));
  for (const std::string& text : {help.out, shell.gan({"help"}).out}) {
    size_t widest = 0, column = 0;
    for (const char c : text) widest = std::max(widest, column = c == '\n' ? 0 : column + 1);
    CHECK(widest <= 100);
  }
  const auto list = shell.gan({"inspect", published("animegan2.pt")});
  CHECK(list.code == 0);
  CHECK(contains(list.out, "weights of animegan2"));
  CHECK(contains(list.out, "block_c.1.layers.1.1.weight"));
  const auto json = shell.gan({"inspect", published("cyclegan.pth"), "--json"});
  CHECK(contains(json.out, "\"published\":\"cyclegan\""));
  CHECK(contains(json.out, "{\"name\":\"model.1.weight\",\"dtype\":\"F16\",\"shape\":[1,3,7,7]}"));
}

TEST_CASE("published: --init starts from a file of PyTorch") {
  Shell shell;
  const auto trained = shell.gan({"train", "cyclegan", "builtin:comics", "--size", "32", "--ngf", "1",
                                  "--ndf", "2", "--netG", "resnet_6", "--init", published("cyclegan.pth"),
                                  "--steps", "1", "--device", "cpu", "--dry-run"});
  check_refused_at_end(trained, 3, "weights of another model");  // its generators are G_A and G_B
  const auto one = shell.gan({"train",    "pix2pix", "builtin:comics",
                              "--size",   "32",      "--ngf",
                              "1",        "--ndf",   "2",
                              "--netG",   "unet_32", "--norm",
                              "batch",    "--init",  published("pix2pix.pth"),
                              "--steps",  "1",       "--batch",
                              "2",        "--lr",    "0",
                              "--device", "cpu",     "--sample-every",
                              "0",        "--out",   "run",
                              "--up",     "convt"});
  CHECK_MESSAGE(one.code == 0, one.err);
  CHECK(contains(one.err, "weights from " + published("pix2pix.pth")));
  if (one.code != 0) return;
  // The weights have not moved with --lr 0, so that the run makes the same pictures.
  write_png(shell.folder / "input.png", picture_of("pix2pix", "input"));
  const Image made = translated(shell, "run", {"--norm-mode", "batch"});
  CHECK(largest_difference(made, picture_of("pix2pix", "output")) <= 1);
}

}  // namespace gan::tests
