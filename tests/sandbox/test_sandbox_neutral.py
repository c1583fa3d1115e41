"""What is shown of text that came over the wall."""

from __future__ import annotations

import re

import pytest

from sport.sandbox.neutral import is_plain, neutral
from sport.sandbox.observe import Reading

TOKENS = ["<|im_end|>", "<|endoftext|>", "<|vision_start|>", "[INST]", "[/INST]", "<<SYS>>", "<</SYS>>", "</s>", "<s>"]
TOKENS += ["<start_of_turn>", "<end_of_turn>", "<bos>", "<\uff5cUser\uff5c>"]


@pytest.mark.parametrize("token", TOKENS)
def test_a_control_token_is_taken_apart_and_reads_as_before(token: str) -> None:
    shown = neutral(f"a {token} b")
    assert token not in shown and shown.replace("\u200b", "") == f"a {token} b"


@pytest.mark.parametrize(
    "text", ["a < b | c > d", "x[1] [INSTALL]", "<table><strong>", "<|>", "list[int] | None", "\t1\n"]
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert neutral(text) == text and neutral(neutral(text)) == neutral(text)


def test_no_control_character_is_left_but_tab_and_line_feed() -> None:
    everything = "".join(map(chr, range(0x2100)))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2066]", neutral(everything))
    assert neutral("\x1b]0;title\x07\r\n50 %\r60 %") == "\\x1b]0;title\\x07\n50 %\\r60 %"


def test_addresses_go_and_other_numbers_stay() -> None:
    assert neutral("<function f at 0x7f12ab34cd56> at 0x1f40 0xdeadbeef") == "<function f at 0x...> at 0x... 0xdeadbeef"


def test_a_name_that_may_be_shown() -> None:
    assert is_plain("caf\u00e9 1.png")
    assert not any(is_plain(name) for name in ["a\nb", "a\tb", "\x1b[2J", "<|im_end|>.png", "\u202egnp.exe"])


def test_what_the_sandbox_says_ends_stderr() -> None:
    reading = Reading(4, "/box/work")
    reading.note("said before")
    seen = reading.done({"outcome": "ok", "notes": ["<|x|>", 3]}, ((b"12345", 9), (b"oops", 4)), (), (), 0.1)
    assert seen.stdout == "12345" and seen.truncated == 9
    assert seen.stderr.splitlines() == [
        "oops",
        "[sandbox] said before",
        "[sandbox] <\u200b|x|>",
        "[sandbox] stdout is cut: 4 of 9 bytes are kept",
    ]


@pytest.mark.parametrize("lie", [None, 3, [1], {"a": 1}, True])
def test_fields_of_the_wrong_type_count_as_absent(lie: object) -> None:
    message = dict.fromkeys(("outcome", "value", "value_bytes", "error", "cpu_s", "notes"), lie)
    seen = Reading(100, "/w").done(message, ((b"", 0), (b"", 0)), (), (), 0.1)
    assert seen.outcome == "error" and seen.error and seen.value is None
    assert seen.cpu_s == (3.0 if lie == 3 else 0.0)
