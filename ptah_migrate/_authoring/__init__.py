"""Writes files: new packages, new revisions. Returns values; prints and asks nothing."""

from __future__ import annotations

from ptah_migrate._authoring.files import FileChange
from ptah_migrate._authoring.package import InitPlan, apply, plan_init
from ptah_migrate._authoring.revision import NewRevision, merge, revision
from ptah_migrate._authoring.templates import NOT_WRITTEN

__all__ = [
    "NOT_WRITTEN",
    "FileChange",
    "InitPlan",
    "NewRevision",
    "apply",
    "merge",
    "plan_init",
    "revision",
]
