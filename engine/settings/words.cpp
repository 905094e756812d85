// Words of other programs.
#include "engine/settings/words.h"

#include <algorithm>
#include <utility>

namespace gan {

std::string our_word_for(std::string_view option) {
  static constexpr std::pair<std::string_view, std::string_view> words[] = {
      {"batch-size", "batch"},
      {"bs", "batch"},
      {"learning-rate", "lr"},
      {"gpu", "device cuda"},
      {"gpus", "device cuda"},
      {"gpu-id", "device cuda"},
      {"gpu-ids", "device cuda"},
      {"cuda", "device cuda"},
      {"cpu", "device cpu"},
      {"no-cuda", "device cpu"},
      {"epoch", "epochs"},
      {"n-epochs", "epochs"},
      {"num-epochs", "epochs"},
      {"iterations", "steps"},
      {"iters", "steps"},
      {"niter", "steps"},
      {"num-steps", "steps"},
      {"max-steps", "steps"},
      {"time", "minutes"},
      {"output", "out"},
      {"output-dir", "out"},
      {"outdir", "out"},
      {"outf", "out"},
      {"o", "out"},
      {"name", "out"},
      {"image-size", "size"},
      {"img-size", "size"},
      {"resolution", "size"},
      {"res", "size"},
      {"crop-size", "size"},
      {"fine-size", "size"},
      {"continue", "resume"},
      {"continue-train", "resume"},
      {"checkpoint", "resume"},
      {"restore", "resume"},
      {"pretrained", "init"},
      {"weights", "init"},
      {"load", "init"},
      {"num-workers", "workers"},
      {"num-threads", "workers"},
      {"threads", "workers"},
      {"jobs", "workers"},
      {"j", "workers"},
      {"manual-seed", "seed"},
      {"random-seed", "seed"},
      {"latent-dim", "nz"},
      {"z-dim", "nz"},
      {"noise-dim", "nz"},
      {"input-nc", "channels"},
      {"output-nc", "channels"},
      {"overwrite", "force"},
      {"count", "n"},
      {"num", "n"},
      {"num-images", "n"},
      {"num-samples", "n"},
      {"n-samples", "n"},
      {"wd", "weight-decay"},
      {"decay", "weight-decay"},
      {"no-flip", "no-augment"},
      {"snap", "save-every"},
      {"save-freq", "save-every"},
      {"save-epoch-freq", "save-every"},
      {"print-freq", "log-every"},
      {"display-freq", "sample-every"},
      {"validation-split", "split"},
      {"smoothing", "label-smooth"},
      {"label-smoothing", "label-smooth"},
      {"loss", "gan-loss"},
      {"gan-mode", "gan-loss"},
      {"scheduler", "lr-policy"},
      {"scale", "enlarge"},
      {"upscale", "enlarge"},
      {"jpeg-quality", "quality"},
  };
  std::string name(option);
  std::replace(name.begin(), name.end(), '_', '-');
  for (const auto& [theirs, ours] : words)
    if (name == theirs) return std::string(ours);
  return "";
}

}  // namespace gan
