// Drawing inputs.
#include "models/training/feeder.h"

#include "kernels/shared/philox.h"
#include "models/training/plan.h"

namespace gan {

StepInput next_input(const Model& model, PictureSet& pictures, DeviceContext& context, int64_t& draw) {
  const Config& config = model.config;
  StepInput in;
  for (int i = 0, draws = draws_per_step(model); i < draws; ++i, ++draw) {
    const Batch drawn = pictures.batch(context, draw, config.batch);
    std::map<std::string, LabPicture> lab;  // of those that somebody wants so
    for (const InputSpec& spec : model.inputs()) {
      if (i >= spec.draws) continue;
      if (spec.kind == InputSpec::Kind::noise) {
        in.add(spec.name, random_normal(context, {config.batch, spec.width}, uint64_t(config.seed),
                                        uint32_t(RandomStream::noise), uint32_t(draw)));
        continue;
      }
      const Tensor& picture = drawn.at(spec.of);
      if (spec.kind == InputSpec::Kind::picture) {
        in.add(spec.name, picture);
        continue;
      }
      if (!lab.count(spec.of)) lab[spec.of] = rgb_to_lab(picture);
      in.add(spec.name, spec.kind == InputSpec::Kind::lightness ? lab[spec.of].l : lab[spec.of].ab);
    }
  }
  return in;
}

}  // namespace gan
