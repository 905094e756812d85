// `gan translate --video` as a user has it: files, streams, ends of every kind, and --temporal.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "engine/files/process.h"
#include "engine/picture/video.h"
#include "tests/support/film.h"
#include "tests/support/shell.h"
#include "tests/support/skip.h"

using namespace gan;
using namespace gan::tests;

namespace {

using Words = std::vector<std::string>;

const std::string& small_run() {
  static const std::string run = std::string(source_dir) + "/tests/data/earlier/pix2pix";
  return run;
}

Words translate(const Words& more) {
  Words words = {"translate", small_run(), "--device", "cpu", "--video"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

int64_t frames_in(const fs::path& film) {
  const auto source = open_frames(film);
  int64_t count = 0;
  for (Image frame; source->read(frame);) ++count;
  return count;
}

// `count` frames that move, after each other.
std::string moving(int height, int width, int count, int step) {
  std::string film;
  for (int t = 0; t < count; ++t) film += ppm(texture(height, width, step * t));
  return film;
}

nlohmann::json json_of(const Result& result) {
  REQUIRE_MESSAGE(result.code == 0, result.err);
  return nlohmann::json::parse(result.out);
}

}  // namespace

TEST_CASE("gan translate --video: y4m and PPM, as files and as streams, without another program") {
  Shell shell;
  const Words nowhere = {"PATH=/nowhere"};
  const std::string film = grey_y4m(37, 51, {10, 120, 230});
  write_text(shell.folder / "in.y4m", film);
  const auto to_file = shell.gan(translate({"in.y4m", "--out", "out.y4m"}), nowhere);
  REQUIRE_MESSAGE(to_file.code == 0, to_file.err);
  CHECK(to_file.out == "");
  CHECK(contains(to_file.err, "3 frames of 51 x 37 in "));
  CHECK(contains(to_file.err, " frames/s; out.y4m"));
  const std::string written = text_of(shell.folder / "out.y4m");
  CHECK(written.starts_with("YUV4MPEG2 W51 H37 F30000:1001 Ip A1:1 Cmono XCOLORRANGE=FULL\nFRAME\n"));
  CHECK(written.size() == film.size());
  CHECK(written != film);
  shell.in_from = "in.y4m";
  const auto streamed = shell.gan(translate({"-", "--out", "-"}), nowhere);
  REQUIRE_MESSAGE(streamed.code == 0, streamed.err);
  CHECK(streamed.out == written);
  CHECK(shell.gan(translate({"-"}), nowhere).out == written);  // where nothing else is said
  // PPM comes out as PPM.
  write_text(shell.folder / "in.ppm", moving(20, 30, 4, 2));
  shell.in_from = "in.ppm";
  const auto pictures = shell.gan(translate({"-", "--out", "-", "--quiet"}), nowhere);
  REQUIRE(pictures.code == 0);
  CHECK(pictures.err == "");
  write_text(shell.folder / "got.ppm", pictures.out);
  CHECK(frames_in(shell.folder / "got.ppm") == 4);
  // One frame is what the same picture gives.
  write_picture(shell.folder / "one.png", texture(20, 30), {});
  REQUIRE(shell.gan({"translate", small_run(), "--device", "cpu", "one.png", "--out", "same.png"}).code == 0);
  Image first;
  REQUIRE(open_frames(shell.folder / "got.ppm")->read(first));
  CHECK(first == read_image(shell.folder / "same.png"));
  const auto larger =
      json_of(shell.gan(translate({"in.ppm", "--out", "large.y4m", "--enlarge", "2", "--json"}), nowhere));
  CHECK(larger.at("width") == 60);
  CHECK(larger.at("frames") == 4);
  CHECK(larger.at("complete") == true);
  CHECK(frames_in(shell.folder / "large.y4m") == 4);
}

TEST_CASE("gan translate --video: what is refused, and what each end leaves behind") {
  Shell shell;
  write_text(shell.folder / "in.y4m", grey_y4m(32, 32, {10, 120, 230}));
  check_refused(shell.gan({"translate", small_run()}), 2, "INPUT... is missing");
  check_refused(shell.gan({"translate", small_run(), "a.png", "--temporal"}), 2, "--temporal");
  check_refused(shell.gan(translate({"in.y4m"})), 2, "--out NAME.mp4");
  check_refused(shell.gan(translate({"in.y4m", "b.png", "--out", "out.y4m"})), 2, "b.png");
  check_refused(shell.gan(translate({"in.y4m", "--out", "out.y4m", "--quality", "9"})), 2, "--quality");
  check_refused(shell.gan(translate({"in.y4m", "--out", "out.png"})), 2, "out.png");
  check_refused(shell.gan(translate({"in.y4m", "--out", "in.y4m", "--force"})), 2,
                "in.y4m is the film that is read");
  check_refused(shell.gan(translate({"no.y4m", "--out", "out.y4m"})), 3, "no.y4m");
  check_refused(shell.gan(translate({"in.y4m", "--out", "out.mp4"}), {"PATH=/nowhere"}), 1,
                "y4m and PPM streams");
  write_text(shell.folder / "in.mp4", "some kind of film");
  check_refused(shell.gan(translate({"in.mp4", "--out", "out.y4m"}), {"PATH=/nowhere"}), 1,
                "y4m and PPM streams");
  check_refused(shell.gan({"translate", std::string(source_dir) + "/tests/data/earlier/dcgan", "--video",
                           "in.y4m", "--out", "out.y4m"}),
                2, "noise");
  CHECK(!fs::exists(shell.folder / "out.y4m"));
  REQUIRE(shell.gan(translate({"in.y4m", "--out", "out.y4m"})).code == 0);
  check_refused(shell.gan(translate({"in.y4m", "--out", "out.y4m"})), 2, "--force");
  CHECK(shell.gan(translate({"in.y4m", "--out", "out.y4m", "--force"})).code == 0);

  write_text(shell.folder / "empty.y4m", grey_y4m(32, 32, {}));
  check_refused(shell.gan(translate({"empty.y4m", "--out", "e.y4m"})), 3, "empty.y4m: no frames");
  CHECK(!fs::exists(shell.folder / "e.y4m"));
  const std::string whole = grey_y4m(32, 32, {1, 2, 3, 4});
  write_text(shell.folder / "cut.y4m", whole.substr(0, whole.size() - 100));
  const auto cut = shell.gan(translate({"cut.y4m", "--out", "c.y4m"}));
  check_refused_at_end(cut, 3, "cut off in frame 4");
  CHECK(contains(cut.err, "3/3 frames were translated before the end"));
  CHECK(frames_in(shell.folder / "c.y4m") == 3);

  // A disk that is full half-way.
  rlimit before{}, limit{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  limit = before, limit.rlim_cur = 3000;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  const auto full = shell.gan(translate({"in.y4m", "--out", "f.y4m"}));
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  check_refused_at_end(full, 7, "f.y4m cannot be written");
  CHECK(frames_in(shell.folder / "f.y4m") == 2);
  shell.out_to = "/dev/full";
  const auto nowhere = shell.gan(translate({"in.y4m", "--out", "-"}));
  check_refused_at_end(nowhere, 7, "standard output cannot be written");
}

TEST_CASE("gan translate --video: a signal half-way, and a reader that goes away") {
  Shell shell;
  write_text(shell.folder / "long.y4m", grey_y4m(64, 64, std::vector<int>(20000, 77)));
  const fs::path out = shell.folder / "out.y4m";
  std::error_code ignored;
  const pid_t child = shell.start(gan_binary, translate({"long.y4m", "--out", "out.y4m"}));
  for (int i = 0; i < 4000 && (!fs::exists(out, ignored) || fs::file_size(out, ignored) < 50000); ++i)
    usleep(5000);
  kill(child, SIGINT);
  const auto stopped = shell.wait(child);
  CHECK_MESSAGE(stopped.code == 130, stopped.err);
  CHECK(contains(stopped.err, "stopped by a signal after "));
  CHECK(contains(stopped.err, "/20000 frames; out.y4m plays"));
  const int64_t frames = frames_in(out);
  CHECK(frames > 5);
  CHECK(frames < 20000);

  // While it waits for a frame that does not come.
  REQUIRE(mkfifo((shell.folder / "pipe").c_str(), 0600) == 0);
  const int feed = open((shell.folder / "pipe").c_str(), O_RDWR | O_CLOEXEC);
  REQUIRE(feed >= 0);
  shell.in_from = "pipe";
  const std::string part = grey_y4m(32, 32, {9, 9});
  REQUIRE(write(feed, part.data(), part.size()) == ssize_t(part.size()));
  const pid_t waiting = shell.start(gan_binary, translate({"-", "--out", "live.y4m"}));
  const fs::path live = shell.folder / "live.y4m";
  for (int i = 0; i < 4000 && (!fs::exists(live, ignored) || fs::file_size(live, ignored) < 2000); ++i)
    usleep(5000);
  kill(waiting, SIGTERM);
  CHECK(shell.wait(waiting).code == 143);
  CHECK(frames_in(live) == 2);
  close(feed);

  REQUIRE(mkfifo((shell.folder / "sink").c_str(), 0600) == 0);
  const int reader = open((shell.folder / "sink").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  shell.in_from = "long.y4m", shell.out_to = "sink";
  const pid_t writing = shell.start(gan_binary, translate({"-", "--out", "-"}));
  char bytes[5000];
  for (int got = 0, i = 0; got < 5000 && i < 4000; ++i) {
    const ssize_t now = read(reader, bytes, sizeof bytes);
    if (now > 0) got += int(now);
    else usleep(5000);
  }
  close(reader);
  const auto gone = shell.wait(writing);
  CHECK_MESSAGE(gone.code == 0, gone.err);
  CHECK(contains(gone.err, "frames were translated before who reads the frames has gone"));
}

TEST_CASE("gan translate --video: memory does not grow with the film") {
  Shell shell;
  std::vector<int> levels;
  for (int t = 0; t < 500; ++t) levels.push_back(t % 250);
  write_text(shell.folder / "short.y4m", grey_y4m(96, 128, {levels.begin(), levels.begin() + 20}));
  write_text(shell.folder / "long.y4m", grey_y4m(96, 128, levels));
  const auto few = shell.gan(translate({"short.y4m", "--out", "a.y4m", "--temporal"}));
  const auto many = shell.gan(translate({"long.y4m", "--out", "b.y4m", "--temporal"}));
  REQUIRE(few.code == 0);
  REQUIRE(many.code == 0);
  CHECK(frames_in(shell.folder / "b.y4m") == 500);
#ifndef __SANITIZE_ADDRESS__                // which keeps what was released
  CHECK(many.peak_mib < few.peak_mib + 6);  // the frames alone are 17.6 MiB
#endif
}

TEST_CASE(
    "gan translate --temporal: a still film stays constant, a moving one flickers less by a third at least") {
  Shell shell;
  REQUIRE(shell
              .gan({"train",
                    "pix2pix",
                    "builtin:comics",
                    "--device",
                    "cpu",
                    "--size",
                    "32",
                    "--ngf",
                    "8",
                    "--ndf",
                    "4",
                    "--batch",
                    "4",
                    "--steps",
                    "40",
                    "--lr",
                    "2e-3",
                    "--sample-every",
                    "0",
                    "--eval-every",
                    "0",
                    "--out",
                    "run",
                    "--cache-gb",
                    "0"})
              .code == 0);
  write_text(shell.folder / "moving.ppm", moving(96, 128, 10, 3));
  write_text(shell.folder / "still.ppm", moving(96, 128, 8, 0));
  const auto filtered = [&](const std::string& film) {
    return shell.gan({"translate", "run", "--device", "cpu", "--video", film, "--out", "out.y4m", "--force",
                      "--temporal", "--json"});
  };
  const auto line = json_of(filtered("moving.ppm"));
  CAPTURE(line.dump());
  CHECK(line.at("cuts") == 0);
  CHECK(line.at("flicker_pixels").get<int64_t>() > 9 * 96 * 128 / 2);
  const double without = line.at("flicker_without").get<double>(), with = line.at("flicker").get<double>();
  CHECK(without > 1);
  CHECK(with < without * 2 / 3);

  CHECK(json_of(filtered("still.ppm")).at("flicker") == 0);
  const auto source = open_frames(shell.folder / "out.y4m");
  Image first, frame;
  REQUIRE(source->read(first));
  int frames = 1;
  for (; source->read(frame); ++frames) CHECK(frame == first);
  CHECK(frames == 8);
  const auto talk =
      shell.gan({"translate", "run", "--device", "cpu", "--video", "moving.ppm", "--out", "-", "--temporal"});
  CHECK(contains(talk.err, " levels of 255 without --temporal, "));
}

TEST_CASE("gan translate --video: other kinds of films through ffmpeg, with their sound") {
  if (find_program("ffmpeg").empty() || find_program("ffprobe").empty()) GAN_SKIP("no ffmpeg on the PATH");
  Shell shell;
  const auto run = [&](const std::string& program, const Words& words) {
    const auto result = shell.wait(shell.start(program, words));
    REQUIRE_MESSAGE(result.code == 0, result.err);
    return result.out;
  };
  run("ffmpeg", {"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=30000/1001:duration=1", "-f",
                 "lavfi", "-i", "sine=frequency=440:duration=1", "-c:v", "mpeg4", "-c:a", "aac", "in.mp4"});
  const auto translated = shell.gan(translate({"in.mp4", "--out", "out.mp4"}));
  REQUIRE_MESSAGE(translated.code == 0, translated.err);
  CHECK(contains(translated.err, "30 frames of 96 x 64"));
  const auto facts = [&](const std::string& film, const std::string& stream, const std::string& what) {
    return run("ffprobe", {"-v", "error", "-count_packets", "-select_streams", stream, "-show_entries",
                           "stream=" + what, "-of", "default=noprint_wrappers=1:nokey=1", film});
  };
  CHECK(facts("out.mp4", "v", "nb_read_packets,r_frame_rate,color_range") == "tv\n30000/1001\n30\n");
  const std::string sound = facts("in.mp4", "a", "codec_name,nb_read_packets");
  CHECK(sound != "");
  CHECK(facts("out.mp4", "a", "codec_name,nb_read_packets") == sound);
  // A side of an odd number of pixels: codecs want even ones, other kinds keep it.
  run("ffmpeg", {"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=1", "-vf",
                 "crop=51:37:exact=1", "-c:v", "ffv1", "-pix_fmt", "yuv444p", "odd.mkv"});
  const auto odd = shell.gan(translate({"odd.mkv", "--out", "even.mp4"}));
  REQUIRE_MESSAGE(odd.code == 0, odd.err);
  CHECK(contains(odd.err, "51 x 37 pixels have an odd side; the last row and column are there twice"));
  CHECK(facts("even.mp4", "v", "width,height,nb_read_packets") == "52\n38\n25\n");
  REQUIRE(shell.gan(translate({"odd.mkv", "--out", "odd.y4m"})).code == 0);
  const auto as_it_was = open_frames(shell.folder / "odd.y4m");
  CHECK((as_it_was->format().width == 51 && as_it_was->format().height == 37));
  CHECK(frames_in(shell.folder / "odd.y4m") == 25);
  // A disk that is full half-way: what ffmpeg says, and whole frames.
  run("ffmpeg", {"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=8", "-c:v",
                 "mpeg4", "full.mp4"});
  rlimit before{}, limit{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  limit = before, limit.rlim_cur = 50000;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  const auto full = shell.gan(translate({"full.mp4", "--out", "full.ts"}));
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  check_refused_at_end(full, 7, "ffmpeg cannot write full.ts: exit code ");
  const int64_t whole = std::atoll(facts("full.ts", "v", "nb_read_packets").c_str());
  CHECK(whole > 0);
  CHECK(whole < 200);
  // Broken off: the file plays.
  run("ffmpeg", {"-v", "error", "-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=120", "-c:v",
                 "mpeg4", "long.mp4"});
  const fs::path out = shell.folder / "half.mkv";
  std::error_code ignored;
  const pid_t child = shell.start(gan_binary, translate({"long.mp4", "--out", "half.mkv"}));
  for (int i = 0; i < 4000 && !fs::exists(out, ignored); ++i) usleep(5000);
  usleep(200000);  // ffmpeg keeps what it has encoded for a while: the file says nothing of how far it is
  kill(child, SIGINT);
  const auto stopped = shell.wait(child);
  CHECK_MESSAGE(stopped.code == 130, stopped.err);
  const int64_t frames = frames_in(out);
  CHECK(frames > 0);
  CHECK(frames < 3000);
  CHECK(contains(stopped.err, std::to_string(frames) + "/3000 frames; half.mkv plays"));
  // What ffmpeg does not know is said in its words.
  check_refused_at_end(shell.gan(translate({"in.mp4", "--out", "out.unknown"})), 7,
                       "ffmpeg cannot write out.unknown: ");
}
