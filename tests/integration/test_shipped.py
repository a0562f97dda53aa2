"""What is shipped beside the program says what the program does: completion, manual page, example configurations."""

import pathlib
import re
import subprocess

import pytest

from harness.proxy import BINARY, ROOT

pytestmark = pytest.mark.proxy_only

DEPLOY = ROOT / "deploy"


def help_of(*command):
    return subprocess.run([BINARY, *command, "--help"], capture_output=True, text=True, timeout=60, check=True).stdout


def commands():
    listed = help_of().split("Subcommands:\n")[1]
    names = re.findall(r"^  ([a-z-]+)", listed, re.MULTILINE)
    assert {"run", "check", "classify", "version"} <= set(names)
    return names


def options_of(command):
    return set(re.findall(r"--[a-z][a-z-]*", "\n".join(
        line for line in help_of(command).splitlines() if line.startswith("  -"))))


def completions(*words):
    """What bash offers for the last of these words, after `holdfast`."""
    script = """
        . "$1"; shift
        COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
        _holdfast 2>&1
        printf '%s\\n' "${COMPREPLY[@]}"
    """
    done = subprocess.run(["bash", "-c", script, "bash", DEPLOY / "completion/holdfast", BINARY, *words],
                          capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()


def test_completion_knows_every_command():
    assert sorted(completions("")) == sorted(commands())


def test_completion_of_a_part_of_a_command():
    assert completions("class") == ["classify"]


@pytest.mark.parametrize("command", commands() if BINARY.exists() else [])
def test_completion_knows_every_option(command):
    assert set(completions(command, "--")) == options_of(command)


def test_completion_of_clusters(tmp_path):
    config = tmp_path / "holdfast.toml"
    config.write_text("[cluster.shop]\n[cluster.shop.pool]\n[[cluster.blog.listener]]\n[admin]\n")
    assert completions("pause", "--config", config, "") == ["blog", "shop"]
    assert completions("drain", "--config", config, "s") == ["shop/"]


@pytest.mark.parametrize("command", commands() if BINARY.exists() else [])
def test_manual_page_knows_every_command_and_option(command):
    page = (DEPLOY / "man/holdfast.8.in").read_text().replace("\\-", "-")
    assert re.search(rf"^\\fB{command}\\fR", page, re.MULTILINE)
    for option in options_of(command):
        assert re.search(rf"\\fB{option}\\fR", page), option


def test_manual_page_and_guide_name_only_commands_that_exist():
    known = set(commands())
    page = (DEPLOY / "man/holdfast.8.in").read_text()
    listed = page.split(".SH COMMANDS")[1].split(".SH OPTIONS")[0]
    assert set(re.findall(r"^\.TP\n\\fB([a-z]+)\\fR", listed, re.MULTILINE)) <= known
    guide = (DEPLOY / "OPERATIONS.md").read_text()
    # In code only: "holdfast status", not "Holdfast sees it".
    code = re.findall(r"`([^`\n]+)`", guide) + re.findall(r"^    (.+)$", guide, re.MULTILINE)
    named = {name for text in code for name in re.findall(r"(?:^|-- |; )holdfast ([a-z]+)", text)}
    assert named and named <= known


def test_the_guide_names_only_metrics_that_exist():
    known = (ROOT / "proxy/admin/METRICS.md").read_text()
    guide = (DEPLOY / "OPERATIONS.md").read_text()
    named = set(re.findall(r"`((?:holdfast|process)_[a-z_]+)`", guide))
    assert len(named) > 10
    for metric in named:
        assert f"`{metric}`" in known, metric


def test_the_guide_names_only_settings_that_exist():
    known = (ROOT / "config/REFERENCE.md").read_text()
    guide = (DEPLOY / "OPERATIONS.md").read_text()
    named = set(re.findall(r"`(proxy|admin|reload|pool|routing|failover|health|server_tls|service)\.([a-z_]+)\b", guide))
    assert len(named) > 10
    for table, key in named:
        section = re.split(rf"^## `\[(?:cluster\.NAME\.)?{table}\]`$", known, flags=re.MULTILINE)[1].split("\n## ")[0]
        assert f"| `{key}` |" in section, f"{table}.{key}"


def test_the_guide_names_only_events_that_exist():
    sources = "".join(path.read_text() for folder in ["proxy", "health"] for path in (ROOT / folder).rglob("*.cc"))
    table = (DEPLOY / "OPERATIONS.md").read_text().split("| event | level |")[1].split("\n\n")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`([a-z_]+)`", cell)}
    assert len(named) > 15
    for event in named:
        assert f'"{event}"' in sources, event


def check(tmp_path, text):
    """`holdfast check` of a configuration whose files are in tmp_path."""
    config = tmp_path / "holdfast.toml"
    config.write_text(text)
    config.chmod(0o600)
    return subprocess.run([BINARY, "check", "--config", config], capture_output=True, text=True, timeout=60)


def embedded(file, opening):
    """The text of a YAML block scalar: the lines after `opening` that are indented deeper."""
    lines = file.read_text().splitlines()
    at = next(i for i, line in enumerate(lines) if line.strip() == opening)
    depth = len(lines[at]) - len(lines[at].lstrip())
    block = []
    for line in lines[at + 1:]:
        if line.strip() and len(line) - len(line.lstrip()) <= depth:
            break
        block.append(line[depth + 2:])
    return "\n".join(block) + "\n"


def test_the_packaged_configuration_is_good(tmp_path):
    result = check(tmp_path, (DEPLOY / "debian/holdfast.toml").read_text())
    assert result.returncode == 0, result.stderr
    # Nobody can log in yet, and it says so.
    assert "no service account" in result.stderr


def test_the_configuration_of_compose_is_good(tmp_path):
    compose = (DEPLOY / "container/compose.yaml").read_text().split("\n  holdfast:\n")[-1]
    (tmp_path / "part.yaml").write_text("  holdfast:\n" + compose)
    result = check(tmp_path, embedded(tmp_path / "part.yaml", "content: |"))
    assert (result.returncode, result.stderr) == (0, "")


def test_the_configuration_of_kubernetes_is_good(tmp_path):
    for name in ["shop.pw", "admin.token"]:
        (tmp_path / name).write_text("secret\n")
        (tmp_path / name).chmod(0o600)
    text = embedded(DEPLOY / "kubernetes/holdfast.yaml", "holdfast.toml: |")
    assert text.count("/etc/holdfast-secrets/") == 2
    result = check(tmp_path, text.replace("/etc/holdfast-secrets/", f"{tmp_path}/"))
    assert (result.returncode, result.stderr) == (0, "")


def test_links_of_the_guide_lead_somewhere():
    guide = DEPLOY / "OPERATIONS.md"
    text = guide.read_text()
    headings = {re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-")
                for line in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        else:
            assert (guide.parent / pathlib.Path(target)).exists(), target
