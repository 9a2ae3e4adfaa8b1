"""PyTorch's side of benchmarks/throughput.py: LeNet, AllCNN or ResNet-18 trained in eager mode.

    python benchmarks/torch_baseline.py --net=lenet --seconds=5 --threads=1

prints one JSON line. Nets, batch and optimizers are those of jaxnoise, on random pictures, written
as a PyTorch user who cares about speed would write them. Every doubtful choice favours PyTorch:
pictures are in memory as normalized float32, and there is no DataLoader, no reading back of the
loss, no schedule and no evaluation.
"""

import argparse
import json
import sys
import time

import torch
import torch_nets
from throughput import BATCH
from torch import nn
from torch.nn import functional as F

CLASSES = 10
PICTURES = 512 * 32
SHAPES = {"lenet": (1, 28, 28), "allcnn": (3, 32, 32), "resnet18": (3, 32, 32)}  # C, H, W
# The faster setting (best of several, two Zen 4 cores, PyTorch 2.13.0). On two threads an AllCNN
# step takes 413 ms with channels_last and 456 ms without, a LeNet step 3.05 ms and 2.44 ms. On one
# thread AllCNN gains as much, and LeNet shows no difference.
CHANNELS_LAST = {"lenet": False, "allcnn": True, "resnet18": True}


class Block(nn.Module):
    """Linear map → batch norm → ReLU. The map has no bias: batch norm's β would absorb it."""

    def __init__(self, linear: nn.Module, width: int):
        super().__init__()
        self.linear = linear
        norm = nn.BatchNorm2d if isinstance(linear, nn.Conv2d) else nn.BatchNorm1d
        # PyTorch's momentum is one minus the decay (0.99) of the paper.
        self.norm = norm(width, eps=1e-3, momentum=0.01)
        nn.init.constant_(self.norm.bias, 0.1)

    def forward(self, x):
        return F.relu(self.norm(self.linear(x)), inplace=True)


def conv(c_in: int, c_out: int, size: int, padding: int = 0) -> Block:
    layer = nn.Conv2d(c_in, c_out, size, padding=padding, bias=False)
    # He et al. (2015) by fan-in; 0.8796 is the standard deviation of a unit normal truncated at ±2.
    std = (2 / (c_in * size * size)) ** 0.5 / 0.8796
    nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
    return Block(layer, c_out)


def dense(d_in: int, d_out: int) -> Block:
    layer = nn.Linear(d_in, d_out, bias=False)
    nn.init.xavier_uniform_(layer.weight)
    return Block(layer, d_out)


def lenet() -> nn.Module:
    """LeNet for (N, 1, 28, 28): two VALID 5×5 convolutions, three dense layers."""
    last = nn.Linear(84, CLASSES)
    nn.init.xavier_uniform_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        conv(1, 6, 5), nn.MaxPool2d(2), conv(6, 16, 5), nn.MaxPool2d(2),
        nn.Flatten(), dense(256, 120), dense(120, 84), last,
    )  # fmt: skip


def allcnn() -> nn.Module:
    """AllCNN for (N, 3, 32, 32): nine SAME convolutions, two poolings, global average."""
    return nn.Sequential(
        conv(3, 96, 3, 1), conv(96, 96, 3, 1), conv(96, 96, 3, 1), nn.MaxPool2d(2),
        conv(96, 192, 3, 1), conv(192, 192, 3, 1), conv(192, 192, 3, 1), nn.MaxPool2d(2),
        conv(192, 192, 3, 1), conv(192, 192, 3, 1), conv(192, CLASSES, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip


def make_optimizer(name: str, net: nn.Module, wd_coef: float, implementation: str):
    """Adam for AllCNN, SGD with momentum for the others; weight decay only on kernels and γ."""
    groups = [{"params": list(net.parameters())}]
    if wd_coef:
        decayed = [p for key, p in net.named_parameters() if key.endswith("weight")]
        others = [p for key, p in net.named_parameters() if key.endswith("bias")]
        groups = [{"params": decayed, "weight_decay": wd_coef}, {"params": others}]
    how = {"fused": implementation == "fused", "foreach": implementation == "foreach"}
    if name == "allcnn":
        return torch.optim.Adam(groups, lr=0.001, **how)
    return torch.optim.SGD(groups, lr=0.01, momentum=0.9, **how)


def batches(shape: tuple[int, int, int], batch_size: int, channels_last: bool):
    """Endless batches of random pictures (batch, C, H, W), a new permutation for every epoch."""
    c, h, w = shape
    # index_select returns plain row-major rows, so NHWC rows viewed as NCHW *are* channels_last, at
    # no cost; images[index] keeps the layout too, but takes 3.5 times as long.
    images = torch.rand(PICTURES, *((h, w, c) if channels_last else shape))
    labels = torch.randint(CLASSES, (PICTURES,))
    while True:
        for index in torch.randperm(PICTURES).split(batch_size):
            batch = images.index_select(0, index)
            yield batch.permute(0, 3, 1, 2) if channels_last else batch, labels[index]


def train(net, optimizer, data, seconds: float) -> tuple[int, float]:
    """Trains until `seconds` have passed; returns the steps and the seconds actually taken."""
    start, steps, elapsed = time.perf_counter(), 0, 0.0
    while elapsed < seconds:
        images, labels = next(data)
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(net(images), labels).backward()
        optimizer.step()
        steps += 1
        elapsed = time.perf_counter() - start
    return steps, elapsed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--net", choices=sorted(SHAPES), default="lenet")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--warmup_seconds", type=float, default=2)
    parser.add_argument("--threads", type=int, default=0, help="0: as many as PyTorch chooses")
    parser.add_argument("--wd_coef", type=float, default=0.0)
    parser.add_argument("--channels_last", action=argparse.BooleanOptionalAction)
    parser.add_argument(
        "--optimizer",
        choices=("fused", "foreach", "loop"),
        default="fused",
        help="fused: fastest for LeNet, a tie for AllCNN",
    )
    parser.add_argument("--compile", action="store_true", help="torch.compile instead of eager")
    parser.add_argument("--wait", action="store_true", help="print 'ready' when warm, await a line")
    args = parser.parse_args()
    channels_last = CHANNELS_LAST[args.net] if args.channels_last is None else args.channels_last
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(0)

    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = {"lenet": lenet, "allcnn": allcnn, **torch_nets.NETS}[args.net]().to(memory_format=layout)
    optimizer = make_optimizer(args.net, net, args.wd_coef, args.optimizer)
    data = batches(SHAPES[args.net], BATCH[args.net], channels_last)
    step_net = torch.compile(net) if args.compile else net

    train(step_net, optimizer, data, args.warmup_seconds)
    if args.wait:
        print("ready", flush=True)
        sys.stdin.readline()
    steps, seconds = train(step_net, optimizer, data, args.seconds)
    print(json.dumps({
        "net": args.net, "members": 1, "batch": BATCH[args.net], "threads": torch.get_num_threads(),
        "steps": steps, "seconds": seconds,
        "steps_per_second": steps / seconds, "ms_per_step": 1e3 * seconds / steps,
        "torch": torch.__version__, "channels_last": channels_last,
        "optimizer": args.optimizer, "compile": args.compile,
    }))  # fmt: skip


if __name__ == "__main__":
    main()
