// What a model of styles learns from besides the pictures themselves, made by the program: what a photo should
// keep when it becomes a drawing, and what a drawing is not.
#pragma once
#include <cstdint>

#include "engine/picture/image.h"

namespace gan {

// A teacher: the photo drawn by rules. Even parts are smoothed without crossing edges, light comes in soft steps, colours
// are stronger, and edges have ink lines (Winnemoeller, Olsen & Gooch 2006). A network that learns a style from pictures
// that do not belong to its photos keeps its lines where this picture has them. Same size, 3 channels; a grey photo
// stays grey. `side`: the size at which lines and smoothing have their usual width, about 1.5 pixels at 256; 0: the
// photo's shorter side.
Image drawn_by_rules(const Image& photo, int side = 0);
// Another teacher: the photo in dabs of even, strong colour with clear borders, as gouache (Kuwahara's filter in the
// form of Papari, Petkov & Campisi 2007, eight sectors). Same size and channels. `side`: the size at which a dab is about
// 13 pixels wide at 256; 0: the photo's shorter side.
Image painted_by_rules(const Image& photo, int side = 0);

// A third: those dabs in strokes of a brush, which follow the edges of the photo and those around even parts, with bristles
// that catch light from above left. Where the strokes lie and how thick they are is up to `grain`, a picture of the same
// size of which the first channel counts (grain_of()): a network can only learn strokes if it sees what they come from.
// Same size and channels. `side` as above: strokes are about 8 pixels wide at 256.
Image brushed_by_rules(const Image& photo, const Image& grain, int side = 0);
// Normal noise in every channel alike, of mean 127.5 and deviation 42.5, cut at three deviations: with bytes taken as
// -1 to 1, a third of normal numbers.
Image grain_of(int height, int width, int channels, uint64_t seed);

// A picture of the style with its edges blurred, all else as it was (Chen, Liu & Chen 2019, section 3.1): edges
// by Canny's method, made wider to 5 pixels, and there a Gaussian of 5 x 5. A discriminator that rejects it asks for
// clear lines.
Image with_soft_edges(const Image& picture);

}  // namespace gan
