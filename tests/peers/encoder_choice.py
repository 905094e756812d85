#!/usr/bin/env python3
"""Which encoder tells kinds of pictures apart, and sees the same photo behind a change of style.

    tests/peers/encoder_choice.py --sets photos/ pages/ paintings/ --drawn photos/ drawn/ filters=A.safetensors colour=RUN/checkpoints/latest.safetensors

Each checkpoint's network `features` (or `encoder`, of `gan train encoder`) is measured on the same pictures:

  style    how often the nearest other picture, by Gram matrices of all levels as `comic` compares them, is of the same
           set; in colour and in grey. Chance is one over the number of sets.
  content  how far a photo is from itself changed (drawn, hue turned by 60 degrees, darker), by the third level as
           `comic` compares it, in parts of its median distance to other photos; less is better.

Needs torch, numpy and Pillow.
"""
import argparse
import math

import numpy as np
import torch
from PIL import Image

from make_replay import gram, grey
from style_distance import files_of, find, read
from torch_networks import Encoder, load_strictly, read_safetensors


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", nargs="+", metavar="NAME=FILE")
    parser.add_argument("--sets", nargs="+", required=True, metavar="FOLDER", help="one for each kind; the first has photos")
    parser.add_argument("--drawn", nargs=2, metavar=("PHOTOS", "DRAWN"), help="photos, and the same under the same names in another style")
    parser.add_argument("--count", type=int, default=64, help="pictures of each set")
    parser.add_argument("--size", type=int, default=128)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sets = [spread(folder, options) for folder in options.sets]
    photos = sets[0]
    changes = {"hue": [turned(photo) for photo in photos], "darker": [darker(photo) for photo in photos]}
    pairs = {name: (photos, changed) for name, changed in changes.items()}
    if options.drawn:
        files = files_of(options.drawn[0])
        drawn = [read(find(options.drawn[1], file), options.size) for file in files]
        pairs = {"drawn": ([read(file, options.size) for file in files], drawn), **pairs}
    print(f"{'':14}{'style':>8}{'in grey':>9}" + "".join(f"{name:>9}" for name in pairs))
    for name, _, file in (text.partition("=") for text in options.checkpoints):
        encoder = encoder_of(file)
        style = [of_same_kind(encoder, sets, view) for view in (lambda x: x, grey)]
        content = [kept(encoder, *pair) for pair in pairs.values()]
        print(f"{name:14}{style[0]:8.3f}{style[1]:9.3f}" + "".join(f"{value:9.3f}" for value in content), flush=True)


def encoder_of(file):
    tensors, _ = read_safetensors(file)
    prefix = next(prefix for prefix in ("features.", "encoder.") if any(name.startswith(prefix) for name in tensors))
    encoder = Encoder()
    wanted = {prefix + name for name in encoder.state_dict()}
    load_strictly(encoder, {name: values.astype(np.float32) for name, values in tensors.items() if name in wanted}, prefix)
    return encoder


def spread(folder, options):
    files = files_of(folder)
    if len(files) < options.count:
        raise SystemExit(f"{folder}: {len(files)} pictures, not {options.count}")
    return [square(files[i * len(files) // options.count], options.size) for i in range(options.count)]


def square(file, size):
    picture = Image.open(file).convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    return np.asarray(picture.crop((left, top, left + side, top + side)).resize((size, size), Image.BICUBIC))


def turned(picture, degrees=60):
    hue, saturation, value = Image.fromarray(picture).convert("HSV").split()
    hue = hue.point(lambda h: (h + round(degrees * 256 / 360)) % 256)
    return np.asarray(Image.merge("HSV", (hue, saturation, value)).convert("RGB"))


def darker(picture, power=1.6):
    return (255 * (picture / 255.0) ** power + 0.5).astype(np.uint8)


def look(encoder, picture, view=lambda x: x):
    with torch.no_grad():
        return encoder(view(torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1))


def of_same_kind(encoder, sets, view):
    grams = [[gram(level)[0] for level in look(encoder, picture, view)] for pictures in sets for picture in pictures]
    kinds = [kind for kind, pictures in enumerate(sets) for _ in pictures]
    levels = [torch.stack(level).flatten(1) for level in zip(*grams)]
    distances = sum(torch.cdist(level, level, 1) / level.shape[1] for level in levels)
    distances.fill_diagonal_(math.inf)
    nearest = distances.argmin(1).tolist()
    return np.mean([kinds[other] == kind for other, kind in zip(nearest, kinds)])


def kept(encoder, photos, changed):
    third = lambda picture: look(encoder, picture)[2].flatten()
    seen, again = torch.stack([third(photo) for photo in photos]), torch.stack([third(picture) for picture in changed])
    distances = torch.cdist(seen, seen, 1)
    distances.fill_diagonal_(math.nan)
    return float(((seen - again).abs().sum(1) / distances.nanmedian(1).values).mean())


if __name__ == "__main__":
    main()
