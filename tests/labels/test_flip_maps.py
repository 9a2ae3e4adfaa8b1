"""The maps are those of their papers, written out here by other means."""

import numpy as np
import pytest

from jaxnoise.config import InputError
from jaxnoise.labels import flip_maps

MNIST = {1: 7, 2: 3, 3: 2, 4: 9, 5: 6, 6: 5, 7: 1, 9: 4}
PATRINI_MNIST = {2: 7, 3: 8, 5: 6, 6: 5, 7: 1}
CIFAR10 = {2: 0, 3: 5, 4: 7, 5: 3, 9: 1}

# The superclass of each fine class of CIFAR-100, as in the `coarse_label` of its files.
COARSE = [
    4, 1, 14, 8, 0, 6, 7, 7, 18, 3, 3, 14, 9, 18, 7, 11, 3, 9, 7, 11,
    6, 11, 5, 10, 7, 6, 13, 15, 3, 15, 0, 11, 1, 10, 12, 14, 16, 9, 11, 5,
    5, 19, 8, 8, 15, 13, 14, 17, 18, 10, 16, 4, 17, 4, 2, 0, 17, 4, 18, 17,
    10, 3, 2, 12, 12, 16, 12, 1, 9, 19, 2, 10, 0, 1, 16, 12, 9, 13, 15, 13,
    16, 19, 2, 4, 6, 19, 5, 5, 8, 19, 18, 1, 2, 15, 6, 0, 17, 8, 14, 13,
]  # fmt: skip


def test_maps_are_the_papers():
    assert flip_maps.FLIP_MAPS["paper"] == {
        "mnist": MNIST,
        "digits": MNIST,
        "fashion_mnist": {9: 7, 7: 5, 2: 6, 4: 3, 3: 4},
        "cifar10": CIFAR10,
        "cifar100": {i: i - 4 if i % 5 == 4 else i + 1 for i in range(100)},
    }
    patrini = dict(flip_maps.FLIP_MAPS["patrini"])
    assert patrini.pop("cifar100") == flip_maps.FLIP_MAPS["superclass"]["cifar100"]
    assert patrini == {"mnist": PATRINI_MNIST, "digits": PATRINI_MNIST, "cifar10": CIFAR10}


def test_superclasses_are_cycles_of_the_five_with_one_coarse_label():
    flips, expected = flip_maps.FLIP_MAPS["superclass"]["cifar100"], {}
    for coarse in range(20):
        members = [fine for fine, label in enumerate(COARSE) if label == coarse]
        assert len(members) == 5
        expected |= dict(zip(members, np.roll(members, -1).tolist(), strict=True))
    assert flips == expected


@pytest.mark.parametrize(
    ("name", "allowed"), [("superclass", "cifar100"), ("patrini", "cifar10, cifar100, digits")]
)
def test_unknown_map_is_refused(name, allowed):
    with pytest.raises(InputError) as refusal:
        flip_maps.flip_map(name, "fashion_mnist")
    assert str(refusal.value).startswith(
        f"--flip_map={name}: not defined for --dataset=fashion_mnist; allowed are the data sets "
        f"{allowed}"
    )
