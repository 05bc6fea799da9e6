"""Shell arithmetic."""

import re
from collections.abc import Callable

from bot.playground.machine.variables import Trouble, Variables


class Calculation:
    """Shell arithmetic: integers, variables, C's operators by precedence."""

    LEVELS = (
        ("||",),
        ("&&",),
        ("|",),
        ("^",),
        ("&",),
        ("==", "!="),
        ("<=", ">=", "<", ">"),
        ("<<", ">>"),
        ("+", "-"),
        ("*", "/", "%"),
    )
    TOKEN = re.compile(r"\s*(0[xX][0-9a-fA-F]+|\d+|[A-Za-z_]\w*|<<=|>>=|[-+*/%&|^]=|<<|>>|<=|>=|==|!=|&&|\|\||\S)")

    def __init__(self, variables: Variables, text: str) -> None:
        self.variables = variables
        self.tokens = self.TOKEN.findall(text)
        self.at = 0

    def result(self) -> int:
        """The value; raises Trouble."""
        if not self.tokens:
            return 0
        value = self.assignment()
        if self.at < len(self.tokens):
            raise Trouble(f"arithmetic expression: expecting EOF: {' '.join(self.tokens)!r}")
        return value

    def peek(self) -> str:
        """The next token, empty at the end."""
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        """The next token, stepped over."""
        token = self.peek()
        self.at += 1
        return token

    def assignment(self) -> int:
        """`name = value` and its shorthands, else a choice."""
        name = self.peek()
        following = self.tokens[self.at + 1] if self.at + 1 < len(self.tokens) else ""
        if re.fullmatch(r"[A-Za-z_]\w*", name) and re.fullmatch(r"(<<|>>|[-+*/%&|^])?=", following):
            self.at += 2
            value = self.assignment()
            if following != "=":
                value = self.apply(following[:-1], self.variable(name), value)
            self.variables.assign(name, str(value))
            return value
        return self.choice()

    def choice(self) -> int:
        """`a ? b : c`."""
        value = self.binary(0)
        if self.peek() != "?":
            return value
        self.take()
        yes = self.assignment()
        if self.take() != ":":
            raise Trouble("arithmetic expression: expecting ':'")
        no = self.assignment()
        return yes if value else no

    def binary(self, level: int) -> int:
        """Operators of this precedence and above."""
        if level == len(self.LEVELS):
            return self.unary()
        value = self.binary(level + 1)
        while self.peek() in self.LEVELS[level]:
            operator = self.take()
            value = self.apply(operator, value, self.binary(level + 1))
        return value

    def unary(self) -> int:
        """Signs, negations, parentheses, numbers and names."""
        token = self.take()
        match token:
            case "-":
                return -self.unary()
            case "+":
                return self.unary()
            case "!":
                return int(not self.unary())
            case "~":
                return ~self.unary()
            case "(":
                value = self.assignment()
                if self.take() != ")":
                    raise Trouble("arithmetic expression: expecting ')'")
                return value
        if token[:1].isdecimal():
            return int(token, 16 if token[:2] in ("0x", "0X") else 8 if token.startswith("0") else 10)
        if re.fullmatch(r"[A-Za-z_]\w*", token):
            return self.variable(token)
        raise Trouble("arithmetic expression: expecting primary")

    def variable(self, name: str) -> int:
        """A variable's number; unset and empty are 0."""
        text = (self.variables.value(name) or "").strip() or "0"
        try:
            return int(text)
        except ValueError as problem:
            raise Trouble(f"Illegal number: {text}") from problem

    def apply(self, operator: str, left: int, right: int) -> int:
        """One operator."""
        if operator in ("/", "%"):
            if right == 0:
                raise Trouble("arithmetic expression: division by zero")
            quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
            return quotient if operator == "/" else left - right * quotient
        if operator in ("<<", ">>"):
            right %= 64
        table: dict[str, Callable[[], int]] = {
            "||": lambda: int(bool(left or right)),
            "&&": lambda: int(bool(left and right)),
            "|": lambda: left | right,
            "^": lambda: left ^ right,
            "&": lambda: left & right,
            "==": lambda: int(left == right),
            "!=": lambda: int(left != right),
            "<=": lambda: int(left <= right),
            ">=": lambda: int(left >= right),
            "<": lambda: int(left < right),
            ">": lambda: int(left > right),
            "<<": lambda: left << right,
            ">>": lambda: left >> right,
            "+": lambda: left + right,
            "-": lambda: left - right,
            "*": lambda: left * right,
        }
        value = table[operator]() & 0xFFFF_FFFF_FFFF_FFFF
        return value - (1 << 64) if value >= 1 << 63 else value
