"""python main.py trains one run; --helpshort lists all flags. See `experiments.command_line`."""

from jaxnoise.experiments.command_line import (
    config_of_flags,
    define_flags,
    main,
    parse_flags,
    program,
)

__all__ = ["config_of_flags", "define_flags", "main", "parse_flags", "program"]

if __name__ == "__main__":
    program()
