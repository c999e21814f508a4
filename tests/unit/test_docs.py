"""The documents say what is so: commands parse, links lead somewhere, keys, exit codes and JSON are the code's."""

from __future__ import annotations

import ast
import configparser
import importlib
import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, get_args

import click
import pytest

from bench.__main__ import PARTS
from rwm import config, errors
from rwm.backup.quick_audit import QuickAudit
from rwm.backup.report import BackupResult, Report
from rwm.cli import backup as backup_command
from rwm.cli import forget as forget_command
from rwm.cli import lock as lock_command
from rwm.cli import prune_simulation as simulation_command
from rwm.cli import recover as recover_command
from rwm.cli import state as state_command
from rwm.cli import state_list as list_command
from rwm.cli import state_restore_in_place as in_place_command
from rwm.cli import state_sync as sync_command
from rwm.cli import state_verify as verify_command
from rwm.cli import storage as storage_command
from rwm.cli import storage_access as access_command
from rwm.cli import storage_check as check_command
from rwm.cli import storage_freeze as freeze_command
from rwm.cli.audit_bisect import bisection_json
from rwm.cli.audit_report import report_json
from rwm.cli.audit_snapshots import SnapshotFile, SnapshotHistory, history_json
from rwm.cli.prune_log import prune_json
from rwm.cli.prune_output import plan_json
from rwm.console import classes_json, error_boundary, state_json, verification_json
from rwm.embedded.accounts import USER_ACTIONS
from rwm.forget import ForgetPlan, read_policy
from rwm.forget.choice import choose
from rwm.location import Location
from rwm.lock import LockCost, LockFailure, LockResult
from rwm.model import (
    ClassCount,
    Entry,
    FrozenUser,
    Operation,
    PrunedState,
    PruneReport,
    RecordedState,
    StateInfo,
    StorageClasses,
    Verification,
)
from rwm.prune import DeletionSpool, LocationPlan, PrunePlan
from rwm.repositories import RepositoryCount
from rwm.restic import Snapshot
from rwm.restic.run import Result
from rwm.retention import simulate
from rwm.rollback import Comparison, RollbackPlan, RollbackResult
from rwm.rollback import Problem as RollbackProblem
from rwm.statefile.canonical import entry_json
from rwm.states.account import LocationSummary
from rwm.states.comparison import ComparisonResult, Contradiction
from rwm.states.sync import SkippedFile, SyncResult
from rwm.storage import (
    Attempt,
    BucketLock,
    Drift,
    FixStep,
    FreezeResult,
    Inspection,
    MissingFeature,
    PolicyChange,
    StorageInfo,
    StorageRow,
    UserAccess,
)
from rwm.storage.drift import policy_drift, settings_drift
from rwm.storage.policy import protected_policy
from rwm.times import DAY
from rwm.trust import RULES, AuditReport, AuditSettings, Finding, KeepPolicy, LocationAudit, StateVerdict
from rwm.trust.finding import FindingLog
from rwm.trust.key_rules import UNLOCKED_REMOVAL
from rwm.trust.repository_audit import RepositoryAudit
from rwm.verify import Bisection, CheckedState, Kind, Problem, VerifyReport
from rwmfs.cli import cache as cachecli
from tests import ROOT
from tests import help as help_texts
from tests.mount import test_outages, test_s3_faults

README = ROOT / "README.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
CONFIGURATION = ROOT / "docs" / "configuration.md"
OPERATIONS = ROOT / "docs" / "operations.md"
ORIGINAL = ROOT / "docs" / "original.md"
SCRIPTS = ROOT / "docs" / "scripts.md"
SEMANTICS = ROOT / "docs" / "semantics.md"
SERVERS = ROOT / "docs" / "servers.md"
DOCS = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
WRITTEN = [path for path in DOCS if path != help_texts.COMMANDS]
SHELL = re.compile(r"^ *```(?:sh|ini)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`((?:rwm|rwmfs) [^`\n]+)`")
PROGRAM = re.compile(r"(?:^|/bin/)(rwm|rwmfs)$")


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


def prose(text: str) -> str:
    """The text without its code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)


def typed(text: str) -> Iterator[list[str]]:
    """Every command of rwm and rwmfs in the blocks of shell and of units, as words, the program first."""
    for block in SHELL.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.replace("ExecStart=", ""), comments=True)
            if words[:1] == ["echo"]:  # a line for cron
                words = shlex.split(words[1])
            start = next((n for n, word in enumerate(words) if PROGRAM.search(word)), None)
            if start is not None:
                yield [words[start].rpartition("/")[2], *words[start + 1 :]]


def spans(text: str) -> Iterator[list[str]]:
    """Every ``rwm …`` between backticks."""
    for span in SPAN.findall(prose(text)):
        yield shlex.split(span)


def section(title: str, document: Path) -> str:
    """A document from one heading to the next of the first or second level."""
    text = document.read_text()
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^#{{1,2}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[2]


def first_column(text: str) -> list[str]:
    rows = re.findall(r"^\| *([^|]+?) *\|", text, re.MULTILINE)
    return [row for row in rows if not re.fullmatch(r"-+|key|code", row)]


# --- commands ----------------------------------------------------------------------------------------


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Give a command line to the real parser; nothing is run."""
    for _, command, _ in help_texts.everything(hidden=True):
        if not isinstance(command, click.Group):
            monkeypatch.setattr(command, "callback", lambda **_: None)

    def run(words: list[str]) -> None:
        program = help_texts.PROGRAMS[words[0]]
        try:
            program.main(words[1:], prog_name=words[0], standalone_mode=False)
        except click.ClickException as error:
            pytest.fail(f"{shlex.join(words)}: {error.format_message()}")

    return run


@pytest.mark.parametrize("name", names(WRITTEN))
def test_commands_in_shell_blocks_parse(name: str, parse: Any) -> None:
    for words in typed((ROOT / name).read_text()):
        parse(words)


def test_the_parser_would_notice(parse: Any) -> None:
    for wrong in ("rwm stat list", "rwm state list --at now", "rwmfs mount bucket1", "rwm prune b --keep-last many"):
        with pytest.raises(pytest.fail.Exception):
            parse(wrong.split())


def test_commands_are_found_in_shell_blocks() -> None:
    text = "```sh\nX=1 rwm -c a state \\\n  list  # all\ncd /opt/rwm\n```\n\n   ```sh\n   rwmfs umount /m\n   ```\n"
    text += "```text\nrwm x\n```\n```ini\nExecStart=/bin/rwm version\n```\n"
    text += "```sh\necho '1 2 * * * root /usr/bin/rwm backup --all' > /etc/cron.d/x\n```\n"
    assert list(typed(text)) == [
        ["rwm", "-c", "a", "state", "list"],
        ["rwmfs", "umount", "/m"],
        ["rwm", "version"],
        ["rwm", "backup", "--all"],
    ]
    assert len(list(typed(README.read_text()))) > 15
    assert sum(len(list(typed(path.read_text()))) for path in WRITTEN) > 50


@pytest.mark.parametrize("name", names(WRITTEN))
def test_commands_in_prose_exist_with_their_options(name: str) -> None:
    """Command and options must exist; arguments may be left out or be placeholders."""
    known = {path: command for path, command, _ in help_texts.everything(hidden=True)}
    for words in spans((ROOT / name).read_text()):
        path, rest = words[0], words[1:]
        options = {option for parameter in known[path].params for option in parameter.opts}
        while rest and (rest[0] == "-c" or f"{path} {rest[0]}" in known):
            if rest[0] == "-c":
                rest = rest[2:]
                continue
            path, rest = f"{path} {rest[0]}", rest[1:]
            options |= {option for parameter in known[path].params for option in parameter.opts}
        text = shlex.join(words)
        group = isinstance(known[path], click.Group)
        assert not (group and rest and not rest[0].startswith("-")), f"{text}: {path} has no command {rest[0]}"
        if path in ("rwm restic", "rwm aws"):
            continue
        unknown = [word for word in rest if re.match(r"--?[a-z]", word) and word not in options | {"-h", "--help"}]
        assert not unknown, f"{text}: {path} has no option {unknown}"


@pytest.mark.parametrize("name", names(DOCS))
def test_targets_of_make_exist(name: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    text = (ROOT / name).read_text()
    shell = re.findall(r"^ *make ([a-z][a-z-]*)", "\n".join(SHELL.findall(text)), re.MULTILINE)
    assert set(shell + re.findall(r"`make ([a-z][a-z-]*)", prose(text))) <= set(targets)


def test_every_visible_command_is_in_the_readme() -> None:
    table = section("Commands", README)
    for path, command, _ in help_texts.everything():
        if not isinstance(command, click.Group):
            assert re.search(rf"^\| `{path}[ `]", table, re.MULTILINE), path


def test_every_original_spelling_is_documented() -> None:
    table = ORIGINAL.read_text()
    visible = {path for path, _, _ in help_texts.everything()}
    older = {path.split()[1] for path, _, _ in help_texts.everything(hidden=True) if path not in visible}
    assert older
    assert {name.replace("-", "_") for name in older} <= set(re.findall(r"`(\w+)`", table))


def test_help_texts_are_checked_in() -> None:
    assert help_texts.COMMANDS.read_text() == help_texts.text(), "write them anew: venv/bin/python -m tests.help"


# --- what scripts rely on ----------------------------------------------------------------------------


def exit_codes(error: type[errors.RwmError]) -> set[int]:
    return {error.exit_code}.union(*(exit_codes(each) for each in error.__subclasses__()))


def test_documented_exit_codes_are_those_of_the_code() -> None:
    documented = [int(code) for code in first_column(section("Exit codes", SCRIPTS))]
    assert documented == sorted({0, error_boundary.INTERRUPTED} | exit_codes(errors.RwmError))


def test_documented_configuration_keys_are_those_of_the_code() -> None:
    tables = (section(title, CONFIGURATION) for title in ("Keys", "Keys of an entry of `backups`"))
    documented = [key.strip("`") for table in tables for key in first_column(table)]
    known = [name for name, field in config.Config.model_fields.items() if not field.exclude]
    assert sorted(documented) == sorted([*known, *config.BackupConfig.model_fields])


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.conf")), ids=lambda path: path.name)
def test_examples_are_configurations(path: Path) -> None:
    loaded = config.load_config(path, environment={})
    assert loaded.s3_settings().endpoint_url
    # What is commented out is a key too.
    keys = re.findall(r"^# ?([a-z0-9_]+): ", path.read_text(), re.MULTILINE)
    assert set(keys) <= set(config.Config.model_fields)


def test_trouble_with_s3_is_what_the_tests_show() -> None:
    """Each row of the tables is a test, and says of a trouble that passes what the test sees."""
    text = section("Trouble with S3", SEMANTICS)
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]+?) \| ([^|]+?) \|$", text, re.MULTILINE)
    passing = {title: cell for title, cell, lasting in rows if lasting.startswith(("EIO", "EACCES"))}
    assert list(passing) == [row.title for row in test_s3_faults.ROWS]
    for row in test_s3_faults.ROWS:
        assert passing[row.title].startswith("right bytes") == bool(row.unnoticed), row.title
    events = re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", text, re.MULTILINE)
    assert [title for title in events if title not in ("event", "---")] == list(test_outages.EVENTS)


def test_every_measurement_is_documented() -> None:
    parts = [name.strip("`") for name in first_column(section("How to measure", ROOT / "docs" / "performance.md"))]
    assert [name for name in parts if name in PARTS] == list(PARTS)


def test_named_threads_are_functions_of_the_mount() -> None:
    table = section("Figures", ROOT / "docs" / "performance.md").partition("| CPU seconds for each GiB ")[2]
    named = re.findall(r"`(\w+)`", table.partition("\n\n")[0])
    source = "".join(path.read_text() for path in (ROOT / "rwmfs" / "read").glob("*.py"))
    assert named
    assert not [name for name in named if not re.search(rf"run_sync\(\s*[\w.]*\b{name},", source)]


def test_every_rule_of_the_audit_is_documented() -> None:
    text = section("Findings", ROOT / "docs" / "audit.md")
    documented = re.findall(r"^- `([a-z-]+)` \((proof|hint)\): (.*(?:\n  .*)*)", text, re.MULTILINE)
    rules = [(rule.code, rule.level, f"{rule.what}; {rule.why}.") for rule in RULES]
    assert [(code, level, " ".join(text.split())) for code, level, text in documented] == rules


BOTH_USERS = [UserAccess("arn:aws:iam:::user/user1"), UserAccess("arn:aws:iam:::user/user2")]


def test_every_drift_code_is_documented() -> None:
    wrong = settings_drift(
        versioning="", owner="user1", user_ids=["user1"], bucket_grants=[("all", "READ")], lifecycle=[{}]
    )
    frozen = {"Sid": "RwmFrozenAll", "Effect": "Deny", "Principal": {"AWS": ["arn:aws:iam:::user/user1"]}}
    wrong += policy_drift({"Statement": frozen}, "b", "admin")
    for actual in (None, {}, {"Statement": {"Effect": "Allow", "Principal": {"AWS": ["arn:aws:iam:::user/user1"]}}}):
        wrong += policy_drift(actual, "b", "admin")
    wrong += policy_drift(protected_policy("b", "arn:aws:iam:::user/admin", BOTH_USERS), "b", "admin")
    codes = {drift.code for drift in wrong} | {"unreadable", "unsupported", "location-no-user"}
    assert "policy-overlap" in codes
    for text in (section("JSON for scripts", SCRIPTS), section("Checking for drift", OPERATIONS)):
        assert not codes - set(re.findall(r"`([a-z-]+)`", text))


def test_the_identity_policy_for_seaweedfs_is_the_one_that_is_tested() -> None:
    text = SERVERS.read_text()
    found = re.search(r"```json\n(\{\"Version\".*?)```", text, re.DOTALL)
    assert found
    (statement,) = json.loads(found[1])["Statement"]
    assert tuple(statement["Action"]) == USER_ACTIONS
    assert statement["Resource"] == ["arn:aws:s3:::bucket1", "arn:aws:s3:::bucket1/*"]


def documented_json(command: str) -> Any:
    """The JSON block that follows the mention of a command."""
    text = section("JSON for scripts", SCRIPTS)
    start = text.index(f"`{command}")
    block = re.compile(r"```json\n(.*?)```", re.DOTALL).search(text, start)
    assert block
    return json.loads(block[1])


def shape(value: Any) -> Any:
    """Field names all the way down, in order; what is not an object counts as nothing."""
    if isinstance(value, dict):
        return [(key, shape(each)) for key, each in value.items()]
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return None


CLASSES = StorageClasses(0, {"GLACIER": ClassCount(1, 155)})
INFO = StateInfo("0" * 64, "bucket1", 0, "backup", 1, 155, "ok")
ENTRY = Entry("config", "v", 155, "e", 0)
LOCKED = LockResult(failed=1, failures=[LockFailure("k", "v", "AccessDenied")])


class LockPlan(NamedTuple):
    """What JSON has of a plan of locks."""

    location: Location = INFO.location
    mode: str = "governance"
    kept_until: Mapping[str, int] = MappingProxyType({INFO.id: DAY})


LOCK_PLAN: Any = LockPlan()
SIMULATION = simulate([INFO], KeepPolicy({"last": "1"}), DAY)
PRUNED = PruneReport(
    "0" * 16,
    INFO.location,
    0,
    0,
    (INFO.id,),
    (PrunedState(INFO.id, 0, 0),),
    removed={"deleted": 4, "hides-nothing": 4},
)
PLAN = PrunePlan(INFO.location, (LocationPlan(INFO.location, (INFO,)),), DeletionSpool())
INSPECTION = Inspection([Drift("a", "b")], [UserAccess("user1")])
COUNTED = StorageInfo(
    "bucket1", "", "Enabled", storage_classes=dict(CLASSES.counts), repositories=[RepositoryCount("", 1, 155)]
)
FREEZE = FreezeResult("bucket1", (FrozenUser("u", True, 0, ""),), [], [])
PROOF = [Attempt("a", "refused")]
FIX = FixStep("acl", "d", print)
LOCK = BucketLock("off")
MISSING = MissingFeature("upload-listing", "c")
CHANGE = PolicyChange([], [UserAccess("user1")], [], [])
RECORDED = RecordedState(INFO, "verified", 0)
SUMMARY = LocationSummary(INFO.location, 31, RECORDED, 2)
REPOSITORIES = state_command._repositories_json([RepositoryCount("", 1, 155)])
VERIFIED = verification_json({"content": Verification(0, 1, 155, 155, 0)})
SHOWN = {**state_json(INFO), **classes_json(CLASSES), **REPOSITORIES, **VERIFIED, "entries": [entry_json(ENTRY)]}
VERIFY_REPORT = VerifyReport(INFO, "content", 0, print)
PROBLEMS = [Problem(kind, "config", "v", "w") for kind in get_args(Kind)]
REJECTED = [SkippedFile("rwm/states/x", "v", "w")]
CAME = SyncResult([INFO], REJECTED, REJECTED)
JUDGED = [ComparisonResult(INFO, "contradicted", 10, 1, 0, (Contradiction("config", "v", "w"),))]
FINDING = Finding(UNLOCKED_REMOVAL, "", "config", "v", 0, "d", 0)
AUDIT = LocationAudit(INFO.location, 0, AuditSettings(), [RepositoryAudit("", FindingLog(), 0)])
AUDIT_REPORT = AuditReport(AUDIT, [FINDING], [FINDING], [StateVerdict(RECORDED, "clean", (), ())], 0)
BISECTION = Bisection([INFO], [CheckedState(INFO, "passed")])
RECOVERY = recover_command._Recovery(AUDIT_REPORT, INFO, 0, "why", commands=["restic"])
FORGET_POLICY = read_policy({"keep-daily": "1"}, [])
ROLLBACK = RollbackPlan(INFO.location, "roll-back", "n", problems=Counter([RollbackProblem.GONE]))
ROLLED_BACK = in_place_command._Done(
    Operation("0" * 16, "roll-back", INFO.location, 0, "admin"),
    RollbackResult(failures=[("config", "w")]),
    ROOT,
    INFO,
    Comparison(hidden=1, named=[("config", "v")]),
)
SNAPSHOT = Snapshot("0", 0, "h", ("/etc",))
FORGET_PLAN = ForgetPlan(INFO.location, FORGET_POLICY, choose([(SNAPSHOT, 0), (SNAPSHOT, 1)], FORGET_POLICY))
SNAPSHOT_FILE = SnapshotFile("", ENTRY, SNAPSHOT)
SNAPSHOTS = SnapshotHistory({("config", "v"): SNAPSHOT_FILE}, [(INFO, [SNAPSHOT_FILE])], [FINDING])
REPORT = Report([BackupResult("etc", "ok", 0, 1.9)], Result("ok", 0, ""), INFO)
REPORT.audit = QuickAudit("suspect", True, 1, 0, (FINDING,))


@pytest.mark.parametrize(
    ("command", "value"),
    [
        ("rwm state capture BUCKET", state_json(INFO)),
        ("rwm state list", list_command._state_json(RECORDED, {})),
        ("rwm state sync BUCKET", sync_command._result_json(Location("bucket1"), 31, CAME, JUDGED)),
        ("rwm state list --all", list_command._summary_json(SUMMARY)),
        ("rwm state show STATE", SHOWN),
        ("rwm state verify STATE", verify_command._report_json(VERIFY_REPORT, PROBLEMS)),
        (
            "rwm storage check BUCKET",
            check_command._json(INSPECTION, CLASSES, PROOF, [FIX], LOCK, [MISSING]),
        ),
        ("rwm state restore STATE --in-place", in_place_command._result_json(ROLLBACK, ROLLED_BACK)),
        ("rwm storage list", storage_command._row_json(StorageRow("bucket1", "Enabled", INSPECTION, LOCK))),
        ("rwm storage create BUCKET", access_command._create_json("bucket1", [UserAccess("u")])),
        ("rwm storage grant BUCKET", access_command._change_json(INFO.location, CHANGE, dry_run=False)),
        ("rwm storage info BUCKET", storage_command._info_json(COUNTED, {"": INFO}, LOCK)),
        ("rwm storage freeze BUCKET", freeze_command._freeze_json(FREEZE, PROOF, INFO)),
        ("rwm storage thaw BUCKET", freeze_command._thaw_json(FREEZE)),
        ("rwm audit BUCKET", report_json(AUDIT_REPORT)),
        ("rwm audit BUCKET --bisect", bisection_json(INFO.location, BISECTION, 0)),
        ("rwm recover BUCKET MOUNTPOINT", recover_command._recovery_json(RECOVERY)),
        ("rwm audit BUCKET --snapshots", history_json(AUDIT_REPORT, SNAPSHOTS)),
        ("rwm forget BUCKET", forget_command.plan_json(FORGET_PLAN)),
        ("rwm prune BUCKET", plan_json(PLAN, force=False)),
        ("rwm prune --log", [prune_json(PRUNED)]),
        ("rwm prune BUCKET --simulate", [simulation_command._simulation_json(INFO.location, [INFO], SIMULATION)]),
        ("rwm lock BUCKET", lock_command._plan_json(LOCK_PLAN, LockCost(), 0) | lock_command._result_json(LOCKED)),
        ("rwm backup --all", backup_command._report_json(REPORT)),
        ("rwmfs cache info", cachecli._info_json(ROOT, 0, 0, 0)),
        ("rwmfs cache clear", cachecli._clear_json(ROOT, 0, 0)),
    ],
)
def test_documented_json_is_that_of_the_code(command: str, value: Any) -> None:
    assert shape(documented_json(command)) == shape(value)


# --- architecture ------------------------------------------------------------------------------------

SOURCES = [path for package in ("rwm", "rwmfs") for path in sorted((ROOT / package).rglob("*.py"))]


@cache
def defined(path: Path) -> set[str]:
    """What a module defines: ``name``, ``Class``, ``Class.member``."""
    found: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        found |= bound(node)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for each in node.body for name in bound(each)}
    return found


def bound(node: ast.stmt) -> set[str]:
    """The names that a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def is_importable(dotted: str) -> bool:
    """Whether a dotted name is a module, or a name in one."""
    try:
        importlib.import_module(dotted)
    except ModuleNotFoundError:
        module, _, name = dotted.rpartition(".")
        return bool(module) and is_importable(module) and hasattr(importlib.import_module(module), name)
    return True


def unknown_names(text: str) -> list[str]:
    """Paths, modules, classes and functions in code font that do not exist.

    After ``path.py: `` each name has to be defined in that module, elsewhere in any module.
    """
    everywhere = set().union(*map(defined, SOURCES))
    words = set().union(*(re.findall(r"\w+", path.read_text()) for path in SOURCES))
    wrong = []
    for place, following in re.findall(r"`([\w/]+\.py)`(?::((?:,?\s+`[\w.()]+`)+))?", text):
        if not (ROOT / place).is_file():
            wrong.append(place)
        else:
            names = re.findall(r"`([\w.]+)(?:\(\))?`", following)
            wrong += [f"{place}: {name}" for name in names if name not in defined(ROOT / place)]
    for span in re.findall(r"`([^`\s]+)`", text):
        if re.fullmatch(r"(rwm|rwmfs)(\.\w+)+", span):
            known = is_importable(span)
        elif re.fullmatch(r"\w+(\.\w+)?\(\)|[A-Z]\w*[a-z]\w*(\.\w+)?", span):
            known = span.removesuffix("()") in everywhere
        elif re.fullmatch(r"\w+", span):  # a column, a field, an option without its dashes
            known = span in words
        else:
            continue
        if not known:
            wrong.append(span)
    return wrong


def test_names_in_the_architecture_exist() -> None:
    assert not unknown_names(prose(ARCHITECTURE.read_text()))


@pytest.mark.parametrize(
    "text",
    [
        "`rwm/s3/listings.py`",
        "`rwm/states/current.py`: `capture_state()`",
        "`rwm/states/current.py`: `current_at()`, `Nothing`",
        "`rwm.s4`",
        "`rwm.console.Application`",
        "`no_such_function()`",
        "`Reader.no_such_method()`",
        "`NoSuchClass`",
        "`no_such_column`",
    ],
)
def test_a_name_that_does_not_exist_is_noticed(text: str) -> None:
    assert unknown_names(text)


def test_names_that_exist_are_known() -> None:
    text = "`rwm/states/current.py`: `current_at()`. `rwm.s3`, `rwm.console.App`, `Reader.read()`, `Entry`, `until`"
    assert not unknown_names(text)


def test_the_map_has_the_layers_that_the_linter_checks() -> None:
    block = re.search(r"## Map\n.*?```text\n(.*?)```", ARCHITECTURE.read_text(), re.DOTALL)
    assert block
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for part in block[1].split("\n\n"):
        package, *lines = part.splitlines()
        layers: list[set[str]] = []
        for line in lines:
            if line.startswith("   "):  # within a room
                continue
            names = re.split(r" {2,}", line.strip())[0]
            if not names.startswith("| "):
                layers.append(set())
            layers[-1] |= set(names.removeprefix("| ").split(" | "))
        checked = setup[f"importlinter:contract:{package.split()[0]}"]["layers"].split("\n")
        assert layers == [set(line.split(" | ")) for line in checked if line not in ("", "__main__")]


# --- form --------------------------------------------------------------------------------------------


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as GitLab and GitHub make them."""
    headings = re.findall(r"^#+ (.+)$", prose(path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", names(DOCS))
def test_links_lead_somewhere(name: str) -> None:
    path = ROOT / name
    for target in re.findall(r"\]\(([^)]+)\)", prose(path.read_text())):
        if target.startswith("https://"):
            continue
        file, _, anchor = target.partition("#")
        found = path.parent / file if file else path
        assert found.exists(), f"{name}: {target}"
        assert not anchor or anchor in anchors(found), f"{name}: {target}"


@pytest.mark.parametrize("name", names(DOCS))
def test_files_that_are_named_exist(name: str) -> None:
    found = re.findall(r"`((?:tests|bench|scripts|examples|docs)/[\w./-]*)`", prose((ROOT / name).read_text()))
    assert not [file for file in found if not (ROOT / file).exists()]


@pytest.mark.parametrize("name", names(DOCS))
def test_lines_are_short_and_files_end_with_one_line_feed(name: str) -> None:
    text = (ROOT / name).read_text()
    assert not [line for line in text.splitlines() if len(line) > 120 or line != line.rstrip()]
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_every_document_is_linked_from_the_readme() -> None:
    text = README.read_text()
    assert not [name for name in names(DOCS) if name != "README.md" and f"]({name})" not in text]


def test_the_readme_is_short() -> None:
    assert len(README.read_text().splitlines()) <= 250
