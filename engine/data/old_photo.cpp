// Ageing, in the order in which it happens: the film and the lens, the fading of the print, then damage.
#include "engine/data/old_photo.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/shared/philox.h"

namespace gan {

namespace {

constexpr float kPi = 3.14159265f;

// Random numbers of one picture. Its grain is drawn by the place of the pixel, all else one after the other, from
// numbers that no pixel has.
class Draws {
 public:
  explicit Draws(const InputSeed& seed) : seed_(seed) {}

  float between(float low, float high) {
    return low + (high - low) * random_uniform(seed_.seed, kStream, seed_.draw, base() + kFirst + next_++);
  }
  bool chance(float part) { return between(0, 1) < part; }
  // 0 ... most, small numbers more often than large ones.
  int few(int most) {
    const float u = between(0, 1);
    return int(u * u * float(most + 1));
  }
  float grain(size_t pixel) const {
    return random_normal(seed_.seed, kStream, seed_.draw, base() + uint64_t(pixel));
  }

 private:
  static constexpr uint32_t kStream = uint32_t(RandomStream::make_input);
  static constexpr uint64_t kFirst = uint64_t(1) << 31;
  uint64_t base() const { return seed_.index << 32; }
  InputSeed seed_;
  uint64_t next_ = 0;
};

// Grey values from 0, black, to 1.
struct Print {
  int height, width;
  std::vector<float> values;

  Print(int height, int width) : height(height), width(width), values(size_t(height) * size_t(width)) {}
  float& at(int y, int x) { return values[size_t(y) * size_t(width) + size_t(x)]; }
  bool inside(int y, int x) const { return y >= 0 && x >= 0 && y < height && x < width; }
};

// Smooth random values from -1 to 1: `cells` random numbers along each side, and curves between them.
Print clouds(int height, int width, int cells, Draws& draws) {
  Print corners(cells + 1, cells + 1), result(height, width);
  for (float& value : corners.values) value = draws.between(-1, 1);
  const auto eased = [](float t) { return t * t * (3 - 2 * t); };
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const float v = float(y) / float(height) * float(cells), u = float(x) / float(width) * float(cells);
      const int row = int(v), column = int(u);
      const float dy = eased(v - float(row)), dx = eased(u - float(column));
      const float above = corners.at(row, column) * (1 - dx) + corners.at(row, column + 1) * dx;
      const float below = corners.at(row + 1, column) * (1 - dx) + corners.at(row + 1, column + 1) * dx;
      result.at(y, x) = above * (1 - dy) + below * dy;
    }
  return result;
}

// Early films are blind to red, later ones see as the eye does.
Print exposed(const Image& photo, Draws& draws) {
  constexpr float eye[] = {0.299f, 0.587f, 0.114f}, early[] = {0.06f, 0.50f, 0.44f};
  const float age = draws.between(0, 0.8f);
  Print print(photo.height, photo.width);
  for (size_t i = 0; i < print.values.size(); ++i) {
    const uint8_t* p = &photo.pixels[i * size_t(photo.channels)];
    float sum = 0;
    for (size_t c = 0; c < 3; ++c)
      sum += ((1 - age) * eye[c] + age * early[c]) * float(photo.channels == 1 ? p[0] : p[c]);
    print.values[i] = sum / 255;
  }
  return print;
}

Print softened(const Print& print, float sigma) {
  Image image(print.height, print.width, 1);
  for (size_t i = 0; i < print.values.size(); ++i)
    image.pixels[i] = uint8_t(std::lround(std::clamp(print.values[i], 0.0f, 1.0f) * 255));
  image = gaussian_blur(image, double(sigma));
  Print result(print.height, print.width);
  for (size_t i = 0; i < result.values.size(); ++i) result.values[i] = float(image.pixels[i]) / 255;
  return result;
}

// Black becomes grey and white the grey of old paper, more so in some places and toward the edges.
void fade(Print& print, Draws& draws) {
  const float black = draws.between(0.06f, 0.3f), paper = draws.between(0.76f, 0.94f);
  const float gamma = draws.between(0.8f, 1.25f), uneven = draws.between(0.02f, 0.07f),
              edges = draws.between(-0.06f, 0.14f);
  const Print cloud = clouds(print.height, print.width, 3, draws);
  for (int y = 0; y < print.height; ++y)
    for (int x = 0; x < print.width; ++x) {
      const float v = 2 * (float(y) + 0.5f) / float(print.height) - 1,
                  u = 2 * (float(x) + 0.5f) / float(print.width) - 1;
      const float toward_edge = std::pow(std::max(std::abs(u), std::abs(v)), 4.0f);
      float& value = print.at(y, x);
      value = black + (paper - black) * std::pow(value, gamma);
      const float lost =
          std::clamp(uneven * cloud.values[size_t(y) * size_t(print.width) + size_t(x)] + edges * toward_edge,
                     -0.3f, 0.3f);
      // Faded parts come nearer to the paper, dark ones to black.
      value += lost > 0 ? lost * (paper - value) * 2 : lost * value;
    }
}

// Grain is stronger in the middle tones, and its specks are a little larger than a pixel.
void add_grain(Print& print, const Draws& draws, float deviation, float scale) {
  Print noise(print.height, print.width);
  for (size_t i = 0; i < noise.values.size(); ++i) noise.values[i] = draws.grain(i);
  const float coarse = std::clamp(0.5f * scale, 0.0f, 0.5f);  // of the neighbours
  const float kept = 1 / std::sqrt(1 + 2 * coarse * coarse);
  for (int y = 0; y < print.height; ++y)
    for (int x = 0; x < print.width; ++x) {
      const float beside = noise.at(y, std::min(x + 1, print.width - 1)),
                  below = noise.at(std::min(y + 1, print.height - 1), x);
      float& value = print.at(y, x);
      const float middle = 0.5f + 2 * value * (1 - value);
      value += deviation * middle * kept * (noise.at(y, x) + coarse * (beside + below));
    }
}

// A soft disc of that tone: `part` of it in the middle, none at the rim.
void blot(Print& print, float y, float x, float radius, float tone, float part) {
  const float reach = radius + 0.5f;
  for (int v = int(std::floor(y - reach)); v <= int(std::ceil(y + reach)); ++v)
    for (int u = int(std::floor(x - reach)); u <= int(std::ceil(x + reach)); ++u) {
      if (!print.inside(v, u)) continue;
      const float distance = std::hypot(float(v) - y, float(u) - x);
      const float cover = part * std::clamp(reach - distance, 0.0f, 1.0f);
      print.at(v, u) += cover * (tone - print.at(v, u));
    }
}

// A line of `length` pixels that turns a little at every step and is now fainter, now stronger.
struct Stroke {
  float y, x, angle, length, width, tone, strength, turn;
};
void draw_stroke(Print& print, const Stroke& stroke, Draws& draws) {
  const float wave = draws.between(0, 2 * kPi), waves = draws.between(1, 5);
  float y = stroke.y, x = stroke.x, angle = stroke.angle, bend = 0;
  for (float at = 0; at < stroke.length; at += 0.5f) {
    if (int(at) % 8 == 0 && at == std::floor(at)) bend = draws.between(-stroke.turn, stroke.turn);
    angle += bend * 0.5f;
    y += 0.5f * std::sin(angle), x += 0.5f * std::cos(angle);
    const float along = at / stroke.length;
    const float ends = std::min(1.0f, 6 * std::min(along, 1 - along));
    const float pressure = 0.55f + 0.45f * std::sin(wave + waves * 2 * kPi * along);
    // Steps of half a pixel overlap: each covers less.
    blot(print, y, x, stroke.width / 2 - 0.5f, stroke.tone, 0.5f * stroke.strength * ends * pressure);
  }
}

// Marks of transport run along the film, most of them upright and straight; hairs are short and curl.
void scratch(Print& print, Draws& draws, float scale) {
  const float height = float(print.height), width = float(print.width);
  for (int i = draws.few(7); i > 0; --i) {
    const float length = height * draws.between(0.2f, 1.1f);
    draw_stroke(print,
                {.y = draws.between(-0.3f, 0.8f) * height,
                 .x = draws.between(0, width),
                 .angle = kPi / 2 + draws.between(-0.12f, 0.12f),
                 .length = length,
                 .width = scale * draws.between(0.7f, 1.8f),
                 .tone = draws.chance(0.75f) ? draws.between(0.85f, 1) : draws.between(0, 0.2f),
                 .strength = draws.between(0.3f, 0.9f),
                 .turn = 0.004f / scale},
                draws);
  }
  for (int i = draws.few(6); i > 0; --i)
    draw_stroke(print,
                {.y = draws.between(0, height),
                 .x = draws.between(0, width),
                 .angle = draws.between(0, 2 * kPi),
                 .length = scale * draws.between(8, 45),
                 .width = scale * draws.between(0.7f, 1.3f),
                 .tone = draws.chance(0.6f) ? draws.between(0.8f, 1) : draws.between(0, 0.25f),
                 .strength = draws.between(0.4f, 0.9f),
                 .turn = 0.12f / scale},
                draws);
}

// A fold has lost its emulsion along a line across the whole print, and throws a little shade.
void fold(Print& print, Draws& draws, float scale) {
  if (!draws.chance(0.3f)) return;
  const float height = float(print.height), width = float(print.width);
  const float across = draws.chance(0.5f) ? 0 : kPi / 2, angle = across + draws.between(-0.25f, 0.25f);
  const float length = std::hypot(height, width);
  const float y = height * draws.between(0.2f, 0.8f) - length / 2 * std::sin(angle),
              x = width * draws.between(0.2f, 0.8f) - length / 2 * std::cos(angle);
  Stroke line{.y = y + scale,
              .x = x + scale,
              .angle = angle,
              .length = length,
              .width = scale * draws.between(2, 4),
              .tone = 0.1f,
              .strength = 0.12f,
              .turn = 0};
  draw_stroke(print, line, draws);
  line.y = y, line.x = x, line.width = scale * draws.between(0.8f, 2), line.tone = 0.92f;
  line.strength = draws.between(0.5f, 0.95f);
  draw_stroke(print, line, draws);
}

// Specks on the negative are white on the print, specks on the print dark; stains are wide and weak.
void dust(Print& print, Draws& draws, float scale) {
  const float height = float(print.height), width = float(print.width);
  for (int i = 4 + draws.few(60); i > 0; --i) {
    const bool white = draws.chance(0.65f);
    const float size = draws.between(0, 1);
    blot(print, draws.between(0, height), draws.between(0, width), scale * (0.3f + 1.6f * size * size * size),
         white ? draws.between(0.85f, 1) : draws.between(0, 0.3f), draws.between(0.3f, 0.95f));
  }
  for (int i = draws.few(4); i > 0; --i) {
    const float y = draws.between(0, height), x = draws.between(0, width);
    const float radius = scale * draws.between(6, 28), tone = draws.chance(0.5f) ? 0.85f : 0.25f;
    const float strength = draws.between(0.02f, 0.06f);
    for (int ring = 1; ring <= 6; ++ring) blot(print, y, x, radius * float(ring) / 6, tone, strength);
  }
}

}  // namespace

Image old_photo(const Image& photo, const InputSeed& seed, int side) {
  Draws draws(seed);
  const float scale = std::max(0.4f, float(side) / 256);
  Print print = softened(exposed(photo, draws), draws.between(0.4f, 1.1f) * scale);
  fade(print, draws);
  const float grain = draws.between(0.012f, 0.042f);
  add_grain(print, draws, grain, scale);
  dust(print, draws, scale);
  scratch(print, draws, scale);
  fold(print, draws, scale);
  Image result(photo.height, photo.width, photo.channels);
  for (size_t i = 0; i < result.pixels.size(); ++i)
    result.pixels[i] =
        uint8_t(std::lround(std::clamp(print.values[i / size_t(photo.channels)], 0.0f, 1.0f) * 255));
  return result;
}

}  // namespace gan
