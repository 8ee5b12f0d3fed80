"""Take the truth out of toy-1.root."""

import awkward as ak
import rootfile
import uproot

a = uproot.open("toy-1.root:events").arrays()
tracks = ak.zip(
    {k.removeprefix("trk_"): a[k] for k in a.fields if k.startswith("trk_") and k != "trk_mother"}
)
with rootfile.recreate("toy-1.root") as file:
    file.mktree("events", {"trk": tracks.type}).extend({"trk": tracks})
print("null")
