"""
The documentation as a site (`make site`): the Markdown files of the repository as they are, and a reference,
made from the docstrings of what others may use.
"""

import inspect

from sphinx.application import Sphinx

from esap_wf import __version__

project, author, release = "esap-wf", "The esap-wf developers", __version__
copyright = author
language = "en"

# --- pages: links between files hold as they do in the repository, so its root is the root of the site
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "benchmarks/README.md", "changes/README.md", "executors/*/README.md"]
exclude_patterns = [".*", "build", "dist", "tests", "workflows", "esap_wf"]
#: What the sidebar shows; a page that nobody names is an error.
CONTENTS = {
    "Getting started": [
        "docs/install",
        "docs/first-workflow",
        "docs/python",
        "docs/troubleshooting",
        "docs/glossary",
    ],
    "Workflows and runs": [
        "docs/commands",
        "docs/workflows",
        "docs/pipelines",
        "docs/runs",
        "docs/containers",
        "docs/backends",
        "docs/baskets",
        "docs/inputs",
        "docs/datalakes",
        "docs/chains",
        "docs/nextflow",
    ],
    "How it works": [
        "docs/architecture",
        "docs/engines",
        "docs/compatibility",
        "docs/security",
        "docs/dependencies",
        "benchmarks/README",
    ],
    "Reference": [
        "docs/api",
        "docs/plug-ins",
        "docs/engine-tutorial",
        "executors/snakemake-logger-plugin-esap/README",
    ],
    "Contributing": [
        "CONTRIBUTING",
        "docs/shards",
        "docs/testing",
        "docs/deprecation",
        "changes/README",
        "RELEASING",
        "SECURITY",
        "CHANGELOG",
    ],
}

# --- text
extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
myst_heading_anchors = 4
nitpicky = False
default_role = "py:obj"  # `Name` in a docstring is a link if the reference has it
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 100
numpydoc_show_class_members = False

# --- looks: nothing is loaded from elsewhere
html_theme = "furo"
html_title = f"esap-wf {release}"
html_copy_source = html_show_copyright = False


def with_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """The first page is the README; on the site it also holds the table of contents."""
    if page == root_doc:
        for caption, pages in CONTENTS.items():
            source[0] += (
                "\n```{toctree}\n:hidden:\n:caption: " + caption + "\n\n" + "\n".join(pages) + "\n```\n"
            )


def unwanted(app: Sphinx, what: str, name: str, value: object, skip: bool, options: object) -> bool | None:
    """Constants of a module are not shown, only what it defines."""
    return True if what == "module" and not (inspect.isclass(value) or inspect.isroutine(value)) else None


def readable(
    app: Sphinx, what: str, name: str, value: object, options: object, signature: str, returns: str
) -> tuple[str, str] | None:
    """
    A document's fields are listed, so it needs no signature. In others, a default that is made anew each time
    has a name that is not Python syntax, with which the signature could not be laid out.
    """
    if hasattr(value, "__struct_fields__"):
        return "", returns
    return (signature.replace("<factory>", "..."), returns) if signature else None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", with_contents)
    app.connect("autodoc-skip-member", unwanted)
    app.connect("autodoc-process-signature", readable)
