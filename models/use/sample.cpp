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
  model.check_makes_pictures();
  if (!model.config.has<NoiseSettings>())
    fail(Exit::usage, "{} makes pictures from pictures, not from noise; use `gan translate`",
         model.config.model);
  return model.config.get<NoiseSettings>().nz;
}

// Value k of point i of a noise stream.
float noise_value(uint64_t seed, int64_t i, int nz, int k) {
  return random_normal(seed, uint32_t(RandomStream::samples), 0, uint64_t(i * nz + k));
}

std::vector<float> noise_of_picture(int i, const Sampling& sampling, int nz) {
  const auto point = [&](int64_t at) {
    std::vector<float> values(static_cast<size_t>(nz));
    for (int k = 0; k < nz; ++k) values[size_t(k)] = noise_value(sampling.seed, at, nz, k);
    return values;
  };
  if (sampling.stops == 0) return point(i);
  const double place = sampling.count > 1 ? double(i) * (sampling.stops - 1) / (sampling.count - 1) : 0;
  const int a = std::min(int(place), std::max(sampling.stops - 2, 0)),
            b = std::min(a + 1, sampling.stops - 1);
  const std::vector<float> p = point(a), q = point(b);
  // Spherical interpolation keeps the length that the generator was trained on.
  double pp = 0, qq = 0, pq = 0;
  for (size_t k = 0; k < p.size(); ++k) pp += p[k] * p[k], qq += q[k] * q[k], pq += p[k] * q[k];
  const double angle = std::acos(std::clamp(pq / std::sqrt(pp * qq), -1.0, 1.0)), t = place - a;
  const bool straight = std::sin(angle) < 1e-6;
  const double wp = straight ? 1 - t : std::sin((1 - t) * angle) / std::sin(angle);
  const double wq = straight ? t : std::sin(t * angle) / std::sin(angle);
  std::vector<float> between(p.size());
  for (size_t k = 0; k < p.size(); ++k) between[k] = float(wp * p[k] + wq * q[k]);
  return between;
}

std::vector<Image> all_samples(Model& model, DeviceContext& context, const Sampling& sampling) {
  std::vector<Image> images;
  for_each_sample(model, context, sampling, [&](int, Image&& image) { images.push_back(std::move(image)); });
  return images;
}

}  // namespace

void for_each_sample(Model& model, DeviceContext& context, const Sampling& sampling,
                     const std::function<void(int, Image&&)>& take) {
  const int nz = noise_values(model);
  for (int first = 0; first < sampling.count; first += kSamplesAtOnce) {
    const int n = std::min(kSamplesAtOnce, sampling.count - first);
    std::vector<float> noise;
    for (int i = first; i < first + n; ++i) {
      const std::vector<float> one = noise_of_picture(i, sampling, nz);
      noise.insert(noise.end(), one.begin(), one.end());
    }
    Tensor z(context, {n, nz});
    z.upload(std::span<const float>(noise));
    int i = first;
    for (auto& image : to_images(model.sample(z))) take(i++, std::move(image));
  }
}

std::vector<Image> sample_pictures(Model& model, DeviceContext& context, int count, uint64_t seed) {
  return all_samples(model, context, {count, seed});
}

std::vector<Image> sample_walk(Model& model, DeviceContext& context, int count, int stops, uint64_t seed) {
  return all_samples(model, context, {count, seed, stops});
}

}  // namespace gan
