// What all models share: declaring, building, running a step.
#include "models/players/model.h"

#include <algorithm>
#include <cmath>

#include "engine/files/safetensors.h"
#include "engine/run/run_folder.h"
#include "kernels/shared/philox.h"
#include "models/networks/features.h"

namespace gan {

int channels_of(const InputSpec& input, const Config& config) {
  switch (input.kind) {
    case InputSpec::Kind::lightness:
    case InputSpec::Kind::grain: return 1;
    case InputSpec::Kind::colour: return 2;
    default: return config.channels;
  }
}

Network& Model::network(const std::string& name) {
  for (auto& network : networks)
    if (network->name == name) return *network;
  fail(Exit::failure, "model {} has no network {}", config.model, name);
}

namespace {
// The stream of a network's initial weights. G and D have the numbers that they always had; others are numbered
// by their place.
uint32_t initial_stream(const std::string& name, size_t place) {
  if (name == "G") return uint32_t(RandomStream::init_g);
  if (name == "D") return uint32_t(RandomStream::init_d);
  return uint32_t(RandomStream::init_networks) + uint32_t(place);
}
}  // namespace

Network& Model::add_network(const std::string& name, const NetworkTraits& traits) {
  auto network = std::make_unique<Network>();
  network->name = name;
  network->stream = initial_stream(name, networks.size());
  network->averaged = traits.averaged;
  network->used = traits.used;
  network->weights_from = traits.weights_from;
  network->built_in = traits.built_in;
  network->file_prefix = traits.file_prefix;
  networks.push_back(std::move(network));
  return *networks.back();
}

Player& Model::add_player(const std::string& name, std::vector<Network*> of, bool discriminates) {
  players.push_back(std::make_unique<Player>(Player{name, std::move(of), discriminates}));
  return *players.back();
}

void Model::declare_all(const Config& settings) {
  config = settings;
  declare();
  if (stages_.empty()) stages_.push_back({});
  for (size_t i = 0; i + 1 < stages_.size(); ++i)
    GAN_CHECK(stages_[i].steps > 0, "stage {} of {} has no length, and others follow", i, config.model);
  for (const Stage& stage : stages_)
    for (const std::string& name : stage.trains) network(name);  // fails for one that is not there
}

int Model::stage_at(int64_t steps_done) const {
  size_t stage = 0;
  for (int64_t end = 0; stage + 1 < stages_.size(); ++stage)
    if (steps_done < (end += stages_[stage].steps)) break;
  return int(stage);
}

int Model::size_at(int stage) const {
  const int size = stages_.at(size_t(stage)).size;
  return size > 0 ? size : config.size;
}

Network& Model::add_features(bool used) {
  return add_network("features", {.averaged = false,
                                  .used = used,
                                  .weights_from = "features",
                                  .built_in = fill_features,
                                  .file_prefix = encoder_prefix});
}

void Model::check_makes_pictures() const {
  if (!makes_pictures())
    fail(Exit::usage, "this {} makes no pictures; other models take it with --features", config.model);
}

bool Model::trains(int stage, const Network& network) const {
  const auto& names = stages_.at(size_t(stage)).trains;
  return network.learns() &&
         (names.empty() || std::find(names.begin(), names.end(), network.name) != names.end());
}

void Model::build(DeviceContext& context, const Config& settings, Frozen frozen) {
  frozen_ = frozen;
  context.set_precision(precision_of(settings.precision, context.device()));
  declare_all(settings);
  for (auto& network : networks) {
    if (!network->learns()) {
      network->parameters.build_for_use(context);
      continue;
    }
    network->parameters.build(context, uint64_t(config.seed), network->stream);
    network->adam =
        AdamOptimiser(network->parameters,
                      {.beta1 = config.beta1, .beta2 = config.beta2, .weight_decay = config.weight_decay});
    if (network->averaged && config.ema > 0) network->parameters.keep_average();
  }
  if (!context.planning() && frozen == Frozen::from_settings) load_frozen();
  after_build(context);
}

void Model::build_for_use(DeviceContext& context, const Config& settings, Frozen frozen) {
  frozen_ = frozen;
  declare_all(settings);
  for (auto& network : networks) {
    if (!network->used) continue;
    network->parameters.build_for_use(context);
    if (network->averaged && config.ema > 0) network->parameters.keep_average();
  }
  if (!context.planning() && frozen == Frozen::from_settings) load_frozen();
}

void Model::load_frozen() {
  for (auto& network : networks) {
    if (network->learns() || !network->parameters.built()) continue;
    const bool may_name = !network->weights_from.empty();
    const std::string path = may_name ? get_setting(config, network->weights_from) : "";
    if (network->built_in && network->built_in(network->parameters, path)) continue;
    if (path.empty())
      fail(Exit::usage, "{} needs --{} FILE: the weights of its network {}", config.model,
           network->weights_from, network->name);
    const auto file = SafetensorsFile::open(open_weights(path));
    const Parameters& p = network->parameters;
    for (size_t i = 0; i < p.infos().size(); ++i) {
      const ParameterInfo& info = p.infos()[i];
      const std::string prefixed = network->file_prefix + info.name;
      const TensorEntry& entry = file.get(file.find(prefixed) ? prefixed : info.name);
      const Shape want = info.file_shape();
      if (!std::equal(entry.shape.begin(), entry.shape.end(), want.dims.begin(),
                      want.dims.begin() + want.rank))
        fail(Exit::bad_data, "{}: tensor `{}` is ({}), network {} wants {}", path, entry.name,
             fmt::join(entry.shape, ","), network->name, to_string(want));
      const std::vector<float> values = file.read_f32(entry.name);
      if (!std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); }))
        fail(Exit::bad_data, "{}: tensor `{}` holds a number that is not finite; network {} cannot use it",
             path, entry.name, network->name);
      p.import_values(int(i), values, info.buffer ? Tensor() : p.weights());
    }
  }
}

void Model::begin_step(const StepInput& in) {
  for (auto& player : players)
    for (Network* network : player->networks)
      if (trains(in.stage, *network))
        network->adam.prepare(player->discriminates ? in.learning_rate_d : in.learning_rate, player->updates);
  prepare(in);
  networks[0]->parameters.weights().context().step_values().begin_step(in.step, in.draw);
}

StepResult Model::step(const StepInput& input) {
  Step step(*this, input);
  begin_step(input);
  Tape& tape = step.context().tape();
  tape.clear();
  learn(step);
  tape.clear();
  return step.result();
}

StepInput Model::planned_input(DeviceContext& context, int batch) const {
  StepInput in;
  for (int i = 0; i < int(stages_.size()); ++i)
    if (size_at(i) >= size_at(in.stage)) in.stage = i;  // where the largest pictures are
  const int size = size_at(in.stage);
  for (const InputSpec& spec : inputs_)
    for (int i = 0; i < spec.draws; ++i) {
      const bool noise = spec.kind == InputSpec::Kind::noise;
      const Shape shape =
          noise ? Shape{batch, spec.width} : Shape{batch, size, size, channels_of(spec, config)};
      in.add(spec.name, Tensor(context, shape, context.activations()));
    }
  return in;
}

Tensor Model::sample(const Tensor&) {
  fail(Exit::usage, "{} makes pictures from pictures, not from noise; use `gan translate`", config.model);
}

Tensor Model::make(const Use&) {
  fail(Exit::usage, "{} makes pictures from noise, not from pictures; use `gan sample`", config.model);
}

const Tensor& Model::picture(const Use& use, const std::string& name) const {
  const auto found = use.pictures.find(name);
  if (found == use.pictures.end())
    fail(Exit::usage, "{} makes pictures of: {}; there is no {}", config.model,
         fmt::join(this->use().pictures, ", "), name);
  return found->second;
}

double Model::control(const Use& use, const std::string& name) const {
  for (const Control& control : this->use().controls) {
    if (control.name != name) continue;
    const auto given = use.controls.find(name);
    const double value = given == use.controls.end() ? control.value : given->second;
    if (!(value >= control.low && value <= control.high))
      fail(Exit::usage, "{} of {} is {}; give a number from {} to {}", name, config.model, value, control.low,
           control.high);
    return value;
  }
  fail(Exit::failure, "model {} has no control {}", config.model, name);
}

GridRow Model::show(const std::map<std::string, Tensor>&, const Use&) { return {}; }

}  // namespace gan
