// The artist, who paints the layers of a drawn face, back to front, onto a canvas (comics/canvas.h). The face's
// traits come from its number (comics/face.h); lengths and colours are those of drawing.h.
#include "engine/data/comics.h"

#include <array>
#include <utility>

#include "engine/data/comics/canvas.h"
#include "engine/picture/channels.h"
#include "kernels/contract/check.h"

namespace gan::comics {
namespace {

class Artist {
 public:
  Artist(uint64_t index, ComicsStyle style, int size);

  std::vector<uint8_t> draw() {
    draw_backdrop();
    draw_back_hair();
    draw_neck_and_shirt();
    draw_ears();
    draw_head();
    draw_nose();
    for (const int side : {-1, 1}) draw_eye(side);
    draw_mouth();
    for (const int side : {-1, 1}) draw_brow(side);
    draw_front_hair();
    draw_glasses();
    draw_hat();
    return canvas_.bytes();
  }

 private:
  void draw_backdrop();
  void draw_back_hair();
  void draw_neck_and_shirt();
  void draw_ears();
  void draw_head();
  void draw_nose();
  void draw_eye(int side);
  void draw_mouth();
  void draw_front_hair();
  void draw_brow(int side);
  void draw_glasses();
  void draw_hat();

  int back_hair(const Sample& s) const;
  int front_hair(const Sample& s) const;
  int curls(int x, int y) const;
  Surface hair_surface(const Sample& s) const;
  Surface skin_surface(const Sample& s) const;
  int hat_edge(int x) const { return Arc{0, -640, face_.head_width, 80}.y_at(x); }

  // Noise for the photo alone, fading out where its cells come near the size of a pixel.
  int texture(int x, int y, int cell_x, int cell_y, int amount) const {
    const int fine = std::min(cell_x, cell_y) * 2;
    if (!canvas_.photo() || fine < canvas_.pixel()) return 0;
    return mul(noise(x, y, cell_x, cell_y, face_.noise_seed), amount) * std::min(fine, 2 * canvas_.pixel()) /
           (2 * canvas_.pixel());
  }

  // Coverage by a pattern inside a layer, of which only the signed distance is known.
  int inside(int d) const { return ramp(-d, -canvas_.pixel() / 2, canvas_.pixel() / 2); }

  Face face_;
  Canvas canvas_;
  Ellipse opening_;  // the part of the head that hair leaves free
  Ellipse bulk_;     // the mass of the hair, for its shine
};

Artist::Artist(uint64_t index, ComicsStyle style, int size) : face_(index), canvas_(face_, style, size) {
  const int w = face_.head_width;
  switch (face_.hair_style) {
    case HairStyle::buzz: opening_ = Ellipse(0, 440, w * 84 / 100, 1270); break;
    case HairStyle::parted: opening_ = Ellipse(face_.hair_part / 4, 420, w * 84 / 100, 1150); break;
    case HairStyle::straight:
    case HairStyle::wavy:
    case HairStyle::bob:
    case HairStyle::bangs: opening_ = Ellipse(0, 480, w * 82 / 100, 1190); break;
    default: opening_ = Ellipse(0, 430, w * 85 / 100, 1170);
  }
  bulk_ = Ellipse(0, -150, w + 250, 1500);
}

// Two colours and a field between them: smooth in the photo, dots or hard edges in print.
void Artist::draw_backdrop() {
  struct Disc {
    int x, y, radius;
  };
  std::array<Disc, 9> discs;
  Dice dice(face_.noise_seed);
  for (Disc& disc : discs) disc = {dice.range(-2000, 2000), dice.range(-2000, 1600), dice.range(180, 520)};

  canvas_.backdrop([&](const Sample& s) {
    const int x = s.frame_x, y = s.frame_y;
    const bool photo = canvas_.photo();
    const int down = ramp(y, -2048, 2048);
    const int edge = std::max(canvas_.pixel() * 2, photo ? 700 : 0);  // width of a transition, in units
    int far = 0;
    bool dots = false;
    switch (face_.backdrop) {
      case Backdrop::gradient: far = mul(kOne - down, 3600), dots = true; break;
      case Backdrop::halo: far = ramp(length(x, y), 2600, 1000), dots = true; break;
      case Backdrop::rays: {
        const int reach = std::max(length(x, y), 400);
        const int wave = triangle_wave(turn(x, y), 65536 / 12);
        far = std::clamp(kOne / 2 + static_cast<int>(int64_t{wave} * reach / 4 / edge), 0, kOne);
        break;
      }
      case Backdrop::stripes:
        far = std::clamp(kOne / 2 + triangle_wave(x + y / 2 * face_.light_side, 1100) * 250 / edge, 0, kOne);
        break;
      case Backdrop::discs:
        for (const Disc& disc : discs) {
          far = std::max(far, ramp(-circle(x, y, disc.x, disc.y, disc.radius), -edge / 4, edge / 4));
        }
    }
    if (!photo) {
      const Color near_color = saturate(face_.backdrop_near, 5000),
                  far_color = saturate(face_.backdrop_far, 5000);
      return mix(near_color, far_color, dots ? canvas_.halftone(s, mul(far, 3300)) : far);
    }
    // Out of focus: paler, darker towards the corners, with faint large clouds.
    const Color blurred = mix(face_.backdrop_near, face_.backdrop_far, mul(far, 3400));
    const int vignette = kOne - mul(1500, smooth_ramp(length(x, y), 1200, 3200));
    return scale(saturate(blurred, 3300), vignette - 250 + texture(x, y, 900, 900, 300));
  });
}

// Skin under the light of the whole head, with pores, blotches and freckles.
Surface Artist::skin_surface(const Sample& s) const {
  Surface skin{face_.skin, s.light};
  skin.light += texture(s.x, s.y, 44, 44, 130) + texture(s.x, s.y, 420, 420, 130);
  return skin;
}

// Hair: strands that run away from the crown, and a band of shine across them.
Surface Artist::hair_surface(const Sample& s) const {
  const bool curly = face_.hair_style == HairStyle::afro;
  const bool cropped = face_.hair_style == HairStyle::buzz;
  const int crown_y = -1450, reach = length(s.x, s.y - crown_y) + 500;
  const int across = static_cast<int>(int64_t{s.x} * 2400 / reach);
  Surface hair{face_.hair, mix(s.light, 3500, 1000)};
  // The shine follows the bulk of the hair; a zigzag along the strands gives it its ragged rim.
  const int u = bulk_.u(s.x) + face_.light_side * -1100, v = bulk_.v(s.y) + 2650 - mul(u, u) / 3;
  const int fine = canvas_.pixel() < 100 ? triangle_wave(across, 170) / 14 : 0;
  const int ragged = fine + triangle_wave(across + 90, 410) / 12;
  if (!curly && !cropped) {
    hair.gloss = ramp(std::abs(v + ragged) + mul(u, u) * 3 / 8, 640, 280);
    if (canvas_.photo()) hair.gloss = mul(hair.gloss, 800 + luma(face_.hair) / 8);
  }
  if (canvas_.photo()) {
    if (curly) {
      hair.light += texture(s.x, s.y, 110, 110, 900) + texture(s.x + 777, s.y, 50, 50, 600);
    } else if (cropped) {
      hair.light += texture(s.x, s.y, 40, 40, 900);
    } else {
      const int strands = texture(across, reach, 26, 900, 900) + texture(across + 5000, reach, 75, 1400, 700);
      hair.light += strands;
      hair.gloss = std::max(hair.gloss + strands / 6, 0);
    }
  }
  return hair;
}

// A crown of equal balls: the distance to the nearest centre decides.
int Artist::curls(int x, int y) const {
  // (cos, sin) * 4096 of fifteen of the twentieths of a turn: all but those under the chin.
  constexpr std::array kCos = {3896,  4096,  3896,  3314,  2408,  1266, 0,    -1266,
                               -2408, -3314, -3896, -4096, -3896, 3314, -3314};
  constexpr std::array kSin = {1266,  0,     -1266, -2408, -3314, -3896, -4096, -3896,
                               -3314, -2408, -1266, 0,     1266,  2408,  2408};
  int64_t nearest = int64_t{kFar} * kFar;
  for (size_t i = 0; i < kCos.size(); ++i) {
    const int64_t dx = x - mul(kCos[i], face_.head_width + 60), dy = y + 300 - mul(kSin[i], 1120);
    nearest = std::min(nearest, dx * dx + dy * dy);
  }
  return integer_sqrt(nearest) - 360;
}

int Artist::back_hair(const Sample& s) const {
  const int w = face_.head_width;
  int d = kFar;
  switch (face_.hair_style) {
    case HairStyle::bob:
    case HairStyle::bangs: d = rounded_box(s.x, s.y, 0, 180, w + 210, 960, 620); break;
    case HairStyle::straight: d = rounded_box(s.x, s.y, 0, 650, w + 190, 1500, 620); break;
    case HairStyle::wavy:
      d = rounded_box(s.x, s.y, 0, 500, w + 270, 1450, 700);
      d += mul(triangle_wave(s.y + 200, 620), mul(triangle_wave(s.y + 200, 620), 75));
      break;
    case HairStyle::bun: d = circle(s.x, s.y, 0, -1480, 400); break;
    case HairStyle::pigtails: {
      const int x = std::abs(s.x);
      d = std::min(Ellipse(w + 330, 500, 350, 820).distance(x, s.y), circle(x, s.y, w + 170, -330, 230));
      break;
    }
    case HairStyle::afro: d = curls(s.x, s.y); break;
    default: return kFar;
  }
  return face_.hat == Hat::none ? d : std::max(d, hat_edge(s.x) - 150 - s.y);
}

void Artist::draw_back_hair() {
  canvas_.layer(
      kEverywhere, 100, [&](const Sample& s) { return back_hair(s); },
      [&](const Sample& s, int d) {
        Surface hair = hair_surface(s);
        // Behind the neck it is dark; the bun and the tails are in the light.
        const int x = std::abs(s.x);
        if (s.y > -900 && x < face_.head_width + 60) {
          hair.light = mix(hair.light, 1500, smooth_ramp(s.head, 500, 100));
        }
        hair.light -= mul(500, smooth_ramp(d, -120, 0));
        if (face_.hair_style == HairStyle::pigtails || s.y > 0) hair.gloss = 0;
        return hair;
      });
}

void Artist::draw_neck_and_shirt() {
  const int neck = face_.jaw_width * 56 / 100;
  const Ellipse chin_shadow(face_.light_side * -130, 560, face_.jaw_width, 1080);
  // Neck: two lines that flare out towards the shoulders.
  canvas_.layer(
      {-1500, 700, 1500, 2600}, 100,
      [&](const Sample& s) {
        const int flare = std::max(s.y - 1400, 0);
        return std::max(std::abs(s.x) - neck - flare * flare / 900, 800 - s.y);
      },
      [&](const Sample& s, int d) {
        Surface skin = skin_surface(s);
        skin.light = mix(3700, 3000, smooth_ramp(s.x * -face_.light_side, -neck, neck));
        skin.light = mix(skin.light, 1900, smooth_ramp(chin_shadow.distance(s.x, s.y), 160, -60));
        skin.light -= mul(500, smooth_ramp(d, -150, 0));
        return skin;
      });
  // Shirt: shoulders, minus the neck opening.
  const Ellipse neck_hole(0, 1480, neck + 150, face_.low_neckline ? 420 : 330);
  const Arc shoulders{0, 1500, 1850, 460};
  const auto shirt = [&](const Sample& s) {
    const int arms = rounded_box(s.x, s.y, 0, 2900, 1850, 1250, 500);
    return std::max({arms, -shoulders.below(s.x, s.y), -neck_hole.distance(s.x, s.y)});
  };
  canvas_.layer({-2600, 1400, 2600, 3400}, 100, shirt, [&](const Sample& s, int d) {
    Surface cloth{face_.shirt, 0};
    if (face_.striped_shirt)
      cloth.color = mix(face_.shirt, face_.trim, inside(-triangle_wave(s.y, 360) / 45));
    const int u = std::clamp(s.x * face_.light_side, -1800, 1800);
    cloth.light = 3100 + u / 3 - mul(900, smooth_ramp(d, -260, 0)) + texture(s.x, s.y, 36, 36, 250) +
                  texture(s.x + s.y, s.y, 500, 700, 350);
    cloth.light -= mul(900, smooth_ramp(chin_shadow.distance(s.x, s.y), 420, 150));
    return cloth;
  });
}

void Artist::draw_ears() {
  const int cx = face_.head_width - 30, cy = 80;
  for (const int side : {-1, 1}) {
    const Ellipse ear(side * cx, cy, 170, 270), hollow(side * (cx + 30), cy, 80, 160);
    const Box box = {side * cx - 200, cy - 300, side * cx + 200, cy + 300};
    canvas_.layer(
        box, 100, [&](const Sample& s) { return ear.distance(s.x, s.y); },
        [&](const Sample& s, int) {
          Surface skin = skin_surface(s);
          skin.color = mix(skin.color, rgb(220, 80, 70), 500);
          skin.light = (side == face_.light_side ? 3700 : 2500) -
                       mul(1300, smooth_ramp(hollow.distance(s.x, s.y), 60, -60));
          return skin;
        });
    if (face_.earrings) {
      const int ex = side * (cx + 50), ey = cy + 330;
      canvas_.layer(
          {ex - 90, ey - 90, ex + 90, ey + 90}, 60,
          [&](const Sample& s) { return circle(s.x, s.y, ex, ey, 75); },
          [&](const Sample& s, int) {
            return Surface{rgb(250, 206, 70), 3900, ramp(circle(s.x, s.y, ex - 20, ey - 20, 10), 30, 0)};
          });
    }
  }
}

void Artist::draw_head() {
  const Ellipse left_cheek(-540, 440, 330, 250), right_cheek(540, 440, 330, 250);
  const Ellipse shine(face_.light_side * 360, -620, 520, 330);
  // The line above which a beard does not grow, and the free place around the mouth.
  const Ellipse shaved(0, 160, face_.head_width - 160, 560);
  const bool round_mouth = face_.mouth == Mouth::surprised, wide_open = face_.mouth == Mouth::laugh;
  const int mouth_shift = wide_open ? 80 : round_mouth ? 30 : 0;
  const Ellipse chin_free(0, face_.mouth_y + mouth_shift, round_mouth ? 340 : face_.mouth_width + 50,
                          wide_open || round_mouth ? 320 : 200);
  const bool hat = face_.hat != Hat::none;
  const auto head = [](const Sample& s) { return s.head; };
  canvas_.layer(kEverywhere, 100, head, [&](const Sample& s, int d) {
    Surface skin = skin_surface(s);
    const int red = std::max(-left_cheek.distance(s.x, s.y), -right_cheek.distance(s.x, s.y));
    if (canvas_.photo()) {
      skin.color = mix(skin.color, rgb(226, 84, 84), mul(face_.blush, smooth_ramp(red, -160, 220)));
      skin.gloss = mul(700, smooth_ramp(shine.distance(s.x, s.y), 200, -300));
      skin.light -= mul(600, smooth_ramp(d, -170, 0));
    } else if (face_.blush > 900) {
      skin.color = mix(skin.color, rgb(240, 90, 90), mul(1300, ramp(red, -20, 20)));
    }
    if (face_.freckles && s.y > 60 && s.y < 560 && std::abs(s.x) < 800) {
      const int cell = 96, cx = (s.x + 9600) / cell, cy = (s.y + 9600) / cell;
      const uint32_t h = lattice_hash(cx, cy, face_.noise_seed);
      if (h % 5 < 2) {
        const int fx = cx * cell - 9600 + 30 + static_cast<int>(h >> 8 & 31);
        const int fy = cy * cell - 9600 + 30 + static_cast<int>(h >> 16 & 31);
        skin.color = mix(skin.color, scale(skin.color, 2500), ramp(circle(s.x, s.y, fx, fy, 22), 16, -16));
      }
    }
    if (s.y < 100) {  // hair and hat throw a shadow
      const int cover = hat ? s.y - hat_edge(s.x) : front_hair(s);
      skin.light -= mul(hat ? 1300 : 800, smooth_ramp(cover, hat ? 260 : 190, -20));
    }
    return skin;
  });
  if (face_.beard) {
    canvas_.layer(
        {-1300, 100, 1300, 1600}, 60,
        [&](const Sample& s) {
          const int upper = std::max(-shaved.distance(s.x, s.y), 150 - s.y);
          return std::max({s.head - 50, upper, -chin_free.distance(s.x, s.y)});
        },
        [&](const Sample& s, int d) {
          Surface beard{scale(face_.hair, 3700), s.light};
          beard.light += texture(s.x, s.y, 34, 80, 900) + texture(s.x, s.y, 90, 200, 500);
          beard.light -= mul(400, smooth_ramp(d, -100, 0));
          return beard;
        });
  }
}

void Artist::draw_nose() {
  const int y = face_.nose_y, w = face_.nose_width, lit = face_.light_side;
  const Color shade = mix(scale(face_.skin, 2500), rgb(120, 30, 30), 700);
  // Photo: the shaded flank, the bright ridge and tip, the shadow below.
  canvas_.stain({-400, -200, 400, 600}, shade, 1900, 130, [&](const Sample& s) {
    return Ellipse(lit * -(70 + w / 4), y - 150, 60 + w / 5, 330).distance(s.x, s.y);
  });
  canvas_.stain({-400, y - 100, 400, y + 300}, shade, 2000, 90,
                [&](const Sample& s) { return Ellipse(lit * -30, y + 95, w, 45).distance(s.x, s.y); });
  const Color bright = mix(face_.skin, kWhite, 2400);
  canvas_.stain({-300, -200, 300, 600}, bright, 1500, 80, [&](const Sample& s) {
    return std::min(Ellipse(lit * 25, y - 330, 24, 200).distance(s.x, s.y),
                    circle(s.x, s.y, lit * 45, y - 20, 55));
  });
  // The nostrils; in print a short curve for them and a line for the shaded flank.
  if (canvas_.photo()) {
    for (const int side : {-1, 1}) {
      canvas_.stain({-400, y - 150, 400, y + 250}, scale(shade, 2000), 3000, 34, [&](const Sample& s) {
        return Ellipse(side * w * 6 / 10, y + 62, w / 3, 22).distance(s.x, s.y);
      });
    }
  } else {
    const Arc base{0, y + 75, w, -60};
    canvas_.layer(
        {-w - 100, y - 100, w + 100, y + 200}, 0,
        [&](const Sample& s) { return base.stroke(s.x, s.y, 34, 1500); },
        [](const Sample&, int) { return Surface{kInk}; });
    canvas_.layer(
        {-300, y - 420, 300, y + 100}, 0,
        [&](const Sample& s) {
          const Arc flank{y - 170, lit * -(50 + w / 3), 200, lit * 45};  // x and y change places
          return flank.stroke(s.y, s.x, 24, 3000);
        },
        [](const Sample&, int) { return Surface{kInk}; });
  }
}

void Artist::draw_eye(int side) {
  const int cx = side * face_.eye_x, cy = face_.eye_y, w = face_.eye_width;
  const Box box = {cx - w - 160, cy - 420, cx + w + 160, cy + 380};
  const Lens opening(cx, cy, w, face_.eye_rise, face_.eye_fall);
  // The eye is drawn level; its slant is in where a point is looked up.
  const auto level = [&](const Sample& s) { return s.y - mul(face_.eye_slant * side, s.x - cx) / 2; };
  const auto eye = [&](const Sample& s) { return opening.distance(s.x, level(s)); };
  const int ix = cx + face_.gaze_x, iy = cy + face_.gaze_y - (face_.eye_rise - face_.eye_fall) / 4;
  const int radius = face_.iris_radius;

  const Color socket = mix(scale(face_.skin, 2500), rgb(110, 40, 50), 600);
  canvas_.stain(box, socket, 1700, 150, [&](const Sample& s) {
    return Ellipse(cx - side * 30, cy - 40, w + 30, 200).distance(s.x, s.y);
  });
  canvas_.layer(box, 70, eye, [&](const Sample& s, int) {
    const int lid = smooth_ramp(opening.top.below(s.x, level(s)), 150, 0);
    return Surface{rgb(250, 247, 244), canvas_.photo() ? 4100 - mul(1300, lid) : kOne};
  });
  canvas_.layer(
      box, 55, [&](const Sample& s) { return std::max(circle(s.x, s.y, ix, iy, radius), eye(s) + 8); },
      [&](const Sample& s, int) {
        // Darker rim and top; streaks that run to the pupil; a lighter crescent below.
        const int d = circle(s.x, s.y, ix, iy, radius);
        Surface iris{face_.iris, kOne};
        if (canvas_.photo()) {
          iris.light = 4700 - mul(1900, smooth_ramp(d, -55, 0)) - mul(1500, ramp(s.y, iy + 50, iy - radius)) +
                       texture(turn(s.x - ix, s.y - iy), 0, 1500, 1500, 600);
        } else {
          iris.color = clamp_color(scale(iris.color, kOne + ramp(s.y - iy, 10, 60) / 2));
        }
        return iris;
      });
  canvas_.layer(
      box, 0, [&](const Sample& s) { return std::max(circle(s.x, s.y, ix, iy, radius * 54 / 100), eye(s)); },
      [&](const Sample&, int) { return Surface{rgb(16, 12, 16)}; });
  const int glint_x = ix + face_.light_side * radius * 38 / 100, glint_y = iy - radius * 38 / 100;
  canvas_.layer(
      box, 0,
      [&](const Sample& s) {
        return std::max(circle(s.x, s.y, glint_x, glint_y, radius * 30 / 100), eye(s));
      },
      [&](const Sample&, int) { return Surface{kWhite}; });
  // Lashes along the upper lid, and its fold above.
  const Color lash = canvas_.photo() ? mix(rgb(30, 20, 20), face_.hair, 700) : kInk;
  const int thickness = std::max(canvas_.photo() ? 28 : 40, canvas_.pixel() * 3 / 8);
  canvas_.layer(
      box, 0, [&](const Sample& s) { return opening.top.stroke(s.x, level(s), thickness, 1600); },
      [&](const Sample&, int) { return Surface{lash}; });
  Arc fold = opening.top;
  fold.cy -= 75;
  canvas_.stain(box, scale(socket, 3200), 2600, 30,
                [&](const Sample& s) { return fold.stroke(s.x, level(s), 8, 2000); });
}

void Artist::draw_brow(int side) {
  const int cx = side * (face_.eye_x + 20), cy = face_.eye_y - face_.brow_lift - face_.brow_arch / 2;
  const Arc curve{cx, cy, 265, face_.brow_arch};
  const Color hair = luma(face_.hair) > 2600 ? scale(face_.hair, 2700) : scale(face_.hair, 3300);
  const Box box = {cx - 380, cy - 330, cx + 380, cy + 350};
  canvas_.layer(
      box, 0,
      [&](const Sample& s) {
        const int level = s.y - mul(face_.brow_slant * side, cx - s.x) / 2;
        return curve.stroke(s.x, level, std::max(face_.brow_thickness, canvas_.pixel() * 3 / 8), 2000);
      },
      [&](const Sample& s, int) {
        return Surface{canvas_.photo() ? hair : mix(hair, kInk, 2000),
                       kOne + texture(s.x, s.y + s.x * side / 2, 26, 120, 900)};
      });
}

void Artist::draw_mouth() {
  const int y = face_.mouth_y, lip = face_.full_lips ? face_.lip_height : face_.lip_height * 2 / 3;
  int w = face_.mouth_width, bend = 0, open_up = 0, open_down = 0;  // bend < 0 lifts the corners
  switch (face_.mouth) {
    case Mouth::neutral: w = w * 9 / 10, bend = -25; break;
    case Mouth::smile: bend = -150; break;
    case Mouth::grin: bend = -170, open_up = 20, open_down = 150; break;
    case Mouth::laugh: bend = -190, open_up = 45, open_down = 270; break;
    case Mouth::surprised: w = 190; break;
    case Mouth::frown: w = w * 9 / 10, bend = 90; break;
  }
  const int cy = y - bend / 2 - open_down / 4;
  const Box box = {-w - 220, y - 330, w + 220, y + 480};
  const Color dark = rgb(86, 20, 30),
              line = canvas_.photo() ? mix(scale(face_.lips, 1700), rgb(60, 10, 20), 1500) : kInk;
  const auto lit_lips = [&](const Sample& s, int) {
    Surface lips{face_.lips, s.light + texture(s.x, s.y, 24, 200, 250)};
    lips.gloss =
        face_.full_lips
            ? mul(canvas_.photo() ? 1100 : 1800,
                  ramp(circle(s.x, s.y, face_.light_side * 60, cy + open_down + lip / 2, 60), 60, -50))
            : 0;
    if (canvas_.photo() && s.y < cy + 10) lips.light -= 500;  // the upper lip faces the ground
    return lips;
  };
  canvas_.stain(box, scale(face_.skin, 2400), 1500, 110, [&](const Sample& s) {
    return Ellipse(0, cy + open_down + lip + 90, w * 6 / 10, 30).distance(s.x, s.y);
  });

  if (face_.mouth == Mouth::surprised) {
    const Ellipse rim(0, y + 30, w + lip / 2, 210 + lip / 2), hole(0, y + 30, w - 30, 175),
        tongue(0, y + 190, w, 120);
    canvas_.layer(
        box, 80, [&](const Sample& s) { return rim.distance(s.x, s.y); }, lit_lips);
    canvas_.layer(
        box, 70, [&](const Sample& s) { return hole.distance(s.x, s.y); },
        [&](const Sample& s, int) {
          return Surface{mix(dark, rgb(214, 84, 96), inside(tongue.distance(s.x, s.y)))};
        });
  } else {
    const Lens lips(0, cy, w, open_up + lip, open_down + lip, bend);
    const Lens gap(0, cy, w - 20, open_up, open_down, bend);
    const bool open = open_down > 0;
    const int outline = face_.full_lips ? 60 : 0;
    if (face_.full_lips || canvas_.photo()) {
      canvas_.layer(
          box, outline, [&](const Sample& s) { return lips.distance(s.x, s.y); }, lit_lips);
    }
    if (open) {
      const Arc teeth{0, cy - open_up + 105, w, bend + open_up}, tongue{0, cy + open_down - 110, w / 2, 60};
      canvas_.layer(
          box, 80, [&](const Sample& s) { return gap.distance(s.x, s.y); },
          [&](const Sample& s, int) {
            Color c = mix(dark, rgb(218, 86, 98), inside(-tongue.below(s.x, s.y)));
            c = mix(c, rgb(252, 248, 240), inside(teeth.below(s.x, s.y)));
            const int rim = canvas_.photo() ? mul(1300, smooth_ramp(gap.distance(s.x, s.y), -60, 0)) : 0;
            return Surface{c, kOne - rim};
          });
    } else {
      const Arc seam{0, cy, w, bend};
      const int seam_width = std::max(canvas_.photo() || face_.full_lips ? 24 : 36, canvas_.pixel() / 2);
      canvas_.layer(
          box, 0, [&](const Sample& s) { return seam.stroke(s.x, s.y, seam_width, 2400); },
          [&](const Sample&, int) { return Surface{line}; });
      if (!face_.full_lips && !canvas_.photo()) {  // a short line below hints at the lip
        const Arc hint{0, cy + lip + 50, w / 3, -20};
        canvas_.layer(
            box, 0, [&](const Sample& s) { return hint.stroke(s.x, s.y, 22, 3000); },
            [&](const Sample&, int) { return Surface{kInk}; });
      }
    }
  }
  if (face_.moustache) {
    const Lens whiskers(0, (face_.nose_y + cy) / 2 + 50, face_.mouth_width + 20, 60, 55, 90);
    canvas_.layer(
        box, 60, [&](const Sample& s) { return whiskers.distance(s.x, s.y) - 35; },
        [&](const Sample& s, int) {
          return Surface{scale(face_.hair, 3700), s.light + texture(s.x, s.y, 30, 100, 900)};
        });
  }
}

int Artist::front_hair(const Sample& s) const {
  const int t = face_.hair_thickness, w = face_.head_width, x = s.x - face_.hair_part;
  // Short hair gets thinner towards the ears.
  const int tapered = s.head - 24 - mul(t - 24, smooth_ramp(s.y, 40, -760));
  int cap = tapered, side_end = 60, free = opening_.distance(s.x, s.y);
  // Fringes: the free part of the head begins below this line.
  int fringe = -kFar;
  switch (face_.hair_style) {
    case HairStyle::bald: return kFar;
    case HairStyle::buzz: cap = s.head - 40, side_end = -60; break;
    case HairStyle::parted: fringe = -800 + mul(std::abs(x), 1000), side_end = 20; break;
    case HairStyle::swept:
      fringe = -640 + x * (face_.hair_part > 0 ? -1 : 1) / 4 + mul(triangle_wave(s.x, 300), 70);
      break;
    case HairStyle::curtain:
      fringe = -1000 + mul(std::abs(s.x), 2600), cap = s.head - t, side_end = 250;
      break;
    case HairStyle::spiky:
      cap -= mul(ramp(s.y, -200, -900), 70 + mul(triangle_wave(turn(s.x, s.y + 200), 65536 / 22), 170));
      fringe = -700 + mul(triangle_wave(s.x + 100, 280), 110);
      break;
    case HairStyle::mohawk: {
      const int spikes = mul(triangle_wave(s.x, 230), 110);
      cap = Ellipse(0, -1150, 360, 700).distance(s.x, s.y) - (s.y < -1300 ? spikes : 0);
      side_end = -640;
      break;
    }
    case HairStyle::bob: side_end = 900, fringe = -900 + mul(std::abs(x), 1500), cap = s.head - 180; break;
    case HairStyle::bangs:
      side_end = 900, fringe = -520 + mul(triangle_wave(s.x, 240), 45), cap = s.head - 180;
      break;
    case HairStyle::straight:
      side_end = 1250, fringe = -950 + mul(std::abs(s.x), 1300), cap = s.head - 180;
      break;
    case HairStyle::wavy: side_end = 1100, fringe = -850 + mul(std::abs(x), 900), cap = s.head - 220; break;
    case HairStyle::bun: side_end = 0; break;
    case HairStyle::pigtails:
      cap = s.head - t, side_end = 100, fringe = -560 + mul(triangle_wave(s.x, 380), 80);
      break;
    case HairStyle::afro:
      cap = std::min(curls(s.x, s.y), s.head - 200), side_end = 0;
      free += mul(triangle_wave(turn(s.x, s.y - 200), 65536 / 24), 50);
      break;
  }
  free = std::max(free, fringe - s.y);
  int d = std::max({cap, -free, s.y - side_end});
  if (face_.hat != Hat::none) d = std::max(d, hat_edge(s.x) - 150 - s.y);
  return std::abs(s.x) > w + 500 ? kFar : d;
}

void Artist::draw_front_hair() {
  const bool shaved_sides = face_.hair_style == HairStyle::mohawk;
  if (shaved_sides) {
    canvas_.layer(
        {-1400, -1500, 1400, 100}, 0,
        [&](const Sample& s) {
          return std::max({s.head + 25, -opening_.distance(s.x, s.y), s.y + 100});
        },
        [&](const Sample& s, int) {
          Surface stubble{mix(face_.skin, face_.hair, 1500), s.light};
          stubble.light += texture(s.x, s.y, 40, 40, 600);
          return stubble;
        });
  }
  canvas_.layer(
      kEverywhere, 100, [&](const Sample& s) { return front_hair(s); },
      [&](const Sample& s, int d) {
        Surface hair = hair_surface(s);
        hair.light -= mul(700, smooth_ramp(d, -110, 0));
        return hair;
      });
}

void Artist::draw_glasses() {
  if (face_.glasses == Glasses::none) return;
  const bool round = face_.glasses == Glasses::round, sun = face_.glasses == Glasses::sun;
  const int cx = face_.eye_x + 10, cy = face_.eye_y + 15, hx = round ? 330 : 345, hy = round ? 330 : 250;
  const int wire = std::max(34, canvas_.pixel() / 3);
  const Box box = {-1350, cy - 450, 1350, cy + 450};
  const auto lens = [&](const Sample& s) {
    return rounded_box(std::abs(s.x), s.y, cx, cy, hx, hy, round ? 330 : sun ? 190 : 90);
  };
  if (sun) {
    canvas_.layer(box, 0, lens, [&](const Sample& s, int) {
      const int sheen = s.x * face_.light_side - (s.y - cy);
      const int band = ramp(std::abs(triangle_wave(sheen + 250, 900)), 700, 500);
      return Surface{mix(rgb(34, 30, 44), rgb(90, 70, 110), ramp(s.y, cy - hy, cy + hy)), kOne,
                     mul(band, 900)};
    });
  } else {
    canvas_.glaze(box, kWhite, 500, lens);
  }
  const Arc bridge{0, cy - 90, cx - hx + 30, 30};
  canvas_.layer(
      box, 0,
      [&](const Sample& s) {
        const int rim = std::abs(lens(s)) - wire, nose = bridge.stroke(s.x, s.y, wire);
        const int bow_y = cy - 60, x = std::abs(s.x);
        const int bow = x < cx + hx ? kFar : std::max(std::abs(s.y - bow_y) - wire, s.head + 10);
        return std::min({rim, nose, bow});
      },
      [&](const Sample& s, int) {
        return Surface{canvas_.photo() ? face_.frame : scale(face_.frame, 3000), s.light, 0};
      });
}

void Artist::draw_hat() {
  const int w = face_.head_width, lit = face_.light_side;
  const auto cloth_light = [&](const Sample& s, int d) {
    return mix(s.light, 3500, 1200) - mul(700, smooth_ramp(d, -160, 0));
  };
  const Color band =
      luma(face_.trim) > luma(face_.hat_color) + 300 || luma(face_.trim) < luma(face_.hat_color) - 300
          ? face_.trim
          : mix(face_.trim, kWhite, 2600);
  switch (face_.hat) {
    case Hat::none: return;
    case Hat::cap: {
      const Ellipse dome(0, -640, w + 90, 900);
      canvas_.layer(
          kEverywhere, 100,
          [&](const Sample& s) { return std::max(dome.distance(s.x, s.y), s.y - hat_edge(s.x) + 40); },
          [&](const Sample& s, int d) {
            const int seam = std::abs(s.x);
            Surface cloth{face_.hat_color, cloth_light(s, d) + texture(s.x, s.y, 34, 34, 250)};
            cloth.color = mix(cloth.color, scale(cloth.color, 2700), ramp(seam, 26, 14));
            cloth.color = mix(cloth.color, band, inside(circle(s.x, s.y, 0, -1110, 230)));
            return cloth;
          });
      const Lens visor(lit * 60, -700, w - 40, 150, 200, 130);
      canvas_.layer(
          {-1600, -1000, 1600, -200}, 100, [&](const Sample& s) { return visor.distance(s.x, s.y) - 40; },
          [&](const Sample& s, int d) {
            return Surface{scale(band, 3700), cloth_light(s, d), mul(500, ramp(s.y, -680, -780))};
          });
      return;
    }
    case Hat::beanie: {
      const Ellipse dome(0, -700, w + 110, 960);
      const Arc stripe{0, -1250, w, 90};
      canvas_.layer(
          {-500, -2300, 500, -1300}, 100, [&](const Sample& s) { return circle(s.x, s.y, 0, -1650, 260); },
          [&](const Sample& s, int d) {
            return Surface{band, 4200 - mul(1500, ramp(d, -200, 0)) + texture(s.x, s.y, 50, 50, 1200)};
          });
      canvas_.layer(
          kEverywhere, 100,
          [&](const Sample& s) { return std::max(dome.distance(s.x, s.y), s.y - hat_edge(s.x) + 100); },
          [&](const Sample& s, int d) {
            Surface knit{face_.hat_color, cloth_light(s, d) + texture(s.x, s.y, 60, 40, 700)};
            knit.color = mix(knit.color, band, inside(std::abs(s.y - stripe.y_at(s.x)) - 90));
            return knit;
          });
      canvas_.layer(
          {-1600, -1200, 1600, -300}, 100,
          [&](const Sample& s) {
            return rounded_box(s.x, s.y - (hat_edge(s.x) + 640), 0, -770, w + 150, 170, 110);
          },
          [&](const Sample& s, int d) {
            Surface knit{band, cloth_light(s, d)};
            knit.light -= mul(900, ramp(triangle_wave(s.x, 150), 500, 3500));  // ribs
            return knit;
          });
      return;
    }
    case Hat::top_hat: {
      const Color felt = mix(face_.hat_color, rgb(36, 32, 44), 2700);
      canvas_.layer(
          kEverywhere, 100,
          [&](const Sample& s) {
            const int waist = 820 + mul(130, ramp(s.y, -900, -2000));
            return std::max({std::abs(s.x) - waist, -1960 - s.y, s.y + 750});
          },
          [&](const Sample& s, int d) {
            Surface cloth{mix(felt, band, inside(-1080 - s.y)),
                          cloth_light(s, d) + texture(s.x, s.y, 34, 120, 300)};
            cloth.gloss = mul(900, smooth_ramp(std::abs(s.x - lit * 420), 130, 40));
            if (s.y > -1080 || !canvas_.photo()) cloth.gloss *= 2;
            return cloth;
          });
      const Lens brim(0, -760, w + 420, 120, 150, -130);
      canvas_.layer(
          {-1900, -1200, 1900, -300}, 100, [&](const Sample& s) { return brim.distance(s.x, s.y) - 30; },
          [&](const Sample& s, int d) {
            return Surface{felt, cloth_light(s, d) + mul(900, ramp(s.y, -700, -850))};
          });
      return;
    }
  }
}

}  // namespace
}  // namespace gan::comics

namespace gan {

std::vector<uint8_t> draw_comics_face(uint64_t index, ComicsStyle style, int size) {
  if (size < 32 || size > 256) {
    fail(Exit::usage, "builtin:comics draws faces of 32 to 256 pixels, not {}; choose a size in that range",
         size);
  }
  return comics::Artist(index, style, size).draw();
}

Image draw_face(uint64_t index, ComicsStyle style, int size, int channels) {
  Image face(size, size, 3);
  face.pixels = draw_comics_face(index, style, size);
  if (channels == 1) return in_grey(std::move(face));
  return face;
}

ComicsTraits comics_traits(uint64_t index) {
  const comics::Face face(index);
  return {int(face.hair_style), int(face.hat), int(face.glasses)};
}

const std::vector<std::string>& comics_hair_styles() {
  static const std::vector<std::string> names = {"bald",  "buzz",   "parted",   "swept", "curtain",
                                                 "spiky", "mohawk", "bob",      "bangs", "straight",
                                                 "wavy",  "bun",    "pigtails", "afro"};
  return names;
}

}  // namespace gan
