// A trained model, ready to make pictures.
#pragma once
#include <memory>
#include <string>

#include "models/players/model.h"

namespace gan {

struct LoadedModel {
  std::unique_ptr<DeviceContext> context;  // first: the model's memory goes back to it
  std::unique_ptr<Model> model;
  Config config;  // of the checkpoint
  int64_t step = 0;
};

// The weights of a run's latest checkpoint, or of a checkpoint file. Every tensor's hash is verified
// (Exit::bad_data, naming the tensor). `device` as on the command line.
LoadedModel load_model(const std::string& run_or_checkpoint, const std::string& device);

}  // namespace gan
