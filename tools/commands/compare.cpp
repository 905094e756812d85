// `gan compare`: how near the pictures of one folder are to those of another, by name.
#include <algorithm>
#include <filesystem>
#include <map>

#include "engine/data/normal_form.h"
#include "engine/data/search.h"
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

struct Matched {
  std::vector<Pair> pairs;
  std::vector<std::string> lonely;  // without a partner, in words
};

// A picture by its path below the folder.
using ByName = std::map<std::string, fs::path>;

ByName by_name(const fs::path& folder) {
  PassedOver passed_over;
  ByName files;
  for (const auto& file : list_pictures(folder, passed_over))
    files.emplace(file.lexically_relative(folder).string(), file);
  if (const std::string words = passed_over.words(); !words.empty())
    fmt::print(stderr, "{}: {}\n", folder.string(), words);
  return files;
}

std::string without_extension(const std::string& name) { return fs::path(name).replace_extension().string(); }

// Takes the files of both sides that `name_of_a` and `name_of_b` call the same, if no two of one side have that
// name.
void match(ByName& first, ByName& second, std::string (*name_of_a)(const std::string&),
           std::string (*name_of_b)(const std::string&), std::vector<Pair>& pairs) {
  std::map<std::string, std::vector<std::string>> a, b;
  for (const auto& [name, file] : first) a[name_of_a(name)].push_back(name);
  for (const auto& [name, file] : second) b[name_of_b(name)].push_back(name);
  for (const auto& [name, of_a] : a) {
    const auto of_b = b.find(name);
    if (of_b == b.end() || of_a.size() > 1 || of_b->second.size() > 1) continue;
    pairs.push_back({without_extension(of_a[0]), first[of_a[0]], second[of_b->second[0]]});
    first.erase(of_a[0]);
    second.erase(of_b->second[0]);
  }
}

Matched match_folders(const fs::path& a, const fs::path& b) {
  ByName first = by_name(a), second = by_name(b);
  Matched matched;
  const auto whole = [](const std::string& name) { return name; };
  match(first, second, whole, whole, matched.pairs);
  // `gan translate` writes x.jpg.png for x.jpg where there is an x.png too.
  match(first, second, without_extension, whole, matched.pairs);
  match(first, second, whole, without_extension, matched.pairs);
  match(first, second, without_extension, without_extension, matched.pairs);
  std::sort(matched.pairs.begin(), matched.pairs.end(),
            [](const Pair& one, const Pair& other) { return one.a < other.a; });
  std::map<std::string, std::string> looks;  // of names of the second folder that are left
  for (const auto& [name, file] : second) looks.emplace(taken_apart(without_extension(name)), file.string());
  for (const auto& [name, file] : first) {
    const auto alike = looks.find(taken_apart(without_extension(name)));
    matched.lonely.push_back(
        alike == looks.end()
            ? fmt::format("{}: no partner of the same name (not in {})", file.string(), b.string())
            : fmt::format("{}: {} looks alike, but its name is in another Unicode form; rename one of them",
                          file.string(), alike->second));
  }
  for (const auto& [name, file] : second)
    matched.lonely.push_back(
        fmt::format("{}: no partner of the same name (not in {})", file.string(), a.string()));
  return matched;
}

// Two folders, or two files.
Matched pairs_of(const fs::path& a, const fs::path& b) {
  std::error_code ignored;
  const bool a_folder = fs::is_directory(a, ignored), b_folder = fs::is_directory(b, ignored);
  for (const auto& path : {a, b})
    if (!fs::exists(path, ignored)) fail(Exit::bad_data, "{}: no such folder or picture", path.string());
  if (a_folder != b_folder)
    fail(Exit::usage, "{} is a folder and {} a file: give two folders or two files",
         (a_folder ? a : b).string(), (a_folder ? b : a).string());
  if (!a_folder) return {{{a.stem().string(), a, b}}, {}};
  return match_folders(a, b);
}

// From the headers, before the long part.
void check_sizes(const Pair& pair) {
  const ImageInfo a = probe_image(pair.a), b = probe_image(pair.b);
  if (a.width != b.width || a.height != b.height)
    fail(Exit::bad_data, "{} is {} x {} and {} is {} x {}: pictures of different sizes cannot be compared",
         pair.a.string(), a.width, a.height, pair.b.string(), b.width, b.height);
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
  const double max_bad = arguments.real("max-bad", 0.01, 0, 1);
  Matched matched = pairs_of(arguments.words[0], arguments.words[1]);
  const std::string source = fmt::format("{}, {}", arguments.words[0], arguments.words[1]);
  LeftOut left_out("pairs", int64_t(matched.pairs.size() + matched.lonely.size()), max_bad);
  for (const std::string& why : matched.lonely) left_out.add(why);
  std::erase_if(matched.pairs,
                [&](const Pair& pair) { return !left_out.try_to([&] { check_sizes(pair); }); });
  left_out.check_only(source);

  const size_t count = matched.pairs.size();
  std::vector<Score> measured(count);
  std::vector<std::string> problems(count);
  parallel_for(int64_t(count), workers, [&](int64_t i) {
    const Pair& pair = matched.pairs[size_t(i)];
    try {
      const ReadingTurn turn(std::vector{pair.a, pair.b});
      measured[size_t(i)] = {pair.name, measure(read_image(pair.a), read_image(pair.b), metrics)};
    } catch (const Error& error) {
      if (error.code() != Exit::bad_data) throw;
      problems[size_t(i)] = error.what();
    }
  });
  std::vector<Score> scores;
  std::vector<Pair> pairs;  // those measured
  for (size_t i = 0; i < count; ++i) {
    if (!problems[i].empty()) {
      left_out.add(problems[i]);
      continue;
    }
    scores.push_back(std::move(measured[i]));
    pairs.push_back(matched.pairs[i]);
  }
  left_out.check(source);
  if (const std::string sheet = arguments.text("sheet", ""); !sheet.empty())
    write_sheet(sheet, scores, rows, [&](size_t i) {
      const Image a = read_image(pairs[i].a), b = read_image(pairs[i].b);
      return std::vector<Image>{a, b, difference(a, b)};
    });
  print_scores(scores, arguments.is_on("json"), left_out);
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
  command.options.push_back({"max-bad", "measures",
                             "part of the pairs that may be bad (one always may, unless this is 0)", "0..1",
                             "0.01", false});
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
      "sheet shows A, B and their difference, the best by the first measure on top, then the worst. What has no "
      "partner, another size or cannot be read is named and left out, as many as --max-bad allows.";
  command.run = run;
  return command;
}

}  // namespace gan::tools
