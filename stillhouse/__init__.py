"""Stillhouse: plan, pull, run and measure quantised reasoning models on the machine you have.

Importing the package does nothing but name its version; ``from stillhouse.llm import LLM`` starts
work.
"""

__version__ = "0.1.0"
