"""Flip maps for `flip_noise`: source class → target class, by name and data set."""

from jaxnoise.config import InputError

# CIFAR-100's superclasses, one per line; fine classes are numbered alphabetically. Source:
# Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009).
_SUPERCLASSES = """
    beaver dolphin otter seal whale
    aquarium_fish flatfish ray shark trout
    orchid poppy rose sunflower tulip
    bottle bowl can cup plate
    apple mushroom orange pear sweet_pepper
    clock keyboard lamp telephone television
    bed chair couch table wardrobe
    bee beetle butterfly caterpillar cockroach
    bear leopard lion tiger wolf
    bridge castle house road skyscraper
    cloud forest mountain plain sea
    camel cattle chimpanzee elephant kangaroo
    fox porcupine possum raccoon skunk
    crab lobster snail spider worm
    baby boy girl man woman
    crocodile dinosaur lizard snake turtle
    hamster mouse rabbit shrew squirrel
    maple_tree oak_tree palm_tree pine_tree willow_tree
    bicycle bus motorcycle pickup_truck train
    lawn_mower rocket streetcar tank tractor
"""


def _to_the_next_of_its_superclass() -> dict[int, int]:
    number = {name: i for i, name in enumerate(sorted(_SUPERCLASSES.split()))}
    flips = {}
    for line in _SUPERCLASSES.split("\n"):
        members = [number[name] for name in line.split()]
        flips |= dict(zip(members, members[1:] + members[:1], strict=True))
    return dict(sorted(flips.items()))


_PAPER_MNIST = {1: 7, 2: 3, 3: 2, 4: 9, 5: 6, 6: 5, 7: 1, 9: 4}
_PATRINI_MNIST = {2: 7, 3: 8, 5: 6, 6: 5, 7: 1}
# bird → airplane, cat ↔ dog, deer → horse, truck → automobile
_PATRINI_CIFAR10 = {2: 0, 3: 5, 4: 7, 5: 3, 9: 1}
_SUPERCLASS = _to_the_next_of_its_superclass()

FLIP_MAPS: dict[str, dict[str, dict[int, int]]] = {
    # Bar et al. 2022 (https://proceedings.mlr.press/v151/bar22a). They do not use Fashion-MNIST;
    # its map is that of Zhang and Sabuncu 2018 (https://arxiv.org/abs/1805.07836).
    "paper": {
        "mnist": _PAPER_MNIST,
        "digits": _PAPER_MNIST,
        "cifar10": _PATRINI_CIFAR10,
        # Each class → the next one in its block of five numbers, the fifth → the first.
        "cifar100": {i: i // 5 * 5 + (i + 1) % 5 for i in range(100)},
        # ankle boot → sneaker, sneaker → sandal, pullover → shirt, coat ↔ dress
        "fashion_mnist": {9: 7, 7: 5, 2: 6, 4: 3, 3: 4},
    },
    # Patrini et al. 2017 (https://arxiv.org/abs/1609.03683), section 5.
    "patrini": {
        "mnist": _PATRINI_MNIST,
        "digits": _PATRINI_MNIST,
        "cifar10": _PATRINI_CIFAR10,
        "cifar100": _SUPERCLASS,
    },
    "superclass": {"cifar100": _SUPERCLASS},
}


def flip_map(name: str, dataset: str) -> dict[int, int]:
    """Returns the named map for a data set; raises InputError if there is none."""
    known = FLIP_MAPS[name]
    if dataset not in known:
        raise InputError(
            f"--flip_map={name}: not defined for --dataset={dataset}; allowed are the data sets "
            f"{', '.join(sorted(known))}, or --flip_map=pair for any data set"
        )
    return known[dataset]
