#!/usr/bin/env python3
"""Other networks, forward, batch 1: ResNet-18, -101 and ResNeXt-50 with seeded random weights on an X-ray at 224x224, and the trained
CIFAR ResNet-20 on a CIFAR-10 image; cnnscope and its peers in turn.

    make bench-networks PYTHON=... DATA=../shared/data [ROUNDS=12]
"""
import pathlib
import tempfile

import rounds
from ours import Build, state_dict

options = rounds.arguments(__doc__).parse_args()
folder = pathlib.Path(tempfile.mkdtemp(prefix="cnnscope-bench-"))

import torch

import peers

build = Build(options.build, folder)


def networks():
    for arch in ("resnet18", "resnet101", "resnext50_32x4d"):
        path = build.init(arch)
        yield arch, path, peers.torchvision_network(arch, state_dict(path)), peers.xrays(options.data, 1)
    checkpoint = options.data / "cifar-resnets/resnet20-12fca82f.th"
    yield "resnet20 (CIFAR, trained)", build.convert(checkpoint, "cifar"), peers.cifar_network(checkpoint), peers.cifar_images(options.data, 1)


for name, path, model, x in networks():
    flops, zeros = peers.work_and_zeros(model, x)
    with torch.no_grad():
        want = model.double()(x.double()).numpy()
    model.float()
    for threads in (2, 1):
        ours = build.serve(path, x.numpy(), threads)
        made = peers.forward_peers(model, x, threads, folder)
        errors = rounds.compare_outputs({"cnnscope": ours.output, **{n: out for n, (out, _) in made.items()}}, want)
        times = rounds.in_turn({"cnnscope": ours, **{n: rounds.timed(run) for n, (_, run) in made.items()}}, options.rounds)
        rounds.report(times, ["cnnscope"], {"table": "networks", "network": name, "work": "forward", "threads": threads, "batch": 1,
                                            "rounds": options.rounds, "zeros": round(zeros, 3)}, flops, None, errors)
        ours.close()
