// How good a model of pictures is on pictures that it does not learn from: the same ones each time, one at a time,
// beside what the easiest answers would be worth.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "engine/data/picture_set.h"
#include "engine/run/runlog.h"
#include "models/players/model.h"

namespace gan {

class Evaluation {
 public:
  // Reads the examples, and says what the easiest answers are worth: the input as the model sees it, and the mean
  // of the training targets.
  Evaluation(Model& model, DeviceContext& context, PictureSet& pictures,
             const std::function<void(const std::string&)>& say);

  bool empty() const { return examples_.empty() || trials_.empty(); }
  // "val_psnr", "val_ssim" and their "_trivial" companions, "val_sharpness", "val_colour" (0 to 1: how much of the
  // targets' colourfulness there is) and "val_score", for every trial.
  //
  // The score is PSNR in dB, less 10 log10 of the part of the targets' detail and of their colour that the answers
  // have. PSNR alone is best for the blurriest and the greyest of answers.
  struct Result {
    Metrics measures;
    double best_by = 0;  // mean score of the trials: larger is better
    std::string words;
    bool below_easiest = false;  // PSNR of a trial is below its easiest answer's
  };
  Result run();

  // Pictures for the grid: held-out ones where there are any, else of the training set.
  Image grid(std::vector<Image>& made) const;

 private:
  struct Score {
    double psnr = 0, ssim = 0, sharpness = 1, colour = 1;
    double total() const;
  };
  Image output_of(const Trial& trial, const Image& input) const;
  Score score(const Trial& trial, const std::vector<Image>& answers) const;
  Use use_of(const Trial& trial) const;

  Model& model_;
  DeviceContext& context_;
  PictureSet& pictures_;
  std::vector<Trial> trials_;
  std::vector<Example>
      examples_;  // those that hold every picture which the trials need; for the grid alone without trials
  std::vector<Score> easiest_;  // of each trial
};

}  // namespace gan
