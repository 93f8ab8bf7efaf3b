#!/usr/bin/env python3
"""The logits' rms error against float64, over 10 X-rays and over 10 inputs of noise (uniform in [-2, 2)), best_model.pth at 224x224.

    make bench-accuracy PYTHON=... DATA=../shared/data

PyTorch's float64 is the truth; cnnscope's float64 logits stand beside it. Nothing here depends on how busy the machine is.
"""
import pathlib
import tempfile

import numpy as np

import rounds
from ours import Build, state_dict

options = rounds.arguments(__doc__).parse_args()
folder = pathlib.Path(tempfile.mkdtemp(prefix="cnnscope-bench-"))

import torch

import peers

COUNT = 10
build = Build(options.build, folder)
inputs = {"X-rays": lambda: peers.xrays(options.data, COUNT),
          "noise": lambda: torch.rand((COUNT, 3, 224, 224), generator=torch.Generator().manual_seed(1)) * 4 - 2}
path = build.convert(options.data / "best_model.pth", "best")
seeded = build.init("resnet50")

for network, file in (("best_model.pth", path), ("init --seed 1", seeded)):
    for kind, make in inputs.items():
        model, x = peers.torchvision_network("resnet50", state_dict(file)), make()
        model.tag += f"_{file.stem}_{kind.replace('-', '')}"
        with torch.no_grad():
            want = model.double()(x.double()).numpy()
        model.float()
        ours = build.serve(file, x.numpy(), 2)
        (folder / f"input-{'x'.join(map(str, x.shape))}.npy").unlink()
        outputs = {"cnnscope": ours.output.reshape(want.shape), **{n: out for n, (out, _) in peers.forward_peers(model, x, 2, folder).items()}}
        ours.close()
        error = {n: np.asarray(o, dtype=np.float64) - want for n, o in outputs.items()}
        rms = {n: float(np.sqrt((e ** 2).mean())) for n, e in error.items()}
        common = {"table": "accuracy", "network": network, "inputs": kind, "count": COUNT, "largest_logit": round(float(np.abs(want).max()), 4)}
        for name in outputs:
            rounds.say(engine=name, **common, rms=float(f"{rms[name]:.4g}"), largest=float(f"{np.abs(error[name]).max():.4g}"),
                       ratio_of_cnnscope=round(rms["cnnscope"] / rms[name], 3))
