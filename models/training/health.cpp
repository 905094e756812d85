// Signs of a training that goes wrong.
#include "models/training/health.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "kernels/contract/check.h"

namespace gan {

void Health::see(int64_t step, const std::string& gan_loss, const Metrics& values) {
  double real = NAN, fake = NAN;
  for (const auto& [name, value] : values) {
    if (name == "D_real") real = value;
    if (name == "D_fake") fake = value;
  }
  // Sigmoids, or the logits that lsgan and hinge aim at.
  const bool hinge = gan_loss == "hinge";
  const bool certain = real > (hinge ? 1 : 0.95) && fake < (hinge ? -1 : 0.05);
  certain_ = certain ? certain_ + 1 : 0;
  if (certain_ != kPatience) return;  // once, until it has been otherwise
  say_(fmt::format(
      "step {}: the discriminator wins outright (D(real) {:.2f}, D(fake) {:.2f}) and teaches the "
      "generator little; what helps: a smaller --lr-d, --label-smooth 0.1, fewer --n-layers-d or a "
      "smaller --ndf, more pictures",
      step, real, fake));
}

void Health::look(int64_t step, const std::vector<Image>& pictures) {
  if (pictures.size() < 2) return;
  // Mean absolute difference between neighbours, and of each picture's samples from their channel's mean.
  double apart = 0, within = 0;
  for (size_t i = 0; i < pictures.size(); ++i) {
    const auto& here = pictures[i].pixels;
    const auto& next = pictures[(i + 1) % pictures.size()].pixels;
    const size_t channels = size_t(pictures[i].channels);
    double mean[3] = {};
    for (size_t k = 0; k < here.size(); ++k)
      mean[k % channels] += double(here[k]) * double(channels) / double(here.size());
    for (size_t k = 0; k < here.size(); ++k) {
      apart += std::abs(int(here[k]) - int(next[k])) / double(here.size() * pictures.size());
      within += std::abs(here[k] - mean[k % channels]) / double(here.size() * pictures.size());
    }
  }
  const bool flat = within < 1, same = apart < 1;
  const bool alike = flat || same;
  better_ = better_ || !alike;
  const bool collapsed = alike && (better_ || step >= kLearnt);
  if (collapsed && !collapsed_)
    say_(fmt::format(
        "step {}: the outputs have collapsed: {}; what helps: going back to an earlier checkpoint "
        "(--init) with a smaller --lr, another --gan-loss, a larger --batch",
        step, flat ? "each is of one colour" : "all look the same, whatever the input"));
  collapsed_ = collapsed;
}

}  // namespace gan
