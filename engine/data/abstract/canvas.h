// The canvas of an abstract painting: at every sample the colour of the paint and how high it stands. There are
// several samples to a pixel, so edges are smooth and fine texture does not flicker from size to size.
//
// Lengths are 1/16384 of the painting's width (kWidth), origin in the upper left corner, also heights. Nothing that is
// painted depends on the size, except that texture finer than a sample is left out.
#pragma once
#include <vector>

#include "engine/data/drawing.h"
#include "engine/picture/image.h"

namespace gan::abstract {

using namespace drawing;

constexpr int kWidth = 1 << 14;

struct Point {
  int x, y;
};

struct Box {
  int left, top, right, bottom;
  int width() const { return right - left; }
  int height() const { return bottom - top; }
  Point middle() const { return {(left + right) / 2, (top + bottom) / 2}; }
  Box grown(int by) const { return {left - by, top - by, right + by, bottom + by}; }
};
constexpr Box kEverywhere = {0, 0, kWidth, kWidth};

// How a coat of paint lies.
struct Coat {
  int opacity = kOne;
  int soft = 0;  // width of its edge; at least a sample's
  int body = 0;  // how high it stands
};

// What the painting is painted on and how it is lit at the end. Parts of 1 (kOne).
struct Finish {
  int weave = 0;   // of the cloth, where the paint is thin
  int tooth = 0;   // grain of paper, or pigment
  int relief = 0;  // light from the upper left on what stands out
};

class Canvas {
 public:
  // size: pixels of a side.
  Canvas(int size, uint32_t seed);

  int sample() const { return sample_; }             // its width
  int samples_of_pixel() const { return samples_; }  // in each direction
  // How much of a texture whose features are `cell` wide can be seen: 0 if they are finer than a sample.
  int visible(int cell) const { return ramp(cell, sample_, 3 * sample_); }
  // noise(), as far as it can be seen.
  int texture(int x, int y, int cell_x, int cell_y, uint32_t seed) const {
    const int part = visible(std::min(cell_x, cell_y));
    return part == 0 ? 0 : mul(part, noise(x, y, cell_x, cell_y, seed));
  }
  // The marks of a wide brush that was drawn along x: -1..1.
  int brushed(int x, int y, uint32_t seed) const {
    const int wx =
        x + noise(y, x, 300, 3000, seed + 2) / 6;  // hairs set down and lift at places of their own
    return texture(wx, y, 2100, 130, seed) / 2 + texture(wx, y, 800, 48, seed + 1) / 2;
  }

  // Sets every sample to paint(x, y).
  template <class Paint>
  void prime(Paint paint) {
    for (int i = 0; i < side_; ++i)
      for (int j = 0; j < side_; ++j) color_[at(i, j)] = paint(place_[j], place_[i]);
  }

  // A coat of paint where distance(x, y), signed as in drawing.h, is negative: paint(x, y, what is there).
  template <class Distance, class Paint>
  void lay(Box box, Distance distance, Paint paint, Coat coat = {}) {
    const int soft = std::max(coat.soft, sample_);
    const Area area = area_of(box.grown(soft));
    for (int i = area.top; i < area.bottom; ++i)
      for (int j = area.left; j < area.right; ++j) {
        const int x = place_[j], y = place_[i];
        const int cover = mul(coat.opacity, clamp_fraction(kOne / 2 - distance(x, y) * kOne / soft));
        if (cover == 0) continue;
        Color& color = color_[at(i, j)];
        color = mix(color, paint(x, y, color), cover);
        set_height(i, j, coat.body, cover);
      }
  }

  // A rectangle of samples: rows `top` to `bottom` - 1.
  struct Area {
    int left, top, right, bottom;
  };
  Area area_of(Box box) const;
  int place(int index) const {
    return place_[index];
  }  // x of a column, y of a row: of the middle of its samples
  Color& color(int row, int column) { return color_[at(row, column)]; }
  // Wet paint levels most of what it covers.
  void set_height(int row, int column, int body, int cover) {
    int& height = height_[at(row, column)];
    height = mix(height, height / 4 + body, cover);
  }

  Image finished(const Finish& finish) const;

 private:
  static int clamp_fraction(int value) { return std::clamp(value, 0, kOne); }
  size_t at(int row, int column) const { return static_cast<size_t>(row) * side_ + column; }
  int cloth(int x, int y) const;
  Color lit(int row, int column, const std::vector<int>& surface, const Finish& finish) const;

  int size_, samples_, side_, sample_;  // pixels of a side, samples of a pixel's side, samples of a side
  uint32_t seed_;
  std::vector<int> place_;    // [side]
  std::vector<Color> color_;  // [side, side]
  std::vector<int> height_;   // [side, side]
};

// Noise of several octaves, each half as coarse and half as strong as the one before: -1..1.
int clouds(int x, int y, int cell, int octaves, uint32_t seed);

// A curve through the points, `pieces` straight pieces between neighbours.
std::vector<Point> curve_through(const std::vector<Point>& points, int pieces);

inline Point from(Point start, int angle, int distance) {
  return {start.x + mul(cosine(angle), distance), start.y + mul(sine(angle), distance)};
}

// A piece of a brush stroke without bristles: between two circles of their own radii.
int capsule(int x, int y, Point a, Point b, int radius_a, int radius_b);

// Glass over what is there: each colour keeps what the other lets through.
inline Color glazed(Color under, Color glass) {
  return {under.r * glass.r / 4080, under.g * glass.g / 4080, under.b * glass.b / 4080};
}

}  // namespace gan::abstract
