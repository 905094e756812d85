#!/usr/bin/env python3
"""Draws what runs are worth over time: one line a run, from their metrics.jsonl, as an SVG.

    bench/curve.py denoise=runs/a lowres=runs/b --out curve.svg              # dB above the easiest answer
    bench/curve.py a=runs/a --value val_ssim --less "" --title SSIM --out curve.svg

The value of a line is --value less --less; rows of a log that have not both are passed over. Time is what the run itself
counted, so a stop and a resume leave no gap. Needs nothing but Python.
"""
import argparse
import json
import math
import os
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 130, 34, 40  # room around the plot: numbers, names of lines, title, minutes
COLOURS = ("#1f6fb4", "#c8501e", "#2d8a4e", "#8a4ba0", "#8c6d1f", "#4a4a4a")


def points_of(run, value, less):
    """[(minutes, value)] of a run folder or its metrics.jsonl."""
    path = os.path.join(run, "metrics.jsonl") if os.path.isdir(run) else run
    points = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if "seconds" in row and isinstance(row.get(value), (int, float)) and (not less or less in row):
                points.append((row["seconds"] / 60, row[value] - (row[less] if less else 0)))
    if not points:
        raise SystemExit(f"{path}: no row has {value}{' and ' + less if less else ''}; is the run one with validation?")
    return points


def ticks(low, high, most=6):
    """Round numbers from low to high, at most `most` steps apart."""
    step = 10 ** math.floor(math.log10((high - low) / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [round(step * k, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]


def drawing(lines, title):
    everything = [point for _, points in lines for point in points]
    last = max(minutes for minutes, _ in everything)
    low, high = min(0, min(v for _, v in everything)), max(v for _, v in everything)
    high += 0.05 * (high - low) or 1
    x = lambda minutes: LEFT + (WIDTH - LEFT - RIGHT) * minutes / last
    y = lambda value: HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="13">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14">{escape(title)}</text>',
    ]
    for value in ticks(low, high):
        shade = "#888" if value == 0 else "#ddd"
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" stroke="{shade}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    for minutes in ticks(0, last):
        parts.append(f'<text x="{x(minutes):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{minutes:g}</text>')
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">minutes</text>')
    taken = []  # heights of names, at least a line apart
    for (name, points), colour in zip(lines, COLOURS):
        path = " ".join(f"{x(minutes):.1f},{y(value):.1f}" for minutes, value in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        height = y(points[-1][1]) + 4
        while any(abs(height - other) < 15 for other in taken):
            height += 1
        taken.append(height)
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{height:.1f}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help="a run folder and what its line is called")
    parser.add_argument("--value", default="val_psnr")
    parser.add_argument("--less", default="val_psnr_trivial", help='what is taken off; "": nothing')
    parser.add_argument("--title", default="dB above the easiest answer, pictures held out")
    parser.add_argument("--out", required=True)
    options = parser.parse_args()
    if len(options.runs) > len(COLOURS):
        raise SystemExit(f"{len(options.runs)} runs; at most {len(COLOURS)} have colours of their own")
    lines = []
    for text in options.runs:
        name, separator, run = text.partition("=")
        lines.append((name, points_of(run, options.value, options.less)) if separator else (os.path.basename(os.path.normpath(name)), points_of(name, options.value, options.less)))
    with open(options.out, "w", encoding="utf-8") as file:
        file.write(drawing(lines, options.title))


if __name__ == "__main__":
    main()
