{
    "cwlVersion": "v1.0",
    "$graph": [
        {
            "class": "CommandLineTool", "id": "#count.cwl", "baseCommand": ["wc", "-l"],
            "inputs": [{"type": "File", "inputBinding": {"position": 1}, "id": "#count.cwl/file"}],
            "stdout": "count.txt",
            "outputs": [{"type": "stdout", "id": "#count.cwl/count"}]
        },
        {
            "class": "Workflow", "id": "#main",
            "inputs": [{"type": "File", "id": "#main/text", "doc": ["Lines", "to count"]},
                       {"type": {"type": "enum", "symbols": ["#main/how/fast", "#main/how/slow"]}, "id": "#main/how", "default": "fast"}],
            "outputs": [{"type": "File", "outputSource": "#main/count/count", "id": "#main/counted"}],
            "steps": [{"run": "#count.cwl", "in": [{"source": "#main/text", "id": "#main/count/file"}],
                       "out": ["#main/count/count"], "id": "#main/count"}]
        }
    ]
}
