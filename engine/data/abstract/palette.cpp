// The list of palettes.
#include "engine/data/abstract/palette.h"

#include <iterator>

namespace gan::abstract {

namespace {

constexpr Color hex(uint32_t value) {
  return rgb(static_cast<int>(value >> 16), static_cast<int>(value >> 8 & 255),
             static_cast<int>(value & 255));
}

// clang-format off
constexpr Palette kPalettes[] = {
    // name              light          dominant       subordinate    neutral        accent         dark
    {"primaries",        hex(0xF3EEE0), hex(0xC32A1F), hex(0x204A8C), hex(0xDAD4C4), hex(0xEFC13A), hex(0x1B191B)},
    {"ember",            hex(0xF0DDBE), hex(0xB2391E), hex(0x6A2222), hex(0xDB8B40), hex(0xF2C25A), hex(0x261114)},
    {"harbour",          hex(0xECE7DA), hex(0x2B5A78), hex(0x8FB0B4), hex(0xC9C2AE), hex(0xD9582B), hex(0x16222E)},
    {"garden",           hex(0xF2ECD6), hex(0x4E7A45), hex(0xA9B86A), hex(0xD8CFA8), hex(0xD0496C), hex(0x1E2A22)},
    {"plum",             hex(0xF1E6DE), hex(0x6A2C56), hex(0xB77A8E), hex(0xD9C2B4), hex(0xE8A33A), hex(0x24142A)},
    {"desert",           hex(0xF4E6CC), hex(0xC98B4E), hex(0x8E4A2E), hex(0xE3C79A), hex(0x2F7C86), hex(0x3A2218)},
    {"night",            hex(0xDDE3E6), hex(0x1F2E55), hex(0x3E5F8E), hex(0x8C96A4), hex(0xF0B63C), hex(0x0E1222)},
    {"blush",            hex(0xF3ECE6), hex(0xD99C8F), hex(0x8B8F96), hex(0xCFC4BC), hex(0xB8322C), hex(0x33302F)},
    {"lagoon",           hex(0xEFF0E2), hex(0x1C8488), hex(0x7CBCA6), hex(0xD6D9BC), hex(0xEC7040), hex(0x12303A)},
    {"ochre",            hex(0xF5EBD3), hex(0xD4A043), hex(0x2C3E8C), hex(0xE6D2A2), hex(0xBE3D24), hex(0x1C1B2E)},
    {"noir",             hex(0xEEE9DF), hex(0x2B2726), hex(0x8A8378), hex(0xC9C1B2), hex(0xC2261F), hex(0x100E0E)},
    {"spring",           hex(0xF7F0E3), hex(0xEDB4A3), hex(0x8CB79B), hex(0xE8DCC0), hex(0xDC5630), hex(0x2F3A4A)},
    {"violet dusk",      hex(0xF3E4DC), hex(0x4B3B7C), hex(0xB06A9A), hex(0xD8A7A0), hex(0xF2BE52), hex(0x1C1636)},
    {"olive",            hex(0xEFE8D0), hex(0x6E6B32), hex(0xB9A44C), hex(0xCFC69A), hex(0xA83A26), hex(0x26261A)},
    {"ultramarine",      hex(0xF6F1E6), hex(0x22479F), hex(0x3A8A62), hex(0xE4D6B6), hex(0xE8619A), hex(0x15204A)},
    {"fuchsia",          hex(0xF8EEE6), hex(0xC43A68), hex(0xEA9A50), hex(0xF1CDB8), hex(0x1F7A8C), hex(0x2B1630)},
    {"ice",              hex(0xF1F4F2), hex(0xA4C2CF), hex(0x5A86A3), hex(0xD7DFDF), hex(0xDE6042), hex(0x22303C)},
    {"rust and teal",    hex(0xEFE5D4), hex(0xA4472D), hex(0x2B6366), hex(0xD2B48C), hex(0xE8BA60), hex(0x1E1B1C)},
    {"citrus",           hex(0xFBF3DC), hex(0xEBC02A), hex(0xE88A34), hex(0xF0DCA6), hex(0x2D5DA1), hex(0x2A241E)},
    {"forest",           hex(0xE8E6D4), hex(0x2A5040), hex(0x64886A), hex(0xB0AE90), hex(0xDC9E36), hex(0x111E1B)},
};
// clang-format on

}  // namespace

Palette choose_palette(Dice& dice) {
  Palette palette = kPalettes[dice.range(0, static_cast<int>(std::size(kPalettes)) - 1)];
  // A little of one colour in every other: they look as if mixed from the same tubes.
  const Color common = dice.chance(50) ? palette.dominant : palette.neutral;
  const int share = dice.range(60, 320);
  for (Color* color :
       {&palette.light, &palette.subordinate, &palette.neutral, &palette.accent, &palette.dark}) {
    *color = mix(*color, common, share);
    const int strength = dice.range(-90, 90);
    *color = clamp_color(scale(*color, kOne + strength));
  }
  return palette;
}

}  // namespace gan::abstract
