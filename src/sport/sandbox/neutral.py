"""Host: text that came over the wall, made harmless for terminals, chat templates and comparisons. Pure.

Nothing is lost but memory addresses: whoever reads the text sees what was there. What this does not do: judge words. A
page that tells a model to ignore its instructions reads as it was written.
"""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"\b0x(?:0000)?[5-7][0-9a-f]{11}\b|(?<= at )0x[0-9a-fA-F]{4,16}\b")
# All control characters but tab and line feed; what turns writing round (bidirectional overrides); separators of lines
# that only some programs see.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]")
# What chat templates of today use to mark turns: <|im_end|>, <|User|>, [INST], <<SYS>>, <end_of_turn>, </s>.
_TOKEN = re.compile(
    r"<(?=[|\uff5c][^\s<>|\uff5c]{1,64}[|\uff5c]>|/?s>|<?/?SYS>>|(?:start|end)_of_(?:turn|image)>|(?:bos|eos|pad|unk|mask)>)"
    r"|\[(?=/?INST\])"
)
APART = "\u200b"
"""Set behind the first character of a control token: a reader sees no difference, a tokenizer sees no token."""


def neutral(text: str) -> str:
    r"""``text`` with control characters spelt out, control tokens of chat templates taken apart, addresses left out.

    >>> neutral("\x1b[31mred\x1b[0m, 10 %\r20 %\n")
    '\\x1b[31mred\\x1b[0m, 10 %\\r20 %\n'
    >>> neutral("<object at 0x7f3a1c0d2e50>")
    '<object at 0x...>'
    >>> "<|im_end|>" in neutral("bye<|im_end|>")
    False
    """
    text = _ADDRESS.sub("0x...", text.replace("\r\n", "\n"))
    text = _CONTROL.sub(_spelt, text)
    return _TOKEN.sub(lambda match: match[0] + APART, text)


def is_plain(name: str) -> bool:
    r"""Whether a file name may be shown to people and models as it is: :func:`neutral` would change nothing.

    >>> is_plain("chart 1.png"), is_plain("a\nb"), is_plain("<|im_end|>.png")
    (True, False, False)
    """
    return "\n" not in name and "\t" not in name and neutral(name) == name


def _spelt(match: re.Match[str]) -> str:
    code = ord(match[0])
    return {"\r": "\\r"}.get(match[0]) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")
