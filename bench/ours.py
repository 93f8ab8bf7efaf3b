"""ours.py - cnnscope for the comparisons: the models it makes, its weights for PyTorch, and its benchmark program kept warm."""
import json
import os
import pathlib
import subprocess

import numpy as np


class Build:
    """The programs of one build folder, and a folder for what they make."""

    def __init__(self, build, folder):
        self.program, self.bench = pathlib.Path(build) / "cnnscope", pathlib.Path(build) / "bench_cnnscope"
        self.folder = pathlib.Path(folder)

    def convert(self, checkpoint, name, *arguments):
        subprocess.run([self.program, "convert", checkpoint, "-o", self.folder / name, "--force", "--quiet", *arguments], check=True)
        return self.folder / f"{name}.json"

    def init(self, arch, name=None, classes=2):
        name = name or arch
        subprocess.run([self.program, "init", "--arch", arch, "--classes", str(classes), "--seed", "1", "-o", self.folder / name,
                        "--force", "--quiet"], check=True)
        return self.folder / f"{name}.json"

    def peak(self, threads):
        return Served([self.bench, "peak", "--threads", str(threads), "--serve"], False)

    def serve(self, model, x, threads, work="forward", kernel="auto", isa="auto"):
        path = self.folder / f"input-{'x'.join(map(str, x.shape))}.npy"
        if not path.exists():
            np.save(path, np.ascontiguousarray(x, dtype=np.float32))
        return Served([self.bench, model, path, "--threads", str(threads), "--work", work, "--isa", isa, "--serve"], True, kernel)

    def lines(self, model, x, threads, rounds, kernel="auto", *arguments):
        """What the program prints when it is not served: one JSON line, or one a step more with --layers."""
        path = self.folder / "lines.npy"
        np.save(path, np.ascontiguousarray(x, dtype=np.float32))
        out = subprocess.run([self.bench, model, path, "--threads", str(threads), "--rounds", str(rounds), *arguments], check=True,
                             capture_output=True, text=True, env={**os.environ, "CNNSCOPE_KERNEL": kernel}).stdout
        return [json.loads(line) for line in out.splitlines()]


class Served:
    """The benchmark program, prepared and waiting; a call is one round and returns its own seconds (or the peak's GFLOP/s)."""

    def __init__(self, arguments, has_output, kernel="auto"):
        self.process = subprocess.Popen([str(a) for a in arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env={**os.environ, "CNNSCOPE_KERNEL": kernel})
        self.output = np.array([float(v) for v in self.process.stdout.readline().split()]) if has_output else None

    def __call__(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def state_dict(model):
    """The weights of a model NAME.json + NAME.bin as PyTorch tensors (docs/formats.md)."""
    import torch

    manifest = json.loads(pathlib.Path(model).read_text())
    data = pathlib.Path(model).with_suffix(".bin").read_bytes()
    values = {}
    for tensor in manifest["tensors"]:
        array = np.frombuffer(data, "<f4", tensor["nbytes"] // 4, tensor["offset"]).reshape(tensor["shape"])
        values[tensor["name"]] = torch.from_numpy(array.copy())
    return values
