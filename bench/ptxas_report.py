#!/usr/bin/env python3
"""Registers, shared memory and occupancy of every kernel, as ptxas compiles them; fails when one spills.

  bench/ptxas_report.py --out bench/results/ptxas.md    sm_80 and sm_90a
  bench/ptxas_report.py --arch 86                       another architecture, to stdout
  bench/ptxas_report.py --launches build/cpu/bin/gan_tests

Needs nvcc, no GPU and no build. Every kernels/gpu/**/*.cu is compiled to machine code once per architecture, so new
files and kernels appear by themselves. One row is one kernel template; its numbers are the range over its instances.

Threads of a block are what __launch_bounds__ says. With --launches they, and the dynamic shared memory that ptxas
cannot know, are those of the launches that the case table makes on device simt (the test program must be unstripped;
some minutes). Occupancy is theory: blocks that fit a multiprocessor's registers, shared memory, threads and block
slots, and their warps in percent of 64.
"""
import argparse
import collections
import concurrent.futures
import glob
import os
import re
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHARED_PER_SM = {8: 164 * 1024, 9: 228 * 1024}  # by major architecture (8.6 and 8.9 have 100 KB)
SHARED_SMALL = {86: 100 * 1024, 89: 100 * 1024}
WARPS_SMALL = {86: 48, 89: 48}
RESERVED_SHARED = 1024  # the system's own, in each block


class Kernel:
    """One compiled instance."""

    def __init__(self, name):
        self.name, self.registers, self.shared, self.spills, self.stack = name, 0, 0, 0, 0
        self.threads = 0        # of __launch_bounds__; 0: none


def compile_file(source, arch):
    """The kernels of one file: numbers from ptxas's messages, launch bounds from the machine code."""
    with tempfile.TemporaryDirectory() as folder:
        cubin = os.path.join(folder, "out.cubin")
        command = ["nvcc", "-std=c++20", "-O3", "-DNDEBUG", f"-gencode=arch=compute_{arch},code=sm_{arch}", "-cubin",
                   "-Xptxas", "-v", "-Xcompiler=-fPIC", "-I", ROOT, "-o", cubin, source]
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        kernels, name = {}, None
        for line in done.stderr.splitlines():
            if found := re.search(r"Compiling entry function '(\S+)'", line):
                name = found[1]
                kernels[name] = Kernel(name)
            elif found := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
                if name:
                    kernels[name].stack, kernels[name].spills = int(found[1]), int(found[2]) + int(found[3])
            elif name and "Used" in line and (found := re.search(r"Used (\d+) registers", line)):
                kernels[name].registers = int(found[1])
                if found := re.search(r"(\d+) bytes smem", line):
                    kernels[name].shared = int(found[1])
                name = None
            elif re.search(r"warning", line):
                print(line, file=sys.stderr)
        with open(cubin, "rb") as file:
            read_elf(file.read(), kernels)
    return list(kernels.values())


def read_elf(data, kernels):
    """Launch bounds from a cubin: attribute 5 of the section .nv.info.KERNEL."""
    offset, = struct.unpack_from("<Q", data, 40)
    size, count, names_index = struct.unpack_from("<HHH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, offset + i * size) for i in range(count)]
    names_at = sections[names_index][4]
    for name_at, _, _, _, at, length, *_ in sections:
        name = data[names_at + name_at:data.index(b"\0", names_at + name_at)].decode()
        if not name.startswith(".nv.info.") or name[9:] not in kernels:
            continue
        position, end = at, at + length
        while position + 4 <= end:
            form, attribute, value = struct.unpack_from("<BBH", data, position)
            position += 4
            if form != 4:  # the value lies in these four bytes
                continue
            if attribute == 5:
                x, y, z = struct.unpack_from("<III", data, position)
                kernels[name[9:]].threads = x * y * z
            position += value


def demangle(names):
    done = subprocess.run(["c++filt"], input="\n".join(names), stdout=subprocess.PIPE, text=True, check=True)
    return dict(zip(names, done.stdout.splitlines()))


def instance_name(demangled):
    """'forward_online<float, 4>', the same for both compilers: no namespaces, return type or parameters."""
    text = re.sub(r"_GLOBAL__N__\w+|\(anonymous namespace\)", "anonymous", demangled)
    text = re.sub(r"\bgan::(cuda|simt)::|\bgan::|\banonymous::", "", text)
    depth = 0
    for i, c in enumerate(text):  # the parameter list begins at the first parenthesis outside of <>
        depth += (c == "<") - (c == ">")
        if c == "(" and depth == 0:
            text = text[:i]
            break
    depth = 0
    for i in range(len(text) - 1, -1, -1):  # the return type ends at the last blank outside of <>
        depth += (text[i] == ">") - (text[i] == "<")
        if text[i] == " " and depth == 0:
            text = text[i + 1:]
            break
    return text


def template_name(instance):
    return instance.split("<")[0]


def rung_of(source, template, instance):
    """The variant of the file's table that a kernel's name, or a numbered file's, speaks of."""
    if found := re.match(r"\d+_(\w+)\.cu", os.path.basename(source)):
        return found[1]
    folder = os.path.dirname(source)
    texts = [open(path).read() for path in ([source] if folder.endswith("kernels") else glob.glob(folder + "/*.cu"))]
    rungs = {name for text in texts for name in re.findall(r'"(\w+)",\s*"f32', text)}
    fitting = [rung for rung in rungs if re.search(rf"(^|_){rung}(_|$)", template)]
    return max(fitting, key=len) if fitting else ""


def occupancy(arch, registers, threads, shared):
    """(blocks per multiprocessor, warps in percent, what limits)."""
    number = int(re.sub(r"\D", "", arch))
    max_warps = WARPS_SMALL.get(number, 64)
    warps = (threads + 31) // 32
    per_warp = (registers * 32 + 255) // 256 * 256
    by_registers = (65536 // 4 // per_warp) * 4 // warps  # four partitions share the registers evenly
    by_shared = SHARED_SMALL.get(number, SHARED_PER_SM.get(number // 10, 164 * 1024)) // (
        (shared + RESERVED_SHARED + 127) // 128 * 128)
    limits = {"registers": by_registers, "shared memory": by_shared, "threads": max_warps // warps,
              "blocks": 16 if number in (86, 89) else 32}
    blocks = min(limits.values())
    return blocks, 100 * blocks * warps // max_warps, min(limits, key=lambda key: limits[key])


def read_launches(program):
    """(object file's source, instance) -> set of (threads, dynamic shared bytes), from a run of the case table on device simt."""
    with tempfile.NamedTemporaryFile("r") as log:
        environment = dict(os.environ, GAN_SIMT_LAUNCHES=log.name, GAN_TEST_SEEDS="0")
        done = subprocess.run([program, "-tc=kernels on simt"], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            sys.exit(f"{program}:\n{done.stdout[-3000:]}")
        first, *rows = [line.split() for line in log]
    # Kernels of several files share names: a local symbol belongs to the file named last before it.
    symbols, slide, file_name = {}, None, ""
    table = subprocess.run(["readelf", "-sWC", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in table.stdout.splitlines():
        words = line.split(None, 7)
        if len(words) < 8 or not words[0].rstrip(":").isdigit():
            continue
        kind, name = words[3], words[7]
        if kind == "FILE":
            file_name = name
        elif kind == "FUNC" and "[clone" not in name:
            if name.startswith("gan::simt::runtime::run_grid("):
                slide = int(first[0], 16) - int(words[1], 16)
            elif "simt::" in name:
                symbols[int(words[1], 16)] = (file_name if words[4] == "LOCAL" else "", instance_name(name))
    launches = collections.defaultdict(set)
    for address, threads, dynamic in rows:
        if key := symbols.get(int(address, 16) - slide):
            launches[key].add((int(threads), int(dynamic)))
    return launches


def span(values):
    values = sorted(set(values))
    return f"{values[0]}" if len(values) == 1 else f"{values[0]} to {values[-1]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--arch", default="80,90a", help="architectures, separated by commas [80,90a]")
    parser.add_argument("--out", default="-", help="Markdown file, - for stdout [-]")
    parser.add_argument("--launches", metavar="GAN_TESTS", help="test program to learn block sizes from")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    arguments = parser.parse_args()
    archs = arguments.arch.split(",")
    sources = sorted(glob.glob(ROOT + "/kernels/gpu/**/*.cu", recursive=True))
    launches = read_launches(arguments.launches) if arguments.launches else {}

    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        jobs = {(source, arch): pool.submit(compile_file, source, arch) for source in sources for arch in archs}
        compiled = {key: job.result() for key, job in jobs.items()}
    names = demangle([k.name for kernels in compiled.values() for k in kernels])

    groups = collections.defaultdict(lambda: collections.defaultdict(list))  # (family, source, template) -> arch -> kernels
    spilling, bounds_broken, instances = [], [], set()
    for (source, arch), kernels in compiled.items():
        relative = os.path.relpath(source, ROOT + "/kernels")
        for kernel in kernels:
            kernel.instance = instance_name(names[kernel.name])
            instances.add((relative, kernel.instance))
            groups[relative, template_name(kernel.instance)][arch].append(kernel)
            if kernel.spills:
                spilling.append(f"sm_{arch} {relative} {kernel.instance}: {kernel.spills} bytes")

    def launches_of(relative, instance):
        """Of this instance, else of its template: of the same file, or of a kernel that belongs to none."""
        generated = "kernels_" + relative.replace("/", "_") + ".cpp"  # as CMakeLists.txt names what g++ compiles
        here = [(name, used) for (file, name), used in launches.items() if file in (generated, "")]
        same = [used for name, used in here if name == instance]
        return set().union(*(same or [used for name, used in here if template_name(name) == template_name(instance)]))

    lines = []
    for (relative, template), by_arch in sorted(groups.items()):
        source = os.path.join(ROOT, "kernels", relative)
        rung = rung_of(source, template, "")
        row = [relative, f"`{template}`", rung, str(max(len(kernels) for kernels in by_arch.values()))]
        threads_seen, dynamic_seen, cells, assumed = set(), set(), [], False
        for arch in archs:
            kernels = by_arch.get(arch, [])
            if not kernels:
                cells += ["", "", ""]
                continue
            results = []
            for kernel in kernels:
                used = launches_of(relative, kernel.instance)
                threads = {t for t, _ in used} or ({kernel.threads} if kernel.threads else {256})
                assumed |= not used and not kernel.threads
                dynamic = max((d for _, d in used), default=0)
                threads_seen |= threads
                dynamic_seen |= {d for _, d in used}
                if kernel.threads and max(threads) > kernel.threads:
                    bounds_broken.append(f"{relative} {kernel.instance}: {max(threads)} threads, bounds {kernel.threads}")
                results.append(occupancy(arch, kernel.registers, max(threads), kernel.shared + dynamic))
            cells += [span(k.registers for k in kernels), span(r[0] for r in results),
                      span(r[1] for r in results) + " " + "/".join(sorted({r[2] for r in results}))]
        some = next(iter(by_arch.values()))
        shared = span(k.shared for k in some)
        if dynamic_seen - {0}:
            shared += " + " + span(d for d in dynamic_seen if d)
        lines.append(row + [span(threads_seen) + (" ?" if assumed else ""), shared] + cells)

    version = subprocess.run(["nvcc", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
    version = re.search(r"release .*V([\d.]+)", version)[1]
    head = ["file", "kernel", "rung", "instances", "threads", "shared bytes"]
    for arch in archs:
        head += [f"sm_{arch} registers", "blocks", "occupancy %, limit"]
    text = ["# Registers, shared memory, occupancy",
            "",
            f"Written by `bench/ptxas_report.py` with nvcc {version}; the script says what the columns mean. "
            f"{len(instances)} kernels from {len(groups)} templates, {len(spilling) or 'none'} of them spill.",
            ("Threads and dynamic shared memory (behind the `+`): of the launches of the case table. " if launches else
             "Dynamic shared memory is not counted (`--launches` does). ")
            + "A `?`: no launch seen and no launch bounds, taken as 256.",
            "",
            "| " + " | ".join(head) + " |",
            "|" + "---|" * len(head)]
    text += ["| " + " | ".join(line) + " |" for line in lines]
    text = "\n".join(text) + "\n"
    if arguments.out == "-":
        print(text, end="")
    else:
        with open(arguments.out, "w") as file:
            file.write(text)
        print(f"{arguments.out}: {len(instances)} kernels, {len(groups)} rows", file=sys.stderr)
    for problem in spilling:
        print("spills: " + problem, file=sys.stderr)
    for problem in bounds_broken:
        print("launched beyond its bounds: " + problem, file=sys.stderr)
    return 1 if spilling or bounds_broken else 0


if __name__ == "__main__":
    sys.exit(main())
