// What the rungs of the attention ladder share: their parameters, and their launchers. The formulas are those of
// AttentionFwd and AttentionBwd (kernels/contract/attention.h). Per problem, with N queries and M keys:
//   s = scale * q k^T (N,M)      p = softmax of each row of s = e^(s - log_sum_exp)      o = p v
// and backwards, with delta[n] = d_o[n,:] . o[n,:]:
//   dp = d_o v^T      ds = p (dp - delta)      dq = scale * ds k      dk = scale * ds^T q      dv = p^T d_o
//
// A matrix (N,M) is larger than everything else together: at 64x64 pixels it has 16.8 million elements per
// picture. No rung stores one; the backward pass computes p again from log_sum_exp. Start reading with
// 1_naive.cu.
#pragma once
#include "kernels/gpu/family.cuh"

namespace gan::GAN_GPU {

struct Sizes {
  int batch, queries, keys, key_width, value_width;
  float scale;
};

template <class T>
struct Forward {
  Sizes size;
  const T *q, *k, *v;  // (batch, queries, key_width), (batch, keys, key_width), (batch, keys, value_width)
  T* o;                // (batch, queries, value_width)
  bool add_o;
  float* log_sum_exp;  // (batch, queries)
};

template <class T>
struct Backward {
  Sizes size;
  const T *q, *k, *v, *o, *d_o;  // as in Forward
  const float* log_sum_exp;      // (batch, queries)
  float* delta;                  // (batch, queries), scratch
  T *dq, *dk, *dv;               // as q, k, v; each may be null
  bool add_dq, add_dk, add_dv;
};

inline Sizes sizes_of(const AttentionSize& s) {
  return {s.batch, s.queries, s.keys, s.key_width, s.value_width, float(s.scale)};
}

template <class T>
Forward<T> parameters_of(const AttentionFwd& o) {
  return {sizes_of(o.size),         o.q.as<T>(), o.k.as<T>(), o.v.as<T>(), o.o.as<T>(), o.o.acc == Acc::add,
          o.log_sum_exp.as<float>()};
}

// The first launch of each backward pass computes delta (1_naive.cu). T: float or bf16.
template <class T>
void launch_delta(const Backward<T>& b, Stream& stream);

// With scratch memory for delta, already computed.
template <class T>
Backward<T> parameters_of(const AttentionBwd& o, Stream& stream) {
  Backward<T> b{sizes_of(o.size),
                o.q.as<T>(),
                o.k.as<T>(),
                o.v.as<T>(),
                o.o.as<T>(),
                o.d_o.as<T>(),
                o.log_sum_exp.as<float>(),
                nullptr,
                o.dq.as<T>(),
                o.dk.as<T>(),
                o.dv.as<T>(),
                o.dq.acc == Acc::add,
                o.dk.acc == Acc::add,
                o.dv.acc == Acc::add};
  const int64_t rows = int64_t(b.size.batch) * b.size.queries;
  b.delta = static_cast<float*>(stream.scratch(size_t(rows) * sizeof(float)));
  launch_delta(b, stream);
  return b;
}

// The launchers of 1_naive.cu, 2_online.cu and 3_mma.cu, and why some of them refuse.
void attention_fwd_naive(const AttentionFwd& args, Stream& stream);
void attention_bwd_naive(const AttentionBwd& args, Stream& stream);
const char* fits_online(const AttentionFwd& args);
const char* fits_online(const AttentionBwd& args);
void attention_fwd_online(const AttentionFwd& args, Stream& stream);
void attention_bwd_online(const AttentionBwd& args, Stream& stream);
const char* fits_mma(const AttentionFwd& args);
const char* fits_mma(const AttentionBwd& args);
void attention_fwd_mma(const AttentionFwd& args, Stream& stream);
void attention_bwd_mma(const AttentionBwd& args, Stream& stream);

}  // namespace gan::GAN_GPU
