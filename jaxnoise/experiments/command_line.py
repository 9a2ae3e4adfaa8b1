"""Trains networks on noisy labels, with any mix of regularizers, and scores how robust they are.

Examples:
  python main.py --dataset=digits --noise_rate=0.4 --wd_coef=1e-4 --do_sn
  python main.py --dataset=mnist --noise_type=flip_noise --noise_rate=0.4 --wd_coef=1e-4 --do_sn

All repeats train side by side. Results go to a separate folder under --results_dir, named
after data set, noise and regularization; docs/results.md describes it. If jaxnoise is
installed, the command jaxnoise is the same as python main.py.
"""

import dataclasses
import logging
import re
import sys

from absl import app, flags

from jaxnoise.config import FIELDS, Config, InputError, declarations, flag_type, help, nearest
from jaxnoise.terminal import commands, fitting
from jaxnoise.terminal.commands import complain

log = logging.getLogger("jaxnoise")


_HELP = {"--help", "-help", "-h", "-?", "--helpshort", "-helpshort"}


class _OrNone(flags.ArgumentParser):
    """Also takes `none`, for flags whose default is no value: a recipe may have set one."""

    def __init__(self, parser: flags.ArgumentParser):
        self._parser = parser
        self.syntactic_help = parser.syntactic_help

    def parse(self, argument: object) -> object:
        nothing = isinstance(argument, str) and argument.lower() == "none"
        return None if nothing else self._parser.parse(argument)

    def flag_type(self) -> str:
        return self._parser.flag_type()


def define_flags() -> None:
    """One absl flag for each field of Config, with its name, type, default and help."""
    parsers = {int: flags.IntegerParser, float: flags.FloatParser, str: flags.ArgumentParser}
    for field in dataclasses.fields(Config):
        name, default, told = field.name, field.default, field.metadata["help"]
        if flag_type(field) is bool:
            flags.DEFINE_bool(name, default, told)
            continue
        parser = parsers[flag_type(field)]()
        serializer = flags.ArgumentSerializer()
        flags.DEFINE(_OrNone(parser) if default is None else parser, name, default, told,
                     serializer=serializer)  # fmt: skip


def parse_flags(argv: list[str]) -> list[str]:
    """Parses as absl does, but groups the flags in its help, and reports a bad one in one line."""
    if _HELP & {*argv[1:]}:
        width = min(100, fitting.columns())
        print(f"{fitting.fitted(__doc__, width, refill=True)}\n{help.text(FIELDS, width)}")
        raise SystemExit(0)
    try:
        return flags.FLAGS(argv)
    except UnicodeDecodeError as error:
        raise SystemExit(complain(f"--flagfile: allowed are files of text ({error})")) from None
    except flags.UnrecognizedFlagError as error:  # absl suggests flags that are not near
        near = nearest(f"--{error.flagname}", [f"--{name}" for name in flags.FLAGS])
        told = f"--{error.flagname} is not a flag{near}; --helpshort lists all flags"
        raise SystemExit(complain(told)) from None
    except (flags.Error, ValueError) as error:  # ValueError: --nodo_sn=1
        reason = _reason(str(error).strip().partition("\n")[0])
        raise SystemExit(complain(f"{reason} (--helpshort lists all flags)")) from None


def _reason(said: str) -> str:
    """What absl says of a bad flag, in our words if it is a value of another type."""
    bad = re.match(r"flag --(\w+)=(.*?): ", said)
    if not bad or bad[1] not in FIELDS:
        return said
    (name, value), kind = bad.groups(), flag_type(FIELDS[bad[1]])
    if kind is bool:
        return f"--{name}={value}: allowed are --{name}, --no{name}, --{name}=true and =false"
    percent = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value)
    share = f", a share: {float(percent[1]) / 100:g} for {value}" if percent else ""
    several = ", one of them; python -m jaxnoise.sweep takes several" if "," in value else ""
    return f"--{name}={value}: allowed are values of type {kind.__name__}{share}{several}"


def config_of_flags() -> Config:
    """The settings that the parsed command line specifies."""
    given = [field.name for field in dataclasses.fields(Config) if flags.FLAGS[field.name].present]
    return Config(**{name: flags.FLAGS[name].value for name in given})


def main(argv: list[str]) -> int:
    return commands.ended(lambda: _main(argv))


def _main(argv: list[str]) -> int:
    if len(argv) > 1:
        raise InputError(
            f"{argv[1]!r} is not a flag; flags start with --, and switches take no value"
        )
    config = config_of_flags()
    if (path := flags.FLAGS["user_code"].value) and not config.user_code:
        declared = declarations.read(path, {}).user.declared
        names = [
            f"--{declarations.FLAGS[kind]}={name}" for kind in declared for name in declared[kind]
        ]
        raise InputError(
            f"--user_code={path}: the run uses nothing of it; allowed is one of its definitions, "
            f"{', '.join(names) or 'but it has none'}"
        )
    # Imported late, so that the response to --helpshort or a bad flag is immediate.
    from jaxnoise.experiments import experiment
    from jaxnoise.terminal import console, display, interruption
    from jaxnoise.training import devices

    console.log_to_console()
    for name in FIELDS:
        if flags.FLAGS[name].present > 1:  # as scripts do, to override their own
            log.warning(
                "--%s is given twice: %r counts, the last one", name, flags.FLAGS[name].value
            )
    devices.start(config, gpu_asked=flags.FLAGS["GPU_num"].present > 0)
    with display.live(), interruption.Watch() as watch:
        scores = experiment.run(config, watch)
    if config.fail_on_divergence and any(scores.get("diverged_at_epoch", [])):
        complain("--fail_on_divergence: a repeat diverged; scores.txt names it")
        return 3
    return 0


def program() -> None:
    """The whole command; it ends the process with its exit code."""
    define_flags()
    try:
        try:
            app.run(main, flags_parser=parse_flags)
        finally:  # absl's help too
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        commands.discard_output()
        sys.exit(141)
