"""What the comparisons with PyTorch share. Needs torch, torchvision, pillow, numpy, opencv-python-headless.

Run from the repository's root after `make all`; the folder of real data is the first argument of each script.
"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import torch
import torchvision
from PIL import Image
from torchvision import transforms

PROGRAM = "build/cnnscope"
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def cnnscope(*arguments, check=True):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    if check and done.returncode != 0:
        sys.exit(f"{PROGRAM} {' '.join(map(str, arguments))}: exit {done.returncode}\n{done.stderr}")
    return done


def work_folder():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="cnnscope-oracle-"))
    import atexit

    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def converted(data, folder):
    """best_model.pth as cnnscope has it, and as PyTorch has it (float64)."""
    cnnscope("convert", data / "best_model.pth", "-o", folder / "best_model", "--classes", "NORMAL,PNEUMONIA")
    model = torchvision.models.resnet50(num_classes=2)
    model.load_state_dict(torch.load(data / "best_model.pth", map_location="cpu"))
    return folder / "best_model.json", model.eval()


def preprocess(path, size=224):
    """The usual pipeline, in float32, as users write it."""
    steps = [transforms.Resize((size, size)), transforms.ToTensor(), transforms.Normalize(MEAN, STD)]
    return transforms.Compose(steps)(Image.open(path).convert("RGB")).unsqueeze(0)


def xrays(data, count):
    """`count` X-rays, half of each class."""
    return [p for c in ("NORMAL", "PNEUMONIA") for p in sorted((data / "chest-xray" / c).glob("*.png"))[: count // 2]]


def predictions(model_json, images, *options):
    lines = cnnscope("predict", model_json, *images, "--json", *options).stdout.splitlines()
    return [json.loads(line) for line in lines]


def largest(a):
    """Of the absolute values; infinity where there is NaN, which Python's max() would lose."""
    return float(np.nan_to_num(np.abs(np.asarray(a)), nan=np.inf).max())
