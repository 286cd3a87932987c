"""Redaction by name: what is hidden, what stays, and what a hidden value still says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from probe_agent.capture import CaptureLimits, make_capture
from probe_agent.expression import check
from probe_agent.literal import render
from probe_agent.plain import MARK, REDACTED
from probe_agent.redaction import Redactor, is_sensitive_name

SENSITIVE = [
    "X-Api-Key",
    "userPassword",
    "api_key",
    "AUTHORIZATION",
    "sessionToken",
    "set-cookie",
    "private_key",
    "pwd",
    "passwd",
    "secret",
    "credential",
    "ssn",
    "cvv",
    "card_number",
    "iban",
    "pin",
    "accessToken",
    "refresh_token",
    "APIKey",
    "APIKEY",
    "dbPassword",
    "DB_PASS",
    "client_secret",
    "clientSecret",
    "PHPSESSID",
    "cvv2",
    "userPIN",
    "cardNumber",
    "jwt",
    "bearer_token",
    "csrfmiddlewaretoken",
    "password_hash",
    "oauth2_token",
    "stripeSecretKey",
    "DATABASE_URL",
    "auth",
    "connection_string",
    "X-Auth-Token",
    "new_password1",
    "PASSWORD2",
    "__token",
    "_secret_value",
    "token",
    "otp",
    "aws_secret_access_key",
    "AWSSecretKey",
    "Proxy-Authorization",
    "session_id",
    "creditCard",
    "account_number",
    "mydbpassword",
    "ｐａｓｓｗｏｒｄ",
]
HARMLESS = [
    "author",
    "tokenize",
    "passenger",
    "pinned",
    "key",
    "primary_key",
    "secretary",
    "compass",
    "max_tokens",
    "token_count",
    "tokenizer",
    "authority",
    "author_id",
    "spinning",
    "monkey",
    "keyboard",
    "id",
    "name",
    "amount",
    "status",
    "foreign_key",
    "card",
    "sort_key",
    "order_number",
    "path",
    "session",
    "passed",
    "bypass",
    "classes",
    "assign",
    "signature",
    "pinterest",
    "ping",
    "shipping",
    "total",
    "cookiecutter",
    "cache_key",
    "keys",
    "i",
    "x",
    "_",
    "1",
]


@pytest.mark.parametrize("name", SENSITIVE)
def test_a_name_that_speaks_of_a_secret_is_sensitive(name):
    assert is_sensitive_name(name)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_name_that_only_looks_like_one_is_not(name):
    assert not is_sensitive_name(name)


def shown(name: str, value: object, redactor: Redactor | None = None) -> str:
    plain = make_capture(CaptureLimits())(value)
    return render((redactor or Redactor()).redact(name, plain))


class Card:
    def __init__(self, number: str) -> None:
        self.number = number
        self.holder = "Ada"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("password", "s3cr3t-value", id="variable"),
        pytest.param("row", {"password": "s3cr3t-value"}, id="key"),
        pytest.param("row", {b"authorization": b"s3cr3t-value"}, id="bytes key"),
        pytest.param("row", {"a": [{"b": {"apiKey": "s3cr3t-value"}}]}, id="nested key"),
        pytest.param("headers", [("Set-Cookie", "s3cr3t-value")], id="pair"),
        pytest.param("scope", [(b"authorization", b"s3cr3t-value")], id="pair of bytes"),
        pytest.param("card", {"number": "s3cr3t-value"}, id="key that needs its outer name"),
        pytest.param("payment", Card("s3cr3t-value"), id="field that needs its class"),
        pytest.param("token", ["s3cr3t-value"], id="inside of a sensitive name"),
        pytest.param("token", ValueError("s3cr3t-value"), id="exception"),
        pytest.param("secret", "s3cr3t-value" * 50, id="cut head"),
        pytest.param("row", {"password" + " " * 300: "s3cr3t-value"}, id="cut key"),
    ],
)
def test_a_secret_under_a_sensitive_name_is_not_in_the_literal(name, value):
    literal = shown(name, value)
    assert "s3cr3t" not in literal
    assert "<redacted " in literal


def test_a_hidden_value_says_its_type_and_its_length_unless_that_is_short():
    assert shown("password", "x" * 22).startswith("<redacted str len=22 tag=")
    assert shown("password", "x" * 15).startswith("<redacted str len<16 tag=")
    assert shown("password", "x" * 5000).startswith("<redacted str len=5000 tag=")
    assert shown("pin", 1234).startswith("<redacted int tag=")
    assert shown("tokens", {"a": 1}).startswith("<redacted dict len<16 tag=")


def test_a_short_length_is_not_even_in_the_redacted_value():
    hidden = [Redactor().redact("pin", "x" * n)[2] for n in range(16)]
    assert hidden == [0] * 16


def test_equal_values_have_equal_tags_under_one_redactor_and_others_under_another():
    redactor, other = Redactor(), Redactor()
    values = [f"value {n}" for n in range(20)]
    tags = [redactor.redact("token", v) for v in values]
    assert tags == [redactor.redact("secret", v) for v in values]
    assert tags != [other.redact("token", v) for v in values]
    assert redactor.hide((4, "set", ("a", "b"), 2)) == redactor.hide((4, "set", ("b", "a"), 2))


def test_none_and_marks_without_a_value_stay_but_an_errors_text_does_not():
    redactor = Redactor()
    assert redactor.redact("password", None) is None
    assert redactor.redact("password", (MARK, "<unbound>")) == (MARK, "<unbound>")
    hidden = redactor.redact("password", (MARK, "<error KeyError: 's3cr3t'>"))
    assert hidden[0] == REDACTED


def test_an_expression_that_reads_something_sensitive_is_sensitive_whatever_its_value_is_called():
    redactor = Redactor()
    for text in ("user.password", "d['api_key']", "a.b[0].ssn", "api.key", "card['number'] + 'x'"):
        assert redactor.is_sensitive_expression(check(text).words), text
        assert "s3cr3t" not in render(redactor.redact("x", "s3cr3t", words=check(text).words))
    assert not redactor.is_sensitive_expression(check("order.total > limit['amount']").words)


def nest(secret: str, shape: list[str]) -> object:
    value: object = {"password": secret}
    for kind in shape:
        match kind:
            case "list":
                value = [1, value]
            case "tuple":
                value = ("a", value)
            case "dict":
                value = {"inner": value}
            case "object":
                value = type("Thing", (), {"__init__": lambda s, v: s.__dict__.update(x=v)})(value)
            case _:
                value = ValueError(value)
    return value


@settings(max_examples=60, deadline=None)
@given(
    st.text(alphabet="ABCDEFGHJK23456789", min_size=8, max_size=400),
    st.lists(st.sampled_from(["list", "tuple", "dict", "object", "error"]), max_size=5),
)
def test_a_planted_secret_is_never_in_a_literal(secret, shape):
    assert secret[:8] not in shown("row", nest(secret, shape))
