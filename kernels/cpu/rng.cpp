// Random numbers on the cpu: kernels/shared/philox.h in a loop over its blocks of four. The instruction set changes
// no bit: every product that is added to something is an explicit fma. Dropout draws its mask the same way.
#include "kernels/cpu/loops.h"
#include "kernels/shared/philox.h"

namespace gan::cpu {
namespace {

// What a draw depends on besides the element's index.
struct Source {
  uint64_t seed;
  uint32_t stream, step;
};

// Blocks are drawn 16 at a time, each step a loop over all 16, so that a vector register holds one step of
// many.
constexpr int batch = 16;

// bits[i][j] = number i of block first + j.
GAN_INLINE void batch_of_bits(Source s, uint64_t first, uint32_t (&bits)[4][batch]) {
  for (int j = 0; j < batch; ++j) {
    const Philox4 r = random_bits(s.seed, s.stream, s.step, first + uint64_t(j));
    for (int i = 0; i < 4; ++i) bits[i][j] = r.v[i];
  }
}
GAN_INLINE void batch_of_normals(Source s, uint64_t first, float* numbers) {
  uint32_t bits[4][batch];
  batch_of_bits(s, first, bits);
  float values[4][batch];
  for (int pair = 0; pair < 4; pair += 2)
    for (int j = 0; j < batch; ++j)
      normals_from_bits(bits[pair][j], bits[pair + 1][j], values[pair][j], values[pair + 1][j]);
  for (int j = 0; j < batch; ++j)
    for (int i = 0; i < 4; ++i) numbers[4 * j + i] = values[i][j];
}
GAN_INLINE void batch_of_uniforms(Source s, uint64_t first, float* numbers) {
  uint32_t bits[4][batch];
  batch_of_bits(s, first, bits);
  for (int j = 0; j < batch; ++j)
    for (int i = 0; i < 4; ++i) numbers[4 * j + i] = uniform_from_bits(bits[i][j]);
}

// Elements [begin, end), begin a multiple of 4.
template <class Batch>
GAN_INLINE void draw(int64_t begin, int64_t end, Acc acc, float* y, Batch&& draw_batch) {
  with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
    for (int64_t i = begin; i < end; i += 4 * batch) {
      float numbers[4 * batch];
      draw_batch(uint64_t(i) / 4, numbers);
      const int64_t n = std::min<int64_t>(4 * batch, end - i);
      for (int64_t j = 0; j < n; ++j) store<add.value>(y[i + j], numbers[j]);
    }
  });
}
GAN_TARGET_CLONES
void normal_range(Source s, int64_t begin, int64_t end, Acc acc, float* y) {
  draw(begin, end, acc, y, [s](uint64_t b, float* out) GAN_LAMBDA_INLINE { batch_of_normals(s, b, out); });
}
GAN_TARGET_CLONES
void uniform_range(Source s, int64_t begin, int64_t end, Acc acc, float* y) {
  draw(begin, end, acc, y, [s](uint64_t b, float* out) GAN_LAMBDA_INLINE { batch_of_uniforms(s, b, out); });
}

void run(const RandomNormal& a, Stream&) {
  const Source source{a.seed, a.stream, step_on_host(a)};
  float* y = a.y.as<float>();
  parallel_elements(a.count,
                    [&](int64_t begin, int64_t end) { normal_range(source, begin, end, a.y.acc, y); });
}
void run(const RandomUniform& a, Stream&) {
  const Source source{a.seed, a.stream, step_on_host(a)};
  float* y = a.y.as<float>();
  parallel_elements(a.count,
                    [&](int64_t begin, int64_t end) { uniform_range(source, begin, end, a.y.acc, y); });
}

GAN_TARGET_CLONES
void dropout_range(Source s, uint64_t first, float p, float scale, int64_t begin, int64_t end, Acc acc,
                   const float* x, float* y) {
  with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
    uint64_t at = first + uint64_t(begin);  // of the random numbers
    for (int64_t i = begin; i < end;) {
      float numbers[4 * batch];
      batch_of_uniforms(s, at / 4, numbers);
      const int64_t skip = int64_t(at % 4), n = std::min<int64_t>(4 * batch - skip, end - i);
      for (int64_t j = 0; j < n; ++j)
        store<add.value>(y[i + j], numbers[skip + j] >= p ? scale * x[i + j] : 0.0f);
      i += n, at += uint64_t(n);
    }
  });
}
void run(const Dropout& a, Stream&) {
  const Source source{a.seed, a.stream, step_on_host(a)};
  const float* x = a.x.as<float>();
  float* y = a.y.as<float>();
  parallel_elements(a.count, [&](int64_t begin, int64_t end) {
    dropout_range(source, a.first, float(a.p), float(1 / (1 - a.p)), begin, end, a.y.acc, x, y);
  });
}

const Variant<RandomNormal> normal_variants[] = {{"loops", "f32", "any size", f32_only<RandomNormal>, run}};
const Variant<RandomUniform> uniform_variants[] = {
    {"loops", "f32", "any size", f32_only<RandomUniform>, run}};
const Variant<Dropout> dropout_variants[] = {{"loops", "f32", "any size", f32_only<Dropout>, run}};
}  // namespace

const RngTable rng = {{normal_variants}, {uniform_variants}, {dropout_variants}};

}  // namespace gan::cpu
