"""The folder of a run: its name, files, checkpoints and lock; resuming an interrupted run.

Each kind of file is written and read in one module. Readers trust nothing: whatever is missing, cut
short or edited is an `InputError` that names the file.

May import: training, train_step, scores, labels, datasets, config.
"""

__all__ = [
    "checkpoint",
    "documents",
    "files",
    "finished",
    "folders",
    "history",
    "lock",
    "noise_record",
    "pairs",
    "provenance",
    "record",
    "resume",
    "samples",
]
