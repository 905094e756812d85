// Tiles and blending, with networks that are known functions.
#include <doctest/doctest.h>

#include <cmath>

#include "kernels/contract/check.h"
#include "models/use/translate.h"

using namespace gan;

namespace {

Image noise(int height, int width, int channels = 3) {
  Image image(height, width, channels);
  uint32_t state = 3;
  for (auto& sample : image.pixels) sample = uint8_t((state = state * 1664525 + 1013904223) >> 24);
  return image;
}

// Means over (2 radius + 1)^2 pixels; beyond the border counts as -1, as wrong as zero padding can be.
Tensor box_blur(const Tensor& x, int radius) {
  const auto from = x.host_f32();
  const int h = int(x.dim(1)), w = int(x.dim(2)), c = int(x.dim(3));
  std::vector<float> to(from.size());
  for (int y = 0; y < h; ++y)
    for (int px = 0; px < w; ++px)
      for (int k = 0; k < c; ++k) {
        float sum = 0;
        for (int dy = -radius; dy <= radius; ++dy)
          for (int dx = -radius; dx <= radius; ++dx) {
            const bool inside = y + dy >= 0 && y + dy < h && px + dx >= 0 && px + dx < w;
            sum += inside ? from[(size_t(y + dy) * w + px + dx) * c + k] : -1;
          }
        to[(size_t(y) * w + px) * c + k] = sum / float((2 * radius + 1) * (2 * radius + 1));
      }
  Tensor result(x.context(), x.shape());
  result.upload(std::span<const float>(to));
  return result;
}

}  // namespace

TEST_CASE("translate: tiles lie inside, overlap enough, and their weights sum to one") {
  for (const int length : {1, 5, 63, 64, 65, 127, 128, 129, 200, 1000, 12'000})
    for (const int multiple : {1, 4, 32})
      for (const TileOptions options : {TileOptions{64, 16}, TileOptions{128, 0}, TileOptions{96, 24}}) {
        CAPTURE(length);
        CAPTURE(multiple);
        CAPTURE(options.tile);
        CAPTURE(options.overlap);
        const TileAxis axis = tile_axis(length, multiple, options);
        CHECK(axis.size % multiple == 0);
        CHECK(axis.size <= options.tile);
        for (size_t i = 0; i < axis.starts.size(); ++i) {
          if (length >= axis.size) CHECK(axis.starts[i] >= 0);
          if (i > 0) CHECK(axis.starts[i - 1] + axis.size - axis.starts[i] >= options.overlap);
        }
        CHECK(axis.starts.front() <= 0);
        CHECK(axis.starts.back() + axis.size >= length);
        for (int at = 0; at<length; at += length> 1000 ? 7 : 1) {
          float sum = 0;
          for (int i = 0; i < int(axis.starts.size()); ++i) {
            const float w = axis.weight(i, at);
            CHECK(w >= 0);
            if (w > 0) {  // and a tile counts only where it is, away from its inner ends
              const int end = axis.starts[size_t(i)] + axis.size;
              REQUIRE(at >= axis.starts[size_t(i)] + (i > 0 ? options.overlap / 4 : 0));
              REQUIRE(at < end - (i + 1 < int(axis.starts.size()) ? options.overlap / 4 : 0));
            }
            sum += w;
          }
          REQUIRE(sum == doctest::Approx(1).epsilon(1e-6));
        }
      }
  CHECK_THROWS_AS(tile_axis(100, 32, {80, 16}), Error);
  CHECK_THROWS_AS(tile_axis(100, 32, {64, 32}), Error);
}

TEST_CASE("translate: a network that changes nothing gives the picture back, whatever its size") {
  DeviceContext context(Device::cpu);
  int calls = 0, largest = 0;
  Translator same{.context = &context, .channels = 3, .multiple = 32, .run = [&](const Tensor& x) {
                    ++calls, largest = std::max<int>(largest, int(std::max(x.dim(1), x.dim(2))));
                    CHECK(x.dim(1) % 32 == 0);
                    CHECK(x.dim(2) % 32 == 0);
                    return x;
                  }};
  const std::pair<int, int> sizes[] = {{1, 1},    {1, 200},   {33, 64}, {64, 64},
                                       {100, 65}, {301, 205}, {7, 1200}};
  for (const auto& [height, width] : sizes) {
    CAPTURE(height);
    CAPTURE(width);
    const Image picture = noise(height, width);
    CHECK(translate_picture(same, picture, {64, 16}) == picture);
  }
  CHECK(largest == 64);
  calls = 0;
  translate_picture(same, noise(65, 70), {128, 32});
  CHECK(calls == 1);
  same.channels = 1;
  CHECK(translate_picture(same, noise(70, 131, 1), {64, 16}) == noise(70, 131, 1));
}

TEST_CASE("translate: tiles of a local network are equal to the whole picture") {
  DeviceContext context(Device::cpu);
  const int radius = 4;  // of an overlap of 16, the outermost quarter
  const Translator blur{.context = &context, .channels = 3, .multiple = 8, .run = [&](const Tensor& x) {
                          return box_blur(x, radius);
                        }};
  const Image picture = noise(150, 203);
  const Image whole = translate_picture(blur, picture, {256, 0}),
              tiled = translate_picture(blur, picture, {64, 16});
  int differing = 0;
  for (int y = radius; y < 150 - radius; ++y)
    for (int x = radius; x < 203 - radius; ++x)
      for (int c = 0; c < 3; ++c) differing += std::abs(whole.at(y, x, c) - tiled.at(y, x, c)) > 1;
  CHECK(differing == 0);
  // Without the unused margin, tiles end to end, the seams show.
  const Image square = crop(picture, 0, 0, 128, 192);
  const Image one = translate_picture(blur, square, {256, 0}),
              seams = translate_picture(blur, square, {64, 0});
  for (size_t i = 0; i < one.pixels.size(); ++i) differing += std::abs(one.pixels[i] - seams.pixels[i]) > 1;
  CHECK(differing > 1000);
}

TEST_CASE("translate: the border is mirrored, not made up") {
  DeviceContext context(Device::cpu);
  std::vector<float> seen;
  const Translator look{.context = &context, .channels = 1, .multiple = 8, .run = [&](const Tensor& x) {
                          seen = x.host_f32();
                          return x;
                        }};
  Image ramp(1, 3, 1);
  ramp.pixels = {0, 51, 255};
  translate_picture(look, ramp, {8, 0});
  const std::vector<float> expected = {1, -0.6f, -1, -0.6f, 1, -0.6f, -1, -0.6f};
  REQUIRE(seen.size() == 64);
  for (int i = 0; i < 8; ++i) CHECK(seen[size_t(i)] == doctest::Approx(expected[size_t(i)]));
}
