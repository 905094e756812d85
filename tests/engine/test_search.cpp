// Looking through folders: what counts as a picture, what is passed over and how that is said, parts, and the forms
// in which pairs lie.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>

#include "engine/data/check.h"
#include "engine/data/folders.h"
#include "engine/data/normal_form.h"
#include "engine/data/picture_set.h"
#include "engine/settings/config.h"
#include "tests/support/folder.h"

namespace gan::tests {
namespace {

namespace fs = std::filesystem;

void put_picture(const fs::path& file, const Image& image = Image(8, 8, 3, 90)) {
  fs::create_directories(file.parent_path());
  write_png(file, image);
}
void put_text(const fs::path& file, const std::string& text = "x") {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
}

std::string names_in(const fs::path& folder, PassedOver& passed_over) {
  std::string names;
  for (const auto& file : list_pictures(folder, passed_over))
    names += (names.empty() ? "" : " ") + file.lexically_relative(folder).string();
  return names;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

DataOptions wanting(Examples examples, const fs::path& source) {
  DataOptions o;
  o.source = source, o.examples = examples, o.size = o.load_size = 8;
  return o;
}
Listing listing_of(const DataOptions& options) { return find_layout(options).list(options); }

// "train 1.png ..; val ..; test ..", of the first files.
std::string files_of(const Listing& listing, const fs::path& root) {
  std::string words;
  const auto add = [&](const char* part, const std::vector<ListedExample>& examples) {
    words += part;
    for (const ListedExample& example : examples)
      for (const fs::path& file : example.files()) words += " " + file.lexically_relative(root).string();
    words += ";";
  };
  for (const DrawList& list : listing.train) add("train", list.examples);
  add("val", listing.validation);
  add("test", listing.test);
  return words;
}

}  // namespace

TEST_CASE("search: endings of any case, hidden files, and a count of the others by kind") {
  TemporaryFolder folder;
  for (const char* name : {"1.png", "2.JFIF", "3.jpg ", "4.PNG\t", ".hidden.png", "._5.png",
                           ".ipynb_checkpoints/a.png", "__MACOSX/a.png", "sub/.git/a.png"})
    put_picture(folder / name);
  for (const char* name : {".DS_Store", "a.txt", "b.TXT", "c.gif", "README", "sub/d.txt", "e.not an ending"})
    put_text(folder / name);
  PassedOver passed_over;
  CHECK(names_in(folder.path(), passed_over) == "1.png 2.JFIF 3.jpg  4.PNG\t");
  CHECK(passed_over.words() ==
        "12 other files passed over: hidden 6, txt 3, gif 1, other 1, without extension 1");
  CHECK(PassedOver{}.words() == "");
  CHECK(kind_of_file("a/b.JPG  ") == "jpg");
  CHECK(looks_like_image("a.jfif"));
  CHECK_FALSE(has_pictures(folder / "sub"));
  REQUIRE(::mkfifo((folder / "pipe.png").c_str(), 0600) == 0);
  PassedOver special;
  list_pictures(folder.path(), special);
  CHECK(special.kinds.at("special files") == 1);
  fs::remove(folder / "pipe.png");

  fs::remove(folder / "1.png"), fs::remove(folder / "2.JFIF"), fs::remove(folder / "3.jpg ");
  fs::remove(folder / "4.PNG\t");
  CHECK_THROWS_WITH_AS(list_pictures(folder.path()),
                       doctest::Contains("; 12 other files passed over: hidden 6"), Error);
}

TEST_CASE("search: links to files and folders are followed, loops and dead ends are not") {
  TemporaryFolder folder, elsewhere;
  put_picture(folder / "1.png");
  put_picture(elsewhere / "x/2.png");
  fs::create_symlink("1.png", folder / "again.png");
  fs::create_symlink(elsewhere.path(), folder / "linked");
  fs::create_symlink(folder.path(), elsewhere / "x/back");  // a loop through two folders
  fs::create_symlink(".", folder / "self");
  fs::create_symlink("nowhere.png", folder / "broken.png");
  PassedOver passed_over;
  CHECK(names_in(folder.path(), passed_over) == "1.png again.png linked/x/2.png");
  CHECK(passed_over.kinds == std::map<std::string, int64_t>{{"broken links", 1}});
  CHECK(passed_over.folders.size() == 2);
  CHECK(has(passed_over.words(),
            "passed over " + (folder / "self").string() + ": a link to a folder that it lies in"));

  // Folders that all link to each other have more ways through them than anybody waits for.
  TemporaryFolder net;
  for (int i = 0; i < 12; ++i) {
    put_picture(net / fmt::format("{}/p.png", i));
    for (int k = 0; k < 12; ++k)
      fs::create_directory_symlink(net / fmt::format("{}", k), net / fmt::format("{}/to{}", i, k));
  }
  PassedOver many;
  const size_t found = list_pictures(net.path(), many).size();
  CHECK(found >= 12);
  CHECK(found <= 1200);
}

TEST_CASE("search: a folder that cannot be looked into is named, and the rest is used") {
  TemporaryFolder folder;
  put_picture(folder / "1.png");
  put_picture(folder / "private/2.png");
  REQUIRE(::chmod(folder.path().c_str(), 0755) == 0);
  REQUIRE(::chmod((folder / "private").c_str(), 0) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {  // root may look everywhere
    if (::geteuid() == 0 && ::setuid(65534) != 0) ::_exit(9);
    PassedOver passed_over;
    const bool one = names_in(folder.path(), passed_over) == "1.png";
    const bool named =
        passed_over.folders ==
        std::vector<std::string>{(folder / "private").string() + ": cannot be listed: Permission denied"};
    bool refused = false;
    try {
      list_pictures(folder / "private");
    } catch (const Error& error) { refused = has(error.what(), "private: cannot be listed"); }
    ::_exit((one ? 0 : 1) + (named ? 0 : 2) + (refused ? 0 : 4));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::chmod((folder / "private").c_str(), 0755);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("search: runs and folders that were filled by this program are no data") {
  TemporaryFolder folder;
  put_picture(folder / "1.png");
  put_picture(folder / "run/samples/step-1.png");
  put_text(folder / "run/config.toml", std::string(kConfigFileMark) + "\n");
  put_text(folder / "run/metrics.jsonl");
  put_picture(folder / "photos/2.png");  // settings of somebody else's
  put_text(folder / "photos/config.toml", "[camera]\n");
  put_text(folder / "photos/metrics.jsonl");
  fs::create_directory(folder / "made");
  mark_output_folder(folder / "made");
  put_picture(folder / "made/1.png");
  mark_output_folder(folder / "photos");  // not empty: it stays what it is
  PassedOver passed_over;
  CHECK(names_in(folder.path(), passed_over) == "1.png photos/2.png");
  CHECK(has(passed_over.words(), (folder / "run").string() + ": a run of this program"));
  CHECK(has(passed_over.words(), (folder / "made").string() + ": output of this program"));
  // Asked for by its own name output is used, a run is not.
  CHECK(names_in(folder / "made", passed_over) == "1.png");
  CHECK_THROWS_WITH_AS(list_pictures(folder / "run"),
                       doctest::Contains("a run of this program, not a folder"), Error);
}

TEST_CASE("parts: in any case, for every model, and pictures outside of them are counted") {
  TemporaryFolder folder;
  const Image pair(8, 16, 3, 90);
  for (const char* name : {"Train/a.png", "Train/sub/b.png", "VALID/c.png", "validation/d.png", "test/e.png",
                           "f.png", "other/g.png"})
    put_picture(folder / name, pair);
  put_text(folder / "notes.txt");
  for (const Examples examples : {Examples::pictures, Examples::colour, Examples::pairs}) {
    const Listing listing = listing_of(wanting(examples, folder.path()));
    CHECK(files_of(listing, folder.path()) ==
          "train Train/a.png Train/sub/b.png;val VALID/c.png validation/d.png;test test/e.png;");
    CHECK(
        listing.passed_over.words() ==
        "1 other file passed over: txt 1; 2 pictures outside Train/, VALID/, validation/, test/ passed over");
    CHECK(listing.part("", "x").name == "test");
    CHECK(listing.part("train", "x").name == "train");
  }
  PictureSet set(wanting(Examples::pictures, folder.path()));
  CHECK(set.train_count() == 2);
  CHECK(has(set.words(),
            ": 2 pictures for training, 2 for validation, 1 for testing, left alone; 1 other file"));

  // Without a folder for training what lies outside the others trains.
  fs::remove_all(folder / "Train");
  const Listing rest = listing_of(wanting(Examples::pictures, folder.path()));
  CHECK(files_of(rest, folder.path()) ==
        "train f.png other/g.png;val VALID/c.png validation/d.png;test test/e.png;");
  CHECK(rest.passed_over.unused_pictures.empty());
  // An empty part is no reason to refuse the set, unless it is that for training.
  fs::remove(folder / "test/e.png");
  CHECK(has(listing_of(wanting(Examples::pictures, folder.path())).passed_over.words(),
            (folder / "test").string() + ": no pictures"));
  fs::create_directory(folder / "train");
  CHECK_THROWS_WITH_AS(listing_of(wanting(Examples::pictures, folder.path())),
                       doctest::Contains("train: no pictures here"), Error);
  TemporaryFolder plain;
  put_picture(plain / "a.png");
  CHECK(listing_of(wanting(Examples::pictures, plain.path())).part("", "x").name == "all");
}

TEST_CASE("pairs: every form of the folders is recognised, also for unpaired pictures") {
  struct Form {
    std::vector<std::string> a, b;  // folders of A and B for training, then for testing
  };
  const Form forms[] = {{{"A/train", "A/test"}, {"B/train", "B/test"}},
                        {{"A/TRAIN", "A/Test"}, {"B/Train", "B/TEST"}},
                        {{"trainA", "testA"}, {"trainB", "testB"}},
                        {{"train_A", "test_A"}, {"train_B", "test_B"}},
                        {{"train/A", "test/A"}, {"train/B", "test/B"}},
                        {{"train/a", "test/a"}, {"train/b", "test/b"}},
                        {{"Train/input", "Test/input"}, {"Train/target", "Test/target"}},
                        {{"input/train", "input/test"}, {"gt/train", "gt/test"}},
                        {{"train-blur", "test-blur"}, {"train-sharp", "test-sharp"}},
                        {{"train/Noisy", "test/Noisy"}, {"train/Clean", "test/Clean"}}};
  for (const Form& form : forms) {
    CAPTURE(form.a[0]);
    TemporaryFolder folder;
    for (size_t part = 0; part < 2; ++part) {
      put_picture(folder / (form.a[part] + "/1.png"));
      put_picture(folder / (form.b[part] + "/1.png"));
    }
    put_picture(folder / "else/x.png");
    const Listing pairs = listing_of(wanting(Examples::pairs, folder.path()));
    CHECK(files_of(pairs, folder.path()) == "train " + form.a[0] + "/1.png " + form.b[0] +
                                                "/1.png;val;test " + form.a[1] + "/1.png " + form.b[1] +
                                                "/1.png;");
    CHECK(pairs.passed_over.unused_pictures.size() == 1);
    CHECK(has(pairs.passed_over.words(), "1 picture outside " + form.a[0] + "/, " + form.b[0] + "/"));
    const Listing unpaired = listing_of(wanting(Examples::unpaired, folder.path()));
    REQUIRE(unpaired.train.size() == 2);
    CHECK(unpaired.train[1].examples[0].sources[0].file == folder / (form.b[0] + "/1.png"));
    CHECK(unpaired.equal_names_match == has(form.a[0], "/"));  // not of trainA and trainB
  }
  // Classes called by letters are no halves.
  TemporaryFolder letters;
  for (const char* name : {"a/1.png", "b/1.png", "c/1.png"}) put_picture(letters / name, Image(8, 16, 3, 1));
  CHECK(find_layout(wanting(Examples::pairs, letters.path())).name == std::string("pairs side by side"));
  // Half a form says which half is missing.
  TemporaryFolder half;
  put_picture(half / "train/A/1.png");
  CHECK_THROWS_WITH_AS(listing_of(wanting(Examples::pairs, half.path())),
                       doctest::Contains("train/B: no such folder; the pictures in"), Error);
}

TEST_CASE("pairs: a single picture is never cut in half") {
  TemporaryFolder folder;
  for (int i = 0; i < 4; ++i) put_picture(folder / fmt::format("{}.png", i), Image(30, 40, 3, 90));
  const DataOptions o = wanting(Examples::pairs, folder.path());
  CHECK_THROWS_WITH_AS(PictureSet{o}, doctest::Contains("40 x 30 pixels: a single picture"), Error);
  CHECK_THROWS_WITH_AS(PictureSet{o}, doctest::Contains("--make-input makes pairs"), Error);
  try {  // the same reason is told once
    PictureSet all{o};
  } catch (const Error& error) {
    const std::string text = error.what();
    CHECK(text.find("make-input") == text.rfind("make-input"));
    CHECK(text.find(" more for the same reason") != std::string::npos);
  }
  const Reports checked = check_examples(folder.path(), Examples::pairs, 1);
  REQUIRE(checked.reports.size() == 4);
  CHECK(has(checked.reports[0].problem, "40 x 30 pixels: a single picture"));
  // Width twice the height, within a twentieth.
  for (const auto& [width, whole] : {std::pair(378, false), std::pair(380, true), std::pair(400, true),
                                     std::pair(420, true), std::pair(422, false)})
    CHECK(looks_like_pair(width, 200) == whole);
  CHECK_FALSE(looks_like_pair(1920, 1080));
  CHECK_FALSE(looks_like_pair(200, 400));
  // A file alone is a set of one.
  put_picture(folder / "pair.png", Image(20, 40, 3, 90));
  const Listing one = listing_of(wanting(Examples::pairs, folder / "pair.png"));
  REQUIRE(one.train[0].examples.size() == 1);
  CHECK(one.train[0].examples[0].name == "pair");
}

TEST_CASE("pairs: what the check says of a missing partner has its name") {
  TemporaryFolder folder;
  for (const char* name : {"A/1.png", "A/2.png", "B/2.png", "B/3.png"}) put_picture(folder / name);
  const Reports checked = check_examples(folder.path(), Examples::pairs, 1);
  REQUIRE(checked.reports.size() == 3);
  CHECK(checked.reports[0].partner == folder / "B/1.*");
  CHECK(checked.reports[1].partner == folder / "B/2.png");
  CHECK(checked.reports[1].problem.empty());
  CHECK(checked.reports[2].file == folder / "B/3.png");
  CHECK(checked.reports[2].partner == folder / "A/3.*");
  CHECK(has(checked.reports[2].problem, "no partner 3.* in " + (folder / "A").string()));
}

TEST_CASE("names in two Unicode forms: they look alike, are two files, and that is said") {
  // é, Å, ệ, ガ, 한: one character each, and taken apart.
  CHECK(taken_apart("\u00E9 \u00C5 \u1EC7 \u30AC \uD55C") ==
        "e\u0301 A\u030A e\u0323\u0302 \u30AB\u3099 \u1112\u1161\u11AB");
  for (const std::string same : {"plain", "e\u0301", "\U0001F600", "\xFF\xC3", "\xC3", "\x80", ""})
    CHECK(taken_apart(same) == same);
  CHECK(taken_apart("\xC3\u00E9") ==
        "\xC3"
        "e\u0301");
  TemporaryFolder folder;
  for (const char* name : {"A/caf\u00E9.png", "B/cafe\u0301.png", "A/1.png", "B/1.png"})
    put_picture(folder / name);
  const Reports checked = check_examples(folder.path(), Examples::pairs, 1);
  REQUIRE(checked.reports.size() == 3);
  CHECK(has(checked.reports[1].problem, "another Unicode form"));
  CHECK(has(checked.reports[1].problem, (folder / "A/caf\u00E9.png").string() + " looks alike"));
  CHECK(has(checked.reports[2].problem, (folder / "B/cafe\u0301.png").string() + " looks alike"));
}

}  // namespace gan::tests
