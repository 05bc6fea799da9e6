"""Reads POSIX shell text into commands."""

import re

from bot.playground.machine.syntax import (
    Branches,
    Case,
    Chained,
    Command,
    Each,
    Function,
    Grouped,
    Loop,
    Parameter,
    Part,
    Piped,
    Redirect,
    Redirected,
    Sequenced,
    Simple,
    Substitution,
    Sum,
    Text,
    Word,
)

REDIRECT = re.compile(r"(\d*)(<<-|<<|<&|>&|>>|<>|>\||<|>)")
ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
FUNCTION = re.compile(r"([A-Za-z_]\w*)[ \t]*\([ \t]*\)")
KEYWORD = re.compile(r"(?:[a-z]+|[{}!])(?=[\s;&|()<>]|$)")
NAME = re.compile(r"[A-Za-z_]\w*|\d|[@*#?$!-]")
BRACED_NAME = re.compile(r"[A-Za-z_]\w*|\d+|[@*#?$!-]")
OPERATOR = re.compile(r":?[-=?+]|%%|%|##|#")
CLOSERS = frozenset(("then", "else", "elif", "fi", "do", "done", "esac", "}"))
NESTING_LIMIT = 60


class Garbled(Exception):
    """The text is no shell text; the message is the shell's."""


class Grammar:
    """Reads shell text, from left to right, into commands. Raises Garbled."""

    def __init__(self, text: str, depth: int = 0) -> None:
        self.text, self.at, self.depth = text, 0, depth
        self.waiting: list[tuple[Redirect, str, bool, bool]] = []

    def program(self) -> Sequenced:
        """The whole text."""
        body = self.sequence()
        if self.at < len(self.text):
            raise self.unexpected()
        if self.waiting:
            self.here_documents()
        return body

    def unexpected(self) -> Garbled:
        """What to raise at this place."""
        self.blanks()
        if self.at >= len(self.text):
            return Garbled("Syntax error: end of file unexpected")
        found = KEYWORD.match(self.text, self.at)
        return Garbled(f'Syntax error: "{found.group() if found else self.text[self.at]}" unexpected')

    def blanks(self) -> None:
        """Skip spaces, comments and continued lines."""
        while self.at < len(self.text):
            if self.text.startswith("\\\n", self.at):
                self.at += 2
            elif self.text[self.at] in " \t\r":
                self.at += 1
            elif self.text[self.at] == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            else:
                return

    def newlines(self) -> None:
        """Skip blanks and the ends of lines."""
        self.blanks()
        while self.text.startswith("\n", self.at):
            self.at += 1
            self.here_documents()
            self.blanks()

    def here_documents(self) -> None:
        """Read the bodies announced on the line that just ended."""
        for redirect, delimiter, strip, quoted in self.waiting:
            lines = []
            while self.at < len(self.text):
                end = self.text.find("\n", self.at)
                end = len(self.text) if end < 0 else end
                line = self.text[self.at : end]
                self.at = min(end + 1, len(self.text))
                line = line.lstrip("\t") if strip else line
                if line == delimiter:
                    break
                lines.append(line + "\n")
            body = "".join(lines)
            redirect.target = (Text(text=body, quoted=True),) if quoted else Grammar(body).double_quoted(None)
        self.waiting.clear()

    def takes(self, token: str) -> bool:
        """Step over this operator, if it stands here."""
        self.blanks()
        found = self.text.startswith(token, self.at)
        self.at += len(token) if found else 0
        return found

    def keyword(self, *wanted: str) -> str | None:
        """Step over one of these reserved words, if it stands here."""
        self.blanks()
        found = KEYWORD.match(self.text, self.at)
        if found and found.group() in wanted:
            self.at = found.end()
            return found.group()
        return None

    def need(self, word: str) -> None:
        """Step over this reserved word or operator; anything else is an error."""
        if not (self.keyword(word) or (not word.isalpha() and self.takes(word))):
            raise self.unexpected()

    def sequence(self) -> Sequenced:
        """Commands up to a closing word, `)`, `;;` or the end."""
        self.depth += 1
        if self.depth > NESTING_LIMIT:
            raise Garbled("Syntax error: nested too deeply")
        items: list[tuple[Command, bool]] = []
        self.newlines()
        while self.at < len(self.text) and not self.closes():
            command = self.chain()
            background = False
            if not self.text.startswith(";;", self.at):
                background = self.takes("&")
                ended = background or self.takes(";") or self.text.startswith("\n", self.at)
                items.append((command, background))
                self.newlines()
                if not ended:
                    break
            else:
                items.append((command, False))
                break
        self.depth -= 1
        return Sequenced(items=tuple(items))

    def closes(self) -> bool:
        """Whether what stands here ends a sequence."""
        if self.text[self.at] == ")" or self.text.startswith(";;", self.at):
            return True
        found = KEYWORD.match(self.text, self.at)
        return bool(found and found.group() in CLOSERS)

    def body(self) -> Sequenced:
        """A sequence that must not be empty."""
        found = self.sequence()
        if not found.items:
            raise self.unexpected()
        return found

    def chain(self) -> Command:
        """Pipelines joined by && and ||."""
        first = self.pipeline()
        rest: list[tuple[str, Command]] = []
        while True:
            self.blanks()
            operator = self.text[self.at : self.at + 2]
            if operator not in ("&&", "||"):
                return Chained(first=first, rest=tuple(rest)) if rest else first
            self.at += 2
            self.newlines()
            rest.append((operator, self.pipeline()))

    def pipeline(self) -> Command:
        """Commands joined by |."""
        negated = self.keyword("!") is not None
        commands = [self.command()]
        self.blanks()
        while self.text.startswith("|", self.at) and not self.text.startswith("||", self.at):
            self.at += 1
            self.newlines()
            commands.append(self.command())
            self.blanks()
        return Piped(commands=tuple(commands), negated=negated) if negated or len(commands) > 1 else commands[0]

    def command(self) -> Command:
        """One simple or compound command, or a function."""
        self.blanks()
        if function := FUNCTION.match(self.text, self.at):
            self.at = function.end()
            self.newlines()
            return Function(name=function.group(1), body=self.command())
        compound = self.compound()
        if compound is None:
            return self.simple()
        redirects = []
        while redirect := self.redirect():
            redirects.append(redirect)
        return Redirected(body=compound, redirects=tuple(redirects)) if redirects else compound

    def compound(self) -> Command | None:
        """What begins with a reserved word or a parenthesis; None for a simple command."""
        if self.takes("("):
            body = self.body()
            self.need(")")
            return Grouped(body=body)
        match self.keyword("{", "if", "while", "until", "for", "case"):
            case "{":
                body = self.body()
                self.need("}")
                return body
            case "if":
                return self.branches()
            case ("while" | "until") as word:
                condition = self.body()
                return Loop(condition=condition, body=self.do_body(), until=word == "until")
            case "for":
                return self.each()
            case "case":
                return self.case()
        return None

    def do_body(self) -> Sequenced:
        """do ... done."""
        self.need("do")
        body = self.body()
        self.need("done")
        return body

    def branches(self) -> Branches:
        """What follows `if`."""
        branches = []
        otherwise = None
        while True:
            condition = self.body()
            self.need("then")
            branches.append((condition, self.body()))
            match self.keyword("elif", "else", "fi"):
                case "elif":
                    continue
                case "else":
                    otherwise = self.body()
                    self.need("fi")
                case None:
                    raise self.unexpected()
            return Branches(branches=tuple(branches), otherwise=otherwise)

    def each(self) -> Each:
        """What follows `for`."""
        self.blanks()
        name = NAME.match(self.text, self.at)
        if not name:
            raise Garbled("Syntax error: Bad for loop variable")
        self.at = name.end()
        self.newlines()
        words: tuple[Word, ...] | None = None
        if self.keyword("in"):
            words = self.words()
        if not self.takes(";"):
            self.newlines()
        self.newlines()
        return Each(name=name.group(), words=words, body=self.do_body())

    def words(self) -> tuple[Word, ...]:
        """Words up to an operator or the end of the line."""
        found = []
        while word := self.word():
            found.append(word)
        return tuple(found)

    def case(self) -> Case:
        """What follows `case`."""
        word = self.word()
        self.newlines()
        if not word or not self.keyword("in"):
            raise self.unexpected()
        self.newlines()
        arms = []
        while not self.keyword("esac"):
            self.takes("(")
            patterns = [self.word()]
            while self.takes("|"):
                patterns.append(self.word())
            if not self.takes(")") or not all(patterns):
                raise self.unexpected()
            arms.append((tuple(patterns), self.sequence()))
            if not self.takes(";;"):
                self.newlines()
                self.need("esac")
                break
            self.newlines()
        return Case(word=word, arms=tuple(arms))

    def simple(self) -> Simple:
        """Assignments, words, redirections."""
        assignments: list[tuple[str, Word]] = []
        words: list[Word] = []
        redirects: list[Redirect] = []
        while True:
            self.blanks()
            assignment = None if words else ASSIGNMENT.match(self.text, self.at)
            if assignment:
                self.at = assignment.end()
                assignments.append((assignment.group()[:-1], self.word(here=True)))
            elif redirect := self.redirect():
                redirects.append(redirect)
            elif word := self.word():
                words.append(word)
            else:
                break
        if not (assignments or words or redirects):
            raise self.unexpected()
        return Simple(assignments=tuple(assignments), words=tuple(words), redirects=tuple(redirects))

    def redirect(self) -> Redirect | None:
        """A redirection, if one stands here."""
        self.blanks()
        found = REDIRECT.match(self.text, self.at)
        if not found:
            return None
        self.at = found.end()
        number, operator = found.groups()
        start = self.at
        target = self.word()
        if not target:
            raise self.unexpected()
        default = 0 if operator.startswith("<") else 1
        redirect = Redirect(number=int(number or default), operator=operator, target=target)
        if operator.startswith("<<"):
            raw = self.text[start : self.at].strip()
            delimiter = "".join(part.text for part in target if isinstance(part, Text))
            self.waiting.append((redirect, delimiter, operator == "<<-", any(mark in raw for mark in "'\"\\")))
        return redirect

    def word(self, *, here: bool = False) -> Word:
        """One word, empty if none stands here. `here`: not after blanks."""
        if not here:
            self.blanks()
        return self.parts(" \t\r\n;&|()<>")

    def parts(self, ends: str) -> Word:
        """Unquoted and quoted parts up to one of these characters."""
        parts: list[Part] = []
        while self.at < len(self.text) and self.text[self.at] not in ends:
            mark = self.text[self.at]
            if mark == "'":
                end = self.text.find("'", self.at + 1)
                if end < 0:
                    raise Garbled("Syntax error: Unterminated quoted string")
                parts.append(Text(text=self.text[self.at + 1 : end], quoted=True))
                self.at = end + 1
            elif mark == '"':
                self.at += 1
                parts.extend(self.double_quoted('"'))
            elif mark == "\\":
                following = self.text[self.at + 1 : self.at + 2]
                if following != "\n":
                    parts.append(Text(text=following or "\\", quoted=True))
                self.at += 2
            elif mark == "`" or (mark == "$" and self.is_dollar()):
                parts.append(self.dollar(quoted=False))
            else:
                parts.append(Text(text=mark, quoted=False))
                self.at += 1
        return tuple(parts)

    def double_quoted(self, end: str | None) -> Word:
        """Parts up to the closing quote (None: the whole text). Never empty for a pair of quotes."""
        parts: list[Part] = []
        held: list[str] = []

        def flush() -> None:
            if held:
                parts.append(Text(text="".join(held), quoted=True))
                held.clear()

        while self.at < len(self.text) and self.text[self.at] != end:
            mark = self.text[self.at]
            following = self.text[self.at + 1 : self.at + 2]
            if mark == "\\" and following in ("$", "`", '"', "\\", "\n") and following:
                held.append("" if following == "\n" else following)
                self.at += 2
            elif mark == "`" or (mark == "$" and self.is_dollar()):
                flush()
                parts.append(self.dollar(quoted=True))
            else:
                held.append(mark)
                self.at += 1
        if end is not None:
            if self.at >= len(self.text):
                raise Garbled("Syntax error: Unterminated quoted string")
            self.at += 1
        flush()
        return tuple(parts) or (Text(text="", quoted=True),)

    def is_dollar(self) -> bool:
        """Whether the `$` here begins an expansion."""
        following = self.text[self.at + 1 : self.at + 2]
        return bool(following) and (following in "({" or NAME.match(following) is not None)

    def dollar(self, *, quoted: bool) -> Part:
        """An expansion."""
        if self.text[self.at] == "`":
            return self.backquoted(quoted=quoted)
        if self.text.startswith("$((", self.at):
            return self.sum(quoted=quoted)
        if self.text.startswith("$(", self.at):
            self.at += 2
            body = self.sequence()
            self.need(")")
            return Substitution(body=body, quoted=quoted)
        if self.text.startswith("${", self.at):
            return self.braced(quoted=quoted)
        name = NAME.match(self.text, self.at + 1)
        if name is None:
            raise Garbled("Syntax error: Bad substitution")
        self.at = name.end()
        return Parameter(name=name.group(), operator="", argument=(), quoted=quoted)

    def backquoted(self, *, quoted: bool) -> Substitution:
        """`...`, with its own backslashes."""
        found = re.compile(r"`((?:[^`\\]|\\.)*)`", re.DOTALL).match(self.text, self.at)
        if not found:
            raise Garbled("Syntax error: EOF in backquote substitution")
        self.at = found.end()
        inner = re.sub(r"\\([`$\\])", r"\1", found.group(1))
        return Substitution(body=Grammar(inner, self.depth + 1).program(), quoted=quoted)

    def sum(self, *, quoted: bool) -> Sum:
        """$((...))."""
        start = self.at + 3
        depth, at = 0, start
        while at < len(self.text) and not (depth == 0 and self.text.startswith("))", at)):
            depth += {"(": 1, ")": -1}.get(self.text[at], 0)
            at += 1
        if at >= len(self.text):
            raise Garbled("Syntax error: missing '))'")
        self.at = at + 2
        return Sum(expression=Grammar(self.text[start:at], self.depth + 1).double_quoted(None), quoted=quoted)

    def braced(self, *, quoted: bool) -> Parameter:
        """${...}."""
        self.at += 2
        if length := re.compile(r"#([A-Za-z_]\w*|\d+|[@*?$!])\}").match(self.text, self.at):
            self.at = length.end()
            return Parameter(name=length.group(1), operator="length", argument=(), quoted=quoted)
        name = BRACED_NAME.match(self.text, self.at)
        if not name:
            raise Garbled("Syntax error: Bad substitution")
        self.at = name.end()
        operator = OPERATOR.match(self.text, self.at)
        argument: Word = ()
        if operator:
            self.at = operator.end()
            argument = self.parts("}")
        if not self.text.startswith("}", self.at):
            raise Garbled("Syntax error: Bad substitution")
        self.at += 1
        return Parameter(
            name=name.group(), operator=operator.group() if operator else "", argument=argument, quoted=quoted
        )
