// How near one picture is to another, and how colourful it is: the measures that `gan eval`, `gan compare`
// and the validation during training print, one file each. All work on the 8-bit samples of two pictures of one size, so a
// network's output is rounded and clipped before it is measured, as it is when it is written to a file.
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "engine/metrics/metric.h"

namespace gan {

// Peak signal-to-noise ratio in dB: 10 log10(255^2 / mean squared difference over all samples). Infinite for
// equal pictures.
double psnr(const Image& a, const Image& b);

// Mean absolute difference over all samples, in steps of 1/255 (0..255).
double mean_absolute_difference(const Image& a, const Image& b);

// Structural similarity (Wang, Bovik, Sheikh & Simoncelli 2004): Gaussian window of 11 taps and sigma 1.5,
// K1 0.01, K2 0.03, range 255, population covariance, windows that lie wholly inside, each channel by itself
// and the mean of them. In -1..1; 1 for equal pictures. Both sides must be at least kSsimWindow.
constexpr int kSsimWindow = 11;
double ssim(const Image& a, const Image& b);
// The same after both pictures have been averaged down by round(shorter side / 256): what the authors'
// program ssim.m and the package piq print. Equal to ssim() where the shorter side has less than 384 pixels.
double ssim_256(const Image& a, const Image& b);

// How much detail a picture has against another: the sum of absolute differences between neighbouring samples,
// along both sides and in each channel, over that of `b`. 1 for equal pictures, below for blurred ones, above for
// noisy ones; NaN where `b` is flat.
double sharpness(const Image& a, const Image& b);

// How the colours of a picture of 3 channels lie around grey: means of rg = R - G and yb = (R + G)/2 - B, and
// the sum of their variances.
struct OpponentColours {
  double rg, yb, variance;
};
OpponentColours opponent_colours(const Image& image);

// Hasler & Suesstrunk 2003, eq. 3: sqrt(s_rg^2 + s_yb^2) + 0.3 sqrt(m_rg^2 + m_yb^2) with means m and
// deviations s of rg = R - G and yb = (R + G)/2 - B. 0 for grey pictures, about 30 for an averagely colourful
// photo, above 80 for an extremely colourful one.
double colourfulness(const Image& image);

// ---- by name, for the command line ----

// All of them, the usual ones first.
const std::vector<const Metric*>& metrics();
std::vector<std::string> names_of_metrics(bool usual);
// Whose value has that key in Measures; null: nobody's.
const Metric* metric_of(const std::string& key);

// Values by key: the name of a measure; of one that looks at a picture by itself (colourfulness) that and
// NAME_reference, the second picture's.
using Measures = std::vector<std::pair<std::string, double>>;

// From "psnr,ssim": the names checked, in the order given. Exit::usage on an unknown name, naming the nearest.
// Empty: the usual ones.
std::vector<std::string> parse_metrics(const std::string& list);
// A measure that a picture is too small for is NaN.
Measures measure(const Image& a, const Image& b, const std::vector<std::string>& names);
// The mean of each measure over all pictures that have it; one infinite PSNR makes the mean infinite.
Measures mean_of(const std::vector<Measures>& all);

}  // namespace gan
