"""What several tasks say alike: the step-by-step sentence, and the lettered choices."""

from __future__ import annotations

from string import ascii_uppercase

# The sentence of the first source, joined to the question as in the second.
BOXED = "{problem}\nPlease reason step by step, and put your final answer within \\boxed{{}}."
BOXED_SOURCE = (
    "DeepSeek: github.com/deepseek-ai/DeepSeek-R1 README, 'Usage Recommendations' and '4."
    " Evaluation Results' (32,768 tokens, no system prompt);"
    " huggingface.co/deepseek-ai/deepseek-math-7b-rl README"
)

LETTERED = (
    "Answer the following multiple choice question. The last line of your response should be of"
    " the following format: 'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think"
    " step by step before answering.\n\n{question}\n\nA) {a}\nB) {b}\nC) {c}\nD) {d}"
)
LETTERED_SOURCE = "github.com/openai/simple-evals common.py, QUERY_TEMPLATE_MULTICHOICE"

LETTERS = ascii_uppercase[:4]


def lettered(question: str, choices: tuple[str, ...]) -> str:
    """The question with its four choices."""
    a, b, c, d = choices
    return LETTERED.format(question=question, a=a, b=b, c=c, d=d)
