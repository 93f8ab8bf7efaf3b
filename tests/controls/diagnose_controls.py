#!/usr/bin/env python3
"""Diagnoses the control networks and tabulates what was found.

    diagnose_controls.py NETS OUT --build build [--only PATTERN]

NETS is what train_controls.py wrote. For each network: images that it never saw, with the plant as in training, and the
same images without it; `cnnscope diagnose` with the lungs' masks as region of interest (OUT/<name>.json keeps its flags,
so that a network is diagnosed once). Then, from all of them: OUT/controls.csv, a row a network, and OUT/controls.md.
Needs NumPy and Pillow.
"""
import argparse
import csv
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

import numpy as np
from PIL import Image

from control_plan import MEAN, SIZE, STD, number_of, plan

COUNT, SEEDS, FRESH = 100, 15, 10  # from seed FRESH on: trained after every rule was fixed
LEAST_RISE = 0.5  # of the healthy images called ill by the plant: below it the network has ignored its plant
PATTERNS = ["corner", "border", "side", "roi", "uniform"]
OF_PLANT = {"corner-tag": "corner", "border-text": "border", "side-marker": "side", "device": "roi"}
HEAD = ["network", "plant", "prevalence", "accuracy", "accuracy_without", "healthy_called", "healthy_called_with_plant",
        "confounder_sensitivity", "plant_in_hottest", "plant_area", "ncc", "ncc_image"]
PER_PATTERN = ["verdict", "score", "map_score", "counter_score", "prevalence"]


def run(*words):
    result = subprocess.run([str(w) for w in words], capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}\nended with {result.returncode}: {result.stdout}{result.stderr}")


def draw(build, folder, seed, plant, prevalence, classes="positives"):
    """(file, class, plant) of each image."""
    run(f"{build}/make_radiographs", folder, COUNT, seed, plant, prevalence, classes, SIZE)
    with open(f"{folder}/labels.csv") as f:
        return [(r["file"].replace("images/", "", 1), r["class"], r["plant"]) for r in csv.DictReader(f)]


def read(folder, file):
    return np.asarray(Image.open(f"{folder}/images/{file}").convert("L")).astype(np.float64)


def enlarged(m, size):
    """Bilinear, half-pixel centres, edges repeated."""
    at = np.clip((np.arange(size) + 0.5) * m.shape[0] / size - 0.5, 0, m.shape[0] - 1)
    low = np.minimum(at.astype(int), m.shape[0] - 2)
    part = at - low
    rows = m[low] * (1 - part)[:, None] + m[low + 1] * part[:, None]
    return rows[:, low] * (1 - part) + rows[:, low + 1] * part


def correlation(a, b):
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a * a).sum() * (b * b).sum())
    return float((a * b).sum() / norm) if norm > 0 else float("nan")


def explain(build, model, folder):
    """OPACITY's map of each image and whether the image is called OPACITY, by file."""
    run(f"{build}/cnnscope", "diagnose", f"{model}.json", f"{folder}/images", "-o", f"{folder}/maps", "--class",
        "OPACITY", "--no-counterfactuals", "--quiet")
    with open(f"{folder}/maps/diagnosis.csv") as f:
        rows = list(csv.DictReader(f))
    maps = np.load(f"{folder}/maps/cams.npy").astype(np.float64)
    return ({r["file"]: m for r, m in zip(rows, maps)},
            {r["file"]: r["predicted_name"] == "OPACITY" for r in rows})


def accuracy(called, rows):
    return float(np.mean([called[file] == (kind == "OPACITY") for file, kind, _ in rows]))


def healthy_called(called, rows):
    return float(np.mean([called[file] for file, kind, _ in rows if kind == "NORMAL"]))


def compare_maps(folder, rows, with_plant, without):
    """Of the images that bear the plant: how the map of the class meets it, and differs from the map without it."""
    hit, covered, area, ncc, ncc_image = [], [], [], [], []
    for file, _, plant in rows:
        a, b = with_plant[file], without[file]
        if plant == "none" or not a.max() > 0:
            continue
        image, bare = read(f"{folder}/with", file), read(f"{folder}/without", file)
        planted = image != bare
        heat = enlarged(a, SIZE).ravel()
        hottest = np.zeros(heat.size, bool)
        hottest[np.argsort(-heat, kind="stable")[:heat.size // 10]] = True
        both = (hottest & planted.ravel()).sum()
        hit.append(both / hottest.sum())
        covered.append(both / planted.sum())
        area.append(planted.mean())
        ncc.append(correlation(a, b))
        ncc_image.append(correlation(image, bare))
    return [float(np.nanmean(v)) if v else float("nan") for v in (hit, covered, area, ncc, ncc_image)]


def measure(build, folder, model, seed, plant, rows):
    """What the network does with and without the plant, and its maps."""
    draw(build, f"{folder}/without", seed, "none", 0)
    maps, called = explain(build, model, f"{folder}/with")
    bare_maps, bare_called = explain(build, model, f"{folder}/without")
    measured = {"accuracy": accuracy(called, rows), "accuracy_without": accuracy(bare_called, rows),
                "healthy_called": healthy_called(bare_called, rows)}
    values = [float("nan")] * 5
    if plant != "none":
        both = draw(build, f"{folder}/both", seed, plant, 100, "both")
        measured["healthy_called_with_plant"] = healthy_called(explain(build, model, f"{folder}/both")[1], both)
        values = compare_maps(folder, rows, maps, bare_maps)
    measured.update(zip(HEAD[-5:], values))
    return measured


def diagnose(args, network):
    name, plant, prevalence, _ = network
    folder = tempfile.mkdtemp()
    model, seed = f"{folder}/{name}", number_of(name) * 1000000 + 700000
    run(f"{args.build}/cnnscope", "convert", f"{args.nets}/{name}.pth", "-o", model, "--classes", "NORMAL,OPACITY",
        "--size", SIZE, "--mean", MEAN, "--std", STD)
    rows = draw(args.build, f"{folder}/with", seed, plant, prevalence)
    run(f"{args.build}/cnnscope", "diagnose", f"{model}.json", f"{folder}/with/images", "--roi", f"{folder}/with/masks",
        "-o", f"{folder}/found", "--quiet")
    record = {"network": name, "plant": plant, "prevalence": prevalence}
    record.update(measure(args.build, folder, model, seed, plant, rows))
    with open(f"{folder}/found/diagnosis.json") as f:
        found = json.load(f)
    record["flags"], record["thresholds"] = found["flags"], found["nulls"]["thresholds"]
    with open(f"{args.out}/{name}.json", "w") as f:
        json.dump(record, f)
    if args.keep:
        shutil.rmtree(f"{args.keep}/{name}", ignore_errors=True)
        shutil.move(f"{folder}/found", f"{args.keep}/{name}")
    shutil.rmtree(folder)


def strongest(record, pattern):
    """A pattern's flag of the class with the largest score."""
    rank = {"undetermined": 0, "none": 1, "map only": 2, "supported": 3}
    flags = [f for f in record["flags"] if f["pattern"] == pattern]
    return max(flags, key=lambda f: (rank[f["verdict"]], f["score"]), default=None)


def scores(record, pattern):
    """The largest of each kind over the classes; verdict of the strongest flag."""
    flags = [f for f in record["flags"] if f["pattern"] == pattern]
    best = strongest(record, pattern)
    if not best:
        return ["", 0.0, 0.0, 0.0, 0.0]
    top = lambda key: max((f[key] or 0.0) for f in flags)
    return [best["verdict"], top("score"), top("map_score"), top("counterfactual_score"), best["prevalence"] or 0.0]


def area_under_roc(planted, clean):
    planted, clean = np.asarray(planted)[:, None], np.asarray(clean)[None, :]
    return float((planted > clean).mean() + 0.5 * (planted == clean).mean())


def row_of(record):
    row = []
    for key in HEAD:
        value = record.get(key, float("nan"))
        row.append("" if value != value else f"{value:.4f}" if isinstance(value, float) else str(value))
    for p in PATTERNS:
        verdict, *numbers = scores(record, p)
        row += [verdict] + [f"{v:.4f}" for v in numbers]
    return row


def number(text):
    return float(text) if text else float("nan")


def rise_of(row):
    return number(row["healthy_called_with_plant"]) - number(row["healthy_called"])


def summary(rows):
    """The table of controls.md: a line a plant and prevalence, of the networks that read their plant."""
    head = HEAD + [f"{p}_{k}" for p in PATTERNS for k in PER_PATTERN]
    table = [dict(zip(head, r)) for r in rows]
    clean = [r for r in table if r["plant"] == "none"]
    lines = ["| plant | prevalence | flag | networks that read it | accuracy, without the plant | healthy called ill by the plant | "
             "supported | map only | AUC | AUC, map alone | AUC, changes alone | AUC, fresh seeds | "
             "confounder sensitivity | plant in the hottest tenth | NCC of maps |",
             "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for plant, p in OF_PLANT.items():
        for prevalence in ("100", "50"):
            trained = [r for r in table if r["plant"] == plant and r["prevalence"] == prevalence]
            own = [r for r in trained if rise_of(r) >= LEAST_RISE]
            if not own or not clean:
                continue
            mean = lambda key: float(np.mean([number(r[key]) for r in own]))
            auc = lambda key, few=own, none=clean: area_under_roc([float(r[f"{p}_{key}"]) for r in few],
                                                                  [float(r[f"{p}_{key}"]) for r in none])
            later = [r for r in own if int(r["network"].rsplit("-", 1)[1]) >= FRESH]
            later_clean = [r for r in clean if int(r["network"].rsplit("-", 1)[1]) >= 2 * FRESH]
            rest = f"{auc('score', later, later_clean):.3f}" if later and later_clean else ""
            count = lambda verdict: sum(r[f"{p}_verdict"] == verdict for r in own)
            rise = float(np.mean([rise_of(r) for r in own]))
            lines.append(f"| {plant} | {prevalence} % | {p} | {len(own)} of {len(trained)} | {mean('accuracy'):.3f}, "
                         f"{mean('accuracy_without'):.3f} | +{rise:.2f} | {count('supported')} | {count('map only')} | "
                         f"{auc('score'):.3f} | {auc('map_score'):.3f} | {auc('counter_score'):.3f} | {rest} | "
                         f"{mean('confounder_sensitivity'):.3f} | {mean('plant_in_hottest'):.3f} | {mean('ncc'):.3f} |")
    lines += ["", f"Clean networks ({len(clean)}, mean accuracy {np.mean([float(r['accuracy']) for r in clean] or [0]):.3f}): "
              "supported, map only, by flag:", ""]
    lines += ["| flag | supported | map only | largest score |", "|---|---|---|---|"]
    for p in PATTERNS:
        count = lambda verdict: sum(r[f"{p}_verdict"] == verdict for r in clean)
        largest = max([float(r[f"{p}_score"]) for r in clean], default=0.0)
        lines.append(f"| {p} | {count('supported')} | {count('map only')} | {largest:.3f} |")
    return lines


def tabulate(out):
    records = []
    for file in sorted(os.listdir(out)):
        if file.endswith(".json"):
            with open(f"{out}/{file}") as f:
                records.append(json.load(f))
    kinds = list(OF_PLANT) + ["none"]
    records.sort(key=lambda r: (kinds.index(r["plant"]), -r["prevalence"], int(r["network"].rsplit("-", 1)[1])))
    rows = [row_of(r) for r in records]
    with open(f"{out}/controls.csv", "w", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow(HEAD + [f"{p}_{k}" for p in PATTERNS for k in PER_PATTERN])
        writer.writerows(rows)
    lines = summary(rows)
    with open(f"{out}/controls.md", "w") as f:
        f.write("\n".join(lines) + "\n")
    print("\n".join(lines))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("nets")
    parser.add_argument("out")
    parser.add_argument("--build", default="build")
    parser.add_argument("--only", default=".*", help="names of networks")
    parser.add_argument("--again", action="store_true", help="diagnose also those that were")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no other network after this time")
    parser.add_argument("--keep", help="a folder for the whole diagnoses")
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    if args.keep:
        os.makedirs(args.keep, exist_ok=True)
    end = time.monotonic() + args.seconds
    for network in plan(SEEDS):
        name = network[0]
        if time.monotonic() > end:
            break
        if not re.fullmatch(args.only, name) or not os.path.exists(f"{args.nets}/{name}.pth"):
            continue
        if args.again or not os.path.exists(f"{args.out}/{name}.json"):
            diagnose(args, network)
            print(name, flush=True)
    tabulate(args.out)


if __name__ == "__main__":
    main()
