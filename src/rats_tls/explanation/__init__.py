"""Judgements explained: in words, as a page, as JSON with a schema, and as an EAR."""

from __future__ import annotations

from rats_tls.explanation.ear import EAR_PROFILE, refusal_ear, result_ear
from rats_tls.explanation.jws import SigningKey, sign_ear
from rats_tls.explanation.model import Explanation, StageChecks, explain_refusal, explain_result
from rats_tls.explanation.page import html_page
from rats_tls.explanation.schema import document_schema
from rats_tls.explanation.tcb import TcbTable, tcb_tables

__all__ = [
    "EAR_PROFILE",
    "Explanation",
    "SigningKey",
    "StageChecks",
    "TcbTable",
    "document_schema",
    "explain_refusal",
    "explain_result",
    "html_page",
    "refusal_ear",
    "result_ear",
    "sign_ear",
    "tcb_tables",
]
