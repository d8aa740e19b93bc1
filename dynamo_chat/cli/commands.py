"""The rules of every command: one line for an error, the exit codes, --quiet, interruptions.

Exit codes: 0; 1 for an error or a finding; 2 for wrong usage; 130 if interrupted by Ctrl-C.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Annotated, Any, Final, NoReturn

import typer
from typer.core import TyperGroup

from dynamo_chat.cli.console import fail, set_quiet
from dynamo_chat.cli.wording import of_the_system, worded
from dynamo_chat.core.errors import DynamoChatError

USAGE: Final = 2
INTERRUPTED: Final = 130
_Usage: Final[Any] = typer.BadParameter.__mro__[1]  # UsageError; typer has no public name for it
_QuietOption = Annotated[
    bool,
    typer.Option("--quiet", help="Print errors and the data that was asked for, nothing else."),
]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with what was done so far and how to go on."""


@contextmanager
def resumable(says: str) -> Iterator[None]:
    """If this is interrupted, the command ends with this sentence."""
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt as error:
        raise Interrupted(says) from error


class Commands(typer.Typer):
    """Commands that follow the rules."""

    def command(self, *args: Any, **options: Any) -> Callable[[Any], Any]:
        """Register a command."""
        register = super().command(*args, **options)

        def registered(function: Any) -> Any:
            register(_with_rules(function))
            return function

        return registered


class Group(TyperGroup):
    """Ends with one line and an exit code, whatever was given. A bug shows its traceback."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command; with `standalone_mode`, end the process."""
        set_quiet(False)
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
            if not standalone_mode:
                return code
            sys.exit(code)
        except _Usage as error:
            if not standalone_mode:
                raise
            _refuse(error)
        except typer.Abort:
            if not standalone_mode:
                raise
            sys.exit(fail("aborted").exit_code)


def _with_rules(function: Any) -> Any:
    """The command with --quiet; the package's errors become one line and an exit code."""
    signature = inspect.signature(function, eval_str=True)
    context, quiet = (
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=of)
        for name, default, of in (
            ("ctx", inspect.Parameter.empty, typer.Context),
            ("quiet", False, _QuietOption),
        )
    )

    @wraps(function)
    def run(*, ctx: Any, quiet: bool, **arguments: Any) -> None:
        set_quiet(quiet)
        try:
            function(**arguments)
        except KeyboardInterrupt as error:
            says = f": {error}" if isinstance(error, Interrupted) else ""
            raise fail(f"interrupted{says}", INTERRUPTED) from error
        except BrokenPipeError:  # the reader, such as `head`, closed the pipe
            raise
        except OSError as error:
            raise fail(of_the_system(error)) from error
        except DynamoChatError as error:
            options = {each.name: _name(each) for each in ctx.command.params}
            message, is_usage = worded(error, options)
            raise fail(message, USAGE if is_usage else 1) from error

    parameters = [*signature.parameters.values(), quiet, context]
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run


def _refuse(error: Any) -> NoReturn:
    """End with wrong usage: one line, or the help where there is nothing but a group's name."""
    if type(error).__name__ == "NoArgsIsHelpError":
        typer.echo(error.ctx.get_help(), err=True)
        sys.exit(USAGE)
    message = " ".join(_message(error).split()).rstrip(".")
    advice = f" (see {error.ctx.command_path} --help)" if error.ctx is not None else ""
    sys.exit(fail(message + advice, USAGE).exit_code)


def _message(error: Any) -> str:
    """What is wrong, with the option that it is about."""
    parameter = getattr(error, "param", None)
    if parameter is None:
        said = str(error.message) if isinstance(error, typer.BadParameter) else ""
        said = said or error.format_message()
        return said[:1].lower() + said[1:]
    name = _name(parameter)
    if error.message:
        return f"{name}: {_plain(error.message)}"
    names = parameter.envvar if isinstance(parameter.envvar, list) else [parameter.envvar]
    variables = " or ".join(filter(None, names))
    return f"{name} is missing" + (f"; {variables} isn't set either" if variables else "")


def _plain(message: str) -> str:
    """What a value must be, without the words of the library that parsed it."""
    said = message.removeprefix("Value error, ").partition(", unable to parse")[0]
    return said.replace("Input should be", "must be")


def _name(parameter: Any) -> str:
    """An option's long name, or an argument's metavar."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return str(next((each for each in parameter.opts if each.startswith("--")), parameter.opts[0]))
