#!/usr/bin/env python3
"""What PyTorch's VGG-16 and VGG-19 make of made weights and pictures: numbers for tests/models/test_features.cpp.

The networks are torchvision's lists of layers written out again, so that their tensors have torchvision's names. Weights
and pictures are hashes of their places, which the test computes too: no file of weights is needed. The numbers in
tests/data/features were made by `tests/peers/make_features.py tests/data/features/vgg.expected.json`.
"""
import json
import sys

import numpy as np
import torch
from torch import nn

BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
TAPS = {
    "vgg16": ("relu1_2", "relu2_2", "relu3_3", "conv4_3", "relu4_3"),
    "vgg19": ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "conv4_4"),
}
SIZE, PICTURES = 24, 2


def hashed(stream, count):
    """Numbers from -0.5 to 0.5, functions of the stream and the place alone."""
    with np.errstate(over="ignore"):
        h = (np.arange(count, dtype=np.uint32) + np.uint32(stream * 1000003)) * np.uint32(2654435761)
        h ^= h >> np.uint32(15)
        h *= np.uint32(2246822519)
        h ^= h >> np.uint32(13)
    return h.astype(np.float64) / 2.0**32 - 0.5


def network(kind):
    """The layers, and {tap: index of the layer that it is behind}."""
    layers, taps, channels = [], {}, 3
    for block, (count, width) in enumerate(zip(BLOCKS[kind], (64, 128, 256, 512, 512)), 1):
        for i in range(1, count + 1):
            taps[f"conv{block}_{i}"] = len(layers)
            taps[f"relu{block}_{i}"] = len(layers) + 1
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers), taps


def fill(layers):
    """Weights of He's variance and biases, one stream for each tensor in the order of the names' numbers."""
    stream = 1
    for layer in layers:
        if not isinstance(layer, nn.Conv2d):
            continue
        fan_in = layer.weight[0].numel()
        for tensor, scale in ((layer.weight, np.sqrt(24.0 / fan_in)), (layer.bias, 0.1)):
            values = (hashed(stream, tensor.numel()) * scale).astype(np.float32)
            tensor.data = torch.from_numpy(values.astype(np.float64)).reshape(tensor.shape)
            stream += 1


def digest(tensor):
    """(N,C,H,W) in the order (N,H,W,C)."""
    flat = tensor.detach().permute(0, 2, 3, 1).reshape(-1).numpy()
    return {
        "shape": list(tensor.permute(0, 2, 3, 1).shape),
        "sum": float(flat.sum()),
        "abs_sum": float(np.abs(flat).sum()),
        "weighted_sum": float((flat * np.arange(1, flat.size + 1)).sum() / flat.size),
        "first4": flat[:4].tolist(),
        "last4": flat[-4:].tolist(),
    }


def main():
    expected = {"torch": torch.__version__, "size": SIZE, "pictures": PICTURES}
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).reshape(1, 3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).reshape(1, 3, 1, 1)
    for kind in BLOCKS:
        layers, places = network(kind)
        fill(layers)
        values = (2 * hashed(0, PICTURES * 3 * SIZE * SIZE)).astype(np.float32).astype(np.float64)
        x = torch.from_numpy(values).reshape(PICTURES, 3, SIZE, SIZE).requires_grad_()
        y, found = ((x + 1) / 2 - mean) / deviation, {}
        for index, layer in enumerate(layers[: max(places[tap] for tap in TAPS[kind]) + 1]):
            y = layer(y)
            for tap in TAPS[kind]:
                if places[tap] == index:
                    found[tap] = y
        sum((value**2).mean() for value in found.values()).backward()
        expected[kind] = {"taps": {tap: digest(found[tap]) for tap in TAPS[kind]}, "gradient": digest(x.grad)}
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
