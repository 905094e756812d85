// Every variant of every operation on every device, on every case of the table (tests/cases/cases.h), against the
// float64 reference by the rule of tests/support/compare.h.
//
// A run must also leave its guard bands and inputs alone and give the same bits when repeated; on simt it
// must give the same bits under every order of threads: forward, reverse, and GAN_TEST_SEEDS (default 4)
// random ones. Each variant must have fitted at least one case, and its error over all of them must be the
// one that its row states. Operations are subcases, and counted as a test each: run one, or one of its
// variants, with
//   gan_tests --test-case="kernels on simt" --subcase=norm_fwd
//   GAN_KERNEL=norm_fwd=block gan_tests --test-case="kernels on simt" --subcase=norm_fwd
// GAN_TEST_QUICK=1 leaves out full widths and, unless GAN_TEST_SEEDS is set, every order of threads but that
// of GAN_SIMT; --abort-after=1 stops at the first case that fails. GAN_TEST_SHARD=2/3 runs the operations of
// the second of three processes that share the work.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "kernels/forced.h"
#include "kernels/simt/simt.h"
#include "tests/cases/run_case.h"
#include "tests/support/compare.h"
#include "tests/support/skip.h"

namespace gan::tests {
namespace {

// Layers of full width are for optimised builds: elsewhere they take minutes and show nothing new.
#if defined(NDEBUG) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
constexpr bool run_real_widths = true;
#else
constexpr bool run_real_widths = false;
#endif

bool quick() {
  const char* text = std::getenv("GAN_TEST_QUICK");
  return text && text == std::string("1");
}

// Whether orders of threads beside that of GAN_SIMT are left out.
bool one_order() { return quick() && !std::getenv("GAN_TEST_SEEDS"); }

// Whether an operation, by its place in the table, is for this process. Operations that cost much, forwards
// and backwards, stand side by side there.
bool is_mine(int operation) {
  static const auto [shard, shards] = [] {
    const char* text = std::getenv("GAN_TEST_SHARD");
    int i = 1, n = 1, end = 0;
    if (text && (std::sscanf(text, "%d/%d%n", &i, &n, &end) != 2 || text[end] || i < 1 || i > n))
      fail(Exit::usage, "GAN_TEST_SHARD is \"{}\"; write for example 2/3, the second of three", text);
    return std::pair(i, n);
  }();
  return operation % shards == shard - 1;
}

// The largest |a[i] - b[i]| that is not above `limit`.
double largest_difference(const Values& a, const Values& b, double limit = HUGE_VAL) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    if (const double d = std::abs(a[i] - b[i]); std::isfinite(d) && d <= limit)
      largest = std::max(largest, d);
  return largest;
}

double root_mean_difference(const Values& a, const Values& b) {
  double squares = 0;
  for (size_t i = 0; i < a.size(); ++i)
    if (const double d = a[i] - b[i]; std::isfinite(d)) squares += d * d;
  return a.empty() ? 0 : std::sqrt(squares / double(a.size()));
}
double root_mean_square(const Values& values) { return root_mean_difference(values, Values(values.size())); }

// What a variant computes on, a word of its `dtypes`. tf32: float32 buffers, whose numbers the variant rounds
// to 10 bits of mantissa before it multiplies them.
enum class Numbers { f32, tf32, bf16 };

bool computes_on(const char* dtypes, Numbers numbers) {
  const std::string words = fmt::format(" {} ", dtypes);
  const auto has = [&](const char* word) { return words.find(fmt::format(" {} ", word)) != words.npos; };
  switch (numbers) {
    case Numbers::f32: return has("f32") || has("f64");
    case Numbers::tf32: return has("tf32");
    case Numbers::bf16: return has("bf16");
  }
  return false;
}

// The nearest tf32, ties away from zero, as the instruction rounds.
double rounded_to_tf32(double value) {
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);  // its leading 11 bits are kept
  return std::ldexp(std::round(std::ldexp(mantissa, 11)), exponent - 11);
}

// What the outputs of a case should be, by port; computed once for all devices and variants. A variant that
// works on tf32 is compared with the same float64 computation on factors rounded to tf32, within float32's
// tolerance: so it must round, to nearest, nothing but the factors, and only once.
template <class Args>
const std::vector<Expected>& expected(const Case<Args>& c, std::vector<Values> initial, Numbers numbers) {
  static std::map<std::pair<const Case<Args>*, Numbers>, std::vector<Expected>> known;
  auto [entry, is_new] = known.try_emplace({&c, numbers});
  if (!is_new) return entry->second;
  if (numbers == Numbers::tf32)
    for (size_t p = 0; p < c.ports.size(); ++p)
      if (c.ports[p].in && c.ports[p].kind == Kind::value)
        for (double& value : initial[p]) value = rounded_to_tf32(value);
  const auto exact = compute_on_host<double>(c, initial, float64_run);
  const auto plain = compute_on_host<float>(c, initial, float32_run);
  for (size_t p = 0; p < c.ports.size(); ++p)
    entry->second.push_back({exact[p], c.bit_exact ? 0 : largest_difference(exact[p], plain[p]),
                             root_mean_difference(exact[p], plain[p]), root_mean_square(exact[p])});
  if (c.bit_exact || c.real_width) return entry->second;
  const bool few = std::any_of(c.ports.begin(), c.ports.end(),
                               [](const auto& port) { return port.out && port.count() < 64; });
  for (uint32_t way = 0; way < (few ? 3 : 1); ++way) {
    auto moved = initial;
    for (size_t p = 0; p < c.ports.size(); ++p)
      if (c.ports[p].kind == Kind::value || c.ports[p].kind == Kind::float32)
        for (size_t i = 0; i < moved[p].size(); ++i)
          moved[p][i] *= random_uniform(way, 0, p, i) < 0.5f ? 1 - 0x1p-23 : 1 + 0x1p-23;
    const auto changed = compute_on_host<double>(c, moved, float64_run);
    for (size_t p = 0; p < c.ports.size(); ++p) {
      double& yardstick = entry->second[p].yardstick;
      yardstick = std::max(yardstick, largest_difference(exact[p], changed[p], coarsest_yardstick(exact[p])));
    }
  }
  return entry->second;
}

// In which order simt runs the threads; one entry, without meaning, on the other devices.
std::vector<simt::Config> schedules(Device device, bool all) {
  simt::Config config = simt::config();
  if (device != Device::simt || !all) return {config};
  const char* text = std::getenv("GAN_TEST_SEEDS");
  const int seeds = text ? std::atoi(text) : 4;
  std::vector<simt::Config> list;
  for (auto schedule : {simt::Schedule::forward, simt::Schedule::reverse}) {
    config.schedule = schedule;
    list.push_back(config);
  }
  config.schedule = simt::Schedule::random;
  for (int seed = 1; seed <= seeds; ++seed) {
    config.seed = uint64_t(seed);
    list.push_back(config);
  }
  return list;
}

struct Tally {
  int cases = 0, runs = 0, refused = 0;
  std::string lacking;  // operations the device has no variant of
  std::string refusal;  // the last reason a variant gave
};
Tally tallies[4];  // by device

// The error of one variant beside that of plain float32 sums, as Variant::error states it: the root mean
// square, over all outputs of its cases, of
//   rms(got - exact) / max(rms(plain - exact), 2^-24 rms(exact))
// The second term is rounding a result once. It counts where the plain sum is nearly exact.
struct MeasuredError {
  double squares = 0;
  int outputs = 0;
  // Of bfloat16 runs: the error over the result, both root mean square, of all outputs together.
  double rounding_squares = 0;
  int rounded = 0;

  void add_rounding(const Expected& want, const Values& got, DType type) {
    const double size = root_mean_square(want.exact);
    if (got.size() < 64 || size == 0) return;
    // Storing a bfloat16 is an error of its own: up to 2^-8, evenly, of numbers between 1 and 2, whose mean square is
    // 1.5 / log(2) where their logarithm is even.
    const double stored = type == DType::bf16 ? 0x1p-8 / std::sqrt(3.0) / std::sqrt(1.5 / std::log(2.0)) : 0;
    const double error = root_mean_difference(got, want.exact) / size;
    rounding_squares += std::max(0.0, error * error - stored * stored);
    ++rounded;
  }
  double rounding() const { return std::sqrt(rounding_squares / rounded); }

  void add(const Expected& want, const Values& got) {
    if (got.size() < 64) return;  // too few for a mean
    const double unit = std::max(want.plain_error, 0x1p-24 * root_mean_square(want.exact));
    if (unit == 0) return;
    const double error = root_mean_difference(got, want.exact) / unit;
    squares += error * error;
    ++outputs;
  }
  double value() const { return std::sqrt(squares / outputs); }
};

// NVIDIA's libraries need not be installed.
bool may_fit_nothing(const std::string& variant) { return variant == "cublas" || variant == "cudnn"; }

// Products that a tensor core adds up for one element of the output.
template <class Args>
double tensor_core_sums(const Variant<Args>& variant, const Case<Args>& c, Numbers numbers) {
  const std::string name = variant.name;
  if (name.find("mma") == name.npos && !(may_fit_nothing(name) && numbers == Numbers::bf16)) return 0;
  double flop = 0;
  if constexpr (requires { c.args.flop(); }) flop = c.args.flop();
  if constexpr (requires { c.args.size.flop(); }) flop = c.args.size.flop();
  for (const auto& port : c.ports)
    if (port.out) return flop / 2 / double(std::max<int64_t>(port.count(), 1));
  return 0;
}

// Products and convolutions, whose rungs cut them into tiles.
template <class Args>
constexpr bool has_tiles = std::is_same_v<Args, Gemm> || std::is_same_v<Args, ConvFwd> ||
                           std::is_same_v<Args, ConvBwdData> || std::is_same_v<Args, ConvBwdWeight>;

// One case by one variant; not thorough: in one order of threads. Returns what is wrong, or nothing.
template <class Args>
std::string check_case(const Backend& backend, const Variant<Args>& variant, const Case<Args>& c,
                       Numbers numbers, bool thorough, Tally& tally, MeasuredError& error) {
  const Storage stored = numbers == Numbers::bf16 ? bfloat16_run : float32_run;
  const Storage storage = backend.device == Device::ref ? float64_run : stored;
  const auto initial = contents(c, stored);
  const std::vector<Bytes> initial_bytes = encode(c, initial, storage);
  TestStream stream(backend);
  std::string report;
  std::vector<Bytes> first;
  const bool all_orders = thorough && !c.real_width && !one_order();
  auto orders = schedules(backend.device, all_orders);
  if (all_orders) orders.push_back(orders.front());  // once more: the same bits?
  const double sums = tensor_core_sums(variant, c, numbers);
  // Whether what Variant::rounding speaks of reaches this output. The float32 ones of other operations than products are
  // statistics, made of factors as they came.
  const auto rounds = [&](size_t port) {
    return numbers == Numbers::bf16 && variant.rounding > 0 &&
           (has_tiles<Args> || c.ports[port].kind == Kind::value);
  };
  if (sums > 0 && thorough && backend.device == Device::simt && run_real_widths) {  // and as hardware adds
    orders.push_back(orders.front());
    orders.back().products = simt::Products::truncated;
  }
  const simt::Config before = simt::config();
  for (size_t run = 0; run < orders.size() && report.empty(); ++run) {
    simt::config() = orders[run];
    BoundCase<Args> bound(c, initial_bytes, storage, backend.memory, stream.get());
    if (const char* why = variant.fits(bound.args)) {
      ++tally.refused;
      tally.refusal = why;
      return {};
    }
    ++tally.runs;
    try {
      variant.run(bound.args, stream.get());
      backend.memory.synchronize(stream.get());
    } catch (const Error& error) {
      report += fmt::format("  threw: {}\n", error.what());
      break;
    }
    std::vector<Bytes> outputs = bound.outputs(report);
    if (!stream.scratch_intact()) report += "  written outside of the scratch memory\n";
    const bool truncated = orders[run].products == simt::Products::truncated;
    if (run == 0 || truncated) {
      const auto& want = expected(c, initial, numbers);
      for (size_t p = 0; p < c.ports.size(); ++p) {
        const DType type = storage.of(c.ports[p].kind);
        if (c.ports[p].out)
          report += mismatches(c.ports[p].name, c.ports[p].shape, want[p], decode(outputs[p], type), type,
                               c.bit_exact, sums, rounds(p) ? variant.rounding : 0);
      }
      if (run > 0) continue;
      // Factors that the variant itself rounds are its error.
      const auto& unrounded = numbers == Numbers::tf32 ? expected(c, initial, Numbers::f32) : want;
      for (size_t p = 0; p < c.ports.size() && numbers != Numbers::bf16 && !c.bit_exact; ++p)
        if (c.ports[p].out) error.add(unrounded[p], decode(outputs[p], storage.of(c.ports[p].kind)));
      for (size_t p = 0; p < c.ports.size(); ++p)
        if (c.ports[p].out && rounds(p)) {
          const DType type = storage.of(c.ports[p].kind);
          error.add_rounding(want[p], decode(outputs[p], type), type);
        }
      first = std::move(outputs);
    } else if (outputs != first) {
      report += fmt::format("  run {} gave other bits than run 0 ({})\n", run,
                            backend.device == Device::simt ? simt::replay() : "repeated");
    }
  }
  simt::config() = before;
  ++tally.cases;
  return report;
}

// A sum in another order than the plain one can be a third worse. A row that states more than 1 states what
// is measured, at most twice that. An error of 1 has no lower bound: sums in blocks are better than plain
// ones.
template <class Args>
void check_error(const Variant<Args>& variant, const MeasuredError& measured) {
  if (measured.rounded >= 4 && !quick()) {
    INFO(fmt::format("{} {}: rounding measured {:.4f} over {} outputs, its row states {:g}", Args::op,
                     variant.name, measured.rounding(), measured.rounded, variant.rounding));
    CHECK(measured.rounding() <= 1.25 * variant.rounding);
    CHECK(variant.rounding <= 2 * measured.rounding());
  }
  if (measured.outputs < 4 || quick()) return;
  const double value = measured.value();
  INFO(fmt::format("{} {}: measured {:.2f} over {} outputs, its row states {:g}", Args::op, variant.name,
                   value, measured.outputs, variant.error));
  CHECK(value <= 1.4 * variant.error);
  if (variant.error > 1 && !may_fit_nothing(variant.name)) CHECK(variant.error <= 2 * value);
}

template <class Args>
void check_operation(const Backend& backend, const Op<Args>& op, Tally& tally) {
  CHECK_MESSAGE(!cases<Args>().empty(), "no case for ", Args::op);
  if (op.variants.empty()) tally.lacking += std::string(" ") + Args::op;
  const std::string forced(forced_variant(Args::op));
  CHECK_MESSAGE((forced.empty() || op.find(forced)), gan::name_of(backend.device), " ", Args::op,
                " has no variant ", forced);
  const int abort_after = doctest::getContextOptions()->abort_after;
  for (const Variant<Args>& variant : op.variants) {
    if (!forced.empty() && forced != variant.name) continue;
    force_variants(fmt::format("{}={}", Args::op, variant.name));  // some fit only then
    for (const Numbers numbers : {Numbers::f32, Numbers::tf32, Numbers::bf16}) {
      if (!computes_on(variant.dtypes, numbers)) continue;
      const char* const name = numbers == Numbers::bf16 ? " bf16" : "";
      const int cases_before = tally.cases;
      int failures = 0;
      MeasuredError error;
      const bool naive = op.variants.size() > 1 && &variant == &op.variants.front();
      const auto check = [&](const Case<Args>& c, const char* tiles) {
        const bool planned = forced_tiles() == Tiles::planned;
        const std::string report = check_case(backend, variant, c, numbers, planned, tally, error);
        // The first failures tell the story; the rest are counted.
        if (!report.empty() && ++failures <= 5)
          ADD_FAIL_CHECK_AT(__FILE__, __LINE__,
                            fmt::format("{} {} {}{}: case \"{}\"{}\n{}", gan::name_of(backend.device),
                                        Args::op, variant.name, name, c.name, tiles, report));
      };
      for (const Case<Args>& c : cases<Args>()) {
        // The naive rung of several is too slow for full widths and proves nothing there.
        const bool affordable = run_real_widths || (c.small_on_cpu && backend.device == Device::cpu);
        if (c.real_width && (naive || !affordable || quick())) continue;
        if (c.for_tiles && naive && backend.device == Device::simt) continue;
        if (abort_after > 0 && failures >= abort_after) break;
        check(c, "");
      }
      // Products so small are cut into few kinds of tiles by themselves.
      if (has_tiles<Args> && !naive && backend.device != Device::cpu && backend.device != Device::ref)
        for (const auto& [tiles, in_words] : {std::pair{Tiles::small, " in small tiles"},
                                              {Tiles::large, " in large tiles"},
                                              {Tiles::thin, " in thin tiles"}}) {
          force_tiles(tiles);
          for (const Case<Args>& c : cases<Args>())
            if (!c.real_width && (abort_after == 0 || failures < abort_after)) check(c, in_words);
          force_tiles(Tiles::planned);
        }
      CHECK_MESSAGE(failures == 0, fmt::format("{} {} {}: {} cases failed", gan::name_of(backend.device),
                                               Args::op, variant.name, failures));
      check_error(variant, error);
      const bool lacks_products = tally.refusal.find("this processor has no products") != tally.refusal.npos;
      if (tally.cases == cases_before && (may_fit_nothing(variant.name) || lacks_products)) {
        fmt::print("not checked: {} {} {}: {}\n", gan::name_of(backend.device), Args::op, variant.name,
                   tally.refusal);
        continue;
      }
      CHECK_MESSAGE(tally.cases > cases_before,
                    fmt::format("{} {} {}{} fits no case of the table", gan::name_of(backend.device),
                                Args::op, variant.name, name));
    }
  }
  force_variants("");
}

void check_device(Device device) {
  std::string reason;
  const Backend* backend = usable_backend(device, reason);
  if (!backend) {
    if (!is_mine(0)) return count_nothing();  // one of the processes says so
    GAN_SKIP(reason);
  }
  int operation = 0;
  for_each_op(*backend, [&](const char*, const auto& op) {
    if (!is_mine(operation++)) return;
    SUBCASE(op.name()) {
      begin_part();
      if (device == Device::ref) CHECK_MESSAGE(!op.variants.empty(), "the reference lacks ", op.name());
      check_operation(*backend, op, tallies[int(device)]);
    }
  });
}

TEST_CASE("kernels on ref") { check_device(Device::ref); }
TEST_CASE("kernels on cpu") { check_device(Device::cpu); }
TEST_CASE("kernels on simt") { check_device(Device::simt); }
TEST_CASE("kernels on cuda") { check_device(Device::cuda); }

TEST_CASE("kernels: what the devices ran") {
  count_nothing();
  for (Device device : {Device::ref, Device::cpu, Device::simt, Device::cuda}) {
    const Tally& tally = tallies[int(device)];
    if (tally.cases > 0)
      fmt::print("kernels on {}: {} cases in {} runs, {} refused by variants they do not fit{}{}\n",
                 gan::name_of(device), tally.cases, tally.runs, tally.refused,
                 tally.lacking.empty() ? "" : "; lacks", tally.lacking);
  }
}

}  // namespace
}  // namespace gan::tests
