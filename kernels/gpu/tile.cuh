// The tiled matrix product that gemm and the three directions of convolution share.
//
// All of them are sums  out(row, column) = sum over k of A(row, k) * B(k, column)  and differ only in where
// the elements of A and B lie in memory. So the product is written once, and a "source" says where: a plain
// matrix (below), or the patches of a picture (conv/implicit.cuh). Read: TileShape, sources, TileLoader
// (global to shared memory), tile_product (the inner loop), tiled_kernel (one block), run_product (the host
// side). mma_tile.cuh has the same product on tensor cores; sources, splits of k and host side are these.
#pragma once
#include "kernels/forced.h"
#include "kernels/gpu/epilogue.cuh"

namespace gan::GAN_GPU {

// ---- the shape of a tile ------------------------------------------------------------------------------

// A block computes m x n outputs in steps of k; each of its threads computes thread_m x thread_n of them in
// registers, so every value read from shared memory is used thread_n (or thread_m) times.
template <int m_, int n_, int k_, int thread_m_, int thread_n_>
struct TileShape {
  static constexpr int m = m_, n = n_, k = k_, thread_m = thread_m_, thread_n = thread_n_;
  static constexpr int threads_n = n / thread_n, threads = m / thread_m * threads_n;
  static_assert(k % 4 == 0 && thread_m % 4 == 0 && thread_n % 4 == 0);
};
using LargeTile = TileShape<128, 128, 16, 8, 8>;  // where it leaves enough blocks to fill the GPU
using SmallTile = TileShape<64, 64, 16, 4, 4>;
using ThinTile = TileShape<256, 16, 16, 4, 4>;  // few columns: a layer that ends in 1 or 3 channels

// ---- division by a constant of the host ---------------------------------------------------------------

// n / divisor by a multiplication, for 0 <= n < 2^31 (Granlund and Montgomery 1994, theorem 4.2: the multiplier,
// ceil(2^(31 + shift) / divisor) with 2^shift >= divisor, exceeds the real one by less than 2^-31 of it).
class FastDivision {
 public:
  FastDivision() = default;
  explicit FastDivision(int divisor) {
    while (int64_t{1} << shift_ < divisor) ++shift_;
    multiplier_ = uint32_t(ceil_div(int64_t{1} << (31 + shift_), int64_t{divisor}));
  }
  __host__ __device__ int quotient(int n) const {
    return static_cast<int>(
        static_cast<uint32_t>((uint64_t{2 * static_cast<uint32_t>(n)} * multiplier_) >> 32) >> shift_);
  }

 private:
  uint32_t multiplier_ = 0x80000000u;  // divides by 1
  int shift_ = 0;
};

// ---- where elements lie ---------------------------------------------------------------------------------

// A line is a row of A or a column of B. A source describes one of the two matrices:
//   Element                  the type in memory
//   along_k                  whether the neighbour in memory is the next k (else it is the next line)
//   always_vector            whether each aligned group of neighbours can be read at once: known to the compiler,
//   vector                   or else only to the host
//   Line line(i)             what is worth keeping about line i
//   Position position(k)     what is worth keeping about k
//   advance(position, step)  moves on by step
//   place(line, position)    where that element lies
//   next(line, position)     moves on to the neighbour in memory

// Where an element lies. Not inside: it is 0, and the address may point anywhere.
template <class T>
struct Place {
  const T* address;
  bool inside;
};

// The address `rows` rows of `length` elements behind `from`: in bytes, which is one multiplication and addition on a
// GPU, where a product of elements still has to be scaled.
template <class T>
__device__ __forceinline__ const T* rows_behind(const T* from, int rows, int length) {
  const uint32_t row_bytes = static_cast<uint32_t>(length) * static_cast<uint32_t>(sizeof(T));
  return reinterpret_cast<const T*>(reinterpret_cast<const char*>(from) +
                                    uint64_t{static_cast<uint32_t>(rows)} * row_bytes);
}

// Source: a dense matrix of lines x depth, the k of a line side by side.
template <class T, bool always>
struct MatrixAlongK {
  static constexpr bool along_k = true, always_vector = always;
  using Element = T;
  struct Line {
    const T* at;
    int depth;  // 0: outside
  };
  using Position = int;  // k
  const T* data;         // (lines, depth)
  int lines, depth;
  bool vector;

  __device__ Line line(int i) const { return {data + int64_t{i} * depth, i < lines ? depth : 0}; }
  __device__ Position position(int k) const { return k; }
  __device__ void advance(Position& k, int step) const { k += step; }
  __device__ Place<T> place(Line line, Position k) const { return {line.at + k, k < line.depth}; }
  __device__ void next(Line&, Position& k) const { ++k; }
};

// Source: a dense matrix of depth x lines, the lines of a k side by side.
template <class T, bool always>
struct MatrixAlongLines {
  static constexpr bool along_k = false, always_vector = always;
  using Element = T;
  using Line = int;
  using Position = int;  // k
  const T* data;         // (depth, lines)
  int lines, depth;
  bool vector;

  __device__ Line line(int i) const { return i; }
  __device__ Position position(int k) const { return k; }
  __device__ void advance(Position& k, int step) const { k += step; }
  __device__ Place<T> place(Line i, Position k) const {
    return {rows_behind(data, k, lines) + i, k < depth && i < lines};
  }
  __device__ void next(Line& i, Position&) const { ++i; }
};

// What a thread reads of each tile: `vectors` groups of `neighbours`, always of the same lines, so that
// indices that need divisions are computed once, before the loop.
template <class Shape, int lines, int neighbours, class Source>
class ThreadShare {
 public:
  static constexpr bool along_k = Source::along_k;
  static constexpr int all_vectors = lines * Shape::k / neighbours;
  static constexpr int vectors = ceil_div(all_vectors, Shape::threads);

  __device__ ThreadShare(const Source& source, int first_line, int first_k) : source_(source) {
#pragma unroll
    for (int v = 0; v < kept_lines; ++v) lines_[v] = source_.line(first_line + line_in_tile(v));
#pragma unroll
    for (int v = 0; v < kept_positions; ++v) positions_[v] = source_.position(first_k + k_in_tile(v));
  }
  // The next tile of k.
  __device__ void advance() {
#pragma unroll
    for (int v = 0; v < kept_positions; ++v) source_.advance(positions_[v], Shape::k);
  }
  __device__ const Source& source() const { return source_; }
  __device__ const typename Source::Line& line(int v) const { return lines_[along_k ? v : 0]; }
  __device__ const typename Source::Position& position(int v) const { return positions_[along_k ? 0 : v]; }

  static __device__ bool active(int v) {
    return all_vectors % Shape::threads == 0 || thread() + v * Shape::threads < all_vectors;
  }
  static __device__ int line_in_tile(int v) { return along_k ? across(v) : along(); }
  static __device__ int k_in_tile(int v) { return along_k ? along() : across(v); }

 private:
  static constexpr int kept_lines = along_k ? vectors : 1, kept_positions = along_k ? 1 : vectors;
  static constexpr int run = (along_k ? Shape::k : lines) / neighbours;  // vectors side by side in memory
  static_assert(Shape::threads % run == 0, "all vectors of a thread are at the same place of their run");

  static __device__ int along() { return neighbours * (thread() % run); }
  static __device__ int across(int v) { return thread() / run + v * (Shape::threads / run); }
  static __device__ int thread() { return static_cast<int>(threadIdx.x); }

  const Source& source_;
  typename Source::Line lines_[kept_lines];
  typename Source::Position positions_[kept_positions];
};

// ---- global to shared memory --------------------------------------------------------------------------

template <class Source>
__device__ __forceinline__ Four load_neighbours(const Source& source, typename Source::Line line,
                                                typename Source::Position position) {
  Four result = {};
  if (Source::always_vector || source.vector) {
    const auto place = source.place(line, position);
    return place.inside ? load_four(place.address) : result;
  }
  if constexpr (!Source::always_vector) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (const auto place = source.place(line, position); place.inside)
        result.v[i] = to_float(*place.address);
      source.next(line, position);
    }
  }
  return result;
}

// fetch() starts a thread's loads into registers and moves on by one tile; store() puts them into shared
// memory, transposed if need be, so that the inner loop finds neighbouring lines side by side.
template <class Shape, int lines, class Source>
class TileLoader {
 public:
  static constexpr int padded = lines + 4;  // spreads transposed stores over banks, keeps 16-byte alignment

  __device__ TileLoader(const Source& source, int first_line, int first_k)
      : share_(source, first_line, first_k) {}

  __device__ void fetch() {
#pragma unroll
    for (int v = 0; v < Share::vectors; ++v)
      if (Share::active(v)) held_[v] = load_neighbours(share_.source(), share_.line(v), share_.position(v));
    share_.advance();
  }

  __device__ void store(float (&tile)[Shape::k][padded]) const {
#pragma unroll
    for (int v = 0; v < Share::vectors; ++v) {
      if (!Share::active(v)) continue;
      const int line = Share::line_in_tile(v), k = Share::k_in_tile(v);
      if constexpr (Source::along_k) {
#pragma unroll
        for (int i = 0; i < 4; ++i) tile[k + i][line] = held_[v].v[i];
      } else {
        store_four(&tile[k][line], held_[v]);
      }
    }
  }

 private:
  using Share = ThreadShare<Shape, lines, 4, Source>;
  Share share_;
  Four held_[Share::vectors] = {};
};

// A Product (see work_of_block()) of two sources that fills a dense matrix of rows x columns.
template <class SourceA, class SourceB>
struct MatrixProduct {
  static constexpr bool always_vector = SourceA::always_vector && SourceB::always_vector;
  SourceA a;
  SourceB b;
  int rows, columns, depth;

  __device__ void choose_part(int) {}
  __device__ int64_t row_start(int row) const { return int64_t{row} * columns; }
};

// ---- the product of one tile --------------------------------------------------------------------------

// The place in its tile of a thread's i-th row (or column): groups of 4 neighbours, the groups of all `peers`
// threads next to each other, so that a warp reads shared memory without bank conflicts.
template <int peers>
__device__ __forceinline__ int place_in_tile(int thread, int i) {
  return i / 4 * (4 * peers) + 4 * thread + i % 4;
}

// Adds `steps` tiles of k to this thread's sums. While a tile is multiplied, the next one is on its way from
// global memory into registers; two copies of each tile in shared memory make one barrier per step enough.
template <class Shape, class SourceA, class SourceB>
__device__ void tile_product(const SourceA& a, const SourceB& b, int first_row, int first_column, int first_k,
                             int steps, float (&sums)[Shape::thread_m][Shape::thread_n]) {
  using LoaderA = TileLoader<Shape, Shape::m, SourceA>;
  using LoaderB = TileLoader<Shape, Shape::n, SourceB>;
  SHARED_ARRAY(float, a_tile, [2][Shape::k][LoaderA::padded]);
  SHARED_ARRAY(float, b_tile, [2][Shape::k][LoaderB::padded]);

  constexpr int peers_m = Shape::m / Shape::thread_m, peers_n = Shape::threads_n;
  const int thread = static_cast<int>(threadIdx.x);
  const int thread_row = thread / peers_n, thread_column = thread % peers_n;
#pragma unroll
  for (int i = 0; i < Shape::thread_m; ++i)
#pragma unroll
    for (int j = 0; j < Shape::thread_n; ++j) sums[i][j] = 0;
  if (steps == 0) return;

  LoaderA load_a(a, first_row, first_k);
  LoaderB load_b(b, first_column, first_k);
  load_a.fetch();
  load_b.fetch();
  load_a.store(a_tile[0]);
  load_b.store(b_tile[0]);
  __syncthreads();

  for (int step = 0; step < steps; ++step) {
    const int now = step % 2;
    const bool more = step + 1 < steps;
    if (more) {
      load_a.fetch();
      load_b.fetch();
    }
#pragma unroll 4
    for (int k = 0; k < Shape::k; ++k) {
      Four a_part[Shape::thread_m / 4], b_part[Shape::thread_n / 4];
#pragma unroll
      for (int i = 0; i < Shape::thread_m; i += 4)
        a_part[i / 4] = load_four(&a_tile[now][k][place_in_tile<peers_m>(thread_row, i)]);
#pragma unroll
      for (int j = 0; j < Shape::thread_n; j += 4)
        b_part[j / 4] = load_four(&b_tile[now][k][place_in_tile<peers_n>(thread_column, j)]);
#pragma unroll
      for (int i = 0; i < Shape::thread_m; ++i)
#pragma unroll
        for (int j = 0; j < Shape::thread_n; ++j)
          sums[i][j] += a_part[i / 4].v[i % 4] * b_part[j / 4].v[j % 4];
    }
    if (more) {
      load_a.store(a_tile[1 - now]);
      load_b.store(b_tile[1 - now]);
      __syncthreads();
    }
  }
}

// ---- one block ----------------------------------------------------------------------------------------

// Where the sums go. With one split: through the epilogue to the output. With several, each split of k writes
// its partial sums to partials + split * count, and add_partials adds them up in order: the result does not
// depend on which block comes first, as it would with atomic additions.
template <class T>
struct Target {
  Epilogue<T> epilogue;
  float* partials;  // (splits, count), aligned for float4, or null
  int64_t count;    // elements of the output
  int splits;

  __device__ void store_four(int split, int64_t index, int column, int columns, Four sums) const {
    // Where rows are whole groups of four, so are index (a row's start and a column) and count.
    if (partials && columns % 4 == 0) return GAN_GPU::store_four(partials + split * count + index, sums);
    if (!partials && epilogue.vector) return epilogue.store_four_linear(index, column, sums);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (column + i >= columns) return;
      if (partials) partials[split * count + index + i] = sums.v[i];
      else epilogue.store_linear(index + i, column + i, sums.v[i]);
    }
  }
};

// A product to compute. `Product` has the two sources a and b, and
//   always_vector           whether both are read in groups of neighbours; only then there are large tiles
//   rows, columns, depth    the sizes of the product
//   row_start(row)          where a row of the output begins, in elements
//   choose_part(part)       narrows the product to one of several that fill one output (most have one part)

// What one block computes: the outputs from (first_row, first_column) on, `steps` tiles of k from first_k on.
struct BlockWork {
  int split, first_row, first_column, first_k, steps;
};
template <class Shape, class Product>
__device__ BlockWork work_of_block(Product& product, int splits) {
  const int part = static_cast<int>(blockIdx.z) / splits, split = static_cast<int>(blockIdx.z) % splits;
  product.choose_part(part);
  const int all_steps = ceil_div(product.depth, Shape::k), steps_per_split = ceil_div(all_steps, splits);
  const int first_step = min(split * steps_per_split, all_steps);
  return {split, static_cast<int>(blockIdx.x) * Shape::m, static_cast<int>(blockIdx.y) * Shape::n,
          first_step * Shape::k, min(steps_per_split, all_steps - first_step)};
}

template <class Shape, class T, class Product>
__global__ void __launch_bounds__(Shape::threads) tiled_kernel(Product product, Target<T> target) {
  const auto [split, first_row, first_column, first_k, steps] = work_of_block<Shape>(product, target.splits);
  if (first_row >= product.rows) return;  // the whole block: parts differ in size
  float sums[Shape::thread_m][Shape::thread_n];
  tile_product<Shape>(product.a, product.b, first_row, first_column, first_k, steps, sums);

  constexpr int peers_m = Shape::m / Shape::thread_m, peers_n = Shape::threads_n;
  const int thread = static_cast<int>(threadIdx.x);
#pragma unroll
  for (int i = 0; i < Shape::thread_m; ++i) {
    const int row = first_row + place_in_tile<peers_m>(thread / peers_n, i);
    if (row >= product.rows) continue;
    const int64_t row_start = product.row_start(row);
#pragma unroll
    for (int j = 0; j < Shape::thread_n; j += 4) {
      const int column = first_column + place_in_tile<peers_n>(thread % peers_n, j);
      if (column < product.columns)
        target.store_four(split, row_start + column, column, product.columns,
                          {{sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]}});
    }
  }
}

// by_columns: divides by `columns`, where the index allows it: a division of 64 bits is a subroutine.
template <class T>
__global__ void add_partials(const float* partials, int splits, int64_t count, int columns,
                             FastDivision by_columns, Epilogue<T> epilogue) {
  for (int64_t index = first_element(); index < count; index += element_step()) {
    float sum = 0;
    for (int split = 0; split < splits; ++split) sum += partials[split * count + index];
    const int low = static_cast<int>(index);
    const int column =
        index <= INT32_MAX ? low - by_columns.quotient(low) * columns : static_cast<int>(index % columns);
    epilogue.store(index, column, sum);
  }
}

// ---- the host side ------------------------------------------------------------------------------------

// What a model of time has to know about a tile: estimates for an H200, from instruction counts (bench/results/sass.md)
// and registers (ptxas.md). None of them is measured yet.
struct TileSpeed {
  int step_ns;   // of a multiprocessor for one step of k of a block, while it has blocks enough
  int alone_ns;  // the same of a block that has the multiprocessor for itself
  int resident;  // blocks that a multiprocessor holds
};

// A way of computing products: this one, or MmaRung of mma_tile.cuh. Elements are of type T.
template <class T>
struct TiledRung {
  using Element = T;
  using Large = LargeTile;
  using Small = SmallTile;
  using Thin = ThinTile;
  static constexpr TileSpeed large_speed{1900, 1900, 1}, small_speed{600, 900, 3}, thin_speed{750, 1000, 3};
  static constexpr int neighbours = 4;  // that a source's `vector` speaks of

  template <class Shape, class TOut, class Product>
  static void start(dim3 grid, StreamHandle stream, const Product& product, const Target<TOut>& target) {
    launch(tiled_kernel<Shape, TOut, Product>, grid, Shape::threads, 0, stream, product, target);
  }
};

// Calls f(std::true_type{}) or f(std::false_type{}): a flag that the kernels know when they are compiled.
template <class F>
void with_flag(bool flag, F&& f) {
  if (flag) f(std::true_type{});
  else f(std::false_type{});
}

// How a product is cut into blocks: a function of its sizes alone, so that results do not depend on the
// device model; in whole numbers, so that they do not depend on a compiler either.
struct TilePlan {
  Tiles shape;  // any but Tiles::planned
  int row_tiles, column_tiles, parts, splits;
  int64_t
      modelled_ns;  // without what every plan costs: the first reading of inputs, the last writing of outputs

  int64_t blocks() const { return int64_t{row_tiles} * column_tiles * parts * splits; }
};

// The time of `blocks` blocks of `steps` steps each: what the fullest multiprocessor does.
inline int64_t modelled_block_ns(const TileSpeed& speed, int64_t blocks, int64_t steps) {
  constexpr int multiprocessors = 132;
  constexpr int64_t fill_ns = 1000;  // until the first tile has come, and to write the last
  const int64_t here = ceil_div(blocks, int64_t{multiprocessors});
  const int64_t waves = ceil_div(here, int64_t{speed.resident});
  return steps * std::max(here * speed.step_ns, waves * speed.alone_ns) + waves * fill_ns;
}

// The time that splitting k costs: each split writes its sums, one more launch reads them.
inline int64_t modelled_partials_ns(int64_t count, int splits) {
  constexpr int64_t launch_ns = 2000, bytes_per_ns = 3500;
  return splits == 1 ? 0 : launch_ns + 2 * splits * count * int64_t{sizeof(float)} / bytes_per_ns;
}

// Takes the plan of least modelled time: which tile, and in how many parts k is split.
// rows: of the largest part. depth: of the deepest part. vector: as a product's always_vector.
template <class Rung>
TilePlan plan_tiles(int rows, int columns, int depth, int parts, int64_t count, bool vector) {
  constexpr int min_steps_per_split = 4;              // as many as MmaShape::stages
  constexpr int64_t max_partials = int64_t{1} << 24;  // 64 MB of scratch
  GAN_CHECK(rows < 1 << 30 && columns < 1 << 30 && depth < INT32_MAX - 1024,
            "a product of {} x {} x {} is too large", rows, columns, depth);
  TilePlan best{};
  const Tiles only = forced_tiles() == Tiles::large && !vector ? Tiles::planned : forced_tiles();
  const auto consider = [&]<class Tile>(Tiles shape, Tile, const TileSpeed& speed) {
    if (only != Tiles::planned && only != shape) return;
    const int steps = ceil_div(depth, Tile::k);
    const auto most =
        std::clamp<int64_t>(std::min<int64_t>(steps / min_steps_per_split, max_partials / count), 1, 256);
    TilePlan plan{shape, ceil_div(rows, Tile::m), ceil_div(columns, Tile::n), parts, 1, 0};
    for (int64_t splits = 1; splits <= most; splits += splits < 4 ? 1 : splits / 4) {
      plan.splits = static_cast<int>(splits);
      plan.modelled_ns = modelled_block_ns(speed, plan.blocks(), ceil_div(int64_t{steps}, splits)) +
                         modelled_partials_ns(count, plan.splits);
      if (best.splits == 0 || plan.modelled_ns < best.modelled_ns) best = plan;
    }
  };
  consider(Tiles::small, typename Rung::Small{}, Rung::small_speed);
  if (vector) consider(Tiles::large, typename Rung::Large{}, Rung::large_speed);
  consider(Tiles::thin, typename Rung::Thin{}, Rung::thin_speed);
  return best;
}

// Launches the blocks of a plan. partials: as in Target.
template <class Rung, class T, class Product>
void launch_tiles(const TilePlan& plan, const Product& product, const Epilogue<T>& epilogue, float* partials,
                  int64_t count, StreamHandle stream) {
  const dim3 grid(plan.row_tiles, plan.column_tiles, plan.parts * plan.splits);
  const Target<T> target{epilogue, partials, count, plan.splits};
  switch (plan.shape) {
    case Tiles::large:
      if constexpr (Product::always_vector)
        return Rung::template start<typename Rung::Large>(grid, stream, product, target);
      else fail(Exit::failure, "a large tile of a product that is not read in vectors");
    case Tiles::small: return Rung::template start<typename Rung::Small>(grid, stream, product, target);
    case Tiles::thin: return Rung::template start<typename Rung::Thin>(grid, stream, product, target);
    case Tiles::planned: fail(Exit::failure, "a plan without a tile");
  }
}

// Computes the product into epilogue.out, which has `count` elements: in one launch, or in two when k is
// split.
template <class Rung, class T, class Product>
void run_product(const TilePlan& plan, const Product& product, const Epilogue<T>& epilogue, int64_t count,
                 Stream& stream) {
  const auto handle = handle_of(stream);
  if (plan.splits == 1 && epilogue.is_piecewise_linear())
    return launch_tiles<Rung>(plan, product, epilogue, nullptr, count, handle);
  auto* partials = static_cast<float*>(stream.scratch(sizeof(float) * count * plan.splits));
  launch_tiles<Rung>(plan, product, epilogue, partials, count, handle);
  launch(add_partials<T>, grid_for(count), block_threads, 0, handle, partials, plan.splits, count,
         product.columns, FastDivision(product.columns), epilogue);
}

}  // namespace gan::GAN_GPU
