#!/usr/bin/env python3
"""Makes a replay file: the initial weights and the inputs of a few training steps, and what PyTorch makes of them.

`gan train MODEL --replay FILE` repeats the run. Beside NAME.safetensors stands NAME.expected.json: the losses of
every step from PyTorch in float32 and in float64, the gap between these two runs (which bounds how well a third
float32 run can agree), and sums over the final float64 weights. Inputs come from numpy with a seed, so that the file
does not depend on the version of PyTorch. Read main() first, then train(), which is one training run.

The files of tests/data/replay were made by `tests/peers/make_replay.py --all tests/data/replay`.
"""
import argparse
import json
import os

import numpy as np
import torch
from torch.nn import functional as F

from torch_networks import load_strictly, named_networks, paired_channels, write_safetensors

# The stored files: small networks, every adversarial loss, every norm. Larger initial weights where no batch norm
# scales the activations, and a larger learning rate, let a mistake show in the losses after a few steps.
STORED = {
    "dcgan32-vanilla": "--gan-loss vanilla",
    "dcgan32-minimax": "--gan-loss minimax --seed 2 --lr 1e-3 --init-std 0.05",
    "dcgan32-lsgan": "--gan-loss lsgan --seed 3 --lr 1e-3 --init-std 0.05",
    "dcgan32-hinge": "--gan-loss hinge --seed 4 --lr 1e-3 --init-std 0.05 --beta1 0",
    "dcgan64-grey": "--size 64 --channels 1 --ngf 2 --ndf 3 --batch 3 --nz 10 --seed 5",
    "dcgan32-none": "--norm none --seed 6 --lr 1e-3 --init-std 0.12",
    "dcgan32-instance": "--norm instance --seed 7 --lr 1e-3 --init-std 0.12",
    # Wide enough for Winograd's convolution, whose rounding moves a value of this run across the kink of a leaky relu.
    "dcgan32-kink": "--channels 1 --ngf 4 --ndf 32 --batch 16 --steps 3 --seed 54",
    "dcgan32-resize": "--up resize --gan-loss lsgan --seed 29 --lr 1e-3 --init-std 0.05",
    "mlpgan8": "--model mlpgan --size 8 --nz 16 --batch 3 --lr 1e-3 --seed 8",
    "unet128-batch": "--model pix2pix --size 128 --netG unet_128 --ngf 2 --steps 4 --lr 1e-3 --init-std 0.1 --seed 9",
    "unet128-instance": "--model pix2pix --size 128 --netG unet_128 --norm instance --gan-loss lsgan --ngf 2 --steps 4 --lr 1e-3 --init-std 0.1 --seed 10",
    "unet256-batch1": "--model pix2pix --size 256 --netG unet_256 --ngf 2 --ndf 2 --batch 1 --steps 3 --lr 1e-3 --init-std 0.1 --seed 11",
    "resnet6-pixel": "--model pix2pix --size 32 --netG resnet_6 --netD pixel --norm instance --gan-loss lsgan --ngf 3 --lr 1e-3 --init-std 0.1 --seed 12",
    "unet32-pixel": "--model pix2pix --size 32 --netG unet_32 --netD pixel --ngf 2 --lr 1e-3 --init-std 0.1 --lambda-l1 10 --seed 13",
    "unet32-none": "--model pix2pix --size 32 --channels 1 --netG unet_32 --norm none --gan-loss hinge --ngf 2 --ndf 2 --lr 1e-3 --init-std 0.2 --lambda-l1 5 --seed 14",
    "unet32-resize": "--model pix2pix --size 64 --netG unet_32 --up resize --n-layers-d 2 --discriminators 2 --ngf 2 --ndf 2 --lr 1e-3 --init-std 0.1 --seed 15",
    "resnet9-shuffle": "--model pix2pix --size 24 --netG resnet_9 --up shuffle --n-layers-d 1 --ngf 2 --ndf 2 --lr 1e-3 --init-std 0.1 --seed 16",
    "colorize32": "--model colorize --size 32 --netG unet_32 --ngf 2 --ndf 2 --lr 1e-3 --init-std 0.1 --seed 17",
    "colorize128": "--model colorize --size 128 --netG unet_128 --ngf 2 --steps 3 --batch 1 --lr 1e-3 --init-std 0.1 --seed 18",
    # Spectral norm in transposed convolutions, in 1x1 ones, and before a pixel shuffle.
    "unet32-sn": "--model pix2pix --size 32 --netG unet_32 --sn both --n-layers-d 2 --gan-loss hinge --ngf 2 --ndf 2 --lr 1e-3 --init-std 0.1 --lambda-l1 10 --seed 22",
    "resnet6-sn": "--model pix2pix --size 16 --netG resnet_6 --netD pixel --sn both --up shuffle --norm none --gan-loss lsgan --ngf 2 --ndf 3 --lr 1e-3 --init-std 0.1 --lambda-l1 10 --seed 23",
    # Small steps, and a seed whose float32 runs stay near each other: kinks of relu and L1 part those of most others.
    "cyclegan32-resnet6": "--model cyclegan --size 32 --netG resnet_6 --norm instance --gan-loss lsgan --lambda-identity 0.5 --ngf 2 --ndf 2 --steps 4 --init-std 0.1 --seed 21",
    # No identity, and batch norm: its running statistics tell the order in which the networks saw the pictures.
    "cyclegan32-unet": "--model cyclegan --size 32 --netG unet_32 --n-layers-d 2 --lambda-cycle 5 --ngf 1 --ndf 2 --steps 3 --lr 1e-3 --init-std 0.1 --seed 20",
    # Every loss, and a first step of content alone.
    "comic32-all": "--model comic --netG whitebox --n-layers-d 2 --norm none --sn D --gan-loss lsgan --ngf 2 --ndf 2 --lr 1e-3 --init-std 0.15 --seed 24 "
    "--set lambda_adversarial=0.5 lambda_texture=0.4 lambda_surface=0.3 d_grey=0.3 d_soft=0.6 lambda_content=20 lambda_style=60 lambda_colour=10 "
    "lambda_structure=4 lambda_tv=5 content_steps=1",
    # No network of features, and two scales.
    "comic32-plain": "--model comic --netG resnet_6 --n-layers-d 1 --discriminators 2 --norm instance --gan-loss hinge --ngf 2 --ndf 2 --steps 4 --init-std 0.1 "
    "--seed 25 --set lambda_adversarial=1 lambda_texture=0 lambda_surface=0 d_soft=0.5 lambda_colour=10 lambda_tv=2",
    # AnimeGANv2's two networks and its losses.
    "comic32-animegan2": "--model comic --netG animegan2 --netD animegan2 --norm none --sn D --gan-loss lsgan --ngf 2 --ndf 2 --lr 1e-3 --init-std 0.15 --seed 33 "
    "--set lambda_adversarial=1 lambda_texture=0 lambda_surface=0 d_grey=1 d_soft=0.5 lambda_content=20 lambda_style=30 lambda_colour=10 lambda_structure=0 lambda_tv=1 "
    "content_steps=1",
    "style32-all": "--model style --n-layers-d 2 --norm none --sn D --gan-loss lsgan --ngf 2 --ndf 2 --lr 1e-3 --init-std 0.1 --seed 26 "
    "--set lambda_adversarial=0.5 lambda_content=1 lambda_style=10 lambda_same=2 lambda_tv=5",
    # The decoder changes a photo in the colours of the style.
    "style32-recoloured": "--model style --style-base recoloured --norm none --ngf 2 --lr 1e-3 --init-std 0.1 --seed 31 "
    "--set lambda_adversarial=0 lambda_content=1 lambda_style=10 lambda_same=2",
    "style32-coarse": "--model style --norm none --ngf 2 --steps 4 --lr 1e-3 --init-std 0.15 --seed 27 "
    "--set lambda_adversarial=0 lambda_content=2 lambda_style=5 lambda_same=0 style_levels=1",
    # A step of colour, a step of style, and three of both.
    "restyle32-all": "--model restyle --netG unet_32 --n-layers-d 2 --norm none --gan-loss lsgan --pixel-loss l2 --ngf 2 --ndf 2 --lr 1e-3 --init-std 0.1 --seed 28 "
    "--set lambda_adversarial=0.5 lambda_colour=10 lambda_content=1 lambda_style=10 lambda_same=2 lambda_tv=5 colour_steps=1 style_steps=1",
}


def main():
    options = parse(None)
    if options.all:
        for name, arguments in STORED.items():
            if not options.only or name in options.only:
                make(parse([*arguments.split(), "--compact", "--out", os.path.join(options.all, name + ".safetensors")]))
    else:
        make(options)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="replay.safetensors", help="the replay file; NAME.expected.json stands beside it")
    parser.add_argument("--all", metavar="DIR", help="make the project's stored files in DIR; needs no other option")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="with --all: only these")
    parser.add_argument("--compact", action="store_true", help="pictures of paired models as the factors they are products of, for tests")
    parser.add_argument("--model", choices=("dcgan", "mlpgan", "pix2pix", "colorize", "cyclegan", "comic", "style", "restyle"), default="dcgan")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--nz", type=int, default=12)
    parser.add_argument("--ngf", type=int, default=4)
    parser.add_argument("--ndf", type=int, default=4)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--gan-loss", choices=("vanilla", "minimax", "lsgan", "hinge"), default="vanilla")
    parser.add_argument("--norm", choices=("batch", "none", "instance"), default="batch")
    parser.add_argument("--netG", default="unet_32", help="unet_32 ... unet_256, resnet_6, resnet_9; of comic whitebox and animegan2 too")
    parser.add_argument("--netD", choices=("patch", "pixel", "animegan2"), default="patch")
    parser.add_argument("--sn", choices=("none", "G", "D", "both"), default="none", help="spectral norm")
    parser.add_argument("--up", choices=("convt", "resize", "shuffle"), default="convt")
    parser.add_argument("--n-layers-d", type=int, default=3)
    parser.add_argument("--discriminators", type=int, default=1)
    parser.add_argument("--lambda-l1", type=float, default=100.0)
    parser.add_argument("--lambda-cycle", type=float, default=10.0)
    parser.add_argument("--lambda-identity", type=float, default=0.0, help="times --lambda-cycle; 0: the identity losses are left out")
    parser.add_argument("--pixel-loss", choices=("l1", "l2"), default="l1", help="restyle's distance of colours")
    parser.add_argument("--style-base", choices=("none", "recoloured"), default="none", help="what the decoder of style and restyle changes")
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=NUMBER", help="settings of comic, style and restyle that are numbers")
    parser.add_argument("--lr", type=float, default=2e-4)
    parser.add_argument("--beta1", type=float, default=0.5)
    parser.add_argument("--init-std", type=float, default=0.02, help="standard deviation of convolution weights")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(arguments)


def make(options):
    torch.set_num_threads(1)  # one order of summation, whatever the machine
    cycle = options.model == "cyclegan"
    styled = options.model in ("comic", "style", "restyle")
    paired = cycle or styled or options.model in ("pix2pix", "colorize")
    keys = ["model", "size", "channels", "batch", "lr", "beta1", "gan_loss"]
    keys += ["ngf", "ndf", "norm"] if options.model != "mlpgan" else []
    keys += ["netG"] if paired and options.model != "style" else []
    keys += ["netD"] if paired else ["nz"]
    keys += ["lambda_cycle" if cycle else "lambda_l1"] if paired and not styled else []
    config = {key: getattr(options, key) for key in keys}
    for key, _, number in (setting.partition("=") for setting in options.set):
        config[key] = float(number) if key.startswith(("lambda_", "d_")) else int(number)
    for key, usual in (("sn", "none"), ("up", "convt"), ("n_layers_d", 3), ("discriminators", 1), ("lambda_identity", 0), ("pixel_loss", "l1"), ("style_base", "none")):
        known = paired or (key == "up" and options.model == "dcgan")
        if known and (getattr(options, key) != usual or (styled and key == "sn")):  # the common choice need not be said
            config[key] = getattr(options, key)
    random = np.random.default_rng(options.seed)
    initial = initial_weights(config, options.init_std, random)
    stored = inputs = paired_inputs(options, config, random) if paired else noise_inputs(options, random)
    if paired:
        inputs = {name: factors[0][..., :, None] * factors[1][..., None, :] for name, factors in stored.items()}
        stored = {name + end: array for name, factors in stored.items() for end, array in zip((".rows", ".columns"), factors)}
    compact = paired and options.compact
    frozen = lambda name: name.startswith("features.")
    tensors = {**{name if frozen(name) else "init." + name: array for name, array in initial.items()}, **(stored if compact else inputs)}
    if compact:  # half of what these files take; initial_weights() rounded the numbers
        tensors = {name: array.astype(np.float16) if frozen(name) else array for name, array in tensors.items()}
    toml = "".join(f"{key} = {json.dumps(value)}\n" for key, value in config.items())
    write_safetensors(options.out, tensors, {"format": "gan-replay-factors/1" if compact else "gan-replay/1", "config": toml})

    runs = {"cyclegan": train_cycle, "comic": train_comic, "style": train_style, "restyle": train_restyle, "pix2pix": train_paired, "colorize": train_paired}
    run = runs.get(options.model, train)
    steps32, final32 = run(config, initial, inputs, torch.float32)
    steps64, final64 = run(config, initial, inputs, torch.float64)
    expected = {
        "torch": torch.__version__,
        "config": config,
        "steps": [
            {"f32": a, "f64": b, "gap": max(abs(a[key] - b[key]) for key in a if key.startswith("loss_"))}
            for a, b in zip(steps32, steps64)
        ],
        "final": {name: digest(final64[name], final32[name]) for name in final64},
    }
    path = os.path.splitext(options.out)[0] + ".expected.json"
    with open(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(expected, indent=1) + "\n")  # Python writes the shortest digits that read back the same
    last = steps64[-1]
    gap = max(step["gap"] for step in expected["steps"])
    print(f"{options.out}: {os.path.getsize(options.out)} bytes; last step loss_D {last.get('loss_D', 0):.6f} loss_G {last['loss_G']:.6f}; gap {gap:.1e}")


def initial_weights(config, convolution_std, random):
    """{G.name, D.name: float32 array} of all networks. The DCGAN's own initialisation, but nothing starts at a plain 0 or 1 (norm
    shifts, biases, running statistics), so that a loader which skips a tensor is found out."""
    weights = {}
    for player, network in named_networks(config).items():
        for name, tensor in network.state_dict().items():
            shape = tuple(tensor.shape)
            if name.endswith("num_batches_tracked"):
                continue
            if name.endswith("running_var"):
                array = random.uniform(0.5, 1.5, shape)
            elif name.endswith("running_mean"):
                array = 0.1 * random.standard_normal(shape)
            elif name.endswith(("weight_u", "weight_v")):  # of a spectral norm
                array = random.standard_normal(shape)
                array /= np.linalg.norm(array)
            elif player == "features":  # kept as they are by He et al. 2015
                deviation = np.sqrt(2 / np.prod(shape[1:])) if len(shape) == 4 else 0.02
                array = (deviation * random.standard_normal(shape)).astype(np.float16)
            elif len(shape) == 4:  # a convolution
                array = convolution_std * random.standard_normal(shape)
            elif len(shape) == 2:  # a dense layer, (outputs, inputs)
                array = random.uniform(-1, 1, shape) / np.sqrt(shape[1])
                array = np.round(array * 1024) / 1024  # few distinct values: the stored file packs well
            elif name.endswith("bias"):
                array = 0.02 * random.standard_normal(shape)
            else:  # the scale of a norm
                array = 1 + 0.02 * random.standard_normal(shape)
            weights[f"{player}.{name}"] = array.astype(np.float32)
    return weights


def noise_inputs(options, random):
    return {
        "input.z": random.standard_normal((options.steps, options.batch, options.nz)).astype(np.float32),
        "input.real": smooth_pictures(options, random),
    }


def paired_inputs(options, config, random):
    """{name: (rows, columns)}, both (steps, batch, channels, size): the picture is rows[y] * columns[x], one float32
    product for each pixel, so that a stored file needs only these two."""
    walk = lambda channels: np.tanh(
        np.cumsum(random.standard_normal((options.steps, options.batch, channels, options.size)), -1) / np.sqrt(options.size / 4)
    ).astype(np.float32)
    channels = dict(zip(("input.A", "input.B"), paired_channels(config)))
    if config["model"] == "restyle":  # lightness, a style, and the colour that goes with the lightness
        channels = {"input.A": 1, "input.B": 3, "input.colour": 2}
    for name, key in (("input.drawn", "lambda_structure"), ("input.soft", "d_soft")):
        if config.get(key, 0) > 0:
            channels[name] = config["channels"]
    return {name: (walk(c), walk(c)) for name, c in channels.items()}


def smooth_pictures(options, random):
    """(steps, batch, channels, size, size) in [-1, 1]: a few low cosines each, as photographs mostly are."""
    frequencies = np.arange(4)
    waves = np.cos(np.pi * np.outer(frequencies, np.arange(options.size) + 0.5) / options.size)  # (4, size)
    amplitudes = random.standard_normal((options.steps, options.batch, options.channels, 4, 4))
    amplitudes /= 1 + frequencies[:, None] + frequencies[None, :]
    return np.tanh(np.einsum("sncij,iy,jx->sncyx", amplitudes, waves, waves)).astype(np.float32)


def discriminator_losses(kind, real, fake):
    """(loss_D_real, loss_D_fake) from logits; plain means."""
    if kind == "lsgan":
        return (real - 1).square().mean(), fake.square().mean()
    if kind == "hinge":
        return F.relu(1 - real).mean(), F.relu(1 + fake).mean()
    cross_entropy = F.binary_cross_entropy_with_logits
    return cross_entropy(real, torch.ones_like(real)), cross_entropy(fake, torch.zeros_like(fake))


def generator_loss(kind, fake):
    if kind == "lsgan":
        return (fake - 1).square().mean()
    if kind == "hinge":
        return -fake.mean()
    if kind == "minimax":  # mean log(1 - D(fake)): the saturating form, what D's own term is minimised against
        return -F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    return F.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))


def players(config, initial, dtype):
    """{name: network} as they start, and two optimisers: of all generators, of all discriminators."""
    networks = named_networks(config)
    for name, network in networks.items():
        load_strictly(network, initial, name + ".")
        network.to(dtype).train()

    def adam(player):
        mine = [network for name, network in networks.items() if name.startswith(player)]
        parameters = [p for network in mine for p in network.parameters()]
        if not parameters:  # style without a discriminator
            return None
        return torch.optim.Adam(parameters, lr=config["lr"], betas=(config["beta1"], 0.999), eps=1e-8)

    return networks, adam(("G", "decoder")), adam("D")


def train(config, initial, inputs, dtype):
    """One run. Returns the losses of each step and the final tensors {G.name, D.name: array}."""
    networks, optimizer_g, optimizer_d = players(config, initial, dtype)
    generator, discriminator = networks.values()
    kind = config["gan_loss"]
    steps = []
    for z, real in zip(inputs["input.z"], inputs["input.real"]):
        z, real = torch.from_numpy(z).to(dtype), torch.from_numpy(real).to(dtype)

        fake = generator(z)
        logits_real = discriminator(real)  # first running statistics of D: real, then fake
        logits_fake = discriminator(fake.detach())
        loss_real, loss_fake = discriminator_losses(kind, logits_real, logits_fake)
        optimizer_d.zero_grad()
        (loss_real + loss_fake).backward()
        optimizer_d.step()

        discriminator.requires_grad_(False)
        loss_g = generator_loss(kind, discriminator(fake))  # the same fake, the updated D
        optimizer_g.zero_grad()
        loss_g.backward()
        optimizer_g.step()
        discriminator.requires_grad_(True)

        score = torch.sigmoid if kind in ("vanilla", "minimax") else lambda logits: logits
        values = {
            "loss_D": loss_real + loss_fake,
            "loss_D_real": loss_real,
            "loss_D_fake": loss_fake,
            "loss_G": loss_g,
            "D_real": score(logits_real).mean(),
            "D_fake": score(logits_fake).mean(),
        }
        steps.append({name: value.item() for name, value in values.items()})
    return steps, final_tensors(networks)


def train_paired(config, initial, inputs, dtype):
    """The same for pix2pix and colorize. Every scale of a discriminator counts alike."""
    networks, optimizer_g, optimizer_d = players(config, initial, dtype)
    generator, discriminator = networks.values()
    kind = config["gan_loss"]
    mean = lambda values: sum(values) / len(values)
    steps = []
    for a, b in zip(inputs["input.A"], inputs["input.B"]):
        a, b = torch.from_numpy(a).to(dtype), torch.from_numpy(b).to(dtype)

        fake = generator(a)
        logits_fake = discriminator(torch.cat([a, fake.detach()], 1))  # first running statistics of D: fake, then real
        logits_real = discriminator(torch.cat([a, b], 1))
        losses = [discriminator_losses(kind, real, one) for real, one in zip(logits_real, logits_fake)]
        loss_real, loss_fake = mean([one[0] for one in losses]), mean([one[1] for one in losses])
        optimizer_d.zero_grad()
        ((loss_real + loss_fake) / 2).backward()
        optimizer_d.step()

        discriminator.requires_grad_(False)
        loss_gan = mean([generator_loss(kind, one) for one in discriminator(torch.cat([a, fake], 1))])
        loss_l1 = config["lambda_l1"] * (fake - b).abs().mean()
        optimizer_g.zero_grad()
        (loss_gan + loss_l1).backward()
        optimizer_g.step()
        discriminator.requires_grad_(True)

        score = torch.sigmoid if kind in ("vanilla", "minimax") else lambda logits: logits
        values = {
            "loss_D": (loss_real + loss_fake) / 2,
            "loss_D_real": loss_real,
            "loss_D_fake": loss_fake,
            "loss_G": loss_gan + loss_l1,
            "loss_G_GAN": loss_gan,
            "loss_G_L1": loss_l1,
            "D_real": mean([score(one).mean() for one in logits_real]),
            "D_fake": mean([score(one).mean() for one in logits_fake]),
        }
        steps.append({name: value.item() for name, value in values.items()})
    return steps, final_tensors(networks)


def train_cycle(config, initial, inputs, dtype):
    """The same for cyclegan, whose generators learn first. Identity losses are logged only where they are asked for."""
    networks, optimizer_g, optimizer_d = players(config, initial, dtype)
    to_b, to_a, judge_b, judge_a = networks.values()
    kind, way_back = config["gan_loss"], config["lambda_cycle"]
    identity = way_back * config.get("lambda_identity", 0)
    mean = lambda values: sum(values) / len(values)
    distance = lambda one, other: (one - other).abs().mean()
    score = torch.sigmoid if kind in ("vanilla", "minimax") else lambda logits: logits

    def judged(discriminator, real, fake):
        """loss_real, loss_fake, D_real, D_fake of one side."""
        logits_real, logits_fake = discriminator(real), discriminator(fake.detach())  # running statistics: real, then fake
        losses = [discriminator_losses(kind, *logits) for logits in zip(logits_real, logits_fake)]
        scores = [mean([score(one).mean() for one in logits]) for logits in (logits_real, logits_fake)]
        return mean([one[0] for one in losses]), mean([one[1] for one in losses]), *scores

    steps = []
    for a, b in zip(inputs["input.A"], inputs["input.B"]):
        a, b = torch.from_numpy(a).to(dtype), torch.from_numpy(b).to(dtype)

        for discriminator in (judge_b, judge_a):
            discriminator.requires_grad_(False)
        fake_b = to_b(a)
        back_a = to_a(fake_b)
        fake_a = to_a(b)
        back_b = to_b(fake_a)
        parts = {
            "loss_G_A": mean([generator_loss(kind, one) for one in judge_b(fake_b)]),
            "loss_G_B": mean([generator_loss(kind, one) for one in judge_a(fake_a)]),
            "loss_cycle_A": way_back * distance(back_a, a),
            "loss_cycle_B": way_back * distance(back_b, b),
        }
        if identity:
            parts["loss_idt_A"] = identity * distance(to_b(b), b)
            parts["loss_idt_B"] = identity * distance(to_a(a), a)
        loss_g = sum(parts.values())
        optimizer_g.zero_grad()
        loss_g.backward()
        optimizer_g.step()

        for discriminator in (judge_b, judge_a):
            discriminator.requires_grad_(True)
        side_a, side_b = judged(judge_b, b, fake_b), judged(judge_a, a, fake_a)  # made before the generators learnt
        loss_d_a, loss_d_b = (side_a[0] + side_a[1]) / 2, (side_b[0] + side_b[1]) / 2
        optimizer_d.zero_grad()
        (loss_d_a + loss_d_b).backward()
        optimizer_d.step()

        values = {"loss_D": loss_d_a + loss_d_b, "loss_D_A": loss_d_a, "loss_D_B": loss_d_b, "loss_G": loss_g, **parts}
        for name, *sides in zip(("loss_D_real", "loss_D_fake", "D_real", "D_fake"), side_a, side_b):
            values[name] = mean(sides)
        steps.append({name: value.item() for name, value in values.items()})
    return steps, final_tensors(networks)


mean_of = lambda values: sum(values) / len(values)
mean_square = lambda x, y: (x - y).square().mean()
mean_distance = lambda x, y: (x - y).abs().mean()


def gram(features):
    """(N,C,H,W) to (N,C,C), divided by C*H*W."""
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / (flat.shape[1] * flat.shape[2])


def grey(picture):
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=picture.dtype).reshape(1, 3, 1, 1)
    return (picture * weights).sum(1, keepdim=True).expand_as(picture)


def yuv(picture):
    red, green, blue = ((picture + 1) / 2).unbind(1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    return y, (blue - y) * 0.436 / (1 - 0.114), (red - y) * 0.615 / (1 - 0.299)


def colour_distance(made, photo):
    (y, u, v), (wanted_y, wanted_u, wanted_v) = yuv(made), yuv(photo)
    return mean_distance(y, wanted_y) + F.huber_loss(u, wanted_u) + F.huber_loss(v, wanted_v)


def smoothness(made):
    """Half the mean of squared differences of neighbours."""
    return (mean_square(made[..., 1:], made[..., :-1]) + mean_square(made[..., 1:, :], made[..., :-1, :])) / 2


def surface(picture, radius=5, eps=0.2):
    """The guided filter, a picture being its own guide; at the border means are of what lies in the picture."""
    box = lambda x: F.avg_pool2d(x, 2 * radius + 1, 1, radius, count_include_pad=False)
    mean = box(picture)
    variance = box(picture * picture) - mean * mean
    slope = variance / (variance + eps)
    return box(slope) * picture + box(mean - slope * mean)


def statistics(features):
    """Mean and deviation of each channel of each picture: (N,C,1,1)."""
    return features.mean((2, 3), keepdim=True), (features.var((2, 3), keepdim=True) + 1e-5).sqrt()


def adain(content, style):
    (mean, deviation), (wanted_mean, wanted_deviation) = statistics(content), statistics(style)
    return (content - mean) / deviation * wanted_deviation + wanted_mean


def judged_reports(kind, real, fake):
    """What is logged of a discriminator: plain means, every scale alike."""
    score = torch.sigmoid if kind in ("vanilla", "minimax") else lambda logits: logits
    losses = [discriminator_losses(kind, *logits) for logits in zip(real, fake)]
    return {
        "loss_D_real": mean_of([one[0] for one in losses]),
        "loss_D_fake": mean_of([one[1] for one in losses]),
        "D_real": mean_of([score(one).mean() for one in real]),
        "D_fake": mean_of([score(one).mean() for one in fake]),
    }


def learn(optimizer, loss):
    optimizer.zero_grad(set_to_none=True)  # what has no part in the loss stays as it is, momentum or not
    loss.backward()
    optimizer.step()


def generators_turn(optimizer, parts, critics, values):
    """The generators learn the sum of `parts`; then the critics, frozen for that, may learn again. What is logged of the step, as tensors."""
    loss_g = sum(parts.values())
    learn(optimizer, loss_g)
    for critic in critics:
        critic.requires_grad_(True)
    return {**values, **parts, "loss_G": loss_g}


def numbers(values):
    return {name: value.item() for name, value in values.items()}


def train_comic(config, initial, inputs, dtype):
    """The same for comic."""
    networks, optimizer_g, optimizer_d = players(config, initial, dtype)
    steps = []
    for step in range(len(inputs["input.A"])):
        given = {name: torch.from_numpy(inputs["input." + name][step]).to(dtype) for name in ("A", "B", "drawn", "soft") if "input." + name in inputs}
        steps.append(numbers(comic_step(config, networks, optimizer_g, optimizer_d, given, step < config.get("content_steps", 0))))
    return steps, final_tensors(networks)


def comic_step(config, networks, optimizer_g, optimizer_d, given, content_alone=False):
    """The discriminators learn first, then G, which at the beginning may learn content alone."""
    generator, kind = networks["G"], config["gan_loss"]
    weight = lambda name: config.get(name, 0)
    views = {"D": lambda picture: picture, "D_texture": grey, "D_surface": surface}
    critics = {name: networks[name] for name in views if name in networks}
    reported = {"D": ("loss_G_GAN", "lambda_adversarial"), "D_texture": ("loss_G_texture", "lambda_texture"), "D_surface": ("loss_G_surface", "lambda_surface")}
    photo, style = given["A"], given["B"]
    made, values = generator(photo), {}
    if not content_alone:
        losses = []
        for name, critic in critics.items():
            fake, real = critic(views[name](made.detach())), critic(views[name](style))
            one = judged_reports(kind, real, fake)
            losses.append(one["loss_D_real"] + one["loss_D_fake"])
            values.update(one if name == "D" else {})
        for name, key, of in (("loss_D_grey", "d_grey", "B"), ("loss_D_smooth", "d_soft", "soft")):
            if weight(key) > 0:
                logits = critics["D"](grey(given[of]))
                values[name] = weight(key) * mean_of([discriminator_losses(kind, one, one)[1] for one in logits])
                losses.append(values[name])
        values["loss_D"] = sum(losses)
        learn(optimizer_d, values["loss_D"])

    parts = {}
    for critic in critics.values():
        critic.requires_grad_(False)
    if not content_alone:
        for name, critic in critics.items():
            key, of = reported[name]
            parts[key] = weight(of) * mean_of([generator_loss(kind, one) for one in critic(views[name](made))])
        if weight("lambda_style") > 0:
            pairs = zip(networks["features"](grey(made)), networks["features"](grey(style)))
            parts["loss_style"] = weight("lambda_style") * sum(mean_distance(gram(one), gram(other)) for one, other in pairs)
    if weight("lambda_content") > 0:
        seen, wanted = networks["features"](made)[2], networks["features"](photo)[2]
        parts["loss_content"] = weight("lambda_content") * mean_distance(seen, wanted)
    if weight("lambda_structure") > 0:
        parts["loss_structure"] = weight("lambda_structure") * mean_distance(made, given["drawn"])
    if weight("lambda_colour") > 0:
        parts["loss_colour"] = weight("lambda_colour") * colour_distance(made, photo)
    if weight("lambda_tv") > 0:
        parts["loss_tv"] = weight("lambda_tv") * smoothness(made)
    return generators_turn(optimizer_g, parts, critics.values(), values)


def reference_losses(config, encoder, decoder, photo, style):
    """What style's decoder makes of a photo, and the losses of it."""
    weight = lambda name: config.get("lambda_" + name, 0)
    of_photo, of_style = encoder(photo), encoder(style)
    wanted = [adain(one, other) for one, other in zip(of_photo, of_style)]
    changes = config.get("style_base", "none") == "recoloured"
    made = decoder(wanted, adain(photo, style) if changes else None)
    of_made, parts = encoder(made), {}
    parts["loss_content"] = weight("content") * mean_square(of_made[-1], wanted[-1].detach())
    pairs = [(statistics(one), statistics(other)) for one, other in zip(of_made, of_style)]
    parts["loss_style"] = weight("style") * sum(mean_square(x, y) for one, other in pairs for x, y in zip(one, other))
    if weight("same") > 0:
        parts["loss_same"] = weight("same") * mean_distance(decoder(of_photo, photo if changes else None), photo.detach())
    if weight("tv") > 0:
        parts["loss_tv"] = weight("tv") * smoothness(made)
    return made, parts


def lab_to_rgb(l, ab, slope=True):
    """Lightness L/50-1 and colour (a, b)/110 to sRGB in [-1,1], clipped, white D65, with the constants of scikit-image. Without `slope`
    by the definition; with it each curve as a sum of what is below its bend and what is above, which is the same but for the gap of some
    1e-8 that the rounded constants leave at the bend."""
    fy = (50 * (l + 1) + 16) / 116
    fx, fz = fy + 110 * ab[:, :1] / 500, F.relu(fy - 110 * ab[:, 1:] / 200)
    bend, dark = 0.2068966, 0.0031308

    def light(t):
        if slope:
            return t.clamp(min=bend) ** 3 + (t.clamp(max=bend) - 16 / 116) / 7.787 - bend**3
        return torch.where(t > bend, t**3, (t - 16 / 116) / 7.787)

    def encoded(c):
        if slope:
            return 1.055 * c.clamp(min=dark) ** (1 / 2.4) - 0.055 + 12.92 * (F.relu(c.clamp(max=dark)) - dark)
        return torch.where(c > dark, 1.055 * c.clamp(min=dark) ** (1 / 2.4) - 0.055, 12.92 * c).clamp(min=0)

    x, y, z = 0.95047 * light(fx), light(fy), 1.08883 * light(fz)
    rows = ((3.24048134, -1.53715152, -0.49853633), (-0.96925495, 1.87599, 0.04155593), (0.05564664, -0.20404134, 1.05731107))
    return torch.cat([2 * encoded(r * x + g * y + b * z).clamp(max=1) - 1 for r, g, b in rows], 1)


def train_restyle(config, initial, inputs, dtype):
    """The same for restyle: steps of colour, steps of style on photos in their own colours, then both at once."""
    networks, optimizer_g, optimizer_d = players(config, initial, dtype)
    generator, critic, kind = networks["G"], networks.get("D"), config["gan_loss"]
    weight = lambda name: config.get("lambda_" + name, 0)
    distance = mean_square if config.get("pixel_loss") == "l2" else mean_distance
    steps = []
    for step in range(len(inputs["input.A"])):
        l, style, colour = (torch.from_numpy(inputs["input." + name][step]).to(dtype) for name in ("A", "B", "colour"))
        alone = step < config["colour_steps"]
        styles_alone = not alone and step < config["colour_steps"] + config["style_steps"]
        values, parts = {}, {}
        if not styles_alone:
            coloured = generator(l)
            parts["loss_colour"] = weight("colour") * distance(coloured, colour)
            if critic:
                fake, real = critic(torch.cat([l, coloured.detach()], 1)), critic(torch.cat([l, colour], 1))
                values.update(judged_reports(kind, real, fake))
                values["loss_D"] = (values["loss_D_real"] + values["loss_D_fake"]) / 2
                learn(optimizer_d, values["loss_D"])
                critic.requires_grad_(False)
                logits = critic(torch.cat([l, coloured], 1))
                parts["loss_G_GAN"] = weight("adversarial") * mean_of([generator_loss(kind, one) for one in logits])
        if not alone:
            photo = lab_to_rgb(l, colour, slope=False) if styles_alone else lab_to_rgb(l, coloured)
            parts.update(reference_losses(config, networks["features"], networks["decoder"], photo, style)[1])
        steps.append(numbers(generators_turn(optimizer_g, parts, [critic] if critic else [], values)))
    return steps, final_tensors(networks)


def train_style(config, initial, inputs, dtype):
    """The same for style."""
    networks, optimizer_g, optimizer_d = players(config, initial, dtype)
    steps = []
    for a, b in zip(inputs["input.A"], inputs["input.B"]):
        given = {"A": torch.from_numpy(a).to(dtype), "B": torch.from_numpy(b).to(dtype)}
        steps.append(numbers(style_step(config, networks, optimizer_g, optimizer_d, given)))
    return steps, final_tensors(networks)


def style_step(config, networks, optimizer_g, optimizer_d, given):
    """The discriminator learns first, then the decoder."""
    critic, kind = networks.get("D"), config["gan_loss"]
    made, parts = reference_losses(config, networks["features"], networks["G"], given["A"], given["B"])
    values = {}
    if critic:
        fake, real = critic(made.detach()), critic(given["B"])
        values.update(judged_reports(kind, real, fake))
        values["loss_D"] = values["loss_D_real"] + values["loss_D_fake"]
        learn(optimizer_d, values["loss_D"])
        critic.requires_grad_(False)
        taken = mean_of([generator_loss(kind, one) for one in critic(made)])
        parts = {"loss_G_GAN": config.get("lambda_adversarial", 0) * taken, **parts}
    return generators_turn(optimizer_g, parts, [critic] if critic else [], values)


def final_tensors(networks):
    final = {}
    for player, network in networks.items():
        for name, tensor in network.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                final[f"{player}.{name}"] = tensor.numpy().copy()
    return final


def digest(float64, float32):
    """A tensor in a few numbers, in PyTorch's order of elements. `weighted_sum` is the sum of element[i] * (i+1)/n: it
    changes when elements change places. `gap` is the largest difference between the two runs."""
    flat = float64.ravel()
    return {
        "shape": list(float64.shape),
        "sum": float(flat.sum()),
        "abs_sum": float(np.abs(flat).sum()),
        "weighted_sum": float((flat * np.arange(1, flat.size + 1)).sum() / flat.size),
        "first8": flat[:8].tolist(),
        "last8": flat[-8:].tolist(),
        "gap": float(np.abs(float64 - float32).max()),
    }


if __name__ == "__main__":
    main()
