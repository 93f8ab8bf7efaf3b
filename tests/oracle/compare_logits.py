#!/usr/bin/env python3
"""Logits of 100 X-rays (best_model.pth) and of 50 CIFAR images (ResNet-20, -32) against float64.

    python3 tests/oracle/compare_logits.py DATA
"""
import csv

from common import *


def xray_logits(data, folder):
    model_json, model = converted(data, folder)
    images = xrays(data, 100)
    with torch.no_grad():
        want = torch.cat([model.double()(preprocess(p).double()) for p in images]).numpy()
    for options in (["--dtype", "f32"], ["--dtype", "f64"], ["--dtype", "f32", "--engine", "gemm"],
                    ["--dtype", "f64", "--engine", "gemm"]):
        got = np.array([p["logits"] for p in predictions(model_json, images, *options)])
        print(f"best_model.pth, {len(images)} X-rays, {' '.join(options)}: largest error {largest(got - want):.3g}, "
              f"of the largest logit {largest(want):.4g}: {largest(got - want) / largest(want):.3g}; "
              f"same class {int((got.argmax(1) == want.argmax(1)).sum())}/{len(images)}")


def cifar_logits(data, folder, name):
    sample = data / "cifar10-sample"
    cnnscope("convert", data / "cifar-resnets" / f"{name}.th", "-o", folder / name)
    with open(sample / "labels.csv") as f:
        rows = list(csv.DictReader(f))
    images = [sample / r["file"] for r in rows]
    labels = [int(r["label"]) for r in rows]
    want = np.loadtxt(sample / f"{name}_logits_f64.csv", delimiter=",")
    # The given logits are of inputs computed in float64; a picture's input is float32, as torchvision's.
    exact = []
    for p in images:
        x = np.asarray(Image.open(p).convert("RGB"), dtype="f8") / 255
        exact.append(folder / (p.stem + ".npy"))
        np.save(exact[-1], ((x - MEAN) / STD).transpose(2, 0, 1)[None])
    for dtype, inputs, what in (("f32", images, "pictures"), ("f64", images, "pictures"), ("f64", exact, "float64 inputs")):
        got = np.array([p["logits"] for p in predictions(folder / f"{name}.json", inputs, "--dtype", dtype)])
        print(f"{name}, {len(images)} CIFAR {what}, {dtype}: largest error {largest(got - want):.3g}, of the largest logit "
              f"{largest(want):.4g}: {largest(got - want) / largest(want):.3g}; "
              f"right answers {int((got.argmax(1) == np.array(labels)).sum())}/{len(images)}, "
              f"the given logits {int((want.argmax(1) == np.array(labels)).sum())}")


data, folder = pathlib.Path(sys.argv[1]), work_folder()
xray_logits(data, folder)
for name in ("resnet20-12fca82f", "resnet32-d509ac18"):
    cifar_logits(data, folder, name)
