#!/usr/bin/env python3
"""Writes what `cnnscope dump` writes, from PyTorch: the same folder, the same names, so that `cnnscope diff` compares.

    python3 weights_tools/dump_torch.py best_model.json xray.png --grad --params -o theirs
    cnnscope dump best_model.json xray.png --grad --params -o ours
    cnnscope diff ours theirs

The network is torchvision's (or the CIFAR ResNet of the original paper's section 4.2), built from the manifest's
architecture, with the weights of the manifest's binary or, with --checkpoint, of the checkpoint that it was converted
from. Values are cloned as each node gives them; nothing works in place. Names are those of torchvision's feature
extraction, the input is "input". Contiguous NCHW and one thread, unless told otherwise, so that the float64 numbers are
the same every time.

As a module: build(manifest) gives the network, record(model, x, seed, ...) everything of one pass as numpy arrays.
Needs torch, torchvision, numpy, pillow; cnnscope needs none of it.
"""
import argparse
import datetime
import hashlib
import json
import operator
import os
import pathlib
import shutil
import sys
import time

import numpy as np
import torch
import torch.fx
import torch.nn.functional as F
import torchvision
from torch import nn
from torchvision.models.feature_extraction import NodePathTracer
from torchvision.models.resnet import BasicBlock, Bottleneck

KINDS = ("activations", "gradients", "gates", "winners", "parameters")


# ------------------------------------------------------------------ networks
class ShortcutA(nn.Module):
    """Option A of He and others 2015: every stride-th pixel, zero channels before and behind."""

    def __init__(self, channels):
        super().__init__()
        self.channels = channels

    def forward(self, x):
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.channels, self.channels))


class CifarBlock(nn.Module):
    def __init__(self, inner, planes, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inner, planes, 3, stride, 1, bias=False), nn.BatchNorm2d(planes)
        self.conv2, self.bn2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False), nn.BatchNorm2d(planes)
        self.shortcut = ShortcutA((planes - inner) // 2) if inner != planes else nn.Sequential()

    def forward(self, x):
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self.shortcut(x))


class CifarResNet(nn.Module):
    def __init__(self, blocks, channels, classes, width=16):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        inner = width
        for stage in range(3):
            planes = width << stage
            made = []
            for i in range(blocks):
                made.append(CifarBlock(inner, planes, 2 if stage and i == 0 else 1))
                inner = planes
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.linear = nn.Linear(inner, classes)

    def forward(self, x):
        out = self.layer3(self.layer2(self.layer1(F.relu(self.bn1(self.conv1(x))))))
        out = F.avg_pool2d(out, out.size()[3])
        return self.linear(out.view(out.size(0), -1))


class NarrowResNet(torchvision.models.ResNet):
    """torchvision's ResNet with another width and number of stages: cnnscope's "resnet:block=...,layers=...,width=..."."""

    def __init__(self, block, layers, width, channels, classes):
        nn.Module.__init__(self)
        self._norm_layer, self.inplanes, self.dilation = nn.BatchNorm2d, width, 1
        self.groups, self.base_width = 1, 64
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        self.relu, self.maxpool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        for stage in range(4):
            made = self._make_layer(block, width << stage, layers[stage], stride=2 if stage else 1)
            setattr(self, f"layer{stage + 1}", made)
        self.avgpool, self.fc = nn.AdaptiveAvgPool2d((1, 1)), nn.Linear(self.inplanes, classes)


def skeleton(manifest):
    arch, classes = manifest["model"]["arch"], manifest["model"]["num_classes"]
    channels = manifest["input"]["channels"]
    if arch.startswith("resnet") and arch.endswith("_cifar"):
        return CifarResNet((int(arch[6:-6]) - 2) // 6, channels, classes)
    if arch.startswith("resnet:"):
        words = dict(word.split("=") for word in arch[7:].split(","))
        block = {"basic": BasicBlock, "bottleneck": Bottleneck}[words["block"]]
        if set(words) - {"block", "layers", "width"}:
            sys.exit(f"dump_torch: the architecture '{arch}' has attributes that this script does not know")
        layers = [int(n) for n in words["layers"].split("-")]
        return NarrowResNet(block, layers, int(words.get("width", 64)), channels, classes)
    if not hasattr(torchvision.models, arch):
        sys.exit(f"dump_torch: torchvision has no architecture '{arch}'")
    model = getattr(torchvision.models, arch)(num_classes=classes)
    if channels != 3:
        old = model.conv1
        model.conv1 = nn.Conv2d(channels, old.out_channels, old.kernel_size, old.stride, old.padding, bias=False)
    return model


def binary_weights(path, manifest):
    blob = (path.parent / manifest["bin"]["file"]).read_bytes()
    return {t["name"]: torch.tensor(np.frombuffer(blob, "<f4", t["nbytes"] // 4, t["offset"]).reshape(t["shape"]))
            for t in manifest["tensors"]}


def checkpoint_weights(path, manifest):
    state = torch.load(path, map_location="cpu", weights_only=True)
    key, strip = manifest["source"].get("key", ""), manifest["source"].get("strip", "")
    for part in key.split(".") if key else []:
        state = state[part]
    return {name[len(strip):] if strip and name.startswith(strip) else name: v for name, v in state.items()}


def build(path, checkpoint=None, dtype=torch.float32, training=False):
    """The manifest's network in PyTorch, with its weights; and the manifest."""
    path = pathlib.Path(path)
    manifest = json.loads(path.read_text())
    model = skeleton(manifest)
    weights = checkpoint_weights(checkpoint, manifest) if checkpoint else binary_weights(path, manifest)
    fit = model.load_state_dict(weights, strict=False)
    missing = [name for name in fit.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or fit.unexpected_keys:
        sys.exit(f"dump_torch: the weights do not fit {manifest['model']['arch']}: "
                 f"missing {missing[:3]}, left over {fit.unexpected_keys[:3]}")
    eps = {n["module"]: n["eps"] for n in manifest["graph"] if n["op"] == "batch_norm"}
    for name, module in model.named_modules():
        if hasattr(module, "inplace"):
            module.inplace = False
        if isinstance(module, nn.BatchNorm2d):
            module.eps = eps.get(name, module.eps)
    return model.to(dtype).train(training), manifest


# ------------------------------------------------------------------ one pass
class Tracer(NodePathTracer):
    def is_leaf_module(self, m, module_qualified_name):
        return isinstance(m, ShortcutA) or super().is_leaf_module(m, module_qualified_name)


IN_PLACE = {operator.iadd: operator.add, operator.imul: operator.mul, operator.isub: operator.sub}


class Recorder(torch.fx.Interpreter):
    """Runs the network node by node: clones every value, keeps its gradient, saves or imposes gates and winners."""

    def __init__(self, model, gates=None, winners=None):
        tracer = Tracer()
        graph = tracer.trace(model)
        for node in graph.nodes:
            node.target = IN_PLACE.get(node.target, node.target)
            if node.kwargs.get("inplace"):
                node.kwargs = {**node.kwargs, "inplace": False}
        super().__init__(torch.fx.GraphModule(model, graph))
        self.names = tracer.node_to_qualname
        self.imposed_gates, self.imposed_winners = gates, winners
        self.live, self.values, self.gates, self.winners = {}, {}, {}, {}

    def relu(self, name, x):
        open_gate = ~(x.detach() <= 0)
        if self.imposed_gates is not None:
            open_gate = torch.as_tensor(self.imposed_gates[name]).to(torch.bool).reshape(x.shape)
        self.gates[name] = open_gate.numpy().copy()
        if self.imposed_gates is None:
            return F.relu(x)
        return torch.where(open_gate, x, torch.zeros((), dtype=x.dtype))

    def pool(self, name, x, pool):
        y, winners = F.max_pool2d(x, pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode,
                                  return_indices=True)
        if self.imposed_winners is not None:
            winners = torch.as_tensor(self.imposed_winners[name].astype("i8")).reshape(y.shape)
            y = x.flatten(2).gather(2, winners.flatten(2)).reshape(y.shape)
        self.winners[name] = winners.numpy().copy()
        return y

    def compute(self, node, name):
        args, kwargs = self.fetch_args_kwargs_from_env(node)
        module = self.module.get_submodule(node.target) if node.op == "call_module" else None
        if isinstance(module, nn.ReLU) or node.target in (F.relu, torch.relu, "relu"):
            return self.relu(name, args[0])
        if isinstance(module, nn.MaxPool2d):
            return self.pool(name, args[0], module)
        return getattr(self, node.op)(node.target, args, kwargs)

    def run_node(self, n):
        if n.op == "output":
            return super().run_node(n)
        name = "input" if n.op == "placeholder" else self.names[n]
        value = self.compute(n, name)
        if isinstance(value, torch.Tensor):
            if value.requires_grad:
                value.retain_grad()
            self.live[name] = value
            self.values[name] = value.detach().clone().contiguous().numpy()
        return value


def record(model, x, seed=None, gates=None, winners=None, names=None):
    """One pass over x. `seed` gives the scalar of the logits, or is None for no backward pass. The result has numpy
    arrays by name: activations, gradients, gates, winners, parameters (gradients); only nodes in `names`, if given."""
    model.zero_grad(set_to_none=True)
    recorder = Recorder(model, gates, winners)
    start = x.detach().clone().requires_grad_()
    logits = recorder.run(start)
    if seed is not None:
        seed(logits).backward()
    wanted = [n for n in recorder.values if names is None or n in names]
    out = {"activations": {n: recorder.values[n] for n in wanted}, "gates": recorder.gates, "winners": recorder.winners,
           "gradients": {}, "parameters": {}, "logits": logits.detach().numpy().copy()}
    if seed is not None:
        # (A node that the scalar does not depend on has the gradient 0.)
        for n in wanted:
            gradient = recorder.live[n].grad
            out["gradients"][n] = (np.zeros_like(recorder.values[n]) if gradient is None
                                   else gradient.detach().clone().contiguous().numpy())
        out["parameters"] = {n: np.zeros(tuple(p.shape), dtype=str(p.dtype).split(".")[1]) if p.grad is None
                             else p.grad.detach().clone().contiguous().numpy() for n, p in model.named_parameters()}
    return out


def load_gates(folder, manifest):
    """Gates and winners of a dump, for record()."""
    folder = pathlib.Path(folder)
    read = lambda kind, op: {n["name"]: np.load(folder / kind / f"{n['name']}.npy") for n in manifest["graph"] if n["op"] == op}
    return read("gates", "relu"), read("winners", "max_pool2d")


def target_seed(text, class_index):
    """The scalar of --target for a class."""
    kind, _, other = text.partition(":")
    if kind == "logit":
        return lambda logits: logits[:, class_index].sum()
    if kind == "neg-logit":
        return lambda logits: -logits[:, class_index].sum()
    if kind == "prob":
        return lambda logits: torch.softmax(logits, 1)[:, class_index].sum()
    if kind == "margin" and other.isdigit():
        return lambda logits: (logits[:, class_index] - logits[:, int(other)]).sum()
    sys.exit(f"dump_torch: unknown target '{text}'; there are logit, prob, neg-logit, margin:J")


# ------------------------------------------------------------------ images, folder
def load_input(path, manifest):
    """A picture as torchvision makes it an input (float32), or an .npy of the input itself."""
    given = manifest["input"]
    if str(path).endswith(".npy"):
        x = np.load(path)
        return torch.tensor(x[None] if x.ndim == 3 else x)
    from PIL import Image
    from torchvision import transforms

    mode = {1: "L", 3: "RGB"}[given["channels"]]
    steps = [transforms.Resize((given["height"], given["width"])), transforms.ToTensor(),
             transforms.Normalize(given["mean"], given["std"])]
    return transforms.Compose(steps)(Image.open(path).convert(mode)).unsqueeze(0)


def digest(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def describe(options, manifest, found, class_index, seconds):
    """manifest.json, as cnnscope dump writes it."""
    order = {n["name"]: i for i, n in enumerate(manifest["graph"])}
    logits = found["logits"][0]
    finite = all(np.isfinite(a).all() for k in ("activations", "gradients", "parameters") for a in found[k].values())
    exact = np.exp(logits.astype("f8") - logits.max())
    return {
        "format": "cnnscope-output", "version": 1, "torch": torch.__version__, "torchvision": torchvision.__version__,
        "command": "dump",
        "model": {"path": str(options.model), "architecture": manifest["model"]["arch"],
                  "manifest_sha256": digest(options.model), "binary_sha256": manifest["bin"]["sha256"],
                  "checkpoint": options.checkpoint},
        "options": {"nodes": options.nodes, "grad": options.grad, "params": options.params, "gates": options.gates,
                    "training": options.training, "class": options.class_text, "target": options.target,
                    "engine": "torch", "dtype": options.dtype},
        "image": str(options.image), "sha256": digest(options.image), "target_class": class_index,
        "class": int(logits.argmax()), "name": (manifest["model"]["classes"] or [None] * len(logits))[int(logits.argmax())],
        "logits": [float(v) if np.isfinite(v) else None for v in logits],
        "probabilities": [float(v) if np.isfinite(v) else None for v in exact / exact.sum()],
        "status": "ok" if finite else "numeric",
        "nodes": [{"file": n, "node": n, "index": order[n], "activation": True, "gradient": options.grad}
                  for n in found["activations"]],
        "gates": list(found["gates"]), "winners": list(found["winners"]), "parameters": list(found["parameters"]),
        "timings": {"pass_seconds": seconds}, "threads": torch.get_num_threads(),
        "isa": torch.backends.cpu.get_cpu_capability(), "date": datetime.datetime.utcnow().strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def write_folder(folder, x, found, about):
    folder = pathlib.Path(folder)
    if folder.exists():
        sys.exit(f"dump_torch: {folder}: exists already; nothing is overwritten")
    partial = pathlib.Path(f"{folder}.partial-{os.getpid()}")
    partial.mkdir()
    try:
        np.save(partial / "input.npy", x.detach().contiguous().numpy())
        for kind in KINDS:
            if found[kind]:
                (partial / kind).mkdir()
            for name, array in found[kind].items():
                np.save(partial / kind / f"{name}.npy", np.ascontiguousarray(array))
        (partial / "manifest.json").write_text(json.dumps(about, indent=2) + "\n")
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def read_options():
    p = argparse.ArgumentParser(description="what cnnscope dump writes, from PyTorch")
    p.add_argument("model", type=pathlib.Path, metavar="MODEL.json")
    p.add_argument("image", type=pathlib.Path, metavar="IMAGE")
    p.add_argument("-o", "--output", required=True, metavar="DIR")
    p.add_argument("--checkpoint", metavar="FILE", help="weights of this .pth or .th instead of the model's binary")
    p.add_argument("--nodes", default="all", metavar="A,B,...|all")
    p.add_argument("--grad", action="store_true")
    p.add_argument("--params", action="store_true")
    p.add_argument("-c", "--class", dest="class_text", default="argmax", metavar="CLASS")
    p.add_argument("--target", default="logit", metavar="KIND")
    p.add_argument("--dtype", choices=["f32", "f64"], default="f32")
    p.add_argument("--gates", metavar="DIR", help="take the gates and winners of this dump")
    p.add_argument("--training", action="store_true")
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--channels-last", action="store_true")
    return p.parse_args()


def choose_class(text, manifest, model, x):
    names = manifest["model"]["classes"] or []
    if text in names:
        return names.index(text)
    if text != "argmax":
        return int(text)
    with torch.no_grad():
        state = {k: v.clone() for k, v in model.state_dict().items()}
        index = int(model(x)[0].argmax())
        model.load_state_dict(state)  # (the running statistics of a pass in training mode)
        return index


def main():
    options = read_options()
    torch.set_num_threads(options.threads)
    model, manifest = build(options.model, options.checkpoint, getattr(torch, {"f32": "float32", "f64": "float64"}[options.dtype]),
                            options.training)
    x = load_input(options.image, manifest).to(next(model.parameters()).dtype)
    if options.channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    known = [n["name"] for n in manifest["graph"]]
    names = known if options.nodes == "all" else [*options.nodes.split(","), manifest["output"], "input"]
    unknown = [n for n in names if n not in known]
    if unknown:
        sys.exit(f"dump_torch: there is no node '{unknown[0]}' (give nodes, not modules)")
    gates, winners = load_gates(options.gates, manifest) if options.gates else (None, None)
    class_index = choose_class(options.class_text, manifest, model, x)
    seed = target_seed(options.target, class_index) if options.grad or options.params else None
    begin = time.perf_counter()
    found = record(model, x, seed, gates, winners, set(names))
    seconds = time.perf_counter() - begin
    if options.nodes != "all":
        found["gates"] = {n: v for n, v in found["gates"].items() if n in names}
        found["winners"] = {n: v for n, v in found["winners"].items() if n in names}
    if not options.grad:
        found["gradients"] = {}
    if not options.params:
        found["parameters"] = {}
    lost = [n for n in names if n not in found["activations"]]
    if lost:
        sys.exit(f"dump_torch: PyTorch's graph has no node '{lost[0]}'")
    write_folder(options.output, x, found, describe(options, manifest, found, class_index, seconds))


if __name__ == "__main__":
    main()
