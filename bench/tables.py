#!/usr/bin/env python3
"""Writes the tables of measurements in the documents from the files under bench/results, so that no number is typed.

    bench/tables.py            rewrites them
    bench/tables.py --check    says what differs, and writes nothing; exit code 1 if anything does

A table stands between two lines of its document, which say its kind and its files:

    <!-- table steps: step-cpu.json step-pix2pix.json; by bench/tables.py -->
    <!-- end of table -->
"""
import argparse
import json
import os
import re
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DOCUMENTS = ("README.md", "bench/README.md")
TABLE = re.compile(r"([ ]*)<!-- table (\w+): ([^;]*); by bench/tables.py -->\n(.*?)[ ]*<!-- end of table -->\n", re.DOTALL)
MODELS = {"dcgan": "DCGAN", "pix2pix": "pix2pix", "comic": "`comic`", "style": "`style`"}


def step_name(run, batch):
    """
    >>> step_name({"model": "dcgan", "size": 64, "ngf": 64}, 16)
    'DCGAN 64x64, ngf 64, batch 16'
    """
    return f"{MODELS[run['model']]} {run['size']}x{run['size']}, ngf {run['ngf']}, batch {batch}"


def speed(value):
    """Images a second, to two digits at least.

    >>> speed(119.43), speed(9.96), speed(2.67)
    ('119', '10.0', '2.7')
    """
    return f"{value:.0f}" if value >= 20 else f"{value:.1f}"


def ratio(row):
    """
    >>> ratio({"speedup": {"median": 2.046, "min": 1.9, "max": 2.25}})
    '2.05 (1.90 to 2.25)'
    """
    s = row["speedup"]
    return f"{s['median']:.2f} ({s['min']:.2f} to {s['max']:.2f})"


def peer_name(row):
    """PyTorch's name; Debian 12 calls its 1.13.1 by what it was built from.

    >>> peer_name({"name": "torch 1.13.0a0"}), peer_name({"name": "torch 2.15.0+cu132"})
    ('PyTorch 1.13.1', 'PyTorch 2.15.0')
    """
    version = row["name"].removeprefix("torch ").partition("+")[0]
    return "PyTorch " + {"1.13.0a0": "1.13.1"}.get(version, version)


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines).replace("| --- ", "|---").replace("|--- |", "|---|")


def steps(runs):
    """Training steps beside PyTorch's: speed, by how much, memory."""
    peers = [peer_name(row) for row in runs[0]["results"][0]["rows"][1:]]
    head = ["step", "gan, images/s", *peers, *(f"{name}'s time over gan's (range)" for name in peers),
            "memory: gan, " + ", ".join(name.removeprefix("PyTorch ") for name in peers)]
    rows = []
    for run in runs:
        for result in run["results"]:
            all_rows = result["rows"]
            rows.append([step_name(run, result["batch"]), *(speed(row["images_per_s"]) for row in all_rows),
                         *(ratio(row) for row in all_rows[1:]),
                         ", ".join(f"{row['peak_rss_mb']:.0f}" for row in all_rows) + " MB"])
    return table(head, rows)


def ratios(runs):
    """Models beside PyTorch, by how much alone."""
    peers = [peer_name(row) for row in runs[0]["results"][0]["rows"][1:]]
    return table(["", *peers], [[MODELS[run["model"]], *(ratio(row) for row in result["rows"][1:])]
                                for run in runs for result in run["results"]])


def precision(runs):
    """bfloat16 beside float32, which is the peer."""
    rows = [[step_name(run, result["batch"]), ratio(result["rows"][1]), speed(result["rows"][0]["images_per_s"])]
            for run in runs for result in run["results"]]
    return table(["step", "fp32's time over bf16's (range)", "images/s, bf16"], rows)


KINDS = {"steps": steps, "ratios": ratios, "precision": precision}


def rewritten(text, read):
    """The document with its tables made anew.

    >>> text = "<!-- table ratios: a.json; by bench/tables.py -->\\nold\\n<!-- end of table -->\\n"
    >>> run = {"model": "comic", "results": [{"rows": [{}, {"name": "torch 2.1", "speedup": {"median": 2, "min": 1, "max": 3}}]}]}
    >>> print(rewritten(text, lambda name: [run]), end="")
    <!-- table ratios: a.json; by bench/tables.py -->
    | | PyTorch 2.1 |
    |---|---|
    | `comic` | 2.00 (1.00 to 3.00) |
    <!-- end of table -->
    """
    def replace(match):
        indent, kind, names, _ = match.groups()
        made = KINDS[kind]([run for name in names.split() for run in read(name)])
        body = "".join(indent + line.replace("|  |", "| |") + "\n" for line in made.splitlines())
        return f"{indent}<!-- table {kind}: {names}; by bench/tables.py -->\n{body}{indent}<!-- end of table -->\n"

    return TABLE.sub(replace, text)


def read_runs(name):
    """The runs of a file: one, or a list of them."""
    with open(os.path.join(ROOT, "bench", "results", name), encoding="utf-8") as file:
        found = json.load(file)
    return found if isinstance(found, list) else [found]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare only")
    options = parser.parse_args()
    stale = []
    for document in DOCUMENTS:
        path = os.path.join(ROOT, document)
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if not TABLE.search(text):
            sys.exit(f"{document} has no table of bench/tables.py: take it off the list, or put the marks back")
        made = rewritten(text, read_runs)
        if made == text:
            continue
        stale.append(document)
        if not options.check:
            with open(path, "w", encoding="utf-8") as file:
                file.write(made)
    for document in stale:
        print(f"{document}: {'differs from what bench/results says; run bench/tables.py' if options.check else 'rewritten'}")
    return 1 if stale and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
