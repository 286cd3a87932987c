from __future__ import annotations

import importlib
import importlib.util
import inspect
import pickle
import py_compile
import runpy
import sys
import threading
import zipfile

import pytest

from probe_agent.source.imports import ImportWatch
from probe_agent.source.lines import tree

SOURCE = "VALUE = 1\ndef f():\n    return VALUE\n"


class Seen:
    """What a watch told, and whom it wants."""

    def __init__(self):
        self.files = []
        self.loaded = []
        self.faults = []
        self.marks = {}
        self.wanted = "/im_"

    def wants(self, file):
        return self.wanted in file and file.endswith(".py")

    def transform(self, file, code):
        self.files.append(file)
        self.marks[file] = code.replace(co_consts=(*code.co_consts, "seen"))
        return self.marks[file]

    def on_loaded(self, name):
        self.loaded.append((name, name in sys.modules))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture
def watch(seen):
    made = ImportWatch(seen.wants, seen.transform, seen.on_loaded, seen.faults.append)
    made.install()
    yield made
    made.remove()
    assert made not in sys.meta_path


def write(folder, name, source=SOURCE):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    importlib.invalidate_caches()
    return path


def assert_untouched(loader):
    assert not {"get_code", "exec_module"} & set(vars(loader))


def test_a_wanted_modules_code_is_shown_before_it_runs(folder, watch, seen):
    path = write(folder, "im_one.py")
    ran = []
    seen.transform = lambda file, code: (
        ran.append((file, "im_one" in sys.modules and hasattr(sys.modules["im_one"], "VALUE"))),
        code,
    )[1]
    watch._transform = seen.transform
    module = importlib.import_module("im_one")
    assert ran == [(str(path), False)]
    assert module.f() == 1
    assert seen.loaded == [("im_one", True)]
    assert_untouched(module.__loader__)


def test_what_transform_returns_is_what_runs(folder, watch, seen):
    write(folder, "im_two.py")

    def nine(file, code):
        return compile("VALUE = 9", file, "exec")

    watch._transform = nine
    assert importlib.import_module("im_two").VALUE == 9


def test_unwanted_modules_are_left_alone(folder, watch, seen):
    write(folder, "other_one.py")
    spec = importlib.util.find_spec("other_one")
    assert_untouched(spec.loader)
    importlib.import_module("other_one")
    assert (seen.files, seen.loaded) == ([], [])


def test_the_spec_is_what_it_would_be_without_the_watch(folder, seen):
    write(folder, "im_spec.py")
    plain = importlib.util.find_spec("im_spec")
    made = ImportWatch(seen.wants, seen.transform, seen.on_loaded, seen.faults.append)
    made.install()
    try:
        watched = importlib.util.find_spec("im_spec")
        assert (watched.origin, watched.cached, type(watched.loader)) == (
            plain.origin,
            plain.cached,
            type(plain.loader),
        )
    finally:
        made.remove()
    assert_untouched(watched.loader)
    assert watched.loader == plain.loader


def test_a_loaded_module_is_like_any_other(folder, watch):
    path = write(folder, "im_like.py")
    module = importlib.import_module("im_like")
    assert module.__spec__.loader is module.__loader__
    assert inspect.getsource(module.f) == "def f():\n    return VALUE\n"
    assert pickle.loads(pickle.dumps(module.__loader__)).path == str(path)
    assert pickle.loads(pickle.dumps(module.f)) is module.f


def test_a_module_that_fails_is_told_and_its_error_comes_out(folder, watch, seen):
    write(folder, "im_fails.py", "raise KeyError('mine')\n")
    with pytest.raises(KeyError, match="mine"):
        importlib.import_module("im_fails")
    assert seen.loaded == [("im_fails", False)] or seen.loaded == [("im_fails", True)]
    assert len(seen.files) == 1
    assert watch._overrides == {}


def test_a_fault_of_ours_never_reaches_the_import(folder, watch, seen):
    write(folder, "im_fault.py")

    def fails(*_):
        raise ValueError("ours")

    watch._transform = watch._on_loaded = fails
    assert importlib.import_module("im_fault").VALUE == 1
    assert watch.fault_count == 2
    assert [str(e) for e in seen.faults] == ["ours", "ours"]


def test_a_fault_while_looking_at_a_spec_never_reaches_the_import(folder, watch, seen):
    write(folder, "im_wants.py")

    def fails(_):
        raise ValueError("ours")

    watch._wants = fails
    assert importlib.import_module("im_wants").VALUE == 1
    assert watch.fault_count >= 1


def test_an_applications_exception_inside_of_ours_comes_out(folder, watch, seen):
    write(folder, "im_signal.py")
    source = "class SoftTimeLimit(Exception): pass\ndef handler(): raise SoftTimeLimit\n"
    application = {"__name__": "celery_like"}
    exec(source, application)

    def interrupted(file, code):
        application["handler"]()
        return code

    watch._transform = interrupted
    with pytest.raises(application["SoftTimeLimit"]):
        importlib.import_module("im_signal")
    assert watch.fault_count == 0


def test_a_missing_module_is_missing_as_ever(folder, watch):
    with pytest.raises(ModuleNotFoundError) as failed:
        importlib.import_module("im_missing")
    assert failed.value.name == "im_missing"


def test_reload_shows_the_code_again(folder, watch, seen):
    path = write(folder, "im_again.py")
    module = importlib.import_module("im_again")
    importlib.reload(module)
    assert seen.files == [str(path), str(path)]
    assert [name for name, _ in seen.loaded] == ["im_again", "im_again"]


def test_packages_submodules_and_namespace_packages_load(folder, watch, seen):
    write(folder, "im_pkg/__init__.py", "")
    write(folder, "im_pkg/im_sub.py")
    write(folder, "im_space/im_leaf.py")
    importlib.import_module("im_pkg.im_sub")
    importlib.import_module("im_space.im_leaf")
    assert [n for n, _ in seen.loaded] == ["im_pkg", "im_pkg.im_sub", "im_space.im_leaf"]


def test_a_module_without_source_is_shown_under_its_source_name(folder, watch, seen):
    path = write(folder, "im_bare.py")
    py_compile.compile(str(path), cfile=str(folder / "im_bare.pyc"))
    path.unlink()
    importlib.invalidate_caches()
    module = importlib.import_module("im_bare")
    assert module.VALUE == 1
    assert seen.files == [str(folder / "im_bare.pyc")]
    assert_untouched(module.__loader__)


def test_modules_of_one_archive_are_told_apart(folder, watch, seen):
    archive = folder / "made.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("im_zip_a.py", "import im_zip_b\n" + SOURCE)
        made.writestr("im_zip_b.py", SOURCE)
        made.writestr("unwanted.py", SOURCE)
    sys.path.insert(0, str(archive))
    module = importlib.import_module("im_zip_a")
    importlib.import_module("unwanted")
    assert [f.rpartition("/")[2] for f in seen.files] == ["im_zip_a.py", "im_zip_b.py"]
    assert [n for n, _ in seen.loaded] == ["im_zip_b", "im_zip_a"]
    assert_untouched(module.__loader__)


def test_a_spec_that_is_never_loaded_leaves_nothing_after_removal(folder, watch):
    write(folder, "im_looked.py")
    spec = importlib.util.find_spec("im_looked")
    watch.remove()
    assert_untouched(spec.loader)
    assert watch._overrides == {}


def test_a_loader_without_get_code_executes_as_ever_and_is_told(folder, watch, seen):
    path = write(folder, "im_custom.py")

    class Loader:
        def create_module(self, spec):
            return None

        def exec_module(self, module):
            module.VALUE = 5

    class Finder:
        @staticmethod
        def find_spec(name, path_=None, target=None):
            if name == "im_custom":
                return importlib.util.spec_from_file_location(name, path, loader=Loader())
            return None

    sys.meta_path.insert(1, Finder)
    try:
        module = importlib.import_module("im_custom")
    finally:
        sys.meta_path.remove(Finder)
    assert module.VALUE == 5
    assert (seen.files, seen.loaded) == ([], [("im_custom", True)])
    assert_untouched(module.__loader__)


def test_a_class_as_loader_is_never_changed(folder, watch, seen):
    path = write(folder, "im_class.py")

    class Loader:
        @staticmethod
        def create_module(spec):
            return None

        @staticmethod
        def exec_module(module):
            module.VALUE = 6

    class Finder:
        @staticmethod
        def find_spec(name, path_=None, target=None):
            if name == "im_class":
                return importlib.util.spec_from_file_location(name, path, loader=Loader)
            return None

    before = dict(vars(Loader))
    sys.meta_path.insert(1, Finder)
    try:
        assert importlib.import_module("im_class").VALUE == 6
    finally:
        sys.meta_path.remove(Finder)
    assert dict(vars(Loader)) == before


def test_lazily_loaded_modules_are_shown_when_they_wake(folder, watch, seen):
    write(folder, "im_lazy.py")
    spec = importlib.util.find_spec("im_lazy")
    spec.loader = importlib.util.LazyLoader(spec.loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules["im_lazy"] = module
    spec.loader.exec_module(module)
    assert seen.files == []
    assert module.VALUE == 1
    assert len(seen.files) == 1


def test_a_module_run_as_main_is_shown(folder, watch, seen):
    path = write(folder, "im_main.py")
    assert runpy.run_module("im_main", run_name="__main__")["VALUE"] == 1
    assert seen.files[0] == str(path)


def test_threads_that_import_at_once_all_get_their_modules(folder, watch, seen):
    names = [f"im_thread_{n}" for n in range(20)]
    for name in names:
        write(folder, f"{name}.py", "import im_shared\n" + SOURCE)
    write(folder, "im_shared.py")
    failed = []

    def load(part):
        try:
            for name in part:
                importlib.import_module(name)
        except BaseException as error:  # noqa: BLE001 (shown by the test)
            failed.append(error)

    threads = [threading.Thread(target=load, args=(names[i::4] + names,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert failed == []
    assert sorted(n for n, _ in seen.loaded) == sorted([*names, "im_shared"])
    assert watch._overrides == {}


def test_another_finder_that_asks_all_finders_again_disturbs_nothing(folder, watch, seen):
    path = write(folder, "im_nested.py")

    class Wrapping:
        """As wrapt's post-import finder does."""

        busy = False

        def find_spec(self, name, path_=None, target=None):
            if self.busy:
                return None
            self.busy = True
            try:
                return importlib.util.find_spec(name)
            finally:
                self.busy = False

    wrapping = Wrapping()
    sys.meta_path.insert(1, wrapping)
    try:
        module = importlib.import_module("im_nested")
    finally:
        sys.meta_path.remove(wrapping)
    assert seen.files == [str(path)]
    assert_untouched(module.__loader__)


def test_the_code_tree_that_is_shown_is_the_one_that_runs(folder, watch, seen):
    path = write(folder, "im_tree.py")
    module = importlib.import_module("im_tree")
    codes = [chain[-1] for chain in tree(seen.marks[str(path)])]
    assert module.f.__code__ in codes
    assert any(code is module.f.__code__ for code in codes)
