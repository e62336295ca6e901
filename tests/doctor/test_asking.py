"""Questions to processes that answer, fail, crash and hang."""

from __future__ import annotations

import pytest

from heliograph.doctor.asking import Answer, ask_program, ask_python


@pytest.mark.parametrize(
    ("program", "answer"),
    [
        ("print('noise'); print('[1, 2]')", Answer([1, 2])),
        ("import sys; sys.exit('no libGL.so.1')", Answer(problem="no libGL.so.1")),
        ("raise ImportError('no module')", Answer(problem="ImportError: no module")),
        ("import os; os.abort()", Answer(problem="it was ended by SIGABRT")),
        ("import sys; sys.exit(3)", Answer(problem="it ended with code 3")),
        ("print('noise')", Answer(problem="it printed nothing that can be read")),
        ("pass", Answer(problem="it printed nothing that can be read")),
    ],
)
def test_a_program_answers_or_says_why_not(program: str, answer: Answer) -> None:
    assert ask_python(program) == answer


def test_one_that_hangs_is_ended() -> None:
    assert ask_python("import time; time.sleep(60)", patience=0.5).problem == "no answer in 0.5 s"


def test_it_sees_the_environment_that_is_given() -> None:
    program = "import json, os, sys; print(json.dumps([os.environ['KERAS_BACKEND'], sys.argv[1:]]))"
    assert ask_python(program, "a b", KERAS_BACKEND="jax").value == ["jax", ["a b"]]


def test_another_program_is_asked_for_lines() -> None:
    assert ask_program(["printf", "one\\n\\ntwo\\n"]) == Answer(["one", "two"])
    assert ask_program(["/does/not/exist"]).problem == "No such file or directory"
