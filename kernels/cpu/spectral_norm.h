// Spectral normalisation of weights on the cpu.
#pragma once
#include "kernels/kernels.h"

namespace gan::cpu {

void spectral_norm_fwd(const SpectralNormFwd& args, Stream& stream);  // float32
void spectral_norm_bwd(const SpectralNormBwd& args, Stream& stream);

}  // namespace gan::cpu
