// What --make-input makes of a picture.
#include "engine/data/made_input.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "engine/data/edge_flow.h"
#include "engine/data/old_photo.h"
#include "engine/settings/words.h"
#include "kernels/contract/check.h"
#include "kernels/shared/philox.h"

namespace gan {

namespace {

uint8_t to_byte(float value) { return uint8_t(std::lround(std::clamp(value, 0.0f, 255.0f))); }

// Ink lines: the difference of two Gaussians across the edges, gathered along them, and a soft threshold
// (Winnemoeller, Kyprianidis & Olsen 2012, eq. 5 and 7 with the flow of section 2.6). The difference is taken
// of the square root of the light, so that dark parts get lines too, and tau just below 1 leaves even parts
// white.
Image sketch(const Image& target, int side) {
  const double sigma = std::clamp(1.0 * side / 256, 0.7, 4.0);
  constexpr float tau = 0.99f, threshold = -0.001f, steepness = 120;
  Plane light = luma_of(target);
  for (float& value : light.values) value = std::sqrt(value);
  light = blurred(light, 0.6 * sigma);  // grain is no line
  const Flow across = edge_flow(target, 2.5 * sigma);

  const std::vector<float> narrow = half_gaussian(sigma), wide = half_gaussian(1.6 * sigma);
  Plane edges(target.height, target.width);
  for (int y = 0; y < target.height; ++y)
    for (int x = 0; x < target.width; ++x) {
      const float dy = across.y.at(y, x), dx = across.x.at(y, x), here = light.at(y, x);
      float small = narrow[0] * here, large = wide[0] * here;
      for (int i = 1; i < int(wide.size()); ++i) {
        const float both = light.between(float(y) + float(i) * dy, float(x) + float(i) * dx) +
                           light.between(float(y) - float(i) * dy, float(x) - float(i) * dx);
        if (i < int(narrow.size())) small += narrow[size_t(i)] * both;
        large += wide[size_t(i)] * both;
      }
      edges.at(y, x) = small - tau * large;
    }

  const Plane lines = gathered_along(edges, across, 3 * sigma);
  Image result(target.height, target.width, target.channels);
  for (int y = 0; y < target.height; ++y)
    for (int x = 0; x < target.width; ++x) {
      const float sum = lines.at(y, x);
      const float paper = sum >= threshold ? 1 : 1 + std::tanh(steepness * (sum - threshold));
      for (int c = 0; c < target.channels; ++c) result.at(y, x, c) = to_byte(255 * paper);
    }
  return result;
}

Image grey(const Image& target) {
  Image result = target;
  if (target.channels == 3)
    for (size_t i = 0; i < result.pixels.size(); i += 3) {
      uint8_t* p = &result.pixels[i];
      p[0] = p[1] = p[2] = luma(p[0], p[1], p[2]);
    }
  return result;
}

Image noisy(const Image& target, const InputSeed& s) {
  Image result = target;
  const uint64_t base = s.index << 32;
  for (size_t i = 0; i < result.pixels.size(); ++i)
    result.pixels[i] = to_byte(
        float(result.pixels[i]) +
        float(kNoiseDeviation) * random_normal(s.seed, uint32_t(RandomStream::make_input), s.draw, base + i));
  return result;
}

Image lowres(const Image& target) {
  const auto part = [](int length) { return std::max(1, (length + kLowresFactor / 2) / kLowresFactor); };
  const Image small = resize(target, part(target.height), part(target.width), Filter::bicubic);
  return resize(small, target.height, target.width, Filter::bicubic);
}

Image masked(const Image& target, const InputSeed& s) {
  Image result = target;
  const auto draw = [&](int box, int which) {
    return random_bits(s.seed, uint32_t(RandomStream::make_input), s.draw,
                       (s.index << 32) + uint64_t(box * 2 + which));
  };
  const auto pick = [](uint32_t bits, int low, int high) {  // low..high
    return low + int(uint64_t(bits) * uint64_t(high - low + 1) >> 32);
  };
  const int boxes = pick(draw(0, 1).v[0], 2, 5);
  for (int box = 1; box <= boxes; ++box) {
    const Philox4 r = draw(box, 0);
    // Fewer boxes are larger: an eighth to a third of each side for five, up to a half for two.
    const int largest = boxes <= 3 ? 2 : 3;
    const int height = pick(r.v[0], (target.height + 7) / 8, std::max(1, target.height / largest));
    const int width = pick(r.v[1], (target.width + 7) / 8, std::max(1, target.width / largest));
    const int top = pick(r.v[2], 0, target.height - height), left = pick(r.v[3], 0, target.width - width);
    for (int y = top; y < top + height; ++y)
      std::fill_n(&result.at(y, left, 0), size_t(width) * size_t(target.channels), uint8_t(128));
  }
  return result;
}

}  // namespace

InputKind parse_input_kind(const std::string& name) {
  if (name.empty()) return InputKind::none;
  static constexpr std::array names = {"sketch", "grey", "noise", "blur", "lowres", "mask", "old"};
  for (size_t i = 0; i < names.size(); ++i)
    if (name == names[i]) return InputKind(i + 1);
  const std::string nearest = nearest_word(names, name, 2);
  fail(Exit::usage, "--make-input: there is no input \"{}\"; {}", name,
       nearest.empty() ? fmt::format("choose from {}", fmt::join(names, ", "))
                       : fmt::format("did you mean {}?", nearest));
}

Image gaussian_blur(const Image& image, double sigma) {
  Image result(image.height, image.width, image.channels);
  for (int c = 0; c < image.channels; ++c) {
    Plane plane(image.height, image.width);
    for (size_t i = 0; i < plane.values.size(); ++i)
      plane.values[i] = image.pixels[i * size_t(image.channels) + size_t(c)];
    plane = blurred(plane, sigma);
    for (size_t i = 0; i < plane.values.size(); ++i)
      result.pixels[i * size_t(image.channels) + size_t(c)] = to_byte(plane.values[i]);
  }
  return result;
}

Image make_input(const Image& target, InputKind kind, const InputSeed& seed, int side) {
  if (side == 0) side = std::min(target.height, target.width);
  switch (kind) {
    case InputKind::none: return target;
    case InputKind::sketch: return sketch(target, side);
    case InputKind::grey: return grey(target);
    case InputKind::noise: return noisy(target, seed);
    case InputKind::blur: return gaussian_blur(target, kBlurSigma);
    case InputKind::lowres: return lowres(target);
    case InputKind::mask: return masked(target, seed);
    case InputKind::old: return old_photo(target, seed, side);
  }
  return target;
}

}  // namespace gan
