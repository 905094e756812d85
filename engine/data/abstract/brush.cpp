// How a stroke falls onto the samples: first for each sample the nearest place of the path, then paint by what the
// bristles there carry.
#include "engine/data/abstract/brush.h"

namespace gan::abstract {

namespace {

// Where a sample lies under a stroke.
struct Under {
  int distance = kFar;  // to the path
  int across = 0;       // the same, signed: which side
  int along = 0;        // from the path's start
};

Box box_around(const std::vector<Point>& path) {
  Box box = {path[0].x, path[0].y, path[0].x, path[0].y};
  for (const Point p : path) {
    box.left = std::min(box.left, p.x), box.right = std::max(box.right, p.x);
    box.top = std::min(box.top, p.y), box.bottom = std::max(box.bottom, p.y);
  }
  return box;
}

}  // namespace

void stroke(Canvas& canvas, const Brush& brush, const std::vector<Point>& path, Color paint, Color second,
            uint32_t seed) {
  const int reach = brush.radius * 9 / 8 + canvas.sample();
  const Canvas::Area area = canvas.area_of(box_around(path).grown(reach));
  if (area.left >= area.right || area.top >= area.bottom) return;
  const int columns = area.right - area.left;
  std::vector<Under> under(size_t(area.bottom - area.top) * columns);
  int total = 0;
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    const Point a = path[i], b = path[i + 1];
    const int64_t dx = b.x - a.x, dy = b.y - a.y;
    const int piece = length(dx, dy);
    if (piece == 0) continue;
    const bool first = i == 0, last = i + 2 == path.size();
    const Canvas::Area part = canvas.area_of(box_around({a, b}).grown(reach));
    for (int row = part.top; row < part.bottom; ++row)
      for (int column = part.left; column < part.right; ++column) {
        const int64_t x = canvas.place(column) - a.x, y = canvas.place(row) - a.y;
        int along = static_cast<int>((x * dx + y * dy) / piece),
            across = static_cast<int>((x * dy - y * dx) / piece);
        int distance = std::abs(across);
        if (along < 0 && !first) distance = length(x, y), along = 0;
        if (along > piece && !last) distance = length(x - dx, y - dy), along = piece;
        if (along < -reach || along > piece + reach) continue;
        Under& best = under[size_t(row - area.top) * columns + (column - area.left)];
        if (distance >= best.distance) continue;
        best = {distance, across < 0 ? -distance : distance, total + along};
      }
    total += piece;
  }
  if (total == 0) return;

  const int tuft_width = std::max(2 * brush.radius / brush.bristles, 8),
            hair_width = std::max(tuft_width / 3, 6);
  const int sample = canvas.sample();
  for (int row = area.top; row < area.bottom; ++row)
    for (int column = area.left; column < area.right; ++column) {
      const Under& here = under[size_t(row - area.top) * columns + (column - area.left)];
      if (here.distance > reach) continue;
      const int tuft = noise(here.across, here.along, tuft_width, brush.radius * 5, seed);
      const int hair = canvas.texture(here.across, here.along, hair_width, brush.radius * 3, seed + 1);
      int half_width = brush.radius + mul(noise(here.along, 0, brush.radius, 64, seed + 2), brush.radius / 9);
      if (brush.pointed) {
        const int part = std::clamp(here.along, 0, total);
        half_width =
            mul(half_width, integer_sqrt(int64_t{std::min(part, total - part)} * kOne * 2 / total * kOne));
      }
      const int edge = here.distance - half_width;
      // Each tuft sets down and lifts off at a place of its own.
      const int ragged = mul(tuft + hair / 2, brush.radius / 2);
      const int end = std::max(-here.along, here.along - total) + ragged - brush.radius / 3;
      int cover = std::clamp(kOne / 2 - std::max(edge, end) * kOne / sample, 0, kOne);
      if (cover == 0) continue;
      const int part = std::clamp(here.along, 0, total) * kOne / total;
      if (part > brush.dry) {
        const int used = ramp(part, brush.dry, kOne + 200);
        cover = mul(cover, ramp(tuft * 3 / 4 + hair / 2 + kOne - mul(used, 7000), -300, 500));
      }
      cover = mul(cover, brush.opacity);
      if (cover == 0) continue;
      const int carried = std::clamp(kOne / 2 + tuft * 3 / 4 + hair / 4, 0, kOne);
      Color color = mix(paint, second, mul(carried, brush.streaks));
      color = scale(color, kOne + hair / 14 + tuft / 26);
      const int rim = ramp(edge, -tuft_width, 0);  // paint is pushed aside
      const int body = mul(brush.body, 2300 + tuft * 3 / 8 + hair * 3 / 8 + rim / 3);
      Color& old = canvas.color(row, column);
      old = mix(old, color, cover);
      canvas.set_height(row, column, body, cover);
    }
}

void pour(Canvas& canvas, const std::vector<Point>& path, int radius, Color paint, int body, uint32_t seed) {
  int along = 0;
  const auto width = [&](int at) {
    const int slow = noise(at, 0, radius * 30, 64, seed), quick = noise(at, 0, radius * 9, 64, seed + 1);
    return std::max(mul(radius, kOne + slow * 9 / 10 + quick / 3), 8);
  };
  for (size_t i = 0; i + 1 < path.size(); ++i) {
    const Point a = path[i], b = path[i + 1];
    const int piece = length(b.x - a.x, b.y - a.y), from_width = width(along),
              to_width = width(along + piece);
    const int widest = std::max(from_width, to_width);
    canvas.lay(
        box_around({a, b}).grown(widest),
        [&](int x, int y) { return capsule(x, y, a, b, from_width, to_width); },
        [&](int, int, Color) { return paint; }, {.body = body});
    along += piece;
  }
}

void splash(Canvas& canvas, Dice& dice, Point place, int angle, int reach, int count, int largest,
            Color paint) {
  for (int i = 0; i < count; ++i) {
    const int far = dice.range(0, kOne), fan = dice.range(-kOne, kOne);
    const int direction = angle + mul(mul(fan, std::abs(fan)), 14000);
    const Point drop = from(place, direction, mul(reach, mul(far, far)));
    const int luck = dice.range(0, kOne);
    const int radius = std::max(mul(largest, mul(mul(luck, luck), mul(luck, luck))), 14);
    const Point tail = from(drop, direction, dice.range(0, 2) * radius);  // a flying drop is long
    canvas.lay(
        box_around({drop, tail}).grown(radius),
        [&](int x, int y) { return capsule(x, y, drop, tail, radius, radius / 2); },
        [&](int, int, Color) { return paint; }, {.body = std::min(radius / 3, 40)});
  }
}

}  // namespace gan::abstract
