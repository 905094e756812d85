// wrapper_conformance: runs every wrapper of kernels/gpu/ptx.cuh on a GPU and in the emulation and compares.
// Exit code 0: they agree; 1: they do not; 77: there is no GPU (CTest counts that as skipped).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <exception>

#include "kernels/shared/bf16.h"
#include "kernels/shared/philox.h"
#include "tests/conformance/wrapper_conformance.cu"

namespace {

using gan::Compare;

float number(uint64_t index) { return 2 * gan::random_uniform(11, 0, 0, index) - 1; }
float as_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
uint32_t as_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
uint32_t two_bf16(uint64_t index) {
  return gan::to_bf16(number(index)).bits | uint32_t{gan::to_bf16(number(index + 100000)).bits} << 16;
}

// NaN of several kinds, infinities, 0, the smallest normal numbers and denormal ones of bf16 and float32, and what makes
// denormal numbers visible in a product.
const std::vector<uint32_t> specials = {0x7fc00000u, 0xffc00000u, 0x7fd40000u, 0x7f800000u,
                                        0xff800000u, 0x80000000u, 0x00800000u, 0x00010000u,
                                        0x80400000u, 0x7b800000u, 0x00200000u, 0xfb800000u};

gan::WrapperInputs make_inputs() {
  gan::WrapperInputs in;
  for (uint64_t i = 0; i < 512; ++i) in.words.push_back(as_bits(number(i)) * 2654435761u);
  for (uint32_t i = 0; i < 128; ++i)
    in.numbers.push_back(i < 4    ? as_bits(i % 2 ? -INFINITY : INFINITY)
                         : i < 16 ? specials[i % specials.size()]
                         : i < 64 ? (as_bits(number(i)) & 0xffffe000u) | 0x1000u  // halfway
                                  : as_bits(number(i)));
  for (uint64_t i = 0; i < 1280; ++i) {
    const bool is_sum = i % 10 < 4;
    in.bf16_fragments.push_back(is_sum ? as_bits(number(i)) : two_bf16(i));
    in.tf32_fragments.push_back(is_sum ? as_bits(number(i)) : gan::simt::to_tf32(number(i)).bits);
  }
  // One operand in twenty is special; the sums stay small, so that an operand taken for 0 shows.
  in.bf16_specials = in.bf16_fragments, in.tf32_specials = in.tf32_fragments;
  for (uint64_t i = 0; i < 1280; i += i % 3 ? 19 : 21) {
    if (i % 10 < 4) continue;
    const uint32_t special = specials[i / 20 % specials.size()];
    in.bf16_specials[i] = (in.bf16_specials[i] & 0xffffu) | (special & 0xffff0000u);
    in.tf32_specials[i] = gan::simt::to_tf32(as_float(special)).bits;
  }
  for (uint64_t i = 0; i < 2048; ++i) {
    in.bf16_tiles.push_back(two_bf16(i));
    in.tf32_tiles.push_back(gan::simt::to_tf32(number(i)).bits);
  }
  for (uint64_t i = 0; i < (64 + 128) * 32 + 64 * 128; ++i)
    in.wgmma_operands.push_back(i < (64 + 128) * 32 ? two_bf16(i) : as_bits(number(i)));
  return in;
}

// 17 terms below 1: each of at most 17 additions may be off by one unit of a sum below 17 when it truncates.
constexpr float sum_tolerance = 17 * 17 * 0x1p-23f;

bool agree(Compare compare, uint32_t a, uint32_t b) {
  if (a == b) return true;
  const float x = as_float(a), y = as_float(b);
  switch (compare) {
    case Compare::bits: return false;
    case Compare::bits_or_nan:
      return std::isnan(as_float(a & 0xffffe000u)) && std::isnan(as_float(b & 0xffffe000u));
    case Compare::sums: return std::fabs(x - y) <= sum_tolerance;
    case Compare::near:
      if (std::isnan(x) || std::isnan(y)) return std::isnan(x) && std::isnan(y);
      return std::fabs(x - y) <=
             0x1p-10f * std::max({1.0f, std::fabs(x), std::fabs(y)});  // false for an infinity
  }
  return false;
}

}  // namespace

int main() try {
  if (!gan::cuda::gpu_present()) {
    std::puts("skipped: no GPU");
    return 77;
  }
  gan::WrapperInputs in = make_inputs();
  in.wgmma = gan::cuda::gpu_has_wgmma();
  if (!in.wgmma) std::puts("left out: mbarriers, tensor copies and wgmma, which need compute capability 9.0");
  const auto gpu = gan::cuda::wrapper_results(in), emulated = gan::simt::wrapper_results(in);
  bool all_agree = true;
  for (size_t w = 0; w < gpu.size(); ++w) {
    size_t wrong = 0, first = 0;
    for (size_t i = gpu[w].words.size(); i-- > 0;)
      if (!agree(gpu[w].compare, gpu[w].words[i], emulated[w].words[i])) ++wrong, first = i;
    if (wrong == 0) std::printf("%-24s agrees\n", gpu[w].name);
    else
      std::printf("%-24s %zu of %zu words differ, the first is word %zu: GPU 0x%08x, emulation 0x%08x\n",
                  gpu[w].name, wrong, gpu[w].words.size(), first, gpu[w].words[first],
                  emulated[w].words[first]);
    all_agree &= wrong == 0;
  }
  return all_agree ? 0 : 1;
} catch (const std::exception& e) {
  std::printf("failed: %s\n", e.what());
  return 1;
}
