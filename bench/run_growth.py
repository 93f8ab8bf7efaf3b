#!/usr/bin/env python3
"""How cost grows: time and memory of cnnscope against batch (1 to 64), image size (64 to 1024) and depth (ResNet-18 to -152), two
threads, forward and forward + input gradient, with ONNX Runtime's forward time beside it.

    make bench-growth PYTHON=... DATA=../shared/data

Weights are best_model.pth's (depth: seeded ones), images are X-rays. Best and median of a few rounds.
"""
import pathlib
import tempfile
import time

import rounds
from ours import Build, state_dict

options = rounds.arguments(__doc__).parse_args()
folder = pathlib.Path(tempfile.mkdtemp(prefix="cnnscope-bench-"))

import numpy as np
import onnxruntime
import torch

import peers

THREADS = 2
BATCHES, SIZES = (1, 2, 4, 8, 16, 32, 64), (64, 128, 224, 320, 448, 640, 1024)
DEPTHS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
build = Build(options.build, folder)
best = build.convert(options.data / "best_model.pth", "best")
torch.set_num_threads(THREADS)


def session_of(arch, path):
    """One ONNX file for every batch and size."""
    model = peers.torchvision_network(arch, state_dict(path))
    file = str(folder / f"{path.stem}.onnx")
    axes = {0: "n", 2: "h", 3: "w"}
    torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), file, dynamo=False, input_names=["x"], output_names=["y"],
                      dynamic_axes={"x": axes, "y": {0: "n"}})
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = THREADS
    return onnxruntime.InferenceSession(file, settings, providers=["CPUExecutionProvider"])


def point(axis, value, path, session, x):
    gflop = x.shape[0] * (x.shape[-1] / 224) ** 2 * 8.2
    count = int(max(3, min(options.rounds, 1200 / gflop)))
    common = {"table": "growth", "axis": axis, "value": value, "batch": len(x), "size": x.shape[-1], "threads": THREADS, "rounds": count}
    for work in ("forward", "gradient"):
        if work == "gradient" and len(x) > 16:
            continue
        line = build.lines(path, x, THREADS, count, "auto", "--work", work)[0]
        rounds.say(engine="cnnscope", work=work, **common, best_ms=line["best_ms"], median_ms=line["median_ms"],
                   gflop=line["forward_gflop"], arena_mb=round(line["arena_bytes"] / 1e6, 1), packed_mb=round(line["packed_bytes"] / 1e6, 1))
    took = []
    for _ in range(count + 1):
        begin = time.perf_counter()
        session.run(None, {"x": x})
        took.append(1e3 * (time.perf_counter() - begin))
    rounds.say(engine="ONNX Runtime", work="forward", **common, best_ms=round(min(took[1:]), 2), median_ms=round(float(np.median(took[1:])), 2))


session = session_of("resnet50", best)
images = {size: peers.xrays(options.data, 64 if size == 224 else 1, size).numpy() for size in SIZES}
for batch in BATCHES:
    point("batch", batch, best, session, images[224][:batch])
for size in SIZES:
    point("size", size, best, session, images[size][:1])
for arch in DEPTHS:
    path = build.init(arch)
    point("depth", int(arch.removeprefix("resnet")), path, session_of(arch, path), images[224][:1])
