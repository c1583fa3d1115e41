"""The doctor: what is missing is said with what to do, and what is here is tried."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import servers
from sport import doctor
from sport.config import (
    Config,
    Endpoint,
    Synth,
    SynthCheck,
    SynthEmbedding,
    SynthImages,
    Tools,
    ToolSettings,
    endpoints,
    mute_endpoints,
)

ROOT = Path(__file__).resolve().parent.parent


def test_cheap_checks_pass_here() -> None:
    for check in (doctor.python(), doctor.system(), doctor.cores(), doctor.memory(), doctor.core_packages()):
        assert check.state in ("ok", "warn"), check


def test_the_painters_fonts_and_the_ocr_models_are_found_without_importing_them() -> None:
    code = "import sys; from sport import doctor; print(doctor.fonts().state, doctor.ocr_models().state); "
    code += "sys.exit('rapidocr' in sys.modules or 'matplotlib' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout.split()) == (0, ["ok", "ok"])


def test_a_missing_package_is_a_failure_with_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LOCAL", ("no_such_package",))
    (check,) = doctor.local_packages()
    assert (check.state, check.found) == ("fail", "not installed")
    assert "pip install" in check.advice


def test_a_broken_package_is_found_by_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken.py").write_text("raise ImportError('libcuda.so: no such file')")
    info = tmp_path / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(doctor, "LOCAL", ("broken",))
    (check,) = doctor.local_packages()
    assert check.state == "fail"
    assert "libcuda.so: no such file" in check.found


def test_little_memory_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_read", lambda path: str(512 * 2**20))
    check = doctor.memory()
    assert (check.state, check.found) == ("warn", "512 MB")
    assert check.advice


def test_a_full_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISK_MB", 10**12)
    assert doctor.disk(tmp_path).state == "warn"


def test_no_gpu_is_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert doctor.gpu() == doctor.Check("GPU", "ok", "none; the demo needs none, a 7B controller does")


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0not json at all!"])
def test_damaged_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    nano = tmp_path / "nano"
    nano.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (nano / name).write_text("{}")
    (nano / "model.safetensors").write_bytes(content)
    monkeypatch.setattr(doctor.resources, "files", lambda package: tmp_path)
    check = doctor.weights()
    assert (check.state, check.found) == ("fail", "model.safetensors is damaged")


def test_missing_weights_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.resources, "files", lambda package: tmp_path)
    assert "model.safetensors" in doctor.weights().found


def test_the_sandbox_is_booted_and_answers() -> None:
    booted, walls, *lacking = doctor.sandbox()
    assert booted.state == walls.state == "ok", (booted, walls)
    assert "booted in" in booted.found
    assert "seccomp" in walls.found
    assert all(check.name.startswith("wall: ") and check.advice for check in lacking)


def test_every_failure_and_warning_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LOCAL", ("no_such_package",))
    for check in doctor.examine(ROOT):
        assert check.state == "ok" or check.advice, check


# ------------------------------------------------------------------------------------------------ servers


def asked(url: str, **changes: object) -> doctor.Check:
    (check,) = doctor.endpoint("controller.endpoint", Endpoint(base_urls=(url,), **{"model": "tiny", **changes}))
    return check


def test_a_server_is_asked_for_its_models_and_one_token() -> None:
    with servers.serving(servers.echo) as server:
        check = asked(server.url)
        other = asked(server.url, model="tyni")
    assert (check.state, check.advice) == ("ok", "")
    assert "tiny-1, 1 models, one token in" in check.found
    assert [path for path, *_ in server.seen[:2]] == ["/v1/models", "/v1/chat/completions"]
    assert server.asked[0]["max_tokens"] == 1
    assert (other.state, other.advice) == ("warn", "tyni answers, but is not listed")


def test_a_server_that_refuses_is_a_failure_with_its_reason() -> None:
    with servers.serving(servers.status(404, "unknown model"), models=("tiny-large", "other")) as server:
        check = asked(server.url)
    assert check.state == "fail"
    assert check.advice
    assert "unknown model" in check.found
    assert "this server lists tiny-large" in check.found
    gone = asked(server.url)
    assert (gone.state, "nobody answers" in gone.found) == ("fail", True)


def test_a_key_that_is_not_exported_is_named() -> None:
    check = asked("http://127.0.0.1:9/v1", key_env="NO_SUCH_KEY")
    assert (check.state, "NO_SUCH_KEY is not set" in check.found) == ("fail", True)


def test_a_wrong_key_is_told_before_any_token_is_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_KEY", "sk-secret-0123")
    with servers.serving(servers.status(401, "bad sk-secret-0123")) as server:
        check = asked(server.url, key_env="SOME_KEY")
    assert "SOME_KEY is not accepted" in check.found
    assert "sk-secret" not in check.found


def test_every_endpoint_that_talks_is_asked() -> None:
    server = Endpoint(base_urls=("http://127.0.0.1:1/v1",), model="m")
    synth = Synth(kind="llm", endpoint=server, check=SynthCheck(endpoint=server))
    assert list(endpoints(Config())) == []
    assert list(endpoints(Config(synth=synth))) == ["synth.endpoint", "synth.check.endpoint"]


def test_a_server_that_paints_or_embeds_is_asked_for_its_models_alone() -> None:
    with servers.serving(servers.status(500, "never asked")) as server:
        mute = Endpoint(base_urls=(server.url,), model="tiny")
        images = SynthImages(sources=("library", "endpoint"), endpoint=mute, embedding=SynthEmbedding(endpoint=mute))
        tools = Tools(names=("image_generator",), settings={"image_generator": ToolSettings(endpoint=mute)})
        found = mute_endpoints(Config(synth=Synth(kind="llm", images=images), tools=tools))
        checks = [check for where, one in found.items() for check in doctor.endpoint(where, one, talks=False)]
    assert [(check.name, check.state) for check in checks] == [
        ("synth.images.endpoint", "ok"),
        ("synth.images.embedding.endpoint", "ok"),
        ("tools.settings.image_generator.endpoint", "ok"),
    ]
    assert server.asked == [] and "nothing was asked of tiny" in checks[0].found
    (gone,) = doctor.endpoint("synth.images.endpoint", mute, talks=False)
    assert (gone.state, "nobody answers" in gone.found) == ("fail", True)
