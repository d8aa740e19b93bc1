"""cfn-lint and checkov find nothing. They run where they are installed: ``tox -e provision``."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from dynamo_chat.provision.alarms import OWN_KEY, Watch
from dynamo_chat.provision.alarms_cloudformation import alarms_cloudformation
from dynamo_chat.provision.cloudformation import cloudformation
from dynamo_chat.provision.terraform import terraform
from tests.provision.variants import VARIANTS

pytestmark = pytest.mark.once
NAME = "chat-prod"
WATCH = Watch(NAME, email="ops@example.com", budget_tag=("team", "chat"))
WITHOUT_CUSTOMER_KEY = {
    name for name, each in VARIANTS.items() if not (each.encryption_managed and each.kms_key)
}
GLOBAL = {name for name, each in VARIANTS.items() if each.replicas}


def program(name: str) -> str:
    """A scanner beside this interpreter, or on PATH."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if found is None:
        pytest.skip(reason=f"{name} is not installed: it is in the environment `provision` of tox")
    return found


def write_all(folder: Path, templates: Mapping[str, Mapping[str, Any]], suffix: str) -> None:
    for name, template in templates.items():
        folder.joinpath(f"{name}{suffix}").write_text(json.dumps(template, indent=1))


def checkov(folder: Path, framework: str) -> dict[str, dict[str, set[str]]]:
    """The checks that passed, failed and were skipped, by file."""
    command = [program("checkov"), "--directory", str(folder), "--framework", framework]
    command += ["--output", "json", "--compact", "--soft-fail", "--skip-download"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    report = json.loads(done.stdout)
    assert report["summary"]["parsing_errors"] == 0
    found: dict[str, dict[str, set[str]]] = {}
    for outcome in ("passed", "failed", "skipped"):
        for check in report["results"].get(f"{outcome}_checks", []):
            file = found.setdefault(Path(check["file_path"]).name.split(".")[0], {})
            file.setdefault(outcome, set()).add(check["check_id"])
    return found


def test_cfn_lint_finds_nothing(tmp_path: Path) -> None:
    """No error, no warning, and nothing worth telling either."""
    write_all(
        tmp_path, {name: cloudformation(each, NAME) for name, each in VARIANTS.items()}, ".json"
    )
    keyed = Watch(NAME, topic_key=OWN_KEY)
    watches = {"alarms": alarms_cloudformation(WATCH), "keyed": alarms_cloudformation(keyed)}
    write_all(tmp_path, watches, ".json")
    files = sorted(map(str, tmp_path.glob("*.json")))
    command = [program("cfn-lint"), "--include-checks", "I", "--", *files]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.returncode) == ("", 0)


def test_checkov_finds_nothing_in_cloudformation(tmp_path: Path) -> None:
    """But for the variant without protection. Without a customer's key, its rule is set aside."""
    write_all(
        tmp_path, {name: cloudformation(each, NAME) for name, each in VARIANTS.items()}, ".json"
    )
    found = checkov(tmp_path, "cloudformation")
    assert {name for name, each in found.items() if "failed" in each} == {"bare"}
    assert found["bare"]["failed"] == {"CKV_AWS_28"}
    for name in VARIANTS.keys() - {"bare"}:
        assert "CKV_AWS_165" if name in GLOBAL else "CKV_AWS_28" in found[name]["passed"]
        aside = {"CKV_AWS_119"} if name in WITHOUT_CUSTOMER_KEY - GLOBAL else set()
        assert found[name].get("skipped", set()) == aside


def test_checkov_finds_nothing_in_terraform(tmp_path: Path) -> None:
    """But that there is no customer's key where none was asked for: JSON can't set rules aside."""
    write_all(
        tmp_path, {name: terraform(each, NAME) for name, each in VARIANTS.items()}, ".tf.json"
    )
    found = checkov(tmp_path, "terraform_json")
    for name in VARIANTS.keys() - {"bare"}:
        assert "CKV_AWS_28" in found[name]["passed"]
        key = {"CKV_AWS_119"} if name in WITHOUT_CUSTOMER_KEY else set()
        assert found[name].get("failed", set()) == key
