"""The command as a whole: verbs, help, exit codes, and what each kind of error becomes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click
import pytest

import mcodec
from mcodec import errors
from mcodec.cli import app, signals
from support.command import Outcome, call, run

if TYPE_CHECKING:
    from pathlib import Path

VERBS = tuple(app.VERBS)


@pytest.mark.parametrize("verb", ["", *VERBS])
@pytest.mark.parametrize("flag", ["--help", "-h"])
@pytest.mark.parametrize("columns", ["80", "300"])
def test_help_of_every_verb_fits_a_page(
    verb: str, flag: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    outcome = call(*([verb] if verb else []), flag)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"Usage: mcodec {verb}".rstrip())
    lines = outcome.out.splitlines()
    assert "\b" not in outcome.out
    assert "\\b" not in outcome.out
    assert max(map(len, lines)) <= 100
    assert len(lines) < 60


def test_help_lists_every_verb_with_its_first_line() -> None:
    listed = call("--help").out
    for verb, text in app.VERBS.items():
        assert f"  {verb} " in listed
        assert text in listed
        assert text.rstrip(".") in call(verb, "--help").out


def test_every_option_is_explained() -> None:
    with click.Context(app.cli) as context:
        for verb in VERBS:
            command = app.cli.get_command(context, verb)
            assert command is not None
            for parameter in command.params:
                if isinstance(parameter, click.Option):
                    assert parameter.help, (verb, parameter.name)


def test_without_a_verb_the_help_is_on_stderr() -> None:
    outcome = call()
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("Usage: mcodec")


def test_version() -> None:
    assert call("--version") == Outcome(0, f"mcodec {mcodec.__version__}\n", "")
    assert run("--version") == Outcome(0, f"mcodec {mcodec.__version__}\n", "")


def test_python_dash_m() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mcodec", "ls", "nosuch.mc"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == "mcodec: nosuch.mc: no such file or directory\n"


@pytest.mark.parametrize("arguments", [("--help",), ("ls", "x.mc"), ("--version",)], ids=" ".join)
def test_quick_verbs_import_nothing_slow(arguments: tuple[str, ...], tmp_path: Path) -> None:
    mcodec.pack({"A": {"x": [1.0]}}, tmp_path / "x.mc")
    program = (
        "import sys\n"
        "from mcodec.cli.app import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "finally:\n"
        "    slow = {'numpy', 'h5py', 'torch', 'keras', 'rich', 'fsspec', 'safetensors'}\n"
        "    print(sorted(slow & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "[]\n")
    assert done.stdout


@pytest.mark.parametrize("arguments", [("nosuch",), ("Ls",), ("", "x")], ids=str)
def test_an_unknown_verb_lists_those_that_are(arguments: tuple[str, ...]) -> None:
    call(*arguments).assert_fails(2, f"no verb {arguments[0]!r}", *VERBS, "mcodec --help")


def test_usage_errors_say_where_the_help_is() -> None:
    call("ls", "--nosuch").assert_fails(2, "no such option", "--nosuch", "'mcodec ls --help'")
    call("--nosuch").assert_fails(2, "no such option", "'mcodec --help'")
    call("ls", "a", "b").assert_fails(2, "unexpected extra argument", "'mcodec ls --help'")
    call("pack", "a.h5").assert_fails(2, "missing option '-o' / '--output'")
    call("pack", "-o", "x.mc").assert_fails(2, "missing argument '[NAME=]PATH...'")
    call("completion").assert_fails(2, "bash, zsh, fish")
    call("relayout", "x.mc", "-o", "y.mc").assert_fails(2, "task, interleaved, progressive")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    outcome = call("completion", shell)
    assert outcome.code == 0
    assert "_MCODEC_COMPLETE" in outcome.out


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("mcodec ", "plain,pack"),
        ("mcodec un", "plain,unpack"),
        ("mcodec unpack --ta", "plain,--task"),
        ("mcodec unpack x.mc --task ", "plain,beta"),
        ("mcodec unpack --to s", "plain,safetensors"),
        ("mcodec ls x", "file,x"),
        ("mcodec pack x", "file,x"),
        ("mcodec pack --layout pro", "plain,progressive"),
    ],
)
def test_completion_as_bash_asks_for_it(line: str, expected: str, tmp_path: Path) -> None:
    mcodec.pack({"alpha": {"x": [1.0]}, "beta": {"x": [1.0]}}, tmp_path / "x.mc")
    env = {
        "_MCODEC_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
    }
    outcome = run(env=env, cwd=tmp_path)
    assert outcome.err == ""
    assert expected in outcome.out.splitlines()


def _raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Outcome:
    def fail(context: Any) -> None:
        raise error

    monkeypatch.setattr(app.cli, "invoke", fail)
    return call("ls")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (errors.FormatError("bad", where="x.mc"), 3, "x.mc: bad"),
        (errors.CodecConfigError("bad"), 2, "bad"),
        (errors.UsageError("bad"), 2, "bad"),
        (errors.UnknownTaskError("no task 'x'"), 2, "no task 'x'"),
        (errors.MissingDependencyError("pip install it"), 4, "pip install it"),
        (errors.InputOutputError("x: is a directory"), 5, "x: is a directory"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (MemoryError(), 5, "not enough memory; try --jobs 1"),
        (OSError(28, "No space left on device"), 5, "standard output: no space left on device"),
        (OSError(28, "No space left", "x.mc"), 5, "x.mc: no space left"),
        (errors.FormatError("two\nlines\x1b[31m"), 3, "two\\nlines\\x1b[31m"),
        (errors.UsageError("\udcff"), 2, "\\udcff"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_errors(
    error: BaseException, code: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _raising(monkeypatch, error) == Outcome(code, "", f"mcodec: {line}\n")


def test_a_pipe_that_was_closed_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _raising(monkeypatch, BrokenPipeError()) == Outcome(5, "", "")


def test_a_bug_is_one_line_and_a_traceback_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MCODEC_TRACEBACK", raising=False)
    outcome = _raising(monkeypatch, ZeroDivisionError("oh"))
    assert outcome.code == 70
    assert outcome.err == (
        "mcodec: internal error (ZeroDivisionError: oh); "
        "run again with MCODEC_TRACEBACK=1 and report it\n"
    )
    monkeypatch.setenv("MCODEC_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        _raising(monkeypatch, ZeroDivisionError("oh"))


def test_every_error_class_has_its_exit_code() -> None:
    assert app.exit_code(errors.McodecError("x")) == 2
    kinds = [
        kind for kind in errors.McodecError.__subclasses__() if kind.__module__ == errors.__name__
    ]
    codes = {kind.__name__: app.exit_code(kind("x")) for kind in kinds}
    assert codes == {
        "FormatError": 3,
        "CodecConfigError": 2,
        "UsageError": 2,
        "MissingDependencyError": 4,
        "InputOutputError": 5,
    }


def test_a_library_that_is_missing(tmp_path: Path) -> None:
    """A URL of a kind whose library is not there: exit code 4, and the line says what it is."""
    (tmp_path / "s3fs.py").write_text("raise ImportError('no s3fs here')\n")
    outcome = run("ls", "s3://bucket/x.mc", env={"PYTHONPATH": str(tmp_path)})
    outcome.assert_fails(4, "s3://bucket/x.mc: ", "s3fs")


def test_signals_are_handled_only_while_the_command_runs() -> None:
    before = [signal.getsignal(number) for number in signals.STOPPING]
    with signals.stopping():
        assert signal.getsignal(signal.SIGTERM) not in (signal.SIG_DFL, signal.SIG_IGN)
    assert [signal.getsignal(number) for number in signals.STOPPING] == before


def test_a_second_signal_has_its_usual_effect() -> None:
    with signals.stopping():
        with pytest.raises(SystemExit) as left:
            os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert left.value.code == 143
