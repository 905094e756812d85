// gan-watch OPERATION VARIANT SHAPE DTYPE table|json: runs one small problem on device simt and prints what
// each line of its kernels asks of a GPU. `gan kernels --watch` starts it; README.md in kernels/ reads a
// table.
#include "kernels/simt/watch.h"

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/files/talk.h"
#include "tools/cli/table.h"
#include "tools/watch/problem.h"

namespace gan::tools {
namespace {

using Json = nlohmann::ordered_json;

void* scratch(size_t bytes) {
  void* const memory = simt::memory.allocate(bytes);
  simt::watch_buffer("scratch", memory, bytes);
  return memory;
}
void release(void* memory) noexcept {
  simt::unwatch_buffer(memory);
  simt::memory.release(memory);
}

// A line of a kernel file without its indentation; empty when the sources are not there.
std::string code_at(const std::string& file, int line) {
  std::ifstream stream(std::string(GAN_SOURCE_DIR "/") + file);
  std::string text;
  for (int i = 0; i < line; ++i)
    if (!std::getline(stream, text)) return "";
  const size_t start = text.find_first_not_of(" \t");
  return start == text.npos ? "" : text.substr(start);
}

template <class Args>
void run_variant(const Variant<Args>& variant, Problem& problem) {
  Args args;
  problem.set_up(args);
  force_variants(fmt::format("{}={}", Args::op, variant.name));  // some fit only when they are asked for
  if (const char* why = variant.fits(args))
    fail(Exit::usage, "--watch {}={} with {}: {}", Args::op, variant.name, problem.shape().text(), why);
  Stream stream;
  stream.scratch_allocate = scratch;
  stream.scratch_release = release;
  try {
    variant.run(args, stream);
  } catch (const simt::Error& error) {
    release_scratch(stream);
    if (!simt::was_too_large_to_watch()) throw;
    fail(Exit::usage, "{}={} with {}: {}", Args::op, variant.name, problem.shape().text(), error.what());
  }
  release_scratch(stream);
}

void run_operation(const std::string& operation, const std::string& name, Problem& problem) {
  bool found = false;
  std::string operations;
  for_each_op(*find_backend(Device::simt), [&](const char*, const auto& op) {
    operations += std::string(operations.empty() ? "" : ", ") + op.name();
    if (operation != op.name()) return;
    found = true;
    std::string variants;
    for (const auto& variant : op.variants) {
      if (name == variant.name) return run_variant(variant, problem);
      variants += std::string(variants.empty() ? "" : ", ") + variant.name;
    }
    fail(Exit::usage, "--watch {}={}: there is no such variant on device simt; there are {}", operation, name,
         variants);
  });
  if (!found)
    fail(Exit::usage, "--watch {}={}: there is no such operation; there are {}", operation, name, operations);
}

Json json_of(const simt::WatchedLaunch& launch) {
  Json rows = Json::array();
  for (const auto& r : launch.rows) {
    Json row = {{"file", r.file},
                {"line", r.line},
                {"from", r.from},
                {"code", code_at(r.file, r.line)},
                {"space", r.space},
                {"what", r.what},
                {"name", r.name},
                {"requests", r.requests},
                {"lanes", r.lanes},
                {"partial", r.partial},
                {"instructions", r.instructions}};
    if (!r.space.empty()) row["bytes_per_lane"] = r.bytes_per_lane, row["bytes"] = r.bytes;
    if (r.space == "global") row["sectors"] = r.sectors, row["ideal_sectors"] = r.ideal_sectors;
    if (r.space == "shared") row["passes"] = r.passes, row["ideal_passes"] = r.ideal_passes;
    rows.push_back(row);
  }
  return {{"at", launch.at},
          {"grid", {launch.grid.x, launch.grid.y, launch.grid.z}},
          {"block", {launch.block.x, launch.block.y, launch.block.z}},
          {"static_shared_bytes", launch.static_shared_bytes},
          {"dynamic_shared_bytes", launch.dynamic_shared_bytes},
          {"rows", rows}};
}

// "2" or "2.25": the mean of a count over requests.
std::string mean(uint64_t sum, uint64_t requests) {
  if (requests == 0) return "";
  if (sum % requests == 0) return std::to_string(sum / requests);
  return fmt::format("{:.2f}", static_cast<double>(sum) / static_cast<double>(requests));
}

// "family.cuh:27 < tile.cuh:113 < 254": a line and the calls that led there; a file is named when it changes.
std::string place_text(const simt::WatchedRow& row) {
  std::vector<std::string> lines = {fmt::format("{}:{}", row.file, row.line)};
  lines.insert(lines.end(), row.from.begin(), row.from.end());
  std::string text, last_file;
  for (const std::string& line : lines) {
    const size_t colon = line.rfind(':'), start = line.rfind("kernels/gpu/", 0) == 0 ? 12 : 0;
    const std::string file = line.substr(0, colon);
    text += (text.empty() ? "" : " < ") + line.substr(file == last_file ? colon + 1 : start);
    last_file = file;
  }
  return text;
}

void print_table(const simt::WatchedLaunch& launch) {
  fmt::print("launch at {}: grid {} x {} x {}, block {} x {} x {}, shared memory {} bytes\n", launch.at,
             launch.grid.x, launch.grid.y, launch.grid.z, launch.block.x, launch.block.y, launch.block.z,
             grouped(static_cast<int64_t>(launch.static_shared_bytes + launch.dynamic_shared_bytes)));
  std::vector<std::vector<std::string>> table = {{"line", "request", "of", "bytes", "requests", "lanes",
                                                  "partial", "sectors", "ideal", "passes", "ideal", "code"}};
  std::string last_place;
  for (const auto& r : launch.rows) {
    const std::string place = place_text(r);
    const bool global = r.space == "global", shared = r.space == "shared";
    std::string code = place == last_place ? "" : code_at(r.file, r.line);
    if (code.size() > 60) code = code.substr(0, 57) + "...";
    table.push_back(
        {place == last_place ? "" : place, r.space.empty() ? r.what : r.space + " " + r.what, r.name,
         r.space.empty() ? "" : std::to_string(r.bytes_per_lane), grouped(static_cast<int64_t>(r.requests)),
         mean(r.lanes, r.requests), r.partial ? grouped(static_cast<int64_t>(r.partial)) : "",
         global ? mean(r.sectors, r.requests) : "", global ? mean(r.ideal_sectors, r.requests) : "",
         shared ? mean(r.passes, r.requests) : "", shared ? mean(r.ideal_passes, r.requests) : "", code});
    last_place = place;
  }
  fmt::print("{}", table_text(table, "lllrrrrrrrrl"));
  uint64_t sectors = 0, ideal_sectors = 0, passes = 0, ideal_passes = 0, products = 0;
  for (const auto& r : launch.rows) {
    sectors += r.sectors, ideal_sectors += r.ideal_sectors;
    passes += r.passes, ideal_passes += r.ideal_passes;
    products += r.what == "mma" ? r.instructions : 0;
  }
  fmt::print("in all: {} sectors (ideal {})", grouped(static_cast<int64_t>(sectors)),
             grouped(static_cast<int64_t>(ideal_sectors)));
  if (passes)
    fmt::print(", {} passes over shared memory (ideal {})", grouped(static_cast<int64_t>(passes)),
               grouped(static_cast<int64_t>(ideal_passes)));
  if (products) fmt::print(", {} mma", grouped(static_cast<int64_t>(products)));
  fmt::print("\n\n");
}

void run(const std::vector<std::string>& words) {
  if (words.size() != 5)
    fail(Exit::usage, "gan-watch is a part of gan: use `gan kernels --watch OPERATION=VARIANT`");
  if (words[3] != "f32" && words[3] != "bf16")
    fail(Exit::usage, "--dtype must be f32 or bf16, not \"{}\"", words[3]);
  Problem problem(words[2], words[3] == "f32" ? DType::f32 : DType::bf16);
  run_operation(words[0], words[1], problem);
  const auto launches = simt::take_watched();
  if (words[4] == "json") {
    Json sizes = Json::object(), all = Json::array();
    for (const auto& [key, value] : problem.shape().used()) sizes[key] = value;
    for (const auto& launch : launches) all.push_back(json_of(launch));
    const Json result = {{"op", words[0]}, {"variant", words[1]},          {"dtype", words[3]},
                         {"shape", sizes}, {"buffers", problem.buffers()}, {"launches", all}};
    fmt::print("{}\n", result.dump());
    return;
  }
  fmt::print("{}={}, {}, {}\n\n", words[0], words[1], words[3], problem.shape().text());
  for (const auto& launch : launches) print_table(launch);
  fmt::print(
      "bytes: of one lane. lanes, sectors, passes: means of the requests, each by one warp. partial: "
      "requests "
      "without\nsome of its threads. sectors: pieces of 32 bytes of global memory. passes: over the 32 banks "
      "of "
      "shared memory.\nCounted as the source is written; a GPU's compiler may merge or hoist loads.\n");
}

}  // namespace
}  // namespace gan::tools

int main(int argc, char** argv) {
  gan::open_standard_descriptors();
  try {
    gan::tools::run({argv + 1, argv + argc});
    if (std::fflush(stdout) != 0 && errno != EPIPE)
      gan::fail(gan::Exit::io, "standard output cannot be written: {}", std::strerror(errno));
    return 0;
  } catch (const gan::Error& error) {
    gan::talk(fmt::format("gan: error: {}", error.what()));
    return int(error.code());
  } catch (const std::exception& error) {
    gan::talk(fmt::format("gan: error: {}", error.what()));
    return int(gan::Exit::failure);
  }
}
