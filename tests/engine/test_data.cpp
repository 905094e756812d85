// Pictures for training: which are found, in which order they are dealt, and what happens to bad ones.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>

#include "engine/data/check.h"
#include "engine/data/folders.h"
#include "engine/data/picture_set.h"

using namespace gan;
namespace fs = std::filesystem;

namespace {

// A folder that goes away with the test.
struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("gan-test-data-{}", ::getpid());
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

// One colour, so that a picture of the batch tells which file it came from.
Image plain(int side, uint8_t value) {
  Image image;
  image.height = image.width = side, image.channels = 3;
  image.pixels.assign(size_t(side) * side * 3, value);
  return image;
}

void write_plain_set(const fs::path& folder, int count) {
  for (int i = 0; i < count; ++i) write_png(folder / fmt::format("{:03}.png", i), plain(8, uint8_t(10 * i)));
}

// Values of the first channel of the first pixel, back in bytes: which pictures a batch holds.
std::vector<int> first_bytes(const Tensor& batch) {
  const auto values = batch.host();
  std::vector<int> result;
  const size_t each = values.size() / size_t(batch.dim(0));
  for (int64_t i = 0; i < batch.dim(0); ++i)
    result.push_back(int(std::lround((values[size_t(i) * each] + 1) * 127.5)));
  return result;
}

DataOptions options(const fs::path& folder) {
  DataOptions o;
  o.source = folder.string();
  o.size = 8;
  return o;
}

Exit code_of(const DataOptions& o, std::string* words = nullptr) {
  try {
    PictureSet set(o);
  } catch (const Error& error) {
    if (words) *words = error.what();
    return error.code();
  }
  return Exit::ok;
}

}  // namespace

TEST_CASE("an epoch deals every picture once, each epoch in another order, the same for every seed twice") {
  Folder folder;
  write_plain_set(folder.path, 10);
  DeviceContext context(Device::cpu);
  PictureSet set(options(folder.path));
  CHECK(set.draws_per_epoch(3) == 3);
  std::vector<std::vector<int>> epochs;
  for (int epoch = 0; epoch < 3; ++epoch) {
    std::vector<int> dealt;
    for (int draw = 0; draw < 3; ++draw)
      for (int v : first_bytes(set.batch(context, epoch * 3 + draw, 3).at("picture"))) dealt.push_back(v);
    CHECK(std::set<int>(dealt.begin(), dealt.end()).size() == 9);  // nine of ten, none twice
    epochs.push_back(dealt);
  }
  CHECK(epochs[0] != epochs[1]);
  CHECK(epochs[1] != epochs[2]);

  DataOptions other = options(folder.path);
  other.workers = 3;
  PictureSet again(other);
  std::vector<int> dealt;
  for (int draw : {5, 3, 4})  // any draw can be asked for at any time
    for (int v : first_bytes(again.batch(context, draw, 3).at("picture"))) dealt.push_back(v);
  std::rotate(dealt.begin(), dealt.begin() + 3, dealt.end());
  CHECK(dealt == epochs[1]);
  other.seed = 2;
  PictureSet reseeded(other);
  std::vector<int> different;
  for (int draw = 0; draw < 3; ++draw)
    for (int v : first_bytes(reseeded.batch(context, draw, 3).at("picture"))) different.push_back(v);
  CHECK(different != epochs[0]);
}

TEST_CASE("reading a set tells how far it is: each picture once, bad ones and those for validation too") {
  Folder folder;
  for (const char* part : {"train", "val"}) {
    fs::create_directories(folder.path / part);
    write_plain_set(folder.path / part, 6);
  }
  std::ofstream(folder.path / "train/bad.png") << "no picture";
  DataOptions o = options(folder.path);
  o.workers = 3, o.max_bad = 0.5;
  for (const double cache_gb : {1.0, 0.0}) {
    o.cache_gb = cache_gb;
    std::vector<int64_t> told;
    PictureSet set(o, [&](int64_t done, int64_t all) {
      CHECK(all == 13);
      told.push_back(done);
    });
    std::vector<int64_t> each(13);
    for (size_t i = 0; i < each.size(); ++i) each[i] = int64_t(i) + 1;
    CHECK(told == each);
    CHECK(set.bad_count() == 1);
  }
}

TEST_CASE("a set above the cache limit streams in the same order with the same result") {
  Folder folder;
  for (int i = 0; i < 12; ++i) {
    Image image = plain(12, uint8_t(20 * i));
    for (size_t k = 0; k < image.pixels.size(); ++k) image.pixels[k] = uint8_t(image.pixels[k] + k % 19);
    write_png(folder.path / fmt::format("{:02}.png", i), image);
  }
  DataOptions o = options(folder.path);
  o.load_size = 12;  // random 8x8 crops and flips
  DataOptions streaming = o;
  streaming.cache_gb = 0;
  streaming.workers = 2;
  DeviceContext context(Device::cpu);
  PictureSet resident(o), streamed(streaming);
  CHECK_FALSE(resident.streaming());
  CHECK(streamed.streaming());
  CHECK(streamed.cache_bytes() == 0);
  for (int64_t draw : {0, 1, 2, 3, 7, 8})
    CHECK(resident.batch(context, draw, 4).at("picture").host() ==
          streamed.batch(context, draw, 4).at("picture").host());
}

TEST_CASE("augmentation: crops and flips happen, and only when wanted") {
  Folder folder;
  Image ramp = plain(16, 0);
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 16; ++x)
      for (int c = 0; c < 3; ++c)
        ramp.pixels[size_t((y * 16 + x) * 3 + c)] = uint8_t(c == 0 ? 16 * x : 16 * y);
  for (int i = 0; i < 40; ++i) write_png(folder.path / fmt::format("{:02}.png", i), ramp);
  DataOptions o = options(folder.path);
  o.load_size = 16;
  DeviceContext context(Device::cpu);
  PictureSet set(o);
  const auto values = set.batch(context, 0, 40).at("picture").host();
  std::map<int, int> lefts, tops;
  int flipped = 0;
  for (size_t i = 0; i < 40; ++i) {
    auto byte = [&](int y, int x, int c) {
      return int(std::lround((values[((i * 8 + size_t(y)) * 8 + size_t(x)) * 3 + size_t(c)] + 1) * 127.5)) /
             16;
    };
    const bool flip = byte(0, 0, 0) > byte(0, 7, 0);
    flipped += flip;
    const int left = flip ? byte(0, 7, 0) : byte(0, 0, 0), top = byte(0, 0, 1);
    CHECK((left >= 0 && left <= 8));
    CHECK((top >= 0 && top <= 8));
    ++lefts[left], ++tops[top];
    CHECK(std::abs(byte(0, 7, 0) - byte(0, 0, 0)) == 7);
  }
  CHECK((flipped > 8 && flipped < 32));
  CHECK(lefts.size() >= 5);
  CHECK(tops.size() >= 5);
  o.augment = false;
  PictureSet plain_set(o);
  const auto centre = plain_set.batch(context, 0, 1).at("picture").host();
  CHECK(int(std::lround((centre[0] + 1) * 127.5)) == 16 * 4);  // left 4 of a 16-pixel ramp
}

TEST_CASE("exposure: light times a power of two, other for each picture and draw, up to what was asked for") {
  // 255 * sRGB(2 * light(100/255)) by the formulas of IEC 61966-2-1, in double precision; white stays white.
  Image three = plain(1, 0);
  three.pixels = {0, 100, 200};
  CHECK(exposed(three, 1).pixels == std::vector<uint8_t>{0, 138, 255});
  CHECK(exposed(three, -1).pixels == std::vector<uint8_t>{0, 71, 146});
  CHECK(exposed(three, 0).pixels == three.pixels);

  Folder folder;
  Image two = plain(8, 60);
  // Red above green: a picture of one colour would be left out as grey.
  for (size_t i = 0; i < 64; ++i) two.pixels[3 * i + (i < 32 ? 0 : 1)] = 90;
  for (int i = 0; i < 24; ++i) write_png(folder.path / fmt::format("{:02}.png", i), two);
  DataOptions o = options(folder.path);
  o.examples = Examples::colour;
  o.jitter_exposure = 1;
  o.split = {0.9, 0.1};
  DeviceContext context(Device::cpu);
  PictureSet set(o);
  const std::vector<int> first = first_bytes(set.batch(context, 0, 21).at("picture"));
  const int darkest = exposed(two, -1).pixels[0], brightest = exposed(two, 1).pixels[0];
  for (const int value : first) CHECK((value >= darkest && value <= brightest));
  CHECK(*std::min_element(first.begin(), first.end()) < 80);
  CHECK(*std::max_element(first.begin(), first.end()) > 100);
  CHECK(std::set<int>(first.begin(), first.end()).size() > 10);
  PictureSet again(o);
  CHECK(first_bytes(again.batch(context, 0, 21).at("picture")) == first);
  CHECK(first_bytes(again.batch(context, 1, 21).at("picture")) != first);
  CHECK(set.example(0, true).at("picture").pixels ==
        two.pixels);  // validation is of the pictures as they are
}

TEST_CASE("split: disjoint, complete, the same for the same seed") {
  Folder folder;
  write_plain_set(folder.path, 20);
  DataOptions o = options(folder.path);
  o.split = {0.8, 0.2};
  PictureSet set(o);
  CHECK(set.train_count() == 16);
  CHECK(set.validation_count() == 4);
  std::set<int> seen;
  for (bool validation : {false, true})
    for (int64_t i = 0; i < (validation ? set.validation_count() : set.train_count()); ++i)
      CHECK(seen.insert(set.example(i, validation).at("picture").pixels[0]).second);
  CHECK(seen.size() == 20);
}

TEST_CASE("bad folders and files: which, why and what to do") {
  Folder folder;
  std::string words;
  DataOptions o = options(folder.path / "absent");
  CHECK(code_of(o, &words) == Exit::bad_data);
  CHECK(words.find("no such folder") != std::string::npos);
  CHECK(words.find("absent") != std::string::npos);
  o.source = folder.path.string();
  CHECK(code_of(o, &words) == Exit::bad_data);
  CHECK(words.find("empty") != std::string::npos);
  std::ofstream(folder.path / "notes.txt") << "x";
  CHECK(code_of(o, &words) == Exit::bad_data);
  CHECK(words.find("1 other file") != std::string::npos);
  o.source = (folder.path / "notes.txt").string();
  CHECK(code_of(o, &words) == Exit::bad_data);
  CHECK(words.find("not a folder") != std::string::npos);

  o.source = folder.path.string();
  std::ofstream(folder.path / "broken.png") << "not a picture";
  CHECK(code_of(o, &words) == Exit::bad_data);
  CHECK(words.find("none of the 1 pictures") != std::string::npos);
  CHECK(words.find("broken.png") != std::string::npos);

  write_plain_set(folder.path, 9);
  o.max_bad = 0;
  CHECK(code_of(o, &words) == Exit::bad_data);
  CHECK(words.find("1 of 10 pictures") != std::string::npos);
  o.max_bad = 0.01;
  DeviceContext context(Device::cpu);
  PictureSet set(o);  // one in ten is more than 1 %, but one may always be bad
  CHECK(set.bad_count() == 1);
  CHECK(set.words() == o.source + ": 9 pictures for training, 1 bad; 1 other file passed over: txt 1");
  std::ofstream(folder.path / "torn.png") << "not a picture either";
  CHECK(code_of(o, &words) == Exit::bad_data);
  CHECK(words.find("2 of 11 pictures cannot be read, more than --max-bad") != std::string::npos);
  CHECK(bad_allowed(0.01, 1000) == 10);
  CHECK(bad_allowed(0.1, 10) == 1);
  fs::remove(folder.path / "torn.png");
  CHECK(set.train_count() == 9);
  std::set<int> dealt;
  for (int v : first_bytes(set.batch(context, 0, 9).at("picture"))) dealt.insert(v);
  CHECK(dealt == std::set<int>{0, 10, 20, 30, 40, 50, 60, 70, 80});  // no black picture in its place

  o.source = "builtin:comic";
  CHECK(code_of(o, &words) == Exit::usage);
  CHECK(words.find("builtin:comics") != std::string::npos);
  o.source = "builtin:comics", o.size = 16;
  CHECK(code_of(o) == Exit::usage);
  CHECK_THROWS_AS(parse_colour("reddish"), Error);
  CHECK(parse_colour("ffcc00") == std::array<uint8_t, 3>{255, 204, 0});
}

TEST_CASE("sub-folders are searched and files come in the order of their paths") {
  Folder folder;
  for (const char* name : {"b/2.png", "a/9.png", "c.png", "a/1.png"}) {
    fs::create_directories((folder.path / name).parent_path());
    write_png(folder.path / name, plain(8, 1));
  }
  std::vector<std::string> names;
  for (const auto& file : list_pictures(folder.path))
    names.push_back(file.lexically_relative(folder.path).string());
  CHECK(names == std::vector<std::string>{"a/1.png", "a/9.png", "b/2.png", "c.png"});
  const auto reports = check_pictures(folder.path, 2).reports;
  CHECK(reports.size() == 4);
  CHECK(reports[0].problem.empty());
  CHECK(reports[0].info.width == 8);
}

TEST_CASE("the embedded faces are a data set too, in colour and grey") {
  DataOptions o;
  o.source = "builtin:comics", o.size = 32, o.builtin_count = 20;
  DeviceContext context(Device::cpu);
  PictureSet colour(o);
  CHECK(colour.train_count() == 20);
  o.channels = 1;
  PictureSet grey(o);
  CHECK(grey.batch(context, 0, 4).at("picture").shape() == Shape{4, 32, 32, 1});
  const Image a = colour.example(0, false).at("picture"), b = grey.example(0, false).at("picture");
  for (size_t i = 0; i < b.pixels.size(); ++i) {
    const double luma = 0.299 * a.pixels[3 * i] + 0.587 * a.pixels[3 * i + 1] + 0.114 * a.pixels[3 * i + 2];
    REQUIRE(std::abs(luma - b.pixels[i]) <= 0.51);
  }
}
