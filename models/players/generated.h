// A trained generator at work, as every model of pictures uses it.
#pragma once
#include "models/networks/blocks.h"
#include "models/players/model.h"

namespace gan {

// What `generator` makes of x (N,H,W,C), whose sides are multiples of its own: by averaged weights where there are any,
// and without moving the statistics that it learnt. Dropout only if it has any and the use asks for it.
inline Tensor generated(Network& network, const Generator& generator, const Tensor& x, const Use& use,
                        bool has_dropout) {
  const int side = generator.side_multiple();
  GAN_CHECK(x.shape().rank == 4 && x.dim(1) % side == 0 && x.dim(2) % side == 0,
            "translate {}: height and width must be multiples of {}", to_string(x.shape()), side);
  NoGradient quiet(x.context());
  UseAverage averaged(network.parameters);
  KeepStatistics kept(network.parameters);
  return generator(network.parameters, x,
                   {.statistics = use.statistics, .dropout = use.dropout && has_dropout, .seed = use.seed});
}

}  // namespace gan
