// Pairs of pictures in folders: which file belongs to which, and how a pair is read.
#pragma once
#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/image.h"
#include "engine/settings/config.h"

namespace gan {

// clang-format off
struct PairSettings : Group<PairSettings> {
  PairSettings() : Group("pairs") {}
  Setting<std::string> direction{*this, "direction", "AtoB", "of aligned pairs: which picture becomes which", "AtoB|BtoA", kTrain | kEval};
  Setting<std::string> make_input{*this, "make-input", "", "make pairs from single pictures: sketch, grey, noise, blur, lowres or mask is the input; empty: aligned pairs", "", kTrain | kEval};
};
// clang-format on

// One example: a picture file, or two for a pair that lies in two folders.
struct PictureFile {
  std::string name;               // path below the folder, without extension
  std::filesystem::path file;     // the picture; of a pair: A, or A and B side by side
  std::filesystem::path partner;  // B, when it is a file of its own
  std::string problem;            // why it cannot be used, naming the file; empty: nothing known
};

// What lies in a folder, by its parts. A folder without parts is all `train`.
struct PictureListing {
  std::vector<PictureFile> train, validation, test;
  bool has_parts = false;

  // "train", "val", "test", or empty: the part made for evaluation (test, else val, else all). Exit::usage
  // when the folder has no such part.
  const std::vector<PictureFile>& part(const std::string& name, const std::string& folder) const;
};

// Aligned pairs: ROOT/A and ROOT/B (or ROOT/trainA and ROOT/trainB, with valA, valB, testA, testB) hold files
// of the same names, extensions may differ, and may have parts of their own (ROOT/A/train); else every
// picture of ROOT/train, ROOT/val, ROOT/test, or of ROOT itself, is A on the left and B on the right. A
// picture without a partner is listed with its problem. Throws Exit::bad_data as list_pictures() does.
PictureListing list_pairs(const std::filesystem::path& root);
// Single pictures: of ROOT/train, ROOT/val and ROOT/test if there is a ROOT/train, else of ROOT.
PictureListing list_singles(const std::filesystem::path& root);

// Input and target of equal size.
struct PicturePair {
  Image input, target;
};
// Reads a pair; `b_to_a`: B is the input. Throws Exit::bad_data, naming the file, when the two differ in size
// or one picture cannot be halved.
PicturePair read_pair(const PictureFile& file, bool b_to_a, const DecodeOptions& decode);

}  // namespace gan
