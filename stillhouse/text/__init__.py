"""What a model says and is told: tokens, templates, thoughts. Below it there are only ids."""

from stillhouse.text.detokenizer import Detokenizer
from stillhouse.text.messages import Message, as_messages
from stillhouse.text.pieces import Delta, TokenLogprob, ToolCall
from stillhouse.text.template import ChatTemplate
from stillhouse.text.thoughts import ReasoningSplitter, Verbatim
from stillhouse.text.tokenizer import Tokenizer

__all__ = [
    "ChatTemplate",
    "Delta",
    "Detokenizer",
    "Message",
    "ReasoningSplitter",
    "TokenLogprob",
    "Tokenizer",
    "ToolCall",
    "Verbatim",
    "as_messages",
]
