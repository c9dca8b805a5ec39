"""Writes tests/text/fixtures/llama_cpp_ids.json: what llama.cpp makes of hard strings.

Run it where `pip install xllamacpp` is, with the path of SmolLM2-135M-Instruct Q4_1:

    python tools/make_tokenizer_fixtures.py smollm2.gguf

llama.cpp knows the cut of every family but takes the vocabulary from the file, so SmolLM2's file
stands in for all of them: a copy that names another pre-tokenizer has that family's cut with
SmolLM2's tokens.
"""

from __future__ import annotations

import json
import struct
import sys
import tempfile
import urllib.request
from pathlib import Path

import xllamacpp

FIXTURE = Path(__file__).parents[1] / "tests" / "text" / "fixtures" / "llama_cpp_ids.json"

PRE_TOKENIZERS = (
    "smollm",
    "qwen2",
    "deepseek-r1-qwen",
    "llama-bpe",
    "deepseek-llm",
    "deepseek-v3",
)

HARD_STRINGS = (
    "",
    " ",
    "a",
    "Hello, world!",
    "  leading and trailing   ",
    "tabs\tand\t\ttabs",
    "line\nline\r\nline\rline\n\n\nline\n \n  \n\t\n",
    "\n",
    "\n\n\n",
    " \n ",
    "end with spaces    \n    and go on",
    "I'm, you're, it's, we'll, they'd, I've; I'M, YOU'RE, IT'S, WE'LL, don'T, 'sS",
    "o’clock ’s ‘quoted’ “twice”",
    "1234567890 12 123 1234 3.14159 1,000,000 ½ ² ₃ Ⅷ ٣٤٥ १२३ 0x7fff 1e-9",
    "9" * 40,
    "x1y22z333 4a5b",
    "    def f(x: int) -> str:\n        return f'{x!r:>10}'  # ok\n\n\nprint(f(3))\n",
    "for (int i=0;i<n;++i){a[i]+=b[i]<<2;}//done\n#include <stdio.h>",
    "SELECT * FROM t WHERE a='b''c' AND d<>\"e\";--x",
    "https://example.org/a_b-c?d=e&f=%20#g user@example.com C:\\Windows\\x",
    r"\[ \frac{a^2+b^2}{\sqrt{x_{i}}} = \boxed{42} \] $\alpha\beta$",
    "中文字符测试，你好，世界！今天是2024年1月20日。",
    "日本語のテキスト、カタカナとひらがな。ｶﾅ ー 々〆",
    "한국어 텍스트입니다. 안녕하세요!",
    "ไทย ภาษาไทย ทดสอบ ລາວ ខ្មែរ မြန်မာ",
    "Ελληνικά ΑΒΓ Русский текст Ёё Україна Հայերեն ქართული Ⴀ",
    "עברית שלום עולם العربية مَرْحَبًا بالعالم ‏RTL‎ mark فارسی‌ها",
    "हिन्दी देवनागरी क्षत्रिय বাংলা தமிழ்",
    "café cafe\u0301 naïve nai\u0308ve Å A\u030a Z\u0351\u036b\u0343a\u0340l\u0355g\u0356o\u0321",
    "👍 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇯🇵 ☺️ 1️⃣ ⌨ 🫠 🧑🏿‍🚀text🙂text",
    "math ∑∫√≤≥≠∞ arrows ←→⇒ box ┌─┐│ currency €£¥₿ dashes –—― dots …",
    "fullwidth ＡＢＣ１２３！？ ideographic\u3000space",
    "nbsp\u00a0thin\u2009zero\u200bwidth\u200dem\u2003line\u2028para\u2029nel\u0085vt\x0bff\x0c",
    "soft\u00adhyphen bom\ufeffinside null\x00byte bell\x07 del\x7f esc\x1b[31m",
    "ßẞſ ﬁﬂ Ǆǅǆ ʼn ﬀ İı µμ ª º ΩΩ K",
    "𝕳𝖊𝖑𝖑𝖔 𝟘𝟙𝟚 𐍈 𐐀𐐨 𓀀 𠮷野家 𞤀 🀄",
    "<|im_start|>user\nignore that<|im_end|><|endoftext|>",
    "<think>\nhm</think> <tool_call> <|im_start |im_end|> <<|im_end|>>",
    "<｜User｜>hi<｜Assistant｜><｜end▁of▁sentence｜> <|eot_id|><s></s>[INST]",
    "don't 'tis ''s' s't I'll'd've",
    "!!! ??? ... --- ___ *** ### === +-*/ (){}[]<> @#$%^&*_+|~`",
    "a.b.c,d;e:f a .b  ,c   ;d",
    "word\u0300\u0301 \u0300alone 1\u20e3 x\u20d7",
    "MiXeD CaSe wOrDs ABCdef GHIjkl snake_case camelCase kebab-case",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    " " * 33 + "x" + "\t" * 9 + "y" + "\n" * 17 + "z",
    "一二三abc四五六123七八九 ひらがなABC カタカナ12",
    ";x !important ,and .then (paren [bracket {brace \"quote 'single -dash /slash",
    "A\u200b\u200b B\u2060C \ufe0f\ufe0e \u202edlrow\u202c",
)


def main(model: Path) -> None:
    plain, special = {}, {}
    for name in PRE_TOKENIZERS:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "model.gguf"
            copy.write_bytes(with_pre_tokenizer(model.read_bytes(), name))
            server = serve(copy)
            plain[name] = [tokenize(server, text, special=False) for text in HARD_STRINGS]
            special[name] = [tokenize(server, text, special=True) for text in HARD_STRINGS]
            del server
    made = {
        "made_by": f"xllamacpp {xllamacpp.__version__}, vocabulary of {model.name}",
        "texts": HARD_STRINGS,
        "ids": plain,
        "ids_special": special,
    }
    FIXTURE.parent.mkdir(exist_ok=True)
    lines = json.dumps(made, ensure_ascii=True, indent=1)
    FIXTURE.write_text(one_list_a_line(lines) + "\n", encoding="ascii")


def with_pre_tokenizer(file: bytes, name: str) -> bytes:
    """The GGUF file with another ``tokenizer.ggml.pre``; the model's title pays for the length."""
    grown = len(name) - len(read_string(file, b"tokenizer.ggml.pre"))
    title = read_string(file, b"general.name")
    assert len(title) >= grown, "tensors are found by where the header ends: keep its length"
    file = replace_string(file, b"tokenizer.ggml.pre", name.encode())
    return replace_string(
        file, b"general.name", (title + b" " * max(0, -grown))[: len(title) - grown]
    )


def read_string(file: bytes, key: bytes) -> bytes:
    start = value_start(file, key)
    (length,) = struct.unpack_from("<Q", file, start)
    return file[start + 8 : start + 8 + length]


def replace_string(file: bytes, key: bytes, value: bytes) -> bytes:
    start = value_start(file, key)
    end = start + 8 + len(read_string(file, key))
    return file[:start] + struct.pack("<Q", len(value)) + value + file[end:]


def value_start(file: bytes, key: bytes) -> int:
    entry = struct.pack("<Q", len(key)) + key + struct.pack("<I", 8)  # 8: a string
    assert file.count(entry) == 1
    return file.index(entry) + len(entry)


def serve(model: Path) -> xllamacpp.Server:
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx = 256
    params.n_parallel = 1
    params.warmup = False
    params.port = 0
    return xllamacpp.Server(params)


def tokenize(server: xllamacpp.Server, text: str, *, special: bool) -> list[int]:
    body = {"content": text, "add_special": False, "parse_special": special}
    request = urllib.request.Request(
        f"{server.listening_address}/tokenize",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        tokens: list[int] = json.load(answer)["tokens"]
    return tokens


def one_list_a_line(text: str) -> str:
    """JSON with every innermost list of numbers on one line."""
    lines, open_list = [], ""
    for line in text.splitlines():
        bare = line.strip()
        if open_list:
            open_list += bare if bare.startswith("]") else bare + " "
            if bare.startswith("]"):
                lines.append(open_list.replace(" ]", "]"))
                open_list = ""
        elif bare == "[":
            open_list = line
        else:
            lines.append(line)
    return "\n".join(lines)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
