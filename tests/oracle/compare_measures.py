#!/usr/bin/env python3
"""The measures of `cnnscope compare` against Quantus, torch-cam, SciPy, and NumPy in float64.

    python3 tests/oracle/compare_measures.py DATA

Network: the trained CIFAR ResNet-20, ten pictures, float64, Grad-CAM (8 x 8) and gradient (32 x 32) maps. Curves, areas, drop
and increase against NumPy; of the gradient's maps, which have no equals, deletion against Quantus' PixelFlipping, and both areas
against torch-cam's metrics, as drop and increase are; energy and pointing game against Quantus' RelevanceMassAccuracy and
PointingGame; rank correlation with the next class against SciPy. The peers get our raw maps. The order of pixels that are equal
but for rounding is that of the documented interpolation, which is compared with PyTorch's by value. Exit code 1 where a
difference is more than 1e-6 (torch-cam adds 1e-7 to divisors and has fractions in float32), or 1e-12 for NumPy, SciPy, Quantus.
"""
import contextlib
import io

from compare_cams import CifarResNet
import quantus
import scipy.stats
import torch.nn.functional as F
from torchcam.metrics import ClassificationMetric, DeletionInsertionMetric

from common import *

# It asks that the step divide H W, while the step counts values of all channels: three a pixel here.
quantus.helpers.asserts.assert_features_in_step = lambda **what: None
failures = 0


class Widened(torch.nn.Module):
    """Quantus hands over float32."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x.double())


class Given:
    """What torch-cam's metrics take for a CAM extractor: gives a map that is there already."""

    def __init__(self, model, raw):
        self.model, self.scaled = model, (raw - raw.min()) / (raw.max() - raw.min())

    def __call__(self, class_idx=None, scores=None, normalized=True, *, targets=None):
        return [self.scaled[None]]

    def fuse_cams(self, cams):
        return cams[0]

    _hooks_off = staticmethod(contextlib.nullcontext)


def enlarged(raw, size):
    """left + f (right - left) along the rows, then along the columns, half-pixel centres clamped to the first and last."""
    for _ in range(2):
        at = np.maximum(raw.shape[1] / size * (np.arange(size) + 0.5) - 0.5, 0)
        left = at.astype(int)
        right = np.minimum(left + 1, raw.shape[1] - 1)
        raw = (raw[:, left] + (at - left) * (raw[:, right] - raw[:, left])).T
    return raw


def report(what, difference, bar):
    global failures
    failures += not difference <= bar
    print(f"| {what} | {difference:.1e} |{'' if difference <= bar else ' MISSED'}", flush=True)


def ours(folder, model_json, images, *options):
    out = folder / f"compare-{len(list(folder.iterdir()))}"
    cnnscope("compare", model_json, *images, "--dtype", "f64", "--quiet", *options, "-o", out)
    return out, json.load(open(out / "manifest.json"))


def result(entry, method):
    return next(r for r in entry["results"] if r["method"] == method)


def numpy_curves(model, x, heat, c, steps):
    """Deletion and insertion, one image at a time."""
    order = np.argsort(-heat.ravel(), kind="stable")
    size = -(-order.size // steps)
    counts = [min(i * size, order.size) for i in range(-(-order.size // size) + 1)]
    curves = []
    for inserts in (False, True):
        curve = []
        for n in counts:
            gone = np.zeros(order.size, bool)
            gone[order[n:] if inserts else order[:n]] = True
            y = x.clone()
            y[0, :, torch.from_numpy(gone.reshape(heat.shape))] = 0
            curve.append(float(model(y).softmax(1)[0, c]))
        curves.append(curve)
    return np.array(counts) / order.size, curves


def main(data):
    folder = work_folder()
    cnnscope("convert", data / "cifar-resnets" / "resnet20-12fca82f.th", "-o", folder / "resnet20")
    model = CifarResNet(3)
    state = torch.load(data / "cifar-resnets" / "resnet20-12fca82f.th", map_location="cpu", weights_only=True)["state_dict"]
    model.load_state_dict({k.removeprefix("module."): v for k, v in state.items()})
    model = model.eval().double()
    wide = Widened(model).eval()
    images = sorted((data / "cifar10-sample" / "png").glob("*.png"))[:10]
    mask = np.zeros((32, 32), np.uint8)
    mask[8:24, 8:24] = 255
    Image.fromarray(mask).save(folder / "mask.png")
    steps = 16
    out, report_json = ours(folder, folder / "resnet20.json", images, "--methods", "gradcam,gradient", "--curve-steps", steps, "--masks",
                            folder / "mask.png", "--sanity")
    worst = {}

    def note(what, difference):
        worst[what] = max(worst.get(what, 0), largest(difference))

    for path, entry in zip(images, report_json["images"]):
        x, c = preprocess(path, 32).double(), entry["class"]
        for method, layer in (("gradcam", "layer3"), ("gradient", "input")):
            got = result(entry, method)
            raw = torch.from_numpy(np.load(out / path.stem / f"class-{c}-{method}-{layer}.npy"))
            heat = enlarged(raw.numpy(), 32)
            theirs = F.interpolate(raw[None, None], (32, 32), mode="bilinear", align_corners=False)[0, 0].numpy()
            note("NumPy: enlarged map", np.abs(heat - theirs).max() / theirs.max())
            with torch.no_grad():
                fraction, (deletion, insertion) = numpy_curves(model, x, heat, c, steps)
                scaled = (raw - raw.min()) / (raw.max() - raw.min())
                small = F.interpolate(scaled[None, None], (32, 32), mode="bilinear", align_corners=False)
                before, after = float(model(x).softmax(1)[0, c]), float(model(x * small).softmax(1)[0, c])
            note("NumPy: curves", max(np.abs(np.array(got["deletion"]) - deletion).max(), np.abs(np.array(got["insertion"]) - insertion).max()))
            note("NumPy: areas", max(abs(got["deletion_area"] - np.trapezoid(deletion, fraction)),
                                     abs(got["insertion_area"] - np.trapezoid(insertion, fraction))))
            note("NumPy: drop and increase", abs(got["drop"] - max(0, before - after) / before) + (got["increase"] != (after > before)))
            note("NumPy: energy", abs(got["energy"] - (heat * (mask / 255)).sum() / heat.sum()))
            a, s = heat[None, None], (mask / 255)[None, None].astype(int)
            with contextlib.redirect_stdout(io.StringIO()):
                note("Quantus RelevanceMassAccuracy", abs(got["energy"] - quantus.RelevanceMassAccuracy(abs=False, normalise=False,
                     disable_warnings=True)(wide, x.numpy(), np.array([c]), a, s_batch=s)[0]))
                hit = quantus.PointingGame(abs=False, normalise=False, disable_warnings=True)(wide, x.numpy(), np.array([c]), a, s_batch=s)[0]
            note("Quantus PointingGame", got["hit"] != bool(hit))
        flips = quantus.PixelFlipping(features_in_step=3 * 1024 // steps, perturb_baseline=0.0, abs=False, normalise=False, disable_warnings=True)(
            wide, x.numpy(), np.array([c]), a, softmax=True)
        note("Quantus PixelFlipping", np.abs(np.array(flips[0]) - result(entry, "gradient")["deletion"][1:]).max())
        for method in ("gradcam", "gradient"):
            got = result(entry, method)
            layer = "layer3" if method == "gradcam" else "input"
            cam = Given(model, torch.from_numpy(np.load(out / path.stem / f"class-{c}-{method}-{layer}.npy")))
            metrics = [kind(cam, lambda z: z.softmax(-1), **how) for kind, how in ((ClassificationMetric, {}), (DeletionInsertionMetric, {"steps": steps}))]
            for m in metrics:
                m.update(x, class_idx=c)
            summary, areas = metrics[0].summary(), metrics[1].summary()
            note("torch-cam ClassificationMetric", abs(got["drop"] - summary["avg_drop"]) + abs(got["increase"] - summary["conf_increase"]))
            if method == "gradient":
                note("torch-cam DeletionInsertionMetric", max(abs(got["deletion_area"] - areas["deletion_auc"]), abs(got["insertion_area"] - areas["insertion_auc"])))
        grad = result(entry, "gradcam")
        other = grad["other_class"]
        maps = []
        for k in (c, other):
            done = folder / f"explain-{path.stem}-{k}"
            cnnscope("explain", folder / "resnet20.json", path, "--dtype", "f64", "--class", k, "-o", done)
            maps.append(np.load(done / path.stem / f"class-{k}-gradcam-layer3.npy").ravel())
        if grad["other_class_correlation"] is not None:
            note("SciPy spearmanr", abs(grad["other_class_correlation"] - scipy.stats.spearmanr(*maps).statistic))
    print("| measure | largest difference |\n|---|---|")
    for what, difference in worst.items():
        report(what, difference, 1e-6 if what.startswith("torch-cam") else 1e-12)
    sys.exit(failures > 0)


main(pathlib.Path(sys.argv[1]))
