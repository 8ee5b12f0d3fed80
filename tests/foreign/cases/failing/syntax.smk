rule all:
    input: "a.txt"

def broken(:
    pass
