// Style from a picture that is given when a model is used, what models of it share: a frozen encoder looks at photo and
// style; at each of its levels the photo's features get the means and deviations of the style's, channel by channel
// (AdaIN, Huang and Belongie 2017), and a decoder makes a picture of that.
#pragma once
#include <memory>

#include "models/losses/perceptual.h"
#include "models/networks/features.h"
#include "models/networks/style_decoder.h"
#include "models/players/model.h"

namespace gan {

// clang-format off
struct StyleSettings : Group<StyleSettings> {
  StyleSettings() : Group("style transfer") {}
  Setting<int> style_levels{*this, "style-levels", 4, "finest levels that the decoder sees besides the coarsest; fewer keep less of the photo", "0..4", kTrain | kInspect | kNetwork};
  Setting<std::string> style_base{*this, "style-base", "none", "what the decoder makes: a picture, or a change to the photo with the style's means and deviations of red, green and blue", "none|recoloured", kTrain | kInspect | kNetwork};
  Setting<double> lambda_same{*this, "lambda-same", 1, "weight of giving a photo back that is its own style", "0..", kTrain};
};
// clang-format on

class ReferenceStyle {
 public:
  // Two networks of a model, which outlive this.
  ReferenceStyle(Network& encoder, Network& decoder) : encoder_(encoder), decoder_(decoder) {}
  // Their layers, by FeatureSettings, StyleSettings and ConvSettings. Once, from the model's declare().
  void declare(const Config& config);
  int side_multiple() const { return 1 << (int(levels_) - 1); }

  // ---- in a training step
  struct Attempt {
    Tensor photo;  // (N,H,W,3)
    Features of_photo, of_style, wanted;
    Tensor picture;  // what the decoder made of `wanted`, (N,H,W,3)
  };
  // Photos in the style of pictures, both (N,H,W,3); each has one of its own.
  Attempt attempt(const Tensor& photo, const Tensor& style, const Pass& pass) const;
  // The weighted sum of loss_content, loss_style, and where they have a weight loss_same and loss_tv, each reported.
  Tensor loss(Step& step, const Attempt& made, const Config& config) const;

  // ---- of a trained model
  // What its model is used with: pictures of a style, and how much of it.
  static UseSpec use();
  // A photo in a mix of styles, by their weights, one at least; alpha from 0, the photo as it is, to 1. With averaged
  // weights where there are any.
  Tensor styled(const Tensor& photo, const std::vector<Use::Style>& styles, double alpha) const;

  void describe(const Tensor& photo, const std::string& network, const LayerObserver& tell) const;

 private:
  // What the decoder changes: a photo in the colours of a style; nothing where it makes pictures itself.
  Tensor base(const Tensor& photo, const Tensor& style) const {
    return recolours_ ? adain(photo, style) : Tensor();
  }
  Features see(const Tensor& picture) const { return (*features_)(encoder_.parameters, picture); }

  Network &encoder_, &decoder_;
  std::unique_ptr<FeatureNetwork> features_;
  std::unique_ptr<StyleDecoder> pictures_;
  size_t levels_ = 0;
  bool recolours_ = false;
};

// Exit::usage where content or style has no weight, or pictures are too small or not in colour.
void check_reference_style(const Config& config);

}  // namespace gan
