// A step on a plan, and words for it.
#include "models/training/plan.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/files/talk.h"
#include "models/tasks/noise_gan.h"
#include "models/use/checkpoint.h"
#include "models/use/sample.h"
#include "models/use/translate.h"

namespace gan {

namespace {

// What validation and grids do between steps: one picture at a time, of the size that is trained on. The blocks of
// memory that a step leaves free are not always of use to it.
void look_at_pictures(DeviceContext& context, Model& model) {
  const Config& config = model.config;
  const UseSpec spec = model.use();
  if (spec.pictures.empty() || (config.eval_every == 0 && config.sample_every == 0)) return;
  const auto picture = [&] { return Tensor(context, {1, config.size, config.size, config.channels}); };
  Use use;
  if (spec.styles) use.styles = {{.picture = picture()}};
  translator_of(model, context, use).run(picture());
}

}  // namespace

StepPlan plan_step(const Config& config, Device device) {
  DeviceContext context(device, DeviceContext::Mode::plan);
  auto model = build_model(context, config);
  StepPlan plan;
  const int64_t operations = context.operations();
  const double flop = context.flop();
  model->step(model->planned_input(context, config.batch));
  plan.operations = context.operations() - operations;
  plan.flop = context.flop() - flop;
  plan.draws = draws_per_step(*model);
  plan.checkpoint_bytes = checkpoint_bytes(*model);
  look_at_pictures(context, *model);
  model->step(model->planned_input(context, config.batch));  // versions of weights are those of a later step
  if (config.sample_every > 0 && config.has<NoiseSettings>()) {  // the grid may take more than the step
    Tensor z(context, {kSamplesAtOnce, config.get<NoiseSettings>().nz});
    model->sample(z);
  }
  plan.buffer_bytes = context.pool().reserved_bytes();
  // A checkpoint is written tensor by tensor, each as it lies on the device and as PyTorch has it.
  int64_t largest = 0;
  for (const auto& network : model->networks)
    for (const ParameterInfo& info : network->parameters.infos())
      largest = std::max(largest, info.file_shape().count());
  // Measured beside these counts: a fifth more is kept, and up to a twentieth of everything lies between blocks.
  const size_t kept = context.planned_kept_bytes() * 6 / 5;
  plan.library_bytes =
      kept + 2 * size_t(largest) * sizeof(float) + program_bytes + (plan.buffer_bytes + kept) / 20;
  for (const auto& network : model->networks)
    if (!network->learns())
      plan.frozen_bytes.emplace_back(network->name,
                                     network->parameters.learnt_count() * int64_t(sizeof(float)));
  for (const auto& network : model->networks)
    plan.parameters.emplace_back(network->name, network->parameters.learnt_count());
  return plan;
}

void print_plan(const Config& config, const Origins& origins, const StepPlan& plan, Device device) {
  const double megabyte = 1 << 20;
  if (config.json) {
    nlohmann::ordered_json line;
    line["config"] = nlohmann::ordered_json::parse(to_json(config));
    line["origins"] = origins;
    line["device"] = name_of(device);
    for (const auto& [network, count] : plan.parameters) line["parameters_" + network] = count;
    line["memory_bytes"] = plan.memory_bytes();
    line["flop_per_step"] = std::llround(plan.flop);
    line["operations_per_step"] = plan.operations;
    line["checkpoint_bytes"] = plan.checkpoint_bytes;
    fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    return;
  }
  for (const SettingGroup* group : config.groups())
    for (const AnySetting* setting : group->settings()) {
      const std::string text = setting->text();
      const auto origin = origins.find(setting->name());
      fmt::print("{:<16}{:<24}{}\n", setting->name(), text.empty() ? "-" : printable(text),
                 origin == origins.end() ? "default" : origin->second);
    }
  fmt::print("\ndevice           {}\n", name_of(device));
  fmt::print("parameters      ");
  for (const auto& [network, count] : plan.parameters) fmt::print(" {} {} ", network, count);
  fmt::print("\n");
  fmt::print(
      "memory           {:.0f} MiB: {:.0f} weights, moments and activations, {:.0f} pictures, {:.0f} library "
      "and code\n",
      double(plan.memory_bytes()) / megabyte, double(plan.buffer_bytes) / megabyte,
      double(plan.data_bytes) / megabyte, double(plan.library_bytes) / megabyte);
  fmt::print("work per step    {:.2f} GFLOP in {} operations\n", plan.flop / 1e9, plan.operations);
}

int draws_per_step(const Model& model) {
  int draws = 1;
  for (const InputSpec& input : model.inputs()) draws = std::max(draws, input.draws);
  return draws;
}

RunLength plan_length(const Config& config, int draws, int64_t draws_per_epoch) {
  RunLength length;
  length.steps_per_epoch = std::max<int64_t>(1, draws_per_epoch / draws);
  // More than the random numbers are counted for takes centuries; past it they would repeat.
  const int64_t most = kMostDraws / draws;
  length.last_step = config.steps > 0 ? std::min(int64_t(config.steps), most) : INT64_MAX;
  if (config.epochs > 0) {
    const int64_t passes = std::min(int64_t(config.epochs), most / length.steps_per_epoch);
    const int64_t steps =
        std::max(passes * length.steps_per_epoch, std::min(int64_t(config.least_steps), most));
    length.last_step = std::min(length.last_step, steps);
  }
  length.by_clock = length.last_step == INT64_MAX && *config.lr_policy != "constant";
  if (length.last_step != INT64_MAX)
    length.epochs = (length.last_step + length.steps_per_epoch - 1) / length.steps_per_epoch;
  return length;
}

DataOptions data_options(const Config& c) {
  DataOptions o;
  o.source = c.data;
  o.examples = find_model(c.model).examples;
  if (c.has<PairSettings>()) o.b_to_a = c.get<PairSettings>().direction == "BtoA";
  if (c.has<MadeInputSettings>()) o.make_input = parse_input_kind(c.get<MadeInputSettings>().make_input);
  if (c.has<ExposureSettings>()) o.jitter_exposure = c.get<ExposureSettings>().jitter_exposure;
  if (c.has<TeacherSettings>()) o.teacher = c.get<TeacherSettings>().teacher;
  if (c.has<StyleSetSettings>()) o.style = c.get<StyleSetSettings>().style;
  if (o.make_input == InputKind::grey && c.channels == 1)
    fail(Exit::usage, "--make-input grey with --channels 1: the input would be the target itself");
  o.size = c.size;
  o.load_size = c.load_size;
  o.channels = c.channels;
  o.augment = !c.no_augment;
  o.shuffle = !c.no_shuffle;
  o.split = c.split;
  o.matte = parse_colour(c.matte);
  o.max_bad = c.max_bad;
  o.workers = c.workers;
  o.cache_gb = c.cache_gb;
  o.seed = uint64_t(c.seed);
  return o;
}

}  // namespace gan
