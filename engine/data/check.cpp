// Looking at every picture of a source.
#include "engine/data/check.h"

#include <functional>
#include <span>

#include "engine/data/folders.h"
#include "engine/data/workers.h"

namespace gan {

namespace {

// Runs `look` for every report and keeps what it throws.
void report_problems(std::vector<PictureReport>& reports, int workers,
                     const std::function<void(size_t)>& look) {
  parallel_for(int64_t(reports.size()), workers, [&](int64_t i) {
    PictureReport& report = reports[size_t(i)];
    try {
      look(size_t(i));
    } catch (const Error& error) {
      report.problem = error.what();
      // Errors name the file; a report does so itself.
      if (const std::string name = report.file.string() + ": "; report.problem.starts_with(name))
        report.problem.erase(0, name.size());
    }
  });
}

}  // namespace

Reports check_pictures(const std::filesystem::path& folder, int workers) {
  Reports checked;
  auto& reports = checked.reports;
  for (auto& file : list_pictures(folder, checked.passed_over))
    reports.push_back({std::move(file), "", "", {}});
  report_problems(reports, workers, [&](size_t i) {
    reports[i].info = probe_image(reports[i].file);
    const ReadingTurn turn(std::span(&reports[i].file, 1), 0);
    read_image(reports[i].file);
  });
  return checked;
}

Reports check_examples(const std::string& source, Examples examples, int workers) {
  DataOptions options;
  options.source = source;
  options.examples = examples;
  const DataLayout& layout = find_layout(options);
  const Listing listing = layout.list(options);
  std::vector<ListedExample> all;
  const auto add = [&](const std::vector<ListedExample>& part) {
    for (const ListedExample& example : part)
      if (example.drawn < 0) all.push_back(example);
  };
  for (const DrawList& list : listing.train) add(list.examples);
  add(listing.validation);
  add(listing.test);
  Reports checked{{}, listing.passed_over};
  auto& reports = checked.reports;
  for (const ListedExample& example : all) {
    std::string partner = example.missing;
    if (partner.empty() && example.sources.size() > 1) partner = example.sources[1].file.string();
    reports.push_back({example.sources[0].file, partner, "", {}});
  }
  report_problems(reports, workers,
                  [&](size_t i) { read_example(layout, all[i], options, reading_of(options, 0)); });
  return checked;
}

}  // namespace gan
