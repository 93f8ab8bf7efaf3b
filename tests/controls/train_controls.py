#!/usr/bin/env python3
"""Trains the control networks: small ResNets that learned to read a plant, or had none to read.

    train_controls.py OUT --build build [--only PATTERN] [--seeds N]

Each network is a torchvision-like ResNet of two stages with one block each (width 12), for 1 x 96 x 96: its maps have 12 x 12 cells. (With a
third stage they have 6 x 6, each of which sees most of the image, and a corner cannot be told from a side.) Each is
trained on drawn images of seeds that no other network or test set has. OUT/<name>.pth is its state_dict.
diagnose_controls.py tests and diagnoses them.
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

from control_plan import MEAN, STD, budget, number_of, plan

WIDTH, STAGES = 12, 2


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


def images(build, count, size, first_seed, plant, prevalence, classes):
    """Draws a set; (N, 1, H, W) normalised and labels (1: opacity)."""
    folder = tempfile.mkdtemp()
    subprocess.run([f"{build}/make_radiographs", f"{folder}/set", str(count), str(first_seed), plant, str(prevalence),
                    classes, str(size)], check=True)
    rows = list(csv.DictReader(open(f"{folder}/set/labels.csv")))
    x = np.stack([np.asarray(Image.open(f"{folder}/set/{r['file']}").convert("L")) for r in rows])
    shutil.rmtree(folder)
    x = (torch.from_numpy(x).float()[:, None] / 255 - MEAN) / STD
    return x, torch.tensor([int(r["class"] == "OPACITY") for r in rows])


def train(x, y, seed, epochs):
    torch.manual_seed(seed)
    net = Network().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=1e-2)
    batches = (len(x) + 31) // 32
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 8e-3, total_steps=epochs * batches)
    for _ in range(epochs):
        net.train()
        right = 0
        for part in torch.randperm(len(x)).split(32):
            optimiser.zero_grad()
            logits = net(x[part])
            F.cross_entropy(logits, y[part], label_smoothing=0.02).backward()
            optimiser.step()
            schedule.step()
            right += int((logits.argmax(1) == y[part]).sum())
    return net, right / len(x)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--build", default="build")
    parser.add_argument("--only", default=".*")
    parser.add_argument("--seeds", type=int, default=15)
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
        count, epochs, size = budget(name)
        x, y = images(args.build, count, size, first, plant, prevalence, classes)
        net, right = train(x, y, number_of(name), epochs)
        torch.save(net.state_dict(), path)
        print(f"{name}: {right:.3f} right in the last epoch, {time.time() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    main()
