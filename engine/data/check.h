// What `gan data check` and `gan data stats` print: every picture of a source, looked at.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "engine/data/options.h"
#include "engine/picture/image.h"

namespace gan {

struct PictureReport {
  std::filesystem::path file;
  std::string problem;  // empty: readable
  ImageInfo info;
};

// Every picture of a folder.
std::vector<PictureReport> check_pictures(const std::filesystem::path& folder, int workers);
// Every example of all parts, as training for `examples` would find them; `file` is the first of its files,
// `info` stays empty. A bad pair is one that does not read, has no partner, or whose pictures differ in size.
std::vector<PictureReport> check_examples(const std::string& source, Examples examples, int workers);

}  // namespace gan
