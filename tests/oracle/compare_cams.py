#!/usr/bin/env python3
"""Every CAM method and variant against its PyTorch counterpart, and against its formula in float64.

    python3 tests/oracle/compare_cams.py DATA [CHANNELS]

Networks: the trained CIFAR ResNet-20, and best_model.pth on an X-ray; layers: the last and the last but one stage, and the
input. Peers: pytorch-grad-cam, torch-cam, captum (pip install grad-cam torchcam captum), run as they are; Score-CAM on
CHANNELS channels (64) of best_model.pth, all of ResNet-20. Two classes, the targets logit, prob and margin. Raw maps; every
difference is a share of the largest value. "peer" and "formula" are float64 beside ours in float64; "f32" is ours in float32
beside the float64 formula. Where that is more than 1e-4 the last column says why: "gates" is the same with PyTorch made to use
the ReLU gates and the max-pool winners of our float32 run; "A, dA" gives the formula our float32 run's activations and
gradients, for formulas with poles (a denominator that passes through 0 enlarges every rounding before it). Exit code 1 where a
bar (1e-9, 1e-4; of the last column 1e-5) is missed.
"""
import functools

import torch.nn.functional as F
from captum.attr import InputXGradient, IntegratedGradients, Saliency
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM, LayerCAM, ScoreCAM, XGradCAM, base_cam
import torchcam.methods as tc

from common import *

base_cam.scale_cam_image = lambda cam, target_size=None: cam  # raw maps: neither scaled nor enlarged
CHANNELS = int(sys.argv[2]) if len(sys.argv) > 2 else 64
failures = 0


# ------------------------------------------------------------------ networks
class Block(torch.nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(after)
        self.conv2 = torch.nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(after)
        self.relu, self.relu2 = torch.nn.ReLU(), torch.nn.ReLU()
        self.pad = (after - before) // 2 if stride != 1 or before != after else None

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        short = x if self.pad is None else F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad, self.pad))
        return self.relu2(y + short)


class CifarResNet(torch.nn.Module):
    def __init__(self, blocks):
        super().__init__()
        self.conv1, self.bn1, self.relu = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False), torch.nn.BatchNorm2d(16), torch.nn.ReLU()
        widths = [16, 16, 32, 64]
        for s in (1, 2, 3):
            setattr(self, f"layer{s}", torch.nn.Sequential(*[
                Block(widths[s - 1] if b == 0 else widths[s], widths[s], 2 if s > 1 and b == 0 else 1) for b in range(blocks)]))
        self.linear = torch.nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(self.relu(self.bn1(self.conv1(x))))))
        return self.linear(x.mean(dim=(2, 3)))


class Network:
    """A network as both have it; x is an input that float32 holds exactly."""

    def __init__(self, name, model_json, model, x, layers, folder):
        self.name, self.json, self.x, self.layers, self.folder = name, model_json, x, layers, folder
        self.model = model.eval().double()
        for m in self.model.modules():
            if isinstance(m, torch.nn.ReLU):
                m.inplace = False
        self.file = folder / f"{name}.npy"
        np.save(self.file, x.float().numpy())
        self.made = 0

    def ours(self, *options, dtype="f64"):
        self.made += 1
        out = self.folder / f"out-{self.name}-{self.made}"
        cnnscope("explain", self.json, self.file, "--dtype", dtype, "--signed", *options, "-o", out)
        (path,) = list((out / self.name).glob("*-signed.npy"))
        signed = np.load(path)
        raw = np.load(str(path).replace("-signed", ""))
        assert np.array_equal(raw, np.maximum(signed, 0))
        shutil.rmtree(out)
        return signed.astype("f8")

    def layer(self, path):
        return self.model.get_submodule(path)


def networks(data, folder):
    cnnscope("convert", data / "cifar-resnets" / "resnet20-12fca82f.th", "-o", folder / "resnet20")
    small = CifarResNet(3)
    state = torch.load(data / "cifar-resnets" / "resnet20-12fca82f.th", map_location="cpu", weights_only=True)["state_dict"]
    small.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
    picture = sorted((data / "cifar10-sample" / "png").glob("*.png"))[3]
    yield Network("resnet20", folder / "resnet20.json", small, preprocess(picture, 32), ["layer3", "layer2"], folder)
    model_json, model = converted(data, folder)
    yield Network("best_model", model_json, model, preprocess(xrays(data, 4)[3]), ["layer4", "layer3"], folder)


# ------------------------------------------------------------------ formulas, in float64
def activation_and_gradient(net, path, score):
    kept = {}
    if path == "input":
        x = net.x.double().requires_grad_(True)
        logits = net.model(x)
        return x.detach(), torch.autograd.grad(score(logits), x)[0]
    hook = net.layer(path).register_forward_hook(lambda m, i, o: kept.__setitem__("a", o))
    logits = net.model(net.x.double().requires_grad_(True))
    hook.remove()
    return kept["a"].detach(), torch.autograd.grad(score(logits), kept["a"])[0]


def gradcam_plusplus(variant, a, g):
    total = a.sum((2, 3), keepdim=True)
    top = g ** 2
    down = {"paper": 2 * top + total * g ** 3, "authors": 2 * top + total * g ** 3, "pgc": 2 * top + total * g ** 3 + 1e-6,
            "monai": 2 * top + (a * g ** 3).sum((2, 3), keepdim=True), "torchcam": torch.ones_like(top)}[variant]
    if variant in ("authors", "monai"):
        down = torch.where(down == 0, torch.ones_like(down), down) + (1e-7 if variant == "monai" else 0)
    alpha = torch.where((g == 0) | (down == 0), torch.zeros_like(g), top / down)
    if variant == "authors":
        norm = torch.where(g > 0, alpha, torch.zeros_like(g)).sum((2, 3), keepdim=True)
        alpha = alpha / torch.where(norm == 0, torch.ones_like(norm), norm)
    return ((alpha * g.clamp(min=0)).sum((2, 3), keepdim=True) * a).sum(1)[0]


def our_tensors(net, path, c, target="logit"):
    """A layer's activation and gradient as our float32 run has them."""
    out = net.folder / "dump"
    cnnscope("dump", net.json, net.file, "--nodes", path, "--grad", "--class", c, "--target", target, "-o", out)
    tensors = [torch.from_numpy(np.load(out / kind / f"{path}.npy")).double() for kind in ("activations", "gradients")]
    shutil.rmtree(out)
    return tensors


def softmax_plusplus(net, path, c):
    """Equations 21 to 24, from the gradients of all logits: derivatives of the softmax with respect to one activation, the
    logits' second derivatives being zero. Y, Y', Y'', Y''' by the recursion of a quotient: Y = e^S_c / sum e^S_k."""
    kept = {}
    hook = net.layer(path).register_forward_hook(lambda m, i, o: kept.__setitem__("a", o))
    logits = net.model(net.x.double().requires_grad_(True))
    hook.remove()
    a = kept["a"]
    g = torch.stack([torch.autograd.grad(logits[0, k], a, retain_graph=True)[0] for k in range(logits.shape[1])])
    return softmax_formula(a.detach(), g, logits[0].detach().softmax(0), c)


def softmax_given(net, path, c):
    """The same from our float32 run's numbers."""
    logits = torch.tensor(predictions(net.json, [net.file])[0]["logits"]).double()
    pairs = [our_tensors(net, path, k) for k in range(len(logits))]
    return softmax_formula(pairs[0][0], torch.stack([g for a, g in pairs]), logits.softmax(0), c)


def softmax_formula(a, g, p, c):
    shape = (-1, 1, 1, 1, 1)
    n1, n2, n3 = g[c], g[c] ** 2, g[c] ** 3  # derivatives of e^S_c over e^S_c
    d1, d2, d3 = [(p.view(shape) * g ** q).sum(0) for q in (1, 2, 3)]  # of the sum, over the sum
    y1 = n1 - d1
    y2 = n2 - 2 * y1 * d1 - d2
    y3 = n3 - 3 * y2 * d1 - 3 * y1 * d2 - d3
    down = 2 * y2 + a.sum((2, 3), keepdim=True) * y3
    alpha = torch.where(down == 0, torch.zeros_like(down), y2 / down)
    return ((alpha * (p[c] * y1).clamp(min=0)).sum((2, 3), keepdim=True) * a).sum(1)[0]


def cam_formula(method, variant, a, g):
    if method == "gradcam":
        return (g.mean((2, 3), keepdim=True) * a).sum(1)[0]
    if method in ("hirescam", "input-x-gradient"):
        return (g * a).sum(1)[0]
    if method == "layercam":
        return (g.clamp(min=0) * a).sum(1)[0]
    if method == "xgradcam":
        total = a.sum((2, 3), keepdim=True) + {"paper": 0, "pgc": 1e-7, "torchcam": 1e-8}[variant]
        weight = (g * a).sum((2, 3), keepdim=True) / total
        return (torch.where(total == 0, torch.zeros_like(weight), weight) * a).sum(1)[0]
    if method == "gradient":
        return {"paper": g.abs().amax(1), "sum-abs": g.abs().sum(1), "sum": g.sum(1)}[variant][0]
    return gradcam_plusplus(variant, a, g)


def chosen_channels(a, most):
    """The `most` of largest standard deviation, of equals the first, in their order."""
    deviation = a[0].flatten(1).numpy().var(axis=1)
    return sorted(np.argsort(-deviation, kind="stable")[:most])


def scorecam_formula(net, path, variant, score, most):
    with torch.no_grad():
        a = activation_of(net, path)
        keep = chosen_channels(a, most)
        x, a = net.x.double(), a[:, keep]
        low, high = a.amin((2, 3), keepdim=True), a.amax((2, 3), keepdim=True)
        if variant == "torchcam":
            up = F.interpolate((a - low) / (high - low + 1e-8), x.shape[2:], mode="bilinear", align_corners=False)
        else:
            up = F.interpolate(a, x.shape[2:], mode="bilinear", align_corners=variant == "pgc")
            u_low, u_high = up.amin((2, 3), keepdim=True), up.amax((2, 3), keepdim=True)
            up = (up - u_low) / (u_high - u_low + (1e-8 if variant == "pgc" else 0))
        up[(high == low).expand_as(up)] = 0
        scores = torch.cat([score(net.model(x * up[0, k][None, None])).view(1) for k in range(a.shape[1])])
        if variant == "authors":
            weights = torch.where((high == low).view(-1), torch.zeros_like(scores), scores)
        else:
            weights = scores.softmax(0)
        return (weights.view(1, -1, 1, 1) * a).sum(1)[0]


def activation_of(net, path):
    kept = {}
    hook = net.layer(path).register_forward_hook(lambda m, i, o: kept.__setitem__("a", o.detach()))
    net.model(net.x.double())
    hook.remove()
    return kept["a"]


def integrated(net, variant, score, steps=50):
    """(t, weight) of the path, and the map."""
    if variant == "captum":
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        points = list(zip((nodes + 1) / 2, weights / 2))
    else:
        points = [((k + (1 if variant == "paper" else 0.5)) / steps, 1 / steps) for k in range(steps)]
    total = 0
    for t, weight in points:
        x = (t * net.x.double()).requires_grad_(True)
        total = total + weight * torch.autograd.grad(score(net.model(x)), x)[0]
    return (net.x.double() * total).sum(1)[0]


# ------------------------------------------------------------------ peers, as they are
def score_of(target, c, j=0):
    return {"logit": lambda z: z[0, c], "prob": lambda z: z.softmax(1)[0, c], "margin:0": lambda z: z[0, c] - z[0, j],
            "neg-logit": lambda z: -z[0, c]}[target]


def one_row(score):
    return lambda row: score(row[None])


def pgc_peer(kind, net, path, score, keep=None):
    transform = None if keep is None else (lambda t: t[:, keep])
    with kind(net.model, [net.layer(path)], reshape_transform=transform) as cam:
        return torch.as_tensor(cam(net.x.double(), targets=[one_row(score)]))[0]


def torchcam_peer(kind, net, path, c, keep=None):
    transform = None if keep is None else (lambda t: t[:, keep])
    with kind(net.model, path, reshape_transform=transform) as cam:
        logits = net.model(net.x.double().requires_grad_(True))
        return cam(int(c), logits, normalized=False)[0][0].detach()


def captum_peer(method, net, c):
    x = net.x.double().requires_grad_(True)
    if method == "gradient":
        return Saliency(net.model).attribute(x, target=c, abs=True).amax(1)[0].detach()
    if method == "input-x-gradient":
        return InputXGradient(net.model).attribute(x, target=c).sum(1)[0].detach()
    return IntegratedGradients(net.model).attribute(x, target=c, n_steps=50, internal_batch_size=10).sum(1)[0].detach()


PEERS = {  # method, variant -> the peer for a target that is a logit (pgc: any target)
    ("gradcam", "paper"): [("pgc", GradCAM), ("torchcam", tc.GradCAM)],
    ("gradcam++", "pgc"): [("pgc", GradCAMPlusPlus)],
    ("gradcam++", "torchcam"): [("torchcam", tc.GradCAMpp)],
    ("hirescam", "paper"): [("pgc", HiResCAM)],
    ("layercam", "paper"): [("pgc", LayerCAM), ("torchcam", tc.LayerCAM)],
    ("xgradcam", "pgc"): [("pgc", XGradCAM)],
    ("xgradcam", "torchcam"): [("torchcam", tc.XGradCAM)],
    ("scorecam", "pgc"): [("pgc", ScoreCAM)],
    ("scorecam", "torchcam"): [("torchcam", tc.ScoreCAM)],
}


# ------------------------------------------------------------------ float32 with our gates
class Gates:
    """Makes PyTorch use the gates and winners of our float32 run of an input."""

    def __init__(self, net, x):
        out = net.folder / f"dump-{net.name}"
        file = net.folder / f"{net.name}-gates.npy"
        np.save(file, x)
        cnnscope("dump", net.json, file, "-o", out)
        nodes = json.load(open(net.json))["graph"]
        load = lambda name: torch.from_numpy(np.load(out / "activations" / f"{name}.npy")).double()
        self.relu = [load(n["name"]) > 0 for n in nodes if n["op"] == "relu"]
        pools = [(n, load(n["inputs"][0])) for n in nodes if n["op"] == "max_pool2d"]
        self.winners = [F.max_pool2d(v, 3, 2, 1, return_indices=True)[1] for n, v in pools]
        shutil.rmtree(out)

    def __enter__(self):
        relus, winners = iter(self.relu), iter(self.winners)
        self.before = torch.nn.ReLU.forward, torch.nn.MaxPool2d.forward
        torch.nn.ReLU.forward = lambda m, x: x * next(relus)

        def pool(m, x):
            w = next(winners)
            return x.flatten(2).gather(2, w.flatten(2)).view(w.shape)

        torch.nn.MaxPool2d.forward = pool

    def __exit__(self, *what):
        torch.nn.ReLU.forward, torch.nn.MaxPool2d.forward = self.before


# ------------------------------------------------------------------ the table
def difference(got, want):
    return largest(got - want.numpy()) / max(largest(want), 1e-300)


def row(net, method, variant, layer, target, c, formula, peers, gated=None, given=None, options=()):
    global failures
    common = ["--method", method, "--variant", variant, "--class", c, "--target", target, *options]
    if layer != "input":
        common += ["--layer", layer]
    want, f64 = formula(), net.ours(*common)
    theirs = [(name, difference(np.maximum(f64, 0) if relu else f64, peer())) for name, relu, peer in peers]
    ours = net.ours(*common, dtype="f32")
    single = difference(ours, want)
    exact = difference(f64, want)
    # In float64 too, pytorch-grad-cam rounds Score-CAM's scores to float32, and captum the weights of the steps.
    rounded = (("scorecam", "pgc"), ("integrated-gradients", "captum"))
    bad = exact > 1e-9 or any(d > (1e-6 if (method, n) in rounded else 1e-9) for n, d in theirs)
    same = ""
    if single > 1e-4:
        reasons = {name: difference(ours, make()) for name, make in (("gates", gated), ("A, dA", given)) if make}
        bad, same = bad or min(reasons.values(), default=1) > 1e-5, "; ".join(f"{n} {d:.1e}" for n, d in reasons.items())
    failures += bad
    shown = ", ".join(f"{n} {d:.1e}" for n, d in theirs)
    print(f"| {net.name} | {layer} | {method}:{variant} | {target} | {c} | {shown} | {exact:.1e} | {single:.1e} | {same} |"
          f"{' MISSED' if bad else ''}", flush=True)


def gradient_rows(net, layer, target, c):
    score = score_of(target, c)
    variants = {"gradcam": ["paper"], "gradcam++": ["paper", "authors", "pgc", "torchcam", "monai"], "hirescam": ["paper"],
                "xgradcam": ["paper", "pgc", "torchcam"], "layercam": ["paper"]}
    if layer == "input":
        variants = {"gradient": ["paper", "sum-abs", "sum"], "input-x-gradient": ["paper"]}
    for method, names in variants.items():
        for variant in names:
            def formula(method=method, variant=variant):
                if (method, variant, target) == ("gradcam++", "paper", "prob"):
                    return softmax_plusplus(net, layer, c)
                return cam_formula(method, variant, *activation_and_gradient(net, layer, score))

            def gated():
                with Gates(net, net.x.float().numpy()):
                    return formula()

            def given():
                if (method, variant, target) == ("gradcam++", "paper", "prob"):
                    return softmax_given(net, layer, c)
                return cam_formula(method, variant, *our_tensors(net, layer, c, target))

            peers = []
            for name, kind in PEERS.get((method, variant), []):
                if name == "pgc":
                    peers.append((name, True, functools.partial(pgc_peer, kind, net, layer, score)))
                elif target == "logit":
                    peers.append((name, True, functools.partial(torchcam_peer, kind, net, layer, c)))
            if layer == "input" and target == "logit" and variant == "paper":
                peers = [("captum", False, functools.partial(captum_peer, method, net, c))]
            row(net, method, variant, layer, target, c, formula, peers, gated if target != "prob" else None, given)


def scorecam_rows(net, layer, target, c):
    score = score_of(target, c)
    a = activation_of(net, layer)
    most = min(CHANNELS, a.shape[1])
    keep = chosen_channels(a, most)
    for variant in ("paper", "authors", "pgc", "torchcam"):
        if variant == "authors" and target == "margin:0":
            continue
        peers = []
        for name, kind in PEERS.get(("scorecam", variant), []):
            if name == "pgc":
                peers.append((name, True, functools.partial(pgc_peer, kind, net, layer, score, keep)))
            elif target == "logit":
                peers.append((name, True, functools.partial(torchcam_peer, kind, net, layer, c, keep)))
        taken = score_of("prob", c) if variant == "authors" else score
        row(net, "scorecam", variant, layer, target, c, lambda: scorecam_formula(net, layer, variant, taken, most), peers,
            options=["--max-channels", most])


def integrated_rows(net, target, c):
    score = score_of(target, c)
    for variant in ("captum", "paper", "midpoint"):
        peers = [("captum", False, functools.partial(captum_peer, "ig", net, c))] if (variant, target) == ("captum", "logit") else []
        formula = functools.partial(integrated, net, variant, score)

        def gated():
            x, total, nodes = net.x.double(), 0, np.polynomial.legendre.leggauss(50)
            points = list(zip((nodes[0] + 1) / 2, nodes[1] / 2)) if variant == "captum" else \
                [((k + (1 if variant == "paper" else 0.5)) / 50, 1 / 50) for k in range(50)]
            for t, weight in points:
                at = (t * net.x.double()).float()
                with Gates(net, at.numpy()):
                    leaf = at.double().requires_grad_(True)
                    total = total + weight * torch.autograd.grad(score(net.model(leaf)), leaf)[0]
            return (x * total).sum(1)[0]

        row(net, "integrated-gradients", variant, "input", target, c, formula, peers, gated if target == "logit" else None)


def main(data):
    folder = work_folder()
    print("| network | layer | method | target | class | float64: peer | formula | f32 | why |\n|---|---|---|---|---|---|---|---|---|")
    for net in networks(data, folder):
        classes = net.model(net.x.double())[0].argsort(descending=True)[:2].tolist()
        for layer in net.layers:
            for target, c in (("logit", classes[0]), ("logit", classes[1]), ("prob", classes[0]), ("margin:0", max(1, classes[0]))):
                gradient_rows(net, layer, target, c)
            scorecam_rows(net, layer, "logit", classes[0])
            if net.name == "resnet20":
                scorecam_rows(net, layer, "prob", classes[0])
                scorecam_rows(net, layer, "margin:0", max(1, classes[0]))
        for target, c in (("logit", classes[0]), ("logit", classes[1])):
            gradient_rows(net, "input", target, c)
        integrated_rows(net, "logit", classes[0])
    print(f"\nbars missed: {failures}")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
