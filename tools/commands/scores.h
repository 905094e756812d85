// What `gan eval` and `gan compare` print: measures of each picture and their means, as a table or as JSON,
// and a sheet of the best and worst pictures.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/metrics/metrics.h"
#include "tools/cli/commands.h"

namespace gan::tools {

struct Score {
  std::string name;  // of the picture, without extension
  Measures measures;
};

// --metrics, --sheet, --rows, --json and --workers.
std::vector<Option> options_of_scores();

// What cannot be measured: named on stderr and left out, until it is more than --max-bad allows.
class LeftOut {
 public:
  // Of `total` examples, called `counted`: "pairs".
  LeftOut(std::string counted, int64_t total, double max_bad)
      : counted_(std::move(counted)), total_(total), max_bad_(max_bad) {}
  // False when it throws Exit::bad_data; other errors go on.
  bool try_to(const std::function<void()>& measure);
  void add(const std::string& why);
  // Exit::bad_data, naming the first few, when it is too much or everything.
  void check_only(const std::string& source) const;
  // The same, and names what was left out.
  void check(const std::string& source) const;
  const std::vector<std::string>& reasons() const { return reasons_; }

 private:
  std::string counted_;
  int64_t total_;
  double max_bad_;
  std::vector<std::string> reasons_;
};

// On stdout. JSON: {"images": [{"name": .., "psnr": ..}], "mean": {..}, "left_out": [reasons]}; an infinite value
// is the text "inf", a measure that a picture is too small for is null. `more` is added to that object at its end.
void print_scores(const std::vector<Score>& scores, bool json, const LeftOut& left_out,
                  const std::vector<std::pair<std::string, std::string>>& more = {});

// Writes the `rows` best pictures by the first measure, a gap, and the `rows` worst, best and worst first.
// Each row shows the pictures of cells(i), i an index of `scores`, scaled down to at most 256 pixels.
void write_sheet(const std::string& file, const std::vector<Score>& scores, int rows,
                 const std::function<std::vector<Image>(size_t)>& cells);

// A picture on grey ground of `side` x `side`, scaled down (never up) to fit, in colour.
Image fitted(const Image& picture, int side);

}  // namespace gan::tools
