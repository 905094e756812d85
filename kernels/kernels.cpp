// What is common to all devices: names, size checks, the choice of a variant, and the list of backends.
#include "kernels/kernels.h"

#include <algorithm>
#include <cstdlib>

namespace gan {

size_t size_of(DType type) {
  switch (type) {
    case DType::f32: return 4;
    case DType::bf16: return 2;
    case DType::f64: return 8;
    case DType::i32: return 4;
    case DType::u8: return 1;
  }
  return 0;
}

const char* name_of(DType type) {
  switch (type) {
    case DType::f32: return "f32";
    case DType::bf16: return "bf16";
    case DType::f64: return "f64";
    case DType::i32: return "i32";
    case DType::u8: return "u8";
  }
  return "?";
}

const char* name_of(Device device) {
  switch (device) {
    case Device::cpu: return "cpu";
    case Device::cuda: return "cuda";
    case Device::simt: return "simt";
    case Device::ref: return "ref";
  }
  return "?";
}

std::string to_string(const Conv2d& s) {
  return fmt::format(
      "x ({},{},{},{}) -> y ({},{},{},{}), kernel {}x{} stride {}x{} pad {}x{}{} dilation {}x{} groups {}",
      s.n, s.h, s.w, s.c, s.n, s.oh, s.ow, s.k, s.kh, s.kw, s.sh, s.sw, s.ph, s.pw,
      s.padding == Padding::reflect ? " reflect" : "", s.dh, s.dw, s.groups);
}

void check(const Conv2d& s) {
  GAN_CHECK(s.n >= 1 && s.h >= 1 && s.w >= 1 && s.c >= 1 && s.k >= 1, "{}", to_string(s));
  GAN_CHECK(s.kh >= 1 && s.kw >= 1 && s.sh >= 1 && s.sw >= 1 && s.dh >= 1 && s.dw >= 1, "{}", to_string(s));
  GAN_CHECK(s.ph >= 0 && s.pw >= 0, "{}", to_string(s));
  GAN_CHECK(s.oh >= 1 && s.oh == Conv2d::out_size(s.h, s.kh, s.sh, s.ph, s.dh), "{}", to_string(s));
  GAN_CHECK(s.ow >= 1 && s.ow == Conv2d::out_size(s.w, s.kw, s.sw, s.pw, s.dw), "{}", to_string(s));
  GAN_CHECK(s.groups == 1 || s.groups == s.c, "groups must be 1 or the channel count: {}", to_string(s));
  GAN_CHECK(s.k % s.groups == 0, "output channels must be a multiple of the groups: {}", to_string(s));
  if (s.padding == Padding::reflect)
    GAN_CHECK(s.ph < s.h && s.pw < s.w, "reflect padding must be smaller than the picture: {}", to_string(s));
  GAN_CHECK(s.x_count() < INT32_MAX && s.y_count() < INT32_MAX && s.w_count() < INT32_MAX,
            "more than 2^31 elements: {}; use a smaller batch", to_string(s));
}

namespace {
template <class Args>
void check_part(const Args& a) {
  GAN_CHECK(a.rows >= 1 && a.channels >= 1 && a.first >= 0 && a.first <= a.y_channels - a.channels,
            "{} rows, channels {} to {} of {}", a.rows, a.first, a.first + a.channels - 1, a.y_channels);
}
}  // namespace

void check(const PutChannels& a) {
  check_part(a);
  GAN_CHECK(a.x && a.y);
}
void check(const TakeChannels& a) {
  check_part(a);
  GAN_CHECK(a.dy && a.dx && (a.y || a.act.kind == Act::none));
}

void check(const PoolExchange& a) {
  GAN_CHECK(a.count >= 0 && a.kept >= 1 && a.elements >= 1 && a.elements < INT32_MAX,
            "{} pictures of {} elements, a pool of {}", a.count, a.elements, a.kept);
  GAN_CHECK(a.count == 0 || (a.batch && a.places && a.pool && a.shown));
  GAN_CHECK(a.pool.acc == Acc::set && a.shown.acc == Acc::set && a.shown.data != a.batch.data);
  GAN_CHECK(a.pool.dtype == a.batch.dtype && a.shown.dtype == a.batch.dtype, "batch {}, pool {}, shown {}",
            name_of(a.batch.dtype), name_of(a.pool.dtype), name_of(a.shown.dtype));
}

void check(const Dropout& a) {
  GAN_CHECK(a.count >= 0 && a.p >= 0 && a.p < 1 && (a.count == 0 || (a.x && a.y)), "count {}, p {}", a.count,
            a.p);
}

void check(const AttentionSize& s) {
  GAN_CHECK(s.batch >= 1 && s.queries >= 1 && s.keys >= 1 && s.key_width >= 1 && s.value_width >= 1,
            "attention of {} x {} queries to {} keys, widths {} and {}", s.batch, s.queries, s.keys,
            s.key_width, s.value_width);
  GAN_CHECK(
      std::max({s.query_count(), s.key_count(), s.value_count(), s.output_count()}) < INT32_MAX,
      "attention of {} x {} queries to {} keys, widths {} and {}: a buffer of 2^31 elements; use a smaller "
      "batch",
      s.batch, s.queries, s.keys, s.key_width, s.value_width);
}

void check(const LayerNormSize& s) {
  GAN_CHECK(s.groups >= 1 && s.rows >= 1 && s.channels >= 1 && s.eps >= 0 && s.elements() < INT32_MAX,
            "layer norm of {} groups of {} x {}, eps {}", s.groups, s.rows, s.channels, s.eps);
}

namespace {
std::string to_string(const ResampleSize& s) {
  return fmt::format("x ({},{},{},{}) -> y ({},{},{},{})", s.n, s.h, s.w, s.c, s.n, s.oh, s.ow, s.c);
}

void check(const ResampleSize& s) {
  GAN_CHECK(s.n >= 1 && s.h >= 1 && s.w >= 1 && s.c >= 1 && s.oh >= 1 && s.ow >= 1, "{}", to_string(s));
  GAN_CHECK(std::max({s.h, s.w, s.oh, s.ow}) <= 16384, "more than 16384 pixels a side: {}", to_string(s));
  GAN_CHECK(s.x_count() < INT32_MAX && s.y_count() < INT32_MAX,
            "more than 2^31 elements: {}; use a smaller batch", to_string(s));
}

bool is_pooled_size(int in, int out, int kernel, int stride, int pad) {
  return kernel >= 1 && kernel <= 16384 && stride >= 1 && stride <= 16384 && pad >= 0 && 2 * pad <= kernel &&
         kernel <= in + 2 * pad &&
         (out == PoolWindow::out_size(in, kernel, stride, pad) ||
          out == PoolWindow::out_size(in, kernel, stride, pad, true));
}
}  // namespace

void check(const ResampleSize& s, const PoolWindow& p) {
  check(s);
  GAN_CHECK(is_pooled_size(s.h, s.oh, p.kh, p.sh, p.ph) && is_pooled_size(s.w, s.ow, p.kw, p.sw, p.pw),
            "{} by windows of {}x{} stride {}x{} padding {}x{}", to_string(s), p.kh, p.kw, p.sh, p.sw, p.ph,
            p.pw);
}

void check(const ResampleSize& size, const ResampleRule& rule) {
  if (rule.kind == ResampleKind::average_pool) check(size, rule.window);
  else check(size);
}

void check(const PixelShuffle& a) {
  GAN_CHECK(a.n >= 1 && a.h >= 1 && a.w >= 1 && a.c >= 1 && a.factor >= 1 && a.factor <= 256 &&
                int64_t(a.c) * a.factor * a.factor < INT32_MAX && a.count() < INT32_MAX,
            "pixel shuffle of ({},{},{},{} x {}^2)", a.n, a.h, a.w, a.c, a.factor);
}

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

namespace detail {
void no_variants(const char* op) {
  fail(Exit::failure, "this device cannot compute {}; use another --device", op);
}
void no_variant_fits(const char* op, const std::string& reasons) {
  fail(Exit::failure, "no variant of {} fits: {}", op, reasons);
}
void forced_variant_refused(const char* op, std::string_view name, const std::string& why) {
  fail(Exit::usage, "GAN_KERNEL={}={}: {}; see `gan kernels`", op, name, why);
}
}  // namespace detail

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

#define GAN_BACKEND(space)                                                                                   \
  {                                                                                                          \
    Device::space, space::memory, space::pointwise, space::gemm, space::conv, space::norm, space::attention, \
        space::loss, space::optim, space::resample, space::image, space::rng                                 \
  }

// Filled on first use: the tables are constants of other files, whose initialisation order is not defined.
const Backend* find_backend(Device device) {
  switch (device) {
    case Device::cpu: {
#ifndef GAN_SIMT_WATCH  // gan-watch has one device
      static const Backend backend = GAN_BACKEND(cpu);
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
