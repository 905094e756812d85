// The losses by their names.
#include "models/losses/adversarial.h"

namespace gan {

GanLoss AdversarialSettings::kind() const {
  if (gan_loss == "vanilla") return GanLoss::vanilla;
  if (gan_loss == "minimax") return GanLoss::minimax;
  if (gan_loss == "lsgan") return GanLoss::lsgan;
  if (gan_loss == "hinge") return GanLoss::hinge;
  fail(Exit::usage, "unknown gan-loss `{}`: vanilla, minimax, lsgan or hinge", gan_loss);
}

}  // namespace gan
