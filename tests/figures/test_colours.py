"""Colours belong to methods."""

import itertools

import pytest

from jaxnoise.config import LOSSES, METHODS
from jaxnoise.figures import colours
from jaxnoise.figures.colours import BLACK, kind_of, methods


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("no_reg", ""),
        ("paper", ""),
        ("wd_0.0001_sn-a9258f21", "wd sn"),
        ("allcnn_gce_q_0.5_wd_decoupled_0.0001-1a4c9354", "gce wd"),
        ("nce_rce", "nce_rce"),
        ("sce_log_zero_-4_entropy_1", "sce entropy"),
        ("gce_truncation_start_epoch_10_every_5-39194d05", "gce truncation"),
        ("forward_estimated-00000000", "forward estimated"),
        ("sn_exact_cap_0.5_iterations_2", "sn"),
        ("early_stopping", "early_stopping"),
    ],
)
def test_kinds_of_methods_are_read_from_names(name, kind):
    assert kind_of(name) == kind


def test_every_loss_and_method_is_a_kind():
    names = {*LOSSES, *METHODS} - {"ce"}
    assert [kind_of(name) for name in names] == list(names)


def test_a_method_looks_the_same_whatever_stands_beside_it():
    names = ["wd_0.0001", "no_reg", "jacob_0.001", "gce_elr_wd_1"]
    for order in itertools.permutations(names):
        looks = dict(zip(order, methods(order, order), strict=True))
        assert looks == dict(zip(names, methods(names, names), strict=True))
    assert methods(["plain"], ["no_reg"])[0] == ("plain", BLACK, "-", "o")


def test_black_is_the_baseline_alone():
    assert [kind for kind, (colour, *_) in colours._METHODS.items() if colour == BLACK] == [""]
    assert BLACK not in colours._COLOURS


def test_methods_that_share_a_colour_have_other_lines():
    names = ["wd_0.1", "wd_0.01", "wd_0.001", "no_reg", "no_reg"]
    looks = methods(names, names)
    assert {look.colour for look in looks[:3]} == {colours.BLUE}
    assert len({(look.colour, look.style) for look in looks}) == 5
    assert len({(look.colour, look.marker) for look in looks}) == 5  # single points have no line
    names = [f"wd_{i}" for i in range(28)]
    assert len({look[1:] for look in methods(names, names)}) == 28
    table = [look[:2] for look in colours._METHODS.values()]
    assert len(set(table)) == len(table)
