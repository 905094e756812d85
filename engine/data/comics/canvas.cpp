// Where each pixel of a canvas lies on the head, and the finished picture.
#include "engine/data/comics/canvas.h"

namespace gan::comics {

Canvas::Canvas(const Face& face, ComicsStyle style, int size)
    : photo_(style == ComicsStyle::photo), size_(size), pixel_(kOne / size), noise_seed_(face.noise_seed) {
  ink_ = std::max(52, pixel_ / 2);
  screen_ = std::max(84, pixel_ * 10 / 3);               // finer dots than a few pixels would turn into moire
  dot_strength_ = kOne - std::max(pixel_ - 32, 0) * 19;  // large dots on a small face would hide it
  zoom_ = face.zoom;
  sin_ = face.tilt;
  cos_ = kOne - mul(sin_, sin_) / 2;
  shift_x_ = face.shift_x;
  shift_y_ = face.shift_y + 1600;

  const Ellipse cranium(0, -260, face.head_width, 1040), jaw(0, 330, face.jaw_width, 1050);
  const Ellipse ball(0, 40, face.head_width * 21 / 20, 1450);
  const int light_x = face.light_side * 2000, light_y = -1900, light_z = 3000;  // |light| = 1
  const int unzoom = kOne * kOne / zoom_;
  samples_.resize(size * size);
  pixels_.resize(size * size);
  for (int i = 0; i < size * size; ++i) {
    Sample& s = samples_[i];
    s.frame_x = (2 * (i % size) + 1) * kOne / (2 * size) - kOne / 2;
    s.frame_y = (2 * (i / size) + 1) * kOne / (2 * size) - kOne / 2;
    const int dx = mul(s.frame_x - shift_x_, unzoom), dy = mul(s.frame_y - shift_y_, unzoom);
    s.x = mul(cos_, dx) + mul(sin_, dy);
    s.y = mul(cos_, dy) - mul(sin_, dx) + kPivot;
    s.head = smooth_min(cranium.distance(s.x, s.y), jaw.distance(s.x, s.y), 320);
    int u = ball.u(s.x), v = ball.v(s.y);
    const int reach = length(u, v);
    if (reach > kOne) u = u * kOne / reach, v = v * kOne / reach;
    const int depth = integer_sqrt(std::max(kOne * kOne - u * u - v * v, 0));
    s.light = 1450 + mul(3250, std::max(mul(u, light_x) + mul(v, light_y) + mul(depth, light_z), 0));
  }
}

std::vector<uint8_t> Canvas::bytes() const {
  std::vector<uint8_t> out(pixels_.size() * 3);  // [size, size, 3]
  for (size_t i = 0; i < pixels_.size(); ++i) {
    Color c = pixels_[i];
    if (photo_) {  // film grain
      const int grain = static_cast<int>(lattice_hash(static_cast<int>(i), 7, noise_seed_) & 127) - 64;
      c = clamp_color({c.r + grain, c.g + grain, c.b + grain});
    }
    out[3 * i] = static_cast<uint8_t>(c.r / 16);
    out[3 * i + 1] = static_cast<uint8_t>(c.g / 16);
    out[3 * i + 2] = static_cast<uint8_t>(c.b / 16);
  }
  return out;
}

}  // namespace gan::comics
