"""Flags as a reader meets them, in help, in docs/flags.md and in help(Config): grouped."""

import dataclasses
import textwrap

from jaxnoise.config.flags import flag_type

# Every flag once: first those that matter most, the others by what they are about.
GROUPS: dict[str, tuple[str, ...]] = {
    "Most used": (
        "dataset", "noise_type", "noise_rate", "do_sn", "wd_coef", "jacob_coef", "entropy_coef",
        "loss", "method", "epochs_num", "recipe", "user_code",
    ),
    "Data": (
        "image_size", "preprocess_mode", "channel_mean", "channel_std", "validation_ratio",
        "validation_labels", "train_size", "test_size", "split_seed",
    ),
    "Noise": (
        "noise_seed", "noise_draws", "noise_per_repeat", "flip_map", "noise_matrix",
        "wave_frequency", "human_labels", "noise_options", "noise_file", "noise_file_rate",
        "trust_noise_file",
    ),
    "Network": ("net", "net_options", "bn_momentum"),
    "Loss and method": (
        "gce_q", "sce_alpha", "sce_beta", "sce_log_zero", "bi_tempered_t1", "bi_tempered_t2",
        "label_smoothing_alpha", "nce_rce_alpha", "nce_rce_beta", "nce_rce_log_zero",
        "forward_matrix", "forward_file", "loss_options", "mixup_alpha", "elr_beta", "elr_weight",
        "sam_rho", "early_stopping_patience", "truncation_k", "truncation_start_epoch",
        "truncation_every",
    ),
    "Regularizers": (
        "sn_mode", "sn_cap", "sn_iterations", "wd_mode", "wd_on", "jacob_mode", "jacob_start_epoch",
    ),
    "Training": (
        "total_repeats", "seed", "batch_size", "augment", "cutout_size", "optimizer", "momentum",
        "nesterov", "learning_rate", "schedule", "lr_decay_epochs", "lr_milestones", "lr_gamma",
        "lr_min", "warmup_epochs", "clip_norm", "ema_decay", "precision", "preset",
    ),
    "Measurements": ("jacob_samples", "spectrum_every"),
    "Where and whether it runs": (
        "results_dir", "overwrite", "resume", "resume_anyway", "fail_on_divergence", "data_dir",
        "manual_dir", "cache_dir", "GPU_num", "members_at_once", "coordinator_address",
        "num_processes", "process_id",
    ),
}  # fmt: skip

Fields = dict[str, dataclasses.Field]


def text(fields: Fields, width: int, *, dashes: str = "--") -> str:
    """All flags with their help and default, below the titles of their groups."""
    parts = []
    for title, names in GROUPS.items():
        lines = [
            textwrap.fill(
                f"{_spelled(fields[name], dashes)}: {fields[name].metadata['help']} "
                f"(default: {_default(fields[name])})",
                width,
                initial_indent="  ",
                subsequent_indent="      ",
                break_long_words=False,
                break_on_hyphens=False,
            )
            for name in names
        ]
        parts.append("\n".join([f"{title}:", *lines]))
    return "\n\n".join(parts)


def markdown(fields: Fields) -> str:
    """The same as a page: a table for each group."""
    parts = ["# Flags", "`python main.py --helpshort` prints the same."]
    for title, names in GROUPS.items():
        rows = [
            f"| `--{name}` | {_in_code(fields[name])} | {fields[name].metadata['help']} |"
            for name in names
        ]
        table = ["| flag | default | meaning |", "|---|---|---|", *rows]
        parts += [f"## {title}", "\n".join(table)]
    return "\n\n".join(parts) + "\n"


def _spelled(field: dataclasses.Field, dashes: str) -> str:
    return f"{dashes}{'[no]' * (bool(dashes) and flag_type(field) is bool)}{field.name}"


def _default(field: dataclasses.Field) -> str:
    if field.default is None:
        return "none"
    return str(field.default).lower() if flag_type(field) is bool else str(field.default)


def _in_code(field: dataclasses.Field) -> str:
    return "" if field.default is None else f"`{_default(field)}`"
