from pathlib import Path


def write(text):
    Path("results").mkdir()
    Path("results/sum.txt").write_text(str(sum(map(int, text.split()))))
