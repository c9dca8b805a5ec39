"""Every name that `--json` prints at a document's top, with its meaning.

The names are stable: new ones are added, none changes. `print_document` refuses a name that is not
here, and docs/reference/json.md is made from here.
"""

from __future__ import annotations

from collections.abc import Mapping

EVERY_DOCUMENT: Mapping[str, str] = {
    "command": "the command, as `run`",
    "stillhouse": "version of Stillhouse",
    "commit": "of the checkout, `+` after it where files differ; null for an installed package",
    "machine": "`os`, `architecture`, `cpu`, `isa_flags`, `physical_cores` and `logical_cores` "
    "that this process may use, `total_memory_bytes`, `available_memory_bytes`, `huge_pages`, "
    "`python`",
    "model": "the reference as it was given; null where a command is about no model",
}

DOCUMENTS: Mapping[str, Mapping[str, str]] = {
    "doctor": {
        "isa_level": "which kernels run here: `portable`, `avx2`, `avx512-vnni`",
        "threads": "used for the measurement",
        "read_bandwidth_bytes_per_s": "memory read, measured now",
        "int8_operations_per_s": "products of int8 that it makes, measured now; null where the "
        "peak is not known; kept for `still plan`",
        "accelerators": "a list of what the makers' tools find; `still plan` plans for them, this "
        "engine does not use them",
        "kernel_cache": "folder of the compiled kernels",
        "kernels": "{format, or scheme of folders: the kernel that serves it here}",
    },
    "pull": {
        "reference": "the model's full name",
        "origin": "where it came from",
        "path": "its first file",
        "files": "a list of {`name`, `size`, `sha256`}",
    },
    "list": {
        "models": "a list of {`reference`, `origin`, `path`, `bytes_on_disk`, `complete`, `pulled` "
        "(when), `files`}",
        "catalogue": "with `--all`, instead: a list of {`name`, `title`, `aliases`, `parameters`, "
        "`context_tokens`, `licence`, `reasoning`, `default_quantization`, `quantizations`, "
        "`source`}",
    },
    "show": {
        "reference": "the model's full name",
        "pulled": "whether it is on this machine; what only the file tells is missing otherwise",
        "name": "what its makers call it",
        "path": "its first file",
        "architecture": "as GGUF names it",
        "parameters": "how many numbers its tensors hold",
        "active_parameters": "of them, used for one token",
        "context_tokens": "the longest context it was made for",
        "licence": "its identifier",
        "base": "the model it was made from",
        "reasoning": "whether it thinks before it answers",
        "file_bytes": "of all its files",
        "published_bytes": "the same, as its source says",
        "quantization": "as its publisher names it",
        "tensors": "{format: {`count`, `bytes`}}",
        "chat_template": "whether the file has one",
        "sampling": "its makers' advice: `temperature`, `top_p`, `top_k`, `min_p`",
        "source": "where that is written",
    },
    "quantize": {
        "path": "the new file",
        "recipe": "as it is named, or its file's name",
        "dry_run": "whether this is only what would be written",
        "file_bytes": "of the new file, header included",
        "source_bytes": "of the source's tensors",
        "bits_per_weight": "of the tensors, header apart",
        "formats": "{format: {`count`, `bytes`}}",
        "tensors": "a list of {`name`, `shape`, `source`, `format`, `bytes`} in the file's order",
        "resumed_bytes": "kept of an earlier run that was stopped",
        "duration_s": "of the work; null with `--dry-run`",
    },
    "rm": {
        "reference": "the model's full name",
        "freed_bytes": "on disk",
    },
    "plan": {
        "device": "`name`, `engine`, `count`, `memory_bytes` (usable, of one device), "
        "`memory_note` (why it is less than there is), `ram_bytes`, `read_bytes_per_s`, "
        "`operations_per_s`, `is_measured`, `notes`",
        "devices": "a list of the same of every system; the first is `device`",
        "workload": "`prompt_tokens`, `thinking_tokens`, `answer_tokens`, `users`, "
        "`context_tokens` (of each user)",
        "goal": "`quality`, `speed` or `cost`",
        "options": "a list, the best first, of {`device`, `model`, `title`, `quantization`, "
        "`engine`, `kv_type`, `verdict` (`fits`, `marginal`, `does_not_fit`), `reason`, `memory` "
        "(a tree of `name`, `bytes`, `how`, `parts`), `file_bytes`, `weights_source` (how its "
        "bytes are known), `decode_tokens_per_s` (all users together), `prefill_tokens_per_s`, "
        "`limit_tokens_per_s` (if the whole bandwidth were reached), `ttft_s`, "
        "`time_to_answer_s`, `thinking_tax_s`, `speed` (how it follows), `quality`, `cost`, "
        "`command`}; without speeds where it does not fit",
        "recommendation": "`model`, `quantization`, `device`, `reason`, `command`; null where "
        "nothing fits",
        "more_memory": "what 8 GB more would change; null if nothing",
        "claim": "with `--check`, instead of all of these: `text`, `verdict`, `is_possible`, "
        "`headline`, `reasons`, `limit_tokens_per_s`, `predicted_tokens_per_s`",
    },
    "run": {
        "reasoning": "the thought, without its tags",
        "answer": "the answer",
        "finish_reason": "`stop`, `length`, `loop` (it went in circles) or `cancelled`",
        "thinking_end": "what ended the thought: `natural`, `budget`, `loop`, `context`, `client`, "
        "or `none` where there was no thought",
        "usage": "`prompt_tokens`, `reasoning_tokens`, `answer_tokens`, `cached_tokens` (of the "
        "prompt, found in the KV cache)",
        "timings": "`load_s`, `ttft_s` (first token), `ttfat_s` (first token of the answer), "
        "`prefill_tokens_per_s`, `decode_tokens_per_s`, `bandwidth_share` (of the memory bandwidth "
        "measured here; from 0 to 1), `queue_s` (before the engine began), "
        "`thinking_s`, `e2e_s` (last token); null where there was nothing to time",
    },
    "imatrix": {
        "path": "the file that was written",
        "matrices": "how many it has the importance of",
        "text": "`name`, `tokens` (read), `window_tokens` (read at a time)",
        "duration_s": "loading included",
    },
    "quality": {
        "source": "what the others are compared with: `model`, `file_bytes`, `bits_per_weight` (of "
        "all tensors), `formats` ({format: numbers in it}), `prefill_tokens_per_s`, "
        "`decode_tokens_per_s`; null without `--speed`",
        "text": "`name`, `tokens` (read), `window_tokens` (read at a time), `scored_tokens` (the "
        "second half of each window)",
        "results": "a list of all that `source` has, and, each estimate as {`value`, `error` (one "
        "standard error)}, `tokens` (scored), `perplexity`, `source_perplexity`, "
        "`perplexity_ratio`, `perplexity_difference`, `log_perplexity_correlation`, `kl` (mean "
        "divergence from the source, in nats), `kl_percentiles`, `same_top` (share of predictions "
        "whose likeliest token is the source's), `same_top_interval` (95 %), `delta_p` (of the "
        "token that came, from -1 to 1), `delta_p_rms`, `delta_p_percentiles`; with `--tensors` "
        "`tensors`, the worst first: `name`, `format_name`, `source_format_name`, `nmse` (squared "
        "error over squared signal), `snr_db` (null: no error)",
    },
    "bench": {
        "date": "when it ended, UTC",
        "slo": "what counts as good, in seconds: of `ttft_s`, `ttfat_s`, `tpot_s`, `e2e_s` those "
        "that are limited",
        "seed": "of the prompts and arrivals; `--seed` asks for the same again",
        "machine_speeds": "`read_bytes_per_s`, `int8_operations_per_s`, `bf16_operations_per_s`: "
        "medians of what this machine did around the cells; null where no roofline was drawn",
        "results": "a list of cells {`engine`, `url` (null: in process), `model`, `quantization`, "
        "`workload`, `loop` (`closed`: users who ask again; `open`: arrivals), `users`, "
        "`rate_per_s`, `prompt_tokens`, `output_tokens` (as asked for; null: as they come), "
        "`requests` (completed), `duration_s`, `requests_per_s`, `output_tokens_per_s` (thoughts "
        "and answers, all users together), `total_tokens_per_s`, `user_tokens_per_s` (1 / median "
        "TPOT), `prefill_tokens_per_s`, `decode_tokens_per_s` (while anybody waits for a first "
        "token, while anybody is past it), `ttft_s`, `ttfat_s` (first text of the answer), "
        "`tpot_s` ((e2e - ttft) / (tokens - 1)), `itl_s` (between pieces, pooled), `e2e_s` (each "
        "{`count`, `mean`, `p50`, `p95`, `p99`}), `mean_prompt_tokens`, `mean_reasoning_tokens`, "
        "`mean_answer_tokens`, `cached_share`, `truncated_share`, `looped_share`, "
        "`short_outputs`, `errors`, `error_kinds`, `error_examples`, `goodput_per_s`, "
        "`goodput_share`, `peak_memory_bytes`, `roofline_share` (least time that this machine's "
        "memory and products allow, over the time taken), `roofline_tokens_per_s`, "
        "`roofline_how`, `speedup` (output tok/s over one user's), `peak_concurrency`, `counted` "
        "(`usage`, or `chunks` where a server does not count thoughts), `is_complete`, "
        "`request_records`, `quality_recovery` (published share of the unquantised score), "
        "`quality_source`}; null where it is not available",
        "sweeps": "a list of {`kind` (`users`, `context`), `model`, `workload`, `found` (the "
        "largest value that kept the SLO), `is_limit` (larger ones were not tried), `tried`, "
        "`sentence`}",
        "comparisons": "of every system over the first: {`model`, `baseline`, `workload`, "
        "`single_stream_s`, `single_stream_speedup`, `multi_stream_per_s`, "
        "`multi_stream_speedup`}",
        "notes": "sentences about what went wrong or is not comparable",
    },
    "bench compare": {
        "a": "`path` of the first file, and its `stillhouse`, `commit`, `date` and `machine`",
        "b": "the same of the second file",
        "threshold": "how much worse is a regression, as a share",
        "is_regression": "whether anything is; the command exits with 1 then",
        "matched_by": "`names`; `load`, where one system is compared with another",
        "results": "a list of {`a`, `b` (each `engine`, `model`, `quantization`, `workload`, "
        "`loop`, `users`, `rate_per_s`, `prompt_tokens`, `output_tokens`, `requests`), `figures` "
        "(a list of {`name`, as `ttft_s.p50`, `a`, `b`, `ratio` (b over a), `low` and `high` (its "
        "95 % interval; null where nothing tells), `verdict` (`better`, `worse`, `no difference "
        "that these runs can show`, `too few requests`, `set by the load`, `known of one run "
        "only`), `is_regression`})}",
        "only_in_a": "a list of cells as `a` and `b` of a result are",
        "only_in_b": "the same",
        "warnings": "what makes the runs differ besides what is compared",
        "notes": "how the figures are to be read",
    },
    "eval": {
        "date": "when it ended, UTC",
        "seed": "that every sample's own is made of; null where only earlier runs are shown",
        "folder": "where every sample is kept; null where only earlier runs are shown",
        "results": "a list of {`label`, `model`, `quantization`, `engine`, `url` (null: in "
        "process), `file_bytes`, `bits_per_weight` (of all tensors), `thinking_budget` (null: "
        "none), `duration_s` (while samples were asked for), `output_tokens_per_s` (thoughts and "
        "answers, all samples together, of tasks that write any), `openllm_average` and "
        "`openllm_average_stderr` (the leaderboard's, null without its six tasks), `tasks` "
        "({name: {`title`, `version`, `prompt`, `source`, "
        "`options` (how answers were drawn: seed, temperature, limits), `questions`, `samples` (of "
        "each question), `pass@1` (scores are from 0 to 1), "
        "`stderr_sampling` (if these questions were answered again; null where one sample each "
        "tells nothing), `stderr_questions` (for other questions like these), `interval` (95 %, "
        "for other questions), `pass@k` and `maj@k` ({k: share}), `pass@k_interval` and "
        "`maj@k_interval` ({k: limits}), `no_answer`, `truncated`, `looped`, `wrong`, `right` "
        "(samples), `mean_reasoning_tokens`, `mean_answer_tokens`, "
        "`tokens_per_correct`, `seconds_per_correct`, `chance` (what guessing scores), `groups` "
        "({name: {`questions`, `pass@1`, its errors and `interval`})}})}; a figure that there is "
        "nothing to take of is null",
        "comparisons": "of every result with the baseline, question by question: {`a` (the "
        "baseline's label), `b`, `task`, `questions`, `samples`, `difference` (`b` less `a`), "
        "`low`, `high` (95 %), `stderr_questions`, `stderr_sampling`, `least_difference` (that "
        "would show in 4 of 5 such runs), `recovery` (`b` over `a`), `recovery_low`, "
        "`recovery_high`, `verdict` (in words), `asked_otherwise` (options that differ)}",
        "warnings": "what is missing, or wrong with how a model was asked",
    },
}
