"""`still plan --check`: whether something that was said of a model and a machine can be so."""

from __future__ import annotations

import textwrap

import typer

from stillhouse.cli.document import print_document

_NOT_SO = 1
_WIDTH = 110


def check_claim(text: str, *, as_json: bool) -> None:
    """Prints the verdict and its arithmetic; exits with 1 where the claim cannot be.

    Raises UsageError for a text that says nothing that could be checked.
    """
    from stillhouse.planner.claims import check, parse_claim

    found = check(parse_claim(text))
    if as_json:
        claim = {
            "text": text,
            "verdict": found.verdict,
            "is_possible": found.is_possible,
            "headline": found.headline,
            "reasons": list(found.reasons),
            "limit_tokens_per_s": found.limit_tokens_per_s,
            "predicted_tokens_per_s": found.predicted_tokens_per_s,
        }
        print_document("plan", claim=claim)
    else:
        print("\n".join(textwrap.wrap(found.headline, _WIDTH)))
        for reason in found.reasons:
            print(textwrap.fill(reason, _WIDTH, initial_indent="  - ", subsequent_indent="    "))
    if not found.is_possible:
        raise typer.Exit(_NOT_SO)
