"""Taking a program's words apart."""

from collections.abc import Sequence


def options(words: Sequence[str], valued: str = "") -> tuple[dict[str, str], list[str]]:
    """Split words, the program's name left out, into options and operands.

    Letters in `valued` take a value; `--name=value` and `--name` always parse.
    """
    found: dict[str, str] = {}
    operands: list[str] = []
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word == "--":
            return found, operands + rest
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            found[name] = value
        elif word.startswith("-") and len(word) > 1:
            letters = word[1:]
            while letters:
                letter, letters = letters[0], letters[1:]
                if letter in valued:
                    value = letters or (rest.pop(0) if rest else "")
                    found[letter] = f"{found[letter]},{value}" if letter in found else value
                    break
                found[letter] = ""
        else:
            operands.append(word)
    return found, operands
