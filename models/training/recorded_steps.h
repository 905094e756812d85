// Training steps from recordings: the first step of each kind runs as it is written, the second is recorded too, and
// every later one is the recording run again (engine/tensor/recording.h): on a GPU one CUDA graph, for which the host
// calls once instead of a hundred times. The results are those of Model::step(), bit for bit.
//
// A kind is a stage of the model, and whether the step computes what only the log needs. Recordings read pictures
// from where the first ones lay: those of later steps are copied there. They share one step's memory, which is not that
// of the context's pool, so that work beside a step (DeviceContext::Beside) may use the pool.
#pragma once
#include <map>
#include <optional>
#include <utility>

#include "engine/tensor/recording.h"
#include "models/players/model.h"

namespace gan {

// Whether --recorded wants them on this device.
inline bool is_recorded(const Config& config, Device device) {
  return config.recorded == "auto" ? device == Device::cuda && config.trace->empty()
                                   : config.recorded == "on";
}

class RecordedSteps {
 public:
  // Both outlive this.
  RecordedSteps(Model& model, DeviceContext& context) : model_(model), context_(context) {}

  // One step on the pictures of `input`; noise is drawn here. Its scalars hold until the next step. Forks the context:
  // work beside the step may begin.
  StepResult take(const StepInput& input);
  int recordings() const;  // that were made so far

 private:
  struct Kind {
    int64_t taken = 0;
    Recording recording;
    StepResult result;
  };
  StepInput& at_rest(const StepInput& input);
  Model& model_;
  DeviceContext& context_;
  std::map<std::pair<int, bool>, Kind> kinds_;  // by stage, and whether it logs
  std::optional<StepInput> own_;                // of the stage: the tensors that recordings read
};

}  // namespace gan
