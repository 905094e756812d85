// Tables, JSON and picture sheets of measures.
#include "tools/commands/scores.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>

#include "engine/data/options.h"
#include "kernels/contract/check.h"

namespace gan::tools {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(double value) {
  if (std::isnan(value)) return nullptr;
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  return value;
}

std::string text_of(const std::string& name, double value) {
  if (std::isnan(value)) return "-";
  return fmt::format("{:.{}f}", value, metric_of(name)->decimals);
}

bool better(const std::string& name, double a, double b) {
  return metric_of(name)->smaller_is_better ? a < b : a > b;
}

}  // namespace

std::vector<Option> options_of_scores() {
  return {
      {"metrics", "measures",
       fmt::format("which, as psnr,ssim; empty: {}; also: {}", fmt::join(names_of_metrics(true), ","),
                   fmt::join(names_of_metrics(false), ", ")),
       "", "", false},
      {"sheet", "measures", "write the best and the worst pictures to this .png or .jpg file", "", "", false},
      {"rows", "measures", "how many of the best and of the worst", "1..100", "4", false},
      {"json", "other", "one JSON object, on stdout", "", "", true},
      {"workers", "other", "threads; 0: one per core", "0..256", "0", false}};
}

bool LeftOut::try_to(const std::function<void()>& measure) {
  try {
    measure();
    return true;
  } catch (const Error& error) {
    if (error.code() != Exit::bad_data) throw;
    add(error.what());
    return false;
  }
}

void LeftOut::add(const std::string& why) { reasons_.push_back(why); }

void LeftOut::check_only(const std::string& source) const {
  const int64_t bad = int64_t(reasons_.size());
  if (bad == 0) return;
  if (bad == total_ || bad > bad_allowed(max_bad_, total_)) {
    constexpr int64_t kNamed = 5;
    const std::string first_few =
        fmt::format("{}", fmt::join(reasons_.begin(), reasons_.begin() + std::min(bad, kNamed), "; "));
    if (bad == total_)
      fail(Exit::bad_data, "{}: none of the {} {} can be measured: {}", source, total_, counted_, first_few);
    fail(Exit::bad_data, "{}: {} of {} {} are bad, more than --max-bad {} allows: {}{}", source, bad, total_,
         counted_, max_bad_, first_few, bad > kNamed ? fmt::format("; and {} more", bad - kNamed) : "");
  }
}

void LeftOut::check(const std::string& source) const {
  check_only(source);
  for (const std::string& why : reasons_) fmt::print(stderr, "left out: {}\n", why);
}

void print_scores(const std::vector<Score>& scores, bool json, const LeftOut& left_out,
                  const std::vector<std::pair<std::string, std::string>>& more) {
  std::vector<Measures> all;
  for (const auto& score : scores) all.push_back(score.measures);
  const Measures mean = mean_of(all);
  if (json) {
    Json result = {{"images", Json::array()}, {"mean", Json::object()}};
    for (const auto& score : scores) {
      Json line = {{"name", score.name}};
      for (const auto& [name, value] : score.measures) line[name] = json_of(value);
      result["images"].push_back(line);
    }
    for (const auto& [name, value] : mean) result["mean"][name] = json_of(value);
    result["left_out"] = left_out.reasons();
    for (const auto& [name, value] : more) result[name] = value;
    fmt::print("{}\n", result.dump(-1, ' ', false, Json::error_handler_t::replace));
    return;
  }
  std::vector<std::vector<std::string>> rows = {{"picture"}};
  for (const auto& [name, value] : mean) rows[0].push_back(name);
  auto add = [&](const std::string& title, const Measures& measures) {
    rows.push_back({title});
    for (const auto& [name, value] : measures) rows.back().push_back(text_of(name, value));
  };
  for (const auto& score : scores) add(score.name, score.measures);
  const size_t bad = left_out.reasons().size();
  add(fmt::format("mean of {}{}", scores.size(), bad > 0 ? fmt::format(", {} left out", bad) : ""), mean);
  fmt::print("{}", table_text(rows, "l" + std::string(mean.size(), 'r')));
}

Image fitted(const Image& picture, int side) {
  const int longer = std::max(picture.height, picture.width);
  const auto scaled = [&](int length) { return std::max(1, int(int64_t(length) * side / longer)); };
  const Image small =
      longer > side ? resize(picture, scaled(picture.height), scaled(picture.width)) : picture;
  Image cell(side, side, 3, 128);
  const int top = (side - small.height) / 2, left = (side - small.width) / 2;
  for (int y = 0; y < small.height; ++y)
    for (int x = 0; x < small.width; ++x)
      for (int c = 0; c < 3; ++c) cell.at(top + y, left + x, c) = small.at(y, x, small.channels == 3 ? c : 0);
  return cell;
}

void write_sheet(const std::string& file, const std::vector<Score>& scores, int rows,
                 const std::function<std::vector<Image>(size_t)>& cells) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const auto& [name, value] = scores[a].measures[0];
    const double other = scores[b].measures[0].second;
    return std::isnan(value) || std::isnan(other) ? std::isnan(other) && !std::isnan(value)
                                                  : better(name, value, other);
  });
  const size_t shown = std::min(size_t(rows), order.size());
  std::vector<size_t> chosen(order.begin(), order.begin() + std::ptrdiff_t(shown));
  const size_t worst = std::min(shown, order.size() - shown);  // no picture twice
  chosen.insert(chosen.end(), order.rbegin(), order.rbegin() + std::ptrdiff_t(worst));

  std::vector<std::vector<Image>> table;
  int side = 1;
  for (const size_t i : chosen) {
    table.push_back(cells(i));
    for (const auto& image : table.back()) side = std::clamp(std::max(image.height, image.width), side, 256);
  }
  std::vector<Image> grid;
  for (size_t i = 0; i < table.size(); ++i) {
    if (i == shown)  // between best and worst
      for (size_t k = 0; k < table[0].size(); ++k) grid.push_back(Image(side, side, 3, 255));
    for (const auto& image : table[i]) grid.push_back(fitted(image, side));
  }
  Image sheet = make_grid(grid, int(table[0].size()), 4, 255);
  if (worst > 0) {  // the gap needs no whole row: 24 rows of it are enough
    const int cell = side + 4, top = int(shown) * cell + 4, keep = std::min(24, side);
    const size_t row = size_t(sheet.width) * 3;
    sheet.pixels.erase(sheet.pixels.begin() + std::ptrdiff_t(size_t(top + keep) * row),
                       sheet.pixels.begin() + std::ptrdiff_t(size_t(top + side) * row));
    sheet.height -= side - keep;
  }
  const PictureFormat format = PictureFormat::of(file, "--sheet");
  std::error_code error;
  const auto folder = std::filesystem::path(file).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  write_picture(file, sheet, format);
}

}  // namespace gan::tools
