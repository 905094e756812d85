// `gan inspect`: what a model is made of, or what lies in a checkpoint. Nothing is computed: the layers are
// walked on a plan, which counts sizes and arithmetic only.
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "engine/files/talk.h"
#include "engine/tensor/tape.h"
#include "models/tasks/zoo.h"
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
  DeviceContext context{Device::cpu, DeviceContext::Mode::plan};
  std::unique_ptr<Model> model;

  explicit Planned(const Config& config) {
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
      layers.push_back({network->name, record, size_t(record.output.count()) * sizeof(float)});
    });
  }
  return layers;
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
  command.options = {{"tape", "output", "also the operations one training step records", "", "", true},
                     {"json", "output", "machine-readable, on stdout", "", "", true},
                     {"dot", "output", "the layers for Graphviz", "", "", true}};
  for (auto& option : options_of_settings(kInspect)) {
    if (option.name == "batch") option.fallback = "1";
    option.group = "model";
    command.options.push_back(option);
  }
  for (auto& option : common_options()) command.options.push_back(option);
  command.examples = {"gan inspect dcgan", "gan inspect dcgan --size 32 --batch 64 --tape",
                      "gan inspect runs/faces --json", "gan inspect dcgan --dot | dot -Tsvg > dcgan.svg"};
  command.run = run;
  return command;
}

}  // namespace gan::tools
