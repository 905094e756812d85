// `gan inspect`: what a model is made of, or what lies in a checkpoint. Nothing is computed: the layers are
// walked on a plan, which counts sizes and arithmetic only.
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/files/talk.h"
#include "engine/run/gpu_model.h"
#include "engine/tensor/tape.h"
#include "models/tasks/zoo.h"
#include "models/training/feeder.h"
#include "models/use/checkpoint.h"
#include "models/use/published.h"
#include "tools/cli/commands.h"

namespace gan::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Layer {
  std::string network;
  LayerRecord record;
  size_t bytes;  // of the output, float32
};

struct TapeEntry {
  std::string operation;
  Shape shape;
  std::string attributes;               // "kernel=4 stride=2"
  const char* refuses_second_gradient;  // null, or what to use instead where gradients are penalised
};

// A model on a plan: laid out, but without memory behind it.
struct Planned {
  DeviceContext context;
  std::unique_ptr<Model> model;

  explicit Planned(const Config& config, Device device = Device::cpu)
      : context(device, DeviceContext::Mode::plan) {
    const ZooEntry& entry = find_model(config.model);
    entry.check(config);
    model = entry.make();
    model->build(context, config);
  }
};

std::vector<Layer> layers_of(Planned& planned, int batch) {
  std::vector<Layer> layers;
  for (auto& network : planned.model->networks) {
    planned.model->describe(planned.context, batch, network->name, [&](const LayerRecord& record) {
      layers.push_back(
          {network->name, record, size_t(record.output.count()) * size_of(planned.context.activations())});
    });
  }
  return layers;
}

// What one training step launches on a GPU, in order: device simt has its kernels and chooses as it does. The batch
// of pictures is there; noise is drawn.
std::vector<PlannedLaunch> launches_of(Config config, int batch) {
  config.precision = name_of(precision_of(config.precision, Device::cuda));
  Planned planned(config, Device::simt);
  std::vector<PlannedLaunch> launches;
  StepInput input = planned.model->planned_input(planned.context, batch);
  planned.context.on_launch = [&](const PlannedLaunch& launch) { launches.push_back(launch); };
  planned.model->begin_step(input);
  add_noise(*planned.model, planned.context, input);
  planned.model->step(input);
  planned.context.on_launch = nullptr;
  return launches;
}

// Of a list of launches, on one GPU.
struct LaunchSums {
  size_t kernels = 0;
  double flop = 0, bytes = 0, floor = 0, modelled = 0;

  LaunchSums(const std::vector<PlannedLaunch>& launches, const GpuModel& gpu) {
    for (const auto& launch : launches) {
      kernels += launch.kernels.size();
      flop += launch.flop, bytes += launch.bytes;
      floor += floor_seconds(launch, gpu), modelled += modelled_seconds(launch, gpu);
    }
  }
};

std::string place_of(const KernelLaunch& kernel) {
  return fmt::format("{}:{}", std::filesystem::path(kernel.file).filename().string(), kernel.line);
}

Json launches_json(const std::vector<PlannedLaunch>& launches, const GpuModel& gpu) {
  const LaunchSums sums(launches, gpu);
  Json result = {{"gpu", gpu.name},
                 {"kernels", sums.kernels},
                 {"operations", launches.size()},
                 {"flop", sums.flop},
                 {"bytes", sums.bytes},
                 {"floor_seconds", sums.floor},
                 {"modelled_seconds", sums.modelled}};
  result["list"] = Json::array();
  for (const auto& launch : launches) {
    Json kernels = Json::array();
    for (const auto& kernel : launch.kernels)
      kernels.push_back({{"launched_at", place_of(kernel)},
                         {"grid", kernel.grid},
                         {"block", kernel.block},
                         {"dynamic_shared_bytes", kernel.shared_bytes}});
    result["list"].push_back({{"op", launch.op},
                              {"variant", launch.variant},
                              {"type", name_of(launch.type)},
                              {"sizes", launch.sizes},
                              {"flop", launch.flop},
                              {"bytes", launch.bytes},
                              {"floor_seconds", floor_seconds(launch, gpu)},
                              {"kernels", kernels}});
  }
  return result;
}

void print_launches(const std::vector<PlannedLaunch>& launches, const GpuModel& gpu) {
  fmt::print("\nWhat one training step launches, by our own kernels, with floors on {} ({}):\n", gpu.name,
             gpu.source);
  std::vector<std::vector<std::string>> rows = {
      {"", "operation", "variant", "kernels", "GFLOP", "MB", "floor us", "sizes"}};
  // Neighbours of the same kind and sizes stand in one row.
  for (size_t i = 0; i < launches.size();) {
    const PlannedLaunch& first = launches[i];
    size_t same = 1;
    while (i + same < launches.size() && std::string_view(launches[i + same].op) == first.op &&
           launches[i + same].sizes == first.sizes &&
           launches[i + same].kernels.size() == first.kernels.size())
      ++same;
    rows.push_back({same > 1 ? fmt::format("{} x", same) : "", first.op, first.variant,
                    std::to_string(same * first.kernels.size()),
                    first.flop > 0 ? fmt::format("{:.3f}", double(same) * first.flop / 1e9) : "",
                    fmt::format("{:.2f}", double(same) * first.bytes / 1e6),
                    fmt::format("{:.1f}", double(same) * floor_seconds(first, gpu) * 1e6), first.sizes});
    i += same;
  }
  fmt::print("{}", table_text(rows, "rllrrrrl"));
  const LaunchSums sums(launches, gpu);
  fmt::print(
      "\n{} kernels of {} operations: {:.2f} GFLOP, {:.1f} MB; floor {:.3f} ms. Modelled: {:.3f} ms, if arithmetic reaches {:.0f} % "
      "and memory {:.0f} % of what {} can, and each kernel takes {:.0f} us more as a node of a CUDA graph.\n",
      sums.kernels, launches.size(), sums.flop / 1e9, sums.bytes / 1e6, sums.floor * 1e3, sums.modelled * 1e3,
      100 * kArithmeticShare, 100 * kMemoryShare, gpu.name, kNodeSeconds * 1e6);
}

// The operations that one training step records, in order.
std::vector<TapeEntry> tape_of(Planned& planned, int batch) {
  std::vector<TapeEntry> entries;
  planned.context.tape().on_operation = [&](const Tape::Node& node) {
    if (!node.output) return;  // not recorded: nothing wanted its gradient
    entries.push_back({node.record->name(), node.shape, to_string(node.record->attributes()),
                       node.record->refuses_second_gradient()});
  };
  planned.model->step(planned.model->planned_input(planned.context, batch));
  planned.context.tape().on_operation = nullptr;
  return entries;
}

Json shape_json(const Shape& shape) {
  Json json = Json::array();
  for (int i = 0; i < shape.rank; ++i) json.push_back(shape[i]);
  return json;
}

std::string flop_text(double flop) {
  return flop >= 1e9 ? fmt::format("{:.2f} G", flop / 1e9) : fmt::format("{:.2f} M", flop / 1e6);
}

void print_layers(const std::vector<Layer>& layers, Planned& planned) {
  std::vector<std::vector<std::string>> rows;
  rows.push_back({"network", "layer", "kind", "output", "parameters", "FLOP", "output bytes"});
  for (auto& network : planned.model->networks) {
    int64_t parameters = 0;
    double flop = 0, bytes = 0;
    for (const auto& layer : layers) {
      if (layer.network != network->name) continue;
      rows.push_back({layer.network, layer.record.name, layer.record.kind, to_string(layer.record.output),
                      grouped(layer.record.parameters), flop_text(layer.record.flop),
                      bytes_text(double(layer.bytes))});
      parameters += layer.record.parameters;
      flop += layer.record.flop;
      bytes += double(layer.bytes);
    }
    rows.push_back({network->name, "total", "", "", grouped(parameters), flop_text(flop), bytes_text(bytes)});
  }
  fmt::print("{}", table_text(rows, "llllrrr"));
}

Json layers_json(const std::vector<Layer>& layers) {
  Json list = Json::array();
  for (const auto& layer : layers)
    list.push_back({{"network", layer.network},
                    {"name", layer.record.name},
                    {"kind", layer.record.kind},
                    {"output", shape_json(layer.record.output)},
                    {"parameters", layer.record.parameters},
                    {"flop", layer.record.flop},
                    {"bytes", layer.bytes}});
  return list;
}

// For Graphviz: one column of boxes per network.
void print_dot(const std::vector<Layer>& layers, const std::string& model) {
  fmt::print("digraph {} {{\n  node [shape=box, fontname=\"sans-serif\"];\n", Json(model).dump());
  std::string previous, network;
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].network != network) {
      if (!network.empty()) fmt::print("  }}\n");
      network = layers[i].network;
      fmt::print("  subgraph cluster_{0} {{\n    label={0};\n", network);
      previous.clear();
    }
    const std::string node = fmt::format("layer{}", i);
    const auto& record = layers[i].record;
    fmt::print("    {} [label={}];\n", node,
               Json(fmt::format("{}\n{}\n{}", record.name, record.kind, to_string(record.output))).dump());
    if (!previous.empty()) fmt::print("    {} -> {};\n", previous, node);
    previous = node;
  }
  fmt::print("{}}}\n", network.empty() ? "" : "  }\n");
}

bool is_hash(const std::string& key) { return key.starts_with("xxh64."); }

void print_checkpoint(const SafetensorsFile& file) {
  fmt::print("{}\n", printable(file.path().string()));
  for (const auto& [key, value] : file.metadata())
    if (!is_hash(key) && key != "config") fmt::print("  {}\n", printable(key + " = " + value));
  if (file.find("state.step")) fmt::print("  step = {}\n", file.read_i64("state.step").at(0));
  fmt::print("  hashes: {}\n\n", file.has_hashes() ? "all tensors verified" : "none in this file");
  std::vector<std::vector<std::string>> rows = {{"tensor", "type", "shape", "bytes"}};
  for (const auto& entry : file.tensors())
    rows.push_back({entry.name, std::string(name_of(entry.type)), shape_text(entry.shape),
                    grouped(int64_t(entry.bytes()))});
  fmt::print("{}\n", table_text(rows, "lllr"));
}

Json checkpoint_json(const SafetensorsFile& file) {
  Json json;
  json["file"] = file.path().string();
  for (const auto& [key, value] : file.metadata())
    if (!is_hash(key)) json["metadata"][key] = value;
  if (file.find("state.step")) json["step"] = file.read_i64("state.step").at(0);
  json["hashes_verified"] = file.has_hashes();
  json["tensors"] = Json::array();
  for (const auto& entry : file.tensors())
    json["tensors"].push_back({{"name", entry.name},
                               {"dtype", name_of(entry.type)},
                               {"shape", entry.shape},
                               {"bytes", entry.bytes()}});
  return json;
}

// Weights that are no checkpoint of ours: what lies in the file, and whose it is.
void print_weights(const WeightsFile& file, bool json) {
  const PublishedForm* form = recognise_published(file);
  if (json) {
    Json result;
    result["file"] = file.path().string();
    if (form) result["published"] = form->name;
    result["tensors"] = Json::array();
    for (const auto& entry : file.tensors())
      result["tensors"].push_back(
          {{"name", entry.name}, {"dtype", name_of(entry.type)}, {"shape", entry.shape}});
    fmt::print("{}\n", result.dump(-1, ' ', false, Json::error_handler_t::replace));
    return;
  }
  fmt::print("{}: {}\n\n", printable(file.path().string()),
             form ? fmt::format("weights of {} ({})", form->name, form->source)
                  : std::string("weights of no network that is known here"));
  std::vector<std::vector<std::string>> rows = {{"tensor", "type", "shape"}};
  for (const auto& entry : file.tensors())
    rows.push_back({entry.name, std::string(name_of(entry.type)), shape_text(entry.shape)});
  fmt::print("{}", table_text(rows, "lll"));
}

bool is_model(const std::string& name) {
  for (const auto& entry : zoo())
    if (name == entry.name) return true;
  return false;
}

int run(const Arguments& arguments) {
  const std::string& what = arguments.words[0];
  const bool json = arguments.is_on("json"), dot = arguments.is_on("dot");
  std::error_code error;
  std::unique_ptr<SafetensorsFile> file;
  Config config;
  Origins origins;
  if (is_published_file(what)) return print_weights(WeightsFile::open(what), json), int(Exit::ok);
  if (is_model(what) || (!std::filesystem::exists(what, error) && !find_run_point(what))) {
    config = preset_config(what);  // an unknown word gets the list of models
    apply_options(arguments, config, origins);
  } else {
    file = std::make_unique<SafetensorsFile>(open_verified_checkpoint(what));
    config = read_checkpoint_config(*file);
    for (const auto& option : options_of_settings(kInspect))
      if (option.name != "batch" && arguments.has(option.name))
        fail(Exit::usage, "--{}: the networks of a checkpoint are given; this option is for MODEL",
             option.name);
  }
  const int batch = arguments.has("batch") ? (apply_options(arguments, config, origins), config.batch) : 1;

  Planned planned(config);
  const auto layers = layers_of(planned, batch);
  const bool wants_launches = arguments.is_on("launches");
  const GpuModel& gpu = find_gpu(arguments.text("gpu", "h200"));
  if (arguments.has("gpu") && !wants_launches)
    fail(Exit::usage, "--gpu says for which GPU --launches reckons: give both");
  const auto launches = wants_launches ? launches_of(config, batch) : std::vector<PlannedLaunch>{};
  const auto tape = arguments.is_on("tape") ? tape_of(planned, batch) : std::vector<TapeEntry>{};
  if (json) {
    Json result;
    result["model"] = config.model;
    result["batch"] = batch;
    if (file) result["checkpoint"] = checkpoint_json(*file);
    for (auto& network : planned.model->networks)
      result["parameters"][network->name] = network->parameters.learnt_count();
    result["layers"] = layers_json(layers);
    if (arguments.is_on("tape")) {
      result["tape"] = Json::array();
      for (const auto& entry : tape)
        result["tape"].push_back({{"op", entry.operation},
                                  {"shape", shape_json(entry.shape)},
                                  {"attributes", entry.attributes},
                                  {"second_derivative", !entry.refuses_second_gradient}});
    }
    if (wants_launches) result["launches"] = launches_json(launches, gpu);
    fmt::print("{}\n", result.dump(-1, ' ', false, Json::error_handler_t::replace));
    return int(Exit::ok);
  }
  if (dot) {
    print_dot(layers, config.model);
    return int(Exit::ok);
  }
  if (file) print_checkpoint(*file);
  print_layers(layers, planned);
  if (arguments.is_on("tape")) {
    fmt::print("\nOperations that one training step records:\n");
    std::vector<std::vector<std::string>> rows = {{"", "operation", "output", "attributes"}};
    std::map<std::string, std::string> refusals;
    for (size_t i = 0; i < tape.size(); ++i) {
      rows.push_back({std::to_string(i), tape[i].operation, to_string(tape[i].shape), tape[i].attributes});
      if (tape[i].refuses_second_gradient) refusals[tape[i].operation] = tape[i].refuses_second_gradient;
    }
    fmt::print("{}", table_text(rows, "rlll"));
    for (const auto& [operation, remedy] : refusals)
      fmt::print("\n{} has no second derivative: {}.\n", operation, remedy);
  }
  if (wants_launches) print_launches(launches, gpu);
  return int(Exit::ok);
}

}  // namespace

Command describe_inspect() {
  Command command;
  command.name = "inspect";
  command.summary = "layers, parameters, arithmetic and memory of a model or checkpoint";
  command.words = {
      {"MODEL|RUN|CKPT|WEIGHTS",
       "a model's name, folder of a run, a checkpoint file, whose hashes are verified, or another file of "
       "weights (.pth, .pt, .safetensors), whose tensors are listed",
       Word::Kind::model_or_file,
       true,
       {}}};
  command.options = {
      {"tape", "output", "also the operations one training step records", "", "", true},
      {"launches", "output",
       "also what one training step launches on a GPU, with floors and a model of its time", "", "", true},
      {"gpu", "output", "of --launches: h200, h100, a100 or rtx4090", "h200|h100|a100|rtx4090", "h200",
       false},
      {"json", "output", "machine-readable, on stdout", "", "", true},
      {"dot", "output", "the layers for Graphviz", "", "", true}};
  for (auto& option : options_of_settings(kInspect)) {
    if (option.name == "batch") option.fallback = "1";
    option.group = "model";
    command.options.push_back(option);
  }
  for (auto& option : common_options()) command.options.push_back(option);
  command.examples = {"gan inspect dcgan", "gan inspect dcgan --size 32 --batch 64 --tape",
                      "gan inspect dcgan --size 64 --batch 128 --launches --gpu h200",
                      "gan inspect runs/faces --json", "gan inspect dcgan --dot | dot -Tsvg > dcgan.svg"};
  command.run = run;
  return command;
}

}  // namespace gan::tools
