// Which step runs how.
#include "models/training/recorded_steps.h"

#include "engine/tensor/device.h"
#include "models/training/feeder.h"

namespace gan {

// The stage's own tensors, with the pictures of `input` in them, and what the host knows of the step.
StepInput& RecordedSteps::at_rest(const StepInput& input) {
  if (!own_ || own_->stage != input.stage) {
    kinds_.clear();
    own_ = input;
    return *own_;
  }
  for (const InputSpec& spec : model_.inputs()) {
    if (spec.kind == InputSpec::Kind::noise) continue;
    for (size_t i = 0; i < size_t(spec.draws); ++i) {
      const Tensor &from = input.tensors.at(spec.name).at(i), &to = own_->tensors.at(spec.name).at(i);
      if (from.data() == to.data()) continue;
      GAN_CHECK(from.shape() == to.shape() && from.dtype() == to.dtype(),
                "input {} of a recorded step is {} {}, before it was {} {}", spec.name, name_of(from.dtype()),
                to_string(from.shape()), name_of(to.dtype()), to_string(to.shape()));
      context_.kernels().memory.copy(to.data(), from.data(), to.bytes(), context_.stream());
    }
  }
  own_->step = input.step, own_->draw = input.draw, own_->log = input.log;
  own_->learning_rate = input.learning_rate, own_->learning_rate_d = input.learning_rate_d;
  return *own_;
}

StepResult RecordedSteps::take(const StepInput& input) {
  StepInput& own = at_rest(input);
  Kind& kind = kinds_[{input.stage, input.log}];
  model_.begin_step(own);
  if (kind.taken++ >= 2) {
    for (const auto& network : model_.networks) network->parameters.round_weights();
    context_.fork();
    kind.recording.run();
    return kind.result;
  }
  const auto step = [&] {
    add_noise(model_, context_, own);
    return model_.step(own);
  };
  if (kind.taken ==
      1) {  // what is made once is made now, in the context's pool: averages, rounded weights, pools
    const StepResult result = step();
    context_.fork();  // the step has used the pool
    return result;
  }
  context_.pool().trim();  // the memory of steps that are not recorded
  const Recording* earlier = nullptr;
  for (const auto& [name, other] : kinds_)
    if (&other != &kind && other.taken >= 2) earlier = &other.recording;
  context_.start_recording(earlier);
  try {
    kind.result = step();
  } catch (...) {
    context_.stop_recording();
    throw;
  }
  kind.recording = context_.stop_recording();
  context_.fork();
  return kind.result;
}

int RecordedSteps::recordings() const {
  int count = 0;
  for (const auto& [name, kind] : kinds_) count += kind.taken >= 2;
  return count;
}

}  // namespace gan
