#!/usr/bin/env python3
"""Loads a checkpoint of ours into PyTorch: the names, shapes and layouts must be what PyTorch users expect.

    tests/peers/check_checkpoint.py RUN/checkpoints/step-00000500.safetensors

Reads the file with the safetensors package (or our own reader where that is missing), builds the networks that the
stored config names, loads `G.`, `D.` and, where there are averaged weights, `ema.G.` strictly, checks that Adam's
moments have the shapes of their parameters, and draws a few images. Prints OK, or fails with a reason.
"""
import sys

import torch

from torch_networks import build_networks, load_strictly, read_safetensors

# What build_networks() needs, where a config leaves a key out.
STANDARD = {"channels": 3, "nz": 100, "ngf": 64, "ndf": 64, "norm": "batch"}


def read(path):
    try:
        from safetensors import safe_open
    except ImportError:
        return read_safetensors(path)
    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()


def parse_config(text):
    """The flat TOML that we write: `key = value` lines. Only words, numbers and true/false matter here."""
    config = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if not equals or line.lstrip().startswith("#"):
            continue
        value = value.strip()
        if value[:1] in "\"'":
            config[key.strip()] = value[1 : value.index(value[0], 1)]
        else:
            number = value.split("#")[0].strip()
            if number.lstrip("+-").isdigit():
                config[key.strip()] = int(number)
    return config


def check(path):
    tensors, metadata = read(path)
    config = {**STANDARD, **parse_config((metadata or {})["config"])}
    generator, discriminator = build_networks(config)
    load_strictly(discriminator, tensors, "D.")
    loaded = ["G.", "D."]
    for prefix in ("ema.G.", "G."):
        if prefix == "ema.G." and not any(name.startswith(prefix) for name in tensors):
            continue
        load_strictly(generator, tensors, prefix)
        if prefix not in loaded:
            loaded.append(prefix)
        draw(generator, discriminator, config, prefix)
    for name, tensor in tensors.items():
        for moment in ("adam.G.m.", "adam.G.v.", "adam.D.m.", "adam.D.v."):
            if name.startswith(moment):
                parameter = tensors[name.replace(moment, moment[5:7])]
                assert tensor.shape == parameter.shape, f"{name}: {tensor.shape}, its parameter has {parameter.shape}"
    parameters = sum(p.numel() for network in (generator, discriminator) for p in network.parameters())
    print(f"OK: {path}: {config['model']}, {parameters} parameters, loaded {', '.join(loaded)}")


@torch.no_grad()
def draw(generator, discriminator, config, prefix):
    generator.eval()
    discriminator.eval()
    shape = (4, config["channels"], config["size"], config["size"])
    images = generator(torch.randn(4, config["nz"], generator=torch.Generator().manual_seed(0)))
    assert images.shape == shape, f"{prefix} draws {tuple(images.shape)}, not {shape}"
    assert images.isfinite().all(), f"{prefix} draws images that are not finite"
    assert discriminator(images).isfinite().all(), "D's logits are not finite"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: check_checkpoint.py CHECKPOINT.safetensors")
    check(sys.argv[1])
