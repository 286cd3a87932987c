"""Which tests make up the corpus: modules of the library's `test` package, and packages' own suites.

A *part* is what one process runs. Versions of packages are pinned in pyproject's group `corpus`.
"""

from __future__ import annotations

from dataclasses import dataclass

# Everything that is about the language, its data model, and libraries written in Python. Where a
# Python lacks a module, it is left out there.
LIBRARY = """
test_abc test_abstract_numbers test_argparse test_array test_ast test_asyncgen
test_asyncio.test_base_events test_asyncio.test_buffered_proto test_asyncio.test_context
test_asyncio.test_eager_task_factory test_asyncio.test_events test_asyncio.test_free_threading
test_asyncio.test_futures test_asyncio.test_futures2 test_asyncio.test_locks
test_asyncio.test_pep492 test_asyncio.test_proactor_events test_asyncio.test_protocols
test_asyncio.test_queues test_asyncio.test_runners test_asyncio.test_selector_events
test_asyncio.test_server test_asyncio.test_sslproto test_asyncio.test_streams
test_asyncio.test_taskgroups test_asyncio.test_tasks test_asyncio.test_threads
test_asyncio.test_timeouts test_asyncio.test_transports test_asyncio.test_waitfor
test_augassign test_base64 test_baseexception test_binop test_bisect test_bool
test_bufio test_builtin test_bytes test_calendar test_call test_charmapcodec test_class
test_cmath test_cmd test_code_module test_codeccallbacks test_codecs test_codeop test_collections
test_colorsys test_compare test_complex test_configparser test_contains test_context
test_contextlib test_contextlib_async test_copy test_copyreg test_coroutines test_csv
test_dataclasses test_datetime test_decimal test_decorators test_defaultdict test_deque test_descr
test_descrtut test_dict test_dictcomps test_dictviews test_difflib test_doctest test_dynamic
test_dynamicclassattribute test_email test_enum test_enumerate test_eof test_except_star
test_exception_group test_exception_hierarchy test_exception_variations test_exceptions
test_extcall test_filecmp test_fileinput test_float test_flufl test_fnmatch test_fork1 test_format
test_fractions test_frame test_frozen test_fstring test_funcattrs test_functools test_future_stmt
test_gc test_generator_stop test_generators test_generic_class test_genericalias test_genericclass
test_genericpath test_genexps test_getopt test_getpass test_gettext test_glob test_global
test_grammar test_graphlib test_hash test_hashlib test_heapq test_hmac test_html test_htmlparser
test_http_cookies test_import test_index test_inspect test_int test_int_literal test_io
test_ioctl test_ipaddress test_isinstance test_iter test_iterlen test_itertools test_json
test_keyword test_keywordonlyarg test_lambda test_linecache test_list test_listcomps test_logging
test_long test_longexp test_lzma test_mailbox test_math test_memoryio test_memoryview
test_metaclass test_mimetypes test_minidom test_module test_monitoring test_named_expressions
test_netrc test_ntpath test_numeric_tower test_opcache test_opcodes test_operator test_optparse
test_ordered_dict test_os test_patma test_pathlib test_pep646_syntax
test_pickle test_pickletools test_pkgutil test_plistlib test_popen test_positional_only_arg
test_posixpath test_pow test_pprint test_print test_property test_pulldom test_pyclbr test_queue
test_raise test_random test_range test_re test_reprlib test_rlcompleter test_robotparser
test_sax test_sched test_scope test_secrets test_selectors test_set test_setcomps test_shelve
test_shlex test_shutil test_signal test_slice test_smtplib test_socketserver test_sort
test_sqlite3 test_statistics test_strftime test_string test_string_literals test_stringprep
test_strptime test_strtod test_struct test_structseq test_subclassinit test_super test_symtable
test_syntax test_tarfile test_tempfile test_textwrap test_thread test_threading
test_threading_local test_timeit test_tokenize test_tomllib test_traceback test_tuple
test_type_aliases test_type_annotations test_type_comments test_type_params test_types
test_typechecks test_typing test_unary test_unicode test_unicodedata test_unittest test_unpack
test_unpack_ex test_unparse test_urllib test_urlparse test_userdict test_userlist test_userstring
test_utf8_mode test_uuid test_warnings test_wave test_weakref test_weakset test_with test_wsgiref
test_xml_etree test_xmlrpc test_yield_from test_zipapp test_zipfile test_zoneinfo
test_dis test_code test_compile test_peepholer test_marshal test_bdb test_pdb test_trace
test_sys_settrace test_sys_setprofile test_profile test_cprofile
""".split()  # noqa: SIM905  250 names, to be read by people

# A tracer sees the frame of a hit (README says so): these modules write down every event, so they
# run with conditions that are false, which no tracer may see. Why each belongs here:
NO_HITS = {
    "test_bdb": "counts the events of a tracer",
    "test_cprofile": "counts the calls that a profiler sees",
    "test_monitoring": "counts the events of sys.monitoring",
    "test_pdb": "steps through code line by line",
    "test_profile": "counts the calls that a profiler sees",
    "test_sys_setprofile": "counts the calls that a profiler sees",
    "test_sys_settrace": "counts the events of a tracer",
    "test_trace": "counts the events of a tracer",
}

# Where the name of the test module does not tell which library module it tests.
UNDER_TEST = {
    "test_abstract_numbers": ("numbers",),
    "test_bufio": ("_pyio",),
    "test_builtin": (),
    "test_code": (),
    "test_code_module": ("code",),
    "test_contextlib_async": ("contextlib",),
    "test_datetime": ("_pydatetime",),
    "test_decimal": (),  # its version in Python alone would take an hour
    "test_defaultdict": (),
    "test_htmlparser": ("html",),
    "test_http_cookies": ("http",),
    "test_io": ("_pyio",),
    "test_long": ("_pylong",),
    "test_memoryio": ("_pyio",),
    "test_minidom": ("xml",),
    "test_ordered_dict": ("collections",),
    "test_pulldom": ("xml",),
    "test_sax": ("xml",),
    "test_urlparse": ("urllib",),
    "test_userdict": ("collections",),
    "test_userlist": ("collections",),
    "test_userstring": ("collections",),
    "test_weakset": ("_weakrefset",),
    "test_xml_etree": ("xml",),
    "test_xmlrpc": ("xmlrpc",),
}

# Functions of these tests get bytes for co_code from their test, which keeps the exception table of
# what was there: with probes that is the probes' own, and the interpreter runs into nowhere. By the
# start of the functions' qualified names, in `test_code`.
LEFT_ALONE = (
    "CodeLocationTest.test_code_new_empty.<locals>.",
    "external_getitem",  # of test_closure_injection
    "CodeTest.test_invalid_bytecode.<locals>.",
)

# Of the test package, but part of how tests are run.
NOT_PROBED = ("test/support/", "test/libregrtest/")


@dataclass(frozen=True)
class Package:
    """A package whose source distribution holds its tests.

    `imports`: packages that get probes beside the tests. `parts`: pytest's arguments, one process
    each, in the folder of the distribution.
    """

    name: str
    imports: tuple[str, ...]
    parts: tuple[tuple[str, ...], ...] = (("tests",),)


PACKAGES = (
    Package("attrs", ("attr", "attrs")),
    Package("click", ("click",)),
    Package("flask", ("flask",)),
    Package("h11", ("h11",), (("h11/tests",),)),
    Package("httpx", ("httpx",)),
    Package("itsdangerous", ("itsdangerous",)),
    Package("jinja2", ("jinja2",)),
    Package("marshmallow", ("marshmallow",)),
    # 50,000 cases that compare two version numbers would hide how many others there are.
    Package("packaging", ("packaging",), (("tests", "--ignore=tests/test_version.py"),)),
    # Its distribution holds the tests of the documentation, but not the documentation.
    Package("pydantic", ("pydantic",), (("tests", "--ignore=tests/test_docs.py"),)),
    Package(
        "sqlalchemy",
        ("sqlalchemy",),
        (("test/base",), ("test/engine",), ("test/ext",), ("test/sql",), ("test/orm/inheritance",)),
    ),
    Package("werkzeug", ("werkzeug",)),
)
