"""One block of every format, worked out by hand from its layout.

A case gives the bytes that are not zero, by offset, and the values they mean: first of whole
groups, then of single numbers. Halves used: 0x3800 = 0.5, 0x3C00 = 1, 0x4000 = 2, 0xBC00 = -1, low
byte first.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

from stillhouse.encodings import ENCODINGS, by_name

HALF, ONE, TWO, MINUS_ONE = b"\x00\x38", b"\x00\x3c", b"\x00\x40", b"\x00\xbc"


class Case(NamedTuple):
    stored: dict[int, bytes]
    values: dict[int | tuple[int, int | None], float | list[float]]


ALL = (0, None)
CASES = {
    "F32": Case({0: b"\x00\x00\x80\x3f"}, {0: 1.0}),
    "F16": Case({0: TWO}, {0: 2.0}),
    "BF16": Case({0: b"\x80\x3f"}, {0: 1.0}),
    "F64": Case({6: b"\xe0\xbf"}, {0: -0.5}),
    "I8": Case({0: b"\xff"}, {0: -1}),
    "I16": Case({0: b"\x00\x80"}, {0: -32768}),
    "I32": Case({0: b"\x00\x00\x01\x00"}, {0: 65536}),
    "I64": Case({4: b"\x01"}, {0: 2.0**32}),
    # d = 2. Byte 3 of the codes is 0xF9: number 3 is 9 - 8, number 19 is 15 - 8.
    "Q4_0": Case({0: TWO, 2 + 3: b"\xf9"}, {ALL: -16, 3: 2, 19: 14}),
    # d = 2, m = -1.
    "Q4_1": Case({0: TWO, 2: MINUS_ONE, 4: b"\x21"}, {ALL: -1, 0: 2 * 1 - 1, 16: 2 * 2 - 1}),
    # d = 0.5. Fifth bits of numbers 1 and 31; number 31 also has low bits 7.
    "Q5_0": Case(
        {0: HALF, 2: b"\x02\x00\x00\x80", 6 + 15: b"\x70"},
        {ALL: -16 / 2, 1: (16 - 16) / 2, 31: (16 + 7 - 16) / 2},
    ),
    "Q5_1": Case(
        {0: HALF, 2: ONE, 4: b"\x02\x00\x00\x80", 8 + 15: b"\x70"},
        {ALL: 1, 1: 16 / 2 + 1, 31: (16 + 7) / 2 + 1},
    ),
    "Q8_0": Case({0: HALF, 2 + 7: b"\x80", 2 + 31: b"\x7f"}, {ALL: 0, 7: -64, 31: 63.5}),
    "Q8_1": Case({0: HALF, 2: TWO, 4 + 7: b"\x80"}, {ALL: 0, 7: -64}),
    # d = 1, dmin = 0.5. Groups of 16: the first has scale 3 and minimum 2 (of 0.5), the third
    # scale 1, the fifth scale 2 and minimum 1. Byte 0 of the codes, 0b11100100, holds numbers 0,
    # 32, 64 and 96.
    "Q2_K": Case(
        {0: b"\x23", 2: b"\x01", 4: b"\x12", 16: b"\xe4", 80: ONE, 82: HALF},
        {
            ALL: 0,
            (0, 16): -1,
            32: 1 * 1,
            (64, 80): -0.5,
            64: 2 * 2 - 0.5,
        },
    ),
    # d = 1. An empty scale is -32, an empty code -4. Scale 0 is 0b10_0001 - 32 = 1: low bits in
    # byte 96, high in byte 104. Scale 9 is 0b01_1110 - 32 = -2: low bits in the upper half of
    # byte 97, high in bits 4-5 of byte 105. Number 0 has all its bits: 3. Number 145 = 4 * 32 +
    # 17 has its high bit in bit 4 of byte 17 and low bits, 2, in byte 32 + 32 + 17: 2 in all.
    "Q3_K": Case(
        {
            0: b"\x01",
            17: b"\x10",
            32: b"\x03",
            32 + 49: b"\x02",
            96: b"\x01\xe0",
            104: b"\x02\x10",
            108: ONE,
        },
        {ALL: 128, (0, 16): -4, 0: 3, (144, 160): 8, 145: -2 * 2},
    ),
    # d = 1, dmin = 0.5. Group 0: scale 3, minimum 4. Group 5: scale 0b10_0001 = 33 (low half of
    # byte 4 + 9, top of byte 4 + 1), minimum 0b01_0010 = 18 (upper half of byte 4 + 9, top of
    # byte 4 + 5).
    "Q4_K": Case(
        {0: ONE, 2: HALF, 4: b"\x03\x80", 8: b"\x04\x40", 13: b"\x21", 16: b"\x52", 111: b"\xf0"},
        {ALL: 0, (0, 32): -2, 0: 2 * 3 - 2, (160, 192): -9, 191: 15 * 33 - 9},
    ),
    # The same scales; number 191 = 5 * 32 + 31 has its fifth bit in bit 5 of byte 16 + 31.
    "Q5_K": Case(
        {
            0: ONE,
            2: HALF,
            4: b"\x03\x80",
            8: b"\x04\x40",
            13: b"\x21",
            16 + 31: b"\x20",
            48: b"\x52",
            48 + 95: b"\xf0",
        },
        {ALL: 0, (0, 32): -2, 0: 2 * 3 - 2, (160, 192): -9, 191: 31 * 33 - 9},
    ),
    # d = 0.5, scales 2 and -1 in the first and last group, an empty code is -32. Number 0 is
    # 0b11_0101 - 32; number 255 has 0001 above in byte 127 and 10 on top of byte 128 + 63.
    "Q6_K": Case(
        {
            0: b"\x05",
            127: b"\x10",
            128: b"\x03",
            191: b"\x80",
            192: b"\x02",
            207: b"\xff",
            208: HALF,
        },
        {ALL: 0, (0, 16): -32, 0: 21, (240, 256): 16, 255: -0.5},
    ),
    "Q8_K": Case(
        {0: b"\x00\x00\x00\x3f", 4: b"\x80", 259: b"\x7f", 260: b"\x55"},
        {ALL: 0, 0: -64, 255: 63.5},
    ),
    # Values 0, 8 and 15 of the table are -127, 1 and 113.
    "IQ4_NL": Case({0: ONE, 2 + 2: b"\x8f"}, {ALL: -127, 2: 113, 18: 1}),
    # An empty scale is -32. Scale 3 is 0b10_0011 - 32 = 3: low bits in the upper half of byte 5,
    # high on top of byte 2. Number 112 is the first of the upper halves of group 3: value 9, 13.
    "IQ4_XS": Case(
        {0: ONE, 2: b"\x80", 5: b"\x30", 8 + 48: b"\x90"},
        {ALL: 32 * 127, (96, 128): -3 * 127, 112: 3 * 13},
    ),
    # Points 0 and 1 are (4, 4, 4, 4) and (20, 4, 4, 4). Scale steps are (s + 1/2) / 2. Group 1's
    # word: s = 2, seven minus signs (so eight) for its second eight numbers.
    "IQ3_XXS": Case(
        {0: ONE, 2 + 8: b"\x01", 66 + 4: b"\x80\x3f\x00\x20"},
        {ALL: 1, (32, 64): 4 * 1.25, 32: 20 * 1.25, (40, 48): -4 * 1.25},
    ),
    # Points 0 and 256 are (1, 1, 1, 1) and (7, 5, 9, 5). Group 1: scale 2 * 4 + 1; its first
    # point has the ninth index bit, its second number a minus sign.
    "IQ3_S": Case(
        {0: ONE, 66 + 1: b"\x01", 74 + 4: b"\x02", 106: b"\x40"},
        {ALL: 1, (32, 64): 9, (32, 36): [7 * 9, -5 * 9, 9 * 9, 5 * 9]},
    ),
    # Points 0 and 1 are (8, ...) and (43, 8, ...). Scale steps are (s + 1/2) / 4. Group 2: point
    # 1 second, then a word with s = 3 and the sign bits 0000001 (so 10000001) for its third eight
    # numbers.
    "IQ2_XXS": Case(
        {0: ONE, 2 + 16 + 1: b"\x01", 2 + 16 + 4: b"\x00\x40\x00\x30"},
        {ALL: 1, (64, 96): 7, 72: 43 * 0.875, 80: -7, 87: -7},
    ),
    # Word 4 is point 256, (43, 25, 8, 8, 8, 8, 8, 25), with sign bits 1000000 (so 11000000).
    "IQ2_XS": Case(
        {0: ONE, 2 + 8: b"\x00\x81", 66 + 1: b"\x03"},
        {
            ALL: 1,
            (32, 48): 7,
            (32, 40): [43 * 0.875, 25 * 0.875, 7, 7, 7, 7, -7, -25 * 0.875],
        },
    ),
    # Point 512 is (25, 25, 43, 8, 25, 8, 8, 25): high bits 10 of the third index. Scale of group
    # 1: 1.5 / 4.
    "IQ2_S": Case(
        {0: ONE, 34 + 2: b"\x81", 66: b"\x20", 74: b"\x10"},
        {
            ALL: 1,
            (16, 32): 3,
            (16, 24): [-9.375, 9.375, 43 * 0.375, 3, 9.375, 3, 3, -9.375],
        },
    ),
    # Points 0 and 256 are (-1, ...) and (-1, 0, 1, 0, 1, -1, 0, -1). The word of group 1, 0xA001:
    # shift -1/8, scale 2 * 2 + 1, first point 256.
    "IQ1_S": Case(
        {0: ONE, 34 + 2: b"\x01\xa0"},
        {
            ALL: -0.875,
            (32, 64): -5.625,
            (32, 40): [-5.625, -0.625, 4.375, -0.625, 4.375, -5.625, -0.625, -5.625],
        },
    ),
    # Point 512 is (0, 0, 1, -1, -1, 0, 1, -1). d = 0x3C00 = 1 is spread over the tops of four
    # words. Group 1: scale 2 * 3 + 1 in bits 3-5 of the first word; point 512 with shift 1/8,
    # then point 0 with -1/8.
    "IQ1_M": Case(
        {32 + 1: b"\x82", 48: b"\x18", 53: b"\xc0", 55: b"\x30"},
        {
            ALL: -0.875,
            (16, 24): [0.875, 0.875, 7.875, -6.125, -6.125, 0.875, 7.875, -6.125],
            (24, 32): -7.875,
        },
    ),
    # An empty trit is -1. Digits 21012 are 2 * 81 + 27 + 3 + 2 = 194, stored as ceil(194 * 256 /
    # 243) = 205, for numbers 0, 32, ...; 00002 is 2, stored as 3, its digits 16 apart in the
    # second run; 22220 is 240, stored as 253, its digits 4 apart.
    "TQ1_0": Case(
        {0: b"\xcd", 47: b"\x03", 48: b"\xfd", 52: ONE},
        {ALL: -1, 0: 1, 32: 0, 64: -1, 96: 0, 128: 1, 239: 1, 240: 1, 244: 1, 248: 1, 252: 1},
    ),
    "TQ2_0": Case({0: b"\x92", 63: b"\x80", 64: TWO}, {ALL: -2, 0: 2, 64: 0, 96: 2, 255: 2}),
    "Q1_0": Case({0: HALF, 2: b"\x01", 17: b"\x80"}, {ALL: -0.5, 0: 0.5, 127: 0.5}),
    "Q2_0": Case({0: HALF, 2: b"\xe4", 17: b"\xc0"}, {ALL: -0.5, 1: 0, 2: 0.5, 3: 1, 63: 1}),
    # Exponent 129 - 127 = 2. Code 7 is 6.0, code 9 is -0.5.
    "MXFP4": Case({0: b"\x81", 1: b"\x97"}, {ALL: 0, 0: 6.0 * 4, 16: -0.5 * 4}),
    # Scales 2**-9 (the smallest), 1.0, 1.5 and not-a-number, which is read as 0.
    "NVFP4": Case(
        {0: b"\x01\x38\x3c\x7f", 4: b"\x01", 4 + 8: b"\xf2", 4 + 23: b"\x05", 4 + 24: b"\x07"},
        {ALL: 0, 0: 0.5 * 2.0**-9, 16: 1.0, 24: -6.0, 39: 1.5 * 3.0},
    ),
}


def test_every_encoding_has_a_block_worked_by_hand() -> None:
    assert CASES.keys() == {encoding.name for encoding in ENCODINGS}


@pytest.mark.parametrize("name", CASES)
def test_a_block_decodes_to_the_values_worked_by_hand(name: str) -> None:
    encoding = by_name(name)
    block = np.zeros((1, encoding.block_bytes), np.uint8)
    for offset, raw in CASES[name].stored.items():
        block[0, offset : offset + len(raw)] = list(raw)
    expected = np.zeros(encoding.block_size, np.float32)
    for where, value in CASES[name].values.items():
        expected[slice(*where) if isinstance(where, tuple) else where] = value
    np.testing.assert_array_equal(encoding.decode(block)[0], expected)
