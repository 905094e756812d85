#!/usr/bin/env python3
"""Makes tests/data/lab.safetensors: what scikit-image's rgb2lab makes of the colours of a 17x17x17 grid and of all greys.

    tests/peers/make_colours.py tests/data/lab.safetensors

Colour number (r*17 + g)*17 + b of the grid is (r, g, b)/16; then come the greys 0/255 ... 255/255.
"""
import sys

import numpy as np
import skimage
from skimage.color import rgb2lab

from torch_networks import write_safetensors


def main():
    steps = np.arange(17) / 16
    grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    greys = np.repeat(np.arange(256)[:, None] / 255, 3, 1)
    colours = np.concatenate([grid, greys])
    lab = rgb2lab(colours[None])[0].astype(np.float32)  # float64 arithmetic, D65, 2 degrees
    write_safetensors(sys.argv[1], {"lab": lab}, {"made by": f"scikit-image {skimage.__version__}"})


if __name__ == "__main__":
    main()
