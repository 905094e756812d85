// `gan data`: looks at a folder of pictures before training does, cuts pages into squares for it, and writes out pictures
// of the sets that are drawn in code.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/data/check.h"
#include "engine/data/drawn_sets.h"
#include "engine/data/layout.h"
#include "engine/data/tiles.h"
#include "engine/data/workers.h"
#include "engine/files/stop.h"
#include "engine/files/talk.h"
#include "kernels/contract/check.h"
#include "tools/cli/commands.h"

namespace gan::tools {
namespace {

using Json = nlohmann::ordered_json;

void print_json(const Json& json) {
  fmt::print("{}\n", json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

void add_passed_over(Json& result, const PassedOver& passed_over) {
  result["passed_over"] = passed_over.kinds;
  result["unused_pictures"] = passed_over.unused_pictures;
  result["folders_passed_over"] = passed_over.folders;
}

// Every unreadable file (pair, example) with its reason; exit code 3 when there is one. `counted`: "files",
// "pairs", "examples".
int check(const Reports& checked, const char* counted, bool json) {
  const auto& reports = checked.reports;
  Json list = Json::array();
  for (const auto& report : reports) {
    if (report.problem.empty()) continue;
    if (!json) fmt::print("{}\n", printable(fmt::format("{}: {}", report.file.string(), report.problem)));
    list.push_back({{"file", report.file.string()}, {"problem", report.problem}});
    if (!report.partner.empty()) list.back()["partner"] = report.partner;
  }
  const size_t bad = list.size();
  const bool pictures = std::string(counted) == "files";
  if (json) {
    Json result = {{counted, reports.size()}, {"bad", bad}, {"problems", list}};
    add_passed_over(result, checked.passed_over);
    print_json(result);
  } else {
    fmt::print("{} {}, {} of them {}\n", reports.size(), pictures ? "pictures" : counted, bad,
               pictures ? "unreadable" : "bad");
    if (const std::string words = checked.passed_over.words(); !words.empty()) fmt::print("{}\n", words);
  }
  return int(bad ? Exit::bad_data : Exit::ok);
}

struct Spread {
  std::vector<int> values;
  int at(double part) {
    std::sort(values.begin(), values.end());
    return values[size_t(part * double(values.size() - 1))];
  }
};

// Counts, sizes and kinds of the readable ones.
int stats(const Reports& checked, bool json) {
  const auto& reports = checked.reports;
  std::map<std::string, int64_t> formats, kinds, sizes;
  Spread widths, heights;
  int64_t bad = 0, alpha = 0;
  for (const auto& report : reports) {
    if (!report.problem.empty()) {
      ++bad;
      continue;
    }
    const ImageInfo& info = report.info;
    ++formats[info.format];
    ++kinds[fmt::format("{} {} bit{}", info.channels == 1 ? "grey" : "colour", info.bits,
                        info.palette ? " palette" : "")];
    ++sizes[fmt::format("{}x{}", info.width, info.height)];
    alpha += info.alpha;
    widths.values.push_back(info.width);
    heights.values.push_back(info.height);
  }
  const bool any = !widths.values.empty();
  Json result = {{"files", reports.size()}, {"readable", reports.size() - size_t(bad)}, {"bad", bad}};
  for (auto& [name, spread] : {std::pair<const char*, Spread&>{"width", widths}, {"height", heights}})
    if (any) result[name] = {{"min", spread.at(0)}, {"median", spread.at(0.5)}, {"max", spread.at(1)}};
  result["sizes"] = sizes.size();
  result["formats"] = formats;
  result["kinds"] = kinds;
  result["transparent"] = alpha;
  add_passed_over(result, checked.passed_over);
  if (json) {
    print_json(result);
    return int(Exit::ok);
  }

  fmt::print("files        {}, {} unreadable{}\n", reports.size(), bad,
             bad ? " (gan data check names them)" : "");
  for (const char* name : {"width", "height"})
    if (any)
      fmt::print("{:<12} {} to {}, median {}\n", name, result[name]["min"].get<int>(),
                 result[name]["max"].get<int>(), result[name]["median"].get<int>());
  fmt::print("sizes        {} different\n", sizes.size());
  for (const auto& [name, count] : formats) fmt::print("{:<12} {}\n", name, count);
  for (const auto& [name, count] : kinds) fmt::print("{:<12} {}\n", name, count);
  fmt::print("transparent  {}\n", alpha);
  if (const std::string words = checked.passed_over.words(); !words.empty()) fmt::print("{}\n", words);
  return int(Exit::ok);
}

// The folder of --out, which has to be new or empty. `holds`: what it is for, in words.
std::filesystem::path fresh_folder(const Arguments& arguments, const char* holds) {
  namespace fs = std::filesystem;
  const fs::path out = arguments.text("out", "");
  if (out.empty())
    fail(Exit::usage, "gan data {}: name the folder for the {} with --out", arguments.words[0], holds);
  std::error_code error;
  if (fs::exists(out, error) && !(fs::is_directory(out, error) && fs::is_empty(out, error)))
    fail(Exit::usage, "--out {}: not an empty folder; choose another", out.string());
  return out;
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) fail(Exit::io, "folder {} cannot be made: {}", folder.string(), error.message());
}

// The first pictures of a set that is drawn in code, named by what they are.
int draw(const Arguments& arguments, int workers, bool json) {
  DataOptions options;
  options.source = arguments.words[1];
  if (!find_drawn_set(options.source))
    fail(Exit::usage, "gan data draw {}: the sets that are drawn are {}", options.source,
         names_of_drawn_sets());
  options.size = int(arguments.number("size", 256, 16, 4096));
  options.builtin_count = int(arguments.number("n", 16, 1, 1'000'000));
  const std::filesystem::path out = fresh_folder(arguments, "pictures");
  const DataLayout& layout = find_layout(options);
  const Listing listing = layout.list(options);
  const auto& examples = listing.train.at(0).examples;
  make_folder(out);
  parallel_for(int64_t(examples.size()), workers, [&](int64_t i) {
    throw_if_stopped();
    const ListedExample& example = examples[size_t(i)];
    const Example drawn = read_example(layout, example, options, reading_of(options, options.size));
    write_picture(out / (example.name + ".png"), drawn.at("picture"), PictureFormat{});
  });
  if (json) print_json({{"out", out.string()}, {"pictures", examples.size()}, {"size", options.size}});
  else
    fmt::print("{}: {} pictures of {} pixels out of {}\n", printable(out.string()), examples.size(),
               options.size, options.source);
  return 0;
}

// Squares out of the pages of a folder, into another. A page's squares are named after it and where they lie.
int tiles(const Arguments& arguments, int workers, bool json) {
  namespace fs = std::filesystem;
  const fs::path folder = arguments.words[1];
  const int size = int(arguments.number("size", 256, 16, 4096));
  const int step = int(arguments.number("step", std::max(1, size * 3 / 4), 1, size));
  const fs::path out = fresh_folder(arguments, "squares");
  PassedOver passed_over;
  const std::vector<fs::path> pages = list_pictures(folder, passed_over);
  const bool one_file = !is_folder(folder);
  std::array<std::atomic<int64_t>, std::size(kTileFaultNames)> counts{};
  std::atomic<int64_t> small = 0, bad = 0;
  make_folder(out);
  parallel_for(int64_t(pages.size()), workers, [&](int64_t i) {
    const fs::path& file = pages[size_t(i)];
    const fs::path name = one_file ? file.filename() : file.lexically_relative(folder);
    try {
      throw_if_stopped();
      const ReadingTurn turn(std::span(&file, 1));
      const Image page = read_image(file);
      const std::vector<Tile> found = tiles_of(page, size, step);
      if (found.empty()) ++small;
      for (const Tile& tile : found) {
        ++counts[size_t(tile.fault)];
        if (tile.fault != TileFault::none) continue;
        const fs::path square =
            out / fs::path(name).replace_extension(fmt::format("{}-{}.png", tile.top, tile.left));
        fs::create_directories(square.parent_path());
        write_picture(square, crop(page, tile.top, tile.left, size, size), PictureFormat{});
      }
    } catch (const Error& problem) {
      if (problem.code() != Exit::bad_data) throw;
      ++bad;
      talk(fmt::format("left out: {}", problem.what()));
    }
  });
  Json left_out = Json::object();
  std::string words;
  for (size_t fault = 1; fault < counts.size(); ++fault) {
    left_out[kTileFaultNames[fault]] = counts[fault].load();
    if (counts[fault] > 0)
      words +=
          fmt::format("{}{} {}", words.empty() ? "" : ", ", kTileFaultNames[fault], counts[fault].load());
  }
  if (json) {
    Json result = {{"out", out.string()},  {"pages", pages.size()},           {"tiles", counts[0].load()},
                   {"left_out", left_out}, {"pages_too_small", small.load()}, {"bad", bad.load()}};
    add_passed_over(result, passed_over);
    print_json(result);
  } else {
    fmt::print("{}: {} squares of {} pixels from {} pages{}{}{}\n", printable(out.string()), counts[0].load(),
               size, pages.size(), words.empty() ? "" : "; left out: " + words,
               small > 0 ? fmt::format("; {} pages are smaller than a square", small.load()) : "",
               bad > 0 ? fmt::format("; {} could not be read", bad.load()) : "");
    if (const std::string passed = passed_over.words(); !passed.empty()) fmt::print("{}\n", passed);
  }
  return int(bad > 0 ? Exit::bad_data : Exit::ok);
}

int run(const Arguments& arguments) {
  const std::string& folder = arguments.words[1];
  const int workers = int(arguments.number("workers", 0, 0, 256));
  const bool json = arguments.is_on("json");
  const bool pairs = arguments.is_on("pairs"), unpaired = arguments.is_on("unpaired");
  const bool cuts = arguments.words[0] == "tiles", draws = arguments.words[0] == "draw";
  for (const char* option : {"out", "size"})
    if (arguments.has(option) && !cuts && !draws)
      fail(Exit::usage, "--{} belongs to `gan data tiles` and `gan data draw`", option);
  if (arguments.has("step") && !cuts) fail(Exit::usage, "--step belongs to `gan data tiles`");
  if (arguments.has("n") && !draws) fail(Exit::usage, "--n belongs to `gan data draw`");
  if (draws && !pairs && !unpaired) return draw(arguments, workers, json);
  if (find_drawn_set(folder))
    fail(Exit::usage,
         "{} is drawn in code: there are no files to look at; `gan data draw {} --out DIR` writes some",
         folder, folder);
  if (cuts && !pairs && !unpaired) return tiles(arguments, workers, json);
  if (pairs && unpaired) fail(Exit::usage, "--pairs and --unpaired exclude each other");
  if (arguments.words[0] == "check") {
    if (pairs) return check(check_examples(folder, Examples::pairs, workers), "pairs", json);
    if (unpaired) return check(check_examples(folder, Examples::unpaired, workers), "examples", json);
    return check(check_pictures(folder, workers), "files", json);
  }
  if (pairs || unpaired) fail(Exit::usage, "--{} belongs to `gan data check`", pairs ? "pairs" : "unpaired");
  return stats(check_pictures(folder, workers), json);
}

}  // namespace

Command describe_data() {
  Command command;
  command.name = "data";
  command.summary = "check pictures, count what is in a folder, cut pages into squares, write out drawn sets";
  command.words = {
      {"check|stats|tiles|draw",
       "check names every unreadable file with its reason, and exits with 3 when there is one; stats "
       "counts sizes, channels and formats; tiles cuts comic pages into squares to learn a style from, and leaves "
       "out gutters, margins, speech bubbles and even grounds; draw writes pictures of builtin:abstract, "
       "builtin:abstract:SCHOOL or builtin:comics",
       Word::Kind::choice,
       true,
       {"check", "stats", "tiles", "draw"}},
      {"DIR", "the folder, or of draw the set", Word::Kind::file, true, {}}};
  command.options = {
      {"pairs", "data", "check the pairs that pix2pix would find: partners, sizes, halves", "", "", true},
      {"unpaired", "data", "check the pictures of two kinds: trainA and trainB, or A and B", "", "", true},
      {"out", "tiles and draw", "the folder for the squares or pictures, a new or empty one", "", "", false},
      {"size", "tiles and draw", "their side in pixels", "16..4096", "256", false},
      {"n", "draw", "so many pictures", "1..1000000", "16", false},
      {"step", "tiles", "how far apart they are at most, in pixels; default: three quarters of --size", "1..",
       "", false},
      {"workers", "other", "threads that decode; 0: one per core", "0..256", "0", false},
      {"json", "other", "one JSON object, on stdout", "", "", true}};
  for (auto& option : common_options()) command.options.push_back(option);
  command.examples = {"gan data check photos/",
                      "gan data check facades/ --pairs",
                      "gan data stats photos/",
                      "gan data check photos/ --json",
                      "gan data tiles pages/ --out squares/ --size 256",
                      "gan data draw builtin:abstract:impasto --n 20 --out paintings/"};
  command.run = run;
  return command;
}

}  // namespace gan::tools
