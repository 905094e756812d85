// The way of a film: source, network, filter, sink. One frame is in memory at a time, and whatever ends the work, the
// sink is finished, so that what was written plays.
#include "tools/commands/translate_video.h"

#include <chrono>
#include <exception>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <system_error>

#include "engine/data/made_input.h"
#include "engine/data/options.h"
#include "engine/files/stop.h"
#include "engine/files/talk.h"
#include "engine/picture/channels.h"
#include "engine/picture/motion.h"
#include "engine/picture/video.h"
#include "engine/run/runlog.h"
#include "models/use/translate.h"
#include "tools/commands/picture_maker.h"
#include "tools/commands/use_model.h"

namespace gan::tools {

std::vector<Option> options_of_video() {
  return {
      {"video", "film", "translate a film, frame by frame: a file, or - for y4m or PPM on standard input", "",
       "", false},
      {"temporal", "film",
       "steady frames: where the input shows what it showed before, moved, the output before is blended in",
       "", "", true}};
}

namespace {

namespace fs = std::filesystem;

struct Names {
  std::string in, out;
};

Names names_of(const Arguments& arguments, const UseSettings& settings) {
  Names names{arguments.text("video", ""), settings.call.out};
  if (arguments.words.size() > 1)
    fail(Exit::usage, "--video {} takes no INPUT beside it: \"{}\"", names.in, arguments.words[1]);
  for (const char* option : {"format", "quality", "skip-existing", "pairs"})
    if (arguments.has(option)) fail(Exit::usage, "--{} is for pictures: leave it out with --video", option);
  if (names.out.empty() && names.in == "-") names.out = "-";
  if (names.out.empty()) fail(Exit::usage, "--video wants --out NAME.mp4, NAME.y4m or -");
  std::error_code ignored;
  if (names.out == "-") return names;
  check_sink_name(names.out);
  if (fs::equivalent(names.in, names.out, ignored))
    fail(Exit::usage, "--out {} is the film that is read: give another name", names.out);
  if (!settings.call.force && fs::exists(names.out, ignored) && !fs::is_fifo(names.out, ignored))
    fail(Exit::usage, "{} exists already; choose another --out, or --force to overwrite it", names.out);
  return names;
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// "12/500", or "12" where the length is not known.
std::string count_of(int64_t done, int64_t frames) {
  return frames >= done && frames > 0 ? fmt::format("{}/{}", done, frames) : fmt::format("{}", done);
}

}  // namespace

int translate_video(const Arguments& arguments) {
  const UseSettings settings = read_use_settings(arguments);
  const InputKind make = parse_input_kind(arguments.text("make-input", ""));
  const int enlarge = int(arguments.number("enlarge", 1, 1, 16));
  const Names names = names_of(arguments, settings);
  const bool quiet = settings.call.quiet;
  Progress progress(quiet);
  const StopSignals signals;

  std::unique_ptr<FrameSource> source;
  try {
    source = open_frames(names.in);
  } catch (const Stopped& stop) { return stop.exit_code(); }
  const std::unique_ptr<PictureMaker> maker = make_maker(arguments, settings);
  std::optional<TemporalFilter> filter;
  if (arguments.is_on("temporal")) filter.emplace();

  VideoFormat format = source->format();
  std::unique_ptr<FrameSink> sink;
  std::exception_ptr failure;
  bool reader_gone = false;
  int64_t done = 0;
  const auto start = std::chrono::steady_clock::now();
  try {
    Image frame;
    while (!stop_signal() && source->read(frame)) {
      Image picture = maker->channels() == 1 ? in_grey(frame) : frame;
      if (enlarge > 1)
        picture = resize(picture, picture.height * enlarge, picture.width * enlarge, Filter::bicubic);
      picture = make_input(picture, make, {uint64_t(settings.call.seed), 0, uint64_t(done)},
                           maker->learnt_from().size);
      maker->plan(picture);
      Image result = in_colour(maker->make(picture));
      if (filter) result = filter->next(in_colour(picture), result);
      if (!sink) {
        format.width = result.width, format.height = result.height;
        sink = create_frames(names.out, format, format.sound ? names.in : "");
      }
      sink->write(result);
      ++done;
      const double speed = double(done) / std::max(seconds_since(start), 1e-9);
      std::string left;
      if (format.frames > done)
        left = fmt::format("  {} left", duration_text(double(format.frames - done) / speed));
      progress.show_line(
          fmt::format("frame {}  {:.2f} frames/s{}", count_of(done, format.frames), speed, left));
    }
  } catch (const Stopped&) {                  // while it waited for a frame
  } catch (const std::system_error& error) {  // of standard output alone: ffmpeg's end is told by its words
    failure = std::current_exception();
    reader_gone = error.code() == std::errc::broken_pipe;
  } catch (...) { failure = std::current_exception(); }
  progress.clear();
  if (sink) try {
      sink->finish();
    } catch (const Error&) {
      if (!failure) failure = std::current_exception();
    }
  const double seconds = seconds_since(start);
  const std::string place = names.out == "-" ? "standard output" : names.out;
  const int signal = stop_signal();
  if (failure) {
    const char* end = reader_gone ? "who reads the frames has gone" : "the end";
    if (done > 0)
      talk(fmt::format("{} frames were translated before {}", count_of(done, format.frames), end));
    std::rethrow_exception(failure);
  }
  if (done == 0 && !signal)
    fail(Exit::bad_data, "{}: no frames", names.in == "-" ? "standard input" : names.in);

  const auto flicker = filter ? filter->report() : TemporalFilter::Report{};
  if (settings.call.json && names.out != "-") {
    nlohmann::ordered_json line = {{"out", names.out},
                                   {"frames", done},
                                   {"width", format.width},
                                   {"height", format.height},
                                   {"rate", double(format.rate) / double(format.rate_scale)},
                                   {"seconds", seconds},
                                   {"frames_per_second", double(done) / std::max(seconds, 1e-9)},
                                   {"complete", signal == 0},
                                   {"model", maker->model()},
                                   {"step", maker->step()},
                                   {"device", name_of(maker->device())}};
    if (filter) {
      line["flicker_without"] = flicker.before;
      line["flicker"] = flicker.after;
      line["flicker_pixels"] = flicker.pixels;
      line["cuts"] = flicker.cuts;
    }
    fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  } else if (!quiet && done > 0) {
    talk(fmt::format("{} frames of {} x {} in {}, {:.2f} frames/s; {}", done, format.width, format.height,
                     duration_text(seconds), double(done) / std::max(seconds, 1e-9), place));
    if (filter && flicker.pixels > 0)
      talk(fmt::format("flicker {:.2f} levels of 255 without --temporal, {:.2f} with it; {} cut{}",
                       flicker.before, flicker.after, flicker.cuts, flicker.cuts == 1 ? "" : "s"));
    else if (filter) talk("flicker could not be measured: no two frames match");
  }
  if (signal) {
    talk(done > 0 ? fmt::format("stopped by a signal after {} frames; {} plays",
                                count_of(done, format.frames), place)
                  : "stopped by a signal before the first frame; nothing was written");
    return Stopped{signal}.exit_code();
  }
  return int(Exit::ok);
}

}  // namespace gan::tools
