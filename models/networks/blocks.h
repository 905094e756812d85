// What convolutional networks are built of: a convolution with its norm and activation, several ways to
// double a picture's side, and what a forward pass has to know.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/learning/nn.h"
#include "engine/settings/config.h"

namespace gan {

// clang-format off
struct ConvSettings : Group<ConvSettings> {
  ConvSettings() : Group("convolutional networks") {}
  Setting<int> ngf{*this, "ngf", 64, "width of the generator: channels of its last hidden layer", "1..4096", kTrain | kInspect | kNetwork};
  Setting<int> ndf{*this, "ndf", 64, "width of the discriminator: channels of its first layer", "1..4096", kTrain | kInspect | kNetwork};
  Setting<std::string> norm{*this, "norm", "batch", "normalisation between layers", "batch|instance|none", kTrain | kInspect | kNetwork};
};
struct UpSettings : Group<UpSettings> {
  UpSettings() : Group("doubling a side") {}
  Setting<std::string> up{*this, "up", "convt", "how the generator doubles a side: transposed convolution, nearest + convolution, pixel shuffle", "convt|resize|shuffle", kTrain | kInspect | kNetwork};
};
struct SpectralSettings : Group<SpectralSettings> {
  SpectralSettings() : Group("spectral norm") {}
  Setting<std::string> sn{*this, "sn", "none", "spectral norm of the convolutions: of no network, the generators, the discriminators or all", "none|G|D|both", kTrain | kInspect | kNetwork};

  bool of_generator() const { return sn == "G" || sn == "both"; }
  bool of_discriminator() const { return sn == "D" || sn == "both"; }
};
// clang-format on

// Told of every layer of a forward pass, for `gan inspect`.
struct LayerRecord {
  std::string name;  // "main.0"
  std::string kind;  // "conv_transpose2d 4x4 stride 2 + batch norm + relu"
  Shape output;
  int64_t parameters;
  double flop;
};
using LayerObserver = std::function<void(const LayerRecord&)>;
// Given what a layer put out, on the tape: for losses on what a network sees in its middle.
using LayerTap = std::function<void(const std::string& name, const Tensor& output)>;

// How a forward pass is made.
struct Pass {
  Statistics statistics = Statistics::batch;
  int batches = 1;          // that lie behind each other, each with batch statistics of its own
  bool dropout = false;     // layers that have dropout use it
  uint64_t seed = 0;        // of the masks
  In step = {};             // a counter on the device: another mask in each; none: step 0
  LayerObserver tell = {};  // may be empty
  LayerTap tap = {};        // may be empty
};

inline constexpr Activation kNoAct{Act::none}, kRelu{Act::relu}, kTanh{Act::tanh},
    kLeaky{Act::leaky_relu, 0.2};

// Convolution, norm, activation, dropout, in this order; each of the last three may be missing.
struct ConvBlock {
  // conv, transposed: as in ops.h. The other two double the side without a transposed convolution's
  // checkerboard (Odena et al. 2016): resize is nearest neighbours, then a 3x3 convolution; shuffle is a 3x3
  // convolution to four times the channels, which pixel_shuffle makes pixels, and whose four copies of each
  // channel start equal (ICNR, Aitken et al. 2017).
  enum class Kind { conv, transposed, resize, shuffle };
  struct Options {
    Kind kind = Kind::conv;
    ConvOptions conv;  // resize and shuffle: not used
    bool bias = false;
    bool spectral = false;  // of the convolution's weight
    NormKind norm = NormKind::none;
    std::string norm_name;  // where there is a norm
    Activation act;
    double dropout = 0;          // probability
    uint32_t dropout_layer = 0;  // a number of its own among the network's layers
    double deviation = 0.02;     // of the weights' normal initialisation
  };

  std::string name;
  Options options;
  ConvLayer conv;
  NormLayer norm;

  // Declares "<name>.weight" ("<name>.weight_orig" with spectral norm), perhaps "<name>.bias", and the norm's parameters.
  static ConvBlock make(Parameters& p, const std::string& name, int in, int out, const Options& options);
  // (N,H,W,in) -> (N,OH,OW,out)
  Tensor operator()(const Parameters& p, const Tensor& x, const Pass& pass) const;
};

// Settings by name; Exit::usage for an unknown one.
NormKind norm_kind_of(const std::string& name);
ConvBlock::Kind up_kind_of(const std::string& name);  // convt, resize, shuffle

// Pictures to pictures: (N,H,W,in) -> (N,H,W,out) in [-1,1].
class Generator {
 public:
  virtual ~Generator() = default;
  virtual Tensor operator()(const Parameters& p, const Tensor& x, const Pass& pass) const = 0;
  // Height and width of what it takes are multiples of this.
  virtual int side_multiple() const = 0;
};

// Pictures to logits: (N,H,W,in) -> one (N,h,w,1) for each scale it looks at.
class Discriminator {
 public:
  virtual ~Discriminator() = default;
  virtual std::vector<Tensor> operator()(const Parameters& p, const Tensor& x, const Pass& pass) const = 0;
};

}  // namespace gan
