// Cases of attention.
#include "tests/cases/case_parts.h"

#include <cmath>

namespace gan::tests {

namespace {

// Below, at and above tiles of 16, 32, 64 and 128; one key alone; widths beyond what tiles hold, and widths of whole
// vectors that leave a part of a tile empty; scores so large that e^ overflows without its maximum taken off.
struct AttentionCase {
  AttentionSize size;
  double deviation = 1;  // of q and k
  bool real_width = false;
  bool for_tiles() const { return size.queries >= 64 && size.keys >= 64; }
};
const AttentionCase attention_cases[] = {
    {{1, 1, 1, 1, 1}},
    {{2, 3, 5, 2, 3}},
    {{1, 7, 1, 4, 9}},
    {{1, 1, 70, 8, 5}},
    {{3, 33, 31, 17, 33}},
    {{1, 64, 64, 64, 64, 0.125}},
    {{1, 65, 66, 16, 65}, 0.5},
    {{1, 3, 129, 1, 66}},
    {{2, 3, 9, 1, 256}},
    {{1, 130, 5, 33, 66}, 0.4},
    {{1, 5, 18, 63, 200}, 0.3},
    {{1, 9, 12, 65, 8}, 0.3},             // too wide for tiles
    {{1, 6, 5, 40, 300}, 0.3},            // likewise
    {{1, 40, 70, 8, 12, -1.5}},           // a negative scale
    {{2, 12, 80, 4, 6}, 6},               // scores of hundreds
    {{1, 60, 2, 8, 8}, 6},                // likewise, and in some rows all far below 0
    {{2, 70, 100, 24, 40}, 0.4},          // whole vectors of 8, tiles half empty
    {{1, 40, 33, 16, 160}, 0.5},          // likewise, values wider than 128
    {{1, 256, 64, 16, 64}, 0.5, true},    // SAGAN's shape: keys pooled 2x2
    {{1, 300, 256, 32, 256}, 0.5, true},  // two blocks of queries on the cpu
};

std::string name_of(const AttentionCase& c) {
  const AttentionSize& s = c.size;
  return fmt::format("{}x{}x{} widths {} {} scale {:g} deviation {:g}", s.batch, s.queries, s.keys,
                     s.key_width, s.value_width, s.scale, c.deviation);
}

// What AttentionFwd makes of ports 0, 1 and 2 (q, k, v): o, or log_sum_exp.
Generator attention_result(const AttentionSize& s, bool output) {
  return [=](int64_t count, uint64_t, const std::vector<Values>& earlier) {
    const Values &q = earlier[0], &k = earlier[1], &v = earlier[2];
    Values result(count);
    for (int64_t row = 0; row < int64_t(s.batch) * s.queries; ++row) {
      const int64_t first_key = row / s.queries * s.keys;
      Values scores(s.keys);
      for (int64_t m = 0; m < s.keys; ++m)
        for (int64_t c = 0; c < s.key_width; ++c)
          scores[m] += s.scale * q[row * s.key_width + c] * k[(first_key + m) * s.key_width + c];
      const double largest = *std::max_element(scores.begin(), scores.end());
      double sum = 0;
      for (double score : scores) sum += std::exp(score - largest);
      if (!output) result[row] = largest + std::log(sum);
      for (int64_t m = 0; output && m < s.keys; ++m)
        for (int64_t c = 0; c < s.value_width; ++c)
          result[row * s.value_width + c] +=
              std::exp(scores[m] - largest) / sum * v[(first_key + m) * s.value_width + c];
    }
    return result;
  };
}

}  // namespace

template <>
const std::vector<Case<AttentionFwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<AttentionFwd>> t;
    for (const AttentionCase& a : attention_cases)
      for (Acc acc : both) {
        if (acc == Acc::add && a.real_width) continue;
        const AttentionSize& s = a.size;
        t.push_back(Case<AttentionFwd>(name_of(a) + name_of(acc), {.size = s})
                        .fill("q", normals(a.deviation))
                        .fill("k", normals(a.deviation))
                        .accumulate(acc));
        t.back().real_width = a.real_width;
        t.back().for_tiles = a.for_tiles();
      }
    return t;
  }();
  return table;
}

template <>
const std::vector<Case<AttentionBwd>>& cases() {
  static const auto table = [] {
    std::vector<Case<AttentionBwd>> t;
    const auto add = [&](const AttentionCase& a, bool dq, bool dk, bool dv, Acc acc) {
      const AttentionSize& s = a.size;
      Case<AttentionBwd> c(fmt::format("{}{}{}{}{}", name_of(a), dq ? " dq" : "", dk ? " dk" : "",
                                       dv ? " dv" : "", name_of(acc)),
                           {.size = s});
      c.fill("q", normals(a.deviation))
          .fill("k", normals(a.deviation))
          .fill("o", attention_result(s, true))
          .fill("log_sum_exp", attention_result(s, false));
      if (dq) c.with("dq");
      if (dk) c.with("dk");
      if (dv) c.with("dv");
      c.accumulate(acc);
      c.real_width = a.real_width;
      c.for_tiles = a.for_tiles();
      t.push_back(std::move(c));
    };
    for (const AttentionCase& a : attention_cases) {
      add(a, true, true, true, Acc::set);
      if (!a.real_width && a.size.queries != 64) add(a, true, true, true, Acc::add);
    }
    const AttentionCase small{{2, 5, 66, 3, 4}};
    add(small, true, false, false, Acc::set);
    add(small, false, true, false, Acc::set);
    add(small, false, false, true, Acc::add);
    return t;
  }();
  return table;
}

}  // namespace gan::tests
