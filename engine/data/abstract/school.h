// The schools of abstract painting: each is one function in a file of its own in schools/, and one row in
// ../abstract.cpp. A school takes everything that differs between its paintings from `dice`, in units of the
// painting's width, and never asks for the size. No two dice are thrown in one call's arguments or one sum: compilers
// are free to evaluate those in any order.
#pragma once
#include "engine/data/abstract/brush.h"
#include "engine/data/abstract/canvas.h"
#include "engine/data/abstract/palette.h"

namespace gan::abstract {

struct School {
  const char* name;
  Finish (*paint)(Canvas& canvas, const Palette& palette, Dice& dice);
};

Finish paint_grid(Canvas& canvas, const Palette& palette, Dice& dice);
Finish paint_fields(Canvas& canvas, const Palette& palette, Dice& dice);
Finish paint_gesture(Canvas& canvas, const Palette& palette, Dice& dice);
Finish paint_geometry(Canvas& canvas, const Palette& palette, Dice& dice);
Finish paint_cutouts(Canvas& canvas, const Palette& palette, Dice& dice);
Finish paint_mosaic(Canvas& canvas, const Palette& palette, Dice& dice);
Finish paint_stripes(Canvas& canvas, const Palette& palette, Dice& dice);
Finish paint_marbling(Canvas& canvas, const Palette& palette, Dice& dice);
Finish paint_impasto(Canvas& canvas, const Palette& palette, Dice& dice);

}  // namespace gan::abstract
