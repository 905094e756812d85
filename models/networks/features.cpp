// VGG-16, VGG-19 and the own encoder: their layers, what a file of weights must hold, weights that the program holds.
#include "models/networks/features.h"

#include <algorithm>
#include <cmath>

#include "engine/files/safetensors.h"
#include "engine/run/run_folder.h"
#include "engine/tensor/picture_ops.h"
#include "kernels/shared/philox.h"

namespace gan {

namespace {

// A convolution, as a kind of network lists it.
struct Plan {
  std::string name;            // of its parameters, without ".weight"
  std::string before, behind;  // taps
  int in, out;                 // channels
  bool pooled;                 // the picture is halved first
};

// Kinds whose weights the program does not hold.
constexpr const char* kOfFiles[] = {own_encoder, "vgg16", "vgg19"};

bool is_own(const std::string& kind) { return kind == own_filters || kind == own_encoder; }

// torchvision counts convolutions, relus and pools alike: features.0 and features.2, behind the pool features.5, ...
std::vector<Plan> vgg_plan(bool deep) {
  constexpr int widths[] = {64, 128, 256, 512, 512};
  std::vector<Plan> plan;
  int index = 0, in = 3;
  for (int block = 1; block <= 5; ++block) {
    const int convolutions = block <= 2 ? 2 : deep ? 4 : 3;
    for (int i = 1; i <= convolutions; ++i) {
      const std::string place = fmt::format("{}_{}", block, i);
      const int out = widths[block - 1];
      plan.push_back(
          {fmt::format("features.{}", index), "conv" + place, "relu" + place, in, out, block > 1 && i == 1});
      in = out;
      index += 2;
    }
    ++index;  // the pool
  }
  return plan;
}

std::vector<Plan> own_plan() {
  constexpr int widths[] = {32, 64, 96, 96};
  std::vector<Plan> plan;
  int in = 3;
  for (int level = 1; level <= 4; ++level) {
    const int out = widths[level - 1];
    plan.push_back({fmt::format("level{}", level), "", fmt::format("level{}", level), in, out, level > 1});
    in = out;
  }
  return plan;
}

std::vector<Plan> plan_of(const std::string& kind) {
  if (is_own(kind)) return own_plan();
  GAN_CHECK(kind == "vgg16" || kind == "vgg19", "no network of features is called {}", kind);
  return vgg_plan(kind == "vgg19");
}

}  // namespace

// ------------------------------------------------------------------------------------------ a file of weights

namespace {

// What files call the tensors of a network, and their shapes there.
std::vector<std::pair<std::string, std::vector<int64_t>>> tensors_of(const std::string& kind) {
  std::vector<std::pair<std::string, std::vector<int64_t>>> tensors;
  const std::string before = kind == own_encoder ? encoder_prefix : "";
  for (const Plan& conv : plan_of(kind)) {
    tensors.push_back({before + conv.name + ".weight", {conv.out, conv.in, 3, 3}});
    tensors.push_back({before + conv.name + ".bias", {conv.out}});
  }
  return tensors;
}

// Which of them has more of its tensors in the file.
std::string nearest_kind(const SafetensorsFile& file) {
  std::string nearest;
  int most = 0;
  for (const char* kind : kOfFiles) {
    int found = 0;
    for (const auto& [name, shape] : tensors_of(kind)) found += file.find(name) != nullptr;
    if (found <= most) continue;
    most = found;
    nearest = kind;
  }
  return nearest;
}

}  // namespace

std::string feature_kind(const std::string& features) {
  if (features.empty() || features == own_filters) return own_filters;
  for (const char* kind : kOfFiles)
    if (features == kind) return kind;
  const auto file = SafetensorsFile::open(open_weights(features));
  const std::string path = file.path().string(), kind = nearest_kind(file);
  if (kind.empty())
    fail(
        Exit::bad_data,
        "{}: no tensor is called features.N.weight or encoder.level1.weight; --features takes torchvision's VGG-16 "
        "or VGG-19, or what the model encoder has learnt",
        path);
  if (file.find("features.1.running_mean"))
    fail(Exit::bad_data,
         "{}: a VGG with batch norm (`features.1.running_mean`); take the weights of vgg16 or vgg19", path);
  const auto wanted = tensors_of(kind);
  for (const auto& [name, shape] : wanted) {
    const TensorEntry* entry = file.find(name);
    if (!entry)
      fail(Exit::bad_data, "{}: no tensor `{}` ({}), which {} has", path, name, fmt::join(shape, ","), kind);
    if (entry->shape != shape)
      fail(Exit::bad_data, "{}: tensor `{}` is ({}), that of {} is ({})", path, name,
           fmt::join(entry->shape, ","), kind, fmt::join(shape, ","));
  }
  if (kind == own_encoder) return kind;  // its checkpoint holds more
  for (const TensorEntry& entry : file.tensors()) {
    const bool known = entry.name.starts_with("classifier.") ||
                       std::any_of(wanted.begin(), wanted.end(),
                                   [&](const auto& tensor) { return tensor.first == entry.name; });
    if (!known)
      fail(Exit::bad_data, "{}: tensor `{}` ({}) has no place in {}", path, entry.name,
           fmt::join(entry.shape, ","), kind);
  }
  return kind;
}

// ------------------------------------------------------------------------------------------------- the network

FeatureTaps usual_taps(const std::string& kind) {
  if (kind == "vgg16") return {{"relu3_3"}, {"relu1_2", "relu2_2", "relu3_3", "relu4_3"}};
  if (kind == "vgg19") return {{"conv4_4"}, {"relu1_1", "relu2_1", "relu3_1", "relu4_1"}};
  GAN_CHECK(is_own(kind), "no network of features is called {}", kind);
  return {{"level3"}, {"level1", "level2", "level3", "level4"}};
}

FeatureNetwork::FeatureNetwork(Parameters& p, const std::string& kind, const std::vector<std::string>& taps)
    : kind_(kind), taps_(taps) {
  const std::vector<Plan> plan = plan_of(kind);
  size_t layers = 0;
  for (const std::string& tap : taps) {
    const auto found = std::find_if(plan.begin(), plan.end(), [&](const Plan& conv) {
      return !tap.empty() && (conv.before == tap || conv.behind == tap);
    });
    GAN_CHECK(found != plan.end(), "{} has no tap {}", kind, tap);
    layers = std::max(layers, size_t(found - plan.begin()) + 1);
  }
  const ConvOptions zeros{.kernel = 3, .stride = 1, .pad = 1};
  ConvOptions mirror = zeros;
  mirror.padding = Padding::reflect;
  for (size_t i = 0; i < layers; ++i) {
    const Plan& conv = plan[i];
    layers_.push_back(
        {.before = conv.before,
         .behind = conv.behind,
         .pooled = conv.pooled,
         .conv = ConvLayer::make(p, conv.name, conv.in, conv.out, is_own(kind) ? mirror : zeros, false, true),
         .name = conv.name});
  }
}

std::vector<int> FeatureNetwork::channels() const {
  std::vector<int> channels;
  for (const std::string& tap : taps_)
    for (const Plan& conv : plan_of(kind_))
      if (conv.before == tap || conv.behind == tap) channels.push_back(conv.out);
  return channels;
}

int FeatureNetwork::smallest_side() const {
  int side = is_own(kind_) ? 2 : 1;  // a mirror needs a neighbour
  for (const Layer& layer : layers_) side *= layer.pooled ? 2 : 1;
  return side;
}

namespace {

// The colours that torchvision's networks were trained on: in [0,1], less the mean of ImageNet, by its deviation.
Tensor normalised_colours(const Tensor& x) {
  constexpr double mean[] = {0.485, 0.456, 0.406}, deviation[] = {0.229, 0.224, 0.225};
  std::vector<double> scale(9, 0.0), shift;
  for (size_t c = 0; c < 3; ++c) {
    scale[4 * c] = 0.5 / deviation[c];
    shift.push_back((0.5 - mean[c]) / deviation[c]);
  }
  DeviceContext& context = x.context();
  return conv2d(x, constants(context, {3, 1, 1, 3}, scale), constants(context, {3}, shift),
                {.kernel = 1, .stride = 1, .pad = 0});
}

}  // namespace

std::vector<Tensor> FeatureNetwork::at(const std::vector<std::string>& taps, const Parameters& p,
                                       const Tensor& x, const Pass& pass) const {
  GAN_CHECK(x.shape().rank == 4 && x.dim(3) == 3 && std::min(x.dim(1), x.dim(2)) >= smallest_side(),
            "{} of {}; wanted (N,H,W,3) of at least {} pixels a side", kind_, to_string(x.shape()),
            smallest_side());
  std::vector<Tensor> found(taps.size());
  const auto wants = [&](const std::string& tap) {
    return std::find(taps.begin(), taps.end(), tap) != taps.end();
  };
  const auto at_tap = [&](const std::string& name, const Tensor& y) {
    for (size_t i = 0; i < taps.size(); ++i)
      if (taps[i] == name) found[i] = y;
    if (pass.tap && wants(name)) pass.tap(name, y);
  };
  const auto is_missing = [](const Tensor& y) { return !y; };
  const bool own = is_own(kind_);
  Tensor y = own ? x : normalised_colours(x);
  for (const Layer& layer : layers_) {
    if (std::none_of(found.begin(), found.end(), is_missing)) break;
    const double before = x.context().flop();
    if (layer.pooled) y = own ? average_pool(y) : max_pool(y);
    const bool apart = wants(layer.before);  // else the relu is fused
    y = layer.conv(p, y, apart ? kNoAct : kRelu, pass.statistics);
    at_tap(apart ? layer.before : layer.behind, y);
    if (apart && (wants(layer.behind) || &layer != &layers_.back())) {
      y = activation(y, kRelu);
      at_tap(layer.behind, y);
    }
    if (!pass.tell) continue;
    const int64_t weights = p.infos()[size_t(layer.conv.weight)].shape.count() + y.dim(3);
    const char* pool = own ? "average pool + " : "max pool + ";
    pass.tell(
        {layer.name,
         fmt::format("{}conv2d 3x3 stride 1 pad 1{} + relu", layer.pooled ? pool : "", own ? " reflect" : ""),
         y.shape(), weights, x.context().flop() - before});
  }
  GAN_CHECK(std::none_of(found.begin(), found.end(), is_missing), "{} has no tap of {}", kind_,
            fmt::join(taps, ", "));
  return found;
}

// ---------------------------------------------------------------------------------------------- own encoder

namespace {

// Rows of normal numbers made orthogonal to those before them, as far as there is room, and of length `length`.
void orthogonalise(std::vector<double>& rows, size_t width, double length) {
  const size_t count = rows.size() / width;
  for (size_t r = 0; r < count; ++r) {
    double* row = rows.data() + r * width;
    for (size_t before = r / width * width; before < r; ++before) {
      const double* other = rows.data() + before * width;
      double along = 0;
      for (size_t i = 0; i < width; ++i) along += row[i] * other[i] / (length * length);
      for (size_t i = 0; i < width; ++i) row[i] -= along * other[i];
    }
    double square = 0;
    for (size_t i = 0; i < width; ++i) square += row[i] * row[i];
    for (size_t i = 0; i < width; ++i) row[i] *= length / std::sqrt(square);
  }
}

}  // namespace

void fill_filters(const Parameters& p) {
  constexpr uint64_t seed = 20160401;  // any number, but always the same: runs can be compared
  for (size_t i = 0; i < p.infos().size(); ++i) {
    const ParameterInfo& info = p.infos()[i];
    const int64_t count = info.shape.count();
    std::vector<float> values(size_t(count), 0.0f);  // a bias
    if (info.shape.rank == 4) {
      Stream host;
      find_backend(Device::cpu)
          ->rng.normal({.count = count, .seed = seed, .stream = uint32_t(i), .step = 0, .y = {values.data()}},
                       host);
      std::vector<double> rows(values.begin(), values.end());
      orthogonalise(rows, size_t(count / info.shape[0]), std::sqrt(2.0));  // a relu halves the square
      std::copy(rows.begin(), rows.end(), values.begin());
    }
    p.slice(int(i), p.weights()).upload(std::span<const float>(values));
  }
  p.weights().changed();
}

bool fill_features(const Parameters& p, const std::string& features) {
  if (features.empty() || features == own_filters) {
    fill_filters(p);
    return true;
  }
  for (const char* kind : kOfFiles)
    if (features == kind)
      fail(Exit::usage, "--features {}: the program holds no weights of it; name the file that has them",
           kind);
  return false;
}

}  // namespace gan
