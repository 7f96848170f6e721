"""The architecture page is the one that is kept true, so it is compared with the tree."""

import re

from tests.architecture.project import ENGINE, ROOT, project_files, relative


def folders_of_the_page(page: str) -> set[str]:
    """Return the folders listed below the line ``cpp/millrace/`` of the page's fenced block."""
    listed = re.search(r"^cpp/millrace/.*\n((?:[ \t].*\n|\n)*)", page, re.M)
    assert listed, "the page lists the folders in a block that starts with cpp/millrace/"
    return set(re.findall(r"^  (\w+)/", listed[1], re.M))


def test_architecture_page_lists_the_folders_that_exist():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = {path.name for path in ENGINE.iterdir() if path.is_dir()}
    assert folders_of_the_page(page) == folders


def test_links_between_pages_lead_somewhere():
    broken = []
    for page in project_files():
        if page.suffix != ".md":
            continue
        # Fenced code may hold what only looks like a link.
        prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", prose):
            leads_out = re.match(r"[a-z]+:", target)
            if not leads_out and not (page.parent / target).exists():
                broken.append(f"{relative(page)}: {target}")
    assert broken == []


def test_every_needed_package_is_named_for_the_reader():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "packages.txt" in readme
