// Attention: softmax over scores of queries and keys, applied to values.
#pragma once
#include <algorithm>

#include "kernels/contract/ports.h"
#include "kernels/contract/variant.h"

namespace gan {

// `batch` independent problems in each of which N queries look at M keys. The width of queries and keys may
// differ from that of the values and outputs. Self-attention over a picture has N = H*W; pooled keys and
// values make M smaller.
struct AttentionSize {
  int batch = 0, queries = 0, keys = 0;  // B, N, M
  int key_width = 0, value_width = 0;    // of a row of q and k; of v and o
  double scale = 1;                      // of the scores; 1/sqrt(key_width) where a network wants that
  int64_t query_count() const { return int64_t(batch) * queries * key_width; }
  int64_t key_count() const { return int64_t(batch) * keys * key_width; }
  int64_t value_count() const { return int64_t(batch) * keys * value_width; }
  int64_t output_count() const { return int64_t(batch) * queries * value_width; }
  double flop() const { return 2.0 * batch * queries * keys * (double(key_width) + value_width); }
  bool operator==(const AttentionSize&) const = default;

  void sizes(Sizes& s) {
    s.size("batch", batch, 1, 16);
    s.size("queries", queries, 64, 1024);
    s.size("keys", keys, 64, 256);
    s.size("key_width", key_width, 16, 16);
    s.size("value_width", value_width, 32, 64);
  }
  const char* wrong() const {
    if (batch < 1 || queries < 1 || keys < 1 || key_width < 1 || value_width < 1)
      return "batch, queries, keys and widths must be at least 1";
    if (std::max({query_count(), key_count(), value_count(), output_count()}) >= INT32_MAX)
      return "a buffer of 2^31 elements; use a smaller batch";
    return nullptr;
  }
};
// Throws unless every size is at least 1 and no buffer has 2^31 elements or more.
void check(const AttentionSize& size);

template <class Args>
Extents attention_q(const Args& a) {
  return {a.size.batch, a.size.queries, a.size.key_width};
}
template <class Args>
Extents attention_k(const Args& a) {
  return {a.size.batch, a.size.keys, a.size.key_width};
}
template <class Args>
Extents attention_v(const Args& a) {
  return {a.size.batch, a.size.keys, a.size.value_width};
}
template <class Args>
Extents attention_o(const Args& a) {
  return {a.size.batch, a.size.queries, a.size.value_width};
}
template <class Args>
Extents attention_rows(const Args& a) {
  return {a.size.batch, a.size.queries};
}

// With scores s[n,m] = scale * (q[n,:] . k[m,:]) of one problem:
//   log_sum_exp[n] = log of the sum over m of e^s[n,m]
//   o[n,:] = sum over m of p[n,m] v[m,:],  p[n,m] = e^(s[n,m] - log_sum_exp[n]): the softmax over the keys
// The largest score is subtracted before e^ is taken: no score is too large. The matrix of scores is never
// stored as a whole (Milakov & Gimelshein 2018; Dao et al. 2022).
struct AttentionFwd {
  static constexpr const char* op = "attention_fwd";
  AttentionSize size;
  In q, k, v;
  Out o;
  Out log_sum_exp;  // always wanted: the backward pass reads it

  static constexpr auto ports() {
    return std::array{
        reads("q", &AttentionFwd::q, attention_q), reads("k", &AttentionFwd::k, attention_k),
        reads("v", &AttentionFwd::v, attention_v), writes("o", &AttentionFwd::o, attention_o),
        writes("log_sum_exp", &AttentionFwd::log_sum_exp, attention_rows, Kind::float32).set_only()};
  }
  void sizes(Sizes& s) { size.sizes(s); }
  const char* wrong() const { return size.wrong(); }
};

// With dp[n,m] = d_o[n,:] . v[m,:] and ds[n,m] = p[n,m] (dp[n,m] - d_o[n,:] . o[n,:]):
//   dq[n,:] = scale * sum over m of ds[n,m] k[m,:]     dk[m,:] = scale * sum over n of ds[n,m] q[n,:]
//   dv[m,:] = sum over n of p[n,m] d_o[n,:]
// Each may be unwanted.
struct AttentionBwd {
  static constexpr const char* op = "attention_bwd";
  AttentionSize size;
  In q, k, v, o, log_sum_exp;  // o and log_sum_exp as AttentionFwd computed them
  In d_o;
  Out dq, dk, dv;

  static constexpr auto ports() {
    return std::array{reads("q", &AttentionBwd::q, attention_q),
                      reads("k", &AttentionBwd::k, attention_k),
                      reads("v", &AttentionBwd::v, attention_v),
                      reads("o", &AttentionBwd::o, attention_o),
                      reads("log_sum_exp", &AttentionBwd::log_sum_exp, attention_rows, Kind::float32),
                      reads("d_o", &AttentionBwd::d_o, attention_o),
                      writes("dq", &AttentionBwd::dq, attention_q).optional(),
                      writes("dk", &AttentionBwd::dk, attention_k).optional(),
                      writes("dv", &AttentionBwd::dv, attention_v).optional()};
  }
  void sizes(Sizes& s) { size.sizes(s); }
  const char* wrong() const { return size.wrong(); }
};

struct AttentionTable {
  static constexpr const char* family = "attention";
  Op<AttentionFwd> fwd = {};
  Op<AttentionBwd> bwd = {};

  template <class Table, class F>
  static constexpr void for_each(Table& table, F&& f) {
    f(table.fwd);
    f(table.bwd);
  }
};

}  // namespace gan
