// Pairs of pictures: which files belong together, that both of a pair are cut alike, inputs made from their
// targets, and colour sets.
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>

#include "engine/data/picture_set.h"
#include "kernels/contract/check.h"

using namespace gan;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("gan-test-pairs-{}-{}", ::getpid(), made++);
  inline static int made = 0;
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  void write(const std::string& name, const Image& image) const {
    fs::create_directories((path / name).parent_path());
    write_png(path / name, image);
  }
};

// Red tells the row, green the column, blue what `value` says.
Image map_of(int side, uint8_t value) {
  Image image(side, side, 3, value);
  for (int y = 0; y < side; ++y)
    for (int x = 0; x < side; ++x) image.at(y, x, 0) = uint8_t(4 * y), image.at(y, x, 1) = uint8_t(4 * x);
  return image;
}

Image beside(const Image& a, const Image& b) {
  Image both(a.height, a.width + b.width, 3);
  for (int y = 0; y < a.height; ++y) {
    std::copy_n(&a.pixels[size_t(y) * a.width * 3], a.width * 3, &both.at(y, 0, 0));
    std::copy_n(&b.pixels[size_t(y) * b.width * 3], b.width * 3, &both.at(y, a.width, 0));
  }
  return both;
}

DataOptions pair_options(const Folder& folder, int size = 24, int load_size = 32) {
  DataOptions o;
  o.source = folder.path.string();
  o.examples = Examples::pairs;
  o.size = size, o.load_size = load_size;
  return o;
}

Listing listing_of(const fs::path& root) {
  DataOptions o;
  o.source = root.string(), o.examples = Examples::pairs;
  return find_layout(o).list(o);
}

// Bytes of channel c of picture i.
std::vector<int> channel(const Tensor& batch, int64_t i, int c) {
  const auto values = batch.host();
  const int64_t pixels = batch.dim(1) * batch.dim(2), channels = batch.dim(3);
  std::vector<int> result;
  for (int64_t k = 0; k < pixels; ++k)
    result.push_back(int(std::lround((values[size_t((i * pixels + k) * channels + c)] + 1) * 127.5)));
  return result;
}

std::string refusal(const DataOptions& o, Exit code = Exit::bad_data) {
  try {
    PictureSet set(o);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "no error";
}
bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

}  // namespace

TEST_CASE("pairs: both of a pair are cut and mirrored alike, in both layouts and directions") {
  Folder side_by_side, folders;
  for (int i = 0; i < 8; ++i) {
    const Image a = map_of(32, uint8_t(10 * i)), b = map_of(32, uint8_t(10 * i + 100));
    side_by_side.write(fmt::format("{}.png", i), beside(a, b));
    folders.write(fmt::format("A/{}.png", i), a);
    folders.write(fmt::format("B/{}.PNG", i), b);
  }
  DeviceContext context(Device::cpu);
  auto o = pair_options(side_by_side);
  o.split = {1, 0};
  PictureSet set(o);
  o.source = folders.path.string();
  PictureSet other(o);
  o.b_to_a = true;
  PictureSet reversed(o);
  CHECK(set.train_count() == 8);
  std::set<int> corners, flips, pictures;
  for (int64_t draw = 0; draw < 6; ++draw) {
    const Batch pairs = set.batch(context, draw, 4);
    const Tensor input = pairs.at("A"), target = pairs.at("B");
    CHECK(input.shape() == Shape{4, 24, 24, 3});
    for (int i = 0; i < 4; ++i) {
      const auto rows = channel(input, i, 0), columns = channel(input, i, 1), value = channel(input, i, 2);
      CHECK(channel(target, i, 0) == rows);
      CHECK(channel(target, i, 1) == columns);
      CHECK(channel(target, i, 2)[0] == value[0] + 100);
      corners.insert(rows[0]), flips.insert(columns[1] > columns[0]), pictures.insert(value[0]);
    }
    CHECK(other.batch(context, draw, 4).at("A").host() == input.host());
    CHECK(other.batch(context, draw, 4).at("B").host() == target.host());
    CHECK(reversed.batch(context, draw, 4).at("A").host() == target.host());
    CHECK(reversed.batch(context, draw, 4).at("B").host() == input.host());
  }
  CHECK(corners.size() > 4);  // of nine
  CHECK(flips.size() == 2);
  CHECK(pictures.size() == 8);

  // Any draw at any time: what a resumed run asks for first.
  PictureSet resumed(pair_options(folders));
  const Batch late = resumed.batch(context, 5, 4);
  PictureSet again(pair_options(folders));
  for (int64_t draw = 0; draw < 5; ++draw) again.batch(context, draw, 4);
  CHECK(again.batch(context, 5, 4).at("B").host() == late.at("B").host());
}

TEST_CASE("pairs: parts of the folder, or one in twenty for validation") {
  Folder folder;
  for (const char* part : {"train", "val", "test"})
    for (int i = 0; i < 3; ++i)
      folder.write(fmt::format("{}/{}.png", part, i), beside(Image(8, 8, 3, 10), Image(8, 8, 3, part[0])));
  PictureSet set(pair_options(folder, 8, 8));
  CHECK(set.train_count() == 3);
  CHECK(set.validation_count() == 3);
  CHECK(set.example(0, true).at("B") == Image(8, 8, 3, 'v'));
  CHECK(set.example(2, false).at("B") == Image(8, 8, 3, 't'));
  CHECK(listing_of(folder.path).part("", "x").examples.size() == 3);
  CHECK(listing_of(folder.path).part("", "x").examples[0].sources[0].file == folder.path / "test/0.png");
  CHECK(listing_of(folder.path).part("val", "x").examples[0].sources[0].file == folder.path / "val/0.png");
  auto o = pair_options(folder, 8, 8);
  o.split = {0.5, 0.5};
  CHECK(has(refusal(o, Exit::usage), "leave out --split"));

  Folder plain;
  for (int i = 0; i < 40; ++i) plain.write(fmt::format("{}.png", i), beside(Image(8, 8, 3), Image(8, 8, 3)));
  PictureSet held_out(pair_options(plain, 8, 8));
  CHECK(held_out.train_count() == 38);
  CHECK(held_out.validation_count() == 2);
  CHECK_THROWS_WITH_AS(listing_of(plain.path).part("val", "it"), doctest::Contains("it has no pictures"),
                       Error);

  Folder deep;  // parts below A and B, or in the names of the folders
  for (const char* name : {"A/train/x", "B/train/x", "A/val/y", "B/val/y"})
    deep.write(std::string(name) + ".png", Image(8, 8, 3, 7));
  CHECK(listing_of(deep.path).validation[0].sources[1].file == deep.path / "B/val/y.png");
  Folder named;
  for (const char* name : {"trainA/x", "trainB/x", "valA/y", "valB/y", "valB/z"})
    named.write(std::string(name) + ".png", Image(8, 8, 3, 7));
  const Listing listing = listing_of(named.path);
  CHECK(listing.train[0].examples[0].sources[1].file == named.path / "trainB/x.png");
  CHECK(listing.validation.size() == 2);
  CHECK(has(listing.validation[1].problem, "valB/z.png: no partner z.* in"));
}

TEST_CASE("pairs: bad ones are named, and left out when --max-bad allows") {
  Folder folder;
  for (int i = 0; i < 6; ++i) folder.write(fmt::format("A/{}.png", i), Image(8, 8, 3, 50));
  for (int i = 0; i < 6; ++i) folder.write(fmt::format("B/{}.png", i), Image(8, 8, 3, 60));
  auto o = pair_options(folder, 8, 8);
  o.max_bad = 0;
  fs::remove(folder.path / "B/3.png");
  CHECK(has(refusal(o), "1 of 6 pairs cannot be read"));
  CHECK(has(refusal(o), "A/3.png: no partner 3.* in"));
  folder.write("B/3.png", Image(8, 9, 3, 60));
  CHECK(has(refusal(o), "A/3.png is 8 x 8 and its partner"));
  CHECK(has(refusal(o), "is 9 x 8"));
  folder.write("B/3.png", Image(8, 8, 3, 60));
  folder.write("B/extra.png", Image(8, 8, 3, 60));
  CHECK(has(refusal(o), "B/extra.png: no partner extra.* in"));
  fs::remove(folder.path / "B/extra.png");
  fs::resize_file(folder.path / "A/5.png", 40);
  CHECK(has(refusal(o), "A/5.png"));
  auto tolerant = o;
  tolerant.max_bad = 0.5;
  PictureSet set(tolerant);
  CHECK(set.bad_count() == 1);
  CHECK(set.train_count() + set.validation_count() == 5);
  fs::remove_all(folder.path / "B");
  CHECK(has(refusal(o), "/B: no such folder; the pictures in "));

  Folder odd;
  odd.write("x.png", Image(20, 41, 3, 50));
  CHECK(has(refusal(pair_options(odd, 8, 8)),
            "x.png: 41 x 20 pixels: a picture with A and B side by side has an even"));
  odd.write("x.png", Image(1, 1, 3, 50));
  CHECK(has(refusal(pair_options(odd, 8, 8)), "x.png: 1 x 1 pixels"));
  odd.write("x.png", beside(Image(1, 1, 3, 50), Image(1, 1, 3, 90)));  // a pair of single pixels is one
  CHECK(PictureSet(pair_options(odd, 8, 8)).example(0, false).at("B") == Image(8, 8, 3, 90));
  Folder thin;  // threads: would be gigabytes if they were scaled whole
  for (const char* name : {"A/x.png", "B/x.png"}) thin.write(name, Image(1, 12'000, 3, 50));
  CHECK(PictureSet(pair_options(thin, 64, 72)).example(0, false).at("B") == Image(64, 64, 3, 50));
}

TEST_CASE("pairs: a set above the cache limit streams with the same result") {
  Folder folder;
  for (int i = 0; i < 9; ++i) folder.write(fmt::format("{}.png", i), map_of(40, uint8_t(20 * i)));
  DeviceContext context(Device::cpu);
  for (const InputKind kind : {InputKind::blur, InputKind::noise}) {
    auto o = pair_options(folder);
    o.make_input = kind;
    auto streaming = o;
    streaming.cache_gb = 0, streaming.workers = 3;
    PictureSet resident(o), streamed(streaming);
    CHECK(streamed.streaming());
    for (const int64_t draw : {0, 1, 2, 5}) {
      const Batch a = resident.batch(context, draw, 3), b = streamed.batch(context, draw, 3);
      CHECK(a.at("A").host() == b.at("A").host());
      CHECK(a.at("B").host() == b.at("B").host());
      CHECK(a.at("A").host() != a.at("B").host());
    }
  }
}

TEST_CASE("pairs: of the same target noise is another at each draw, and blur the same") {
  Folder folder;
  folder.write("1.png", map_of(24, 60));
  DeviceContext context(Device::cpu);
  for (const InputKind kind : {InputKind::blur, InputKind::noise}) {
    auto o = pair_options(folder, 24, 24);
    o.make_input = kind, o.augment = false;
    PictureSet set(o);
    const Batch first = set.batch(context, 0, 1), second = set.batch(context, 1, 1);
    CHECK(first.at("B").host() == second.at("B").host());
    CHECK((first.at("A").host() == second.at("A").host()) == (kind == InputKind::blur));
    CHECK(set.batch(context, 0, 1).at("A").host() == first.at("A").host());
    CHECK(set.example(0, false).at("A") == set.example(0, false).at("A"));
  }
}

TEST_CASE("pairs: made inputs do what their names say") {
  Image photo = map_of(64, 0);
  for (int y = 20; y < 50; ++y)
    for (int x = 10; x < 40; ++x) photo.at(y, x, 0) = 200, photo.at(y, x, 1) = 40, photo.at(y, x, 2) = 90;
  const Image flat(64, 64, 3, 120);
  const InputSeed seed{7, 3, 1};
  for (const char* name : {"sketch", "grey", "noise", "blur", "lowres", "mask", "old"}) {
    CAPTURE(name);
    const InputKind kind = parse_input_kind(name);
    const Image input = make_input(photo, kind, seed);
    CHECK(input.height == 64);
    CHECK(input.channels == 3);
    CHECK(input != photo);
    CHECK(make_input(photo, kind, seed) == input);
    CHECK((make_input(photo, kind, {7, 4, 1}) == input) == !is_drawn_anew(kind));
    CHECK((make_input(photo, kind, {7, 3, 2}) == input) == !is_drawn_anew(kind));
    CHECK((make_input(photo, kind, {8, 3, 1}) == input) == !is_drawn_anew(kind));
    const Image grey_input = make_input(Image(9, 5, 1, 3), kind, seed);
    CHECK(grey_input.channels == 1);
    make_input(Image(1, 1, 3, 3), kind, seed);  // a single pixel is no trouble
  }
  CHECK_THROWS_WITH_AS(parse_input_kind("skech"), doctest::Contains("did you mean sketch?"), Error);
  CHECK(parse_input_kind("") == InputKind::none);

  const Image grey = make_input(photo, InputKind::grey);
  CHECK(grey.at(30, 20, 0) == uint8_t(std::lround(0.299 * 200 + 0.587 * 40 + 0.114 * 90)));
  CHECK(grey.at(30, 20, 1) == grey.at(30, 20, 0));
  for (const InputKind kind : {InputKind::blur, InputKind::lowres}) CHECK(make_input(flat, kind) == flat);

  const Image noisy = make_input(flat, InputKind::noise, seed);  // 12,288 samples of deviation 25
  double sum = 0, squares = 0;
  for (const uint8_t v : noisy.pixels) sum += v - 120.0, squares += (v - 120.0) * (v - 120.0);
  const double count = double(noisy.pixels.size());
  CHECK(std::abs(sum / count) < 4 * 25 / std::sqrt(count));
  CHECK(std::abs(std::sqrt(squares / count) - 25) < 4 * 25 / std::sqrt(2 * count));

  for (uint64_t i = 0; i < 20; ++i) {  // holes are grey, the rest is untouched, some but not all is missing
    const Image holes = make_input(photo, InputKind::mask, {7, 0, i});
    int missing = 0;
    for (size_t k = 0; k < holes.pixels.size(); k += 3)
      if (holes.pixels[k] == 128 && holes.pixels[k + 1] == 128 && holes.pixels[k + 2] == 128) ++missing;
      else REQUIRE(std::equal(&holes.pixels[k], &holes.pixels[k] + 3, &photo.pixels[k]));
    CHECK(missing > 64);
    CHECK(missing < 64 * 64 * 3 / 4);
  }
}

TEST_CASE(
    "pairs: an old photo is grey and faded, worn in other places each time, and shows what the photo shows") {
  // Tones from black to white, and a bright square on a dark one.
  Image photo(96, 128, 3);
  for (int y = 0; y < 96; ++y)
    for (int x = 0; x < 128; ++x)
      for (int c = 0; c < 3; ++c) photo.at(y, x, c) = uint8_t(y < 48 ? 2 * x : x > 40 && x < 90 ? 245 : 12);
  double lowest = 0, highest = 0, worn = 0;
  constexpr int count = 12;
  for (uint64_t k = 0; k < count; ++k) {
    const Image old = make_input(photo, InputKind::old, {7, 0, k});
    std::vector<uint8_t> tones;
    double sum = 0, sum_old = 0, squares = 0, squares_old = 0, products = 0;
    for (size_t i = 0; i < old.pixels.size(); i += 3) {
      REQUIRE((old.pixels[i] == old.pixels[i + 1] && old.pixels[i] == old.pixels[i + 2]));
      const double a = photo.pixels[i], b = old.pixels[i];
      tones.push_back(old.pixels[i]);
      sum += a, sum_old += b, squares += a * a, squares_old += b * b, products += a * b;
    }
    const double n = double(tones.size());
    const double correlation = (products - sum * sum_old / n) /
                               std::sqrt((squares - sum * sum / n) * (squares_old - sum_old * sum_old / n));
    CHECK(correlation > 0.9);
    std::sort(tones.begin(), tones.end());
    lowest += tones[tones.size() / 50] / double(count);
    highest += tones[tones.size() - tones.size() / 50] / double(count);
    // Specks and scratches are far from what is beside them, grain is not.
    const Image smooth = gaussian_blur(old, 2);
    for (int y = 60; y < 90; ++y)
      for (int x = 46; x < 84; ++x) worn += std::abs(old.at(y, x, 0) - smooth.at(y, x, 0)) > 45;
  }
  CHECK(lowest > 25);
  CHECK(highest < 235);
  CHECK(worn > 3);
  // Damage has a size of its own, not the picture's.
  CHECK(make_input(photo, InputKind::old, {7, 0, 1}, 96) !=
        make_input(photo, InputKind::old, {7, 0, 1}, 512));
  CHECK(make_input(photo, InputKind::old, {7, 0, 1}, 96) == make_input(photo, InputKind::old, {7, 0, 1}));
}

TEST_CASE("pairs: a sketch is thin dark lines along edges on white paper") {
  CHECK(make_input(Image(40, 40, 3, 0), InputKind::sketch) == Image(40, 40, 3, 255));
  CHECK(make_input(Image(40, 40, 3, 200), InputKind::sketch) == Image(40, 40, 3, 255));
  for (const int dark : {20, 110}) {  // a line in dark pictures and in light ones
    Image disc(128, 128, 3, uint8_t(dark + 90));
    for (int y = 0; y < 128; ++y)
      for (int x = 0; x < 128; ++x)
        if (std::hypot(y - 64, x - 64) < 40) std::fill_n(&disc.at(y, x, 0), 3, uint8_t(dark));
    // A little grain must not become lines.
    uint32_t state = 1;
    for (auto& v : disc.pixels) v = uint8_t(v + ((state = state * 1664525 + 1013904223) >> 30));
    const Image sketch = make_input(disc, InputKind::sketch);
    int on_edge = 0, inked = 0, elsewhere = 0;
    for (int angle = 0; angle < 360; ++angle) {
      int darkest = 255;
      for (int r = 36; r <= 44; ++r)
        darkest =
            std::min<int>(darkest, sketch.at(int(std::lround(64 + r * std::sin(angle * 0.0174533))),
                                             int(std::lround(64 + r * std::cos(angle * 0.0174533))), 0));
      on_edge += darkest < 170;
    }
    for (int y = 0; y < 128; ++y)
      for (int x = 0; x < 128; ++x)
        if (sketch.at(y, x, 1) < 200) (std::abs(std::hypot(y - 64, x - 64) - 40) < 4 ? inked : elsewhere)++;
    CHECK(on_edge == 360);  // closed
    CHECK(elsewhere == 0);
    CHECK(inked < 2 * 3.1416 * 40 * 3);  // less than 3 pixels wide
  }
}

TEST_CASE("colour sets: grey pictures are left out and counted") {
  Folder folder;
  for (int i = 0; i < 4; ++i) folder.write(fmt::format("colour{}.png", i), map_of(32, 90));
  folder.write("grey.png", make_input(map_of(32, 90), InputKind::grey));
  Image tinted = make_input(map_of(32, 90), InputKind::grey);  // an old print: one tint
  for (size_t i = 0; i < tinted.pixels.size(); i += 3) tinted.pixels[i] = uint8_t(tinted.pixels[i] + 40);
  folder.write("sepia.png", tinted);
  DataOptions o = pair_options(folder);
  o.examples = Examples::colour;
  PictureSet set(o);
  CHECK(set.grey_count() == 2);
  CHECK(set.bad_count() == 0);
  CHECK(set.train_count() + set.validation_count() == 4);
  CHECK(set.example(0, true).pictures.size() == 1);
  DeviceContext context(Device::cpu);
  CHECK(set.batch(context, 0, 2).at("picture").shape() == Shape{2, 24, 24, 3});
  for (int i = 0; i < 4; ++i) fs::remove(folder.path / fmt::format("colour{}.png", i));
  CHECK(has(refusal(o), "all of the 2 pictures for training are grey"));
}

TEST_CASE("pairs: the embedded faces are photo and comic of the same face") {
  DataOptions o;
  o.source = "builtin:comics", o.examples = Examples::pairs;
  o.size = 32, o.builtin_count = 40;
  PictureSet set(o);
  CHECK(set.train_count() == 38);
  const Example pair = set.example(0, false);
  CHECK(pair.at("A") != pair.at("B"));
  o.b_to_a = true;
  CHECK(PictureSet(o).example(0, false).at("A") == pair.at("B"));
  o.b_to_a = false, o.make_input = InputKind::sketch;
  CHECK(PictureSet(o).example(0, false).at("B") == pair.at("B"));
}
