// Files written whole or not at all, where system calls are interrupted or not known to the file system.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cerrno>
#include <fstream>
#include <vector>

#include "engine/files/atomic_file.h"
#include "kernels/contract/check.h"
#include "tests/support/failing_calls.h"
#include "tests/support/folder.h"

namespace gan::tests {
namespace {

namespace fs = std::filesystem;

std::string text_of(const fs::path& file) {
  std::ifstream stream(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}
std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

}  // namespace

TEST_CASE("files: an interrupted system call is made again") {
  TemporaryFolder own;
  std::ofstream(own / "file") << "old";
  const Folder folder(own.path());
  for (const char* call : {"openat", "fchmod", "fsync", "linkat", "renameat"}) {
    const FailingCalls interrupted(call, EINTR, 1);
    folder.write("file", bytes_of(call));
    CHECK_MESSAGE(interrupted.left() == 0, call);
    CHECK(text_of(own / "file") == call);
  }
  {
    const FailingCalls interrupted("mkdirat", EINTR, 1);
    folder.make_subfolder("sub");
    CHECK(interrupted.left() == 0);
  }
  {
    const FailingCalls interrupted("unlinkat", EINTR, 1);
    folder.remove("file");
    CHECK(interrupted.left() == 0);
  }
  CHECK_FALSE(fs::exists(own / "file"));
  CHECK(own.files() == 1);  // sub
}

TEST_CASE("files: where an unnamed file cannot be named, its content moves to one that has a name") {
  TemporaryFolder own;
  const Folder folder(own.path());
  std::string large(3'000'001, 'x');
  for (size_t i = 0; i < large.size(); ++i) large[i] = char('a' + i % 23);
  for (const int error : {EOPNOTSUPP, EPERM, ENOSYS}) {
    std::ofstream(own / "file") << "old";
    REQUIRE(chmod((own / "file").c_str(), 0640) == 0);
    const FailingCalls refused("linkat", error, 1);
    folder.write("file", bytes_of(large));
    CHECK(refused.left() == 0);
    CHECK(text_of(own / "file") == large);
    struct stat status {};
    REQUIRE(stat((own / "file").c_str(), &status) == 0);
    CHECK((status.st_mode & 07777) == 0640);
    CHECK(own.files() == 1);
  }
  const FailingCalls refused("linkat", ENOSPC, 1);  // a failure like any other
  CHECK_THROWS_AS(folder.write("file", bytes_of("new")), Error);
  CHECK(text_of(own / "file") == large);
  CHECK(own.files() == 1);
}

}  // namespace gan::tests
