// Random numbers: element i is a function of (seed, stream, step, i) alone, written in philox.h. Whatever
// computes it, on however many threads, gets the same bits. Dropout draws its mask from them each time.
#include "kernels/shared/philox.h"

#include "kernels/gpu/family.cuh"

namespace gan::GAN_GPU {
namespace {

struct Key {
  uint64_t seed;
  uint32_t stream, step;
  const int32_t* step_at;  // null, or where a counter lies that is added to `step`
};

// The key with the step that the counter says.
__device__ Key counted(Key key) {
  if (key.step_at) key.step += uint32_t(*key.step_at);
  return key;
}

// The four numbers that one evaluation of Philox makes, and one number of a stream.
struct Normal {
  __device__ static Four four(Philox4 bits) {
    Four r;
    normals_from_bits(bits.v[0], bits.v[1], r.v[0], r.v[1]);
    normals_from_bits(bits.v[2], bits.v[3], r.v[2], r.v[3]);
    return r;
  }
  __device__ static float one(Key k, int64_t i) {
    return random_normal(k.seed, k.stream, k.step, uint64_t(i));
  }
};
struct Uniform {
  __device__ static Four four(Philox4 bits) {
    Four r;
    for (int k = 0; k < 4; ++k) r.v[k] = uniform_from_bits(bits.v[k]);
    return r;
  }
  __device__ static float one(Key k, int64_t i) {
    return random_uniform(k.seed, k.stream, k.step, uint64_t(i));
  }
};

// naive: one element per thread, though one evaluation would make four.
template <class Distribution, class T>
__global__ void random_naive(Key given, int64_t count, T* y, bool add) {
  const Key key = counted(given);
  for (int64_t i = first_element(); i < count; i += element_step()) put(y, i, Distribution::one(key, i), add);
}

// fours: one evaluation, four elements per thread.
template <class Distribution, class T>
__global__ void random_fours(Key given, int64_t count, T* y, bool add) {
  const Key key = counted(given);
  for (int64_t block = first_element(); 4 * block < count; block += element_step()) {
    const Four four = Distribution::four(random_bits(key.seed, key.stream, key.step, uint64_t(block)));
#pragma unroll
    for (int k = 0; k < 4; ++k)
      if (4 * block + k < count) put(y, 4 * block + k, four.v[k], add);
  }
}

// The same two rungs: dropout of elements whose random numbers begin at `first`.
template <class T>
__global__ void dropout_naive(Key given, int64_t count, uint64_t first, float p, float scale, const T* x,
                              T* y, bool add) {
  const Key key = counted(given);
  for (int64_t i = first_element(); i < count; i += element_step())
    put(y, i, Uniform::one(key, int64_t(first) + i) >= p ? scale * to_float(x[i]) : 0.0f, add);
}
template <class T>
__global__ void dropout_fours(Key given, int64_t count, uint64_t first, float p, float scale, const T* x,
                              T* y, bool add) {
  const Key key = counted(given);
  for (int64_t block = first_element(); 4 * block < count; block += element_step()) {
    const Four u = Uniform::four(random_bits(key.seed, key.stream, key.step, first / 4 + uint64_t(block)));
#pragma unroll
    for (int k = 0; k < 4; ++k)
      if (4 * block + k < count)
        put(y, 4 * block + k, u.v[k] >= p ? scale * to_float(x[4 * block + k]) : 0.0f, add);
  }
}

// ---- Launchers -----------------------------------------------------------------------------------------

template <class Distribution, bool fours, class Args>
void run(const Args& o, Stream& stream) {
  if (o.count == 0) return;
  const Key key{o.seed, o.stream, o.step, o.step_at.template as<int32_t>()};
  with_type(o.y.dtype, [&]<class T>(T) {
    if (fours)
      launch(random_fours<Distribution, T>, grid_for(ceil_div(o.count, int64_t{4})), block_threads, 0,
             handle_of(stream), key, o.count, o.y.template as<T>(), o.y.acc == Acc::add);
    else
      launch(random_naive<Distribution, T>, grid_for(o.count), block_threads, 0, handle_of(stream), key,
             o.count, o.y.template as<T>(), o.y.acc == Acc::add);
  });
}

template <bool fours>
void run_dropout(const Dropout& o, Stream& stream) {
  if (o.count == 0) return;
  const Key key{o.seed, o.stream, o.step, o.step_at.as<int32_t>()};
  with_type(o.x.dtype, [&]<class T>(T) {
    const float p = float(o.p), scale = float(1 / (1 - o.p));
    if (fours)
      launch(dropout_fours<T>, grid_for(ceil_div(o.count, int64_t{4})), block_threads, 0, handle_of(stream),
             key, o.count, o.first, p, scale, o.x.as<T>(), o.y.as<T>(), o.y.acc == Acc::add);
    else
      launch(dropout_naive<T>, grid_for(o.count), block_threads, 0, handle_of(stream), key, o.count, o.first,
             p, scale, o.x.as<T>(), o.y.as<T>(), o.y.acc == Acc::add);
  });
}

// ---- Variants ------------------------------------------------------------------------------------------

const Variant<RandomNormal> normal[] = {
    {"naive", "f32 bf16", "any size", fits_any<RandomNormal>, run<Normal, false>},
    {"fours", "f32 bf16", "any size", fits_any<RandomNormal>, run<Normal, true>},
};
const Variant<RandomUniform> uniform[] = {
    {"naive", "f32 bf16", "any size", fits_any<RandomUniform>, run<Uniform, false>},
    {"fours", "f32 bf16", "any size", fits_any<RandomUniform>, run<Uniform, true>},
};

const Variant<Dropout> dropout[] = {
    {"naive", "f32 bf16", "any size", fits_any<Dropout>, run_dropout<false>},
    {"fours", "f32 bf16", "first a multiple of 4",
     [](const Dropout& o) -> const char* {
       return o.first % 4 == 0 ? nullptr : "first is not a multiple of 4";
     },
     run_dropout<true>},
};

}  // namespace

const RngTable rng = {{normal}, {uniform}, {dropout}};

}  // namespace gan::GAN_GPU
