#!/usr/bin/env python3
"""cnnscope and its peers in turn, A B C A B C, on the same trained weights and the same real images.

    make bench && python3 bench/compare.py DATA [--threads 2] [--batch 1] [--rounds 20] [--gradient] >> results.jsonl

Needs torch, torchvision, onnx, onnxscript, onnxruntime, openvino; ncnn and pnnx if they are there. DATA has best_model.pth and
chest-xray/. Outputs are compared before anything is timed. Every engine gets the same threads. Prints a JSON line an
engine, and one with the ratio of each round: ours divided by the fastest peer of that round. Speed depends on the share
of zeros among the inputs of convolutions, so that stands beside it.
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
parser.add_argument("--batch", type=int, default=1)
parser.add_argument("--rounds", type=int, default=20)
parser.add_argument("--gradient", action="store_true")
parser.add_argument("--program", default="build/cnnscope")
parser.add_argument("--bench", default="build/bench_cnnscope")
parser.add_argument("--skip", default="", help="peers to leave out: ort,openvino,ncnn,torch")
options = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(options.threads)

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision import transforms

torch.set_num_threads(options.threads)
folder = pathlib.Path(tempfile.mkdtemp(prefix="cnnscope-bench-"))


def load():
    model = torchvision.models.resnet50(num_classes=2)
    model.load_state_dict(torch.load(options.data / "best_model.pth", map_location="cpu"))
    steps = transforms.Compose([transforms.Resize((224, 224)), transforms.ToTensor(),
                                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    paths = sorted((options.data / "chest-xray" / "PNEUMONIA").glob("*.png"))[: options.batch]
    return model.eval(), torch.stack([steps(Image.open(p).convert("RGB")) for p in paths])


def zero_share(model, x):
    """Zeros among the inputs of convolutions, weighted by the work they are multiplied in."""
    zeros = work = 0.0

    def hook(module, inputs, output):
        nonlocal zeros, work
        flops = output.numel() * module.weight[0].numel()
        zeros, work = zeros + float((inputs[0] == 0).float().mean()) * flops, work + flops

    hooks = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, torch.nn.Conv2d)]
    with torch.no_grad():
        model(x)
    for h in hooks:
        h.remove()
    return zeros / work


class Ours:
    def __init__(self, x):
        subprocess.run([options.program, "convert", options.data / "best_model.pth", "-o", folder / "m", "--quiet"], check=True)
        np.save(folder / "x.npy", x.numpy())
        arguments = [options.bench, folder / "m.json", folder / "x.npy", "--threads", str(options.threads), "--serve"]
        self.process = subprocess.Popen(arguments + (["--gradient"] if options.gradient else []), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.output = np.array([float(v) for v in self.process.stdout.readline().split()]).reshape(options.batch, -1)

    def __call__(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


def timed(run):
    def once():
        begin = time.perf_counter()
        run()
        return time.perf_counter() - begin
    return once


def torch_peer(model, x, channels_last):
    if channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)

    def forward():
        with torch.inference_mode():
            return model(x).numpy()

    def gradient():
        leaf = x.clone().requires_grad_(True)
        return torch.autograd.grad(model(leaf)[:, 0].sum(), leaf)[0]

    for p in model.parameters():
        p.requires_grad_(False)
    return forward(), timed(gradient if options.gradient else forward)


def onnx_file(model, x):
    torch.onnx.export(model, (x,), folder / "m.onnx", dynamo=False, input_names=["x"], output_names=["y"])
    return str(folder / "m.onnx")


def ort_peer(path, x):
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = options.threads
    session = ort.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
    run = lambda: session.run(None, {"x": x.numpy()})[0]
    return run(), timed(run)


def openvino_peer(path, x):
    import openvino as ov

    compiled = ov.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": options.threads, "INFERENCE_PRECISION_HINT": "f32",
                                                     "PERFORMANCE_HINT": "LATENCY"})
    request = compiled.create_infer_request()
    run = lambda: request.infer({0: x.numpy()})[0]
    return np.array(run()), timed(run)


def ncnn_peer(model, x, winograd):
    import ncnn
    import pnnx

    pnnx.export(model, str(folder / "n.pt"), (x,), fp16=False)
    net = ncnn.Net()
    net.opt.num_threads, net.opt.use_winograd_convolution = options.threads, winograd
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = net.opt.use_bf16_storage = False
    net.load_param(str(folder / "n.ncnn.param"))
    net.load_model(str(folder / "n.ncnn.bin"))
    mat = ncnn.Mat(x[0].numpy()).clone()

    def run():
        with net.create_extractor() as e:
            e.input("in0", mat)
            return np.array(e.extract("out0")[1]).reshape(1, -1).copy()
    return run(), timed(run)


def peers(model, x):
    skip = options.skip.split(",")
    makers = {} if "torch" in skip else {"torch": lambda: torch_peer(model, x, False), "torch channels-last": lambda: torch_peer(model, x, True)}
    if not options.gradient:
        path = onnx_file(model, x)
        makers.update({} if "ort" in skip else {"onnxruntime": lambda: ort_peer(path, x)})
        makers.update({} if "openvino" in skip else {"openvino": lambda: openvino_peer(path, x)})
        if options.batch == 1 and "ncnn" not in skip:
            makers.update({"ncnn": lambda: ncnn_peer(model, x, True), "ncnn no winograd": lambda: ncnn_peer(model, x, False)})
    made = {}
    for name, make in makers.items():
        try:
            made[name] = make()
        except ImportError as missing:
            print(f"left out: {name}: {missing}", file=sys.stderr)
    return made


def main():
    model, x = load()
    share = zero_share(model, x)
    with torch.no_grad():
        want = model.double()(x.double()).numpy()
    model.float()
    ours = Ours(x)
    made = peers(model, x)
    for name, output in [("cnnscope", ours.output)] + [(n, o) for n, (o, _) in made.items()]:
        error = np.abs(output - want).max() / np.abs(want).max()
        assert error < 1e-4, f"{name}: {error}"
        print(f"{name}: largest error against float64 {error:.2g} of the largest logit", file=sys.stderr)
    runs = {"cnnscope": ours, **{n: r for n, (_, r) in made.items()}}
    for run in runs.values():
        run()
    times = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, run in runs.items():
            times[name].append(run())
    fastest = [min(times[n][i] for n in made) for i in range(options.rounds)]
    ratios = sorted(o / f for o, f in zip(times["cnnscope"], fastest))
    common = {"work": "forward + input gradient" if options.gradient else "forward", "threads": options.threads, "batch": options.batch,
              "rounds": options.rounds, "zeros": round(share, 3)}
    for name, t in times.items():
        print(json.dumps({"engine": name, **common, "best_ms": round(1e3 * min(t), 2), "median_ms": round(1e3 * float(np.median(t)), 2)}))
    print(json.dumps({"ratio": "cnnscope / fastest peer of the round", **common, "lower_quartile": round(float(np.quantile(ratios, .25)), 3),
                      "median": round(float(np.median(ratios)), 3), "upper_quartile": round(float(np.quantile(ratios, .75)), 3)}))


main()
