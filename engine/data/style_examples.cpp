// Teachers, and drawings with soft edges.
#include "engine/data/style_examples.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

#include "engine/data/edge_flow.h"
#include "engine/data/made_input.h"
#include "engine/picture/channels.h"
#include "kernels/shared/colour.h"
#include "kernels/shared/philox.h"

namespace gan {

namespace {

// A picture in Lab, plane by plane: what compilers turn into vectors.
struct LabPlanes {
  int height, width;
  std::vector<float> l, a, b;  // row-major
  LabPlanes(int height, int width)
      : height(height), width(width), l(size_t(height) * size_t(width)), a(l.size()), b(l.size()) {}
};

LabPlanes lab_of(const Image& image) {
  LabPlanes lab(image.height, image.width);
  for (size_t i = 0; i < lab.l.size(); ++i) {
    const uint8_t* p = &image.pixels[3 * i];
    const Colour<float> colour =
        srgb_to_lab(Colour<float>{float(p[0]) / 255, float(p[1]) / 255, float(p[2]) / 255});
    lab.l[i] = colour.x, lab.a[i] = colour.y, lab.b[i] = colour.z;
  }
  return lab;
}

// One pass of the bilateral filter (Tomasi & Manduchi 1998): a Gaussian of deviation `space` pixels, times a weight
// of the distance of colours that is (1 - (d / edge)^2)^2 and 0 from `edge` on (Tukey's, as Black et al. 1998 use it).
LabPlanes bilateral(const LabPlanes& from, float space, float edge) {
  const int height = from.height, width = from.width, radius = std::max(1, int(std::lround(2 * space)));
  const float per_square = 1 / (edge * edge);
  LabPlanes to(height, width);
  std::vector<float> weights(static_cast<size_t>(width)), l(weights), a(weights),
      b(weights);  // sums of a row
  for (int y = 0; y < height; ++y) {
    for (auto* sum : {&weights, &l, &a, &b}) std::fill(sum->begin(), sum->end(), 0.0f);
    const size_t here = size_t(y) * size_t(width);
    for (int v = std::max(0, y - radius); v <= std::min(height - 1, y + radius); ++v)
      for (int dx = -radius; dx <= radius; ++dx) {
        const float near = std::exp(-float((v - y) * (v - y) + dx * dx) / (2 * space * space));
        const int first = std::max(0, -dx), last = std::min(width, width - dx);
        const size_t there = size_t(v) * size_t(width) + size_t(first + dx) - size_t(first);
        for (int x = first; x < last; ++x) {
          const size_t i = here + size_t(x), k = there + size_t(x);
          const float dl = from.l[k] - from.l[i], da = from.a[k] - from.a[i], db = from.b[k] - from.b[i];
          const float left = std::max(0.0f, 1 - (dl * dl + da * da + db * db) * per_square);
          const float weight = near * left * left;
          weights[size_t(x)] += weight;
          l[size_t(x)] += weight * from.l[k];
          a[size_t(x)] += weight * from.a[k];
          b[size_t(x)] += weight * from.b[k];
        }
      }
    for (int x = 0; x < width; ++x) {  // a pixel's own weight is 1
      const size_t i = here + size_t(x);
      to.l[i] = l[size_t(x)] / weights[size_t(x)];
      to.a[i] = a[size_t(x)] / weights[size_t(x)];
      to.b[i] = b[size_t(x)] / weights[size_t(x)];
    }
  }
  return to;
}

// Lightness from 0 to 100 as a drawing has it: dark parts lighter, and more contrast between them and light ones.
float brightened(float l) {
  constexpr float lift = 0.22f;
  const float x = std::pow(std::max(0.0f, l) / 100, 1 - lift);
  return 100 * (x + lift / 2 * (x * x * (3 - 2 * x) - x));
}

// Lightness drawn toward the nearest of seven tones, half-way between them least: shades with soft borders (Winnemoeller
// et al. 2006).
float in_steps(float l) {
  constexpr float step = 100.0f / 6, sharpness = 2;
  const float tone = step * std::round(l / step);
  return tone + step / 2 * std::tanh(sharpness * 2 * (l - tone) / step) / std::tanh(sharpness);
}

uint8_t byte_from(float value) { return uint8_t(std::lround(std::clamp(value, 0.0f, 1.0f) * 255)); }

// Edges by Canny's method: Sobel's gradient, thinned across the edge; strong edges, and weak ones that touch them.
std::vector<uint8_t> edges_of(const Image& picture) {
  constexpr int weak = 100, strong = 200;  // |gx| + |gy| of luma from 0 to 255
  const int height = picture.height, width = picture.width;
  const auto place = [&](int y, int x) { return size_t(y) * size_t(width) + size_t(x); };
  std::vector<int> light(size_t(height) * size_t(width)), gx(light.size()), gy(light.size()),
      size(light.size());
  for (size_t i = 0; i < light.size(); ++i) {
    const uint8_t* p = &picture.pixels[i * size_t(picture.channels)];
    light[i] = picture.channels == 1 ? p[0] : luma(p[0], p[1], p[2]);
  }
  const auto at = [&](int y, int x) {
    return light[place(std::clamp(y, 0, height - 1), std::clamp(x, 0, width - 1))];
  };
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const auto column = [&](int u) { return at(y - 1, u) + 2 * at(y, u) + at(y + 1, u); };
      const auto row = [&](int v) { return at(v, x - 1) + 2 * at(v, x) + at(v, x + 1); };
      const size_t i = place(y, x);
      gx[i] = column(x + 1) - column(x - 1), gy[i] = row(y + 1) - row(y - 1);
      size[i] = std::abs(gx[i]) + std::abs(gy[i]);
    }
  std::vector<uint8_t> edge(light.size());
  std::vector<size_t> grown;
  const auto size_at = [&](int y, int x) {
    return y < 0 || x < 0 || y >= height || x >= width ? 0 : size[place(y, x)];
  };
  std::vector<uint8_t> candidate(light.size());
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const size_t i = place(y, x);
      if (size[i] < weak) continue;
      // The neighbours across the edge, to the nearest of eight directions.
      const bool flat = 5 * std::abs(gy[i]) < 2 * std::abs(gx[i]),
                 steep = 5 * std::abs(gx[i]) < 2 * std::abs(gy[i]);
      const int dx = steep ? 0 : 1;
      int dy = flat ? 0 : 1;
      if (!flat && !steep && (gx[i] < 0) != (gy[i] < 0)) dy = -1;
      candidate[i] = size[i] > size_at(y - dy, x - dx) && size[i] >= size_at(y + dy, x + dx);
      if (candidate[i] && size[i] >= strong) edge[i] = 1, grown.push_back(i);
    }
  while (!grown.empty()) {
    const int y = int(grown.back() / size_t(width)), x = int(grown.back() % size_t(width));
    grown.pop_back();
    for (int v = std::max(0, y - 1); v <= std::min(height - 1, y + 1); ++v)
      for (int u = std::max(0, x - 1); u <= std::min(width - 1, x + 1); ++u)
        if (const size_t i = place(v, u); candidate[i] && !edge[i]) edge[i] = 1, grown.push_back(i);
  }
  return edge;
}

}  // namespace

Image drawn_by_rules(const Image& photo, int side) {
  if (side == 0) side = std::min(photo.height, photo.width);
  const Image colour = in_colour(photo);
  LabPlanes lab = lab_of(colour);
  constexpr int passes = 4;
  constexpr float edge = 36, richer = 1.5f, ink = 0.85f;
  const float space = std::clamp(2.5f * float(side) / 256, 1.0f, 6.0f);
  for (int pass = 0; pass < passes; ++pass) lab = bilateral(lab, space, edge);
  for (float& l : lab.l) l = in_steps(brightened(l));
  const Image lines = make_input(colour, InputKind::sketch, {}, side);
  Image drawn(photo.height, photo.width, 3);
  for (size_t i = 0; i < lab.l.size(); ++i) {
    const float paper = 1 - ink * (1 - float(lines.pixels[3 * i]) / 255);
    const float saturation = photo.channels == 1 ? 0 : richer * (0.5f + 0.5f * paper);
    const Colour<float> rgb =
        lab_to_srgb(Colour<float>{lab.l[i] * paper, lab.a[i] * saturation, lab.b[i] * saturation});
    uint8_t* p = &drawn.pixels[3 * i];
    p[0] = byte_from(rgb.x), p[1] = byte_from(rgb.y), p[2] = byte_from(rgb.z);
  }
  return drawn;
}

namespace {

// The neighbours of a pixel that a dab is made of, and how much of each lies in the eight sectors around it.
constexpr int kSectors = 8;
struct DabNeighbour {
  int dy, dx;
  std::array<float, kSectors> weights;
};

std::vector<DabNeighbour> dab_neighbours(float radius) {
  constexpr float turn = 2 * std::numbers::pi_v<float>, width = 0.4f;  // radians, of a sector
  const int reach = int(std::ceil(radius));
  std::vector<DabNeighbour> neighbours;
  for (int dy = -reach; dy <= reach; ++dy)
    for (int dx = -reach; dx <= reach; ++dx) {
      const float square = float(dy * dy + dx * dx);
      if (square > radius * radius + 0.5f) continue;
      DabNeighbour neighbour{dy, dx, {}};
      float sum = 0;
      for (int k = 0; k < kSectors; ++k) {
        const float off = std::remainder(std::atan2(float(dy), float(dx)) - turn * float(k) / kSectors, turn);
        float& weight = neighbour.weights[size_t(k)];
        weight = square == 0 ? 1 : std::exp(-off * off / (2 * width * width));
        sum += weight;
      }
      const float near = std::exp(-square / (2 * (radius / 2) * (radius / 2)));
      for (float& weight : neighbour.weights) weight *= near / sum;
      neighbours.push_back(neighbour);
    }
  return neighbours;
}

}  // namespace

// The mean colours of the sectors, weighed by how even each is: across an edge no sector counts.
Image painted_by_rules(const Image& photo, int side) {
  constexpr float richer = 1.4f, even = 1.0f / 20;  // deviation of an even sector, of white
  if (side == 0) side = std::min(photo.height, photo.width);
  const std::vector<DabNeighbour> neighbours = dab_neighbours(std::max(2.0f, 6.5f * float(side) / 256));
  std::array<float, kSectors> weight{};  // of a whole sector
  for (const DabNeighbour& at : neighbours)
    for (size_t k = 0; k < kSectors; ++k) weight[k] += at.weights[k];
  const size_t channels = size_t(photo.channels);
  Image painted(photo.height, photo.width, photo.channels);
  for (int y = 0; y < photo.height; ++y)
    for (int x = 0; x < photo.width; ++x) {
      std::array<float, kSectors> square{};
      std::array<std::array<float, kSectors>, 3> sum{};
      for (const DabNeighbour& at : neighbours) {
        const size_t v = size_t(std::clamp(y + at.dy, 0, photo.height - 1));
        const size_t u = size_t(std::clamp(x + at.dx, 0, photo.width - 1));
        const uint8_t* p = &photo.pixels[(v * size_t(photo.width) + u) * channels];
        const std::array<float, 3> colour = {float(p[0]) / 255, channels > 1 ? float(p[1]) / 255 : 0,
                                             channels > 1 ? float(p[2]) / 255 : 0};
        const float of_colour = colour[0] * colour[0] + colour[1] * colour[1] + colour[2] * colour[2];
        for (size_t k = 0; k < kSectors; ++k) {
          square[k] += at.weights[k] * of_colour;
          for (size_t c = 0; c < 3; ++c) sum[c][k] += at.weights[k] * colour[c];
        }
      }
      float all = 0;
      Colour<float> mean{0, 0, 0};
      for (size_t k = 0; k < kSectors; ++k) {
        const float r = sum[0][k] / weight[k], g = sum[1][k] / weight[k], b = sum[2][k] / weight[k];
        const float variance = std::max(0.0f, square[k] / weight[k] - r * r - g * g - b * b) / (even * even);
        const float share = 1 / (1 + variance * variance * variance * variance);
        all += share;
        mean = {mean.x + share * r, mean.y + share * g, mean.z + share * b};
      }
      mean = {mean.x / all, mean.y / all, mean.z / all};
      uint8_t* p = &painted.pixels[(size_t(y) * size_t(photo.width) + size_t(x)) * channels];
      if (channels == 1) {
        p[0] = byte_from(mean.x);
        continue;
      }
      const Colour<float> lab = srgb_to_lab(mean);
      const Colour<float> rgb = lab_to_srgb(Colour<float>{lab.x, richer * lab.y, richer * lab.z});
      p[0] = byte_from(rgb.x), p[1] = byte_from(rgb.y), p[2] = byte_from(rgb.z);
    }
  return painted;
}

Image grain_of(int height, int width, int channels, uint64_t seed) {
  Image grain(height, width, channels);
  for (size_t i = 0; i < size_t(height) * size_t(width); ++i) {
    const float value = random_normal(seed, uint32_t(RandomStream::grain), 0, i);
    std::fill_n(&grain.pixels[i * size_t(channels)], size_t(channels), byte_from(0.5f + value / 6));
  }
  return grain;
}

namespace {

// Strokes as a height, of deviation 1 where edges are straight: the grain blurred to the width of a stroke and gathered
// along the edges.
Plane strokes_of(const Plane& grain, const Flow& across, double width, double length) {
  Plane strokes = gathered_along(blurred(grain, width), across, length);
  // The deviation of white noise after a Gaussian that is `width` across and sqrt(width^2 + length^2) along.
  const double deviation = 1 / std::sqrt(4 * std::numbers::pi * width * std::hypot(width, length));
  for (float& value : strokes.values) value = std::tanh(value / float(deviation));
  return strokes;
}

}  // namespace

Image brushed_by_rules(const Image& photo, const Image& grain, int side) {
  constexpr float thickness = 0.28f;  // of light and shade on a stroke's sides
  constexpr float tone = 0.11f;       // by which neighbouring strokes differ in light
  constexpr float pure = 0.18f;       // the same in saturation
  if (side == 0) side = std::min(photo.height, photo.width);
  const double scale = double(side) / 256;
  Plane noise(photo.height, photo.width);
  for (size_t i = 0; i < noise.values.size(); ++i)
    noise.values[i] = (float(grain.pixels[i * size_t(grain.channels)]) - 127.5f) / 42.5f;
  const Flow across = edge_flow(photo, 2.5 * scale, 12 * scale);
  const Plane bristles = strokes_of(noise, across, std::max(0.6, 0.8 * scale), 7 * scale);
  const Plane strokes = strokes_of(noise, across, std::max(1.2, 2.4 * scale), 8 * scale);
  Plane paint(photo.height, photo.width);
  for (size_t i = 0; i < paint.values.size(); ++i)
    paint.values[i] = strokes.values[i] + 0.6f * bristles.values[i];

  Image painted = painted_by_rules(photo, side);
  const size_t channels = size_t(photo.channels);
  for (int y = 0; y < photo.height; ++y)
    for (int x = 0; x < photo.width; ++x) {
      uint8_t* p = &painted.pixels[(size_t(y) * size_t(photo.width) + size_t(x)) * channels];
      const float stroke = strokes.at(y, x);
      const float slope = (paint.clamped(y - 1, x - 1) - paint.clamped(y + 1, x + 1)) / 2;
      float light = 0;
      for (size_t c = 0; c < channels; ++c) light += float(p[c]) / (255 * float(channels));
      // Thick paint shows on dark grounds too, and less on white ones, which would look wrinkled.
      const float shine = -thickness * slope * (0.35f + 0.65f * std::sqrt(light) - 0.4f * light * light);
      for (size_t c = 0; c < channels; ++c) {
        const float colour = light + (float(p[c]) / 255 - light) * (1 + pure * stroke);
        p[c] = byte_from(colour * (1 + tone * stroke) + shine);
      }
    }
  return painted;
}

Image with_soft_edges(const Image& picture) {
  constexpr int reach = 2;       // pixels on both sides of an edge
  constexpr double sigma = 1.1;  // of a Gaussian that ends after two pixels
  const std::vector<uint8_t> edge = edges_of(picture);
  const Image soft = gaussian_blur(picture, sigma);
  Image result = picture;
  const size_t pixel = size_t(picture.channels);
  for (int y = 0; y < picture.height; ++y)
    for (int x = 0; x < picture.width; ++x) {
      if (!edge[size_t(y) * size_t(picture.width) + size_t(x)]) continue;
      for (int v = std::max(0, y - reach); v <= std::min(picture.height - 1, y + reach); ++v) {
        const int left = std::max(0, x - reach), right = std::min(picture.width - 1, x + reach);
        const size_t first = (size_t(v) * size_t(picture.width) + size_t(left)) * pixel;
        std::copy_n(&soft.pixels[first], size_t(right - left + 1) * pixel, &result.pixels[first]);
      }
    }
  return result;
}

}  // namespace gan
