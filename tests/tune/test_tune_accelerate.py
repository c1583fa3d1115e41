"""The files in configs/accelerate are what accelerate reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file


@pytest.mark.parametrize(("name", "kind"), [("ddp", "MULTI_GPU"), ("fsdp", "FSDP"), ("deepspeed", "DEEPSPEED")])
def test_accelerate_reads_the_file(root: Path, name: str, kind: str) -> None:
    found = load_config_from_file(str(root / "configs" / "accelerate" / f"{name}.yaml"))
    assert str(found.distributed_type).endswith(kind)
    if kind == "FSDP":
        assert found.fsdp_config["fsdp_auto_wrap_policy"] == "TRANSFORMER_BASED_WRAP"
