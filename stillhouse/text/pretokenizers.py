"""How each family cuts text into the pieces that BPE then merges within.

A GGUF file only names its rule (``tokenizer.ggml.pre``); the rules themselves are here. A rule is a
list of regexes (Oniguruma syntax), applied one after another: each cuts the pieces that the one
before has left, and both what it matches and what lies between become pieces. They are those of
each family's published tokenizer.json, as llama.cpp reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

from tokenizers import Regex, pre_tokenizers

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


GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""The cut of GPT-2, which tokenizer.json files know as ByteLevel's own."""


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

_SMOLLM = PreTokenizer((r"\p{N}", GPT2_WORDS))

_DEEPSEEK_V3 = PreTokenizer(
    (
        r"\p{N}{1,3}",
        r"[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
        r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
        r"| ?[\p{P}\p{S}]+[\r\n]*"
        r"|\s*[\r\n]+|\s+(?!\S)|\s+",
    )
)

# Letters with case, as spelled out in DeepSeek-LLM's tokenizer.json (\p{L} has CJK and Arabic too).
_CASED_LETTERS = (
    "0041-005A 0061-007A 00B5 00C0-00D6 00D8-00F6 00F8-01BA 01BC-01BF 01C4-0293 0295-02AF "
    "0370-0373 0376 0377 037B-037D 037F 0386 0388-038A 038C 038E-03A1 03A3-03F5 03F7-0481 "
    "048A-052F 0531-0556 10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF 1D00-1D2B "
    "1D6B-1D77 1D79-1D9A 1E00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D "
    "1F5F-1F7D 1F80-1FB4 1FB6-1FBC 1FBE 1FC2-1FC4 1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC "
    "1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 2115 2119-211D 2124 2126 2128 212A-212D "
    "212F-2134 2139 213C-213F 2145-2149 214E 2183 2184 2C00-2C7B 2C7E-2CE4 2CEB-2CEE 2CF2 "
    "2CF3 A640-A66D A680-A69B A722-A76F A771-A787 A78B-A78E AB70-ABBF FB00-FB06 FB13-FB17 "
    "FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3 104D8-104FB 10C80-10CB2 10CC0-10CF2 "
    "118A0-118DF 1E900-1E943"
)


def _char_class(code_points: str) -> str:
    """ "0041-005A 00B5" → "[A-Zµ]"; hexadecimal, since some of these characters look alike."""
    ranges = (part.split("-") for part in code_points.split())
    return "[" + "".join("-".join(chr(int(end, 16)) for end in ends) for ends in ranges) + "]"


_DEEPSEEK_LLM = PreTokenizer(
    (
        r"[\r\n]",
        rf"\s?{_char_class(_CASED_LETTERS)}+",
        r"\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+",
        r"\s+$",
        r"[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF]+",
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

# What the rules disagree on: case, digits, marks, spaces, line ends, scripts.
_PROBE = (
    "Hello WORLD's don'T 1234567 ²³ x=a_b+c;  // ok\r\n\n\t\tÜber façade naïve  ...!!! "
    "中文字符,日本語のカナ 한국어 العربية हिन्दी ไทย \u3000 '12 'LL're #tag@x.y <b>[1]{2}|~` "
    "\n 9a 99 999 "
)


def name_of_cuts(cuts: PreTokenizer) -> str | None:
    """The name in GGUF files of a rule that came without one, by what it does to a text."""
    wanted = _pieces(cuts)
    same = [name for name, rule in _PRE_TOKENIZERS.items() if _pieces(rule) == wanted]
    same = [name for name in same if _PRE_TOKENIZERS[name].whole_words == cuts.whole_words]
    # One of R1's distillations has a name of its own for what is Qwen's rule.
    return max(same, default=None)


def _pieces(cuts: PreTokenizer) -> list[str]:
    splits = [
        pre_tokenizers.Split(Regex(pattern), behavior="isolated") for pattern in cuts.patterns
    ]
    return [piece for piece, _ in pre_tokenizers.Sequence(splits).pre_tokenize_str(_PROBE)]
