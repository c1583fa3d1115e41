"""What every tool keeps to. A test class inherits this and gives ``tool`` and ``arguments``."""

from __future__ import annotations

import inspect
import json

import pytest

from sport.errors import ToolError
from sport.tools.arguments import bind
from sport.tools.base import FileBytes, Tool, ToolOutput
from sport.types import ToolSpec

NONSENSE = {
    "empty": b"",
    "png": b"\x89PNG\r\n\x1a\n",
    "zip": b"PK\x03\x04" + bytes(60),
    "bytes": bytes(range(256)) * 9,
}


class ToolSuite:
    """``factory`` is the tool's class; ``arguments`` is a fixture with a call that works."""

    factory: type[Tool]

    @pytest.fixture(scope="class")
    @classmethod
    def tool(cls) -> Tool:
        return cls.factory()

    def test_the_spec_can_be_read_without_making_the_tool(self):
        spec = self.factory.spec
        assert isinstance(spec, ToolSpec)
        assert ToolSpec.model_validate_json(spec.model_dump_json()) == spec
        assert spec.description and all(parameter.description for parameter in spec.parameters)

    def test_the_spec_names_the_parameters_of_the_call(self):
        names = [name for name in inspect.signature(self.factory.call).parameters if name != "self"]
        assert names == [parameter.name for parameter in self.factory.spec.parameters]

    def test_its_result_is_plain_data_and_the_same_again(self, tool, arguments):
        bound = bind(tool.spec, arguments)
        first, second = _output(tool.call(**bound)), _output(tool.call(**bound))
        assert json.dumps(first.value, allow_nan=False) == json.dumps(second.value, allow_nan=False)
        assert dict(first.files) == dict(second.files)

    @pytest.mark.parametrize("data", NONSENSE.values(), ids=NONSENSE)
    @pytest.mark.parametrize("media_type", ["image/png", "application/pdf"])
    def test_a_file_of_nonsense_is_refused_in_words(self, tool, arguments, data, media_type):
        spoilt = {n: FileBytes(data, media_type) if isinstance(v, FileBytes) else v for n, v in arguments.items()}
        with pytest.raises(ToolError, match=r"\w+"):
            tool.call(**bind(tool.spec, spoilt))


def _output(result) -> ToolOutput:
    return result if isinstance(result, ToolOutput) else ToolOutput(value=result)
