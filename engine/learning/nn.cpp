// Flat parameter buffers, file layouts, layers.
#include "engine/learning/nn.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gan {

// ---------------------------------------------------------------------------------------------- file layouts

Shape ParameterInfo::file_shape() const {
  if (layout == Layout::conv) return {shape[0], shape[3], shape[1], shape[2]};
  return shape;
}

namespace {
// Calls f(index here, index in the file) for every element.
template <class F>
void for_each_pair(const ParameterInfo& p, F f) {
  switch (p.layout) {
    case Layout::plain:
      for (int64_t i = 0; i < p.shape.count(); ++i) f(i, i);
      return;
    case Layout::conv: {
      const auto [o, kh, kw, c] = p.shape.dims;
      int64_t here = 0;
      for (int64_t a = 0; a < o; ++a)
        for (int64_t y = 0; y < kh; ++y)
          for (int64_t x = 0; x < kw; ++x)
            for (int64_t i = 0; i < c; ++i, ++here) f(here, ((a * c + i) * kh + y) * kw + x);
      return;
    }
    case Layout::rows_picture:
    case Layout::columns_picture: {
      const int64_t h = p.picture[0], w = p.picture[1], c = p.picture[2];
      const bool rows = p.layout == Layout::rows_picture;
      const int64_t others = p.shape.count() / (h * w * c);
      for (int64_t pixel = 0; pixel < h * w; ++pixel)
        for (int64_t channel = 0; channel < c; ++channel) {
          const int64_t here = pixel * c + channel, there = channel * h * w + pixel;
          for (int64_t k = 0; k < others; ++k) {
            if (rows) f(here * others + k, there * others + k);
            else f(k * h * w * c + here, k * h * w * c + there);
          }
        }
      return;
    }
  }
}
}  // namespace

template <class T>
std::vector<T> ParameterInfo::to_file(std::span<const T> values) const {
  std::vector<T> result(values.size());
  for_each_pair(*this, [&](int64_t here, int64_t there) { result[there] = values[here]; });
  return result;
}
template std::vector<float> ParameterInfo::to_file(std::span<const float>) const;
template std::vector<double> ParameterInfo::to_file(std::span<const double>) const;

std::vector<float> ParameterInfo::from_file(std::span<const float> values) const {
  std::vector<float> result(values.size());
  for_each_pair(*this, [&](int64_t here, int64_t there) { result[here] = values[there]; });
  return result;
}

// ----------------------------------------------------------------------------------------------- parameters

int Parameters::declare(ParameterInfo info) {
  GAN_CHECK(!built(), "{} declared after build()", info.name);
  infos_.push_back(std::move(info));
  return int(infos_.size()) - 1;
}

namespace {
// random_normal(seed, stream, 0, i) for i in [0, count), by the cpu device, which draws many at once.
std::vector<float> normal_numbers(int64_t count, uint64_t seed, uint32_t stream) {
  std::vector<float> numbers(static_cast<size_t>(count));
  if (count == 0) return numbers;
  Stream host;
  const Op<RandomNormal>& draw = find_backend(Device::cpu)->rng.normal;
  draw({.count = count, .seed = seed, .stream = stream, .step = 0, .y = {numbers.data()}}, host);
  return numbers;
}
}  // namespace

void Parameters::lay_out(DeviceContext& context) {
  const int64_t unit = 128 / int64_t(size_of(context.real()));
  int64_t learnt = 0, statistics = 0;
  for (auto& info : infos_) {
    int64_t& end = info.buffer ? statistics : learnt;
    info.offset = end;
    end += (info.shape.count() + unit - 1) / unit * unit;
  }
  weights_ = Tensor(context, {learnt});
  statistics_ = Tensor(context, {statistics});
  if (context.activations() == context.real()) return;
  rounded_ = Tensor(context, {learnt}, context.activations());
  rounded_.zero();
}

void Parameters::build_for_use(DeviceContext& context) {
  lay_out(context);
  weights_.zero();
  statistics_.zero();
  slots_.resize(infos_.size());
  frozen_ = still_ = true;
}

void Parameters::build(DeviceContext& context, uint64_t seed, uint32_t stream) {
  lay_out(context);
  gradients_ = Tensor(context, weights_.shape());
  gradients_.zero();
  if (!context.planning()) initialise(seed, stream);  // a plan has no memory for values

  slots_.resize(infos_.size());
  for (size_t i = 0; i < infos_.size(); ++i) {
    if (infos_[i].buffer) continue;
    slots_[i] = std::make_shared<Gradient>();
    slots_[i]->value = slice(int(i), gradients_);
    slots_[i]->parameter = true;
  }
}

void Parameters::initialise(uint64_t seed, uint32_t stream) {
  std::vector<float> flat(size_t(weights_.count())), flat_statistics(size_t(statistics_.count()));
  int64_t to_draw = 0;
  for (const auto& info : infos_)
    if (info.deviation != 0) to_draw += info.shape.count();
  const std::vector<float> normals = normal_numbers(to_draw, seed, stream);
  // The padding draws nothing, so that devices with other padding start from the same weights.
  const float* drawn = normals.data();
  for (const auto& info : infos_) {
    float* values = (info.buffer ? flat_statistics : flat).data() + info.offset;
    const int64_t n = info.shape.count();
    const float mean = float(info.mean), deviation = float(info.deviation);
    if (deviation == 0) {
      std::fill_n(values, n, mean);
      continue;
    }
    const int64_t row = n / info.shape[0];
    for (int64_t first = 0; first < n; first += row) {
      const float* from = drawn + first / row / info.repeat * info.repeat * row;
      for (int64_t i = 0; i < row; ++i)
        values[first + i] = mean == 0 ? deviation * from[i] : std::fma(deviation, from[i], mean);
    }
    if (info.unit) {
      const double square = std::inner_product(values, values + n, values, 0.0);
      std::for_each_n(values, n, [&](float& value) { value = float(value / std::sqrt(square)); });
    }
    drawn += n;
  }
  weights_.upload(std::span<const float>(flat));
  statistics_.upload(std::span<const float>(flat_statistics));
  weights_.changed();
}

Tensor Parameters::slice(int index, const Tensor& flat) const {
  const auto& info = infos_.at(index);
  return flat.view(info.offset, info.shape);
}

Tensor Parameters::value(int index) const {
  if (infos_.at(index).buffer) return slice(index, statistics_);
  return slice(index, averaged_ ? average_ : weights_);
}

Tensor Parameters::learnt(int index) const {
  Tensor t = value(index);
  if (!frozen_ && !averaged_) t.set_gradient(slots_[index]);
  return t;
}

Tensor Parameters::operator[](int index) const {
  if (!rounded_ || averaged_ || infos_.at(index).buffer || infos_[index].shape.rank < 2) return learnt(index);
  round_weights();
  Tensor t = slice(index, rounded_);
  if (!frozen_) t.set_gradient(slots_[index]);
  return t;
}

void Parameters::round_weights() const {
  if (!rounded_ || rounded_of_ == weights_.version())
    return;  // else: somebody else than the optimiser wrote weights
  DeviceContext& c = rounded_.context();
  c.run(c.kernels().pointwise.affine, {.count = weights_.count(), .x = weights_.in(), .y = rounded_.out()});
  rounded_is_current();
}

void Parameters::rounded_is_current() const {
  if (!rounded_) return;
  rounded_.changed();
  rounded_.context().count_on_host([this] { rounded_of_ = weights_.version(); });
}

Tensor Parameters::gradient(int index) const { return slice(index, gradients_); }

int64_t Parameters::learnt_count() const {
  int64_t n = 0;
  for (const auto& info : infos_)
    if (!info.buffer) n += info.shape.count();
  return n;
}

void Parameters::keep_average() {
  DeviceContext& c = weights_.context();
  average_ = Tensor(c, weights_.shape());
  c.run(c.kernels().pointwise.affine, {.count = weights_.count(), .x = weights_.in(), .y = average_.out()});
  average_.changed();
}

void Parameters::forget_gradients() {
  for (auto& slot : slots_)
    if (slot) slot->received = false;
}

void Parameters::complete_gradients() {
  for (auto& slot : slots_)
    if (slot && !slot->received) {
      slot->value.zero();
      slot->received = true;
    }
}

std::vector<float> Parameters::export_values(int index, const Tensor& flat) const {
  return infos_.at(index).to_file<float>(slice(index, flat ? flat : statistics_).host_f32());
}

void Parameters::import_values(int index, std::span<const float> values, const Tensor& flat) const {
  const Tensor to = flat ? flat : statistics_;
  slice(index, to).upload(std::span<const float>(infos_.at(index).from_file(values)));
  to.changed();
}

// --------------------------------------------------------------------------------------------------- layers

SpectralNorm SpectralNorm::make(Parameters& p, const std::string& weight, const Shape& shape,
                                bool outputs_last) {
  SpectralNorm norm{.outputs_last = outputs_last};
  const int64_t outputs = shape[outputs_last ? 3 : 0], others = shape.count() / outputs;
  const auto declare = [&](const char* end, int64_t count) -> ParameterInfo {
    return {
        .name = weight + end, .shape = {count}, .picture = {}, .deviation = 1, .unit = true, .buffer = true};
  };
  norm.u = p.declare(declare("_u", outputs));
  ParameterInfo v = declare("_v", others);
  if (!outputs_last) {  // (kh,kw,in) here, (in,kh,kw) there; a transposed weight has (in,kh,kw) here as well
    v.layout = Layout::rows_picture;
    v.picture = {shape[1], shape[2], shape[3]};
  }
  norm.v = p.declare(std::move(v));
  return norm;
}

Tensor SpectralNorm::operator()(const Parameters& p, const Tensor& weight, Statistics statistics) const {
  return spectral_norm(weight, p.value(u), p.value(v), outputs_last,
                       statistics == Statistics::batch && p.statistics_move());
}

ConvLayer ConvLayer::make(Parameters& p, const std::string& name, int in, int out, ConvOptions options,
                          bool transposed, bool with_bias, double deviation, int repeat, bool with_spectral) {
  ConvLayer layer{.options = options, .transposed = transposed};
  const int64_t k = options.kernel;
  const Shape shape =
      transposed ? Shape{in, k, k, out / options.groups} : Shape{out, k, k, in / options.groups};
  const std::string weight = name + ".weight";
  layer.weight = p.declare({.name = with_spectral ? weight + "_orig" : weight,
                            .shape = shape,
                            .layout = Layout::conv,
                            .picture = {},
                            .deviation = deviation,
                            .repeat = repeat});
  if (with_bias) layer.bias = p.declare({.name = name + ".bias", .shape = {out}, .picture = {}});
  if (with_spectral) layer.spectral = SpectralNorm::make(p, weight, shape, transposed);
  return layer;
}

Tensor ConvLayer::operator()(const Parameters& p, const Tensor& x, Activation act,
                             Statistics statistics) const {
  const Tensor b = bias < 0 ? Tensor() : p[bias];
  const Tensor w =
      spectral.u < 0 ? p[weight] : cast(spectral(p, p.learnt(weight), statistics), x.context().activations());
  return transposed ? conv_transpose2d(x, w, b, options, act) : conv2d(x, w, b, options, act);
}

NormLayer NormLayer::make(Parameters& p, const std::string& name, NormKind kind, int channels) {
  NormLayer layer{.kind = kind};
  if (kind != NormKind::batch) return layer;
  auto declare = [&](const char* what, double mean, double deviation, bool buffer) {
    return p.declare({.name = name + what,
                      .shape = {channels},
                      .picture = {},
                      .mean = mean,
                      .deviation = deviation,
                      .buffer = buffer});
  };
  layer.gamma = declare(".weight", 1, 0.02, false);
  layer.beta = declare(".bias", 0, 0, false);
  layer.running_mean = declare(".running_mean", 0, 0, true);
  layer.running_var = declare(".running_var", 1, 0, true);
  return layer;
}

Tensor NormLayer::operator()(const Parameters& p, const Tensor& x, Activation act, Statistics statistics,
                             int batches) const {
  if (kind == NormKind::none) return act.kind == Act::none ? x : activation(x, act);
  if (kind == NormKind::instance) return normalise(x, kind, {}, act);
  NormTensors t{p[gamma], p[beta], p.value(running_mean), p.value(running_var)};
  if (statistics == Statistics::running) return normalise_running(x, t, act);
  if (!p.statistics_move()) t.running_mean = t.running_var = Tensor();
  return normalise(x, kind, t, act, 0.1, 1e-5, batches);
}

Tensor LinearLayer::operator()(const Parameters& p, const Tensor& x, Activation act) const {
  return linear(x, p[weight], bias < 0 ? Tensor() : p[bias], act);
}

}  // namespace gan
