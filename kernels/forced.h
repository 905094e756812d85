// Whether what GAN_KERNEL asks for exists, and tiles that tests ask for. The choice of a variant: contract/variant.h.
#pragma once

namespace gan {

// Exit::usage unless GAN_KERNEL is OPERATION=VARIANT,... with operations and variants of this build, naming those there
// are. Whether the device at hand has the variant is found out where it is picked.
void check_forced_variants();

// How the GPU kernels cut matrix products: into tiles that suit the sizes (kernels/gpu/tile.cuh), or into one kind of
// tile wherever it can compute the product. For tests, whose small products would otherwise see few of them.
enum class Tiles { planned, small, large, thin };
void force_tiles(Tiles tiles);
Tiles forced_tiles();

}  // namespace gan
