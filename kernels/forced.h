// Whether what GAN_KERNEL asks for exists. The choice itself: contract/variant.h.
#pragma once

namespace gan {

// Exit::usage unless GAN_KERNEL is OPERATION=VARIANT,... with operations and variants of this build, naming those there
// are. Whether the device at hand has the variant is found out where it is picked.
void check_forced_variants();

}  // namespace gan
