// Between the two halves of the wrapper conformance program: inputs, and results of both devices.
#pragma once
#include <cstdint>
#include <vector>

namespace gan {

enum class Compare {
  bits,         // equal
  bits_or_nan,  // equal, or both NaN, also without the lower 13 bits
  sums,         // float32 sums of at most 17 terms below 1, rounded in the hardware's own way
  near,  // numbers within 2^-10 of the larger or of 1, infinities equal, NaN where there is NaN, of whatever bits
};

struct WrapperResult {
  const char* name;
  Compare compare;
  std::vector<uint32_t> words;
};

struct WrapperInputs {
  std::vector<uint32_t> words;           // (512) any
  std::vector<uint32_t> numbers;         // (128) float32, many on ties, some not finite
  std::vector<uint32_t> bf16_fragments;  // (128 threads, 4 d + 4 a + 2 b)
  std::vector<uint32_t> tf32_fragments;  // the same
  std::vector<uint32_t>
      bf16_specials;  // such fragments with NaN, infinities, denormal and huge operands among them
  std::vector<uint32_t> tf32_specials;  // the same
  std::vector<uint32_t> bf16_tiles;     // (128 threads, 8 a + 8 b)
  std::vector<uint32_t> tf32_tiles;     // the same
  // Whether those of compute capability 9.0 take part.
  bool wgmma = false;
  std::vector<uint32_t> wgmma_operands;  // two bf16 a word, 64 x 64 and 128 x 64; then 64 x 128 float32
};

namespace cuda {
bool gpu_present();
bool gpu_has_wgmma();
std::vector<WrapperResult> wrapper_results(const WrapperInputs& in);
}  // namespace cuda
namespace simt {
std::vector<WrapperResult> wrapper_results(const WrapperInputs& in);
}

}  // namespace gan
