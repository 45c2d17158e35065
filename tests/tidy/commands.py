"""Whether a `tracebraid …` command line is one of ours: parsed by the commands themselves, never run."""

import click

from tracebraid.jobs.main import tracebraid


def problem(arguments: list[str]) -> str:
    """What click says against `arguments`; '' where every command, option and value of them exists."""
    command: click.Command = tracebraid
    context: click.Context | None = None
    words = list(arguments)
    try:
        while isinstance(command, click.Group):
            context = click.Context(command, info_name=command.name, parent=context)
            _, words, _ = command.make_parser(context).parse_args(words)
            if not words:
                return ""
            _, found, words = command.resolve_command(context, words)
            if found is None:
                return f"{arguments} is no command"
            command = found
        command.make_context(command.name or "", words, parent=context)
    except click.exceptions.Exit:
        return ""  # --help and --version
    except click.ClickException as error:
        return error.format_message()
    except ModuleNotFoundError as error:
        return str(error)
    return ""
