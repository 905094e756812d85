// Losses of style models, on pictures and on what a frozen network sees in them (models/networks/features.h). All are
// scalars (1). What the made pictures are compared with collects no gradient.
#pragma once
#include <vector>

#include "engine/settings/config.h"
#include "engine/tensor/picture_ops.h"

namespace gan {

// What models of styles weigh against each other. 0 leaves a part out, with what only that part needs.
// clang-format off
struct StyleLossSettings : Group<StyleLossSettings> {
  StyleLossSettings() : Group("losses of styles") {}
  Setting<double> lambda_adversarial{*this, "lambda-adversarial", 1, "weight of the discriminator in the generator's loss", "0..", kTrain | kNetwork};
  Setting<double> lambda_content{*this, "lambda-content", 0, "weight of keeping what the encoder sees of the photo", "0..", kTrain};
  Setting<double> lambda_style{*this, "lambda-style", 0, "weight of the distance of statistics of what the encoder sees to those of the style: comic's Gram matrices, style's means and deviations", "0..", kTrain};
  Setting<double> lambda_colour{*this, "lambda-colour", 0, "weight of keeping the photo's colours: comic's in YUV, restyle's in a and b of Lab", "0..", kTrain};
  Setting<double> lambda_tv{*this, "lambda-tv", 0, "weight of total variation", "0..", kTrain};
};
// clang-format on

// One tensor (N,H,W,C) for each tap of a network.
using Features = std::vector<Tensor>;

// scale * the sum over the taps of the distance of two features: what is to be seen stays.
Tensor content_loss(const Features& made, const Features& wanted, PixelLossKind kind, double scale = 1);
// The same of their Gram matrices (Gatys et al. 2016); l2 there, l1 in AnimeGAN. Heights and widths may differ.
Tensor gram_loss(const Features& made, const Features& style, PixelLossKind kind, double scale = 1);
// The squared distances of their channels' means and of their deviations (Huang and Belongie 2017).
Tensor statistics_loss(const Features& made, const Features& style, double scale = 1);

// scale * (l1 of Y + Huber's of U + Huber's of V) of pictures (N,H,W,3) in [-1,1] (Chen et al. 2019).
Tensor colour_loss(const Tensor& made, const Tensor& wanted, double scale = 1);
// scale * half the mean of squared differences of neighbours, horizontal ones and vertical ones (AnimeGANv2).
Tensor smoothness_loss(const Tensor& made, double scale = 1);

}  // namespace gan
