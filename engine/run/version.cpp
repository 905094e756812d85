// Compiled anew for each commit, and nothing else with it.
#include "engine/run/version.h"

namespace gan {

const char* version() { return GAN_VERSION; }
const char* commit() { return GAN_COMMIT; }

}  // namespace gan
