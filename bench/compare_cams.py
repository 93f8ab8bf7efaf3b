#!/usr/bin/env python3
"""Score-CAM and integrated gradients beside pytorch-grad-cam and captum, in turn, on the same trained weights and X-ray.

    make all && python3 bench/compare_cams.py DATA [--threads 2] [--channels 2048] [--steps 50] [--rounds 1] [--batches] >> results.jsonl

Needs torch, torchvision, grad-cam, captum. DATA has best_model.pth and chest-xray/. Ours is the whole process of
`cnnscope explain` (start, weights, image, files and all); the peers are timed within a warm process, from the input tensor to the
map. Score-CAM is pytorch-grad-cam's variant on both sides, at layer4, with batches of 32 in PyTorch; integrated gradients
captum's. Maps are compared before anything is said. --channels fewer than 2048 takes those of largest standard deviation on both
sides. --batches tries ours with several batch sizes instead. Prints JSON lines: seconds, peak memory of ours, the ratio.
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

parser = argparse.ArgumentParser()
parser.add_argument("data", type=pathlib.Path)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--channels", type=int, default=2048)
parser.add_argument("--steps", type=int, default=50)
parser.add_argument("--rounds", type=int, default=1)
parser.add_argument("--program", default="build/cnnscope")
parser.add_argument("--only", default="scorecam,integrated-gradients")
parser.add_argument("--batches", action="store_true")
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)

# A process's peak memory counts that of the process it was forked from, so a small one starts ours.
SPAWNER = """
import json, os, subprocess, sys, time
for line in sys.stdin:
    begin = time.perf_counter()
    child = subprocess.Popen(json.loads(line))
    _, status, usage = os.wait4(child.pid, 0)
    print(json.dumps([time.perf_counter() - begin, status, usage.ru_maxrss * 1024, usage.ru_utime]), flush=True)
"""
spawner = subprocess.Popen([sys.executable, "-c", SPAWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

import numpy as np

folder = pathlib.Path(tempfile.mkdtemp(prefix="cnnscope-bench-"))
image = sorted((options.data / "chest-xray" / "PNEUMONIA").glob("*.png"))[0]


def ours(method, *arguments):
    """(seconds, peak bytes, map, processor seconds) of one process."""
    out = folder / f"out-{time.time_ns()}"
    command = [options.program, "explain", folder / "m.json", folder / "x.npy", "--method", method, "--class", "1", "--quiet", "--signed",
               "--threads", str(options.threads), *map(str, arguments), "-o", out]
    spawner.stdin.write(json.dumps([str(c) for c in command]) + "\n")
    spawner.stdin.flush()
    seconds, status, peak, processor = json.loads(spawner.stdout.readline())
    assert status == 0, command
    return seconds, peak, np.load(next((out / "x").glob("*-signed.npy"))), processor


def say(**what):
    print(json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in what.items()}), flush=True)


def load():
    import torch
    import torchvision
    from PIL import Image
    from torchvision import transforms

    torch.set_num_threads(options.threads)
    model = torchvision.models.resnet50(num_classes=2)
    model.load_state_dict(torch.load(options.data / "best_model.pth", map_location="cpu"))
    steps = transforms.Compose([transforms.Resize((224, 224)), transforms.ToTensor(),
                                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    return model.eval(), steps(Image.open(image).convert("RGB"))[None]


def score_peer(model, x):
    import pytorch_grad_cam
    from pytorch_grad_cam import base_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    base_cam.scale_cam_image = lambda cam, target_size=None: cam
    kept = {}
    hook = model.layer4.register_forward_hook(lambda m, i, o: kept.__setitem__("a", o.detach()))
    model(x)
    hook.remove()
    deviation = kept["a"][0].flatten(1).double().numpy().var(axis=1)
    keep = sorted(np.argsort(-deviation, kind="stable")[: options.channels])
    transform = None if options.channels >= deviation.size else (lambda t: t[:, keep])
    cam = pytorch_grad_cam.ScoreCAM(model, [model.layer4], reshape_transform=transform)
    cam.batch_size = 32
    return lambda: cam(x, targets=[ClassifierOutputTarget(1)])[0]


def integrated_peer(model, x):
    from captum.attr import IntegratedGradients

    def run():
        return IntegratedGradients(model).attribute(x, target=1, n_steps=options.steps, internal_batch_size=8).sum(1)[0].detach().numpy()
    return run


def try_batches():
    """Ours alone: how long and how large for each batch."""
    channels = ["--max-channels", min(options.channels, 96)]
    for method, extra in (("scorecam", channels), ("integrated-gradients", ["--steps", 24])):
        if method in options.only:
            for batch in (1, 2, 4, 8, 12, 16, 24):
                runs = [ours(method, "--batch", batch, *extra) for _ in range(options.rounds)]
                say(method=method, batch=batch, best_seconds=min(r[0] for r in runs), best_processor_seconds=min(r[3] for r in runs),
                    peak_mb=max(r[1] for r in runs) / 1e6)


def main():
    model, x = load()
    np.save(folder / "x.npy", x.numpy())
    subprocess.run([options.program, "convert", options.data / "best_model.pth", "-o", folder / "m", "--quiet"], check=True)
    if options.batches:
        return try_batches()
    cases = {"scorecam": (["--variant", "pgc", "--max-channels", options.channels], score_peer, "pytorch-grad-cam", True),
             "integrated-gradients": (["--steps", options.steps], integrated_peer, "captum", False)}
    for method, (arguments, maker, name, rectified) in cases.items():
        if method not in options.only:
            continue
        peer = maker(model, x)
        rounds = []
        for _ in range(options.rounds):
            seconds, peak, got, _ = ours(method, *arguments)
            begin = time.perf_counter()
            want = peer()
            theirs = time.perf_counter() - begin
            got = np.maximum(got, 0) if rectified else got
            rounds.append((seconds, theirs, peak, float(np.abs(got - want).max() / np.abs(want).max())))
        ratios = sorted(r[0] / r[1] for r in rounds)
        say(method=method, peer=name, threads=options.threads, channels=options.channels if method == "scorecam" else None,
            steps=None if method == "scorecam" else options.steps, rounds=len(rounds), ours_seconds=min(r[0] for r in rounds),
            peer_seconds=min(r[1] for r in rounds), ratio_median=float(np.median(ratios)), ratio_worst=ratios[-1],
            peak_mb=max(r[2] for r in rounds) / 1e6, difference=max(r[3] for r in rounds))


main()
