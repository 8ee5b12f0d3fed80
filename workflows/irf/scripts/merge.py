"""Step `merge`: the blocks of one production as one event list."""

from __future__ import annotations

import argparse
from pathlib import Path

from events import BlockError, merge, write_hdus


def main() -> None:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--out", type=Path, required=True)
    cli.add_argument("--folder", type=Path, required=True, help="with block-00001.fits, block-00002.fits, …")
    cli.add_argument("--blocks", type=int, required=True, help="how many")
    args = cli.parse_args()
    files = [args.folder / f"block-{block:05d}.fits" for block in range(1, args.blocks + 1)]
    try:
        hdus = merge(files)
    except BlockError as error:
        raise SystemExit(str(error)) from None
    write_hdus(args.out, hdus)
    for hdu in hdus[1:-1]:
        print(
            f"{hdu.name.lower()}: {len(hdu.data)} events of {hdu.header['NSHOWER']} showers in "
            f"{len(files)} blocks"
        )


if __name__ == "__main__":
    main()
