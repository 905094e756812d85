// Drawing inputs.
#include "models/training/feeder.h"

#include "engine/tensor/step_values.h"
#include "kernels/shared/philox.h"
#include "models/training/plan.h"

namespace gan {

StepInput next_input(const Model& model, PictureSet& pictures, DeviceContext& context, int64_t& draw) {
  const Config& config = model.config;
  StepInput in;
  in.draw = draw;
  for (int i = 0, draws = draws_per_step(model); i < draws; ++i, ++draw) {
    const Batch drawn = pictures.batch(context, draw, config.batch);
    std::map<std::string, LabPicture> lab;  // of those that somebody wants so
    for (const InputSpec& spec : model.inputs()) {
      if (i >= spec.draws || spec.kind == InputSpec::Kind::noise) continue;
      const Tensor& picture = drawn.at(spec.of);
      if (spec.kind == InputSpec::Kind::picture) {
        in.add(spec.name, cast(picture, context.activations()));
        continue;
      }
      if (spec.kind == InputSpec::Kind::grain) {
        in.add(spec.name, cast(slice_channels(picture, 0, 1), context.activations()));
        continue;
      }
      if (!lab.count(spec.of)) lab[spec.of] = rgb_to_lab(picture);
      const Tensor& part = spec.kind == InputSpec::Kind::lightness ? lab[spec.of].l : lab[spec.of].ab;
      in.add(spec.name, cast(part, context.activations()));
    }
  }
  return in;
}

void add_noise(const Model& model, DeviceContext& context, StepInput& input) {
  const Config& config = model.config;
  for (const InputSpec& spec : model.inputs()) {
    if (spec.kind != InputSpec::Kind::noise) continue;
    std::vector<Tensor>& all = input.tensors[spec.name];
    all.clear();
    for (int i = 0; i < spec.draws; ++i)
      all.push_back(random_normal(context, {config.batch, spec.width}, uint64_t(config.seed),
                                  uint32_t(RandomStream::noise), context.step_values().draw(), uint32_t(i),
                                  context.activations()));
  }
}

}  // namespace gan
