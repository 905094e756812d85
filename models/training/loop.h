// Training: from settings to a run folder.
#pragma once
#include "engine/settings/config.h"

namespace gan {

// Trains as the settings say and returns the exit code (0, 130, 143); failures are gan::Error. --dry-run
// prints `origins`. config.resume names the run folder to go on with: its config.toml is in `config` already.
int train(Config config, const Origins& origins);

}  // namespace gan
