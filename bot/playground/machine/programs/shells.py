"""sh, also by the names of dash and bash."""

from bot.playground.machine.builtins import BUILTINS, set_options
from bot.playground.machine.shell import Shell
from bot.playground.machine.streams import decoded
from bot.playground.machine.system import Call
from bot.playground.machine.variables import Variables


async def sh(call: Call) -> int:
    """A shell: -c text, a file, or standard input."""
    variables = Variables(call.process, call.environment)
    shell = Shell(call.system, variables, BUILTINS)
    rest = call.words[1:]
    text: str | None = None
    while rest and rest[0][:1] in "-+" and len(rest[0]) > 1:
        flag = rest.pop(0)
        if flag == "--":
            break
        if "o" in flag and rest:
            await set_options(shell, ["set", "-o", rest.pop(0)])
        variables.options |= set(flag[1:]) & set("aefumx")
        if "c" in flag:
            if not rest:
                return await call.complain("sh: 0: -c requires an argument", 2)
            text = rest.pop(0)
    if text is None and rest:
        try:
            text = decoded(call.system.files.read(call.path(rest[0]), call.process.user))
        except OSError:
            return await call.complain(f"sh: 0: cannot open {rest[0]}: No such file", 2)
    elif text is None:
        text = decoded(await call.input())
    if rest:
        variables.name, variables.positional = rest[0], rest[1:]
    return await shell.run_text(text)
