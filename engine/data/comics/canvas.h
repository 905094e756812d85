// The canvas, which makes pixels of layers. A layer is two functions of a point: shape (signed distance to its
// edge) and surface (colour, light, gloss). The photo multiplies colour by light; the comic keeps it flat, inks a
// band around distance 0 and prints half-tone dots where light is low.
#pragma once
#include <vector>

#include "engine/data/comics.h"
#include "engine/data/comics/face.h"

namespace gan::comics {

constexpr Color kInk = rgb(24, 18, 30);

struct Sample {
  int x, y;              // in the head's own axes, where the tip of the nose is near (0, 350)
  int frame_x, frame_y;  // in the picture
  int head;              // signed distance to the head
  int light;             // what a head-sized ball would receive here
};

struct Surface {
  Color color;
  int light = kOne;
  int gloss = 0;  // 0..1: white light reflected on top
};

struct Box {
  int left, top, right, bottom;  // in the head's axes
};
constexpr Box kEverywhere = {-kFar, -kFar, kFar, kFar};

class Canvas {
 public:
  Canvas(const Face& face, ComicsStyle style, int size);

  bool photo() const { return photo_; }
  int pixel() const { return pixel_; }  // width of a pixel

  // A solid layer. ink: width of the comic's outline in percent of the usual.
  template <class Shape, class Paint>
  void layer(Box box, int ink, Shape shape, Paint paint) {
    const int half_ink = ink_ * ink / 200;
    each_pixel(box, [&](const Sample& s, Color& out) {
      const int d = shape(s);
      if (photo_) {
        const int cover = coverage(d, pixel_ + 12);
        if (cover > 0) out = mix(out, photograph(paint(s, d)), cover);
      } else {
        const int outer = coverage(d - half_ink, pixel_), inner = coverage(d + half_ink, pixel_);
        if (outer == 0) return;
        const Color fill = inner > 0 ? print(paint(s, d), s) : kInk;
        out = mix(out, mix(kInk, fill, inner * kOne / outer), outer);
      }
    });
  }

  // A soft stain that only the photo has: full `opacity` at distance -feather, none at +feather.
  template <class Shape>
  void stain(Box box, Color color, int opacity, int feather, Shape shape) {
    if (!photo_) return;
    each_pixel(box, [&](const Sample& s, Color& out) {
      const int d = shape(s);
      if (d < feather) out = mix(out, color, mul(opacity, smooth_ramp(-d, -feather, feather)));
    });
  }

  // A thin transparent film over what is there, in both styles.
  template <class Shape>
  void glaze(Box box, Color color, int opacity, Shape shape) {
    each_pixel(box, [&](const Sample& s, Color& out) {
      out = mix(out, color, mul(opacity, coverage(shape(s), pixel_)));
    });
  }

  // Sets every pixel to paint(sample).
  template <class Paint>
  void backdrop(Paint paint) {
    each_pixel(kEverywhere, [&](const Sample& s, Color& out) { out = paint(s); });
  }

  // How much of this place a half-tone screen at 45 degrees prints when a fraction `density` is to be inked.
  int halftone(const Sample& s, int density) const {
    if (density <= 0) return 0;
    const int a = mul(s.frame_x + s.frame_y, 2896) + (1 << 16),
              b = mul(s.frame_x - s.frame_y, 2896) + (1 << 16);
    const int dx = a % screen_ - screen_ / 2, dy = b % screen_ - screen_ / 2;
    const int radius = integer_sqrt(int64_t{screen_} * screen_ * density / (kOne * 22 / 7));
    return coverage(length(dx, dy) - radius, pixel_);
  }

  std::vector<uint8_t> bytes() const;

 private:
  // Coverage of a pixel by a shape whose edge is d away, blurred over `width`.
  static int coverage(int d, int width) { return std::clamp(kOne / 2 - d * kOne / width, 0, kOne); }

  // A lit photograph: shadows turn a little warm, because light that went through skin is red.
  static Color photograph(const Surface& s) {
    const int dark = std::max(kOne - s.light, 0);
    const Color lit = {mul(s.color.r, s.light + dark / 8), mul(s.color.g, s.light),
                       mul(s.color.b, s.light + dark / 16)};
    return clamp_color(mix(lit, kWhite, s.gloss));
  }

  // The same surface in print: one flat colour, dots for the shade, a flat light patch for the gloss.
  Color print(const Surface& s, const Sample& at) const {
    Color flat = saturate(s.color, 5300);
    flat = mix(flat, kWhite, ramp(s.gloss, 1500, 1800) / 2);
    const int density = mul(ramp(-s.light, -3350, -1900), 3000);
    return mix(flat, mix(scale(flat, 2500), rgb(70, 30, 110), 500),
               mul(halftone(at, density), dot_strength_));
  }

  template <class Action>
  void each_pixel(Box box, Action action) {
    int left = 0, top = 0, right = size_, bottom = size_;
    if (box.left > -kFar) {  // the box's corners in the picture, with room for ink and blur
      left = top = size_, right = bottom = 0;
      for (const int x : {box.left, box.right}) {
        for (const int y : {box.top, box.bottom}) {
          const int px = mul(to_frame_x(x, y) + kOne / 2, size_),
                    py = mul(to_frame_y(x, y) + kOne / 2, size_);
          left = std::min(left, px - 2), right = std::max(right, px + 3);
          top = std::min(top, py - 2), bottom = std::max(bottom, py + 3);
        }
      }
    }
    for (int py = std::max(top, 0); py < std::min(bottom, size_); ++py) {
      for (int px = std::max(left, 0); px < std::min(right, size_); ++px) {
        action(samples_[py * size_ + px], pixels_[py * size_ + px]);
      }
    }
  }

  // The head turns around the foot of the neck, kPivot below the middle.
  static constexpr int kPivot = 1500;
  int to_frame_x(int x, int y) const { return shift_x_ + mul(zoom_, mul(cos_, x) - mul(sin_, y - kPivot)); }
  int to_frame_y(int x, int y) const { return shift_y_ + mul(zoom_, mul(sin_, x) + mul(cos_, y - kPivot)); }

  bool photo_;
  int size_, pixel_, ink_, screen_, dot_strength_;
  int shift_x_, shift_y_, zoom_, cos_, sin_;
  uint32_t noise_seed_;
  std::vector<Sample> samples_;  // [size, size]
  std::vector<Color> pixels_;    // [size, size]
};

}  // namespace gan::comics
