#!/usr/bin/env python3
"""A cold process from checkpoint or model to a written figure, time and peak memory: `cnnscope explain` and explain_torch.py in turn.

    make bench-explain PYTHON=... DATA=../shared/data [ROUNDS=12]

Cold means a new process; the files are in the system's cache for both. (This script itself must stay small: a child's peak memory
begins with its parent's.)
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

import rounds
from ours import Build

options = rounds.arguments(__doc__).parse_args()
folder = pathlib.Path(tempfile.mkdtemp(prefix="cnnscope-bench-"))
build = Build(options.build, folder)
image = sorted((options.data / "chest-xray/PNEUMONIA").glob("*.png"))[0]
checkpoint = options.data / "best_model.pth"
model = build.convert(checkpoint, "best")
memory = {}


def process(name, arguments):
    def once():
        shutil.rmtree(folder / "out", ignore_errors=True)
        begin = time.perf_counter()
        child = subprocess.Popen([str(a) for a in arguments], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        took = time.perf_counter() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
        assert child.returncode == 0, f"{name} ended with {child.returncode}"
        memory[name] = max(memory.get(name, 0), usage.ru_maxrss)
        return took
    return once


helper = pathlib.Path(__file__).with_name("explain_torch.py")
for threads in (2, 1):
    memory.clear()
    times = rounds.in_turn({
        "cnnscope": process("cnnscope", [build.program, "explain", model, image, "-o", folder / "out", "--threads", threads, "--quiet"]),
        "PyTorch": process("PyTorch", [sys.executable, helper, checkpoint, image, folder / "figure.png", threads])}, options.rounds)
    common = {"table": "explain", "work": "explain, cold process", "threads": threads, "batch": 1, "rounds": options.rounds}
    rounds.report(times, ["cnnscope"], common)
    rounds.say(**common, peak_memory_mb={name: round(kb / 1000, 1) for name, kb in memory.items()})
