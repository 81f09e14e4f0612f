"""What deploy/ asks of an orchestrator fits together, and fits the image."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.jobs import STOP_S
from service.settings import Settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def manifests() -> dict[str, Any]:
    """The manifests of deploy/kubernetes by their kind."""
    folder = DEPLOY / "kubernetes"
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    assert {*listed, "kustomization.yaml"} == {path.name for path in folder.iterdir()}
    files = [yaml.safe_load((folder / name).read_text()) for name in listed]
    return {manifest["kind"]: manifest for manifest in files}


def graceful_s() -> int:
    """Seconds that the image's command gives to requests in flight."""
    (command,) = re.findall(r"^CMD (.+)$", DOCKERFILE, re.MULTILINE)
    arguments = json.loads(command)
    return int(arguments[arguments.index("--timeout-graceful-shutdown") + 1])


def test_the_pod_has_the_ports_and_folders_that_it_and_the_others_name():
    kinds = manifests()
    pod = kinds["Deployment"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (port,) = container["ports"]
    probes = [
        container[f"{probe}Probe"]["httpGet"] for probe in ("startup", "readiness", "liveness")
    ]
    assert {probe["port"] for probe in probes} == {port["name"]}
    assert {port["targetPort"] for port in kinds["Service"]["spec"]["ports"]} == {port["name"]}
    assert f"BENTOML_PORT={port['containerPort']}" in DOCKERFILE
    folders = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert sorted(folders) == ["/jobs", "/tmp"]
    assert {volume["name"] for volume in pod["volumes"]} == set(folders.values())
    assert f"USER {pod['securityContext']['runAsUser']}:" in DOCKERFILE
    scaled = kinds["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert scaled["name"] == kinds["Deployment"]["metadata"]["name"]


def test_a_container_is_not_killed_before_it_has_drained_answered_and_put_its_jobs_back():
    pod = manifests()["Deployment"]["spec"]["template"]["spec"]
    variables = {entry["name"]: entry["value"] for entry in pod["containers"][0]["env"]}
    drain_s = int(variables["I2I_DRAIN_S"])
    assert drain_s + graceful_s() + STOP_S < pod["terminationGracePeriodSeconds"]

    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["i2i"]
    drain_s = int(service["environment"]["I2I_DRAIN_S"])
    assert drain_s + graceful_s() + STOP_S < int(service["stop_grace_period"].removesuffix("s"))


@pytest.mark.parametrize("path", ["docs/service.md", "deploy/Dockerfile.cuda"])
def test_a_container_by_hand_has_its_time_to_end_and_serves_this_machine_only(path):
    text = (ROOT / path).read_text().replace("\\\n#", "")
    (command,) = re.findall(r"docker run .+? i2i:\w+", text)
    words = command.split()
    stop_s = int(words[words.index("--stop-timeout") + 1])
    assert Settings().drain_s + graceful_s() + STOP_S < stop_s
    assert words[words.index("-p") + 1] == "127.0.0.1:3000:3000"


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_make_serve_serves_this_machine_unless_told_otherwise():
    def command(*given: str) -> str:
        environment = {k: v for k, v in os.environ.items() if k not in ("HOST", "MAKEFLAGS")}
        making = ["make", "-n", "serve", *given]
        return subprocess.check_output(making, cwd=ROOT, text=True, env=environment)

    assert "--host 127.0.0.1 --port 3000" in command()
    assert "--host 0.0.0.0 --port 3000" in command("HOST=0.0.0.0")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")
def test_every_selector_finds_the_pods():
    command = ["kubectl", "kustomize", str(DEPLOY / "kubernetes")]
    output = subprocess.check_output(command, text=True)
    kinds = {manifest["kind"]: manifest["spec"] for manifest in yaml.safe_load_all(output)}
    labels = kinds["Deployment"]["template"]["metadata"]["labels"]
    assert labels
    assert kinds["Deployment"]["selector"]["matchLabels"] == labels
    assert kinds["PodDisruptionBudget"]["selector"]["matchLabels"] == labels
    assert kinds["Service"]["selector"] == labels


@pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs haproxy")
def test_the_proxy_takes_its_configuration():
    command = ["haproxy", "-c", "-q", "-f", str(DEPLOY / "haproxy.cfg")]
    assert subprocess.run(command, check=False, stderr=subprocess.PIPE).returncode == 0
