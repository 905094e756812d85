// The test program: doctest with the list of devices at its start and one line of counts at its end. Skipped
// tests (tests/support/skip.h) are neither passed nor failed. Exit code 0 only when no test failed. All of doctest's
// options work.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

#include "kernels/kernels.h"
#include "tests/support/places.h"
#include "tests/support/skip.h"

namespace gan::tests {
namespace {

struct Counts {
  std::string running;            // name of the test in progress
  std::set<std::string> skipped;  // names of the tests that were skipped
  bool in_parts = false;          // what follows: of the running test
  int parts = 0, failed_parts = 0;
  bool part_failed = false;

  void note_failure() {
    if (parts > 0 && !part_failed) ++failed_parts;
    part_failed = true;
  }
  int passed = 0, failed = 0;
};

Counts& counts() {
  static Counts all;
  return all;
}

// Hears of every test's start and end.
struct Counter : doctest::IReporter {
  explicit Counter(const doctest::ContextOptions&) {}
  void test_case_start(const doctest::TestCaseData& test) override {
    Counts& c = counts();
    c.running = test.m_name;
    c.in_parts = c.part_failed = false;
    c.parts = c.failed_parts = 0;
  }
  void test_case_end(const doctest::CurrentTestCaseStats& test) override {
    Counts& c = counts();
    c.failed += c.failed_parts;
    c.passed += c.parts - c.failed_parts;
    if (test.failure_flags) c.failed += c.failed_parts == 0;  // outside of its parts
    else if (!c.in_parts && !c.skipped.count(c.running)) ++c.passed;
    c.running.clear();
  }
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_exception(const doctest::TestCaseException&) override { counts().note_failure(); }
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData& check) override {
    if (check.m_failed) counts().note_failure();
  }
  void log_message(const doctest::MessageData& message) override {
    if (message.m_severity != doctest::assertType::is_warn) counts().note_failure();
  }
  void test_case_skipped(const doctest::TestCaseData&) override {}  // left out by a filter
};
DOCTEST_REGISTER_LISTENER("counter", 1, Counter);

void print_devices() {
  std::string line = "devices of this build:";
  for (Device device : {Device::cpu, Device::cuda, Device::simt, Device::ref})
    if (find_backend(device)) line += std::string(" ") + name_of(device);
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

}  // namespace

void record_skip(const std::string& reason) {
  if (counts().skipped.insert(counts().running).second)
    fmt::print("skipped: {}: {}\n", counts().running, reason);
  std::fflush(stdout);
}

void count_nothing() { counts().in_parts = true; }

void begin_part() {
  counts().in_parts = true;
  counts().part_failed = false;
  ++counts().parts;
}

std::filesystem::path shared_folder(const std::string& name) {
  const char* given = std::getenv("GAN_SHARED");
  const auto folder =
      (given ? std::filesystem::path(given) : std::filesystem::path(source_dir) / "../shared") / "data" /
      name;
  std::error_code ignored;
  if (std::filesystem::is_directory(folder, ignored)) return folder;
  record_skip("no folder " + name + " (GAN_SHARED names the folder above data/)");
  return {};
}

}  // namespace gan::tests

int main(int argc, char** argv) {
  using namespace gan::tests;
  doctest::Context context(argc, argv);
  context.setOption("no-intro", true);
  context.applyCommandLine(argc, argv);
  print_devices();
  gan::use_libraries(false);  // our own kernels are tested; the case table forces those of libraries
  const int code = context.run();
  if (counts().passed + counts().failed + counts().skipped.size() > 0 || !context.shouldExit())
    fmt::print("gan tests: {} test cases passed, {} failed, {} skipped\n", counts().passed, counts().failed,
               counts().skipped.size());
  return code;
}
