// Generators from the files that their authors publish: which there are, how a file is recognised by the names of its
// tensors, how the network is built after its shapes, and what the authors' own test script does with a picture before
// and after. A new one is a row of published_forms() and what the row names.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "engine/files/weights_file.h"
#include "engine/picture/image.h"
#include "models/use/translate.h"

namespace gan {

// How a call uses published weights. What is not given is as in the authors' test script.
struct PublishedUse {
  std::optional<int> load_size;               // side that pictures are scaled to; 0: they stay as they are
  Statistics statistics = Statistics::batch;  // their scripts leave networks in training mode
  bool dropout = false;
  uint64_t seed = 1;           // of its masks
  bool align_corners = false;  // animegan2
  double alpha = 1;            // adain: how much of the style
};

// A network in PyTorch's names, declared after the shapes in a file. Nothing is allocated before build().
class PublishedNetwork {
 public:
  virtual ~PublishedNetwork() = default;

  // The generator first. Each takes its tensors from a file of its own.
  struct Part {
    Parameters parameters;
    std::string what;           // for messages: "animegan2's generator"
    bool more_in_file = false;  // tensors that it does not take may be there: the rest of a feature network
  };
  std::vector<std::unique_ptr<Part>> parts;

  virtual int channels() const { return 3; }
  virtual int side_multiple() const = 0;                // of tiles
  virtual int least_side() const { return 8; }          // of pictures
  virtual bool takes_any_size() const { return true; }  // as they are, without mirrored borders
  // What the authors' script does with a picture's size.
  virtual Image prepare(const Image& picture, const PublishedUse&) const { return picture; }
  // (1,H,W,channels) in [-1,1] -> the same, or with sides rounded up to side_multiple().
  virtual Tensor run(const Tensor& x, const PublishedUse& use) const = 0;
  // Networks that take a style: its picture, prepared. Call after the weights are there.
  virtual void take_style(DeviceContext&, const Image&, const PublishedUse&) {}
};

struct PublishedForm {
  const char* name;     // of --as
  const char* summary;  // what it makes
  const char* source;   // whose it is, where the files are
  const char* licence;
  const char* sizes;    // what becomes of a picture's size
  const char* example;  // a command
  // A tensor that all files of this kind have, and no others.
  const char* mark;
  bool (*recognises)(const WeightsFile& file);
  // `features`: the second file of those that need one, else null. Exit::bad_data when the shapes are none of this kind.
  std::unique_ptr<PublishedNetwork> (*declare)(const WeightsFile& file, const WeightsFile* features,
                                               const PublishedUse& use);
  bool has_style = false;  // takes a second file (--features) and a picture (--style)
};
std::span<const PublishedForm> published_forms();
// The row of that name; Exit::usage, naming those there are, for another.
const PublishedForm& find_published_form(const std::string& name);
// The row that recognises the file; null if none does.
const PublishedForm* recognise_published(const WeightsFile& file);
// Whether a word of the command line names a file of weights that is no checkpoint of ours.
bool is_published_file(const std::string& path);

// A published generator with its weights on a device.
class PublishedModel {
 public:
  // `as`: a row's name, or empty: by the file's content. `features`, `style`: of a row with has_style, else empty.
  // Exit::bad_data naming the tensors that are missing, too many, of another shape or not finite.
  PublishedModel(const std::string& path, const std::string& as, const std::string& device,
                 const std::string& features, const std::string& style, const PublishedUse& use);

  const PublishedForm& form() const { return *form_; }
  DeviceContext& context() const { return *context_; }
  Image prepare(const Image& picture) const;  // also refuses a picture that is too small, Exit::bad_data
  bool takes_any_size() const { return network_->takes_any_size(); }
  Translator translator() const;
  TranslatorPlan plan() const;  // of the same network, to measure what it takes

 private:
  void load(const WeightsFile& file, PublishedNetwork::Part& part);

  std::unique_ptr<DeviceContext> context_;  // first: the network's memory goes back to it
  const PublishedForm* form_ = nullptr;
  std::optional<WeightsFile> file_, features_;
  PublishedUse use_;
  std::unique_ptr<PublishedNetwork> network_;
};

}  // namespace gan
