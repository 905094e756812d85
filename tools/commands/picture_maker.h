// What `gan translate` turns pictures with: a trained model of this program, or weights as their authors publish them.
#pragma once
#include <memory>

#include "engine/data/options.h"
#include "tools/commands/use_model.h"

namespace gan::tools {

class PictureMaker {
 public:
  virtual ~PictureMaker() = default;

  virtual std::string model() const = 0;
  virtual int64_t step() const { return 0; }  // of training, where it is known
  virtual Device device() const = 0;
  virtual int channels() const = 0;  // of pictures, in and out
  virtual DataOptions learnt_from() const = 0;
  // How a picture of this size goes through: its memory, its tiles. Before make().
  virtual void plan(const Image& picture) = 0;
  virtual size_t planned_bytes() const = 0;  // of the last plan()
  virtual Image make(const Image& picture) = 0;
};

// --as, --features, --load-size, --align-corners.
std::vector<Option> options_of_published();

// By the first word of the command line. `settings` must outlive it. Exit::usage for options that belong to published
// weights, given for a trained model.
std::unique_ptr<PictureMaker> make_maker(const Arguments& arguments, const UseSettings& settings);

}  // namespace gan::tools
