// Is the training well? What the numbers and pictures of a run say, in words, with what usually helps.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "engine/picture/image.h"
#include "engine/run/runlog.h"

namespace gan {

class Health {
 public:
  explicit Health(std::function<void(const std::string&)> say) : say_(std::move(say)) {}

  // A logged step's D_real and D_fake. The discriminator wins outright when it has been nearly certain about
  // both for kPatience logged steps in a row: what it teaches the generator is then next to nothing.
  void see(int64_t step, const std::string& gan_loss, const Metrics& values);
  // Pictures made from different inputs. They have collapsed when they hardly differ from each other, or are
  // all of one colour. A fresh network's do both: they were better before, or kLearnt steps have not helped.
  void look(int64_t step, const std::vector<Image>& pictures);

 private:
  static constexpr int kPatience = 5;
  static constexpr int64_t kLearnt = 300;
  std::function<void(const std::string&)> say_;
  int certain_ = 0;
  bool collapsed_ = false, better_ = false;  // as looked last; ever seen otherwise
};

}  // namespace gan
