// Networks that look at pictures so that losses and measures can compare what they see: VGG-16 and VGG-19 (Simonyan and
// Zisserman 2014) with torchvision's weights from a file, and the engine's own encoder, which needs no file. They
// learn in no model that looks through them (NetworkTraits::weights_from, built_in).
//
// The own encoder has four levels of a 3x3 reflect convolution and a relu, each but the first behind a 2x2 average:
// 3 -> 32 -> 64 -> 96 -> 96 channels, for (N,H,W,3) of at least 16 pixels a side. Its kind is "filters" with weights
// that are random and orthogonal, scaled so that a relu leaves the size of the activations as it is, and "encoder"
// with those that the model encoder has learnt (models/tasks/encoder.cpp).
#pragma once
#include <string>
#include <vector>

#include "models/networks/blocks.h"

namespace gan {

// clang-format off
struct FeatureSettings : Group<FeatureSettings> {
  FeatureSettings() : Group("features") {}
  Setting<std::string> features{*this, "features", "", "network in which content and style are compared: filters (random ones), a run or checkpoint of the model encoder, or a safetensors file of torchvision's VGG-16 or VGG-19; empty: filters", "", kTrain};
};
// clang-format on

// The kind of network that --features means: "filters", "encoder", "vgg16" or "vgg19". What is compared by a network is
// named after it. The name of a kind means itself: so a checkpoint that holds the network says which it is. Anything
// else is a file or a run, of which the names and shapes of tensors are looked at: Exit::bad_data when it is none of
// these networks, naming a tensor that is missing, of another shape, or has no place (beside a VGG classifier.* may be
// there, beside an encoder all else that a checkpoint has).
std::string feature_kind(const std::string& features);

inline constexpr const char* own_filters = "filters";
inline constexpr const char* own_encoder = "encoder";
inline constexpr const char* encoder_prefix =
    "encoder.";  // of the tensors of a learnt encoder in its checkpoint

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
  std::vector<Tensor> operator()(const Parameters& p, const Tensor& x, const Pass& pass = {}) const {
    return at(taps_, p, x, pass);
  }
  // The same at some of its taps alone, no layer further than the last of them.
  std::vector<Tensor> at(const std::vector<std::string>& taps, const Parameters& p, const Tensor& x,
                         const Pass& pass = {}) const;
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
  std::string kind_;
  std::vector<std::string> taps_;
  std::vector<Layer> layers_;
};

// The random weights of the own encoder, into the parameters that a FeatureNetwork declared.
void fill_filters(const Parameters& p);
// Weights that the program holds under the name that --features gives; false: it holds none, the name is that of a
// file (NetworkTraits::built_in).
bool fill_features(const Parameters& p, const std::string& features);

}  // namespace gan
