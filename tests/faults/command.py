"""The command line as a module, for crash_at.py: ``python crash_at.py POINT command run noop``."""

from esap_wf.cli import main

if __name__ == "__main__":
    main()
