// Opening, checking, building, loading: in this order, so that nothing is built for a file that is refused.
#include "models/use/load.h"

#include "models/tasks/zoo.h"
#include "models/use/checkpoint.h"

namespace gan {

LoadedModel load_model(const std::string& run_or_checkpoint, const std::string& device) {
  const auto file = open_verified_checkpoint(run_or_checkpoint);
  LoadedModel loaded;
  loaded.config = read_checkpoint_config(file);
  const Frozen frozen = check_checkpoint(file, loaded.config, false);
  loaded.context = std::make_unique<DeviceContext>(choose_device(device).device);
  loaded.model = build_model_for_use(*loaded.context, loaded.config, frozen);
  load_checkpoint(file, *loaded.model, nullptr, false);
  loaded.step = read_train_state(file).step;
  return loaded;
}

}  // namespace gan
