// What tensor cores do: ldmatrix and mma (kernels/gpu/ptx.cuh) as operations of a warp of the emulation.
//
// Each lane brings pointers to its own registers; the last to come runs one of the functions below for all
// 32. The places of the elements are those of ptx.cuh, sections 2 and 3.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/simt/simt.h"

namespace gan::simt::runtime {
namespace {

// ---- Matrix loads -------------------------------------------------------------------------------------

struct MatrixLane {
  char row[16];    // what this lane's address points to
  uint32_t* word;  // its results
};

template <int count, bool transposed>
void run_load(void* const lane_data[32], uint32_t) {
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, q = lane % 4;
    for (int matrix = 0; matrix < count; ++matrix) {
      const auto row = [&](int r) { return static_cast<MatrixLane*>(lane_data[matrix * 8 + r])->row; };
      char elements[4];
      if (transposed) {
        std::memcpy(elements, row(2 * q) + 2 * g, 2);
        std::memcpy(elements + 2, row(2 * q + 1) + 2 * g, 2);
      } else {
        std::memcpy(elements, row(g) + 4 * q, 4);
      }
      std::memcpy(static_cast<MatrixLane*>(lane_data[lane])->word + matrix, elements, 4);
    }
  }
}

const WarpOperation load_1{"ldmatrix", run_load<1, false>}, load_2{"ldmatrix", run_load<2, false>},
    load_4{"ldmatrix", run_load<4, false>};
const WarpOperation load_1_transposed{"ldmatrix_transposed", run_load<1, true>},
    load_2_transposed{"ldmatrix_transposed", run_load<2, true>},
    load_4_transposed{"ldmatrix_transposed", run_load<4, true>};

// ---- Products -----------------------------------------------------------------------------------------

struct ProductLane {
  float* d;
  const uint32_t *a, *b;
};

float low_half(uint32_t word) { return __uint_as_float(word << 16); }
float high_half(uint32_t word) { return __uint_as_float(word & 0xffff0000u); }
float cut_to_tf32(uint32_t word) { return __uint_as_float(word & 0xffffe000u); }

// d (16,8) += a (16,K) b (K,8), all of them arrays of the caller. Checking each step of these loops would
// cost a sanitizer build half of its time, so only what the lanes bring is checked.
template <int depth>
__attribute__((noinline, no_sanitize("address", "undefined"))) void add_product(const float (&a)[16][depth],
                                                                                const float (&b)[depth][8],
                                                                                float (&d)[16][8]) {
  for (int k = 0; k < depth; ++k)
    for (int row = 0; row < 16; ++row)
      for (int column = 0; column < 8; ++column) d[row][column] += a[row][k] * b[k][column];
}

// The same as hardware adds: the products are exact, the addends of one element are cut toward zero to multiples of a
// unit 23 bits below the largest of them, and so is their sum, to 24 bits of its own.
template <int depth>
__attribute__((noinline, no_sanitize("address", "undefined"))) void add_product_truncated(
    const float (&a)[16][depth], const float (&b)[depth][8], float (&d)[16][8]) {
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column) {
      double addends[depth + 1] = {d[row][column]};
      for (int k = 0; k < depth; ++k) addends[k + 1] = double(a[row][k]) * double(b[k][column]);
      double largest = 0, plain = 0;
      for (const double addend : addends) largest = std::max(largest, std::abs(addend)), plain += addend;
      if (!std::isfinite(plain) || largest == 0) {
        d[row][column] = float(plain);
        continue;
      }
      int exponent = 0;
      std::frexp(largest, &exponent);  // largest < 2^exponent
      const double unit = std::ldexp(1.0, exponent - 24);
      double sum = 0;
      for (const double addend : addends) sum += std::trunc(addend / unit);
      sum *= unit;
      float cut = float(sum);
      if (std::abs(double(cut)) > std::abs(sum)) cut = std::nextafter(cut, 0.0f);
      d[row][column] = cut;
    }
}

// rows x columns products of (16,K) by (K,8), K = 16 for bf16 and 8 for tf32. The float32 sums run over k in
// rising order, or as Products::truncated says.
template <bool is_bf16, int rows, int columns>
void run_product(void* const lane_data[32], uint32_t) {
  constexpr int depth = is_bf16 ? 16 : 8;
  float a[rows][16][depth], b[columns][depth][8];
  for (int lane = 0; lane < 32; ++lane) {
    const ProductLane& mine = *static_cast<ProductLane*>(lane_data[lane]);
    const int g = lane / 4, q = lane % 4;
    for (int i = 0; i < rows; ++i)
      for (int w = 0; w < 4; ++w) {
        float* const row = a[i][g + 8 * (w & 1)];
        const uint32_t word = mine.a[i * 4 + w];
        if constexpr (is_bf16) {
          row[2 * q + 8 * (w >> 1)] = low_half(word);
          row[2 * q + 8 * (w >> 1) + 1] = high_half(word);
        } else {
          row[q + 4 * (w >> 1)] = cut_to_tf32(word);
        }
      }
    for (int j = 0; j < columns; ++j)
      for (int w = 0; w < 2; ++w) {
        const uint32_t word = mine.b[j * 2 + w];
        if constexpr (is_bf16) {
          b[j][2 * q + 8 * w][g] = low_half(word);
          b[j][2 * q + 8 * w + 1][g] = high_half(word);
        } else {
          b[j][q + 4 * w][g] = cut_to_tf32(word);
        }
      }
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) {
      float d[16][8];
      const auto each = [&](auto&& action) {
        for (int lane = 0; lane < 32; ++lane)
          for (int v = 0; v < 4; ++v)
            action(static_cast<ProductLane*>(lane_data[lane])->d[(i * columns + j) * 4 + v],
                   d[lane / 4 + 8 * (v >> 1)][2 * (lane % 4) + (v & 1)]);
      };
      each([](float& value, float& element) { element = value; });
      if (config().products == Products::truncated) add_product_truncated<depth>(a[i], b[j], d);
      else add_product<depth>(a[i], b[j], d);
      each([](float& value, float& element) { value = element; });
    }
}

}  // namespace

const WarpOperation mma_bf16{"mma", run_product<true, 1, 1>}, mma_tf32{"mma", run_product<false, 1, 1>},
    mma_tile_bf16{"mma_tile", run_product<true, 2, 4>}, mma_tile_tf32{"mma_tile", run_product<false, 2, 4>};

void add_warpgroup_rows(const uint16_t (*a)[16], const uint16_t (*b)[16], float* sums, int n) {
  float rows[16][16], columns[16][8], d[16][8];
  for (int row = 0; row < 16; ++row)
    for (int k = 0; k < 16; ++k) rows[row][k] = low_half(a[row][k]);
  for (int first = 0; first < n; first += 8) {
    for (int k = 0; k < 16; ++k)
      for (int column = 0; column < 8; ++column) columns[k][column] = low_half(b[first + column][k]);
    const auto each = [&](auto&& action) {
      for (int lane = 0; lane < 32; ++lane)
        for (int v = 0; v < 4; ++v)
          action(sums[lane * (n / 2) + first / 2 + v], d[lane / 4 + 8 * (v >> 1)][2 * (lane % 4) + (v & 1)]);
    };
    each([](float& value, float& element) { element = value; });
    if (config().products == Products::truncated) add_product_truncated<16>(rows, columns, d);
    else add_product<16>(rows, columns, d);
    each([](float& value, float& element) { value = element; });
  }
}

void load_matrices(uint32_t* word, const void* row, int count, bool transposed, Site site) {
  const WarpOperation& operation = count == 1   ? transposed ? load_1_transposed : load_1
                                   : count == 2 ? transposed ? load_2_transposed : load_2
                                   : transposed ? load_4_transposed
                                                : load_4;
  MatrixLane mine{{}, word};
  if (lane() < count * 8) read_shared(operation.name, mine.row, row, 16, site);
  warp_rendezvous(operation, 0xffffffffu, &mine, site);
}

void tensor_product(const WarpOperation& operation, float* d, const uint32_t* a, const uint32_t* b,
                    Site site) {
  ProductLane mine{d, a, b};
  warp_rendezvous(operation, 0xffffffffu, &mine, site);
}

}  // namespace gan::simt::runtime
