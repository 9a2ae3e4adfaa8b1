"""Label noise: the noise models by name, one draw from a model, and its summary."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from jaxnoise import extending
from jaxnoise.config import Config, InputError, counted
from jaxnoise.labels import by_class, by_instance, flip_maps, matrix_file, waves
from jaxnoise.labels.by_class import CleanSamples, Draw

# A model maps the training and the validation part, and a stream of random numbers for each, to a
# draw for each.
Model = Callable[
    [CleanSamples, CleanSamples, np.random.RandomState, np.random.RandomState], tuple[Draw, Draw]
]


class NoisyLabels(NamedTuple):
    """Labels after corruption, and which were picked and changed; of N samples in K classes."""

    noisy: np.ndarray  # int32 (N,), the labels to train on
    clean: np.ndarray  # int32 (N,), the labels before corruption
    picked: np.ndarray  # bool (N,), chosen for corruption
    changed: np.ndarray  # bool (N,), noisy != clean: a picked sample may keep its label
    transition_matrix: np.ndarray | None = None  # float64 (K, K), of the noise model, if it has one

    @property
    def sha256(self) -> str:
        """SHA-256 of the noisy labels as little-endian int32, 64 hexadecimal digits."""
        return hashlib.sha256(self.noisy.astype("<i4").tobytes()).hexdigest()

    def summary(self) -> dict[str, int | float | str]:
        """The numbers of picked and changed labels, the true rate (changed / all), and the hash."""
        return {
            "picked": int(self.picked.sum()),
            "changed": int(self.changed.sum()),
            "true_rate": round(float(self.changed.mean()), 6),
            "sha256": self.sha256,
        }

    def realized_matrix(self, num_classes: int) -> np.ndarray:
        """Share of the samples of class i that are labelled j, float64 (K, K).

        The row of a class without samples is NaN.
        """
        counts = np.zeros((num_classes, num_classes))
        np.add.at(counts, (self.clean, self.noisy), 1)
        with np.errstate(invalid="ignore"):  # 0 / 0
            return counts / counts.sum(axis=1, keepdims=True)


def _by_class(draw: Callable[..., Draw], **settings: Any) -> Model:
    """A model that corrupts each part separately."""
    return lambda train, valid, rng, valid_rng: (
        draw(train, rng, **settings),
        draw(valid, valid_rng, **settings),
    )


def _flip_noise(config: Config) -> Model:
    if config.flip_map == "pair":
        return _by_class(by_class.pair_noise, rate=config.noise_rate)
    flips = flip_maps.flip_map(config.flip_map, config.dataset)
    return _by_class(by_class.flip_noise, rate=config.noise_rate, flips=flips)


def _matrix_noise(config: Config) -> Model:
    matrix = matrix_file.read_matrix(config.noise_matrix, flag="noise_matrix")
    return _by_class(by_class.matrix_noise, rate=config.noise_rate, matrix=matrix)


# The noise models by --noise_type; only human_noise, which is not drawn, is not among them.
MODELS: dict[str, Callable[[Config], Model]] = {
    "uniform_noise": lambda c: _by_class(by_class.uniform_noise, rate=c.noise_rate),
    "symmetric_noise": lambda c: _by_class(by_class.symmetric_noise, rate=c.noise_rate),
    "flip_noise": _flip_noise,
    "pair_noise": lambda c: _by_class(by_class.pair_noise, rate=c.noise_rate),
    "matrix_noise": _matrix_noise,
    "instance_noise": lambda c: partial(by_instance.instance_noise, rate=c.noise_rate),
    "part_dependent_noise": lambda c: partial(
        by_instance.instance_noise, rate=c.noise_rate, white=255
    ),
    "shared_instance_noise": lambda c: partial(
        by_instance.instance_noise, rate=c.noise_rate, white=255, shared=True
    ),
    "concentrated_noise": lambda c: partial(by_instance.concentrated_noise, rate=c.noise_rate),
    "wave_noise": lambda c: partial(
        waves.wave_noise, rate=c.noise_rate, frequency=c.wave_frequency
    ),
}


def model(config: Config) -> Model:
    """The noise model of a run, of ours or of its --user_code.

    Raises:
      InputError: a file that it needs cannot be used.
    """
    if own := extending.defined(config, "noise_model"):
        return _by_class(partial(_own, config.noise_type, own), rate=config.noise_rate,
                         **config.options("noise_model"))  # fmt: skip
    return MODELS[config.noise_type](config)


def _own(
    name: str,
    function: Callable,
    samples: CleanSamples,
    rng: np.random.RandomState,
    **settings: Any,
) -> Draw:
    """A draw from a noise model of --user_code, which may also return noisy labels alone."""
    clean, images = samples.labels, samples.images.view()
    images.flags.writeable = False
    again = np.random.RandomState()
    again.set_state(rng.get_state())

    def draw(rng: np.random.RandomState) -> Draw:
        drawn = function(samples._replace(labels=clean.copy(), images=images), rng, **settings)
        return drawn if isinstance(drawn, Draw) else Draw(np.asarray(drawn), None, None)

    noisy, picked, matrix = draw(rng)
    if not np.array_equal(noisy, draw(again).noisy):
        raise InputError(
            f"--noise_type={name}: draws other labels from the same rng; allowed is no other "
            "source of random numbers"
        )
    if noisy.shape != clean.shape or noisy.dtype.kind not in "iu":
        raise InputError(
            f"--noise_type={name}: returns labels {noisy.dtype}{list(noisy.shape)}; allowed are "
            f"integers {list(clean.shape)}"
        )
    if noisy.min() < 0 or noisy.max() >= samples.num_classes:
        raise InputError(
            f"--noise_type={name}: returns labels from {noisy.min()} to {noisy.max()}; allowed are "
            f"0 to {samples.num_classes - 1}"
        )
    noisy = noisy.astype(np.int32)
    return Draw(noisy, noisy != clean if picked is None else picked, matrix)


def corrupt(
    model: Model, train: CleanSamples, valid: CleanSamples, *, seed: int
) -> tuple[NoisyLabels, NoisyLabels]:
    """Draws the noise once for the training part and, from a separate stream, for validation.

    The validation part may be empty. No model has to work on that: it gets a training sample there,
    whose label is not used.
    """
    # RandomState: the only NumPy generator whose stream is frozen across versions (NEP 19).
    streams = np.random.RandomState(seed), np.random.RandomState([seed, 1])
    first = train._replace(labels=train.labels[:1], images=train.images[:1])
    draws = model(train, valid if len(valid.labels) else first, *streams)
    found = []
    for part, draw in zip((train, valid), draws, strict=True):
        noisy, picked = (of[: len(part.labels)] for of in (draw.noisy, draw.picked))
        found.append(NoisyLabels(noisy, part.labels, picked, noisy != part.labels, draw[2]))
    return tuple(found)


def summary(config: Config, draws: Sequence[NoisyLabels]) -> dict[str, Any]:
    """The entry `noise` of scores.json; rates are fractions in [0, 1].

    Args:
      draws: of the training part. Given labels have neither a seed nor a requested rate.
    """
    given = config.noise_is_given
    return {
        "noise": config.noise,
        "requested_rate": None if given else config.noise_rate,
        "true_rate": round(float(np.mean([labels.changed.mean() for labels in draws])), 6),
        "draws": [
            {"seed": None if given else config.noise_seed + i, **labels.summary()}
            for i, labels in enumerate(draws)
        ],
    }


def in_words(entry: dict[str, Any]) -> list[str]:
    """Describes an entry made by `summary` in words, with one line per draw."""
    of_draw = [
        f"{counted(draw['picked'], 'training label')} picked, {draw['changed']} changed: "
        f"true rate {100 * draw['true_rate']:.2f} %, SHA-256 {draw['sha256'][:16]}"
        for draw in entry["draws"]
    ]
    if len(of_draw) == 1:
        return of_draw
    return [f"draw {i}: {line}" for i, line in enumerate(of_draw, start=1)]
