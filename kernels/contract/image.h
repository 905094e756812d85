// Batches out of pictures in memory, colours, and the exchange with kept pictures.
#pragma once
#include "kernels/contract/ports.h"
#include "kernels/contract/variant.h"

namespace gan {

// A training batch out of the resident pictures:
//   batch[n,y,x,c] = pool[index, top + y, left + (flip ? width-1-x : x), c] / 127.5 - 1
struct ImageBatch {
  static constexpr const char* op = "image_batch";
  int count = 0;                            // pictures in the batch
  int pool_height = 0, pool_width = 0;      // size of the resident pictures
  int height = 0, width = 0, channels = 0;  // of the crop
  In pool;
  In placement;  // index, top, left, flip of each
  Out batch;
  int pictures = 1;  // resident ones

  static constexpr auto ports() {
    return std::array{reads(
                          "pool", &ImageBatch::pool,
                          [](const ImageBatch& o) -> Extents {
                            return {o.pictures, o.pool_height, o.pool_width, o.channels};
                          },
                          Kind::byte),
                      reads(
                          "placement", &ImageBatch::placement,
                          [](const ImageBatch& o) -> Extents {
                            return {o.count, 4};
                          },
                          Kind::index)
                          .below(limit_of_placement),
                      writes("batch", &ImageBatch::batch, [](const ImageBatch& o) -> Extents {
                        return {o.count, o.height, o.width, o.channels};
                      })};
  }
  static int64_t limit_of_placement(const ImageBatch& o, int64_t i) {
    const int limits[] = {o.pictures, o.pool_height - o.height + 1, o.pool_width - o.width + 1, 2};
    return limits[i % 4];
  }
  void sizes(Sizes& s) {
    s.size("count", count, 4, 64);
    s.size("pictures", pictures, 4, 256);
    s.size("pool_height", pool_height, 36, 72);
    s.size("pool_width", pool_width, 36, 72);
    s.size("height", height, 32, 64);
    s.size("width", width, 32, 64);
    s.size("channels", channels, 3, 3);
  }
  const char* wrong() const {
    if (count < 0 || pictures < 1 || height < 1 || width < 1 || channels < 1)
      return "pictures, height, width and channels must be at least 1";
    return height <= pool_height && width <= pool_width ? nullptr : "the crop is larger than the picture";
  }
};

// Extents of pictures by their parts.
template <class Args>
Extents pixels_of_1(const Args& o) {
  return {o.count};
}
template <class Args>
Extents pixels_of_2(const Args& o) {
  return {o.count, 2};
}
template <class Args>
Extents pixels_of_3(const Args& o) {
  return {o.count, 3};
}

// Colours between sRGB, as networks have it in [-1,1], and the parts of CIE Lab that colorization works on:
// l = L/50 - 1 and ab = (a, b)/110 (kernels/shared/colour.h). Back in sRGB, what no screen can show is clipped.
struct RgbToLab {
  static constexpr const char* op = "rgb_to_lab";
  int64_t count = 0;  // pixels
  In rgb;
  Out l, ab;

  static constexpr auto ports() {
    return std::array{reads("rgb", &RgbToLab::rgb, pixels_of_3), writes("l", &RgbToLab::l, pixels_of_1),
                      writes("ab", &RgbToLab::ab, pixels_of_2)};
  }
  void sizes(Sizes& s) { s.size("count", count, 1024, 1 << 18); }
  const char* wrong() const { return count >= 1 ? nullptr : "there must be pixels"; }
};
struct LabToRgb {
  static constexpr const char* op = "lab_to_rgb";
  int64_t count = 0;  // pixels
  In l, ab;
  Out rgb;

  static constexpr auto ports() {
    return std::array{reads("l", &LabToRgb::l, pixels_of_1), reads("ab", &LabToRgb::ab, pixels_of_2),
                      writes("rgb", &LabToRgb::rgb, pixels_of_3)};
  }
  void sizes(Sizes& s) { s.size("count", count, 1024, 1 << 18); }
  const char* wrong() const { return count >= 1 ? nullptr : "there must be pixels"; }
};

// A batch is shown, in part as pictures that were kept earlier. For each picture n in turn, with
// (place, swap) = places[n]: place -1 shows it, and keeps nothing; else it is kept at `place`, and shown is
// itself (swap 0) or what was kept there before (swap 1). Later pictures of the batch see what earlier ones
// left. Copies, bit for bit.
struct PoolExchange {
  static constexpr const char* op = "pool_exchange";
  int count = 0;         // pictures in the batch
  int kept = 0;          // places in the pool
  int64_t elements = 0;  // of a picture
  In batch;
  In places;  // place -1 ... kept-1, swap 0 or 1
  Out pool;
  Out shown;  // not the batch itself

  static constexpr auto ports() {
    return std::array{reads("batch", &PoolExchange::batch, pictures_of_batch),
                      reads(
                          "places", &PoolExchange::places,
                          [](const PoolExchange& o) -> Extents {
                            return {o.count, 2};
                          },
                          Kind::index)
                          .below(limit_of_places),
                      updates("pool", &PoolExchange::pool,
                              [](const PoolExchange& o) -> Extents {
                                return {o.kept, o.elements};
                              })
                          .set_only(),
                      writes("shown", &PoolExchange::shown, pictures_of_batch).set_only()};
  }
  static Extents pictures_of_batch(const PoolExchange& o) { return {o.count, o.elements}; }
  static int64_t limit_of_places(const PoolExchange& o, int64_t i) { return i % 2 == 0 ? o.kept : 2; }
  void sizes(Sizes& s) {
    s.size("count", count, 4, 4);
    s.size("kept", kept, 3, 50);
    s.size("elements", elements, 1024, 3 << 16);
  }
  const char* wrong() const {
    if (count < 0 || kept < 1 || elements < 1) return "kept and elements must be at least 1";
    return elements < INT32_MAX ? nullptr : "a picture has 2^31 elements or more";
  }
};

struct ImageTable {
  static constexpr const char* family = "image";
  Op<ImageBatch> batch = {};
  Op<RgbToLab> rgb_to_lab = {};
  Op<LabToRgb> lab_to_rgb = {};
  Op<PoolExchange> pool_exchange = {};

  template <class Table, class F>
  static constexpr void for_each(Table& table, F&& f) {
    f(table.batch);
    f(table.rgb_to_lab);
    f(table.lab_to_rgb);
    f(table.pool_exchange);
  }
};

}  // namespace gan
