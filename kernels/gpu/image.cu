// Training batches out of the resident pictures: crop, flip, and bytes to [-1, 1].
//
//   batch[n,y,x,c] = pool[index, top + y, left + (flip ? width-1-x : x), c] / 127.5 - 1
//
// where (index, top, left, flip) = placement[n] is drawn by the engine. A division rather than a product, so
// that every device rounds the same and trains on the same bits. Then colours: sRGB to Lab and back, a
// pixel per thread, all of it arithmetic (kernels/shared/colour.h). At the end generated pictures and those kept
// of earlier steps: which are exchanged lies on the device, drawn by the engine.
#include "kernels/gpu/family.cuh"
#include "kernels/shared/colour.h"

namespace gan::GAN_GPU {
namespace {

struct Sizes {
  int count, pool_height, pool_width, height, width, channels;
};

__device__ float normalised(uint8_t byte) { return float(byte) / 127.5f - 1.0f; }

// naive: one element per thread.
template <class T>
__global__ void image_batch_naive(Sizes s, const uint8_t* pool, const int32_t* placement, T* batch,
                                  bool add) {
  const int64_t count = int64_t(s.count) * s.height * s.width * s.channels;
  for (int64_t i = first_element(); i < count; i += element_step()) {
    const int c = int(i % s.channels);
    const int x = int(i / s.channels % s.width);
    const int y = int(i / s.channels / s.width % s.height);
    const int n = int(i / s.channels / s.width / s.height);
    const int32_t* place = placement + 4 * n;
    const int64_t index = place[0], top = place[1], left = place[2];
    const int64_t row = index * s.pool_height + top + y, column = left + (place[3] ? s.width - 1 - x : x);
    put(batch, i, normalised(pool[(row * s.pool_width + column) * s.channels + c]), add);
  }
}

// rows: a block copies whole rows of pictures, so that the five divisions above become two for each row and
// one for each element.
template <class T>
__global__ void __launch_bounds__(block_threads)
    image_batch_rows(Sizes s, const uint8_t* pool, const int32_t* placement, T* batch, bool add) {
  const int row_elements = s.width * s.channels;
  for (int64_t row = blockIdx.x; row < int64_t(s.count) * s.height; row += gridDim.x) {
    const int n = int(row / s.height), y = int(row - int64_t(n) * s.height);
    const int4 place = *reinterpret_cast<const int4*>(placement + 4 * n);  // index, top, left, flip
    const int64_t pool_row = int64_t(place.x) * s.pool_height + place.y + y;
    const uint8_t* from = pool + (pool_row * s.pool_width + place.z) * s.channels;
    T* to = batch + row * row_elements;
    for (int i = int(threadIdx.x); i < row_elements; i += int(blockDim.x)) {
      const int x = i / s.channels, c = i - x * s.channels;
      put(to, i, normalised(from[(place.w ? s.width - 1 - x : x) * s.channels + c]), add);
    }
  }
}

// A pixel per thread.
template <class T>
__global__ void rgb_to_lab_naive(int64_t count, const T* rgb, T* l, T* ab, bool add_l, bool add_ab) {
  for (int64_t i = first_element(); i < count; i += element_step()) {
    auto channel = [&](int c) { return (to_float(rgb[3 * i + c]) + 1.0f) / 2.0f; };
    const Colour<float> lab = srgb_to_lab<float>({channel(0), channel(1), channel(2)});
    put(l, i, lab.x / 50.0f - 1.0f, add_l);
    put(ab, 2 * i, lab.y / 110.0f, add_ab);
    put(ab, 2 * i + 1, lab.z / 110.0f, add_ab);
  }
}
template <class T>
__global__ void lab_to_rgb_naive(int64_t count, const T* l, const T* ab, T* rgb, bool add) {
  for (int64_t i = first_element(); i < count; i += element_step()) {
    const Colour<float> c = lab_to_srgb<float>(
        {(to_float(l[i]) + 1.0f) * 50.0f, to_float(ab[2 * i]) * 110.0f, to_float(ab[2 * i + 1]) * 110.0f});
    put(rgb, 3 * i, 2.0f * c.x - 1.0f, add);
    put(rgb, 3 * i + 1, 2.0f * c.y - 1.0f, add);
    put(rgb, 3 * i + 2, 2.0f * c.z - 1.0f, add);
  }
}

// An element per thread: the pictures of the batch in turn, because they may follow each other at one place.
template <class T>
__global__ void pool_exchange_naive(int count, int64_t elements, const T* batch, const int32_t* places,
                                    T* pool, T* shown) {
  for (int64_t i = first_element(); i < elements; i += element_step())
    for (int n = 0; n < count; ++n) {
      const int64_t place = places[2 * n];
      const bool swap = places[2 * n + 1] != 0;
      const T picture = batch[n * elements + i];
      if (place < 0) {
        shown[n * elements + i] = picture;
        continue;
      }
      T* kept = pool + place * elements + i;
      shown[n * elements + i] = swap ? *kept : picture;
      *kept = picture;
    }
}

// ---- Launchers -----------------------------------------------------------------------------------------

Sizes sizes_of(const ImageBatch& o) {
  return {o.count, o.pool_height, o.pool_width, o.height, o.width, o.channels};
}

void run_naive(const ImageBatch& o, Stream& stream) {
  const Sizes s = sizes_of(o);
  if (s.count == 0) return;
  with_type(o.batch.dtype, [&]<class T>(T) {
    launch(image_batch_naive<T>, grid_for(int64_t(s.count) * s.height * s.width * s.channels), block_threads,
           0, handle_of(stream), s, o.pool.as<uint8_t>(), o.placement.as<int32_t>(), o.batch.as<T>(),
           o.batch.acc == Acc::add);
  });
}

void run_rows(const ImageBatch& o, Stream& stream) {
  const Sizes s = sizes_of(o);
  if (s.count == 0) return;
  GAN_CHECK(aligned_for_four({o.placement.data}), "placements are read four at a time");
  // Threads for one row, in whole warps.
  const int threads = std::min(block_threads, ceil_div(s.width * s.channels, 32) * 32);
  const unsigned blocks = unsigned(std::min<int64_t>(int64_t(s.count) * s.height, 1 << 20));
  with_type(o.batch.dtype, [&]<class T>(T) {
    launch(image_batch_rows<T>, blocks, threads, 0, handle_of(stream), s, o.pool.as<uint8_t>(),
           o.placement.as<int32_t>(), o.batch.as<T>(), o.batch.acc == Acc::add);
  });
}

void run_rgb_to_lab(const RgbToLab& o, Stream& stream) {
  with_type(o.rgb.dtype, [&]<class T>(T) {
    launch(rgb_to_lab_naive<T>, grid_for(o.count), block_threads, 0, handle_of(stream), o.count,
           o.rgb.as<T>(), o.l.as<T>(), o.ab.as<T>(), o.l.acc == Acc::add, o.ab.acc == Acc::add);
  });
}
void run_lab_to_rgb(const LabToRgb& o, Stream& stream) {
  with_type(o.l.dtype, [&]<class T>(T) {
    launch(lab_to_rgb_naive<T>, grid_for(o.count), block_threads, 0, handle_of(stream), o.count, o.l.as<T>(),
           o.ab.as<T>(), o.rgb.as<T>(), o.rgb.acc == Acc::add);
  });
}

void run_pool_exchange(const PoolExchange& o, Stream& stream) {
  if (o.count == 0) return;
  with_type(o.batch.dtype, [&]<class T>(T) {
    launch(pool_exchange_naive<T>, grid_for(o.elements), block_threads, 0, handle_of(stream), o.count,
           o.elements, o.batch.as<T>(), o.places.as<int32_t>(), o.pool.as<T>(), o.shown.as<T>());
  });
}

// ---- Variants ------------------------------------------------------------------------------------------

const Variant<ImageBatch> variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<ImageBatch>, run_naive},
    {"rows", "f32 bf16", "any size", fits_any<ImageBatch>, run_rows},
};

const Variant<RgbToLab> rgb_to_lab[] = {
    {"naive", "f32 bf16", "any size", fits_any<RgbToLab>, run_rgb_to_lab}};
const Variant<LabToRgb> lab_to_rgb[] = {
    {"naive", "f32 bf16", "any size", fits_any<LabToRgb>, run_lab_to_rgb}};
const Variant<PoolExchange> pool_exchange[] = {
    {"naive", "f32 bf16", "any size", fits_any<PoolExchange>, run_pool_exchange}};

}  // namespace

const ImageTable image = {{variants}, {rgb_to_lab}, {lab_to_rgb}, {pool_exchange}};

}  // namespace gan::GAN_GPU
