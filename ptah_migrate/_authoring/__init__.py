"""Writes files: new packages, new revisions. Returns values; prints and asks nothing."""

from __future__ import annotations

from ptah_migrate._authoring.checks import Finding, check_files
from ptah_migrate._authoring.conventions import Conventions, conventions, first, of_project
from ptah_migrate._authoring.fileplan import FilePlan, apply, diff
from ptah_migrate._authoring.files import FileChange
from ptah_migrate._authoring.package import Own, plan_init
from ptah_migrate._authoring.rebase import Move, Rebase, plan_rebase, rebase
from ptah_migrate._authoring.references import Reference
from ptah_migrate._authoring.retract import retract
from ptah_migrate._authoring.revision import NewRevision, Wanted, merge, revision, revisions
from ptah_migrate._authoring.undo import plan_undo
from ptah_migrate._authoring.update import plan_update
from ptah_migrate._authoring.wheel import check_wheel, check_wheels
from ptah_migrate._history import NOT_WRITTEN

__all__ = [
    "NOT_WRITTEN",
    "Conventions",
    "FileChange",
    "FilePlan",
    "Finding",
    "Move",
    "NewRevision",
    "Own",
    "Rebase",
    "Reference",
    "Wanted",
    "apply",
    "check_files",
    "check_wheel",
    "check_wheels",
    "conventions",
    "diff",
    "first",
    "merge",
    "of_project",
    "plan_init",
    "plan_rebase",
    "plan_undo",
    "plan_update",
    "rebase",
    "retract",
    "revision",
    "revisions",
]
