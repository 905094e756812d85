// What time does to a photo, for models that shall work on old ones.
#pragma once
#include "engine/data/made_input.h"

namespace gan {

// `photo` as an old print of it, in the same size and channels, without any colour: a film that sees blue better than
// red, slightly soft, the blacks faded and the paper no longer white, unevenly so, with grain, scratches, dust, stains
// and sometimes a fold. How much of each is drawn by `seed`. `side`: the size at which damage has its usual width.
Image old_photo(const Image& photo, const InputSeed& seed, int side);

}  // namespace gan
