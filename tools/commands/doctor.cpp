// `gan doctor`: what this machine and this build offer, and in words what is wrong.
#include <omp.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "engine/files/process.h"
#include "engine/picture/image.h"
#include "engine/run/machine.h"
#include "engine/run/version.h"
#include "kernels/cpu/onednn.h"
#include "kernels/kernels.h"
#include "tools/cli/commands.h"
#include "tools/commands/gpu_code.h"

#ifdef GAN_WITH_CUDA
#include <cuda_runtime_api.h>
#endif

namespace gan::tools {
namespace {

using Json = nlohmann::ordered_json;

struct Report {
  Json facts;
  std::vector<std::string> problems;
};

#ifdef GAN_WITH_CUDA
std::string version_of(int number) { return fmt::format("{}.{}", number / 1000, number % 1000 / 10); }

void look_at_gpus(Report& report) {
  int driver = 0, runtime = 0, count = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  report.facts["cuda_toolkit"] = version_of(CUDART_VERSION);
  report.facts["cuda_runtime"] = version_of(runtime);
  report.facts["cuda_driver"] = driver ? version_of(driver) : "none";
  report.facts["cuda_architectures"] = GAN_CUDA_ARCHITECTURES;
  report.facts["matrix_products"] =
      "by cuBLAS where it is installed: bits depend on its version; with --deterministic, in replays and tests by own kernels";
  report.facts["gpus"] = Json::array();
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess) cudaGetLastError();
  if (driver == 0) {
    report.problems.push_back(
        std::filesystem::exists("/proc/driver/nvidia/version")
            ? "an NVIDIA driver runs, but its libcuda.so.1 is not found: in a container, start it with GPU "
              "access"
            : "no NVIDIA driver is installed: --device cuda cannot work, --device cpu does");
    return;
  }
  if (driver / 1000 < runtime / 1000) {
    report.problems.push_back(fmt::format(
        "the NVIDIA driver is too old: it is made for CUDA {}, this build needs {}; update the driver, or "
        "build with an older toolkit",
        version_of(driver), version_of(runtime)));
    return;
  }
  if (status != cudaSuccess || count == 0) {
    const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
    report.problems.push_back(fmt::format(
        "no GPU answers: {}{}", status == cudaSuccess ? "the driver sees none" : cudaGetErrorString(status),
        visible ? fmt::format(" (CUDA_VISIBLE_DEVICES={})", visible) : ""));
    return;
  }
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp gpu{};
    if (const cudaError_t failed = cudaGetDeviceProperties(&gpu, i); failed != cudaSuccess) {
      cudaGetLastError();
      report.problems.push_back(fmt::format("GPU {} does not answer: {}", i, cudaGetErrorString(failed)));
      continue;
    }
    report.facts["gpus"].push_back({{"index", i},
                                    {"name", gpu.name},
                                    {"architecture", fmt::format("sm_{}{}", gpu.major, gpu.minor)},
                                    {"memory_bytes", gpu.totalGlobalMem},
                                    {"multiprocessors", gpu.multiProcessorCount}});
    if (!runs_on(GAN_CUDA_ARCHITECTURES, gpu.major * 10 + gpu.minor))
      report.problems.push_back(fmt::format(
          "GPU {} ({}) is of architecture {}{}, which this build's code ({}) does not run on; build again with "
          "-DGAN_CUDA_ARCHITECTURES={}{}",
          i, gpu.name, gpu.major, gpu.minor, GAN_CUDA_ARCHITECTURES, gpu.major, gpu.minor));
  }
}
#else
void look_at_gpus(Report& report) {
  report.facts["cuda_toolkit"] = "none in this build";
  if (std::filesystem::exists("/proc/driver/nvidia/version"))
    report.problems.push_back(
        "this machine has an NVIDIA driver, but this build has no cuda device: build again with the CUDA "
        "toolkit");
}
#endif

Report examine() {
  Report report;
  Json& facts = report.facts;
  facts["version"] = version();
  facts["devices"] = Json::array();
  for (Device device : {Device::cpu, Device::cuda, Device::simt, Device::ref})
    if (find_backend(device)) facts["devices"].push_back(name_of(device));
  facts["cores"] = std::thread::hardware_concurrency();
  facts["openmp_threads"] = omp_get_max_threads();
  const double page = double(sysconf(_SC_PAGESIZE));
  facts["memory_bytes"] = int64_t(machine_memory());
  facts["memory_free_bytes"] = int64_t(page * double(sysconf(_SC_AVPHYS_PAGES)));
  facts["onednn"] = cpu::onednn_version();
  facts["instruction_set"] = cpu::onednn_isa();
  facts["bf16_products"] = cpu::multiplies_bf16() ? "on the cpu too" : "emulated on the cpu";
  facts["pictures"] = picture_extensions();
  const std::string ffmpeg = find_program("ffmpeg");
  facts["films"] = ffmpeg.empty() ? "y4m and PPM streams; other kinds want ffmpeg, which is not on the PATH"
                                  : fmt::format("y4m and PPM streams; other kinds through {}", ffmpeg);
  look_at_gpus(report);

  if (omp_get_max_threads() < int(std::thread::hardware_concurrency()))
    report.problems.push_back(fmt::format("OpenMP uses {} of {} cores: look at OMP_NUM_THREADS",
                                          omp_get_max_threads(), std::thread::hardware_concurrency()));
  const std::string isa = cpu::onednn_isa();
  if (isa.find("avx2") == isa.npos && isa.find("avx512") == isa.npos)
    report.problems.push_back(fmt::format(
        "oneDNN generates code for {} only: the cpu device will be slow; look at ONEDNN_MAX_CPU_ISA", isa));
  return report;
}

int run(const Arguments& arguments) {
  Report report = examine();
  if (arguments.is_on("json")) {
    report.facts["problems"] = report.problems;
    fmt::print("{}\n", report.facts.dump(-1, ' ', false, Json::error_handler_t::replace));
    return int(Exit::ok);
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& [key, value] : report.facts.items()) {
    std::string name = key, text = value.is_string() ? value.get<std::string>() : value.dump();
    std::replace(name.begin(), name.end(), '_', ' ');
    if (key == "devices") {
      text.clear();
      for (const auto& device : value) text += (text.empty() ? "" : ", ") + device.get<std::string>();
    } else if (key == "gpus") {
      for (const auto& gpu : value)
        rows.push_back(
            {fmt::format("gpu {}", gpu["index"].get<int>()),
             fmt::format("{}, {}, {}, {} multiprocessors", gpu["name"].get<std::string>(),
                         gpu["architecture"].get<std::string>(),
                         bytes_text(gpu["memory_bytes"].get<double>()), gpu["multiprocessors"].get<int>())});
      continue;
    } else if (key.ends_with("_bytes")) {
      name.resize(name.size() - 6);
      text = bytes_text(value.get<double>());
    }
    rows.push_back({name, text});
  }
  fmt::print("{}\n", table_text(rows, "ll"));
  for (const auto& problem : report.problems) fmt::print("problem: {}\n", problem);
  if (report.problems.empty()) fmt::print("no problems found\n");
  return int(Exit::ok);
}

}  // namespace

Command describe_doctor() {
  Command command;
  command.name = "doctor";
  command.summary = "what this machine and build offer, and what is wrong";
  command.options = {{"json", "other", "one JSON object, on stdout", "", "", true}};
  for (auto& option : common_options()) command.options.push_back(option);
  command.examples = {"gan doctor", "gan doctor --json", "CUDA_VISIBLE_DEVICES=1 gan doctor"};
  command.run = run;
  return command;
}

}  // namespace gan::tools
