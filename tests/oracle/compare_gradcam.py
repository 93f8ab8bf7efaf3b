#!/usr/bin/env python3
"""Grad-CAM on 20 X-rays against the usual PyTorch code: forward and full backward hooks on the layer.

    python3 tests/oracle/compare_gradcam.py DATA
"""
import cv2

from common import *

LAYERS = ["layer4", "layer3", "layer4[-1]", "layer4.2.conv3"]
DEEP = ["layer2", "layer1", "input"]


def module_of(model, path):
    path = path.replace("[-1]", f".{len(model.layer4) - 1}")
    return dict(model.named_modules())[path]


def torch_gradcam(model, x, layer):
    """Raw map (after the ReLU), class, and the range before it."""
    kept = {}
    if layer == "input":
        x = x.clone().requires_grad_(True)
        logits = model(x)
        k = int(logits.argmax())
        (g,) = torch.autograd.grad(logits[0, k], x)
        a = x.detach()
    else:
        m = module_of(model, layer)
        hooks = [m.register_forward_hook(lambda m, i, o: kept.__setitem__("a", o.detach().clone())),
                 m.register_full_backward_hook(lambda m, i, o: kept.__setitem__("g", o[0].detach().clone()))]
        logits = model(x.clone().requires_grad_(True))
        k = int(logits.argmax())
        model.zero_grad()
        logits[0, k].backward()
        for h in hooks:
            h.remove()
        a, g = kept["a"], kept["g"]
    weights = g.mean(dim=(2, 3), keepdim=True)
    cam = (weights * a).sum(dim=1)[0]
    return torch.relu(cam).numpy(), k


def normalise(cam):
    cam = cam - cam.min()
    return cam / (cam.max() + 1e-8)


def usual_overlay(heat, path, size=224):
    """heat in [0, 1] at the input's size -> overlay bytes, as tutorials write it, in float64 and floor(v + 0.5)."""
    colours = cv2.applyColorMap(np.uint8(255 * heat), cv2.COLORMAP_JET)[:, :, ::-1]
    image = np.asarray(Image.open(path).convert("RGB").resize((size, size), Image.BICUBIC))
    mixed = 0.6 * (image / 255.0) + 0.4 * (colours / 255.0)
    return np.floor(255 * mixed + 0.5).astype(np.uint8)


def main(data):
    folder = work_folder()
    model_json, model = converted(data, folder)
    images = xrays(data, 20)
    for layers, dtype, real in ((LAYERS, "f32", torch.float32), (DEEP, "f64", torch.float64)):
        for layer in layers:
            out = folder / f"out-{layer}-{dtype}"
            cnnscope("explain", model_json, *images, "--layer", layer, "--dtype", dtype, "-o", out)
            worst = raw = same = 0
            changed = level = pixels = given = 0
            for path in images:
                want, k = torch_gradcam(model.to(real), preprocess(path).to(real), layer)
                (stem,) = list((out / path.stem).glob("*-figure.png"))
                stem = str(stem)[: -len("-figure.png")]
                same += f"class-{k}-" in stem
                got = np.load(stem + ".npy")
                worst = max(worst, largest(normalise(got) - normalise(want)))
                raw = max(raw, largest(got - want) / largest(want))
                if layer == "input":
                    continue
                heat = np.load(stem + "-heatmap.npy")
                overlay = np.asarray(Image.open(stem + "-overlay.png").convert("RGB")).astype(int)
                given += int((overlay != usual_overlay(heat, path)).sum())
                theirs = usual_overlay(cv2.resize(normalise(want), (224, 224)), path).astype(int)
                difference = np.abs(overlay - theirs).max(axis=2)
                changed, level, pixels = changed + int((difference > 0).sum()), max(level, int(difference.max())), pixels + difference.size
            print(f"{layer}, {dtype}: same class {same}/{len(images)}; normalised maps differ by at most {worst:.3g}, raw by {raw:.3g} "
                  f"of the largest; given the same heat map {given} overlay bytes differ; end to end {changed} of {pixels} pixels "
                  f"({100 * changed / max(pixels, 1):.4f} %), at most {level} levels")


main(pathlib.Path(sys.argv[1]))
