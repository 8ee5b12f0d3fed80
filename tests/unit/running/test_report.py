"""`report.html` of a run: what it tells, where its links lead, what hostile and very large runs make of it."""

from __future__ import annotations

import base64
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pytest

from esap_wf import files
from esap_wf.models.manifest import Output
from esap_wf.models.plan import ContainerChoice, Plan
from esap_wf.models.request import DataRef
from esap_wf.models.run import Failure, OutputFile, Outputs, Phase, RunRecord, State, Step
from esap_wf.running import report
from esap_wf.running.report import results, timing
from esap_wf.runs.attempts import EngineExit

OLD = Path(__file__).parents[2] / "data" / "run-v1"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
HOSTILE = "</td></style><script>alert(1)</script>\"' onload=x <img src=x onerror=y> & \x1b[2J \u202e\x00"
END = EngineExit(exit_code=0, cpu_seconds=3.0, max_rss_bytes=50_000_000)


class Run:
    """A stored run, of which a test changes what it is about."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(OLD, folder)
        self.folder, self.ends = folder, [END]
        self.record = files.read_json(folder / "run.json", RunRecord)
        self.plan = files.read_json(folder / "plan.json", Plan)
        self.state = files.read_json(folder / "state.json", State)
        self.accepted: Outputs | None = files.read_json(folder / "outputs.json", Outputs)

    @property
    def outputs(self) -> Outputs:
        assert self.accepted
        return self.accepted

    def having(self, **changes: Any) -> Run:
        """With other values in the documents that have such a field."""
        for name in ("record", "plan", "state", "accepted"):
            part = getattr(self, name)
            own = {k: v for k, v in changes.items() if part is not None and k in part.__struct_fields__}
            if own:
                setattr(self, name, msgspec.structs.replace(part, **own))
        return self

    def result(self, path: str, data: bytes, media_type: str, name: str = "more") -> None:
        """One more output."""
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        more = OutputFile(name=name, path=path, bytes=len(data), sha256="0" * 64, media_type=media_type)
        self.accepted = msgspec.structs.replace(self.outputs, outputs=[*self.outputs.outputs, more])

    def page(self) -> Seen:
        """The page, read as a browser does."""
        return Seen(report.page(self.folder, self.record, self.plan, self.state, self.accepted, self.ends))


class Seen(HTMLParser):
    """Elements with their attributes, and the text of the page, a line an element."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.size, self.html = len(page), page.decode()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(self.html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "\n".join(self.texts)

    def of(self, tag: str, attribute: str) -> list[str]:
        return [a[attribute] or "" for t, a in self.elements if t == tag and attribute in a]

    def rows(self) -> list[str]:
        """Rows of all tables, cells parted by a bar."""
        cells = [
            re.sub(r"<[^>]*>", "", row.replace("</td>", "|"))
            for row in re.findall(r"<tr>(.*?)</tr>", self.html, re.S)
        ]
        return [c.strip("|") for c in cells]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "run")


def test_parameters_have_titles_units_and_those_that_differ_come_first(run: Run) -> None:
    schema = run.folder / f"code/{run.plan.code[:16]}/workflows/hello/params.schema.json"
    properties = {
        "angle": {"title": "Zenith angle", "unit": "deg", "default": 20},
        "energy": {"title": "Energy", "unit": "TeV", "default": 1.5},
        "seed": {"title": "Seed", "default": None},
    }
    schema.write_text(json.dumps({"properties": properties}))
    seen = run.having(parameters={"angle": 20, "energy": 2.5, "seed": None, "own": "x"}).page()
    rows = [r for r in seen.rows() if r.split("|")[0] in ("Zenith angle", "Energy", "Seed", "own")]
    assert rows == [
        "Energy|energy|2.5 TeV|1.5 TeV|changed",
        "Zenith angle|angle|20 deg|20 deg",
        "Seed|seed|not set|not set",
        "own|own|x|–",
    ]
    assert "Different from the default: 1 of 4." in seen.text


def test_durations_are_those_of_all_attempts_and_resources_too(run: Run) -> None:
    events = [
        (1000.0, "QUEUED"),
        (1010.0, "EXECUTING"),
        (1040.0, "ERROR"),
        (8240.0, "QUEUED"),
        (8245.0, "EXECUTING"),
        (8305.0, "COMPLETED"),
    ]
    lines = [json.dumps({"t": t, "kind": "phase", "phase": phase}) for t, phase in events]
    jobs = [("a", "1", 1010, 1030), ("a", "2", 1020, 1030), ("b", "", 8245, 8300)]
    lines += [
        json.dumps({"t": t, "kind": k, "step": s, "unit": u})
        for s, u, b, e in jobs
        for k, t in (("start", b), ("done", e))
    ]
    (run.folder / "events.jsonl").write_text("\n".join(lines) + "\n")
    run.having(created="1970-01-01T00:16:38.000Z", ended="1970-01-01T02:18:25.000Z")
    run.having(
        steps=[
            Step(name="a", total=2, done=2, cpu_seconds=15.0, memory_bytes=4 * 10**9),
            Step(name="b", total=1, done=1),
        ]
    )
    run.ends = [END, msgspec.structs.replace(END, cpu_seconds=57.0)]
    text = run.page().text
    for name, value in (
        ("queued", "17 s"),
        ("running", "2 min"),
        ("between attempts", "2 h"),
        ("from request to end", "2 h 2 min"),
        ("CPU", "1 min"),
        ("largest memory of one process", "4 GB"),
    ):
        assert f"\n{name}\n{value}\n" in text, name
    rows = run.page().rows()
    assert "a|2|2|0|30 s|15 s|20 s|15 s|0.50|4 GB" in rows
    assert "b|1|1|0|55 s|55 s|55 s|–|–|–" in rows
    assert "memory|200 MB|30 MB|4 GB (largest process)" in rows, "asked beside used"
    assert "cores|1||0.7 on average" in rows


def test_failures_come_with_the_end_of_their_logs_a_way_out_and_a_link(run: Run) -> None:
    (run.folder / "logs/greet/a b.log").write_text("all")
    failure = Failure(
        step="greet",
        unit="3",
        reason="OUT_OF_MEMORY",
        exit_code=137,
        log="logs/greet/a b.log",
        tail=["last < words", "killed"],
    )
    beyond = Failure(step="greet", unit="4", log="../../../etc/passwd")
    run.having(
        phase=Phase.ERROR,
        failures=[failure, beyond],
        failures_more=7,
        reason="something else",
        warnings=["w1"],
    )
    run.accepted = None
    seen = run.page()
    assert "greet 3: out of memory, log logs/greet/a b.log" in seen.text
    assert "last < words\nkilled" in seen.text
    assert "What to do next: give it more memory" in seen.text
    assert "logs/greet/a%20b.log" in seen.of("a", "href")
    assert "and 7 more failures" in seen.text and "something else" in seen.text and "Warning: w1" in seen.text
    assert "No results were accepted." in seen.text and "outputs/" in seen.of("a", "href")
    assert f"esap-wf resume {run.record.id}" in seen.text
    assert not [h for h in seen.of("a", "href") if ".." in h]


def test_an_aborted_run_says_who_stopped_it(run: Run) -> None:
    run.accepted = None
    seen = run.having(phase=Phase.ABORTED, reason="stopped by ada, at once").page()
    assert "stopped by ada, at once" in seen.text and "ABORTED" in seen.text
    assert seen.of("span", "class")[0] == "phase ABORTED"


def test_results_are_linked_pictures_shown_and_the_rest_named(run: Run) -> None:
    run.plan = msgspec.structs.replace(run.plan, outputs=[Output(name="more", path="*", title="More of it")])
    run.result("outputs/a b#1?%.png", PNG, "image/png")
    run.result("outputs/large.png", PNG + bytes(results.HELD), "image/png")
    run.result("outputs/no.png", b"<html>", "image/png")
    run.result("outputs/report.html", b"<p>", "text/html")
    run.having(values={"answer": [1, 2]})
    seen = run.page()
    hrefs = seen.of("a", "href")
    assert {
        "outputs/greeting.txt",
        "outputs/a%20b%231%3F%25.png",
        "outputs/large.png",
        "outputs/report.html",
    } <= set(hrefs)
    assert all((run.folder / unquote(h)).exists() for h in hrefs), "every link leads somewhere"
    held, *linked = seen.of("img", "src")
    assert held == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
    assert linked == ["outputs/large.png", "outputs/no.png"]
    rows = seen.rows()
    assert any(r.startswith("more|More of it|outputs/a b#1?%.png|70 B|") for r in rows), rows
    assert "answer|[1,2]" in rows
    assert any("1 of 1 passed" in r for r in rows)
    assert seen.text.count("The workflow's own report:") == 1, "one of them is a page"
    assert (
        len(run.outputs.tops()) == 6
        and "6 files and folders, " in seen.text
        and "; the links point into the run directory" in seen.text
    )
    heads = re.findall(r"<h2>(.*?)</h2>", seen.html)
    assert {"Results", "Pictures", "Values"} <= {h.partition(" ")[0] for h in heads}, heads
    captions = re.findall(r'<figcaption><a href="(.*?)"', seen.html)
    assert captions == ["outputs/a%20b%231%3F%25.png", *linked] and 'class="pictures"' in seen.html
    run.accepted = msgspec.structs.replace(run.outputs, outputs=run.outputs.outputs[:1])
    assert "1 file or folder, " in run.page().text


def test_so_many_pictures_are_shown_and_the_rest_is_counted(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(3):
        run.result(f"outputs/{i}.png", PNG, "image/png")
    for most, shown, said in ((3, 3, False), (2, 2, True)):
        monkeypatch.setattr(results, "PICTURES", most)
        seen = run.page()
        assert len(seen.of("img", "src")) == shown
        assert ("\nand 1 more\n" in seen.text) == said
    held = [f"data:image/png;base64,{base64.b64encode(PNG).decode()}"] * 2
    monkeypatch.setattr(results, "HELD", len(PNG))
    assert run.page().of("img", "src") == held, "as large as may be"
    monkeypatch.setattr(results, "SHOWN", len(PNG))
    assert len(run.page().of("img", "src")) == 2
    monkeypatch.setattr(results, "SHOWN", len(PNG) - 1)
    assert run.page().of("img", "src") == []


def times(folder: Path, *lines: tuple[float, str, str, str]) -> timing.Times:
    """Of events (time, kind, step, unit)."""
    told = [
        json.dumps({"t": t, "kind": kind, "step": step, **({"unit": unit} if unit else {})})
        for t, kind, step, unit in lines
    ]
    (folder / "times.jsonl").write_text("\n".join(told) + "\n")
    return timing.read_times(folder / "times.jsonl")


def test_the_times_of_jobs_are_those_between_their_events(tmp_path: Path) -> None:
    found = times(
        tmp_path,
        (14, "start", "b", ""),
        (10, "start", "a", "1"),
        (12, "start", "a", "2"),
        (15, "failed", "a", "2"),
        (16, "done", "c", "1"),
        (20, "done", "a", "1"),
    )
    told = [(b.step, b.unit, b.start, b.end, b.outcome) for b in found.jobs]
    assert told == [("a", "1", 10, 20, "done"), ("a", "2", 12, 15, "failed"), ("b", "", 14, 20, "running")]
    assert {k: (s.jobs, s.seconds, s.longest) for k, s in found.spent.items()} == {"a": (2, 13, 10)}


def test_of_very_many_jobs_the_longest_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    count = 20 * timing.BARS + 5
    lines = [
        (1000.0 * i + (i + 1 if kind == "done" else 0), kind, "a", str(i))
        for i in range(count)
        for kind in ("start", "done")
    ]
    found = times(tmp_path, *lines)
    assert [b.unit for b in found.jobs] == [str(i) for i in range(count - timing.BARS, count)]
    assert found.spent["a"].jobs == count


def test_the_end_of_a_run_counts_though_nothing_happens_any_more(run: Run) -> None:
    run.having(created="1970-01-01T00:00:10Z", ended="1970-01-01T00:01:00Z", phase=Phase.COMPLETED)
    phases = [(20.0, "EXECUTING")]
    assert timing.durations(run.record, run.state, phases) == timing.Durations(
        waiting=10, running=40, total=50
    )
    assert timing.durations(
        run.record, msgspec.structs.replace(run.state, ended=None), phases
    ) == timing.Durations(waiting=10, total=10)


def test_inputs_software_identity_and_the_ways_to_run_it_again_are_told(run: Run) -> None:
    manifest = {
        "schema_version": 1,
        "name": "hello",
        "title": "Hello",
        "version": "1.0.0",
        "implementations": [{"engine": "x", "file": "y"}],
    }
    told = {
        "citation": ["Phys. Rev. 1"],
        "authors": [{"name": "Ada"}],
        "inputs": {"events": {"title": "Event files"}},
    }
    (run.folder / "workflow.json").write_text(json.dumps(manifest | told))
    refs = [
        DataRef(uri="file:///d/a", path="/d/a", bytes=1500, checksum="sha256:abc"),
        DataRef(
            uri="file:///d/b", path="/d/b", bytes=2, checksum="stat:1", strength="stat", beside={"x": "y"}
        ),
    ]
    image = ContainerChoice(
        image="python:3",
        reference="python:3",
        form="name",
        digest="sha256:12",
        runtime="podman",
        program="/p",
    )
    software = msgspec.structs.replace(run.plan.software, images={"python:3": image})
    rows = (seen := run.having(inputs={"events": refs}, software=software).page()).rows()
    assert "Event files|/d/a|1.5 kB|sha256:abc" in rows
    assert "Event files|/d/b|2 B|stat:1 (from size and times, not from content) and 1 file beside it" in rows
    assert "image|python:3 (sha256:12), podman" in rows
    assert f"identity|{run.plan.digest.identity}" in rows
    assert "cite|Phys. Rev. 1" in rows and "authors|Ada" in rows
    assert any(r.startswith("engine|snakemake 9.27.1") for r in rows)
    assert f"esap-wf rerun {run.record.id}" in seen.text and f"bash {run.folder}/command.sh" in seen.text
    assert "esap-wf resume" not in seen.text
    assert {"logs/engine.log", "plan.json", "logs/greet/"} <= set(seen.of("a", "href"))


def hostile(run: Run, times: int = 1) -> None:
    """Every foreign text of a run, hostile and long, `times` over."""
    many = [f"{HOSTILE}{i}" for i in range(times)]
    long = HOSTILE * 20
    failure = Failure(step=HOSTILE, unit=long, log=f"logs/{HOSTILE}", tail=[long[:500]] * 12, detail=long)
    run.having(
        title=HOSTILE,
        name=HOSTILE,
        tags=[HOSTILE],
        workflow=HOSTILE,
        owner=HOSTILE,
        host=HOSTILE,
        reason=long,
        backend=HOSTILE,
        parameters=dict.fromkeys(many, long),
        selected=dict.fromkeys(many, long),
        command=[long] * times,
        reference=long,
        inputs={HOSTILE: [DataRef(uri="x", path=f"/{HOSTILE}{i}", checksum=long) for i in range(times)]},
        inside={HOSTILE: [long] * times},
        warnings=[long] * times,
        failures=[failure] * min(20, times),
        phase=Phase.ERROR,
        steps=[Step(name=n, total=10**9) for n in many],
        values=dict.fromkeys(many, long),
    )
    safe = HOSTILE.replace("\x00", "")
    files = [
        OutputFile(
            name=HOSTILE,
            path=f"javascript:{safe}{i}/{long[:100]}",
            bytes=5,
            sha256=HOSTILE,
            media_type="image/png",
        )
        for i in range(times)
    ]
    run.accepted = msgspec.structs.replace(run.outputs, outputs=files)
    lines = [
        {"t": 1.0 + i, "kind": k, "step": HOSTILE, "unit": f"{HOSTILE}{i}"}
        for i in range(times)
        for k in ("start", "done")
    ]
    (run.folder / "events.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize("times", [1, 30])
def test_nothing_that_a_run_says_becomes_a_part_of_the_page(run: Run, times: int) -> None:
    plain = {tag for tag, _ in run.page().elements}
    hostile(run, times)
    seen = run.page()
    assert {tag for tag, _ in seen.elements} <= plain | {"img", "figure", "figcaption", "a", "td", "b", "i"}
    ours = {
        "href",
        "class",
        "style",
        "title",
        "data-of",
        "src",
        "alt",
        "loading",
        "lang",
        "charset",
        "name",
        "content",
        "http-equiv",
    }
    assert {name for _, attributes in seen.elements for name in attributes} <= ours
    assert not [
        a
        for a in (*seen.of("a", "href"), *seen.of("img", "src"))
        if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*:|/", a)
    ]
    assert "<script>alert(1)</script>" in seen.text, "it is shown as it is"
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", seen.html)
    (policy,) = [a["content"] or "" for t, a in seen.elements if "http-equiv" in a]
    assert policy.startswith("default-src 'none'"), "nothing runs, and nothing is fetched"


def test_a_page_stays_small_whatever_a_run_holds(run: Run) -> None:
    hostile(run, 3000)
    seen = run.page()
    assert seen.size <= report.LARGEST
    assert seen.text.count("and 29") >= 7, "of every list is told how much more there is"
    plain = Run(run.folder.parent / "plain")
    one = plain.outputs.outputs[0]
    plain.outputs.outputs[:] = [msgspec.structs.replace(one, path=f"outputs/{i}.txt") for i in range(100_000)]
    for i in range(60):
        plain.result(f"outputs/{i}.png", PNG + bytes(20_000), "image/png")
    seen = plain.page()
    assert seen.size <= report.LARGEST and len(seen.of("img", "src")) == results.PICTURES
    assert sum(s.startswith("data:") for s in seen.of("img", "src")) == results.ALL_HELD // 20_070
    assert "and 36 more" in seen.text and "and 99860 more" in seen.text


def test_a_page_needs_no_script_and_no_other_place(run: Run) -> None:
    seen = run.page()
    assert not re.search(r"<script|@import|url\(|https?://", seen.html)
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in seen.elements
    assert "@media print" in seen.html
