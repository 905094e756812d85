// Pointwise operations and plain sums.
//
//   y[i] = f(a[i], b[i])                 activations, their gradients, a + b, scale * x + shift, ...
//   sum  = scale * (x[0] + x[1] + ...)   sum
//   sums[c] = x[0,c] + x[1,c] + ...      sum_rows
//   y[r, first + c] = f(x[r, c])         put_channels and its gradient, take_channels
//
// Read on: 1 the functions f, 2 naive: one element per thread, 3 vec4: four elements per thread,
// 4 sums, 5 channels, 6 launchers, 7 the list of variants. All are bound by memory: the only art is to keep
// many loads under way.
#include "kernels/gpu/family.cuh"

namespace gan::GAN_GPU {
namespace {

// ---- 1 Functions ---------------------------------------------------------------------------------------
// f(a, b) in float32; one that has a single input ignores b.

struct Activate {
  Activation act;
  __device__ float operator()(float x, float) const { return activate(act, x); }
};
struct ActivationGradient {
  Activation act;
  __device__ float operator()(float y, float dy) const { return dy * activation_slope(act, y); }
};
__device__ float combine(BinaryKind kind, float a, float b) {
  return kind == BinaryKind::add ? a + b : kind == BinaryKind::subtract ? a - b : a * b;
}
struct Combine {
  BinaryKind kind;
  __device__ float operator()(float a, float b) const { return combine(kind, a, b); }
};
template <class B>
struct CombineWithScalar {  // the scalar lies on the device
  BinaryKind kind;
  const B* b;
  __device__ float operator()(float a, float) const { return combine(kind, a, to_float(*b)); }
};
struct ScaleAndShift {
  float scale, shift;
  __device__ float operator()(float x, float) const { return scale * x + shift; }
};
// The exponents that statistics and quotients need cost no pow.
struct RaiseToPower {
  float exponent, shift;
  __device__ float operator()(float x, float) const {
    const float base = x + shift;
    if (exponent == 0.5f) return sqrtf(base);
    if (exponent == -0.5f) return 1.0f / sqrtf(base);
    if (exponent == -1.0f) return 1.0f / base;
    return powf(base, exponent);
  }
};
template <class X>
struct Repeat {
  float scale;
  const X* x;  // (1) or null
  __device__ float operator()(float, float) const { return x ? scale * to_float(*x) : scale; }
};

// The data type of an input that is not there; it reads as 0.
struct Absent {};
template <class T>
__device__ __forceinline__ float at(const T* from, int64_t i) {
  return to_float(from[i]);
}
__device__ __forceinline__ float at(const Absent*, int64_t) { return 0.0f; }
template <class T>
__device__ __forceinline__ Four four_at(const T* from, int64_t i) {
  return load_four(from + i);
}
__device__ __forceinline__ Four four_at(const Absent*, int64_t) { return {{0, 0, 0, 0}}; }

// ---- 2 naive: one element per thread -------------------------------------------------------------------

template <class F, class A, class B, class Y>
__global__ void map_naive(F f, int64_t count, const A* a, const B* b, Y* y, bool add) {
  for (int64_t i = first_element(); i < count; i += element_step()) put(y, i, f(at(a, i), at(b, i)), add);
}

// ---- 3 vec4: four elements per thread ------------------------------------------------------------------
// One load instruction moves 16 bytes, so a quarter of the instructions keeps as many bytes under way.

template <class F, class A, class B, class Y>
__global__ void map_vec4(F f, int64_t count, const A* a, const B* b, Y* y, bool add) {
  const int64_t quads = count / 4;
  for (int64_t quad = first_element(); quad < quads; quad += element_step()) {
    const int64_t i = 4 * quad;
    const Four from_a = four_at(a, i), from_b = four_at(b, i);
    Four result = add ? load_four(y + i) : Four{{0, 0, 0, 0}};
    for (int k = 0; k < 4; ++k) {
      const float value = f(from_a.v[k], from_b.v[k]);
      result.v[k] = add ? result.v[k] + value : value;
    }
    store_four(y + i, result);
  }
  // The last count % 4 elements.
  for (int64_t i = 4 * quads + first_element(); i < count; i += element_step())
    put(y, i, f(at(a, i), at(b, i)), add);
}

// ---- 4 Sums --------------------------------------------------------------------------------------------

// Each block writes the sum of its share. One block alone is the naive rung. The better one runs this twice:
// many blocks over x, then one block over their sums. Two launches rather than atomics, so that the order of
// the additions, and with it the last bit, never changes.
template <class T>
__global__ void sum_block(int64_t count, float scale, const T* x, float* sums, bool add) {
  SHARED_ARRAY(float, scratch, [32]);
  float sum = 0;
#pragma unroll 8
  for (int64_t i = first_element(); i < count; i += element_step()) sum += to_float(x[i]);
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) put(sums, blockIdx.x, scale * sum, add);
}

// naive: one thread per channel, in double, because one long float32 sum would lose digits that pairwise sums
// keep.
template <class T>
__global__ void sum_rows_naive(int64_t rows, int channels, const T* x, float* sums, bool add) {
  for (int64_t c = first_element(); c < channels; c += element_step()) {
    double sum = 0;
    for (int64_t r = 0; r < rows; ++r) sum += to_float(x[r * channels + c]);
    put(sums, c, float(sum), add);
  }
}

// tiles: a block sums up to 32 channels of chunk_rows rows (family.cuh, "Columns") and writes one row of
// sums (chunks, channels). More than one chunk: the same kernel again, over those rows.
template <class T>
__global__ void sum_rows_tile(int64_t rows, int channels, int64_t chunk_rows, const T* x, float* sums,
                              bool add) {
  SHARED_ARRAY(float, shared, [block_threads]);
  const int c = int(blockIdx.x * blockDim.x + threadIdx.x);
  const int64_t begin = int64_t(blockIdx.y) * chunk_rows, end = min(begin + chunk_rows, rows);
  float sum = 0;
  if (c < channels) {
#pragma unroll 8
    for (int64_t r = begin + threadIdx.y; r < end; r += blockDim.y) sum += to_float(x[r * channels + c]);
  }
  sum = sum_of_groups(sum, shared);
  if (c < channels && threadIdx.y == 0) put(sums, int64_t(blockIdx.y) * channels + c, sum, add);
}

// ---- 5 Channels ----------------------------------------------------------------------------------------

// Element i of the narrow matrix (rows, channels) lies at `wide(i)` of the wide one (rows, y_channels).
struct ChannelPart {
  int channels, y_channels, first;
  __device__ int64_t wide(int64_t i) const { return i / channels * y_channels + first + i % channels; }
};

template <class T>
__global__ void put_channels_naive(int64_t count, ChannelPart part, Activation act, const T* x, T* y,
                                   bool add) {
  for (int64_t i = first_element(); i < count; i += element_step())
    put(y, part.wide(i), activate(act, to_float(x[i])), add);
}
template <class T>
__global__ void take_channels_naive(int64_t count, ChannelPart part, Activation act, const T* y, const T* dy,
                                    T* dx, bool add) {
  for (int64_t i = first_element(); i < count; i += element_step()) {
    const int64_t from = part.wide(i);
    put(dx, i, to_float(dy[from]) * (y ? activation_slope(act, to_float(y[from])) : 1.0f), add);
  }
}

// vec4: all of `channels`, `y_channels` and `first` are multiples of 4, so that four channels of a row stay
// together.
template <class T>
__global__ void put_channels_vec4(int64_t count, ChannelPart part, Activation act, const T* x, T* y,
                                  bool add) {
  for (int64_t quad = first_element(); quad < count / 4; quad += element_step()) {
    const int64_t to = part.wide(4 * quad);
    const Four from = load_four(x + 4 * quad);
    Four result = add ? load_four(y + to) : Four{{0, 0, 0, 0}};
    for (int k = 0; k < 4; ++k) {
      const float value = activate(act, from.v[k]);
      result.v[k] = add ? result.v[k] + value : value;
    }
    store_four(y + to, result);
  }
}
template <class T>
__global__ void take_channels_vec4(int64_t count, ChannelPart part, Activation act, const T* y, const T* dy,
                                   T* dx, bool add) {
  for (int64_t quad = first_element(); quad < count / 4; quad += element_step()) {
    const int64_t from = part.wide(4 * quad);
    const Four gradient = load_four(dy + from), output = y ? load_four(y + from) : Four{{0, 0, 0, 0}};
    Four result = add ? load_four(dx + 4 * quad) : Four{{0, 0, 0, 0}};
    for (int k = 0; k < 4; ++k) {
      const float value = gradient.v[k] * (y ? activation_slope(act, output.v[k]) : 1.0f);
      result.v[k] = add ? result.v[k] + value : value;
    }
    store_four(dx + 4 * quad, result);
  }
}

// ---- 6 Launchers ---------------------------------------------------------------------------------------

template <bool vec4, class F, class A, class B, class Y>
void map(F f, int64_t count, const A* a, const B* b, Y* y, Acc acc, Stream& stream) {
  if (count == 0) return;
  const bool add = acc == Acc::add;
  if (vec4 && aligned_for_four({a, b, y}))
    launch(map_vec4<F, A, B, Y>, grid_for(ceil_div(count, int64_t{4})), block_threads, 0, handle_of(stream),
           f, count, a, b, y, add);
  else
    launch(map_naive<F, A, B, Y>, grid_for(count), block_threads, 0, handle_of(stream), f, count, a, b, y,
           add);
}
constexpr const Absent* absent = nullptr;

template <bool vec4>
void run_activation_fwd(const ActivationFwd& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    map<vec4>(Activate{o.act}, o.count, o.x.as<T>(), absent, o.y.as<T>(), o.y.acc, stream);
  });
}

template <bool vec4>
void run_activation_bwd(const ActivationBwd& o, Stream& stream) {
  with_type(o.y.dtype, [&]<class T>(T) {
    map<vec4>(ActivationGradient{o.act}, o.count, o.y.as<T>(), o.dy.as<T>(), o.dx.as<T>(), o.dx.acc, stream);
  });
}

template <bool vec4>
void run_binary(const Binary& o, Stream& stream) {
  with_type(o.a.dtype, [&]<class T>(T) {
    if (o.b_count == o.count)
      map<vec4>(Combine{o.kind}, o.count, o.a.as<T>(), o.b.as<T>(), o.y.as<T>(), o.y.acc, stream);
    else if (o.b.dtype == DType::f32)  // a loss is float32 whatever it is multiplied with
      map<vec4>(CombineWithScalar<float>{o.kind, o.b.as<float>()}, o.count, o.a.as<T>(), absent, o.y.as<T>(),
                o.y.acc, stream);
    else
      map<vec4>(CombineWithScalar<T>{o.kind, o.b.as<T>()}, o.count, o.a.as<T>(), absent, o.y.as<T>(), o.y.acc,
                stream);
  });
}

template <bool vec4>
void run_affine(const Affine& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class X>(X) {
    with_type(o.y.dtype, [&]<class Y>(Y) {
      map<vec4>(ScaleAndShift{float(o.scale), float(o.shift)}, o.count, o.x.as<X>(), absent, o.y.as<Y>(),
                o.y.acc, stream);
    });
  });
}

template <bool vec4>
void run_power(const Power& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    map<vec4>(RaiseToPower{float(o.exponent), float(o.shift)}, o.count, o.x.as<T>(), absent, o.y.as<T>(),
              o.y.acc, stream);
  });
}

template <bool vec4>
void run_broadcast(const Broadcast& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class X>(X) {
    with_type(o.y.dtype, [&]<class Y>(Y) {
      map<vec4>(Repeat<X>{float(o.scale), o.x.as<X>()}, o.count, absent, absent, o.y.as<Y>(), o.y.acc,
                stream);
    });
  });
}

void run_sum(const Sum& o, Stream& stream, int64_t blocks) {
  float* sum = o.sum.as<float>();
  const bool add = o.sum.acc == Acc::add;
  with_type(o.x.dtype, [&]<class T>(T) {
    const T* x = o.x.as<T>();
    if (blocks == 1)
      return launch(sum_block<T>, 1, block_threads, 0, handle_of(stream), o.count, float(o.scale), x, sum,
                    add);
    float* sums = static_cast<float*>(stream.scratch(size_t(blocks) * sizeof(float)));  // (blocks)
    launch(sum_block<T>, unsigned(blocks), block_threads, 0, handle_of(stream), o.count, 1.0f, x, sums,
           false);
    launch(sum_block<float>, 1, block_threads, 0, handle_of(stream), blocks, float(o.scale), sums, sum, add);
  });
}
void run_sum_naive(const Sum& o, Stream& stream) { run_sum(o, stream, 1); }
void run_sum_two_launches(const Sum& o, Stream& stream) {
  // A function of the count alone: the same additions in the same order on every GPU.
  run_sum(o, stream, std::clamp<int64_t>(o.count / (16 * block_threads), 1, 1024));
}

void run_sum_rows_naive(const SumRows& o, Stream& stream) {
  with_type(o.x.dtype, [&]<class T>(T) {
    launch(sum_rows_naive<T>, grid_for(o.channels), block_threads, 0, handle_of(stream), o.rows, o.channels,
           o.x.as<T>(), o.sums.as<float>(), o.sums.acc == Acc::add);
  });
}
void run_sum_rows_tiles(const SumRows& o, Stream& stream) {
  const ColumnTiles t(o.rows, o.channels, block_threads, 256);
  float* sums = o.sums.as<float>();
  const bool add = o.sums.acc == Acc::add;
  with_type(o.x.dtype, [&]<class T>(T) {
    const dim3 grid(t.tiles, unsigned(t.chunks));
    if (t.chunks == 1)
      return launch(sum_rows_tile<T>, grid, t.block, 0, handle_of(stream), o.rows, o.channels, t.chunk_rows,
                    o.x.as<T>(), sums, add);
    float* partial = static_cast<float*>(stream.scratch(size_t(t.chunks) * o.channels * sizeof(float)));
    launch(sum_rows_tile<T>, grid, t.block, 0, handle_of(stream), o.rows, o.channels, t.chunk_rows,
           o.x.as<T>(), partial, false);
    launch(sum_rows_tile<float>, t.tiles, t.block, 0, handle_of(stream), t.chunks, o.channels, t.chunks,
           partial, sums, add);
  });
}

template <class Args>
ChannelPart part_of(const Args& o) {
  return {o.channels, o.y_channels, o.first};
}
template <bool vec4>
void run_put_channels(const PutChannels& o, Stream& stream) {
  if (vec4 && !aligned_for_four({o.x.data, o.y.data})) return run_put_channels<false>(o, stream);
  const int64_t count = o.rows * o.channels;
  with_type(o.x.dtype, [&]<class T>(T) {
    launch(vec4 ? put_channels_vec4<T> : put_channels_naive<T>, grid_for(vec4 ? count / 4 : count),
           block_threads, 0, handle_of(stream), count, part_of(o), o.act, o.x.as<T>(), o.y.as<T>(),
           o.y.acc == Acc::add);
  });
}
template <bool vec4>
void run_take_channels(const TakeChannels& o, Stream& stream) {
  if (vec4 && !aligned_for_four({o.y.data, o.dy.data, o.dx.data})) return run_take_channels<false>(o, stream);
  const int64_t count = o.rows * o.channels;
  with_type(o.dy.dtype, [&]<class T>(T) {
    launch(vec4 ? take_channels_vec4<T> : take_channels_naive<T>, grid_for(vec4 ? count / 4 : count),
           block_threads, 0, handle_of(stream), count, part_of(o), o.act, o.y.as<T>(), o.dy.as<T>(),
           o.dx.as<T>(), o.dx.acc == Acc::add);
  });
}

// ---- 7 Variants ----------------------------------------------------------------------------------------

template <class Args>
constexpr Variant<Args> naive(void (*run)(const Args&, Stream&)) {
  return {"naive", "f32 bf16", "any size", fits_any<Args>, run};
}
template <class Args>
constexpr Variant<Args> vec4(void (*run)(const Args&, Stream&)) {
  return {"vec4", "f32 bf16", "any size; parts of buffers that do not start at 16 bytes run as naive",
          fits_any<Args>, run};
}

const Variant<ActivationFwd> activation_fwd[] = {naive(run_activation_fwd<false>),
                                                 vec4(run_activation_fwd<true>)};
const Variant<ActivationBwd> activation_bwd[] = {naive(run_activation_bwd<false>),
                                                 vec4(run_activation_bwd<true>)};
const Variant<Binary> binary[] = {naive(run_binary<false>), vec4(run_binary<true>)};
const Variant<Affine> affine[] = {naive(run_affine<false>), vec4(run_affine<true>)};
const Variant<Power> power[] = {naive(run_power<false>), vec4(run_power<true>)};
const Variant<Broadcast> broadcast[] = {naive(run_broadcast<false>), vec4(run_broadcast<true>)};
const Variant<Sum> sum[] = {
    naive(run_sum_naive),
    {"two_launches", "f32 bf16", "any size; one launch below 8192", fits_any<Sum>, run_sum_two_launches},
};
const Variant<SumRows> sum_rows[] = {
    naive(run_sum_rows_naive),
    {"tiles", "f32 bf16", "any size", fits_any<SumRows>, run_sum_rows_tiles},
};

template <class Args>
const char* fits_fours(const Args& o) {
  return o.channels % 4 == 0 && o.y_channels % 4 == 0 && o.first % 4 == 0
             ? nullptr
             : "channels, y_channels and first must be multiples of 4";
}
const Variant<PutChannels> put_channels[] = {
    naive(run_put_channels<false>),
    {"vec4", "f32 bf16", "channels in fours; parts of buffers that do not start at 16 bytes run as naive",
     fits_fours<PutChannels>, run_put_channels<true>},
};
const Variant<TakeChannels> take_channels[] = {
    naive(run_take_channels<false>),
    {"vec4", "f32 bf16", "channels in fours; parts of buffers that do not start at 16 bytes run as naive",
     fits_fours<TakeChannels>, run_take_channels<true>},
};

}  // namespace

const PointwiseTable pointwise = {{activation_fwd}, {activation_bwd}, {binary}, {affine},
                                  {power},          {broadcast},      {sum},    {sum_rows},
                                  {put_channels},   {take_channels}};

}  // namespace gan::GAN_GPU
