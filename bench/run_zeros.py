#!/usr/bin/env python3
"""Skipping zeros against multiplying them: every convolution of ResNet-50 behind a ReLU, alone, on random values of which half are
zero, `--kernel skip`, `dense` and `auto` in turn.

    make bench-zeros PYTHON=... DATA=../shared/data

Each is a little network of its own: a 1x1 convolution with random weights makes random signs, a ReLU makes half of them zeros,
then comes the convolution that is timed. Sums are over all 52 convolutions behind conv1 (best of the rounds).
"""
import binascii
import hashlib
import json
import pathlib
import struct
import tempfile
import zlib

import numpy as np

import rounds
from ours import Build

options = rounds.arguments(__doc__).parse_args()
build = Build(options.build, tempfile.mkdtemp(prefix="cnnscope-bench-"))
random = np.random.default_rng(1)


def shapes():
    """(C, H, W, K, kernel, stride) of each convolution behind the first, with how often it occurs."""
    manifest = json.loads(build.init("resnet50").read_text())
    sizes, count = {"input": (3, 224)}, {}
    for node in manifest["graph"][1:]:
        channels, side = sizes[node["inputs"][0]]
        if node["op"] in ("conv2d", "max_pool2d"):
            kernel, stride, padding = node["kernel_size"][0], node["stride"][0], node["padding"][0]
            if node["op"] == "conv2d":
                key = (channels, side, side, node["out_channels"], kernel, stride)
                count[key] = count.get(key, 0) + (node["name"] != "conv1")
            channels = node.get("out_channels", channels)
            side = (side + 2 * padding - kernel) // stride + 1
        sizes[node["name"]] = (channels, side)
    return {key: n for key, n in count.items() if n}


def conv(name, source, weight, stride, padding):
    return {"name": name, "op": "conv2d", "module": name, "inputs": [source], "weight": f"{name}.weight", "bias": None,
            "out_channels": weight.shape[0], "kernel_size": list(weight.shape[2:]), "stride": [stride] * 2, "padding": [padding] * 2,
            "dilation": [1, 1], "groups": 1}


def model(channels, height, width, outputs, kernel, stride):
    """NAME.json + NAME.bin of docs/formats.md."""
    weights = {"signs.weight": random.standard_normal((channels, 3, 1, 1)),
               "timed.weight": random.standard_normal((outputs, channels, kernel, kernel)) / (channels * kernel * kernel) ** 0.5}
    body, tensors = b"", []
    for name, values in weights.items():
        data = values.astype("<f4").tobytes()
        tensors.append({"name": name, "dtype": "f32", "shape": list(values.shape), "offset": 64 + len(body), "nbytes": len(data),
                        "crc32": f"{zlib.crc32(data):08x}"})
        body += data + bytes(-len(data) % 64)
    identity = hashlib.sha256(body).digest()[:16]
    binary = b"CNNSCOPE" + struct.pack("<IIQ", 0x01020304, 64, 64 + len(body)) + identity + bytes(24) + body
    graph = [{"name": "input", "op": "input", "module": ""}, conv("signs", "input", weights["signs.weight"], 1, 0),
             {"name": "relu", "op": "relu", "module": "relu", "inputs": ["signs"]},
             conv("timed", "relu", weights["timed.weight"], stride, kernel // 2),
             {"name": "avgpool", "op": "adaptive_avg_pool2d", "module": "avgpool", "inputs": ["timed"]},
             {"name": "flatten", "op": "flatten", "module": "", "inputs": ["avgpool"]}]
    manifest = {"format": "cnnscope", "version": [1, 0], "requires": [],
                "bin": {"file": "zeros.bin", "size": len(binary), "sha256": hashlib.sha256(binary).hexdigest(),
                        "uuid": binascii.hexlify(identity).decode(), "align": 64, "endian": "little"},
                "model": {"arch": "one convolution", "num_classes": outputs, "classes": None},
                "input": {"channels": 3, "height": height, "width": width, "color": "RGB", "resize": "pillow-bilinear", "divisor": 255,
                          "mean": [0.5] * 3, "std": [0.5] * 3, "assumed": []},
                "graph": graph, "output": "flatten", "tensors": tensors, "source": {"format": "bench"},
                "converter": {"name": "cnnscope", "version": "0.1.0"}, "golden": None}
    path = pathlib.Path(build.folder) / "zeros.json"
    path.with_suffix(".bin").write_bytes(binary)
    path.write_text(json.dumps(manifest))
    return path


for threads in (2, 1):
    total, gflop = {kernel: 0.0 for kernel in ("dense", "skip", "auto")}, 0.0
    for shape, count in shapes().items():
        path, best = model(*shape), {}
        x = random.standard_normal((1, 3, shape[1], shape[2]))
        for _ in range(max(2, options.rounds // 3)):
            for kernel in total:
                steps = build.lines(path, x, threads, 5, kernel, "--layers")[1:]
                timed = next(step for step in steps if step["step"] == "timed")
                best[kernel] = min(best.get(kernel, 1e9), timed["milliseconds"])
        for kernel in total:
            total[kernel] += count * best[kernel]
        gflop += count * timed["gflop"]
        rounds.say(table="zeros", threads=threads, shape=shape, count=count, **{k: round(v, 4) for k, v in best.items()})
    rounds.say(table="zeros", threads=threads, shape="all", zeros=0.5, gflop=round(gflop, 3), **{k: round(v, 3) for k, v in total.items()},
               skip_of_dense=round(total["skip"] / total["dense"], 3), auto_of_dense=round(total["auto"] / total["dense"], 3))
