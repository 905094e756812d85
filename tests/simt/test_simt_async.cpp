// The wrappers of kernels/gpu/ptx.cuh in the emulation: asynchronous copies that land late, the fragment layouts
// of the PTX documentation, tensor-core products against float64, named barriers, and the errors of each.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "kernels/gpu/gpu.cuh"
#include "kernels/shared/philox.h"
#include "kernels/simt/race.h"
#include "tests/support/skip.h"

namespace gan::simt {
namespace {

// ---- Kernels ------------------------------------------------------------------------------------------

// Each thread copies its own element by one asynchronous copy and reads it back.
template <class T>
__global__ void copy_kernel(const T* in, T* out, unsigned real_threads, bool wait) {
  SHARED_ARRAY(T, s, [64]);
  cp_async<sizeof(T)>(&s[threadIdx.x], &in[threadIdx.x], threadIdx.x < real_threads);
  cp_async_commit();
  if (wait) cp_async_wait<0>();
  out[threadIdx.x] = s[threadIdx.x];
}

// Three groups, of which the newest two may be under way at the first look and none at the second.
__global__ void groups_kernel(const int* in, int* first, int* second) {
  SHARED_ARRAY(int, s, [32][4]);
  const unsigned t = threadIdx.x;
  for (unsigned group = 0; group < 3; ++group) {
    cp_async<4>(&s[t][group], &in[group * 32 + t]);
    cp_async_commit();
  }
  cp_async_wait<2>();
  first[t] = s[t][0];
  cp_async_wait<0>();
  for (unsigned group = 0; group < 3; ++group) second[group * 32 + t] = s[t][group];
}

// A copy without a commit is covered by no wait.
__global__ void no_commit_kernel(const int* in, int* out) {
  SHARED_ARRAY(int, s, [32]);
  cp_async<4>(&s[threadIdx.x], &in[threadIdx.x]);
  cp_async_wait<0>();
  out[threadIdx.x] = s[threadIdx.x];
}

// The source is read when the copy starts: a later change of it does not arrive.
__global__ void changed_source_kernel(int* in, int* out) {
  SHARED_ARRAY(int, s, [32]);
  cp_async<4>(&s[threadIdx.x], &in[threadIdx.x]);
  cp_async_commit();
  in[threadIdx.x] = -1;
  cp_async_wait<0>();
  out[threadIdx.x] = s[threadIdx.x];
}

enum class Mistake { shared_misaligned, global_misaligned, to_global, from_shared, matrix_row };
__global__ void bad_address_kernel(float* global, Mistake mistake) {
  SHARED_ARRAY(float, s, [64]);
  for (unsigned i = threadIdx.x; i < 64; i += 32) s[i] = 0;
  __syncthreads();
  uint32_t word[1];
  if (mistake == Mistake::shared_misaligned) cp_async<16>(s + 1, global);
  if (mistake == Mistake::global_misaligned) cp_async<8>(s, global + 1);
  if (mistake == Mistake::to_global) cp_async<4>(global, global);
  if (mistake == Mistake::from_shared) cp_async<4>(s, s + 4);
  if (mistake == Mistake::matrix_row) ldmatrix(word, s + 2);
}

// in: 32 rows of 8 numbers, those of matrix 0, then 1, 2, 3. out: (32 lanes, count words).
template <int count, bool transposed>
__global__ void ldmatrix_kernel(const uint16_t* in, uint32_t* out) {
  SHARED_ARRAY(uint16_t, s, [32][8]);
  for (int i = 0; i < 8; ++i) s[threadIdx.x][i] = in[threadIdx.x * 8 + static_cast<unsigned>(i)];
  __syncwarp();
  uint32_t word[count];
  const uint16_t* const row = threadIdx.x < 8 * count ? s[threadIdx.x] : nullptr;
  if constexpr (transposed) ldmatrix_transposed(word, row);
  else ldmatrix(word, row);
  for (int i = 0; i < count; ++i) out[threadIdx.x * count + static_cast<unsigned>(i)] = word[i];
}

// One product of each kind with fragments as they are: a, b, d hold the lanes' words one lane after another.
template <class T>
__global__ void mma_kernel(const FragmentA<T>* a, const FragmentB<T>* b, FragmentD* d) {
  FragmentD sum = d[threadIdx.x];
  mma(sum, a[threadIdx.x], b[threadIdx.x]);
  d[threadIdx.x] = sum;
}

// The same for a warp tile: a (32 lanes, 2), b (32 lanes, 4), d (32 lanes, 2, 4).
template <class T>
__global__ void mma_tile_kernel(const FragmentA<T>* a, const FragmentB<T>* b, FragmentD* d, bool one_by_one) {
  FragmentA<T> rows[2];
  FragmentB<T> columns[4];
  FragmentD sums[2][4];
  for (unsigned i = 0; i < 2; ++i) rows[i] = a[threadIdx.x * 2 + i];
  for (unsigned j = 0; j < 4; ++j) columns[j] = b[threadIdx.x * 4 + j];
  for (unsigned i = 0; i < 8; ++i) sums[i / 4][i % 4] = d[threadIdx.x * 8 + i];
  if (one_by_one) {
    for (int i = 0; i < 2; ++i)
      for (int j = 0; j < 4; ++j) mma(sums[i][j], rows[i], columns[j]);
  } else {
    mma_tile(sums, rows, columns);
  }
  for (unsigned i = 0; i < 8; ++i) d[threadIdx.x * 8 + i] = sums[i / 4][i % 4];
}

// One thread copies to, or one warp loads from, a place `at` bytes from the start of an array of `bytes`.
__global__ void bounded_kernel(const float* global, int bytes, bool dynamic, bool load, int at) {
  SHARED_ARRAY(char, array, [512]);
  DYNAMIC_SHARED(char, memory);
  char* const start = dynamic ? memory : array;
  for (int i = static_cast<int>(threadIdx.x); i < bytes; i += 32) start[i] = 0;
  __syncthreads();
  uint32_t word[1];
  if (load) ldmatrix(word, start + at);
  else if (threadIdx.x == 0) cp_async<16>(start + at, global);
}

// Warps 0 and 1 meet in barrier 1, warps 2 and 3 in barrier 2; each exchanges through shared memory.
__global__ void pairs_of_warps_kernel(int* out) {
  SHARED_ARRAY(int, s, [128]);
  const int t = static_cast<int>(threadIdx.x), pair = t / 64;
  for (int round = 0; round < 3; ++round) {
    s[t] = t + 1000 * round;
    named_barrier_sync(1 + pair, 64);
    out[round * 128 + t] = s[t ^ 63];
    named_barrier_sync(1 + pair, 64);
  }
}

// Warp 0 fills a slot and says so in barrier 1 without waiting for a reader; warp 1 frees it in barrier 2.
__global__ void producer_kernel(int* out, int rounds) {
  SHARED_ARRAY(int, slot, [32]);
  const unsigned lane = threadIdx.x % 32;
  for (int round = 0; round < rounds; ++round) {
    if (threadIdx.x < 32) {
      if (round > 0) named_barrier_sync(2, 64);
      slot[lane] = round * 100 + static_cast<int>(lane);
      named_barrier_arrive(1, 64);
    } else {
      named_barrier_sync(1, 64);
      out[round * 32 + static_cast<int>(lane)] = slot[31 - lane];
      if (round + 1 < rounds) named_barrier_arrive(2, 64);
    }
  }
}

std::atomic<int> line_a;  // all threads set it
__global__ void named_barrier_kernel(int id, int first_half, int second_half) {
  if (threadIdx.x < 32) {
    line_a = __LINE__ + 1;
    named_barrier_sync(id, first_half);
  } else {
    named_barrier_sync(id, second_half);
  }
}

// ---- Helpers ------------------------------------------------------------------------------------------

struct KeepConfig {
  Config saved = config();
  ~KeepConfig() { config() = saved; }
};

std::vector<Config> many_schedules(int seeds) {
  std::vector<Config> result{{Schedule::forward, 1, 0}, {Schedule::reverse, 1, 0}};
  for (int seed = 1; seed <= seeds; ++seed)
    result.push_back({Schedule::random, static_cast<uint64_t>(seed), 0});
  return result;
}

bool refused(const std::string& part, const std::function<void()>& action) {
  std::string message = "no error";
  try {
    action();
  } catch (const Error& e) { message = e.what(); }
  if (message.find(part) != std::string::npos) return true;
  MESSAGE("\"" << part << "\" is not in: " << message);
  return false;
}

float random_number(uint64_t index) { return 2 * random_uniform(7, 0, 0, index) - 1; }

// ---- The tables of the PTX documentation, written down as it has them ---------------------------------
// "Matrix Fragments for mma.m16n8k16" (bf16) and "mma.m16n8k8" (tf32): groupID = lane >> 2,
// threadID_in_group = lane % 4.

struct Place {
  int row, column;
};

Place place_of_a_bf16(int lane, int i) {  // i = 0..7
  const int group = lane >> 2, thread = lane % 4;
  return {i < 2 || (i >= 4 && i < 6) ? group : group + 8, thread * 2 + (i & 1) + (i >= 4 ? 8 : 0)};
}
Place place_of_b_bf16(int lane, int i) {  // i = 0..3
  const int group = lane >> 2, thread = lane % 4;
  return {thread * 2 + (i & 1) + (i >= 2 ? 8 : 0), group};
}
Place place_of_a_tf32(int lane, int i) {  // i = 0..3
  const int group = lane >> 2, thread = lane % 4;
  return {i == 0 || i == 2 ? group : group + 8, i < 2 ? thread : thread + 4};
}
Place place_of_b_tf32(int lane, int i) {  // i = 0..1
  const int group = lane >> 2, thread = lane % 4;
  return {i == 0 ? thread : thread + 4, group};
}
Place place_of_d(int lane, int i) {  // i = 0..3
  const int group = lane >> 2, thread = lane % 4;
  return {i < 2 ? group : group + 8, thread * 2 + (i & 1)};
}

template <class T>
struct Layout;
template <>
struct Layout<bf16> {
  static constexpr int depth = 16, elements_a = 8, elements_b = 4;
  static Place a(int lane, int i) { return place_of_a_bf16(lane, i); }
  static Place b(int lane, int i) { return place_of_b_bf16(lane, i); }
  static float store(uint32_t* words, int i, float value) {  // returns what is stored
    const bf16 rounded = to_bf16(value);
    reinterpret_cast<uint16_t*>(words)[i] = rounded.bits;
    return to_float(rounded);
  }
};
template <>
struct Layout<tf32> {
  static constexpr int depth = 8, elements_a = 4, elements_b = 2;
  static Place a(int lane, int i) { return place_of_a_tf32(lane, i); }
  static Place b(int lane, int i) { return place_of_b_tf32(lane, i); }
  static float store(uint32_t* words, int i, float value) {
    words[i] = to_tf32(value).bits;
    return __uint_as_float(words[i]);
  }
};

// Random operands in fragments, and the largest error of the results in units of what float32 sums of depth
// K + 1 may have: gamma = (K + 1) 2^-24 times the sum of magnitudes (Higham 2002, section 3.1).
template <class T>
struct Product {
  using L = Layout<T>;
  std::vector<FragmentA<T>> a{32};
  std::vector<FragmentB<T>> b{32};
  std::vector<FragmentD> d{32};
  double exact[16][8] = {}, magnitude[16][8] = {};

  explicit Product(uint64_t seed) {
    float left[16][L::depth], right[L::depth][8];
    uint64_t next = seed * 1000;
    for (int lane = 0; lane < 32; ++lane) {
      for (int i = 0; i < L::elements_a; ++i)
        left[L::a(lane, i).row][L::a(lane, i).column] = L::store(a[lane].word, i, random_number(next++));
      for (int i = 0; i < L::elements_b; ++i)
        right[L::b(lane, i).row][L::b(lane, i).column] = L::store(b[lane].word, i, random_number(next++));
      for (int i = 0; i < 4; ++i) {
        d[lane].value[i] = random_number(next++);
        exact[place_of_d(lane, i).row][place_of_d(lane, i).column] = double{d[lane].value[i]};
      }
    }
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 8; ++column) {
        magnitude[row][column] = std::fabs(exact[row][column]);
        for (int k = 0; k < L::depth; ++k) {
          exact[row][column] += double{left[row][k]} * double{right[k][column]};
          magnitude[row][column] += std::fabs(double{left[row][k]} * double{right[k][column]});
        }
      }
  }

  double error(const FragmentD* result, size_t stride) const {
    double largest = 0;
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < 4; ++i) {
        const Place p = place_of_d(lane, i);
        const double bound = (L::depth + 1) * 0x1p-24 * magnitude[p.row][p.column];
        const double found = result[static_cast<size_t>(lane) * stride].value[i];
        largest = std::max(largest, std::fabs(found - exact[p.row][p.column]) / bound);
      }
    return largest;
  }
};

template <class T>
void check_product() {
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    const Product<T> product(seed);
    std::vector<FragmentD> d = product.d;
    launch(mma_kernel<T>, 1, 32, 0, nullptr, product.a.data(), product.b.data(), d.data());
    CHECK(product.error(d.data(), 1) <= 1);
  }
}

TEST_CASE("products: sums are rounded one by one, or cut off as hardware does") {
  // 16 products of 1.5 * 2^-24 beside 1, of which the last place counts 2^-23: rounded, each is one of it; cut, none.
  const auto words = [](float value) { return to_bf16(value).bits * 0x10001u; };
  for (const float accumulator : {1.0f, -1.0f, 0.0f}) {
    std::vector<FragmentA<bf16>> a(32);
    std::vector<FragmentB<bf16>> b(32);
    for (auto& fragment : a) std::fill_n(fragment.word, 4, words(std::copysign(0x1.8p-12f, accumulator)));
    for (auto& fragment : b) std::fill_n(fragment.word, 2, words(0x1p-12f));
    for (const Products products : {Products::rounded, Products::truncated}) {
      std::vector<FragmentD> d(32);
      for (auto& fragment : d) std::fill_n(fragment.value, 4, accumulator);
      const Config before = config();
      config().products = products;
      launch(mma_kernel<bf16>, 1, 32, 0, nullptr, a.data(), b.data(), d.data());
      config() = before;
      const float beside_one = products == Products::rounded ? 1 + 16 * 0x1p-23f : 1;
      const float want = accumulator == 0 ? 24 * 0x1p-24f : std::copysign(beside_one, accumulator);
      for (const auto& fragment : d)
        for (const float value : fragment.value) CHECK(value == want);
    }
  }
  CHECK(parse_config("products=truncated,seed=3").products == Products::truncated);
  const Config before = config();
  config() = parse_config("products=truncated");
  CHECK(replay() == "GAN_SIMT=schedule=forward,seed=1,products=truncated,threads=1");
  config() = before;
}

// The tile's product (i,j) has the left operand of problem i and the right one of problem j.
template <class T>
void check_tile() {
  std::vector<FragmentA<T>> a(64);
  std::vector<FragmentB<T>> b(128);
  std::vector<FragmentD> d(256);
  std::vector<Product<T>> products;
  for (uint64_t seed = 1; seed <= 4; ++seed) products.emplace_back(seed);
  for (size_t lane = 0; lane < 32; ++lane) {
    for (size_t i = 0; i < 2; ++i) a[lane * 2 + i] = products[i].a[lane];
    for (size_t j = 0; j < 4; ++j) b[lane * 4 + j] = products[j].b[lane];
    for (size_t i = 0; i < 8; ++i) d[lane * 8 + i] = products[i % 4].d[lane];
  }
  std::vector<FragmentD> tile = d, single = d;
  launch(mma_tile_kernel<T>, 1, 32, 0, nullptr, a.data(), b.data(), tile.data(), false);
  launch(mma_tile_kernel<T>, 1, 32, 0, nullptr, a.data(), b.data(), single.data(), true);
  CHECK(std::memcmp(tile.data(), single.data(), tile.size() * sizeof(FragmentD)) == 0);
  CHECK(products[0].error(&tile[0], 8) <= 1);
  CHECK(products[1].error(&tile[5], 8) <= 1);
}

template <int count, bool transposed>
void check_ldmatrix() {
  std::vector<uint16_t> in(32 * 8);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<uint16_t>(i * 3 + 1);
  std::vector<uint32_t> out(32 * count);
  launch(ldmatrix_kernel<count, transposed>, 1, 32, 0, nullptr, in.data(), out.data());
  for (size_t lane = 0; lane < 32; ++lane)
    for (size_t matrix = 0; matrix < count; ++matrix)
      for (size_t half = 0; half < 2; ++half) {
        size_t row = lane / 4, column = 2 * (lane % 4) + half;
        if (transposed) std::swap(row, column);
        const uint32_t word = out[lane * count + matrix];
        CHECK((half ? word >> 16 : word & 0xffff) == in[(matrix * 8 + row) * 8 + column]);
      }
}

template <class T>
void check_copy(const std::vector<T>& in) {
  for (const Config& schedule : many_schedules(4)) {
    config() = schedule;
    std::vector<T> out(64);
    launch(copy_kernel<T>, 1, 64, 0, nullptr, in.data(), out.data(), 40u, true);
    const T zero{};
    for (size_t t = 0; t < 64; ++t) CHECK(std::memcmp(&out[t], t < 40 ? &in[t] : &zero, sizeof(T)) == 0);
  }
}

}  // namespace
}  // namespace gan::simt

using namespace gan::simt;

TEST_SUITE_BEGIN("simt");

TEST_CASE("simt: asynchronous copies of 4, 8 and 16 bytes; without a source they write zeros") {
  KeepConfig keep;
  std::vector<unsigned> words(64);
  std::vector<uint2> pairs(64);
  std::vector<uint4> fours(64);
  for (unsigned i = 0; i < 64; ++i) {
    words[i] = i + 1;
    pairs[i] = {i + 1, i + 1000};
    fours[i] = {i + 1, i + 1000, i + 2000, i + 3000};
  }
  check_copy(words);
  check_copy(pairs);
  check_copy(fours);
}

TEST_CASE("simt: an asynchronous copy that nobody waited for is not there yet") {
  KeepConfig keep;
  if (runtime::race_build) GAN_SKIP("the race build stops at the access itself: test_race.cpp");
  std::vector<unsigned> in(64, 5), out(64);
  for (const Schedule schedule : {Schedule::forward, Schedule::reverse}) {
    config() = {schedule, 1, 0};
    launch(copy_kernel<unsigned>, 1, 64, 0, nullptr, in.data(), out.data(), 64u, false);
    CHECK(out == std::vector<unsigned>(64, 0xffffffffu));
  }
  config() = {Schedule::random, 3, 0};  // here some land early and some late
  launch(copy_kernel<unsigned>, 1, 64, 0, nullptr, in.data(), out.data(), 64u, false);
  const auto early = std::count(out.begin(), out.end(), 5u);
  CHECK(early > 8);
  CHECK(early < 56);
  CHECK(early + std::count(out.begin(), out.end(), 0xffffffffu) == 64);

  config() = {Schedule::forward, 1, 0};
  std::vector<int> numbers(32, 5), seen(32);
  launch(no_commit_kernel, 1, 32, 0, nullptr, numbers.data(), seen.data());
  CHECK(seen == std::vector<int>(32, -1));
}

TEST_CASE("simt: wait_group leaves the newest groups under way; the source is read at the start") {
  KeepConfig keep;
  std::vector<int> in(96);
  for (int i = 0; i < 96; ++i) in[i] = i;
  for (const Config& schedule : many_schedules(4)) {
    config() = schedule;
    std::vector<int> first(32), second(96);
    launch(groups_kernel, 1, 32, 0, nullptr, in.data(), first.data(), second.data());
    CHECK(first == std::vector<int>(in.begin(), in.begin() + 32));
    CHECK(second == in);
    std::vector<int> changing(32, 9), out(32);
    launch(changed_source_kernel, 1, 32, 0, nullptr, changing.data(), out.data());
    CHECK(out == std::vector<int>(32, 9));
  }
}

TEST_CASE("simt: addresses that the wrapped instructions refuse") {
  std::vector<float> global(64);
  const auto launched = [&](Mistake mistake) {
    return [&global, mistake] { launch(bad_address_kernel, 1, 32, 0, nullptr, global.data(), mistake); };
  };
  CHECK(refused("cp_async with the shared address", launched(Mistake::shared_misaligned)));
  CHECK(refused("which is no multiple of 16", launched(Mistake::shared_misaligned)));
  CHECK(refused("cp_async of 8 bytes from a global address", launched(Mistake::global_misaligned)));
  CHECK(refused("cp_async with an address that is not in shared", launched(Mistake::to_global)));
  CHECK(refused("cp_async from shared memory", launched(Mistake::from_shared)));
  CHECK(refused("test_simt_async.cpp:", launched(Mistake::matrix_row)));
  CHECK(refused("ldmatrix with the shared address", launched(Mistake::matrix_row)));
}

TEST_CASE("simt: wrapped instructions stay within the shared memory that was asked for") {
  std::vector<float> global(64);
  const auto launched = [&](int bytes, bool dynamic, bool load, int at) {
    return [&global, bytes, dynamic, load, at] {
      launch(bounded_kernel, 1, 32, dynamic ? bytes : 0, nullptr, global.data(), bytes, dynamic, load, at);
    };
  };
  for (const bool load : {false, true}) {
    const std::string name = load ? "ldmatrix" : "cp_async";
    CHECK_NOTHROW(launched(512, true, load, 496)());
    CHECK_NOTHROW(launched(512, false, load, 496)());
    CHECK(refused(name + " of 16 bytes outside of all shared arrays, 512 bytes behind the start of dynamic "
                         "shared memory, of which the launch asked for 512",
                  launched(512, true, load, 512)));
    CHECK(refused("the launch asked for 504", launched(504, true, load, 496)));  // half of it inside
    CHECK(refused("outside of all shared arrays", launched(512, false, load, 512)));
    CHECK(refused("outside of all shared arrays", launched(512, false, load, -16)));
  }
}

TEST_CASE("simt: ldmatrix gives each lane the elements of the PTX tables") {
  check_ldmatrix<1, false>();
  check_ldmatrix<2, false>();
  check_ldmatrix<4, false>();
  check_ldmatrix<1, true>();
  check_ldmatrix<2, true>();
  check_ldmatrix<4, true>();
}

TEST_CASE("simt: tensor-core products of bf16 and tf32 against float64") {
  KeepConfig keep;
  for (const Config& schedule : many_schedules(2)) {
    config() = schedule;
    check_product<gan::bf16>();
    check_product<tf32>();
    check_tile<gan::bf16>();
    check_tile<tf32>();
  }
}

TEST_CASE("simt: tf32 rounds to nearest, ties away from zero") {
  CHECK(to_tf32(1.0f).bits == 0x3f800000u);
  CHECK(to_tf32(1.0f + 0x1p-11f).bits == 0x3f802000u);             // a tie
  CHECK(to_tf32(-1.0f - 0x1p-11f).bits == 0xbf802000u);            // a tie
  CHECK(to_tf32(1.0f + 0x1p-11f - 0x1p-23f).bits == 0x3f800000u);  // just below it
  CHECK(to_tf32(1.0f + 0x3p-11f).bits == 0x3f804000u);
  CHECK(to_tf32(INFINITY).bits == 0x7f800000u);
  CHECK(to_tf32(3.4028235e38f).bits == 0x7f800000u);
  // NaN: still one when a product cuts the lower bits off, also where they alone made it one.
  for (const uint32_t nan : {0x7fc00000u, 0xffc00000u, 0x7f800001u, 0x7fffffffu})
    CHECK(std::isnan(__uint_as_float(to_tf32(__uint_as_float(nan)).bits & 0xffffe000u)));
  CHECK(to_tf32(__uint_as_float(0x7fd40000u)).bits == 0x7fd40000u);  // its payload is kept
  CHECK(to_tf32(-0.0f).bits == 0x80000000u);
}

TEST_CASE("simt: elements of fragments: two bfloat16 in a word, and powers of 2 without denormal ones") {
  CHECK(two_bf16(1.0f, -2.0f) == 0xc0003f80u);
  CHECK(two_bf16(1.0f + 0x1p-8f, 1.0f + 0x3p-8f) == 0x3f823f80u);  // ties go to even
  CHECK(two_bf16(NAN, INFINITY) == 0x7f807fffu);
  CHECK(fast_exp2(-3.0f) == 0.125f);
  CHECK(fast_exp2(0x1p-140f) == 1.0f);
  CHECK(fast_exp2(-126.0f) == 0x1p-126f);
  CHECK(fast_exp2(-126.5f) == 0.0f);
  CHECK(fast_exp2(-INFINITY) == 0.0f);
  CHECK(fast_exp2(200.0f) == INFINITY);
  CHECK(std::isnan(fast_exp2(NAN)));
}

TEST_CASE("simt: named barriers join some warps, and a producer need not wait") {
  KeepConfig keep;
  for (const Config& schedule : many_schedules(10)) {
    config() = schedule;
    CAPTURE(replay());
    std::vector<int> out(3 * 128), expected;
    launch(pairs_of_warps_kernel, 1, 128, 0, nullptr, out.data());
    for (int round = 0; round < 3; ++round)
      for (int t = 0; t < 128; ++t) expected.push_back((t ^ 63) + 1000 * round);
    CHECK(out == expected);

    std::vector<int> taken(5 * 32);
    launch(producer_kernel, 1, 64, 0, nullptr, taken.data(), 5);
    for (int i = 0; i < 5 * 32; ++i) CHECK(taken[i] == i / 32 * 100 + 31 - i % 32);
  }
}

TEST_CASE("simt: named barriers that cannot be right are reported") {
  KeepConfig keep;
  for (const Config& schedule : many_schedules(3)) {
    config() = schedule;
    const auto with = [](int id, int first, int second) {
      return [=] { launch(named_barrier_kernel, 1, 64, 0, nullptr, id, first, second); };
    };
    CHECK(refused("named_barrier_sync of barrier 0: the numbers are 1 to 15", with(0, 64, 64)));
    CHECK(refused("named_barrier_sync of barrier 16", with(16, 64, 64)));
    CHECK(refused("for 40 threads: it must be a multiple of 32", with(1, 40, 40)));
    CHECK(refused("for 96 threads: it must be a multiple of 32 and at most the block's 64", with(1, 96, 96)));
    CHECK(refused("came for ", [] { launch(named_barrier_kernel, 1, 96, 0, nullptr, 1, 64, 96); }));
    CHECK(refused("test_simt_async.cpp:" + std::to_string(line_a) + ": 32 threads wait in named_barrier_sync",
                  [] { launch(named_barrier_kernel, 1, 48, 0, nullptr, 3, 64, 64); }));
  }
}

TEST_SUITE_END();
