from __future__ import annotations

import os
import pwd
import re

import pytest

from probe_agent.config import (
    clean_name,
    commit_beside,
    make_config,
    parse_labels,
    random_id,
    sonde_home,
)
from probe_agent.errors import ConfigurationError


def test_the_home_is_the_one_that_the_password_database_names():
    home = pwd.getpwuid(os.getuid()).pw_dir
    assert str(sonde_home({"HOME": "/nowhere"})) == f"{home}/.local/state/sonde"
    assert str(sonde_home({"SONDE_HOME": "/there"})) == "/there"


@pytest.mark.parametrize(
    ("given", "clean"),
    [
        pytest.param("trades", "trades", id="as it is"),
        pytest.param("a b\u202e\n\x1b[31m", "a_b____31m", id="controls and spaces"),
        pytest.param("x" * 500, "x" * 100, id="too long"),
    ],
)
def test_names_keep_only_the_characters_that_the_contract_allows(given, clean):
    assert clean_name(given) == clean


def test_labels_are_read_as_pairs():
    assert parse_labels("zone=eu-1, tier=web,") == {"zone": "eu-1", "tier": "web"}


@pytest.mark.parametrize("text", ["zone", "=x", "a=1,b"])
def test_labels_of_another_form_are_refused_in_words(text):
    with pytest.raises(ConfigurationError) as refusal:
        parse_labels(text)
    assert refusal.value.code == "invalid_argument"


def test_arguments_come_before_the_environment(monkeypatch):
    monkeypatch.setenv("SONDE_ENV", "prod")
    monkeypatch.setenv("SONDE_LABELS", "zone=eu")
    config = make_config("trades", version="v2", hub="unix:/x/hub.sock")
    assert (config.environment, config.version, config.hub) == ("prod", "v2", "unix:/x/hub.sock")
    assert config.labels == {"zone": "eu"}
    assert make_config("trades", environment="test").environment == "test"


@pytest.mark.parametrize(
    ("service", "hub"),
    [
        pytest.param("", None, id="no service"),
        pytest.param("s", "tcp:1.2.3.4:5", id="no socket"),
        pytest.param("s", "unix:relative", id="no absolute path"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(service, hub):
    with pytest.raises(ConfigurationError):
        make_config(service, hub=hub)


def test_the_commit_is_found_beside_the_code(tmp_path):
    git = tmp_path / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "refs/heads/main").write_text("a1b2c3d4e5f6\n")
    below = tmp_path / "src" / "app"
    below.mkdir(parents=True)
    assert commit_beside(below) == "a1b2c3d"
    (git / "refs/heads/main").unlink()
    (git / "packed-refs").write_text("# pack\nb1b2c3d4e5f6 refs/heads/main\n")
    assert commit_beside(below) == "b1b2c3d"


def test_ids_are_random_and_short():
    ids = {random_id("p", 6) for _ in range(1000)}
    assert len(ids) > 990
    assert all(re.fullmatch("p-[a-z2-7]{6}", i) for i in ids)
