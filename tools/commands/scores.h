// What `gan eval` and `gan compare` print: measures of each picture and their means, as a table or as JSON,
// and a sheet of the best and worst pictures.
#pragma once
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

// On stdout. JSON: {"images": [{"name": .., "psnr": ..}], "mean": {..}}; an infinite value is the text "inf",
// a measure that a picture is too small for is null. `more` is added to that object at its end.
void print_scores(const std::vector<Score>& scores, bool json,
                  const std::vector<std::pair<std::string, std::string>>& more = {});

// Writes the `rows` best pictures by the first measure, a gap, and the `rows` worst, best and worst first.
// Each row shows the pictures of cells(i), i an index of `scores`, scaled down to at most 256 pixels.
void write_sheet(const std::string& file, const std::vector<Score>& scores, int rows,
                 const std::function<std::vector<Image>(size_t)>& cells);

// A picture on grey ground of `side` x `side`, scaled down (never up) to fit, in colour.
Image fitted(const Image& picture, int side);

}  // namespace gan::tools
