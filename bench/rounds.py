"""rounds.py - runs engines in turn, A B C A B C, and prints what came out as JSON lines."""
import argparse
import json
import pathlib
import time

import numpy as np

QUIET = 0.02  # seconds between two engines: threads of the one before spin on for a few milliseconds


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--build", default="build")
    parser.add_argument("--rounds", type=int, default=12)
    return parser


def say(**fields):
    print(json.dumps(fields), flush=True)


def timed(run):
    def once():
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin
    return once


def compare_outputs(outputs, want, bound=1e-4):
    """Fails unless every engine computed the same network on the same images; returns the errors."""
    errors = {}
    for name, output in outputs.items():
        errors[name] = float(np.abs(np.asarray(output, dtype=np.float64).reshape(want.shape) - want).max() / np.abs(want).max())
        assert errors[name] < bound, f"{name}: {errors[name]} of the largest output away from float64"
    return errors


def in_turn(runs, rounds):
    """runs: name -> function that returns its seconds. A call that is shorter than 0.1 s is made twice and the second counts, so
    that no engine is timed waking up from the others' use of the caches."""
    for run in runs.values():
        run()
    times = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            time.sleep(QUIET)
            took = run()
            times[name].append(run() if took < 0.1 else took)
    return times


def quartiles(values):
    return [round(float(q), 4) for q in np.quantile(values, [0.25, 0.5, 0.75])]


def report(times, ours, common, flops=None, peak=None, errors=None):
    """A line an engine, then a line with ours divided by the fastest peer of each round. `ours` names ours, the first being the
    one that the ratio is about."""
    for name, t in times.items():
        low, median, high = np.quantile(t, [0.25, 0.5, 0.75])
        line = {"engine": name, **common, "best_ms": round(1e3 * min(t), 3), "median_ms": round(1e3 * float(median), 3),
                "quartiles_ms": [round(1e3 * float(low), 3), round(1e3 * float(high), 3)]}
        if errors and name in errors:
            line["error"] = float(f"{errors[name]:.3g}")
        if flops:
            line["gflops"] = round(flops / float(median) * 1e-9, 1)
        if flops and peak:
            line["percent_of_peak"] = round(100 * flops / float(median) * 1e-9 / peak, 1)
            line["percent_of_peak_best"] = round(100 * flops / min(t) * 1e-9 / peak, 1)
        say(**line)
    peers = [name for name in times if name not in ours]
    if peers:
        fastest = np.min([times[n] for n in peers], axis=0)
        low, median, high = quartiles(np.array(times[ours[0]]) / fastest)
        medians = {n: float(np.median(times[n])) for n in peers}
        say(ratio=f"{ours[0]} / fastest peer of the round", **common, median=median, quartiles=[low, high],
            fastest=min(medians, key=medians.get), peak_gflops=peak)
