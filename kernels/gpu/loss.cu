// Losses of the two players and between pictures; value and gradient together.
//
// The table of GAN losses stands in contract/loss.h. Written with softplus(x) = log(1 + e^x) = max(x,0) +
// log(1 + e^-|x|), which overflows for no x; the cross entropy with a label is softplus(x) - label * x.
//
// Read on: 1 the formulas, each with its derivative, 2 kernels, 3 launchers, 4 the list of variants.
// A discriminator gives few logits (one for each picture or patch), so one block of 1024 threads does
// everything in one launch, and its order of additions is fixed. Losses between pictures can spread over many
// blocks.
#include "kernels/gpu/family.cuh"

namespace gan::GAN_GPU {
namespace {

// ---- 1 Formulas ----------------------------------------------------------------------------------------

// A loss and its derivative for one logit, and what is logged about it.
struct Term {
  float loss, derivative;
};

__device__ float softplus(float x) { return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))); }

// The derivative is sigmoid(x) - label, written as a sum of two terms that cannot cancel for labels 0 and 1.
__device__ Term cross_entropy(float x, float label) {
  return {fmaxf(x, 0.0f) - label * x + log1pf(expf(-fabsf(x))),
          (1.0f - label) * sigmoid(x) - label * sigmoid(-x)};
}
__device__ Term squared_distance(float x, float label) {
  return {(x - label) * (x - label), 2.0f * (x - label)};
}

// side: +1 for real logits, -1 for fake ones.
__device__ Term discriminator_term(GanLoss kind, float x, float label, float side) {
  switch (kind) {
    case GanLoss::vanilla:
    case GanLoss::minimax: return cross_entropy(x, label);
    case GanLoss::lsgan: return squared_distance(x, label);
    case GanLoss::hinge: {
      const float margin = 1.0f - side * x;
      return {margin < 0 ? 0.0f : margin, margin > 0 ? -side : margin * 0.0f};  // NaN stays NaN
    }
    case GanLoss::wasserstein: return {-side * x, -side};
  }
  return {};
}

__device__ Term generator_term(GanLoss kind, float x) {
  switch (kind) {
    case GanLoss::vanilla: return {softplus(-x), -sigmoid(-x)};
    case GanLoss::minimax: return {-softplus(x), -sigmoid(x)};
    case GanLoss::lsgan: return squared_distance(x, 1.0f);
    case GanLoss::hinge:
    case GanLoss::wasserstein: return {-x, -1.0f};
  }
  return {};
}

// What the discriminator believes, for the log: a probability where the logits mean one, else the logit.
__device__ float belief(GanLoss kind, float x) {
  return kind == GanLoss::vanilla || kind == GanLoss::minimax ? sigmoid(x) : x;
}

__device__ Term pixel_term(PixelLossKind kind, float a, float b) {
  const float difference = a - b;
  if (kind == PixelLossKind::l2) return {difference * difference, 2.0f * difference};
  if (kind == PixelLossKind::huber && !(fabsf(difference) > 1.0f))  // NaN stays NaN
    return {0.5f * difference * difference, difference};
  if (kind == PixelLossKind::huber) return {fabsf(difference) - 0.5f, difference > 0 ? 1.0f : -1.0f};
  return {fabsf(difference), difference > 0 ? 1.0f : difference < 0 ? -1.0f : difference};  // 0 and NaN stay
}

// ---- 2 Kernels -----------------------------------------------------------------------------------------

constexpr int loss_threads = 1024;

// value: the mean; loss, where wanted: scale times that.
__device__ void store_mean(float sum, int64_t count, float scale, float* value, float* loss) {
  *value = sum / float(count);
  if (loss) *loss = scale * (sum / float(count));
}

// One half of the discriminator's loss: mean loss and mean belief over `count` logits, in every thread.
template <class T>
__device__ void discriminator_half(GanLoss kind, int64_t count, const T* logits, float label, float side,
                                   float scale, T* gradient, bool add, float* scratch, float& loss,
                                   float& mean_belief) {
  float loss_sum = 0, belief_sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
    const float x = to_float(logits[i]);
    const Term term = discriminator_term(kind, x, label, side);
    loss_sum += term.loss;
    belief_sum += belief(kind, x);
    if (gradient) put(gradient, i, scale / float(count) * term.derivative, add);
  }
  loss = block_sum(loss_sum, scratch) / float(count);
  mean_belief = block_sum(belief_sum, scratch) / float(count);
}

template <class T>
struct DiscriminatorParameters {
  GanLoss kind;
  int64_t real_count, fake_count;
  float real_label, fake_label, scale;
  const T *real, *fake;  // (real_count), (fake_count)
  T *d_real, *d_fake;    // the same, or null
  bool add_d_real, add_d_fake;
  float* values;  // (4)
  float* loss;    // (1) or null
};

// One block.
template <class T>
__global__ void __launch_bounds__(loss_threads) discriminator_loss(DiscriminatorParameters<T> p) {
  SHARED_ARRAY(float, scratch, [32]);
  float loss_real, loss_fake, belief_real, belief_fake;
  discriminator_half(p.kind, p.real_count, p.real, p.real_label, 1.0f, p.scale, p.d_real, p.add_d_real,
                     scratch, loss_real, belief_real);
  discriminator_half(p.kind, p.fake_count, p.fake, p.fake_label, -1.0f, p.scale, p.d_fake, p.add_d_fake,
                     scratch, loss_fake, belief_fake);
  if (threadIdx.x == 0) {
    p.values[0] = loss_real;
    p.values[1] = loss_fake;
    p.values[2] = belief_real;
    p.values[3] = belief_fake;
    if (p.loss) *p.loss = p.scale * (loss_real + loss_fake);
  }
}

// One block.
template <class T>
__global__ void __launch_bounds__(loss_threads)
    generator_loss(GanLoss kind, int64_t count, float scale, const T* fake, T* d_fake, bool add, float* value,
                   float* loss) {
  SHARED_ARRAY(float, scratch, [32]);
  float sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) {
    const Term term = generator_term(kind, to_float(fake[i]));
    sum += term.loss;
    if (d_fake) put(d_fake, i, scale / float(count) * term.derivative, add);
  }
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) store_mean(sum, count, scale, value, loss);
}

template <class T>
struct PixelParameters {
  PixelLossKind kind;
  int64_t count;
  float scale;
  const T *a, *b;  // (count)
  T *da, *db;      // (count) or null
  bool add_da, add_db;
};

// One block alone: naive, and the sum over it is the whole. Many blocks: `two_launches`, mean_of_sums
// follows.
template <class T>
__global__ void __launch_bounds__(block_threads) pixel_loss(PixelParameters<T> p, float* sums, float* loss) {
  SHARED_ARRAY(float, scratch, [32]);
  const float scale = p.scale / float(p.count);
  float sum = 0;
  for (int64_t i = first_element(); i < p.count; i += element_step()) {
    const Term term = pixel_term(p.kind, to_float(p.a[i]), to_float(p.b[i]));
    sum += term.loss;
    if (p.da) put(p.da, i, scale * term.derivative, p.add_da);
    if (p.db) put(p.db, i, -scale * term.derivative, p.add_db);
  }
  sum = block_sum(sum, scratch);
  if (threadIdx.x != 0) return;
  if (gridDim.x == 1) store_mean(sum, p.count, p.scale, sums, loss);
  else sums[blockIdx.x] = sum;
}

// One block. value = (sums[0] + sums[1] + ...) / count, loss = scale * value
__global__ void __launch_bounds__(block_threads)
    mean_of_sums(int blocks, int64_t count, const float* sums, float scale, float* value, float* loss) {
  SHARED_ARRAY(float, scratch, [32]);
  float sum = 0;
  for (int i = int(threadIdx.x); i < blocks; i += int(blockDim.x)) sum += sums[i];
  sum = block_sum(sum, scratch);
  if (threadIdx.x == 0) store_mean(sum, count, scale, value, loss);
}

// ---- 3 Launchers ---------------------------------------------------------------------------------------

void run_discriminator(const DiscriminatorLoss& o, Stream& stream) {
  with_type(o.real.dtype, [&]<class T>(T) {
    const DiscriminatorParameters<T> p{o.kind,
                                       o.real_count,
                                       o.fake_count,
                                       float(o.real_label),
                                       float(o.fake_label),
                                       float(o.scale),
                                       o.real.as<T>(),
                                       o.fake.as<T>(),
                                       o.d_real.as<T>(),
                                       o.d_fake.as<T>(),
                                       o.d_real.acc == Acc::add,
                                       o.d_fake.acc == Acc::add,
                                       o.values.as<float>(),
                                       o.loss.as<float>()};
    launch(discriminator_loss<T>, 1, loss_threads, 0, handle_of(stream), p);
  });
}

void run_generator(const GeneratorLoss& o, Stream& stream) {
  with_type(o.fake.dtype, [&]<class T>(T) {
    launch(generator_loss<T>, 1, loss_threads, 0, handle_of(stream), o.kind, o.count, float(o.scale),
           o.fake.as<T>(), o.d_fake.as<T>(), o.d_fake.acc == Acc::add, o.values.as<float>(),
           o.loss.as<float>());
  });
}

void run_pixel(const PixelLoss& o, Stream& stream, int64_t blocks) {
  with_type(o.a.dtype, [&]<class T>(T) {
    const PixelParameters<T> p{
        o.kind,       o.count,      float(o.scale),       o.a.as<T>(),         o.b.as<T>(),
        o.da.as<T>(), o.db.as<T>(), o.da.acc == Acc::add, o.db.acc == Acc::add};
    float *value = o.value.as<float>(), *loss = o.loss.as<float>();
    if (blocks == 1) return launch(pixel_loss<T>, 1, block_threads, 0, handle_of(stream), p, value, loss);
    float* sums = static_cast<float*>(stream.scratch(size_t(blocks) * sizeof(float)));  // (blocks)
    launch(pixel_loss<T>, unsigned(blocks), block_threads, 0, handle_of(stream), p, sums, nullptr);
    launch(mean_of_sums, 1, block_threads, 0, handle_of(stream), int(blocks), o.count, sums, p.scale, value,
           loss);
  });
}
void run_pixel_naive(const PixelLoss& o, Stream& stream) { run_pixel(o, stream, 1); }
void run_pixel_two_launches(const PixelLoss& o, Stream& stream) {
  run_pixel(o, stream, std::clamp<int64_t>(o.count / (8 * block_threads), 1, 2048));
}

// ---- 4 Variants ----------------------------------------------------------------------------------------

const Variant<DiscriminatorLoss> discriminator_variants[] = {
    {"naive", "f32 bf16", "any size; one block", fits_any<DiscriminatorLoss>, run_discriminator},
};
const Variant<GeneratorLoss> generator_variants[] = {
    {"naive", "f32 bf16", "any size; one block", fits_any<GeneratorLoss>, run_generator},
};
const Variant<PixelLoss> pixel_variants[] = {
    {"naive", "f32 bf16", "any size; one block", fits_any<PixelLoss>, run_pixel_naive},
    {"two_launches", "f32 bf16", "any size; one launch below 4096", fits_any<PixelLoss>,
     run_pixel_two_launches},
};

}  // namespace

const LossTable loss = {{discriminator_variants}, {generator_variants}, {pixel_variants}};

}  // namespace gan::GAN_GPU
