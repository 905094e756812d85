#!/usr/bin/env python3
"""Instructions in the main loop of every tensor-core product, as compiled: what a warp issues for each 64 HMMA.

  bench/sass_count.py --out bench/results/sass.md      the attention, gemm and conv kernels for sm_90a
  bench/sass_count.py --arch 80                        another architecture, to stdout
  bench/sass_count.py --most 300 KERNELS.cubin ...     of machine code there is; fails when a row of vectors has more

Needs nvcc (but for machine code that is named) and cuobjdump, of the toolkit or any other installed one; without a
cuobjdump it says "skipped" and succeeds. No GPU.

The main loop is the natural loop with the most HMMA: the header of a backward branch and every instruction from which
that branch can be reached without passing the header, wherever ptxas has put it. `all` counts each of them once, also
what few rounds need. `round` is the shortest way through the loop among those with the most HMMA, then the most 16-byte
copies, then the most loads; where nothing branches the two are equal. One row is one tile and pair of sources; its
numbers are the range over its instances (types of the output). Of attention it is one kernel, with the widths of keys and
values that it has room for.
"""
import argparse
import collections
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import ptxas_report  # noqa: E402

ROOT = ptxas_report.ROOT
SOURCES = ["kernels/gpu/attention/3_mma.cu", "kernels/gpu/gemm/3_mma.cu", "kernels/gpu/conv/3_mma.cu"]


def instructions(listing):
    """{function: [(address, predicate, name, operands), ...]} of the text that cuobjdump --dump-sass prints."""
    functions, here = {}, None
    for line in listing.splitlines():
        if found := re.match(r"\s*Function : (\S+)", line):
            here = functions.setdefault(found[1], [])
        elif here is not None and (found := re.match(r"\s*/\*([0-9a-f]+)\*/\s+(@!?U?P\w+\s+)?([A-Z][\w.]*)([^;]*);", line)):
            here.append((int(found[1], 16), (found[2] or "").strip(), found[3], found[4].strip()))
    return functions


def successors(code):
    """For each instruction the places in `code` where a warp may go on."""
    place = {address: i for i, (address, *_) in enumerate(code)}
    result = []
    for i, (_, predicate, name, operands) in enumerate(code):
        target = None
        if name.split(".")[0] in ("BRA", "CALL", "JMP") and (found := re.search(r"0x([0-9a-f]+)\)?$", operands)):
            target = place.get(int(found[1], 16))
        ends = name.split(".")[0] in ("EXIT", "RET", "BRX")
        conditional = predicate or re.match(r"!?U?P\d|.*\bdiv\b|~?UR", operands, re.IGNORECASE)
        following = [] if target is None or ends else [target]
        if target is None or conditional or name.startswith("CALL"):
            if not (ends and not predicate) and i + 1 < len(code):
                following.append(i + 1)
        result.append(following)
    return result


def main_loop(code):
    """The places of the main loop's instructions, in order; empty when no loop has an HMMA.

    Two HMMA and a step of the address in a loop of six, one of them behind the branch that closes it:

    >>> text = '''
    ...     Function : f
    ...     /*0000*/        MOV R1, c[0x0][0x28] ;
    ...     /*0010*/        HMMA.16816.F32.BF16 R8, R4, R2, R8 ;
    ...     /*0020*/    @P1 BRA 0x60 ;
    ...     /*0030*/        HMMA.16816.F32.BF16 R8, R4, R6, R8 ;
    ...     /*0040*/    @P0 BRA 0x10 ;
    ...     /*0050*/        EXIT ;
    ...     /*0060*/        IADD3 R3, R3, 0x1, RZ ;
    ...     /*0070*/        BRA 0x30 ;
    ...     /*0080*/        BRA 0x80;
    ... '''
    >>> code = instructions(text)['f']
    >>> [code[i][2] for i in main_loop(code)]
    ['HMMA.16816.F32.BF16', 'BRA', 'HMMA.16816.F32.BF16', 'BRA', 'IADD3', 'BRA']
    >>> count(code)['all64'], count(code)['per64']
    (192, 128)
    >>> main_loop(instructions(text.replace('@P0 BRA 0x10', 'NOP'))['f'])
    []
    """
    following = successors(code)
    leading = collections.defaultdict(list)
    for i, targets in enumerate(following):
        for target in targets:
            leading[target].append(i)
    loops = collections.defaultdict(set)  # by header: loops that share one are one
    for i, targets in enumerate(following):
        for header in targets:
            if header > i or header == i:
                continue
            loop, waiting = {header}, [i]
            while waiting:
                at = waiting.pop()
                if at not in loop:
                    loop.add(at)
                    waiting += leading[at]
            if 0 not in loop:  # else the branch leads into the middle of something, and no header is passed
                loops[header] |= loop
    products = {header: sum(code[i][2].startswith("HMMA") for i in loop) for header, loop in loops.items()}
    best = max(loops, key=lambda header: (products[header], -len(loops[header])), default=None)
    return sorted(loops[best]) if best is not None and products[best] else []


def shortest_round(code, loop):
    """The places of the round that the head of this file describes."""
    following, inside, header = successors(code), set(loop), loop[0]
    order, state, stack = [], {header: 1}, [(header, iter(following[header]))]
    ahead = collections.defaultdict(list)  # without the edges that go back: to the header, to those of inner loops
    while stack:
        at, targets = stack[-1]
        for target in targets:
            if target not in inside or state.get(target) == 1:
                continue
            ahead[at].append(target)
            if target not in state:
                state[target] = 1
                stack.append((target, iter(following[target])))
                break
        else:
            state[at] = 2
            order.append(at)
            stack.pop()
    best = {}  # place -> (worth of the best way from here to the branch that closes the loop, next place)
    for at in order:
        name = code[at][2]
        own = (name.startswith("HMMA"), name.startswith("LDGSTS") and ".128" in name, name.startswith("LDG"), -1)
        ways = [(best[target][0], target) for target in ahead[at] if target in best]
        if header in following[at]:
            ways.append(((0, 0, 0, 0), None))
        if ways:
            worth, target = max(ways, key=lambda way: way[0])
            best[at] = tuple(map(sum, zip(own, worth))), target
    path, at = [], header
    while at is not None:
        path.append(at)
        at = best[at][1]
    return path


def count(code):
    """Of one kernel: instructions for each 64 HMMA in the main loop and in its round, and of which kind."""
    loop = main_loop(code)
    path = shortest_round(code, loop) if loop else []
    names = collections.Counter(code[i][2].split(".")[0] for i in path)
    local = sum(name.split(".")[0] in ("LDL", "STL") for _, _, name, _ in code)
    hmma = sum(code[i][2].startswith("HMMA") for i in loop)
    return {"hmma": names["HMMA"], "names": names, "local": local,
            "all64": round(len(loop) * 64 / hmma) if hmma else 0,
            "per64": round(len(path) * 64 / names["HMMA"]) if names["HMMA"] else 0}


def find_cuobjdump(given):
    nvcc = shutil.which("nvcc")
    beside = os.path.join(os.path.dirname(os.path.realpath(nvcc)), "cuobjdump") if nvcc else None
    for path in [given] if given else ["cuobjdump", beside, "/usr/local/cuda/bin/cuobjdump"]:
        if path and (found := shutil.which(path)):
            return found
    return None


def run(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return done.stdout


def kernels_of(file, cuobjdump):
    """{mangled name: what count() says, with registers and stack} of the tensor-core products in machine code."""
    result = {name: count(code) for name, code in instructions(run([cuobjdump, "--dump-sass", file])).items()
              if any(instruction[2].startswith("HMMA") for instruction in code)}
    name = None
    for line in run([cuobjdump, "-res-usage", file]).splitlines():
        if found := re.search(r"Function (\S+?):?$", line.strip()):
            name = found[1]
        elif name in result and (found := re.search(r"REG:(\d+) STACK:(\d+)", line)):
            result[name]["registers"], result[name]["stack"] = int(found[1]), int(found[2])
    return result


def compiled(source, arch, cuobjdump):
    with tempfile.TemporaryDirectory() as folder:
        cubin = os.path.join(folder, "out.cubin")
        nvcc = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
        run([nvcc, "-std=c++20", "-O3", "-DNDEBUG", f"-gencode=arch=compute_{arch},code=sm_{arch}", "-cubin", "-I", ROOT,
             "-o", cubin, os.path.join(ROOT, source)])
        return kernels_of(cubin, cuobjdump)


def row_of(instance):
    """(precision, tile, sources) of "mma_kernel<MmaShape<bf16, 128, 128, 2, 2>, float, MatrixProduct<...> >".

    >>> row_of("forward_mma<32, 128>")
    ('bf16', '32, 128', 'forward_mma')
    """
    if found := re.match(r"(\w+_mma)<(\d+), (\d+)>$", instance):
        return "bf16", f"{found[2]}, {found[3]}", found[1]
    found = re.match(r"mma_kernel<MmaShape<(\w+), (\d+), (\d+)[^>]*>, \w+, (.*)>$", instance)
    if not found:
        return None
    product = re.sub(r"\s+>", ">", found[4].strip())
    product = re.sub(r"\b(bf16|float)(, )?|\(bool\)", "", product).replace("<>", "")
    return {"bf16": "bf16", "float": "tf32"}[found[1]], f"{found[2]}x{found[3]}", product


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="OBJECT", help="object files or cubins, instead of compiling")
    parser.add_argument("--arch", default="90a", help="architecture to compile for [90a]")
    parser.add_argument("--out", default="-", help="Markdown file, - for stdout [-]")
    parser.add_argument("--cuobjdump", metavar="PATH", help="of any CUDA toolkit [PATH, then the toolkit's bin]")
    parser.add_argument("--most", type=int, help="fail when a round of a 128x128 tile that reads vectors is longer")
    parser.add_argument("--kinds", action="store_true", help="also which instructions, to stderr")
    arguments = parser.parse_args()
    cuobjdump = find_cuobjdump(arguments.cuobjdump)
    if not cuobjdump:
        print("skipped: no cuobjdump (a CUDA toolkit's, or --cuobjdump PATH)")
        return 0

    if arguments.files:
        by_source = {file: kernels_of(file, cuobjdump) for file in arguments.files}
    else:
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            by_source = dict(zip(SOURCES, pool.map(lambda s: compiled(s, arguments.arch, cuobjdump), SOURCES)))
    names = ptxas_report.demangle([name for kernels in by_source.values() for name in kernels])

    rows = collections.defaultdict(list)
    for source, kernels in by_source.items():
        for name, counted in kernels.items():
            if key := row_of(ptxas_report.instance_name(names[name])):
                rows[(source.replace("kernels/gpu/", ""),) + key].append(counted)
    text = ["# Instructions of the tensor-core loop", "",
            f"Written by `bench/sass_count.py` for sm_{arguments.arch}; the script says what is counted."
            if not arguments.files else "Written by `bench/sass_count.py`; the script says what is counted.", "",
            "| file | factors | tile or widths | product of sources, or kernel | instructions of a round for 64 HMMA | all | HMMA | "
            "registers | stack bytes | loads and stores of spills |", "|" + "---|" * 10]
    faults = []
    for key, counted in sorted(rows.items()):
        file, precision, tile, sources = key
        span = {column: ptxas_report.span(one.get(column, 0) for one in counted)
                for column in ("per64", "all64", "hmma", "registers", "stack", "local")}
        text.append(f"| {file} | {precision} | {tile} | `{sources}` | {span['per64']} | {span['all64']} | {span['hmma']} | {span['registers']} | "
                    f"{span['stack']} | {span['local']} |")
        where = " ".join(key)
        if any(one["local"] for one in counted):
            faults.append(f"spills: {where}")
        most = max(one["per64"] for one in counted)
        if arguments.most and tile == "128x128" and "false" not in sources and most > arguments.most:
            faults.append(f"{most} instructions for 64 HMMA: {where}")
        if arguments.kinds:
            kinds = max(counted, key=lambda one: one["per64"])["names"]
            print(where, dict(kinds.most_common(14)), file=sys.stderr)
    text = "\n".join(text) + "\n"
    if arguments.out == "-":
        print(text, end="")
    else:
        with open(arguments.out, "w") as file:
            file.write(text)
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
