"""Secrets that are recognised by what stands around them on one line.

`FORMS` lists them: each has the lower-case words without which it cannot occur, and a function that gives the places of
the secret itself, never of its name. Every pattern here is linear: repeats are bounded or cannot overlap.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from string import ascii_lowercase, digits

from safety.redaction.assignments import (
    assignments,
    calls,
    encoded_assignments,
    foreign_assignments,
    login_calls,
    secret_ids,
)
from safety.redaction.commands import commands, idioms
from safety.redaction.documents import hashes, markup, sql, wireguard
from safety.redaction.headers import authorization, cookies, queries, userinfo
from safety.redaction.lines import config_lines, ipsec_secrets, options, sentences, shown_logins
from safety.redaction.shapes import Span


@dataclass(frozen=True, kw_only=True)
class Form:
    """One way to write a secret."""

    needles: tuple[str, ...]  # at least one of them stands in the lower-case line, which begins with a line feed
    find: Callable[[str], Iterator[Span]]
    wakes: tuple[str, ...] | None = None  # rarer words, one of which a line must have to be looked at at all

    @property
    def rare(self) -> tuple[str, ...]:
        """What the first look at a line asks for."""
        return self.needles if self.wakes is None else self.wakes


_NAMES = (
    "pass",
    "pw",
    "secret",
    "token",
    "key",
    "auth",
    "cred",
    "psk",
    "sess",
    "sid=",
    "jwt",
    "otp",
    "cookie",
    "signature",
    "hmac",
    "kennwort",
    "bearer",
    "_salt",
    "encrypt",
    "_pat",
)
_COMMAND_WORDS = (
    "'-p",
    '"-p',
    " -p",
    " -a ",
    " -w ",
    " -u",
    " -x ",
    " -k ",
    " -hp",
    " -c ",
    "impacket",
    ".py ",
    " /rp",
    " -new ",
    " -s ",
    " -n ",
    " -t ",
    "\x00-",
    " -e ",
    " --cert",
    " --auth",
    " --proxy",
    " --user",
    " --login",
    "creds",
    "auth ",
    "curl",
    "sqlplus",
    "sqlldr",
    "expdp",
    "impdp",
    "rman ",
    "vault ",
    "wpa_pass",
    " using ",
    "wandb login",
    "railway login",
    "doppler login",
    "rabbitmqctl",
    "ejabberdctl",
    "net use",
    "net user",
    "htpasswd",
    "alias set",
    "setapikey",
    "addauth",
    "encrypt_string",
    " --value",
    "-set-value",
)


def _nothing(_line: str) -> Iterator[Span]:
    """For words that matter to the lines after theirs alone."""
    return iter(())


FORMS: tuple[Form, ...] = (
    Form(needles=_NAMES, find=assignments),
    Form(needles=("contraseña", "senha", "пароль", "密", "パスワード"), find=foreign_assignments),
    Form(needles=("secretid", "secret_id", "secret id", "secret-id"), find=secret_ids),
    Form(
        needles=(": psk", ": eap", ": xauth", ": ntlm", ": rsa", ": ecdsa", ": bliss", ": p12", ": pkcs8", ": pin"),
        find=ipsec_secrets,
    ),
    Form(needles=("%3d", "%3a"), find=encoded_assignments, wakes=("%3d",)),
    Form(
        needles=(
            "pass",
            "pwd",
            "psk",
            "token",
            "secret",
            "key",
            "set ",
            "config ",
            "setx ",
            "env ",
            "arg ",
            "-pw",
            "jwt",
            "bearer",
            "cred",
            "-pin",
            "-puk",
            "-otp",
            "rootpw",
            "bindpw",
            "-auth ",
            "-setcookie",
        ),
        find=options,
    ),
    Form(
        needles=(
            "community",
            *(f"]:{first}" for first in digits + ascii_lowercase),  # a port's; `app[4711]: ` begins every line of a log
            "smtp",
            ":587",
            ":465",
            ":25 ",
            ":25\t",
            ":2525",
            "submission",
            " login ",
            " setuser ",
            "user default on",
            " on >",
            " +@",
            "createuser",
            "psk",
            "pass",
            "secret",
            "auth",
            "cred",
            "bindpw",
            "rootpw",
            "token",
            "key",
        ),
        find=config_lines,
    ),
    Form(needles=("pass", "pw", "token", "secret", "key", "cred", "kennwort", "login: ", "login="), find=sentences),
    Form(
        needles=('"auth"', '"requirepass"', '"masterauth"', "new value:", '\n"', "->__construct(", "env"),
        find=shown_logins,
    ),
    Form(needles=("authorization", "bearer", "basic ", "token ", "authenticate"), find=authorization),
    Form(needles=("cookie", " -b "), find=cookies),
    Form(needles=("@", "%40"), find=userinfo),
    Form(
        needles=(
            "sig=",
            "signature",
            "key=",
            "code=",
            "auth=",
            "appid=",
            "sid=",
            "session=",
            "ticket=",
            "hmac=",
            "k=",
            "sso=",
            "pw=",
        ),
        find=queries,
    ),
    Form(
        needles=(
            " -",
            "-p",
            "\x00-",
            "auth ",
            "vault ",
            "heroku",
            "ctl ",
            "sqlplus",
            "sqlldr",
            "pdp",
            "rman",
            "wpa_",
            " using ",
            " login ",
            "net use",
            "htpasswd",
            "alias set",
            "http-basic",
            "setapikey",
            "rclone",
            "encrypt_string",
            "set-",
            " /rp",
            "impacket",
            ".py ",
        ),
        find=commands,
        wakes=_COMMAND_WORDS,
    ),
    Form(
        needles=(
            "pass",
            "stdin",
            " -s",
            "with-token",
            "securestring",
            "from-literal",
            "secrets set",
            "secret set",
            "secret-string",
            "<<<",
            "| su",
            "kinit",
            "load-key",
            "luks",
            " /p:",
            " /pw:",
            " /rp:",
            "cryptsetup",
        ),
        find=idioms,
        wakes=(
            "pass",
            "stdin",
            " -s",
            "token",
            "securestring",
            "from-literal",
            "secret",
            " /p:",
            " /pw:",
            " /rp:",
            "<<<",
            "| su",
            "| kinit",
            "load-key",
            "cryptsetup",
        ),
    ),
    Form(
        needles=("identified", "password", "secret", "sp_add", "insert into", "replace into", "pragma", "attach"),
        find=sql,
        wakes=("identified", "sp_add"),
    ),
    Form(needles=("('", '("', "( '", '( "', "set", ', "', ",<<", ", <<", ',"', "(def", '";s:'), find=calls, wakes=()),
    Form(
        needles=("auth(", "auth=(", "login(", "credential", "password", "_connect(", "pdo(", "getconnection(", "cate("),
        find=login_calls,
        wakes=("login(", "_connect(", "pdo(", "getconnection(", "authenticate("),
    ),
    Form(
        needles=("</", "value", "random_password", "kty", '"d"', '"k"', '"p"', '"q"', '"dp"', '"dq"', '"qi"'),
        find=markup,
        wakes=("kty", '"d"', '"dp"'),
    ),
    Form(
        needles=(
            "$",
            "pbkdf2",
            "scram-sha",
            "{s",
            "{md5}",
            "{crypt",
            "{pbkdf2",
            "{argon",
            "scrypt:",
            "{plain",
            "{clear",
        ),
        find=hashes,
    ),
    Form(needles=("=\t",), find=wireguard),
    Form(needles=("[ record ",), find=_nothing),  # it explains the lines below it (`tables`)
)
