// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): random numbers as a
// pure function of a counter and a key, so that results do not depend on launch shape, thread count or what
// ran before.
//
// The key is the 64-bit seed. The counter is (index low, index high, step, stream). Streams keep purposes
// apart. Everything here compiles for the host and for CUDA and gives the same bits on both: integer
// arithmetic, and normals by a Box-Muller transform whose logarithm, sine and cosine are our own polynomials
// with explicit fma.
#pragma once
#include <cmath>
#include <cstdint>

#if defined(__CUDACC__)
#define GAN_HOST_DEVICE __host__ __device__ inline
#else
#define GAN_HOST_DEVICE inline
#endif

namespace gan {

// Purposes of random numbers; each is a stream of its own. Values are stored in no file but keep a run
// repeatable: never renumber.
enum class RandomStream : uint32_t {
  init_g = 1,
  init_d = 2,
  order = 3,     // shuffling of the data
  augment = 4,   // crop and flip
  noise = 5,     // z of the training steps
  samples = 6,   // z of sample grids
  pictures = 7,  // embedded pictures
  dropout = 8,
  pool = 9,              // which earlier pictures the discriminator sees again
  make_input = 10,       // noise and holes of inputs that are made from their targets
  order_b = 11,          // of a set with two independent lists the second: shuffling,
  augment_b = 12,        // crop and flip
  grain = 13,            // what strokes of a brush come from
  init_networks = 1000,  // initial weights of networks that are not G and D, numbered from here
};

struct Philox4 {
  uint32_t v[4];
};

GAN_HOST_DEVICE Philox4 philox4x32(uint32_t c0, uint32_t c1, uint32_t c2, uint32_t c3, uint32_t k0,
                                   uint32_t k1) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t(0xD2511F53u) * c0;
    const uint64_t p1 = uint64_t(0xCD9E8D57u) * c2;
    const uint32_t n0 = uint32_t(p1 >> 32) ^ c1 ^ k0;
    const uint32_t n2 = uint32_t(p0 >> 32) ^ c3 ^ k1;
    c1 = uint32_t(p1);
    c3 = uint32_t(p0);
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// Four 32-bit numbers for block `index` of a stream at a step.
GAN_HOST_DEVICE Philox4 random_bits(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index) {
  return philox4x32(uint32_t(index), uint32_t(index >> 32), step, stream, uint32_t(seed),
                    uint32_t(seed >> 32));
}

// [0, 1) with 24 bits: exactly representable in float32.
GAN_HOST_DEVICE float uniform_from_bits(uint32_t bits) { return float(bits >> 8) * 0x1p-24f; }

// Natural logarithm of x in [2^-33, 1]: x = 2^e * m, m in [sqrt(1/2), sqrt(2)), log(m) = 2 atanh(s) with
// s = (m-1)/(m+1), |s| <= 0.1716, as the odd series up to s^9 (truncation below 2^-32 relative).
GAN_HOST_DEVICE float portable_log(float x) {
  union {
    float f;
    uint32_t u;
  } b;
  b.f = x;
  int e = int(b.u >> 23) - 127;
  b.u = (b.u & 0x007FFFFFu) | 0x3F800000u;
  float m = b.f;
  if (m > 1.41421354f) {
    m *= 0.5f;
    ++e;
  }
  const float s = (m - 1.0f) / (m + 1.0f);
  const float t = s * s;
  float p = fmaf(t, 0.22222222f, 0.28571429f);
  p = fmaf(t, p, 0.4f);
  p = fmaf(t, p, 0.66666667f);
  p = fmaf(t, p, 2.0f);
  return fmaf(float(e), 0.693147182f, s * p);
}

// sin and cos of 2*pi*u for u in [0,1): reduced to an eighth of a turn, then Taylor polynomials.
GAN_HOST_DEVICE void portable_sincos_turn(float u, float& sine, float& cosine) {
  const int octant = int(u * 8.0f);                  // 0..7
  const int quadrant = (octant + 1) >> 1;            // nearest quarter turn, 0..4
  const float r = fmaf(float(quadrant), -0.25f, u);  // [-1/8, 1/8], exact
  const float a = r * 6.28318548f;                   // [-pi/4, pi/4]
  const float q = a * a;
  float s = fmaf(q, 2.75573192e-6f, -1.98412698e-4f);
  s = fmaf(q, s, 8.33333333e-3f);
  s = fmaf(q, s, -0.166666667f);
  s = fmaf(q * a, s, a);
  float c = fmaf(q, -2.75573192e-7f, 2.48015873e-5f);
  c = fmaf(q, c, -1.38888889e-3f);
  c = fmaf(q, c, 4.16666667e-2f);
  c = fmaf(q, c, -0.5f);
  c = fmaf(q, c, 1.0f);
  const int k = quadrant & 3;
  sine = k == 0 ? s : k == 1 ? c : k == 2 ? -s : -c;
  cosine = k == 0 ? c : k == 1 ? -s : k == 2 ? -c : s;
}

// Two independent normals (mean 0, deviation 1) from two 32-bit numbers (Box & Muller 1958).
GAN_HOST_DEVICE void normals_from_bits(uint32_t bits0, uint32_t bits1, float& n0, float& n1) {
  // (0, 1]: 24 bits plus half a step, so that the logarithm never sees 0.
  const float u = (float(bits0 >> 8) + 0.5f) * 0x1p-24f;
  const float radius = sqrtf(-2.0f * portable_log(u));
  float s, c;
  portable_sincos_turn(uniform_from_bits(bits1), s, c);
  n0 = radius * c;
  n1 = radius * s;
}

// Element `index` of a stream of normals: block index/4 holds elements 4b..4b+3.
GAN_HOST_DEVICE float random_normal(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index) {
  const Philox4 r = random_bits(seed, stream, step, index >> 2);
  float n0, n1;
  const int pair = int(index & 2);
  normals_from_bits(r.v[pair], r.v[pair + 1], n0, n1);
  return index & 1 ? n1 : n0;
}
GAN_HOST_DEVICE float random_uniform(uint64_t seed, uint32_t stream, uint32_t step, uint64_t index) {
  return uniform_from_bits(random_bits(seed, stream, step, index >> 2).v[index & 3]);
}

}  // namespace gan
