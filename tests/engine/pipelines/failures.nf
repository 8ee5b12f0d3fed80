
process missing {
    errorStrategy 'ignore'
    output:
    path 'never.txt'
    script: 'true'
}
process late {
    time '1s'
    errorStrategy 'ignore'
    script: 'sleep 60'
}
process killed {
    errorStrategy 'ignore'
    script: 'kill -9 $$'
}
process starved {
    errorStrategy 'ignore'
    script: "echo 'MemoryError: no more' >&2; exit 137"
}
process shaky {
    tag "the only"
    errorStrategy 'retry'
    maxRetries 2
    script: "test ${task.attempt} = 2 || exit 5"
}
process twins {
    tag 'same'
    errorStrategy 'ignore'
    input: val x
    script: x == 2 ? 'exit 4' : 'true'
}
process broad {
    input: val x
    cpus { x == 2 ? 64 : 1 }
    script: 'sleep 0.1'
}
// by its trace, what ended
def others() { file("$launchDir/engine/1.trace.tsv").readLines().size() - 1 }
workflow {
    missing(); late(); killed(); starved(); shaky(); twins(channel.of(1, 2, 3))
    broad(channel.of(1, 2).map { while (it == 2 && others() < 10) sleep(100); it })
}
