// Which distance of two pictures of equal size a model that knows the right answer makes small.
#pragma once
#include "engine/settings/config.h"
#include "engine/tensor/ops.h"

namespace gan {

// clang-format off
struct PixelLossSettings : Group<PixelLossSettings> {
  PixelLossSettings() : Group("pixel loss") {}
  Setting<std::string> pixel_loss{*this, "pixel-loss", "l1", "distance to the right picture: l1 makes the median of what is possible, l2 and huber the mean", "l1|l2|huber", kTrain};

  PixelLossKind kind() const {
    if (pixel_loss == "l2") return PixelLossKind::l2;
    return pixel_loss == "huber" ? PixelLossKind::huber : PixelLossKind::l1;
  }
};
// clang-format on

}  // namespace gan
