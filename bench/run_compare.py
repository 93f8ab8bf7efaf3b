#!/usr/bin/env python3
"""The main table: ResNet-50 at 224x224, float32, best_model.pth on X-rays, cnnscope and its peers in turn.

    make bench-compare PYTHON=... DATA=../shared/data [ROUNDS=12]

forward (batch 1 and 8), forward + input gradient, Grad-CAM, each with two threads and with one; cnnscope also with its dense and
its skipping kernels alone. Outputs are compared before anything is timed. JSON lines to stdout.
"""
import pathlib
import platform
import subprocess
import tempfile

import numpy as np

import rounds
from ours import Build

options = rounds.arguments(__doc__).parse_args()
folder = pathlib.Path(tempfile.mkdtemp(prefix="cnnscope-bench-"))

import torch

import peers

build = Build(options.build, folder)
model_path = build.convert(options.data / "best_model.pth", "best")
KERNELS = {"cnnscope": "auto", "cnnscope, dense": "dense", "cnnscope, skip": "skip"}


def describe_machine():
    cpu = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    import importlib.metadata as meta
    versions = {p: meta.version(p) for p in ("torch", "onnxruntime", "openvino", "ncnn", "grad-cam")}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    rounds.say(machine=f"{len(cpu)} x {cpu[0]}", kernel=platform.release(), commit=commit, **versions)


def peak_now(threads):
    peak = build.peak(threads)
    best = max(peak() for _ in range(20))
    peak.close()
    return best


def network(values):
    return peers.torchvision_network("resnet50", values)


def compare(values, batch, threads, work, exact):
    torch.set_num_threads(threads)
    model, x = network(values), peers.xrays(options.data, batch)
    flops, zeros = peers.work_and_zeros(model, x)
    kernels = KERNELS if batch == 1 or work == "forward" else {"cnnscope": "auto"}
    ours = {name: build.serve(model_path, x.numpy(), threads, work, kernel) for name, kernel in kernels.items()}
    made = peers.forward_peers(model, x, threads, folder) if work == "forward" else peers.torch_peers(model, x, work)
    errors = rounds.compare_outputs({**{n: o.output for n, o in ours.items()}, **{n: out for n, (out, _) in made.items()}}, exact[:batch])
    before = peak_now(threads)
    times = rounds.in_turn({**ours, **{n: rounds.timed(run) for n, (_, run) in made.items()}}, options.rounds)
    peak = max(before, peak_now(threads))
    rounds.report(times, list(ours), {"table": "resnet50", "work": work, "threads": threads, "batch": batch, "rounds": options.rounds,
                                      "zeros": round(zeros, 3)}, flops * (2 if work == "gradient" else 1), peak, errors)
    for run in ours.values():
        run.close()


def compare_gradcam(values, threads):
    """Grad-CAM at layer4 of one image: against cnnscope's own forward pass, and against pytorch-grad-cam, in warm processes."""
    torch.set_num_threads(threads)
    model, x = network(values), peers.xrays(options.data, 1)
    ours = {"cnnscope": build.serve(model_path, x.numpy(), threads, "gradcam"),
            "cnnscope, forward alone": build.serve(model_path, x.numpy(), threads)}
    _, run = peers.gradcam_peer(model, x)
    times = rounds.in_turn({**ours, "pytorch-grad-cam": rounds.timed(run)}, options.rounds)
    common = {"table": "resnet50", "work": "gradcam", "threads": threads, "batch": 1, "rounds": options.rounds}
    rounds.report(times, list(ours), common)
    low, median, high = rounds.quartiles(np.array(times["cnnscope"]) / np.array(times["cnnscope, forward alone"]))
    rounds.say(ratio="cnnscope / its own forward pass", **common, median=median, quartiles=[low, high])
    for process in ours.values():
        process.close()


def layers(threads):
    """Best time of each step, by kernel; steps of one shape stand together in report.py."""
    x = peers.xrays(options.data, 1).numpy()
    for kernel in ("auto", "dense"):
        for line in build.lines(model_path, x, threads, 3 * options.rounds, kernel, "--layers"):
            if "step" in line:
                rounds.say(table="layers", kernel=kernel, threads=threads, **line)


def main():
    from ours import state_dict

    describe_machine()
    values = state_dict(model_path)
    with torch.no_grad():
        exact = network(values).double()(peers.xrays(options.data, 8).double()).numpy()
    for threads in (2, 1):
        for batch in (1, 8):
            compare(values, batch, threads, "forward", exact)
        compare(values, 1, threads, "gradient", exact)
        compare_gradcam(values, threads)
        layers(threads)


main()
