// Nothing of a run is lost: two programs in one folder, signals at any time, errors in the middle, going on from any
// checkpoint, sets that have changed, standard error that is closed or full. The program as a user has it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <thread>

#include "engine/files/safetensors.h"
#include "engine/picture/image.h"
#include "tests/support/shell.h"

namespace gan::tests {
namespace {

using Words = std::vector<std::string>;

Words training(const std::string& data, const Words& more) {
  Words words = {"train", "dcgan",       data, "--size",         "32", "--ngf",
                 "2",     "--ndf",       "2",  "--batch",        "4",  "--device",
                 "cpu",   "--log-every", "1",  "--sample-every", "0"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}
Words on_pictures(const Words& more) { return training("data", more); }

const char* checkpoint = "checkpoints/step-0000000";  // and a digit and .safetensors

std::string checkpoint_of(const std::string& run, int step) {
  return run + "/" + checkpoint + std::to_string(step) + ".safetensors";
}

void wait_for(const std::function<bool()>& what) {  // at most a minute
  for (int i = 0; i < 6000 && !what(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  REQUIRE(what());
}

// The process has a handler for the signal: its bit in SigCgt of /proc.
bool listens_to(pid_t process, int signal) {
  std::istringstream status(text_of(fmt::format("/proc/{}/status", process)));
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("SigCgt:")) return std::stoull(line.substr(7), nullptr, 16) >> (signal - 1) & 1;
  return false;
}

// Waits until it does; says what it said if it ends before.
void wait_until_it_listens(Shell& shell, pid_t process, int signal) {
  const auto ended = [&] { return contains(text_of(fmt::format("/proc/{}/status", process)), "State:\tZ"); };
  wait_for([&] { return listens_to(process, signal) || ended(); });
  if (!listens_to(process, signal)) {
    const auto result = shell.wait(process);
    FAIL("ended with ", result.code, " before it listened: ", result.err);
  }
}

// Everything in a folder: names, sizes, times of change.
std::string state_of(const fs::path& folder) {
  std::set<std::string> lines;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    lines.insert(fmt::format("{} {} {}", entry.path().string(),
                             entry.is_regular_file() ? entry.file_size() : 0,
                             entry.last_write_time().time_since_epoch().count()));
  return fmt::format("{}", fmt::join(lines, "\n"));
}

// Pictures that differ from each other.
void make_pictures(const fs::path& folder, int count) {
  fs::create_directories(folder);
  for (int i = 0; i < count; ++i) {
    Image picture(32, 32, 3);
    for (size_t k = 0; k < picture.pixels.size(); ++k)
      picture.pixels[k] = uint8_t(k * size_t(i + 3) + size_t(i) * 40);
    write_png(folder / fmt::format("{:02}.png", i), picture);
  }
}

bool same_tensors(const fs::path& a, const fs::path& b) {
  const auto first = SafetensorsFile::open(a), second = SafetensorsFile::open(b);
  for (const auto& entry : first.tensors())
    if (!second.find(entry.name) || first.read(entry) != second.read(*second.find(entry.name))) return false;
  return first.tensors().size() == second.tensors().size();
}

// With pictures to train on.
struct PictureShell : Shell {
  PictureShell() { make_pictures(folder / "data", 12); }
};

}  // namespace

TEST_CASE("runs: one writer; a second start, resume or --force is refused with the owner's name") {
  PictureShell shell;
  // Quiet: it writes to the same file as those that are refused.
  const pid_t child = shell.start(
      gan_binary, on_pictures({"--steps", "1000000", "--save-every", "1", "--out", "run", "--quiet"}));
  wait_for([&] { return fs::exists(shell.folder / "run/checkpoints/latest"); });
  const std::string owner = fmt::format("process {} on host ", child);
  check_refused(shell.gan(on_pictures({"--steps", "1", "--out", "run"})), 2, owner);
  check_refused(shell.gan(on_pictures({"--steps", "1", "--out", "run", "--force"})), 2, owner);
  check_refused(shell.gan({"train", "--resume", "run", "--steps", "5"}), 2, owner);
  CHECK(shell.gan({"sample", "run", "--n", "1", "--quiet"}).code == 0);
  CHECK(shell.gan({"train", "--resume", "run", "--steps", "5", "--dry-run"}).code == 0);
  kill(child, SIGKILL);
  CHECK(shell.wait(child).code == 128 + SIGKILL);
  CHECK(fs::exists(shell.folder / "run/.lock"));  // of a dead process
  const auto resumed = shell.gan({"train", "--resume", "run", "--minutes", "0.001"});
  CHECK_MESSAGE(resumed.code == 0, resumed.err);
  CHECK_FALSE(fs::exists(shell.folder / "run/.lock"));
}

TEST_CASE("runs: commands that read write nothing into a run") {
  PictureShell shell;
  REQUIRE(shell.gan(on_pictures({"--steps", "2", "--out", "run", "--quiet"})).code == 0);
  const std::string before = state_of(shell.folder / "run");
  const std::string file = checkpoint_of("run", 2);
  for (const Words& command : {Words{"sample", "run", "--n", "1"},
                               {"sample", file, "--n", "1"},
                               {"inspect", "run"},
                               {"inspect", "run/checkpoints/latest", "--json"},
                               {"train", "--resume", "run", "--steps", "4", "--dry-run"},
                               {"train", "--resume", "run", "--steps", "x"},
                               {"eval", "run", "builtin:comics"},
                               on_pictures({"--steps", "1", "--out", "run"}),
                               on_pictures({"--steps", "1", "--init", "run", "--out", "other", "--quiet"})})
    shell.gan(command);
  CHECK(state_of(shell.folder / "run") == before);
}

TEST_CASE("runs: `force` in a settings file is refused; on the command line it clears") {
  PictureShell shell;
  REQUIRE(shell.gan(on_pictures({"--steps", "1", "--out", "run", "--quiet"})).code == 0);
  const std::string before = state_of(shell.folder / "run");
  std::ofstream(shell.folder / "a.toml") << "force = true\nout = \"run\"\n";
  check_refused(shell.gan(on_pictures({"--steps", "1", "--config", "a.toml"})), 2, "command line (--force)");
  CHECK(state_of(shell.folder / "run") == before);
}

TEST_CASE("runs: a signal at any time ends with a message, its exit code, and nothing half-done") {
  Shell shell;
  const struct { int number, code; } signals[] = {{SIGHUP, 129}, {SIGINT, 130}, {SIGTERM, 143}};
  int before_loop = 0;
  const auto outside = signal(SIGHUP, SIG_DFL);  // the tests themselves may run under nohup
  for (const auto& [number, code] : signals)
    for (const int milliseconds : {0, 250, 2000}) {  // after the program has begun to listen
      const pid_t child =
          shell.start(gan_binary, training("builtin:comics", {"--steps", "1000000", "--out", "run"}));
      wait_until_it_listens(shell, child, number);
      std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
      kill(child, number);
      const auto result = shell.wait(child);
      CAPTURE(result.err);
      CAPTURE(milliseconds);
      CHECK(result.code == code);
      CHECK(contains(result.err, "stopped by a signal"));
      if (contains(result.err, "before the first step")) {
        ++before_loop;
        CHECK_FALSE(fs::exists(shell.folder / "run"));
      } else {
        CHECK(fs::exists(shell.folder / "run/checkpoints/latest"));
        CHECK(contains(result.err, "--resume run"));
        CHECK_FALSE(fs::exists(shell.folder / "run/.lock"));
        fs::remove_all(shell.folder / "run");
      }
    }
  signal(SIGHUP, outside);
  CHECK(before_loop > 0);
}

TEST_CASE("runs: a hangup that was to be ignored (nohup) is ignored") {
  PictureShell shell;
  const auto before = signal(SIGHUP, SIG_IGN);
  const pid_t child = shell.start(gan_binary, on_pictures({"--minutes", "0.1", "--out", "run"}));
  signal(SIGHUP, before);
  wait_for([&] { return lines_in(text_of(shell.folder / "run/metrics.jsonl")) > 2; });
  kill(child, SIGHUP);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  kill(child, SIGTERM);
  CHECK(shell.wait(child).code == 143);
}

TEST_CASE("runs: a start that fails leaves no folder behind") {
  PictureShell shell;
  make_pictures(shell.folder / "data", 8);
  // A name that no settings file can hold.
  fs::copy(shell.folder / "data", shell.folder / "d\xff");
  const auto failed = shell.gan(training("d\xff", {"--steps", "1"}));
  CHECK(failed.code == 2);
  CHECK_FALSE(fs::exists(shell.folder / "runs"));
  check_refused(shell.gan(on_pictures({"--steps", "1", "--batch", "5000"})), 2, "--batch");
  CHECK_FALSE(fs::exists(shell.folder / "runs"));
  // No room for the files of a run.
  const pid_t child = shell.start("bash", {"-c",       "ulimit -f 0; exec \"$0\" \"$@\" 2>/dev/null",
                                           gan_binary, "train",
                                           "dcgan",    "builtin:comics",
                                           "--size",   "32",
                                           "--ngf",    "2",
                                           "--ndf",    "2",
                                           "--batch",  "4",
                                           "--device", "cpu",
                                           "--steps",  "1",
                                           "--out",    "a/run"});
  CHECK(shell.wait(child).code == 7);
  CHECK_FALSE(fs::exists(shell.folder / "a"));
}

TEST_CASE("runs: an error in the middle of training saves what was learnt") {
  Shell shell;
  make_pictures(shell.folder / "data", 8);
  // Its grids cannot be written any more: samples/ is no folder. The exchange is one step, at a time when the
  // program trains: between two steps it could find neither, and that is another error.
  const pid_t child = shell.start(gan_binary, training("data", {"--steps", "1000000", "--sample-every", "5",
                                                                "--out", "run", "--workers", "1"}));
  const fs::path samples = shell.folder / "run/samples", in_the_way = shell.folder / "in-the-way";
  std::ofstream(in_the_way) << "in the way";
  wait_for([&] { return fs::exists(samples) && !fs::is_empty(samples); });
  REQUIRE(::renameat2(AT_FDCWD, in_the_way.c_str(), AT_FDCWD, samples.c_str(), RENAME_EXCHANGE) == 0);
  const auto result = shell.wait(child);
  CAPTURE(result.err);
  CHECK(result.code == 3);
  CHECK(contains(result.err, "was saved before ending; go on with: gan train --resume run"));
  const auto latest = text_of(shell.folder / "run/checkpoints/latest");
  CHECK(latest.starts_with("step-"));
  fs::remove(samples);
  CHECK(shell.gan({"train", "--resume", "run", "--minutes", "0.0001", "--quiet"}).code == 0);
}

TEST_CASE("runs: training goes on from any checkpoint of a run, and repeats what came after it") {
  PictureShell shell;
  REQUIRE(
      shell.gan(on_pictures({"--steps", "6", "--save-every", "2", "--keep", "0", "--out", "run", "--quiet"}))
          .code == 0);
  for (const char* name : {"a", "b"})
    fs::copy(shell.folder / "run", shell.folder / name, fs::copy_options::recursive);
  const auto from_file = shell.gan({"train", "--resume", checkpoint_of("a", 2), "--steps", "4"});
  CAPTURE(from_file.err);
  REQUIRE(from_file.code == 0);
  CHECK(contains(from_file.err, "resumed at step 2"));
  CHECK(text_of(shell.folder / "a/checkpoints/latest") == "step-00000004.safetensors\n");
  CHECK(same_tensors(shell.folder / checkpoint_of("a", 4), shell.folder / checkpoint_of("run", 4)));
  CHECK(lines_in(text_of(shell.folder / "a/metrics.jsonl")) == 5);
  CHECK(fs::exists(shell.folder / checkpoint_of("a", 6)));  // of the future that was given up

  std::ofstream(shell.folder / "b/checkpoints/best") << "step-00000004.safetensors\n";
  for (const char* word : {"b/best", "b/checkpoints/best"}) {
    const auto from_best = shell.gan({"train", "--resume", word, "--steps", "5"});
    CHECK(from_best.code == 0);
    CHECK(contains(from_best.err, "resumed at step 4"));
  }
  CHECK(shell.gan({"sample", "b/best", "--n", "1", "--quiet"}).code == 0);
  check_refused(shell.gan({"train", "--resume", "b/checkpoints/step-00000009.safetensors"}), 3,
                "b/checkpoints/step-00000006.safetensors");
  fs::copy(shell.folder / checkpoint_of("run", 2), shell.folder / "copy.safetensors");
  check_refused(shell.gan({"train", "--resume", "copy.safetensors"}), 3, "--init copy.safetensors");
  check_refused(shell.gan({"train", "--resume", "nowhere"}), 3, "nowhere");
}

TEST_CASE("runs: where the latest checkpoint is damaged or missing, the message leads to one that is taken") {
  PictureShell shell;
  REQUIRE(shell.gan(on_pictures({"--steps", "4", "--save-every", "2", "--out", "run", "--quiet"})).code == 0);
  const fs::path latest = shell.folder / checkpoint_of("run", 4);
  const std::string sound = text_of(latest), offered = checkpoint_of("run", 2);
  std::string flipped = sound;
  flipped[flipped.size() / 2] ^= 1;
  for (const std::string& content : {flipped, sound.substr(0, 1000), std::string()}) {
    std::ofstream(latest, std::ios::binary) << content;
    check_refused(shell.gan({"train", "--resume", "run", "--steps", "6"}), 3, offered);
    check_refused(shell.gan({"sample", "run", "--n", "1"}), 3, offered);
    check_refused(shell.gan({"inspect", "run"}), 3, offered);
  }
  fs::remove(latest);
  check_refused(shell.gan({"train", "--resume", "run", "--steps", "6"}), 3, offered);
  fs::remove(shell.folder / "run/checkpoints/latest");
  check_refused(shell.gan({"train", "--resume", "run", "--steps", "6"}), 3, offered);
  const auto resumed = shell.gan({"train", "--resume", offered, "--steps", "4"});
  CHECK_MESSAGE(resumed.code == 0, resumed.err);
  CHECK(text_of(latest) == sound);
}

TEST_CASE("runs: what a resume changes is said: the schedule, the pictures, their place") {
  Shell shell;
  make_pictures(shell.folder / "data", 8);
  REQUIRE(shell.gan(training("data", {"--epochs", "4", "--lr-policy", "linear", "--out", "run", "--quiet"}))
              .code == 0);
  const auto same = shell.gan({"train", "--resume", "run"});
  CHECK_FALSE(contains(same.err, "schedule"));
  CHECK_FALSE(contains(same.err, "pictures of"));
  const auto longer = shell.gan({"train", "--resume", "run", "--epochs", "6"});
  CAPTURE(longer.err);
  CHECK(longer.code == 0);
  CHECK(contains(longer.err, "schedule (linear) now spans 6 epochs, before it was linear over 4"));

  fs::rename(shell.folder / "data/03.png", shell.folder / "aside.png");
  const auto fewer = shell.gan({"train", "--resume", "run", "--epochs", "7"});
  CHECK(fewer.code == 0);
  CHECK(contains(fewer.err, "(7 to train on now, 8 then)"));
  fs::rename(shell.folder / "aside.png", shell.folder / "data/03.png");

  fs::rename(shell.folder / "data", shell.folder / "moved");
  check_refused(shell.gan({"train", "--resume", "run", "--epochs", "8"}), 3,
                "gan train dcgan FOLDER --resume run");
  const auto moved = shell.gan({"train", "dcgan", "moved", "--resume", "run", "--epochs", "8"});
  CHECK_MESSAGE(moved.code == 0, moved.err);
}

TEST_CASE("runs: a streamed picture that is damaged during training is left out within --max-bad") {
  for (const bool allowed : {true, false}) {
    Shell shell;
    make_pictures(shell.folder / "data", 12);
    const pid_t child =
        shell.start(gan_binary, training("data", {"--steps", "1000000", "--cache-gb", "0", "--max-bad",
                                                  allowed ? "0.2" : "0.05", "--out", "run"}));
    wait_for([&] { return lines_in(text_of(shell.folder / "run/metrics.jsonl")) > 2; });
    for (const char* name : {"04.png", "07.png"}) std::ofstream(shell.folder / "data" / name) << "no picture";
    if (allowed) {
      wait_for([&] { return contains(text_of(shell.folder / ".stderr"), "07.png"); });
      const int lines = lines_in(text_of(shell.folder / "run/metrics.jsonl"));
      wait_for([&] { return lines_in(text_of(shell.folder / "run/metrics.jsonl")) > lines + 12; });
      kill(child, SIGTERM);
    }
    const auto result = shell.wait(child);
    CAPTURE(result.err);
    CHECK(result.code == (allowed ? 143 : 3));
    CHECK(contains(result.err, allowed ? "left out from now on" : "more than --max-bad 0.05 allows"));
    CHECK(fs::exists(shell.folder / "run/checkpoints/latest"));
  }
}

TEST_CASE("runs: standard error that is closed or full changes no exit code and no file") {
  PictureShell shell;
  const auto run = [&](const std::string& redirection, const Words& words) {
    Words all = {"-c", "exec \"$0\" \"$@\" " + redirection, gan_binary};
    all.insert(all.end(), words.begin(), words.end());
    return shell.wait(shell.start("bash", all)).code;
  };
  REQUIRE(shell.gan(on_pictures({"--steps", "2", "--out", "whole", "--quiet"})).code == 0);
  int number = 0;
  for (const char* redirection : {"2>&-", "2>/dev/full", "0<&- 2>&-", "0<&- 1>&- 2>&-"}) {
    const std::string name = fmt::format("run{}", ++number);
    CHECK_MESSAGE(run(redirection, on_pictures({"--steps", "2", "--out", name})) == 0, redirection);
    CHECK(same_tensors(shell.folder / checkpoint_of(name, 2), shell.folder / checkpoint_of("whole", 2)));
    CHECK(lines_in(text_of(shell.folder / name / "metrics.jsonl")) == 3);
    CHECK(run(redirection, {"sample", name, "--n", "2", "--out", name + ".png"}) == 0);
    CHECK(read_image(shell.folder / (name + ".png")).channels == 3);
    CHECK(run(redirection, {"sample", "nowhere"}) == 3);
    CHECK(run(redirection, {"data", "check", "nowhere", "--verbose"}) == 3);
    CHECK(run(redirection, {}) == 2);
  }
  // Data that go nowhere are a failure.
  CHECK(run("1>&-", {"kernels"}) == 7);
}

TEST_CASE("runs: control characters of names and strangers' files do not reach the terminal") {
  Shell shell;
  const std::string name =
      "bad\x1b]0;owned\x07\n\xc2\x9b"
      "31m\xff.png";
  fs::create_directories(shell.folder / "data");
  std::ofstream(shell.folder / "data" / name) << "no picture";
  make_pictures(shell.folder / "data", 30);
  const auto clean = [](const std::string& text) {
    for (const char c : text)
      if (c != '\n' && (static_cast<unsigned char>(c) < 0x20 || c == '\x7f' || c == '\xff')) return false;
    return !contains(text, "\xc2\x9b");
  };
  const auto check = shell.gan({"data", "check", "data"});
  CHECK(clean(check.out));
  CHECK(contains(check.out, "bad\\x1b]0;owned\\x07\\n\\xc2\\x9b31m\\xff.png"));
  const auto trained = shell.gan(training("data", {"--steps", "1", "--max-bad", "0.1", "--out", "run"}));
  CHECK_MESSAGE(trained.code == 0, trained.err);
  CHECK(clean(trained.err));
  CHECK(contains(trained.err, "left out: data/bad\\x1b]0;owned"));
  CHECK(clean(shell.gan({"sample", "no\x1b[2Jwhere"}).err));
  // Names and metadata in a file.
  SafetensorsWriter writer;
  const float one = 1;
  writer.add("G.evil\x1b[31m", {1}, std::span<const float>(&one, 1));
  writer.metadata["format"] = "gan-checkpoint/1";
  writer.metadata["model"] = "dcgan\x1b]0;owned\x07";
  writer.metadata["config"] = "model = \"dcgan\"\n";
  writer.save(Folder(shell.folder), "evil.safetensors");
  for (const Words& command : {Words{"inspect", "evil.safetensors"}, {"sample", "evil.safetensors"}}) {
    const auto result = shell.gan(command);
    CHECK(clean(result.out));
    CHECK(clean(result.err));
  }
}

TEST_CASE("runs: a validation that is only as good as the best one is not a new best") {
  Shell shell;
  make_pictures(shell.folder / "data", 12);
  for (const char* seed : {"1", "2", "3", "4"}) {  // nothing is learnt, so every validation says the same
    const auto trained = shell.gan(
        {"train",   "pix2pix",        "data", "--make-input", "blur", "--size",   "32",  "--netG",
         "unet_32", "--ngf",          "2",    "--ndf",        "2",    "--batch",  "1",   "--steps",
         "3",       "--lr",           "0",    "--norm",       "none", "--seed",   seed,  "--eval-every",
         "1",       "--sample-every", "0",    "--keep",       "0",    "--device", "cpu", "--out",
         seed});
    CAPTURE(trained.err);
    REQUIRE(trained.code == 0);
    CHECK(text_of(shell.folder / seed / "checkpoints/best") == "step-00000001.safetensors\n");
  }
}

}  // namespace gan::tests
