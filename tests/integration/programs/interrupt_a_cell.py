"""In the environment of a kernel: execute cells, and interrupt one that waits for a run. Gives what is shown as JSON."""

from __future__ import annotations

import json
import sys

from jupyter_client.manager import start_new_kernel

manager, client = start_new_kernel(kernel_name="python3")
told = []


def shown(message):
    kind, content = message["msg_type"], message["content"]
    if kind in ("display_data", "update_display_data", "execute_result"):
        told.append({"kind": kind, **content["data"]})
        if kind != "execute_result" and not sent and "EXECUTING" in content["data"].get("text/plain", ""):
            sent.append(manager.interrupt_kernel())
    elif kind in ("error", "stream"):
        told.append(
            {"kind": kind, "text": content.get("text") or content["ename"] + ": " + content["evalue"]}
        )


for code in json.loads(sys.argv[1]):
    sent = []
    client.execute_interactive(code, output_hook=shown, timeout=120, stop_on_error=False)
client.stop_channels()
manager.shutdown_kernel(now=True)
print(json.dumps(told))
