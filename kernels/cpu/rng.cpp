// Random numbers on the cpu: kernels/philox.h in a loop over its blocks of four. The instruction set changes
// no bit: every product that is added to something is an explicit fma.
#include "kernels/cpu/loops.h"
#include "kernels/philox.h"

namespace gan::cpu {
namespace {

// What a draw depends on besides the element's index.
struct Source {
  uint64_t seed;
  uint32_t stream, step;
};

// The four numbers of block `b`, i.e. elements 4b to 4b+3.
GAN_INLINE void four_normals(Source s, uint64_t b, float* out) {
  const Philox4 r = random_bits(s.seed, s.stream, s.step, b);
  normals_from_bits(r.v[0], r.v[1], out[0], out[1]);
  normals_from_bits(r.v[2], r.v[3], out[2], out[3]);
}
GAN_INLINE void four_uniforms(Source s, uint64_t b, float* out) {
  const Philox4 r = random_bits(s.seed, s.stream, s.step, b);
  for (int i = 0; i < 4; ++i) out[i] = uniform_from_bits(r.v[i]);
}

// Elements [begin, end), begin a multiple of 4.
template <class Four>
GAN_INLINE void draw(int64_t begin, int64_t end, Acc acc, float* y, Four&& four) {
  with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
    for (int64_t i = begin; i < end; i += 4) {
      float numbers[4];
      four(uint64_t(i) / 4, numbers);
      const int64_t n = std::min<int64_t>(4, end - i);
      for (int64_t j = 0; j < n; ++j) store<add.value>(y[i + j], numbers[j]);
    }
  });
}
GAN_TARGET_CLONES
void normal_range(Source s, int64_t begin, int64_t end, Acc acc, float* y) {
  draw(begin, end, acc, y, [s](uint64_t b, float* out) GAN_LAMBDA_INLINE { four_normals(s, b, out); });
}
GAN_TARGET_CLONES
void uniform_range(Source s, int64_t begin, int64_t end, Acc acc, float* y) {
  draw(begin, end, acc, y, [s](uint64_t b, float* out) GAN_LAMBDA_INLINE { four_uniforms(s, b, out); });
}

void run(const RandomNormal& a, Stream&) {
  GAN_CHECK(a.count >= 0 && a.y);
  float* y = a.y.as<float>();
  parallel_elements(a.count, [&](int64_t begin, int64_t end) {
    normal_range({a.seed, a.stream, a.step}, begin, end, a.y.acc, y);
  });
}
void run(const RandomUniform& a, Stream&) {
  GAN_CHECK(a.count >= 0 && a.y);
  float* y = a.y.as<float>();
  parallel_elements(a.count, [&](int64_t begin, int64_t end) {
    uniform_range({a.seed, a.stream, a.step}, begin, end, a.y.acc, y);
  });
}

const Variant<RandomNormal> normal_variants[] = {
    {"loops", "f32", "any size", [](const RandomNormal& a) { return f32_only(a.y); }, run}};
const Variant<RandomUniform> uniform_variants[] = {
    {"loops", "f32", "any size", [](const RandomUniform& a) { return f32_only(a.y); }, run}};
}  // namespace

const RngTable rng = {{normal_variants}, {uniform_variants}};

}  // namespace gan::cpu
