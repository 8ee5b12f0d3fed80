
process first {
    input: val x
    output: val x
    script: "sleep \$(cat '${params.folder}/seconds'); echo ${x} >> '${params.folder}/first'"
}
process second {
    tag "${x}"
    input: val x
    output: val x
    script: "echo ${x} >> '${params.folder}/second'; test ! -e '${params.folder}/fail' || test ${x} != 3"
}
process last {
    publishDir 'outputs', mode: 'copy'
    input: val all
    output: path 'result.txt'
    script: "echo ${all.sort().join(' ')} > result.txt"
}
workflow { channel.of(1..4) | first | second | collect | last }
