#!/usr/bin/env python3
"""All gradients against PyTorch's, on real weights and images: best_model.pth (ResNet-50) and the trained CIFAR ResNet-20.

    python3 tests/oracle/compare_gradients.py DATA [IMAGES] [--engine gemm]

For each network, in inference and in training mode, over IMAGES pictures (default 4), of logit 0:
float64 against PyTorch's float64 (contiguous NCHW, one thread), with PyTorch's gates and winners imposed, and with our own;
float32 against float64 given the same gates and winners, ours and PyTorch's. An error is the largest difference of a tensor,
of the tensor's largest entry; of parameters the worst tensor counts, and the worst image. Exits 1 where a bound is exceeded.
"""
import sys

from common import *

sys.path.insert(0, "weights_tools")
import dump_torch

EXACT, INPUT32, PARAMETERS32 = 1e-11, 2e-6, 5e-6


class Bounds:
    def __init__(self):
        self.worst, self.broken = {}, []

    def check(self, what, value, bound, name=""):
        if value > self.worst.get(what, (-1.0, "", 0))[0]:
            self.worst[what] = (value, name, bound)
        if not value <= bound:
            self.broken.append(f"{what}: {value:.3g} > {bound:.3g} {name}")


def ours(model_json, image, folder, *options):
    """input gradient, parameter gradients, manifest of a dump."""
    out = folder / "ours"
    shutil.rmtree(out, ignore_errors=True)
    cnnscope("dump", model_json, image, "--grad", "--params", "--class", 0, "-o", out, *options)
    manifest = json.loads((out / "manifest.json").read_text())
    parameters = {name: np.load(out / "parameters" / f"{name}.npy") for name in manifest["parameters"]}
    winners = {name: np.load(out / "winners" / f"{name}.npy") for name in manifest["winners"]}
    return np.load(out / "gradients" / "input.npy"), parameters, manifest, winners


def save_gates(found, folder):
    shutil.rmtree(folder, ignore_errors=True)
    for kind in ("gates", "winners"):
        (folder / kind).mkdir(parents=True)
        for name, array in found[kind].items():
            np.save(folder / kind / f"{name}.npy", array)


def error(got, want):
    return largest(got.astype("f8") - want) / max(largest(want), 1e-300)


def worst_parameter(got, want):
    assert got.keys() == want.keys()
    return max((error(got[name], want[name]), name) for name in want)


def compare_image(model_json, image, training, folder, bounds, options, what):
    mode = ["--training"] if training else []
    model, manifest = dump_torch.build(model_json, dtype=torch.float64, training=training)
    seed = dump_torch.target_seed("logit", 0)
    x = dump_torch.load_input(image, manifest).double()
    torch64 = dump_torch.record(model, x, seed)
    want, want_parameters = torch64["gradients"]["input"], torch64["parameters"]
    save_gates(torch64, folder / "gates")
    given = ["--gates", folder / "gates"]

    imposed = ours(model_json, image, folder, "--dtype", "f64", *mode, *given, *options)
    bounds.check(f"{what}, f64, PyTorch's winners: input", error(imposed[0], want), EXACT)
    bounds.check(f"{what}, f64, PyTorch's winners: parameters", *swap(worst_parameter(imposed[1], want_parameters), EXACT))
    own = ours(model_json, image, folder, "--dtype", "f64", *mode, *options)
    ties = own[2]["pool_ties"]
    flips = sum(int((own[3][n] != torch64["winners"][n]).sum()) for n in own[3])
    bound = EXACT if flips == 0 else np.inf
    bounds.check(f"{what}, f64, own winners ({'no ties' if ties == 0 else 'ties'}): input", error(own[0], want), bound)
    bounds.check(f"{what}, f64, own winners ({'no ties' if ties == 0 else 'ties'}): parameters",
                 *swap(worst_parameter(own[1], want_parameters), bound))

    narrow = ours(model_json, image, folder, "--dtype", "f32", *mode, *given, *options)
    model32, _ = dump_torch.build(model_json, dtype=torch.float32, training=training)
    torch32 = dump_torch.record(model32, x.float(), seed, torch64["gates"], torch64["winners"])
    theirs = error(torch32["gradients"]["input"], want)
    theirs_worst = worst_parameter(torch32["parameters"], want_parameters)
    mine, mine_worst = error(narrow[0], imposed[0]), worst_parameter(narrow[1], imposed[1])
    bounds.check(f"{what}, f32 given f64's gates: input", mine, INPUT32)
    bounds.check(f"{what}, f32 given f64's gates: parameters", *swap(mine_worst, PARAMETERS32))
    bounds.check(f"{what}, PyTorch f32 given f64's gates: input", theirs, np.inf)
    bounds.check(f"{what}, PyTorch f32 given f64's gates: parameters", *swap(theirs_worst, np.inf))
    bounds.check(f"{what}, f32 of one image: input, times PyTorch's error", mine / theirs, np.inf)
    bounds.check(f"{what}, f32 of one image: parameters, times PyTorch's error", mine_worst[0] / theirs_worst[0], np.inf)
    return ties, flips, len(want_parameters)


def swap(worst, bound):
    return worst[0], bound, worst[1]


def main():
    arguments = sys.argv[1:]
    options = []
    if "--engine" in arguments:
        at = arguments.index("--engine")
        options, arguments = arguments[at:at + 2], arguments[:at] + arguments[at + 2:]
    data, count = pathlib.Path(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 4
    folder = work_folder()
    torch.set_num_threads(1)
    model_json, _ = converted(data, folder)
    cnnscope("convert", data / "cifar-resnets" / "resnet20-12fca82f.th", "-o", folder / "resnet20")
    networks = [("resnet50", model_json, xrays(data, count)),
                ("resnet20", folder / "resnet20.json", sorted((data / "cifar10-sample" / "png").glob("*.png"))[:count])]
    bounds = Bounds()
    for name, path, images in networks:
        for training in (False, True):
            what = f"{name}, {'training' if training else 'inference'}"
            rows = [compare_image(path, image, training, folder, bounds, options, what) for image in images]
            for part in ("input", "parameters"):
                figures = [bounds.worst[f"{what}, {who} given f64's gates: {part}"][0] for who in ("f32", "PyTorch f32")]
                bounds.check(f"{what}, f32, the worst image: {part}, times PyTorch's worst", figures[0] / figures[1], 2)
            print(f"{what}: {len(images)} images, {rows[0][2]} parameter tensors; pool windows tied at a value that is not 0: "
                  f"{[r[0] for r in rows]}, winners unlike PyTorch's: {[r[1] for r in rows]}", flush=True)
    for what, (value, where, bound) in bounds.worst.items():
        print(f"{what}: {value:.3g}{f' (bound {bound:.3g})' if np.isfinite(bound) else ''} {where}")
    print("\n".join(bounds.broken) or "all within the bounds")
    sys.exit(1 if bounds.broken else 0)


main()
