"""The terminal: how commands take arguments, report progress, stop on a signal, and exit.

May import: training (for devices), scores, labels, layers, config.
"""

__all__ = [
    "announcements",
    "commands",
    "console",
    "display",
    "fitting",
    "interruption",
    "location_flags",
    "progress",
    "time_left",
]
