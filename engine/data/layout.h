// Layouts: how the pictures of a source lie, and what they are to each other. Here are the contract of a
// layout and the list of all of them.
//
// A layout is one file in layouts/ and one row in layout.cpp. It recognises a source, lists the examples that
// are there by their parts, and reads one example into pictures with names. These are "picture" for single
// pictures; "A" (a generator's input, --direction applied) and "B" (its target, or a picture of the style) for
// everything else. What caches, shuffles, streams and augments (picture_set.h) goes by these names and knows no layout.
#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/data/made_input.h"
#include "engine/data/options.h"
#include "engine/data/search.h"
#include "engine/picture/image.h"
#include "kernels/contract/check.h"

namespace gan {

// The picture of that name. Exit::failure naming those there are.
template <class Picture>
const Picture& picture_named(const std::string& name,
                             const std::vector<std::pair<std::string, Picture>>& pictures) {
  std::vector<std::string> names;
  for (const auto& [own, picture] : pictures) {
    if (own == name) return picture;
    names.push_back(own);
  }
  fail(Exit::failure, "an example has no picture \"{}\"; it has {}", name,
       names.empty() ? "none" : fmt::format("{}", fmt::join(names, ", ")));
}

// One example for people to look at and for validation.
struct Example {
  std::string name;
  std::vector<std::pair<std::string, Image>> pictures;
  bool has(const std::string& picture) const;
  const Image& at(const std::string& picture) const { return picture_named(picture, pictures); }
};

struct DataLayout;

// One example, found but not read.
struct ListedExample {
  struct Source {
    std::string picture;         // what the layout knows the file as, mostly the name of a picture
    std::filesystem::path file;  // empty for pictures that are drawn
  };
  std::string name;  // path below the folder, without extension
  std::vector<Source> sources;
  std::string problem;                    // why it cannot be used, naming the file; empty: nothing known
  std::string missing;                    // the partner that is not there: "photos/B/3.*"
  int64_t drawn = -1;                     // the number of a picture that is drawn, not read
  const DataLayout* made_of = nullptr;    // the layout that reads what its pictures are made of
  const DataLayout* of_source = nullptr;  // of several sources: the layout of the one that it is from

  std::vector<std::filesystem::path> files() const;  // those that are read for it
};

// Examples that draws are made from.
struct DrawList {
  std::vector<std::string> pictures;  // the names of what is kept of each example
  std::vector<ListedExample> examples;
};

// Adds to the cut pictures of one place in a batch what is made of them anew at each draw.
using AtEachDraw = void (*)(Example& cut, const DataOptions& options, const InputSeed& seed);

// What a source holds, by its parts. A source without parts is all `train`.
struct Listing {
  std::vector<DrawList> train;  // one, or two of which each draw takes examples independently
  std::vector<ListedExample> validation, test;
  bool validates_on_test = false;  // there is no part for validation, and that for testing serves
  AtEachDraw at_each_draw = nullptr;
  // So many of the lists in `train` give examples for validation where no part for it is there.
  size_t held_out_lists = 2;
  // Of two lists: whether examples of equal names that are held out for validation belong together.
  bool equal_names_match = true;
  bool has_parts = false;  // else all there is stands in `train`
  PassedOver passed_over;

  // One part of the source, with its name.
  struct Part {
    std::string name;  // "train", "val", "test", or "all" of a source without parts
    std::vector<ListedExample> examples;
  };
  // By its name; empty: the part made for evaluation (test, else val, else all). Exit::usage when the source has
  // no such part.
  Part part(const std::string& name, const std::string& source) const;
};

// How an example is read.
struct Reading {
  int side = 0;  // of the pictures: shorter side scaled, middle square. 0: their own size
  Filter filter = Filter::bilinear;
  std::optional<InputSeed> seed;  // of pictures that are made anew at each draw; empty: they are left out
};
// Single pictures are resized as torchvision does it, all others as the authors of pix2pix and CycleGAN do.
Reading reading_of(const DataOptions& options, int side, const std::optional<InputSeed>& seed = {});

struct DataLayout {
  const char* name;
  std::string (*looks_for)();  // in words, for an error
  const char* counted;         // what its examples are called: "pictures", "pairs"
  const char* check_option;    // the option with which `gan data check` looks for it: "", "--pairs"
  bool (*serves)(const DataOptions& options);     // whether its examples are what is wanted
  bool (*recognises)(const std::string& source);  // a quick look; what is half there counts
  Listing (*list)(const DataOptions& options);    // Exit::bad_data naming what is missing
  // Only examples of its own list without a problem. Exit::bad_data naming the file.
  Example (*read)(const ListedExample& example, const DataOptions& options, const Reading& reading);
};

std::span<const DataLayout* const> layouts();
// The first that serves and recognises. Exit::bad_data naming what was looked for and what is there.
const DataLayout& find_layout(const DataOptions& options);

// Reads an example of `layout`; all reading goes through here and has its turn (ReadingTurn). Exit::bad_data
// naming the file.
Example read_example(const DataLayout& layout, const ListedExample& example, const DataOptions& options,
                     const Reading& reading);

// Examples of several lists as one list: those of the same name in different lists belong together and come
// first, then those that stand alone, the lists in turn.
std::vector<ListedExample> joined_by_name(const std::vector<std::vector<ListedExample>>& lists);

}  // namespace gan
