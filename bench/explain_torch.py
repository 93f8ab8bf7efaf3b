#!/usr/bin/env python3
"""What `cnnscope explain` does, as a PyTorch user writes it: explain_torch.py CHECKPOINT IMAGE FIGURE.png [THREADS]"""
import sys

import matplotlib
import torch
import torchvision
from PIL import Image

matplotlib.use("Agg")
from matplotlib import pyplot

checkpoint, image_path, figure_path = sys.argv[1:4]
if len(sys.argv) > 4:
    torch.set_num_threads(int(sys.argv[4]))

model = torchvision.models.resnet50(num_classes=2)
model.load_state_dict(torch.load(checkpoint, map_location="cpu", weights_only=True))
model.eval().requires_grad_(False)

image = Image.open(image_path).convert("RGB").resize((224, 224), Image.BILINEAR)
x = torchvision.transforms.functional.to_tensor(image)
x = torchvision.transforms.functional.normalize(x, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])[None]

kept = {}
model.layer4.register_forward_hook(lambda module, inputs, output: kept.update(map=output.requires_grad_(True)))
logits = model(x)
k = int(logits.argmax())
gradient = torch.autograd.grad(logits[0, k], kept["map"])[0]  # from the logits to layer4 and no further
cam = torch.relu((gradient.mean((2, 3), keepdim=True) * kept["map"]).sum(1, keepdim=True)).detach()
heat = torch.nn.functional.interpolate(cam, (224, 224), mode="bilinear")[0, 0]
heat = (heat - heat.min()) / (heat.max() - heat.min() + 1e-8)

figure, axes = pyplot.subplots(1, 3, figsize=(12, 4.4))
axes[0].imshow(image)
axes[1].imshow(heat, cmap="jet")
axes[2].imshow(image)
axes[2].imshow(heat, cmap="jet", alpha=0.4)
for axis, title in zip(axes, ("Original", f"Grad-CAM at layer4, class {k}", f"{torch.softmax(logits, 1)[0, k]:.1%}")):
    axis.set_title(title)
    axis.axis("off")
figure.savefig(figure_path)
