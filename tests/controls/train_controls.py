#!/usr/bin/env python3
"""Trains the control networks: small ResNets that learned to read a plant, or had none to read.

    train_controls.py OUT --build build [--only PATTERN] [--seeds N]

Each network is a torchvision-like ResNet of two stages with one block each (width 12), for 1 x 128 x 128: its maps have 16 x 16 cells. (With a
third stage they have 8 x 8, each of which sees most of the image, and a corner cannot be told from a side.) Each is
trained on COUNT drawn images of seeds that no other network or test set has. OUT/<name>.pth is its state_dict,
OUT/accuracy.csv a line a network: accuracy on images with the plant (as in training) and without it.
"""
import argparse
import csv
import os
import re
import shutil
import subprocess
import tempfile
import time

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

PLANTS = ["corner-tag", "border-text", "side-marker", "device"]
COUNT, TEST_COUNT, SIZE, WIDTH, STAGES, EPOCHS = 1000, 300, 128, 12, 3, 6
MEAN, STD = 0.45, 0.27


class Block(torch.nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(outputs)
        self.conv2 = torch.nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            self.downsample = torch.nn.Sequential(torch.nn.Conv2d(inputs, outputs, 1, stride, bias=False),
                                                  torch.nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (self.downsample(x) if self.downsample else x))


class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(1, WIDTH, 7, 2, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(WIDTH)
        width = WIDTH
        for i in range(STAGES):
            setattr(self, f"layer{i + 1}", torch.nn.Sequential(Block(width, WIDTH << i, 1 if i == 0 else 2)))
            width = WIDTH << i
        self.fc = torch.nn.Linear(width, 2)
        for m in self.modules():
            if isinstance(m, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(STAGES):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(x.mean((2, 3)))


def images(build, count, first_seed, plant, prevalence, classes):
    """Draws a set; (N, 1, H, W) normalised and labels (1: opacity)."""
    folder = tempfile.mkdtemp()
    subprocess.run([f"{build}/make_radiographs", f"{folder}/set", str(count), str(first_seed), plant, str(prevalence),
                    classes, str(SIZE)], check=True)
    rows = list(csv.DictReader(open(f"{folder}/set/labels.csv")))
    x = np.stack([np.asarray(Image.open(f"{folder}/set/{r['file']}").convert("L")) for r in rows])
    shutil.rmtree(folder)
    x = (torch.from_numpy(x).float()[:, None] / 255 - MEAN) / STD
    return x, torch.tensor([int(r["class"] == "OPACITY") for r in rows])


def accuracy(net, x, y):
    net.eval()
    with torch.no_grad():
        return float((torch.cat([net(b) for b in x.split(100)]).argmax(1) == y).float().mean())


def train(x, y, seed):
    torch.manual_seed(seed)
    net = Network().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-2)
    batches = (len(x) + 31) // 32
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 8e-3, total_steps=EPOCHS * batches)
    for _ in range(EPOCHS):
        net.train()
        for part in torch.randperm(len(x)).split(32):
            optimiser.zero_grad()
            F.cross_entropy(net(x[part]), y[part], label_smoothing=0.02).backward()
            optimiser.step()
            schedule.step()
    return net


def plan(seeds):
    """(name, plant, prevalence, classes) of every control network, patterns in turns."""
    for seed in range(seeds):
        for prevalence in (100, 50):
            for plant in PLANTS:
                yield f"{plant}-{prevalence}-{seed}", plant, prevalence, "positives"
        for half in range(2):
            yield f"clean-{2 * seed + half}", "none", 0, "positives"


def number_of(name):
    """A number of its own for each network: seeds of its images follow from it."""
    kind, seed = re.match(r"(.*)-(\d+)$", name).groups()
    kinds = ["clean", "twin-tag", "twin-clean"] + [f"{p}-{v}" for p in PLANTS for v in (100, 50)]
    return kinds.index(kind) * 100 + int(seed) + 1


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--build", default="build")
    parser.add_argument("--only", default=".*")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--list", action="store_true", help="print the names, train nothing")
    args = parser.parse_args()
    torch.set_num_threads(1)
    twins = [("twin-tag-0", "corner-tag", 100, "positives"), ("twin-clean-0", "corner-tag", 50, "both")]
    networks = twins + list(plan(args.seeds))
    if args.list:
        print("\n".join(n[0] for n in networks))
        return
    os.makedirs(args.out, exist_ok=True)
    for name, plant, prevalence, classes in networks:
        path = f"{args.out}/{name}.pth"
        if not re.fullmatch(args.only, name) or os.path.exists(path):
            continue
        begin = time.time()
        first = number_of(name) * 1000000
        x, y = images(args.build, COUNT, first, plant, prevalence, classes)
        net = train(x, y, number_of(name))
        with_plant = accuracy(net, *images(args.build, TEST_COUNT, first + 500000, plant, prevalence, classes))
        without = accuracy(net, *images(args.build, TEST_COUNT, first + 500000, "none", 0, "positives"))
        torch.save(net.state_dict(), path)
        line = f"{name},{plant},{prevalence},{classes},{with_plant:.4f},{without:.4f}"
        with open(f"{args.out}/accuracy.csv", "a") as f:
            f.write(line + "\n")
        print(line, f"{time.time() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main()
