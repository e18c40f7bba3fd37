"""Tiny pretrained models of texts, written to a folder as `save_pretrained` does."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaModel,
)

SENTENCES = [
    "the cat sat on the mat and looked at the dog",
    "a dog ran over the hill to see the old cat",
    "numbers such as 1 2 3 are read as they stand",
    "où est la bibliothèque, s'il vous plaît ?",
]


def tokenizer(vocabulary=300, texts=SENTENCES):
    """A byte-level tokenizer: any text becomes tokens."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<start>", "<end>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<start>", eos_token="<end>", pad_token="<end>"
    )


def language_model(folder, seed=0, width=32, layers=3, vocabulary=300, longest=64):
    """A tiny untrained Llama with its tokenizer."""
    words = tokenizer(vocabulary)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=longest,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def _bert_config(words, **more):
    return BertConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        pad_token_id=words.pad_token_id,
        **more,
    )


def text_classifier(folder, labels=("bad", "good")):
    """A tiny untrained classifier of texts with its tokenizer."""
    words = tokenizer()
    torch.manual_seed(0)
    names = dict(enumerate(labels))
    BertForSequenceClassification(
        _bert_config(words, id2label=names, label2id={name: i for i, name in names.items()})
    ).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def embedder(folder):
    """A tiny untrained encoder of texts with its tokenizer."""
    words = tokenizer()
    torch.manual_seed(0)
    BertModel(_bert_config(words)).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def roberta(folder, places):
    """A tiny untrained encoder that counts its places from behind that of the padding."""
    words = tokenizer()
    config = RobertaConfig(
        vocab_size=len(words),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=places,
        pad_token_id=words.pad_token_id,
    )
    RobertaModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
