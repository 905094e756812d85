// What the program writes and what it takes: formats of pictures, going on where it was interrupted, pictures by the
// thousand, weights from elsewhere, threads that cannot be started, words for what was meant.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <functional>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/data/abstract.h"
#include "engine/data/comics.h"
#include "engine/files/safetensors.h"
#include "engine/picture/image.h"
#include "kernels/kernels.h"
#include "tests/support/shell.h"
#include "tests/support/skip.h"

namespace gan::tests {
namespace {

using Words = std::vector<std::string>;

void make_pictures(const fs::path& folder, int count, int side = 32) {
  fs::create_directories(folder);
  for (int i = 0; i < count; ++i) {
    Image picture(side, side, 3);
    for (int y = 0; y < side; ++y)
      for (int x = 0; x < side; ++x)
        for (int c = 0; c < 3; ++c) picture.at(y, x, c) = uint8_t((x * (c + 1) + y * 2 + i * 40) % 256);
    write_png(folder / fmt::format("{}.png", i), picture);
  }
}

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}
const Words kTranslator = {
    "train",       "pix2pix",      "data",   "--make-input",   "noise", "--size",   "32",
    "--load-size", "32",           "--netG", "unet_32",        "--ngf", "2",        "--ndf",
    "2",           "--batch",      "1",      "--steps",        "1",     "--device", "cpu",
    "--quiet",     "--eval-every", "0",      "--sample-every", "0"};
const Words kSampler = {"train",          "dcgan", "data",    "--size", "32",       "--ngf", "2",
                        "--ndf",          "2",     "--batch", "4",      "--device", "cpu",   "--quiet",
                        "--sample-every", "0",     "--steps", "1"};

// A safetensors file of another program: the tensors of a checkpoint, renamed; those renamed to nothing are left out.
void renamed(const fs::path& from, const fs::path& to,
             const std::function<std::string(const std::string&)>& name, const std::string& spoilt = "") {
  const auto file = SafetensorsFile::open(from);
  std::map<std::string, std::vector<float>> values;
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& entry : file.tensors()) {
    const std::string other = entry.name.starts_with("state.") ? "" : name(entry.name);
    if (other.empty()) continue;
    values[other] = file.read_f32(entry.name);
    if (entry.name == spoilt) values[other][0] = std::numeric_limits<float>::quiet_NaN();
    shapes[other] = entry.shape;
  }
  SafetensorsWriter writer;
  for (const auto& [key, data] : values) writer.add(key, shapes[key], std::span<const float>(data));
  writer.save(Folder(to.parent_path()), to.filename());
}

std::vector<float> tensor(const fs::path& checkpoint, const std::string& name) {
  return SafetensorsFile::open(checkpoint).read_f32(name);
}

bool is_jpeg(const fs::path& file) { return text_of(file).starts_with("\xff\xd8"); }
bool is_png(const fs::path& file) { return text_of(file).starts_with("\x89PNG"); }

}  // namespace

TEST_CASE("gan data draw writes the pictures that training would see, and refuses what it cannot draw") {
  Shell shell;
  const auto drawn =
      shell.gan({"data", "draw", "builtin:abstract:impasto", "--n", "3", "--size", "64", "--out", "p"});
  REQUIRE_MESSAGE(drawn.code == 0, drawn.err);
  CHECK(contains(drawn.out, "p: 3 pictures of 64 pixels out of builtin:abstract:impasto"));
  int count = 0;
  for (const auto& file : fs::directory_iterator(shell.folder / "p")) {
    const std::string name = file.path().stem();
    REQUIRE(name.starts_with("impasto-"));
    CHECK(read_image(file.path()).pixels == draw_abstract(std::stoull(name.substr(8)), 64).pixels);
    ++count;
  }
  CHECK(count == 3);
  REQUIRE(shell.gan({"data", "draw", "builtin:comics", "--n", "2", "--size", "32", "--out", "f", "--json"})
              .code == 0);
  CHECK(read_image(shell.folder / "f/face-1.png").pixels == draw_face(1, ComicsStyle::comic, 32, 3).pixels);

  const auto refused = [&](const Words& words, const std::string& why) {
    Words all = {"data"};
    all.insert(all.end(), words.begin(), words.end());
    check_refused(shell.gan(all), 2, why);
  };
  refused({"draw", "builtin:abstract", "--out", "p"}, "--out p: not an empty folder");
  refused({"draw", "builtin:abstract"}, "name the folder for the pictures with --out");
  refused({"draw", "p", "--out", "q"}, "the sets that are drawn are builtin:comics or builtin:abstract");
  refused({"draw", "builtin:abstract:cubism", "--out", "q"}, "cubism");
  refused({"draw", "builtin:abstract", "--size", "1024", "--out", "q"}, "512");
  refused({"tiles", "p", "--out", "q", "--n", "3"}, "--n belongs to `gan data draw`");
  refused({"stats", "builtin:abstract"}, "`gan data draw builtin:abstract --out DIR` writes some");
  CHECK_FALSE(fs::exists(shell.folder / "q"));
}

TEST_CASE("outputs: a picture is written as its name says, or refused before the work") {
  Shell shell;
  make_pictures(shell.folder / "data", 4);
  REQUIRE(shell.gan(with(kTranslator, {"--out", "run"})).code == 0);
  const auto translate = [&](const Words& more) { return shell.gan(with({"translate", "run"}, more)); };
  REQUIRE(translate({"data/0.png", "--out", "one.jpg"}).code == 0);
  CHECK(is_jpeg(shell.folder / "one.jpg"));
  REQUIRE(translate({"data/0.png", "--out", "one.PNG"}).code == 0);
  CHECK(is_png(shell.folder / "one.PNG"));
  const Image exact = read_image(shell.folder / "one.PNG"), near = read_image(shell.folder / "one.jpg");
  CHECK(near.width == 32);
  double apart = 0;
  for (size_t i = 0; i < exact.pixels.size(); ++i)
    apart += std::abs(int(exact.pixels[i]) - int(near.pixels[i]));
  CHECK(apart / double(exact.pixels.size()) < 8);
  REQUIRE(translate({"data/0.png", "--out", "rough.jpeg", "--quality", "5"}).code == 0);
  CHECK(fs::file_size(shell.folder / "rough.jpeg") < fs::file_size(shell.folder / "one.jpg"));
  for (const char* name : {"one.webp", "one.bmp", "one.tiff"})
    check_refused(translate({"data/0.png", "--out", name}), 2, name);
  check_refused(translate({"data", "--out", "all.jpg"}), 2, "4 to translate");
  CHECK_FALSE(fs::exists(shell.folder / "all.jpg"));
  check_refused(translate({"data/0.png", "--out", "x.png", "--quality", "0"}), 2, "--quality");
  REQUIRE(translate({"data", "--out", "version.2", "--format", "jpg"}).code == 0);  // a folder with a dot
  CHECK(is_jpeg(shell.folder / "version.2/3.jpg"));
  shell.out_to = "piped.jpg";
  REQUIRE(translate({"data/0.png", "--out", "-", "--format", "jpg"}).code == 0);
  CHECK(text_of(shell.folder / "piped.jpg") == text_of(shell.folder / "one.jpg"));
  shell.out_to = ".stdout";
  check_refused(shell.gan({"compare", "data", "data", "--sheet", "sheet.gif"}), 2, "sheet.gif");
  REQUIRE(shell.gan({"compare", "data", "data", "--sheet", "sheet.jpg"}).code == 0);
  CHECK(is_jpeg(shell.folder / "sheet.jpg"));
}

TEST_CASE("outputs: translate goes on where it was interrupted, and shows how far it is") {
  Shell shell;
  make_pictures(shell.folder / "data", 5);
  REQUIRE(shell.gan(with(kTranslator, {"--out", "run"})).code == 0);
  const Words all = {"translate", "run", "data", "--out", "made"};
  const auto whole = shell.gan(all);
  REQUIRE(whole.code == 0);
  CHECK(contains(whole.err, "/5 pictures"));
  check_refused(shell.gan(all), 2, "--skip-existing");
  for (const char* name : {"made/1.png", "made/4.png"}) fs::remove(shell.folder / name);
  std::ofstream(shell.folder / "made/2.png") << "kept as it is";
  const auto rest = shell.gan(with(all, {"--skip-existing", "--json"}));
  CAPTURE(rest.err);
  REQUIRE(rest.code == 0);
  const auto line = nlohmann::json::parse(rest.out);
  CHECK(line["pictures"] == 2);
  CHECK(line["skipped"] == 3);
  CHECK(text_of(shell.folder / "made/2.png") == "kept as it is");
  CHECK(fs::exists(shell.folder / "made/4.png"));
  CHECK(shell.gan(with(all, {"--skip-existing"})).code == 0);  // nothing is left to do
  check_refused(shell.gan(with(all, {"--skip-existing", "--force"})), 2, "exclude");
}

TEST_CASE("outputs: single samples by the thousand take the memory of a few") {
  Shell shell;
  make_pictures(shell.folder / "data", 4, 64);
  Words words = kSampler;
  words[4] = "64";
  REQUIRE(shell.gan(with(words, {"--out", "run"})).code == 0);
  const auto few = shell.gan({"sample", "run", "--n", "128", "--separate", "--out", "few"});
  const auto many = shell.gan({"sample", "run", "--n", "4000", "--separate", "--out", "many"});
  REQUIRE(many.code == 0);
  CHECK(fs::exists(shell.folder / "many/sample-03999.png"));
#ifndef __SANITIZE_ADDRESS__                 // which keeps what was released
  CHECK(many.peak_mib < few.peak_mib + 20);  // the pictures take 47 MiB
#endif
  for (const char* name : {"sample-00000.png", "sample-00127.png"})
    CHECK(text_of(shell.folder / "many" / name) == text_of(shell.folder / "few" / name));
  REQUIRE(shell.gan({"sample", "run", "--n", "9", "--columns", "3", "--out", "grid.jpg"}).code == 0);
  CHECK(is_jpeg(shell.folder / "grid.jpg"));
  check_refused(shell.gan({"sample", "run", "--n", "50000", "--out", "grid.png"}), 2, "--separate");
  check_refused(shell.gan({"sample", "run", "--out", "grid.gif"}), 2, "grid.gif");
}

TEST_CASE("outputs: weights to start from may be G's alone, have prefixes, and come with another D") {
  Shell shell;
  make_pictures(shell.folder / "data", 4);
  REQUIRE(shell.gan(with(kSampler, {"--out", "run"})).code == 0);
  const fs::path checkpoint = shell.folder / "run/checkpoints/step-00000001.safetensors";
  const std::string g = "G.main.0.weight", d = "D.main.0.weight";
  const auto only_g = [](const std::string& name) { return name.starts_with("G.") ? name : ""; };
  using Name = std::string;
  renamed(checkpoint, shell.folder / "g.safetensors", only_g);
  renamed(checkpoint, shell.folder / "bare.safetensors",
          [&](const Name& name) { return only_g(name).empty() ? "" : name.substr(2); });
  renamed(checkpoint, shell.folder / "module.safetensors",
          [&](const Name& name) { return only_g(name).empty() ? "" : "module." + name.substr(2); });
  renamed(checkpoint, shell.folder / "gmodule.safetensors",
          [&](const Name& name) { return only_g(name).empty() ? "" : "G.module." + name.substr(2); });
  // With a learning rate of nothing the first step shows what training began with.
  const auto start = [&](const std::string& file, const Words& more) {
    return shell.gan(
        with({"train", "dcgan",    "data", "--size",         "32",    "--ngf",   "2",      "--batch",
              "4",     "--device", "cpu",  "--sample-every", "0",     "--steps", "1",      "--lr",
              "0",     "--seed",   "5",    "--force",        "--out", "new",     "--init", file},
             more));
  };
  const fs::path begun = shell.folder / "new/checkpoints/step-00000001.safetensors";
  for (const char* file :
       {"g.safetensors", "bare.safetensors", "module.safetensors", "gmodule.safetensors"}) {
    const auto result = start(file, {"--ndf", "2", "--ema", "0.5"});
    CAPTURE(result.err);
    REQUIRE(result.code == 0);
    CHECK(contains(result.err, "with random weights: D (not in the file)"));
    CHECK(tensor(begun, g) == tensor(checkpoint, g));
    CHECK(tensor(begun, "ema." + g) == tensor(checkpoint, g));  // averages start as the weights
    CHECK(tensor(begun, d) != tensor(checkpoint, d));
  }
  const auto whole = start("run", {"--ndf", "2"});
  CHECK(whole.code == 0);
  CHECK_FALSE(contains(whole.err, "random"));
  CHECK(tensor(begun, d) == tensor(checkpoint, d));
  const auto other_d = start("run", {"--ndf", "4"});
  CHECK(other_d.code == 0);
  CHECK(
      contains(other_d.err,
               "with random weights: D (tensor `D.main.0.weight` is (2,3,4,4), this model wants (4,3,4,4))"));
  CHECK(tensor(begun, g) == tensor(checkpoint, g));

  // What is missing and what is extra.
  renamed(checkpoint, shell.folder / "odd.safetensors", [&](const Name& name) {
    if (name == "G.main.1.weight") return std::string("G.unheard.of");
    return only_g(name);
  });
  const auto odd = start("odd.safetensors", {"--ndf", "2"});
  CHECK(odd.code == 0);
  CHECK(contains(odd.err, "not in the file: G.main.1.weight"));
  CHECK(contains(odd.err, "of no use here: G.unheard.of"));

  renamed(checkpoint, shell.folder / "nan.safetensors", only_g, g);
  const auto nan = start("nan.safetensors", {"--ndf", "2"});
  CHECK(nan.code == 3);
  CHECK(contains(nan.err, "nan.safetensors: tensor `G.main.0.weight`"));
  renamed(checkpoint, shell.folder / "d.safetensors",
          [](const Name& name) { return name.starts_with("D.") ? name : ""; });
  CHECK(contains(start("d.safetensors", {}).err, "d.safetensors: no tensor of G is there"));
  const auto other_g = start("g.safetensors", {"--size", "64"});
  CHECK(other_g.code == 3);
  CHECK(contains(other_g.err, "g.safetensors: tensor `"));
}

TEST_CASE("outputs: where no more threads can be started, work goes on with those there are") {
#ifdef __SANITIZE_ADDRESS__
  return record_skip("a sanitizer reserves more than the address space that is left");
#endif
  Shell shell;
  make_pictures(shell.folder / "data", 8);
  // Each thread's stack would be larger than what is left of the address space.
  const auto limited = [&](const Words& words) {
    return shell.wait(shell.start(
        "bash",
        with({"-c", "ulimit -s 4000000 && ulimit -v 3000000 && exec \"$0\" \"$@\"", gan_binary}, words)));
  };
  const Words train = with(kSampler, {"--out", "run", "--workers", "4"});
  const auto result = limited(train);
  CHECK_MESSAGE(result.code == 0, result.err);
  CHECK(limited(with(kSampler, {"--out", "streamed", "--workers", "4", "--cache-gb", "0"})).code == 0);
  CHECK(limited({"data", "check", "data", "--workers", "4"}).code == 0);
  CHECK(limited({"sample", "run", "--n", "4", "--device", "simt"}).code == 0);
}

TEST_CASE("outputs: GAN_KERNEL names what exists, or is refused with what does") {
  Shell shell;
  make_pictures(shell.folder / "data", 4);
  const auto forced = [&](const std::string& text, const Words& words) {
    return shell.gan(words, {"GAN_KERNEL=" + text});
  };
  for (const Words& words : {kSampler, Words{"kernels"}, {"sample", "nowhere"}}) {
    check_refused(forced("conv2d=naive", words), 2, "there is no operation conv2d; there are");
    check_refused(forced("conv2d_fwd=fancy", words), 2, "conv2d_fwd has cpu: ");
    check_refused(forced("naive", words), 2, "OPERATION=VARIANT");
    check_refused(forced("gemm=naive,,conv2d_fwd=naive", words), 2, "OPERATION=VARIANT");
  }
  // A variant of another device.
  const auto elsewhere = forced("conv2d_fwd=naive", with(kSampler, {"--out", "run"}));
  CHECK(elsewhere.code == 2);
  CHECK(contains(elsewhere.err,
                 "GAN_KERNEL=conv2d_fwd=naive: there is no such variant on this device; conv2d_fwd has "
                 "cpu: "));
  CHECK_FALSE(fs::exists(shell.folder / "run"));
  CHECK(shell.gan({"help"}, {"GAN_KERNEL=nonsense"}).code == 0);
  // One syntax of --shape, whatever it is for.
  const auto watched = [&](const char* shape) {
    return shell.gan({"kernels", "--watch", "gemm=naive", "--shape", shape, "--json"}).out;
  };
  CHECK(watched("4,8,8") == watched("m=4,n=8,k=8"));
}

TEST_CASE("outputs: options of other programs lead to ours") {
  Shell shell;
  const struct {
    const char *theirs, *ours;
  } words[] = {
      {"--batch-size", "--batch?"},      {"--learning-rate", "--lr?"},    {"--learning_rate", "--lr?"},
      {"--gpu", "--device cuda?"},       {"--gpu_ids", "--device cuda?"}, {"--output-dir", "--out?"},
      {"--n_epochs", "--epochs?"},       {"--image-size", "--size?"},     {"--num-workers", "--workers?"},
      {"--continue_train", "--resume?"}, {"--latent-dim", "--nz?"},       {"--btach", "--batch?"}};
  for (const auto& [theirs, ours] : words)
    check_refused(shell.gan({"train", "dcgan", "data", theirs, "4"}), 2, std::string("did you mean ") + ours);
  check_refused(shell.gan({"sample", "run", "--count", "4"}), 2, "did you mean --n?");
  check_refused(shell.gan({"train", "dcgan", "data"}, {"GAN_BATCH_SIZE=4"}), 2, "did you mean GAN_BATCH?");
  std::ofstream(shell.folder / "a.toml") << "learning_rate = 0.1\n";
  check_refused(shell.gan({"train", "dcgan", "data", "--config", "a.toml"}), 2, "did you mean lr?");
}

TEST_CASE("outputs: the benchmarks end with 2 on usage mistakes, and when nothing is left to time") {
  const fs::path folder = fs::path(gan_binary).parent_path();
  if (!fs::exists(folder / "bench_rungs")) return record_skip("this build has no benchmarks");
  Shell shell;
  const auto run = [&](const char* program, const Words& words, const Words& variables = {}) {
    return shell.wait(shell.start((folder / program).string(), words, variables));
  };
  for (const char* program : {"bench_rungs", "bench_step"}) {
    CHECK(run(program, {"--help"}).code == 0);
    for (const Words& words :
         {Words{"--frob"}, {"--seconds", "-1"}, {"--seconds", "x"}, {"--device", "gpu"}}) {
      const auto result = run(program, words);
      CHECK_MESSAGE(result.code == 2, program << " " << words[0] << ": " << result.err);
      CHECK(lines_in(result.err) == 1);
    }
    CHECK(run(program, {}, {"GAN_KERNEL=conv2d=naive"}).code == 2);
  }
  CHECK(run("bench_rungs", {"--sets", "dcgan:4x"}).code == 2);
  const auto nothing = run("bench_rungs", {"--sets", "dcgan:1", "--layers", "G99"});
  CHECK(nothing.code == 2);
  CHECK(contains(nothing.err, "nothing is left to time"));
  for (const char* word : {"--benchmark_filter=nothing", "--benchmark_frob", "--benchmark_repetitions=x"})
    CHECK(run("bench_rungs", {"--sets", "mlp:1", "--device", "simt", word}).code == 2);
  CHECK(run("bench_step", {"--model", "mlpgan", "--ngf", "4"}).code == 2);
}

TEST_CASE("outputs: bench_rungs obeys Google Benchmark's options, and its JSON has a row for each rung") {
  const fs::path program = fs::path(gan_binary).parent_path() / "bench_rungs";
  if (!fs::exists(program)) return record_skip("this build has no benchmarks");
  Shell shell;
  const auto run = [&](Words words) {
    for (const char* word :
         {"--device", "simt", "--shrink", "32", "--timeout", "0.001", "--sets", "dcgan:1,mlp:1,usual:1"})
      words.push_back(word);
    return shell.wait(shell.start(program.string(), words));
  };
  const auto list = run({"--benchmark_list_tests=true", "--layers", "G3,D5", "--types", "f32"});
  CHECK(list.code == 0);
  std::vector<std::string> wanted;  // sorted as they come
  std::istringstream lines(list.out);
  for (std::string line; std::getline(lines, line);) wanted.push_back(line);
  REQUIRE(wanted.size() >= 12);  // two layers, three operations, two rungs at least
  CHECK(std::count(wanted.begin(), wanted.end(), "conv2d_bwd_data/G3/b1/f32/tiled/manual_time") == 1);

  const auto measured = run({"--layers", "G3,D5", "--types", "f32", "--benchmark_repetitions=2",
                             "--benchmark_min_time=0.0001", "--benchmark_out=rows.json"});
  CHECK_MESSAGE(measured.code == 0, measured.err);
  CHECK(contains(measured.out, fmt::format("{} measured", 2 * wanted.size())));
  const auto json = nlohmann::json::parse(text_of(shell.folder / "rows.json"));
  CHECK(json["context"]["device"] == "simt");
  std::map<std::string, int> rows;
  int picked = 0;
  for (const auto& row : json["benchmarks"]) {
    if (row["run_type"] != "iteration") continue;
    CHECK_FALSE(row.contains("error_occurred"));
    ++rows[row["run_name"]];
    CHECK(row["real_time"] > 0);
    CHECK(row["runs"] >= 1);
    // Forced rungs are among them: those that round factors to tf32.
    const bool is_tf32 = contains(row["run_name"].get<std::string>(), "tf32");
    CHECK(row.value("error", 0.0) < (is_tf32 ? 1e-3 : 1e-4));
    CHECK(row["bytes/s"] > 0);
    picked += row.value("label", "").starts_with("picked");
  }
  CHECK(rows.size() == wanted.size());
  for (const std::string& name : wanted) CHECK(rows[name] == 2);
  CHECK(picked == 2 * 6);  // one rung of each problem

  const auto one = run({"--benchmark_filter=norm_fwd/.*/bf16/", "--benchmark_format=json"});
  CHECK_MESSAGE(one.code == 0, one.err);
  const auto rows_of_one = nlohmann::json::parse(one.out)["benchmarks"];
  CHECK(!rows_of_one.empty());
  for (const auto& row : rows_of_one)
    CHECK(contains(row["name"].get<std::string>(), "norm_fwd/usual/b1/bf16/"));
  CHECK(contains(one.err, "measured"));  // the summary does not stand in the JSON
}

TEST_CASE("outputs: the memory that a training takes is predicted") {
#ifdef __SANITIZE_ADDRESS__
  return record_skip("a sanitizer's own memory is larger");
#endif
  Shell shell;
  make_pictures(shell.folder / "data", 40, 64);
  const struct {
    const char* name;
    Words words;
  } runs[] = {{"dcgan", {"dcgan", "data", "--batch", "16"}},
              {"narrow", {"dcgan", "data", "--size", "32", "--ngf", "16", "--ndf", "16", "--batch", "32"}},
              {"mlpgan", {"mlpgan", "data", "--size", "32", "--batch", "32"}},
              {"pix2pix",
               {"pix2pix", "data", "--make-input", "grey", "--size", "128", "--ngf", "32", "--ndf", "32",
                "--batch", "2"}},
              {"colorize", {"colorize", "data", "--size", "64", "--batch", "2"}},
              {"residual",
               {"colorize", "data", "--size", "64", "--netG", "resnet_6", "--ngf", "16", "--batch", "2",
                "--norm", "instance", "--lambda-gan", "1"}}};
  for (const auto& [name, words] : runs) {
    const Words all = with(with({"train"}, words), {"--steps", "3", "--eval-every", "0", "--device", "cpu",
                                                    "--lr-policy", "constant", "--out", name});
    const auto plan = shell.gan(with(all, {"--dry-run", "--json"}));
    REQUIRE_MESSAGE(plan.code == 0, plan.err);
    const double predicted = nlohmann::json::parse(plan.out)["memory_bytes"].get<double>() / (1 << 20);
    const auto run = shell.gan(all);
    REQUIRE_MESSAGE(run.code == 0, run.err);
    CHECK(contains(run.err, " MiB"));
    // Other processors may have other kernels.
    const std::string what = fmt::format("{}: {} for {}", name, predicted, run.peak_mib);
    CHECK_MESSAGE(predicted > 0.95 * double(run.peak_mib), what);
    CHECK_MESSAGE(predicted < 1.1 * double(run.peak_mib) + 8, what);
  }
  const auto too_much =
      shell.gan({"train", "dcgan", "data", "--size", "256", "--ngf", "512", "--batch", "1", "--dry-run"});
  CHECK(too_much.code == 2);
  CHECK(contains(too_much.err, "--ngf 512"));
}

}  // namespace gan::tests
