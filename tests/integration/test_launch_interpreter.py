"""Which Python a command line runs, whether it is fit, and what the program's environment is."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from pathlib import Path

import pytest

from probe_agent.errors import SondeError
from probe_agent.launch import fitness
from probe_agent.launch.environment import SITE_FOLDER, environment_for_run
from probe_agent.launch.fitness import Facts, judge
from probe_agent.launch.interpreter import interpreter_of

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with pythons and programs that are none."""
    for name in ("python3", "python3.12", "pypy3", "tool", "sh"):
        (tmp_path / name).write_text("")
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("python3 app.py -I -S", ""),
        ("python3 -m pkg -I", "m"),
        ("python3 -c pass -E", "c"),
        ("python3 - -E", ""),
        ("python3 -uBI app.py", "uBI"),
        ("python3 -W error -I app.py", "WI"),
        ("python3 -Werror:I -X dev app.py -E", "WX"),
        ("python3 --check-hash-based-pycs never -E app.py", "E"),
        ("python3 --version", ""),
        ("python3 -sm pkg -E", "sm"),
    ],
)
def test_the_options_of_python_end_where_the_program_begins(
    words: str, options: str, folder: Path
) -> None:
    found = interpreter_of(words.split(), str(folder))
    assert found is not None
    assert (found.path, found.options) == (str(folder / "python3"), frozenset(options))


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        pytest.param("#!{}/python3\n", "python3", "", id="absolute"),
        pytest.param("#! {}/python3 -Es\n", "python3", "Es", id="with options"),
        pytest.param("#!/usr/bin/env python3.12\n", "python3.12", "", id="env"),
        pytest.param("#!/usr/bin/env -S python3 -u\n", "python3", "u", id="env -S"),
        pytest.param("#!{}/pypy3\nPK\x03\x04", "pypy3", "", id="another Python, a zip"),
        pytest.param(
            "#!/bin/sh\n'''exec' {}/python3 \"$0\" \"$@\"\n' '''\n", "python3", "", id="pip, long"
        ),
        pytest.param(
            "#!/bin/sh\n'''exec' \"{}/python3\" \"$0\" \"$@\"\n' '''\n", "python3", "", id="pip, spaces"
        ),
        pytest.param(
            "#!/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python3' \"$0\" \"$@\"\n",
            "python3",
            "",
            id="uv, relocatable",
        ),
    ],
)  # fmt: skip
def test_a_script_names_its_python_in_its_first_lines(
    text: str, name: str, options: str, folder: Path
) -> None:
    (folder / "tool").write_text(text.replace("{}", str(folder)))
    found = interpreter_of(["tool"], str(folder))
    assert found is not None
    assert (found.path, found.options) == (str(folder / name), frozenset(options))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "#!/bin/sh\nexec python3 app.py\n",
        "#!/usr/bin/env -i python3\n",
        "#!/usr/bin/env FOO=1 python3\n",
        "#!/usr/bin/env\n",
        "#!\n",
        '#!/bin/sh\n\'\'\'exec\' "unbalanced "$0" "$@"\n',
        "#!/usr/bin/env 'unbalanced\n",
        "\x7fELF\x00",
    ],
)
def test_what_cannot_be_told_is_not_guessed(text: str, folder: Path) -> None:
    (folder / "tool").write_text(text)
    assert interpreter_of(["tool"], str(folder)) is None
    assert interpreter_of(["no-such-tool"], str(folder)) is None


FOUND = {
    "probe_agent.agent": ["0.1.0"],
    "google.protobuf": ["6.31.1"],
    "grpclib": ["0.4.8"],
    "bytecode": ["0.19"],
    "pip": ["26"],
}


def facts(version: tuple[int, ...] = (3, 14, 0), *, has_gil: bool = True, **found: object) -> Facts:
    named = {name.replace("__", "."): versions for name, versions in found.items()}
    return Facts("cpython", version, has_gil, {**FOUND, **named})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fit",
    [
        pytest.param(facts(), id="exactly the floors"),
        pytest.param(facts(google__protobuf=[]), id="a version that nothing tells"),
        pytest.param(facts(google__protobuf=["4.21.0", "7.0"]), id="an old version left behind"),
        pytest.param(facts((3, 13, 0), bytecode=["0.17"]), id="an older bytecode before 3.14"),
        pytest.param(facts((3, 11, 0), google__protobuf=["6.31.1rc2"]), id="oldest Python"),
    ],
)
def test_a_fit_python_is_accepted(fit: Facts) -> None:
    judge("/opt/python", fit)


@pytest.mark.parametrize(
    ("unfit", "words"),
    [
        (facts((3, 10, 9)), ["CPython 3.10.9", "3.11 to 3.14"]),
        (facts((3, 15, 0)), ["CPython 3.15.0"]),
        (facts(has_gil=False), ["free-threaded CPython 3.14.0"]),
        (Facts("pypy", (3, 11, 0), has_gil=True, found=FOUND), ["PyPy 3.11.0"]),
        (facts(probe_agent__agent=None), ["/opt/python -m pip install sonde"]),
        (facts(probe_agent__agent=None, pip=None), ["uv pip install --python /opt/python sonde"]),
        (facts(bytecode=["0.18.1"]), ["0.18.1", "install 'bytecode>=0.19'"]),
        (
            facts(google__protobuf=["5.29.6"], grpclib=None),
            ["5.29.6", "no grpclib", "install 'protobuf>=6.31.1' 'grpclib>=0.4.8'"],
        ),
    ],
)
def test_an_unfit_python_is_refused_with_the_command_that_mends_it(
    unfit: Facts, words: list[str]
) -> None:
    with pytest.raises(SondeError) as refused:
        judge("/opt/python", unfit)
    assert refused.value.code == "unsupported"
    for word in words:
        assert word in str(refused.value)


def test_the_floors_are_those_of_the_project_file() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {re.split(r";", need)[0].replace(" ", "") for need in project["dependencies"]}
    needs = {*fitness._NEEDS, *fitness._NEEDS_SINCE_314}
    assert {f"{name}>={floor}" for _, name, floor in needs} == wanted


def test_a_python_that_cannot_answer_is_not_refused(folder: Path) -> None:
    found = interpreter_of(["python3"], str(folder))
    assert found is not None
    fitness.require_fit(found, {})  # an empty file: no answer at all


def test_the_pythons_own_path_is_asked_about_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    found = interpreter_of([sys.executable], "")
    assert found is not None
    path = os.pathsep.join([str(tmp_path), *sys.path])
    loud = {"PYTHONINSPECT": "1", "PYTHONVERBOSE": "1", "PYTHONWARNINGS": "error"}
    facts = fitness._ask(found, {"PYTHONPATH": path, **loud})
    assert facts is not None
    assert facts.version == sys.version_info[:3]
    assert not (tmp_path / "ran").exists()


def environ(*, is_c_locale: bool = False, **inherited: str) -> dict[str, str]:
    return environment_for_run(inherited, {"SONDE_SERVICE": "s"}, is_c_locale=is_c_locale)


@pytest.mark.parametrize(
    ("given", "others"),
    [("", []), ("/a:/b", ["/a", "/b"]), (":/a", ["", "/a"]), (SITE_FOLDER, []),
     ("/other/probe_agent/launch/site:/a", ["/a"])],
)  # fmt: skip
def test_our_folder_stands_first_on_the_path_and_only_once(given: str, others: list[str]) -> None:
    assert environ(PYTHONPATH=given)["PYTHONPATH"].split(":") == [SITE_FOLDER, *others]
    assert environ()["PYTHONPATH"] == SITE_FOLDER


@pytest.mark.parametrize(
    ("inherited", "is_c_locale", "expected"),
    [
        ({"LC_CTYPE": "C.UTF-8"}, True, "C"),
        ({"LC_CTYPE": "C.UTF-8"}, False, "C.UTF-8"),
        ({"LC_CTYPE": "C.UTF-8", "LC_ALL": "C"}, True, "C.UTF-8"),
        ({"LC_CTYPE": "de_DE.UTF-8"}, True, "de_DE.UTF-8"),
        ({}, True, None),
    ],
)
def test_the_locale_is_the_one_that_was_given(
    inherited: dict[str, str], is_c_locale: bool, expected: str | None
) -> None:
    assert environ(is_c_locale=is_c_locale, **inherited).get("LC_CTYPE") == expected


def test_the_site_folder_holds_nothing_else() -> None:
    names = {entry.name for entry in Path(SITE_FOLDER).iterdir()}
    assert names - {"__pycache__", "sitecustomize.pyc"} == {"sitecustomize.py"}
