"""How long a training still takes, from its epochs so far and from earlier runs of its program."""

from typing import NamedTuple


class EpochSeconds(NamedTuple):
    """Seconds that an epoch takes, without any compilation; None if that is not known."""

    plain: float | None = None
    jacobian: float | None = None  # with the Jacobian term

    def scaled(self, factor: float) -> "EpochSeconds":
        """The same, of so many times the work."""
        return EpochSeconds(*(each and each * factor for each in self))


class TimeLeft:
    """Learns from every epoch that holds no compilation; all times are seconds."""

    def __init__(
        self,
        epochs: int,
        done: int,
        jacob_start_epoch: int | None,
        known: EpochSeconds = EpochSeconds(),  # noqa: B008  (it is immutable)
    ):
        """Prepares the prediction.

        Args:
          epochs: of the whole run.
          done: epochs that earlier sessions have completed.
          jacob_start_epoch: the first with the Jacobian term, from 0; None if none has it.
          known: what earlier runs took.
        """
        self._epochs, self._done, self._known = epochs, done, known
        self._jacob_start = epochs if jacob_start_epoch is None else jacob_start_epoch
        self._compiling = {done, self._jacob_start}
        self._from = (done, 0.0)
        self._first: dict[bool, float] = {}
        self._measured: dict[bool, float] = {}

    def ended(self, now: float) -> None:
        """Takes note of one more epoch, which ended so many seconds after the start."""
        jacobian, (first, then) = self._done >= self._jacob_start, self._from
        self._done += 1
        if self._done - 1 in self._compiling:
            since = then + (self._done - 1 - first) * self._measured.get(not jacobian, 0.0)
            self._first[jacobian], self._from = now - since, (self._done, now)
        else:
            self._measured[jacobian] = (now - then) / (self._done - first)

    @property
    def compiling(self) -> float:
        """Seconds by which the epochs that hold a compilation took longer than the others."""
        return sum(
            max(0.0, seconds - self._measured[jacobian])
            for jacobian, seconds in self._first.items()
            if jacobian in self._measured
        )

    @property
    def measured(self) -> EpochSeconds:
        """What the epochs of this session took."""
        return EpochSeconds(self._measured.get(False), self._measured.get(True))

    @property
    def seconds(self) -> tuple[float | None, bool]:
        """The time that the epochs left take, and whether that is only a lower bound.

        It is if nothing is known of epochs with the Jacobian term but that they take as long as the
        others, or longer. The time is None if nothing is known at all.
        """
        plain, jacobian = (
            known if measured is None else measured
            for measured, known in zip(self.measured, self._known, strict=True)
        )
        without = max(0, min(self._epochs, self._jacob_start) - self._done)
        with_it = self._epochs - self._done - without
        at_least = bool(with_it) and jacobian is None
        each = plain if at_least else jacobian
        if (without and plain is None) or (with_it and each is None):
            return None, False
        return (without * plain if without else 0.0) + (
            with_it * each if with_it else 0.0
        ), at_least
