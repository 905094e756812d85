// Samples of an abstract painting, its cloth and its light, and how they become pixels.
#include "engine/data/abstract/canvas.h"

namespace gan::abstract {

namespace {

int samples_for(int size) {
  if (size <= 96) return 4;
  return size <= 192 ? 3 : 2;
}

}  // namespace

Canvas::Canvas(int size, uint32_t seed)
    : size_(size), samples_(samples_for(size)), side_(size * samples_), sample_(kWidth / side_), seed_(seed) {
  place_.resize(side_);
  for (int i = 0; i < side_; ++i) place_[i] = (2 * i + 1) * kWidth / (2 * side_);
  color_.resize(size_t(side_) * side_);
  height_.resize(color_.size());
}

Canvas::Area Canvas::area_of(Box box) const {
  const auto first = [&](int length) {
    return std::clamp(static_cast<int>(int64_t{length} * side_ / kWidth) - 1, 0, side_);
  };
  const auto last = [&](int length) {
    return std::clamp(static_cast<int>(int64_t{length} * side_ / kWidth) + 2, 0, side_);
  };
  return {first(box.left), first(box.top), last(box.right), last(box.bottom)};
}

// Linen: threads that go over and under each other, each a little thicker or thinner than the next. 0..1.
int Canvas::cloth(int x, int y) const {
  constexpr int kThread = 116;
  const int part = visible(kThread / 2);
  if (part == 0) return kOne / 2;
  const int wx = x + mul(clouds(x, y, 1700, 2, seed_), 130),
            wy = y + mul(clouds(x, y, 1700, 2, seed_ + 4), 130);
  const int column = (wx + kWidth) / kThread, row = (wy + kWidth) / kThread;
  const int u = ((wx + kWidth) % kThread - kThread / 2) * 2 * kOne / kThread;  // -1..1 across the thread
  const int v = ((wy + kWidth) % kThread - kThread / 2) * 2 * kOne / kThread;
  const bool warp = (column + row) % 2 == 0;  // this thread lies on top
  const int across = kOne - mul(warp ? u : v, warp ? u : v),
            along = kOne - mul(warp ? v : u, warp ? v : u) / 2;
  const int thick =
      2600 + static_cast<int>(lattice_hash(warp ? column : row, warp ? row / 9 : column / 9, seed_) & 1495);
  return mix(kOne / 2, mul(mul(across, along), thick), part);
}

// The light comes from the upper left: what rises towards the lower right is bright.
Color Canvas::lit(int row, int column, const std::vector<int>& surface, const Finish& finish) const {
  const int left = std::max(column - 1, 0), right = std::min(column + 1, side_ - 1);
  const int up = std::max(row - 1, 0), down = std::min(row + 1, side_ - 1);
  const int rise =
      surface[at(row, right)] - surface[at(row, left)] + surface[at(down, column)] - surface[at(up, column)];
  const int slope = static_cast<int>(int64_t{rise} * kOne / (2 * sample_));
  const int light = std::clamp(mul(slope, finish.relief), -1700, 1500);
  const Color color = scale(color_[at(row, column)], kOne + light);
  return mix(color, kWhite, mul(std::max(light - 350, 0), 1100));  // and shines where it faces the light
}

Image Canvas::finished(const Finish& finish) const {
  std::vector<int> surface = height_;  // with the cloth, which thick paint fills
  if (finish.weave > 0)
    for (int i = 0; i < side_; ++i)
      for (int j = 0; j < side_; ++j) {
        const int thin = kOne - mul(ramp(height_[at(i, j)], 10, 90), 3500);
        surface[at(i, j)] += mul(mul(cloth(place_[j], place_[i]), 20), mul(finish.weave, thin));
      }
  Image image(size_, size_, 3);
  for (int y = 0; y < size_; ++y)
    for (int x = 0; x < size_; ++x) {
      Color sum = {0, 0, 0};
      for (int i = y * samples_; i < (y + 1) * samples_; ++i)
        for (int j = x * samples_; j < (x + 1) * samples_; ++j) {
          Color c = lit(i, j, surface, finish);
          const int px = place_[j], py = place_[i];
          const int grain =
              texture(px, py, 60, 60, seed_ + 2) * 5 / 8 + texture(px, py, 170, 130, seed_ + 3) * 3 / 8;
          c = clamp_color(scale(c, kOne + mul(grain, finish.tooth)));
          sum.r += c.r, sum.g += c.g, sum.b += c.b;
        }
      const int count = samples_ * samples_;
      const auto byte = [&](int channel) {
        return static_cast<uint8_t>((channel + 8 * count) / (16 * count));
      };
      image.at(y, x, 0) = byte(sum.r), image.at(y, x, 1) = byte(sum.g), image.at(y, x, 2) = byte(sum.b);
    }
  return image;
}

int clouds(int x, int y, int cell, int octaves, uint32_t seed) {
  int sum = 0, weight = kOne / 2;
  for (int i = 0; i < octaves; ++i, cell /= 2, weight /= 2)
    sum += mul(noise(x, y, std::max(cell, 1), std::max(cell, 1), seed + static_cast<uint32_t>(i)), weight);
  return sum;
}

std::vector<Point> curve_through(const std::vector<Point>& points, int pieces) {
  const int count = static_cast<int>(points.size());
  const auto point = [&](int i) { return points[std::clamp(i, 0, count - 1)]; };
  std::vector<Point> path;
  for (int i = 0; i + 1 < count; ++i)
    for (int k = 0; k < pieces; ++k) {
      // Catmull and Rom's cubic between points i and i + 1, at t = k / pieces.
      const int64_t t = int64_t{k} * kOne / pieces;
      const auto at = [&](int a, int b, int c, int d) {
        const int64_t linear = c - a, square = 2 * a - 5 * b + 4 * c - d, cube = 3 * (b - c) + d - a;
        return static_cast<int>(b + ((((((cube * t) >> 12) + square) * t >> 12) + linear) * t >> 13));
      };
      const Point a = point(i - 1), b = point(i), c = point(i + 1), d = point(i + 2);
      path.push_back({at(a.x, b.x, c.x, d.x), at(a.y, b.y, c.y, d.y)});
    }
  path.push_back(points.back());
  return path;
}

int capsule(int x, int y, Point a, Point b, int radius_a, int radius_b) {
  const int64_t dx = b.x - a.x, dy = b.y - a.y, square = dx * dx + dy * dy;
  int64_t t = 0;
  if (square > 0) t = std::clamp<int64_t>(((x - a.x) * dx + (y - a.y) * dy) * kOne / square, 0, kOne);
  return length(x - a.x - ((dx * t) >> 12), y - a.y - ((dy * t) >> 12)) -
         mix(radius_a, radius_b, static_cast<int>(t));
}

}  // namespace gan::abstract
