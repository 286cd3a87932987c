"""The desk's limits, from its configuration file."""

from __future__ import annotations

from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PATH = Path(__file__).with_name("limits.ini")


@dataclass(frozen=True)
class Limits:
    """What the risk desk agreed to. `single_trade` is in units of `currency`."""

    currency: str
    single_trade: str
    restricted: frozenset[str]


def read_limits(path: Path = DEFAULT_PATH) -> Limits:
    """Read `limits.ini`.

    Raises: OSError, configparser.Error, KeyError: there is no file, or it lacks a setting.
    """
    parser = ConfigParser()
    with path.open(encoding="utf-8") as file:
        parser.read_file(file)
    symbols = parser["symbols"]["restricted"].split(",")
    return Limits(
        currency=parser["limits"]["currency"],
        single_trade=parser["limits"]["single_trade"],
        restricted=frozenset(symbol.strip() for symbol in symbols),
    )
