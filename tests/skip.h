// Tests that need something this machine lacks (a GPU, a folder of shared files) say so and count as skipped.
//
//   TEST_CASE("a step on the GPU") {
//     if (!gpu) GAN_SKIP("no GPU");
//
// GAN_SKIP prints "skipped: <test>: <reason>" once and returns from the test; tests/main.cpp counts the
// skipped tests apart from the passed ones.
#pragma once
#include <string>

namespace gan::tests {

// Notes that the running test is skipped. Called through GAN_SKIP only.
void record_skip(const std::string& reason);

}  // namespace gan::tests

#define GAN_SKIP(reason)               \
  do {                                 \
    ::gan::tests::record_skip(reason); \
    return;                            \
  } while (0)
