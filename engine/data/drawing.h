// What drawn pictures are made of: integer arithmetic, chance and noise, colours, and shapes as signed distances to
// their edge, negative inside.
//
// Lengths are integers, in a unit that each set of drawn pictures chooses; y goes down. Fractions (light, coverage,
// slopes) are integers with 4096 = 1.0, colour channels 0..4080 (16 * 0..255). No compiler can change a result: the
// one floating-point operation, sqrt, is corrected to the exact integer root.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

namespace gan::drawing {

// ---- Integer arithmetic -------------------------------------------------------------------------

constexpr int kOne = 4096;    // 1.0 as a fraction
constexpr int kFar = 100000;  // "outside, nowhere near"

constexpr int mul(int64_t a, int64_t b) { return static_cast<int>((a * b) >> 12); }
constexpr int mix(int from, int to, int fraction) { return from + mul(to - from, fraction); }

// (value - from) / (to - from), held to 0..1.
constexpr int ramp(int value, int from, int to) {
  return static_cast<int>(std::clamp<int64_t>(int64_t{value - from} * kOne / (to - from), 0, kOne));
}

// ramp() with soft ends: 3t^2 - 2t^3.
constexpr int smooth_ramp(int value, int from, int to) {
  const int t = ramp(value, from, to);
  return mul(mul(t, t), 3 * kOne - 2 * t);
}

// floor(sqrt(value)) for 0 <= value < 2^52.
inline int integer_sqrt(int64_t value) {
  int64_t root = static_cast<int64_t>(std::sqrt(static_cast<double>(value)));
  if (root * root > value) --root;  // whatever the rounding of sqrt was, the result is the exact floor
  if ((root + 1) * (root + 1) <= value) ++root;
  return static_cast<int>(root);
}

inline int length(int64_t x, int64_t y) { return integer_sqrt(x * x + y * y); }

// Angle of (x, y) in 1/65536 of a turn, clockwise from +x, by the approximation atan(z) = z (pi/4 + 0.273 (1
// - z)).
inline int turn(int x, int y) {
  const int64_t ax = std::abs(x), ay = std::abs(y);
  if (ax + ay == 0) return 0;
  const int64_t z = std::min(ax, ay) * kOne / std::max(ax, ay);                          // tan, 0..1
  int angle = static_cast<int>((z * (8192 * kOne + int64_t{2848} * (kOne - z))) >> 24);  // 0..8192
  if (ay > ax) angle = 16384 - angle;
  if (x < 0) angle = 32768 - angle;
  if (y < 0) angle = 65536 - angle;
  return angle & 65535;
}

// Sine of an angle in 1/65536 of a turn, by Bhaskara's approximation 16 p (pi - p) / (5 pi^2 - 4 p (pi - p)); right
// within 1/600.
inline int sine(int angle) {
  const int64_t half = 32768, p = angle & 32767, s = p * (half - p);
  const int value = static_cast<int>(kOne * 16 * s / (5 * half * half - 4 * s));
  return angle & 32768 ? -value : value;
}
inline int cosine(int angle) { return sine(angle + 16384); }

// Triangle wave of the given period: -1 at multiples of the period, +1 half-way between.
inline int triangle_wave(int value, int period) {
  const int phase = ((value % period) + period) % period;
  return std::abs(phase * 2 - period) * -2 * kOne / period + kOne;
}

// ---- Chance and noise ---------------------------------------------------------------------------

// SplitMix64 (Steele, Lea, Flood 2014): a stream of 64-bit numbers from one seed.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  int range(int low, int high) {
    return low + static_cast<int>((next() >> 33) % (high - low + 1));
  }  // inclusive
  bool chance(int percent) { return range(0, 99) < percent; }
  int sign() { return chance(50) ? 1 : -1; }

 private:
  uint64_t state_;
};

inline uint32_t lattice_hash(int x, int y, uint32_t seed) {
  uint32_t h = seed ^ (static_cast<uint32_t>(x) * 0x9E3779B1u) ^ (static_cast<uint32_t>(y) * 0x85EBCA77u);
  h = (h ^ (h >> 15)) * 0x2C1B3C6Du;
  h = (h ^ (h >> 12)) * 0x297A2D39u;
  return h ^ (h >> 15);
}

// Smooth noise of -1..1: random values at the points of a lattice with cells cell_x by cell_y (below 2^20), blended in
// between.
inline int noise(int x, int y, int cell_x, int cell_y, uint32_t seed) {
  const int sx = x + (1 << 20), sy = y + (1 << 20);  // positive, so that division rounds down
  const int ix = sx / cell_x, iy = sy / cell_y;
  const auto part = [](int within, int cell) {  // smooth_ramp(within, 0, cell), with a division of 32 bits
    const int t = static_cast<int>(static_cast<uint32_t>(within) * kOne / static_cast<uint32_t>(cell));
    return mul(mul(t, t), 3 * kOne - 2 * t);
  };
  const int tx = part(sx - ix * cell_x, cell_x), ty = part(sy - iy * cell_y, cell_y);
  const auto corner = [&](int dx, int dy) {
    return static_cast<int>(lattice_hash(ix + dx, iy + dy, seed) & 8191) - kOne;
  };
  return mix(mix(corner(0, 0), corner(1, 0), tx), mix(corner(0, 1), corner(1, 1), tx), ty);
}

// ---- Colours ------------------------------------------------------------------------------------

struct Color {
  int r, g, b;  // 0..4080
};

constexpr Color rgb(int r, int g, int b) { return {r * 16, g * 16, b * 16}; }
constexpr Color kWhite = rgb(255, 255, 255);

inline Color mix(Color from, Color to, int fraction) {
  return {mix(from.r, to.r, fraction), mix(from.g, to.g, fraction), mix(from.b, to.b, fraction)};
}
inline Color scale(Color c, int fraction) {
  return {mul(c.r, fraction), mul(c.g, fraction), mul(c.b, fraction)};
}
inline int luma(Color c) { return (c.r * 5 + c.g * 9 + c.b * 2) / 16; }
inline Color clamp_color(Color c) {
  return {std::clamp(c.r, 0, 4080), std::clamp(c.g, 0, 4080), std::clamp(c.b, 0, 4080)};
}
inline Color saturate(Color c, int fraction) {
  const int grey = luma(c);
  return clamp_color({mix(grey, c.r, fraction), mix(grey, c.g, fraction), mix(grey, c.b, fraction)});
}

// ---- Shapes: signed distances, negative inside --------------------------------------------------

class Ellipse {
 public:
  Ellipse() : Ellipse(0, 0, 1, 1) {}
  Ellipse(int cx, int cy, int rx, int ry)
      : cx_(cx), cy_(cy), rx_(rx), ry_(ry), inverse_rx_((1 << 24) / rx), inverse_ry_((1 << 24) / ry) {}

  // |p/r| (|p/r| - 1) / |p/r^2|: exact for circles, and right to first order near the edge of any ellipse.
  int distance(int x, int y) const {
    const int64_t u = ((x - cx_) * inverse_rx_) >> 12, v = ((y - cy_) * inverse_ry_) >> 12;  // p/r
    const int64_t norm = length(u, v);
    const int64_t gradient = length((u * inverse_rx_) >> 12, (v * inverse_ry_) >> 12);  // |p/r^2|, 2^24 = 1
    return gradient == 0 ? -std::min(rx_, ry_) : static_cast<int>(norm * (norm - kOne) / gradient);
  }
  // The point in units of the radii.
  int u(int x) const { return static_cast<int>(((x - cx_) * inverse_rx_) >> 12); }
  int v(int y) const { return static_cast<int>(((y - cy_) * inverse_ry_) >> 12); }

 private:
  int cx_, cy_, rx_, ry_;
  int64_t inverse_rx_, inverse_ry_;
};

inline int circle(int x, int y, int cx, int cy, int radius) { return length(x - cx, y - cy) - radius; }

// A box around (cx, cy) with half sizes hx, hy and rounded corners.
inline int rounded_box(int x, int y, int cx, int cy, int hx, int hy, int corner) {
  const int qx = std::abs(x - cx) - hx + corner, qy = std::abs(y - cy) - hy + corner;
  return length(std::max(qx, 0), std::max(qy, 0)) + std::min(std::max(qx, qy), 0) - corner;
}

// The parabola y = cy + bend ((x - cx) / half_width)^2.
struct Arc {
  int cx, cy, half_width, bend;

  int y_at(int x) const {
    const int64_t t = int64_t{x - cx} * kOne / half_width;
    return cy + static_cast<int>((t * t * bend) >> 24);
  }
  // Signed distance, positive below the curve (greater y), which goes on for ever to both sides.
  int below(int x, int y) const {
    const int64_t slope = int64_t{2} * bend * (x - cx) * kOne / (int64_t{half_width} * half_width);
    return static_cast<int>(int64_t{y - y_at(x)} * kOne / length(kOne, slope));
  }
  // Distance to a brush stroke of the given half thickness along the curve between its two ends; taper: 0..1,
  // how much thinner the ends are.
  int stroke(int x, int y, int half_thickness, int taper = 0) const {
    const int held = std::clamp(x, cx - half_width, cx + half_width);
    const int t = std::abs(held - cx) * kOne / half_width;
    return length(below(held, y), x - held) - mul(half_thickness, kOne - mul(taper, mul(t, t)));
  }
};

// What lies between two parabolas of the same ends: eyes, lips, open mouths.
struct Lens {
  Arc top, bottom;
  Lens(int cx, int cy, int half_width, int rise, int fall, int bend = 0)
      : top{cx, cy - rise, half_width, rise + bend}, bottom{cx, cy + fall, half_width, bend - fall} {}
  int distance(int x, int y) const { return std::max(-top.below(x, y), bottom.below(x, y)); }
};

// min() with the crease rounded over a width of k.
inline int smooth_min(int a, int b, int k) {
  const int64_t h = std::max(k - std::abs(a - b), 0);
  return std::min(a, b) - static_cast<int>(h * h / (4 * k));
}

}  // namespace gan::drawing
