#!/usr/bin/env python3
"""How near styled pictures are to a set of a style, and how near they stay to their photos, as an encoder sees it.

    gan translate RUN photos/ --out drawn/
    tests/peers/style_distance.py CHECKPOINT photos/ squares/ drawn=drawn/

The encoder is the frozen network `features` of CHECKPOINT, which should not be one whose features were in the losses of
the run that is judged: any checkpoint of `gan train style`, which holds its own, does for a `comic` without --lambda-style
and --lambda-content.

Style distance: means and deviations of every channel of the four levels, as root mean square distance from the set's mean,
in deviations of the set; a picture of the set itself has about 1. Channels that the set hardly moves (a twentieth of what
its level's median does) are left out: they would divide by almost nothing. With --grey all pictures are compared in grey
of equal light and contrast, so that only lines, strokes and areas count, no colours. Beside the styled pictures stand the photos as they are and
a plain transfer of colour: each photo with the set's means and deviations in Lab (Reinhard et al. 2001). Content distance:
root mean square of differences at the last level, in parts of what two different photos differ by.

Where photos differ among themselves as much as from the style, distances say little. With --others a linear classifier (least
squares with a penalty of 1/2) of the same statistics learns to tell four fifths of the style's pictures from as many of those photos,
and says which part of each folder it takes for the style, and what it makes of the last fifths.

Needs torch, numpy and Pillow.
"""
import argparse
import os

import numpy as np
import torch
from PIL import Image

from torch_networks import Encoder, load_strictly, read_safetensors

MOST_OF_SET = 150
LEAST_OF_MEDIAN = 0.05
LUMA = np.array([0.299, 0.587, 0.114])
WHITE = np.array([0.95047, 1, 1.08883])
TO_XYZ = np.array([[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint")
    parser.add_argument("photos", help="folder of photos")
    parser.add_argument("style", help="folder of pictures of the style")
    parser.add_argument("styled", nargs="+", metavar="NAME=FOLDER", help="photos styled, under the photos' names")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--others", metavar="FOLDER", help="photos that are not judged: what part would be taken for the style?")
    parser.add_argument("--grey", action="store_true", help="compare in grey of equal light and contrast")
    options = parser.parse_args()
    torch.set_num_threads(1)
    tensors, _ = read_safetensors(options.checkpoint)
    encoder = Encoder()
    load_strictly(encoder, {name: values.astype(np.float32) for name, values in tensors.items() if name.startswith("features.")}, "features.")

    of_set = pictures(options.style, options.size)
    names = files_of(options.photos)
    sets = {"photos": pictures(options.photos, options.size)}
    sets["colour transfer"] = recoloured(sets["photos"], of_set)
    for name, _, folder in (text.partition("=") for text in options.styled):
        sets[name] = [read(find(folder, photo), options.size) for photo in names]
    shown = in_even_grey if options.grey else lambda picture: picture
    seen = {name: [look(encoder, shown(picture)) for picture in own] for name, own in sets.items()}

    tiles = [look(encoder, shown(picture))[0] for picture in of_set[:: max(1, len(of_set) // MOST_OF_SET)]]
    centre = [np.mean(level, 0) for level in zip(*tiles)]
    spread = [np.std(level, 0) for level in zip(*tiles)]
    moves = [level > LEAST_OF_MEDIAN * np.median(level) for level in spread]
    distance = lambda levels: np.sqrt(
        np.mean([np.mean(((x - c)[m] / s[m]) ** 2) for x, c, s, m in zip(levels, centre, spread, moves)]))
    content = lambda one, other: np.sqrt(np.mean((one[1] - other[1]) ** 2))
    photos = seen["photos"]
    apart = np.mean([content(one, other) for i, one in enumerate(photos) for other in photos[:i]])
    takes = lambda levels: float("nan")
    if options.others:
        others = [look(encoder, shown(picture))[0] for picture in pictures(options.others, options.size)]
        more = [look(encoder, shown(picture))[0] for picture in of_set[:: max(1, len(of_set) // len(others))]]
        takes, right = classifier(more, others)
        print(f"held out: {right[0]:.2f} of the style and {right[1]:.2f} of other photos are taken for the style")
    print(f"{len(names)} photos, {len(tiles)} pictures of the style (of themselves: {np.mean([distance(t) for t in tiles]):.2f})")
    print(f"{'':18}style distance   content, of that between two photos   taken for the style")
    for name, own in seen.items():
        near = np.mean([content(one, photo) for one, photo in zip(own, photos)]) / apart
        taken = np.mean([takes(one[0]) for one in own])
        print(f"{name:18}{np.mean([distance(one[0]) for one in own]):14.2f}   {near:37.2f}   {taken:19.2f}")


def classifier(style, others):
    """(whether it takes statistics for the style, the parts of both that it does of those held out)"""
    rng = np.random.default_rng(0)
    style, others = ([np.concatenate(own[i]) for i in rng.permutation(len(own))] for own in (style, others))
    part = lambda own: (own[: len(own) * 4 // 5], own[len(own) * 4 // 5 :])
    (style, style_left), (others, others_left) = part(style), part(others)
    learnt = np.stack(style + others)
    spread = learnt.std(0)
    moves = spread > LEAST_OF_MEDIAN * np.median(spread)
    row = lambda levels: np.append(((levels - learnt.mean(0))[moves] / spread[moves]), 1)
    rows = np.stack([row(levels) for levels in learnt])
    wanted = np.array([1.0] * len(style) + [-1.0] * len(others))
    weight = np.where(wanted > 0, 1 / len(style), 1 / len(others))
    plane = np.linalg.solve(rows.T @ (rows * weight[:, None]) + 0.5 * np.eye(rows.shape[1]), rows.T @ (weight * wanted))
    is_style = lambda levels: row(levels) @ plane > 0
    parts = [np.mean([is_style(levels) for levels in left]) for left in (style_left, others_left)]
    return lambda levels: is_style(np.concatenate(levels)), parts


def files_of(folder):
    found = [os.path.join(path, file) for path, _, files in os.walk(folder) for file in files]
    return sorted(file for file in found if file.lower().endswith((".png", ".jpg", ".jpeg")))


def find(folder, photo):
    stem = os.path.splitext(os.path.basename(photo))[0]
    for file in files_of(folder):
        if os.path.splitext(os.path.basename(file))[0] == stem:
            return file
    raise SystemExit(f"{folder}: nothing is called {stem}, as the photo {photo} is")


def read(file, size):
    return np.asarray(Image.open(file).convert("RGB").resize((size, size), Image.BICUBIC))


def pictures(folder, size):
    files = files_of(folder)
    if not files:
        raise SystemExit(f"{folder}: no pictures")
    return [read(file, size) for file in files]


def look(encoder, picture):
    """(means and deviations of every level, the last level) of a picture (size, size, 3) of bytes."""
    with torch.no_grad():
        levels = encoder(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1)
    statistics = [torch.cat([level.mean((2, 3))[0], level.std((2, 3))[0]]).numpy() for level in levels]
    return statistics, levels[-1].numpy()


def in_even_grey(picture):
    """Of mean 127.5 and deviation 50."""
    light = picture @ LUMA
    even = (light - light.mean()) / (light.std() + 1e-6) * 50 + 127.5
    return np.repeat(np.clip(even + 0.5, 0, 255).astype(np.uint8)[..., None], 3, -1)


def to_lab(picture):
    c = picture / 255
    linear = np.where(c > 0.04045, ((c + 0.055) / 1.055) ** 2.4, c / 12.92)
    xyz = linear @ TO_XYZ.T / WHITE
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1)


def to_rgb(lab):
    fy = (lab[..., 0] + 16) / 116
    f = np.stack([fy + lab[..., 1] / 500, fy, fy - lab[..., 2] / 200], -1)
    xyz = np.where(f > 0.2068966, f**3, (f - 16 / 116) / 7.787) * WHITE
    linear = np.clip(xyz @ np.linalg.inv(TO_XYZ).T, 0, None)
    c = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return np.clip(c * 255 + 0.5, 0, 255).astype(np.uint8)


def recoloured(photos, style):
    moments = lambda lab: (lab.reshape(-1, 3).mean(0), lab.reshape(-1, 3).std(0))
    mean, deviation = moments(np.stack([to_lab(picture[::4, ::4]) for picture in style]))
    result = []
    for photo in photos:
        lab = to_lab(photo)
        own_mean, own_deviation = moments(lab)
        result.append(to_rgb((lab - own_mean) / own_deviation * deviation + mean))
    return result


if __name__ == "__main__":
    main()
