// Random numbers: Philox against the published answers, our logarithm, sine and cosine against the C library
// in double, moments and pinned first values of the distributions, and the same bits from every device.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/kernels.h"
#include "kernels/shared/bf16.h"
#include "kernels/shared/philox.h"
#include "tests/cases/run_case.h"
#include "tests/support/skip.h"

namespace gan::tests {
namespace {

constexpr double pi = 3.14159265358979323846;

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

}  // namespace

// kat_vectors of Random123 (Salmon et al. 2011), philox4x32 with 10 rounds.
TEST_CASE("philox4x32-10 gives the published answers") {
  struct Answer {
    std::array<uint32_t, 4> counter;
    std::array<uint32_t, 2> key;
    std::array<uint32_t, 4> result;
  };
  const Answer answers[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},  // the digits of pi
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (const Answer& a : answers) {
    const Philox4 r = philox4x32(a.counter[0], a.counter[1], a.counter[2], a.counter[3], a.key[0], a.key[1]);
    for (int i = 0; i < 4; ++i) CHECK(r.v[i] == a.result[i]);
  }
}

TEST_CASE("seed, stream, step and index all reach the random bits") {
  const Philox4 base = random_bits(1, 2, 3, 4);
  const Philox4 others[] = {random_bits(1ull << 32 | 1, 2, 3, 4),
                            random_bits(2, 2, 3, 4),
                            random_bits(1, 3, 3, 4),
                            random_bits(1, 2, 4, 4),
                            random_bits(1, 2, 3, 5),
                            random_bits(1, 2, 3, 1ull << 32 | 4)};
  for (const Philox4& other : others)
    for (int i = 0; i < 4; ++i) CHECK(other.v[i] != base.v[i]);
}

// The bound. u = 2^-24 is the rounding error of one operation. log(m) = s p(t): s carries the errors of m - 1
// (exact near 1), m + 1 and the division, 2u; p of its last fma and, damped by t < 0.03, the earlier
// ones, 1.1u; the product u; truncation of the series 2/11 t^5 / 2 < 0.04u. That is 4.2u of |log m| <= 0.35.
// The last fma rounds to u of the result, and ln 2 as a float32 is off by 0.5u of itself, times |e|: another
// 0.5u of |e| ln 2 <= |log x| + 0.35. Together |error| < u (1.5 |log x| + 4.2 * 0.35 + 0.5 * 0.35) < u (1.5
// |log x| + 1.7); for e = 0 it is relative, < 5.2u |log x|.
TEST_CASE("portable_log is within its derived bound of log") {
  const double u = 0x1p-24;
  const auto within = [&](float x) {
    const double exact = std::log(double(x)), error = std::abs(portable_log(x) - exact);
    const bool no_exponent = x > 0.70710678f && x <= 1.0f;
    return error <= (no_exponent ? 5.2 * std::abs(exact) : 1.5 * std::abs(exact) + 1.7) * u;
  };
  long outside = 0;
  // All floats of the range [2^-33, 1] whose low bits are a stride apart, and both ends of each octave.
  for (uint32_t bits = bits_of(0x1p-33f); bits <= bits_of(1.0f); bits += 997) {
    float x;
    std::memcpy(&x, &bits, sizeof x);
    outside += !within(x);
  }
  for (int e = -33; e <= 0; ++e)
    for (float x : {std::ldexp(1.0f, e), std::nextafter(std::ldexp(1.0f, e), 0.0f),
                    std::ldexp(1.41421354f, e - 1), std::ldexp(std::nextafter(1.41421354f, 2.0f), e - 1)})
      if (x >= 0x1p-33f) outside += !within(x);
  CHECK(outside == 0);
  CHECK(portable_log(1.0f) == 0.0f);
}

// The bound. The angle a = r * 2 pi is off by the product's rounding and the constant's (2 pi as float32 is
// off by 2.8e-8 of itself = 0.47u): 1.5u |a| <= 1.2u. The polynomials end at a^9 and a^10: the first terms
// left out are a^11/11! < 0.03u and a^12/12! < 0.002u at pi/4. The last fma rounds to u/2 of a result <= 1
// and the inner ones, damped by q/2 <= 0.31 and smaller factors, add less than 0.5u. Together below 2.3u.
TEST_CASE("portable_sincos_turn is within its derived bound of sin and cos") {
  const double bound = 2.3 * 0x1p-24;
  double worst = 0;
  for (uint32_t i = 0; i < 1u << 24; i += i % 4096 < 64 || i % 4096 >= 4032 ? 1 : 61) {
    const float turn = float(i) * 0x1p-24f;
    float s, c;
    portable_sincos_turn(turn, s, c);
    const double angle = 2 * pi * turn;
    worst = std::max({worst, std::abs(s - std::sin(angle)), std::abs(c - std::cos(angle))});
  }
  CHECK(worst <= bound);
  for (int quarter = 0; quarter < 4; ++quarter) {
    float s, c;
    portable_sincos_turn(0.25f * float(quarter), s, c);
    CHECK(std::abs(s) == float(quarter & 1));
    CHECK(std::abs(c) == float(1 - (quarter & 1)));
  }
}

// With n independent draws the mean of x^k deviates by sqrt(var(x^k) / n): for normals var 1, 2, 15, 96. Five
// of those deviations are allowed; the draws are fixed, so the test either always passes or never.
TEST_CASE("normals and uniforms have the moments of their distributions") {
  const int n = 1 << 20;
  double m1 = 0, m2 = 0, m3 = 0, m4 = 0, neighbours = 0, previous = 0, largest = 0, u1 = 0, u2 = 0;
  int outside = 0;
  for (int i = 0; i < n; ++i) {
    const double x = random_normal(7, uint32_t(RandomStream::noise), 3, uint64_t(i));
    m1 += x, m2 += x * x, m3 += x * x * x, m4 += x * x * x * x;
    neighbours += x * previous;
    previous = x;
    largest = std::max(largest, std::abs(x));
    const double u = random_uniform(7, uint32_t(RandomStream::noise), 3, uint64_t(i));
    outside += u < 0 || u >= 1;
    u1 += u, u2 += (u - 0.5) * (u - 0.5);
  }
  const double five = 5 / std::sqrt(double(n));
  CHECK(std::abs(m1 / n) < five);
  CHECK(std::abs(m2 / n - 1) < five * std::sqrt(2.0));
  CHECK(std::abs(m3 / n) < five * std::sqrt(15.0));
  CHECK(std::abs(m4 / n - 3) < five * std::sqrt(96.0));
  CHECK(std::abs(neighbours / n) < five);
  CHECK(largest > 4.2);  // of a million normals; 28 are expected beyond, e^-28 is the chance of none
  CHECK(largest < 5.9);  // sqrt(-2 log 2^-25): the end of our normals
  CHECK(outside == 0);
  CHECK(std::abs(u1 / n - 0.5) < five * std::sqrt(1.0 / 12));
  CHECK(std::abs(u2 / n - 1.0 / 12) < five * std::sqrt(1.0 / 180));
}

// A run can be repeated years later only if these never change.
TEST_CASE("the first numbers of a stream are pinned") {
  const uint32_t normals[] = {0xbfabb596, 0x3e72ea8f, 0x4008ddc3, 0xbf9ba97b,
                              0x3f95809d, 0xbf83c670, 0xbf92386b, 0xbcc09858};
  const uint32_t uniforms[] = {0x3eca6e9a, 0x3ef1bccc, 0x3d46ab20, 0x3f6aeede,
                               0x3e985e38, 0x3f62907f, 0x3f0546af, 0x3f00d6a2};
  for (int i = 0; i < 8; ++i) {
    CAPTURE(i);
    CHECK(bits_of(random_normal(1234, 5, 6, uint64_t(i))) == normals[i]);
    CHECK(bits_of(random_uniform(1234, 5, 6, uint64_t(i))) == uniforms[i]);
  }
  // A checksum (FNV-1a over whole words) of many normals notices a polynomial that changed in its last digit.
  uint64_t checksum = 0xcbf29ce484222325;
  for (uint64_t i = 0; i < 65536; ++i)
    checksum = (checksum ^ bits_of(random_normal(1234, 5, 6, i))) * 0x100000001b3;
  CHECK(checksum == 0x316ebef3740e78ff);
}

namespace {
// Every variant of a random operation against the function called here, bit for bit.
template <class Args, class Function>
void check_device(const Backend& backend, const Op<Args>& op, Function&& number) {
  TestStream stream(backend);
  for (const auto& variant : op.variants)
    for (int64_t count : {1, 2, 3, 4, 5, 63, 1021, 5000})
      for (uint64_t seed : {uint64_t{0}, uint64_t{1} << 63 | 99})
        for (DType type : {DType::f32, DType::bf16}) {
          if (type == DType::bf16 && !std::strstr(variant.dtypes, "bf16")) continue;
          GuardedBlock y(backend.memory, stream.get(), Bytes(size_t(count) * size_of(type), 0xFF));
          variant.run(Args{count, seed, 4, 0xFFFFFFFF, {}, Out{y.address(), type}}, stream.get());
          bool intact = true;
          const Bytes bytes = y.read(intact);
          CHECK(intact);
          int64_t wrong = 0;
          for (int64_t i = 0; i < count; ++i) {
            const float wanted = number(seed, 4u, 0xFFFFFFFFu, uint64_t(i));
            uint32_t bits = 0;
            std::memcpy(&bits, bytes.data() + size_t(i) * size_of(type), size_of(type));
            wrong += bits != (type == DType::f32 ? bits_of(wanted) : to_bf16(wanted).bits);
          }
          CHECK_MESSAGE(wrong == 0, name_of(backend.device), " ", Args::op, "=", variant.name, ", ", count,
                        " of ", name_of(type));
        }
}

void check_device(Device device) {
  std::string reason;
  const Backend* backend = usable_backend(device, reason);
  if (!backend) GAN_SKIP(reason);
  check_device(*backend, backend->rng.normal, random_normal);
  check_device(*backend, backend->rng.uniform, random_uniform);
}
}  // namespace

TEST_CASE("random numbers on simt: the same bits") { check_device(Device::simt); }
TEST_CASE("random numbers on cpu: the same bits") { check_device(Device::cpu); }
TEST_CASE("random numbers on cuda: the same bits") { check_device(Device::cuda); }

}  // namespace gan::tests
