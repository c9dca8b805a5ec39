"""How each family cuts text into the pieces that BPE then merges within.

A GGUF file only names its rule (``tokenizer.ggml.pre``); the rules themselves are here. A rule is a
list of regexes (Oniguruma syntax), applied one after another: each cuts the pieces that the one
before has left, and both what it matches and what lies between become pieces. They are those of
each family's published tokenizer.json, as llama.cpp reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

from stillhouse.errors import BadCheckpoint


@dataclass(frozen=True, slots=True)
class PreTokenizer:
    """The cuts of one family.

    Attributes:
        patterns: applied in this order.
        whole_words: a piece that is in the vocabulary is taken whole, before any merge (Llama 3).
        add_bos: whether a prompt starts with BOS where the file does not say.
    """

    patterns: tuple[str, ...]
    whole_words: bool = False
    add_bos: bool = False


def pre_tokenizer(name: str) -> PreTokenizer:
    """The rule that a GGUF file names. Raises BadCheckpoint for a name that is not known."""
    try:
        return _PRE_TOKENIZERS[name]
    except KeyError:
        raise BadCheckpoint(
            f"the pre-tokenizer '{name}' is not known",
            hint="known: " + ", ".join(sorted(_PRE_TOKENIZERS)),
        ) from None


def _words_digits_marks(digits: str) -> str:
    """The cut of GPT-4 and its heirs; they differ in how many digits stay together."""
    return (
        r"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"
        r"|[^\r\n\p{L}\p{N}]?\p{L}+"
        rf"|{digits}"
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+"
    )


_QWEN2 = PreTokenizer((_words_digits_marks(r"\p{N}"),))

_LLAMA3 = PreTokenizer((_words_digits_marks(r"\p{N}{1,3}"),), whole_words=True, add_bos=True)

_SMOLLM = PreTokenizer(
    (
        r"\p{N}",
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    )
)

_DEEPSEEK_V3 = PreTokenizer(
    (
        r"\p{N}{1,3}",
        "[一-龥぀-ゟ゠-ヿ]+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
        r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    )
)

# Letters with case, spelled out in DeepSeek-LLM's tokenizer.json: \p{L} has CJK and Arabic too.
_CASED_LETTERS = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώ"
    "ᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿ"
    "ﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb"
    "\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943"
)

_DEEPSEEK_LLM = PreTokenizer(
    (
        r"[\r\n]",
        rf"\s?[{_CASED_LETTERS}]+",
        r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
        r"\s+$",
        "[一-龥ࠀ-一가-\ud7ff]+",
        r"\p{N}+",
    )
)

_PRE_TOKENIZERS = {
    "deepseek-llm": _DEEPSEEK_LLM,
    "deepseek-r1-qwen": _QWEN2,
    "deepseek-v3": _DEEPSEEK_V3,
    "llama-bpe": _LLAMA3,
    "qwen2": _QWEN2,
    "smollm": _SMOLLM,
}
