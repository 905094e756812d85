// How a variant is chosen, and what an operation answers to arguments it cannot take. First pick() on a list
// made up for the test, then, on every device, each operation of the case table with one argument spoilt at a
// time.
#include <doctest/doctest.h>

#include "kernels/contract/gpu_fault.h"
#include "tests/cases/run_case.h"
#include "tests/support/skip.h"

// Arguments are written with the sizes that matter.
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

namespace gan::tests {
namespace {

// ------------------------------------------------------------------------------------------------ the choice

std::string last_run;  // name of the variant that ran last

const char* even_only(const Sum& a) { return a.count % 2 ? "count is odd" : nullptr; }
const char* multiple_of_four(const Sum& a) { return a.count % 4 ? "count is no multiple of 4" : nullptr; }

const Variant<Sum> rungs[] = {
    {"naive", "f32", "even counts", even_only, [](const Sum&, Stream&) { last_run = "naive"; }},
    {"vector", "f32", "multiples of 4", multiple_of_four, [](const Sum&, Stream&) { last_run = "vector"; }},
};
const Op<Sum> op{rungs};

// A sum of so many elements of a buffer.
Sum sum_of(int64_t count) {
  static float x[8], sum;
  return {.count = count, .x = {x}, .sum = {&sum}};
}

// Undone at the end of the test, whatever happens.
struct Forced {
  explicit Forced(const std::string& text) { force_variants(text); }
  ~Forced() { force_variants(""); }
};

// The message of the gan::Error that f throws with this code; anything else fails the test.
template <class F>
std::string error_of(Exit code, F&& f) {
  try {
    f();
  } catch (const Error& error) {
    CHECK(int(error.code()) == int(code));
    return error.what();
  }
  FAIL_CHECK("no error");
  return {};
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != text.npos; }

TEST_CASE("variants: the best row that fits is picked") {
  Stream stream;
  CHECK(op.pick({.count = 8}).name == std::string("vector"));
  CHECK(op.pick({.count = 6}).name == std::string("naive"));
  op(sum_of(2), stream);
  CHECK(last_run == "naive");
  op(sum_of(4), stream);
  CHECK(last_run == "vector");
  CHECK(op.find("naive") == &rungs[0]);
  CHECK(op.find("nai") == nullptr);
}

TEST_CASE("variants: no row, or none that fits, is one clear error") {
  const Op<Sum> empty;
  const std::string none = error_of(Exit::failure, [&] { (void)empty.pick({.count = 1}); });
  CHECK(contains(none, "cannot compute sum"));
  CHECK(contains(none, "--device"));
  const std::string refused = error_of(Exit::failure, [&] { (void)op.pick({.count = 3}); });
  CHECK(contains(refused, "no variant of sum fits"));
  CHECK(contains(refused, "vector: count is no multiple of 4"));
  CHECK(contains(refused, "naive: count is odd"));
}

TEST_CASE("variants: GAN_KERNEL forces one") {
  {
    Forced forced("conv2d_fwd=tiled,sum=naive");
    CHECK(op.pick({.count = 8}).name == std::string("naive"));
    CHECK(forced_variant("conv2d_fwd") == "tiled");
    CHECK(forced_variant("conv2d").empty());
    const std::string refused = error_of(Exit::usage, [] { (void)op.pick({.count = 3}); });
    CHECK(contains(refused, "GAN_KERNEL=sum=naive"));
    CHECK(contains(refused, "count is odd"));
  }
  {
    Forced forced("sum=fastest");
    const std::string unknown = error_of(Exit::usage, [] { (void)op.pick({.count = 8}); });
    CHECK(contains(unknown, "sum=fastest"));
    CHECK(contains(unknown, "no such variant"));
    CHECK(contains(unknown, "sum has cpu: "));
  }
  if (!std::getenv("GAN_KERNEL")) CHECK(op.pick({.count = 8}).name == std::string("vector"));
}

TEST_CASE("variants: with libraries off the best row of our own is picked, unless one is forced") {
  const Variant<Sum> rows[] = {rungs[0],
                               {"library", "f32", "any", fits_any<Sum>, [](const Sum&, Stream&) {}, 1, true}};
  const Op<Sum> with_library{rows};
  const bool before = libraries_in_use();
  use_libraries(true);
  CHECK(with_library.pick(sum_of(4)).name == std::string("library"));
  use_libraries(false);
  CHECK(with_library.pick(sum_of(4)).name == std::string("naive"));
  CHECK(contains(error_of(Exit::failure, [&] { with_library.pick(sum_of(3)); }),
                 "off for deterministic results"));
  {
    const Forced forced("sum=library");
    CHECK(with_library.pick(sum_of(4)).name == std::string("library"));
  }
  use_libraries(before);
}

TEST_CASE("a GPU's fault is laid at the door of the kernel that did it, where that is known") {
  const std::string plain = gpu_fault("a.cu:7: kernel launch", "invalid configuration", false, false);
  CHECK(plain == "a.cu:7: kernel launch: invalid configuration");
  const std::string later = gpu_fault("a.cu:7: kernel launch", "illegal memory access", true, false);
  CHECK(later.starts_with("illegal memory access"));
  CHECK(contains(later, "before it"));
  CHECK(contains(later, "CUDA_LAUNCH_BLOCKING=1"));
  const std::string known = gpu_fault("a.cu:7: kernel launch", "illegal memory access", true, true);
  CHECK(known == "a.cu:7: kernel launch: the kernel that was launched here failed: illegal memory access");
}

TEST_CASE("variants: a strict stream passes over rows whose error is above that of a plain float32 sum") {
  const auto any = [](const Sum&) -> const char* { return nullptr; };
  const Variant<Sum> rows[] = {
      {"plain", "f32", "any", any, [](const Sum&, Stream&) { last_run = "plain"; }},
      {"saving", "f32", "any", any, [](const Sum&, Stream&) { last_run = "saving"; }, 1.5},
  };
  const Op<Sum> sums{rows};
  Stream stream;
  sums(sum_of(8), stream);
  CHECK(last_run == "saving");
  stream.strict = true;
  sums(sum_of(8), stream);
  CHECK(last_run == "plain");
  {
    Forced forced("sum=saving");
    const std::string refused = error_of(Exit::usage, [&] { sums(sum_of(8), stream); });
    CHECK(contains(refused, "GAN_KERNEL=sum=saving"));
    CHECK(contains(refused, "plain float32 sum"));
  }
  const Op<Sum> only_saving{std::span(rows).subspan(1)};
  CHECK(contains(error_of(Exit::failure, [&] { only_saving({.count = 8}, stream); }), "saving: its error"));
}

TEST_CASE("variants: a launch names the operation and what is wrong with its arguments") {
  Stream stream;
  const auto message_of = [&](const Sum& args) {
    return error_of(Exit::failure, [&] { rungs[0].run(args, stream); });
  };
  Sum args = sum_of(-2);
  CHECK(message_of(args) == "sum of count=-2: the count is negative");
  args = sum_of(2);
  args.x.data = nullptr;
  CHECK(message_of(args) == "sum: there is no x");
  args = sum_of(2);
  args.sum.dtype = DType::bf16;
  CHECK(message_of(args) == "sum: sum cannot be bf16");
  args.sum.dtype = DType::f64;
  CHECK(message_of(args) == "sum: x cannot be f32");  // float64 all of it, or none
}

TEST_CASE("variants: every device names its rows apart and says where they fit") {
  for (Device device : {Device::ref, Device::cpu, Device::simt, Device::cuda}) {
    const Backend* backend = find_backend(device);
    if (!backend) continue;
    for_each_op(*backend, [&](const char*, const auto& o) {
      for (const auto& variant : o.variants) {
        CAPTURE(gan::name_of(device));
        CAPTURE(o.name());
        CHECK(o.find(variant.name) == &variant);  // else an earlier row has the same name
        CHECK(std::string(variant.where) != "");
        CHECK(bool(variant.fits));
        CHECK(bool(variant.launcher));
        CHECK(variant.error >= 1);
        const std::string types = variant.dtypes;
        if (device == Device::ref) CHECK(contains(types, "f64"));
        else CHECK((contains(types, "f32") || contains(types, "bf16")));
      }
    });
  }
}

// --------------------------------------------------------------------------------------------- bad arguments

// Whether the operation answers with gan::Error; whatever else it does, it has not noticed.
template <class Args>
bool refuses(const Op<Args>& o, const Args& args, Stream& stream, const Memory& memory) {
  try {
    o(args, stream);
    memory.synchronize(stream);
  } catch (const Error&) { return true; }
  return false;
}

template <class Args>
void check_refusals(const Backend& backend, const Op<Args>& o) {
  if (o.variants.empty()) return;
  const Storage storage = backend.device == Device::ref ? float64_run : float32_run;
  TestStream stream(backend);
  // The widest case of the first few: the one that binds most ports.
  const Case<Args>* widest = nullptr;
  for (const Case<Args>& c : cases<Args>())
    if (!c.real_width && (!widest || c.ports.size() > widest->ports.size())) widest = &c;
  REQUIRE(widest != nullptr);
  const auto initial = contents(*widest, float32_run);
  const auto where = [&](const std::string& what) {
    return fmt::format("{} {} case \"{}\" takes {}", gan::name_of(backend.device), Args::op, widest->name,
                       what);
  };
  for (const auto& port : widest->ports) {
    const std::vector<Bytes> stored = encode(*widest, initial, storage);
    BoundCase<Args> bound(*widest, stored, storage, backend.memory, stream.get());
    if (port.in) {
      const In good = bound.args.*port.in;
      // 64 bits where 32 lie would be read beyond the end, so the wrong type is never a wider one.
      (bound.args.*port.in).dtype = good.dtype == DType::u8 ? DType::bf16 : DType::u8;
      CHECK_MESSAGE(refuses(o, bound.args, stream.get(), backend.memory),
                    where(fmt::format("{} of the wrong type", port.name)));
      bound.args.*port.in = In{nullptr, good.dtype};
      if (!port.is_optional)
        CHECK_MESSAGE(refuses(o, bound.args, stream.get(), backend.memory),
                      where(fmt::format("{} missing", port.name)));
    } else {
      const Out good = bound.args.*port.out;
      (bound.args.*port.out).dtype = DType::u8;
      CHECK_MESSAGE(refuses(o, bound.args, stream.get(), backend.memory),
                    where(fmt::format("{} of the wrong type", port.name)));
      bound.args.*port.out = Out{nullptr, good.dtype};
      if (!port.is_optional)
        CHECK_MESSAGE(refuses(o, bound.args, stream.get(), backend.memory),
                      where(fmt::format("{} missing", port.name)));
      bound.args.*port.out = Out{good.data, good.dtype, Acc::add};
      if (port.only_set)
        CHECK_MESSAGE(refuses(o, bound.args, stream.get(), backend.memory),
                      where(fmt::format("{} to be added to", port.name)));
    }
  }
}

// Convolutions which check(Conv2d) must refuse on every device, on buffers of a good one.
template <class Args>
void check_bad_sizes(const Backend& backend, const Op<Args>& o) {
  if (o.variants.empty()) return;
  TestStream stream(backend);
  const Storage storage = backend.device == Device::ref ? float64_run : float32_run;
  const Case<Args>& c = cases<Args>().front();
  const auto initial = contents(c, float32_run);
  const auto spoilt = [&](const char* what, auto&& spoil) {
    const std::vector<Bytes> stored = encode(c, initial, storage);
    BoundCase<Args> bound(c, stored, storage, backend.memory, stream.get());
    spoil(bound.args.size);
    CHECK_MESSAGE(refuses(o, bound.args, stream.get(), backend.memory),
                  fmt::format("{} {} takes {}", gan::name_of(backend.device), Args::op, what));
  };
  spoilt("a batch of 0", [](Conv2d& s) { s.n = 0; });
  spoilt("a stride of 0", [](Conv2d& s) { s.sh = 0; });
  spoilt("a dilation of 0", [](Conv2d& s) { s.dw = 0; });
  spoilt("negative padding", [](Conv2d& s) { s.ph = -1; });
  spoilt("an output size that does not follow", [](Conv2d& s) { ++s.ow; });
  spoilt("a kernel larger than the padded picture", [](Conv2d& s) { s.kh = s.h + 2 * s.ph + 1; });
  spoilt("a kernel larger than the padded picture, stride 2", [](Conv2d& s) {
    s.kh = s.h + 2 * s.ph + 1;
    s.sh = 2;
    s.oh = Conv2d::out_size(s.h, s.kh, s.sh, s.ph, s.dh);
  });
  spoilt("2 groups of 3 channels", [](Conv2d& s) {
    s.c = 3;
    s.groups = 2;
  });
  spoilt("outputs that do not divide among the groups", [](Conv2d& s) {
    s.c = s.groups = 3;
    s.k = 4;
  });
  spoilt("reflection beyond the picture", [](Conv2d& s) {
    s.padding = Padding::reflect;
    s.ph = s.pw = 1;
    s.h = s.w = 1;
    s.kh = s.kw = 3;
    s.oh = s.ow = 1;
  });
  spoilt("more than 2^31 elements", [](Conv2d& s) { s.n = INT32_MAX; });
}

void check_device(Device device) {
  std::string reason;
  const Backend* backend = usable_backend(device, reason);
  if (!backend) GAN_SKIP(reason);
  for_each_op(*backend, [&](const char*, const auto& o) { check_refusals(*backend, o); });
  check_bad_sizes(*backend, backend->conv.fwd);
  check_bad_sizes(*backend, backend->conv.bwd_data);
  check_bad_sizes(*backend, backend->conv.bwd_weight);
}

TEST_CASE("bad arguments are refused on ref") { check_device(Device::ref); }
TEST_CASE("bad arguments are refused on cpu") { check_device(Device::cpu); }
TEST_CASE("bad arguments are refused on simt") { check_device(Device::simt); }
TEST_CASE("bad arguments are refused on cuda") { check_device(Device::cuda); }

}  // namespace
}  // namespace gan::tests
