// The pool of generated pictures.
#include "models/losses/image_pool.h"

#include "kernels/shared/philox.h"

namespace gan {

ImagePool::ImagePool(DeviceContext& context, int size, int64_t height, int64_t width, int64_t channels) {
  if (size == 0) return;
  pictures_ = Tensor(context, {size, height, width, channels});
  pictures_.zero();
}

Tensor ImagePool::exchange(const Tensor& batch, uint64_t seed, int64_t number) {
  if (!pictures_) return batch;
  const int64_t size = pictures_.dim(0), elements = pictures_.count() / size;
  const Shape one{1, batch.dim(1), batch.dim(2), batch.dim(3)};
  GAN_CHECK(one.count() == elements, "pool of {}, batch {}", to_string(pictures_.shape()),
            to_string(batch.shape()));
  DeviceContext& context = batch.context();
  auto copy = [&](const Tensor& from, const Tensor& to) {
    context.run(context.kernels().pointwise.affine, {.count = elements, .x = from.in(), .y = to.out()});
  };
  Tensor shown(context, batch.shape(), batch.dtype());
  for (int64_t i = 0; i < batch.dim(0); ++i) {
    const Tensor picture = batch.view(i * elements, one), to = shown.view(i * elements, one);
    const uint64_t at = uint64_t(number + i);
    auto chance = [&](uint64_t which) {
      return double(random_uniform(seed, uint32_t(RandomStream::pool), 0, 2 * at + which));
    };
    if (int64_t(at) >= size && chance(0) < 0.5) {
      const Tensor kept = pictures_.view(int64_t(chance(1) * double(size)) * elements, one);
      copy(kept, to);
      copy(picture, kept);
      continue;
    }
    copy(picture, to);
    if (int64_t(at) < size) copy(picture, pictures_.view(int64_t(at) * elements, one));
  }
  return shown;
}

}  // namespace gan
