// Training batches out of resident pictures on the cpu: crop, flip, and 0..255 to -1..1. Colours to Lab and
// back. The exchange with kept pictures.
#include "kernels/cpu/loops.h"
#include "kernels/shared/colour.h"

namespace gan::cpu {
namespace {

GAN_TARGET_CLONES
void row_of_batch(const uint8_t* from, int width, int channels, bool flip, Acc acc, float* to) {
  with_accumulate(acc, [&](auto add) GAN_LAMBDA_INLINE {
    if (!flip) {
      for (int i = 0; i < width * channels; ++i) store<add.value>(to[i], float(from[i]) / 127.5f - 1.0f);
      return;
    }
    for (int x = 0; x < width; ++x)
      for (int c = 0; c < channels; ++c)
        store<add.value>(to[x * channels + c], float(from[(width - 1 - x) * channels + c]) / 127.5f - 1.0f);
  });
}

void run(const ImageBatch& a, Stream&) {
  const uint8_t* pool = a.pool.as<uint8_t>();
  const int32_t* placement = a.placement.as<int32_t>();
  float* batch = a.batch.as<float>();
  const int64_t row = int64_t(a.width) * a.channels, pool_row = int64_t(a.pool_width) * a.channels;
  parallel_ranges(int64_t(a.count) * a.height, row, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int32_t* place = placement + i / a.height * 4;  // index, top, left, flip
      const int64_t y = place[1] + i % a.height;
      const uint8_t* from =
          pool + (int64_t(place[0]) * a.pool_height + y) * pool_row + int64_t(place[2]) * a.channels;
      row_of_batch(from, a.width, a.channels, place[3] != 0, a.batch.acc, batch + i * row);
    }
  });
}

// Roots and powers make a pixel worth about a hundred elements.
constexpr int64_t work_of_a_pixel = 128;

void put(float& to, float value, bool add) { to = add ? to + value : value; }

void run(const RgbToLab& a, Stream&) {
  const float* rgb = a.rgb.as<float>();
  float *l = a.l.as<float>(), *ab = a.ab.as<float>();
  const bool add_l = a.l.acc == Acc::add, add_ab = a.ab.acc == Acc::add;
  parallel_ranges(a.count, work_of_a_pixel, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Colour<float> lab = srgb_to_lab<float>(
          {(rgb[3 * i] + 1.0f) / 2.0f, (rgb[3 * i + 1] + 1.0f) / 2.0f, (rgb[3 * i + 2] + 1.0f) / 2.0f});
      put(l[i], lab.x / 50.0f - 1.0f, add_l);
      put(ab[2 * i], lab.y / 110.0f, add_ab);
      put(ab[2 * i + 1], lab.z / 110.0f, add_ab);
    }
  });
}
void run(const LabToRgb& a, Stream&) {
  const float *l = a.l.as<float>(), *ab = a.ab.as<float>();
  float* rgb = a.rgb.as<float>();
  const bool add = a.rgb.acc == Acc::add;
  parallel_ranges(a.count, work_of_a_pixel, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Colour<float> c =
          lab_to_srgb<float>({(l[i] + 1.0f) * 50.0f, ab[2 * i] * 110.0f, ab[2 * i + 1] * 110.0f});
      put(rgb[3 * i], 2.0f * c.x - 1.0f, add);
      put(rgb[3 * i + 1], 2.0f * c.y - 1.0f, add);
      put(rgb[3 * i + 2], 2.0f * c.z - 1.0f, add);
    }
  });
}

// Each thread has a part of every picture: pictures may follow each other at one place of the pool.
void run(const PoolExchange& a, Stream&) {
  const float* batch = a.batch.as<float>();
  const int32_t* places = a.places.as<int32_t>();
  float *pool = a.pool.as<float>(), *shown = a.shown.as<float>();
  parallel_ranges(
      a.elements, 2 * a.count,
      [&](int64_t begin, int64_t end) {
        const size_t bytes = size_t(end - begin) * sizeof(float);
        for (int n = 0; n < a.count; ++n) {
          const int64_t place = places[2 * n], first = n * a.elements + begin;
          float* kept = place < 0 ? nullptr : pool + place * a.elements + begin;
          const bool swap = kept && places[2 * n + 1] != 0;
          std::memcpy(shown + first, swap ? kept : batch + first, bytes);
          if (kept) std::memcpy(kept, batch + first, bytes);
        }
      },
      16);
}

const Variant<ImageBatch> batch_variants[] = {{"loops", "f32", "any size", f32_only<ImageBatch>, run}};
const Variant<RgbToLab> rgb_to_lab_variants[] = {{"loops", "f32", "any size", f32_only<RgbToLab>, run}};
const Variant<LabToRgb> lab_to_rgb_variants[] = {{"loops", "f32", "any size", f32_only<LabToRgb>, run}};
const Variant<PoolExchange> pool_exchange_variants[] = {
    {"loops", "f32", "any size", f32_only<PoolExchange>, run}};
}  // namespace

const ImageTable image = {
    {batch_variants}, {rgb_to_lab_variants}, {lab_to_rgb_variants}, {pool_exchange_variants}};

}  // namespace gan::cpu
