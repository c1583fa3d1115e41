"""Embeddings on this machine: a tiny sentence-transformers model, made here, saved and loaded from its directory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sport.errors import CheckpointError, ConfigError
from sport.llm.embed import LocalEmbedder, unit

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "red", "green", "wall", "stands", "by", "the", "river"]


def test_rows_get_length_one_and_zeros_stay() -> None:
    rows = unit(np.asarray([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]], atol=1e-6)
    assert rows.dtype == np.float32


def test_without_the_library_a_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'needs sentence-transformers: pip install "sport\[embed\]"'):
        LocalEmbedder("anything", "cpu")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of its dependencies
async def test_a_model_in_a_directory_embeds(tmp_path: Path) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    import transformers

    (tmp_path / "vocab.txt").write_text("\n".join(WORDS))
    tokenizer = transformers.BertTokenizerFast(vocab={word: i for i, word in enumerate(WORDS)})
    tokenizer.save_pretrained(tmp_path / "bert")
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    transformers.BertModel(config).save_pretrained(tmp_path / "bert")
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    body = Transformer(str(tmp_path / "bert"), max_seq_length=16)
    whole = sentence_transformers.SentenceTransformer(modules=[body, Pooling(16)], device="cpu")
    whole.save(str(tmp_path / "model"))

    embedder = LocalEmbedder(str(tmp_path / "model"), "cpu")
    rows = await embedder.embed(["a red wall", "a green wall", "a red wall"])
    assert rows.shape == (3, 16)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(rows[0], rows[2], atol=1e-6)
    assert not np.allclose(rows[0], rows[1], atol=1e-4)
    with pytest.raises(CheckpointError, match="nowhere: cannot be loaded by sentence-transformers"):
        await LocalEmbedder(str(tmp_path / "nowhere"), "cpu").embed(["a"])
