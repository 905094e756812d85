// Finding each parameter's tensor in a file of somebody else's.
#include "models/use/init.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "kernels/contract/check.h"
#include "models/use/checkpoint.h"

namespace gan {
namespace {

// What belongs to training and says nothing about the networks.
bool is_state(const std::string& name) {
  return name.starts_with("state.") || name.starts_with("adam.") || name.ends_with("num_batches_tracked");
}

// What instance norm had in early versions of PyTorch: statistics without gains.
bool is_left_over(const WeightsFile& file, const std::string& name) {
  for (const std::string_view end : {"running_mean", "running_var"})
    if (name.ends_with(end)) return !file.has(name.substr(0, name.size() - end.size()) + "weight");
  return false;
}

// The names under which a file may have a parameter; the first that is there counts.
std::vector<std::string> names_of(const std::string& network, const std::string& parameter,
                                  bool only_generator) {
  std::vector<std::string> names;
  for (const char* between : {"", "module.", "_orig_mod."})
    for (const char* before : {"", "module."}) names.push_back(before + network + "." + between + parameter);
  if (only_generator)
    for (const char* before : {"", "module."}) names.push_back(before + parameter);
  return names;
}

const WeightsFile::Entry* find_any(const WeightsFile& file, const std::vector<std::string>& names) {
  for (const auto& name : names)
    if (const WeightsFile::Entry* entry = file.find(name)) return entry;
  return nullptr;
}

std::string first_few(const std::vector<std::string>& names) {
  constexpr size_t shown = 4;
  const size_t count = std::min(names.size(), shown);
  return fmt::format("{}{}", fmt::join(names.begin(), names.begin() + std::ptrdiff_t(count), ", "),
                     names.size() > shown ? fmt::format(" and {} more", names.size() - shown) : "");
}

}  // namespace

std::string InitPlan::words() const {
  std::vector<std::string> parts;
  if (!fresh.empty()) parts.push_back(fmt::format("with random weights: {}", fmt::join(fresh, ", ")));
  if (!missing.empty()) parts.push_back("not in the file: " + first_few(missing));
  if (!unused.empty()) parts.push_back("of no use here: " + first_few(unused));
  return fmt::format("{}", fmt::join(parts, "; "));
}

WeightsFile open_init(const std::string& from) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(from, ignored) && TorchFile::looks_like_one(InputFile(from)))
    return WeightsFile::open(from);
  return WeightsFile(open_verified_checkpoint(from));
}

InitPlan plan_init(const WeightsFile& file, Model& model) {
  InitPlan plan;
  std::set<std::string> known;  // names in the file that a network has, used or not
  const auto generators = std::count_if(model.networks.begin(), model.networks.end(),
                                        [](const auto& network) { return network->used; });
  std::vector<std::string> absent;  // networks that make pictures, and of which nothing is there
  std::string first_absent;
  bool any_used = false;
  for (size_t n = 0; n < model.networks.size(); ++n) {
    const Network& network = *model.networks[n];
    const auto& infos = network.parameters.infos();
    if (!network.learns())  // it has its weights
      for (const ParameterInfo& info : infos) known.insert(network.name + "." + info.name);
    if (!network.learns() || !network.parameters.built()) continue;
    std::vector<InitPlan::Match> own;
    std::vector<std::string> own_missing;
    std::string other_shape;
    for (int i = 0; i < int(infos.size()); ++i) {
      const auto names = names_of(network.name, infos[size_t(i)].name, network.used && generators == 1);
      const WeightsFile::Entry* entry = find_any(file, names);
      if (!entry) {
        own_missing.push_back(names[0]);
        continue;
      }
      known.insert(entry->name);
      const Shape want = infos[size_t(i)].file_shape();
      const std::vector<int64_t> dims(want.dims.begin(), want.dims.begin() + want.rank);
      if (entry->shape != dims && other_shape.empty())
        other_shape = fmt::format("tensor `{}` is {}, this model wants {}", entry->name,
                                  shape_text(entry->shape), shape_text(dims));
      own.push_back({entry->name, n, i, false});
      const WeightsFile::Entry* average = file.find("ema." + names[0]);
      if (!average) continue;
      known.insert(average->name);
      if (network.parameters.average() && average->shape == dims) own.push_back({average->name, n, i, true});
    }
    const std::string where = file.path().string();
    if (network.used) {
      if (own.empty()) {
        absent.push_back(network.name);
        if (first_absent.empty()) first_absent = own_missing.empty() ? network.name : own_missing[0];
        continue;
      }
      any_used = true;
      if (!other_shape.empty())
        fail(Exit::bad_data, "{}: {}; the settings of the networks differ", where, other_shape);
    } else if (own.empty() || !other_shape.empty() || !own_missing.empty()) {
      std::string why = "not in the file";
      if (!other_shape.empty()) why = other_shape;
      else if (!own.empty()) why = fmt::format("`{}` is not in the file", own_missing[0]);
      plan.fresh.push_back(fmt::format("{} ({})", network.name, why));
      continue;
    }
    plan.matches.insert(plan.matches.end(), own.begin(), own.end());
    plan.missing.insert(plan.missing.end(), own_missing.begin(), own_missing.end());
  }
  // A model of several may begin with one that another model has learnt.
  if (!any_used)
    fail(Exit::bad_data, "{}: no tensor of {} is there (such as `{}`): these are weights of another model",
         file.path().string(), fmt::join(absent, " or "), first_absent);
  for (const std::string& name : absent) plan.fresh.push_back(fmt::format("{} (not in the file)", name));
  for (const auto& entry : file.tensors())
    if (!known.contains(entry.name) && !is_state(entry.name) && !is_left_over(file, entry.name))
      plan.unused.push_back(entry.name);
  return plan;
}

void init_weights(const WeightsFile& file, const InitPlan& plan, Model& model) {
  std::set<size_t> averaged;  // networks whose averages are in the file
  for (const bool average : {false, true}) {
    for (const InitPlan::Match& match : plan.matches) {
      if (match.average != average) continue;
      const Parameters& p = model.networks[match.network]->parameters;
      const Tensor flat = p.infos()[size_t(match.parameter)].buffer ? Tensor()
                          : average                                 ? p.average()
                                                                    : p.weights();
      p.import_values(match.parameter, file.read_f32(match.tensor), flat);
    }
    // The averages of the file come over the weights, which stand for those that it does not have.
    if (!average)
      for (auto& network : model.networks)
        if (const Parameters& p = network->parameters; p.built() && p.average())
          p.average().upload(std::span<const float>(p.weights().host_f32()));
  }
  if (const std::string bad = first_not_finite(model); !bad.empty())
    fail(Exit::bad_data, "{}: tensor `{}` holds a number that is not finite; take an earlier checkpoint",
         file.path().string(), bad);
}

}  // namespace gan
