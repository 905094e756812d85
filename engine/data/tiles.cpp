// Judging squares of a page, and laying them out.
#include "engine/data/tiles.h"

#include <array>

namespace gan {

namespace {

constexpr int kWhite = 244, kBlack = 14;              // luma; paper and ink are rarely pure
constexpr double kMostPaper = 0.35, kMostDark = 0.5;  // parts of a square
constexpr double kLineShare = 0.97;                   // of a line that is gutter
constexpr int kThinGutter = 3;                        // lines
constexpr double kLeastSpread = 16;                   // standard deviation of luma

uint8_t light_at(const Image& page, int y, int x) {
  const uint8_t* p = &page.pixels[(size_t(y) * size_t(page.width) + size_t(x)) * size_t(page.channels)];
  return page.channels == 1 ? p[0] : luma(p[0], p[1], p[2]);
}

// The eight neighbours: down, across.
constexpr std::array<std::array<int, 2>, 8> kAround = {
    {{-1, 0}, {1, 0}, {0, -1}, {0, 1}, {-1, -1}, {-1, 1}, {1, -1}, {1, 1}}};

// Whether at least kThinGutter neighbouring lines have nearly only white, or nearly only black pixels.
class GutterSearch {
 public:
  explicit GutterSearch(int length) : most_(int(kLineShare * length)) {}
  void line(int white, int black) {
    run_ = white >= most_ || black >= most_ ? run_ + 1 : 0;
    found_ = found_ || run_ >= kThinGutter;
  }
  bool found() const { return found_; }

 private:
  int most_, run_ = 0;
  bool found_ = false;
};

int places(int length, int size, int step) { return 1 + (length - size + step - 1) / step; }

int place(int i, int count, int length, int size) {
  return count == 1 ? (length - size) / 2 : int(int64_t(i) * (length - size) / (count - 1));
}

}  // namespace

TileFault fault_of(const Image& page, int top, int left, int size) {
  std::vector<int> white_in_column(static_cast<size_t>(size)), black_in_column(static_cast<size_t>(size));
  int64_t white = 0, black = 0, sum = 0, squares = 0;
  GutterSearch rows(size), columns(size);
  for (int y = 0; y < size; ++y) {
    int white_in_row = 0, black_in_row = 0;
    for (int x = 0; x < size; ++x) {
      const int light = light_at(page, top + y, left + x);
      sum += light, squares += light * light;
      const bool is_white = light >= kWhite, is_black = light <= kBlack;
      white_in_row += is_white, black_in_row += is_black;
      white_in_column[size_t(x)] += is_white, black_in_column[size_t(x)] += is_black;
    }
    rows.line(white_in_row, black_in_row);
    white += white_in_row, black += black_in_row;
  }
  for (int x = 0; x < size; ++x) columns.line(white_in_column[size_t(x)], black_in_column[size_t(x)]);
  const double count = double(size) * size, mean = double(sum) / count;
  if (double(white) > kMostPaper * count) return TileFault::paper;
  if (double(black) > kMostDark * count) return TileFault::dark;
  if (rows.found() || columns.found()) return TileFault::gutter;
  if (double(squares) / count - mean * mean < kLeastSpread * kLeastSpread) return TileFault::even;
  return TileFault::none;
}

std::vector<Tile> tiles_of(const Image& page, int size, int step) {
  std::vector<Tile> tiles;
  if (page.height < size || page.width < size) return tiles;
  const int down = places(page.height, size, step), across = places(page.width, size, step);
  for (int i = 0; i < down; ++i)
    for (int j = 0; j < across; ++j) {
      Tile tile{place(i, down, page.height, size), place(j, across, page.width, size)};
      tile.fault = fault_of(page, tile.top, tile.left, size);
      const int reach = step / 2, stride = std::max(1, step / 8);
      // The nearest place without a fault, by growing squares around the first one.
      for (int away = stride; tile.fault == TileFault::gutter && away <= reach; away += stride)
        for (const auto& [dy, dx] : kAround) {
          const int top = tile.top + dy * away, left = tile.left + dx * away;
          if (top < 0 || left < 0 || top + size > page.height || left + size > page.width) continue;
          if (fault_of(page, top, left, size) != TileFault::none) continue;
          tile = {top, left, TileFault::none};
          break;
        }
      tiles.push_back(tile);
    }
  return tiles;
}

}  // namespace gan
