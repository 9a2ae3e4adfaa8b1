"""The front door, see `jaxnoise.command_line`; python main.py --helpshort lists all flags."""

from jaxnoise.command_line import config_of_flags, define_flags, main, parse_flags, program

__all__ = ["config_of_flags", "define_flags", "main", "parse_flags", "program"]

if __name__ == "__main__":
    program()
