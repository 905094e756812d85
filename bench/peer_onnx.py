#!/usr/bin/env python3
"""onnxruntime's time for one picture through a generator whose weights others publish: what bench_translate is measured against.

    bench/peer_onnx.py --network animegan2 --weights a.pt --model a.onnx        writes both: random weights at full width
    bench/peer_onnx.py --model a.onnx --seconds 5                               one JSON line
    bench/peer_onnx.py --model a.onnx --interleave                              serves bench/compare_step.py

The network is the authors' (tests/peers/published_networks.py), exported by PyTorch for pictures of --size. Writing needs
torch (a new one onnxscript too), measuring onnxruntime and numpy: one interpreter need not have both.
"""
import argparse
import json
import os
import resource
import statistics
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "peers"))

from turns import serve_turns

NETWORKS = ("animegan2", "fast-style", "resnet", "unet")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=NETWORKS, help="write this one")
    parser.add_argument("--weights", default="weights.pt", help="with --network: its state dictionary, for bench_translate")
    parser.add_argument("--model", required=True, metavar="FILE.onnx")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--interleave", action="store_true", help="serve `step 1 K` lines from stdin")
    options = parser.parse_args()
    if options.network:
        write(options)
    elif options.interleave:
        serve(Session(options))
    else:
        session = Session(options)
        times, end = [], time.monotonic() + options.seconds
        while time.monotonic() < end or len(times) < 5:
            times.append(session.timed_run())
        print(json.dumps({**session.describe(), "pictures": len(times), "median_s": statistics.median(times), "min_s": min(times)}))


def write(options):
    import torch

    import published_networks as networks

    makers = {"animegan2": networks.AnimeGan2, "fast-style": networks.StyleNet, "resnet": networks.residual_generator, "unet": networks.unet_generator}
    network = networks.with_lively_weights(makers[options.network](), 1)
    torch.save(network.state_dict(), options.weights)
    if isinstance(network, torch.nn.ModuleDict):
        network = network["model"]
    network.eval()
    if options.network == "animegan2":  # as their test script does
        forward = network.forward
        network.forward = lambda x: forward(x, align_corners=False)
    picture = torch.zeros(1, 3, options.size, options.size)
    torch.onnx.export(network, (picture,), options.model, input_names=["picture"], output_names=["made"], opset_version=13)


class Session:
    """The exported network and a picture of noise, warmed up."""

    def __init__(self, options):
        import numpy
        import onnxruntime

        choices = onnxruntime.SessionOptions()
        choices.intra_op_num_threads = options.threads
        choices.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.name = f"onnxruntime {onnxruntime.__version__}"
        self.session = onnxruntime.InferenceSession(options.model, choices, providers=["CPUExecutionProvider"])
        (given,) = self.session.get_inputs()
        self.feed = {given.name: numpy.random.default_rng(1).uniform(-1, 1, given.shape).astype(numpy.float32)}
        for _ in range(3):
            self.timed_run()

    def timed_run(self):
        start = time.perf_counter()
        self.session.run(None, self.feed)
        return time.perf_counter() - start

    def describe(self):
        return {"peer": self.name, "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def serve(session):
    """Takes turns with one picture."""

    def answer(batch, count):
        if batch != 1:
            return {"error": f"a batch of {batch}: one picture at a time"}
        return {"times": [session.timed_run() for _ in range(count)], **session.describe()}

    serve_turns(answer)


if __name__ == "__main__":
    main()
