// What the pages promise, where a change of the code would make it untrue.
#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/support/shell.h"

namespace gan::tests {

TEST_CASE("pages: the debugger's recipe stops in the kernel that it forces") {
  std::vector<std::string> lines;
  std::ifstream kernels(fs::path(source_dir) / "kernels/gpu/norm.cu");
  for (std::string line; std::getline(kernels, line);) lines.push_back(line);
  size_t begin = 0, end = 0;  // of backward_naive, which is norm_bwd=naive
  while (begin < lines.size() && !contains(lines[begin], "void backward_naive(")) ++begin;
  REQUIRE(begin < lines.size());
  for (end = begin; end < lines.size() && lines[end] != "}";) ++end;
  for (const char* page : {"README.md", "kernels/README.md"}) {
    CAPTURE(std::string(page));
    const std::string text = text_of(fs::path(source_dir) / page), before = "(gdb) break norm.cu:";
    const size_t at = text.find(before);
    REQUIRE(at != text.npos);
    REQUIRE(text.find("GAN_KERNEL=norm_bwd=naive") < at);
    const size_t line = std::stoul(text.substr(at + before.size())) - 1;
    CHECK(line > begin);
    CHECK(line < end);
    CHECK(contains(lines[line], "="));  // a statement, where a debugger can stop
    CHECK(contains(text, "cmake --preset debug && cmake --build --preset debug --target gan"));
  }
  CHECK(contains(text_of(fs::path(source_dir) / "CMakePresets.json"), "\"name\": \"debug\""));
}

}  // namespace gan::tests
