// The variants of attention, from naive upwards.
//
// Ladder: 1_naive.cu   a warp per row, every score computed again for each use
//         2_online.cu  tiles of 64 x 64 scores, a softmax that corrects itself from tile to tile
//         3_mma.cu     the same walk on tensor cores, for bfloat16; the scores stay in registers
// All sums are float32, whatever the storage type.
#include "kernels/gpu/attention/attention.cuh"

namespace gan::GAN_GPU {
namespace {

// What rounding a factor to bfloat16 does to a sum of products whose other factors are independent, over the
// size of that sum. A number between 1 and 2, of evenly spread logarithm, is off by up to 2^-8: by 2^-8/sqrt(3)
// in the mean square, where the mean square of the number itself is 1.5/log(2).
constexpr double rounded_factor = 0x1p-8 / 2.548;

const Variant<AttentionFwd> forward_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<AttentionFwd>, attention_fwd_naive},
    {"online", "f32 bf16", "key width up to 64, value width up to 256", fits_online, attention_fwd_online},
    {"mma_bf16", "bf16", "key width up to 64, scale above 0", fits_mma, attention_fwd_mma, 1, false,
     rounded_factor},
};
const Variant<AttentionBwd> backward_variants[] = {
    {"naive", "f32 bf16", "any size", fits_any<AttentionBwd>, attention_bwd_naive},
    {"online", "f32 bf16", "key width up to 64, value width up to 256", fits_online, attention_bwd_online},
    {"mma_bf16", "bf16", "key width up to 64, value width up to 256", fits_mma, attention_bwd_mma, 1, false,
     rounded_factor},
};

}  // namespace

const AttentionTable attention = {{forward_variants}, {backward_variants}};

}  // namespace gan::GAN_GPU
