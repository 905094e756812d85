// The matrix product of tile.cuh on tensor cores: the same sources, products, splits of k and epilogue, with
// another inner loop. Compute capability 8.0 ("Ampere style": mma.sync, fed by cp.async).
//
// Four ideas, in the order in which an element meets them:
//   stages     asynchronous copies bring the tiles of the next steps of k straight into shared memory while
//              this step's are multiplied; `stages` pairs of tiles form a ring
//   swizzle    a tile lies in shared memory as it lies in global memory, line by line or k by k, its 16-byte
//              vectors permuted within each row so that neither the copies nor the reads below meet in a bank
//   fragments  a warp reads its operands as the tensor core wants them (ptx.cuh), by ldmatrix; a tile whose
//              neighbours are lines instead of k's by ldmatrix_transposed
//   warp tile  each warp computes up to 64 x 64 sums in registers, so a fragment is used up to 4 times
//
// bfloat16 elements are multiplied as they are, float32 ones rounded to tf32 (10 bits of mantissa); the sums
// are float32. Read: MmaShape, StagedTile, StageLoader, mma_product, mma_kernel, MmaRung.
#pragma once
#include "kernels/gpu/tile.cuh"

namespace gan::GAN_GPU {

// ---- the shape of a tile ------------------------------------------------------------------------------

// A block computes m x n outputs in steps of k, which is 64 bytes: two products of the tensor core. Its warps
// form a grid of warps_m x warps_n.
template <class T, int m_, int n_, int warps_m_, int warps_n_>
struct MmaShape {
  using Element = T;
  static constexpr int m = m_, n = n_, k = 64 / sizeof(T), warps_m = warps_m_, warps_n = warps_n_;
  static constexpr int threads = 32 * warps_m * warps_n;
  static constexpr int warp_m = m / warps_m, warp_n = n / warps_n;  // multiples of what mma_tile computes
  static constexpr int stages = 4;
  static_assert(warp_m % 32 == 0 && warp_n % 32 == 0);

  using Sums = FragmentD[warp_m / 32][warp_n / 32][2][4];
};

// What a tensor core takes for an element.
template <class T>
using Operand = std::conditional_t<std::is_same_v<T, float>, tf32, bf16>;

// ---- a tile in shared memory --------------------------------------------------------------------------

// `lines` lines (rows of A or columns of B) by 64 bytes of k, in rows of 16-byte vectors: a row is a line, or
// with along_k == false one k of all lines.
template <class T, int lines, bool along_k>
struct StagedTile {
  static constexpr int in_vector = 16 / sizeof(T), k = 64 / sizeof(T);
  static constexpr bool by_ldmatrix = along_k || in_vector == 8;  // else by load_transposed()
  static constexpr int row_bytes = 64 * lines / (along_k ? lines : k) + (by_ldmatrix ? 0 : 32);
  static constexpr int bytes = row_bytes * (along_k ? lines : k);

  // Where vector number v of a row lies, in bytes. Shared memory has 8 banks of 16 bytes, and the vectors
  // that one instruction reads should lie in different ones. ldmatrix reads the same vector of 8 rows: row r
  // has its vectors in the order v ^ s(r), where s takes 8 values, or 4 if a row is half as wide as the
  // banks. load_transposed() reads the same 2 vectors of 4 rows: rows are longer by 2 vectors than the banks
  // are wide, which costs memory, but spares it the arithmetic of a swizzle for each single element.
  static __device__ __forceinline__ int offset(int row, int v) {
    const int s = !by_ldmatrix ? 0 : along_k ? row / 2 % 4 : row % 8;
    return row * row_bytes + 16 * (v ^ s);
  }

  // The operands of 16 lines, step by step (a step is 32 bytes of k). In the order of a FragmentA: word w has
  // lines + 8 (w & 1) and the k's of vector w >> 1. In the order of two FragmentBs: word w has lines + 8 (w >> 1)
  // and the k's of vector w & 1, because a product takes the two words of a FragmentB from neighbouring
  // registers, where the load has to put them.
  enum class Order { a, b };
  template <Order order>
  static __device__ __forceinline__ void load(const unsigned char* tile, int first_line, int step,
                                              uint32_t (&word)[4]) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    // The lane's address is that of a row of matrix number lane / 8, which becomes the word of that number.
    const int row = lane % 8, low = lane / 8 % 2, high = lane / 16;
    const int odd = order == Order::a ? low : high, half = order == Order::a ? high : low;
    if constexpr (along_k) ldmatrix(word, tile + offset(first_line + 8 * odd + row, 2 * step + half));
    else if constexpr (by_ldmatrix)
      ldmatrix_transposed(word, tile + offset(16 * step + 8 * half + row, first_line / 8 + odd));
    else load_transposed<order>(tile, first_line, step, word);
    if constexpr (in_vector == 4) {
#pragma unroll
      for (int w = 0; w < 4; ++w) word[w] = to_tf32(__uint_as_float(word[w])).bits;
    }
  }

 private:
  // ldmatrix moves 16-bit elements. Rows of float32 come out whole, as pairs of halves; transposed, the
  // halves would part. So here each lane reads its 4 elements.
  template <Order order>
  static __device__ __forceinline__ void load_transposed(const unsigned char* tile, int first_line, int step,
                                                         uint32_t (&word)[4]) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      const int odd = order == Order::a ? w & 1 : w >> 1, half = order == Order::a ? w >> 1 : w & 1;
      const int line = first_line + lane / 4 + 8 * odd, row = 8 * step + lane % 4 + 4 * half;
      word[w] = __float_as_uint(
          *reinterpret_cast<const float*>(tile + offset(row, line / 4) + line % 4 * sizeof(float)));
    }
  }
};

// ---- global to shared memory --------------------------------------------------------------------------

// Brings one tile after another into a stage, 16 bytes at a time. Where a source's neighbours do not lie so
// (3 channels: the first and the last layer of a network), float32 elements are copied one by one; bfloat16
// ones, too small for an asynchronous copy, are collected in registers.
template <class Shape, int lines, class Source,
          class TileOf = StagedTile<typename Source::Element, lines, Source::along_k>>
class StageLoader {
 public:
  using T = typename Source::Element;
  using Tile = TileOf;

  __device__ StageLoader(const Source& source, int first_line, int first_k)
      : share_(source, first_line, first_k) {}

  // Starts the copies of a tile and moves on to the next.
  __device__ void fetch(unsigned char* tile) {
#pragma unroll
    for (int v = 0; v < Share::vectors; ++v) {
      if (!Share::active(v)) continue;
      const int line = Share::line_in_tile(v), k = Share::k_in_tile(v);
      const int row = Source::along_k ? line : k, vector = (Source::along_k ? k : line) / Tile::in_vector;
      copy(tile + Tile::offset(row, vector), share_.line(v), share_.position(v));
    }
    share_.advance();
  }

 private:
  using Share = ThreadShare<Shape, lines, Tile::in_vector, Source>;
  struct alignas(16) Vector {
    T v[Tile::in_vector];
  };

  __device__ void copy(unsigned char* to, typename Source::Line line,
                       typename Source::Position position) const {
    const Source& source = share_.source();
    if (Source::always_vector || source.vector) {
      const Place<T> place = source.place(line, position);
      return cp_async<16>(to, place.address, place.inside);
    }
    if constexpr (!Source::always_vector) {
      Vector held;
#pragma unroll
      for (int i = 0; i < Tile::in_vector; ++i) {
        const Place<T> place = source.place(line, position);
        if constexpr (sizeof(T) == 4) cp_async<4>(to + 4 * i, place.address, place.inside);
        else held.v[i] = place.inside ? *place.address : T{};
        source.next(line, position);
      }
      if constexpr (sizeof(T) < 4) *reinterpret_cast<Vector*>(to) = held;
    }
  }

  Share share_;
};

// ---- the product of one tile --------------------------------------------------------------------------

// Adds `work.steps` tiles of k to the warp's sums. Step number i is multiplied while the copies of the steps
// i + 1 to i + stages - 1 are under way. One barrier per step does two things: it shows every thread what the
// others have copied, and it tells them that the stage of step i - 1 has been read and may be filled again.
template <class Shape, class SourceA, class SourceB>
__device__ void mma_product(const SourceA& a, const SourceB& b, const BlockWork& work,
                            typename Shape::Sums& sums) {
  using LoaderA = StageLoader<Shape, Shape::m, SourceA>;
  using LoaderB = StageLoader<Shape, Shape::n, SourceB>;
  using TileA = typename LoaderA::Tile;
  using TileB = typename LoaderB::Tile;
  using Type = Operand<typename Shape::Element>;
  constexpr int stages = Shape::stages, stage_bytes = TileA::bytes + TileB::bytes;
  DYNAMIC_SHARED(unsigned char, ring);

  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int warp_row = warp / Shape::warps_n * Shape::warp_m;
  const int warp_column = warp % Shape::warps_n * Shape::warp_n;
#pragma unroll
  for (auto& row : sums)
#pragma unroll
    for (auto& tile : row)
#pragma unroll
      for (int i = 0; i < 8; ++i) tile[i / 4][i % 4] = {};

  LoaderA load_a(a, work.first_row, work.first_k);
  LoaderB load_b(b, work.first_column, work.first_k);
  for (int fetched = 0; fetched < work.steps + stages - 1; ++fetched) {
    const int step = fetched - (stages - 1);  // to multiply; negative while the ring is being filled
    if (step >= 0) {
      cp_async_wait<stages - 2>();
      __syncthreads();
    }
    if (fetched < work.steps) {
      unsigned char* const stage = ring + fetched % stages * stage_bytes;
      load_a.fetch(stage);
      load_b.fetch(stage + TileA::bytes);
    }
    cp_async_commit();  // an empty group too, so that the wait above always means the same
    if (step < 0) continue;

    const unsigned char* const a_tile = ring + step % stages * stage_bytes;
    const unsigned char* const b_tile = a_tile + TileA::bytes;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      FragmentA<Type> a_part[Shape::warp_m / 32][2];
#pragma unroll
      for (int i = 0; i < Shape::warp_m / 16; ++i)
        TileA::template load<TileA::Order::a>(a_tile, warp_row + 16 * i, half, a_part[i / 2][i % 2].word);
#pragma unroll
      for (int j = 0; j < Shape::warp_n / 32; ++j) {
        FragmentB<Type> b_part[4];
#pragma unroll
        for (int pair = 0; pair < 2; ++pair) {
          uint32_t word[4];
          TileB::template load<TileB::Order::b>(b_tile, warp_column + 32 * j + 16 * pair, half, word);
#pragma unroll
          for (int w = 0; w < 4; ++w) b_part[2 * pair + w / 2].word[w % 2] = word[w];
        }
#pragma unroll
        for (int i = 0; i < Shape::warp_m / 32; ++i) mma_tile(sums[i][j], a_part[i], b_part);
      }
    }
  }
}

// ---- one block ----------------------------------------------------------------------------------------

// A lane of a FragmentD has 2 neighbouring columns of 2 rows. Two lanes exchange halves, and each has 4 of
// one row: the even one of row lane / 4, the odd one of row lane / 4 + 8; the columns begin at
// 4 * (lane / 2 % 2).
__device__ __forceinline__ Four four_columns(const FragmentD& d) {
  const bool odd = threadIdx.x % 2 == 1;
  const float got_0 = __shfl_xor_sync(0xffffffffu, odd ? d.value[0] : d.value[2], 1);
  const float got_1 = __shfl_xor_sync(0xffffffffu, odd ? d.value[1] : d.value[3], 1);
  if (odd) return {{got_0, got_1, d.value[2], d.value[3]}};
  return {{d.value[0], d.value[1], got_0, got_1}};
}

template <class Shape, class T, class Product>
__global__ void __launch_bounds__(Shape::threads) mma_kernel(Product product, Target<T> target) {
  const BlockWork work = work_of_block<Shape>(product, target.splits);
  if (work.first_row >= product.rows) return;  // the whole block: parts differ in size
  typename Shape::Sums sums;
  mma_product<Shape>(product.a, product.b, work, sums);

  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const int lane_row = work.first_row + warp / Shape::warps_n * Shape::warp_m + lane / 4 + lane % 2 * 8;
  const int lane_column = work.first_column + warp % Shape::warps_n * Shape::warp_n + lane / 2 % 2 * 4;
#pragma unroll
  for (int i = 0; i < Shape::warp_m / 16; ++i) {
    const int row = lane_row + 16 * i;
    const int64_t row_start = row < product.rows ? product.row_start(row) : 0;
#pragma unroll
    for (int j = 0; j < Shape::warp_n / 8; ++j) {
      const Four four = four_columns(sums[i / 2][j / 4][i % 2][j % 4]);  // the whole warp
      const int column = lane_column + 8 * j;
      if (row < product.rows && column < product.columns)
        target.store_four(work.split, row_start + column, column, product.columns, four);
    }
  }
}

// ---- the host side ------------------------------------------------------------------------------------

// Why pick() takes no variant that computes in tf32 unless told to: whoever asked for float32 gets float32.
inline constexpr const char* tf32_not_asked_for =
    "rounds float32 inputs to 10 bits (tf32): ask for it with --precision tf32 or GAN_KERNEL";

// For plan_tiles() and run_product(). T: bf16, or float for tf32 products.
template <class T>
struct MmaRung {
  using Element = T;
  using Large = MmaShape<T, 128, 128, 2, 2>;
  using Small = MmaShape<T, 64, 64, 2, 2>;
  using Thin = Small;  // a warp tile has 32 columns at least
  // A step is 64 bytes of k in both types; tf32 has half the products in it, which take twice the time.
  static constexpr TileSpeed large_speed{400, 560, 2}, small_speed{180, 400, 5}, thin_speed = small_speed;
  static constexpr int neighbours = 16 / sizeof(T);

  template <class Shape, class TOut, class Product>
  static void start(dim3 grid, StreamHandle stream, const Product& product, const Target<TOut>& target) {
    using TileA = StagedTile<T, Shape::m, decltype(Product::a)::along_k>;
    using TileB = StagedTile<T, Shape::n, decltype(Product::b)::along_k>;
    constexpr size_t ring_bytes = Shape::stages * (TileA::bytes + TileB::bytes);
    launch(mma_kernel<Shape, TOut, Product>, grid, Shape::threads, ring_bytes, stream, product, target);
  }
};

}  // namespace gan::GAN_GPU
