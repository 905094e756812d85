// Unpaired pictures: which are found in every form of the folders, that each list is drawn by itself, and which
// pictures belong together for validation.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>

#include "engine/data/comics.h"
#include "engine/data/picture_set.h"
#include "tests/support/shell.h"

namespace gan::tests {
namespace {

// Red tells the list and the picture in it, green the row, blue the column.
Image picture(int value, int side = 16) {
  Image image(side, side, 3, uint8_t(value));
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) image.at(y, x, 1) = uint8_t(10 * y), image.at(y, x, 2) = uint8_t(10 * x);
  return image;
}

void write(const fs::path& folder, const std::string& name, int value) {
  fs::create_directories((folder / name).parent_path());
  write_png(folder / name, picture(value));
}

// Of A pictures 0, 1, ... and of B 100, 101, ..., under different names.
void write_lists(const fs::path& folder, const std::string& a, int count_a, const std::string& b,
                 int count_b) {
  for (int i = 0; i < count_a; ++i) write(folder, fmt::format("{}/a{:02}.png", a, i), i);
  for (int i = 0; i < count_b; ++i) write(folder, fmt::format("{}/b{:02}.png", b, i), 100 + i);
}

DataOptions options(const std::string& source, int size = 16, int load_size = 16) {
  DataOptions o;
  o.source = source, o.examples = Examples::unpaired;
  o.size = size, o.load_size = load_size;
  return o;
}

// The whole of both lists trains.
DataOptions undivided(const TemporaryFolder& folder) {
  DataOptions o = options(folder.path());
  o.split = {1, 0};
  return o;
}

// What picture(value) was in place i of a batch.
struct Seen {
  int value, top, left;
  bool flipped;
  bool operator==(const Seen&) const = default;
};
std::vector<Seen> seen(const Tensor& batch) {
  const auto values = batch.host();
  const size_t side = size_t(batch.dim(1)), each = side * side * 3;
  std::vector<Seen> all;
  for (size_t i = 0; i < size_t(batch.dim(0)); ++i) {
    const auto byte = [&](size_t x, size_t channel) {
      return int(std::lround((values[i * each + x * 3 + channel] + 1) * 127.5));
    };
    const bool flipped = byte(1, 2) < byte(0, 2);
    all.push_back({byte(0, 0), byte(0, 1) / 10, byte(flipped ? side - 1 : 0, 2) / 10, flipped});
  }
  return all;
}
std::vector<int> values(PictureSet& set, const char* name, int64_t first, int64_t end, int batch) {
  DeviceContext context(Device::cpu);
  std::vector<int> all;
  for (int64_t draw = first; draw < end; ++draw)
    for (const Seen& one : seen(set.batch(context, draw, batch).at(name))) all.push_back(one.value);
  return all;
}
std::set<int> distinct(const std::vector<int>& values) { return {values.begin(), values.end()}; }

std::string refusal(const DataOptions& o, Exit code = Exit::bad_data) {
  try {
    PictureSet set(o);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST_CASE("unpaired: every form of the folders gives the same lists, and the direction exchanges them") {
  TemporaryFolder named, plain, deep;
  write_lists(named.path(), "trainA", 5, "trainB", 3);
  write_lists(named.path(), "testA", 2, "testB", 1);
  write_lists(plain.path(), "A", 5, "B", 3);
  write_lists(deep.path(), "A/train", 5, "B/train", 3);
  write_lists(deep.path(), "A/val", 2, "B/val", 1);
  const std::string p = plain.path(), d = deep.path();
  PictureSet first(options(named.path()));
  CHECK(first.train_count() == 5);
  CHECK(first.draws_per_epoch(2) == 2);
  CHECK(first.validation_count() == 3);
  const auto a = values(first, "A", 0, 6, 2), b = values(first, "B", 0, 6, 2);
  CHECK(*std::max_element(a.begin(), a.end()) < 100);
  CHECK(*std::min_element(b.begin(), b.end()) >= 100);
  for (const std::string& source : {p, p + "/A," + p + "/B", d, d + "/A," + d + "/B"}) {
    CAPTURE(source);
    DataOptions o = options(source);
    if (source.starts_with(p)) o.split = {1, 0};
    PictureSet set(o);
    CHECK(set.train_count() == 5);
    CHECK(set.validation_count() == (source.starts_with(p) ? 0 : 3));
    CHECK(values(set, "A", 0, 6, 2) == a);
    CHECK(values(set, "B", 0, 6, 2) == b);
  }
  DataOptions reversed = options(named.path());
  reversed.b_to_a = true;
  PictureSet other(reversed);
  CHECK(distinct(values(other, "A", 0, 6, 2)) == distinct(b));
  CHECK(distinct(values(other, "B", 0, 6, 2)) == distinct(a));
  CHECK(other.validation_count() == 3);
  CHECK(other.example(0, true).at("A").at(0, 0, 0) == 100);

  TemporaryFolder comma;  // in the name of a folder
  write_lists(comma.path(), "x,y/A", 4, "x,y/B", 4);
  CHECK(PictureSet(options(comma / "x,y")).train_count() == 3);
  CHECK(PictureSet(options((comma / "x,y/A").string() + "," + (comma / "x,y/B").string())).train_count() ==
        3);
}

TEST_CASE("unpaired: each list is drawn in an order of its own, the shorter goes round by itself") {
  TemporaryFolder folder;
  write_lists(folder.path(), "A", 11, "B", 4);
  PictureSet set(undivided(folder));
  CHECK(set.draws_per_epoch(3) == 3);
  // The longer is dealt as a set of its own would be.
  DataOptions alone = options(folder / "A");
  alone.examples = Examples::pictures;
  PictureSet of_a(alone);
  CHECK(values(of_a, "picture", 0, 12, 3) == values(set, "A", 0, 12, 3));
  CHECK(distinct(values(set, "A", 0, 3, 3)).size() == 9);
  // Twelve draws of three are nine rounds through four pictures, each in another order.
  const auto b = values(set, "B", 0, 12, 3);
  std::set<std::vector<int>> rounds;
  for (size_t i = 0; i < b.size(); i += 4) {
    const std::vector<int> round(b.begin() + int64_t(i), b.begin() + int64_t(i) + 4);
    CHECK(distinct(round) == std::set<int>{100, 101, 102, 103});
    rounds.insert(round);
  }
  CHECK(rounds.size() > 4);
  // A batch may hold more than the whole shorter list.
  const auto wide = values(set, "B", 0, 2, 10);
  std::map<int, int> often;
  for (int value : wide) ++often[value];
  for (const auto& [value, times] : often) CHECK(times == 5);

  // Lists of the same length and names are shuffled differently too.
  TemporaryFolder equal;
  for (int i = 0; i < 8; ++i) {
    write(equal.path(), fmt::format("A/{}.png", i), i);
    write(equal.path(), fmt::format("B/{}.png", i), 100 + i);
  }
  PictureSet twins(undivided(equal));
  std::set<std::pair<int, int>> together;
  const auto x = values(twins, "A", 0, 16, 4), y = values(twins, "B", 0, 16, 4);
  for (size_t i = 0; i < x.size(); ++i) together.insert({x[i], y[i]});
  CHECK(together.size() > 30);  // of 64 draws
}

TEST_CASE("unpaired: crops and flips of the two lists are independent, and happen") {
  TemporaryFolder folder;
  write_lists(folder.path(), "A", 8, "B", 8);
  DataOptions o = undivided(folder);
  o.size = 12;
  PictureSet set(o);
  DeviceContext context(Device::cpu);
  int same_flip = 0, same_corner = 0, count = 0;
  std::set<std::pair<int, int>> corners_a, corners_b;
  for (int64_t draw = 0; draw < 20; ++draw) {
    const Batch batch = set.batch(context, draw, 8);
    const auto a = seen(batch.at("A")), b = seen(batch.at("B"));
    for (size_t i = 0; i < a.size(); ++i, ++count) {
      same_flip += a[i].flipped == b[i].flipped;
      same_corner += a[i].top == b[i].top && a[i].left == b[i].left;
      corners_a.insert({a[i].top, a[i].left}), corners_b.insert({b[i].top, b[i].left});
    }
  }
  CHECK(corners_a.size() > 22);  // of 25
  CHECK(corners_b.size() > 22);
  CHECK(std::abs(same_flip - count / 2) < 30);  // 160 coins: 4.7 deviations
  CHECK(same_corner < 20);                      // one in 25: 6.4 expected
}

TEST_CASE("unpaired: streaming, the number of threads and where one begins change nothing") {
  TemporaryFolder folder;
  write_lists(folder.path(), "trainA", 9, "trainB", 5);
  DataOptions o = options(folder.path(), 12);
  DataOptions streaming = o;
  streaming.cache_gb = 0, streaming.workers = 3;
  o.workers = 1;
  PictureSet resident(o), streamed(streaming), resumed(o);
  CHECK_FALSE(resident.streaming());
  CHECK(streamed.streaming());
  CHECK(resident.cache_bytes() == 14 * 16 * 16 * 3);
  CHECK(streamed.cache_bytes() == 0);
  DeviceContext context(Device::cpu);
  std::vector<std::vector<double>> dealt;
  for (const int64_t draw : {0, 1, 2, 3, 7, 8}) {
    const Batch a = resident.batch(context, draw, 4), b = streamed.batch(context, draw, 4);
    CHECK(a.pictures.size() == 2);
    CHECK(b.pictures.size() == 2);
    for (const char* name : {"A", "B"}) {
      CHECK(a.at(name).shape() == Shape{4, 12, 12, 3});
      CHECK(a.at(name).host() == b.at(name).host());
      dealt.push_back(a.at(name).host());
    }
  }
  const Batch late = resumed.batch(context, 8, 4);
  CHECK(late.at("A").host() == dealt[10]);
  CHECK(late.at("B").host() == dealt[11]);
  CHECK(dealt[10] != dealt[8]);
  CHECK_THROWS_WITH_AS(late.at("style"), "an example has no picture \"style\"; it has A, B", Error);
  o.seed = 2;
  PictureSet reseeded(o);
  const Batch other = reseeded.batch(context, 8, 4);
  CHECK(other.at("A").host() != dealt[10]);
  CHECK(other.at("B").host() != dealt[11]);
}

TEST_CASE("unpaired: pictures for validation belong together when their names are equal") {
  TemporaryFolder folder;
  write_lists(folder.path(), "trainA", 3, "trainB", 3);
  for (int i = 0; i < 3; ++i) write(folder.path(), fmt::format("testA/{}.png", i), 50 + i);
  for (int i = 1; i < 5; ++i) write(folder.path(), fmt::format("testB/{}.png", i), 150 + i);
  PictureSet set(options(folder.path()));
  CHECK(set.train_count() == 3);
  REQUIRE(set.validation_count() == 5);
  for (int i : {1, 2}) {  // those that belong together come first
    const Example both = set.example(i - 1, true);
    CHECK(both.at("A") == picture(50 + i));
    CHECK(both.at("B") == picture(150 + i));
    CHECK(both.name == std::to_string(i));
  }
  CHECK(set.example(2, true).at("A") == picture(50));
  CHECK_THROWS_WITH_AS(set.example(2, true).at("B"), doctest::Contains("it has A"), Error);
  for (int i : {3, 4}) {
    CHECK_FALSE(set.example(i, true).has("A"));
    CHECK(set.example(i, true).at("B") == picture(150 + i));
  }
  const Example training = set.example(1, false);
  CHECK(training.at("A") == picture(1));
  CHECK(training.at("B") == picture(101));
  DataOptions o = options(folder.path());
  o.split = {0.5, 0.5};
  CHECK(contains(refusal(o, Exit::usage), "leave out --split"));

  // A part for validation goes before that for testing, which stays for testing.
  write(folder.path(), "valA/9.png", 9);
  CHECK(PictureSet(options(folder.path())).validation_count() == 1);
  const DataOptions again = options(folder.path());
  const Listing listing = find_layout(again).list(again);
  CHECK(listing.part("", "x").examples.size() == 5);
  CHECK(listing.part("val", "x").examples.size() == 1);
  CHECK(listing.part("train", "x").examples.size() == 6);
}

TEST_CASE("unpaired: without parts one in twenty of each list is held out, the same names of both") {
  TemporaryFolder folder;
  for (int i = 0; i < 60; ++i) {
    write(folder.path(), fmt::format("A/{}.png", i), i);
    write(folder.path(), fmt::format("B/{}.png", i), 100 + i);
  }
  for (int i = 60; i < 80; ++i) write(folder.path(), fmt::format("B/{}.png", i), 100 + i);
  PictureSet set(options(folder.path()));
  CHECK(set.train_count() == 76);
  REQUIRE(set.validation_count() == 4);
  std::set<int> held_out;
  for (int64_t i = 0; i < 4; ++i) {
    const Example example = set.example(i, true);
    held_out.insert(example.at("B").at(0, 0, 0));
    CHECK(example.has("A") == (i < 3));
    if (i < 3) CHECK(example.at("B").at(0, 0, 0) == example.at("A").at(0, 0, 0) + 100);
    else CHECK(example.at("B").at(0, 0, 0) >= 160);
    if (i < 3) held_out.insert(example.at("A").at(0, 0, 0));
  }
  for (const char* name : {"A", "B"})
    for (const int value : values(set, name, 0, 8, 19)) CHECK_FALSE(held_out.contains(value));

  // trainA and trainB: pictures numbered alike are no pairs.
  fs::rename(folder / "A", folder / "trainA"), fs::rename(folder / "B", folder / "trainB");
  PictureSet apart(options(folder.path()));
  REQUIRE(apart.validation_count() == 7);
  for (int64_t i = 0; i < 7; ++i) CHECK(apart.example(i, true).pictures.size() == 1);
}

TEST_CASE(
    "unpaired: the embedded faces are photos and comics of different faces, for validation of the same") {
  DataOptions o = options("builtin:comics", 32, 32);
  o.builtin_count = 20;
  PictureSet set(o);
  CHECK(set.train_count() == 10);
  REQUIRE(set.validation_count() == 32);
  const auto drawn = [](uint64_t number, ComicsStyle style) { return draw_comics_face(number, style, 32); };
  std::set<std::string> names;
  for (int i = 0; i < 10; ++i) {
    const Example example = set.example(i, false);
    CHECK(example.at("A").pixels == drawn(uint64_t(i), ComicsStyle::photo));
    CHECK(example.at("B").pixels == drawn(uint64_t(10 + i), ComicsStyle::comic));
  }
  for (const int i : {0, 31}) {
    const Example example = set.example(i, true);
    CHECK(example.at("A").pixels == drawn(uint64_t(20 + i), ComicsStyle::photo));
    CHECK(example.at("B").pixels == drawn(uint64_t(20 + i), ComicsStyle::comic));
  }
  o.b_to_a = true;
  PictureSet reversed(o);
  CHECK(reversed.example(0, false).at("A").pixels == drawn(0, ComicsStyle::comic));
  CHECK(reversed.example(0, true).at("B").pixels == drawn(20, ComicsStyle::photo));
  DataOptions streaming = options("builtin:comics", 32, 32);
  streaming.builtin_count = 20, streaming.cache_gb = 0;
  PictureSet streamed(streaming);
  DeviceContext context(Device::cpu);
  for (const int64_t draw : {0, 4})
    CHECK(streamed.batch(context, draw, 4).at("B").host() == set.batch(context, draw, 4).at("B").host());
}

TEST_CASE("unpaired: what is missing or bad is named") {
  TemporaryFolder folder;
  write_lists(folder.path(), "trainA", 2, "testA", 1);
  const std::string root = folder.path();
  CHECK(contains(refusal(options(root)),
                 root + "/trainB: no such folder; the pictures in " + root + "/trainA"));
  fs::create_directories(folder / "trainB");
  CHECK(contains(refusal(options(root)), root + "/trainB: no pictures here"));
  std::ofstream(folder / "trainB/broken.png") << "not a picture";
  const std::string words = refusal(options(root));
  CHECK(contains(words, root + ": none of the 1 pictures B can be read"));
  CHECK(contains(words, "broken.png"));
  write_lists(folder.path(), "trainA", 2, "trainB", 2);
  DataOptions strict = options(root);
  strict.max_bad = 0;
  CHECK(contains(refusal(strict), "1 of 6 pictures cannot be read"));
  CHECK(contains(refusal(strict), "gan data check --unpaired " + root));
  DataOptions tolerant = options(root);
  tolerant.max_bad = 0.5;
  PictureSet set(tolerant);
  CHECK(set.bad_count() == 1);
  CHECK(set.train_count() == 2);
  CHECK(set.validation_count() == 1);  // of A alone

  fs::remove_all(folder / "trainA");
  fs::remove_all(folder / "trainB");
  CHECK(contains(refusal(options(root)), "none to train on"));
}

TEST_CASE("unpaired: gan data check looks at both lists and all parts") {
  Shell shell;
  write_lists(shell.folder, "set/trainA", 2, "set/trainB", 2);
  write_lists(shell.folder, "set/testA", 1, "set/testB", 1);
  const auto good = shell.gan({"data", "check", "set", "--unpaired"});
  CHECK(good.code == 0);
  CHECK(good.out == "6 examples, 0 of them bad\n");
  std::ofstream(shell.folder / "set/testB/broken.png") << "x";
  const auto bad = shell.gan({"data", "check", "set", "--unpaired"});
  CHECK(bad.code == 3);
  CHECK(contains(bad.out, "set/testB/broken.png: is no JPEG, PNG, BMP, PNM, WebP or TIFF picture"));
  check_refused(shell.gan({"data", "check", "set", "--unpaired", "--pairs"}), 2, "exclude each other");
  check_refused(shell.gan({"data", "stats", "set", "--unpaired"}), 2, "--unpaired belongs to");
  check_refused(shell.gan({"data", "check", "set/trainA", "--unpaired"}), 3, "or folders trainA and trainB");
}

}  // namespace gan::tests
