// How the traits of a face are rolled: which go together, and how often each is seen.
#include "engine/data/comics/face.h"

#include <array>

namespace gan::comics {
namespace {

constexpr std::array kSkinTones = {rgb(255, 222, 196), rgb(250, 208, 174), rgb(238, 190, 150),
                                   rgb(222, 168, 124), rgb(200, 142, 98),  rgb(170, 114, 76),
                                   rgb(142, 94, 64),   rgb(116, 76, 56)};
constexpr std::array kNaturalHair = {rgb(38, 32, 38),   rgb(62, 42, 34),    rgb(96, 60, 38),
                                     rgb(128, 80, 46),  rgb(160, 74, 38),   rgb(212, 108, 40),
                                     rgb(230, 186, 98), rgb(240, 222, 176), rgb(166, 166, 174)};
constexpr std::array kDyedHair = {rgb(236, 96, 156), rgb(60, 116, 216), rgb(40, 166, 156),
                                  rgb(136, 84, 196), rgb(206, 44, 52),  rgb(96, 176, 72)};
constexpr std::array kIrisColors = {rgb(96, 56, 30),   rgb(58, 36, 26),    rgb(136, 98, 42), rgb(64, 140, 72),
                                    rgb(52, 116, 200), rgb(104, 128, 148), rgb(176, 112, 36)};
constexpr std::array kClothColors = {rgb(220, 56, 60),   rgb(240, 128, 44),  rgb(246, 200, 60),
                                     rgb(120, 186, 72),  rgb(40, 150, 110),  rgb(48, 176, 196),
                                     rgb(60, 108, 210),  rgb(60, 62, 140),   rgb(140, 84, 190),
                                     rgb(230, 104, 160), rgb(240, 238, 232), rgb(64, 66, 76)};

Color jitter(Dice& dice, Color c, int amount) {
  const int all = dice.range(-amount, amount);
  return clamp_color({c.r + 16 * (all + dice.range(-amount, amount) / 2),
                      c.g + 16 * (all + dice.range(-amount, amount) / 2),
                      c.b + 16 * (all + dice.range(-amount, amount) / 2)});
}

template <class Table>
Color pick(Dice& dice, const Table& table, int amount) {
  return jitter(dice, table[dice.range(0, static_cast<int>(table.size()) - 1)], amount);
}

}  // namespace

Face::Face(uint64_t index) {
  Dice dice(index);
  noise_seed = static_cast<uint32_t>(dice.next() >> 32);
  shift_x = dice.range(-90, 90);
  shift_y = dice.range(-60, 60);
  tilt = (dice.range(-280, 280) + dice.range(-280, 280)) / 2;
  light_side = dice.sign();

  skin = pick(dice, kSkinTones, 7);
  hair = dice.chance(72) ? pick(dice, kNaturalHair, 8) : pick(dice, kDyedHair, 12);
  iris = pick(dice, kIrisColors, 8);
  // Shirt, trim and backdrop take different places in one list, so that they seldom share a colour.
  const int cloth = dice.range(0, 11), second = cloth + dice.range(2, 4), third = second + dice.range(2, 4);
  shirt = jitter(dice, kClothColors[cloth], 12);
  trim = jitter(dice, kClothColors[second % 12], 12);
  // The last two colours, white and black, are for cloth alone.
  backdrop_near = jitter(dice, kClothColors[third % 10], 16);
  backdrop_far = dice.chance(50) ? mix(backdrop_near, kWhite, 2400)
                                 : jitter(dice, kClothColors[(third + dice.range(1, 3)) % 10], 16);
  hat_color = jitter(dice, kClothColors[(cloth + dice.range(0, 11)) % 12], 12);
  frame = dice.chance(60) ? rgb(40, 36, 44) : pick(dice, kClothColors, 10);

  constexpr std::array kHats = {Hat::cap, Hat::beanie, Hat::top_hat};
  hat = dice.chance(24) ? kHats[dice.range(0, 2)] : Hat::none;
  hair_style = static_cast<HairStyle>(dice.range(0, static_cast<int>(HairStyle::afro)));
  if (hat != Hat::none) {  // hair that stands up has no room under a hat
    if (hair_style == HairStyle::mohawk || hair_style == HairStyle::spiky) hair_style = HairStyle::parted;
    if (hair_style == HairStyle::bun) hair_style = HairStyle::bob;
  }
  const bool short_hair = hair_style <= HairStyle::mohawk;
  // Faces fill the frame as far as what they wear on top allows.
  const bool tall = hat != Hat::none || hair_style == HairStyle::mohawk || hair_style == HairStyle::bun;
  zoom = tall ? dice.range(4000, 4300) : dice.range(4350, 4750);
  hair_thickness = dice.range(110, 190);
  hair_part = dice.range(150, 520);
  if (dice.chance(50)) hair_part = -hair_part;
  backdrop = static_cast<Backdrop>(dice.range(0, static_cast<int>(Backdrop::discs)));

  head_width = dice.range(1040, 1180);
  jaw_width = head_width * dice.range(76, 94) / 100;
  eye_x = dice.range(420, 490);
  eye_y = dice.range(-100, 0);
  eye_width = dice.range(225, 285);
  eye_rise = dice.range(120, 210);
  eye_fall = dice.range(90, 160);
  eye_slant = dice.range(-500, 350);  // negative lifts the outer corner
  iris_radius = std::min(dice.range(118, 150), eye_rise + 10);
  gaze_x = dice.range(-70, 70);
  gaze_y = dice.range(-25, 35);
  brow_lift = dice.range(250, 330);
  brow_arch = dice.range(20, 110);
  brow_slant = dice.range(-450, 550);
  brow_thickness = dice.range(34, 72);
  nose_y = dice.range(310, 400);
  nose_width = dice.range(130, 210);
  constexpr std::array kMouths = {Mouth::neutral, Mouth::smile, Mouth::smile,     Mouth::grin,
                                  Mouth::grin,    Mouth::laugh, Mouth::surprised, Mouth::frown};
  mouth = kMouths[dice.range(0, 7)];
  mouth_y = dice.range(760, 830);
  mouth_width = dice.range(330, 450);
  lip_height = dice.range(80, 125);
  full_lips = dice.chance(short_hair ? 30 : 75);
  lips = full_lips && dice.chance(60) ? mix(skin, rgb(196, 28, 60), dice.range(2400, 3600))
                                      : mix(skin, rgb(180, 44, 60), dice.range(1400, 2000));
  blush = dice.range(300, 1500);
  beard = short_hair && dice.chance(22);
  moustache = short_hair && dice.chance(20);
  freckles = dice.chance(14);
  earrings = dice.chance(22);
  striped_shirt = dice.chance(35);
  low_neckline = dice.chance(40);
  constexpr std::array kGlasses = {Glasses::round,  Glasses::round,  Glasses::round, Glasses::square,
                                   Glasses::square, Glasses::square, Glasses::sun};
  glasses = dice.chance(28) ? kGlasses[dice.range(0, 6)] : Glasses::none;
}

}  // namespace gan::comics
