// Motion between frames, and the filter that takes flicker out of a film.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/metrics/metrics.h"
#include "engine/picture/motion.h"
#include "tests/support/film.h"

using namespace gan;
using namespace gan::tests;

namespace {

// The part of the blocks away from the border that have this vector.
double part_with(const MotionField& field, MotionField::Vector wanted, int margin) {
  int right = 0, all = 0;
  for (int row = margin; row < field.rows - margin; ++row)
    for (int column = margin; column < field.columns - margin; ++column, ++all)
      right += field.vectors[size_t(row * field.columns + column)] == wanted;
  return double(right) / all;
}

// What a network might make of a frame: its colours turned, and a disturbance that belongs to the screen and to the
// time, not to what is shown.
Image disturbed(const Image& frame, int time) {
  Image made = frame;
  const Image noise = texture(frame.height, frame.width, 0, 0, uint32_t(100 + time));
  for (size_t i = 0; i < made.pixels.size(); ++i)
    made.pixels[i] = uint8_t(std::clamp(30 + frame.pixels[i] * 3 / 4 + (noise.pixels[i] - 128) / 8, 0, 255));
  return made;
}
Image undisturbed(const Image& frame) {
  Image made = frame;
  for (size_t i = 0; i < made.pixels.size(); ++i) made.pixels[i] = uint8_t(30 + frame.pixels[i] * 3 / 4);
  return made;
}

}  // namespace

TEST_CASE("motion: shifts are found, to the pixel") {
  for (const auto& shift : {std::pair{0, 0}, {1, 0}, {3, -2}, {-7, 5}, {16, 9}, {-24, 11}}) {
    const int dx = shift.first, dy = shift.second;
    CAPTURE(dx);
    CAPTURE(dy);
    const Image before = texture(144, 176), now = texture(144, 176, dx, dy);
    const MotionField field = find_motion(before, now);
    CHECK(field.rows == 18);
    CHECK(field.columns == 22);
    CHECK(part_with(field, {2 * dx, 2 * dy}, 4) > 0.97);
    // What lies in the middle of the picture is carried exactly.
    const Samples carried = moved({before.pixels.begin(), before.pixels.end()}, 144, 176, 3, field);
    int64_t wrong = 0;
    for (int y = 40; y < 104; ++y)
      for (int x = 40; x < 136; ++x) wrong += carried[size_t((y * 176 + x) * 3)] != float(now.at(y, x, 0));
    CHECK(wrong < 64 * 96 / 20);
  }
}

TEST_CASE("motion: half pixels, small pictures, and pictures without anything to go by") {
  const Image before = texture(96, 128), whole = texture(96, 128, 1, 0);
  Image now = before;
  for (size_t i = 0; i < now.pixels.size(); ++i)
    now.pixels[i] = uint8_t((before.pixels[i] + whole.pixels[i] + 1) / 2);
  CHECK(part_with(find_motion(before, now), {1, 0}, 2) > 0.8);
  const MotionField flat = find_motion(Image(50, 70, 3, 90), Image(50, 70, 3, 91));
  CHECK(part_with(flat, {0, 0}, 0) == 1);
  for (const auto& [height, width] : {std::pair{1, 1}, {3, 40}, {17, 5}}) {
    const MotionField small = find_motion(texture(height, width), texture(height, width));
    CHECK(part_with(small, {0, 0}, 0) == 1);
    CHECK(moved(Samples(size_t(height * width), 5.0f), height, width, 1, small) ==
          Samples(size_t(height * width), 5.0f));
  }
}

TEST_CASE("temporal: a still film stays as it is") {
  TemporalFilter filter;
  const Image input = texture(40, 56), made = texture(40, 56, 300);
  for (int t = 0; t < 25; ++t) CHECK(filter.next(input, made) == made);
  CHECK(filter.report().pixels == 24 * 40 * 56);
  CHECK(filter.report().before == 0);
  CHECK(filter.report().after == 0);
  CHECK(filter.report().cuts == 0);
}

TEST_CASE(
    "temporal: under a known shift flicker falls by more than a third, and frames come nearer to the truth") {
  for (const auto& shift : {std::pair{0, 0}, {2, -1}, {5, 3}}) {
    const int dx = shift.first, dy = shift.second;
    CAPTURE(dx);
    TemporalFilter filter;
    double off_made = 0, off_shown = 0;
    for (int t = 0; t < 12; ++t) {
      const Image input = texture(96, 128, dx * t, dy * t), made = disturbed(input, t);
      const Image shown = filter.next(input, made);
      if (t < 4) continue;
      off_made += mean_absolute_difference(made, undisturbed(input));
      off_shown += mean_absolute_difference(shown, undisturbed(input));
    }
    const auto report = filter.report();
    CHECK(report.cuts == 0);
    CHECK(report.pixels > 11 * 96 * 128 / 2);
    CHECK(report.before > 3);
    CHECK(report.after < report.before * 2 / 3);
    CHECK(off_shown < off_made * 0.8);
  }
}

TEST_CASE("temporal: a cut begins anew, and what is new in a picture is not smeared") {
  TemporalFilter filter;
  const Image first = texture(64, 80), other = texture(64, 80, 0, 0, 77);
  filter.next(first, disturbed(first, 1));
  filter.next(first, disturbed(first, 2));
  CHECK(filter.next(other, disturbed(other, 3)) == disturbed(other, 3));
  CHECK(filter.report().cuts == 1);
  // Then a white square: it appears at once, and leaves nothing behind when it goes.
  Image square = other;
  for (int y = 20; y < 40; ++y)
    for (int x = 30; x < 50; ++x)
      for (int k = 0; k < 3; ++k) square.at(y, x, k) = 255;
  const Image with = filter.next(square, square), without = filter.next(other, other);
  int off_with = 0, off_without = 0;
  for (int y = 24; y < 36; ++y)
    for (int x = 34; x < 46; ++x) {
      off_with = std::max(off_with, std::abs(with.at(y, x, 0) - 255));
      off_without = std::max(off_without, std::abs(without.at(y, x, 0) - other.at(y, x, 0)));
    }
  CHECK(off_with <= 12);
  CHECK(off_without <= 12);
  // Another size begins anew, too.
  CHECK(filter.next(texture(20, 30), texture(20, 30, 9)) == texture(20, 30, 9));
}
