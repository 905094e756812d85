// What `gan data check` and `gan data stats` print: every picture of a source, looked at.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "engine/data/options.h"
#include "engine/data/search.h"
#include "engine/picture/image.h"

namespace gan {

struct PictureReport {
  std::filesystem::path file;
  std::string partner;  // of a pair in two files, the other one, or what is missing: "photos/B/3.*"
  std::string problem;  // empty: readable
  ImageInfo info;
};

struct Reports {
  std::vector<PictureReport> reports;
  PassedOver passed_over;
};

// Every picture of a folder.
Reports check_pictures(const std::filesystem::path& folder, int workers);
// Every example of all parts, as training for `examples` would find them; `file` is the first of its files,
// `info` stays empty. A bad pair is one that does not read, has no partner, or whose pictures differ in size.
Reports check_examples(const std::string& source, Examples examples, int workers);

}  // namespace gan
