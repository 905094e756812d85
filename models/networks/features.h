// Networks that look at pictures so that losses and measures can compare what they see: VGG-16 and VGG-19 (Simonyan and
// Zisserman 2014) with torchvision's weights from a file, and the engine's own encoder, which needs no file. They
// never learn (NetworkTraits::weights_from, built_in).
//
// The own encoder, "filters", has four levels of a 3x3 reflect convolution and a relu, each but the first behind a 2x2
// average: 3 -> 32 -> 64 -> 96 -> 96 channels, for (N,H,W,3) of at least 16 pixels a side. Its filters are random and
// orthogonal, scaled so that a relu leaves the size of the activations as it is.
#pragma once
#include <string>
#include <vector>

#include "models/networks/blocks.h"

namespace gan {

// clang-format off
struct FeatureSettings : Group<FeatureSettings> {
  FeatureSettings() : Group("features") {}
  Setting<std::string> features{*this, "features", "", "network in which content and style are compared: a safetensors file of torchvision's VGG-16 or VGG-19; empty: the engine's own encoder", "", kTrain};
};
// clang-format on

// "vgg16", "vgg19" or, without a file, "filters". What is compared by a network is named after it. Looks at the names
// and shapes in the file alone: Exit::bad_data when it is neither network, naming a tensor that is missing, of
// another shape, or has no place (classifier.* may be there).
std::string feature_kind(const std::string& file);

// Where losses usually look in a network of that kind, from fine to coarse.
struct FeatureTaps {
  std::vector<std::string> content, style;
};
FeatureTaps usual_taps(const std::string& kind);

class FeatureNetwork {
 public:
  // Declares the layers up to the last of `taps`, in the words that the files use ("features.0.weight"). Taps of the VGGs:
  // "conv1_1" before and "relu1_1" behind a relu, up to conv5_3 or conv5_4; of the own encoder "level1" ... "level4".
  // Exit::failure for one that the network has not.
  FeatureNetwork(Parameters& p, const std::string& kind, const std::vector<std::string>& taps);

  const std::string& kind() const { return kind_; }
  // What pictures (N,H,W,3) in [-1,1] give at the taps, in the order that the constructor got. Pass::tap is told
  // these too, in the order of the network.
  std::vector<Tensor> operator()(const Parameters& p, const Tensor& x, const Pass& pass = {}) const;
  // Channels at the taps, in their order.
  std::vector<int> channels() const;
  // The smallest side that leaves a pixel at the last tap.
  int smallest_side() const;

 private:
  struct Layer {
    std::string before, behind;  // taps: before the relu, behind it
    bool pooled = false;         // the picture is halved first
    ConvLayer conv;
    std::string name;  // of the weight, without ".weight"
  };
  bool wants(const std::string& tap) const;
  std::string kind_;
  std::vector<std::string> taps_;
  std::vector<Layer> layers_;
};

// The weights of the own encoder, into the parameters that a FeatureNetwork of kind "filters" declared.
void fill_filters(const Parameters& p);

}  // namespace gan
