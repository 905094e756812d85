"""How a peer of bench/compare_step.py takes its turns: the Python side of serve_turns() in bench/program.h."""
import json
import sys


def serve_turns(answer):
    """Answers each line `step BATCH K` on stdin with the JSON object answer(BATCH, K) on stdout, until stdin ends. It has
    "times", the seconds of each of K turns, or "error"."""
    for line in sys.stdin:
        words = line.split()
        if len(words) != 3 or words[0] != "step" or not words[1].isdigit() or not words[2].isdigit() or int(words[1]) < 1:
            said = {"error": f"expected `step BATCH K`, got {line.strip()!r}"}
        else:
            said = answer(int(words[1]), int(words[2]))
        print(json.dumps(said), flush=True)
