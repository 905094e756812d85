// The matrix product of tile.cuh on the tensor cores of compute capability 9.0 ("Hopper style": wgmma on bf16): the
// same sources, splits of k and epilogue. mma_tile.cuh has it for 8.0.
//
// What is new against that one:
//   operands from shared memory  a warpgroup of 128 threads multiplies 64 x n at once and reads both factors itself, so
//                                no thread spends instructions or registers on fragments
//   roles                        one warpgroup brings the tiles of the next steps of k, two multiply; they meet in
//                                mbarriers alone: `full` for each stage of the ring, `empty` for each
//   tensor copies                plain matrices come by two or four instructions of one thread, which compute addresses
//                                and fill edges with zeros in hardware; others (patches of a picture, rows that are not
//                                multiples of 16 bytes) by copies of all 128 threads, as in mma_tile.cuh
//
// Read: WgmmaShape, WgmmaTile, the two producers, wgmma_product, wgmma_kernel, WgmmaRung.
#pragma once
#include "kernels/gpu/mma_tile.cuh"

namespace gan::GAN_GPU {

// ---- the shape of a tile ------------------------------------------------------------------------------

// A block computes 128 x n outputs in steps of k, which is 128 bytes: four products of each of two warpgroups, which
// have 64 rows each.
template <int n_>
struct WgmmaShape {
  using Element = bf16;
  static constexpr int m = 128, n = n_, k = 64;
  static constexpr int stages = 4;
  static constexpr int threads = 128;        // that bring tiles: the first warpgroup
  static constexpr int block_threads = 384;  // and two warpgroups that multiply
  static constexpr int readers = 8;          // warps of these
  // Steps between starting the copies of a tile and saying that they have landed. The readers give a stage
  // back one step late, so with more the two sides would wait for each other.
  static constexpr int copies_ahead = stages - 2;
  static constexpr int stage_bytes = 128 * (m + n);
  static constexpr size_t shared_bytes = size_t{stages} * stage_bytes + 2 * stages * sizeof(uint64_t);

  using Sums = FragmentD[n / 8];  // of a thread
};

// ---- a tile in shared memory --------------------------------------------------------------------------

// `lines` lines (rows of A or columns of B) by 64 k's as wgmma reads them, in rows of 128 bytes: a row is a
// line, or with along_k == false one k of 64 lines, and then 64 such rows are a group, which the next lines
// follow. The 16-byte vectors of a row are permuted by its number, so that 8 vectors of a column, or of a
// row, lie in different banks.
template <int lines, bool along_k>
struct WgmmaTile {
  static constexpr int in_vector = 8;
  static constexpr int row_bytes = 128, group_bytes = 64 * row_bytes;
  static constexpr int bytes = lines * row_bytes;

  // Where vector number v of a line, or of a k of all lines, lies.
  static __device__ __forceinline__ int offset(int row, int v) {
    return v / 8 * group_bytes + row * row_bytes + 16 * (v % 8 ^ row % 8);
  }
  // The operand of the lines from first_line (a multiple of 64) on and of 16 k's, number `step` of the tile's four.
  static __device__ __forceinline__ uint64_t operand(const unsigned char* tile, int first_line, int step) {
    constexpr int eight_rows = 8 * row_bytes;
    return wgmma_descriptor(tile + first_line / 64 * group_bytes + step * (along_k ? 32 : 2 * eight_rows),
                            group_bytes, eight_rows);
  }
};

// ---- the ring -----------------------------------------------------------------------------------------

// The stages, and behind them an mbarrier of each kind for every stage. Step i of a block uses stage i %
// stages, for the round i / stages of it.
template <class Shape>
struct WgmmaRing {
  unsigned char* stages;

  __device__ unsigned char* stage(int step) const {
    return stages + step % Shape::stages * Shape::stage_bytes;
  }
  __device__ uint64_t* full(int step) const { return barriers() + step % Shape::stages; }
  __device__ uint64_t* empty(int step) const { return full(step) + Shape::stages; }

  // By one thread. writers: arrivals that make a stage full.
  __device__ void initialise(int writers) const {
    for (int stage = 0; stage < Shape::stages; ++stage) {
      mbarrier_init(full(stage), writers);
      mbarrier_init(empty(stage), Shape::readers);
    }
    mbarrier_init_fence();
  }
  __device__ void wait_until_full(int step) const { mbarrier_wait(full(step), step / Shape::stages % 2); }
  // The first round of a stage finds it empty: a wait for the end of a phase before the first does not wait.
  __device__ void wait_until_empty(int step) const {
    mbarrier_wait(empty(step), 1 - step / Shape::stages % 2);
  }

 private:
  __device__ uint64_t* barriers() const {
    return reinterpret_cast<uint64_t*>(stages + Shape::stages * Shape::stage_bytes);
  }
};

// ---- the producer: tensor copies ----------------------------------------------------------------------

template <class Source>
inline constexpr bool is_plain_matrix = false;
template <class T>
inline constexpr bool is_plain_matrix<MatrixAlongK<T, true>> = true;
template <class T>
inline constexpr bool is_plain_matrix<MatrixAlongLines<T, true>> = true;

template <class Product>
inline constexpr bool by_tensor_copies =
    is_plain_matrix<decltype(Product::a)>&& is_plain_matrix<decltype(Product::b)>;

// What a kernel is given for both matrices, or nothing.
struct NoTensorMaps {};
struct TensorMaps {
  TensorMap a, b;
};

// The box of one copy: a whole tile whose rows are lines, or the rows of one group of 64 lines.
template <int lines, class Source>
TensorMap tensor_map_of(const Source& source) {
  if constexpr (Source::along_k) return tensor_map(source.data, source.lines, source.depth, lines);
  else return tensor_map(source.data, source.depth, source.lines, 64);
}

template <int lines, bool along_k>
__device__ __forceinline__ void tensor_copy_tile(unsigned char* tile, const TensorMap& map, int first_line,
                                                 int first_k, uint64_t* barrier) {
  using Tile = WgmmaTile<lines, along_k>;
  if constexpr (along_k) {
    tensor_copy(tile, map, first_k, first_line, barrier);
  } else {
#pragma unroll
    for (int group = 0; group < lines / 64; ++group)
      tensor_copy(tile + group * Tile::group_bytes, map, first_line + 64 * group, first_k, barrier);
  }
}

// By one thread.
template <class Shape, class Product>
__device__ void produce_by_tensor_copies(const WgmmaRing<Shape>& ring, const TensorMaps& maps,
                                         const BlockWork& work) {
  constexpr bool a_along_k = decltype(Product::a)::along_k, b_along_k = decltype(Product::b)::along_k;
  for (int step = 0; step < work.steps; ++step) {
    ring.wait_until_empty(step);
    unsigned char* const stage = ring.stage(step);
    const int k = work.first_k + step * Shape::k;
    mbarrier_arrive_expect_tx(ring.full(step), Shape::stage_bytes);
    tensor_copy_tile<Shape::m, a_along_k>(stage, maps.a, work.first_row, k, ring.full(step));
    tensor_copy_tile<Shape::n, b_along_k>(stage + 128 * Shape::m, maps.b, work.first_column, k,
                                          ring.full(step));
  }
}

// ---- the producer: copies of a warpgroup --------------------------------------------------------------

// Each thread starts its copies of a step, and copies_ahead steps later says that those have landed.
template <class Shape, class Product>
__device__ void produce_by_threads(const WgmmaRing<Shape>& ring, const Product& product,
                                   const BlockWork& work) {
  using SourceA = decltype(Product::a);
  using SourceB = decltype(Product::b);
  using LoaderA = StageLoader<Shape, Shape::m, SourceA, WgmmaTile<Shape::m, SourceA::along_k>>;
  using LoaderB = StageLoader<Shape, Shape::n, SourceB, WgmmaTile<Shape::n, SourceB::along_k>>;
  LoaderA load_a(product.a, work.first_row, work.first_k);
  LoaderB load_b(product.b, work.first_column, work.first_k);
  for (int fetched = 0; fetched < work.steps + Shape::copies_ahead; ++fetched) {
    if (fetched < work.steps) {
      ring.wait_until_empty(fetched);
      load_a.fetch(ring.stage(fetched));
      load_b.fetch(ring.stage(fetched) + 128 * Shape::m);
    }
    cp_async_commit();  // an empty group too, so that the wait below always means the same
    if (fetched < Shape::copies_ahead) continue;
    cp_async_wait<Shape::copies_ahead>();
    fence_proxy_async();  // wgmma reads through another proxy than the copies write through
    mbarrier_arrive(ring.full(fetched - Shape::copies_ahead));
  }
}

// ---- the product of one tile --------------------------------------------------------------------------

// By a warpgroup: adds the products of its 64 rows to its sums. The products of a step run while the next
// stage is waited for, so a stage is given back when those of the step behind it have been started.
template <class Shape, class Product>
__device__ void wgmma_product(const WgmmaRing<Shape>& ring, const BlockWork& work, int first_row,
                              typename Shape::Sums& sums) {
  using TileA = WgmmaTile<Shape::m, decltype(Product::a)::along_k>;
  using TileB = WgmmaTile<Shape::n, decltype(Product::b)::along_k>;
  constexpr bool a_transposed = !decltype(Product::a)::along_k, b_transposed = !decltype(Product::b)::along_k;
  const bool is_first_lane = threadIdx.x % 32 == 0;
#pragma unroll
  for (auto& fragment : sums) fragment = {};
  for (int step = 0; step < work.steps; ++step) {
    ring.wait_until_full(step);
    const unsigned char* const a_tile = ring.stage(step);
    const unsigned char* const b_tile = a_tile + TileA::bytes;
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < 4; ++i)
      wgmma<Shape::n, a_transposed, b_transposed>(sums, TileA::operand(a_tile, first_row, i),
                                                  TileB::operand(b_tile, 0, i), true);
    wgmma_commit();
    if (step == 0) continue;
    wgmma_wait<1>();
    if (is_first_lane) mbarrier_arrive(ring.empty(step - 1));
  }
  wgmma_finish(sums);
}

// ---- one block ----------------------------------------------------------------------------------------

template <class Shape, class T, class Product, class Maps>
__global__ void __launch_bounds__(Shape::block_threads)
    wgmma_kernel(Product product, Target<T> target, const __grid_constant__ Maps maps) {
  if constexpr (!built_for_wgmma) return needs_sm_90a();
  const BlockWork work = work_of_block<Shape>(product, target.splits);
  if (work.first_row >= product.rows) return;  // the whole block: parts differ in size
  constexpr bool tensor_copies = std::is_same_v<Maps, TensorMaps>;
  DYNAMIC_SHARED(unsigned char, shared);
  const WgmmaRing<Shape> ring{shared};
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) ring.initialise(tensor_copies ? 1 : Shape::threads);
  __syncthreads();

  if (thread < Shape::threads) {
    if constexpr (!tensor_copies) produce_by_threads(ring, product, work);
    else if (thread == 0) produce_by_tensor_copies<Shape, Product>(ring, maps, work);
    return;
  }
  typename Shape::Sums sums;
  const int first_row = thread / 128 * 64 - 64;  // of the warpgroup
  wgmma_product<Shape, Product>(ring, work, first_row, sums);

  const int lane = thread % 32;
  const int row = work.first_row + first_row + thread / 32 % 4 * 16 + lane / 4 + lane % 2 * 8;
  const int64_t row_start = row < product.rows ? product.row_start(row) : 0;
#pragma unroll
  for (int j = 0; j < Shape::n / 8; ++j) {
    const Four four = four_columns(sums[j]);  // the whole warp
    const int column = work.first_column + lane / 2 % 2 * 4 + 8 * j;
    if (row < product.rows && column < product.columns)
      target.store_four(work.split, row_start + column, column, product.columns, four);
  }
}

// ---- the host side ------------------------------------------------------------------------------------

// For plan_tiles() and run_product().
struct WgmmaRung {
  using Element = bf16;
  using Large = WgmmaShape<128>;
  using Small = WgmmaShape<64>;  // where there are few columns
  using Thin = Small;
  // A step is 64 k's. What bounds it on paper is shared memory, at 128 bytes a cycle: a product of 64 columns
  // reads 4 KB in the 32 cycles that it takes, one of 128 columns 6 KB in 64, and the tiles have to be
  // written. So the small tile, of which two rings fit a multiprocessor, takes more than half of the large
  // one's time.
  static constexpr TileSpeed large_speed{400, 400, 1}, small_speed{260, 300, 2}, thin_speed = small_speed;
  static constexpr int neighbours = 8;

  template <class Shape, class TOut, class Product>
  static void start(dim3 grid, StreamHandle stream, const Product& product, const Target<TOut>& target) {
    if constexpr (by_tensor_copies<Product>)
      launch(wgmma_kernel<Shape, TOut, Product, TensorMaps>, grid, Shape::block_threads, Shape::shared_bytes,
             stream, product, target,
             TensorMaps{tensor_map_of<Shape::m>(product.a), tensor_map_of<Shape::n>(product.b)});
    else
      launch(wgmma_kernel<Shape, TOut, Product, NoTensorMaps>, grid, Shape::block_threads,
             Shape::shared_bytes, stream, product, target, NoTensorMaps{});
  }
};

// Why pick() takes no variant with wgmma.
inline constexpr const char* wgmma_not_asked_for = "no GPU has timed it yet: force it with GAN_KERNEL";

// Why wgmma cannot be used on the GPU in use, or null. The emulation has it.
const char* wgmma_missing();

}  // namespace gan::GAN_GPU
