// Which way a film comes and goes: as a stream of our own, or through ffmpeg.
#include "engine/picture/video.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <sstream>
#include <system_error>

#include "engine/files/atomic_file.h"
#include "engine/files/process.h"
#include "engine/files/talk.h"
#include "engine/picture/video_stream.h"
#include "kernels/contract/check.h"

namespace gan {

namespace {

namespace fs = std::filesystem;

constexpr const char* kWithoutFfmpeg =
    "what goes without it: y4m and PPM streams, from files or -, to NAME.y4m or - (Debian has it as ffmpeg)";

void need_ffmpeg(const std::string& name) {
  if (find_program("ffmpeg").empty())
    fail(Exit::failure, "{} takes the program ffmpeg, which is not on the PATH; {}", name, kWithoutFfmpeg);
}

// As an argument that ffmpeg takes for nothing but a file.
std::string file_argument(const std::string& name) { return "file:" + name; }

// What ffprobe, which comes with ffmpeg, tells of a film's pictures, by its own names; nothing when it is not there.
std::map<std::string, std::string> probe(const std::string& name) {
  std::map<std::string, std::string> found;
  if (find_program("ffprobe").empty()) return found;
  Process process({"ffprobe", "-v", "error", "-protocol_whitelist", "file,pipe", "-select_streams", "v:0",
                   "-show_entries", "stream=nb_frames,duration,color_range,color_space:format=duration",
                   "-of", "default=noprint_wrappers=1", file_argument(name)},
                  Process::Stream::its_output);
  std::string text;
  char buffer[1024];
  for (;;) {
    const ssize_t got = ::read(process.descriptor(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0 || text.size() > 65536) break;
    text.append(buffer, size_t(got));
  }
  process.wait();
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (const size_t equals = line.find('='); equals != line.npos && line.substr(equals + 1) != "N/A")
      found.emplace(line.substr(0, equals), line.substr(equals + 1));  // the stream's before the file's
  return found;
}

// ffmpeg decodes to colours that a y4m stream of full range carries without loss of chroma.
class FfmpegSource : public FrameSource {
 public:
  explicit FfmpegSource(const std::string& name)
      : name_(name),
        process_({"ffmpeg", "-v", "error", "-nostdin", "-protocol_whitelist", "file,pipe", "-i",
                  file_argument(name), "-map", "0:v:0", "-vf", "scale=out_color_matrix=bt601:out_range=full",
                  "-pix_fmt", "yuv444p", "-f", "yuv4mpegpipe", "-strict", "-1", "pipe:1"},
                 Process::Stream::its_output) {
    try {
      stream_ = std::make_unique<StreamSource>(process_.descriptor(), false, name);
    } catch (const Error&) {
      fail_as_ffmpeg_did();
      throw;
    }
    stream_->format_to_change().full_range = true;  // older versions do not say so
    format_ = stream_->format();
    format_.chroma = "420jpeg", format_.full_range = false, format_.sound = true;
    const auto facts = probe(name);
    const auto number = [&](const char* key) {
      const auto found = facts.find(key);
      return found == facts.end() ? 0 : std::atof(found->second.c_str());
    };
    if (const auto range = facts.find("color_range"); range != facts.end())
      format_.full_range = range->second == "pc";
    if (const auto matrix = facts.find("color_space"); matrix != facts.end() && matrix->second != "unknown")
      format_.matrix = matrix->second;
    format_.frames = int64_t(number("nb_frames"));
    if (format_.frames == 0)
      format_.frames = int64_t(number("duration") * double(format_.rate) / double(format_.rate_scale) + 0.5);
  }

  bool read(Image& frame) override {
    try {
      if (stream_->read(frame)) return true;
    } catch (const Error&) {
      fail_as_ffmpeg_did();
      throw;
    }
    fail_as_ffmpeg_did();
    return false;
  }

 private:
  // At the end of the stream: whether that is the film's end.
  void fail_as_ffmpeg_did() {
    const int code = process_.wait();
    const std::string words = process_.last_words();
    if (code != 0)
      fail(Exit::bad_data, "{}: ffmpeg cannot read {}: {}", name_,
           stream_ ? fmt::format("beyond frame {}", stream_->frames_read()) : "it",
           words.empty() ? fmt::format("exit code {}", code) : words);
    if (!words.empty()) talk(fmt::format("{}: ffmpeg: {}", name_, words));
  }

  std::string name_;
  Process process_;
  std::unique_ptr<StreamSource> stream_;
};

std::string ending_of(const std::string& name) {
  std::string ending = fs::path(name).extension().string();
  for (char& c : ending) c = char(std::tolower(static_cast<unsigned char>(c)));
  return ending;
}

// Kinds of films without sound, and without the colours of television.
bool is_animation(const std::string& name) {
  const std::string ending = ending_of(name);
  return ending == ".gif" || ending == ".apng" || ending == ".webp";
}

// A frame with sides of an even number of pixels, which most codecs need: its last row and column once more.
Image evened(const Image& frame, int height, int width) {
  Image even(height, width, 3);
  for (int y = 0; y < height; ++y)
    for (int x = 0; x < width; ++x)
      for (int k = 0; k < 3; ++k)
        even.at(y, x, k) = frame.at(std::min(y, frame.height - 1), std::min(x, frame.width - 1), k);
  return even;
}

VideoFormat format_of_pipe(const VideoFormat& format) {
  VideoFormat piped = format;
  piped.stream = VideoFormat::Stream::y4m;
  piped.chroma = "444", piped.full_range = true;
  piped.width += piped.width % 2, piped.height += piped.height % 2;
  return piped;
}

std::vector<std::string> encoding(const std::string& name, const VideoFormat& format,
                                  const std::string& sound_from) {
  std::vector<std::string> words = {"ffmpeg", "-v",           "error", "-nostdin", "-y",
                                    "-f",     "yuv4mpegpipe", "-i",    "pipe:0"};
  const auto add = [&](std::initializer_list<std::string> more) { words.insert(words.end(), more); };
  const bool animation = is_animation(name);
  const bool sound = !sound_from.empty() && !animation;
  if (sound) add({"-protocol_whitelist", "file,pipe", "-i", file_argument(sound_from)});
  add({"-map", "0:v:0"});
  if (sound) add({"-map", "1:a?", "-c:a", "copy", "-max_muxing_queue_size", "4096"});
  if (!animation) {
    // Matrix and range as the source had them; what is unknown is what players expect of the size.
    std::string matrix = format.matrix;
    if (matrix != "bt709" && matrix != "smpte170m" && matrix != "bt470bg")
      matrix = format.height >= 720 ? "bt709" : "smpte170m";
    const char* range = format.full_range ? "pc" : "tv";
    add({"-vf",
         fmt::format("scale=in_color_matrix=bt601:in_range=full:out_color_matrix={}:out_range={}", matrix,
                     range),
         "-pix_fmt", "yuv420p", "-colorspace", matrix, "-color_range", range});
  }
  const std::string ending = ending_of(name);
  // In fragments, so that a file plays whose writing was broken off.
  if (ending == ".mp4" || ending == ".m4v" || ending == ".mov")
    add({"-movflags", "+frag_keyframe+empty_moov"});
  add({file_argument(name)});
  return words;
}

class FfmpegSink : public FrameSink {
 public:
  FfmpegSink(const std::string& name, const VideoFormat& format, const std::string& sound_from)
      : name_(name),
        sound_(!sound_from.empty()),
        piped_(format_of_pipe(format)),
        process_(encoding(name, format, sound_from), Process::Stream::its_input) {
    in_pipe([&] { stream_ = std::make_unique<StreamSink>(process_.descriptor(), false, name, piped_); });
    if (piped_.width != format.width || piped_.height != format.height)
      talk(fmt::format("{}: {} x {} pixels have an odd side; the last {} there twice", name, format.width,
                       format.height,
                       piped_.height == format.height ? "column is"
                       : piped_.width == format.width ? "row is"
                                                      : "row and column are"));
  }

  void write(const Image& frame) override {
    const bool even = frame.width == piped_.width && frame.height == piped_.height;
    in_pipe([&] { stream_->write(even ? frame : evened(frame, piped_.height, piped_.width)); });
  }

  void finish() override {
    if (process_.wait() != 0) fail_as_ffmpeg_did();
    const std::string words = process_.last_words();
    if (!words.empty()) talk(fmt::format("{}: ffmpeg: {}", name_, words));
  }

 private:
  // ffmpeg that has ended says why, unless a signal ended it.
  template <class Action>
  void in_pipe(Action action) {
    try {
      action();
    } catch (const std::system_error& error) {
      if (error.code() != std::errc::broken_pipe) throw;
      fail_as_ffmpeg_did();
    }
  }
  [[noreturn]] void fail_as_ffmpeg_did() {
    const int code = process_.wait();
    std::string words = process_.last_words();
    if (words.empty()) words = fmt::format("exit code {}", code);
    fail(Exit::io, "ffmpeg cannot write {}: {}{}", name_, words,
         sound_ ? "; if the kind of sound is at fault, .mkv takes every kind" : "");
  }

  std::string name_;
  bool sound_;
  VideoFormat piped_;
  Process process_;
  std::unique_ptr<StreamSink> stream_;
};

}  // namespace

std::unique_ptr<FrameSource> open_frames(const std::string& name) {
  if (name == "-") return std::make_unique<StreamSource>(STDIN_FILENO, false, "standard input");
  std::vector<uint8_t> begin(10);
  int descriptor = -1;
  {
    const InputFile file(name);
    begin.resize(size_t(std::min<uint64_t>(file.size(), begin.size())));
    file.read(0, std::as_writable_bytes(std::span(begin)));
    if (begin.empty()) fail(Exit::bad_data, "{}: no frames: the file is empty", name);
    if (begins_a_stream(begin)) {
      descriptor = ::fcntl(file.descriptor(), F_DUPFD_CLOEXEC, 3);
      if (descriptor < 0 || ::lseek(descriptor, 0, SEEK_SET) < 0)
        fail(Exit::io, "{} cannot be read: {}", name, std::strerror(errno));
    }
  }
  if (descriptor >= 0) return std::make_unique<StreamSource>(descriptor, true, name);
  need_ffmpeg(name);
  return std::make_unique<FfmpegSource>(name);
}

void check_sink_name(const std::string& name) {
  if (name == "-" || ending_of(name) == ".y4m") return;
  const std::string ending = ending_of(name);
  if (ending.empty() || ending == ".ppm" || (has_picture_ending(name) && !is_animation(name)))
    fail(Exit::usage,
         "--out {}: a film is NAME.mp4, .mkv, .webm, .gif or another kind that ffmpeg writes, NAME.y4m, or -",
         name);
  need_ffmpeg(name);
}

std::unique_ptr<FrameSink> create_frames(const std::string& name, const VideoFormat& format,
                                         const std::string& sound_from) {
  check_sink_name(name);
  if (name == "-") return std::make_unique<StreamSink>(STDOUT_FILENO, false, "standard output", format);
  if (ending_of(name) == ".y4m") {
    VideoFormat y4m = format;
    y4m.stream = VideoFormat::Stream::y4m;
    if (format.stream == VideoFormat::Stream::ppm) y4m.chroma = "444";
    const int descriptor = ::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (descriptor < 0) fail(Exit::io, "{} cannot be made: {}", name, std::strerror(errno));
    return std::make_unique<StreamSink>(descriptor, true, name, y4m);
  }
  return std::make_unique<FfmpegSink>(name, format, sound_from);
}

}  // namespace gan
