#!/usr/bin/env python3
"""Makes tests/data/published: weights as authors publish them, but of tiny networks, and what PyTorch makes with them.

    tests/peers/make_published.py tests/data/published

Every NAME.pth (or .pt) comes with NAME.safetensors: `input` (H,W,3) and `output`, both U8, and `style` for adain. The
files are written in the ways that torch.save has had: zip archives and rows of pickles, half precision, views with
strides, wrappers' prefixes, statistics that instance norm once saved. strided.pth is for the reader alone: expected
values lie beside it.
"""
import collections
import pathlib
import sys

import numpy as np
import torch
from torch import nn

import published_networks as networks
from torch_networks import write_safetensors


def picture(height, width, phase=0):
    y, x = np.mgrid[0:height, 0:width]
    noise = np.random.default_rng(height * width + phase).normal(0, 20, (height, width, 3))
    waves = [110 + 70 * np.sin(x / 5 + k + phase) + 50 * np.cos(y / (4 + k)) for k in range(3)]
    return np.clip(np.stack(waves, -1) + noise, 0, 255).astype(np.uint8)


def tensor(picture):
    return torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None]


def image(values):
    """Values 0 to 255, (1,3,H,W), as a picture; whether a script rounds or cuts is within the tests' tolerance."""
    return np.clip(np.rint(values[0].permute(1, 2, 0).numpy()), 0, 255).astype(np.uint8)


def signed(network, x):
    return 127.5 * (network(x / 127.5 - 1) + 1)


class Folder:
    def __init__(self, path):
        self.path = path
        path.mkdir(parents=True, exist_ok=True)

    def save(self, name, state, zipped=True, protocol=2):
        torch.save(state, self.path / name, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)

    def expect(self, name, **pictures):
        write_safetensors(str(self.path / f"{name}.safetensors"), pictures, {"made by": f"PyTorch {torch.__version__}"})


def main():
    folder = Folder(pathlib.Path(sys.argv[1]))
    lively = networks.with_lively_weights

    anime = lively(networks.AnimeGan2(1), 11)
    x = picture(29, 37)
    folder.save("animegan2.pt", anime.state_dict())
    folder.expect("animegan2", input=x, output=image(signed(anime, tensor(x))))
    x = picture(32, 36)
    folder.expect("animegan2_not_aligned", input=x, output=image(signed(lambda v: anime(v, False), tensor(x))))

    style = lively(networks.StyleNet(1), 12)
    style.deconv3.conv2d.weight *= 40
    style.deconv3.conv2d.bias.fill_(127)
    state = style.state_dict()
    for name in [n for n in state if ".in" in n or n.startswith("in")]:
        if name.endswith("weight"):  # as PyTorch 0.3 saved them
            state[name.replace("weight", "running_mean")] = torch.zeros(state[name].shape)
            state[name.replace("weight", "running_var")] = torch.ones(state[name].shape)
    x = picture(30, 41)
    folder.save("fast-style.pth", state, zipped=False)
    folder.expect("fast-style", input=x, output=image(style(tensor(x))))

    encoder, decoder = lively(networks.adain_encoder(2), 35), lively(networks.adain_decoder(2), 36)
    decoder[28].weight *= 0.3
    decoder[28].bias.fill_(0.5)
    x, look = picture(17, 22), picture(24, 19, 3)  # features of 3x3 pixels: it matters how a variance is taken
    made = 255 * networks.stylised(encoder, decoder, tensor(x) / 255, tensor(look) / 255, 0.75)
    folder.save("adain.pth", decoder.state_dict())
    folder.save("adain_vgg.pth", encoder[:33].state_dict(), zipped=False)  # with one layer more than is used
    folder.expect("adain", input=x, output=image(made), style=look)

    unet = lively(networks.unet_generator(1, 5), 15)
    for module in unet.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2)
    x = picture(32, 32)
    folder.save("pix2pix.pth", {"module." + name: value for name, value in unet.state_dict().items()})
    unet.eval()
    folder.expect("pix2pix_eval", input=x, output=image(signed(unet["model"], tensor(x))))
    unet.train()  # by the picture's own statistics, which moves the running ones
    folder.expect("pix2pix", input=x, output=image(signed(unet["model"], tensor(x))))

    residual = lively(networks.residual_generator(1, 2), 16)
    for parameter in residual.parameters():
        parameter.copy_(parameter.half())
    half = collections.OrderedDict((name, value.half()) for name, value in residual.state_dict().items())
    x = picture(32, 32, 5)
    folder.save("cyclegan.pth", {"epoch": 3, "state_dict": half, "optimizer": {"state": {0: {"step": 7}}}})
    folder.expect("cyclegan", input=x, output=image(signed(residual["model"], tensor(x))))

    # What is refused.
    torch.jit.script(nn.ReLU()).save(str(folder.path / "torchscript.pt"))
    folder.save("whole_model.pth", nn.Linear(1, 1))

    # The reader alone: types, offsets, strides, storages with several tensors.
    base = torch.arange(24, dtype=torch.float32)
    tensors = {
        "plain": base.view(4, 6), "turned": base.view(4, 6).t(), "part": base[5:17].view(3, 4)[:, 1::2],
        "half": base.view(2, 12).half() / 3, "bfloat": base.bfloat16() / 3, "double": base.double() / 3,
        "none": torch.zeros(0, 5), "one": torch.tensor(2.5), "parameter": nn.Parameter(base[:3].clone()),
        "count": torch.tensor(7)}
    for name, zipped, protocol in (("strided.pth", True, 2), ("strided_legacy.pth", False, 4)):
        folder.save(name, {"optimizer": {"state": {0: torch.ones(5)}}, "params": {"plain": base}, "params_ema": tensors}, zipped,
                    protocol)
    folder.expect("strided", **{name: value.float().detach().contiguous().numpy().reshape(-1)
                                for name, value in tensors.items() if name != "none"})


if __name__ == "__main__":
    torch.manual_seed(1)
    with torch.no_grad():
        main()
