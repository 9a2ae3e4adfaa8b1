"""The settings of where and whether to run, which change no result."""

import dataclasses

from jaxnoise.config.flags import InputError
from jaxnoise.config.flags import flag as _flag


@dataclasses.dataclass(frozen=True)
class RunningConfig:
    """The part of `Config` about folders, devices, processes, resuming and exit codes."""

    results_dir: str = _flag("results", "Folder in which run folders are created.", where_only=True)
    data_dir: str | None = _flag(
        None,
        "TFDS data directory; default: $TFDS_DATA_DIR, else ~/tensorflow_datasets. A relative "
        "folder:PATH starts in this directory if it is given, else in the working directory.",
        where_only=True,
    )
    manual_dir: str | None = _flag(
        None,
        "Folder with the data set's raw archives, for machines without a network, and with the "
        "authors' files of CIFAR-10N and CIFAR-100N (CIFAR-10_human.pt), for human_noise.",
        where_only=True,
    )
    cache_dir: str | None = _flag(
        None,
        "Folder in which decoded images and compiled programs are kept, so that the next start is "
        "fast; default: jaxnoise in the user's cache folder.",
        where_only=True,
    )
    members_at_once: int = _flag(
        0,
        "Number of repeats that train together as one program; 0 = as many as the memory holds, or "
        "on a CPU one per core.",
        low=0,
        where_only=True,
    )
    GPU_num: int = _flag(
        0,
        "Index of the GPU to use, if there is one; -1 = all GPUs, with the repeats spread over "
        "them.",
        low=-1,
        where_only=True,
    )
    coordinator_address: str | None = _flag(
        None,
        "To run on several hosts, start the same command on each, with the host:port of the first "
        "one, or with auto under Slurm, under Open MPI and on TPU pods.",
        where_only=True,
    )
    num_processes: int = _flag(
        1, "Number of processes on all hosts together.", low=1, where_only=True
    )
    process_id: int = _flag(
        0, "Index of this process; process 0 writes the results.", low=0, where_only=True
    )
    resume: bool = _flag(
        True,
        "Resume an interrupted run after its last saved epoch; --noresume starts it again from "
        "the beginning.",
        where_only=True,
    )
    resume_anyway: bool = _flag(
        False,
        "Resume an interrupted run even if the code that trains it, or a variable of the "
        "environment that can change numbers, is no longer what it was begun with.",
        where_only=True,
    )
    spectrum_every: int = _flag(
        0,
        "Measure the spectrum of the learned mapping every this many epochs and after the last, as "
        "python -m jaxnoise.spectrum does on a finished run; 0 = never. Training is not affected.",
        low=0,
        where_only=True,
    )
    overwrite: bool = _flag(
        False, "Train a finished run again and replace its results.", where_only=True
    )
    fail_on_divergence: bool = _flag(
        False,
        "Exit with code 3 if a repeat has diverged, that is, if its loss or state is no longer "
        "finite. All results are written nevertheless.",
        where_only=True,
    )

    def check_running(self) -> None:
        """Rejects flags that contradict each other."""
        if self.process_id >= self.num_processes:
            raise InputError(
                f"--process_id={self.process_id} with --num_processes={self.num_processes}: "
                f"allowed here: 0 to {self.num_processes - 1}"
            )
        if self.num_processes > 1 and self.coordinator_address is None:
            raise InputError(
                f"--num_processes={self.num_processes}: requires --coordinator_address=host:port, "
                "the same for all processes"
            )
        if self.resume_anyway and not self.resume:
            raise InputError("--resume_anyway with --noresume: allowed is one of them")
