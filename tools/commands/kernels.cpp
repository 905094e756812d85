// `gan kernels`: every way this build has of computing every operation, and which one a size gets; with
// --watch, what one of them asks of a GPU line by line, which the program gan-watch finds out.
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "kernels/cpu/onednn.h"
#include "kernels/kernels.h"
#include "tools/cli/commands.h"
#include "tools/cli/shape.h"

namespace gan::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr Device kDevices[] = {Device::cpu, Device::cuda, Device::simt, Device::ref};

struct Row {
  std::string family, operation, device, name, dtypes, where;
  double error = 1;  // as a multiple of a plain float32 sum's
  // With --shape: whether it is the one that runs, and if it cannot, why.
  bool picked = false;
  std::string refused;
};

// Convolutions and matrix products have a short form: "N,H,W,C:K,kernel,stride,padding" and "M,N,K".
std::string with_keys(const std::string& text) {
  if (text.empty() || !std::isdigit(text[0])) return text;
  const bool is_conv = text.find(':') != text.npos;
  const std::vector<const char*> keys =
      is_conv ? std::vector<const char*>{"n", "h", "w", "c", "k", "kernel", "stride", "pad"}
              : std::vector<const char*>{"m", "n", "k"};
  std::string all, item;
  size_t items = 0;
  for (const char c : text + ",") {
    const bool ends = c == (is_conv && items == 3 ? ':' : ',');
    if (!ends) {
      item += c;
      continue;
    }
    if (items < keys.size()) all += fmt::format("{}{}={}", items ? "," : "", keys[items], item);
    ++items;
    item.clear();
  }
  if (items != keys.size())
    fail(Exit::usage,
         "--shape {}: wants N,H,W,C:K,kernel,stride,padding for convolutions, M,N,K for gemm, or "
         "key=value,key=value",
         text);
  return all;
}

template <class Args>
std::string implementation(const Args& args, Device device) {
  if constexpr (requires { cpu::conv_implementation(args); })
    if (device == Device::cpu) return cpu::conv_implementation(args);
  return "";
}

// What --shape adds to the rows of one operation.
template <class Args>
void explain(const Op<Args>& op, const Args& args, std::vector<Row>& rows, size_t first, Device device) {
  const Variant<Args>* picked = nullptr;
  std::string forced_problem;
  try {
    picked = &op.pick(args);
  } catch (const Error& error) {
    forced_problem = error.what();  // GAN_KERNEL forces one that does not fit, or none fits
  }
  for (size_t i = 0; i < op.variants.size(); ++i) {
    const auto& variant = op.variants[i];
    Row& row = rows[first + i];
    if (const char* why = variant.fits(args)) row.refused = why;
    else if (&variant == picked) {
      row.picked = true;
      if (const std::string how = implementation(args, device); !how.empty() && how != row.name)
        row.where += " [" + how + "]";
    } else row.refused = picked ? fmt::format("fits; {} is preferred", picked->name) : forced_problem;
  }
}

// shape_text: --shape with its keys, or null. Then only operations that have all of these.
std::vector<Row> rows_of(Device device, const std::string& family, const std::string* shape_text,
                         DType dtype) {
  std::vector<Row> rows;
  for_each_op(*find_backend(device), [&]<class Args>(const char* op_family, const Op<Args>& op) {
    if (!family.empty() && family != op_family && family != Args::op) return;
    Args args;
    if (shape_text) {
      Shape shape(*shape_text);
      args.sizes(shape);
      if (!shape.fits() && family != Args::op) return;
      shape.finish(Args::op);
      bind_nothing(args, shape, device == Device::ref ? DType::f64 : dtype);
      check_shape(args, shape);
    }
    const size_t first = rows.size();
    for (const auto& variant : op.variants)
      rows.push_back({op_family, Args::op, name_of(device), variant.name, variant.dtypes, variant.where,
                      variant.error, false, ""});
    if (shape_text) explain(op, args, rows, first, device);
  });
  return rows;
}

// Families, from any device's tables.
std::vector<std::string> families() {
  std::vector<std::string> names;
  for_each_op(*find_backend(Device::ref), [&](const char* family, const auto&) {
    if (names.empty() || names.back() != family) names.push_back(family);
  });
  return names;
}

// Goes on as the program gan-watch, which lies beside this one.
int watch(const Arguments& arguments) {
  const std::string wanted = arguments.text("watch", ""), device = arguments.text("device", "simt");
  const size_t equals = wanted.find('=');
  if (equals == 0 || equals == wanted.npos || equals + 1 == wanted.size())
    fail(Exit::usage, "--watch wants OPERATION=VARIANT, for example gemm=naive, not \"{}\"", wanted);
  if (device != "simt") fail(Exit::usage, "--watch is for device simt, not {}", device);
  if (!arguments.words.empty())
    fail(Exit::usage, "--watch names its operation itself: leave out \"{}\"", arguments.words[0]);
  char self[4096] = {};
  if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
    fail(Exit::failure, "/proc/self/exe cannot be read: {}", std::strerror(errno));
  const std::string program = std::string(self, std::strrchr(self, '/')) + "/gan-watch";
  std::string operation = wanted.substr(0, equals), variant = wanted.substr(equals + 1),
              shape = with_keys(arguments.text("shape", "")), dtype = arguments.text("dtype", "f32"),
              form = arguments.is_on("json") ? "json" : "table", name = "gan-watch";
  char* const words[] = {name.data(),  operation.data(), variant.data(), shape.data(),
                         dtype.data(), form.data(),      nullptr};
  execv(program.c_str(), words);
  fail(
      Exit::failure,
      "--watch needs the program {}: {}; build it with `cmake --build BUILD --target gan-watch` (builds with "
      "sanitizers or the race detector have none)",
      program, std::strerror(errno));
}

int run(const Arguments& arguments) {
  if (arguments.has("watch")) return watch(arguments);
  if (arguments.has("dtype") && !arguments.has("shape"))
    fail(Exit::usage, "--dtype is for --shape and --watch");
  const DType dtype = arguments.text("dtype", "f32") == "bf16" ? DType::bf16 : DType::f32;
  const std::string family = arguments.word(0), wanted = arguments.text("device", "");
  const std::string shape = with_keys(arguments.text("shape", ""));
  std::vector<Row> rows;
  bool found = false;
  for (Device device : kDevices) {
    if (!wanted.empty() && wanted != name_of(device)) continue;
    found = true;
    if (!find_backend(device)) {
      if (!wanted.empty())
        fail(Exit::no_device, "--device {}: this build has no such device; build again with the CUDA toolkit",
             wanted);
      continue;
    }
    for (auto& row : rows_of(device, family, arguments.has("shape") ? &shape : nullptr, dtype))
      rows.push_back(row);
  }
  if (!found) fail(Exit::usage, "--device must be one of cpu, cuda, simt, ref, not \"{}\"", wanted);
  if (rows.empty() && arguments.has("shape"))
    fail(Exit::usage, "--shape {}: no operation has all of these sizes{}", shape,
         family.empty() ? "" : "; leave out " + family);

  if (arguments.is_on("json")) {
    for (const auto& row : rows) {
      Json line = {{"family", row.family}, {"op", row.operation}, {"device", row.device}, {"name", row.name},
                   {"dtypes", row.dtypes}, {"where", row.where},  {"error", row.error}};
      if (arguments.has("shape")) {
        line["picked"] = row.picked;
        line["reason"] = row.refused;
      }
      fmt::print("{}\n", line.dump());
    }
    return int(Exit::ok);
  }
  std::vector<std::vector<std::string>> table = {
      {"family", "operation", "device", "variant", "types", "error", "where it fits"}};
  if (arguments.has("shape")) table[0].push_back("for this shape");
  for (const auto& row : rows) {
    table.push_back({row.family, row.operation, row.device, row.name, row.dtypes,
                     fmt::format("{:g}", row.error), row.where});
    if (arguments.has("shape")) table.back().push_back(row.picked ? "picked" : row.refused);
  }
  std::string columns(table[0].size(), 'l');
  columns[5] = 'r';  // error
  fmt::print("{}", table_text(table, columns));
  return int(Exit::ok);
}

}  // namespace

Command describe_kernels() {
  Command command;
  command.name = "kernels";
  command.summary = "the variants of every operation, which one a size gets, what a kernel does to memory";
  command.words = {
      {"FAMILY",
       "a family (" + fmt::format("{}", fmt::join(families(), ", ")) + ") or operation; all when left out",
       Word::Kind::choice,
       false,
       {}}};
  command.words[0].choices = families();
  for_each_op(*find_backend(Device::ref), [&](const char*, const auto& op) {
    if (std::string_view(op.name()) != "gemm")
      command.words[0].choices.push_back(op.name());  // a family as well
  });
  command.options = {
      {"shape", "what",
       "key=value,key=value; N,H,W,C:K,kernel,stride,padding of a convolution; M,N,K of a matrix product: "
       "which variant each device picks for it, and why not the others; what is left out has a small default",
       "", "", false},
      {"device", "what", "only this one", "cpu|cuda|simt|ref", "", false},
      {"watch", "watch",
       "run OPERATION=VARIANT once on device simt and print for each line of its kernels what it asks of a "
       "GPU: sectors of global memory, passes over the banks of shared memory, tensor-core products, "
       "barriers, lanes that take part. Counts, not times",
       "", "", false},
      {"dtype", "what", "how activations and weights are stored, of --shape and --watch [f32]", "f32|bf16",
       "", false},
      {"json", "output", "one JSON object per variant, or one for a watched run, on stdout", "", "", true}};
  for (auto& option : common_options()) command.options.push_back(option);
  command.examples = {
      "gan kernels",
      "gan kernels conv --device cpu",
      "gan kernels --shape 64,32,32,64:128,4,2,1",
      "gan kernels gemm --shape 64,100,8192 --json",
      "gan kernels conv --shape 16,32,32,64:128,4,2,1 --dtype bf16 --device simt",
      "gan kernels norm_fwd --shape segments=1,rows=4096,channels=64",
      "gan kernels --watch gemm=naive --shape m=64,n=64,k=32",
      "gan kernels --watch conv2d_fwd=tiled --shape n=1,h=16,w=16,c=32,k=32,kernel=4,stride=2,pad=1"};
  command.notes =
      "error: the root mean square error beside that of plain float32 sums. "
      "GAN_KERNEL=conv2d_fwd=naive,gemm=tiled "
      "forces variants by name; a replay refuses those whose error is above 1. --watch: every operation has "
      "small "
      "default sizes, which the table begins with.";
  command.run = run;
  return command;
}

}  // namespace gan::tools
