// What the table of cases does not reach in the cpu's Winograd convolution: more tiles than are worked on at
// a time, and transformed weights that are kept from call to call.
#include <doctest/doctest.h>

#include <vector>

#include "tests/cases/run_case.h"

// Arguments are written with the sizes that matter.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace gan::tests {
namespace {

// 512 tiles, of which 393 are worked on at a time.
constexpr Conv2d several_chunks{.n = 8,
                                .h = 64,
                                .w = 64,
                                .c = 64,
                                .oh = 32,
                                .ow = 32,
                                .k = 64,
                                .kh = 4,
                                .kw = 4,
                                .sh = 2,
                                .sw = 2,
                                .ph = 1,
                                .pw = 1};

std::vector<float> normal_values(int64_t count, uint64_t seed) {
  std::vector<float> values(static_cast<size_t>(count));
  Stream host;
  find_backend(Device::cpu)
      ->rng.normal({.count = count, .seed = seed, .stream = 0, .step = 0, .y = {values.data()}}, host);
  return values;
}

template <class Args>
std::vector<float> run_variant(const Op<Args>& op, const char* name, Args args, Out Args::*output,
                               int64_t count) {
  TestStream stream(*find_backend(Device::cpu));
  std::vector<float> result(static_cast<size_t>(count));
  args.*output = {result.data()};
  const Variant<Args>* variant = op.find(name);
  REQUIRE(variant);
  REQUIRE(variant->fits(args) == nullptr);
  variant->run(args, stream.get());
  return result;
}

// Both are float32 sums of up to 8192 products: a tile that is missing or counted twice is another class.
void check_close(const std::vector<float>& got, const std::vector<float>& want) {
  double largest = 0, apart = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    largest = std::max(largest, std::abs(double(want[i])));
    apart = std::max(apart, std::abs(double(got[i]) - want[i]));
  }
  CHECK(apart <= 0x1p-15 * largest);
}

}  // namespace

TEST_CASE("winograd on cpu: more tiles than are worked on at a time") {
  const ConvTable& conv = find_backend(Device::cpu)->conv;
  const Conv2d& s = several_chunks;
  const auto x = normal_values(s.x_count(), 1), w = normal_values(s.w_count(), 2),
             dy = normal_values(s.y_count(), 3);
  const ConvFwd fwd{.size = s, .x = {x.data()}, .w = {w.data()}};
  check_close(run_variant(conv.fwd, "winograd", fwd, &ConvFwd::y, s.y_count()),
              run_variant(conv.fwd, "onednn", fwd, &ConvFwd::y, s.y_count()));
  const ConvBwdData bwd_data{.size = s, .dy = {dy.data()}, .w = {w.data()}};
  check_close(run_variant(conv.bwd_data, "winograd", bwd_data, &ConvBwdData::dx, s.x_count()),
              run_variant(conv.bwd_data, "onednn", bwd_data, &ConvBwdData::dx, s.x_count()));
  const ConvBwdWeight bwd_weight{.size = s, .x = {x.data()}, .dy = {dy.data()}};
  check_close(run_variant(conv.bwd_weight, "winograd", bwd_weight, &ConvBwdWeight::dw, s.w_count()),
              run_variant(conv.bwd_weight, "onednn", bwd_weight, &ConvBwdWeight::dw, s.w_count()));
}

TEST_CASE("winograd on cpu: kept weights are those of the version asked for") {
  const ConvTable& conv = find_backend(Device::cpu)->conv;
  const Conv2d& s = several_chunks;
  const auto x = normal_values(s.x_count(), 1), dy = normal_values(s.y_count(), 3);
  std::vector<float> w(static_cast<size_t>(s.w_count()));
  uint64_t version = uint64_t(1) << 60;  // unlike those of any tensor in this process
  for (uint64_t seed : {2, 4}) {
    const std::vector<float> values = normal_values(s.w_count(), seed);
    std::copy(values.begin(), values.end(), w.begin());  // at the same address as before
    ++version;
    for (int call = 0; call < 2; ++call) {  // transforms, then uses what it kept
      ConvFwd fwd{.size = s, .x = {x.data()}, .w = {w.data()}};
      ConvBwdData bwd_data{.size = s, .dy = {dy.data()}, .w = {w.data()}};
      const auto y = run_variant(conv.fwd, "winograd", fwd, &ConvFwd::y, s.y_count());
      const auto dx = run_variant(conv.bwd_data, "winograd", bwd_data, &ConvBwdData::dx, s.x_count());
      fwd.w_version = bwd_data.w_version = version;
      CHECK(run_variant(conv.fwd, "winograd", fwd, &ConvFwd::y, s.y_count()) == y);
      CHECK(run_variant(conv.bwd_data, "winograd", bwd_data, &ConvBwdData::dx, s.x_count()) == dx);
    }
  }
}

}  // namespace gan::tests
