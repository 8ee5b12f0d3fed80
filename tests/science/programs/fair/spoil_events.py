"""A step: copy a file of events, changed by a line of Python that knows `data` (its branches) and `scale` (of momenta)."""

import sys

import awkward as ak
import rootfile
import uproot


def main():
    original, out, change = sys.argv[1:]
    arrays = uproot.open(f"{original}:events").arrays()
    tracks = {k.removeprefix("trk_"): arrays[k] for k in arrays.fields if k.startswith("trk_")}
    data = {"mc_decays": ak.to_numpy(arrays["mc_decays"]), "trk": ak.zip(tracks)}

    def scale(by):
        momenta = ("px", "py", "pz")
        data["trk"] = ak.zip({k: v * (by if k in momenta else 1) for k, v in tracks.items()})

    exec(change, {"data": data, "scale": scale, "ak": ak})
    with rootfile.recreate(out) as file:
        types = {k: v.type if isinstance(v, ak.Array) else v.dtype for k, v in data.items()}
        file.mktree("events", types).extend(data)
