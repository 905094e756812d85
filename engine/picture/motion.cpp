// Block matching and blending.
#include "engine/picture/motion.h"

#include <array>
#include <cmath>
#include <cstdlib>

#include "kernels/contract/check.h"

namespace gan {

namespace {

struct Plane {
  int height = 0, width = 0;
  std::vector<uint8_t> values;
  int at(int y, int x) const {
    return values[size_t(std::clamp(y, 0, height - 1)) * size_t(width) + size_t(std::clamp(x, 0, width - 1))];
  }
  bool holds(int top, int left, int side) const {
    return top >= 0 && left >= 0 && top + side <= height && left + side <= width;
  }
};

Plane luma_of(const Image& image) {
  Plane plane{image.height, image.width, {}};
  if (image.channels == 1) {
    plane.values = image.pixels;
    return plane;
  }
  plane.values.resize(size_t(image.height) * size_t(image.width));
  for (size_t i = 0; i < plane.values.size(); ++i) {
    const uint8_t* p = &image.pixels[3 * i];
    plane.values[i] = luma(p[0], p[1], p[2]);
  }
  return plane;
}

Plane halved(const Plane& plane) {
  Plane half{(plane.height + 1) / 2, (plane.width + 1) / 2, {}};
  half.values.resize(size_t(half.height) * size_t(half.width));
  for (int y = 0; y < half.height; ++y)
    for (int x = 0; x < half.width; ++x)
      half.values[size_t(y) * size_t(half.width) + size_t(x)] =
          uint8_t((plane.at(2 * y, 2 * x) + plane.at(2 * y, 2 * x + 1) + plane.at(2 * y + 1, 2 * x) +
                   plane.at(2 * y + 1, 2 * x + 1) + 2) /
                  4);
  return half;
}

// Sum of absolute differences between the square of `now` at (top, left) and that of `before` moved by (dx, dy).
int difference(const Plane& now, const Plane& before, int top, int left, int side, int dx, int dy) {
  int sum = 0;
  if (now.holds(top, left, side) && before.holds(top + dy, left + dx, side)) {
    for (int y = 0; y < side; ++y) {
      const uint8_t* a = &now.values[size_t(top + y) * size_t(now.width) + size_t(left)];
      const uint8_t* b = &before.values[size_t(top + y + dy) * size_t(before.width) + size_t(left + dx)];
      for (int x = 0; x < side; ++x) sum += std::abs(a[x] - b[x]);
    }
    return sum;
  }
  for (int y = top; y < top + side; ++y)
    for (int x = left; x < left + side; ++x) sum += std::abs(now.at(y, x) - before.at(y + dy, x + dx));
  return sum;
}

// The same in half pixels.
int half_difference(const Plane& now, const Plane& before, int top, int left, int side, int dx, int dy) {
  int sum = 0;
  const int whole_y = top + (dy >> 1), whole_x = left + (dx >> 1);
  if (now.holds(top, left, side) && before.holds(whole_y, whole_x, side + 1)) {
    const size_t down = size_t(dy & 1) * size_t(before.width), right = size_t(dx & 1);
    for (int y = 0; y < side; ++y) {
      const uint8_t* a = &now.values[size_t(top + y) * size_t(now.width) + size_t(left)];
      const uint8_t* b = &before.values[size_t(whole_y + y) * size_t(before.width) + size_t(whole_x)];
      for (int x = 0; x < side; ++x)
        sum += std::abs(4 * a[x] -
                        (b[x] + b[size_t(x) + right] + b[size_t(x) + down] + b[size_t(x) + down + right]));
    }
    return sum / 4;
  }
  for (int y = top; y < top + side; ++y)
    for (int x = left; x < left + side; ++x) {
      const int fy = y + (dy >> 1), fx = x + (dx >> 1), ny = dy & 1, nx = dx & 1;
      const int value =
          before.at(fy, fx) + before.at(fy, fx + nx) + before.at(fy + ny, fx) + before.at(fy + ny, fx + nx);
      sum += std::abs(4 * now.at(y, x) - value);
    }
  return sum / 4;
}

// The best of the shifts around (from_x, from_y), each in its turn; a longer way must be worth it.
template <class Difference>
MotionField::Vector best_around(int from_x, int from_y, int reach, int bias, Difference difference_at) {
  MotionField::Vector best{from_x, from_y};
  int least = difference_at(from_x, from_y) - bias;  // what is known already wins a draw
  for (int dy = from_y - reach; dy <= from_y + reach; ++dy)
    for (int dx = from_x - reach; dx <= from_x + reach; ++dx) {
      const int found = difference_at(dx, dy);
      if (found < least) least = found, best = {dx, dy};
    }
  return best;
}

}  // namespace

MotionField find_motion(const Image& before, const Image& now) {
  GAN_CHECK(before.height == now.height && before.width == now.width, "frames of two sizes");
  constexpr int kBlock = MotionField::kBlock,
                kWindow = 2 * kBlock;  // windows overlap, which makes neighbours agree
  std::vector<Plane> old = {luma_of(before)}, fresh = {luma_of(now)};
  while (old.size() < 3 && std::min(old.back().height, old.back().width) >= 32) {
    old.push_back(halved(old.back()));
    fresh.push_back(halved(fresh.back()));
  }
  const int coarsest = int(old.size()) - 1;
  MotionField field;
  field.rows = (now.height + kBlock - 1) / kBlock, field.columns = (now.width + kBlock - 1) / kBlock;
  field.vectors.resize(size_t(field.rows) * size_t(field.columns));
  for (int row = 0; row < field.rows; ++row)
    for (int column = 0; column < field.columns; ++column) {
      const int top = row * kBlock - kBlock / 2, left = column * kBlock - kBlock / 2;
      MotionField::Vector at;
      for (int level = coarsest; level >= 0; --level) {
        // A window of few samples would match anywhere.
        const int side = std::max(kWindow >> level, 8), reach = level == coarsest ? 7 : 2;
        const int centre_y = (top + kBlock) >> level, centre_x = (left + kBlock) >> level;
        at = best_around(at.dx, at.dy, reach, side * side / 8, [&](int dx, int dy) {
          return difference(fresh[size_t(level)], old[size_t(level)], centre_y - side / 2,
                            centre_x - side / 2, side, dx, dy);
        });
        if (level > 0) at = {2 * at.dx, 2 * at.dy};
      }
      // Standing still is what most of a film does.
      const auto whole = [&](int dx, int dy) {
        return difference(fresh[0], old[0], top, left, kWindow, dx, dy);
      };
      if (whole(0, 0) <= whole(at.dx, at.dy) + kWindow * kWindow / 8) at = {};
      field.vectors[size_t(row) * size_t(field.columns) + size_t(column)] = best_around(
          2 * at.dx, 2 * at.dy, 1, kWindow * kWindow / 8,
          [&](int dx, int dy) { return half_difference(fresh[0], old[0], top, left, kWindow, dx, dy); });
    }
  return field;
}

Samples moved(const Samples& before, int height, int width, int channels, const MotionField& motion) {
  Samples result(before.size());
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      const auto [dx, dy] = motion.vectors[size_t(y / MotionField::kBlock) * size_t(motion.columns) +
                                           size_t(x / MotionField::kBlock)];
      const int top = std::clamp(y + (dy >> 1), 0, height - 1),
                left = std::clamp(x + (dx >> 1), 0, width - 1);
      const int bottom = std::min(top + (dy & 1), height - 1), right = std::min(left + (dx & 1), width - 1);
      const auto from = [&](int py, int px) {
        return &before[(size_t(py) * size_t(width) + size_t(px)) * size_t(channels)];
      };
      const float *a = from(top, left), *b = from(top, right), *c = from(bottom, left),
                  *d = from(bottom, right);
      float* to = &result[(size_t(y) * size_t(width) + size_t(x)) * size_t(channels)];
      for (int k = 0; k < channels; ++k) to[k] = a == d ? a[k] : (a[k] + b[k] + c[k] + d[k]) / 4;
    }
  return result;
}

namespace {

Samples samples_of(const Image& image) { return {image.pixels.begin(), image.pixels.end()}; }

// The largest difference of a pixel's channels, for all pixels.
std::vector<float> differences(const Samples& a, const Samples& b, int channels) {
  std::vector<float> result(a.size() / size_t(channels));
  for (size_t i = 0; i < result.size(); ++i)
    for (size_t k = i * size_t(channels); k < (i + 1) * size_t(channels); ++k)
      result[i] = std::max(result[i], std::abs(a[k] - b[k]));
  return result;
}

// Means over 5 x 5 pixels, or those of them that are in the picture.
std::vector<float> blurred(const std::vector<float>& values, int height, int width) {
  constexpr int kReach = 2;
  std::vector<float> rows(values.size()), result(values.size());
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      float sum = 0;
      const int first = std::max(x - kReach, 0), last = std::min(x + kReach, width - 1);
      for (int k = first; k <= last; ++k) sum += values[size_t(y) * size_t(width) + size_t(k)];
      rows[size_t(y) * size_t(width) + size_t(x)] = sum / float(last - first + 1);
    }
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x) {
      float sum = 0;
      const int first = std::max(y - kReach, 0), last = std::min(y + kReach, height - 1);
      for (int k = first; k <= last; ++k) sum += rows[size_t(k) * size_t(width) + size_t(x)];
      result[size_t(y) * size_t(width) + size_t(x)] = sum / float(last - first + 1);
    }
  return result;
}

double mean_difference(const float* a, const float* b, int channels) {
  double sum = 0;
  for (int k = 0; k < channels; ++k) sum += std::abs(a[k] - b[k]);
  return sum / channels;
}

}  // namespace

Image TemporalFilter::next(const Image& input, const Image& made) {
  GAN_CHECK(input.height == made.height && input.width == made.width,
            "an input of {} x {} and an output of {} x {}", input.width, input.height, made.width,
            made.height);
  const int height = made.height, width = made.width, channels = made.channels;
  const Samples now = samples_of(made);
  const bool first = input_.height != height || input_.width != width || input_.channels != input.channels ||
                     made_.size() != now.size();
  Samples shown = now;
  if (!first) {
    const MotionField motion = find_motion(input_, input);
    const Samples seen = samples_of(input);
    const auto own =
        differences(moved(samples_of(input_), height, width, input.channels, motion), seen, input.channels);
    const auto around = blurred(own, height, width);
    std::vector<float> error(own.size());
    int64_t matching = 0;
    for (size_t i = 0; i < own.size(); ++i) {
      error[i] = std::max(own[i], around[i]);
      matching += error[i] < kMiss;
    }
    if (double(matching) < kCut * double(own.size())) {
      ++cuts_;
    } else {
      const Samples made_before = moved(made_, height, width, channels, motion);
      const Samples shown_before = moved(shown_, height, width, channels, motion);
      for (size_t i = 0; i < error.size(); ++i) {
        const float part = strength_ * std::clamp((kMiss - error[i]) / (kMiss - kMatch), 0.0f, 1.0f);
        const size_t at = i * size_t(channels);
        for (size_t k = at; k < at + size_t(channels); ++k) shown[k] += part * (shown_before[k] - now[k]);
        if (own[i] > kStill) continue;
        flicker_made_ += mean_difference(&now[at], &made_before[at], channels);
        flicker_shown_ += mean_difference(&shown[at], &shown_before[at], channels);
        ++pixels_;
      }
    }
  }
  input_ = input, made_ = now, shown_ = shown;
  Image result(height, width, channels);
  for (size_t i = 0; i < shown.size(); ++i)
    result.pixels[i] = uint8_t(std::clamp(shown[i] + 0.5f, 0.0f, 255.0f));
  return result;
}

TemporalFilter::Report TemporalFilter::report() const {
  Report report{.before = 0, .after = 0, .pixels = pixels_, .cuts = cuts_};
  if (pixels_ > 0)
    report.before = flicker_made_ / double(pixels_), report.after = flicker_shown_ / double(pixels_);
  return report;
}

}  // namespace gan
