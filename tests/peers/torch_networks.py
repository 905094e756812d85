"""Our networks in PyTorch, by the book, and the safetensors format by hand.

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

from published_networks import AnimeGan2

NUMPY_TYPES = {"F16": np.float16, "F32": np.float32, "F64": np.float64, "I64": np.int64, "I32": np.int32, "U8": np.uint8}
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

    def __init__(self, size, channels, nz, ngf, norm, up="convt"):
        width = ngf * size // 8
        layers = [nn.ConvTranspose2d(nz, width, 4, 1, 0, bias=False), *normalisation(norm, width), nn.ReLU()]
        while width > ngf:
            layers += [doubling(up, width, width // 2, False, 4), *normalisation(norm, width // 2), nn.ReLU()]
            width //= 2
        super().__init__([*layers, doubling(up, ngf, channels, False, 4), nn.Tanh()])

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


def image_norm(kind, channels):
    """The module behind a convolution of pix2pix's networks, where "none" leaves an empty place in the numbering."""
    return (normalisation(kind, channels) or [nn.Identity()])[0]


def doubling(up, inputs, outputs, bias, kernel):
    """A module that doubles the side: a transposed convolution (kernel 4 or 3), or what stands in for it."""
    if up == "resize":
        return Resize(inputs, outputs, bias)
    if up == "shuffle":
        return Shuffle(inputs, outputs, bias)
    return nn.ConvTranspose2d(inputs, outputs, kernel, 2, 1, output_padding=0 if kernel == 4 else 1, bias=bias)


class Resize(nn.Conv2d):
    """Nearest neighbours, then a 3x3 convolution."""

    def __init__(self, inputs, outputs, bias):
        super().__init__(inputs, outputs, 3, 1, 1, bias=bias)

    def forward(self, x):
        return super().forward(nn.functional.interpolate(x, scale_factor=2, mode="nearest"))


class Shuffle(nn.Conv2d):
    """A 3x3 convolution to four times the channels, then pixel shuffle."""

    def __init__(self, inputs, outputs, bias):
        super().__init__(inputs, 4 * outputs, 3, 1, 1, bias=bias)

    def forward(self, x):
        return nn.functional.pixel_shuffle(super().forward(x), 2)


class UnetLevel(nn.Module):
    """One level of pix2pix's U-Net with everything inside it: concat(x, level(x)), the outermost level(x)."""

    def __init__(self, outer, inner, norm, up, inside=None, picture=None, dropout=False):
        super().__init__()
        bias = norm == "instance"
        self.is_outermost = picture is not None
        if self.is_outermost:
            inputs, outputs = picture
            down = [nn.Conv2d(inputs, inner, 4, 2, 1, bias=bias)]
            back = [nn.ReLU(True), doubling(up, 2 * inner, outputs, True, 4), nn.Tanh()]
        elif inside is None:
            down = [nn.LeakyReLU(0.2, True), nn.Conv2d(outer, inner, 4, 2, 1, bias=bias)]
            back = [nn.ReLU(True), doubling(up, inner, outer, bias, 4), image_norm(norm, outer)]
        else:
            down = [nn.LeakyReLU(0.2, True), nn.Conv2d(outer, inner, 4, 2, 1, bias=bias), image_norm(norm, inner)]
            back = [nn.ReLU(True), doubling(up, 2 * inner, outer, bias, 4), image_norm(norm, outer)]
            back += [nn.Dropout(0.5)] if dropout else []
        self.model = nn.Sequential(*down, *([inside] if inside else []), *back)

    def forward(self, x):
        # The leaky relu works in place: x, as the skip has it, is leaky_relu(x) by then.
        return self.model(x) if self.is_outermost else torch.cat([x, self.model(x)], 1)


class Unet(nn.Module):
    """pix2pix's U-Net of `downs` levels."""

    def __init__(self, inputs, outputs, width, downs, norm, up, dropout):
        super().__init__()
        level = UnetLevel(8 * width, 8 * width, norm, up)
        for _ in range(downs - 5):
            level = UnetLevel(8 * width, 8 * width, norm, up, level, dropout=dropout)
        for outer in (4 * width, 2 * width, width):
            level = UnetLevel(outer, 2 * outer, norm, up, level)
        self.model = UnetLevel(None, width, norm, up, level, (inputs, outputs))

    def forward(self, x):
        return self.model(x)


class ResidualBlock(nn.Module):
    def __init__(self, width, norm):
        super().__init__()
        bias = norm == "instance"
        half = lambda: [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3, bias=bias), image_norm(norm, width)]
        self.conv_block = nn.Sequential(*half(), nn.ReLU(True), *half())

    def forward(self, x):
        return x + self.conv_block(x)


class Resnet(nn.Module):
    """The residual generator, without dropout."""

    def __init__(self, inputs, outputs, width, blocks, norm, up):
        super().__init__()
        bias = norm == "instance"
        behind = lambda channels: [image_norm(norm, channels), nn.ReLU(True)]
        layers = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, width, 7, bias=bias), *behind(width)]
        for w in (width, 2 * width):
            layers += [nn.Conv2d(w, 2 * w, 3, 2, 1, bias=bias), *behind(2 * w)]
        layers += [ResidualBlock(4 * width, norm) for _ in range(blocks)]
        for w in (2 * width, width):
            layers += [doubling(up, 2 * w, w, bias, 3), *behind(w)]
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh())

    def forward(self, x):
        return self.model(x)


class PatchGan(nn.Module):
    """A list of logit maps: one."""

    def __init__(self, inputs, width, layers, norm):
        super().__init__()
        modules, w = [nn.Conv2d(inputs, width, 4, 2, 1), nn.LeakyReLU(0.2, True)], width
        for n in range(1, layers + 1):
            following = min(2 * w, 8 * width)
            modules += [
                nn.Conv2d(w, following, 4, 2 if n < layers else 1, 1, bias=norm == "instance"),
                image_norm(norm, following),
                nn.LeakyReLU(0.2, True),
            ]
            w = following
        self.model = nn.Sequential(*modules, nn.Conv2d(w, 1, 4, 1, 1))

    def forward(self, x):
        return [self.model(x)]


class MultiScale(nn.Module):
    """Logit maps of the picture and of its halves."""

    def __init__(self, inputs, width, layers, norm, scales):
        super().__init__()
        for index in range(scales):
            setattr(self, f"scale{index}", PatchGan(inputs, width, layers, norm))

    def forward(self, x):
        maps = []
        for network in self.children():
            maps += network(x)
            x = nn.functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False)
        return maps


class PixelGan(nn.Module):
    def __init__(self, inputs, width, norm):
        super().__init__()
        bias = norm == "instance"
        self.net = nn.Sequential(
            nn.Conv2d(inputs, width, 1),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(width, 2 * width, 1, bias=bias),
            image_norm(norm, 2 * width),
            nn.LeakyReLU(0.2, True),
            nn.Conv2d(2 * width, 1, 1, bias=bias),
        )

    def forward(self, x):
        return [self.net(x)]


class AnimeGan2Discriminator(nn.Module):
    """TachibanaYoshino/AnimeGANv2, with the names of its scopes; its layer norm is GroupNorm(1). A list of logit maps: one."""

    def __init__(self, inputs, width):
        super().__init__()
        last = inputs
        for name, outputs, stride, norm in (
            ("conv_0", width, 1, None),
            ("conv_s2_1", 2 * width, 2, None), ("conv_s1_1", 4 * width, 1, "1_norm_1"),
            ("conv_s2_2", 4 * width, 2, None), ("conv_s1_2", 8 * width, 1, "1_norm_2"),
            ("last_conv", 8 * width, 1, "2_ins_norm"),
        ):
            self.add_module(name, nn.Conv2d(last, outputs, 3, stride, 1, bias=False))
            if norm:
                self.add_module(norm, nn.GroupNorm(1, outputs))
            self.add_module(name + "_act", nn.LeakyReLU(0.2))
            last = outputs
        self.D_logit = nn.Conv2d(last, 1, 3, 1, 1, bias=False)

    def forward(self, x):
        for module in self.children():
            x = module(x)
        return [x]


def mirrored(inputs, outputs, kernel=3, stride=1):
    """A convolution whose borders are mirrored."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, padding_mode="reflect")


class Whitebox(nn.Module):
    """White-box's generator: the picture and a change to it, skips added."""

    def __init__(self, channels, width, blocks=4):
        super().__init__()
        w = width
        downs = ((channels, w, 7, 1), (w, w, 3, 2), (w, 2 * w, 3, 1), (2 * w, 2 * w, 3, 2), (2 * w, 4 * w, 3, 1))
        for index, (inputs, outputs, kernel, stride) in enumerate(downs):
            setattr(self, f"down{index}", mirrored(inputs, outputs, kernel, stride))
        self.blocks = blocks
        for index in range(blocks):
            setattr(self, f"body{index}", nn.ModuleList([mirrored(4 * w, 4 * w), mirrored(4 * w, 4 * w)]))
        for index, (inputs, outputs) in enumerate(((4 * w, 2 * w), (2 * w, 2 * w), (2 * w, w), (w, w))):
            setattr(self, f"up{index}", mirrored(inputs, outputs))
        self.out = mirrored(w, channels, 7)

    def forward(self, x):
        leaky = lambda y: nn.functional.leaky_relu(y, 0.2)
        doubled = lambda y: nn.functional.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)
        whole = leaky(self.down0(x))
        half = leaky(self.down2(leaky(self.down1(whole))))
        y = leaky(self.down4(leaky(self.down3(half))))
        for index in range(self.blocks):
            first, second = getattr(self, f"body{index}")
            y = y + second(leaky(first(y)))
        y = doubled(leaky(self.up0(y))) + half
        y = doubled(leaky(self.up2(leaky(self.up1(y))))) + whole
        return x + self.out(leaky(self.up3(y)))


class Encoder(nn.Module):
    """The engine's own network of features: a list of what it sees at its four levels."""

    WIDTHS = (32, 64, 96, 96)

    def __init__(self):
        super().__init__()
        for level, (inputs, outputs) in enumerate(zip((3, *self.WIDTHS), self.WIDTHS), 1):
            setattr(self, f"level{level}", mirrored(inputs, outputs))

    def forward(self, x):
        seen = []
        for level in self.children():
            x = nn.functional.relu(level(nn.functional.avg_pool2d(x, 2) if seen else x))
            seen.append(x)
        return seen


class StyleDecoder(nn.Module):
    """From features of all levels back to a picture, or to a change of `base`. The coarsest level is always seen, of others the
    `levels` finest."""

    def __init__(self, channels, width, levels):
        super().__init__()
        self.coarsest, self.levels, above = len(channels) - 1, levels, 0
        for k in range(self.coarsest, -1, -1):
            inputs, outputs = above + (channels[k] if self.sees(k) else 0), width * min(4, 2**k)
            setattr(self, f"level{k}", nn.ModuleList([mirrored(inputs, outputs), mirrored(outputs, outputs)]))
            above = outputs
        self.out = mirrored(above, 3)

    def sees(self, k):
        return k == self.coarsest or k < self.levels

    def forward(self, features, base=None):
        y = None
        for k in range(self.coarsest, -1, -1):
            above = [] if y is None else [nn.functional.interpolate(y, scale_factor=2, mode="nearest")]
            y = torch.cat(([features[k]] if self.sees(k) else []) + above, 1)
            for convolution in getattr(self, f"level{k}"):
                y = nn.functional.relu(convolution(y))
        return torch.tanh(self.out(y)) if base is None else base + self.out(y)


def build_style_networks(config):
    """Those of comic, style and restyle. Only what a weight asks for is there; features never learn."""
    weight = lambda name, usual=0: config.get("lambda_" + name, usual)
    channels, networks = config["channels"], {}
    if config["model"] == "restyle":
        networks["G"] = translation_generator(config, 1, 2)
        networks["decoder"] = StyleDecoder(Encoder.WIDTHS, config["ngf"], config.get("style_levels", 4))
        networks["features"] = Encoder()
        if weight("adversarial", 1) > 0:
            networks["D"] = translation_discriminator(config, 3)
    elif config["model"] == "style":
        networks["G"] = StyleDecoder(Encoder.WIDTHS, config["ngf"], config.get("style_levels", 4))
        networks["features"] = Encoder()
        if weight("adversarial", 1) > 0:
            networks["D"] = translation_discriminator(config, channels)
    else:
        networks["G"] = translation_generator(config, channels, channels)
        for name in ("D", *(d for d in ("D_texture", "D_surface") if weight(d[2:]) > 0)):
            networks[name] = translation_discriminator(config, channels)
        if weight("content") > 0 or weight("style") > 0:
            networks["features"] = Encoder()
    if "features" in networks:
        networks["features"].requires_grad_(False)
    return networks


def paired_channels(config):
    """Channels of A and of B."""
    return (1, 2) if config["model"] == "colorize" else (config["channels"], config["channels"])


def translation_generator(config, inputs, outputs):
    if config["netG"] == "whitebox":
        return Whitebox(inputs, config["ngf"])
    if config["netG"] == "animegan2":
        return AnimeGan2(config["ngf"])
    kind, number = config["netG"].split("_")
    norm, up, ngf = config["norm"], config.get("up", "convt"), config["ngf"]
    if kind == "resnet":
        return Resnet(inputs, outputs, ngf, int(number), norm, up)
    return Unet(inputs, outputs, ngf, int(number).bit_length() - 1, norm, up, config.get("dropout", False))


def translation_discriminator(config, inputs):
    norm, ndf = config["norm"], config["ndf"]
    layers, scales = config.get("n_layers_d", 3), config.get("discriminators", 1)
    if config["netD"] == "pixel":
        return PixelGan(inputs, ndf, norm)
    if config["netD"] == "animegan2":
        return AnimeGan2Discriminator(inputs, ndf)
    if scales > 1:
        return MultiScale(inputs, ndf, layers, norm, scales)
    return PatchGan(inputs, ndf, layers, norm)


def build_cyclegan_networks(config):
    """G_A makes A into B, which D_A judges; G_B makes B into A, which D_B judges."""
    a, b = paired_channels(config)
    return {
        "G_A": translation_generator(config, a, b),
        "G_B": translation_generator(config, b, a),
        "D_A": translation_discriminator(config, b),
        "D_B": translation_discriminator(config, a),
    }


def named_networks(config):
    """{name: network} of every model, under the names that our files use."""
    if config["model"] == "cyclegan":
        networks = build_cyclegan_networks(config)
    elif config["model"] in ("comic", "style", "restyle"):
        networks = build_style_networks(config)
    else:
        networks = dict(zip(("G", "D"), build_networks(config)))
    for name, network in networks.items():
        if name != "features" and config.get("sn", "none") in ("both", name[0]):
            for module in network.modules():
                if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
                    nn.utils.spectral_norm(module)
    return networks


def build_networks(config):
    """(G, D) of a model with two networks, for a dictionary with the keys of a run's config.toml."""
    if config["model"] in ("pix2pix", "colorize"):
        a, b = paired_channels(config)
        return translation_generator(config, a, b), translation_discriminator(config, a + b)
    size, channels, nz = config["size"], config["channels"], config["nz"]
    if config["model"] == "mlpgan":
        return MlpGenerator(size, channels, nz), MlpDiscriminator(size, channels)
    if config["model"] != "dcgan":
        raise SystemExit(f'model "{config["model"]}" is not one of dcgan, mlpgan, pix2pix, colorize')
    if size < 8 or size & (size - 1):
        raise SystemExit(f"size {size}: a DCGAN needs a power of two of at least 8")
    norm = config.get("norm", "batch")
    return DcganGenerator(size, channels, nz, config["ngf"], norm, config.get("up", "convt")), DcganDiscriminator(size, channels, config["ndf"], norm)


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
