// Batches out of resident pictures, and colour spaces. None has a gradient.
#include "engine/tensor/ops.h"

namespace gan {

namespace {

constexpr const char* kPicturesAreData = "pictures are data; detach() what comes from a network";
Exported outside() { return not_exported("pictures are prepared outside of the network"); }

struct ImageBatchRecord {
  Tensor pool, placement;
  static constexpr const char* refuses_gradient = kPicturesAreData;
  const char* name() const { return "image_batch"; }
  Tensors inputs() const { return {&pool, &placement}; }
  Exported exported() const { return outside(); }
};

struct RgbToLabRecord {
  Tensor rgb;
  static constexpr const char* refuses_gradient = kPicturesAreData;
  const char* name() const { return "rgb_to_lab"; }
  Tensors inputs() const { return {&rgb}; }
  Exported exported() const { return outside(); }
};

struct LabToRgbRecord {
  Tensor l, ab;
  static constexpr const char* refuses_gradient = kPicturesAreData;
  const char* name() const { return "lab_to_rgb"; }
  Tensors inputs() const { return {&l, &ab}; }
  Exported exported() const { return outside(); }
};

}  // namespace

Tensor image_batch(const Tensor& pool, const Tensor& placement, int height, int width) {
  GAN_CHECK(pool.dtype() == DType::u8 && placement.dtype() == DType::i32 && placement.dim(1) == 4);
  DeviceContext& c = pool.context();
  Tensor batch(c, {placement.dim(0), height, width, pool.dim(3)});
  c.run(c.kernels().image.batch, {.count = int(placement.dim(0)),
                                  .pool_height = int(pool.dim(1)),
                                  .pool_width = int(pool.dim(2)),
                                  .height = height,
                                  .width = width,
                                  .channels = int(pool.dim(3)),
                                  .pool = pool.in(),
                                  .placement = placement.in(),
                                  .batch = batch.out()});
  record(batch, ImageBatchRecord{pool, placement});
  return batch;
}

LabPicture rgb_to_lab(const Tensor& rgb) {
  GAN_CHECK(rgb.shape().rank == 4 && rgb.dim(3) == 3, "rgb_to_lab of {}", to_string(rgb.shape()));
  DeviceContext& c = rgb.context();
  const Shape s = rgb.shape();
  LabPicture lab{Tensor(c, {s[0], s[1], s[2], 1}), Tensor(c, {s[0], s[1], s[2], 2})};
  c.run(c.kernels().image.rgb_to_lab,
        {.count = lab.l.count(), .rgb = rgb.in(), .l = lab.l.out(), .ab = lab.ab.out()});
  record(lab.l, RgbToLabRecord{rgb});
  record(lab.ab, RgbToLabRecord{rgb});
  return lab;
}

Tensor lab_to_rgb(const Tensor& l, const Tensor& ab) {
  GAN_CHECK(l.shape().rank == 4 && l.dim(3) == 1 && ab.count() == 2 * l.count(), "lab_to_rgb of {} and {}",
            to_string(l.shape()), to_string(ab.shape()));
  DeviceContext& c = l.context();
  Tensor rgb(c, {l.dim(0), l.dim(1), l.dim(2), 3});
  c.run(c.kernels().image.lab_to_rgb, {.count = l.count(), .l = l.in(), .ab = ab.in(), .rgb = rgb.out()});
  record(rgb, LabToRgbRecord{l, ab});
  return rgb;
}

}  // namespace gan
