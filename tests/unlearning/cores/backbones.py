"""Small backbones with random weights, saved as transformers saves them."""

from functools import partial
from pathlib import Path

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    ResNetModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessor,
    ViTModel,
)

CLASSES = {0: "cat", 1: "dog", 2: "bird", 3: "fish"}
WORDS = ["[UNK]", "a", "black", "cat", "sat", "on", "the", "mat", "and", "slept"]


def _save(model: PreTrainedModel, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def _seeded(make: type[PreTrainedModel], config: object) -> PreTrainedModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return make(config)


def bert(folder: Path, kind: type[PreTrainedModel] = BertModel) -> Path:
    """A text encoder of two layers, for at most 16 tokens."""
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        id2label=CLASSES,
    )
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token=WORDS[0]))
    tokenizer.pre_tokenizer = Whitespace()
    _save(_seeded(kind, config), folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _processor(folder: Path, size: int) -> None:
    ViTImageProcessor(
        size={"height": size, "width": size}, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.25]
    ).save_pretrained(folder)


def vit(folder: Path, kind: type[PreTrainedModel] = ViTModel) -> Path:
    """Two layers on 4 x 4 patches, and a class token."""
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=32,
        patch_size=8,
        id2label=CLASSES,
    )
    _save(_seeded(kind, config), folder)
    _processor(folder, 32)
    return folder


def resnet(folder: Path, kind: type[PreTrainedModel] = ResNetModel) -> Path:
    """Two stages of convolutions."""
    config = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        id2label=CLASSES,
    )
    _save(_seeded(kind, config), folder)
    _processor(folder, 32)
    return folder


headed_bert = partial(bert, kind=BertForSequenceClassification)
headed_vit = partial(vit, kind=ViTForImageClassification)
headed_resnet = partial(resnet, kind=ResNetForImageClassification)
