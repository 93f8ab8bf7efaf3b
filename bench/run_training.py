#!/usr/bin/env python3
"""Training: forward in training mode, cross-entropy, and the gradients of all parameters; ResNet-50 at 224x224, float32, best_model.pth,
a batch of eight X-rays, cnnscope and PyTorch in turn. Logits are compared before anything is timed.

    make bench-training PYTHON=... DATA=../shared/data [ROUNDS=12]
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

BATCH = 8
build = Build(options.build, folder)
model_path = build.convert(options.data / "best_model.pth", "best")
values, x = state_dict(model_path), peers.xrays(options.data, BATCH)
labels = torch.arange(BATCH) % 2
flops, zeros = peers.work_and_zeros(peers.torchvision_network("resnet50", values), x)


def peer(layout, dtype=torch.float32):
    """(logits, function that runs once)"""
    model = peers.torchvision_network("resnet50", values).to(memory_format=layout, dtype=dtype).train().requires_grad_(True)
    images = x.to(memory_format=layout, dtype=dtype)

    def step():
        model.zero_grad(set_to_none=True)
        logits = model(images)
        torch.nn.functional.cross_entropy(logits, labels).backward()
        return logits.detach().numpy()
    return step(), step


exact, _ = peer(torch.contiguous_format, torch.float64)
for threads in (2, 1):
    torch.set_num_threads(threads)
    made = {"PyTorch": peer(torch.contiguous_format), "PyTorch channels-last": peer(torch.channels_last)}
    ours = {"cnnscope": build.serve(model_path, x.numpy(), threads, "training"),
            "cnnscope, forward alone": build.serve(model_path, x.numpy(), threads)}
    errors = rounds.compare_outputs({"cnnscope": ours["cnnscope"].output, **{n: out for n, (out, _) in made.items()}}, exact)
    times = rounds.in_turn({**ours, **{n: rounds.timed(run) for n, (_, run) in made.items()}}, options.rounds)
    common = {"table": "training", "work": "training", "threads": threads, "batch": BATCH, "rounds": options.rounds, "zeros": round(zeros, 3)}
    rounds.report(times, list(ours), common, 3 * flops, None, errors)
    low, median, high = rounds.quartiles(np.array(times["cnnscope"]) / np.array(times["cnnscope, forward alone"]))
    rounds.say(ratio="cnnscope / its own forward pass", **common, median=median, quartiles=[low, high])
    for process in ours.values():
        process.close()
