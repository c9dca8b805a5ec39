"""What a model takes in memory, as a tree of named parts in bytes, each with its formula.

On processors the parts are this engine's own and are counted to the byte where they are arrays; the
process around them was measured. On other devices they are llama.cpp's or vLLM's: weights and KV
cache are exact, buffers and the driver's share are estimates that their formulas state.
"""

from __future__ import annotations

from stillhouse.kernels.kv_layout import BLOCK_TOKENS
from stillhouse.models import footprint
from stillhouse.models.cost import KV_BYTES, PlannedKVType, kv_bytes_per_token
from stillhouse.planner.parts import Part
from stillhouse.planner.targets import Engine
from stillhouse.planner.weights import Weights
from stillhouse.planner.workload import Workload

MIB = 1 << 20

# This engine's process with a model of any size: CPython, numpy, numba with LLVM, the libraries,
# compiled kernels, the threads; benchmarks/planner.py holds the sum against a real process.
_PROCESS_BYTES = 186_000_000
# What the process takes more once it has answered: sampling, threads, pages of the embeddings.
_WORKING_BYTES = 40_000_000
# Strings and ids of the vocabulary, for each token: in the tokenizer, the template and the masks.
_TOKEN_OBJECT_BYTES = 650

# llama.cpp makes the logits of a micro-batch of 512 at once, and its masks go over the context in
# steps of 256 tokens (src/llama-context.cpp, src/llama-kv-cache.cpp).
_MICRO_BATCH = 512
_CONTEXT_STEP = 256
# What a driver keeps for a process: 250 MiB in gguf-parser-go's estimate, 300 MB in the guides',
# and more where several libraries are loaded.
_DRIVER_BYTES = {"llama.cpp": 300 * MIB, "vllm": 1200 * MIB}


def memory(
    weights: Weights,
    workload: Workload,
    *,
    engine: Engine,
    kv_type: PlannedKVType,
    vocabulary: int | None = None,
    is_processor: bool = False,
) -> Part:
    """Everything that a system must hold, whatever it is split over.

    `is_processor`: main memory holds everything, and there is no driver.
    `vocabulary`: tokens that have a text, where that is known to be fewer than the model's rows.
    """
    cache = kv_cache(weights, workload, engine=engine, kv_type=kv_type)
    if engine == "stillhouse":
        tokens = weights.shape.vocab_size if vocabulary is None else vocabulary
        return Part.of(
            "memory", [_packed(weights), cache, _buffers(weights, workload), _process(tokens)]
        )
    buffer = compute_buffer(weights, workload, engine)
    if is_processor:
        whole = Part("weights", weights.total_bytes, weights.source)
        return Part.of("memory", [whole, cache, buffer])
    return Part.of("memory", [device_weights(weights, engine), cache, buffer, driver(engine)])


def at_load(tree: Part) -> int:
    """Bytes of this engine's process before it has answered anything: pages that were not written
    yet take no memory.
    """
    names = ("weights", "runtime", "vocabulary")
    return sum(part.num_bytes for _, part in tree.walk() if part.name in names)


def kv_cache(
    weights: Weights, workload: Workload, *, engine: Engine, kv_type: PlannedKVType
) -> Part:
    """Keys and values of all users' contexts; exact."""
    shape = weights.shape
    token_bytes = kv_bytes_per_token(shape, kv_type)
    step = BLOCK_TOKENS if engine == "stillhouse" else _CONTEXT_STEP
    tokens = -(-workload.context_tokens // step) * step
    if shape.latent is not None:
        numbers = f"{shape.latent.kv_rank} + {shape.latent.rope_dim} of the latent"
    else:
        numbers = f"2 x {shape.num_kv_heads} KV heads x {shape.head_dim}"
    how = (
        f"{workload.users} x {tokens} tokens x {shape.num_layers} layers x {numbers} x"
        f" {float(KV_BYTES[kv_type]):g} B ({kv_type})"
    )
    return Part("KV cache", workload.users * tokens * token_bytes, how)


def device_weights(weights: Weights, engine: Engine) -> Part:
    """What goes to the devices: llama.cpp leaves the table of embeddings in main memory."""
    if engine != "llama.cpp" or not weights.embedding_bytes:
        return Part("weights", weights.total_bytes, weights.source)
    on_device = weights.total_bytes - weights.embedding_bytes
    how = f"{weights.source}; without the embeddings' table, which stays in main memory"
    return Part("weights", on_device, how)


def compute_buffer(weights: Weights, workload: Workload, engine: Engine) -> Part:
    """Between a batch and its logits, on each device."""
    shape = weights.shape
    if engine == "vllm":
        rows = 2048  # max_num_batched_tokens, by default
        numbers = 2 * shape.hidden_size + 2 * max(shape.ffn_size, _expert_width(weights))
        sampled = 256 * shape.vocab_size * 4
        how = f"{rows} rows x {numbers} numbers x 2 B + logits of 256 rows"
        return Part("compute buffer", 2 * rows * numbers + sampled, how)
    rows = _MICRO_BATCH
    context = workload.users * workload.context_tokens
    size = rows * (4 * shape.vocab_size + 4 * 2 * shape.hidden_size + 2 * context)
    how = (
        f"{rows} rows x ({shape.vocab_size} logits + 2 x {shape.hidden_size}) x 4 B,"
        f" and a mask of {context} x 2 B"
    )
    return Part("compute buffer", size, how)


def driver(engine: Engine) -> Part:
    """What the driver and its libraries keep on a device."""
    size = _DRIVER_BYTES.get(engine, 0)
    return Part("driver", size, f"{engine}'s libraries and context, an estimate")


def _packed(weights: Weights) -> Part:
    model = footprint.Matrices(weights.shape, weights.encodings)
    how = f"packed for the kernels; {weights.file_bytes / 1e9:.3f} GB in the file"
    return Part("weights", model.packed_bytes(), how)


def _buffers(weights: Weights, workload: Workload) -> Part:
    model = footprint.Matrices(weights.shape, weights.encodings)
    rows = min(footprint.STEP_ROWS, workload.users * workload.prompt_tokens)
    step = footprint.buffer_bytes(model, rows=rows, outputs=min(workload.users, rows))
    rope = footprint.rope_bytes(weights.shape, workload.context_tokens)
    return Part.of(
        "buffers",
        [
            Part("step", step, f"activations of {rows} rows, logits of {workload.users}"),
            Part("rope", rope, f"cosines and sines of {workload.context_tokens} positions"),
        ],
    )


def _process(tokens: int) -> Part:
    words = _TOKEN_OBJECT_BYTES * tokens
    return Part.of(
        "process",
        [
            Part("runtime", _PROCESS_BYTES, "Python, libraries, compiled kernels; measured"),
            Part(
                "working", _WORKING_BYTES, "sampling, threads, what is read of the file; measured"
            ),
            Part("vocabulary", words, f"{tokens} tokens x {_TOKEN_OBJECT_BYTES} B; measured"),
        ],
    )


def _expert_width(weights: Weights) -> int:
    experts = weights.shape.experts
    return 0 if experts is None else (experts.used + experts.shared) * experts.ffn_size
