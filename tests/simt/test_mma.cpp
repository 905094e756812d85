// The tensor-core product (kernels/gpu/mma_tile.cuh) apart from its results, which test_kernels.cpp compares:
// where tiles lie in shared memory, and how products are cut.
#include <doctest/doctest.h>

#include <set>

#include "kernels/gpu/mma_tile.cuh"

namespace gan::simt {
namespace {

// Shared memory has 8 banks of 16 bytes; 8 lanes at a time read or write 16 bytes each.
int bank(int offset) { return offset / 16 % 8; }

template <class T, int lines, bool along_k>
void check_layout() {
  using Tile = StagedTile<T, lines, along_k>;
  const int rows = along_k ? lines : Tile::k, vectors = (along_k ? Tile::k : lines) / Tile::in_vector;
  CAPTURE(sizeof(T));
  CAPTURE(lines);
  CAPTURE(along_k);
  std::set<int> places;
  for (int row = 0; row < rows; ++row)
    for (int v = 0; v < vectors; ++v) {
      const int offset = Tile::offset(row, v);
      CHECK((offset % 16 == 0 && offset >= 0 && offset + 16 <= Tile::bytes));
      places.insert(offset);
    }
  CHECK(places.size() == size_t(rows * vectors));  // no two vectors at one place

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

// The gemm cases of tests/cases/gemm.cpp that are there to reach these.
TEST_CASE("mma: large products get large tiles, deep ones several splits of k") {
  const auto plan = [](auto rung, int m, int n, int k) {
    return plan_tiles<decltype(rung)>(m, n, k, 1, int64_t{m} * n, true);
  };
  CHECK(plan(MmaRung<bf16>{}, 1409, 1416, 40).shape == TilePlan::Shape::large);
  CHECK(plan(MmaRung<float>{}, 1409, 1416, 40).shape == TilePlan::Shape::large);
  CHECK(plan(MmaRung<bf16>{}, 70, 130, 57).shape == TilePlan::Shape::small);
  CHECK(plan(MmaRung<bf16>{}, 66, 24, 544).splits == 2);  // 17 steps of 32
  CHECK(plan(MmaRung<float>{}, 9, 70, 529).splits == 4);  // 34 steps of 16
  CHECK(plan(MmaRung<bf16>{}, 9, 70, 40).splits == 1);
}

}  // namespace
}  // namespace gan::simt
