#!/usr/bin/env python3
"""PyTorch's time for one training step on the CPU, of DCGAN, pix2pix, comic or style: what bench_step is measured against.

    bench/peer_torch.py --batch 16,64 --seconds 20       one JSON line per batch size
    bench/peer_torch.py --interleave                     serves bench/compare_step.py, see serve()

The step is that of pytorch/examples, or of pix2pix with its U-Net-256, PatchGAN and dropout, with what speeds it up
switched on: D is frozen in G's step, Adam is the fused one where this PyTorch has it, and the faster of the two memory
layouts is taken. The steps of comic and style are those that make the project's replays; --settings has the weights of
their losses.
"""
import argparse
import json
import os
import resource
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "peers"))

import torch
from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

from make_replay import comic_step, style_step
from torch_networks import build_networks, named_networks
from turns import serve_turns

LAYOUTS = {"nchw": torch.contiguous_format, "channels_last": torch.channels_last}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("dcgan", "pix2pix", "comic", "style"), default="dcgan")
    parser.add_argument("--size", type=int, help="default: 64, others 256")
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--nz", type=int, default=100)
    parser.add_argument("--ngf", type=int, default=64)
    parser.add_argument("--ndf", type=int, default=64)
    parser.add_argument("--batch", default="16,64", help="batch sizes, separated by commas")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20, help="how long to measure each batch size")
    parser.add_argument("--settings", type=json.loads, metavar="JSON", help="of comic and style: what `bench_step --settings` prints")
    parser.add_argument("--layout", choices=(*LAYOUTS, "best"), default="best")
    parser.add_argument("--interleave", action="store_true", help="serve `step BATCH K` lines from stdin")
    options = parser.parse_args()
    options.size = options.size or (64 if options.model == "dcgan" else 256)
    if options.model in ("comic", "style") and not options.settings:
        parser.error(f"--model {options.model} needs --settings")
    torch.set_num_threads(options.threads)  # Debian's build starts with one
    if options.interleave:
        serve(options)
        return
    for batch in map(int, options.batch.split(",")):
        trainer = Trainer(options, batch)
        times, end = [], time.monotonic() + options.seconds
        while time.monotonic() < end or len(times) < 3:
            times.append(trainer.timed_step())
        median = statistics.median(times)
        line = {**trainer.describe(), "steps": len(times), "median_s": median, "min_s": min(times)}
        print(json.dumps({**line, "images_per_s": batch / median, "peak_rss_mb": peak_rss_mb()}), flush=True)


def serve(options):
    """Takes turns. Networks are built, and a layout chosen, at the first request for a batch size."""
    trainers = {}

    def answer(batch, count):
        if batch not in trainers:
            trainers[batch] = Trainer(options, batch)
        times = [trainers[batch].timed_step() for _ in range(count)]
        return {"times": times, **trainers[batch].describe(), "peak_rss_mb": peak_rss_mb()}

    serve_turns(answer)


class Trainer:
    """Networks, optimisers and one batch of inputs, warmed up, in the layout asked for or the faster one."""

    def __init__(self, options, batch):
        self.options, self.batch, self.trial = options, batch, {}
        if options.layout != "best":
            self.build(options.layout)
            return
        for layout in LAYOUTS:
            self.build(layout)
            self.trial[layout] = min(self.timed_step() for _ in range(5))
        self.build(min(self.trial, key=self.trial.get))

    def build(self, layout):
        self.layout = layout
        torch.manual_seed(1)
        options = self.options
        if options.settings:
            self.build_styled(layout)
            return
        pix2pix = {"netG": f"unet_{options.size}", "netD": "patch", "dropout": True}
        self.generator, self.discriminator = build_networks({**pix2pix, **vars(options), "norm": "batch"})
        for network in (self.generator, self.discriminator):
            network.to(memory_format=LAYOUTS[layout])
            for parameter in network.parameters():
                torch.nn.init.normal_(parameter, 1.0 if parameter.dim() == 1 else 0.0, 0.02)
        self.optimizer_g, self.fused = adam(self.generator.parameters())
        self.optimizer_d, _ = adam(self.discriminator.parameters())
        images = lambda: (torch.rand(self.batch, options.channels, options.size, options.size) * 2 - 1).contiguous(
            memory_format=LAYOUTS[layout]
        )
        self.real, self.input = images(), images()
        self.step = self.step_dcgan
        self.ones, self.zeros = torch.ones(self.batch), torch.zeros(self.batch)
        if options.model == "pix2pix":
            self.step = self.step_pix2pix
            (logits,) = self.discriminator(torch.cat([self.input, self.real], 1))
            self.ones, self.zeros = torch.ones_like(logits), torch.zeros_like(logits)
        for _ in range(2):
            self.step()

    def build_styled(self, layout):
        """comic and style, as make_replay.py trains them; the encoder never learns."""
        settings = {**self.options.settings, "batch": self.batch}
        networks = named_networks(settings)
        for network in networks.values():
            network.to(memory_format=LAYOUTS[layout])
        players = {player: [p for name, network in networks.items() if name.startswith(player) for p in network.parameters()] for player in "GD"}
        (self.optimizer_g, self.fused), (self.optimizer_d, _) = (adam(players[p]) if players[p] else (None, False) for p in "GD")
        names = ["A", "B", *(name for name, key in (("drawn", "lambda_structure"), ("soft", "d_soft")) if settings.get(key, 0) > 0)]
        shape = (self.batch, settings["channels"], settings["size"], settings["size"])
        given = {name: (torch.rand(shape) * 2 - 1).contiguous(memory_format=LAYOUTS[layout]) for name in names}
        step = comic_step if settings["model"] == "comic" else style_step
        self.step = lambda: step(settings, networks, self.optimizer_g, self.optimizer_d, given)
        for _ in range(2):
            self.step()

    def step_pix2pix(self):
        generator, discriminator = self.generator, self.discriminator
        fake = generator(self.input)
        self.optimizer_d.zero_grad(set_to_none=True)
        (logits_fake,) = discriminator(torch.cat([self.input, fake.detach()], 1))
        (logits_real,) = discriminator(torch.cat([self.input, self.real], 1))
        ((cross_entropy(logits_fake, self.zeros) + cross_entropy(logits_real, self.ones)) / 2).backward()
        self.optimizer_d.step()

        discriminator.requires_grad_(False)
        self.optimizer_g.zero_grad(set_to_none=True)
        (logits,) = discriminator(torch.cat([self.input, fake], 1))
        (cross_entropy(logits, self.ones) + 100 * (fake - self.real).abs().mean()).backward()
        self.optimizer_g.step()
        discriminator.requires_grad_(True)

    def step_dcgan(self):
        generator, discriminator = self.generator, self.discriminator
        self.optimizer_d.zero_grad(set_to_none=True)
        cross_entropy(discriminator(self.real), self.ones).backward()
        fake = generator(torch.randn(self.batch, self.options.nz))
        cross_entropy(discriminator(fake.detach()), self.zeros).backward()
        self.optimizer_d.step()

        discriminator.requires_grad_(False)  # no gradients of D's weights in G's step
        self.optimizer_g.zero_grad(set_to_none=True)
        cross_entropy(discriminator(fake), self.ones).backward()
        self.optimizer_g.step()
        discriminator.requires_grad_(True)

    def timed_step(self):
        start = time.perf_counter()
        self.step()
        return time.perf_counter() - start

    def describe(self):
        options = self.options
        return {
            "peer": f"torch {torch.__version__}",
            "model": options.model,
            "batch": self.batch,
            "size": options.size,
            "ngf": options.ngf,
            "ndf": options.ndf,
            "threads": torch.get_num_threads(),
            "layout": self.layout,
            "layout_trial_s": self.trial,
            "fused_adam": self.fused,
        }


def adam(parameters):
    """(optimiser, whether it is the fused one, which older PyTorch lacks on the CPU)."""
    parameters, arguments = list(parameters), {"lr": 2e-4, "betas": (0.5, 0.999)}
    try:
        return torch.optim.Adam(parameters, **arguments, fused=True), True
    except (RuntimeError, TypeError):
        return torch.optim.Adam(parameters, **arguments), False


def peak_rss_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
