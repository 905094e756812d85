// The colours of an abstract painting, chosen as painters do: few, each with a part to play.
#pragma once
#include "engine/data/drawing.h"

namespace gan::abstract {

using namespace drawing;

struct Palette {
  const char* name;
  Color light;        // paper, or the lightest paint
  Color dominant;     // most of the painting
  Color subordinate;  // answers it
  Color neutral;      // between them and the light
  Color accent;       // little of it, against the others
  Color dark;
};

// One of the palettes, its colours drawn a little towards each other.
Palette choose_palette(Dice& dice);

}  // namespace gan::abstract
