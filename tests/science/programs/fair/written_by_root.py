"""Write the events of a file anew with ROOT itself, tracks as its own vectors: written_by_root.py FROM TO; needs ROOT."""

from __future__ import annotations

import json
import sys

import ROOT

source, target = sys.argv[1:]
frame = ROOT.RDataFrame("events", source)
tracks = [str(name) for name in frame.GetColumnNames() if str(name).startswith("trk_")]
for name in tracks:
    number = "int" if name in ("trk_charge", "trk_mother") else "float"
    frame = frame.Redefine(name, f"std::vector<{number}>({name}.begin(), {name}.end())")
frame.Snapshot("events", target, [*tracks, "mc_decays"])
with ROOT.TFile(target) as file:
    kinds = {str(b.GetName()): str(b.GetClassName()) for b in file.Get("events").GetListOfBranches()}
print(json.dumps({"version": str(ROOT.__version__), "px": kinds["trk_px"]}))
