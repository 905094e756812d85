// What a plan notes of an operation that would be run: which variant, and what it asks of a GPU.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "kernels/contract/kernel_launch.h"
#include "kernels/kernels.h"

namespace gan {

struct PlannedLaunch {
  const char* op;
  const char* variant;     // the one that the plan's device would pick
  std::string sizes = {};  // "n 16, h 64, ..."
  double flop = 0;         // of convolutions, matrix products and attention; others count none
  double bytes = 0;        // of its buffers, each read or written once, or both
  std::vector<KernelLaunch> kernels = {};  // on device simt, which has those of a GPU
  DType type = DType::f32;                 // of its values
};

template <class Args>
PlannedLaunch planned_launch(const Variant<Args>& variant, const Args& args, Device device, Stream& stream) {
  PlannedLaunch launch{.op = Args::op, .variant = variant.name, .sizes = text_of_sizes(args)};
  if constexpr (requires { args.flop(); }) launch.flop = args.flop();
  if constexpr (requires { args.size.flop(); }) launch.flop = args.size.flop();
  bool is_first = true;
  for (const Port<Args>& port : Args::ports()) {
    const bool is_there = port.in ? bool(args.*port.in) : bool(args.*port.out);
    if (!is_there) continue;
    const DType type = port.in ? (args.*port.in).dtype : (args.*port.out).dtype;
    if (port.kind == Kind::value && is_first) launch.type = type, is_first = false;
    const bool adds = port.out && (args.*port.out).acc == Acc::add;
    const int passes = (port.is_read || adds ? 1 : 0) + (port.is_written ? 1 : 0);
    launch.bytes += passes * double(port.extents(args).count()) * double(size_of(type));
  }
  if (device == Device::simt) {
    NotedKernels noted;
    variant.launcher(args, stream);
    launch.kernels = std::move(noted.launches);
  }
  return launch;
}

}  // namespace gan
