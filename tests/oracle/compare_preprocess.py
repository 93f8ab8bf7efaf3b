#!/usr/bin/env python3
"""Input tensors of photos and of odd sizes against Pillow + torchvision, byte for byte.

    python3 tests/oracle/compare_preprocess.py DATA
"""
from common import *


def compare(model_json, folder, path, label):
    out = folder / "dump"
    shutil.rmtree(out, ignore_errors=True)
    cnnscope("dump", model_json, path, "--nodes", "fc", "-o", out)
    got = np.load(out / "input.npy")
    want = preprocess(path).numpy()
    different = int((got.view(np.uint32) != want.view(np.uint32)).sum())
    print(f"{label}: {different} of {got.size} values differ in bits"
          + (f"; at most {largest(got - want):.3g} (in 8-bit steps {largest((got - want) * np.array(STD).reshape(1, 3, 1, 1) * 255):.2f})"
             if different else ""))


def main(data):
    folder = work_folder()
    cnnscope("init", "--arch", "resnet50", "--classes", "2", "--seed", "1", "-o", folder / "m")
    for path in sorted((data / "photos").glob("*")):
        compare(folder / "m.json", folder, path, path.name)
    for path in xrays(data, 4):
        compare(folder / "m.json", folder, path, path.name)
    rng = np.random.default_rng(1)
    for width, height in ((1, 1), (1, 5000), (5000, 1), (3, 224), (224, 3), (224, 224), (4000, 3000), (31, 17), (223, 225)):
        for mode in ("RGB", "L", "LA", "RGBA", "P"):
            noise = Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), "RGB")
            image = noise.convert("RGBA") if mode in ("RGBA", "LA") else noise
            image = image.quantize(64) if mode == "P" else image.convert(mode)
            path = folder / f"noise-{width}x{height}-{mode}.png"
            image.save(path)
            compare(folder / "m.json", folder, path, path.name)


main(pathlib.Path(sys.argv[1]))
