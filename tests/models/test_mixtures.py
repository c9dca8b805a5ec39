"""Mixtures: rules worked by hand from the quantiser's source, on shapes that exercise each."""

from __future__ import annotations

import dataclasses

import pytest

from stillhouse import catalog
from stillhouse.catalog import Experts, Shape
from stillhouse.errors import UsageError
from stillhouse.models.mixtures import MIXTURES, mixture
from stillhouse.models.tensors import tensor_shapes

LLAMA = catalog.find("r1-distill-llama-8b").model.shape  # 32 layers, 4 heads a key
LLAMA_70B = catalog.find("r1-distill-llama-70b").model.shape
MHA = dataclasses.replace(LLAMA, num_kv_heads=32)
MIXTRAL = dataclasses.replace(LLAMA, experts=Experts(8, 2, 0, 14336, 0))
R1 = catalog.find("r1-671b").model.shape


def formats(name: str, shape: Shape, part: str, *, imatrix: bool = False) -> list[str]:
    """The format of one part, layer by layer."""
    chosen = mixture(name).encodings(shape, imatrix=imatrix)
    names = (f"blk.{layer}.{part}.weight" for layer in range(shape.num_layers))
    return [chosen[one].name for one in names if one in chosen]


@pytest.mark.parametrize("name", MIXTURES)
def test_every_mixture_names_every_tensor_of_every_model(name: str) -> None:
    for model in catalog.models():
        shapes = tensor_shapes(model.shape)
        chosen = MIXTURES[name].encodings(model.shape)
        assert chosen.keys() == shapes.keys()
        for tensor, encoding in chosen.items():
            assert shapes[tensor][-1] % encoding.block_size == 0
            if len(shapes[tensor]) == 1 or "gate_inp" in tensor:
                assert encoding.name == "F32"


def test_more_bits_go_to_both_ends_and_every_third_layer_between() -> None:
    ends = [0, 1, 2, 3, 28, 29, 30, 31]
    more = sorted([*ends, *range(6, 28, 3)])
    for part in ("attn_v", "ffn_down"):
        given = formats("Q4_K_M", LLAMA, part)
        assert [layer for layer, one in enumerate(given) if one == "Q6_K"] == more
        assert set(given) == {"Q4_K", "Q6_K"}


def test_values_get_more_bits_where_heads_share_keys() -> None:
    assert set(formats("Q2_K", LLAMA, "attn_v")) == {"Q4_K"}
    assert set(formats("Q2_K", MHA, "attn_v")) == {"Q3_K"}
    assert set(formats("IQ4_XS", LLAMA, "attn_v")) == {"Q5_K"}
    assert set(formats("IQ4_XS", MHA, "attn_v")) == {"IQ4_XS"}
    assert set(formats("IQ2_XXS", MHA, "attn_v")) == {"Q2_K"}
    assert set(formats("IQ2_M", MHA, "attn_v")) == {"IQ3_S"}


def test_the_70b_has_no_values_below_5_bits_but_in_the_tiny_mixtures() -> None:
    for name in ("Q2_K", "Q3_K_S", "Q3_K_M", "Q4_K_S", "IQ3_M", "IQ3_XXS"):
        assert set(formats(name, LLAMA_70B, "attn_v")) == {"Q5_K"}, name
    assert set(formats("Q4_K_M", LLAMA_70B, "attn_v")) == {"Q5_K", "Q6_K"}
    assert set(formats("IQ2_XS", LLAMA_70B, "attn_v")) == {"Q4_K"}


def test_the_first_layers_get_more_bits() -> None:
    assert formats("Q3_K_M", LLAMA, "ffn_down") == ["Q5_K"] * 2 + ["Q4_K"] * 30
    assert formats("Q3_K_M", LLAMA, "attn_v") == ["Q5_K"] * 2 + ["Q4_K"] * 30
    assert formats("Q4_K_S", LLAMA, "attn_v") == ["Q5_K"] * 4 + ["Q4_K"] * 28
    assert formats("IQ2_XXS", LLAMA, "ffn_down") == ["Q2_K"] * 4 + ["IQ2_XXS"] * 28


def test_an_importance_matrix_changes_what_is_chosen() -> None:
    assert formats("Q4_0", LLAMA, "ffn_down", imatrix=True) == ["Q4_1"] * 4 + ["Q4_0"] * 28
    assert set(formats("Q4_0", LLAMA, "ffn_down")) == {"Q4_0"}
    assert formats("IQ4_NL", LLAMA, "ffn_down") == ["Q5_K"] * 4 + ["IQ4_NL"] * 28
    assert set(formats("IQ4_NL", LLAMA, "ffn_down", imatrix=True)) == {"IQ4_NL"}
    assert formats("IQ3_XXS", LLAMA, "ffn_down") == ["Q4_K"] * 4 + ["Q3_K"] * 28


def test_eight_experts_leave_room_for_attention() -> None:
    for part, one in (("attn_k", "Q8_0"), ("attn_v", "Q8_0"), ("attn_output", "Q5_K")):
        assert set(formats("Q4_K_M", MIXTRAL, part)) == {one}
    assert set(formats("IQ2_XS", MIXTRAL, "attn_k")) == {"Q4_K"}
    assert set(formats("Q3_K_L", MIXTRAL, "attn_output")) == {"Q3_K"}


def test_tiny_mixtures_count_shared_experts_as_well() -> None:
    """Seven of ffn_down have more bits: three dense layers, and both kinds of the next two."""
    chosen = mixture("IQ1_S").encodings(R1)
    more = [n for n, one in chosen.items() if "ffn_down" in n and one.name == "Q2_K"]
    layers = ["0.ffn_down", "1.ffn_down", "2.ffn_down", "3.ffn_down_exps", "3.ffn_down_shexp"]
    layers += ["4.ffn_down_exps", "4.ffn_down_shexp"]
    assert sorted(more) == [f"blk.{layer}.weight" for layer in layers]


def test_rows_that_no_block_divides_get_smaller_blocks() -> None:
    smollm2 = catalog.find("smollm2-135m").model.shape  # rows of 576; ffn_down's are 1536
    chosen = mixture("Q4_K_S").encodings(smollm2)
    assert chosen["blk.9.attn_q.weight"].name == "Q5_0"
    assert chosen["blk.9.ffn_down.weight"].name == "Q4_K"
    assert chosen["token_embd.weight"].name == "Q8_0"  # it is the head
    assert mixture("IQ2_XS").encodings(smollm2)["blk.9.attn_q.weight"].name == "IQ4_NL"
    odd = dataclasses.replace(smollm2, hidden_size=590)
    assert mixture("Q4_K_S").encodings(odd)["blk.9.attn_q.weight"].name == "F16"


def test_a_split_latent_falls_back_where_heads_are_narrow() -> None:
    chosen = mixture("Q4_K_M").encodings(R1)
    assert chosen["blk.0.attn_k_b.weight"].name == "Q5_0"  # rows of 128
    assert chosen["blk.0.attn_v_b.weight"].name == "Q4_K"


def test_large_variants_keep_both_tables_at_8_bits() -> None:
    for name in ("Q2_K_L", "Q3_K_XL", "Q4_K_L", "Q5_K_L", "Q6_K_L"):
        chosen = mixture(name).encodings(LLAMA)
        assert chosen["token_embd.weight"].name == chosen["output.weight"].name == "Q8_0"
    unsloths = mixture("Q2_K_L", "unsloth/any").encodings(LLAMA)
    assert unsloths["token_embd.weight"].name == "Q4_K"
    assert unsloths["output.weight"].name == "Q6_K"


def test_every_mixture_has_a_source() -> None:
    assert all(one.source for one in MIXTURES.values())


def test_an_unknown_mixture_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        mixture("Q7_K")
    assert "q4_k_m" in str(caught.value.hint)
