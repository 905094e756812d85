// Validation and the grids of models that make pictures of pictures.
#include "models/training/evaluation.h"

#include <algorithm>
#include <cmath>

#include "engine/data/workers.h"
#include "engine/files/stop.h"
#include "engine/metrics/metrics.h"
#include "models/networks/translation_networks.h"
#include "models/use/sample.h"
#include "models/use/translate.h"

namespace gan {

namespace {

constexpr int kExamples = 32, kGridRows = 8, kMeanTargets = 256;

}  // namespace

Evaluation::Evaluation(Model& model, DeviceContext& context, PictureSet& pictures,
                       const std::function<void(const std::string&)>& say)
    : model_(model), context_(context), pictures_(pictures), trials_(model.trials()) {
  const int64_t held_out =
      std::min<int64_t>(pictures.validation_count(), trials_.empty() ? kGridRows : kExamples);
  for (int64_t i = 0; i < held_out; ++i) {
    throw_if_stopped();
    Example one = pictures.example(i, true);
    const bool whole = std::all_of(trials_.begin(), trials_.end(), [&](const Trial& trial) {
      return one.has(trial.input) && one.has(trial.target);
    });
    if (whole) examples_.push_back(std::move(one));
  }
  if (trials_.empty()) return;
  const size_t count = examples_.size();
  if (count == 0) {
    say(held_out > 0 ? "nothing to measure: no two of the pictures for validation belong together"
                     : "no pictures for validation: val/, or --split 0.9,0.1, gives some");
    return;
  }
  const int means = int(std::min<int64_t>(pictures.train_count(), kMeanTargets));
  for (const Trial& trial : trials_) {
    std::vector<Image> targets(static_cast<size_t>(means)), seen;
    parallel_for(means, model.config.workers, [&](int64_t i) {
      throw_if_stopped();
      targets[size_t(i)] = pictures.example(i, false).at(trial.target);
    });
    std::vector<uint32_t> sums(targets[0].pixels.size());
    for (const Image& target : targets)
      for (size_t k = 0; k < sums.size(); ++k) sums[k] += target.pixels[k];
    Image mean = targets[0];
    for (size_t k = 0; k < sums.size(); ++k)
      mean.pixels[k] = uint8_t((sums[k] + uint32_t(means) / 2) / uint32_t(means));
    for (const Example& one : examples_) seen.push_back(seen_by(model, context, one.at(trial.input)));
    const Score of_input = score(trial, seen),
                of_mean = score(trial, std::vector<Image>(examples_.size(), mean));
    easiest_.push_back({std::max(of_input.psnr, of_mean.psnr), std::max(of_input.ssim, of_mean.ssim)});
    say(fmt::format(
        "validation{} on {} pictures; easiest answers: {} {:.2f} dB, SSIM {:.4f}; the mean target "
        "{:.2f} dB, SSIM {:.4f}",
        trials_.size() > 1 ? " of " + trial.measure : "", count,
        trial.input == trial.target ? "no colour" : "the input itself", of_input.psnr, of_input.ssim,
        of_mean.psnr, of_mean.ssim));
  }
}

Use Evaluation::use_of(const Trial& trial) const {
  Use use;
  use.controls = trial.controls;
  const bool batch = model_.config.has<TranslationSettings>() &&
                     *model_.config.get<TranslationSettings>().norm_mode == "batch";
  use.statistics = batch ? Statistics::batch : Statistics::running;
  return use;
}

Image Evaluation::output_of(const Trial& trial, const Image& input) const {
  return translate_picture(translator_of(model_, context_, use_of(trial)), input,
                           {.tile = model_.config.size, .overlap = 0});
}

Evaluation::Score Evaluation::score(const Trial& trial, const std::vector<Image>& answers) const {
  std::vector<Measures> all;
  for (size_t i = 0; i < answers.size(); ++i)
    all.push_back(
        measure(answers[i], examples_[i].at(trial.target), {"psnr", "ssim", "sharpness", "colourfulness"}));
  std::map<std::string, double> mean;
  for (const auto& [name, value] : mean_of(all)) mean[name] = value;
  Score score{.psnr = mean["psnr"], .ssim = mean["ssim"]};
  if (std::isfinite(mean["sharpness"])) score.sharpness = mean["sharpness"];
  constexpr double kGrey = 1;  // of targets without colours worth the name
  const auto reference = mean.find("colourfulness_reference");
  if (reference != mean.end() && reference->second > kGrey)
    score.colour = std::min(1.0, mean["colourfulness"] / reference->second);
  return score;
}

double Evaluation::Score::total() const {
  static constexpr double kLeast = 1e-3;  // 30 dB less
  const auto part = [](double share) { return 10 * std::log10(std::clamp(share, kLeast, 1.0)); };
  return psnr + part(sharpness) + part(colour);
}

Evaluation::Result Evaluation::run() {
  Result result;
  for (size_t k = 0; k < trials_.size(); ++k) {
    const Trial& trial = trials_[k];
    std::vector<Image> outputs;
    for (const Example& one : examples_) outputs.push_back(output_of(trial, one.at(trial.input)));
    const Score found = score(trial, outputs), easiest = easiest_[k];
    const Metrics measured = {
        {trial.measure + "_psnr", found.psnr},           {trial.measure + "_ssim", found.ssim},
        {trial.measure + "_psnr_trivial", easiest.psnr}, {trial.measure + "_ssim_trivial", easiest.ssim},
        {trial.measure + "_sharpness", found.sharpness}, {trial.measure + "_colour", found.colour},
        {trial.measure + "_score", found.total()}};
    result.measures.insert(result.measures.end(), measured.begin(), measured.end());
    result.best_by += found.total() / double(trials_.size());
    result.below_easiest = result.below_easiest || found.psnr < easiest.psnr;
    result.words += fmt::format(
        "{}{}PSNR {:.2f} dB (easiest answer {:.2f}), SSIM {:.4f} ({:.4f}), detail {:.0f} %, colour {:.0f} %, score "
        "{:.2f}",
        k ? "; " : "", trials_.size() > 1 ? trial.measure + " " : "", found.psnr, easiest.psnr, found.ssim,
        easiest.ssim, 100 * found.sharpness, 100 * found.colour, found.total());
  }
  return result;
}

Image Evaluation::grid(std::vector<Image>& made) const {
  const bool held_out = !examples_.empty();
  const int64_t count = held_out ? int64_t(examples_.size()) : pictures_.train_count();
  std::vector<Image> cells;
  size_t columns = 0;
  for (int64_t i = 0; i < std::min<int64_t>(count, kGridRows); ++i) {
    std::map<std::string, Tensor> shown;
    if (held_out)
      for (const auto& [name, image] : examples_[size_t(i)].pictures)
        shown[name] = tensor_of(context_, image);
    // What a held-out example has not, such as a picture of a style, is that of an example to train on.
    for (const auto& [name, image] : pictures_.example(i % pictures_.train_count(), false).pictures)
      if (!shown.contains(name)) shown[name] = tensor_of(context_, image);
    const GridRow row = model_.show(shown, use_of({}));
    columns = row.cells.size();
    for (size_t k = 0; k < columns; ++k) {
      cells.push_back(to_images(row.cells[k])[0]);
      if (std::find(row.made.begin(), row.made.end(), k) != row.made.end()) made.push_back(cells.back());
    }
  }
  // Short rows stand two beside each other.
  const size_t rows_beside = columns <= 3 && cells.size() > columns ? 2 : 1;
  return make_grid(cells, int(rows_beside * columns), 2, 255);
}

}  // namespace gan
