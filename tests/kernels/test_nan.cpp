// A run that diverges is seen as NaN, so no kernel may lose one: where the float64 reference has NaN because an input has
// one, every variant of every operation with an activation, and of attention, has NaN too. More may have it: Winograd's
// convolution works on tiles.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <map>
#include <type_traits>

#include "tests/cases/run_case.h"
#include "tests/support/skip.h"

namespace gan::tests {
namespace {

constexpr int kCasesEach = 2;  // of every activation: a variant that loses NaN does so everywhere

template <class Args>
constexpr bool has_activation = requires(Args args) {
  args.act.kind;
};
template <class Args>
constexpr bool is_attention = std::is_same_v<Args, AttentionFwd> || std::is_same_v<Args, AttentionBwd>;

// The outputs of a case, by port; empty where the variant does not take it.
template <class Args>
std::vector<Values> run(const Backend& backend, const Variant<Args>& variant, const Case<Args>& c,
                        const std::vector<Values>& initial, const Storage& storage) {
  const std::vector<Bytes> bytes = encode(c, initial, storage);
  TestStream stream(backend);
  BoundCase<Args> bound(c, bytes, storage, backend.memory, stream.get());
  if (variant.fits(bound.args)) return {};
  variant.run(bound.args, stream.get());
  backend.memory.synchronize(stream.get());
  std::string damage;
  std::vector<Values> results;
  for (size_t p = 0; const Bytes& output : bound.outputs(damage))
    results.push_back(decode(output, storage.of(c.ports[p++].kind)));
  return results;
}

// With one NaN in an input; false where the variant does not take the case.
template <class Args>
bool check_input(const Backend& backend, const Variant<Args>& variant, const Case<Args>& c, size_t input,
                 const Storage& storage) {
  std::vector<Values> initial = contents(c, storage);
  initial[input][initial[input].size() / 2] = std::numeric_limits<double>::quiet_NaN();
  const auto got = run(backend, variant, c, initial, storage);
  if (got.empty()) return false;
  const auto wanted = compute_on_host<double>(c, initial, float64_run);
  for (size_t p = 0; p < c.ports.size(); ++p) {
    if (!c.ports[p].out) continue;
    int64_t all = 0, lost = 0;
    for (size_t i = 0; i < wanted[p].size(); ++i) {
      all += std::isnan(wanted[p][i]);
      lost += std::isnan(wanted[p][i]) && !std::isnan(got[p][i]);
    }
    INFO(fmt::format("{} {} {}, case \"{}\", NaN in {}: {} of {} NaN in {} are lost",
                     gan::name_of(backend.device), Args::op, variant.name, c.name, c.ports[input].name, lost,
                     all, c.ports[p].name));
    CHECK(lost == 0);
  }
  return true;
}

template <class Args>
void check_variant(const Backend& backend, const Variant<Args>& variant, const Storage& storage) {
  std::map<Act, int> seen;
  for (const Case<Args>& c : cases<Args>()) {
    if (c.real_width || c.for_tiles) continue;
    Act act = Act::none;
    if constexpr (has_activation<Args>) act = c.args.act.kind;
    if (has_activation<Args> && seen[act] == kCasesEach) continue;
    for (size_t input = 0; input < c.ports.size(); ++input) {
      if (!c.ports[input].in || c.ports[input].kind != Kind::value) continue;
      const bool holds_values = !contents(c, storage)[input].empty();
      if (holds_values) seen[act] += check_input(backend, variant, c, input, storage);
      if (has_activation<Args>) break;  // the first input
    }
  }
}

void check_device(Device device) {
  std::string reason;
  const Backend* backend = usable_backend(device, reason);
  if (!backend) return count_nothing();  // test_kernels.cpp says why
  for_each_op(*backend, [&](const char*, const auto& op) {
    using Args = typename std::decay_t<decltype(op)>::Arguments;
    if constexpr (has_activation<Args> || is_attention<Args>)
      for (const Variant<Args>& variant : op.variants) {
        force_variants(fmt::format("{}={}", Args::op, variant.name));  // some fit only then
        check_variant(*backend, variant, float32_run);
        check_variant(*backend, variant, bfloat16_run);
      }
  });
  force_variants("");
}

TEST_CASE("kernels keep NaN: the reference's activations give one back") {
  for (const Case<ActivationFwd>& c : cases<ActivationFwd>()) {
    if (c.real_width) continue;
    std::vector<Values> initial = contents(c, float32_run);
    initial[0][0] = std::numeric_limits<double>::quiet_NaN();
    CAPTURE(c.name);
    CHECK(std::isnan(compute_on_host<double>(c, initial, float64_run).back()[0]));
  }
}
TEST_CASE("kernels keep NaN: cpu") { check_device(Device::cpu); }
TEST_CASE("kernels keep NaN: simt") { check_device(Device::simt); }
TEST_CASE("kernels keep NaN: cuda") { check_device(Device::cuda); }

}  // namespace
}  // namespace gan::tests
