// `gan translate`: pictures through a trained network, of any size and from anywhere.
#include "models/use/translate.h"

#include <glob.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/data/folders.h"
#include "engine/files/atomic_file.h"
#include "engine/files/talk.h"
#include "engine/run/runlog.h"
#include "models/training/plan.h"
#include "tools/cli/commands.h"
#include "tools/commands/picture_maker.h"
#include "tools/commands/translate_video.h"
#include "tools/commands/use_model.h"

namespace gan::tools {
namespace {

namespace fs = std::filesystem;

struct Input {
  fs::path file;     // empty: standard input
  std::string name;  // of the output, without the extension that it gets
};

constexpr size_t kLargestStream = size_t{1} << 29;  // bytes

// What differs in its extension alone gets an output of its own: a.jpg and a.png become a.jpg.png and a.png.png.
void tell_apart(std::vector<Input>& inputs) {
  for (bool changed = true; changed;) {
    changed = false;
    std::map<std::string, std::vector<size_t>> owners;
    for (size_t i = 0; i < inputs.size(); ++i) owners[inputs[i].name].push_back(i);
    for (const auto& [name, own] : owners) {
      if (own.size() < 2) continue;
      for (const size_t i : own) {
        // In place of the last word, the whole name of the file.
        const fs::path whole = fs::path(name).parent_path() / inputs[i].file.filename();
        if (inputs[i].file.empty() || whole.string() == name) continue;
        inputs[i].name = whole.string();
        changed = true;
      }
    }
  }
}

struct Inputs {
  std::vector<Input> list;
  PassedOver passed_over;
};

// The words of the command line as files: pictures, folders (with sub-folders), patterns, and - for standard
// input. A name given twice is taken once. `out`: where the results go, in which no picture is an input.
Inputs inputs_of(std::span<const std::string> words, const fs::path& out) {
  Inputs inputs;
  std::set<fs::path> seen;
  std::error_code ignored;
  const auto add_file = [&](const fs::path& file, const std::string& name) {
    if (seen.insert(fs::absolute(file, ignored).lexically_normal()).second)
      inputs.list.push_back({file, name});
  };
  const auto add = [&](const fs::path& path) {
    if (!fs::is_directory(path, ignored)) return add_file(path, path.stem().string());
    std::vector<fs::path> except;
    const fs::path below =
        fs::weakly_canonical(out, ignored).lexically_relative(fs::canonical(path, ignored));
    if (!below.empty() && *below.begin() != "." && *below.begin() != "..") except.push_back(path / below);
    for (const auto& file : list_pictures(path, inputs.passed_over, except))
      add_file(file, file.lexically_relative(path).replace_extension().string());
  };
  for (const auto& word : words) {
    if (word == "-") {
      inputs.list.push_back({{}, "stdin"});
    } else if (fs::exists(word, ignored)) {
      add(word);
    } else {
      glob_t found{};
      if (word.find_first_of("*?[") == word.npos || glob(word.c_str(), 0, nullptr, &found) != 0) {
        globfree(&found);
        fail(Exit::bad_data, "{}: no such picture or folder", word);
      }
      for (size_t i = 0; i < found.gl_pathc; ++i) add(found.gl_pathv[i]);
      globfree(&found);
    }
  }
  tell_apart(inputs.list);
  return inputs;
}

Image read_input(const Input& input, const DecodeOptions& decode) {
  if (!input.file.empty()) return read_image(input.file, decode);
  std::vector<std::byte> bytes;
  for (size_t got = 1; got > 0;) {
    const size_t before = bytes.size();
    if (before > kLargestStream) fail(Exit::bad_data, "standard input: more than {} bytes", kLargestStream);
    bytes.resize(before + 65536);
    got = std::fread(bytes.data() + before, 1, 65536, stdin);
    bytes.resize(before + got);
  }
  return decode_image(bytes, "standard input", decode);
}

// Files with A and B side by side: which of them are cut to the half that is the input. A single picture is never
// cut silently.
class PairFiles {
 public:
  // `options`: what the model learnt from.
  PairFiles(const Arguments& arguments, const DataOptions& options, bool quiet) : quiet_(quiet) {
    aligned_ = options.examples == Examples::pairs && options.make_input == InputKind::none;
    given_ = arguments.has("pairs");
    cut_ = given_ ? arguments.is_on("pairs") : aligned_ && learnt_from_such(options);
    right_ = options.b_to_a;
  }

  // Exit::bad_data when --pairs is given for a picture of another shape.
  Image input_of(const Image& picture, const std::string& name) {
    const bool shaped = looks_like_pair(picture.width, picture.height) && picture.width % 2 == 0;
    if (given_ && cut_ && !shaped)
      fail(Exit::bad_data,
           "{}: {} x {} pixels: no A and B side by side, which are about twice as wide as high", name,
           picture.width, picture.height);
    if (!shaped || given_ || !aligned_) return cut_ && shaped ? half(picture) : picture;
    if (!said_ && !quiet_) {
      const char* side = right_ ? "right" : "left";
      const std::string what =
          cut_ ? fmt::format(
                     "as the pairs are that this run learnt from: its {} half, the input, is translated, and "
                     "so are those of others like it; --pairs=false takes them whole",
                     side)
               : fmt::format(
                     "and translated whole; if it holds A and B side by side, --pairs takes the {} half, the "
                     "input",
                     side);
      fmt::print(stderr, "{} is twice as wide as high, {}\n", name, what);
      said_ = true;
    }
    return cut_ ? half(picture) : picture;
  }

 private:
  static bool learnt_from_such(const DataOptions& options) {
    try {
      return &find_layout(options) == &side_by_side_layout;
    } catch (const Error&) {
      return false;  // the data are gone
    }
  }
  Image half(const Image& picture) const {
    const int width = picture.width / 2;
    return crop(picture, 0, right_ ? width : 0, picture.height, width);
  }

  bool quiet_, aligned_, given_, cut_, right_, said_ = false;
};

// Where the results go: a folder, one file, or standard output.
struct Output {
  std::string out;
  PictureFormat format;
  bool stream = false, single_file = false;

  fs::path path_of(const Input& input) const {
    return single_file ? fs::path(out) : fs::path(out) / (input.name + format.extension());
  }
};

// What becomes of results that are there already.
enum class Existing { refuse, overwrite, skip };

// `inputs` loses those whose results are there, with Existing::skip.
Output output_of(std::vector<Input>& inputs, const std::string& out, const PictureFormat& format,
                 Existing existing) {
  Output output{.out = out, .format = format};
  const bool only_stream = inputs.size() == 1 && inputs[0].file.empty();
  if (out.empty()) output.out = only_stream ? "-" : "translated";
  output.stream = output.out == "-";
  if (output.stream && inputs.size() > 1)
    fail(Exit::usage, "--out - takes one picture, not {}; name a folder", inputs.size());
  if (output.stream) return output;
  std::error_code ignored;
  const bool folder = fs::is_directory(output.out, ignored);
  const bool names_picture = !folder && has_picture_ending(output.out);
  if (names_picture && inputs.size() > 1)
    fail(Exit::usage, "--out {} is one picture, and there are {} to translate; name a folder", output.out,
         inputs.size());
  output.single_file = names_picture;
  if (output.single_file) output.format = PictureFormat::of(output.out, "--out", format.quality);
  if (!output.single_file && fs::exists(output.out, ignored) && !folder)
    fail(Exit::usage, "--out {}: there is a file of this name; the pictures need a folder", output.out);
  std::map<fs::path, fs::path> owners;
  for (const auto& input : inputs) {
    const fs::path path = output.path_of(input);
    if (const auto [other, added] = owners.emplace(path, input.file); !added)
      fail(Exit::usage, "{} and {} would both become {}; translate them to different folders",
           other->second.string(), input.file.string(), path.string());
    if (existing == Existing::refuse && fs::exists(path, ignored))
      fail(Exit::usage,
           "{} exists already; choose another --out, --skip-existing to go on, or --force to overwrite it",
           path.string());
  }
  if (existing == Existing::skip)
    std::erase_if(inputs, [&](const Input& input) { return fs::exists(output.path_of(input), ignored); });
  return output;
}

void write_output(const Output& output, const Input& input, const Image& picture) {
  if (output.stream) {
    const auto bytes = encode(picture, output.format);
    if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size())
      fail(Exit::io, "the picture cannot be written to standard output");
    return;
  }
  const fs::path path = output.path_of(input);
  std::error_code error;
  if (!output.single_file && fs::create_directories(output.out, error)) mark_output_folder(output.out);
  if (!path.parent_path().empty()) fs::create_directories(path.parent_path(), error);
  if (error) fail(Exit::io, "folder {} cannot be made: {}", path.parent_path().string(), error.message());
  write_picture(path, picture, output.format);
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

int run(const Arguments& arguments) {
  if (arguments.has("video")) return translate_video(arguments);
  if (arguments.has("temporal")) fail(Exit::usage, "--temporal steadies the frames of a --video: give one");
  if (arguments.words.size() < 2)
    fail(Exit::usage, "gan translate: INPUT... is missing; see `gan help translate`");
  const UseSettings settings = read_use_settings(arguments);
  const InputKind make = parse_input_kind(arguments.text("make-input", ""));
  const int enlarge = int(arguments.number("enlarge", 1, 1, 16));
  PictureFormat format;
  format.quality = int(arguments.number("quality", 92, 1, 100));
  const std::string wanted = arguments.text("format", "png");
  if (wanted == "jpg") format.kind = PictureFormat::Kind::jpeg;
  else if (wanted != "png") fail(Exit::usage, "--format must be png or jpg, not \"{}\"", wanted);
  Existing existing = settings.call.force ? Existing::overwrite : Existing::refuse;
  if (arguments.is_on("skip-existing")) {
    if (settings.call.force) fail(Exit::usage, "--skip-existing and --force exclude each other");
    existing = Existing::skip;
  }
  const std::string& out = settings.call.out;
  Inputs found = inputs_of(std::span(arguments.words).subspan(1), out.empty() ? "translated" : out);
  std::vector<Input>& inputs = found.list;
  if (inputs.empty()) fail(Exit::bad_data, "no pictures to translate");
  const size_t given = inputs.size();
  const Output output = output_of(inputs, settings.call.out, format, existing);
  const bool quiet = settings.call.quiet;
  Progress progress(quiet);
  if (const std::string words = found.passed_over.words(); !words.empty())
    progress.say(fmt::format("{} pictures; {}", given, words));
  if (inputs.size() < given)
    progress.say(fmt::format("{} of {} pictures are there already", given - inputs.size(), given));

  const std::unique_ptr<PictureMaker> maker = make_maker(arguments, settings);
  PairFiles pair_files(arguments, maker->learnt_from(), settings.call.quiet);
  const DecodeOptions decode{.channels = maker->channels(), .matte = parse_colour(settings.call.matte)};

  int64_t done = 0, failed = 0, pixels = 0;
  double network = 0, first = 0;
  size_t memory = 0;
  const auto start = std::chrono::steady_clock::now();
  for (const auto& input : inputs) {
    try {
      Image picture = read_input(input, decode);
      picture = pair_files.input_of(picture, input.file.empty() ? "standard input" : input.file.string());
      if (enlarge > 1)
        picture = resize(picture, picture.height * enlarge, picture.width * enlarge, Filter::bicubic);
      picture = make_input(picture, make, {uint64_t(settings.call.seed), 0, uint64_t(done)},
                           maker->learnt_from().size);
      maker->plan(picture);
      memory = std::max(memory, maker->planned_bytes());
      const auto before = std::chrono::steady_clock::now();
      const Image result = maker->make(picture);
      const double took = seconds_since(before);
      write_output(output, input, result);
      if (done++ == 0) first = took;
      network += took;
      const double so_far = seconds_since(start);
      progress.show_line(fmt::format(
          "{}/{} pictures  {:.2f} s each  {} left", done + failed, inputs.size(), so_far / double(done),
          duration_text(so_far / double(done + failed) * double(int64_t(inputs.size()) - done - failed))));
      pixels += int64_t(picture.height) * picture.width;
    } catch (const Error& error) {
      if (error.code() != Exit::bad_data || given == 1) throw;
      ++failed;
      progress.clear();
      talk(fmt::format("left out: {}", error.what()));  // also with --quiet
    }
  }
  progress.clear();
  const double all = seconds_since(start), later = done > 1 ? (network - first) / double(done - 1) : first;
  if (settings.call.json && !output.stream) {
    const nlohmann::ordered_json line = {
        {"out", output.out},      {"pictures", done},
        {"failed", failed},       {"skipped", given - inputs.size()},
        {"seconds", all},         {"seconds_first", first},
        {"seconds_each", later},  {"megapixels_per_second", double(pixels) / 1e6 / std::max(network, 1e-9)},
        {"memory_bytes", memory}, {"model", maker->model()},
        {"step", maker->step()},  {"device", name_of(maker->device())}};
    fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else if (!quiet) {
    talk(fmt::format(
        "{} picture{} in {:.2f} s, {:.1f} with reading and writing; {:.3f} s each{}, {:.2f} megapixels/s; {}",
        done, done == 1 ? "" : "s", network, all, later,
        done > 1 ? fmt::format(" after {:.3f} for the first", first) : "",
        double(pixels) / 1e6 / std::max(network, 1e-9), output.stream ? "standard output" : output.out));
  }
  if (failed) talk(fmt::format("{} of {} pictures could not be read", failed, given));
  return int(failed ? Exit::bad_data : Exit::ok);
}

}  // namespace

Command describe_translate() {
  Command command;
  command.name = "translate";
  command.summary = "turn pictures into others with a trained model";
  command.words = {
      {"RUN|CKPT|WEIGHTS",
       "folder of a run (its latest checkpoint), RUN/checkpoints/best, a checkpoint file, or a file as the "
       "authors of a network publish it (.pth, .pt, .safetensors)",
       Word::Kind::file,
       true,
       {}},
      {"INPUT...",
       "pictures, folders, patterns (\"*.jpg\"), or - for standard input",
       Word::Kind::file,
       false,
       {}}};
  command.words[1].repeats = true;
  command.options = {
      {"make-input", "pictures", "first make the input that this kind of training makes",
       "sketch|grey|noise|blur|lowres|mask|old", "", false},
      {"enlarge", "pictures", "first enlarge so many times (bicubic), for a model that learnt from lowres",
       "1..16", "1", false},
      {"format", "pictures", "of the files in a folder; a single file's is that of its name", "png|jpg",
       "png", false},
      {"quality", "pictures", "of a JPEG", "1..100", "92", false},
      {"skip-existing", "pictures",
       "leave out pictures whose results are there: goes on where it was interrupted", "", "", true},
      {"pairs", "pictures",
       "inputs are files with A and B side by side: translate the half that is the input; where the run learnt from "
       "such files, this goes without saying for those of that shape",
       "", "", true}};
  for (auto& option : options_of_use()) command.options.push_back(option);
  for (auto& option : options_of_video()) command.options.push_back(option);
  for (auto& option : options_of_settings(kTranslate)) {
    if (option.name == "out")
      option.help =
          "folder to write NAME.png to, a .png or .jpg file for one picture, or - for standard output [translated]; of --video NAME.mp4, NAME.y4m or -";
    if (option.name == "force") option.help = "overwrite pictures that are there";
    if (option.name == "norm-mode") option.fallback = "the run's";
    command.options.push_back(option);
  }
  for (const auto& option : options_of_styles()) command.options.push_back(option);
  for (const auto& option : options_of_published()) command.options.push_back(option);
  command.options.push_back(common_options()[0]);
  command.examples = {
      "gan translate runs/00003-pix2pix-facades photos/ --out outputs",
      "gan translate runs/old-photos scan.tif.png \"album/*.jpg\" --out coloured",
      "cat grey.jpg | gan translate runs/old-photos - > colour.png",
      "gan translate runs/super small/ --enlarge 4",
      "gan translate runs/comic --video walk.mp4 --temporal --out drawn.mp4",
      "gan translate face_paint_512_v2.pt photos/ --out drawings   # `gan help weights` says more"};
  command.notes =
      "Any height and width: a picture is mirrored at its border up to the multiple that the network needs "
      "and "
      "cut back. What does not fit --memory-gb goes through in overlapping tiles that are blended. Grey, "
      "16-bit, "
      "palette and transparent pictures are read as 8-bit colour (transparency on --matte). With --norm-mode "
      "running, pictures do not depend on their size, tiles or neighbours; batch normalises each tile by its "
      "own "
      "statistics, as while learning with --batch 1. An unreadable picture is named and left out, and the "
      "exit "
      "code is 3.";
  command.run = run;
  return command;
}

}  // namespace gan::tools
