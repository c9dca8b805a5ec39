"""vLLM's greedy continuations, on the CPU.

Runs in that peer's environment, with the arguments FOLDER TOKENS; reads prompts as a JSON list of
lists of ids, and prints what follows each, in the same form, on the last line. `vllm_texts.py`, one
folder up, says what its environment needs.
"""

from __future__ import annotations

import json
import os
import sys


def main() -> None:
    """Continue every prompt."""
    folder, tokens = sys.argv[1], int(sys.argv[2])
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    from vllm import LLM, SamplingParams, TokensPrompt  # reads the environment as it is imported

    prompts = [TokensPrompt(prompt_token_ids=ids) for ids in json.load(sys.stdin)]
    llm = LLM(
        folder,
        skip_tokenizer_init=True,
        dtype="bfloat16",
        max_model_len=1024,
        max_num_seqs=1,  # alone, so that no batch changes the order of sums
        enforce_eager=True,
        enable_prefix_caching=False,
    )
    sampling = SamplingParams(temperature=0, max_tokens=tokens, ignore_eos=True, detokenize=False)
    answers = [list(llm.generate([p], sampling)[0].outputs[0].token_ids) for p in prompts]
    print("\n" + json.dumps(answers))


if __name__ == "__main__":
    main()
