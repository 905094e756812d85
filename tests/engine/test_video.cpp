// Films: y4m and PPM streams as they are read and written, ffmpeg's part where it is there, and other programs.
#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>

#include "engine/files/process.h"
#include "engine/picture/video.h"
#include "kernels/contract/check.h"
#include "tests/support/film.h"
#include "tests/support/folder.h"
#include "tests/support/skip.h"
#include "tests/support/text.h"

using namespace gan;
using namespace gan::tests;

namespace {

std::vector<Image> frames_of(const std::string& name, VideoFormat* format = nullptr) {
  const auto source = open_frames(name);
  if (format) *format = source->format();
  std::vector<Image> frames;
  for (Image frame; source->read(frame);) frames.push_back(frame);
  return frames;
}

void write_film(const std::string& name, const VideoFormat& format, const std::vector<Image>& frames) {
  const auto sink = create_frames(name, format, "");
  for (const Image& frame : frames) sink->write(frame);
  sink->finish();
}

VideoFormat format_for(const Image& frame) {
  VideoFormat format;
  format.width = frame.width, format.height = frame.height;
  return format;
}

template <class Action>
std::string refusal_of(Action action, Exit code) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "no error";
}

std::string refusal(const std::string& file) {
  return refusal_of([&] { frames_of(file); }, Exit::bad_data);
}

int largest_difference(const Image& a, const Image& b) {
  REQUIRE((a.height == b.height && a.width == b.width && a.channels == b.channels));
  int largest = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i)
    largest = std::max(largest, std::abs(a.pixels[i] - b.pixels[i]));
  return largest;
}

// While it lives, programs are looked for in one folder alone.
class OnlyPath {
 public:
  explicit OnlyPath(const std::string& folder) : before_(getenv("PATH")) {
    setenv("PATH", folder.c_str(), 1);
  }
  ~OnlyPath() { setenv("PATH", before_.c_str(), 1); }

 private:
  std::string before_;
};

}  // namespace

TEST_CASE("video: y4m keeps frames, rate, range, chroma and words, for odd sides too") {
  TemporaryFolder folder;
  const std::string file = folder / "film.y4m";
  for (const char* chroma : {"420jpeg", "420mpeg2", "422", "444"})
    for (const bool full : {false, true}) {
      CAPTURE(std::string(chroma));
      CAPTURE(full);
      // Colours change slowly, so that pixels which share chroma are nearly alike.
      std::vector<Image> film(3, Image(37, 51, 3));
      for (size_t t = 0; t < film.size(); ++t)
        for (int y = 0; y < 37; ++y)
          for (int x = 0; x < 51; ++x) {
            film[t].at(y, x, 0) = uint8_t(40 + 3 * x), film[t].at(y, x, 1) = uint8_t(60 + 4 * y);
            film[t].at(y, x, 2) = uint8_t(200 - x - y - 10 * int(t));
          }
      VideoFormat format = format_for(film[0]);
      format.rate = 30000, format.rate_scale = 1001, format.chroma = chroma, format.full_range = full;
      format.other_words = " Ip A128:117";
      write_film(file, format, film);
      VideoFormat found;
      const auto frames = frames_of(file, &found);
      REQUIRE(frames.size() == 3);
      CHECK(found.frames == 3);
      CHECK((found.rate == 30000 && found.rate_scale == 1001));
      CHECK(found.chroma == chroma);
      CHECK(found.full_range == full);
      CHECK(found.other_words == " Ip A128:117");
      const int allowed = std::string(chroma) == "444" ? 2 : 6;
      for (size_t t = 0; t < 3; ++t) CHECK(largest_difference(frames[t], film[t]) <= allowed);
      // A second way through loses nothing more.
      write_film(folder / "again.y4m", found, frames);
      for (size_t t = 0; t < 3; ++t)
        CHECK(largest_difference(frames_of(folder / "again.y4m")[t], frames[t]) <= 2);
    }
}

TEST_CASE("video: the colours of a y4m stream are those of BT.601") {
  TemporaryFolder folder;
  const std::string file = folder / "film.y4m";
  const auto planes = [&](uint8_t r, uint8_t g, uint8_t b, bool full) {
    Image frame(1, 1, 3);
    frame.pixels = {r, g, b};
    VideoFormat format = format_for(frame);
    format.chroma = "444", format.full_range = full;
    write_film(file, format, {frame});
    const std::string bytes = text_of(file);
    return std::vector<int>{uint8_t(bytes[bytes.size() - 3]), uint8_t(bytes[bytes.size() - 2]),
                            uint8_t(bytes.back())};
  };
  CHECK(planes(255, 255, 255, false) == std::vector{235, 128, 128});
  CHECK(planes(0, 0, 0, false) == std::vector{16, 128, 128});
  CHECK(planes(255, 0, 0, false) == std::vector{81, 90, 240});
  CHECK(planes(0, 0, 255, false) == std::vector{41, 240, 110});
  CHECK(planes(255, 255, 255, true) == std::vector{255, 128, 128});
  CHECK(planes(0, 255, 0, true) == std::vector{150, 44, 21});
  write_text(file, grey_y4m(2, 3, {7, 200}));
  const auto frames = frames_of(file);
  REQUIRE(frames.size() == 2);
  CHECK(frames[1] == Image(2, 3, 3, 200));
}

TEST_CASE("video: PPM and PGM pictures one after another, with comments, of one size") {
  TemporaryFolder folder;
  const std::string file = folder / "film.ppm";
  const Image one = texture(5, 7), two = texture(5, 7, 30);
  std::string bytes = ppm(one) + "P6 # a comment\n7\t5 255\n";
  bytes.append(two.pixels.begin(), two.pixels.end());
  bytes += "P5\n7 5\n255\n" + std::string(35, '\x42');
  write_text(file, bytes);
  VideoFormat format;
  const auto frames = frames_of(file, &format);
  REQUIRE(frames.size() == 3);
  CHECK(frames[0] == one);
  CHECK(frames[1] == two);
  CHECK(frames[2] == Image(5, 7, 3, 0x42));
  CHECK(format.stream == VideoFormat::Stream::ppm);
  write_film(folder / "film.y4m", format, {one});  // no chroma is lost
  CHECK(largest_difference(frames_of(folder / "film.y4m")[0], one) <= 1);
  write_text(file, ppm(one) + ppm(texture(5, 8)));
  CHECK(contains(refusal(file), "picture 2 has 8 x 5 pixels, those before have 7 x 5"));
}

TEST_CASE("video: what is no film, or a damaged one, is refused with its place") {
  TemporaryFolder folder;
  const std::string file = folder / "film.y4m";
  const std::string good = grey_y4m(4, 4, {1, 2, 3});
  const auto refused = [&](const std::string& bytes, const std::string& part) {
    write_text(file, bytes);
    const std::string words = refusal(file);
    CAPTURE(words);
    CHECK(contains(words, part));
    CHECK(contains(words, file));
  };
  refused(good.substr(0, good.size() - 1), "cut off in frame 3");
  refused(grey_y4m(4, 4, {1}) + "FRAMX\n" + std::string(16, 'x'), "frame 2 does not begin as one");
  refused("YUV4MPEG2 W4 H4 F25:1 C420p10\nFRAME\n", "chroma of the kind \"420p10\"");
  refused("YUV4MPEG2 W4 Hx F25:1\n", "Hx is no number");
  refused("YUV4MPEG2 W99999 H99999 F25:1\n", "claims frames of 99999 x 99999");
  refused("YUV4MPEG2 F25:1\nFRAME\n", "claims frames of 0 x 0");
  refused("P6\n4 4\n65535\n", "samples of 0 to 65535");
  refused("", "no frames");
  CHECK(contains(refusal(folder / "missing.mp4"), "missing.mp4"));
  // What comes before the damage is read.
  write_text(file, good.substr(0, good.size() - 1));
  const auto source = open_frames(file);
  Image frame;
  CHECK(source->read(frame));
  CHECK(source->read(frame));
  CHECK(frame == Image(4, 4, 3, 2));
  write_text(file,
             "YUV4MPEG2 W2 H2 F0:0 Cmono XCOLORRANGE=FULL\nFRAME Ixyz\nabcd");  // a rate that is not known
  VideoFormat format;
  CHECK(frames_of(file, &format).size() == 1);
  CHECK((format.rate == 25 && format.rate_scale == 1));
}

TEST_CASE("video: a file that cannot grow is cut back to whole frames") {
  TemporaryFolder folder;
  const std::string file = folder / "film.y4m";
  const Image frame = texture(32, 32);
  VideoFormat format = format_for(frame);
  format.chroma = "444";
  std::signal(SIGXFSZ, SIG_IGN);  // as the program does
  rlimit before{}, limit{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  limit = before, limit.rlim_cur = 10000;  // three frames of 3072 bytes and a part
  std::string words;
  {
    const auto sink = create_frames(file, format, "");
    REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    words = refusal_of(
        [&] {
          for (int i = 0; i < 9; ++i) sink->write(frame);
        },
        Exit::io);
    REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  }
  CHECK(contains(words, file));
  CHECK(frames_of(file).size() == 3);
}

TEST_CASE("video: names of films, and what goes without ffmpeg") {
  TemporaryFolder folder;
  for (const char* name : {"film", "film.png", "film.jpg", "film.ppm", "a.b/film"}) {
    CAPTURE(std::string(name));
    CHECK(contains(refusal_of([&] { check_sink_name(name); }, Exit::usage), name));
  }
  write_text(folder / "film.mp4", "no film at all, but long enough");
  write_text(folder / "film.y4m", grey_y4m(4, 4, {1, 2, 3}));
  const OnlyPath nowhere(folder.path());
  check_sink_name("-");
  check_sink_name("x.Y4M");
  const std::string sink = refusal_of([&] { check_sink_name("x.mp4"); }, Exit::failure);
  CHECK(contains(sink, "x.mp4 takes the program ffmpeg"));
  CHECK(contains(sink, "y4m and PPM streams"));
  CHECK(contains(refusal_of([&] { open_frames(folder / "film.mp4"); }, Exit::failure), "ffmpeg"));
  CHECK(frames_of(folder / "film.y4m").size() == 3);
}

TEST_CASE("video: an ffmpeg that fails is quoted") {
  TemporaryFolder folder;
  const fs::path fake = folder / "ffmpeg";
  const auto becomes = [&](const std::string& script) {
    write_text(fake, "#!/bin/sh\n" + script);
    fs::permissions(fake, fs::perms::owner_all);
  };
  write_text(folder / "film.mp4", "no film at all, but long enough");
  const OnlyPath path(folder.path().string() + ":/usr/bin:/bin");
  std::signal(SIGPIPE, SIG_IGN);  // as the program does
  becomes("for i in 1 2 3 4 5 6; do echo \"trouble $i\" >&2; done; exit 3");
  const std::string read = refusal_of([&] { open_frames(folder / "film.mp4"); }, Exit::bad_data);
  CHECK(contains(read, "ffmpeg cannot read it: trouble 3; trouble 4; trouble 5; trouble 6"));
  CHECK(!contains(read, "trouble 2"));
  becomes("exit 3");
  CHECK(contains(refusal_of([&] { open_frames(folder / "film.mp4"); }, Exit::bad_data), "exit code 3"));
  const Image frame = texture(64, 64);
  const auto write = [&] {
    const auto sink = create_frames(folder / "out.mp4", format_for(frame), "");
    for (int i = 0; i < 100; ++i) sink->write(frame);
    sink->finish();
  };
  becomes("echo 'no room' >&2; exit 9");  // before it has read everything
  CHECK(contains(refusal_of(write, Exit::io), "out.mp4: no room"));
  becomes("cat > /dev/null; echo 'no end' >&2; exit 9");  // after
  CHECK(contains(refusal_of(write, Exit::io), "out.mp4: no end"));
  becomes("cat > /dev/null");
  CHECK(refusal_of(write, Exit::io) == "no error");
  // It decodes two frames and half a third.
  write_text(folder / "stream", grey_y4m(4, 4, {1, 2, 3}));
  becomes("head -c 115 '" + (folder / "stream").string() + "'; echo 'end of file' >&2; exit 1");
  const auto source = open_frames(folder / "film.mp4");
  Image got;
  CHECK(source->read(got));
  CHECK(source->read(got));
  CHECK(contains(refusal_of([&] { source->read(got); }, Exit::bad_data), "beyond frame 2: end of file"));
}

TEST_CASE("video: through ffmpeg and back, with an odd side, the rate and the range") {
  if (find_program("ffmpeg").empty() || find_program("ffprobe").empty()) GAN_SKIP("no ffmpeg on the PATH");
  TemporaryFolder folder;
  std::vector<Image> film;
  for (int t = 0; t < 8; ++t) film.push_back(texture(75, 101, 2 * t));
  for (const bool full : {false, true}) {
    CAPTURE(full);
    const std::string file = folder / (full ? "full.mkv" : "film.mkv");
    VideoFormat format = format_for(film[0]);
    format.rate = 24000, format.rate_scale = 1001, format.full_range = full;
    write_film(file, format, film);
    VideoFormat found;
    const auto frames = frames_of(file, &found);
    REQUIRE(frames.size() == 8);
    CHECK((found.width == 102 && found.height == 76));
    CHECK(double(found.rate) / double(found.rate_scale) == doctest::Approx(24000.0 / 1001).epsilon(0.002));
    CHECK(found.full_range == full);
    CHECK(found.sound);
    CHECK(std::abs(found.frames - 8) <= 1);
    double sum = 0;
    for (size_t t = 0; t < film.size(); ++t)
      for (int y = 0; y < 75; ++y)
        for (int x = 0; x < 101; ++x)
          for (int k = 0; k < 3; ++k) sum += std::abs(frames[t].at(y, x, k) - film[t].at(y, x, k));
    CHECK(sum / double(8 * 75 * 101 * 3) < 10);  // a wrong range or matrix is more
  }
}

TEST_CASE("process: words as they are, exit codes, signals, and what becomes of a program that is left") {
  TemporaryFolder folder;
  CHECK(find_program("sh").ends_with("/sh"));
  CHECK(find_program("no-such-program") == "");
  const auto run = [](const std::vector<std::string>& command) {
    Process process(command, Process::Stream::its_output);
    const int code = process.wait();
    return std::pair(code, process.last_words());
  };
  CHECK(run({"sh", "-c", "exit 7"}).first == 7);
  CHECK(run({"sh", "-c", "kill -9 $$"}).first == 128 + 9);
  CHECK(run({"sh", "-c", "echo \"$1\" >&2", "sh", "$HOME; `ls` 'x"}).second == "$HOME; `ls` 'x");
  CHECK(contains(refusal_of([&] { run({"no-such-program"}); }, Exit::failure), "no-such-program"));
  const fs::path mark = folder / "ended";
  const fs::path ready = folder / "ready";
  {
    const std::string loop = "trap 'echo > " + mark.string() + "; exit' TERM; echo > " + ready.string() +
                             "; while :; do sleep 0.02; done";
    const Process left({"sh", "-c", loop}, Process::Stream::its_input);
    for (int i = 0; i < 1000 && !fs::exists(ready); ++i) usleep(10000);
  }
  CHECK(fs::exists(mark));
}
