"""The DCGAN and the MLP GAN in PyTorch, by the book, and the safetensors format by hand.

This is the other side of every comparison with PyTorch: make_replay.py records its runs, check_checkpoint.py loads
our checkpoints into it, bench/peer_torch.py times it. Module numbers (`main.0`, `main.1`, ...) give the tensors the
names that our files use. Needs torch >= 1.13 and numpy, nothing else. Images are NCHW in [-1, 1]; discriminators
return logits.
"""
import json
import struct

import numpy as np
import torch
from torch import nn

NUMPY_TYPES = {"F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32, "U8": np.uint8}
SAFETENSORS_NAMES = {np.dtype(numpy_type): name for name, numpy_type in NUMPY_TYPES.items()}


def normalisation(kind, channels):
    """The modules that `norm = kind` puts behind a convolution: a list, since "none" puts none there."""
    if kind == "batch":
        return [nn.BatchNorm2d(channels)]  # eps 1e-5, momentum 0.1
    if kind == "instance":
        return [nn.InstanceNorm2d(channels)]  # no scale and shift, no running statistics: it has no tensors
    if kind == "none":
        return []
    raise SystemExit(f'norm "{kind}" is not one of batch, instance, none')


class Sequential(nn.Module):
    """Layers under the name `main`, as pytorch/examples has them."""

    def __init__(self, layers):
        super().__init__()
        self.main = nn.Sequential(*layers)


class DcganGenerator(Sequential):
    """(N, nz) noise to (N, channels, size, size). Widths start at ngf*size/8 on a 4x4 map and halve as it doubles."""

    def __init__(self, size, channels, nz, ngf, norm):
        width = ngf * size // 8
        layers = [nn.ConvTranspose2d(nz, width, 4, 1, 0, bias=False), *normalisation(norm, width), nn.ReLU()]
        while width > ngf:
            layers += [nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False), *normalisation(norm, width // 2), nn.ReLU()]
            width //= 2
        super().__init__([*layers, nn.ConvTranspose2d(ngf, channels, 4, 2, 1, bias=False), nn.Tanh()])

    def forward(self, z):
        return self.main(z[:, :, None, None])


class DcganDiscriminator(Sequential):
    """(N, channels, size, size) to (N) logits: the generator mirrored, the first layer without a norm."""

    def __init__(self, size, channels, ndf, norm):
        width = ndf
        layers = [nn.Conv2d(channels, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        while width < ndf * size // 8:
            layers += [nn.Conv2d(width, width * 2, 4, 2, 1, bias=False), *normalisation(norm, width * 2), nn.LeakyReLU(0.2)]
            width *= 2
        super().__init__([*layers, nn.Conv2d(width, 1, 4, 1, 0, bias=False)])

    def forward(self, images):
        return self.main(images).flatten()


class MlpGenerator(Sequential):
    """(N, nz) noise through 256, 512, 1024 to (N, channels, size, size)."""

    def __init__(self, size, channels, nz):
        self.image_shape = (channels, size, size)
        layers = []
        for inputs, outputs in ((nz, 256), (256, 512), (512, 1024)):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        super().__init__([*layers, nn.Linear(1024, channels * size * size), nn.Tanh()])

    def forward(self, z):
        return self.main(z).reshape(-1, *self.image_shape)


class MlpDiscriminator(Sequential):
    """(N, channels, size, size), flattened in that order, through 1024, 512, 256 to (N) logits."""

    def __init__(self, size, channels):
        layers = []
        for inputs, outputs in ((channels * size * size, 1024), (1024, 512), (512, 256)):
            layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(0.2)]
        super().__init__([*layers, nn.Linear(256, 1)])

    def forward(self, images):
        return self.main(images.flatten(1)).flatten()


def build_networks(config):
    """(G, D) for a dictionary with the keys of a run's config.toml."""
    size, channels, nz = config["size"], config["channels"], config["nz"]
    if config["model"] == "mlpgan":
        return MlpGenerator(size, channels, nz), MlpDiscriminator(size, channels)
    if config["model"] != "dcgan":
        raise SystemExit(f'model "{config["model"]}" is not one of dcgan, mlpgan')
    if size < 8 or size & (size - 1):
        raise SystemExit(f"size {size}: a DCGAN needs a power of two of at least 8")
    norm = config.get("norm", "batch")
    return DcganGenerator(size, channels, nz, config["ngf"], norm), DcganDiscriminator(size, channels, config["ndf"], norm)


def write_safetensors(path, tensors, metadata):
    """A file of {name: numpy array} and {key: text}: header length (8 bytes), header (JSON), the bytes."""
    header, offset = {"__metadata__": metadata}, 0
    for name, array in tensors.items():
        header[name] = {
            "dtype": SAFETENSORS_NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + array.nbytes],
        }
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors start on a multiple of 8 bytes
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())


def read_safetensors(path):
    """({name: numpy array}, {key: text}) of a file."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    metadata, tensors = header.pop("__metadata__", {}), {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        array = np.frombuffer(data[8 + length + begin : 8 + length + end], NUMPY_TYPES[entry["dtype"]])
        tensors[name] = array.reshape(entry["shape"])
    return tensors, metadata


def load_strictly(network, tensors, prefix):
    """Loads `prefix<name>` tensors: every one must be there, none may be left over, every shape must fit."""
    state = {name[len(prefix) :]: torch.from_numpy(array.copy()) for name, array in tensors.items() if name.startswith(prefix)}
    for name in network.state_dict():
        if name.endswith("num_batches_tracked"):  # a counter that our files do not keep
            state.setdefault(name, torch.tensor(0))
    network.load_state_dict(state, strict=True)
