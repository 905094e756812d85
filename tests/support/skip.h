// What tests tell tests/main.cpp, which counts them.
//
// Tests that need something this machine lacks (a GPU, a folder of shared files) say so and count as skipped.
//
//   TEST_CASE("a step on the GPU") {
//     if (!gpu) GAN_SKIP("no GPU");
//
// GAN_SKIP prints "skipped: <test>: <reason>" once and returns from the test; tests/main.cpp counts the
// skipped tests apart from the passed ones.
#pragma once
#include <filesystem>
#include <string>

namespace gan::tests {

// Notes that the running test is skipped. Called through GAN_SKIP only.
void record_skip(const std::string& reason);

// data/`name` of the folder of shared test material that lies beside the project or that GAN_SHARED names.
// Empty where there is none: the test is then noted as skipped and has to return.
std::filesystem::path shared_folder(const std::string& name);

// The running test consists of parts, which are counted in its place: each call begins one, and what fails
// from then on is its failure. So processes that share the parts of a test have true counts together.
void begin_part();
// The running test checks nothing and is not counted.
void count_nothing();

}  // namespace gan::tests

#define GAN_SKIP(reason)               \
  do {                                 \
    ::gan::tests::record_skip(reason); \
    return;                            \
  } while (0)
