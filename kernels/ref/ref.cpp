// Device `ref`: the formulas of ref.h in float64, in the tables of kernels/kernels.h; memory is the heap's.
#include "kernels/ref/ref.h"

#include <cstdlib>
#include <cstring>

namespace gan::ref {

namespace {

template <class Args>
void run(const Args& args, Stream&) {
  compute<double>(args);
}

template <class Args>
constexpr Variant<Args> loops[] = {{"loops", "f64", "any size", fits_any<Args>, run<Args>}};

template <class Args>
constexpr Op<Args> with_loops{loops<Args>};

void* allocate(size_t bytes) {
  void* address = nullptr;
  if (posix_memalign(&address, 128, std::max<size_t>(bytes, 1)) != 0)
    fail(Exit::out_of_memory, "no memory for {} bytes; use a smaller batch", bytes);
  return address;
}

void release(void* address) noexcept { std::free(address); }

void copy(void* to, const void* from, size_t bytes, Stream&) {
  if (bytes > 0) std::memcpy(to, from, bytes);
}

void zero(void* to, size_t bytes, Stream&) {
  if (bytes > 0) std::memset(to, 0, bytes);
}

void synchronize(Stream&) {}

}  // namespace

constexpr PointwiseTable pointwise{
    with_loops<ActivationFwd>, with_loops<ActivationBwd>, with_loops<Binary>,
    with_loops<Affine>,        with_loops<Broadcast>,     with_loops<Sum>,
    with_loops<SumRows>,       with_loops<PutChannels>,   with_loops<TakeChannels>};
constexpr GemmTable gemm{with_loops<Gemm>};
constexpr ConvTable conv{with_loops<ConvFwd>, with_loops<ConvBwdData>, with_loops<ConvBwdWeight>};
constexpr NormTable norm{with_loops<NormFwd>, with_loops<NormInfer>, with_loops<NormBwd>,
                         with_loops<LayerNormFwd>, with_loops<LayerNormBwd>};
constexpr AttentionTable attention{with_loops<AttentionFwd>, with_loops<AttentionBwd>};
constexpr LossTable loss{with_loops<DiscriminatorLoss>, with_loops<GeneratorLoss>, with_loops<PixelLoss>};
constexpr OptimTable optim{with_loops<Adam>, with_loops<Sgd>, with_loops<MovingAverage>,
                           with_loops<GradNorm>};
constexpr ResampleTable resample{with_loops<ResampleFwd>, with_loops<ResampleBwd>, with_loops<MaxPoolFwd>,
                                 with_loops<MaxPoolBwd>, with_loops<PixelShuffle>};
constexpr ImageTable image{with_loops<ImageBatch>, with_loops<RgbToLab>, with_loops<LabToRgb>,
                           with_loops<PoolExchange>};
constexpr RngTable rng{with_loops<RandomNormal>, with_loops<RandomUniform>, with_loops<Dropout>};
constexpr Memory memory{allocate, release, copy, copy, copy, zero, synchronize, true};

}  // namespace gan::ref
