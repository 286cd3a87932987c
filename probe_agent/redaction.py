"""Hide values that are sensitive by their name, before anything leaves the process.

Works on plain values in the background thread; on by default, and nothing from outside can switch
it off. Names are looked at word by word: `sessionToken`, `X-Api-Key` and `DB_PASSWORD` are
sensitive, `author`, `tokenize` and `primary_key` are not.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final, cast

from probe_agent import plain
from probe_agent.literal import SHORT_LENGTH, type_name
from probe_agent.plain import Plain

_LONGEST_NAME: Final = 1_000
_REMEMBERED_NAMES: Final = 4_096
_KEY_BYTES: Final = 32
_TAG_BYTES: Final = 2

# `HTTPServer` is HTTP, Server; `userPIN2` is user, PIN, 2.
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\dA-Z_]+|\d+")

# One word that says it all.
_WORDS: Final = frozenset(
    (
        *("password", "passwords", "passwd", "passphrase", "passcode", "pwd", "pword", "pw"),
        *("secret", "secrets", "credential", "credentials", "creds", "token", "tokens", "jwt"),
        *("bearer", "authorization", "cookie", "cookies", "otp", "totp", "hotp", "pin", "mfa"),
        *("csrf", "xsrf", "sessionid", "jsessionid", "phpsessid", "sessid", "sid", "salt", "hmac"),
        *("cvv", "cvc", "csc", "ssn", "iban", "passport", "dsn", "htpasswd", "webauthn"),
    )
)
# Parts of names that are written in one word, e.g. `dbpassword`, `accesstoken`.
_PARTS: Final = re.compile(
    "password|passwd|passphrase|credential|apikey|secretkey|privatekey|accesskey|signingkey"
    "|encryptionkey|masterkey|sshkey|clientsecret|appsecret|sharedsecret|secrettoken"
    "|(?:middleware|access|auth|refresh|session|csrf|bearer|id|api|user|device|security|reset)token"
    "|cardnumber|creditcard|accountnumber|routingnumber|socialsecurity|authorization"
)
# Two words, one after the other.
_PAIRS: Final = frozenset(
    (
        *(
            (first, "key")
            for first in (
                "api",
                "app",
                "private",
                "secret",
                "access",
                "signing",
                "encryption",
                "master",
                "ssh",
                "account",
                "storage",
                "license",
                "session",
                "auth",
                "shared",
                "decryption",
                "hmac",
                "aes",
                "rsa",
                "pgp",
                "gpg",
                "deploy",
                "subscription",
                "wallet",
                "recovery",
            )
        ),
        *(("session", second) for second in ("id", "key", "hash")),
        *(
            (first, "pass")
            for first in (
                "user",
                "db",
                "database",
                "smtp",
                "mail",
                "root",
                "admin",
                "mysql",
                "postgres",
                "redis",
                "ftp",
                "ssh",
                "http",
                "proxy",
                "login",
                "my",
                "basic",
                "pg",
            )
        ),
        *(("auth", second) for second in ("header", "code", "data", "string", "info")),
        *((first, "auth") for first in ("basic", "proxy", "http", "x", "digest")),
        *((first, "code") for first in ("verification", "security", "recovery", "backup")),
        *(("card", second) for second in ("number", "no", "num", "nr", "pan")),
        *(("account", second) for second in ("number", "no", "num", "nr")),
        *(("routing", "number"), ("sort", "code"), ("credit", "card"), ("debit", "card")),
        *(("tax", "id"), ("national", "id"), ("social", "security"), ("drivers", "license")),
        *((first, "string") for first in ("connection", "conn")),
        *(
            (first, second)
            for first in ("database", "db", "redis", "broker", "mongo", "amqp")
            for second in ("url", "uri")
        ),
        *(("private", "pem"), ("seed", "phrase"), ("recovery", "phrase"), ("2", "fa")),
    )
)
# Names that are sensitive as a whole, though their word alone is not.
_WHOLE: Final = frozenset({"auth", "pass", "pem"})
# Beside `token` these speak of tokens of text and of counting, not of a secret one.
_COUNTING: Final = frozenset(
    (
        *("count", "counts", "max", "min", "num", "number", "total", "used", "usage", "limit"),
        *("budget", "len", "length", "type", "types", "per", "bucket", "prompt", "completion"),
        *("input", "output", "rate", "index", "position", "kind", "estimate", "cost"),
    )
)


def is_sensitive_name(name: str) -> bool:
    """True if a value of this name must not leave the process."""
    words = [w.lower() for w in _WORD.findall(unicodedata.normalize("NFKC", name[:_LONGEST_NAME]))]
    if not words:
        return False
    if not _COUNTING.isdisjoint(words):
        words = [w for w in words if w not in ("token", "tokens")]
    return (
        not _WORDS.isdisjoint(words)
        or not _PAIRS.isdisjoint(pairwise(words))
        or words in _WHOLE_NAMES
        or any(map(_PARTS.search, words))
    )


_WHOLE_NAMES: Final = [[name] for name in sorted(_WHOLE)]


class Redactor:
    """Hides sensitive values of one probe.

    A hidden value keeps its type, its length if that is not short, and a tag: under one redactor
    equal values have equal tags. The tag's key is random and never leaves.
    """

    def __init__(self) -> None:
        self._key = secrets.token_bytes(_KEY_BYTES)
        # Names repeat with every result; looking at one takes 5 us.
        self.is_sensitive = lru_cache(_REMEMBERED_NAMES)(is_sensitive_name)

    def is_sensitive_expression(self, words: Iterable[str]) -> bool:
        """True if an expression of these words (`Checked.words`) reads something sensitive."""
        words = tuple(words)
        return any(map(self.is_sensitive, words)) or self.is_sensitive("_".join(words))

    def redact(self, name: str, value: Plain, *, words: Iterable[str] = ()) -> Plain:
        """Hide the value if its name is sensitive, else whatever is sensitive inside it.

        Args: words: those of the expression that the value was read by (`Checked.words`).
        """
        if self.is_sensitive(name) or self.is_sensitive_expression(words):
            return self.hide(value)
        return self._inside(value, name)

    def hide(self, value: Plain) -> Plain:
        """Hide a value whatever its name. None, and marks that say that there is no value, stay."""
        if value is None or _says_nothing(value):
            return value
        return (plain.REDACTED, type_name(value), _length(value), self._tag(value))

    def _inside(self, value: Plain, name: str) -> Plain:
        """Hide what is sensitive inside a value. `name`: its own, which may be the first word of
        two: `card` with a field `number`.
        """
        if not isinstance(value, tuple):
            return value
        match cast("Any", value):
            case (plain.SEQUENCE, kind, items, total):
                return (plain.SEQUENCE, kind, self._items(items, name), total)
            case (plain.MAPPING, kind, pairs, total):
                redacted = tuple(
                    (self._inside(k, ""), self._named((name,), k, v)) for k, v in pairs
                )
                return (plain.MAPPING, kind, redacted, total)
            case (plain.OBJECT, kind, fields, total):
                outer = (name, kind)
                redacted = tuple((f, self._named(outer, f, v)) for f, v in fields)
                return (plain.OBJECT, kind, redacted, total)
            case (plain.EXCEPTION, kind, arguments, total):
                return (plain.EXCEPTION, kind, self._items(arguments, name), total)
            case _:
                return value

    def _items(self, items: tuple[Plain, ...], name: str) -> tuple[Plain, ...]:
        """Hide inside the items of a sequence; pairs such as headers are a name and its value."""
        return tuple(self._pair(item, name) for item in items)

    def _pair(self, item: Plain, name: str) -> Plain:
        match cast("Any", item):
            case (plain.SEQUENCE, kind, (key, value), 2) if _text_of(key) is not None:
                return (plain.SEQUENCE, kind, (key, self._named((name,), key, value)), 2)
            case _:
                return self._inside(item, name)

    def _named(self, outer: tuple[str, ...], key: Plain, value: Plain) -> Plain:
        """Hide a value under a key, which may be any plain value, in something of these names."""
        text = _text_of(key)
        if text is None:
            return self._inside(value, outer[0])
        if any(self.is_sensitive(n) for n in (text, *(f"{o}_{text}" for o in outer if o))):
            return self.hide(value)
        return self._inside(value, text)

    def _tag(self, value: Plain) -> str:
        digest = hashlib.blake2b(digest_size=_TAG_BYTES, key=self._key)
        for part in _canonical(value):
            digest.update(part)
        return digest.hexdigest()


def _canonical(value: Plain) -> Iterator[bytes]:
    """Write a value so that equal ones are equal bytes: sets and mappings in one order."""
    match cast("Any", value):
        case (plain.SEQUENCE, "set" | "frozenset" as kind, items, total):
            yield repr((kind, total)).encode()
            yield from sorted(b"".join(_canonical(item)) for item in items)
        case (plain.MAPPING, kind, pairs, total):
            yield repr((kind, total)).encode("utf-8", "backslashreplace")
            yield from sorted(
                b"".join((*_canonical(key), *_canonical(item))) for key, item in pairs
            )
        case _:
            yield repr(value).encode("utf-8", "backslashreplace")


def _says_nothing(value: Plain) -> bool:
    """True for marks such as `<unbound>`; an error's text may hold anything."""
    match value:
        case (plain.MARK, str(text)):
            return not text.startswith("<error")
        case (plain.REDACTED, *_):
            return True
        case _:
            return False


def _length(value: Plain) -> int | None:
    """Length of a hidden value: None if it has none, 0 if it is too short to tell."""
    match cast("Any", value):
        case str() | bytes():
            length = len(value)  # type: ignore[arg-type]
        case (plain.CUT_STR | plain.CUT_BYTES, _, total):
            length = total
        case (plain.SEQUENCE | plain.MAPPING, _, _, total):
            length = total
        case _:
            return None
    return length if length >= SHORT_LENGTH else 0


def _text_of(key: Plain) -> str | None:
    """Give a key as a name: strings, bytes (headers), enum members; None for all else."""
    match cast("Any", key):
        case str(text) | (plain.CUT_STR, text, _):
            return cast("str", text)
        case bytes(text) | (plain.CUT_BYTES, text, _):
            return cast("bytes", text).decode("latin-1")
        case (plain.VERBATIM, _, text, *_):
            return cast("str", text)
        case _:
            return None
