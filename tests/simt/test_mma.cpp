// The tensor-core products (kernels/gpu/mma_tile.cuh, wgmma_tile.cuh) apart from its results, which test_kernels.cpp compares:
// where tiles lie in shared memory, and how products are cut.
#include <doctest/doctest.h>

#include <array>
#include <set>
#include <string_view>

#include "bench/layers.h"
#include "kernels/gpu/wgmma_tile.cuh"

namespace gan::simt {
namespace {

// Shared memory has 8 banks of 16 bytes; 8 lanes at a time read or write 16 bytes each.
int bank(int offset) { return offset / 16 % 8; }

// All vectors of a tile lie aligned and within it, no two at one place.
template <class Tile>
void check_places(int rows, int vectors) {
  std::set<int> places;
  for (int row = 0; row < rows; ++row)
    for (int v = 0; v < vectors; ++v) {
      const int offset = Tile::offset(row, v);
      CHECK((offset % 16 == 0 && offset >= 0 && offset + 16 <= Tile::bytes));
      places.insert(offset);
    }
  CHECK(places.size() == size_t(rows * vectors));
}

template <class T, int lines, bool along_k>
void check_layout() {
  using Tile = StagedTile<T, lines, along_k>;
  const int rows = along_k ? lines : Tile::k, vectors = (along_k ? Tile::k : lines) / Tile::in_vector;
  CAPTURE(sizeof(T));
  CAPTURE(lines);
  CAPTURE(along_k);
  check_places<Tile>(rows, vectors);

  // Copies: 8 vectors that follow one another in memory.
  for (int first = 0; first < rows * vectors; first += 8) {
    std::set<int> banks;
    for (int i = first; i < first + 8; ++i) banks.insert(bank(Tile::offset(i / vectors, i % vectors)));
    CHECK(banks.size() == 8);
  }
  if (Tile::by_ldmatrix) {  // one matrix: the same vector of 8 rows
    for (int first = 0; first < rows; first += 8)
      for (int v = 0; v < vectors; ++v) {
        std::set<int> banks;
        for (int row = first; row < first + 8; ++row) banks.insert(bank(Tile::offset(row, v)));
        CHECK(banks.size() == 8);
      }
  } else {  // 32 lanes read a word each: 8 lines, which are 2 vectors, of 4 rows
    for (int first = 0; first < rows; first += 4)
      for (int v = 0; v < vectors; v += 2) {
        std::set<int> banks;
        for (int i = 0; i < 8; ++i) banks.insert(bank(Tile::offset(first + i / 2, v + i % 2)));
        CHECK(banks.size() == 8);
      }
  }
}

TEST_CASE("mma: tiles in shared memory are read and written without bank conflicts") {
  check_layout<bf16, 64, true>();
  check_layout<bf16, 64, false>();
  check_layout<bf16, 128, true>();
  check_layout<bf16, 128, false>();
  check_layout<float, 64, true>();
  check_layout<float, 64, false>();
  check_layout<float, 128, true>();
  check_layout<float, 128, false>();
}

// A warpgroup's copies and wgmma itself move 8 vectors at a time, of a row or of a column.
template <int lines, bool along_k>
void check_wgmma_layout() {
  using Tile = WgmmaTile<lines, along_k>;
  const int rows = along_k ? lines : 64, vectors = (along_k ? 64 : lines) / 8;
  CAPTURE(lines);
  CAPTURE(along_k);
  check_places<Tile>(rows, vectors);
  for (int row = 0; row < rows; ++row)
    for (int v = 0; v < vectors; ++v)  // in the row of 128 bytes that tensor copies put it in
      CHECK(Tile::offset(row, v) / 128 == v / 8 * 64 + row);
  for (int first = 0; first < rows; first += 8)
    for (int v = 0; v < vectors; v += 8)
      for (int i = 0; i < 8; ++i) {
        std::set<int> of_row, of_column;
        for (int j = 0; j < 8; ++j) {
          of_row.insert(bank(Tile::offset(first + i, v + j)));
          of_column.insert(bank(Tile::offset(first + j, v + i)));
        }
        CHECK((of_row.size() == 8 && of_column.size() == 8));
      }
}

TEST_CASE("wgmma: tiles in shared memory are read and written without bank conflicts") {
  check_wgmma_layout<64, true>();
  check_wgmma_layout<64, false>();
  check_wgmma_layout<128, true>();
  check_wgmma_layout<128, false>();
}

TEST_CASE("mma: a division by a multiplication is exact below 2^31") {
  const auto check = [](int divisor) {
    const FastDivision by(divisor);
    CAPTURE(divisor);
    // Where the quotient steps, which is where an inexact multiplier shows.
    for (int64_t n : {int64_t{0}, int64_t{1}, int64_t{divisor}, INT32_MAX / divisor * int64_t{divisor},
                      int64_t{INT32_MAX}, 7 * int64_t{divisor}, 1000003 * int64_t{divisor}})
      for (int64_t i = n - 1; i <= n + 1; ++i)
        if (i >= 0 && i <= INT32_MAX) REQUIRE(by.quotient(int(i)) == int(i / divisor));
  };
  for (int divisor = 1; divisor < 5000; ++divisor) check(divisor);
  for (int bit = 12; bit < 31; ++bit)
    for (int divisor : {(1 << bit) - 1, 1 << bit, (1 << bit) + 1}) check(divisor);
  check(INT32_MAX);
}

template <class Rung>
TilePlan plan_gemm(int m, int n, int k) {
  return plan_tiles<Rung>(m, n, k, 1, int64_t{m} * n, true);
}

// The gemm cases of tests/cases/gemm.cpp that are there to reach these.
TEST_CASE("mma: large products get large tiles, deep ones several splits of k") {
  CHECK(plan_gemm<MmaRung<bf16>>(1409, 1400, 40).shape == Tiles::large);
  CHECK(plan_gemm<MmaRung<float>>(1409, 1400, 40).shape == Tiles::large);
  CHECK(plan_gemm<MmaRung<bf16>>(70, 130, 57).shape == Tiles::small);
  CHECK(plan_gemm<MmaRung<bf16>>(66, 24, 544).splits > 1);  // 17 steps of 32
  CHECK(plan_gemm<MmaRung<float>>(9, 70, 529).splits > 1);  // 34 steps of 16
  CHECK(plan_gemm<TiledRung<float>>(9, 70, 529).splits > 1);
  CHECK(plan_gemm<MmaRung<bf16>>(9, 70, 40).splits == 1);
  CHECK(plan_gemm<WgmmaRung>(1409, 1400, 40).shape == Tiles::large);
  CHECK(plan_gemm<WgmmaRung>(16, 8520, 264).shape == Tiles::large);
  CHECK(plan_gemm<WgmmaRung>(33 * 35, 1088, 8).shape == Tiles::large);  // 1x1 convolutions
  CHECK(plan_gemm<WgmmaRung>(66, 24, 1032).splits > 1);                 // 17 steps of 64
}

// The plans of the three directions of a layer, as conv/implicit.cuh asks for them.
template <class Rung>
std::array<TilePlan, 3> plan_layer(const Conv2d& g) {
  const int pixels = g.n * g.oh * g.ow, taps = g.kh * g.kw;
  return {plan_tiles<Rung>(pixels, g.k, taps * g.c, 1, g.y_count(), true),
          plan_tiles<Rung>(g.n * ceil_div(g.h, g.sh) * ceil_div(g.w, g.sw), g.c,
                           ceil_div(g.kh, g.sh) * ceil_div(g.kw, g.sw) * g.k, g.sh * g.sw, g.x_count(), true),
          plan_tiles<Rung>(g.k, taps * g.c, pixels, 1, g.w_count(), true)};
}

TEST_CASE("plans of DCGAN's main layers at batch 128: large tiles, no split for little fill") {
  int splits = 0;
  for (const bench::ConvLayer& layer : bench::dcgan_layers) {
    CAPTURE(layer.name);
    const Conv2d g = bench::with_batch(layer.size, 128);
    const std::string_view name = layer.name;
    const auto [fwd, bwd_data, bwd_weight] = plan_layer<MmaRung<bf16>>(g);
    for (const TilePlan& plan : {fwd, bwd_data, bwd_weight}) splits += plan.splits > 1;
    if (name == "D3") {  // exactly 128 blocks of 64 steps
      CHECK(fwd.shape == Tiles::large);
      CHECK(fwd.blocks() == 128);
    }
    if (name == "D2") {  // 256 blocks: a second split would fill 3 % more and move 84 MB
      CHECK(fwd.shape == Tiles::large);
      CHECK(fwd.blocks() == 256);
    }
    if (name == "D3" || name == "D4") {
      CHECK(bwd_data.shape == Tiles::large);
      CHECK(bwd_weight.shape == Tiles::large);
    }
  }
  CHECK(splits <= 16);  // of 30
}

// And a product of twice the depth takes no less time.
TEST_CASE("plans: a plan is modelled to be no slower than the unsplit ones") {
  const auto check = [](const auto& layers, int batch) {
    for (const bench::ConvLayer& layer : layers) {
      CAPTURE(layer.name);
      const Conv2d g = bench::with_batch(layer.size, batch);
      const int pixels = g.n * g.oh * g.ow, depth = g.kh * g.kw * g.c;
      using Rung = MmaRung<bf16>;
      const TilePlan plan = plan_tiles<Rung>(pixels, g.k, depth, 1, g.y_count(), true);
      const int64_t small = modelled_block_ns(
          Rung::small_speed, int64_t{ceil_div(pixels, 64)} * ceil_div(g.k, 64), ceil_div(depth, 32));
      const int64_t large = modelled_block_ns(
          Rung::large_speed, int64_t{ceil_div(pixels, 128)} * ceil_div(g.k, 128), ceil_div(depth, 32));
      CHECK(plan.modelled_ns <= std::min(small, large));
      CHECK((plan.splits == 1 || plan.splits * g.y_count() <= int64_t{1} << 24));
      CHECK(plan_tiles<Rung>(pixels, g.k, 2 * depth, 1, g.y_count(), true).modelled_ns >= plan.modelled_ns);
    }
  };
  for (int batch : {1, 16, 128}) {
    check(bench::dcgan_layers, batch);
    check(bench::unet_layers, batch);
    check(bench::patch_layers, batch);
  }
}

// The model by hand: 264 blocks are two for each of 132 multiprocessors, 265 are three for one of them.
TEST_CASE("plans: the model of time counts the blocks of the fullest multiprocessor") {
  const TileSpeed speed{100, 150, 2};
  CHECK(modelled_block_ns(speed, 1, 10) == 10 * 150 + 1000);
  CHECK(modelled_block_ns(speed, 132, 10) == 10 * 150 + 1000);
  CHECK(modelled_block_ns(speed, 264, 10) == 10 * 200 + 1000);
  CHECK(modelled_block_ns(speed, 265, 10) == 10 * 300 + 2000);
  CHECK(modelled_partials_ns(3500, 1) == 0);
  CHECK(modelled_partials_ns(3500, 2) == 2000 + 16);
}

}  // namespace
}  // namespace gan::simt
