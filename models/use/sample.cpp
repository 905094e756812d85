// Noise by the numbers of a stream, pictures by the model's generator.
#include "models/use/sample.h"

#include <algorithm>
#include <cmath>

#include "kernels/shared/philox.h"
#include "models/tasks/noise_gan.h"

namespace gan {

std::vector<Image> to_images(const Tensor& pictures) {
  const std::vector<float> values = pictures.host_f32();
  const int n = int(pictures.dim(0)), h = int(pictures.dim(1)), w = int(pictures.dim(2)),
            c = int(pictures.dim(3));
  std::vector<Image> images(n);
  const size_t each = size_t(h) * w * c;
  for (int i = 0; i < n; ++i) {
    images[i].height = h, images[i].width = w, images[i].channels = c;
    images[i].pixels.resize(each);
    for (size_t k = 0; k < each; ++k) images[i].pixels[k] = byte_of(values[i * each + k]);
  }
  return images;
}

namespace {

int noise_values(const Model& model) {
  if (!model.config.has<NoiseSettings>())
    fail(Exit::usage, "{} makes pictures from pictures, not from noise; use `gan translate`",
         model.config.model);
  return model.config.get<NoiseSettings>().nz;
}

std::vector<Image> pictures_from(Model& model, DeviceContext& context, std::span<const float> noise) {
  const int nz = noise_values(model), count = int(noise.size()) / nz;
  std::vector<Image> images;
  for (int first = 0; first < count; first += 64) {
    const int n = std::min(64, count - first);
    Tensor z(context, {n, nz});
    z.upload(noise.subspan(size_t(first) * nz, size_t(n) * nz));
    for (auto& image : to_images(model.sample(z))) images.push_back(std::move(image));
  }
  return images;
}

std::vector<float> sample_noise(int count, int nz, uint64_t seed) {
  std::vector<float> noise(size_t(count) * nz);
  for (size_t i = 0; i < noise.size(); ++i)
    noise[i] = random_normal(seed, uint32_t(RandomStream::samples), 0, i);
  return noise;
}

}  // namespace

std::vector<Image> sample_pictures(Model& model, DeviceContext& context, int count, uint64_t seed) {
  return pictures_from(model, context, sample_noise(count, noise_values(model), seed));
}

std::vector<Image> sample_walk(Model& model, DeviceContext& context, int count, int stops, uint64_t seed) {
  const int nz = noise_values(model);
  const std::vector<float> points = sample_noise(stops, nz, seed);
  std::vector<float> noise(size_t(count) * nz);
  for (int i = 0; i < count; ++i) {
    const double place = count > 1 ? double(i) * (stops - 1) / (count - 1) : 0;
    const int a = std::min(int(place), std::max(stops - 2, 0)), b = std::min(a + 1, stops - 1);
    const float *p = &points[size_t(a) * nz], *q = &points[size_t(b) * nz];
    // Spherical interpolation keeps the length that the generator was trained on.
    double pp = 0, qq = 0, pq = 0;
    for (int k = 0; k < nz; ++k) pp += p[k] * p[k], qq += q[k] * q[k], pq += p[k] * q[k];
    const double angle = std::acos(std::clamp(pq / std::sqrt(pp * qq), -1.0, 1.0)), t = place - a;
    const bool straight = std::sin(angle) < 1e-6;
    const double wp = straight ? 1 - t : std::sin((1 - t) * angle) / std::sin(angle);
    const double wq = straight ? t : std::sin(t * angle) / std::sin(angle);
    for (int k = 0; k < nz; ++k) noise[size_t(i) * nz + k] = float(wp * p[k] + wq * q[k]);
  }
  return pictures_from(model, context, noise);
}

}  // namespace gan
