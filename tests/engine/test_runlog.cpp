// The run folder's rules, metrics.jsonl through crashes and resumes, and the progress line.
#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "engine/run/runlog.h"
#include "kernels/contract/check.h"
#include "tests/support/folder.h"
#include "tests/support/text.h"

namespace gan::tests {
namespace {

// A folder of the test's own, gone at its end; the working folder is put back.
struct Scratch {
  TemporaryFolder folder;
  fs::path path = folder.path(), before = fs::current_path();
  ~Scratch() { fs::current_path(before); }
};

std::vector<std::string> lines_of(const fs::path& file) {
  std::vector<std::string> lines;
  std::ifstream stream(file);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}
template <class F>
int code_of(F&& f) {
  try {
    f();
  } catch (const Error& error) { return int(error.code()); }
  return 0;
}
Config some_config() {
  Config config;
  config.model = "dcgan";
  config.data = "photos/\xffx";  // never invalid JSON, whatever the file system holds
  return config;
}
Config some_named_config() {
  Config config;
  config.model = "dcgan";
  return config;
}

}  // namespace

TEST_CASE("runlog: metrics begin with a header and keep every digit") {
  Scratch scratch;
  const fs::path file = scratch.path / "metrics.jsonl";
  const double awkward = 0.1 + 0.2, tiny = 4.9e-324, infinity = std::numeric_limits<double>::infinity();
  {
    MetricsFile metrics(Folder(scratch.path), some_config(), 0);
    metrics.write(1, 64, 0.25, {{"lr", 2e-4}, {"loss_D", awkward}, {"loss_G", tiny}});
    metrics.write(2, 128, 0.5,
                  {{"lr", 2e-4}, {"loss_D", NAN}, {"loss_G", infinity}, {"loss_G_L1", -infinity}});
  }
  const auto lines = lines_of(file);
  REQUIRE(lines.size() == 3);
  const auto header = nlohmann::json::parse(lines[0]);
  CHECK(header["schema"] == "gan-metrics/1");
  CHECK(header.begin().key() == "commit");  // sorted by this parser; the text begins with the schema
  CHECK(lines[0].starts_with("{\"schema\":\"gan-metrics/1\""));
  CHECK(header["model"] == "dcgan");
  CHECK(header["config"]["batch"] == 64);
  CHECK(lines[0].find("\"loss_") == std::string::npos);
  const auto first = nlohmann::json::parse(lines[1]);
  CHECK(first["step"] == 1);
  CHECK(first["images"] == 64);
  CHECK(first["seconds"] == 0.25);
  CHECK(first["loss_D"].get<double>() == awkward);
  CHECK(first["loss_G"].get<double>() == tiny);
  CHECK(lines[1].find("\"step\"") < lines[1].find("\"images\""));
  CHECK(lines[1].find("\"seconds\"") < lines[1].find("\"lr\""));
  const auto second = nlohmann::json::parse(lines[2]);
  CHECK(second["loss_D"] == "nan");
  CHECK(second["loss_G"] == "inf");
  CHECK(second["loss_G_L1"] == "-inf");
}

TEST_CASE("runlog: a resumed run drops later lines and a torn one, a new run starts afresh") {
  Scratch scratch;
  const fs::path file = scratch.path / "metrics.jsonl";
  {
    MetricsFile metrics(Folder(scratch.path), some_config(), 0);
    for (int step = 1; step <= 5; ++step) metrics.write(step, step, step, {{"lr", step * 0.1}});
  }
  const auto before = lines_of(file);
  std::ofstream(file, std::ios::app) << "{\"step\": 2, \"im";  // the crash came in the middle of a line
  {
    MetricsFile metrics(Folder(scratch.path), some_config(), 3);
    metrics.write(4, 40, 4, {});
  }
  auto after = lines_of(file);
  REQUIRE(after.size() == 5);  // header, 1, 2, 3, the new 4
  for (int i = 0; i < 4; ++i) CHECK(after[i] == before[i]);
  CHECK(nlohmann::json::parse(after[4])["images"] == 40);
  { MetricsFile metrics(Folder(scratch.path), some_config(), 0); }
  CHECK(lines_of(file).size() == 1);
  write_text(file, "no metrics at all\n");  // nothing to keep: a header is written
  { MetricsFile metrics(Folder(scratch.path), some_config(), 3); }
  CHECK(nlohmann::json::parse(lines_of(file).at(0))["schema"] == "gan-metrics/1");
}

TEST_CASE("runlog: a full disk is an I/O error and leaves whole lines") {
  CHECK(code_of([] { Folder("/nowhere"); }) == int(Exit::bad_data));
  Scratch scratch;
  MetricsFile metrics(Folder(scratch.path), some_config(), 0);
  metrics.write(1, 1, 1, {});
  const auto before = lines_of(scratch.path / "metrics.jsonl");
  // A limit on the size of files that cuts the next line in half.
  rlimit unlimited{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &unlimited) == 0);
  rlimit limit = unlimited;
  limit.rlim_cur = fs::file_size(scratch.path / "metrics.jsonl") + 10;
  const auto signal_before = std::signal(SIGXFSZ, SIG_IGN);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  const int code = code_of([&] { metrics.write(2, 2, 2, {}); });
  REQUIRE(setrlimit(RLIMIT_FSIZE, &unlimited) == 0);
  std::signal(SIGXFSZ, signal_before);
  CHECK(code == int(Exit::io));
  CHECK(lines_of(scratch.path / "metrics.jsonl") == before);
}

TEST_CASE("runlog: lines of a stranger's metrics file are believed only as far as they can be true") {
  Scratch scratch;
  const std::string header = "{\"schema\": \"gan-metrics/1\"}\n";
  for (const char* line : {"{\"step\": 1, \"seconds\": \"long\"}", "{\"step\": 1, \"seconds\": -5}",
                           "{\"step\": 1, \"seconds\": 1e300}", "{\"step\": -7, \"seconds\": 9}",
                           "{\"step\": \"1\", \"seconds\": 9}", "[[[[", "7"}) {
    write_text(scratch.path / "metrics.jsonl", header + line + "\n");
    const MetricsFile metrics(Folder(scratch.path), some_config(), 3);
    CHECK_MESSAGE(metrics.seconds() == 0, line);
  }
  write_text(scratch.path / "metrics.jsonl", header + "{\"step\": 1, \"seconds\": 9}\n");
  CHECK(MetricsFile(Folder(scratch.path), some_config(), 3).seconds() == 9);
}

TEST_CASE("runlog: a link inside a run is refused, whatever it is; the path to the run may have some") {
  Scratch scratch;
  const fs::path outside = scratch.path / "outside";
  write_text(outside / "precious", "{\"schema\": \"gan-metrics/1\"}\n");
  write_text(outside / "step-00000001.png", "x");
  const fs::path real = scratch.path / "real", link = scratch.path / "link";
  {
    const auto run = RunFolder::create(real, "dcgan", "d", false);
    run.write_config(some_named_config());
    write_text(real / "checkpoints/step-00000001.safetensors", "x");
    run.set_latest(1);
  }
  fs::create_directory_symlink(real, link);
  const auto run = RunFolder::open(link);
  CHECK(run.open_checkpoint().size() == 1);
  run.write_sample(2, Image(1, 1, 3));
  CHECK(fs::exists(real / "samples/step-00000002.png"));

  const auto replaced = [&](const char* name, auto&& use) {  // with a link in the place of `name`
    fs::rename(real / name, scratch.path / "aside");
    fs::create_symlink(fs::is_directory(scratch.path / "aside") ? outside : outside / "precious",
                       real / name);
    const int code = code_of(use);
    fs::remove(real / name);
    fs::rename(scratch.path / "aside", real / name);
    return code;
  };
  const int refused = int(Exit::bad_data);
  { const MetricsFile metrics(run.root(), some_named_config(), 0); }
  CHECK(replaced("metrics.jsonl", [&] { MetricsFile(run.root(), some_named_config(), 1); }) == refused);
  CHECK(replaced("config.toml", [&] { run.write_config(some_named_config()); }) == refused);
  CHECK(replaced("config.toml", [&] {
          Config config;
          Origins origins;
          run.read_config(config, origins);
        }) == refused);
  CHECK(replaced("samples", [&] { run.write_sample(1, Image(1, 1, 3)); }) == refused);
  CHECK(replaced("samples", [&] { RunFolder::create(real, "dcgan", "d", true); }) == refused);
  CHECK(fs::exists(outside / "step-00000001.png"));
}

TEST_CASE("runlog: links in checkpoints/ are refused too") {
  Scratch scratch;
  const auto run = RunFolder::create(scratch.path / "run", "dcgan", "d", false);
  run.write_config(some_named_config());
  const fs::path checkpoints = run.path() / "checkpoints";
  write_text(scratch.path / "elsewhere", "step-00000001.safetensors\n");
  write_text(checkpoints / "step-00000001.safetensors", "x");
  fs::create_symlink(scratch.path / "elsewhere", checkpoints / "latest");
  CHECK(code_of([&] { run.open_checkpoint(); }) == int(Exit::bad_data));
  CHECK(code_of([&] { run.set_latest(1); }) == int(Exit::bad_data));
  CHECK(text_of(scratch.path / "elsewhere") == "step-00000001.safetensors\n");
  fs::remove(checkpoints / "latest");
  run.set_latest(1);
  fs::rename(checkpoints / "step-00000001.safetensors", scratch.path / "moved");
  fs::create_symlink(scratch.path / "moved", checkpoints / "step-00000001.safetensors");
  CHECK(code_of([&] { run.open_checkpoint(); }) == int(Exit::bad_data));
}

TEST_CASE("runlog: opening a run changes nothing in it") {
  Scratch scratch;
  write_text(scratch.path / "run/config.toml", std::string(kConfigFileMark) + "\n");
  CHECK(code_of([&] { open_checkpoint((scratch.path / "run").string()); }) == int(Exit::bad_data));
  CHECK(fs::is_empty(scratch.path / "run") == false);
  CHECK_FALSE(fs::exists(scratch.path / "run/checkpoints"));
  CHECK_FALSE(fs::exists(scratch.path / "run/samples"));
}

TEST_CASE("runlog: a folder that is not empty is refused, --force clears a run and nothing else") {
  Scratch scratch;
  const fs::path out = scratch.path / "run";
  const auto create = [&](bool force) {
    return code_of([&] { RunFolder::create(out, "dcgan", "d", force); });
  };
  CHECK(create(false) == 0);  // made with its parents
  fs::remove_all(out);
  fs::create_directory(out);
  CHECK(create(false) == 0);  // empty is fine
  fs::remove_all(out);

  // Somebody's project with a config.toml and samples of its own.
  write_text(out / "config.toml", "title = \"my site\"\n");
  write_text(out / "samples/mine.png", "x");
  CHECK(create(false) == int(Exit::usage));
  CHECK(create(true) == int(Exit::usage));
  CHECK(text_of(out / "config.toml") == "title = \"my site\"\n");
  CHECK(fs::exists(out / "samples/mine.png"));
  fs::remove_all(out);

  RunFolder::create(out, "dcgan", "d", false).write_config(Config{});
  write_text(out / "metrics.jsonl", "{\"schema\": \"gan-metrics/1\"}\n");
  write_text(out / "samples/step-00000001.png", "x");
  write_text(out / "samples/favourite.png", "x");
  write_text(out / "checkpoints/step-00000001.safetensors", "x");
  write_text(out / "checkpoints/latest", "step-00000001.safetensors\n");
  write_text(out / "notes.txt", "x");
  CHECK(create(false) == int(Exit::usage));
  CHECK(fs::exists(out / "metrics.jsonl"));
  CHECK(create(true) == 0);
  for (const char* gone : {"config.toml", "metrics.jsonl", "samples/step-00000001.png",
                           "checkpoints/step-00000001.safetensors", "checkpoints/latest"})
    CHECK_FALSE(fs::exists(out / gone));
  for (const char* kept : {"notes.txt", "samples/favourite.png"}) CHECK(fs::exists(out / kept));

  write_text(scratch.path / "file", "x");
  CHECK(code_of([&] { RunFolder::create(scratch.path / "file", "dcgan", "d", true); }) == int(Exit::usage));
  CHECK(code_of([&] { RunFolder::create("/proc/nowhere", "dcgan", "d", true); }) == int(Exit::io));
}

TEST_CASE("runlog: runs that start together get different numbers") {
  Scratch scratch;
  fs::current_path(scratch.path);
  fs::create_directories("runs/00011-other-run");
  std::vector<std::string> names(8);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < names.size(); ++i)
    threads.emplace_back(
        [&, i] { names[i] = RunFolder::create("", "dcgan", "some/fo lder/", false).path().string(); });
  for (auto& thread : threads) thread.join();
  const std::set<std::string> different(names.begin(), names.end());
  CHECK(different.size() == names.size());
  CHECK(*different.begin() == "runs/00012-dcgan-fo-lder");
  CHECK(*different.rbegin() == "runs/00019-dcgan-fo-lder");
  CHECK(RunFolder::create("", "mlpgan", "builtin:comics", false).path() == "runs/00020-mlpgan-comics");
}

TEST_CASE("runlog: latest, best and pruning") {
  Scratch scratch;
  const auto run = RunFolder::create(scratch.path / "run", "dcgan", "d", false);
  const fs::path checkpoints = run.path() / "checkpoints";
  const auto file = [&](int64_t step) { return checkpoints / RunFolder::checkpoint_name(step); };
  CHECK(file(500).filename() == "step-00000500.safetensors");
  CHECK(code_of([&] { run.open_checkpoint(); }) == int(Exit::bad_data));
  for (int step : {100, 200, 300, 400, 500}) write_text(file(step), "x");
  run.set_latest(300);
  CHECK(text_of(checkpoints / "latest") == "step-00000300.safetensors\n");
  CHECK(run.open_checkpoint().path() == file(300));
  write_text(checkpoints / "best", "step-00000100.safetensors");
  CHECK(run.open_checkpoint("best").path() == file(100));
  run.prune_checkpoints(0);
  CHECK(fs::exists(file(200)));
  write_text(file(50), "x");
  run.prune_checkpoints(1);
  CHECK_FALSE(fs::exists(file(50)));
  // Best, the newest other, latest; and those of a future that was given up by going back to 300.
  for (int step : {100, 200, 300, 400, 500}) CHECK(fs::exists(file(step)));

  CHECK(code_of([&] { open_checkpoint(run.path().string()); }) == int(Exit::bad_data));  // no config.toml
  run.write_config(Config{});
  CHECK(open_checkpoint(run.path().string()).path() == file(300));
  CHECK(open_checkpoint(file(500).string()).path() == file(500));
  CHECK(open_checkpoint((checkpoints / "best").string()).path() == file(100));
  CHECK(code_of([&] { open_checkpoint((scratch.path / "nothing").string()); }) == int(Exit::bad_data));
  for (const char* bad : {"", "../../etc/passwd", "step-9.safetensors"}) {
    write_text(checkpoints / "latest", bad);
    CHECK(code_of([&] { run.open_checkpoint(); }) == int(Exit::bad_data));
  }
}

TEST_CASE("runlog: the progress line") {
  Progress::Update update{120,
                          1000,
                          251.3,
                          185,
                          size_t(300) << 20,
                          {{"loss_D", 1.25}, {"loss_G", 0.5}, {"D_real", 0.75}, {"D_fake", 0.25}}};
  CHECK(Progress::format(update, 200) ==
        "step 120/1000  251 images/s  3m05s left  loss D 1.250  loss G 0.500  D(x) 0.750  D(G) 0.250  peak "
        "300 MiB");
  CHECK(Progress::format(update, 45) == "step 120/1000  251 images/s  3m05s left");
  CHECK(Progress::format(update, 5) == "step ");
  update.steps = 0, update.seconds_left = -1, update.peak_bytes = size_t(3) << 29,
  update.images_per_second = 7.25;
  CHECK(Progress::format(update, 200) ==
        "step 120  7.2 images/s  loss D 1.250  loss G 0.500  D(x) 0.750  D(G) 0.250  peak 1.50 GiB");
  update = {1, 10, 0, 7380, 0, {}};
  CHECK(Progress::format(update, 200) == "step 1/10  2h03m left");
  update.seconds_left = 0;
  CHECK(Progress::format(update, 200) == "step 1/10  0s left");
  CHECK(peak_resident_bytes() > (1 << 20));
}

}  // namespace gan::tests
