// The variants of convolution, from naive upwards, and what each can compute.
//
// Ladder: 1_naive.cu  the formula, one thread (or warp) per result
//         2_tiled.cu  implicit matrix product on tiles in shared memory and registers
//         3_mma.cu    the same product on tensor cores: mma_bf16 on bfloat16, mma_tf32 on float32 (only when
//                     asked for by name)
//         4_hopper.cu wgmma_bf16: the same on the tensor cores of compute capability 9.0 (only when asked for by name)
//         cudnn       NVIDIA's library, to compare with: only when asked for by name (CUDA builds only)
// All sums are float32, whatever the storage type.
#include "kernels/gpu/conv/conv.cuh"
#include "kernels/gpu/conv/implicit.cuh"
#include "kernels/gpu/wgmma_tile.cuh"
#if defined(__CUDACC__)
#include "kernels/gpu/cuda_libraries.h"
#endif

namespace gan::GAN_GPU {
namespace {

// ---- what fits ----------------------------------------------------------------------------------------

// The type of the activations; the launchers see to it that the others agree.
DType type_of(const ConvFwd& args) { return args.x.dtype; }
DType type_of(const ConvBwdData& args) { return args.dy.dtype; }
DType type_of(const ConvBwdWeight& args) { return args.x.dtype; }

template <class Args>
const char* fits_naive(const Args& args) {
  const DType type = type_of(args);
  return type == DType::f32 || type == DType::bf16 ? nullptr : "the activations must be float32 or bfloat16";
}

template <class Args>
const char* fits_tiled(const Args& args) {
  if (const char* reason = fits_naive(args)) return reason;
  if (args.size.groups != 1) return "groups must be 1";
  if (int64_t{args.size.sh} * args.size.sw > 64)
    return "the stride is too large";  // one part for each remainder
  if (args.size.kh > Windows::most_taps || args.size.kw > Windows::most_taps)
    return "the kernel is larger than 15x15";
  return nullptr;
}

template <class Args>
const char* fits_mma_bf16(const Args& args) {
  return type_of(args) == DType::bf16 ? fits_tiled(args) : "the activations must be bfloat16";
}

template <class Args>
const char* fits_mma_tf32(const Args& args) {
  if (type_of(args) != DType::f32) return "the activations must be float32";
  if (const char* reason = fits_tiled(args)) return reason;
  return tf32_in_use() || forced_variant(Args::op) == "mma_tf32" ? nullptr : tf32_not_asked_for;
}

template <class Args>
const char* fits_wgmma_bf16(const Args& args) {
  if (const char* reason = fits_mma_bf16(args)) return reason;
  if (forced_variant(Args::op) != "wgmma_bf16") return wgmma_not_asked_for;
  return wgmma_missing();
}

// ---- cuDNN --------------------------------------------------------------------------------------------

#if defined(__CUDACC__)
template <class Args>
const char* fits_cudnn(const Args& args) {
  if (forced_variant(Args::op) != "cudnn") return "a rival for benchmarks: force it with GAN_KERNEL";
  if (type_of(args) != DType::f32) return "float32 only";
  if (args.size.padding != Padding::zero) return "zero padding only";
  return cudnn_missing();
}

void conv_fwd_cudnn(const ConvFwd& args, Stream& stream) {
  const auto epilogue = make_epilogue<float>(args.y, args.bias, args.act, args.size.k);
  cudnn_fwd(args, stream);
  finish_in_place(epilogue, args.size.y_count(), args.size.k, stream);
}

void conv_bwd_data_cudnn(const ConvBwdData& args, Stream& stream) {
  const auto epilogue = make_epilogue<float>(args.dx, args.bias, args.act, args.size.c);
  cudnn_bwd_data(args, stream);
  finish_in_place(epilogue, args.size.x_count(), args.size.c, stream);
}

void conv_bwd_weight_cudnn(const ConvBwdWeight& args, Stream& stream) { cudnn_bwd_weight(args, stream); }
#endif

// ---- variants -----------------------------------------------------------------------------------------

constexpr const char* f32_bf16 = "f32 bf16";
constexpr const char* not_grouped_forced = "groups 1, kernel up to 15x15, stride up to 8x8, when forced";
constexpr const char* wgmma_where =
    "as mma_bf16, on compute capability 9.0, when forced (no GPU has timed it)";
constexpr const char* not_grouped = "groups 1, kernel up to 15x15, stride up to 8x8";

constexpr Variant<ConvFwd> fwd_variants[] = {
    {"naive", f32_bf16, "any size", fits_naive<ConvFwd>, conv_fwd_naive},
    {"tiled", f32_bf16, not_grouped, fits_tiled<ConvFwd>, conv_fwd_tiled},
    {"mma_tf32", "tf32", not_grouped_forced, fits_mma_tf32<ConvFwd>, conv_fwd_mma, 3000},
    {"mma_bf16", "bf16", not_grouped, fits_mma_bf16<ConvFwd>, conv_fwd_mma},
    {"wgmma_bf16", "bf16", wgmma_where, fits_wgmma_bf16<ConvFwd>, conv_fwd_wgmma},
#if defined(__CUDACC__)  // cuDNN may choose Winograd's
    {"cudnn", "f32", "zero padding, when forced", fits_cudnn<ConvFwd>, conv_fwd_cudnn, 4, true},
#endif
};

constexpr Variant<ConvBwdData> bwd_data_variants[] = {
    {"naive", f32_bf16, "any size", fits_naive<ConvBwdData>, conv_bwd_data_naive},
    {"tiled", f32_bf16, not_grouped, fits_tiled<ConvBwdData>, conv_bwd_data_tiled},
    {"mma_tf32", "tf32", not_grouped_forced, fits_mma_tf32<ConvBwdData>, conv_bwd_data_mma, 3000},
    {"mma_bf16", "bf16", not_grouped, fits_mma_bf16<ConvBwdData>, conv_bwd_data_mma},
    {"wgmma_bf16", "bf16", wgmma_where, fits_wgmma_bf16<ConvBwdData>, conv_bwd_data_wgmma},
#if defined(__CUDACC__)
    {"cudnn", "f32", "zero padding, when forced", fits_cudnn<ConvBwdData>, conv_bwd_data_cudnn, 4, true},
#endif
};

constexpr Variant<ConvBwdWeight> bwd_weight_variants[] = {
    {"naive", f32_bf16, "any size", fits_naive<ConvBwdWeight>, conv_bwd_weight_naive},
    {"tiled", f32_bf16, not_grouped, fits_tiled<ConvBwdWeight>, conv_bwd_weight_tiled},
    {"mma_tf32", "tf32", not_grouped_forced, fits_mma_tf32<ConvBwdWeight>, conv_bwd_weight_mma, 3000},
    {"mma_bf16", "bf16", not_grouped, fits_mma_bf16<ConvBwdWeight>, conv_bwd_weight_mma},
    {"wgmma_bf16", "bf16", wgmma_where, fits_wgmma_bf16<ConvBwdWeight>, conv_bwd_weight_wgmma},
#if defined(__CUDACC__)
    {"cudnn", "f32", "zero padding, when forced", fits_cudnn<ConvBwdWeight>, conv_bwd_weight_cudnn, 4, true},
#endif
};

}  // namespace

const ConvTable conv = {
    .fwd = {fwd_variants}, .bwd_data = {bwd_data_variants}, .bwd_weight = {bwd_weight_variants}};

}  // namespace gan::GAN_GPU
