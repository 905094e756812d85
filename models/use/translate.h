// A trained network on pictures of any size: reflected borders up to the multiple that the network needs, and
// large pictures in overlapping tiles that are blended where they meet, so that memory does not grow with the
// picture.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "engine/picture/image.h"
#include "models/players/model.h"

namespace gan {

// A network as pictures see it.
struct Translator {
  DeviceContext* context = nullptr;
  int channels = 3;  // of pictures, in and out
  int multiple = 1;  // what it takes has sides that are multiples of this
  // (1,h,w,channels) in [-1,1] -> the same shape
  std::function<Tensor(const Tensor&)> run;
  std::shared_ptr<void> owner = {};  // of what `run` refers to; may be empty
};
// Of a model, which must outlive it; what it takes besides the picture that is translated is in `use`. A model of
// noise is Exit::usage.
Translator translator_of(Model& model, DeviceContext& context, const Use& use);
// What the model sees of a picture, as a picture: colorize looks at lightness alone.
Image seen_by(Model& model, DeviceContext& context, const Image& picture);

// A picture as networks see it: (1,H,W,C) in [-1,1].
Tensor tensor_of(DeviceContext& context, const Image& picture);

struct TileOptions {
  int tile = 512;    // largest side of what the network sees at once: a multiple of Translator::multiple
  int overlap = 64;  // pixels that neighbouring tiles share at least; at most tile / 4
};

// One axis of a picture of `length`, cut into tiles of `size`.
struct TileAxis {
  int length = 0, size = 0;
  std::vector<int> starts;  // evenly spread; negative where a tile is larger than the picture
  int ramp = 0;  // pixels over which one tile gives way to the next, in the middle of what they share
  // How much tile `i` counts at pixel `at`. Over all tiles these sum to 1.
  float weight(int i, int at) const;
};
// A picture that fits one tile gets one of its length rounded up to a multiple.
TileAxis tile_axis(int length, int multiple, const TileOptions& options);

// The whole picture at once, as it is: for networks that take any size. What comes out may be larger.
Image translate_whole(const Translator& translator, const Image& picture);
// Every pixel of `picture` (with translator.channels) through the network. A tile's outermost quarter of the
// overlap is not used, where the network misses its surroundings.
Image translate_picture(const Translator& translator, const Image& picture, const TileOptions& options);

// Predicted bytes of translate_picture() on a picture of this size: weights, activations of one tile, input,
// output and one row of tiles, and what the libraries keep.
size_t translation_bytes(const Config& config, Device device, int height, int width,
                         const TileOptions& options);
// Builds a network in a context that only plans, which measures what it takes. `weights`: numbers that it learnt.
struct PlannedTranslator {
  Translator translator;
  size_t weights = 0;
};
using TranslatorPlan = std::function<PlannedTranslator(DeviceContext&)>;
size_t translation_bytes(const TranslatorPlan& plan, Device device, int height, int width,
                         const TileOptions& options);
// The largest tile (the whole picture if it fits, else a square) that stays below `bytes`, with `overlap` cut
// to what the tile allows; never smaller than the network's multiple.
TileOptions fit_tiles(const Config& config, Device device, int height, int width, int overlap, size_t bytes);
TileOptions fit_tiles(const TranslatorPlan& plan, Device device, int height, int width, int overlap,
                      size_t bytes);
TranslatorPlan plan_of(const Config& config);

}  // namespace gan
