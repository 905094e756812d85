#!/usr/bin/env python3
"""Our training step (DCGAN, pix2pix, comic, style) against PyTorch's, alternating in one run, so that a noisy machine is noisy for both.

    bench/compare_step.py --peer /usr/bin/python3 --peer /opt/venv/bin/python
    bench/compare_step.py --ours "bench_translate a.pt --interleave" --peer-command "bench/peer_onnx.py --model a.onnx --interleave" --batch 1

Starts build/release/bin/bench_step --interleave and bench/peer_torch.py under every --peer interpreter. Each is a
server: it reads `step BATCH K` on stdin, runs K steps and answers {"times": [seconds, ...]}. In every round each one in
turn runs K steps while the others wait. A round gives one ratio per peer, of the medians of that round; the table
shows the median ratio and its range over the rounds. The peers choose the faster of NCHW and channels_last themselves.
"""
import argparse
import datetime
import json
import os
import shlex
import statistics
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ours = os.path.join(ROOT, "build", "release", "bin", "bench_step") + " --interleave"
    parser.add_argument("--ours", default=ours, help="command of our server")
    parser.add_argument("--peer", action="append", default=[], metavar="PYTHON", help="an interpreter that has torch; repeatable")
    parser.add_argument("--peer-command", action="append", default=[], metavar="COMMAND", help="any server of the same kind; repeatable")
    parser.add_argument("--batch", default="16,64", help="batch sizes, separated by commas")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=0, help="steps in a turn (0: about a second of the slowest)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", choices=("dcgan", "pix2pix", "comic", "style"), default="dcgan")
    parser.add_argument("--size", type=int, help="default: 64, others 256")
    parser.add_argument("--width", type=int, help="ngf and ndf [64; comic 32]")
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "step.json"), help="[build/step.json]")
    options = parser.parse_args()
    if options.rounds < 1 or options.threads < 1 or any(not n.isdigit() or n == "0" for n in options.batch.split(",")):
        parser.error("--rounds, --threads and --batch want numbers from 1 upwards")

    options.size = options.size or (64 if options.model == "dcgan" else 256)
    options.width = options.width or (32 if options.model == "comic" else 64)
    network = ["--model", options.model, "--size", options.size, "--ngf", options.width, "--ndf", options.width]
    # A peer that brings its own command is compared with what --ours says alone; an older program knows no other network than this.
    says_network = not options.peer_command and (options.model, options.size, options.width) != ("dcgan", 64, 64)
    if options.peer and options.model in ("comic", "style"):  # these have many losses with weights: both sides have them from here
        bench = [word for word in shlex.split(options.ours) if word != "--interleave"]
        printed = subprocess.run([*bench, *map(str, network), "--batch", "1", "--settings"], stdout=subprocess.PIPE, text=True, check=True)
        settings = ["--settings", printed.stdout]
    else:
        settings = []
    servers = [Server("gan", shlex.split(options.ours) + (network if says_network else []), options.threads)]
    for number, python in enumerate(options.peer, start=1):
        command = [python, "-B", os.path.join(ROOT, "bench", "peer_torch.py"), "--interleave", "--threads", options.threads]
        servers.append(Server(f"peer {number}", [*command, *network, *settings], options.threads))
    for number, command in enumerate(options.peer_command, start=1):
        servers.append(Server(f"command {number}", shlex.split(command), options.threads))
    measured = {"model": options.model, "size": options.size, "ngf": options.width, "ndf": options.width, "threads": options.threads}
    try:
        results = [compare(servers, batch, options, measured) for batch in map(int, options.batch.split(","))]
    finally:
        for server in servers:
            server.stop()
    os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
    with open(options.out, "w", encoding="utf-8") as file:
        stamp = datetime.datetime.now().isoformat(timespec="seconds")
        json.dump({"made": stamp, "cpu": cpu_name(), **measured, "results": results}, file, indent=1)
        file.write("\n")
    print(f"\nwritten to {options.out}")


class Server:
    """A child process that runs training steps on request."""

    def __init__(self, name, command, threads):
        self.name = name
        # OpenBLAS 0.3.21 does not know newer AMD processors and would use its AVX2 kernels; ours ignores this.
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_CORETYPE": "SkylakeX"}
        command = list(map(str, command))
        try:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        except OSError as error:
            sys.exit(f"cannot start {command[0]}: {error.strerror}. Build it first: cmake --build --preset release")

    def step(self, batch, count):
        """Runs `count` steps; the answer, a dictionary with at least `times`."""
        try:
            self.process.stdin.write(f"step {batch} {count}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended: the read below finds out
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended with code {self.process.wait()}: {' '.join(self.process.args)}")
        answer = json.loads(line)
        if "times" not in answer:
            sys.exit(f"{self.name}: {answer.get('error', line.strip())}")
        return answer

    def stop(self):
        try:
            self.process.stdin.close()
            self.process.wait(timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()


def compare(servers, batch, options, measured):
    """Measures one batch size, prints its table and returns it. What our side says of its network counts in `measured`."""
    warm = {server.name: server.step(batch, 3) for server in servers}  # builds, warms up, chooses layouts
    measured.update({key: warm[servers[0].name][key] for key in measured if key in warm[servers[0].name]})
    slowest = max(min(answer["times"]) for answer in warm.values())
    count = options.steps or max(2, round(1 / slowest))
    rounds = {server.name: [] for server in servers}
    last = {}
    for number in range(options.rounds):
        order = servers if number % 2 == 0 else servers[::-1]  # nobody always runs after the same neighbour
        for server in order:
            time.sleep(0.02)  # the neighbour's threads stop spinning
            last[server.name] = server.step(batch, count)
            rounds[server.name].append(last[server.name]["times"])

    load = os.getloadavg()[0]
    print(f"\nbatch {batch}: {options.rounds} rounds of {count} steps, load average {load:.1f}")
    print(f"{'':28} {'median s':>9} {'min s':>9} {'images/s':>9} {'RSS MB':>7}   gan is faster by (range over rounds)")
    rows = []
    for server in servers:
        times = [seconds for turn in rounds[server.name] for seconds in turn]
        median = statistics.median(times)
        answer = last[server.name]
        name = answer.get("peer", server.name)
        row = {
            "name": name,
            "median_s": median,
            "min_s": min(times),
            "images_per_s": batch / median,
            "peak_rss_mb": answer.get("peak_rss_mb"),
            "rounds": rounds[server.name],
        }
        row.update({key: answer[key] for key in ("layout", "layout_trial_s", "fused_adam") if key in answer})
        comment = ""
        if server is not servers[0]:
            turns = zip(rounds[servers[0].name], rounds[server.name])
            ratios = [statistics.median(theirs) / statistics.median(ours) for ours, theirs in turns]
            row["speedup"] = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
            comment = f"{statistics.median(ratios):5.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"
        label = name + (f", {row['layout']}" if "layout" in row else "")
        memory = f"{row['peak_rss_mb']:.0f}" if row["peak_rss_mb"] else "-"
        print(f"{label:28} {median:9.4f} {min(times):9.4f} {batch / median:9.1f} {memory:>7}   {comment}")
        rows.append(row)
    return {"batch": batch, "steps": count, "load_average": load, "rows": rows}


def cpu_name():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return "unknown"


if __name__ == "__main__":
    main()
