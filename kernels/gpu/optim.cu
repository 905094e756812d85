// Optimisers: one pass over a network's flat buffers of weights, gradients and moments.
//
//   Adam (Kingma & Ba 2015)  m = b1 m + (1-b1) g;  v = b2 v + (1-b2) g^2;  w -= lr m^ / (sqrt(v^) + eps)
//   SGD with momentum        u = momentum u + g;   w -= lr u
//   moving average           average = decay average + (1-decay) w
//   gradient norm            sqrt(g0^2 + g1^2 + ...), and whether every element is finite
//
// Read on: 1 what happens to one weight, 2 naive: one weight per thread, 3 vec4: four weights per thread, 4
// gradient norm, 5 launchers, 6 the list of variants. Adam moves 28 bytes for a dozen operations: memory is
// all that counts.
#include <cfloat>

#include "kernels/gpu/family.cuh"

namespace gan::GAN_GPU {
namespace {

// ---- 1 One weight --------------------------------------------------------------------------------------

struct AdamUpdate {
  float beta1, one_minus_beta1, beta2, one_minus_beta2, eps, weight_decay;
  const float* scalars;  // (3) learning rate, 1 - beta1^t, 1 - beta2^t

  __device__ void operator()(float g, float& w, float& m, float& v) const {
    const float rate = scalars[0], correction1 = scalars[1], correction2 = scalars[2];
    g += weight_decay * w;
    m = beta1 * m + one_minus_beta1 * g;
    v = beta2 * v + one_minus_beta2 * g * g;
    w -= rate * (m / correction1) / (sqrtf(v / correction2) + eps);
  }
};

struct SgdUpdate {
  float momentum, weight_decay;
  const float* scalars;  // as above; only the learning rate is used

  __device__ void operator()(float g, float& w, float& velocity, float&) const {
    velocity = momentum * velocity + (g + weight_decay * w);
    w -= scalars[0] * velocity;
  }
};

// Here "g" is the weight and "w" its average.
struct AverageUpdate {
  float decay, one_minus_decay;

  __device__ void operator()(float weight, float& average, float&, float&) const {
    average = decay * average + one_minus_decay * weight;
  }
};

// ---- 2 naive: one weight per thread --------------------------------------------------------------------
// update(g, w, m, v) with m and v 0, and not stored, where they are null. `rounded`, where it is not null, takes what w
// became, for the products of the next step: they would read twice the bytes of w.

template <class Update, class R>
__global__ void update_naive(Update update, int64_t count, const float* g, float* w, float* m, float* v,
                             R* rounded) {
  for (int64_t i = first_element(); i < count; i += element_step()) {
    float mi = m ? m[i] : 0.0f, vi = v ? v[i] : 0.0f;
    update(g[i], w[i], mi, vi);
    if (m) m[i] = mi;
    if (v) v[i] = vi;
    if (rounded) rounded[i] = from_float<R>(w[i]);
  }
}

// ---- 3 vec4: four weights per thread -------------------------------------------------------------------

template <class Update, class R>
__global__ void __launch_bounds__(block_threads)
    update_vec4(Update update, int64_t count, const float* g, float* w, float* m, float* v, R* rounded) {
  const int64_t quads = count / 4;
  const Four zero{{0, 0, 0, 0}};
  for (int64_t quad = first_element(); quad < quads; quad += element_step()) {
    const int64_t i = 4 * quad;
    const Four gs = load_four(g + i);
    Four ws = load_four(w + i), ms = m ? load_four(m + i) : zero, vs = v ? load_four(v + i) : zero;
    for (int k = 0; k < 4; ++k) update(gs.v[k], ws.v[k], ms.v[k], vs.v[k]);
    store_four(w + i, ws);
    if (m) store_four(m + i, ms);
    if (v) store_four(v + i, vs);
    if (rounded) store_four(rounded + i, ws);
  }
  // The last count % 4 weights.
  for (int64_t i = 4 * quads + first_element(); i < count; i += element_step()) {
    float mi = m ? m[i] : 0.0f, vi = v ? v[i] : 0.0f;
    update(g[i], w[i], mi, vi);
    if (m) m[i] = mi;
    if (v) v[i] = vi;
    if (rounded) rounded[i] = from_float<R>(w[i]);
  }
}

// ---- 4 Gradient norm -----------------------------------------------------------------------------------

// Each block leaves (sum of squares, number of elements that are not finite) of its share.
__global__ void __launch_bounds__(block_threads) square_sums(int64_t count, const float* g, Pair* sums) {
  SHARED_ARRAY(float, scratch, [32]);
  Pair sum{0, 0};
#pragma unroll 8
  for (int64_t i = first_element(); i < count; i += element_step())
    sum = sum + Pair{g[i] * g[i], fabsf(g[i]) <= FLT_MAX ? 0.0f : 1.0f};
  sum.a = block_sum(sum.a, scratch);
  sum.b = block_sum(sum.b, scratch);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

// One block.
__global__ void __launch_bounds__(block_threads) norm_of_sums(int blocks, const Pair* sums, float* values) {
  SHARED_ARRAY(float, scratch, [32]);
  Pair sum{0, 0};
  for (int i = int(threadIdx.x); i < blocks; i += int(blockDim.x)) sum = sum + sums[i];
  sum.a = block_sum(sum.a, scratch);
  sum.b = block_sum(sum.b, scratch);
  if (threadIdx.x == 0) {
    values[0] = sqrtf(sum.a);
    values[1] = sum.b == 0 ? 1.0f : 0.0f;
  }
}

// ---- 5 Launchers ---------------------------------------------------------------------------------------

template <bool vec4, class Update, class R>
void update(const Update& update, int64_t count, const float* g, float* w, float* m, float* v, R* rounded,
            Stream& stream) {
  if (count == 0) return;
  if (vec4 && aligned_for_four({g, w, m, v, rounded}))
    launch(update_vec4<Update, R>, grid_for(ceil_div(count, int64_t{4})), block_threads, 0, handle_of(stream),
           update, count, g, w, m, v, rounded);
  else
    launch(update_naive<Update, R>, grid_for(count), block_threads, 0, handle_of(stream), update, count, g, w,
           m, v, rounded);
}
constexpr float* no_rounded = nullptr;

template <bool vec4>
void run_adam(const Adam& o, Stream& stream) {
  // 1 - beta is taken in double: 1 - 0.999f would be off by 1e-5 of itself.
  const AdamUpdate adam{float(o.beta1), float(1 - o.beta1),    float(o.beta2),       float(1 - o.beta2),
                        float(o.eps),   float(o.weight_decay), o.scalars.as<float>()};
  with_type(o.rounded.dtype, [&]<class R>(R) {
    update<vec4>(adam, o.count, o.grad.as<float>(), o.weight.as<float>(), o.m.as<float>(), o.v.as<float>(),
                 o.rounded.as<R>(), stream);
  });
}

template <bool vec4>
void run_sgd(const Sgd& o, Stream& stream) {
  const SgdUpdate sgd{float(o.momentum), float(o.weight_decay), o.scalars.as<float>()};
  update<vec4>(sgd, o.count, o.grad.as<float>(), o.weight.as<float>(), o.velocity.as<float>(), nullptr,
               no_rounded, stream);
}

template <bool vec4>
void run_moving_average(const MovingAverage& o, Stream& stream) {
  const AverageUpdate average{float(o.decay), float(1 - o.decay)};
  update<vec4>(average, o.count, o.weight.as<float>(), o.average.as<float>(), nullptr, nullptr, no_rounded,
               stream);
}

void run_grad_norm(const GradNorm& o, Stream& stream, int64_t blocks) {
  Pair* sums = static_cast<Pair*>(stream.scratch(size_t(blocks) * sizeof(Pair)));  // (blocks)
  launch(square_sums, unsigned(blocks), block_threads, 0, handle_of(stream), o.count, o.grad.as<float>(),
         sums);
  launch(norm_of_sums, 1, block_threads, 0, handle_of(stream), int(blocks), sums, o.values.as<float>());
}
void run_grad_norm_naive(const GradNorm& o, Stream& stream) { run_grad_norm(o, stream, 1); }
void run_grad_norm_blocks(const GradNorm& o, Stream& stream) {
  // A function of the count alone: the same additions in the same order on every GPU.
  run_grad_norm(o, stream, std::clamp<int64_t>(o.count / (16 * block_threads), 1, 1024));
}

// ---- 6 Variants ----------------------------------------------------------------------------------------

template <class Args>
constexpr Variant<Args> naive(void (*run)(const Args&, Stream&)) {
  return {"naive", "f32", "any size", fits_any<Args>, run};
}
template <class Args>
constexpr Variant<Args> vec4(void (*run)(const Args&, Stream&)) {
  return {"vec4", "f32", "any size; parts of buffers that do not start at 16 bytes run as naive",
          fits_any<Args>, run};
}

const Variant<Adam> adam[] = {
    {"naive", "f32 bf16", "any size", fits_any<Adam>, run_adam<false>},
    {"vec4", "f32 bf16", "any size; parts of buffers that do not start at 16 bytes run as naive",
     fits_any<Adam>, run_adam<true>},
};
const Variant<Sgd> sgd[] = {naive(run_sgd<false>), vec4(run_sgd<true>)};
const Variant<MovingAverage> moving_average[] = {naive(run_moving_average<false>),
                                                 vec4(run_moving_average<true>)};
const Variant<GradNorm> grad_norm[] = {
    naive(run_grad_norm_naive),
    {"blocks", "f32", "any size", fits_any<GradNorm>, run_grad_norm_blocks},
};

}  // namespace

const OptimTable optim = {{adam}, {sgd}, {moving_average}, {grad_norm}};

}  // namespace gan::GAN_GPU
