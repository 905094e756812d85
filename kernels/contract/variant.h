// Variants: the several ways a device has of computing one operation, and how one is chosen.
//
// A family file ends in a list of variants for each of its operations, from the naive one upwards. Tests and
// benchmarks walk the list, so a new rung is one new row. pick() is a pure function of the arguments and the
// list.
#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "kernels/contract/ports.h"

namespace gan {

// Where a device's work is queued, with scratch memory for the operations that need some between two
// launches.
struct Stream {
  void* handle = nullptr;  // cudaStream_t on cuda, unused elsewhere
  // At least `bytes` of device memory, 128-byte aligned, free to use until the next operation on this stream
  // asks. Grown on demand; the engine's memory planner counts it.
  void* scratch(size_t bytes);

  void* (*scratch_allocate)(size_t bytes) = nullptr;  // set by the owner of the stream
  void (*scratch_release)(void* address) noexcept = nullptr;
  void* scratch_address = nullptr;
  size_t scratch_bytes = 0;
  bool scratch_exact = false;  // a fresh exact-size block each time, for address sanitizers (simt)

  // Only variants whose error is that of a plain float32 sum (Variant::error) run here: for runs that another
  // framework's numbers are compared with.
  bool strict = false;
};
void release_scratch(Stream& stream) noexcept;

template <class Args>
struct Variant {
  const char* name;    // the technique: "naive", "tiled", "onednn", "cublas", ...
  const char* dtypes;  // words: "f32", "f32 bf16", "f64"; "tf32" computes in tf32 on float32 buffers
  const char* where;   // where it fits, in words: "any size", "channels a multiple of 4", ...
  // Null when the arguments can be computed this way, else the reason in words. Pure: looks at sizes and
  // types only.
  const char* (*fits)(const Args&);
  void (*launcher)(const Args&, Stream&);  // queues the work
  // How far off the results are on float32 buffers, as a multiple of what plain float32 sums are: 1, or more
  // where products are saved (Winograd) or factors rounded (tf32). tests/kernels/test_kernels.cpp measures it.
  double error = 1;
  // An installed library's, whose version is not the build's: its bits depend on the machine.
  bool library = false;
  // Of a row that rounds bfloat16 factors once more on the way (Winograd's points): the error that this makes, root mean
  // square over that of the result. 0: rounds nothing but what it stores.
  double rounding = 0;
  // Checks the arguments, then queues the work. Throws gan::Error on sizes or buffers that cannot be right.
  void run(const Args& args, Stream& stream) const {
    check_arguments(args);
    launcher(args, stream);
  }
};

// The names GAN_KERNEL forces, e.g. GAN_KERNEL=conv2d_fwd=naive,gemm=tiled: the variant for `op` or an empty
// view.
std::string_view forced_variant(std::string_view op);
// Whether pick() may take a library's row; it does unless told otherwise. Off (--deterministic, replays, tests), results
// depend on the build and the device model alone. Forced ones are taken all the same.
void use_libraries(bool use);
bool libraries_in_use();
// Whether pick() may take a row that rounds the factors of float32 products to tf32 (--precision tf32); it does not
// unless told to. Forced ones are taken all the same.
void use_tf32(bool use);
bool tf32_in_use();
// Replaces what the environment says (tests, --kernel lists); an empty text goes back to the environment.
void force_variants(const std::string& text);

namespace detail {
[[noreturn]] void no_variants(const char* op);
[[noreturn]] void no_variant_fits(const char* op, const std::string& reasons);
extern const char* const not_strict;  // the reason against a variant on a strict stream
extern const char* const no_library;  // against one of a library, with libraries off
[[noreturn]] void forced_variant_refused(const char* op, std::string_view name, const std::string& why);
}  // namespace detail

template <class Args>
struct Op {
  using Arguments = Args;
  std::span<const Variant<Args>> variants = {};  // from naive upwards; empty: this device has none

  static constexpr const char* name() { return Args::op; }
  const Variant<Args>* find(std::string_view variant) const {
    for (const auto& v : variants)
      if (variant == v.name) return &v;
    return nullptr;
  }
  // The forced variant if there is one, else the last (best) row that fits. strict: as Stream::strict.
  const Variant<Args>& pick(const Args& args, bool strict = false) const {
    const auto reason_against = [&](const Variant<Args>& v) {
      return strict && v.error > 1 ? detail::not_strict : v.fits(args);
    };
    if (variants.empty()) detail::no_variants(Args::op);
    if (auto forced = forced_variant(Args::op); !forced.empty()) {
      const auto* v = find(forced);
      const char* why = v ? reason_against(*v) : "there is no such variant on this device";
      if (why) detail::forced_variant_refused(Args::op, forced, why);
      return *v;
    }
    std::string reasons;
    for (size_t i = variants.size(); i-- > 0;) {
      const char* why =
          variants[i].library && !libraries_in_use() ? detail::no_library : reason_against(variants[i]);
      if (!why) return variants[i];
      reasons += std::string(reasons.empty() ? "" : "; ") + variants[i].name + ": " + why;
    }
    detail::no_variant_fits(Args::op, reasons);
  }
  void operator()(const Args& args, Stream& stream) const { pick(args, stream.strict).run(args, stream); }
};

// For variants that take every argument.
template <class Args>
const char* fits_any(const Args&) {
  return nullptr;
}

}  // namespace gan
