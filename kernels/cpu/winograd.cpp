// Winograd's convolution on the cpu, in three directions (Winograd 1980; Lavin & Gray 2016, "Fast algorithms
// for convolutional neural networks").
//
// A line of m outputs of a filter of r taps is a product of polynomials, and those are multiplied at
// T = m + r - 1 points instead of term by term. With d a line of T inputs and g the filter:
//
//   y = At ((G g) * (Bt d))                       T multiplications instead of m r
//
// and in two dimensions, for a tile of T x T inputs and m x m outputs:
//
//   y = At ((G g Gt) * (Bt d B)) A                T^2 instead of m^2 r^2
//
// Summed over the input channels, each of the T^2 points is a matrix product (tiles, C) x (C, K): that is
// where the time goes. A stride of 2 is four convolutions of stride 1, added: those of x's four planes of
// even and odd rows and columns with the taps that meet them, so that a 4x4 kernel of stride 2 has r = 2. The
// planes count as channels. T is 5, with r = 2, 3, 4 and m = 4, 3, 2: up to 2.6 times less to multiply, and 6
// times more weights. Where that leaves too few tiles for the weights, T is 3, with r = 2 and m = 2: 1.8
// times and 2.25 times.
//
// The gradients are the transposed maps, through the same transformed weights U = G g Gt:
//   dx: tiles B (U^T (A dy At)) Bt, which overlap and are added
//   dg: Gt (sum over tiles of (A dy At) (Bt d B)) G
#include "kernels/cpu/winograd.h"

#include <array>
#include <list>
#include <memory>
#include <mutex>

#include "kernels/cpu/loops.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/room.h"

namespace gan::cpu {
namespace {

// ---------------------------------------------------------------------------------------------- transforms

// The last point is infinity. With -1/2 and -2, each other's reciprocals and of the other sign than 1,
// rounding is about half of what the textbook's 0, 1, -1, 2 leave.
template <int T>
constexpr std::array<double, T - 1> at = {};
template <>
constexpr std::array<double, 4> at<5> = {0, -0.5, 1, -2};
template <>
constexpr std::array<double, 2> at<3> = {0, 1};

template <int rows, int columns>
using Matrix = std::array<std::array<float, columns>, rows>;

// Row j: the coefficients of the product of (x - at[i]) over all i but j.
template <int T>
constexpr Matrix<T, T> make_bt() {
  Matrix<T, T> bt{};
  for (int j = 0; j < T; ++j) {
    std::array<double, T> product{1};
    int degree = 0;
    for (int i = 0; i < T - 1; ++i) {
      if (i == j) continue;
      for (int k = ++degree; k >= 0; --k) product[k] = (k > 0 ? product[k - 1] : 0) - at<T>[i] * product[k];
    }
    for (int k = 0; k < T; ++k) bt[j][k] = float(product[k]);
  }
  return bt;
}
constexpr double power(double x, int n) { return n == 0 ? 1 : x * power(x, n - 1); }
// The filter's polynomial at the points, over the product of their distances from the others.
template <int T, int r>
constexpr Matrix<T, r> make_g() {
  Matrix<T, r> g{};
  for (int j = 0; j < T - 1; ++j) {
    double distances = 1;
    for (int i = 0; i < T - 1; ++i)
      if (i != j) distances *= at<T>[j] - at<T>[i];
    for (int t = 0; t < r; ++t) g[j][t] = float(power(at<T>[j], t) / distances);
  }
  g[T - 1][r - 1] = 1;
  return g;
}
template <int T, int m>
constexpr Matrix<m, T> make_at() {
  Matrix<m, T> a{};
  for (int i = 0; i < m; ++i)
    for (int j = 0; j < T - 1; ++j) a[i][j] = float(power(at<T>[j], i));
  a[m - 1][T - 1] = 1;
  return a;
}
template <size_t rows, size_t columns>
constexpr Matrix<int(columns), int(rows)> transposed(const std::array<std::array<float, columns>, rows>& a) {
  Matrix<int(columns), int(rows)> t{};
  for (size_t i = 0; i < rows; ++i)
    for (size_t j = 0; j < columns; ++j) t[j][i] = a[i][j];
  return t;
}
template <int T>
constexpr auto Bt = make_bt<T>();
template <int T>
constexpr auto B = transposed(make_bt<T>());
template <int T, int r>
constexpr auto G = make_g<T, r>();
template <int T, int r>
constexpr auto Gt = transposed(make_g<T, r>());
template <int T, int r>
constexpr auto At = make_at<T, T + 1 - r>();
template <int T, int r>
constexpr auto A = transposed(make_at<T, T + 1 - r>());

constexpr int most_points = 25;
// 16 channels, which all transforms treat alike.
constexpr int lanes = 16;
typedef float Lanes __attribute__((vector_size(lanes * sizeof(float)), aligned(sizeof(float)), may_alias));
GAN_INLINE void get(const float* from, Lanes& to) { to = *reinterpret_cast<const Lanes*>(from); }
GAN_INLINE void put(float* to, const Lanes& from) { *reinterpret_cast<Lanes*>(to) = from; }
// The same for bfloat16 in memory; a put rounds to nearest.
typedef uint16_t Halves
    __attribute__((vector_size(lanes * sizeof(uint16_t)), aligned(sizeof(uint16_t)), may_alias));
typedef uint32_t Words __attribute__((vector_size(lanes * sizeof(uint32_t))));
GAN_INLINE void get(const bf16* from, Lanes& to) {
  const Words words = __builtin_convertvector(*reinterpret_cast<const Halves*>(from), Words) << 16;
  std::memcpy(&to, &words, sizeof to);
}
GAN_INLINE void put(bf16* to, const Lanes& from) {
  Words bits;
  std::memcpy(&bits, &from, sizeof bits);
  const Words rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const Words is_nan = (Words)((bits & 0x7fffffffu) > 0x7f800000u);
  *reinterpret_cast<Halves*>(to) = __builtin_convertvector((is_nan & 0x7fffu) | (~is_nan & rounded), Halves);
}
template <class T>
GAN_INLINE void put_or_add(T* to, const Lanes& value, bool add) {
  if (!add) return put(to, value);
  Lanes sum;
  get(to, sum);
  sum += value;
  put(to, sum);
}

// to = sum over j of row[j] * from[j * step]; the row is a constant, and its zeros cost nothing.
template <const auto& M, size_t row, size_t step>
GAN_INLINE void weighted_sum(const Lanes* from, Lanes& to) {
  Lanes sum{};
  [&]<size_t... j>(std::index_sequence<j...>) GAN_LAMBDA_INLINE {
    ((M[row][j] != 0 ? void(sum += M[row][j] * from[j * step]) : void()), ...);
  }
  (std::make_index_sequence<M[0].size()>{});
  to = sum;
}
// out (R,R) = M in (S,S) Mt for M (R,S)
template <const auto& M>
GAN_INLINE void sandwich(const Lanes* in, Lanes* out) {
  constexpr size_t R = M.size(), S = M[0].size();
  Lanes half[R * S];
  [&]<size_t... i>(std::index_sequence<i...>) GAN_LAMBDA_INLINE {
    (weighted_sum<M, i / S, S>(in + i % S, half[i]), ...);
  }
  (std::make_index_sequence<R * S>{});
  [&]<size_t... i>(std::index_sequence<i...>) GAN_LAMBDA_INLINE {
    (weighted_sum<M, i % R, 1>(half + i / R * S, out[i]), ...);
  }
  (std::make_index_sequence<R * R>{});
}

// ------------------------------------------------------------------------------------------ tiles in memory

constexpr int64_t fewest_tiles = 64;
// Floats; more than these 32 MiB of weights at the points of large tiles cost more to read than they save.
constexpr int64_t most_transformed = 8 << 20;

struct Plan {
  Conv2d s;
  int T, points, taps, outputs, planes;  // T, T^2, r, m, stride^2
  int rows, columns;                     // of tiles, in one picture
  int64_t tiles;                         // of all pictures
  int64_t depth;                         // planes * C
  int64_t chunk;                         // so many tiles at a time stay in the cache

  int64_t row_padding;  // elements behind each row of a matrix

  // Of bfloat16 numbers oneDNN's product is up to 20 times slower where rows are a power of two apart.
  explicit Plan(const Conv2d& size, DType type = DType::f32)
      : s(size), taps(s.kh / s.sh), planes(s.sh * s.sw), row_padding(type == DType::bf16 ? lanes : 0) {
    depth = int64_t(planes) * s.c;
    cut(5);
    if (taps == 2 && (tiles < fewest_tiles || T * T * depth * s.k > most_transformed)) cut(3);
    points = T * T;
    constexpr int64_t cached_floats =
        1 << 19;  // 2 MiB: what two cores have as second-level caches, often each of them
    chunk = std::min(tiles, std::max<int64_t>(fewest_tiles, cached_floats / (points * (depth + s.k))));
  }
  void cut(int side) {
    T = side, outputs = T + 1 - taps;
    rows = (s.oh + outputs - 1) / outputs, columns = (s.ow + outputs - 1) / outputs;
    tiles = int64_t(s.n) * rows * columns;
  }
  // Elements from one point's matrix to the next: not a power of two, or all points would share a few sets of
  // the cache.
  int64_t input_stride() const { return chunk * input_row() + 5 * lanes; }
  int64_t output_stride() const { return chunk * output_row() + 5 * lanes; }
  int64_t weight_stride() const { return int64_t(s.k) * input_row() + 5 * lanes; }
  // And from one row to the next, planes*C or K numbers long.
  int64_t input_row() const { return depth + row_padding; }
  int64_t output_row() const { return s.k + row_padding; }
};
// Calls f with T and r as constants.
template <class F>
GAN_INLINE void with_constants(const Plan& p, F&& f) {
  using std::integral_constant;
  if (p.T == 3) f(integral_constant<int, 3>{}, integral_constant<int, 2>{});
  else if (p.taps == 2) f(integral_constant<int, 5>{}, integral_constant<int, 2>{});
  else if (p.taps == 3) f(integral_constant<int, 5>{}, integral_constant<int, 3>{});
  else f(integral_constant<int, 5>{}, integral_constant<int, 4>{});
}

// The first row and column of a tile's outputs, and its picture.
struct Place {
  int64_t n;
  int oh, ow;
};
GAN_INLINE Place place_of(const Plan& p, int64_t tile) {
  return {tile / (p.rows * p.columns), int(tile / p.columns % p.rows) * p.outputs,
          int(tile % p.columns) * p.outputs};
}
// The row (or column) of x that a plane's row i shows, or -1: zero padding, and what a tile at the end has beyond
// the padding. With mirrored borders several places of tiles show the same row.
GAN_INLINE int in_picture(int i, int plane, int stride, int pad, int size, Padding padding) {
  const int position = i * stride + plane - pad;
  if (position >= 0 && position < size) return position;
  if (padding == Padding::zero || position >= size + pad) return -1;
  return position < 0 ? -position : 2 * (size - 1) - position;
}

// Calls f(index in the tile, offset in x) for the T x T positions of a tile in one plane; offset -1 is
// padding.
template <class F>
GAN_INLINE void for_each_input(const Plan& p, const Place& place, int plane, F&& f) {
  for (int i = 0; i < p.T; ++i) {
    const int h = in_picture(place.oh + i, plane / p.s.sw, p.s.sh, p.s.ph, p.s.h, p.s.padding);
    for (int j = 0; j < p.T; ++j) {
      const int w = in_picture(place.ow + j, plane % p.s.sw, p.s.sw, p.s.pw, p.s.w, p.s.padding);
      f(i * p.T + j, h < 0 || w < 0 ? -1 : ((place.n * p.s.h + h) * p.s.w + w) * p.s.c);
    }
  }
}
// Likewise for the outputs of a tile, offset in y.
template <class F>
GAN_INLINE void for_each_output(const Plan& p, const Place& place, F&& f) {
  for (int i = 0; i < p.outputs; ++i)
    for (int j = 0; j < p.outputs; ++j) {
      const int oh = place.oh + i, ow = place.ow + j;
      f(i * p.outputs + j,
        oh < p.s.oh && ow < p.s.ow ? ((place.n * p.s.oh + oh) * p.s.ow + ow) * p.s.k : int64_t(-1));
    }
}

// Bt d B: tiles [begin, end) of x to (points, tiles, planes*C), the first of the chunk being tile `first`.
template <class Number>
GAN_TARGET_CLONES void transform_inputs(const Plan& p, const Number* x, int64_t first, int64_t begin,
                                        int64_t end, Number* to) {
  with_constants(p, [&](auto side, auto) GAN_LAMBDA_INLINE {
    constexpr int T = decltype(side)::value, points = T * T;
    Lanes in[most_points], out[most_points];
    for (int64_t tile = begin; tile < end; ++tile)
      for (int plane = 0; plane < p.planes; ++plane) {
        int64_t offset[most_points];
        for_each_input(p, place_of(p, first + tile), plane,
                       [&](int i, int64_t o) GAN_LAMBDA_INLINE { offset[i] = o; });
        Number* row = to + tile * p.input_row() + int64_t(plane) * p.s.c;
        for (int c = 0; c < p.s.c; c += lanes) {
          for (int i = 0; i < points; ++i)
            if (offset[i] < 0) in[i] = Lanes{};
            else get(x + offset[i] + c, in[i]);
          sandwich<Bt<T>>(in, out);
          for (int i = 0; i < points; ++i) put(row + i * p.input_stride() + c, out[i]);
        }
      }
  });
}

// A dy At: tiles of dy to (points, tiles, K)
template <class Number>
GAN_TARGET_CLONES void transform_output_gradients(const Plan& p, const Number* dy, int64_t first,
                                                  int64_t begin, int64_t end, Number* to) {
  with_constants(p, [&](auto side, auto taps) GAN_LAMBDA_INLINE {
    constexpr int T = decltype(side)::value, r = decltype(taps)::value, points = T * T;
    Lanes in[most_points], out[most_points];
    for (int64_t tile = begin; tile < end; ++tile) {
      const Place place = place_of(p, first + tile);
      Number* row = to + tile * p.output_row();
      for (int k = 0; k < p.s.k; k += lanes) {
        for_each_output(p, place, [&](int i, int64_t offset) GAN_LAMBDA_INLINE {
          if (offset < 0) in[i] = Lanes{};
          else get(dy + offset + k, in[i]);
        });
        sandwich<A<T, r>>(in, out);
        for (int i = 0; i < points; ++i) put(row + i * p.output_stride() + k, out[i]);
      }
    }
  });
}

// y = (or +=) At M A, from (points, tiles, K)
template <class Number>
GAN_TARGET_CLONES void transform_outputs(const Plan& p, const float* from, int64_t first, int64_t begin,
                                         int64_t end, Acc acc, Number* y) {
  with_constants(p, [&](auto side, auto taps) GAN_LAMBDA_INLINE {
    constexpr int T = decltype(side)::value, r = decltype(taps)::value, points = T * T;
    Lanes in[most_points], out[most_points];
    for (int64_t tile = begin; tile < end; ++tile) {
      const Place place = place_of(p, first + tile);
      const float* row = from + tile * p.output_row();
      for (int k = 0; k < p.s.k; k += lanes) {
        for (int i = 0; i < points; ++i) get(row + i * p.output_stride() + k, in[i]);
        sandwich<At<T, r>>(in, out);
        for_each_output(p, place, [&](int i, int64_t offset) GAN_LAMBDA_INLINE {
          if (offset >= 0) put_or_add(y + offset + k, out[i], acc == Acc::add);
        });
      }
    }
  });
}

// dx += B dV Bt for all tiles of a chunk, in the channels [begin, end) of all planes, counted in lanes.
// Neighbouring tiles overlap: threads share out channels, not tiles.
template <class Number>
GAN_TARGET_CLONES void add_input_gradients(const Plan& p, const float* from, int64_t first, int64_t count,
                                           int64_t begin, int64_t end, Number* dx) {
  with_constants(p, [&](auto side, auto) GAN_LAMBDA_INLINE {
    constexpr int T = decltype(side)::value, points = T * T;
    Lanes in[most_points], out[most_points];
    for (int64_t tile = 0; tile < count; ++tile) {
      const Place place = place_of(p, first + tile);
      for (int64_t block = begin; block < end; ++block) {
        const int plane = int(block * lanes / p.s.c);
        const int64_t c = block * lanes % p.s.c;
        const float* row = from + tile * p.input_row() + block * lanes;
        for (int i = 0; i < points; ++i) get(row + i * p.input_stride(), in[i]);
        sandwich<B<T>>(in, out);
        for_each_input(p, place, plane, [&](int i, int64_t offset) GAN_LAMBDA_INLINE {
          if (offset >= 0) put_or_add(dx + offset + c, out[i], true);
        });
      }
    }
  });
}

// The first of a plane's taps in a filter of w, and the way to the others.
GAN_INLINE int64_t tap_offset(const Plan& p, int plane, int i, int j) {
  const int row = i * p.s.sh + plane / p.s.sw, column = j * p.s.sw + plane % p.s.sw;
  return (int64_t(row) * p.s.kw + column) * p.s.c;
}

// G g Gt: the filters [begin, end) of w to (points, K, planes*C)
template <class Number>
GAN_TARGET_CLONES void transform_weights(const Plan& p, const Number* w, int64_t begin, int64_t end,
                                         Number* to) {
  with_constants(p, [&](auto side, auto taps) GAN_LAMBDA_INLINE {
    constexpr int T = decltype(side)::value, r = decltype(taps)::value, points = T * T;
    Lanes in[most_points], out[most_points];
    for (int64_t k = begin; k < end; ++k)
      for (int plane = 0; plane < p.planes; ++plane)
        for (int c = 0; c < p.s.c; c += lanes) {
          for (int i = 0; i < r * r; ++i)
            get(w + k * p.s.kh * p.s.kw * p.s.c + tap_offset(p, plane, i / r, i % r) + c, in[i]);
          sandwich<G<T, r>>(in, out);
          Number* row = to + k * p.input_row() + int64_t(plane) * p.s.c + c;
          for (int i = 0; i < points; ++i) put(row + i * p.weight_stride(), out[i]);
        }
  });
}

// dw = (or +=) Gt dU G
GAN_TARGET_CLONES void transform_weight_gradients(const Plan& p, const float* from, int64_t begin,
                                                  int64_t end, Acc acc, float* dw) {
  with_constants(p, [&](auto side, auto taps) GAN_LAMBDA_INLINE {
    constexpr int T = decltype(side)::value, r = decltype(taps)::value, points = T * T;
    Lanes in[most_points], out[most_points];
    for (int64_t k = begin; k < end; ++k)
      for (int plane = 0; plane < p.planes; ++plane)
        for (int c = 0; c < p.s.c; c += lanes) {
          const float* row = from + k * p.input_row() + int64_t(plane) * p.s.c + c;
          for (int i = 0; i < points; ++i) get(row + i * p.weight_stride(), in[i]);
          sandwich<Gt<T, r>>(in, out);
          for (int i = 0; i < r * r; ++i) {
            float* to = dw + k * p.s.kh * p.s.kw * p.s.c + tap_offset(p, plane, i / r, i % r) + c;
            put_or_add(to, out[i], acc == Acc::add);
          }
        }
  });
}

// -------------------------------------------------------------------------------------- transformed weights

// Weights at the points, kept while their version stays the same.
struct Transformed {
  const void* weights;
  Conv2d filter;  // the sizes that the transform depends on
  int T;
  uint64_t version;
  size_t bytes;
  std::unique_ptr<void, void (*)(void*) noexcept> values;
};
struct Kept {
  std::mutex turn;
  std::list<Transformed> list;  // most recently used first
  size_t bytes = 0;
};
constexpr size_t kept_limit = size_t(256) << 20;
Kept& kept() {
  static Kept& instance = *new Kept;
  return instance;
}

template <class T>
void transform_all_weights(const Plan& p, const T* w, T* to) {
  parallel_ranges(p.s.k, p.points * p.depth,
                  [&](int64_t begin, int64_t end) { transform_weights(p, w, begin, end, to); });
}
int64_t transformed_count(const Plan& p) { return p.points * p.weight_stride(); }

// (points, K, planes*C): kept ones, or for version 0 new ones at `room`. Call while it is this thread's turn.
template <class T>
const T* transformed_weights(Kept& k, const Plan& p, const T* w, uint64_t version, T* room) {
  if (version == 0) {
    transform_all_weights(p, w, room);
    return room;
  }
  Conv2d filter;
  filter.c = p.s.c, filter.k = p.s.k, filter.kh = p.s.kh, filter.kw = p.s.kw, filter.sh = p.s.sh;
  const size_t bytes = size_t(transformed_count(p)) * sizeof(T);
  auto it = k.list.begin();
  while (it != k.list.end() &&
         !(it->weights == w && it->filter == filter && it->T == p.T && it->bytes == bytes))
    ++it;
  if (it == k.list.end()) {
    k.list.push_front({w, filter, p.T, 0, bytes, {memory.allocate(bytes), memory.release}});
    k.bytes += bytes;
    while (k.bytes > kept_limit && k.list.size() > 1) {
      k.bytes -= k.list.back().bytes;
      k.list.pop_back();
    }
  } else {
    k.list.splice(k.list.begin(), k.list, it);
  }
  Transformed& t = k.list.front();
  T* values = static_cast<T*>(t.values.get());
  if (t.version != version) transform_all_weights(p, w, values);
  t.version = version;
  return values;
}

// ------------------------------------------------------------------------------------------------- launch

// f(first tile, how many) for chunks of tiles.
template <class F>
void for_each_chunk(const Plan& p, const F& f) {
  for (int64_t first = 0; first < p.tiles; first += p.chunk) f(first, std::min(p.chunk, p.tiles - first));
}
// f(point, first row, how many rows) for the products of all points, of `rows` rows each. Threads share out
// rows, not points, which are an odd number.
template <class F>
void for_each_product(const Plan& p, int64_t rows, const F& f) {
  const auto products_of = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end;) {
      const int64_t first = i % rows, count = std::min(rows - first, end - i);
      f(i / rows, first, count);
      i += count;
    }
  };
  parallel_ranges(p.points * rows, p.depth * p.s.k, products_of);
}

// The products at all points, of one chunk: in (points, tiles, planes*C), out (points, tiles, K), u (points, K,
// planes*C). Those of bfloat16 numbers are one call, which threads share.
//   out = in u^T
void multiply_forward(const Plan& p, int64_t tiles, const float* in, const float* u, float* out) {
  for_each_product(p, tiles, [&](int64_t i, int64_t row, int64_t rows) {
    onednn_gemm(false, true, int(rows), p.s.k, int(p.depth), in + i * p.input_stride() + row * p.input_row(),
                u + i * p.weight_stride(), Acc::set, out + i * p.output_stride() + row * p.output_row());
  });
}
void multiply_forward(const Plan& p, int64_t tiles, const bf16* in, const bf16* u, float* out) {
  onednn_products(p.points, int(tiles), p.s.k, int(p.depth), in, {p.input_stride(), p.input_row(), 1}, u,
                  {p.weight_stride(), 1, p.input_row()}, Acc::set, out,
                  {p.output_stride(), p.output_row(), 1});
}
//   in = out u
void multiply_back(const Plan& p, int64_t tiles, const float* out, const float* u, float* in) {
  for_each_product(p, tiles, [&](int64_t i, int64_t row, int64_t rows) {
    onednn_gemm(false, false, int(rows), int(p.depth), p.s.k,
                out + i * p.output_stride() + row * p.output_row(), u + i * p.weight_stride(), Acc::set,
                in + i * p.input_stride() + row * p.input_row());
  });
}
void multiply_back(const Plan& p, int64_t tiles, const bf16* out, const bf16* u, float* in) {
  onednn_products(p.points, int(tiles), int(p.depth), p.s.k, out, {p.output_stride(), p.output_row(), 1}, u,
                  {p.weight_stride(), p.input_row(), 1}, Acc::set, in, {p.input_stride(), p.input_row(), 1});
}
//   du = out^T in, or added to it
void multiply_for_weights(const Plan& p, int64_t tiles, const float* out, const float* in, Acc acc,
                          float* du) {
  for_each_product(p, 1, [&](int64_t i, int64_t, int64_t) {  // a part would not lie dense
    onednn_gemm(true, false, p.s.k, int(p.depth), int(tiles), out + i * p.output_stride(),
                in + i * p.input_stride(), acc, du + i * p.weight_stride());
  });
}
void multiply_for_weights(const Plan& p, int64_t tiles, const bf16* out, const bf16* in, Acc acc, float* du) {
  onednn_products(p.points, p.s.k, int(p.depth), int(tiles), out, {p.output_stride(), 1, p.output_row()}, in,
                  {p.input_stride(), p.input_row(), 1}, acc, du, {p.weight_stride(), p.input_row(), 1});
}

template <class T>
void run(const ConvFwd& a, Stream& stream) {
  const Plan p(a.size, dtype_of<T>());
  Kept& k = kept();
  std::lock_guard lock(k.turn);
  const int64_t inputs = p.points * p.input_stride(), outputs = p.points * p.output_stride();
  const int64_t room = a.w_version ? 0 : transformed_count(p);
  Carver carver(
      stream.scratch(Carver::bytes<T>(inputs) + Carver::bytes<float>(outputs) + Carver::bytes<T>(room)));
  T* at_inputs = carver.take<T>(inputs);            // (points, chunk, planes*C)
  float* at_outputs = carver.take<float>(outputs);  // (points, chunk, K)
  const T* u = transformed_weights(k, p, a.w.as<T>(), a.w_version, carver.take<T>(room));
  const T* x = a.x.as<T>();
  T* y = a.y.as<T>();
  for_each_chunk(p, [&](int64_t first, int64_t count) {
    parallel_ranges(count, p.points * p.depth, [&](int64_t begin, int64_t end) {
      transform_inputs(p, x, first, begin, end, at_inputs);
    });
    multiply_forward(p, count, at_inputs, u, at_outputs);
    parallel_ranges(count, p.points * p.s.k, [&](int64_t begin, int64_t end) {
      transform_outputs(p, at_outputs, first, begin, end, a.y.acc, y);
    });
  });
}

template <class T>
void run(const ConvBwdData& a, Stream& stream) {
  const Plan p(a.size, dtype_of<T>());
  Kept& k = kept();
  std::lock_guard lock(k.turn);
  const int64_t inputs = p.points * p.input_stride(), outputs = p.points * p.output_stride();
  const int64_t room = a.w_version ? 0 : transformed_count(p);
  Carver carver(
      stream.scratch(Carver::bytes<float>(inputs) + Carver::bytes<T>(outputs) + Carver::bytes<T>(room)));
  float* at_inputs = carver.take<float>(inputs);  // (points, chunk, planes*C)
  T* at_outputs = carver.take<T>(outputs);        // (points, chunk, K)
  const T* u = transformed_weights(k, p, a.w.as<T>(), a.w_version, carver.take<T>(room));
  const T* dy = a.dy.as<T>();
  T* dx = a.dx.as<T>();
  if (a.dx.acc == Acc::set)
    parallel_elements(p.s.x_count(),
                      [&](int64_t begin, int64_t end) { std::fill_n(dx + begin, end - begin, T{}); });
  for_each_chunk(p, [&](int64_t first, int64_t count) {
    parallel_ranges(count, p.points * p.s.k, [&](int64_t begin, int64_t end) {
      transform_output_gradients(p, dy, first, begin, end, at_outputs);
    });
    multiply_back(p, count, at_outputs, u, at_inputs);
    parallel_ranges(p.depth / lanes, count * p.points * lanes, [&](int64_t begin, int64_t end) {
      add_input_gradients(p, at_inputs, first, count, begin, end, dx);
    });
  });
}

template <class T>
void run(const ConvBwdWeight& a, Stream& stream) {
  const Plan p(a.size, dtype_of<T>());
  const int64_t inputs = p.points * p.input_stride(), outputs = p.points * p.output_stride();
  Carver carver(stream.scratch(Carver::bytes<T>(inputs) + Carver::bytes<T>(outputs) +
                               Carver::bytes<float>(transformed_count(p))));
  T* at_inputs = carver.take<T>(inputs);                 // (points, chunk, planes*C)
  T* at_outputs = carver.take<T>(outputs);               // (points, chunk, K)
  float* du = carver.take<float>(transformed_count(p));  // (points, K, planes*C)
  const T *x = a.x.as<T>(), *dy = a.dy.as<T>();
  for_each_chunk(p, [&](int64_t first, int64_t count) {
    parallel_ranges(count, p.points * p.depth, [&](int64_t begin, int64_t end) {
      transform_inputs(p, x, first, begin, end, at_inputs);
      transform_output_gradients(p, dy, first, begin, end, at_outputs);
    });
    multiply_for_weights(p, count, at_outputs, at_inputs, first == 0 ? Acc::set : Acc::add, du);
  });
  float* dw = a.dw.as<float>();
  parallel_ranges(p.s.k, p.points * p.depth, [&](int64_t begin, int64_t end) {
    transform_weight_gradients(p, du, begin, end, a.dw.acc, dw);
  });
}

}  // namespace

const char* fits_winograd(const Conv2d& s) {
  if (s.groups != 1) return "one group only";
  if (s.dh != 1 || s.dw != 1) return "no dilation";
  const bool known = s.kh == s.kw && s.sh == s.sw &&
                     ((s.kh == 4 && s.sh == 2) || (s.kh == 4 && s.sh == 1) || (s.kh == 3 && s.sh == 1));
  if (!known) return "4x4 of stride 2 or 1 and 3x3 of stride 1 only";
  if (s.c % lanes || s.k % lanes || s.c < 32 || s.k < 32) return "channels not multiples of 16 from 32 on";
  return Plan(s).tiles < fewest_tiles ? "less than 64 tiles" : nullptr;
}

void winograd_fwd(const ConvFwd& a, Stream& stream) {
  with_type(a.x.dtype, [&]<class T>(T) { run<T>(a, stream); });
}
void winograd_bwd_data(const ConvBwdData& a, Stream& stream) {
  with_type(a.dy.dtype, [&]<class T>(T) { run<T>(a, stream); });
}
void winograd_bwd_weight(const ConvBwdWeight& a, Stream& stream) {
  with_type(a.x.dtype, [&]<class T>(T) { run<T>(a, stream); });
}

WinogradMemory winograd_memory(const Conv2d& size) {
  const Plan p(size);
  return {size_t(p.points * (p.input_stride() + p.output_stride())) * sizeof(float),
          size_t(transformed_count(p)) * sizeof(float), p.T};
}

}  // namespace gan::cpu
