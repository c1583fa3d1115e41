"""The parser on well-formed and malformed texts: what runs, what does not, and what the model is told."""

from __future__ import annotations

import ast
import builtins

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sport.agent.parse import EMPTY, NO_CODE, parse, same_action

F = "```"
CODE = "x = 1\nprint(x)"
GOOD = f"Thought: I count.\nCode:\n{F}py\n{CODE}\n{F}"

# (name, text, expected code): forms that are accepted.
ACCEPTED = [
    ("papers' form", GOOD, CODE),
    ("end_action", f"{GOOD}<end_action>", CODE),
    ("end_action on a line", f"{GOOD}\n<end_action>", CODE),
    ("python", GOOD.replace("```py", "```python"), CODE),
    ("Python", GOOD.replace("```py", "```Python"), CODE),
    ("python3", GOOD.replace("```py", "```python3"), CODE),
    ("PY", GOOD.replace("```py", "```PY"), CODE),
    ("no mark", GOOD.replace("```py", "```"), CODE),
    ("space before the mark", GOOD.replace("```py", "``` py "), CODE),
    ("four backticks", GOOD.replace("```", "````"), CODE),
    ("CRLF", GOOD.replace("\n", "\r\n"), CODE),
    ("old Mac", GOOD.replace("\n", "\r"), CODE),
    ("no thought", f"Code:\n{F}py\n{CODE}\n{F}", CODE),
    ("nothing but the block", f"{F}py\n{CODE}\n{F}", CODE),
    ("no 'Code:'", f"Thought: a.\n{F}py\n{CODE}\n{F}", CODE),
    ("Code: on the line", f"Thought: a.\nCode: {F}py\n{CODE}\n{F}", CODE),
    ("Code: without a space", f"Thought: a. Code:{F}py\n{CODE}\n{F}", CODE),
    ("indented block", f"Thought: a.\n  {F}py\n  x = 1\n  print(x)\n  {F}", CODE),
    ("blank lines", f"{F}py\n\n\n{CODE}\n\n\n{F}", CODE),
    ("closing fence missing", f"Code:\n{F}py\n{CODE}", CODE),
    ("closing fence missing, end_action there", f"Code:\n{F}py\n{CODE}\n<end_action>", CODE),
    ("closed by end_action in the line", f"Code:\n{F}py\n{CODE}<end_action>", CODE),
    ("closing fence at the end of a line", f"Code:\n{F}py\n{CODE}{F}", CODE),
    ("closing fence in a line, then more", f"{F}py\n{CODE}{F}<end_action>\nObservation: 3\n{F}py\ny=2\n{F}", CODE),
    ("code on the fence's line", f"Code: {F}py final_answer(3){F}", "final_answer(3)"),
    ("code on the line of a bare fence", f"Code: {F}final_answer(3) {F}", "final_answer(3)"),
    ("own observation", f"{GOOD}\nObservation: 7\nThought: so 7.\nCode:\n{F}py\nfinal_answer(7)\n{F}", CODE),
    ("own observation without a closing fence", f"{F}py\n{CODE}\nObservation: 7 apples\nThought: hm", CODE),
    ("own observation that is Python by chance", f"{F}py\n{CODE}\nObservation: 7\n{F}py\ny = 2\n{F}", CODE),
    ("two blocks", f"{GOOD}\n{F}py\ny = 2\n{F}", CODE),
    ("block after block without closing", f"{F}py\n{CODE}\n{F}py\ny = 2\n{F}", CODE),
    ("another language first", f"{F}json\n{{}}\n{F}\n{GOOD}", CODE),
    ("fence in a string", f'{F}py\ns = "{F}"\nprint(s)\n{F}', f's = "{F}"\nprint(s)'),
    ("fence in a comment", f"{F}py\nx = 1  # {F} here\nprint(x)\n{F}", f"x = 1  # {F} here\nprint(x)"),
    ("fence in a long string", f'{F}py\ns = """\n{F}\na\n{F}\n"""\n{F}\nbye', f's = """\n{F}\na\n{F}\n"""'),
    ("byte order mark", f"{F}py\n\ufeff{CODE}\n{F}", CODE),
    ("text after the block", f"{GOOD}\nI hope this helps!", CODE),
    ("top-level await", f"{F}py\nawait f()\n{F}", "await f()"),
    ("only a comment", f"{F}py\n# nothing\n{F}", "# nothing"),
    ("thought in another language", GOOD.replace("I count", "数えます"), CODE),
]

# Code with a mistake in it is still code: the sandbox says which line.
BROKEN_CODE = [
    ("syntax error", f"{F}py\nx = = 1\n{F}", "x = = 1"),
    ("syntax error, no closing fence", f"{F}py\nx = = 1", "x = = 1"),
    ("syntax error, second block right", f"{F}py\nx = (\n{F}\n{F}py\ny = 2\n{F}", "x = ("),
    ("mixed indentation", f"{F}py\nif x:\n\ta\n    b\n{F}", "if x:\n\ta\n    b"),
    ("NUL", f"{F}py\nx = '\0'\n{F}", "x = '\0'"),
    ("lone surrogate", f"{F}py\nx = '\ud800'\n{F}", "x = '\ud800'"),
    ("100,000 brackets", f"{F}py\n{'(' * 100_000}\n{F}", "(" * 100_000),
    ("5,000 digits", f"{F}py\nx = {'9' * 5000}\n{F}", f"x = {'9' * 5000}"),
]

# (name, text, finished, a piece of what the model is told): nothing can run.
REFUSED = [
    ("empty", "", True, NO_CODE),
    ("white space", " \n\t\n ", True, NO_CODE),
    ("prose", "The answer is 42.", True, "final_answer(...)"),
    ("thought alone", "Thought: I do not know.", True, "There is no code"),
    ("code without a fence", "Thought: a.\nCode:\nfinal_answer(3)", True, "```py"),
    ("JSON call", '{"name": "ocr", "arguments": {}}', True, "There is no code"),
    ("tool_call tags", "<tool_call>ocr</tool_call>", True, "There is no code"),
    ("two backticks", "Code:\n``py\nx = 1\n``", True, "There is no code"),
    ("json block", f'{F}json\n{{"a": 1}}\n{F}', True, "marked 'json'"),
    ("bash block", f"{F}bash\nls\n{F}", True, "marked 'bash'"),
    ("open json block", f'{F}json\n{{"a": 1}}', True, "marked 'json'"),
    ("empty block", f"Code:\n{F}py\n{F}", True, EMPTY),
    ("blank block", f"Code:\n{F}py\n   \n\n{F}", True, EMPTY),
    ("fence at the very end", f"Thought: a.\nCode:\n{F}py", True, EMPTY),
    ("cut in the thought", "Thought: I think that", False, "cut at the limit of 512 tokens"),
    ("cut in the code", f"Code:\n{F}py\nx = [1, 2,", False, "cut at the limit of 512 tokens"),
    ("cut after whole lines", f"Code:\n{F}py\nx = 1\n", False, "Write shorter"),
    ("cut in a string with a fence", f'Code:\n{F}py\ns = "{F} and', False, "Write shorter"),
    ("cut after another language", f"{F}json\n{{}}\n{F}\nThought:", False, "Write shorter"),
]


def _ids(cases):
    return [case[0] for case in cases]


@pytest.mark.parametrize(("name", "text", "code"), ACCEPTED + BROKEN_CODE, ids=_ids(ACCEPTED + BROKEN_CODE))
def test_code_is_found(name, text, code):
    action = parse(text, True)
    assert (action.code, action.problem, action.raw) == (code, None, text)


@pytest.mark.parametrize(("name", "text", "finished", "told"), REFUSED, ids=_ids(REFUSED))
def test_a_text_without_code_tells_what_to_change(name, text, finished, told):
    action = parse(text, finished)
    assert action.code is None
    assert told in action.problem
    assert action.raw == text


def test_there_are_at_least_forty_malformed_texts():
    assert len([case for case in ACCEPTED + BROKEN_CODE if case[1] != GOOD]) + len(REFUSED) >= 40


def test_a_whole_block_counts_although_the_text_was_cut_after_it():
    action = parse(f"{GOOD}\nObservation: and so", finished=False)
    assert (action.code, action.finished) == (CODE, False)


@pytest.mark.parametrize(
    ("text", "thought"),
    [
        (GOOD, "I count."),
        (f"I count.\n{F}py\n{CODE}\n{F}", "I count."),
        (f"Code:\n{F}py\n{CODE}\n{F}", ""),
        (f"  Thought:  a\n b  Code: {F}py\n{CODE}\n{F}", "a\n b"),
        ("Thought: no code here", "no code here"),
    ],
)
def test_thought_is_what_stands_before_the_code(text, thought):
    assert parse(text, True).thought == thought


def test_the_limit_in_the_message_is_the_limit_in_force():
    assert "limit of 64 tokens" in parse("Thought: long", False, 64).problem


def test_code_is_never_evaluated(monkeypatch):
    def refuse(*_):
        raise AssertionError("evaluated")

    monkeypatch.setattr(builtins, "exec", refuse)
    monkeypatch.setattr(builtins, "eval", refuse)
    monkeypatch.setattr(ast, "literal_eval", refuse)
    assert parse(f"{F}py\n9**10**8\n{F}", True).code == "9**10**8"


@given(st.text(alphabet=st.sampled_from(list("`py\n Co:de<end_action>x=1'\"#()\t\r\\{")), max_size=200), st.booleans())
@example("```", True)
@example("```py", False)
@example("``````", True)
def test_any_text_becomes_code_or_a_problem(text, finished):
    action = parse(text, finished)
    assert (action.code is None) != (action.problem is None)
    assert action.raw == text


@pytest.mark.timeout(20)
def test_hostile_length_is_read_in_linear_time():
    assert parse("```py\n(" + "\n``` (" * 20_000, True).code == "("
    assert parse("```json\n```\n" * 20_000, True).code is None
    assert parse(" " * 200_000 + "Code:" * 20_000, True).code is None
    assert parse("```py\n(" + " " * 200_000 + "Observation" * 20_000, False).code is None


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (GOOD + "\n", True),
        (GOOD.replace("```py", "```python"), True),
        (GOOD.replace("x = 1", "x = 1  "), True),
        (GOOD.replace("I count.", "I  count."), True),
        (f"{GOOD}\nObservation: 9", True),
        (GOOD.replace("x = 1", "x  =  1"), False),
        (GOOD.replace("I count.", "I guess."), False),
        (GOOD.replace("print(x)", "    print(x)"), False),
        ("no code", False),
    ],
)
def test_equal_actions_are_equal_after_normalising(other, same):
    assert same_action(parse(GOOD, True), parse(other, True)) is same
