// `gan compare`: how near the pictures of one folder are to those of another, by name.
#include <algorithm>
#include <filesystem>
#include <map>

#include "engine/data/folders.h"
#include "engine/data/workers.h"
#include "engine/metrics/metrics.h"
#include "tools/commands/scores.h"

namespace gan::tools {
namespace {

namespace fs = std::filesystem;

struct Pair {
  std::string name;
  fs::path a, b;
};

// The pictures of a folder by their path below it, without the extension.
std::map<std::string, fs::path> by_name(const fs::path& folder) {
  std::map<std::string, fs::path> files;
  for (const auto& file : list_pictures(folder)) {
    const auto name = file.lexically_relative(folder).replace_extension().string();
    if (const auto [other, added] = files.emplace(name, file); !added)
      fail(Exit::bad_data, "{} and {} have the same name: which one is to be compared?",
           other->second.string(), file.string());
  }
  return files;
}

// Two folders, or two files. What has no partner is refused, named.
std::vector<Pair> pairs_of(const fs::path& a, const fs::path& b) {
  std::error_code ignored;
  const bool a_folder = fs::is_directory(a, ignored), b_folder = fs::is_directory(b, ignored);
  for (const auto& path : {a, b})
    if (!fs::exists(path, ignored)) fail(Exit::bad_data, "{}: no such folder or picture", path.string());
  if (a_folder != b_folder)
    fail(Exit::usage, "{} is a folder and {} a file: give two folders or two files",
         (a_folder ? a : b).string(), (a_folder ? b : a).string());
  if (!a_folder) return {{a.stem().string(), a, b}};
  const auto first = by_name(a), second = by_name(b);
  std::vector<std::string> lonely;
  std::vector<Pair> pairs;
  for (const auto& [name, file] : first) {
    const auto partner = second.find(name);
    if (partner == second.end()) lonely.push_back(fmt::format("{} (not in {})", file.string(), b.string()));
    else pairs.push_back({name, file, partner->second});
  }
  for (const auto& [name, file] : second)
    if (!first.count(name)) lonely.push_back(fmt::format("{} (not in {})", file.string(), a.string()));
  if (!lonely.empty()) {
    const size_t named = std::min<size_t>(lonely.size(), 5), rest = lonely.size() - named;
    fail(Exit::bad_data, "{} without a partner of the same name: {}{}",
         lonely.size() == 1 ? "1 picture" : fmt::format("{} pictures", lonely.size()),
         fmt::join(lonely.begin(), lonely.begin() + std::ptrdiff_t(named), ", "),
         rest ? fmt::format(", and {} more", rest) : "");
  }
  return pairs;
}

Image difference(const Image& a, const Image& b) {
  Image result = a;
  for (size_t i = 0; i < a.pixels.size(); ++i)
    result.pixels[i] = uint8_t(std::abs(int(a.pixels[i]) - int(b.pixels[i])));
  return result;
}

int run(const Arguments& arguments) {
  const auto metrics = parse_metrics(arguments.text("metrics", ""));
  const int workers = int(arguments.number("workers", 0, 0, 256));
  if (arguments.has("sheet")) PictureFormat::of(arguments.text("sheet", ""), "--sheet");  // before the work
  const int rows = int(arguments.number("rows", 4, 1, 100));
  const auto pairs = pairs_of(arguments.words[0], arguments.words[1]);
  for (const auto& pair : pairs) {  // from the headers, before the long part
    const ImageInfo a = probe_image(pair.a), b = probe_image(pair.b);
    if (a.width != b.width || a.height != b.height)
      fail(Exit::bad_data, "{} is {} x {} and {} is {} x {}: pictures of different sizes cannot be compared",
           pair.a.string(), a.width, a.height, pair.b.string(), b.width, b.height);
  }
  std::vector<Score> scores(pairs.size());
  parallel_for(int64_t(pairs.size()), workers, [&](int64_t i) {
    const Pair& pair = pairs[size_t(i)];
    const ReadingTurn turn(std::vector{pair.a, pair.b});
    scores[size_t(i)] = {pair.name, measure(read_image(pair.a), read_image(pair.b), metrics)};
  });
  if (const std::string sheet = arguments.text("sheet", ""); !sheet.empty())
    write_sheet(sheet, scores, rows, [&](size_t i) {
      const Image a = read_image(pairs[i].a), b = read_image(pairs[i].b);
      return std::vector<Image>{a, b, difference(a, b)};
    });
  print_scores(scores, arguments.is_on("json"));
  return int(Exit::ok);
}

}  // namespace

Command describe_compare() {
  Command command;
  command.name = "compare";
  command.summary = "measure how near pictures are to others of the same names";
  command.words = {{"DIR_A", "folder of pictures, or one picture", Word::Kind::file, true, {}},
                   {"DIR_B",
                    "folder with pictures of the same names (extensions may differ), or one picture: the "
                    "reference",
                    Word::Kind::file,
                    true,
                    {}}};
  command.options = options_of_scores();
  for (auto& option : common_options()) command.options.push_back(option);
  command.examples = {"gan compare outputs/ targets/", "gan compare outputs/ targets/ --metrics psnr --json",
                      "gan compare a.png b.png", "gan compare outputs/ targets/ --sheet sheet.png"};
  command.notes =
      "psnr is in dB over 8-bit RGB, inf for equal pictures; ssim has a Gaussian window of 11 with sigma 1.5 "
      "and population covariance, at full size, as scikit-image computes it with these settings; ssim_256 "
      "averages "
      "pictures down to about 256 pixels first, as the authors' own program does; l1 is the mean difference "
      "in "
      "steps of 1/255; colourfulness is Hasler and Suesstrunk's, of DIR_A's picture and of the reference. "
      "The "
      "sheet shows A, B and their difference, the best by the first measure on top, then the worst.";
  command.run = run;
  return command;
}

}  // namespace gan::tools
