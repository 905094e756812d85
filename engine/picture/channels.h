// Pictures of one channel and of three.
#pragma once
#include "engine/picture/image.h"

namespace gan {

// One channel: the luma() of a colour picture; a grey one as it is.
Image in_grey(Image picture);
// Three channels: those of a grey picture are alike; a colour picture as it is.
Image in_colour(Image picture);

}  // namespace gan
