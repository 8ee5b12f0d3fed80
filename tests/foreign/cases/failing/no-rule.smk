rule all:
    input: "by-nobody.txt"
