// A convolution and a normalisation with gains of its own, as networks for styles have them: of every channel of a
// picture by itself (instance norm), or of the whole picture at once (layer norm over height, width and channels, which
// PyTorch calls GroupNorm(1)).
#pragma once
#include "models/networks/blocks.h"

namespace gan {

struct NormedConv {
  enum class Norm { none, channel, picture };
  struct Options {
    ConvOptions conv;
    bool bias = false;
    bool spectral = false;  // of the convolution's weight
    Norm norm = Norm::none;
    std::string norm_name;  // where there is a norm
    Activation act;
  };

  std::string name;
  Options options;
  ConvLayer conv;
  int gamma = -1, beta = -1;

  // Declares "<name>.weight" ("<name>.weight_orig" with spectral norm), perhaps "<name>.bias", "<norm_name>.weight" and "<norm_name>.bias".
  static NormedConv make(Parameters& p, const std::string& name, int in, int out, const Options& options);
  // act(norm(conv(x))): (N,H,W,in) -> (N,OH,OW,out)
  Tensor operator()(const Parameters& p, const Tensor& x, const Pass& pass) const;
};

}  // namespace gan
