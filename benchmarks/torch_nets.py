"""The nets of the literature in PyTorch, written independently: to test and to time against.

Modules have the names of the published code (github.com/kuangliu/pytorch-cifar and others), so that
`state` fits published checkpoints too.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def conv(c_in: int, c_out: int, size: int = 3, stride: int = 1, bias: bool = False) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, size, stride, padding=size // 2, bias=bias)


class Basic(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.conv1, self.bn1 = conv(c_in, c_out, stride=stride), nn.BatchNorm2d(c_out)
        self.conv2, self.bn2 = conv(c_out, c_out), nn.BatchNorm2d(c_out)
        self.shortcut = nn.Sequential()
        if stride != 1 or c_in != c_out:
            self.shortcut = nn.Sequential(conv(c_in, c_out, 1, stride), nn.BatchNorm2d(c_out))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)), inplace=True)))
        return F.relu(y + self.shortcut(x), inplace=True)


class PreAct(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(c_in), conv(c_in, c_out, stride=stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(c_out), conv(c_out, c_out)
        if stride != 1 or c_in != c_out:
            self.shortcut = nn.Sequential(conv(c_in, c_out, 1, stride))

    def forward(self, x):
        a = F.relu(self.bn1(x))
        kept = self.shortcut(a) if hasattr(self, "shortcut") else x
        return kept + self.conv2(F.relu(self.bn2(self.conv1(a)), inplace=True))


class Residual(nn.Module):
    def __init__(self, block, blocks, widths, *, stem_bn: bool, last_bn: bool):
        super().__init__()
        self.conv1 = conv(3, widths[0])
        self.bn1 = nn.BatchNorm2d(widths[0]) if stem_bn else None
        self.stages = len(blocks)
        for stage, count in enumerate(blocks):
            c_in, c_out = widths[stage], widths[stage + 1]
            made = [
                block(c_out if i else c_in, c_out, 2 if stage and not i else 1)
                for i in range(count)
            ]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
        self.bn = nn.BatchNorm2d(widths[-1]) if last_bn else None
        self.linear = nn.Linear(widths[-1], 10)

    def forward(self, x):
        x = self.conv1(x)
        if self.bn1 is not None:
            x = F.relu(self.bn1(x), inplace=True)
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        if self.bn is not None:
            x = F.relu(self.bn(x), inplace=True)
        return self.linear(x.mean(dim=(2, 3)))


class Plain(nn.Module):
    """The eight layers of SCE and APL; convolutions and the first dense layer have biases."""

    def __init__(self):
        super().__init__()
        widths = (3, 64, 64, 128, 128, 196, 196)
        for i in range(1, 7):
            setattr(self, f"conv{i}", conv(widths[i - 1], widths[i], bias=True))
            setattr(self, f"bn{i}", nn.BatchNorm2d(widths[i]))
        self.dense1, self.bn7, self.dense2 = (
            nn.Linear(196 * 16, 256), nn.BatchNorm1d(256), nn.Linear(256, 10)
        )  # fmt: skip

    def forward(self, x):
        for i in range(1, 7):
            x = F.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)), inplace=True)
            if i % 2 == 0:
                x = F.max_pool2d(x, 2)
        return self.dense2(F.relu(self.bn7(self.dense1(x.flatten(1)))))


STAGES = (64, 64, 128, 256, 512)
NETS = {
    "cnn8": Plain,
    "resnet18": lambda: Residual(Basic, (2, 2, 2, 2), STAGES, stem_bn=True, last_bn=False),
    "resnet34": lambda: Residual(Basic, (3, 4, 6, 3), STAGES, stem_bn=True, last_bn=False),
    "preact_resnet18": lambda: Residual(PreAct, (2, 2, 2, 2), STAGES, stem_bn=False, last_bn=False),
    "wrn28_10": lambda: Residual(
        PreAct, (4, 4, 4), (16, 160, 320, 640), stem_bn=False, last_bn=True
    ),
}


def name(path: tuple[str, ...], preact: bool) -> str:
    """The name in PyTorch of a parameter or variable of jaxnoise, given by its path."""
    *modules, leaf = path
    kinds = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
    parts = []
    for module in modules:
        if module.startswith("layer"):
            stage, number = module.split("_")
            parts += [stage, str(int(number) - 1)]
        elif module == "shortcut":
            parts += ["shortcut", "0"]
        elif module != "bn":
            parts.append(module)
        elif not parts:
            parts = ["bn"]
        elif parts[-2:-1] == ["shortcut"]:
            parts[-1] = "1"
        elif parts[-1].isdigit():  # of a residual block, before its convolutions
            parts.append("bn1")
        else:  # bnN is after convN; in blocks with pre-activation it is before it
            before = {"dense1": 6}.get(parts[-1]) or int(parts[-1].removeprefix("conv")) - 1
            parts[-1] = f"bn{before + 1 + (preact and len(parts) > 1)}"
    return ".".join([*parts, kinds.get(leaf, leaf)])


def axes(array: np.ndarray) -> np.ndarray:
    """A kernel of jaxnoise with the axes of PyTorch; other arrays have the same ones."""
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def state(tree: dict, preact: bool, path: tuple[str, ...] = ()) -> dict[str, torch.Tensor]:
    """The parameters or variables of a net of jaxnoise, nested dicts, as a PyTorch state dict."""
    found = {}
    for key, value in tree.items():
        where = (*path, key)
        if isinstance(value, dict):
            found |= state(value, preact, where)
        else:
            found[name(where, preact)] = torch.from_numpy(axes(np.asarray(value)).copy())
    return found
