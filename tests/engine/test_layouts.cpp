// Layouts: which one is recognised in a source, what it calls its pictures, and what an error says when there
// is none.
#include <doctest/doctest.h>

#include <map>
#include <set>

#include "engine/data/folders.h"
#include "engine/data/layout.h"
#include "tests/support/folder.h"

namespace gan::tests {
namespace {

namespace fs = std::filesystem;

void write(const TemporaryFolder& folder, const std::string& name, const Image& image = Image(8, 8, 3, 90)) {
  fs::create_directories((folder / name).parent_path());
  write_png(folder / name, image);
}

DataOptions wanting(Examples examples, const std::string& source, InputKind make = InputKind::none) {
  DataOptions o;
  o.source = source, o.examples = examples, o.make_input = make;
  return o;
}

std::string name_of_layout(const DataOptions& o) { return find_layout(o).name; }

std::string refusal(const DataOptions& o, Exit code = Exit::bad_data) {
  try {
    find_layout(o).list(o);
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  return "no error";
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

// The names of the pictures of the first training example of each list.
std::set<std::string> pictures_of(const DataOptions& o, bool with_seed = true) {
  const DataLayout& layout = find_layout(o);
  std::set<std::string> names;
  const std::optional<InputSeed> seed = with_seed ? std::optional(InputSeed{}) : std::nullopt;
  for (const DrawList& list : layout.list(o).train) {
    const Example read = read_example(layout, list.examples.at(0), o, reading_of(o, 32, seed));
    CHECK(read.name == list.examples[0].name);
    for (const auto& [name, image] : read.pictures) {
      names.insert(name);
      CHECK((image.height == 32 && image.width == 32 && image.channels == 3));
    }
  }
  return names;
}

DataOptions styled(const std::string& photos, const std::string& style, InputKind make = InputKind::none,
                   Examples examples = Examples::styled) {
  DataOptions options = wanting(examples, photos, make);
  options.style = style;
  return options;
}

}  // namespace

TEST_CASE("layouts: what a source is taken for depends on what lies there and on what is wanted") {
  TemporaryFolder plain, ab, named, ends;
  write(plain, "x/1.png", Image(8, 16, 3, 90));
  for (const char* side : {"A", "B"}) write(ab, std::string(side) + "/1.png");
  for (const char* side : {"trainA", "trainB"}) write(named, std::string(side) + "/1.png");
  for (const char* name : {"x/1_A", "x/1_B"}) write(ends, std::string(name) + ".png");
  const std::string p = plain.path(), a = ab.path(), n = named.path(), e = ends.path(),
                    faces = "builtin:comics";
  const std::string two = a + "/A," + n + "/trainA";
  struct Row {
    DataOptions options;
    const char* layout;
    std::set<std::string> pictures;
  };
  const Row rows[] = {
      {wanting(Examples::pictures, p), "folder", {"picture"}},
      {wanting(Examples::pictures, a), "folder", {"picture"}},
      {wanting(Examples::colour, n), "folder", {"picture"}},
      {wanting(Examples::pairs, p), "pairs side by side", {"A", "B"}},
      {wanting(Examples::pairs, a), "A and B folders", {"A", "B"}},
      {wanting(Examples::pairs, e), "pairs by name", {"A", "B"}},
      {wanting(Examples::pictures, e), "folder", {"picture"}},
      {wanting(Examples::pairs, n), "A and B folders", {"A", "B"}},
      {wanting(Examples::pairs, two), "A and B folders", {"A", "B"}},
      {wanting(Examples::pairs, a, InputKind::blur), "made inputs", {"A", "B"}},
      {wanting(Examples::unpaired, a), "unpaired", {"A", "B"}},
      {wanting(Examples::unpaired, n), "unpaired", {"A", "B"}},
      {wanting(Examples::unpaired, two), "unpaired", {"A", "B"}},
      {wanting(Examples::pictures, faces), "builtin", {"picture"}},
      {wanting(Examples::colour, faces), "builtin", {"picture"}},
      {wanting(Examples::pairs, faces), "builtin", {"A", "B"}},
      {wanting(Examples::pairs, faces, InputKind::mask), "made inputs", {"A", "B"}},
      {wanting(Examples::unpaired, faces), "builtin", {"A", "B"}},
      {styled(p, n), "photos and styles", {"A", "B", "drawn", "soft"}},
      {styled(faces, p), "photos and styles", {"A", "B", "drawn", "soft"}},
      {styled(p, n, InputKind::blur), "photos and styles", {"A", "B", "drawn", "made", "soft"}},
      {styled(faces, p, InputKind::old), "photos and styles", {"A", "B", "drawn", "made", "soft"}},
      {styled(faces, p, InputKind::old, Examples::coloured), "photos and styles", {"A", "B", "made"}},
      {wanting(Examples::pictures, "builtin:abstract"), "abstract", {"picture"}},
      {wanting(Examples::pictures, two), "several", {"picture"}},
      {wanting(Examples::colour, faces + "," + p), "several", {"picture"}},
      {wanting(Examples::pairs, faces + "," + p, InputKind::blur), "made inputs", {"A", "B"}},
      {styled(two, faces + "," + p), "photos and styles", {"A", "B", "drawn", "soft"}},
  };
  std::set<std::string> seen, all;
  for (const Row& row : rows) {
    CAPTURE(row.options.source);
    CAPTURE(int(row.options.examples));
    CHECK(name_of_layout(row.options) == row.layout);
    CHECK(pictures_of(row.options) == row.pictures);
    seen.insert(row.layout);
  }
  for (const DataLayout* layout : layouts()) CHECK(all.insert(layout->name).second);
  CHECK(seen == all);
  // What is made anew at each draw is left out where there is no draw.
  CHECK(pictures_of(wanting(Examples::pairs, faces, InputKind::mask), false) == std::set<std::string>{"B"});
  CHECK(pictures_of(styled(faces, p, InputKind::old, Examples::coloured), false) ==
        std::set<std::string>{"A", "B"});
}

TEST_CASE("layouts: x_A and x_B in one folder are a pair; what has no partner, or two, is named") {
  TemporaryFolder folder;
  const auto coloured = [&](const std::string& name, uint8_t level) {
    write(folder, name, Image(8, 8, 3, level));
  };
  coloured("train/1_A.png", 10), coloured("train/1_B.png", 20);
  coloured("train/deep/2-A.png", 30), coloured("train/deep/2-B.png", 40);
  coloured("train/3_A.png", 50);
  coloured("train/4_B.png", 60);
  coloured("train/stray.png", 70);
  coloured("val/5_A.png", 80), coloured("val/5_B.png", 90);
  DataOptions o = wanting(Examples::pairs, folder.path());
  for (const bool b_to_a : {false, true}) {
    CAPTURE(b_to_a);
    o.b_to_a = b_to_a;
    const DataLayout& layout = find_layout(o);
    REQUIRE(layout.name == std::string("pairs by name"));
    const Listing found = layout.list(o);
    CHECK(found.test.empty());
    REQUIRE(found.validation.size() == 1);
    std::map<std::string, std::string> problems;  // and for whole pairs the levels of both
    for (const ListedExample& example : found.train[0].examples) {
      problems[example.name] = example.problem;
      if (!example.problem.empty()) continue;
      const Example pair = read_example(layout, example, o, reading_of(o, 8));
      problems[example.name] = fmt::format("{} {}", pair.at("A").at(0, 0, 0), pair.at("B").at(0, 0, 0));
    }
    CHECK(problems.size() == 5);
    CHECK(problems["1"] == (b_to_a ? "20 10" : "10 20"));
    CHECK(problems["deep/2"] == (b_to_a ? "40 30" : "30 40"));
    CHECK(has(problems["3"], "3_A.png: no partner 3_B.* beside it"));
    CHECK(has(problems["4"], "4_B.png: no partner 4_A.* beside it"));
    CHECK(has(problems["stray"], "stray.png: its name ends neither in _A nor in _B"));
    const Example pair = read_example(layout, found.validation[0], o, reading_of(o, 8));
    CHECK(pair.at(b_to_a ? "B" : "A") == Image(8, 8, 3, 80));
  }
  fs::copy_file(folder / "train/1_A.png", folder / "train/1_A.jpg");
  const Listing twice = find_layout(o).list(o);
  for (const ListedExample& example : twice.train[0].examples)
    if (example.name == "1") CHECK(has(example.problem, "have the same name"));
  // Few pairs among many pictures are no such set.
  for (int i = 0; i < 9; ++i) coloured(fmt::format("train/more{}.png", i), 5);
  CHECK(name_of_layout(o) == "pairs side by side");
}

TEST_CASE("layouts: an error says what was looked for and what is there") {
  TemporaryFolder folder;
  const std::string root = folder.path();
  for (const Examples examples : {Examples::pictures, Examples::colour, Examples::pairs, Examples::unpaired})
    CHECK(has(refusal(wanting(examples, root)), root + ": the folder is empty; looked for "));
  write(folder, "cats/1.png");
  write(folder, "dogs/1.png");
  write(folder, "odd.png");
  const std::string words = refusal(wanting(Examples::unpaired, root));
  CHECK(has(
      words,
      "here are the folders cats, dogs, 1 picture; looked for builtin:comics; or folders trainA and trainB"));
  CHECK(has(words, "DIR_A,DIR_B"));
  fs::remove_all(folder.path());
  fs::create_directories(folder / "empty");
  const std::string pairs = refusal(wanting(Examples::pairs, root));
  CHECK(has(pairs, "here are the folders empty; looked for builtin:comics; or folders A and B, trainA"));
  CHECK(has(pairs, "; or pictures with A in their left half"));
  CHECK(has(refusal(wanting(Examples::pairs, root, InputKind::blur)),
            "looked for builtin:abstract; or builtin:comics; or pictures"));
  CHECK(has(refusal(wanting(Examples::unpaired, root + "/no")), "/no: no such folder; looked for"));
  CHECK(has(refusal(wanting(Examples::unpaired, root + "/empty," + root + "/no")),
            root + "/no: no such folder; the pictures in " + root + "/empty want others"));
  CHECK(has(refusal(wanting(Examples::unpaired, "builtin:comics", InputKind::blur), Exit::usage),
            "--make-input makes pairs"));
  CHECK(has(refusal(wanting(Examples::unpaired, "builtin:comic"), Exit::usage), "builtin:comics"));
}

TEST_CASE("layouts: a picture that an example does not have is named, with those that it has") {
  Example example;
  example.pictures = {{"A", Image(1, 1, 3)}, {"style", Image(1, 1, 3)}};
  CHECK(example.has("style"));
  CHECK_FALSE(example.has("B"));
  CHECK_THROWS_WITH_AS(example.at("B"), "an example has no picture \"B\"; it has A, style", Error);
  example.pictures.clear();
  CHECK_THROWS_WITH_AS(example.at("A"), "an example has no picture \"A\"; it has none", Error);
}

TEST_CASE("layouts: examples of several lists are joined by their names") {
  const auto listed = [](const std::string& picture, std::initializer_list<const char*> names) {
    std::vector<ListedExample> examples;
    for (const char* name : names) examples.push_back({name, {{picture, name}}, "", "", -1});
    return examples;
  };
  const auto joined = joined_by_name({listed("A", {"1", "2", "3", "3", "4"}), listed("B", {"0", "3", "5"})});
  std::string words;
  for (const ListedExample& example : joined) {
    words += example.name + ":";
    for (const auto& source : example.sources) words += source.picture;
    words += " ";
  }
  // Twice the same name in one list is two examples, and only one of them has a partner.
  CHECK(words == "3:AB 1:A 0:B 2:A 5:B 3:A 4:A ");
}

}  // namespace gan::tests
