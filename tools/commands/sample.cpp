// `gan sample`: pictures from noise, as one grid or as single files.
#include <filesystem>
#include <nlohmann/json.hpp>

#include "engine/data/search.h"
#include "engine/files/atomic_file.h"
#include "engine/files/talk.h"
#include "engine/run/runlog.h"
#include "models/tasks/zoo.h"
#include "models/use/sample.h"
#include "tools/cli/commands.h"

namespace gan::tools {
namespace {

namespace fs = std::filesystem;

// A folder for the single pictures: new, empty, or (with --force) holding only what will be overwritten.
void prepare_folder(const fs::path& folder, bool force) {
  std::error_code error;
  if (fs::exists(folder, error)) {
    if (!fs::is_directory(folder, error))
      fail(Exit::usage, "--out {}: there is a file of this name; --separate needs a folder", folder.string());
    if (!force && !fs::is_empty(folder, error))
      fail(Exit::usage, "--out {}: the folder is not empty; choose another one, or --force to add to it",
           folder.string());
  }
  fs::create_directories(folder, error);
  if (error) fail(Exit::io, "folder {} cannot be made: {}", folder.string(), error.message());
  mark_output_folder(folder);
}

void write_grid(const std::string& out, const Image& grid, const PictureFormat& format) {
  if (out == "-") {
    const auto bytes = encode_png(grid);
    if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size())
      fail(Exit::io, "the picture cannot be written to standard output");
    return;
  }
  const fs::path folder = fs::path(out).parent_path();
  std::error_code error;
  if (!folder.empty()) fs::create_directories(folder, error);
  write_picture(out, grid, format);
}

// Refuses before anything is computed what cannot be written in the end.
PictureFormat format_of_grid(const std::string& out, int count, int columns, int side, int quality) {
  std::error_code error;
  if (fs::is_directory(out, error))
    fail(Exit::usage, "--out {} is a folder; name a .png or .jpg file, or use --separate", out);
  const int64_t rows = (count + columns - 1) / columns, each = side + 2;
  if (rows * each * columns * each > PictureLimits::pixels)
    fail(
        Exit::usage,
        "--n {}: a grid of {} rows of {} pictures is larger than programs read; use --separate for single pictures",
        count, rows, columns);
  return out == "-" ? PictureFormat{} : PictureFormat::of(out, "--out", quality);
}

int run(const Arguments& arguments) {
  Config config = config_of_all_models();
  Origins origins;
  read_environment(config, origins);
  apply_options(arguments, config, origins);
  const int count = int(arguments.number("n", 64, 1, 1'000'000));
  const int columns = int(arguments.number("columns", 8, 1, 10'000));
  const int stops =
      int(arguments.number("stops", std::max(2, (count + columns - 1) / columns), 1, 1'000'000));
  const bool separate = arguments.is_on("separate");
  const std::string out = !config.out->empty() ? *config.out : separate ? "samples" : "grid.png";
  const int quality = int(arguments.number("quality", 92, 1, 100));
  if (separate) prepare_folder(out, config.force);

  LoadedModel loaded = load_model(arguments.words[0], config.device);
  const Sampling sampling{count, uint64_t(config.seed), arguments.is_on("walk") ? stops : 0};
  if (separate) {
    Progress progress(config.quiet);
    for_each_sample(*loaded.model, *loaded.context, sampling, [&](int i, Image&& picture) {
      write_png(fs::path(out) / fmt::format("sample-{:05}.png", i), picture);
      progress.show_line(fmt::format("{}/{} pictures", i + 1, count));
    });
    progress.clear();
  } else {
    const int in_row = std::min(columns, count);
    const PictureFormat format = format_of_grid(out, count, in_row, loaded.config.size, quality);
    std::vector<Image> pictures;
    for_each_sample(*loaded.model, *loaded.context, sampling,
                    [&](int, Image&& picture) { pictures.push_back(std::move(picture)); });
    write_grid(out, make_grid(pictures, in_row, 2, 255), format);
  }

  if (config.json && out != "-") {
    const nlohmann::ordered_json line = {
        {"out", out},           {"count", count},
        {"seed", *config.seed}, {"model", *loaded.config.model},
        {"step", loaded.step},  {"device", name_of(loaded.context->device())}};
    fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else if (!config.quiet) {
    talk(fmt::format("{} pictures of {} at step {} in {}", count, loaded.config.model, loaded.step, out));
  }
  return int(Exit::ok);
}

}  // namespace

Command describe_sample() {
  Command command;
  command.name = "sample";
  command.summary = "make pictures with a trained model";
  command.words = {word_for_trained()};
  command.options = {
      {"n", "pictures", "how many", "1..1000000", "64", false},
      {"columns", "pictures", "pictures in a row of the grid", "1..10000", "8", false},
      {"walk", "pictures", "a walk through noise space instead of independent pictures", "", "", true},
      {"stops", "pictures", "random points on the walk; by default one for each row", "1..1000000", "",
       false},
      {"quality", "pictures", "of a JPEG", "1..100", "92", false},
      {"separate", "pictures", "single pictures in the folder --out instead of one grid", "", "", true}};
  for (auto& option : options_of_settings(kSample)) {
    if (option.name == "out")
      option.help =
          "file to write, .png or .jpg, - for standard output, or a folder with --separate [grid.png, samples]";
    if (option.name == "force") option.help = "with --separate: also into a folder that is not empty";
    command.options.push_back(option);
  }
  command.options.push_back(common_options()[0]);
  command.examples = {"gan sample runs/00000-dcgan-comics --n 64 --seed 7 --out grid.png",
                      "gan sample runs/faces --walk --n 32 --columns 8 --out walk.png",
                      "gan sample runs/faces/checkpoints/step-00001000.safetensors --separate --out faces/"};
  command.notes =
      "Picture i of a seed is the same however many are made. Batch norm's running statistics are used, and "
      "the "
      "averaged weights where the run kept them.";
  command.run = run;
  return command;
}

}  // namespace gan::tools
