// The program as a user has it: every test starts the built `gan` in a folder of its own and looks at what
// comes out on stdout and stderr, at the exit code and at the files.
#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "engine/files/safetensors.h"
#include "engine/picture/image.h"
#include "kernels/kernels.h"
#include "tests/support/shell.h"
#include "tools/commands/gpu_code.h"

namespace gan::tests {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A training that takes about a second on one core.
std::vector<std::string> small_training(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {
      "train",   "dcgan", "builtin:comics", "--size", "32",          "--ngf", "4", "--ndf", "4",
      "--batch", "4",     "--device",       "cpu",    "--log-every", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

// The tensors that differ.
std::string differences(const fs::path& a, const fs::path& b) {
  const auto first = SafetensorsFile::open(a), second = SafetensorsFile::open(b);
  std::string names;
  if (first.tensors().size() != second.tensors().size()) names += "count ";
  for (const auto& entry : first.tensors())
    if (!second.find(entry.name) || first.read(entry) != second.read(*second.find(entry.name)))
      names += entry.name + " ";
  if (first.metadata().at("config") != second.metadata().at("config")) names += "config ";
  return names;
}

}  // namespace

TEST_CASE("doctor: which GPUs a build's code runs on") {
  CHECK(tools::runs_on("80 90a-real", 80));
  CHECK(tools::runs_on("80 90a-real", 86));   // code of the same generation
  CHECK(tools::runs_on("80 90a-real", 120));  // the PTX of 8.0
  CHECK_FALSE(tools::runs_on("80 90a-real", 75));
  CHECK(tools::runs_on("90a-real", 90));
  for (const int other : {86, 100, 120}) CHECK_FALSE(tools::runs_on("90a-real", other));
  CHECK(tools::runs_on("86-real", 89));
  CHECK_FALSE(tools::runs_on("86-real", 90));
  CHECK_FALSE(tools::runs_on("86-real", 80));
  CHECK(tools::runs_on("90-virtual", 120));
  CHECK(tools::runs_on("native", 75));
}

TEST_CASE("cli: --version is quick and names version and devices") {
  Shell shell;
  const auto start = std::chrono::steady_clock::now();
  const auto result = shell.gan({"--version"});
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  CHECK(result.code == 0);
  CHECK(result.err == "");
  CHECK(result.out.starts_with("gan 0."));
  CHECK(contains(result.out, "cpu"));
  CHECK(contains(result.out, "cuda") == (find_backend(Device::cuda) != nullptr));
  CHECK(took.count() < 1);  // 20 ms on an idle machine; this bound only finds a program that loads the world
}

TEST_CASE("cli: help of a model shows its settings alone, with its own defaults") {
  Shell shell;
  const auto dcgan = shell.gan({"help", "train", "dcgan"}),
             pix2pix = shell.gan({"train", "pix2pix", "--help"});
  CHECK(dcgan.code == 0);
  CHECK(contains(dcgan.out, "--nz"));
  CHECK_FALSE(contains(dcgan.out, "--netG"));
  CHECK(contains(dcgan.out, "--config"));
  CHECK(contains(pix2pix.out, "--netG"));
  CHECK_FALSE(contains(pix2pix.out, "--nz"));
  CHECK(contains(pix2pix.out, "[128]"));  // its --size
  const auto all = shell.gan({"help", "train"});
  for (const char* option : {"--nz", "--netG", "--lambda-l1"}) CHECK(contains(all.out, option));
  check_refused(shell.gan({"help", "train", "dcgn"}), 2, "did you mean dcgan?");
  check_refused(shell.gan({"help", "sample", "dcgan"}), 2, "only train");
}

TEST_CASE("cli: help of every command, at most 100 columns, on stdout") {
  Shell shell;
  const auto general = shell.gan({"help"});
  CHECK(general.code == 0);
  CHECK(general.out == shell.gan({"--help"}).out);
  for (const char* command : {"train", "sample", "translate", "eval", "compare", "inspect", "kernels", "data",
                              "doctor", "completion", "help"}) {
    CAPTURE(std::string(command));
    CHECK(contains(general.out, std::string("\n  ") + command));
    const auto help = shell.gan({"help", command});
    CHECK(help.code == 0);
    CHECK(help.err == "");
    CHECK(help.out == shell.gan({command, "--help"}).out);
    CHECK(help.out == shell.gan({command, "-h", "--help"}).out);
    CHECK(contains(help.out, "Examples:"));
    size_t column = 0, widest = 0;
    for (char c : help.out) widest = std::max(widest, column = c == '\n' ? 0 : column + 1);
    CHECK(widest <= 100);
  }
  const auto train = shell.gan({"help", "train"}).out;
  CHECK(contains(train, "--lr-policy constant|linear|step|cosine|cyclic"));
  CHECK(contains(train, "--batch 1..65536"));
  const auto nothing = shell.gan({});
  CHECK(nothing.code == 2);
  CHECK(nothing.out == "");
}

TEST_CASE("cli: usage mistakes exit with 2, name the nearest and touch nothing") {
  Shell shell;
  check_refused(shell.gan({"trian"}), 2, "did you mean train?");
  check_refused(shell.gan({"--frob"}), 2, "--frob");
  check_refused(shell.gan({"train", "dcgan", "builtin:comics", "--btach", "4"}), 2, "did you mean --batch?");
  check_refused(shell.gan({"train", "dcgan", "builtin:comics", "--batch"}), 2, "--batch");
  check_refused(shell.gan({"train", "dcgan", "builtin:comics", "--batch", "x"}), 2, "from 1 to 65536");
  check_refused(shell.gan({"train", "dcgan", "builtin:comics", "--no-augment=maybe"}), 2, "--no-augment");
  check_refused(shell.gan({"train", "dcgan", "one", "two"}), 2, "\"two\"");
  check_refused(shell.gan({"train", "dcgan"}), 2, "DATA is missing");
  check_refused(shell.gan({"train"}), 2, "MODEL is missing");
  check_refused(shell.gan({"train", "dcgna", "builtin:comics"}), 2, "dcgan");
  check_refused(shell.gan({"inspect", "dcgna"}), 2, "dcgan");
  check_refused(shell.gan({"sample"}), 2, "RUN|CKPT is missing");
  check_refused(shell.gan({"sample", "x", "--n", "0"}), 2, "from 1 to");
  check_refused(shell.gan({"completion", "bsh"}), 2, "did you mean bash?");
  check_refused(shell.gan({"kernels", "gem"}), 2, "did you mean gemm?");
  check_refused(shell.gan({"kernels", "--shape", "1,2"}), 2, "--shape 1,2");
  check_refused(shell.gan({"train", "dcgan", "builtin:comics", "--device", "gpu"}), 2, "\"gpu\"");
  check_refused(shell.gan({"train", "dcgan", "builtin:comics"}, {"GAN_BTACH=4"}), 2, "GAN_BATCH?");
  check_refused(shell.gan({"train", "dcgan", "builtin:comics"}, {"GAN_BATCH=0"}), 2, "GAN_BATCH");
  std::ofstream(shell.folder / "a.toml") << "lr = 1\nbtach = 4\n";
  check_refused(shell.gan({"train", "dcgan", "builtin:comics", "--config", "a.toml"}), 2,
                "a.toml line 2: btach");
  std::ofstream(shell.folder / "b.toml") << "model = \"mlpgan\"\n";
  check_refused(shell.gan({"train", "dcgan", "builtin:comics", "--config", "b.toml"}), 2, "mlpgan");
  CHECK_FALSE(fs::exists(shell.folder / "runs"));
}

TEST_CASE("cli: files that are not there or not what they should be exit with 3") {
  Shell shell;
  check_refused(shell.gan({"train", "dcgan", "nowhere", "--device", "cpu"}), 3, "nowhere");
  check_refused(shell.gan({"train", "dcgan", "builtin:comics", "--config", "no.toml"}), 3, "no.toml");
  check_refused(shell.gan({"train", "--resume", "nowhere"}), 3, "nowhere");
  check_refused(shell.gan({"sample", "nowhere"}), 3, "nowhere");
  check_refused(shell.gan({"data", "check", "nowhere"}), 3, "nowhere");
  std::ofstream(shell.folder / "junk.safetensors") << "this is no checkpoint at all";
  check_refused(shell.gan({"sample", "junk.safetensors"}), 3, "junk.safetensors");
  check_refused(shell.gan({"inspect", "junk.safetensors"}), 3, "junk.safetensors");
}

TEST_CASE("cli: --verbose says where, NO_COLOR and pipes get no colours") {
  Shell shell;
  const auto result = shell.gan({"data", "check", "nowhere", "--verbose"});
  CHECK(lines_in(result.err) == 2);
  CHECK(contains(result.err, "exit code 3 (bad input file or data)"));
  CHECK_FALSE(contains(result.err, "\x1b"));
}

TEST_CASE("cli: a GPU that is not there exits with 4 and a remedy") {
  Shell shell;
  // Hidden GPUs are as good as none.
  const auto result =
      shell.gan({"train", "dcgan", "builtin:comics", "--device", "cuda"}, {"CUDA_VISIBLE_DEVICES="});
  check_refused(result, 4, "--device cpu");
  const auto doctor = shell.gan({"doctor", "--json"}, {"CUDA_VISIBLE_DEVICES="});
  CHECK(doctor.code == 0);
  const auto facts = json::parse(doctor.out);
  CHECK(contains(facts.at("films").get<std::string>(), "y4m and PPM streams"));
  CHECK(facts["onednn"].is_string());
  CHECK(facts["cores"].get<int>() >= 1);
  CHECK(facts["problems"].is_array());
  CHECK(facts["pictures"].get<std::string>().starts_with(".jpg .jpeg"));
}

TEST_CASE("cli: kernels lists every variant of every device, one JSON object per line") {
  Shell shell;
  const auto all = shell.gan({"kernels", "--json"});
  CHECK(all.code == 0);
  size_t variants = 0;
  for (Device device : {Device::cpu, Device::cuda, Device::simt, Device::ref})
    if (const Backend* backend = find_backend(device))
      for_each_op(*backend, [&](const char*, const auto& op) { variants += op.variants.size(); });
  CHECK(size_t(lines_in(all.out)) == variants);
  std::istringstream stream(all.out);
  for (std::string line; std::getline(stream, line);) {
    const auto row = json::parse(line);
    for (const char* key : {"family", "op", "device", "name", "dtypes", "where"}) CHECK(row[key].is_string());
    CHECK((row["error"] >= 1.0 &&
           (row["error"] > 1.0) ==
               (row["name"] == "winograd" || row["name"] == "mma_tf32" || row["name"] == "cudnn")));
  }
  const auto conv =
      shell.gan({"kernels", "conv2d_fwd", "--device", "ref", "--shape", "1,8,8,3:4,3,1,1", "--json"});
  const auto row = json::parse(conv.out);
  CHECK(row["picked"] == true);
  const auto forced =
      shell.gan({"kernels", "conv2d_fwd", "--device", "simt", "--shape", "1,8,8,3:4,3,1,1", "--json"},
                {"GAN_KERNEL=conv2d_fwd=naive"});
  CHECK(json::parse(forced.out.substr(0, forced.out.find('\n')))["picked"] == true);
  check_refused(shell.gan({"kernels", "--shape", "1,2,2,3:4,5,1,0"}), 2,
                "the kernel is larger than the picture");
  check_refused(shell.gan({"kernels", "--shape", "m=4,rows=2"}), 2, "no operation has all of these sizes");
  // Any operation has sizes, and only those that know all of them are listed.
  const auto norm = shell.gan({"kernels", "--device", "simt", "--shape", "segments=2,rows=5000", "--json"});
  CHECK(norm.code == 0);
  std::istringstream norms(norm.out);
  std::set<std::string> operations, picked;
  for (std::string line; std::getline(norms, line);) {
    const auto one = json::parse(line);
    operations.insert(one["op"]);
    if (one["picked"]) picked.insert(one["name"]);
  }
  CHECK(operations == std::set<std::string>{"norm_fwd", "norm_bwd"});
  CHECK(picked == std::set<std::string>{"split"});
}

TEST_CASE("cli: completion scripts are valid and know commands, options, choices and models") {
  Shell shell;
  const auto bash = shell.gan({"completion", "bash"});
  CHECK(bash.code == 0);
  std::ofstream(shell.folder / "gan.bash") << bash.out;
  CHECK(shell.wait(shell.start("bash", {"-n", "gan.bash"})).code == 0);
  // What the TAB key would get.
  std::ofstream(shell.folder / "ask.bash") << bash.out
                                           << "ask() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _gan; "
                                              "echo \"${COMPREPLY[@]}\"; }\n"
                                              "ask gan tr\nask gan train dc\nask gan train --nor\n"
                                              "ask gan train --norm b\nask gan data st\n";
  CHECK(shell.wait(shell.start("bash", {"ask.bash"})).out ==
        "train translate\n"
        "dcgan\n"
        "--norm --norm-mode\n"
        "batch\n"
        "stats\n");
  for (const char* name : {"zsh", "fish"}) {
    const auto script = shell.gan({"completion", name});
    CHECK(script.code == 0);
    CHECK(contains(script.out, "batch instance none"));
    CHECK(contains(script.out, "dcgan"));
    std::ofstream(shell.folder / name) << script.out;
    if (std::system((std::string("command -v ") + name + " >/dev/null 2>&1").c_str()) == 0)
      CHECK(shell.wait(shell.start(name, {"-n", name})).code == 0);
  }
}

TEST_CASE("cli: inspect and data") {
  Shell shell;
  const auto layers = json::parse(shell.gan({"inspect", "dcgan", "--json", "--tape"}).out);
  // DCGAN at 64 pixels, counted by hand: G 100*512*16 + 512*256*16 + 256*128*16 + 128*64*16 + 64*3*16 weights
  // and 2*(512+256+128+64) of batch norm; D the mirror image, with a last layer of 512*16 and no norm in the
  // first.
  CHECK(layers["parameters"]["G"] == 819200 + 2097152 + 524288 + 131072 + 3072 + 2 * 960);
  CHECK(layers["parameters"]["D"] == 3072 + 131072 + 524288 + 2097152 + 8192 + 2 * 896);
  CHECK(layers["layers"][0]["output"] == json({1, 4, 4, 512}));
  CHECK(layers["tape"].size() > 10);
  CHECK(layers["tape"][0] == json({{"op", "conv_transpose2d"},
                                   {"shape", {1, 4, 4, 512}},
                                   {"attributes", "kernel=4 stride=1 pad=0"},
                                   {"second_derivative", true}}));
  CHECK(contains(shell.gan({"inspect", "dcgan", "--tape"}).out,
                 "kernel=4 stride=2 pad=1 act=leaky_relu slope=0.2"));
  CHECK(json::parse(shell.gan({"inspect", "dcgan", "--size", "32", "--batch", "2", "--json"})
                        .out)["layers"][0]["output"] == json({2, 4, 4, 256}));
  CHECK(shell.gan({"inspect", "dcgan", "--dot"}).out.starts_with("digraph"));
  CHECK(contains(shell.gan({"inspect", "dcgan"}).out, "3,576,704"));

  fs::create_directories(shell.folder / "photos/deep");
  write_png(shell.folder / "photos/a.png", Image(8, 6, 3));
  write_png(shell.folder / "photos/deep/b.png", Image(4, 4, 1));
  CHECK(shell.gan({"data", "check", "photos"}).code == 0);
  std::ofstream(shell.folder / "photos/c.jpg") << "no picture";
  const auto check = shell.gan({"data", "check", "photos", "--json"});
  CHECK(check.code == 3);
  const auto problems = json::parse(check.out);
  CHECK(problems["files"] == 3);
  CHECK(problems["bad"] == 1);
  CHECK(contains(problems["problems"][0]["file"], "c.jpg"));
  const auto stats = json::parse(shell.gan({"data", "stats", "photos", "--json"}).out);
  CHECK(stats["readable"] == 2);
  CHECK(stats["width"]["max"] == 6);
  CHECK(stats["height"]["min"] == 4);
}

TEST_CASE("cli: a dry run shows each value and where it came from") {
  Shell shell;
  std::ofstream(shell.folder / "a.toml") << "lr = 0.5\nbeta1 = 0.25\nndf = 8\n";
  const auto result =
      shell.gan({"train", "dcgan", "builtin:comics", "--config", "a.toml", "--ndf", "4", "--ngf", "4",
                 "--size", "32", "--steps", "1", "--device", "cpu", "--out", "run", "--dry-run"},
                {"GAN_BETA1=0.125", "GAN_NDF=16"});
  CHECK(result.code == 0);
  const auto row = [&](const std::string& name) {  // the line of one setting, blanks collapsed
    std::istringstream stream(result.out);
    for (std::string line; std::getline(stream, line);)
      if (line.starts_with(name + " ")) {
        std::istringstream words(line);
        std::string text;
        for (std::string word; words >> word;) text += (text.empty() ? "" : " ") + word;
        return text;
      }
    return std::string();
  };
  CHECK(row("lr") == "lr 0.5 config a.toml");
  CHECK(row("beta1") == "beta1 0.125 environment GAN_BETA1");
  CHECK(row("ndf") == "ndf 4 command line");
  CHECK_FALSE(fs::exists(shell.folder / "run"));
}

TEST_CASE("cli: train, sample, inspect, resume") {
  Shell shell;
  // Four steps at once.
  const auto whole = shell.gan(small_training({"--steps", "4", "--workers", "1", "--out", "whole"}));
  CAPTURE(whole.err);
  REQUIRE(whole.code == 0);
  CHECK(whole.out == "");
  CHECK(contains(whole.err, "step 4/4"));
  const fs::path run = shell.folder / "whole";
  CHECK(text_of(run / "checkpoints/latest") == "step-00000004.safetensors\n");
  CHECK(fs::exists(run / "samples/step-00000004.png"));
  CHECK(lines_in(text_of(run / "metrics.jsonl")) == 5);

  // Two and two more, with another number of decoding threads: the same networks, bit for bit.
  REQUIRE(shell.gan(small_training({"--steps", "2", "--out", "parts", "--quiet"})).err == "");
  const auto resumed = shell.gan({"train", "--resume", "parts", "--steps", "4", "--workers", "3"});
  CAPTURE(resumed.err);
  REQUIRE(resumed.code == 0);
  const std::string latest = "checkpoints/step-00000004.safetensors";
  CHECK(differences(run / latest, shell.folder / "parts" / latest) == "");
  CHECK(differences(run / latest, shell.folder / "parts/checkpoints/step-00000002.safetensors") != "");
  const auto metrics = text_of(shell.folder / "parts/metrics.jsonl");
  CHECK(lines_in(metrics) == 5);
  CHECK(json::parse(metrics.substr(metrics.rfind("{\"step\"")))["images"] == 16);

  // What a resumed run cannot become.
  check_refused(shell.gan({"train", "--resume", "parts", "--ngf", "8"}), 2, "ngf is 4");
  check_refused(shell.gan({"train", "mlpgan", "--resume", "parts"}), 2, "dcgan");
  check_refused(shell.gan({"train", "--resume", "parts", "--out", "other"}), 2, "--out");
  check_refused(shell.gan(small_training({"--steps", "1", "--out", "parts"})), 2, "not empty");
  CHECK(lines_in(text_of(shell.folder / "parts/metrics.jsonl")) == 5);
  REQUIRE(shell.gan(small_training({"--steps", "1", "--out", "parts", "--force"})).code == 0);
  CHECK_FALSE(fs::exists(shell.folder / "parts" / latest));

  // config.toml given back trains the same.
  REQUIRE(shell.gan({"train", "dcgan", "--config", "whole/config.toml", "--out", "again"}).code == 0);
  CHECK(differences(run / latest, shell.folder / "again" / latest) == "");

  // Pictures: a grid, single ones, and the same ones again.
  const auto sample =
      shell.gan({"sample", "whole", "--n", "10", "--seed", "7", "--out", "grid.png", "--json"});
  CAPTURE(sample.err);
  REQUIRE(sample.code == 0);
  CHECK(json::parse(sample.out)["step"] == 4);
  const Image grid = read_image(shell.folder / "grid.png");
  CHECK(grid.width == 8 * 34 + 2);
  CHECK(grid.height == 2 * 34 + 2);
  REQUIRE(shell.gan({"sample", "whole/" + latest, "--n", "3", "--seed", "7", "--separate", "--out", "one"})
              .code == 0);
  CHECK(read_image(shell.folder / "one/sample-00002.png") == crop(grid, 2, 2 + 2 * 34, 32, 32));
  check_refused(shell.gan({"sample", "whole", "--separate", "--out", "one"}), 2, "not empty");
  REQUIRE(shell.gan({"sample", "whole", "--walk", "--n", "4", "--columns", "4", "--out", "walk.png"}).code ==
          0);
  CHECK(read_image(shell.folder / "walk.png").width == 4 * 34 + 2);
  shell.out_to = "piped.png";
  REQUIRE(shell.gan({"sample", "whole", "--n", "10", "--seed", "7", "--out", "-"}).code == 0);
  CHECK(read_image(shell.folder / "piped.png") == grid);
  shell.out_to = "/dev/full";
  CHECK(shell.gan({"sample", "whole", "--n", "1", "--out", "-"}).code == 7);
  CHECK(shell.gan({"kernels"}).code == 7);
  shell.out_to = ".stdout";

  // The checkpoint in words, and a flipped bit in it.
  const auto inspected = json::parse(shell.gan({"inspect", "whole", "--json"}).out);
  CHECK(inspected["checkpoint"]["step"] == 4);
  CHECK(inspected["checkpoint"]["hashes_verified"] == true);
  CHECK(contains(shell.gan({"inspect", "whole"}).out, "G.main.0.weight"));
  std::string bytes = text_of(run / latest);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(run / latest, std::ios::binary) << bytes;
  check_refused(shell.gan({"inspect", "whole"}), 3, "step-00000004.safetensors");
  check_refused(shell.gan({"sample", "whole"}), 3, "step-00000004.safetensors");
}

TEST_CASE("cli: SIGINT and SIGTERM save a checkpoint and end with 130 and 143") {
  for (const int number : {SIGINT, SIGTERM}) {
    Shell shell;
    const pid_t child = shell.start(gan_binary, small_training({"--steps", "1000000", "--out", "run"}));
    // Wait for the first logged step, at most a minute.
    for (int i = 0; i < 600 && lines_in(text_of(shell.folder / "run/metrics.jsonl")) < 2; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    kill(child, number);
    const auto result = shell.wait(child);
    CAPTURE(result.err);
    CHECK(result.code == 128 + number);
    CHECK(contains(result.err, "--resume run"));
    const std::string latest = text_of(shell.folder / "run/checkpoints/latest");
    REQUIRE(latest.size() > 1);
    CHECK(fs::exists(shell.folder / "run/checkpoints" / latest.substr(0, latest.size() - 1)));
    CHECK(shell.gan({"sample", "run", "--n", "1"}).code == 0);
  }
}

}  // namespace gan::tests
