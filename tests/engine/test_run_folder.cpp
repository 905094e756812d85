// One writer for a run, and what kills leave in it: locks, temporary files, half-cleared folders, pointers that are
// missing. (The folder's rules and links: test_runlog.cpp; the program as a whole: tools/test_runs.cpp.)
#include <doctest/doctest.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "engine/run/runlog.h"
#include "kernels/contract/check.h"
#include "tests/support/folder.h"
#include "tests/support/text.h"

namespace gan::tests {
namespace {

// The message of what `f` throws, with its exit code before it; empty when it throws nothing.
template <class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const Error& error) { return fmt::format("{} {}", int(error.code()), error.what()); }
  return "";
}

RunFolder new_run(const fs::path& path) {
  RunFolder run = RunFolder::create(path, "dcgan", "d", false);
  run.write_config(Config{});
  return run;
}

// A process number that nobody has: of a child that has ended.
pid_t dead_process() {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  return child;
}

}  // namespace

TEST_CASE("run folder: one writer; others are told who, readers are not hindered") {
  TemporaryFolder own;
  const fs::path path = own / "run";
  char host[256] = {};
  gethostname(host, sizeof host - 1);
  {
    const RunFolder writer = new_run(path);
    const std::string who = fmt::format("process {} on host {}", getpid(), host);
    for (const bool force : {false, true}) {
      const std::string refused = refusal([&] { RunFolder::create(path, "dcgan", "d", force); });
      CHECK(refused.starts_with("2 --out"));
      CHECK(contains(refused, who));
      CHECK(contains(refusal([&] { RunFolder::check_out(path, force); }), who));
    }
    CHECK(contains(refusal([&] { RunFolder::resume(path); }), who));
    CHECK(fs::exists(path / "config.toml"));
    CHECK(RunFolder::open(path).path() == path);
    const RunFolder copy = writer;  // holds the same lock
  }
  CHECK_FALSE(fs::exists(path / RunLock::kName));
  CHECK(refusal([&] { RunFolder::resume(path); }) == "");
  CHECK_FALSE(fs::exists(path / RunLock::kName));
}

TEST_CASE("run folder: a dead owner's lock is taken over, whatever it says") {
  TemporaryFolder own;
  const fs::path path = own / "run";
  new_run(path);
  for (const std::string& words : {fmt::format("A gan trains here: process {} on host box\n", dead_process()),
                                   fmt::format("A gan trains here: process {} on host box\n", getppid()),
                                   std::string("junk"), std::string()}) {
    write_text(path / RunLock::kName, words);
    CHECK(refusal([&] { RunFolder::resume(path); }) == "");  // nobody has locked the file
  }
  write_text(path / RunLock::kName, "A gan trains here: process 77 on host elsewhere\n");
  const int other = ::open((path / RunLock::kName).c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(flock(other, LOCK_EX) == 0);
  CHECK(contains(refusal([&] { RunFolder::resume(path); }), "process 77 on host elsewhere"));
  close(other);
  CHECK(refusal([&] { RunFolder::resume(path); }) == "");
  fs::create_symlink(own / "precious", path / RunLock::kName);
  CHECK(refusal([&] { RunFolder::resume(path); }).starts_with("3 "));
  CHECK_FALSE(fs::exists(own / "precious"));
}

TEST_CASE("run folder: temporary files of a killed writer go at the next start, others' files stay") {
  TemporaryFolder own;
  const fs::path path = own / "run";
  new_run(path);
  for (const char* folder : {"", "samples", "checkpoints"})
    for (const char* name :
         {".gan-12-0.tmp", ".gan-12-345.tmp", ".gan-x-1.tmp", ".gan-.tmp", ".gan-1-2-3.tmp", "a.tmp"})
      write_text(path / folder / name, "x");
  RunFolder::open(path);
  CHECK(fs::exists(path / ".gan-12-0.tmp"));
  RunFolder::resume(path);
  for (const char* folder : {"", "samples", "checkpoints"}) {
    for (const char* gone : {".gan-12-0.tmp", ".gan-12-345.tmp"})
      CHECK_FALSE(fs::exists(path / folder / gone));
    for (const char* kept : {".gan-x-1.tmp", ".gan-.tmp", ".gan-1-2-3.tmp", "a.tmp"})
      CHECK(fs::exists(path / folder / kept));
  }
}

TEST_CASE("run folder: --force that is killed at any point can be repeated; so can a start") {
  TemporaryFolder own;
  const fs::path path = own / "run";
  const std::string lock = fmt::format("A gan trains here: process {} on host box\n", dead_process());
  // What clear_run() removes, in its order: after every one of these a kill may come.
  const char* pieces[] = {"samples/step-00000001.png",
                          "checkpoints/latest",
                          "checkpoints/step-00000001.safetensors",
                          "report.html",
                          "metrics.jsonl",
                          "config.toml"};
  for (size_t killed_after = 0; killed_after <= std::size(pieces); ++killed_after) {
    fs::remove_all(path);
    new_run(path).write_config(Config{});
    for (const char* piece : pieces)
      if (std::string(piece) != "config.toml") write_text(path / piece, "{\"schema\": \"gan-metrics/1\"}\n");
    write_text(path / "notes.txt", "mine");
    write_text(path / RunLock::kName, lock);
    for (size_t i = 0; i < killed_after; ++i) fs::remove(path / pieces[i]);
    CHECK(refusal([&] { RunFolder::create(path, "dcgan", "d", false); }).starts_with("2 "));
    CHECK_MESSAGE(refusal([&] { RunFolder::create(path, "dcgan", "d", true); }) == "", killed_after);
    CHECK(text_of(path / "notes.txt") == "mine");
  }
  // A new run that was killed before it wrote anything is as good as an empty folder.
  fs::remove_all(path);
  fs::create_directories(path / "samples");
  fs::create_directories(path / "checkpoints");
  write_text(path / RunLock::kName, lock);
  write_text(path / ".gan-1-1.tmp", "x");
  CHECK(refusal([&] { RunFolder::create(path, "dcgan", "d", false); }) == "");
  write_text(path / "samples/mine.png", "x");
  CHECK(refusal([&] { RunFolder::create(path, "dcgan", "d", false); }).starts_with("2 "));
}

TEST_CASE("run folder: a start that comes to nothing takes back what it made, and no more") {
  TemporaryFolder own;
  RunFolder run = RunFolder::create((own / "a/b/run").string(), "dcgan", "d", false);
  run.write_config(Config{});
  write_text(own / "a/b/run/metrics.jsonl", "x");
  run.abandon();
  CHECK_FALSE(fs::exists(own / "a"));

  fs::create_directories(own / "mine/run");
  run = RunFolder::create((own / "mine/run").string(), "dcgan", "d", false);
  run.write_config(Config{});
  run.abandon();
  CHECK(fs::is_empty(own / "mine/run"));

  run = RunFolder::create((own / "c/run").string(), "dcgan", "d", false);
  write_text(own / "c/run/samples/mine.png", "x");
  run.abandon();
  CHECK(text_of(own / "c/run/samples/mine.png") == "x");
}

TEST_CASE("run folder: a checkpoint is named by its run, by latest and best, or by itself") {
  TemporaryFolder own;
  const fs::path path = own / "run", checkpoints = path / "checkpoints";
  const RunFolder run = new_run(path);
  const auto name = [](int64_t step) { return RunFolder::checkpoint_name(step); };
  CHECK(contains(refusal([&] { open_checkpoint(path); }), "no checkpoint yet"));
  for (const int step : {10, 20, 30}) write_text(checkpoints / name(step), "x");
  // Nothing names one: what is there is offered, the newest first.
  const std::string missing = refusal([&] { open_checkpoint(path); });
  CHECK(contains(missing, "latest is missing"));
  CHECK(contains(missing, (checkpoints / name(30)).string() + " (or one of 2 older)"));
  run.set_latest(40);
  CHECK(contains(refusal([&] { open_checkpoint(path); }), (checkpoints / name(30)).string()));
  write_text(checkpoints / "latest", "");
  CHECK(contains(refusal([&] { open_checkpoint(path); }), (checkpoints / name(30)).string()));
  run.set_latest(30);
  run.set_best(20);
  CHECK(other_checkpoints(path) == "; instead, this checkpoint of the run can be given: " +
                                       (checkpoints / name(20)).string() + " (or one of 1 older)");

  const auto opened = [&](const fs::path& word) { return open_checkpoint(word).path().filename().string(); };
  CHECK(opened(path) == name(30));
  CHECK(opened(path / "") == name(30));
  for (const fs::path& folder : {path, checkpoints}) {
    CHECK(opened(folder / "latest") == name(30));
    CHECK(opened(folder / "best") == name(20));
  }
  CHECK(opened(checkpoints / name(10)) == name(10));
  const auto point = find_run_point((checkpoints / name(10)).string());
  REQUIRE(point);
  CHECK(point->run == path);
  CHECK(point->checkpoint == name(10));
  fs::copy(checkpoints / name(10), own / "copy.safetensors");
  CHECK_FALSE(find_run_point((own / "copy.safetensors").string()));
  CHECK_FALSE(find_run_point((own / "nowhere").string()));
  const fs::path before = fs::current_path();
  fs::current_path(path);
  CHECK(opened("best") == name(20));
  CHECK(opened("checkpoints/best") == name(20));
  fs::current_path(before);

  // `best` is mended when it is missing or names an older one, never to one that is not there or back.
  run.mend_best(10);
  CHECK(opened(path / "best") == name(20));
  run.mend_best(40);
  CHECK(opened(path / "best") == name(20));
  run.mend_best(30);
  CHECK(opened(path / "best") == name(30));
  fs::remove(checkpoints / "best");
  run.mend_best(20);
  CHECK(opened(path / "best") == name(20));
}

}  // namespace gan::tests
