"""The terminal: how commands take arguments, report progress, stop when asked to, and end.

May import: training (for devices), scores, labels, layers, config.
"""

__all__ = [
    "commands",
    "console",
    "interruption",
    "location_flags",
]
