// What is common to all devices: names, the choice of a variant, and the list of backends.
#include "kernels/kernels.h"

#include "kernels/contract/kernel_launch.h"
#include "kernels/forced.h"

#include <cstdlib>

namespace gan {

const char* name_of(Device device) {
  switch (device) {
    case Device::cpu: return "cpu";
    case Device::cuda: return "cuda";
    case Device::simt: return "simt";
    case Device::ref: return "ref";
  }
  return "?";
}

void check(const AttentionSize& size) {
  if (const char* why = size.wrong()) fail(Exit::failure, "attention of {}: {}", text_of_sizes(size), why);
}

void check(const LayerNormSize& size) {
  if (const char* why = size.wrong()) fail(Exit::failure, "layer norm of {}: {}", text_of_sizes(size), why);
}

thread_local NotedKernels* NotedKernels::current_ = nullptr;

// ------------------------------------------------------------------------------------------------- variants

namespace {
std::string& forced_text() {
  static std::string text = [] {
    const char* env = std::getenv("GAN_KERNEL");
    return std::string(env ? env : "");
  }();
  return text;
}
}  // namespace

void force_variants(const std::string& text) {
  const char* env = std::getenv("GAN_KERNEL");
  forced_text() = text.empty() && env ? env : text;
}

namespace {
bool libraries = true, tf32 = false;
Tiles tiles = Tiles::planned;
}  // namespace
void force_tiles(Tiles kind) { tiles = kind; }
Tiles forced_tiles() { return tiles; }
void use_libraries(bool use) { libraries = use; }
bool libraries_in_use() { return libraries; }
void use_tf32(bool use) { tf32 = use; }
bool tf32_in_use() { return tf32; }

std::string_view forced_variant(std::string_view op) {
  std::string_view rest = forced_text();
  while (!rest.empty()) {
    auto item = rest.substr(0, rest.find(','));
    rest = item.size() < rest.size() ? rest.substr(item.size() + 1) : std::string_view{};
    auto equals = item.find('=');
    if (equals != item.npos && item.substr(0, equals) == op) return item.substr(equals + 1);
  }
  return {};
}

namespace {
// "cpu: loops, onednn; simt: naive, tiled"
std::string variants_in_words(std::string_view op) {
  std::string words;
  for (Device device : {Device::cpu, Device::cuda, Device::simt, Device::ref}) {
    std::string names;
    if (const Backend* backend = find_backend(device))
      for_each_op(*backend, [&](const char*, const auto& one) {
        if (op != one.name()) return;
        for (const auto& variant : one.variants)
          names += (names.empty() ? "" : ", ") + std::string(variant.name);
      });
    if (!names.empty()) words += fmt::format("{}{}: {}", words.empty() ? "" : "; ", name_of(device), names);
  }
  return words;
}
}  // namespace

namespace detail {
const char* const not_strict = "its error is larger than a plain float32 sum's, and a replay allows no more";
const char* const no_library = "a library, whose bits depend on the machine: off for deterministic results";
void no_variants(const char* op) {
  fail(Exit::failure, "this device cannot compute {}; use another --device", op);
}
void no_variant_fits(const char* op, const std::string& reasons) {
  fail(Exit::failure, "no variant of {} fits: {}", op, reasons);
}
void forced_variant_refused(const char* op, std::string_view name, const std::string& why) {
  fail(Exit::usage, "GAN_KERNEL={}={}: {}; {} has {}", op, name, why, op, variants_in_words(op));
}
}  // namespace detail

void check_forced_variants() {
  std::string_view rest = forced_text();
  while (!rest.empty()) {
    const auto item = rest.substr(0, rest.find(','));
    rest = item.size() < rest.size() ? rest.substr(item.size() + 1) : std::string_view{};
    const auto equals = item.find('=');
    if (equals == item.npos || equals == 0 || equals + 1 == item.size())
      fail(Exit::usage, "GAN_KERNEL={}: wants OPERATION=VARIANT, for example conv2d_fwd=naive", item);
    const auto op = item.substr(0, equals), variant = item.substr(equals + 1);
    bool has_op = false, has_variant = false;
    std::string operations;
    for (Device device : {Device::ref, Device::cpu, Device::simt, Device::cuda})
      if (const Backend* backend = find_backend(device))
        for_each_op(*backend, [&](const char*, const auto& one) {
          if (device == Device::ref) operations += (operations.empty() ? "" : ", ") + std::string(one.name());
          if (op != one.name()) return;
          has_op = true;
          has_variant |= one.find(variant) != nullptr;
        });
    if (!has_op)
      fail(Exit::usage, "GAN_KERNEL={}: there is no operation {}; there are {}", item, op, operations);
    if (!has_variant)
      fail(Exit::usage, "GAN_KERNEL={}: there is no such variant in this build; {} has {}", item, op,
           variants_in_words(op));
  }
}

void* Stream::scratch(size_t bytes) {
  if (bytes > scratch_bytes || (scratch_exact && bytes != scratch_bytes)) {
    GAN_CHECK(scratch_allocate, "this stream has no scratch memory");
    release_scratch(*this);
    scratch_address = scratch_allocate(bytes);
    scratch_bytes = bytes;
  }
  return scratch_address;
}

void release_scratch(Stream& stream) noexcept {
  if (stream.scratch_address) stream.scratch_release(stream.scratch_address);
  stream.scratch_address = nullptr;
  stream.scratch_bytes = 0;
}

// ------------------------------------------------------------------------------------------------- backends

#define GAN_BACKEND(space)                                                                                \
  {                                                                                                       \
    Device::space, space::memory, space::queues, space::pointwise, space::gemm, space::conv, space::norm, \
        space::attention, space::loss, space::optim, space::resample, space::image, space::rng            \
  }

// Filled on first use: the tables are constants of other files, whose initialisation order is not defined.
const Backend* find_backend(Device device) {
  switch (device) {
    case Device::cpu: {
#ifndef GAN_SIMT_WATCH  // gan-watch has one device
      static const Backend backend = [] {
        Backend b = GAN_BACKEND(cpu);
        cpu::add_reference_rows(b);
        return b;
      }();
      return &backend;
#else
      return nullptr;
#endif
    }
    case Device::simt: {
      static const Backend backend = GAN_BACKEND(simt);
      return &backend;
    }
    case Device::ref: {
#ifndef GAN_SIMT_WATCH  // gan-watch has one device
      static const Backend backend = GAN_BACKEND(ref);
      return &backend;
#else
      return nullptr;
#endif
    }
    case Device::cuda: {
#ifdef GAN_WITH_CUDA
      static const Backend backend = GAN_BACKEND(cuda);
      return &backend;
#else
      return nullptr;
#endif
    }
  }
  return nullptr;
}

}  // namespace gan
