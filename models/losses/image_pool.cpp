// The pool of generated pictures.
#include "models/losses/image_pool.h"

#include "kernels/shared/philox.h"

namespace gan {

ImagePool::ImagePool(DeviceContext& context, int size, int64_t height, int64_t width, int64_t channels) {
  if (size == 0) return;
  pictures_ = Tensor(context, {size, height, width, channels}, context.activations());
  pictures_.zero();
}

void ImagePool::prepare(uint64_t seed, int64_t number, int64_t count) {
  if (!pictures_) return;
  StepValues& values = pictures_.context().step_values();
  if (count > room_) {
    places_ = values.add_counters(2 * count);
    room_ = count;
  }
  announced_ = count;
  const int64_t size = pictures_.dim(0);
  std::vector<int32_t> places;  // of each picture: place or -1, swap
  for (int64_t at = number; at < number + count; ++at) {
    auto chance = [&](uint64_t which) {
      return double(random_uniform(seed, uint32_t(RandomStream::pool), 0, 2 * uint64_t(at) + which));
    };
    if (at < size) places.insert(places.end(), {int32_t(at), 0});
    else if (chance(0) < 0.5) places.insert(places.end(), {int32_t(chance(1) * double(size)), 1});
    else places.insert(places.end(), {-1, 0});
  }
  values.put(places_, places);
}

Tensor ImagePool::exchange(const Tensor& made) const {
  if (!pictures_) return made;
  const Tensor batch = cast(made, pictures_.dtype());
  const int64_t size = pictures_.dim(0), elements = pictures_.count() / size;
  GAN_CHECK(batch.count() == batch.dim(0) * elements, "pool of {}, batch {}", to_string(pictures_.shape()),
            to_string(batch.shape()));
  GAN_CHECK(batch.dim(0) == announced_, "prepare() announced {} pictures, the batch is {}", announced_,
            to_string(batch.shape()));
  DeviceContext& context = batch.context();
  Tensor shown(context, batch.shape(), batch.dtype());
  context.run(context.kernels().image.pool_exchange, {.count = int(batch.dim(0)),
                                                      .kept = int(size),
                                                      .elements = elements,
                                                      .batch = batch.in(),
                                                      .places = context.step_values().in(places_),
                                                      .pool = pictures_.out(),
                                                      .shown = shown.out()});
  return shown;
}

}  // namespace gan
