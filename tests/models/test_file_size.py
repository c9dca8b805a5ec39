"""Predicted files against real ones, and against every size that somebody published."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from stillhouse import catalog
from stillhouse.checkpoints import open_gguf
from stillhouse.checkpoints.cursor import Cursor
from stillhouse.checkpoints.gguf_header import GgufHeader, read_header
from stillhouse.errors import UsageError
from stillhouse.models.dynamic_mixtures import UNPUBLISHED
from stillhouse.models.file_size import SizedFile, predicted_file, sized_file
from stillhouse.models.mixture import Rule
from stillhouse.models.mixtures import mixture
from tests import real_headers

GIB = 1 << 30


class Row(NamedTuple):
    """One published file and its size."""

    model: catalog.Model
    files: catalog.HubFiles | catalog.PackageFiles
    quantization: str
    size_bytes: int

    @property
    def repo(self) -> str:
        return self.files.repo if isinstance(self.files, catalog.HubFiles) else ""

    @property
    def is_exact(self) -> bool:
        return self.size_bytes % 10_000 != 0

    @property
    def is_unpublished(self) -> bool:
        return self.quantization.startswith("UD-") and self.repo in UNPUBLISHED


ROWS = [
    Row(model, files, quantization, size_bytes)
    for model in catalog.models()
    for files in model.files
    for quantization, size_bytes in files.sizes_bytes.items()
]


def predicted(name: str, quantization: str) -> SizedFile:
    return predicted_file(catalog.find(name).model, quantization)


def check_tensors(file: SizedFile, header: GgufHeader) -> None:
    ours = {tensor.name: (tensor.shape, tensor.encoding.name) for tensor in file.tensors}
    assert ours == {entry.name: (entry.shape, entry.encoding.name) for entry in header.tensors}


def test_predicted_tensors_and_sizes_equal_the_real_file(smollm2_path: Path) -> None:
    file = predicted("smollm2-135m", "Q4_1")
    with open_gguf(smollm2_path) as checkpoint:
        theirs = {n: (t.shape, t.encoding.name) for n, t in checkpoint.tensors.items()}
        assert {t.name: (t.shape, t.encoding.name) for t in file.tensors} == theirs
        assert file.sizes() == {n: t.num_bytes for n, t in checkpoint.tensors.items()}
    assert file.total_bytes == smollm2_path.stat().st_size


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("qwen2.5-coder-0.5b", real_headers.QWEN2_5_CODER_0_5B),
        ("qwen2.5-coder-1.5b", real_headers.QWEN2_5_CODER_1_5B),
        ("r1-distill-qwen-7b", real_headers.R1_DISTILL_QWEN_7B),
    ],
)
def test_predicted_tensors_and_sizes_equal_those_of_real_headers(name: str, reference: str) -> None:
    header = read_header(Cursor(_head(real_headers.path_of(reference))))
    file = predicted(name, "Q4_K_M")
    check_tensors(file, header)
    assert file.sizes() == {entry.name: entry.end - entry.start for entry in header.tensors}
    assert file.header_bytes == min(entry.start for entry in header.tensors)
    assert file.total_bytes == max(entry.end for entry in header.tensors)


def test_tensors_of_the_7b_take_what_is_known_of_them() -> None:
    assert predicted("r1-distill-qwen-7b", "Q4_K_M").tensor_bytes == 4_677_120_000


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8_000_000)


@pytest.mark.parametrize(
    "row",
    [row for row in ROWS if not row.is_unpublished],
    ids=lambda row: f"{row.model.name}-{row.repo.partition('/')[0]}-{row.quantization}",
)
def test_predicted_sizes_are_those_published(row: Row) -> None:
    file = predicted_file(row.model, row.quantization, row.files)
    tolerance = 1e-5 if row.is_exact else 0.004  # three digits: half of the last is up to 0.5 %
    assert file.total_bytes == pytest.approx(row.size_bytes, rel=tolerance)


@pytest.mark.parametrize("row", [row for row in ROWS if row.is_unpublished], ids=lambda row: row[2])
def test_what_nobody_described_is_not_predicted_but_explained(row: Row) -> None:
    with pytest.raises(UsageError) as caught:
        predicted_file(row.model, row.quantization, row.files)
    assert caught.value.hint == UNPUBLISHED[row.repo]


def test_all_that_is_published_can_be_predicted_but_for_these() -> None:
    unknown = set()
    for model in catalog.models():
        for files in model.files:
            for quantization in files.quantizations:
                try:
                    predicted_file(model, quantization, files)
                except UsageError:
                    unknown.add((Row(model, files, quantization, 0).repo, quantization))
    others = {(repo, name) for repo, name in unknown if repo not in UNPUBLISHED}
    assert others == {("unsloth/DeepSeek-R1-GGUF", "Q2_K_XS")}  # no llama.cpp mixture, no list
    assert all(name.startswith("UD-") for _, name in unknown - others)


@pytest.mark.parametrize(
    ("quantization", "gib"),
    [("UD-IQ1_S", 131), ("UD-IQ1_M", 158), ("UD-IQ2_XXS", 183), ("UD-Q2_K_XL", 212)],
)
def test_dynamic_quantisations_of_the_671b_are_as_large_as_their_blog_says(
    quantization: str, gib: int
) -> None:
    assert predicted("r1-671b", quantization).total_bytes / GIB == pytest.approx(gib, rel=0.02)


def test_dynamic_quantisations_have_the_formats_that_llama_cpp_prints() -> None:
    def formats(quantization: str) -> Counter[str]:
        file = predicted("r1-671b", quantization)
        return Counter(tensor.encoding.name for tensor in file.tensors)

    assert formats("UD-IQ1_S") == {
        "F32": 361,
        "Q4_K": 190,
        "Q5_K": 116,
        "Q6_K": 184,
        "IQ2_XXS": 6,
        "IQ1_S": 168,
    }
    assert formats("UD-Q2_K_XL") == {"F32": 361, "Q4_K": 306, "Q6_K": 184, "Q3_K": 3, "Q2_K": 171}


@pytest.mark.parametrize(
    ("name", "quantization", "gigabytes"),
    [
        ("r1-distill-qwen-1.5b", "Q4_K_M", 1.1),
        ("r1-distill-qwen-7b", "Q4_K_M", 4.7),
        ("r1-distill-qwen-14b", "Q4_K_M", 9.0),
        ("r1-distill-qwen-32b", "Q4_K_M", 20),
        ("r1-distill-llama-70b", "Q4_K_M", 43),
        ("r1-671b", "Q4_K_M", 404),
        ("r1-distill-qwen-14b", "Q6_K", 12),
        ("r1-distill-qwen-14b", "Q3_K_M", 7.3),
    ],
)
def test_sizes_that_guides_round_to_two_digits_are_right_to_2_percent(
    name: str, quantization: str, gigabytes: float
) -> None:
    size = predicted(name, quantization).total_bytes / 1e9
    assert size == pytest.approx(gigabytes, rel=0.02)


@pytest.mark.parametrize(
    ("name", "quantization", "claimed", "real"),
    [
        ("r1-distill-llama-8b", "Q4_K_M", 5.2, 4.92),  # the tag of 5.2 GB is the Qwen3-8B
        ("r1-0528-qwen3-8b", "Q4_K_M", 5.2, 5.03),  # Ollama's own mixture: see the next test
        ("r1-distill-qwen-14b", "Q8_0", 15, 15.70),
        ("r1-distill-qwen-14b", "Q2_K", 5.5, 5.77),
    ],
)
def test_figures_of_guides_that_are_wrong_by_more_than_2_percent(
    name: str, quantization: str, claimed: float, real: float
) -> None:
    size = predicted(name, quantization).total_bytes / 1e9
    assert size == pytest.approx(real, abs=0.006)
    assert abs(size / claimed - 1) > 0.02


def test_ollamas_8b_of_5_2_gb_keeps_values_at_f16() -> None:
    """What llama.cpp prints of it: https://github.com/intel/ipex-llm/issues/13301."""
    model = catalog.find("r1-0528-qwen3-8b").model
    base = mixture("Q4_K_M")
    ollamas = replace(base, rules=(Rule("attn_v", "F16"), *base.rules))
    file = sized_file(model.shape, ollamas, model.tokenizer.metadata_bytes, catalog.Conversion())
    formats = Counter(tensor.encoding.name for tensor in file.tensors)
    assert formats == {"F32": 145, "F16": 36, "Q4_K": 199, "Q6_K": 19}
    assert file.tensor_bytes / GIB == pytest.approx(4.86, abs=0.005)
    assert file.bits_per_weight == pytest.approx(5.10, abs=0.005)
    assert file.total_bytes / 1e9 == pytest.approx(5.2, rel=0.01)


@pytest.mark.parametrize(
    ("quantization", "gigabytes"),
    [
        ("Q8_0", 713.29),
        ("Q6_K", 550.80),
        ("Q5_K_M", 475.40),
        ("Q5_K_S", 461.81),
        ("Q4_1", 419.94),
        ("Q4_K_M", 404.43),
    ],
)
def test_the_671bs_shape_has_the_sizes_published_for_v3(
    quantization: str, gigabytes: float
) -> None:
    """DeepSeek-V3-0324, of the same shape: bartowski's list, made before the latent was split."""
    model = catalog.find("r1-671b").model
    made = catalog.Conversion(imatrix=True, fused_kv_b=True)
    recipe = mixture(quantization)
    file = sized_file(model.shape, recipe, model.tokenizer.metadata_bytes, made)
    assert file.total_bytes / 1e9 == pytest.approx(gigabytes, abs=0.0051)


@pytest.mark.parametrize(
    ("quantization", "bits"),
    [
        ("IQ2_XXS", 2.3824),
        ("IQ2_XS", 2.5882),
        ("IQ2_S", 2.7403),
        ("IQ2_M", 2.9294),
        ("IQ3_XXS", 3.2548),
        ("IQ3_S", 3.6606),
        ("IQ4_XS", 4.4597),
        ("IQ4_NL", 4.6818),
        ("Q2_K", 3.1593),
        ("Q3_K_S", 3.6429),
        ("Q3_K_M", 3.9960),
        ("Q3_K_L", 4.2979),
        ("Q4_K_S", 4.6672),
        ("Q4_K_M", 4.8944),
        ("Q5_K_S", 5.5704),
        ("Q5_K_M", 5.7036),
        ("Q6_K", 6.5633),
        ("Q8_0", 8.5008),
    ],
)
def test_bits_per_weight_of_llama_8b_are_those_that_llama_cpp_lists(
    quantization: str, bits: float
) -> None:
    """tools/quantize/README.md of llama.cpp; a matrix where the quantiser asks for one."""
    model = catalog.find("r1-distill-llama-8b").model
    made = catalog.Conversion(imatrix=quantization.startswith(("IQ2", "IQ3_XXS")))
    recipe = mixture(quantization)
    file = sized_file(model.shape, recipe, model.tokenizer.metadata_bytes, made)
    assert file.bits_per_weight == pytest.approx(bits, abs=0.002)
