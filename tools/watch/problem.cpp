// Sizes from --shape, buffers, and for each operation of kernels/kernels.h how its arguments are filled. The
// defaults are small: a watched launch is for reading its table.
#include "tools/watch/problem.h"

#include <fmt/ranges.h>

#include <cctype>
#include <charconv>

#include "kernels/bf16.h"
#include "kernels/simt/watch.h"

namespace gan::tools {

Problem::Problem(std::string operation, const std::string& shape, DType value)
    : operation_(std::move(operation)), value_(value) {
  for (size_t at = 0; at < shape.size();) {
    const size_t comma = std::min(shape.find(',', at), shape.size());
    const std::string item = shape.substr(at, comma - at);
    const size_t equals = std::min(item.find('='), item.size());
    const std::string key = item.substr(0, equals);
    if (key.empty() || std::isdigit(key[0]) || equals + 1 == item.size())
      fail(Exit::usage, "--shape {}: with --watch it is key=value,key=value, for example m=64,n=64,k=64",
           shape);
    if (!given_.emplace(key, equals == item.size() ? "1" : item.substr(equals + 1)).second)
      fail(Exit::usage, "--shape {}: {} is given twice", shape, key);
    at = comma + 1;
  }
}

Problem::~Problem() {
  for (void* buffer : buffers_) {
    simt::unwatch_buffer(buffer);
    simt::memory.release(buffer);
  }
}

const std::string& Problem::text(const std::string& key, const std::string& fallback) {
  const auto found = given_.find(key);
  used_.emplace_back(key, found == given_.end() ? fallback : found->second);
  return used_.back().second;
}

int Problem::size(const std::string& key, int fallback, int low) {
  const std::string& written = text(key, std::to_string(fallback));
  constexpr int high = 1 << 24;
  int value = 0;
  const auto [stop, error] = std::from_chars(written.data(), written.data() + written.size(), value);
  if (error != std::errc() || stop != written.data() + written.size() || value < low || value > high)
    fail(Exit::usage, "--shape: {} must be a whole number from {} to {}, not \"{}\"", key, low, high,
         written);
  return value;
}

int Problem::choice(const std::string& key, const std::vector<std::string>& words) {
  const std::string& written = text(key, words[0]);
  for (size_t i = 0; i < words.size(); ++i)
    if (words[i] == written) return static_cast<int>(i);
  fail(Exit::usage, "--shape: {} must be one of {}, not \"{}\"", key, fmt::join(words, ", "), written);
}

Activation Problem::activation() {
  return {Act(choice("act", {"none", "relu", "leaky_relu", "tanh", "sigmoid"})), 0.2};
}

std::string Problem::sizes_text() const {
  std::string all;
  for (const auto& [key, value] : used_) all += (all.empty() ? "" : ",") + key + "=" + value;
  return all;
}

void Problem::finish_sizes() const {
  for (const auto& [key, value] : given_) {
    bool known = false;
    for (const auto& used : used_) known |= used.first == key;
    if (!known) fail(Exit::usage, "--shape: {} has no \"{}\"; it has {}", operation_, key, sizes_text());
  }
}

void* Problem::allocate(const char* name, int64_t bytes) {
  constexpr int64_t most_bytes = 64 << 20;
  bytes_ += bytes;
  if (bytes_ > most_bytes)
    fail(Exit::usage, "{} with {}: more than {} MB of buffers is too large to watch; use smaller sizes",
         operation_, sizes_text(), most_bytes >> 20);
  void* const buffer = simt::memory.allocate(static_cast<size_t>(bytes));
  buffers_.push_back(buffer);
  names_.push_back(name);
  simt::watch_buffer(name, buffer, static_cast<size_t>(bytes));
  return buffer;
}

void* Problem::make(const char* name, int64_t count, DType type, double low) {
  void* const buffer = allocate(name, count * static_cast<int64_t>(size_of(type)));
  uint32_t state = static_cast<uint32_t>(buffers_.size()) * 0x9e3779b9u;  // other numbers in every buffer
  for (int64_t i = 0; i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    const float value =
        static_cast<float>(low) + static_cast<float>(state >> 8) * (low < 0 ? 0x1p-23f : 0x1p-24f);
    switch (type) {
      case DType::f32: static_cast<float*>(buffer)[i] = value; break;
      case DType::bf16: static_cast<bf16*>(buffer)[i] = to_bf16(value); break;
      default: static_cast<uint8_t*>(buffer)[i] = static_cast<uint8_t>(state >> 24);
    }
  }
  return buffer;
}

In Problem::in_i32(const char* name, const std::vector<int32_t>& values) {
  void* const buffer = allocate(name, static_cast<int64_t>(values.size() * sizeof(int32_t)));
  std::copy(values.begin(), values.end(), static_cast<int32_t*>(buffer));
  return {buffer, DType::i32};
}

// ------------------------------------------------------------------------------------------------ pointwise

template <>
void set_up(ActivationFwd& a, Problem& p) {
  a.count = p.size("count", 1024);
  a.act = p.activation();
  p.finish_sizes();
  a.x = p.in("x", a.count);
  a.y = p.out("y", a.count);
}
template <>
void set_up(ActivationBwd& a, Problem& p) {
  a.count = p.size("count", 1024);
  a.act = p.activation();
  p.finish_sizes();
  a.y = p.in("y", a.count);
  a.dy = p.in("dy", a.count);
  a.dx = p.out("dx", a.count);
}
template <>
void set_up(Binary& a, Problem& p) {
  a.count = p.size("count", 1024);
  const bool scalar = p.size("scalar", 0, 0);
  a.b_count = scalar ? 1 : a.count;
  a.kind = BinaryKind(p.choice("kind", {"add", "subtract", "multiply"}));
  p.finish_sizes();
  a.a = p.in("a", a.count);
  a.b = p.in("b", a.b_count);
  a.y = p.out("y", a.count);
}
template <>
void set_up(Affine& a, Problem& p) {
  a.count = p.size("count", 1024);
  p.finish_sizes();
  a.scale = 0.5, a.shift = 1;
  a.x = p.in("x", a.count);
  a.y = p.out("y", a.count);
}
template <>
void set_up(Broadcast& a, Problem& p) {
  a.count = p.size("count", 1024);
  p.finish_sizes();
  a.x = p.in_f32("x", 1);
  a.y = p.out("y", a.count);
}
template <>
void set_up(Sum& a, Problem& p) {
  a.count = p.size("count", 16384);
  p.finish_sizes();
  a.x = p.in("x", a.count);
  a.sum = p.out_f32("sum", 1);
}
template <>
void set_up(SumRows& a, Problem& p) {
  a.rows = p.size("rows", 256);
  a.channels = p.size("channels", 64);
  p.finish_sizes();
  a.x = p.in("x", a.rows * a.channels);
  a.sums = p.out_f32("sums", a.channels);
}

namespace {
template <class Args>
void concatenation(Args& a, Problem& p) {
  a.rows = p.size("rows", 64), a.channels = p.size("channels", 32);
  a.first = p.size("first", 32, 0);
  a.y_channels = p.size("y_channels", a.first + a.channels);
  a.act = p.activation();
  p.finish_sizes();
  if (a.first + a.channels > a.y_channels)
    fail(Exit::usage, "--shape {}: first + channels is more than y_channels", p.sizes_text());
}
}  // namespace

template <>
void set_up(PutChannels& a, Problem& p) {
  concatenation(a, p);
  a.x = p.in("x", a.rows * a.channels);
  a.y = p.out("y", a.rows * a.y_channels);
}
template <>
void set_up(TakeChannels& a, Problem& p) {
  concatenation(a, p);
  a.y = p.in("y", a.rows * a.y_channels), a.dy = p.in("dy", a.rows * a.y_channels);
  a.dx = p.out("dx", a.rows * a.channels);
}

// -------------------------------------------------------------------------------------- gemm and convolution

template <>
void set_up(Gemm& g, Problem& p) {
  g.m = p.size("m", 64), g.n = p.size("n", 64), g.k = p.size("k", 64);
  g.transpose_a = p.size("transpose_a", 0, 0), g.transpose_b = p.size("transpose_b", 0, 0);
  const bool bias = p.size("bias", 0, 0);
  g.act = p.activation();
  p.finish_sizes();
  g.a = p.in("a", int64_t(g.m) * g.k);
  g.b = p.in("b", int64_t(g.k) * g.n);
  if (bias) g.bias = p.in_f32("bias", g.n);
  g.c = p.out("c", int64_t(g.m) * g.n);
}

namespace {
Conv2d conv_size(Problem& p) {
  Conv2d s;
  s.n = p.size("n", 1), s.h = p.size("h", 16), s.w = p.size("w", 16), s.c = p.size("c", 16);
  s.k = p.size("k", 16);
  s.kh = s.kw = p.size("kernel", 4);
  s.sh = s.sw = p.size("stride", 2);
  s.ph = s.pw = p.size("pad", 1, 0);
  s.dh = s.dw = p.size("dilation", 1);
  s.groups = p.size("groups", 1);
  s.padding = Padding(p.choice("padding", {"zero", "reflect"}));
  s.oh = Conv2d::out_size(s.h, s.kh, s.sh, s.ph, s.dh);
  s.ow = Conv2d::out_size(s.w, s.kw, s.sw, s.pw, s.dw);
  return s;
}
// After the last size has been asked for.
void finish(const Conv2d& s, Problem& p) {
  p.finish_sizes();
  try {
    check(s);
  } catch (const Error& error) {
    fail(Exit::usage, "--shape {}: this is no convolution: {}", p.sizes_text(), error.what());
  }
}
}  // namespace

template <>
void set_up(ConvFwd& a, Problem& p) {
  a.size = conv_size(p);
  const bool bias = p.size("bias", 0, 0);
  a.act = p.activation();
  finish(a.size, p);
  a.x = p.in("x", a.size.x_count());
  a.w = p.in("w", a.size.w_count());
  if (bias) a.bias = p.in_f32("bias", a.size.k);
  a.y = p.out("y", a.size.y_count());
}
template <>
void set_up(ConvBwdData& a, Problem& p) {
  a.size = conv_size(p);
  const bool bias = p.size("bias", 0, 0);
  a.act = p.activation();
  finish(a.size, p);
  a.dy = p.in("dy", a.size.y_count());
  a.w = p.in("w", a.size.w_count());
  if (bias) a.bias = p.in_f32("bias", a.size.c);
  a.dx = p.out("dx", a.size.x_count());
}
template <>
void set_up(ConvBwdWeight& a, Problem& p) {
  a.size = conv_size(p);
  finish(a.size, p);
  a.x = p.in("x", a.size.x_count());
  a.dy = p.in("dy", a.size.y_count());
  a.dw = p.out_f32("dw", a.size.w_count());
}

// ----------------------------------------------------------------------------------------------------- norm

namespace {
NormSize norm_size(Problem& p) {
  NormSize s;
  s.segments = p.size("segments", 1), s.rows = p.size("rows", 1024), s.channels = p.size("channels", 64);
  return s;
}
LayerNormSize layer_norm_size(Problem& p) {
  LayerNormSize s;
  s.groups = p.size("groups", 4), s.rows = p.size("rows", 16), s.channels = p.size("channels", 64);
  return s;
}
}  // namespace

template <>
void set_up(NormFwd& a, Problem& p) {
  a.size = norm_size(p);
  a.act = p.activation();
  p.finish_sizes();
  const int channels = a.size.channels, statistics = a.size.segments * channels;
  a.x = p.in("x", a.size.count());
  a.gamma = p.in_f32("gamma", channels), a.beta = p.in_f32("beta", channels);
  a.y = p.out("y", a.size.count());
  a.mean = p.out_f32("mean", statistics), a.rstd = p.out_f32("rstd", statistics);
  a.running_mean = p.out_f32("running_mean", channels);
  a.running_var = p.out_f32("running_var", channels, 0.5);
}
template <>
void set_up(NormInfer& a, Problem& p) {
  a.rows = p.size("rows", 256), a.channels = p.size("channels", 64);
  a.act = p.activation();
  p.finish_sizes();
  a.x = p.in("x", a.rows * a.channels);
  a.gamma = p.in_f32("gamma", a.channels), a.beta = p.in_f32("beta", a.channels);
  a.mean = p.in_f32("mean", a.channels), a.var = p.in_f32("var", a.channels, 0.5);
  a.y = p.out("y", a.rows * a.channels);
}
template <>
void set_up(NormBwd& a, Problem& p) {
  a.size = norm_size(p);
  a.act = p.activation();
  p.finish_sizes();
  const int channels = a.size.channels, statistics = a.size.segments * channels;
  a.x = p.in("x", a.size.count()), a.dy = p.in("dy", a.size.count());
  a.gamma = p.in_f32("gamma", channels), a.beta = p.in_f32("beta", channels);
  a.mean = p.in_f32("mean", statistics), a.rstd = p.in_f32("rstd", statistics, 0.5);
  a.dx = p.out("dx", a.size.count());
  a.dgamma = p.out_f32("dgamma", channels), a.dbeta = p.out_f32("dbeta", channels);
}
template <>
void set_up(LayerNormFwd& a, Problem& p) {
  a.size = layer_norm_size(p);
  a.act = p.activation();
  p.finish_sizes();
  const int channels = a.size.channels, groups = a.size.groups;
  a.x = p.in("x", a.size.count());
  a.gamma = p.in_f32("gamma", channels), a.beta = p.in_f32("beta", channels);
  a.y = p.out("y", a.size.count());
  a.mean = p.out_f32("mean", groups), a.rstd = p.out_f32("rstd", groups);
}
template <>
void set_up(LayerNormBwd& a, Problem& p) {
  a.size = layer_norm_size(p);
  a.act = p.activation();
  p.finish_sizes();
  const int channels = a.size.channels, groups = a.size.groups;
  a.x = p.in("x", a.size.count()), a.dy = p.in("dy", a.size.count());
  a.gamma = p.in_f32("gamma", channels), a.beta = p.in_f32("beta", channels);
  a.mean = p.in_f32("mean", groups), a.rstd = p.in_f32("rstd", groups, 0.5);
  a.dx = p.out("dx", a.size.count());
  a.dgamma = p.out_f32("dgamma", channels), a.dbeta = p.out_f32("dbeta", channels);
}

// ------------------------------------------------------------------------------------------------ attention

namespace {
AttentionSize attention_size(Problem& p) {
  AttentionSize s;
  s.batch = p.size("batch", 1), s.queries = p.size("queries", 64), s.keys = p.size("keys", 64);
  s.key_width = p.size("key_width", 16), s.value_width = p.size("value_width", 32);
  return s;
}
}  // namespace

template <>
void set_up(AttentionFwd& a, Problem& p) {
  a.size = attention_size(p);
  p.finish_sizes();
  a.q = p.in("q", a.size.query_count()), a.k = p.in("k", a.size.key_count());
  a.v = p.in("v", a.size.value_count());
  a.o = p.out("o", a.size.output_count());
  a.log_sum_exp = p.out_f32("log_sum_exp", int64_t(a.size.batch) * a.size.queries);
}
template <>
void set_up(AttentionBwd& a, Problem& p) {
  a.size = attention_size(p);
  p.finish_sizes();
  a.q = p.in("q", a.size.query_count()), a.k = p.in("k", a.size.key_count());
  a.v = p.in("v", a.size.value_count());
  a.o = p.in("o", a.size.output_count()), a.d_o = p.in("d_o", a.size.output_count());
  a.log_sum_exp = p.in_f32("log_sum_exp", int64_t(a.size.batch) * a.size.queries);
  a.dq = p.out("dq", a.size.query_count()), a.dk = p.out("dk", a.size.key_count());
  a.dv = p.out("dv", a.size.value_count());
}

// ------------------------------------------------------------------------------------------ loss, optimisers

namespace {
GanLoss gan_loss(Problem& p) {
  return GanLoss(p.choice("kind", {"vanilla", "minimax", "lsgan", "hinge", "wasserstein"}));
}
}  // namespace

template <>
void set_up(DiscriminatorLoss& a, Problem& p) {
  a.real_count = p.size("real", 256), a.fake_count = p.size("fake", 256);
  a.kind = gan_loss(p);
  p.finish_sizes();
  a.real = p.in("real", a.real_count), a.fake = p.in("fake", a.fake_count);
  a.d_real = p.out("d_real", a.real_count), a.d_fake = p.out("d_fake", a.fake_count);
  a.values = p.out_f32("values", 4);
}
template <>
void set_up(GeneratorLoss& a, Problem& p) {
  a.count = p.size("count", 256);
  a.kind = gan_loss(p);
  p.finish_sizes();
  a.fake = p.in("fake", a.count);
  a.d_fake = p.out("d_fake", a.count);
  a.values = p.out_f32("values", 1);
}
template <>
void set_up(PixelLoss& a, Problem& p) {
  a.count = p.size("count", 16384);
  a.kind = PixelLossKind(p.choice("kind", {"l1", "l2"}));
  p.finish_sizes();
  a.a = p.in("a", a.count), a.b = p.in("b", a.count);
  a.da = p.out("da", a.count), a.db = p.out("db", a.count);
  a.value = p.out_f32("value", 1);
}
template <>
void set_up(Adam& a, Problem& p) {
  a.count = p.size("count", 1024);
  p.finish_sizes();
  a.grad = p.in_f32("grad", a.count);
  a.scalars = p.in_f32("scalars", 3, 0.5);
  a.weight = p.out_f32("weight", a.count);
  a.m = p.out_f32("m", a.count), a.v = p.out_f32("v", a.count, 0.5);
}
template <>
void set_up(Sgd& a, Problem& p) {
  a.count = p.size("count", 1024);
  p.finish_sizes();
  a.momentum = 0.9;
  a.grad = p.in_f32("grad", a.count);
  a.scalars = p.in_f32("scalars", 3, 0.5);
  a.weight = p.out_f32("weight", a.count), a.velocity = p.out_f32("velocity", a.count);
}
template <>
void set_up(MovingAverage& a, Problem& p) {
  a.count = p.size("count", 1024);
  p.finish_sizes();
  a.weight = p.in_f32("weight", a.count);
  a.average = p.out_f32("average", a.count);
}
template <>
void set_up(GradNorm& a, Problem& p) {
  a.count = p.size("count", 16384);
  p.finish_sizes();
  a.grad = p.in_f32("grad", a.count);
  a.values = p.out_f32("values", 2);
}

// ------------------------------------------------------------------------------------------------- resample

namespace {
PoolWindow pool_window(Problem& p) {
  PoolWindow window;
  window.kh = window.kw = p.size("kernel", 2);
  window.sh = window.sw = p.size("stride", 2);
  window.ph = window.pw = p.size("pad", 0, 0);
  return window;
}
ResampleSize picture(Problem& p) {
  ResampleSize s;
  s.n = p.size("n", 1), s.h = p.size("h", 16), s.w = p.size("w", 16), s.c = p.size("c", 32);
  return s;
}
void pool(ResampleSize& s, const PoolWindow& w, Problem& p) {
  if (s.h + 2 * w.ph < w.kh || s.w + 2 * w.pw < w.kw)
    fail(Exit::usage, "--shape {}: the window is larger than the picture", p.sizes_text());
  s.oh = PoolWindow::out_size(s.h, w.kh, w.sh, w.ph), s.ow = PoolWindow::out_size(s.w, w.kw, w.sw, w.pw);
}
template <class Args>
void resample(Args& a, Problem& p) {
  a.size = picture(p);
  a.rule.kind = std::vector{ResampleKind::nearest, ResampleKind::bilinear, ResampleKind::average_pool,
                            ResampleKind::adaptive_average}[static_cast<size_t>(
      p.choice("kind", {"nearest", "bilinear", "average_pool", "adaptive_average"}))];
  if (a.rule.kind == ResampleKind::average_pool) {
    a.rule.window = pool_window(p);
    pool(a.size, a.rule.window, p);
  } else {
    a.size.oh = p.size("oh", 2 * a.size.h), a.size.ow = p.size("ow", 2 * a.size.w);
  }
  p.finish_sizes();
}
}  // namespace

template <>
void set_up(ResampleFwd& a, Problem& p) {
  resample(a, p);
  a.x = p.in("x", a.size.x_count());
  a.y = p.out("y", a.size.y_count());
}
template <>
void set_up(ResampleBwd& a, Problem& p) {
  resample(a, p);
  a.dy = p.in("dy", a.size.y_count());
  a.dx = p.out("dx", a.size.x_count());
}
template <>
void set_up(MaxPoolFwd& a, Problem& p) {
  a.size = picture(p);
  a.window = pool_window(p);
  pool(a.size, a.window, p);
  p.finish_sizes();
  a.x = p.in("x", a.size.x_count());
  a.y = p.out("y", a.size.y_count());
}
template <>
void set_up(MaxPoolBwd& a, Problem& p) {
  a.size = picture(p);
  a.window = pool_window(p);
  pool(a.size, a.window, p);
  p.finish_sizes();
  a.x = p.in("x", a.size.x_count());
  a.dy = p.in("dy", a.size.y_count());
  a.dx = p.out("dx", a.size.x_count());
}
template <>
void set_up(PixelShuffle& a, Problem& p) {
  a.n = p.size("n", 1), a.h = p.size("h", 8), a.w = p.size("w", 8), a.c = p.size("c", 16);
  a.factor = p.size("factor", 2);
  a.inverse = p.size("inverse", 0, 0);
  p.finish_sizes();
  a.x = p.in("x", a.count());
  a.y = p.out("y", a.count());
}

// ---------------------------------------------------------------------------------- pictures, random numbers

template <>
void set_up(ImageBatch& a, Problem& p) {
  a.count = p.size("count", 4);
  const int pictures = p.size("pictures", 4);
  a.pool_height = p.size("pool_height", 36), a.pool_width = p.size("pool_width", 36);
  a.height = p.size("height", 32), a.width = p.size("width", 32), a.channels = p.size("channels", 3);
  p.finish_sizes();
  if (a.height > a.pool_height || a.width > a.pool_width)
    fail(Exit::usage, "--shape {}: the crop is larger than the picture", p.sizes_text());
  std::vector<int32_t> placement;  // index, top, left, flip
  for (int i = 0; i < a.count; ++i)
    placement.insert(placement.end(), {i % pictures, i % (a.pool_height - a.height + 1),
                                       i * 2 % (a.pool_width - a.width + 1), i % 2});
  a.pool = p.in_u8("pool", int64_t(pictures) * a.pool_height * a.pool_width * a.channels);
  a.placement = p.in_i32("placement", placement);
  a.batch = p.out("batch", int64_t(a.count) * a.height * a.width * a.channels);
}
template <>
void set_up(RgbToLab& a, Problem& p) {
  a.count = p.size("count", 1024);
  p.finish_sizes();
  a.rgb = p.in("rgb", 3 * a.count);
  a.l = p.out("l", a.count), a.ab = p.out("ab", 2 * a.count);
}
template <>
void set_up(LabToRgb& a, Problem& p) {
  a.count = p.size("count", 1024);
  p.finish_sizes();
  a.l = p.in("l", a.count), a.ab = p.in("ab", 2 * a.count);
  a.rgb = p.out("rgb", 3 * a.count);
}
template <>
void set_up(PoolExchange& a, Problem& p) {
  a.count = p.size("count", 4), a.kept = p.size("kept", 3), a.elements = p.size("elements", 1024);
  p.finish_sizes();
  std::vector<int32_t> places;  // place, swap
  for (int i = 0; i < a.count; ++i) places.insert(places.end(), {i % (a.kept + 1) - 1, i % 2});
  a.batch = p.in("batch", int64_t(a.count) * a.elements);
  a.places = p.in_i32("places", places);
  a.pool = p.out("pool", int64_t(a.kept) * a.elements);
  a.shown = p.out("shown", int64_t(a.count) * a.elements);
}
template <>
void set_up(RandomNormal& a, Problem& p) {
  a.count = p.size("count", 1024);
  p.finish_sizes();
  a.y = p.out("y", a.count);
}
template <>
void set_up(RandomUniform& a, Problem& p) {
  a.count = p.size("count", 1024);
  p.finish_sizes();
  a.y = p.out("y", a.count);
}

template <>
void set_up(Dropout& a, Problem& p) {
  a.count = p.size("count", 1024);
  p.finish_sizes();
  a.x = p.in("x", a.count);
  a.y = p.out("y", a.count);
}

}  // namespace gan::tools
