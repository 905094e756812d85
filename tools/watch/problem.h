// What gan-watch runs an operation on: sizes from --shape, and buffers of device simt that the watcher knows
// by name.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace gan::tools {

// Sizes are written key=value,key=value; a key alone means 1. What is not given has a small default.
class Problem {
 public:
  // value: how activations and weights are stored, f32 or bf16.
  Problem(std::string operation, const std::string& shape, DType value);
  ~Problem();
  Problem(const Problem&) = delete;
  Problem& operator=(const Problem&) = delete;

  // What --shape says, else the default. Throws Exit::usage unless low <= it <= 2^24.
  int size(const std::string& key, int fallback, int low = 1);
  // The index of the chosen word.
  int choice(const std::string& key, const std::vector<std::string>& words);
  Activation activation();
  // Throws Exit::usage on a key that nobody has asked for.
  void finish_sizes() const;

  // Buffers with values in [-1,1), or [0.5,1.5) where they must be positive. 64 MB together at most.
  In in(const char* name, int64_t count) { return {make(name, count, value_, -1), value_}; }
  In in_f32(const char* name, int64_t count, double low = -1) {
    return {make(name, count, DType::f32, low), DType::f32};
  }
  In in_u8(const char* name, int64_t count) { return {make(name, count, DType::u8, 0), DType::u8}; }
  In in_i32(const char* name, const std::vector<int32_t>& values);
  Out out(const char* name, int64_t count) { return {make(name, count, value_, -1), value_}; }
  Out out_f32(const char* name, int64_t count, double low = -1) {
    return {make(name, count, DType::f32, low), DType::f32};
  }

  // Every size with the value it got, in the order they were asked for.
  const std::vector<std::pair<std::string, std::string>>& sizes() const { return used_; }
  std::string sizes_text() const;
  const std::vector<std::string>& buffers() const { return names_; }

 private:
  const std::string& text(const std::string& key, const std::string& fallback);
  void* allocate(const char* name, int64_t bytes);
  void* make(const char* name, int64_t count, DType type, double low);

  std::string operation_;
  std::map<std::string, std::string> given_;
  std::vector<std::pair<std::string, std::string>> used_;
  DType value_;
  std::vector<void*> buffers_;
  std::vector<std::string> names_;  // of buffers_
  int64_t bytes_ = 0;
};

// Fills the arguments of an operation, sizes first. One for each operation: without it gan-watch does not
// link.
template <class Args>
void set_up(Args& args, Problem& problem);

}  // namespace gan::tools
