// Counting what would be kept.
#include "kernels/cpu/kept.h"

#include <algorithm>
#include <string_view>

#include "kernels/cpu/conv.h"
#include "kernels/cpu/winograd.h"

namespace gan::cpu {
namespace {

// oneDNN's layouts have blocks of 16 channels.
size_t blocked_weight_bytes(const Conv2d& s) {
  const auto blocks = [](int channels) { return size_t(channels + 15) / 16 * 16; };
  return blocks(s.k) * blocks(s.c / s.groups) * size_t(s.kh) * size_t(s.kw) * sizeof(float);
}

// oneDNN knows no mirrored borders: it gets a copy of x that has them.
size_t mirrored_copy_bytes(const Conv2d& s) {
  if (s.padding == Padding::zero) return 0;
  return size_t(s.n) * size_t(s.h + 2 * s.ph) * size_t(s.w + 2 * s.pw) * size_t(s.c) * sizeof(float);
}

// Code and tables of one compiled primitive, as measured.
constexpr size_t primitive_bytes = size_t(300) << 10;

template <class Args>
std::string_view picked(const Op<Args>& op, const Args& args) {
  return op.pick(args).name;
}

}  // namespace

void KeptByConvolutions::note_weights(const Conv2d& size, const void* weights, uint64_t version,
                                      bool winograd, int direction) {
  if (winograd) {
    const WinogradMemory memory = winograd_memory(size);
    scratch_ = std::max(scratch_, memory.scratch + (version == 0 ? memory.weights : 0));
    if (version != 0) copies_[{weights, memory.tile, true}] = {memory.weights, version, true};
    return;
  }
  const size_t bytes = blocked_weight_bytes(size);
  scratch_ = std::max(scratch_, mirrored_copy_bytes(size));
  arena_ = std::max(arena_, bytes);
  ++primitives_[{direction, size.n, size.h, size.w, size.c, size.k, size.kh}];
  // A copy is kept from the second use of the same version on.
  Copy& copy = copies_[{weights, direction, false}];
  copy.kept |= version != 0 && copy.version == version;
  copy.bytes = bytes;
  copy.version = version;
}

void KeptByConvolutions::note(const ConvFwd& args) {
  const auto name = picked(find_backend(Device::cpu)->conv.fwd, args);
  if (name == "winograd" || name == "onednn")
    note_weights(args.size, args.w.data, args.w_version, name == "winograd", 0);
  else if (name == "shifts") scratch_ = std::max(scratch_, shifts_fwd_scratch_bytes(args.size));
}

void KeptByConvolutions::note(const ConvBwdData& args) {
  const auto name = picked(find_backend(Device::cpu)->conv.bwd_data, args);
  if (name == "winograd" || name == "onednn")
    note_weights(args.size, args.w.data, args.w_version, name == "winograd", 1);
}

void KeptByConvolutions::note(const ConvBwdWeight& args) {
  const auto name = picked(find_backend(Device::cpu)->conv.bwd_weight, args);
  if (name == "winograd") {
    const WinogradMemory memory = winograd_memory(args.size);
    scratch_ = std::max(scratch_, memory.scratch + memory.weights);
  } else if (name == "onednn") {
    scratch_ = std::max(scratch_, mirrored_copy_bytes(args.size));
    ++primitives_[{2, args.size.n, args.size.h, args.size.w, args.size.c, args.size.k, args.size.kh}];
    arena_ =
        std::max(arena_, 2 * blocked_weight_bytes(args.size));  // a sum of its own for each group of threads
  } else if (name == "shifts") {
    scratch_ = std::max(scratch_, shifts_bwd_weight_scratch_bytes(args.size));
  }
}

size_t KeptByConvolutions::bytes() const {
  size_t all = scratch_ + arena_ + primitives_.size() * primitive_bytes;
  for (const auto& [key, copy] : copies_)
    if (copy.kept) all += copy.bytes;
  return all;
}

}  // namespace gan::cpu
