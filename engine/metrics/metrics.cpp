// The table of measures, and what goes by it: choosing, measuring, means.
#include "engine/metrics/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/settings/words.h"
#include "kernels/contract/check.h"

namespace gan {

extern const Metric kPsnr, kL1, kSsim, kSsim256, kColourfulness, kSharpness;

const std::vector<const Metric*>& metrics() {
  static const std::vector<const Metric*> all = {&kPsnr,          &kSsim,    &kL1,
                                                 &kColourfulness, &kSsim256, &kSharpness};
  return all;
}

namespace {
constexpr const char* kOfReference = "_reference";
}

const Metric* metric_of(const std::string& key) {
  for (const Metric* metric : metrics())
    if (key == metric->name || (metric->of_one && key == std::string(metric->name) + kOfReference))
      return metric;
  return nullptr;
}

std::vector<std::string> names_of_metrics(bool usual) {
  std::vector<std::string> names;
  for (const Metric* metric : metrics())
    if (metric->usual == usual) names.push_back(metric->name);
  return names;
}

void check_same_size(const Image& a, const Image& b) {
  GAN_CHECK(a.height == b.height && a.width == b.width && a.channels == b.channels && !a.pixels.empty(),
            "pictures of {} x {} x {} and {} x {} x {} cannot be compared", a.height, a.width, a.channels,
            b.height, b.width, b.channels);
}

std::vector<std::string> parse_metrics(const std::string& list) {
  if (list.empty()) return names_of_metrics(true);
  std::vector<std::string> known;
  for (const Metric* metric : metrics()) known.push_back(metric->name);
  std::vector<std::string> chosen;
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    const std::string name = list.substr(at, comma - at);
    at = comma + 1;
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      const std::string nearest = nearest_word(known, name, 3);
      fail(Exit::usage, "--metrics: there is no metric \"{}\"; {}", name,
           nearest.empty() || name.empty() ? fmt::format("choose from {}", fmt::join(known, ", "))
                                           : fmt::format("did you mean {}?", nearest));
    }
    if (std::find(chosen.begin(), chosen.end(), name) == chosen.end()) chosen.push_back(name);
  }
  return chosen;
}

Measures measure(const Image& a, const Image& b, const std::vector<std::string>& names) {
  Measures result;
  for (const std::string& name : names) {
    const Metric* metric = metric_of(name);
    GAN_CHECK(metric, "no measure \"{}\"", name);
    const auto value = [&](const Image& smaller, auto measured) {
      const bool fits = std::min(smaller.height, smaller.width) >= metric->least_side;
      return fits ? measured() : std::numeric_limits<double>::quiet_NaN();
    };
    if (metric->of_pair) result.emplace_back(name, value(a, [&] { return metric->of_pair(a, b); }));
    if (!metric->of_one) continue;
    result.emplace_back(name, value(a, [&] { return metric->of_one(a); }));
    result.emplace_back(name + kOfReference, value(b, [&] { return metric->of_one(b); }));
  }
  return result;
}

Measures mean_of(const std::vector<Measures>& all) {
  Measures mean;
  if (all.empty()) return mean;
  for (size_t k = 0; k < all[0].size(); ++k) {
    double sum = 0;
    int64_t count = 0;
    for (const auto& measures : all)
      if (!std::isnan(measures[k].second)) sum += measures[k].second, ++count;
    mean.emplace_back(all[0][k].first,
                      count ? sum / double(count) : std::numeric_limits<double>::quiet_NaN());
  }
  return mean;
}

}  // namespace gan
