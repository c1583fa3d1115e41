"""Tools with weights, with tiny random ones of the right class, saved and loaded from disk."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from sport.config import parse
from sport.errors import ToolError
from sport.tools import segmentation, sources
from sport.tools.base import FileBytes
from sport.tools.facedetection import FaceDetection
from sport.tools.objectlocation import ObjectLocation
from sport.tools.segmentation import Segmentation
from sport.tools.weights import NotReady, fingerprint, found

pytestmark = pytest.mark.timeout(300)  # processes are started and models loaded: slow on a busy machine


def picture(width: int = 50, height: int = 40) -> FileBytes:
    buffer = io.BytesIO()
    PIL.Image.linear_gradient("L").resize((width, height)).convert("RGB").save(buffer, "PNG")
    return FileBytes(buffer.getvalue(), "image/png")


# ------------------------------------------------------------------------------------------------ weights


def test_weights_are_found_or_said_to_be_missing_and_told_apart(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match=r"x.weights: this tool needs weights; get y \(MIT\) and set x.weights"):
        found(None, "x", "y", "MIT")
    with pytest.raises(NotReady, match="nothing lies at nowhere"):
        found("nowhere", "x", "y", "MIT")
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "w").write_bytes(bytes(3 << 20))
    first = fingerprint(folder)
    moved = folder.rename(tmp_path / "b")
    assert fingerprint(moved) == first
    (moved / "w").write_bytes(bytes((3 << 20) - 1) + b"1")
    assert fingerprint(moved) != first


def test_the_version_of_a_tool_follows_its_weights_and_options(tmp_path: Path) -> None:
    def version(**options: Any) -> str:
        settings = {"facedetection": {"options": {"weights": str(file), **options}}}
        tools = parse({"tools": {"names": ["facedetection"], "settings": settings}}, "test").tools
        (entry,) = sources.entries(tools)
        return entry.spec.version

    file = tmp_path / "face.onnx"
    file.write_bytes(b"1")
    one = version()
    assert version(threshold=0.9) != one
    file.write_bytes(b"2")
    assert version() != one


# ------------------------------------------------------------------------------------------ objectlocation


@pytest.fixture(scope="module")
def owl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import CLIPTokenizer, Owlv2Config, Owlv2ForObjectDetection, Owlv2ImageProcessorPil

    folder = tmp_path_factory.mktemp("owl")
    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    text = {**small, "vocab_size": 64, "max_position_embeddings": 16, "bos_token_id": 2, "eos_token_id": 1}
    vision = {**small, "image_size": 32, "patch_size": 8}
    config = Owlv2Config(text_config={**text, "pad_token_id": 0}, vision_config=vision, projection_dim=16)
    Owlv2ForObjectDetection(config).save_pretrained(folder)
    vocabulary = ["!", "<|endoftext|>", "<|startoftext|>"]
    vocabulary += [letter + end for letter in "abcdefghijklmnopqrst" for end in ("", "</w>")]
    (folder / "vocab.json").write_text(json.dumps({word: number for number, word in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer.from_pretrained(folder, pad_token="!", model_max_length=16)
    tokenizer.save_pretrained(folder)
    Owlv2ImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")
def test_things_are_located_by_their_names(owl: Path) -> None:
    tool = ObjectLocation(str(owl), threshold=0.0, most=5)
    seen: Any = tool.call("cat, dog", picture())
    assert len(seen) == 5 and {one["label"] for one in seen} <= {"cat", "dog"}
    assert [one["score"] for one in seen] == sorted((one["score"] for one in seen), reverse=True)
    assert all(len(one["box"]) == 4 for one in seen)
    assert tool.call("cat, dog", picture()) == seen
    assert ObjectLocation(str(owl), threshold=1.0).call("cat", picture()) == []
    with pytest.raises(ToolError, match="name a thing"):
        tool.call(" , ", picture())
    with pytest.raises(ToolError, match="not a picture"):
        tool.call("cat", FileBytes(b"no", "image/png"))


@pytest.fixture(scope="module")
def dino(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import (
        BertConfig,
        BertTokenizer,
        GroundingDinoConfig,
        GroundingDinoForObjectDetection,
        GroundingDinoImageProcessorPil,
        SwinConfig,
    )

    folder = tmp_path_factory.mktemp("dino")
    torch.manual_seed(0)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizer.from_pretrained(folder).save_pretrained(folder)
    text = BertConfig(
        vocab_size=60, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        max_position_embeddings=64,
    )  # fmt: skip
    backbone = SwinConfig(
        image_size=32, patch_size=4, embed_dim=8, depths=[1, 1, 1], num_heads=[1, 1, 2], window_size=2,
        out_features=["stage2", "stage3"],
    )  # fmt: skip
    config = GroundingDinoConfig(
        backbone_config=backbone, text_config=text, d_model=32, encoder_layers=1, decoder_layers=2,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, num_queries=5,
        num_feature_levels=3, max_text_len=16,
    )  # fmt: skip
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    GroundingDinoImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")
def test_grounding_dino_locates_by_the_same_call(dino: Path) -> None:
    seen: Any = ObjectLocation(str(dino), threshold=0.0, most=3).call("cat, dog", picture())
    assert len(seen) == 3 and {one["label"] for one in seen} <= {"cat", "dog"}


# -------------------------------------------------------------------------------------------- segmentation


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import torch
    from transformers import (
        Sam2Config,
        Sam2HieraDetConfig,
        Sam2MaskDecoderConfig,
        Sam2Model,
        Sam2PromptEncoderConfig,
        Sam2VisionConfig,
    )

    torch.manual_seed(0)
    backbone = Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[64, 64],
        num_attention_heads=1,
        blocks_per_stage=[1, 2, 1, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 4],
        window_size_per_stage=[4, 4, 4, 4],
        global_attention_blocks=[2],
        window_positional_embedding_background_size=[4, 4],
    )
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=32,
    )
    prompts = Sam2PromptEncoderConfig(hidden_size=32, image_size=64, patch_size=16, mask_input_channels=4)
    decoder = Sam2MaskDecoderConfig(
        hidden_size=32, mlp_dim=16, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=16
    )
    folder = tmp_path_factory.mktemp("sam")
    config = Sam2Config(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    Sam2Model(config).save_pretrained(folder)
    return folder


@pytest.mark.filterwarnings("ignore")
def test_masks_come_for_boxes_points_and_the_whole_picture(sam: Path) -> None:
    tool = Segmentation(str(sam))
    boxes = [[1, 2, 30, 20], [10, 10, 50, 40]]
    both = tool.call(picture(), boxes)
    assert [one["mask"] for one in both.value] == ["mask_1.png", "mask_2.png"]
    assert set(both.files) == {"mask_1.png", "mask_2.png", "segmented.png"}
    mask = np.asarray(PIL.Image.open(io.BytesIO(both.files["mask_1.png"])))[:, :, 0]
    assert mask.shape == (40, 50) and int((mask > 0).sum()) == both.value[0]["area"]
    assert segmentation.box(mask > 0) == both.value[0]["box"]
    single = tool.call(picture(), boxes[1])
    assert single.value[0]["area"] == pytest.approx(both.value[1]["area"], abs=3)  # the batch changes rounding only
    assert len(tool.call(picture(), [[5, 5], [20, 20]]).value) == 2
    assert len(tool.call(picture()).value) == 1


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ([[1, 2, 3]], "must be boxes"), ([[1, 2], [1, 2, 3, 4]], "all of one kind"), ([["a", 2]], "must hold numbers"),
        ([[0, 0, 60, 40]], "reaches beyond the picture, which has 50 x 40"), (["ab"], "must be boxes"),
    ],
)  # fmt: skip
def test_prompts_that_are_none_are_refused(prompt: Any, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        segmentation._prompts(prompt, 50, 40)


def test_a_picture_is_prepared_as_sam_2_was_trained() -> None:
    """By hand: a white picture has, in every channel, (1 - mean) / std."""
    seen = segmentation.prepared(PIL.Image.new("RGB", (7, 5), "white"), 4)
    assert seen.shape == (3, 4, 4) and seen.dtype == np.float32
    assert seen[:, 0, 0].tolist() == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225])


# ------------------------------------------------------------------------------------------- facedetection


@pytest.fixture(scope="module")
def yunet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with YuNet's twelve outputs for strides 8, 16 and 32; weights are random, the head's scores high."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper, kind = onnx.helper, onnx.numpy_helper, onnx.TensorProto.FLOAT
    random = np.random.default_rng(0)
    nodes, weights, outputs = [], [], []
    for stride in (8, 16, 32):
        for name, channels in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            kernel = random.normal(0, 1e-4, (channels, 3, stride, stride)).astype(np.float32)
            shape = np.array([1, channels, -1], dtype=np.int64)
            key = f"{name}_{stride}"
            weights += [numpy_helper.from_array(kernel, f"w_{key}"), numpy_helper.from_array(shape, f"s_{key}")]
            nodes += [
                helper.make_node("Conv", ["input", f"w_{key}"], [f"c_{key}"], strides=[stride] * 2, name=f"n_{key}"),
                helper.make_node("Reshape", [f"c_{key}", f"s_{key}"], [f"r_{key}"]),
            ]
            last = f"t_{key}" if channels == 1 else key
            nodes.append(helper.make_node("Transpose", [f"r_{key}"], [last], perm=[0, 2, 1]))
            if channels == 1:
                nodes.append(helper.make_node("Sigmoid", [last], [key]))
            outputs.append(helper.make_tensor_value_info(key, kind, [1, f"n_{stride}", channels]))
    order = [f"{name}_{stride}" for name in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)]
    outputs.sort(key=lambda one: order.index(one.name))
    given = helper.make_tensor_value_info("input", kind, [1, 3, "height", "width"])
    graph = helper.make_graph(nodes, "yunet", [given], outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)
    path = tmp_path_factory.mktemp("yunet") / "face.onnx"
    onnx.save(model, path)
    return path


def test_faces_lie_inside_the_picture_best_first(yunet: Path) -> None:
    tool = FaceDetection(str(yunet), threshold=0.1, largest=64)
    faces: Any = tool.call(picture(100, 60))
    assert faces and [face["score"] for face in faces] == sorted((face["score"] for face in faces), reverse=True)
    for face in faces:
        x1, y1, x2, y2 = face["box"]
        assert 0 <= x1 <= x2 <= 100 and 0 <= y1 <= y2 <= 60
        assert set(face["marks"]) == {"right_eye", "left_eye", "nose", "right_mouth", "left_mouth"}
    assert FaceDetection(str(yunet), threshold=0.99).call(picture()) == []
    with pytest.raises(ToolError, match="not a picture"):
        tool.call(FileBytes(b"no", "image/png"))
