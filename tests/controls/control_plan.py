"""Which control networks there are, and which images each one gets: what training and diagnosis share."""
import re

PLANTS = ["corner-tag", "border-text", "side-marker", "device"]
SIZE, MEAN, STD = 96, 0.45, 0.27


def plan(seeds):
    """(name, plant, prevalence, classes) of every control network, by seed: four plants twice, and two clean ones."""
    for seed in range(seeds):
        for prevalence in (100, 50):
            for plant in PLANTS:
                yield f"{plant}-{prevalence}-{seed}", plant, prevalence, "positives"
        for half in range(2):
            yield f"clean-{2 * seed + half}", "none", 0, "positives"


def budget(name):
    """Images, epochs and size: a plant on every image of a class is soon learnt; the demo's two have the most."""
    return (1000, 10, 128) if name.startswith("twin") else (400, 6, SIZE) if "-100-" in name else (700, 6, SIZE)


def number_of(name):
    """A number of its own for each network: seeds of its images follow from it."""
    kind, seed = re.match(r"(.*)-(\d+)$", name).groups()
    kinds = ["clean", "twin-tag", "twin-clean"] + [f"{p}-{v}" for p in PLANTS for v in (100, 50)]
    return kinds.index(kind) * 100 + int(seed) + 1
